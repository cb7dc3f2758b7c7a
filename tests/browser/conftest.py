"""Headless Chromium (Debian's package) against the running installation."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, StorageState, expect, sync_playwright

from tests.stack import Stack

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)
PATIENCE = 30_000
"""Milliseconds: a machine that does much else meanwhile is slow, not wrong."""
expect.set_options(timeout=PATIENCE)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if not CHROMIUM:
        pytest.skip("no Chromium on this machine, and make test could not install one")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="session")
def log_in(browser: Browser, shared_stack: Stack) -> Callable[[str], StorageState]:
    """The cookies of one of the demo's people, who logs in once for all tests."""
    password = json.loads((shared_stack.home / "demo.json").read_text())["password"]

    @functools.cache
    def cookies_of(user: str) -> StorageState:
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{shared_stack.port}/admin/login/?next=/admin/sources/")
        page.fill("input[name=username]", user)
        page.fill("input[name=password]", password)
        page.click("[type=submit]")
        page.wait_for_url("**/admin/sources/")
        state = context.storage_state()
        context.close()
        return state

    return cookies_of


@pytest.fixture
def open_as(browser: Browser, stack: Stack, log_in: Callable[[str], StorageState]) -> Iterator[Callable[..., Page]]:
    """Opens a page logged in as one of the demo's people; fails the test on script errors and CSP violations."""
    complaints: list[str] = []
    contexts = []

    def open_page(user: str = "marketer", path: str = "/admin/configure/events/", **options: object) -> Page:
        shown = {"viewport": {"width": 1600, "height": 1000}, "storage_state": log_in(user), **options}
        context = browser.new_context(**shown)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.goto(f"http://127.0.0.1:{stack.port}{path}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
