"""A range of switches: what is asked, what is made, and the one way back."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from destinations.models import Destination
from routing import drafts, snapshot, toggles, views_range
from routing.models import DraftChange, RoutingChange
from tests import factories
from tests.logins import client_with

pytestmark = pytest.mark.django_db

MATRIX = "/admin/configure/events/"
HTMX = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture
def two() -> list[Destination]:
    made = [
        Destination.objects.create(name=name, platform_key="quora", event_mode="custom")
        for name in ("Quora", "Quora EU")
    ]
    snapshot.bump()
    return made


@pytest.fixture
def marketer() -> Client:
    return client_with(group="Marketer")


def post(client: Client, path: str = "range/", **data: str) -> Any:
    return client.post(MATRIX + path, data, **HTMX)  # type: ignore[arg-type]


def ask(client: Client, text: str) -> Any:
    return client.get(MATRIX + "range/", {"set": text}, **HTMX)  # type: ignore[arg-type]


def chosen(destination: Destination) -> set[str]:
    state = snapshot.load()
    return toggles.selected(state.rules[destination.pk], state.events)


def text_of(two: list[Destination], events: str, is_on: int = 1) -> str:
    return f"{two[0].pk},{two[1].pk}:{events}:{is_on}"


def test_a_range_is_asked_about_first_with_what_it_would_have_meant(marketer: Client, two: list[Destination]) -> None:
    for event, count in (("SignUp", 40), ("Purchase", 2)):
        factories.make_received(event, count)
    answer = ask(marketer, text_of(two, "SignUp,Purchase"))
    html = answer.content.decode()
    assert answer["HX-Retarget"] == "#dialog-body"
    assert "Switch 2 events on for Quora and Quora EU" in html
    assert "up to 84 more deliveries" in html
    assert html.index("40 in 7 days") < html.index("2 in 7 days")
    assert not any(map(chosen, two)), "nothing is done yet"


def test_it_is_made_as_one_version_with_one_way_back(marketer: Client, two: list[Destination]) -> None:
    toggles.apply(two[1], on={"SignUp": True})
    seen = str(snapshot.stored_version())
    html = post(marketer, set=text_of(two, "SignUp,Purchase"), seen=seen).content.decode()
    assert [chosen(one) for one in two] == [{"SignUp", "Purchase"}] * 2
    made = RoutingChange.objects.filter(version=int(seen) + 1)
    assert {entry.destination_name: entry.after["selected"] for entry in made} == {
        "Quora": ["SignUp", "Purchase"],
        "Quora EU": ["Purchase"],
    }
    assert "3 changes made: Quora and Quora EU." in html
    assert all(f"td:has(>#b{one.pk}-Purchase)" in html for one in two)

    html = post(marketer, "undo/", change=str(made[0].pk)).content.decode()
    assert [chosen(one) for one in two] == [set(), {"SignUp"}]
    assert all(f"td:has(>#b{one.pk}-Purchase)" in html for one in two)


def test_what_is_not_as_it_was_shown_is_asked_about_again(marketer: Client, two: list[Destination]) -> None:
    seen = str(snapshot.stored_version())
    toggles.apply(two[0], on={"BookDemo": True})
    html = post(marketer, set=text_of(two, "SignUp"), seen=seen).content.decode()
    assert "Something was changed since you looked" in html
    assert chosen(two[1]) == set()


def test_money_going_back_stays_off_in_a_range(marketer: Client, two: list[Destination]) -> None:
    html = ask(marketer, text_of(two, "Purchase,Refund")).content.decode()
    assert "Refund stays as it is" in html
    post(marketer, set=text_of(two, "Purchase,Refund"), seen=str(snapshot.stored_version()))
    assert [chosen(one) for one in two] == [{"Purchase"}] * 2


def test_what_is_so_already_is_no_change(marketer: Client, two: list[Destination]) -> None:
    assert "Nothing to change" in ask(marketer, text_of(two, "SignUp", 0)).content.decode()


def test_what_is_no_range_is_400(marketer: Client, two: list[Destination]) -> None:
    warehouse = Destination.objects.get(platform_key="warehouse")
    for text in ("", f"{two[0].pk}:Nonsense:1", f"{two[0].pk},{warehouse.pk}:SignUp:0", "999999:SignUp:1"):
        assert ask(marketer, text).status_code == post(marketer, set=text).status_code == 400, text


def test_a_destination_deleted_meanwhile_leaves_nothing_half_done(
    marketer: Client, two: list[Destination], monkeypatch: pytest.MonkeyPatch
) -> None:
    state = snapshot.current()
    # Between the look at the rules and the change.
    monkeypatch.setattr(views_range, "seen", lambda request: state)
    Destination.objects.filter(pk=two[1].pk).update(removed_at=timezone.now())
    html = post(marketer, set=text_of(two, "SignUp"), seen=str(state.version)).content.decode()
    assert "Quora EU was deleted meanwhile" in html
    assert not RoutingChange.objects.filter(version__gt=state.version).exists()


def test_a_collected_range_has_one_undo(marketer: Client, two: list[Destination]) -> None:
    user = User.objects.latest("pk")
    drafts.set_collecting(user, True)
    seen = str(snapshot.stored_version())
    html = post(marketer, set=text_of(two, "SignUp,Purchase"), seen=seen).content.decode()
    assert all(f"td:has(>#b{one.pk}-Purchase)" in html for one in two)
    assert DraftChange.objects.count() == 4
    assert not any(map(chosen, two)), "nothing is in force yet"
    draft = drafts.current(user)
    assert draft is not None
    html = marketer.post("/admin/configure/drafts/undo/", {"revision": draft.revision}, **HTMX).content.decode()  # type: ignore[arg-type]
    assert all(f"td:has(>#b{one.pk}-Purchase)" in html for one in two)
    assert not DraftChange.objects.exists()
