"""The main pages as a browser sees them: paint, layout shift, blocking time and bytes, at 66 events × 15 destinations.

Headless Chromium through Playwright against the production server, each view with an empty cache, beside deliveries of
the past. `growth` holds the same pages' server time against ten million of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from bench import screens
from bench.fill import fill
from bench.installation import Installation
from bench.rows import Row, below, median

SPAN = "30 days"
SETTLE_MS = 1200
"""After the load event: scripts have run, and nothing shifts any more."""

# Both observers see what happened before them; the sums are read when the page is at rest.
WATCH = """
globalThis.seen = { shift: 0, tasks: [] };
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) seen.shift += entry.value;
}).observe({ type: "layout-shift", buffered: true });
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) seen.tasks.push([entry.startTime, entry.duration]);
}).observe({ type: "longtask", buffered: true });
"""
READ = """() => {
  const page = performance.getEntriesByType("navigation")[0];
  const files = performance.getEntriesByType("resource");
  const paint = performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0;
  const sum = (name) => files.reduce((total, file) => total + file[name], page[name]);
  return {
    status: page.responseStatus,
    server: page.responseStart - page.requestStart,
    paint,
    shift: seen.shift,
    blocked: seen.tasks.reduce((total, [at, took]) => total + (at + took > paint ? Math.max(0, took - 50) : 0), 0),
    html: page.decodedBodySize,
    sent: sum("transferSize"),
    whole: sum("decodedBodySize"),
  };
}"""


class View(msgspec.Struct, frozen=True):
    """One load of one page; times in milliseconds, sizes in bytes."""

    status: int
    server: float
    paint: float
    shift: float
    blocked: float
    html: int
    sent: int
    """Over the wire, files included."""
    whole: int
    """The same, uncompressed."""


def run(stack: Installation, *, quick: bool) -> list[Row]:
    times = 3 if quick else 9
    destinations = stack.make_destinations(*(["meta", "linkedin", "webhook"] * 5))
    fill(stack, 15_000 if quick else 300_000, destinations, is_settled=True, span=SPAN)
    stack.execute(f"{screens.COUNTS} ON CONFLICT DO NOTHING")
    stack.execute("VACUUM ANALYZE")
    session = screens.client_of_admin().cookies["sessionid"].value
    paths = {
        "log in": "/admin/login/",
        "Health": "/admin/health/",
        "Events 66 × 15": screens.MATRIX,
        "event": f"{screens.MATRIX}SignUp/",
        "Deliveries": "/admin/deliveries/",
        "Trace": "/admin/trace/?id=past-2-0",
    }
    try:
        stack.run_web()
        views = look(f"http://127.0.0.1:{stack.port}", paths, session, times)
    finally:
        stack.stop_processes()
        stack.empty()
    return [row for name, found in views.items() for row in rows_of(name, found)]


def look(origin: str, paths: Mapping[str, str], session: str, times: int) -> dict[str, list[View]]:
    """Each page `times` times, in turn; the first round warms the server and is not counted.

    Raises RuntimeError without a Chromium, and for a page that does not answer 200.
    """
    from playwright.sync_api import sync_playwright

    from tests.browser.conftest import CHROMIUM, FLAGS

    if not CHROMIUM:
        raise RuntimeError("There is no Chromium on this machine: apt install chromium.")
    found: dict[str, list[View]] = {name: [] for name in paths}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for number in range(times + 1):
            for name, path in paths.items():
                cookies = [] if path.startswith("/admin/login/") else [session]
                view = load(browser, origin, path, cookies)
                if number:
                    found[name].append(view)
        browser.close()
    return found


def load(browser: Any, origin: str, path: str, sessions: list[str]) -> View:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.add_cookies([{"name": "sessionid", "value": value, "url": origin} for value in sessions])
    context.add_init_script(WATCH)
    page = context.new_page()
    page.goto(f"{origin}{path}", wait_until="load")
    page.wait_for_timeout(SETTLE_MS)
    view = msgspec.convert(page.evaluate(READ), View, strict=False)
    context.close()
    if view.status != 200:
        raise RuntimeError(f"{path} answered {view.status}")
    return view


def rows_of(name: str, views: list[View]) -> list[Row]:
    def middle(field: str) -> float:
        return median([getattr(view, field) for view in views])

    whole = f"{middle('whole') / 1000:,.0f} kB uncompressed with its files"
    return [
        below(f"{name}, server", middle("server"), "ms", 100),
        Row(name=f"{name}, first contentful paint", value=middle("paint"), unit="ms", note=f"median of {len(views)}"),
        below(f"{name}, layout shift", max(view.shift for view in views), "CLS", 0.1),
        below(f"{name}, blocking time", middle("blocked"), "ms", 200),
        below(f"{name}, page", middle("html") / 1000, "kB", 400, note=whole),
        Row(name=f"{name}, sent with its files", value=middle("sent") / 1000, unit="kB"),
    ]
