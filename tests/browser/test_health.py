"""Health as people open it: charts drawn, the same as a table, on a telephone, in the dark and without JavaScript."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.factories import event
from tests.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.pipeline]

OpenAs = Callable[..., Page]
HEALTH = "/admin/health/"


@pytest.fixture
def delivered(stack: Stack) -> Stack:
    """Something was delivered in the last hour."""
    stack.send([event("SignUp")])
    stack.until(stack.is_settled, "everything is settled")
    return stack


def test_log_in_opens_health_with_its_charts(open_as: OpenAs, delivered: Stack) -> None:
    page = open_as(path=HEALTH)
    page.goto(f"http://127.0.0.1:{delivered.port}/")
    page.wait_for_url(f"**{HEALTH}")
    expect(page.locator("[data-plot] canvas")).to_have_count(3)
    row = page.get_by_role("table", name="How each destination does").get_by_role("row").filter(has_text="Meta")
    expect(row).to_contain_text("100\N{NO-BREAK SPACE}%")
    page.get_by_role("link", name="24 hours").click()
    expect(page.get_by_role("heading", name="Over 24 hours")).to_be_visible()
    page.get_by_text("The same as a table").click()
    table = page.get_by_role("region", name="Figures over time")
    table.get_by_role("link").first.click()
    expect(page.get_by_role("heading", name="Deliveries")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="SignUp").first).to_be_visible()


def test_refreshing_keeps_what_is_open_and_draws_again(open_as: OpenAs, delivered: Stack) -> None:
    page = open_as(path=HEALTH)
    page.get_by_text("The same as a table").click()
    before = page.locator("#health-refresh").element_handle()
    page.get_by_role("link", name="Refresh").click()
    page.wait_for_function("old => !old.isConnected", arg=before)
    expect(page.locator("[data-plot] canvas")).to_have_count(3)
    expect(page.get_by_role("region", name="Figures over time")).to_be_visible()
    expect(page.get_by_role("link", name="Refresh")).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_telephone(open_as: OpenAs, delivered: Stack, scheme: str) -> None:
    page = open_as(path=HEALTH, viewport={"width": 390, "height": 844}, color_scheme=scheme)
    expect(page.locator("[data-plot] canvas")).to_have_count(3)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_charts_are_light_on_paper(open_as: OpenAs, delivered: Stack) -> None:
    page = open_as(path=HEALTH, color_scheme="dark")
    expect(page.locator("[data-plot] canvas")).to_have_count(3)
    picture = "document.querySelector('[data-plot] canvas').toDataURL()"
    on_screen = page.evaluate(picture)
    assert page.evaluate(f"dispatchEvent(new Event('beforeprint')), {picture}") != on_screen
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.wait_for_function(f"old => {picture} === old", arg=on_screen)


def test_without_javascript_the_table_tells(open_as: OpenAs, delivered: Stack) -> None:
    page = open_as(path=HEALTH, java_script_enabled=False)
    expect(page.locator(".plots")).to_be_hidden()
    page.get_by_text("The same as a table").click()
    expect(page.get_by_role("region", name="Figures over time").get_by_role("row").nth(1)).to_be_visible()
    page.get_by_role("link", name="7 days").click()
    expect(page.get_by_role("heading", name="Over 7 days")).to_be_visible()
