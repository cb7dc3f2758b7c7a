"""Dead, mended, sent again: the whole way on the screens."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.factories import event
from tests.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.pipeline]
OpenAs = Callable[..., Page]


def test_what_a_platform_refused_is_sent_again_from_dead_letters(open_as: OpenAs, stack: Stack) -> None:
    refused = event("SignUp", "dead-story-1", platformParams={"meta": {"action_source": "carrier pigeon"}})
    stack.send([refused])
    stack.until(lambda: any("dead" in state for state in stack.states("dead-story").get("Meta", ())), "Meta refuses it")

    page = open_as("engineer", "/admin/dead-letters/")
    row = page.get_by_role("row").filter(has_text="dead-story-1").filter(has_text="Meta")
    expect(row).to_contain_text("action_source")
    row.get_by_role("link", name=re.compile("^Replay")).click()
    expect(page.get_by_role("heading", name="What would happen")).to_be_visible()
    send = page.get_by_role("button", name=re.compile("^Send"))
    expect(send).to_be_visible()
    send.click()
    expect(page.get_by_role("heading", name="Replay to Meta")).to_be_visible()
    expect(page.get_by_text("Done", exact=True)).to_be_visible()

    # The platform refuses it again, for the event is as it was: dead once more, and counted once.
    stack.until(stack.is_settled, "it was tried again")
    (attempts,) = stack.sql(
        "SELECT cardinality(d.attempts) FROM destinations_delivery d JOIN events_event e ON e.id = d.event_id"
        " JOIN destinations_destination t ON t.id = d.destination_id"
        " WHERE e.event_id = 'dead-story-1' AND t.name = 'Meta'"
    )
    assert attempts[0] >= 2
    assert sum(stack.states("dead-story-1")["Meta"].values()) == 1
    stack.check_books()


def test_a_backfill_tells_first_what_would_go_and_what_would_not(open_as: OpenAs, stack: Stack) -> None:
    stack.send([event("StartTrial", "missed-1"), event("StartTrial", "missed-2", consent={"marketing": False})])
    stack.until(lambda: bool(stack.states("missed")), "they are routed")
    page = open_as("engineer", "/admin/configure/events/StartTrial/")
    assert "Meta" not in stack.states("missed-2")
    page.goto(
        page.url.replace("configure/events/StartTrial/", "replays/new/?kind=missed&destination=2&event=StartTrial")
    )
    page.get_by_role("button", name="Estimate").click()
    card = page.locator("#estimate")
    expect(card).to_contain_text("Match")
    expect(card).to_contain_text("Are sent")
    expect(card).to_contain_text(re.compile("consent", re.IGNORECASE))


def test_a_viewer_starts_no_replay(open_as: OpenAs) -> None:
    page = open_as("viewer", "/admin/dead-letters/")
    expect(page.get_by_role("link", name=re.compile("^Replay…"))).to_have_count(0)
    assert page.request.get(page.url.replace("dead-letters/", "replays/new/")).status == 403
