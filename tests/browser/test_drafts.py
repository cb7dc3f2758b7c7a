"""A marketer collects switches, a colleague reviews them, and they are in force all at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.pipeline]

OpenAs = Callable[..., Page]
EVENTS, DRAFTS = "/admin/configure/events/", "/admin/configure/drafts/"


def switch(page: Page, event_name: str, destination: str) -> Locator:
    return page.get_by_role("switch", name=f"{event_name} → {destination}", exact=True)


def test_from_collected_switches_over_a_review_to_one_version(open_as: OpenAs) -> None:
    page = open_as("marketer")
    root = page.url.removesuffix(EVENTS)
    page.get_by_role("switch", name="Collect my switches in a draft").click()
    bar = page.locator("#draft-bar")
    expect(bar).to_contain_text("Draft: no changes yet")

    before = switch(page, "TrialExtended", "Meta").get_attribute("aria-checked")
    wanted = "false" if before == "true" else "true"
    switch(page, "TrialExtended", "Meta").click()
    expect(bar).to_contain_text("Draft: 1 change")
    switch(page, "TeamCreated", "Webhook").click()
    expect(bar).to_contain_text("Draft: 2 changes")
    cell = page.locator("#matrix td").filter(has=switch(page, "TrialExtended", "Meta"))
    expect(cell).to_contain_text("draft")
    expect(switch(page, "TrialExtended", "Meta")).to_have_attribute("aria-checked", wanted)
    expect(switch(page, "TrialExtended", "Meta")).to_have_accessible_description("In your draft, not in force yet.")

    theirs = open_as("engineer")
    expect(switch(theirs, "TrialExtended", "Meta")).to_have_attribute("aria-checked", before or "")

    bar.get_by_role("link", name="See the difference").click()
    verb = "starts" if wanted == "true" else "stops"
    expect(page.get_by_text(f"Meta {verb} receiving TrialExtended")).to_be_visible()
    page.get_by_role("listitem").filter(has_text="TeamCreated").get_by_role("button", name="Remove").click()
    expect(page.get_by_text("receiving TeamCreated")).to_have_count(0)
    page.get_by_label("Note").fill("Longer trials count")
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
    expect(page.get_by_text(f"Meta {verb} receiving TrialExtended")).to_be_visible()
    theirs.goto(root + EVENTS)
    expect(switch(theirs, "TrialExtended", "Meta")).to_have_attribute("aria-checked", wanted)

    page.goto(root + EVENTS)
    expect(bar).to_contain_text("Draft: no changes yet")
    page.get_by_role("switch", name="Collect my switches in a draft").click()
    expect(bar).to_be_hidden()
    switch(page, "TrialExtended", "Meta").click()
    expect(page.get_by_role("button", name="Undo")).to_be_visible()


def test_a_draft_is_published_by_itself_when_its_time_has_come(open_as: OpenAs, stack: object) -> None:
    page = open_as("marketer")
    page.get_by_role("switch", name="Collect my switches in a draft").click()
    before = switch(page, "ReportExported", "Webhook").get_attribute("aria-checked")
    wanted = "false" if before == "true" else "true"
    switch(page, "ReportExported", "Webhook").click()
    page.locator("#draft-bar").get_by_role("link", name="Publish…").click()
    page.get_by_label("Publish at (UTC)").fill("2000-01-01T08:00")
    page.get_by_role("button", name="Publish at this time").click()
    expect(page.get_by_text("The time has passed already.")).to_be_visible()
    page.evaluate(
        """() => {
          const soon = new Date(Date.now() + 61000).toISOString().slice(0, 16);
          document.querySelector("[name=publish_at]").value = soon;
        }"""
    )
    page.get_by_role("button", name="Publish at this time").click()
    expect(page.get_by_text("It is published at").first).to_be_visible()
    page.goto(page.url.split("/drafts/")[0] + "/events/")
    page.get_by_role("switch", name="Collect my switches in a draft").click()
    page.wait_for_function(
        "([n, w]) => document.querySelector(`#matrix [aria-label='${n}']`).ariaChecked === w",
        arg=["ReportExported → Webhook", wanted],
        timeout=90_000,
    )


def test_a_draft_is_discarded_after_asking(open_as: OpenAs) -> None:
    page = open_as("engineer", viewport={"width": 390, "height": 844})
    page.get_by_role("switch", name="Collect my switches in a draft").click()
    page.get_by_role("button", name="Menu").is_visible()
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
    page.get_by_role("switch", name="Collect my switches in a draft").click()
    expect(bar).to_be_hidden()
