"""axe on every screen, light and dark: WCAG 2.2 A and AA without a violation. And no page wider than its window."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.factories import event
from tests.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.pipeline]
OpenAs = Callable[..., Page]

STANDARDS = {
    "light": {
        "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]},
        # axe would fetch what Django's style sheets import, from a wrong address and against our policy. Only a rule
        # that is not run, and one about media, of which there are none, would look at it.
        "preload": False,
    },
    # The same page in other colours: nothing else can differ.
    "dark": {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}},
}
PAGES = (
    "health/", "configure/events/?q=sign", "configure/events/SignUp/", "configure/events/import/", "configure/history/",
    "configure/history/compare/?from=0", "configure/drafts/", "configure/drafts/900001/",
    "configure/drafts/900001/discard/", "configure/drafts/900002/", "configure/drafts/900003/",
    "destinations/", "destinations/add/", "destinations/add/meta/",
    "destinations/2/", "destinations/4/ids/", "destinations/2/delete/",
    "destinations/2/switch-off/", "destinations/add/google_ads/",
    "sources/", "sources/add/", "test-bench/", "live/", "deliveries/", "attempts/",
    "dead-letters/",
    "replays/", "replays/new/?kind=missed&destination=2", "rejected/", "quality/", "trace/", "trace/?id=axe-1",
    "alerts/", "alerts/history/", "alerts/channels/add/", "alerts/rules/1/",
    "taxonomy/", "taxonomy/register/", "taxonomy/SignUp/",
    "configure/events/2/SignUp/", "configure/events/export/", "configure/events/modes/2/",
    "configure/events/change/?set=2:@revenue:1", "configure/events/range/?set=2,3:SignUp,LeadCaptured:1",
    "auth/user/", "auth/user/1/change/", "auth/group/1/change/", "password_change/", "../api/docs/",
)  # fmt: skip
# The filter leaves a few of the matrix's thousand cells, which are all alike.
WIDTHS = (390, 768, 1440, 2560)


DRAFTS = """
from django.contrib.auth.models import User
from destinations.models import Destination
from routing import drafts, publishing, snapshot, toggles
from routing.models import Draft

demo, marketer = User.objects.get(username="demo"), User.objects.get(username="marketer")
meta = Destination.objects.get(name="Meta")
for pk, author in ((900002, demo), (900003, marketer), (900001, demo)):
    Draft.objects.create(pk=pk, author=author, note="For the spring")
    state = snapshot.current()
    names = {"SignUp": f"Joined {pk}"}
    drafts.collect(author, state.rules[meta.pk], state, on={"Refund": True, "PageView": False}, native_names=names)
    if author == marketer:
        publishing.ask_review(pk, author, demo)
    elif pk == 900002:
        publishing.publish(pk, author)
        toggles.apply(meta, on={"Refund": False, "PageView": True}, native_names={"SignUp": ""})
toggles.apply(meta, native_names={"SignUp": "Registered"})
toggles.apply(meta, native_names={"SignUp": ""})
"""
"""One open and overtaken, one that waits for a review, one published; the routing is as before."""


@pytest.fixture(scope="module")
def _filled(shared_stack: Stack) -> None:
    """Something on most screens: an event sent everywhere, one that is rejected, and drafts."""
    shared_stack.manage("shell", "-c", DRAFTS)
    shared_stack.send([event("SignUp", "axe-1"), event("signup", "axe-3")])
    shared_stack.until(shared_stack.is_settled, "all is settled")


def violations(page: Page, scheme: str = "light") -> list[str]:
    found = Axe().run(page, options=STANDARDS[scheme]).response["violations"]
    return [f"{one['id']}: {node['target']} {node['failureSummary'][:160]}" for one in found for node in one["nodes"]]


@pytest.mark.usefixtures("_filled")
@pytest.mark.timeout(400)
def test_every_screen_is_free_of_violations_and_as_wide_as_its_window(open_as: OpenAs, stack: Stack) -> None:
    page = open_as("demo", "/admin/health/", color_scheme="light", reduced_motion="reduce")
    wrong, wide = {}, []
    for path in PAGES:
        answer = page.goto(f"http://127.0.0.1:{stack.port}/admin/{path}")
        assert answer is not None
        assert answer.status == 200, path
        if path == "../api/docs/":
            page.locator(".reference .opblock-body pre").first.wait_for()
        assert page.locator("h1:visible").count() == 1, path
        for scheme in STANDARDS:
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            if found := violations(page, scheme):
                wrong[path, scheme] = found[:5]
        page.emulate_media(color_scheme="light")
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
                wide.append((path, width))
        page.set_viewport_size({"width": 1600, "height": 1000})
    assert (wrong, wide) == ({}, [])


def test_the_matrix_is_one_tab_stop_and_goes_by_arrows(open_as: OpenAs) -> None:
    page = open_as()
    stops = page.locator("#matrix [tabindex='0']")
    assert stops.count() == 1
    page.locator("#matrix button[role=switch]").first.focus()
    start = page.evaluate("document.activeElement.id")
    page.keyboard.press("ArrowDown")
    below = page.evaluate("document.activeElement.id")
    assert below != start
    assert below.split("-")[0] == start.split("-")[0], "the same destination, the next event"
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement.id") == start
    page.keyboard.press("End")
    assert page.evaluate("document.activeElement.id").split("-")[1] == start.split("-")[1], "the same event"
    assert stops.count() == 1
    page.keyboard.press("?")
    assert page.get_by_role("heading", name="Keys", exact=True).is_visible()
    page.keyboard.press("Escape")


def test_what_another_changes_shows_within_seconds(open_as: OpenAs) -> None:
    mine, theirs = open_as("marketer"), open_as("engineer")
    switch = "#matrix button[aria-label='FeatureUsed → Meta']"
    before = mine.locator(switch).get_attribute("aria-checked")
    theirs.locator(switch).click()
    wanted = "false" if before == "true" else "true"
    is_so = "([s, w]) => document.querySelector(s).ariaChecked === w"
    mine.wait_for_function(is_so, arg=[switch, wanted])
    assert "engineer" in mine.locator("#toasts").inner_text()
    theirs.get_by_role("button", name="Undo").click()
    theirs.wait_for_function(is_so, arg=[switch, before])


def test_a_range_is_switched_by_shift_click(open_as: OpenAs) -> None:
    page = open_as()
    column = page.locator("#matrix button[role=switch][aria-label$='→ Snapchat']")
    names = [column.nth(n).get_attribute("id") for n in range(3, 7)]
    before = [page.locator(f"[id='{name}']").get_attribute("aria-checked") for name in names]
    page.locator(f"[id='{names[0]}']").click()
    wanted = "false" if before[0] == "true" else "true"
    page.wait_for_function("([i, w]) => document.getElementById(i).ariaChecked === w", arg=[names[0], wanted])
    page.locator(f"[id='{names[-1]}']").click(modifiers=["Shift"])
    page.get_by_role("dialog").get_by_role("button", name="Change it").click()
    for name in names:
        page.wait_for_function("([i, w]) => document.getElementById(i).ariaChecked === w", arg=[name, wanted])
    page.get_by_role("button", name="Undo").click()  # of the range; the first switch was a change of its own
    for name, was in list(zip(names, before, strict=True))[1:]:
        page.wait_for_function("([i, w]) => document.getElementById(i).ariaChecked === w", arg=[name, was])


def test_the_focus_is_back_in_its_cell_when_a_mapping_was_saved(open_as: OpenAs) -> None:
    page = open_as()
    cell = page.get_by_role("switch", name="SignUp → Snapchat")
    for native_name in ("Registered", ""):
        cell.focus()
        page.keyboard.press("m")
        page.get_by_label("What Snapchat calls it").fill(native_name)
        page.keyboard.press("Enter")
        expect(page.get_by_role("dialog")).to_have_count(0)
        expect(cell).to_be_focused()


def test_views_of_the_matrix(open_as: OpenAs) -> None:
    page = open_as()
    total = page.locator("#matrix tr[data-find]:visible").count()
    page.select_option("#matrix-show", "on")
    assert 0 < page.locator("#matrix tr[data-find]:visible").count() <= total
    page.select_option("#matrix-show", "changed")
    assert page.locator("#matrix tr[data-find]:visible").count() < total
    page.select_option("#matrix-show", "")
    assert page.locator("#matrix tr[data-find]:visible").count() == total
