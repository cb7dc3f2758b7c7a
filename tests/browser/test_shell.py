"""The shell in a browser: keys on every page, lists as cards on a phone, paper."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.factories import event
from tests.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.pipeline]

OpenAs = Callable[..., Page]
DELIVERIES = "/admin/deliveries/?state=4"
PHONE = {"width": 390, "height": 844}
PAPER = {"width": 1032, "height": 730}
"""A4, landscape, within its margins."""


@pytest.fixture
def dead(stack: Stack) -> Stack:
    """One event that Meta refused for what product code put into it."""
    refused = {"meta": {"action_source": "carrier pigeon"}}
    stack.send([event("SignUp", platformParams=refused), event("SignUp")])
    stack.until(stack.is_settled, "everything is settled")
    return stack


def test_rows_are_walked_and_opened_by_keys(open_as: OpenAs, dead: Stack) -> None:
    page = open_as("engineer", path="/admin/deliveries/")
    links = page.locator("main tbody th[scope=row] a")
    page.keyboard.press("j")
    expect(links.nth(0)).to_be_focused()
    page.keyboard.press("j")
    expect(links.nth(1)).to_be_focused()
    page.keyboard.press("k")
    page.keyboard.press("k")
    expect(links.nth(0)).to_be_focused()
    page.get_by_label("Event name").fill("jk?t")
    expect(page.get_by_label("Event name")).to_have_value("jk?t")
    expect(page.locator("#dialog")).to_be_hidden()
    links.nth(0).focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/admin/trace/?id=*")


def test_a_row_goes_to_the_test_bench_and_to_a_replay_that_asks_first(open_as: OpenAs, dead: Stack) -> None:
    page = open_as("engineer", path=DELIVERIES)
    page.keyboard.press("r")
    if page.locator("main tbody tr").count() > 1:
        expect(page.locator("#status")).to_have_text("Go to a row with j and k first.")
        page.keyboard.press("j")
        page.keyboard.press("r")
    page.wait_for_url("**/admin/replays/new/?only=*")
    expect(page.get_by_role("button", name="Send 1")).to_be_visible()
    page.goto(page.url.partition("/admin/")[0] + DELIVERIES)
    page.keyboard.press("j")
    page.keyboard.press("t")
    page.wait_for_url("**/admin/test-bench/?event=SignUp&pick=real&key=*&to=*")
    expect(page.get_by_label("The one you came from, its person masked")).to_be_checked()
    expect(page.locator("input[name=to]:checked")).to_have_count(1)


def test_an_events_page_goes_to_the_test_bench_and_lists_the_keys(open_as: OpenAs, stack: Stack) -> None:
    page = open_as("engineer", path="/admin/configure/events/SignUp/")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("next and previous row of a list")
    page.keyboard.press("t")
    assert page.url.endswith("/SignUp/"), "a dialog is open"
    page.keyboard.press("Escape")
    page.keyboard.press("t")
    page.wait_for_url("**/admin/test-bench/?event=SignUp")


def test_dead_letters_on_a_phone_need_no_scrolling_sideways(open_as: OpenAs, dead: Stack) -> None:
    page = open_as("engineer", path="/admin/dead-letters/", viewport=PHONE)
    for part in (page.get_by_role("link", name="Replay…").first, page.locator("td[data-label=Deliveries]").first):
        box = part.bounding_box()
        assert box
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= PHONE["width"]
    for path in ("deliveries", "attempts", "dead-letters", "replays", "rejected"):
        page.goto(page.url.partition("/admin/")[0] + f"/admin/{path}/")
        for wrap in page.locator(".table-wrap:has(.is-cards)").all():
            assert wrap.evaluate("box => box.scrollWidth - box.clientWidth") <= 0, path


@pytest.mark.parametrize("path", ["/admin/configure/events/", "/admin/configure/events/SignUp/", "/admin/deliveries/"])
def test_nothing_is_cut_on_paper(open_as: OpenAs, dead: Stack, path: str) -> None:
    page = open_as(path=path, viewport=PAPER)
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth") <= PAPER["width"]
    for table in page.locator("main table").all():
        if table.is_visible():
            box = table.bounding_box()
            assert box
            assert box["x"] + box["width"] <= PAPER["width"] + 1
    expect(page.locator(".sidebar")).to_be_hidden()
