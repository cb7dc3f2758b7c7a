"""The test bench and the event page, as somebody uses them who sets up a destination."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.factories import event
from tests.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.pipeline]

OpenAs = Callable[..., Page]
BENCH = "/admin/test-bench/"


def test_a_dry_run_then_a_test_to_one_destination(open_as: OpenAs) -> None:
    page = open_as("engineer", BENCH)
    page.get_by_role("button", name="Dry run").click()
    meta = page.get_by_role("article").filter(has=page.get_by_role("heading", name="Meta"))
    expect(meta.get_by_text("Meta gets it as CompleteRegistration.").first).to_be_visible()
    expect(meta.get_by_role("button", name="Send as test")).to_be_hidden()
    meta.locator("summary").first.click()
    expect(meta).to_contain_text("SignUp is sent to Meta.")
    meta.get_by_role("button", name="Send as test").click()
    expect(meta.get_by_role("status")).to_contain_text("Meta took it.")
    expect(meta.get_by_role("status")).to_be_in_viewport()
    expect(meta).to_contain_text("It stands in no count")


def test_a_dry_run_outlives_a_reload(open_as: OpenAs) -> None:
    page = open_as("marketer", BENCH)
    page.get_by_role("button", name="None").click()
    expect(page.locator("[name=to]:checked")).to_have_count(0)
    page.get_by_role("checkbox", name="Meta").check()
    page.get_by_role("button", name="Dry run").click()
    expect(page.get_by_role("article")).to_have_count(1)
    assert "event=SignUp&pick=sample" in page.url
    page.reload()
    expect(page.get_by_role("article")).to_have_count(1)
    expect(page.get_by_text("1 of 1 destination would get it")).to_be_visible()
    expect(page.get_by_role("article")).to_contain_text("engineers have it")


def test_another_event_ticks_where_it_is_on(open_as: OpenAs) -> None:
    page = open_as("marketer", BENCH)
    expect(page.get_by_role("checkbox", name="Meta")).to_be_checked()
    page.get_by_label("Event", exact=True).select_option("ApiDocsViewed")
    expect(page.get_by_role("checkbox", name="Meta")).not_to_be_checked()
    expect(page.get_by_role("checkbox", name="Webhook")).to_be_checked()
    page.get_by_role("button", name="All").click()
    expect(page.get_by_role("checkbox", name="Meta")).to_be_checked()
    page.get_by_role("button", name="Where it is on").click()
    expect(page.get_by_role("checkbox", name="Meta")).not_to_be_checked()


def test_only_what_the_choice_needs_is_asked(open_as: OpenAs) -> None:
    page = open_as("marketer", BENCH)
    expect(page.get_by_label("Event as JSON")).to_be_hidden()
    page.get_by_label("JSON that I paste").check()
    expect(page.get_by_label("Event as JSON")).to_be_visible()
    expect(page.get_by_label("Event", exact=True)).to_be_hidden()
    page.get_by_label("Event as JSON").fill('{"event": "signup", "eventId": "1"}')
    page.get_by_role("button", name="Dry run").click()
    expect(page.locator("#lane-2")).to_contain_text("did you mean")
    expect(page.get_by_role("button", name="Send as test")).to_have_count(0)


def test_the_destinations_page_previews_in_place(open_as: OpenAs, stack: Stack) -> None:
    page = open_as("engineer", "/admin/destinations/")
    page.get_by_role("link", name="Meta", exact=True).click()
    page.get_by_role("button", name="Preview payload").click()
    expect(page.locator("#try-results")).to_contain_text('"event_name": "CompleteRegistration"')
    expect(page.locator("#try-results")).to_contain_text("Bearer ***")


def test_from_the_matrix_to_an_events_page(open_as: OpenAs, stack: Stack) -> None:
    stack.send([event("SignUp", "page-1")])
    stack.until(lambda: stack.states("page-1") != {}, "it was routed")
    page = open_as("marketer")
    page.get_by_role("rowheader", name="SignUp").get_by_role("link").click()
    expect(page.get_by_role("heading", name="Where it went")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="email").first).to_contain_text("%")
    expect(page.get_by_text("curl -sS http://127.0.0.1")).to_be_visible()
    page.get_by_text("JavaScript", exact=True).click()
    expect(page.get_by_text("const answer = await fetch")).to_be_visible()
    expect(page.get_by_text("curl -sS http://127.0.0.1")).to_be_hidden()
    page.get_by_role("link", name="Try it out").click()
    expect(page.get_by_label("Event", exact=True)).to_have_value("SignUp")


@pytest.mark.parametrize("path", [BENCH, "/admin/configure/events/SignUp/"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_fit_a_telephone(open_as: OpenAs, path: str, scheme: str) -> None:
    page = open_as("marketer", path, viewport={"width": 390, "height": 844}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_it_works_without_javascript(open_as: OpenAs) -> None:
    page = open_as("engineer", BENCH, java_script_enabled=False)
    page.get_by_role("button", name="Dry run").click()
    webhook = page.get_by_role("article").filter(has=page.get_by_role("heading", name="Webhook"))
    webhook.locator("summary").first.click()
    webhook.get_by_role("button", name="Send as test").click()
    expect(webhook).to_contain_text("Webhook took it.")
