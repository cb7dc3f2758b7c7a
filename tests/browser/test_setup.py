"""From the gallery to the first live event, and away again."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from destinations import platforms
from tests.factories import event
from tests.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.pipeline]
OpenAs = Callable[..., Page]
NAME = "LinkedIn story"


@pytest.fixture
def _gone_after(stack: Stack) -> Iterator[None]:
    """The installation is shared: whatever happens, this destination is deleted in the end."""
    yield
    code = (
        "from destinations.models import Destination; from destinations import changes;"
        f"[changes.delete(d, user=None) for d in Destination.objects.present().filter(name={NAME!r})]"
    )
    stack.manage("shell", "-v0", "-c", code)


@pytest.mark.usefixtures("_gone_after")
def test_a_destination_is_set_up_until_events_arrive_and_deleted(open_as: OpenAs, stack: Stack) -> None:
    page = open_as("engineer", "/admin/destinations/add/")
    page.get_by_role("searchbox", name="Find a platform").fill("linked")
    expect(page.get_by_role("link", name=re.compile("^Meta"))).to_be_hidden()
    expect(page).to_have_url(re.compile(r"[?]q=linked$"))
    page.reload()
    expect(page.get_by_role("link", name=re.compile("^Meta"))).to_be_hidden()
    page.get_by_role("link", name=re.compile("^LinkedIn")).click()

    page.get_by_label("Name", exact=False).first.fill(NAME)
    version = page.get_by_label("LinkedIn-Version")
    expect(version).to_be_hidden()
    page.locator("summary", has_text="Advanced").click()
    kept = version.input_value()
    version.fill("soon")
    version.press("Tab")
    expect(page.get_by_text(re.compile("LinkedIn-Version does not look right"))).to_be_visible()
    version.fill(kept)
    version.press("Tab")
    expect(page.get_by_text("Looks right.")).to_be_visible()
    page.get_by_label("Conversions API token").fill(platforms.get("linkedin").example_config()["access_token"])
    page.get_by_label("Ad account").fill("512345678")
    page.get_by_label("Sandbox").check()
    page.get_by_role("button", name="Create destination").click()

    card = page.locator("#golive")
    expect(card.get_by_role("heading", name="Go live")).to_be_visible()
    expect(page.get_by_role("switch", name=f"{NAME} takes events")).not_to_be_checked()
    card.get_by_role("button", name="Check connection").click()
    expect(card.get_by_role("status")).to_contain_text("answers")
    address = page.url

    card.get_by_role("link", name="Enter ids").click()
    page.get_by_role("button", name="Load from LinkedIn").click()
    expect(page.get_by_text("pick them in the fields below")).to_be_visible()
    field = page.get_by_label("SignUp", exact=True)
    field.fill("nonsense")
    field.press("Tab")
    expect(page.get_by_text(re.compile("This is no Conversion rule"))).to_be_visible()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text(re.compile("This is no Conversion rule"))).to_be_visible()
    page.get_by_role("button", name="Load from LinkedIn").click()
    field.fill("10000001")
    expect(page.locator("tr", has=field).get_by_text("Sign up", exact=True)).to_be_visible()
    page.get_by_role("button", name="Save").click()
    expect(page).to_have_url(address)
    expect(page.get_by_text("1 entry is saved.")).to_be_visible()
    page.get_by_role("button", name="Send as test").click()
    expect(page.get_by_text("LinkedIn took it.")).to_be_visible()
    expect(card).to_contain_text("Taken (")  # by itself, as the page asks now and then
    card.get_by_role("button", name="Switch on").click()
    expect(page.get_by_text(f"{NAME} is switched on.")).to_be_visible()
    stack.send([event("SignUp", "setup-story")])
    stack.until(lambda: bool(stack.states("setup-story").get(NAME, {}).get("delivered")), "it is live")
    page.goto(address)
    expect(card.get_by_role("heading", name="It is live")).to_be_visible()
    expect(card).to_contain_text("SignUp was among the first events")
    page.get_by_role("button", name="Check connection").first.click()
    expect(card.get_by_role("status")).to_contain_text("answers")

    page.get_by_role("link", name="Delete…").click()
    page.get_by_role("button", name=f"Delete {NAME}").click()
    expect(page.get_by_role("heading", name="Destinations", exact=True)).to_be_visible()
    expect(page.get_by_role("table").get_by_text(NAME)).to_have_count(0)
    stack.until(stack.is_settled, "nothing is left to do")
    stack.check_books()


def test_a_marketer_adds_no_destination(open_as: OpenAs) -> None:
    page = open_as("marketer", "/admin/destinations/")
    expect(page.get_by_role("link", name="Add destination")).to_have_count(0)
    assert page.request.get(page.url + "add/").status == 403
