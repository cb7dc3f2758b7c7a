"""Configure → Events: the week of a cell, and a look that is kept for its reader."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.factories import event
from tests.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.pipeline]

OpenAs = Callable[..., Page]
MATRIX = "/admin/configure/events/"


@pytest.fixture
def sent(stack: Stack) -> Stack:
    stack.send([event("SignUp")])
    stack.until(stack.is_settled, "everything is settled")
    return stack


def test_resting_on_a_cell_shows_its_week_and_escape_puts_it_away(open_as: OpenAs, sent: Stack) -> None:
    page = open_as()
    switch = page.get_by_role("switch", name="SignUp → Meta", exact=True)
    week = page.locator("#cell-days")
    expect(week).to_be_hidden()
    switch.hover()
    expect(week).to_contain_text("delivered in the last 7 days")
    expect(week.get_by_role("listitem")).to_have_count(7)
    week.hover()  # it stays while somebody looks at it
    page.wait_for_timeout(500)
    expect(week).to_be_visible()
    page.keyboard.press("Escape")
    expect(week).to_be_hidden()


def test_by_keyboard_it_is_told_to_screen_readers(open_as: OpenAs, sent: Stack) -> None:
    page = open_as()
    page.get_by_role("switch", name="SignUp → LinkedIn", exact=True).focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#cell-days")).to_contain_text("SignUp → Google Ads")
    expect(page.locator("#status")).to_contain_text("delivered in the last 7 days")
    page.keyboard.press("/")
    expect(page.locator("#cell-days")).to_be_hidden()
