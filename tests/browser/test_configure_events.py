"""The main story and the Configure screen, as a marketer lives them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.factories import event
from tests.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.pipeline]

OpenAs = Callable[..., Page]


def switch(page: Page, event_name: str, destination: str) -> object:
    return page.get_by_role("switch", name=f"{event_name} → {destination}", exact=True)


def trace(stack: Stack, event_id: str) -> dict[str, dict[str, object]]:
    found = json.loads(stack.manage("trace", event_id, "--json"))
    return {d["destination"]: d for d in found["destinations"]}


def test_a_marketers_switch_decides_where_a_real_event_goes(open_as: OpenAs, stack: Stack) -> None:
    page = open_as()
    meta = switch(page, "SignUp", "Meta")
    expect(meta).to_have_attribute("aria-checked", "true")
    stack.send([event("SignUp", "browser-1")])
    stack.until(lambda: stack.states("browser-1").get("Meta") == Counter(delivered=1), "Meta took the first")

    meta.click()
    expect(meta).to_have_attribute("aria-checked", "false")
    stack.send([event("SignUp", "browser-2")])
    stack.until(lambda: stack.states("browser-2").get("LinkedIn") == Counter(delivered=1), "LinkedIn took the second")
    lanes = trace(stack, "browser-2")
    assert (lanes["Meta"]["state"], lanes["Meta"]["reason"]) == ("skipped", "not_selected")
    assert lanes["LinkedIn"]["state"] == "delivered"

    page.goto(f"http://127.0.0.1:{stack.port}/admin/deliveries/?event_id=browser-1")
    row = page.get_by_role("row").filter(has_text="Meta")
    expect(row).to_contain_text("Delivered")

    page.goto(f"http://127.0.0.1:{stack.port}/admin/configure/events/")
    expect(switch(page, "SignUp", "Meta")).to_have_attribute("aria-checked", "false")
    switch(page, "SignUp", "Meta").click()
    expect(switch(page, "SignUp", "Meta")).to_have_attribute("aria-checked", "true")


def test_undo_in_the_toast_puts_the_switch_and_the_mode_back(open_as: OpenAs) -> None:
    page = open_as()
    hook = switch(page, "PageView", "Webhook")
    before = hook.get_attribute("aria-checked")
    hook.click()
    expect(hook).not_to_have_attribute("aria-checked", before)
    page.get_by_role("button", name="Undo").click()
    expect(hook).to_have_attribute("aria-checked", before)


def test_a_refund_to_an_ad_platform_asks_first(open_as: OpenAs) -> None:
    page = open_as()
    refund = switch(page, "Refund", "Meta")
    expect(refund).to_have_attribute("aria-checked", "false")
    refund.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Refund")
    expect(refund).to_have_attribute("aria-checked", "false")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(refund).to_have_attribute("aria-checked", "false")


def test_slash_focuses_the_filter_and_rows_are_filtered(open_as: OpenAs) -> None:
    page = open_as()
    page.keyboard.press("/")
    page.keyboard.type("refund")
    expect(page.get_by_role("row").filter(has_text="Refund").first).to_be_visible()
    expect(switch(page, "SignUp", "Meta")).to_be_hidden()


def test_a_viewer_looks_and_cannot_switch(open_as: OpenAs) -> None:
    page = open_as("viewer")
    expect(switch(page, "SignUp", "Meta")).to_be_disabled()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_telephone(open_as: OpenAs, scheme: str) -> None:
    page = open_as("marketer", viewport={"width": 390, "height": 844}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    expect(page.get_by_role("heading", name="Events", exact=True)).to_be_visible()


def test_it_works_without_javascript(open_as: OpenAs) -> None:
    page = open_as("marketer", java_script_enabled=False)
    hook = switch(page, "ContentView", "Webhook")
    before = hook.get_attribute("aria-checked")
    hook.click()
    expect(switch(page, "ContentView", "Webhook")).not_to_have_attribute("aria-checked", before)
    switch(page, "ContentView", "Webhook").click()
    expect(switch(page, "ContentView", "Webhook")).to_have_attribute("aria-checked", before)


def test_the_api_reference_is_rendered_from_our_own_files(open_as: OpenAs, stack: Stack) -> None:
    page = open_as("viewer")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"http://127.0.0.1:{stack.port}/api/docs/")
    expect(page.get_by_text("Send 1 to 100 events")).to_be_visible()
    expect(page.get_by_role("navigation", name="Main").get_by_role("link", name="Health")).to_be_visible()
    page.get_by_role("button", name="Theme").click(click_count=2)
    expect(page.locator("html")).to_have_class(re.compile("dark-mode"))
    page.get_by_role("button", name="Theme").click()
    expect(page.locator("html")).not_to_have_class(re.compile("dark-mode"))
    assert all(url.startswith((f"http://127.0.0.1:{stack.port}/", "data:", "blob:")) for url in asked), asked


@pytest.mark.parametrize("width", [390, 768, 1024, 1280, 1440, 1920, 2560])
def test_the_funnel_has_room_for_counts_of_seven_digits(open_as: OpenAs, width: int) -> None:
    page = open_as(viewport={"width": width, "height": 900})
    cut = page.evaluate("""() => [...document.querySelectorAll(".funnel li")].filter((step) => {
      step.querySelector("b").textContent = "1\u202f234\u202f567";
      step.querySelector(".quiet").textContent = "100 %";
      const range = document.createRange();
      range.selectNodeContents(step);
      const edge = step.getBoundingClientRect().right;
      return [...range.getClientRects()].some((box) => box.right > edge + 1);
    }).length""")
    assert cut == 0


def test_the_matrix_on_paper_tells_on_from_off_and_names_its_columns(open_as: OpenAs) -> None:
    page = open_as(viewport={"width": 1047, "height": 740}, color_scheme="dark")
    page.emulate_media(media="print")
    for checked, mark in (("true", "●"), ("false", "○")):
        one = page.locator(f"#matrix tbody [role=switch][aria-checked={checked}]").first
        assert mark in one.evaluate("(one) => getComputedStyle(one, '::before').content")
    name = page.locator("#matrix .column-name", has_text="Microsoft Advertising")
    assert name.evaluate("(one) => one.scrollHeight <= one.clientHeight && one.scrollWidth <= one.clientWidth")
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "light"
