"""Growth: the same work on an empty database and beside 1 and 10 million deliveries of the past.

Ingest in batches of 100 (the empty database is what it is held against), and the server time of every page that reads
what grows, with 66 events × 15 destinations in the matrix. The past is spread over 90 days. What does not fit on the
disk is left out, and said.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from bench import screens
from bench.fill import fill
from bench.installation import Installation
from bench.load import Plan, drive
from bench.rows import Row, below, median

SPAN = "90 days"
BYTES_PER_DELIVERY = 1500
"""What a delivery of the past takes at most, its share of event, attempt, indexes and write-ahead log included."""


def run(stack: Installation, *, quick: bool) -> list[Row]:
    sizes = (0, 100_000, 300_000) if quick else (0, 1_000_000, 10_000_000)
    rounds, seconds = (2, 1.5) if quick else (5, 2.0)
    destinations = stack.make_destinations(*(["meta", "linkedin", "webhook"] * 5))[:5]
    rows: list[Row] = []
    have, following, plain = 0, 1, 0.0
    client = screens.client_of_admin()
    try:
        stack.run_web()
        drive(_plan(stack, 1.0))
        for size in sizes:
            if (size - have) * BYTES_PER_DELIVERY > shutil.disk_usage(stack.home).free:
                rows.append(Row(name=f"beside {size:,} deliveries", value=0, unit="left out: the disk is too small"))
                continue
            begun = time.monotonic()
            if size > have:
                following = fill(
                    stack, size - have, destinations, is_settled=True, span=SPAN, first=_next(stack, following)
                )
                have = size
            label = f"beside {size:,} deliveries"
            note = f"filled in {time.monotonic() - begun:.0f} s"
            for name, act in pages(stack, client, destinations).items():
                spent, queries, _ = screens.measure(act, 5 if quick else 15)
                rows.append(below(f"{name}, {label}", spent, "ms", 100, note=f"{queries} queries"))
            rates = [drive(_plan(stack, seconds)).per_second for _ in range(rounds)]
            plain = plain or median(rates)
            rows.append(_rate_row(label, rates, plain, note, is_plain=size == 0))
        if have:
            database = stack.sql("SELECT pg_database_size(current_database())")[0][0]
            rows.append(Row(name="database", value=database / have, unit="bytes per delivery of the past"))
    finally:
        stack.stop_processes()
        stack.empty()
    return rows


def _plan(stack: Installation, seconds: float) -> Plan:
    return Plan(port=stack.port, key=stack.key, seconds=seconds, seed=int(time.time()) % 10_000)


def _next(stack: Installation, following: int) -> int:
    """A batch number that nothing measured so far has used."""
    return max(following, int(stack.sql("SELECT nextval('events_ingestbatch_id_seq')")[0][0]) + 1000)


def _rate_row(label: str, rates: list[float], plain: float, note: str, *, is_plain: bool) -> Row:
    ratio = plain / median(rates)
    row = Row(name=f"ingest {label}", value=median(rates), unit="events/s", rounds=rates, note=note)
    if not is_plain:
        row.limit, row.limit_name, row.ratio = plain, "beside none", ratio
        row.target, row.met = "ratio ≤ 1.25", ratio <= 1.25
    return row


def pages(stack: Installation, client: Any, destinations: list[int]) -> dict[str, Callable[[], Any]]:
    """What people open. The trace is that of an event in the middle of the past."""
    found = stack.sql(
        "SELECT event_id FROM events_event WHERE id >= (SELECT (min(id) + max(id)) / 2 FROM events_event) LIMIT 1"
    )
    some = destinations[0]
    stage = stack.sql("SELECT stage_id FROM events_canonicalevent WHERE name = 'SignUp'")[0][0]
    address = {
        "matrix": screens.MATRIX,
        "page of an event": f"{screens.MATRIX}SignUp/",
        "bulk switch, its effect": f"{screens.MATRIX}change/?set={some}:@{stage}:0",
        "history": "/admin/configure/history/",
        "Health": "/admin/health/",
        "Live": "/admin/live/",
        "deliveries": "/admin/deliveries/",
        "deliveries, dead ones": "/admin/deliveries/?state=4",
        "attempts": "/admin/attempts/",
        "dead letters": "/admin/dead-letters/",
        "trace of an event": f"/admin/trace/?id={found[0][0] if found else 'none'}",
        "new replay": f"/admin/replays/new/?kind=dead&destination={some}",
        "quality": "/admin/quality/",
        "rejected": "/admin/rejected/",
    }
    return {name: partial(client.get, url) for name, url in address.items()}
