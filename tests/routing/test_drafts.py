"""Drafts: what is collected, how it looks, review, publishing at once and at a time, and what overtakes it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from destinations.models import Destination, LedgerEntry, LedgerState
from events.models import CanonicalEvent
from routing import draft_diff, drafts, history, publishing, snapshot, toggles
from routing.models import Draft, DraftChange, DraftState, RoutingChange
from routing.tasks import publish_drafts
from tests import factories

pytestmark = pytest.mark.django_db


def person(name: str, group: str = "Marketer") -> User:
    user = User.objects.create_user(name, is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    return user


@pytest.fixture
def ada() -> User:
    user = person("ada")
    drafts.set_collecting(user, True)
    return user


@pytest.fixture
def bob() -> User:
    return person("bob", "Engineer")


@pytest.fixture
def pixel() -> Destination:
    return factories.make_destination("meta", name="Pixel")


def collect(user: User, destination: Destination, **what: Any) -> Draft:
    state = snapshot.current()
    return drafts.collect(user, state.rules[destination.pk], state, **what)


def held(draft: Draft) -> list[tuple[str, str, str, str]]:
    return list(draft.changes.values_list("event_name", "field", "wanted", "seen"))


def chosen(destination: Destination) -> set[str]:
    state = snapshot.current()
    return toggles.selected(state.rules[destination.pk], state.events)


def difference(draft: Draft) -> draft_diff.Difference:
    return draft_diff.difference(list(draft.changes.all()), snapshot.current())


# --- Collecting ------------------------------------------------------------------------------------------
def test_collecting_changes_nothing_that_is_in_force(ada: User, pixel: Destination) -> None:
    before, version = chosen(pixel), snapshot.stored_version()
    draft = collect(ada, pixel, on={"FeatureUsed": True, "SignUp": False, "Purchase": True})
    assert held(draft) == [("FeatureUsed", "enabled", "1", "0"), ("SignUp", "enabled", "0", "1")]
    assert (chosen(pixel), snapshot.stored_version()) == (before, version)
    mine = drafts.view_of(ada)
    shown = mine.shown(snapshot.current().rules[pixel.pk], snapshot.current().events)
    assert toggles.selected(shown.rule, snapshot.current().events) == before - {"SignUp"} | {"FeatureUsed"}
    assert shown.drafted == {"SignUp", "FeatureUsed"}
    assert shown.is_mode_drafted
    assert mine.total == 2


def test_all_goes_into_one_draft_and_the_way_back_takes_it_out(ada: User, pixel: Destination) -> None:
    draft = collect(ada, pixel, on={"SignUp": False})
    assert collect(ada, pixel, native_names={"Purchase": "Paid"}) == draft
    assert collect(ada, pixel, native_names={"Purchase": "Bought", "SignUp": ""}) == draft
    assert held(draft) == [("SignUp", "enabled", "0", "1"), ("Purchase", "native_name", "Bought", "")]
    collect(ada, pixel, on={"SignUp": True})
    collect(ada, pixel, native_names={"Purchase": ""})
    assert held(draft) == []
    assert Draft.objects.count() == 1


def test_a_mode_takes_the_place_of_single_switches_and_switches_add_to_it(ada: User, pixel: Destination) -> None:
    draft = collect(ada, pixel, on={"FeatureUsed": True})
    collect(ada, pixel, mode="everything")
    assert held(draft) == [("", "mode", "everything", "recommended")]
    collect(ada, pixel, on={"SignUp": False})
    collect(ada, pixel, on={"FeatureUsed": False})
    collect(ada, pixel, on={"FeatureUsed": True})
    assert held(draft) == [("", "mode", "everything", "recommended"), ("SignUp", "enabled", "0", "1")]
    collect(ada, pixel, mode="recommended")
    assert held(draft) == []


def test_what_the_platform_does_not_take_is_refused_when_it_is_collected(ada: User) -> None:
    linkedin = factories.make_destination("linkedin")
    with pytest.raises(toggles.ToggleError, match="does not look like"):
        collect(ada, linkedin, native_ids={"SignUp": "nonsense!"})
    warehouse = next(rule for rule in snapshot.current().rules.values() if rule.is_builtin)
    with pytest.raises(toggles.ToggleError, match="always gets every event"):
        drafts.collect(ada, warehouse, snapshot.current(), on={"SignUp": False})
    assert not DraftChange.objects.exists()


def test_a_draft_shows_with_its_native_names_and_ids(ada: User) -> None:
    linkedin = factories.make_destination("linkedin")
    collect(ada, linkedin, native_ids={"SignUp": "77777777"}, native_names={"Login": "Back again"})
    rule = drafts.view_of(ada).state(snapshot.current()).rules[linkedin.pk]
    assert rule.native_ids["SignUp"] == "77777777"
    assert rule.native_name("Login") == "Back again"
    assert snapshot.current().rules[linkedin.pk].native_ids["SignUp"] != "77777777"


# --- The difference ----------------------------------------------------------------------------------------
def test_the_difference_is_sentences_with_what_it_would_have_meant(ada: User, pixel: Destination) -> None:
    factories.make_received("FeatureUsed", 1204)
    gone = {"event_name": "SignUp", "state": LedgerState.DELIVERED, "count": 30}
    LedgerEntry.objects.create(destination=pixel, day=timezone.now().date(), **gone)
    draft = collect(ada, pixel, on={"FeatureUsed": True, "SignUp": False, "Refund": True})
    collect(ada, pixel, native_names={"Purchase": "Paid"})
    found = difference(draft)
    (section,) = found.sections
    assert (section.rule.name, section.becomes) == ("Pixel", "Custom")
    said = {line.text: line for line in section.lines}
    assert said["Pixel starts receiving FeatureUsed"].impact == "1,204 in 7 days"
    assert said["Pixel stops receiving SignUp"].impact == "30 in 7 days"
    assert "Money going back" in said["Pixel starts receiving Refund"].warning
    assert "Pixel: native name of Purchase: default → Paid" in said
    assert found.impact == "Over the last 7 days this would have meant up to 1,204 more deliveries and 30 fewer."
    assert found.conflicts == []


def test_what_is_switched_on_but_not_sent_is_said_and_counts_for_nothing(ada: User) -> None:
    linkedin = factories.make_destination("linkedin", name="LI")
    factories.make_received("FeatureUsed", 80)
    found = difference(collect(ada, linkedin, on={"FeatureUsed": True}))
    (line,) = found.sections[0].lines
    assert line.text == "FeatureUsed is switched on for LI, but nothing is sent: native id missing"
    assert (line.impact, found.impact) == ("", "")


def test_a_mode_says_event_by_event_what_it_switches(ada: User, pixel: Destination) -> None:
    factories.make_received("FeatureUsed", 1204)
    found = difference(collect(ada, pixel, mode="everything"))
    (section,) = found.sections
    (line,) = section.lines
    told = {one.event: one for one in section.by_mode.switches}
    assert f"mode Recommended → Everything, {len(told)} events on, 0 off" in line.text
    assert told["FeatureUsed"].text == "Pixel starts receiving FeatureUsed"
    assert told["FeatureUsed"].impact == "1,204 in 7 days"
    assert section.by_mode.switches[0].event == "FeatureUsed", "what weighs most stands first"
    assert "SignUp" not in told, "it is on already"
    assert "up to 1,204 more deliveries" in found.impact
    (section,) = difference(collect(ada, pixel, on={"FeatureUsed": False})).sections
    assert "FeatureUsed" not in [one.event for one in section.by_mode.switches], "it has a line of its own"


# --- Publishing ------------------------------------------------------------------------------------------
def test_publishing_is_one_version_with_the_note_and_can_be_taken_back(
    ada: User, pixel: Destination, django_capture_on_commit_callbacks: Any
) -> None:
    linkedin = factories.make_destination("linkedin", name="LI")
    was, version = chosen(pixel), snapshot.current().version
    draft = collect(ada, pixel, on={"FeatureUsed": True})
    collect(ada, linkedin, mode="everything")
    collect(ada, linkedin, native_ids={"SignUp": "77777777"})
    publishing.set_note(draft.pk, ada, "Spring campaign")
    with django_capture_on_commit_callbacks(execute=True):
        draft = publishing.publish(draft.pk, ada)
    entries = RoutingChange.objects.filter(version__gt=version)
    assert [(e.version, e.note, e.user) for e in entries] == [(version + 1, "Spring campaign", ada)] * 2
    assert (draft.state, draft.version, snapshot.stored_version()) == ("published", version + 1, version + 1)
    assert "Pixel starts receiving FeatureUsed" in draft.sentences
    # What this process holds is what is in the database, of both destinations.
    fresh = snapshot.load()
    assert snapshot.held().rules == fresh.rules
    assert fresh.rules[linkedin.pk].mode == "everything"
    assert fresh.rules[linkedin.pk].native_ids["SignUp"] == "77777777"
    assert len(history.between(version, version + 1)) == 2
    history.roll_back(version, user=None, seen=version + 1)
    assert chosen(pixel) == was
    assert drafts.current(ada) is None


def test_a_draft_is_published_once_and_not_when_empty(ada: User, pixel: Destination) -> None:
    draft = collect(ada, pixel, on={"FeatureUsed": True})
    collect(ada, pixel, on={"FeatureUsed": False})
    with pytest.raises(publishing.DraftError, match="empty"):
        publishing.publish(draft.pk, ada)
    collect(ada, pixel, on={"FeatureUsed": True})
    publishing.publish(draft.pk, ada)
    with pytest.raises(publishing.DraftError, match="Published"):
        publishing.publish(draft.pk, ada)


def test_an_old_view_of_a_draft_is_not_acted_on(ada: User, pixel: Destination) -> None:
    draft = collect(ada, pixel, on={"FeatureUsed": True})
    seen = draft.revision
    collect(ada, pixel, on={"SignUp": False})
    with pytest.raises(publishing.DraftError, match="changed since you looked"):
        publishing.publish(draft.pk, ada, revision=seen)


def test_what_somebody_did_just_so_is_no_conflict(ada: User, pixel: Destination) -> None:
    draft = collect(ada, pixel, on={"FeatureUsed": True, "SignUp": False})
    toggles.apply(pixel, on={"FeatureUsed": True}, actor="eve")
    found = difference(draft)
    assert [line.is_so for line in found.sections[0].lines] == [True, False]
    publishing.publish(draft.pk, ada)
    assert "SignUp" not in chosen(pixel)


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_conflict_is_named_and_must_be_kept_or_dropped(ada: User, pixel: Destination, is_kept: bool) -> None:
    draft = collect(ada, pixel, native_names={"Purchase": "Paid"}, on={"SignUp": False})
    toggles.apply(pixel, native_names={"Purchase": "Bought"}, actor="eve")
    (line,) = difference(draft).conflicts
    assert line.conflict == "eve changed it meanwhile: from the default to Bought."
    with pytest.raises(publishing.ConflictError, match="native name of Purchase: Bought → Paid"):
        publishing.publish(draft.pk, ada)
    assert "SignUp" in chosen(pixel), "all or nothing"
    if is_kept:
        assert publishing.keep(draft.pk, ada, [line.change.pk]) == 1
    else:
        assert publishing.remove(draft.pk, ada, [line.change.pk]) == 1
    publishing.publish(draft.pk, ada)
    assert snapshot.current().rules[pixel.pk].native_names["Purchase"] == ("Paid" if is_kept else "Bought")


def test_switching_to_and_fro_and_switches_under_a_mode_are_conflicts(ada: User, pixel: Destination) -> None:
    other = factories.make_destination("meta", name="Other")
    draft = collect(ada, pixel, on={"SignUp": False})
    collect(ada, other, mode="everything")
    toggles.apply(pixel, on={"SignUp": False}, actor="eve")
    toggles.apply(pixel, on={"SignUp": True}, actor="eve")
    toggles.apply(other, on={"FeatureUsed": True}, actor="eve")
    assert [line.conflict for line in difference(draft).conflicts] == [
        "eve switched it on meanwhile.",
        "eve changed switches there since you chose the mode.",
    ]


def test_a_destination_that_is_deleted_takes_its_changes_along(ada: User, pixel: Destination) -> None:
    other = factories.make_destination("meta", name="Other")
    draft = collect(ada, pixel, on={"SignUp": False})
    collect(ada, other, on={"SignUp": False})
    other.delete()
    snapshot.bump()
    assert [section.rule.name for section in difference(draft).sections] == ["Pixel"]
    publishing.publish(draft.pk, ada)
    assert "SignUp" not in chosen(pixel)


def test_an_undo_brings_no_deleted_destination_back(ada: User, pixel: Destination) -> None:
    other = factories.make_destination("meta", name="Other")
    collect(ada, other, native_names={"SignUp": "Joined"})
    draft = collect(ada, other, native_names={"SignUp": "Registered"})
    other.delete()
    assert drafts.take_back(ada, draft.revision) == set()
    assert held(draft) == []

    collect(ada, pixel, native_names={"SignUp": "Joined"})
    draft = collect(ada, pixel, native_names={"SignUp": "Registered"})
    draft.changes.all().delete()
    Destination.objects.filter(pk=pixel.pk).update(removed_at=timezone.now())
    assert drafts.take_back(ada, draft.revision) == set()
    assert held(draft) == []


def test_destinations_are_locked_in_one_order_before_anything_refers_to_them(ada: User, pixel: Destination) -> None:
    other = factories.make_destination("meta", name="Other")
    wanted = {pk: drafts.Wanted(on={"SignUp": False}) for pk in (other.pk, pixel.pk)}
    with CaptureQueriesContext(connection) as ran:
        drafts.collect_all(ada, wanted, snapshot.current())
    statements = [query["sql"] for query in ran.captured_queries]
    locks = [
        n for n, sql in enumerate(statements) if "FOR NO KEY UPDATE" in sql and '"destinations_destination"' in sql
    ]
    writes = [n for n, sql in enumerate(statements) if sql.startswith('INSERT INTO "routing_draftchange"')]
    assert len(locks) == 1
    assert "ORDER BY 1 ASC" in statements[locks[0]], "by primary key"
    assert locks[0] < writes[0]


# --- At a time ---------------------------------------------------------------------------------------------
def due(draft: Draft) -> None:
    Draft.objects.filter(pk=draft.pk).update(publish_at=timezone.now() - timedelta(seconds=1))


def test_the_task_publishes_when_the_time_has_come_and_only_once(ada: User, pixel: Destination) -> None:
    draft = collect(ada, pixel, on={"SignUp": False})
    with pytest.raises(publishing.DraftError, match="passed"):
        publishing.schedule(draft.pk, ada, timezone.now() - timedelta(minutes=1))
    publishing.schedule(draft.pk, ada, timezone.now() + timedelta(hours=1))
    assert drafts.current(ada) is None, "further switches begin another draft"
    assert publish_drafts() == 0
    due(draft)
    assert publish_drafts() == 1
    assert publish_drafts() == 0
    draft.refresh_from_db()
    assert (draft.state, draft.publisher) == ("published", ada)
    assert "SignUp" not in chosen(pixel)
    assert RoutingChange.objects.get(version=draft.version).user == ada


def test_a_scheduled_draft_that_was_overtaken_goes_back_to_its_author(ada: User, pixel: Destination) -> None:
    other = person("cleo")
    drafts.set_collecting(other, True)
    good = collect(other, pixel, on={"FeatureUsed": True})
    draft = collect(ada, pixel, native_names={"Purchase": "Paid"})
    for one, user in ((draft, ada), (good, other)):
        publishing.schedule(one.pk, user, timezone.now() + timedelta(hours=1))
        due(one)
    toggles.apply(pixel, native_names={"Purchase": "Bought"}, actor="eve")
    assert publish_drafts() == 1, "the other one is published all the same"
    draft.refresh_from_db()
    assert (draft.state, draft.publish_at) == ("open", None)
    assert "eve changed it meanwhile" in draft.problem
    assert snapshot.current().rules[pixel.pk].native_names["Purchase"] == "Bought"


def test_a_scheduled_draft_needs_somebody_who_still_may(ada: User, pixel: Destination) -> None:
    draft = collect(ada, pixel, on={"SignUp": False})
    publishing.schedule(draft.pk, ada, timezone.now() + timedelta(hours=1))
    due(draft)
    ada.groups.clear()
    assert publish_drafts() == 0
    draft.refresh_from_db()
    assert (draft.state, draft.problem) == ("open", "Who scheduled it may no longer change the routing.")
    assert "SignUp" in chosen(pixel)


def test_anybody_who_may_switch_may_stop_a_schedule(ada: User, bob: User, pixel: Destination) -> None:
    draft = collect(ada, pixel, on={"SignUp": False})
    publishing.schedule(draft.pk, ada, timezone.now() + timedelta(hours=1))
    with pytest.raises(PermissionDenied):
        publishing.unschedule(draft.pk, person("vera", "Viewer"))
    assert publishing.unschedule(draft.pk, bob).state == DraftState.OPEN


# --- Review ---------------------------------------------------------------------------------------------
def test_a_colleague_approves_and_the_author_publishes(ada: User, bob: User, pixel: Destination) -> None:
    draft = collect(ada, pixel, on={"SignUp": False})
    publishing.ask_review(draft.pk, ada, bob, revision=draft.revision)
    with pytest.raises(publishing.DraftError, match="In review"):
        publishing.publish(draft.pk, ada)
    draft = publishing.decide(draft.pk, bob, is_approved=True, comment="fine")
    assert (draft.state, draft.reviewer, draft.comment) == ("approved", bob, "fine")
    assert publishing.may_publish(draft, bob)
    publishing.publish(draft.pk, ada)
    assert "SignUp" not in chosen(pixel)


def test_authors_do_not_review_their_own(ada: User, pixel: Destination) -> None:
    draft = collect(ada, pixel, on={"SignUp": False})
    assert ada not in publishing.reviewers(ada)
    with pytest.raises(publishing.DraftError, match="Choose a colleague"):
        publishing.ask_review(draft.pk, ada, ada)
    with pytest.raises(publishing.DraftError, match="Choose a colleague"):
        publishing.ask_review(draft.pk, ada, person("vera", "Viewer"))
    publishing.ask_review(draft.pk, ada, person("cleo"))
    with pytest.raises(PermissionDenied):
        publishing.decide(draft.pk, ada, is_approved=True)
    with pytest.raises(PermissionDenied):
        publishing.decide(draft.pk, User.objects.get(username="vera"), is_approved=True)


def test_sent_back_it_is_open_again_with_the_comment(ada: User, bob: User, pixel: Destination) -> None:
    draft = collect(ada, pixel, on={"SignUp": False})
    publishing.ask_review(draft.pk, ada, bob)
    with pytest.raises(publishing.DraftError, match="what should be different"):
        publishing.decide(draft.pk, bob, is_approved=False)
    draft = publishing.decide(draft.pk, bob, is_approved=False, comment="leave SignUp on")
    assert (draft.state, draft.comment, draft.approved_at) == ("open", "leave SignUp on", None)


def test_editing_again_voids_the_approval_and_an_old_look_approves_nothing(
    ada: User, bob: User, pixel: Destination
) -> None:
    draft = collect(ada, pixel, on={"SignUp": False})
    seen = draft.revision
    publishing.ask_review(draft.pk, ada, bob)
    publishing.decide(draft.pk, bob, is_approved=True)
    assert publishing.reopen(draft.pk, ada).approved_at is None
    assert collect(ada, pixel, on={"FeatureUsed": True}) == draft
    publishing.ask_review(draft.pk, ada, bob)
    with pytest.raises(publishing.DraftError, match="changed since you looked"):
        publishing.decide(draft.pk, bob, is_approved=True, revision=seen)


def test_only_its_author_touches_a_draft(ada: User, bob: User, pixel: Destination) -> None:
    draft = collect(ada, pixel, on={"SignUp": False})
    for act in (
        lambda: publishing.publish(draft.pk, bob),
        lambda: publishing.schedule(draft.pk, bob, timezone.now() + timedelta(hours=1)),
        lambda: publishing.remove(draft.pk, bob, []),
        lambda: publishing.keep(draft.pk, bob, []),
        lambda: publishing.reopen(draft.pk, bob),
        lambda: publishing.set_note(draft.pk, bob, "x"),
        lambda: publishing.ask_review(draft.pk, bob, ada),
        lambda: publishing.discard(draft.pk, bob),
    ):
        with pytest.raises(PermissionDenied):
            act()
    ada.delete()
    assert publishing.discard(draft.pk, bob).state == DraftState.DISCARDED


def test_a_draft_switches_no_retired_event_on(ada: User, pixel: Destination) -> None:
    draft = collect(ada, pixel, on={"WorkspaceCreated": True, "SignUp": False})
    CanonicalEvent.objects.filter(name="WorkspaceCreated").update(retired_at=timezone.now())
    snapshot.bump()
    with pytest.raises(publishing.ConflictError, match="retired"):
        publishing.publish(draft.pk, ada)
    publishing.remove(draft.pk, ada, [line.change.pk for line in difference(draft).conflicts])
    publishing.publish(draft.pk, ada)
    assert not chosen(pixel) & {"WorkspaceCreated", "SignUp"}
