"""Times in the reader's zone, in the page and after htmx changed it; UTC without JavaScript."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from tests.factories import event
from tests.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.pipeline]

OpenAs = Callable[..., Page]
DELIVERIES = "/admin/deliveries/"
HEALTH = "/admin/health/"


@pytest.fixture
def sent(stack: Stack) -> Stack:
    stack.send([event("SignUp")])
    stack.until(stack.is_settled, "everything is settled")
    return stack


def shifted(stamp: str, hours: float) -> str:
    return f"{datetime.fromisoformat(stamp) + timedelta(hours=hours):%Y-%m-%d %H:%M:%S}"


def test_a_reader_in_dubai_sees_dubai_time_and_keeps_utc(open_as: OpenAs, sent: Stack) -> None:
    page = open_as(path=DELIVERIES, timezone_id="Asia/Dubai")
    expect(page.get_by_role("columnheader", name="Received (Dubai time)")).to_be_visible()
    time = page.locator("tbody time").last
    stamp = time.get_attribute("datetime") or ""
    expect(time).to_contain_text(shifted(stamp, 4))
    utc = shifted(stamp, 0)
    expect(time).to_contain_text(f"{utc[11:]} UTC")  # the aside, for those who do not hover
    assert (time.get_attribute("title") or "").endswith(f"{utc} UTC")
    assert "(Asia/Dubai)" in (time.get_attribute("title") or "")


def test_what_htmx_brings_is_in_the_readers_zone_too(open_as: OpenAs, sent: Stack) -> None:
    page = open_as(path=HEALTH, timezone_id="America/New_York")
    before = page.locator("#health-refresh").element_handle()
    page.get_by_role("link", name="Refresh").click()
    page.wait_for_function("old => !old.isConnected", arg=before)
    expect(page.locator("time[data-at]")).to_have_count(0)
    expect(page.locator(".health-now time")).to_have_attribute("title", re.compile(r"\(America/New_York\), .* UTC$"))


def test_filters_are_in_the_readers_zone_and_the_address_in_utc(open_as: OpenAs, sent: Stack) -> None:
    page = open_as(path=DELIVERIES, timezone_id="Asia/Dubai")
    page.get_by_label("From (Dubai time)").fill("2026-01-31T16:00")
    page.get_by_role("button", name="Filter").click()
    page.wait_for_url("**since=2026-01-31T12%3A00Z**")
    expect(page.get_by_label("From (Dubai time)")).to_have_value("2026-01-31T16:00")
    page.reload()
    expect(page.get_by_label("From (Dubai time)")).to_have_value("2026-01-31T16:00")


def test_without_javascript_it_is_utc_and_says_so(open_as: OpenAs, sent: Stack) -> None:
    page = open_as(path=DELIVERIES, timezone_id="Asia/Dubai", java_script_enabled=False)
    expect(page.get_by_role("columnheader", name="Received (UTC)")).to_be_visible()
    time = page.locator("tbody time").last
    expect(time).to_have_text(shifted(time.get_attribute("datetime") or "", 0))
