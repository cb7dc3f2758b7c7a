"""The Configure matrix, 66 events × 15 destinations: server time, queries and bytes of the page and of a switch.

Measured in this process through Django's test client, all middleware included, DEBUG off, against the bench's database
with seven days of counts for every cell. Time and queries are taken apart: counting queries costs time.
"""

from __future__ import annotations

import time
from typing import Any

from bench.installation import Installation
from bench.rows import Row, below, median

MATRIX = "/admin/configure/events/"
TOGGLE = "/admin/configure/events/toggle/"
COUNTS = """
INSERT INTO destinations_ledgerentry (day, destination_id, event_name, state, reason, count, is_total)
SELECT current_date - day, d.id, e.name, 'delivered', '', 12345, true
FROM generate_series(0, 6) AS day, destinations_destination d, events_canonicalevent e
"""


def run(stack: Installation, *, quick: bool) -> list[Row]:
    times = 10 if quick else 40
    made = stack.make_destinations(*(["meta", "linkedin", "webhook"] * 5))
    stack.execute(COUNTS)
    stack.execute("VACUUM ANALYZE")
    client = client_of_admin()
    page = lambda: client.get(MATRIX)  # noqa: E731  (one of two things measured alike)
    switch = _Switch(client, made[0])
    page_ms, page_queries, page_bytes = measure(page, times)
    toggle_ms, toggle_queries, toggle_bytes = measure(switch, times)
    page()  # reads the routing that the last switch made, so the next switch need not
    _, alone, _ = measure(switch, 0, warm_up=0)
    note = f"right after another switch; {alone} when the process has seen the newest routing already"
    return [
        below("matrix 66 × 15, server time", page_ms, "ms", 100, note=f"median of {times}"),
        below("matrix 66 × 15, queries", page_queries, "queries", 13),
        below("matrix 66 × 15, size", page_bytes / 1000, "kB", 400),
        below("matrix, a switch, server time", toggle_ms, "ms", 30, note=f"median of {times}"),
        below("matrix, a switch, queries", toggle_queries, "queries", 9, note=note),
        Row(name="matrix, a switch, size", value=toggle_bytes / 1000, unit="kB"),
    ]


class _Switch:
    """One click: the same switch, off and on in turn."""

    def __init__(self, client: Any, destination: int) -> None:
        self.client = client
        self.destination = destination
        self.is_on = True

    def __call__(self) -> Any:
        self.is_on = not self.is_on
        asked = f"{self.destination}:SignUp:{int(self.is_on)}"
        return self.client.post(TOGGLE, {"set": asked}, headers={"HX-Request": "true"})


def client_of_admin() -> Any:
    """A logged-in superuser; static files are collected, as a deployment has them."""
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.test import Client

    call_command("collectstatic", interactive=False, verbosity=0)
    user = User.objects.filter(username="bench").first() or User.objects.create_superuser("bench")
    client = Client()
    client.force_login(user)
    return client


def measure(act: Any, times: int, *, warm_up: int = 2) -> tuple[float, int, int]:
    """Median milliseconds, queries and bytes of a request; the first ones warm templates and connections."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    spent: list[float] = []
    for number in range(times + warm_up):
        begun = time.perf_counter()
        response = act()
        took = 1000 * (time.perf_counter() - begun)
        if response.status_code != 200:
            raise RuntimeError(f"{response.request['PATH_INFO']} answered {response.status_code}")
        if number >= warm_up:
            spent.append(took)
    with CaptureQueriesContext(connection) as queries:
        response = act()
    # Transaction control is not a query of the page's.
    counted = [
        q for q in queries.captured_queries if not q["sql"].startswith(("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE"))
    ]
    return median(spent), len(counted), len(response.content)
