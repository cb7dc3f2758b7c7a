"""History: pages of changes, the net of two versions, and going back exactly."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from destinations.models import DeliveryMinute, Destination, EventHour, Span
from events.models import CanonicalEvent
from routing import effect, history, snapshot, toggles
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


# --- Taking back -----------------------------------------------------------------------------------------
def changed(destination: Destination, **values: Any) -> RoutingChange:
    entry = toggles.apply(destination, **values)
    assert entry is not None
    return entry


def test_what_others_switched_since_stays_when_a_switch_is_taken_back() -> None:
    meta = factories.make_destination("meta", event_mode="custom")
    entry = changed(meta, on={"FeatureUsed": True}, native_names={"SignUp": "Joined"})
    changed(meta, on={"Login": True})
    changed(meta, native_names={"Purchase": "Paid"})
    (undone,) = history.take_back([entry], user=None)
    assert selected(meta) == {"Login"}
    assert (undone.before, undone.after) == (entry.after, entry.before)
    assert snapshot.current().rules[meta.pk].native_names["Purchase"] == "Paid"
    assert history.why_kept([entry]), "once is enough"


@pytest.mark.parametrize(
    ("made", "later"),
    [
        ({"on": {"SignUp": True}}, {"on": {"SignUp": False}}),
        ({"on": {"SignUp": True}}, {"mode": "everything"}),
        ({"mode": "everything"}, {"on": {"SignUp": False}}),
        ({"native_names": {"SignUp": "Joined"}}, {"native_names": {"SignUp": "Registered"}}),
    ],
)
def test_what_was_touched_since_is_not_taken_back(made: dict[str, Any], later: dict[str, Any]) -> None:
    meta = factories.make_destination("meta", name="Pixel", event_mode="custom")
    entry = changed(meta, **made)
    changed(meta, **later)
    stood, was = version(), selected(meta)
    with pytest.raises(toggles.ToggleError, match="Pixel was changed again since"):
        history.take_back([entry], user=None)
    assert (version(), selected(meta)) == (stood, was)


def test_a_mode_that_means_something_else_by_now_is_not_taken_back_halfway() -> None:
    meta = factories.make_destination("meta", name="Pixel", event_mode="everything")
    entry = changed(meta, mode="recommended")
    CanonicalEvent.objects.filter(name="FeatureUsed").update(retired_at=timezone.now())
    snapshot.bump()
    stood = version()
    with pytest.raises(toggles.ToggleError, match="Pixel was changed again since"):
        history.take_back([entry], user=None)
    assert version() == stood


# --- What came of it -------------------------------------------------------------------------------------
def minutes(destination: Destination, at: datetime, **counts: int) -> None:
    at = at.replace(second=0, microsecond=0)
    for span in (Span.QUARTER, Span.MINUTE):
        DeliveryMinute.objects.create(destination=destination, minute=at, span=span, **counts)


def hour(destination: Destination, at: datetime, event: str, delivered: int) -> None:
    at = at.replace(minute=0, second=0, microsecond=0)
    values = {"received": delivered, "delivered": delivered, "refused": 0}
    EventHour.objects.create(hour=at, destination=destination, event_name=event, **values)


def effect_of(entry: RoutingChange, ago: timedelta) -> effect.Effect:
    entry.at = timezone.now() - ago
    return effect.of([entry])[entry.destination_pk or 0]


def test_effect_is_of_the_day_before_and_the_day_after() -> None:
    meta, ago = factories.make_destination("meta"), timedelta(hours=50)
    entry = changed(meta, on={"FeatureUsed": True})
    at = timezone.now() - ago
    for hours, delivered, dead in ((-30, 9, 9), (-2, 5, 1), (2, 7, 0), (40, 9, 9)):
        minutes(meta, at + timedelta(hours=hours), delivered=delivered, dead=dead)
        hour(meta, at + timedelta(hours=hours), "FeatureUsed", delivered - 3)
        hour(meta, at + timedelta(hours=hours), "SignUp", 100)
    assert effect_of(entry, ago) == (
        "24 h before",
        "24 h after",
        [
            ("Delivered, FeatureUsed", 2, 4, "24 whole hours each"),
            ("Delivered, all events", 5, 7, ""),
            ("Dead, all events", 1, 0, ""),
        ],
    )


def test_soon_after_a_change_as_long_before_it_is_compared() -> None:
    meta, ago = factories.make_destination("meta"), timedelta(minutes=190, seconds=5)
    entry = changed(meta, on={"FeatureUsed": True})
    at = timezone.now() - ago
    for before in (-20 * 60, -190, -185, -3, 3, 185):
        minutes(meta, at + timedelta(minutes=before), delivered=1)
    found = effect_of(entry, ago)
    lasted = int(found.after.removesuffix(" min since").removeprefix("3 h "))
    assert lasted in (9, 10)
    assert found.before == f"3 h {lasted} min before"
    assert found.rows[0].hint in ("2 whole hours each", "3 whole hours each")
    assert found.rows[1].before in (2, 3)
    assert found.rows[1].after == 2
    assert effect_of(entry, timedelta(minutes=5, seconds=59)).after in ("4 min since", "5 min since")
    entry.at = timezone.now()
    assert effect.of([entry]) == {}, "nothing to compare yet"


def test_an_effect_is_told_to_the_minute_and_not_of_what_is_forgotten() -> None:
    meta = factories.make_destination("meta")
    entry = changed(meta, on={"FeatureUsed": True})
    at = (timezone.now() - timedelta(hours=30)).replace(minute=7, second=0, microsecond=0)
    DeliveryMinute.objects.create(destination=meta, minute=at + timedelta(minutes=3), span=Span.MINUTE, delivered=5)
    DeliveryMinute.objects.create(destination=meta, minute=at.replace(minute=0), span=Span.QUARTER, delivered=5)
    entry.at = at
    assert effect.of([entry])[meta.pk].rows[1][1:3] == (0, 5), "they came after the change"
    entry.at = at - timedelta(days=8)
    assert effect.of([entry]) == {}, "none is not nothing: the minutes of then are gone"
    assert not effect.is_kept(entry.at)


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
    client.post(page, {"seen": version(), "note": "a\0b"})
    assert client.get(reverse("routing:roll_back", args=[version() + 1])).status_code == 404
    assert client.get(page, {"destination": "abc"}).status_code == 404


def test_a_version_stands_whole_on_one_page_of_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "PAGE_SIZE", 3)
    first, second = factories.make_destination("meta", name="A"), factories.make_destination("meta", name="B")
    group = toggles.Group()
    with transaction.atomic():
        for one in (first, second):
            toggles.apply(one, on={"SignUp": False}, group=group)
    for is_on in (True, False):
        toggles.apply(first, on={"FeatureUsed": is_on})
    page, before = history.entries({})
    assert [row.sentences[-1] for row in page] == ["A stops receiving FeatureUsed", "A starts receiving FeatureUsed"]
    rest, _ = history.entries({}, before)
    assert {row.destination_name for row in rest if row.version == group.version} == {"A", "B"}


def test_the_page_of_a_version_shows_all_of_it(django_assert_max_num_queries: Any) -> None:
    two = [factories.make_destination("meta", name=name, event_mode="custom") for name in ("Pixel", "Twin")]
    group = toggles.Group()
    made = [changed(one, on={"SignUp": True, "Login": True}, group=group) for one in two]
    RoutingChange.objects.update(at=timezone.now() - timedelta(hours=2))
    minutes(two[1], timezone.now() - timedelta(hours=1), delivered=17)
    client = client_with("routing.view_routingchange")
    for entry in made:
        html = client.get(reverse("routing:history_entry", args=[entry.pk])).content.decode()
        for name in ("Pixel", "Twin"):
            assert f"{name} starts receiving SignUp" in html
            assert f"{name} starts receiving Login" in html
        assert html.count("Delivered, all events") == 2
        assert '<td class="num">17</td>' in html
        assert "2 destinations." in html
    with django_assert_max_num_queries(10):
        client.get(reverse("routing:history_entry", args=[made[0].pk]))


def test_much_of_a_version_is_folded_and_counted_together() -> None:
    meta = factories.make_destination("meta", name="Pixel")
    entry = changed(meta, mode="everything")
    RoutingChange.objects.update(at=timezone.now() - timedelta(hours=3))
    page = reverse("routing:history_entry", args=[entry.pk])
    html = client_with(group="Viewer").get(page).content.decode()
    assert f"and {len(entry.sentences) - 8} more</summary>" in html
    assert all(sentence in html for sentence in entry.sentences)
    assert f"Delivered, the {len(entry.after['selected'])} events it changed" in html


def test_a_version_is_taken_back_from_its_page() -> None:
    meta = factories.make_destination("meta", name="Pixel", event_mode="custom")
    entry = changed(meta, on={"SignUp": True})
    changed(meta, on={"Login": True})
    client = client_with(group="Marketer")
    page, ask = (reverse(f"routing:{name}", args=[entry.pk]) for name in ("history_entry", "take_back"))
    assert f'href="{ask}"' in client.get(page).content.decode()
    assert "Pixel stops receiving <strong>SignUp</strong>" in client.get(ask).content.decode()
    assert selected(meta) == {"SignUp", "Login"}, "asked, not done"
    assert client_with(group="Viewer").get(ask).status_code == 403
    assert client_with(group="Viewer").post(ask).status_code == 403
    answer = client.post(ask, follow=True)
    html = answer.content.decode()
    assert selected(meta) == {"Login"}
    undone = RoutingChange.objects.latest("pk")
    assert answer.redirect_chain == [(f"{reverse('routing:history_entry', args=[undone.pk])}?changed={undone.pk}", 302)]
    assert f'name="change" value="{undone.pk}">Undo' in html
    html = client.get(page).content.decode()
    assert f'href="{ask}"' not in html
    assert "Pixel was changed again since" in html
    assert "Pixel was changed again since" in client.post(ask).content.decode()
    assert selected(meta) == {"Login"}


def test_going_back_says_so_with_its_undo_and_the_last_days() -> None:
    meta = factories.make_destination("meta", name="Pixel", event_mode="custom")
    changed(meta, on={"SignUp": True})
    there = version()
    changed(meta, on={"SignUp": False})
    client = client_with(group="Marketer")
    back = reverse("routing:roll_back", args=[there])
    html = client.post(back, {"seen": version()}, follow=True).content.decode()
    entry = RoutingChange.objects.latest("pk")
    assert "Pixel starts receiving SignUp." in html
    assert f'name="change" value="{entry.pk}">Undo' in html
    assert "Send the last days…" in html


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
