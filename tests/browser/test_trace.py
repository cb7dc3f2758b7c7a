"""Why did it not arrive? Found by e-mail address, explained, mended; and Live beside it."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.factories import event
from tests.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.pipeline]
OpenAs = Callable[..., Page]
TRACE, LIVE = "/admin/trace/", "/admin/live/"
ADDRESS = "grace.hopper@example.com"


def test_found_by_an_address_that_stands_nowhere_then_mended(open_as: OpenAs, stack: Stack) -> None:
    stack.send([event("FeatureUsed", "trace-story", email="Grace.Hopper@example.com")])
    stack.until(lambda: bool(stack.states("trace-story")), "it is routed")
    page = open_as("marketer", TRACE)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_label("By", exact=True).select_option(label="E-mail address")
    page.get_by_label("What to look for").fill(ADDRESS)
    page.get_by_role("button", name="Trace").click()
    hit = page.get_by_role("row").filter(has_text="trace-story")
    expect(hit).to_be_visible()
    assert "hopper" not in page.content().lower()
    hit.get_by_role("link").click()

    lane = page.locator(".lanes > li").filter(has=page.get_by_role("heading", name="Meta", exact=True))
    expect(lane).to_contain_text("FeatureUsed is switched off for Meta.")
    expect(lane).to_contain_text("Now it would be the same.")
    expect(page.get_by_text("Marketing given")).to_be_visible()
    address = page.url
    lane.get_by_role("button", name="Switch it on").click()
    page.wait_for_url("**/configure/events/?changed=*")
    switched = page.url
    page.goto(address)
    expect(lane).to_contain_text("Now it would differ: FeatureUsed is sent to Meta.")
    assert not any("hopper" in url.lower() for url in asked)
    page.goto(switched)
    page.get_by_role("button", name="Undo").click()  # the installation is shared
    expect(page.get_by_role("status").filter(has_text="FeatureUsed")).to_be_visible()


def test_the_payload_opens_in_its_lane(open_as: OpenAs, stack: Stack) -> None:
    stack.send([event("SignUp", "trace-sent", email=ADDRESS)])
    stack.until(lambda: stack.states("trace-sent").get("Meta", {}).get("delivered") == 1, "Meta has it")
    page = open_as("engineer", f"{TRACE}?id=trace-sent")
    lane = page.locator(".lanes > li").filter(has=page.get_by_role("heading", name="Meta", exact=True))
    lane.get_by_role("link", name=re.compile("Payload as sent")).click()
    expect(lane.locator(".sent")).to_contain_text('"event_name": "CompleteRegistration"')
    expect(lane.locator(".sent")).not_to_contain_text(ADDRESS)
    lane.get_by_text("Answer", exact=True).click()
    expect(lane.locator(".attempts pre")).to_be_visible()


@pytest.mark.parametrize("width", [390, 1600])
def test_live_follows_pauses_and_tells_politely(open_as: OpenAs, stack: Stack, width: int) -> None:
    page = open_as("viewer", LIVE, viewport={"width": width, "height": 900})
    first, second = f"live-one-{width}", f"live-two-{width}"
    stack.send([event("SignUp", first, email=ADDRESS)])
    expect(page.get_by_text(first)).to_be_visible()
    expect(page.get_by_text("g***@example.com").first).to_be_visible()
    expect(page.locator("#status")).to_contain_text("new event")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")

    page.get_by_role("heading", name="Live").click()
    page.keyboard.press("p")
    expect(page.get_by_label("Follow")).not_to_be_checked()
    expect(page.locator("#status")).to_have_text("Paused")
    stack.send([event("SignUp", second, email=ADDRESS)])
    page.wait_for_timeout(3_000)  # longer than a round: nothing may come of it
    expect(page.get_by_text(second)).to_have_count(0)
    page.get_by_role("link", name="Refresh").click()
    expect(page.get_by_text(second)).to_be_visible()
