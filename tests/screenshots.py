"""`make screenshots`: every screen of the demo, light, dark and narrow, into docs/images.

    python -m tests.screenshots [URL]      (default: http://127.0.0.1:8000, where `make run` is)

Logs in with the demo's password from TRACKSTACK_HOME. Only what README and docs show is kept in the repository.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.conftest import CHROMIUM, FLAGS

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
SCREENS = {
    "health": "health/",
    "configure-events": "configure/events/",
    "event": "configure/events/SignUp/",
    "drafts": "configure/drafts/",
    "history": "configure/history/",
    "destinations": "destinations/",
    "destination": "destinations/2/",
    "test-bench": "test-bench/",
    "live": "live/",
    "deliveries": "deliveries/",
    "dead-letters": "dead-letters/",
    "replays": "replays/",
    "quality": "quality/",
    "trace": "trace/",
    "alerts": "alerts/",
    "sources": "sources/",
    "taxonomy": "taxonomy/",
}
LOOKS = {
    "": {"viewport": {"width": 1440, "height": 900}, "color_scheme": "light"},
    "-dark": {"viewport": {"width": 1440, "height": 900}, "color_scheme": "dark"},
    "-narrow": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light"},
}


def main() -> int:
    url = sys.argv[1] if len(sys.argv) > 1 else f"http://127.0.0.1:{os.environ.get('PORT', '8000')}"
    home = Path(os.environ.get("TRACKSTACK_HOME", ROOT / "var"))
    password = json.loads((home / "demo.json").read_text())["password"]
    if not CHROMIUM:
        print("There is no Chromium on this machine: apt install chromium.", file=sys.stderr)
        return 2
    IMAGES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for suffix, look in LOOKS.items():
            shoot(browser, url, password, suffix, look)
        browser.close()
    return 0


def found(page: Page, url: str) -> dict[str, str]:
    """Screens of one row, whose addresses only the installation knows: a delivery's trace, the last request."""
    first = {}
    for name, listed in (("trace-event", "deliveries/?state=2"), ("attempt", "attempts/")):
        page.goto(f"{url}/admin/{listed}")
        link = page.locator("tbody th[scope=row] a")
        if link.count():
            first[name] = (link.first.get_attribute("href") or "").removeprefix("/admin/")
    return first


def shoot(browser: Browser, url: str, password: str, suffix: str, look: dict[str, object]) -> None:
    page = browser.new_context(**look, reduced_motion="reduce").new_page()  # type: ignore[arg-type]
    page.goto(f"{url}/admin/login/")
    page.fill("input[name=username]", "demo")
    page.fill("input[name=password]", password)
    page.click("[type=submit]")
    for name, path in {**SCREENS, **found(page, url)}.items():
        page.goto(f"{url}/admin/{path}")
        page.wait_for_timeout(700)
        page.screenshot(path=IMAGES / f"{name}{suffix}.png")
        print(f"docs/images/{name}{suffix}.png")
    if "narrow" not in suffix:
        week_of_a_cell(page, url, suffix)


def week_of_a_cell(page: Page, url: str, suffix: str) -> None:
    """The matrix while somebody rests on a cell."""
    page.goto(f"{url}/admin/configure/events/?q=a")
    cell = page.locator("#matrix tr[data-find]:visible td:not(.al):has(> b) > button").first
    if cell.count():
        cell.hover()
        page.locator("#cell-days:popover-open li").first.wait_for()
        page.screenshot(path=IMAGES / f"configure-events-week{suffix}.png")
        print(f"docs/images/configure-events-week{suffix}.png")


if __name__ == "__main__":
    sys.exit(main())
