"""History: pages of changes, the net of two versions, and going back exactly."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from destinations.models import DeliveryMinute, Destination, Span
from routing import history, snapshot, toggles
from routing.models import RoutingChange
from tests import factories
from tests.logins import client_with

pytestmark = pytest.mark.django_db


def version() -> int:
    return snapshot.stored_version()


def selected(destination: Destination) -> set[str]:
    state = snapshot.current()
    return toggles.selected(state.rules[destination.pk], state.events)


def test_the_net_of_many_changes_leaves_out_what_cancelled_out() -> None:
    meta = factories.make_destination("meta", name="Pixel")
    start = version()
    toggles.apply(meta, on={"FeatureUsed": True})
    toggles.apply(meta, on={"FeatureUsed": False, "SignUp": False})
    toggles.apply(meta, native_names={"Purchase": "Bought"})
    toggles.apply(meta, native_names={"Purchase": "Paid"})
    (net,) = history.between(start, version())
    assert net.sentences == [
        "Pixel: Recommended → Custom",
        "Pixel stops receiving SignUp",
        "Pixel: native name of Purchase: default → Paid",
    ]
    assert history.between(version(), version()) == []
    assert history.between(start, start + 1)[0].sentences[-1] == "Pixel starts receiving FeatureUsed"


def test_going_back_restores_and_going_back_from_there_restores_again() -> None:
    meta, linkedin = factories.make_destination("meta"), factories.make_destination("linkedin")
    before = version()
    was = {pk.pk: selected(pk) for pk in (meta, linkedin)}
    toggles.apply(meta, on={"FeatureUsed": True, "SignUp": False})
    toggles.apply(meta, native_names={"Purchase": "Paid"})
    toggles.apply(linkedin, mode="everything")
    toggles.apply(linkedin, native_ids={"SignUp": "20000002"})
    changed = version()
    now = {pk.pk: selected(pk) for pk in (meta, linkedin)}

    made = history.roll_back(before, user=None, seen=changed)
    assert len(made) == 2
    assert {pk.pk: selected(pk) for pk in (meta, linkedin)} == was
    assert snapshot.current().rules[meta.pk].mode == "recommended"
    assert history.way_back(before) == []
    history.roll_back(changed, user=None, seen=version())
    assert {pk.pk: selected(pk) for pk in (meta, linkedin)} == now
    assert snapshot.current().rules[meta.pk].native_names["Purchase"] == "Paid"
    assert snapshot.current().rules[linkedin.pk].native_ids["SignUp"] == "20000002"


def test_going_back_leaves_out_what_was_deleted_since() -> None:
    meta, gone = factories.make_destination("meta", name="Pixel"), factories.make_destination("meta", name="Gone")
    before = version()
    toggles.apply(meta, on={"FeatureUsed": True})
    toggles.apply(gone, on={"FeatureUsed": True})
    Destination.objects.filter(pk=gone.pk).update(removed_at=timezone.now())
    snapshot.bump()
    assert [net.destination_pk for net in history.way_back(before)] == [meta.pk]
    (made,) = history.roll_back(before, user=None, seen=version())
    assert made.destination_pk == meta.pk


def test_going_back_only_one_destination_and_all_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    meta, other = factories.make_destination("meta"), factories.make_destination("meta", name="Other")
    before = version()
    toggles.apply(meta, on={"SignUp": False})
    toggles.apply(other, on={"SignUp": False})
    history.roll_back(before, user=None, seen=version(), destination_pk=meta.pk)
    assert "SignUp" in selected(meta)
    assert "SignUp" not in selected(other)
    toggles.apply(meta, on={"Purchase": False})
    real, calls = toggles.apply, []

    def second_fails(*args: Any, **values: Any) -> Any:
        calls.append(args)
        if len(calls) == 2:
            raise toggles.ToggleError("no")
        return real(*args, **values)

    monkeypatch.setattr(toggles, "apply", second_fails)
    stood = version()
    with pytest.raises(toggles.ToggleError):
        history.roll_back(before, user=None, seen=stood)
    assert version() == stood


def test_a_stale_view_of_things_is_not_acted_on() -> None:
    meta = factories.make_destination("meta")
    before = version()
    toggles.apply(meta, on={"SignUp": False})
    with pytest.raises(toggles.StaleError):
        history.roll_back(before, user=None, seen=before)


def test_effect_is_of_the_day_before_and_the_day_after() -> None:
    meta = factories.make_destination("meta")
    entry = toggles.apply(meta, on={"FeatureUsed": True})
    assert entry is not None
    for hours, delivered, dead in ((-30, 9, 9), (-2, 5, 1), (2, 7, 0), (40, 9, 9)):
        at = entry.at + timedelta(hours=hours)
        DeliveryMinute.objects.create(
            destination=meta, minute=at, span=Span.QUARTER, delivered=delivered, dead=dead
        )  # fmt: skip
        DeliveryMinute.objects.create(destination=meta, minute=at, span=Span.MINUTE, delivered=delivered, dead=dead)
    assert history.effect(entry) == ((5, 1), (7, 0))


def test_an_effect_is_told_to_the_minute_and_not_of_what_is_forgotten() -> None:
    meta = factories.make_destination("meta")
    entry = toggles.apply(meta, on={"FeatureUsed": True})
    assert entry is not None
    at = entry.at.replace(minute=7, second=0, microsecond=0)
    entry.at = at
    after = at + timedelta(minutes=3)
    DeliveryMinute.objects.create(destination=meta, minute=after, span=Span.MINUTE, delivered=5)
    DeliveryMinute.objects.create(destination=meta, minute=at.replace(minute=0), span=Span.QUARTER, delivered=5)
    assert history.effect(entry) == ((0, 0), (5, 0)), "they came after the change"
    entry.at = at - timedelta(days=8)
    assert history.effect(entry) is None, "none is not nothing: the minutes of then are gone"


# --- Screens ---------------------------------------------------------------------------------------------
def test_pages_ask_who_is_there_and_what_they_may() -> None:
    meta = factories.make_destination("meta")
    entry = toggles.apply(meta, on={"SignUp": False})
    assert entry is not None
    looks = [
        reverse("routing:history"),
        reverse("routing:history_entry", args=[entry.pk]),
        reverse("routing:history_compare"),
    ]
    back = reverse("routing:roll_back", args=[entry.version - 1])
    for page in (*looks, back):
        assert Client().get(page).status_code == 302
        assert client_with("routing.view_route").get(page).status_code == 403
        assert client_with(group="Marketer").get(page).status_code == 200
    viewer = client_with(group="Viewer")
    assert [viewer.get(page).status_code for page in looks] == [200] * 3
    assert viewer.get(back).status_code == 403


def test_from_the_list_back_to_a_version() -> None:
    meta = factories.make_destination("meta", name="Pixel")
    before = version()
    toggles.apply(meta, on={"SignUp": False}, actor="ada", note="for the test")
    client = client_with(group="Marketer")
    html = client.get(reverse("routing:history"), {"actor": "ada", "event": "SignUp"}).content.decode()
    assert "Pixel stops receiving SignUp" in html
    assert "for the test" in html
    assert "No change matches" in client.get(reverse("routing:history"), {"actor": "bob"}).content.decode()
    page = reverse("routing:roll_back", args=[before])
    shown = client.get(page).content.decode()
    assert "Pixel starts receiving <strong>SignUp</strong>" in shown
    stale = client.post(page, {"seen": before}).content.decode()
    assert "Something was changed since you looked" in stale
    assert "SignUp" not in selected(meta)
    client.post(page, {"seen": version(), "note": "as it was"})
    assert "SignUp" in selected(meta)
    assert RoutingChange.objects.latest("pk").note == "as it was"
    assert "Already so" in client.get(page).content.decode()


def test_compare_takes_the_versions_in_either_order() -> None:
    meta = factories.make_destination("meta", name="Pixel")
    before = version()
    toggles.apply(meta, on={"SignUp": False})
    client = client_with(group="Viewer")
    for query in ({"from": before, "to": version()}, {"from": version(), "to": before}, {"from": before}):
        page = client.get(reverse("routing:history_compare"), query).content.decode()
        assert "Pixel stops receiving <strong>SignUp</strong>" in page


def test_two_versions_are_ticked_in_the_list_and_changed_on_the_page() -> None:
    meta = factories.make_destination("meta", name="Pixel")
    before = version()
    for name in ("SignUp", "Purchase"):
        toggles.apply(meta, on={name: False})
    client = client_with(group="Viewer")
    listed = client.get(reverse("routing:history")).content.decode()
    assert f'name="version" value="{before + 1}" form="compare"' in listed
    page = reverse("routing:history_compare")
    both = client.get(page, {"version": [before + 2, before + 1]}).content.decode()
    assert f"From version {before + 1} to {before + 2}" in both
    assert f'name="from" type="number" min="0" max="{before + 2}" value="{before + 1}"' in both
    assert "SignUp" not in both
    one = client.get(page, {"version": before}).content.decode()
    assert f"From version {before} to {before + 2}" in one


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("frm=1", "“frm” is not known here: two versions are named by from and to."),
        ("from=x", "There is no version x: they go from 0 to"),
        ("to=99999", "There is no version 99999: they go from 0 to"),
        ("version=1&version=2&version=3", "Tick one version, to compare it with the one in force, or two."),
    ],
)
def test_what_names_no_two_versions_is_told(query: str, sentence: str) -> None:
    page = client_with(group="Viewer").get(f"{reverse('routing:history_compare')}?{query}")
    assert sentence in page.content.decode()


def test_compare_and_the_way_back_say_what_is_not_sent_as_the_history_does() -> None:
    linkedin = factories.make_destination("linkedin", name="LI")
    start = version()
    toggles.apply(linkedin, native_ids={"SignUp": ""}, on={"SignUp": False})
    toggles.apply(linkedin, on={"SignUp": True, "HighIntentPageView": True})
    entry = RoutingChange.objects.latest("pk")
    said = "HighIntentPageView is switched on for LI, but nothing is sent: native id missing"
    assert said in entry.sentences
    assert said in history.between(start, entry.version)[0].sentences
    toggles.apply(linkedin, native_ids={"HighIntentPageView": "20000002"})
    assert said in history.between(start, entry.version)[0].sentences, "as it was then"
    assert "LI starts receiving HighIntentPageView" in history.between(start, version())[0].sentences


def test_a_test_event_makes_no_version_and_stands_apart() -> None:
    meta = factories.make_destination("meta", name="Pixel")
    toggles.apply(meta, on={"SignUp": False})
    before = version()
    entry = toggles.record_test(meta, ["Purchase is sent to Pixel as a test"])
    toggles.record_test(meta, ["Refund is sent to Pixel as a test"])
    assert version() == before == entry.version
    client = client_with(group="Marketer")
    page = reverse("routing:history")
    assert "as a test" not in client.get(page).content.decode()
    tests = client.get(page, {"what": "tests"}).content.decode()
    assert "Purchase is sent to Pixel as a test" in tests
    assert "Refund is sent to Pixel as a test" in tests
    assert "stops receiving" not in tests
    shown = client.get(reverse("routing:history_entry", args=[entry.pk])).content.decode()
    assert "Test event" in shown
    assert "Back to this version" not in shown


def test_going_back_with_several_destinations_is_one_version() -> None:
    meta, other = factories.make_destination("meta"), factories.make_destination("meta", name="Other")
    before = version()
    toggles.apply(meta, on={"SignUp": False})
    toggles.apply(other, on={"SignUp": False})
    made = history.roll_back(before, user=None, seen=version())
    assert [entry.version for entry in made] == [version(), version()]


def test_queries_are_few_however_long_the_history(django_assert_max_num_queries: Any) -> None:
    meta = factories.make_destination("meta")
    for number in range(30):
        toggles.apply(meta, on={"SignUp": bool(number % 2)})
    client = client_with("routing.view_routingchange")
    client.get(reverse("routing:history"))
    with django_assert_max_num_queries(9):
        client.get(reverse("routing:history"))
    assert timezone.now()
