"""Configure → Destinations with a keyboard, with a colleague, and without a connection."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, StorageState, expect

from tests.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.pipeline]
OpenAs = Callable[..., Page]
LIST = "/admin/destinations/"
QUIET = 11_000
"""Milliseconds in which the list asked for itself once: nobody needs to be told that it failed."""
NAME = "Switchable hook"
MAKE = (
    "from destinations.models import Destination as D; from destinations import changes, platforms;"
    f"p = platforms.get('webhook'); print(changes.create(p, name={NAME!r}, config=p.example_config(),"
    " is_sandbox=True, sources=[], is_enabled=False, user=None).pk)"
)


@pytest.fixture
def hook(stack: Stack) -> Iterator[int]:
    """A destination that takes nothing, so that nothing waits for it. Asked for before pages, it outlives them."""
    yield int(stack.manage("shell", "-v0", "-c", MAKE).split()[-1])
    code = (
        "from destinations.models import Destination; from destinations import changes;"
        f"[changes.delete(d, user=None) for d in Destination.objects.present().filter(name={NAME!r})]"
    )
    stack.manage("shell", "-v0", "-c", code)


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.id"))


def test_a_switch_answers_at_once_and_colleagues_are_told(hook: int, open_as: OpenAs) -> None:
    page = open_as("marketer", LIST)
    other = open_as("engineer", f"{LIST}{hook}/")
    switch = page.get_by_role("switch", name=f"{NAME} takes events")
    switch.focus()
    switch.press("Space")
    expect(switch).to_be_checked()
    expect(page.locator("#toasts")).to_contain_text(f"{NAME} is switched on.")
    assert focused(page) == f"switch-{hook}"
    hold = page.locator(f"#hold-{hook}")
    hold.press("Enter")
    expect(hold).to_have_text("Resume")
    assert focused(page) == f"hold-{hook}"

    expect(other.locator("#meanwhile")).to_contain_text(f"{NAME} was changed by")
    expect(other.locator("#standing").get_by_role("switch")).to_be_checked()
    expect(other.locator("#standing")).to_contain_text("Paused")


def test_a_switch_goes_back_when_the_server_cannot_be_reached(
    browser: Browser, stack: Stack, log_in: Callable[[str], StorageState], hook: int
) -> None:
    context = browser.new_context(storage_state=log_in("marketer"))  # its console may complain
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{stack.port}{LIST}")
    switch = page.get_by_role("switch", name=f"{NAME} takes events")
    context.set_offline(True)
    switch.press("Space")
    expect(page.locator("#toasts")).to_contain_text("Nothing was changed: the server cannot be reached.")
    expect(switch).not_to_be_checked()
    assert focused(page) == f"switch-{hook}"
    page.wait_for_timeout(QUIET)
    expect(page.locator("#toasts > .toast")).to_have_count(1)
    context.set_offline(False)
    switch.press("Space")
    expect(page.locator("#toasts")).to_contain_text(f"{NAME} is switched on.")
    context.close()


def test_an_open_list_follows_what_a_colleague_does(hook: int, open_as: OpenAs) -> None:
    page, other = open_as("viewer", LIST), open_as("marketer", f"{LIST}{hook}/")
    row = page.locator(f"#destination-{hook}")
    expect(row).to_contain_text("Off")
    page.locator(f"#name-{hook}").focus()
    switch = other.get_by_role("switch", name=f"{NAME} takes events")
    switch.press("Space")
    expect(other.locator("#standing .pill").first).to_have_text("On")
    assert focused(other) == f"switch-{hook}"
    expect(row.locator(".pill").first).to_have_text("On")
    assert focused(page) == f"name-{hook}"


def test_the_steps_keep_the_focus(hook: int, open_as: OpenAs) -> None:
    page = open_as("engineer", f"{LIST}{hook}/")
    check = page.locator("#golive-check")
    check.press("Enter")
    expect(page.locator("#golive .golive-step").first).to_contain_text(re.compile("Checked "))
    assert focused(page) == "golive-check"
    page.locator("#try").get_by_role("button", name="Send as test").first.click()
    expect(page.locator("#golive .golive-step").nth(2)).to_have_class(re.compile("is-done"))
    page.locator("#golive-on").press("Enter")
    expect(page.locator("#golive .golive-step").nth(3)).to_have_class(re.compile("is-done"))
    assert focused(page) == "golive-on"
