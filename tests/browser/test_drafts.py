"""A marketer collects switches, a colleague reviews them, and they are in force all at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.test_accessibility import violations
from tests.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.pipeline]

OpenAs = Callable[..., Page]
EVENTS, DRAFTS = "/admin/configure/events/", "/admin/configure/drafts/"


def switch(page: Page, event_name: str, destination: str) -> Locator:
    return page.get_by_role("switch", name=f"{event_name} → {destination}", exact=True)


def collect(page: Page, is_on: bool) -> None:
    """The switch of this user, wherever it stands."""
    mine = page.get_by_role("switch", name="Collect my switches in a draft")
    wanted = "true" if is_on else "false"
    if mine.get_attribute("aria-checked") != wanted:
        mine.click()
    expect(mine).to_have_attribute("aria-checked", wanted)


def test_from_collected_switches_over_a_review_to_one_version(open_as: OpenAs) -> None:
    page = open_as("marketer")
    root = page.url.removesuffix(EVENTS)
    collect(page, True)
    bar = page.locator("#draft-bar")
    expect(bar).to_contain_text("Draft: no changes yet")

    before = switch(page, "TrialActivated", "Meta").get_attribute("aria-checked")
    wanted = "false" if before == "true" else "true"
    switch(page, "TrialActivated", "Meta").click()
    expect(bar).to_contain_text("Draft: 1 change")
    switch(page, "WorkspaceCreated", "Webhook").click()
    expect(bar).to_contain_text("Draft: 2 changes")
    cell = page.locator("#matrix td").filter(has=switch(page, "TrialActivated", "Meta"))
    expect(cell).to_contain_text("draft")
    expect(switch(page, "TrialActivated", "Meta")).to_have_attribute("aria-checked", wanted)
    expect(switch(page, "TrialActivated", "Meta")).to_have_accessible_description("In your draft, not in force yet.")

    page.get_by_role("searchbox").fill("TrialActivated")  # its row is like all others, and there are many
    assert violations(page) == []
    page.get_by_role("searchbox").fill("")

    theirs = open_as("engineer")
    expect(switch(theirs, "TrialActivated", "Meta")).to_have_attribute("aria-checked", before or "")

    bar.get_by_role("link", name="See the difference").click()
    verb = "starts" if wanted == "true" else "stops"
    expect(page.get_by_text(f"Meta {verb} receiving TrialActivated", exact=True)).to_be_visible()
    page.get_by_role("listitem").filter(has_text="WorkspaceCreated").get_by_role("button", name="Remove").click()
    expect(page.get_by_text("receiving WorkspaceCreated")).to_have_count(0)
    page.get_by_label("Note").fill("Longer trials count")
    page.get_by_text("More ways").click()
    page.get_by_label("Colleague").select_option(label="engineer")
    page.get_by_role("button", name="Ask for review").click()
    expect(page.get_by_text("engineer is asked to review it.")).to_be_visible()
    address = page.url

    theirs.goto(root + DRAFTS)
    expect(theirs.get_by_role("heading", name="Waiting for your review")).to_be_visible()
    theirs.goto(address)
    theirs.get_by_label("Comment").fill("Go ahead")
    theirs.get_by_role("button", name="Approve").click()
    expect(theirs.get_by_text("Approved by engineer.")).to_be_visible()

    page.reload()
    page.get_by_role("button", name="Publish now").click()
    expect(page.get_by_role("status").get_by_text("Published as version")).to_be_visible()
    page.get_by_role("link", name="in the history").click()
    expect(page.get_by_text(f"Meta {verb} receiving TrialActivated")).to_be_visible()
    theirs.goto(root + EVENTS)
    expect(switch(theirs, "TrialActivated", "Meta")).to_have_attribute("aria-checked", wanted)

    page.goto(root + EVENTS)
    expect(bar).to_contain_text("Draft: no changes yet")
    collect(page, False)
    expect(bar).to_be_hidden()
    switch(page, "TrialActivated", "Meta").click()
    expect(page.get_by_role("button", name="Undo")).to_be_visible()


def test_a_draft_is_published_by_itself_when_its_time_has_come(open_as: OpenAs, stack: Stack) -> None:
    page = open_as("marketer")
    collect(page, True)
    before = switch(page, "CsvUploaded", "Webhook").get_attribute("aria-checked")
    wanted = "false" if before == "true" else "true"
    switch(page, "CsvUploaded", "Webhook").click()
    page.locator("#draft-bar").get_by_role("link", name="Publish…").click()
    page.get_by_text("More ways").click()
    page.get_by_role("button", name="Publish at this time").click()  # tomorrow morning is proposed
    expect(page.get_by_text("It will be published at").first).to_be_visible()
    code = "from django.utils import timezone; from routing.models import Draft"
    stack.manage("shell", "-c", f"{code}; Draft.objects.filter(state='scheduled').update(publish_at=timezone.now())")
    page.goto(page.url.split("/drafts/")[0] + "/events/")
    collect(page, False)
    page.wait_for_function(
        "([n, w]) => document.querySelector(`#matrix [aria-label='${n}']`).ariaChecked === w",
        arg=["CsvUploaded → Webhook", wanted],
    )


def test_a_draft_is_discarded_after_asking(open_as: OpenAs) -> None:
    page = open_as("engineer", viewport={"width": 390, "height": 844})
    collect(page, True)
    before = switch(page, "PageView", "Webhook").get_attribute("aria-checked")
    switch(page, "PageView", "Webhook").click()
    bar = page.locator("#draft-bar")
    expect(bar).to_contain_text("Draft: 1 change")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    bar.get_by_role("link", name="Discard…").click()
    page.get_by_role("button", name="Discard it").click()
    expect(page.get_by_text("It was discarded.")).to_be_visible()
    page.goto(page.url.split("/drafts/")[0] + "/events/")
    expect(switch(page, "PageView", "Webhook")).to_have_attribute("aria-checked", before or "")
    collect(page, False)
    expect(bar).to_be_hidden()


def test_a_time_is_typed_in_the_readers_own_zone(open_as: OpenAs, stack: Stack) -> None:
    page = open_as("marketer", timezone_id="Asia/Dubai")
    collect(page, True)
    switch(page, "CsvUploaded", "Webhook").click()
    page.locator("#draft-bar").get_by_role("link", name="Publish…").click()
    page.get_by_text("More ways").click()
    field = page.get_by_label("Publish at (Dubai time)")
    tomorrow = datetime.now(ZoneInfo("Asia/Dubai")) + timedelta(days=1)
    expect(field).to_have_value(f"{tomorrow:%Y-%m-%d}T08:00")
    field.fill("2099-01-31T08:00")
    page.get_by_role("button", name="Publish at this time").click()
    expect(page.locator("main time", has_text="2099-01-31 08:00")).to_have_attribute("datetime", "2099-01-31T04:00:00Z")
    page.get_by_role("link", name="Discard…").click()
    page.get_by_role("button", name="Discard it").click()
    page.goto(page.url.split("/drafts/")[0] + "/events/")
    collect(page, False)
