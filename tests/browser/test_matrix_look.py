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


def test_what_is_folded_and_shown_is_kept_for_its_reader_alone(open_as: OpenAs, sent: Stack) -> None:
    page = open_as("engineer")
    stage = page.locator("#matrix button[data-fold]").first
    with page.expect_response("**/look/"):
        stage.click()
    with page.expect_response("**/look/"):
        page.select_option("#matrix-show", "on")

    elsewhere = open_as("engineer")
    expect(elsewhere.locator("#matrix button[data-fold]").first).to_have_attribute("aria-expanded", "false")
    expect(elsewhere.get_by_role("switch", name="PageView → Meta", exact=True)).to_be_hidden()
    expect(elsewhere.locator("#matrix-show")).to_have_value("on")

    other = open_as("viewer")
    expect(other.locator("#matrix button[data-fold]").first).to_have_attribute("aria-expanded", "true")
    expect(other.locator("#matrix-show")).to_have_value("")

    with elsewhere.expect_response("**/look/"):
        elsewhere.locator("#matrix button[data-fold]").first.click()
        elsewhere.select_option("#matrix-show", "")
        assert elsewhere.url.endswith("?show=")


def test_a_link_keeps_the_filter(open_as: OpenAs, sent: Stack) -> None:
    page = open_as()
    page.get_by_role("searchbox").fill("refund")
    page.select_option("#matrix-show", "problem")
    assert page.url.endswith("?q=refund&show=problem")
    page.select_option("#matrix-show", "")
    page.reload()
    expect(page.get_by_role("switch", name="Refund → Meta", exact=True)).to_be_visible()
    expect(page.get_by_role("switch", name="SignUp → Meta", exact=True)).to_be_hidden()
