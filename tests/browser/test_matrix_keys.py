"""Configure → Events by keyboard, by finger, under a filter and on small screens: nothing that matters is hidden."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.factories import event
from tests.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.pipeline]

OpenAs = Callable[..., Page]

HIDDEN = """() => {
  const focused = document.activeElement, box = focused.getBoundingClientRect();
  const week = document.getElementById("cell-days");
  const points = [box.left + 2, box.right - 2].flatMap((x) => [box.top + 2, box.bottom - 2].map((y) => [x, y]));
  const covered = points.filter(([x, y]) => {
    const seen = document.elementFromPoint(x, y);
    return !seen || !(focused.contains(seen) || seen.contains(focused) || week.contains(seen));
  });
  return covered.length ? focused.id || focused.textContent : "";
}"""
"""What has the focus, when a corner of it is covered or out of the window."""


def ready(page: Page) -> Page:
    """The scripts have run: what is pointed at before says nothing."""
    page.locator("#matrix [tabindex='0']").first.wait_for(state="attached")
    page.wait_for_load_state()
    return page


def name_of(page: Page, event_name: str) -> Locator:
    return page.locator(f"#matrix th > a[href='{event_name}/']")


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (720, 450), (390, 844)])
def test_what_has_the_focus_is_never_behind_what_is_sticky(open_as: OpenAs, width: int, height: int) -> None:
    page = ready(open_as(viewport={"width": width, "height": height}))
    page.locator("#matrix button[role=switch]").first.focus()
    hidden = []
    for key, times in (("ArrowDown", 25), ("End", 1), ("ArrowUp", 25), ("ArrowLeft", 20), ("PageDown", 2), ("Home", 1)):
        for _ in range(times):
            page.keyboard.press(key)
            if covered := page.evaluate(HIDDEN):
                hidden.append((key, covered))
    assert hidden == []


def test_a_low_window_has_one_scroller(open_as: OpenAs) -> None:
    page = ready(open_as(viewport={"width": 720, "height": 450}))
    is_scroller = (
        "() => { const w = document.querySelector('.matrix-wrap'); return w.scrollHeight > w.clientHeight + 1; }"
    )
    assert not page.evaluate(is_scroller)
    page.set_viewport_size({"width": 1440, "height": 900})
    assert page.evaluate(is_scroller)


def test_the_grid_starts_high_and_its_buttons_stand_at_the_right(open_as: OpenAs) -> None:
    page = ready(open_as(viewport={"width": 1440, "height": 900}))
    top = page.evaluate("document.querySelector('.matrix-wrap').getBoundingClientRect().top")
    assert top < 300
    heading, actions = page.locator("h1").bounding_box(), page.locator(".page-header .actions").bounding_box()
    assert heading is not None
    assert actions is not None
    assert actions["x"] > heading["x"] + 500


def test_on_a_telephone_two_destinations_are_whole(open_as: OpenAs) -> None:
    page = ready(open_as(viewport={"width": 390, "height": 844}))
    second = page.locator("#matrix thead th").nth(2).bounding_box()
    assert second is not None
    assert second["x"] + second["width"] <= 390


def test_targets_are_large_enough_for_a_finger(open_as: OpenAs) -> None:
    page = ready(open_as())
    small = page.evaluate(
        "() => [...document.querySelectorAll('#matrix :is(td > a, button, thead a)')]"
        ".filter((one) => one.getBoundingClientRect().height < 24).length"
    )
    assert small == 0


def test_a_cell_without_deliveries_says_its_marks(open_as: OpenAs) -> None:
    page = ready(open_as())
    page.get_by_role("switch", name="Refund → Meta", exact=True).hover()
    week = page.locator("#cell-days")
    expect(week).to_contain_text("Refund goes to CRM and warehouse only, unless ticked here.")
    expect(week).to_contain_text("Nothing was delivered in the last 7 days.")


def test_an_events_name_says_what_it_means(open_as: OpenAs) -> None:
    page = ready(open_as())
    name_of(page, "SignUp").hover()
    expect(page.locator("#cell-days")).to_contain_text("Fire when")
    page.mouse.move(5, 5)
    expect(page.locator("#cell-days")).to_be_hidden()
    page.get_by_role("switch", name="SignUp → Meta", exact=True).focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#status")).to_contain_text("Avoid")


def test_a_viewer_reads_the_cells_by_keyboard(open_as: OpenAs) -> None:
    page = ready(open_as("viewer"))
    name_of(page, "Refund").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#status")).to_contain_text("Refund goes to CRM and warehouse only")
    assert page.locator("#matrix [tabindex='0']").count() == 1


def test_a_finger_on_a_switch_switches_and_beside_it_asks(open_as: OpenAs, stack: Stack) -> None:
    stack.send([event("SignUp")])
    stack.until(stack.is_settled, "everything is settled")
    page = ready(open_as(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True))
    week, switch = page.locator("#cell-days"), page.get_by_role("switch", name="SignUp → Meta", exact=True)
    before = switch.get_attribute("aria-checked") or ""
    switch.tap()
    expect(switch).not_to_have_attribute("aria-checked", before)
    page.wait_for_timeout(700)
    expect(week).to_be_hidden()
    page.locator("td:has(> [id$='-SignUp'][aria-label$='Meta']) > b").tap()
    expect(week).to_contain_text("SignUp → Meta")
    shown, toast = week.bounding_box(), page.locator("#toasts > .toast").first.bounding_box()
    assert shown is not None
    assert toast is not None
    assert shown["y"] + shown["height"] <= toast["y"], "the way back stays in sight"
    page.locator("#matrix-count").tap()
    expect(week).to_be_hidden()
    switch.tap()
    expect(switch).to_have_attribute("aria-checked", before)


def test_a_range_goes_down_and_across_at_once(open_as: OpenAs) -> None:
    page = ready(open_as())
    cells = [
        page.get_by_role("switch", name=f"{event} → {destination}", exact=True)
        for event in ("AdLandingPageView", "CompanyIdentified")
        for destination in ("TikTok", "Reddit", "X")
    ]
    before = [cell.get_attribute("aria-checked") or "" for cell in cells]
    cells[0].click()
    expect(cells[0]).not_to_have_attribute("aria-checked", before[0])
    wanted = "false" if before[0] == "true" else "true"
    cells[-1].click(modifiers=["Shift"])
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading", level=2)).to_contain_text("Switch 2 events on for TikTok, Reddit and X")
    dialog.get_by_role("button", name="Change it").click()
    for cell in cells:
        expect(cell).to_have_attribute("aria-checked", wanted)
    page.get_by_role("button", name="Undo").click()  # of the range; its first switch was a change of its own
    for cell, was in list(zip(cells, before, strict=True))[1:]:
        expect(cell).to_have_attribute("aria-checked", was)
    cells[0].click()
    for cell, was in zip(cells, before, strict=True):
        expect(cell).to_have_attribute("aria-checked", was)


def test_a_range_begins_at_nothing_hidden(open_as: OpenAs) -> None:
    page = ready(open_as())
    first = page.get_by_role("switch", name="ContentView → Google Ads", exact=True)
    other = page.get_by_role("switch", name="SignUp → Quora", exact=True)
    before, was = first.get_attribute("aria-checked") or "", other.get_attribute("aria-checked") or ""
    first.click()
    expect(first).not_to_have_attribute("aria-checked", before)
    page.get_by_role("searchbox").fill("signup")
    other.click(modifiers=["Shift"])
    expect(other).not_to_have_attribute("aria-checked", was)
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_role("button", name="Undo").last.click()
    expect(other).to_have_attribute("aria-checked", was)
    page.get_by_role("searchbox").fill("")
    first.click()
    expect(first).to_have_attribute("aria-checked", before)


def test_after_an_undo_by_keyboard_the_arrows_go_on(open_as: OpenAs) -> None:
    page = ready(open_as())
    switch = page.get_by_role("switch", name="ContentView → Quora", exact=True)
    before = switch.get_attribute("aria-checked") or ""
    switch.focus()
    page.keyboard.press("Space")
    expect(switch).not_to_have_attribute("aria-checked", before)
    page.get_by_role("button", name="Undo").focus()
    page.keyboard.press("Enter")
    expect(switch).to_have_attribute("aria-checked", before)
    expect(switch).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("switch", name="HighIntentPageView → Quora", exact=True)).to_be_focused()


def test_going_back_shows_what_was_switched(open_as: OpenAs) -> None:
    page = ready(open_as())
    switch = page.get_by_role("switch", name="ContentView → Quora", exact=True)
    before = switch.get_attribute("aria-checked") or ""
    switch.click()
    expect(page.get_by_role("button", name="Undo")).to_be_visible()
    name_of(page, "SignUp").click()
    page.wait_for_url("**/events/SignUp/")
    page.go_back()
    assert switch.get_attribute("aria-checked") != before, "at once, not only with the next look at the server"
    switch.click()
    expect(switch).to_have_attribute("aria-checked", before)


def test_a_filter_counts_and_a_stage_is_asked_about_whole(open_as: OpenAs) -> None:
    page = ready(open_as())
    expect(page.locator("#matrix-count")).to_have_text("66 events")
    page.get_by_role("searchbox").fill("refund")
    expect(page.locator("#matrix-count")).to_have_text("1 of 66 events")
    page.get_by_role("checkbox", name="All of Revenue → Meta").click()
    expect(page.get_by_role("dialog")).to_contain_text("all 12 events, not only the 1 that the filter shows")
    page.keyboard.press("Escape")
    page.get_by_role("link", name="change the mode of Meta").click()
    page.get_by_role("dialog").locator("a[href*='everything']").click()
    expect(page.get_by_role("dialog")).to_contain_text("all 66 events, not only the 1 that the filter shows")


def test_what_differs_is_marked_while_that_is_looked_at_and_empty_stages_are_hidden(open_as: OpenAs) -> None:
    page = ready(open_as())
    cell = page.get_by_role("switch", name="PageView → Quora", exact=True)
    shadow = "(one) => getComputedStyle(one.parentElement).boxShadow"
    cell.click()
    expect(page.get_by_role("button", name="Undo")).to_be_visible()
    page.reload()
    assert cell.evaluate(shadow) == "none"
    page.select_option("#matrix-show", "changed")
    assert cell.evaluate(shadow) != "none"
    shown = page.locator("#matrix tr[data-find]:visible").count()
    expect(page.locator("#matrix-count")).to_have_text(f"{shown} of 66 events")
    stages = page.locator("#matrix tbody:visible")
    assert stages.count() == page.locator("#matrix tbody:has(tr[data-find][data-marks~=changed])").count() < 6
    page.get_by_role("searchbox").fill("no such event")
    expect(page.get_by_text("No event fits the filter and the view.")).to_be_visible()
    expect(stages).to_have_count(0)
    page.get_by_role("searchbox").fill("")
    page.select_option("#matrix-show", "")
    cell.click()
    expect(page.get_by_role("button", name="Undo")).to_be_visible()
    page.wait_for_timeout(800)  # the view is kept for its reader a moment later
