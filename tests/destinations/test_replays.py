"""Replay and backfill: what moves, what does not and why, and books that balance to the event all the while."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from destinations import changes, platforms, replay_plan, replayed, replays, retention
from destinations.models import (
    DESTINATION_BITS,
    Delivery,
    Destination,
    Hold,
    LedgerEntry,
    Replay,
    ReplayKind,
    ReplayState,
    State,
    delivery_pk,
)
from destinations.replay_plan import Plan
from events.ingest import Sender, accept_batch
from events.models import Event, IngestBatch, Source
from routing import snapshot, toggles
from routing.dispatch import route_due
from routing.models import RoutingChange
from tests import factories
from tests.logins import client_with

pytestmark = pytest.mark.django_db
PAGES = ("replays", "replay_new")


@pytest.fixture(autouse=True)
def _no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("events.ingest", "routing.dispatch", "destinations.replays", "destinations.delivery"):
        monkeypatch.setattr(f"{module}.nudge", lambda *_: None)


def send(*events: dict[str, Any], source: Source | None = None) -> None:
    sender = Sender(source_id=(source or factories.make_source()).pk, trace_id="r" * 32)
    accept_batch(json.dumps(list(events)).encode(), sender)
    route_due()


def settle(destination: Destination, state: State, reason: str = "", **which: Any) -> None:
    """Give waiting rows an end as a worker does, books included."""
    from destinations import ledger
    from destinations.models import LedgerState

    tally = ledger.Tally()
    rows = Delivery.objects.filter(destination=destination, state=State.WAITING, **which).select_related("event")
    for row in rows:
        day = row.event.received_at.date()
        tally.add(day, destination.pk, row.event.name, LedgerState(state.name.lower()), reason)
    Delivery.objects.filter(pk__in=[row.pk for row in rows]).update(
        state=state, reason=reason, due_at=None, settled_at=timezone.now(), tries=9,
        created_at=timezone.now() - timedelta(days=30),
    )  # fmt: skip
    from django.db import connection

    with connection.cursor() as cursor:
        tally.write(cursor)


def books(destination: Destination) -> dict[str, int]:
    """The ledger's totals by state; what is zero is left out."""
    found: Counter[str] = Counter()
    for entry in LedgerEntry.objects.filter(destination=destination):
        found[f"{entry.state} {entry.reason}".strip()] += entry.count
    return {name: count for name, count in found.items() if count}


def recount(destination: Destination) -> dict[str, int]:
    """The same from deliveries and the lists of skips; received is every event that has either."""
    found: Counter[str] = Counter()
    for row in Delivery.objects.filter(destination=destination):
        found["received"] += 1
        if row.state != State.WAITING:
            found[f"{State(row.state).name.lower()} {row.reason}".strip()] += 1
    for batch in IngestBatch.objects.all():
        for reason, positions in batch.skips.get(str(destination.pk), {}).items():
            found["received"] += len(positions)
            found[f"skipped {reason}"] += len(positions)
    return dict(found)


def turn(replay: Replay, seconds: float = 10) -> int:
    """One turn, as if the last one was some time ago."""
    Replay.objects.filter(pk=replay.pk).update(stepped_at=timezone.now() - timedelta(seconds=seconds))
    moved = replays.run(replay.pk)
    replay.refresh_from_db()
    return moved


def go(plan: Plan, rate: int = 1000) -> Replay:
    replay = replays.start(plan, rate=rate, user=None)
    while replay.state == ReplayState.RUNNING:
        turn(replay)
    return replay


def test_dead_deliveries_are_sent_once_more_and_the_books_follow() -> None:
    meta = factories.make_destination("meta")
    send(*(factories.event("SignUp", f"e{n}") for n in range(6)), factories.event("Purchase", "p1"))
    settle(meta, State.DELIVERED, event__event_id="e0")
    settle(meta, State.DEAD, "refused", event__event_id__in=["e1", "e2", "e3"])
    settle(meta, State.DEAD, "exhausted", event__event_id="e4")
    plan = Plan(ReplayKind.DEAD, meta, reason="refused")
    found = replay_plan.estimate(plan)
    assert (found.matching, found.sendable, found.left, found.is_partial) == (3, 3, {}, False)
    assert Delivery.objects.filter(state=State.DEAD).count() == 4, "an estimate changes nothing"

    replay = go(plan)
    assert (replay.moved, replay.left) == (3, {})
    again = Delivery.objects.filter(destination=meta, event__event_id__in=["e1", "e2", "e3"])
    for row in again:
        assert (row.state, row.tries, row.reason) == (State.WAITING, 0, "")
        assert row.created_at > timezone.now() - timedelta(minutes=1), "its time for retries begins anew"
    assert Delivery.objects.get(destination=meta, event__event_id="e0").state == State.DELIVERED
    assert books(meta) == recount(meta) == {"received": 7, "delivered": 1, "dead exhausted": 1}
    assert RoutingChange.objects.filter(action="replay").count() == 1


def test_its_page_says_what_became_of_what_it_handed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    meta = factories.make_destination("meta", name="Pixel")
    send(*(factories.event("SignUp", f"e{n}") for n in range(6)))
    settle(meta, State.DELIVERED, event__event_id="e0")
    settle(meta, State.DEAD, "refused", event__event_id__in=["e1", "e2", "e3", "e4"])
    replay = replays.start(Plan(ReplayKind.DEAD, meta), rate=1000, user=None)
    assert replayed.outcomes(replay) == []
    turn(replay)
    assert replayed.outcomes(replay) == [(State.WAITING, 4)], "neither e0 nor e5, which it did not touch"
    sent = Delivery.objects.filter(destination=meta)
    sent.filter(event__event_id__in=["e1", "e2"]).update(state=State.DELIVERED)
    sent.filter(event__event_id="e3").update(state=State.DEAD)
    assert replayed.outcomes(replay) == [(State.WAITING, 1), (State.DELIVERED, 2), (State.DEAD, 1)]
    page, client = reverse("destinations:replay", args=[replay.pk]), client_with(group="Engineer")
    html = client.get(page).content.decode()
    assert f'?destination={meta.pk}&amp;state=4">1</a>' in html
    assert "counted for the first" not in html
    monkeypatch.setattr(replayed, "MOST", 3)
    assert sum(count for _state, count in replayed.outcomes(replay) or ()) == 3
    assert "counted for the first 3" in client.get(page).content.decode()


def test_its_page_gives_up_counting_what_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    meta = factories.make_destination("meta", name="Pixel")
    send(factories.event("SignUp", "e1"), factories.event("SignUp", "e2"))
    settle(meta, State.DEAD, "refused")
    replay = replays.start(Plan(ReplayKind.DEAD, meta), rate=1, user=None)
    turn(replay, seconds=2)
    monkeypatch.setattr(replayed, "MILLISECONDS", 20)
    monkeypatch.setattr(replayed, "STATES_SQL", "SELECT 1, count(*) FROM (SELECT pg_sleep(5)) AS slept")
    page, client = reverse("destinations:replay", args=[replay.pk]), client_with(group="Engineer")
    Replay.objects.filter(pk=replay.pk).update(state=ReplayState.RUNNING)
    html = client.get(page).content.decode()
    assert "See the deliveries" in html
    assert f'hx-get="{page}?slow=1"' in html, "it does not try again every two seconds"
    with monkeypatch.context() as patched:
        patched.delattr(replayed, "outcomes")
        assert "See the deliveries" in client.get(f"{page}?slow=1").content.decode()


def test_filters_and_chosen_rows() -> None:
    meta = factories.make_destination("meta")
    shop, app = factories.make_source("Shop"), factories.make_source("App")
    send(factories.event("SignUp", "a"), factories.event("Purchase", "b", value=5, currency="USD"), source=shop)
    send(factories.event("SignUp", "c"), source=app)
    settle(meta, State.DEAD, "refused")
    two_days_ago = timezone.now() - timedelta(days=2)
    Event.objects.filter(event_id="a").update(received_at=two_days_ago)
    IngestBatch.objects.filter(pk=Event.objects.get(event_id="a").batch_id).update(received_at=two_days_ago)

    def matching(**values: Any) -> int:
        return replay_plan.estimate(Plan(ReplayKind.DEAD, meta, **values)).matching

    rows = {row.event.event_id: row.pk for row in Delivery.objects.filter(destination=meta).select_related("event")}
    assert matching() == 3
    assert matching(event="SignUp") == 2
    assert matching(source=app) == 1
    assert matching(reason="exhausted") == 0
    assert matching(only=(rows["a"], rows["c"])) == 2
    assert matching(until=timezone.now() - timedelta(days=1)) == 1
    other = factories.make_destination("meta", name="Other")
    assert replay_plan.estimate(Plan(ReplayKind.DEAD, other)).matching == 0


def test_what_cannot_be_sent_is_left_with_its_reason() -> None:
    meta = factories.make_destination("meta")
    send(factories.event("SignUp", "fine"), factories.event("SignUp", "old"), factories.event("Purchase", "off"))
    settle(meta, State.DEAD, "refused")
    Event.objects.filter(event_id="old").update(occurred_at=timezone.now() - timedelta(days=30))
    toggles.apply(meta, on={"Purchase": False})
    plan = Plan(ReplayKind.DEAD, meta)
    assert replay_plan.estimate(plan).left == {"too_old": 1, "not_selected": 1}
    replay = go(plan)
    assert (replay.moved, replay.left) == (1, {"too_old": 1, "not_selected": 1})
    assert books(meta) == recount(meta) == {"received": 3, "dead refused": 2}


def test_a_backfill_sends_what_was_skipped_and_what_is_older_than_the_destination() -> None:
    meta = factories.make_destination("meta")
    send(*(factories.event("FeatureUsed", f"f{n}") for n in range(3)), factories.event("SignUp", "s1"))
    late = factories.make_destination("meta", name="Late")
    send(factories.event("FeatureUsed", "f9"), factories.event("SignUp", "s9"))
    settle(late, State.DELIVERED, event__event_id="s9")
    for destination in (meta, late):
        toggles.apply(destination, on={"FeatureUsed": True})
    assert books(meta) == {"received": 6, "skipped not_selected": 4}
    plan = Plan(ReplayKind.MISSED, meta, event="FeatureUsed")
    assert replay_plan.estimate(plan)[:2] == (4, 4)
    assert go(plan).moved == 4
    assert books(meta) == recount(meta) == {"received": 6}

    found = replay_plan.estimate(Plan(ReplayKind.MISSED, late))
    assert (found.matching, found.sendable, found.left) == (6, 5, {replay_plan.ACCEPTED: 1})
    replay = go(Plan(ReplayKind.MISSED, late))
    assert (replay.moved, replay.left) == (5, {replay_plan.ACCEPTED: 1})
    assert books(late) == recount(late) == {"received": 6, "delivered": 1}
    assert go(Plan(ReplayKind.MISSED, late)).moved == 0, "nothing is sent twice"


def test_a_backfill_leaves_what_the_event_itself_lacks() -> None:
    meta = factories.make_destination("meta")
    send(factories.event("SignUp", "a"), factories.event("SignUp", "b"), factories.event("SignUp", "c"))
    settle(meta, State.SKIPPED, "no_identity", event__event_id="a")
    settle(meta, State.SKIPPED, "not_selected", event__event_id="b")
    settle(meta, State.DEAD, "refused", event__event_id="c")
    replay = go(Plan(ReplayKind.MISSED, meta))
    assert (replay.moved, replay.left) == (1, {"no_identity": 1, replay_plan.DEAD_LETTER: 1})
    assert books(meta) == recount(meta) == {"received": 3, "skipped no_identity": 1, "dead refused": 1}


def test_a_backfill_never_sends_again_what_was_delivered_and_forgotten(settings: Any) -> None:
    settings.RETENTION_DAYS = {"deliveries": 180}
    hook = factories.make_destination("webhook")
    toggles.apply(hook, on={"SignUp": True, "Purchase": False})
    send(factories.event("SignUp", "sent"), factories.event("Purchase", "missed"))
    settle(hook, State.DELIVERED)
    long_ago = timezone.now() - timedelta(days=200)
    Event.objects.update(received_at=long_ago, occurred_at=long_ago)
    IngestBatch.objects.update(received_at=long_ago)
    Delivery.objects.update(created_at=long_ago)
    retention.forget_old()
    assert not Delivery.objects.filter(destination=hook).exists()

    toggles.apply(hook, on={"Purchase": True})
    plan = Plan(ReplayKind.MISSED, hook)
    assert replay_plan.estimate(plan).left == {replay_plan.FORGOTTEN: 1}
    replay = go(plan)
    assert (replay.moved, replay.left) == (1, {replay_plan.FORGOTTEN: 1})
    assert Delivery.objects.get(destination=hook).event.event_id == "missed"
    assert books(hook) == {"received": 2, "delivered": 1}


def test_a_destination_that_was_not_asked_yet_gets_what_came_in_the_moment_it_was_made() -> None:
    early = snapshot.current().version
    send(factories.event("SignUp", "e1"))
    webhook = platforms.get("webhook")
    config = webhook.example_config()
    hook = changes.create(webhook, name="Hook", is_sandbox=True, config=config, sources=None, user=None)
    # A worker routed with what it had read before, and its clock is ahead of the one that made the destination.
    IngestBatch.objects.update(routing_version=early, routed_at=timezone.now() + timedelta(seconds=1))
    assert go(Plan(ReplayKind.MISSED, hook)).moved == 1
    assert books(hook) == recount(hook) == {"received": 1}


def test_the_rate_bounds_a_turn_and_a_step_leaves_off_where_it_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_plan, "SCAN_ROWS", 4)
    meta = factories.make_destination("meta")
    send(*(factories.event("SignUp", f"e{n}") for n in range(25)))
    settle(meta, State.DEAD, "refused")
    replay = replays.start(Plan(ReplayKind.DEAD, meta), rate=3, user=None)
    assert turn(replay, seconds=2) == 6
    assert turn(replay, seconds=60) == 15, "what a long wait adds up to is bounded"
    assert replay.state == ReplayState.RUNNING
    assert 0 < replays.progress(replay).percent < 100
    turn(replay)
    assert (replay.moved, replay.state) == (25, ReplayState.DONE)
    assert replay.finished_at is not None


def test_live_events_and_a_held_destination_make_it_wait() -> None:
    meta = factories.make_destination("meta")
    send(factories.event("SignUp", "dead"))
    settle(meta, State.DEAD, "refused")
    send(factories.event("SignUp", "live"))
    replay = replays.start(Plan(ReplayKind.DEAD, meta), rate=10, user=None)
    Delivery.objects.filter(event__event_id="live").update(due_at=timezone.now() - timedelta(seconds=30))
    assert turn(replay) == 0
    assert "Live events" in replay.waits_for
    settle(meta, State.DELIVERED, event__event_id="live")
    Destination.objects.filter(pk=meta.pk).update(hold=Hold.PAUSED)
    assert turn(replay) == 0
    assert "is held" in replay.waits_for
    Destination.objects.filter(pk=meta.pk).update(hold="")
    assert turn(replay) == 1


def test_pause_resume_cancel() -> None:
    meta = factories.make_destination("meta")
    send(*(factories.event("SignUp", f"e{n}") for n in range(9)))
    settle(meta, State.DEAD, "refused")
    replay = replays.start(Plan(ReplayKind.DEAD, meta), rate=1, user=None)
    assert turn(replay, seconds=3) == 3
    assert replays.steer(replay, "pause", user=None)
    assert turn(replay) == 0
    assert not replays.steer(replay, "pause", user=None)
    assert replays.steer(replay, "resume", user=None)
    assert turn(replay, seconds=2) == 2
    assert replays.steer(replay, "cancel", user=None)
    assert turn(replay) == 0
    assert not replays.steer(replay, "resume", user=None), "what is cancelled stays so"
    assert Delivery.objects.filter(state=State.DEAD).count() == 4
    assert books(meta) == recount(meta)


def test_a_broken_turn_moves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    meta = factories.make_destination("meta")
    send(factories.event("SignUp", "e1"))
    settle(meta, State.DEAD, "refused")
    replay = replays.start(Plan(ReplayKind.DEAD, meta), rate=10, user=None)
    monkeypatch.setattr(replays.ledger.Tally, "write", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        turn(replay)
    monkeypatch.undo()
    assert Delivery.objects.get(destination=meta).state == State.DEAD
    replay.refresh_from_db()
    assert (replay.cursor, replay.moved) == (replay.lowest, 0)


def test_what_cannot_be_started_is_said() -> None:
    warehouse = Destination.objects.get(platform_key="warehouse")
    with pytest.raises(replay_plan.ReplayError, match="built in"):
        replays.start(Plan(ReplayKind.MISSED, warehouse), rate=10, user=None)
    with pytest.raises(replay_plan.ReplayError, match="rate"):
        replays.start(Plan(ReplayKind.DEAD, factories.make_destination("meta")), rate=0, user=None)


# --- Screens ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", PAGES)
def test_pages_ask_who_is_there_and_what_they_may(name: str) -> None:
    page = reverse(f"destinations:{name}")
    assert Client().get(page).status_code == 302
    assert client_with("destinations.view_delivery").get(page).status_code == 403
    for group in ("Engineer", "Marketer"):
        assert client_with(group=group).get(page).status_code == 200
    assert client_with(group="Viewer").get(page).status_code == (200 if name == "replays" else 403)


def test_from_dead_letters_to_a_finished_replay() -> None:
    meta = factories.make_destination("meta", name="Pixel")
    send(*(factories.event("SignUp", f"e{n}") for n in range(3)))
    settle(meta, State.DEAD, "refused")
    client = client_with(group="Engineer")
    html = client.get(reverse("destinations:dead_letters")).content.decode()
    link = html.split('class="button is-small" href="')[1].split('"')[0].replace("&amp;", "&")
    assert link.startswith(reverse("destinations:replay_new"))
    plan = client.get(link).content.decode()
    assert "Dead deliveries with the cause “Refused” are sent again to Pixel, 50 a second at most." in plan
    assert "Send 3" in plan
    answer = client.post(
        reverse("destinations:replay_new"),
        {"kind": "dead", "destination": meta.pk, "reason": "refused", "rate": "50"},
    )
    replay = Replay.objects.get()
    assert answer.url == reverse("destinations:replay", args=[replay.pk])
    assert replay.started_by.startswith("user-")
    page = client.get(answer.url).content.decode()
    assert 'hx-trigger="every 2s"' in page
    turn(replay)
    sending = client.get(answer.url, headers={"HX-Request": "true"})
    assert sending.status_code == 200, "ended, but what it handed over last is still to be sent"
    assert 'hx-trigger="every 5s"' in sending.content.decode()
    settle(meta, State.DELIVERED)
    done = client.get(answer.url, headers={"HX-Request": "true"})
    assert done.status_code == 286
    assert "hx-trigger" not in done.content.decode()
    assert "3 of 3 expected" in client.get(answer.url).content.decode()


def test_chosen_rows_and_one_row() -> None:
    meta = factories.make_destination("meta")
    send(factories.event("SignUp", "a"), factories.event("SignUp", "b"))
    settle(meta, State.DEAD, "refused")
    client = client_with(group="Marketer")
    html = client.get(reverse("destinations:deliveries")).content.decode()
    keys = [row.pk for row in Delivery.objects.filter(destination=meta).order_by("pk")]
    assert all(f'name="only" value="{key}"' in html for key in keys)
    plan = client.get(reverse("destinations:replay_new"), {"only": [str(keys[0])]}).content.decode()
    assert "Send 1" in plan
    client.post(reverse("destinations:replay_one"), {"delivery": keys[1]})
    turn(Replay.objects.get())
    assert [row.state for row in Delivery.objects.filter(destination=meta).order_by("pk")] == [
        State.DEAD,
        State.WAITING,
    ]
    assert (
        client_with(group="Viewer").post(reverse("destinations:replay_one"), {"delivery": keys[0]}).status_code == 403
    )


def test_rows_of_two_destinations_are_not_quietly_halved() -> None:
    one, two = factories.make_destination("meta", name="One"), factories.make_destination("meta", name="Two")
    send(factories.event("SignUp", "a"))
    for destination in (one, two):
        settle(destination, State.DEAD, "refused")
    keys = [str(row.pk) for row in Delivery.objects.filter(state=State.DEAD)]
    html = client_with(group="Engineer").get(reverse("destinations:replay_new"), {"only": keys}).content.decode()
    assert "1 of the chosen deliveries is of another destination" in html
    assert "Send 1" not in html


def test_all_that_match_an_event_id_are_not_all_that_is_dead() -> None:
    meta = factories.make_destination("meta")
    send(factories.event("SignUp", "a"), factories.event("SignUp", "b"))
    settle(meta, State.DEAD, "refused")
    client, page = client_with(group="Engineer"), reverse("destinations:deliveries")
    assert "Replay all that match" in client.get(page, {"destination": meta.pk}).content.decode()
    html = client.get(page, {"destination": meta.pk, "event_id": "a"}).content.decode()
    assert "Replay the chosen" in html
    assert "Replay all that match" not in html, "a replay knows no event ids and would send both"


def test_the_sentence_says_which_events_before_what_becomes_of_them() -> None:
    meta = factories.make_destination("meta", name="Pixel")
    plan = Plan(ReplayKind.MISSED, meta, since=datetime(2026, 1, 31, 12, tzinfo=UTC))
    said = "Events received since 2026-01-31 12:00 UTC that were not sent go to Pixel, 50 a second at most"
    assert replay_plan.sentence(plan, 50) == said
    plan = Plan(ReplayKind.MISSED, meta)
    assert replay_plan.sentence(plan, 50) == "Events that were not sent go to Pixel, 50 a second at most"


def test_nonsense_is_refused_with_a_sentence() -> None:
    client = client_with(group="Engineer")
    page = reverse("destinations:replay_new")
    meta = factories.make_destination("meta")
    for query in (
        {"destination": "9999"},
        {"destination": meta.pk, "only": "x"},
        {"destination": meta.pk, "rate": "0"},
    ):
        answer = client.get(page, query)
        assert answer.status_code == 200
        assert "What would happen" not in answer.content.decode()
    assert client.post(page, {"kind": "dead"}).status_code == 200
    assert not Replay.objects.exists()
    replay = replays.start(Plan(ReplayKind.DEAD, meta), rate=10, user=None)
    assert client.post(reverse("destinations:replay_steer", args=[replay.pk]), {"action": "explode"}).status_code == 400


@pytest.mark.parametrize("key", ["²", "9" * 5000])
def test_a_key_that_is_none_is_no_server_error(key: str) -> None:
    client = client_with(group="Engineer")
    assert client.get(reverse("destinations:replay_new"), {"only": key}).status_code == 200
    assert client.post(reverse("destinations:replay_one"), {"delivery": key}).status_code == 404


def test_a_destination_offers_to_send_the_last_days() -> None:
    meta = factories.make_destination("meta")
    html = client_with(group="Engineer").get(reverse("destinations:edit", args=[meta.pk])).content.decode()
    assert f"kind=missed&amp;destination={meta.pk}&amp;since=" in html


# --- Command -----------------------------------------------------------------------------------------------
def test_the_command_says_and_starts(capsys: pytest.CaptureFixture[str]) -> None:
    meta = factories.make_destination("meta", name="Pixel")
    send(factories.event("SignUp", "a"))
    settle(meta, State.DEAD, "refused")
    call_command("replay", destination="Pixel", dry_run=True)
    assert "are sent  1" in capsys.readouterr().out
    assert not Replay.objects.exists()
    call_command("replay", destination="Pixel", since="2026-01-01")
    assert "is started" in capsys.readouterr().out
    assert turn(Replay.objects.get()) == 1
    with pytest.raises(CommandError, match=r"There is no destination 'Nope'\. There are: .*Pixel"):
        call_command("replay", destination="Nope")


def test_a_backfill_by_reason_of_death_is_refused_instead_of_sending_everything() -> None:
    meta = factories.make_destination("meta", name="Pixel")
    send(factories.event("FeatureUsed", "a"))
    toggles.apply(meta, on={"FeatureUsed": True})
    with pytest.raises(CommandError, match="reason"):
        call_command("replay", destination="Pixel", missed=True, reason="exhausted")
    assert not Replay.objects.exists()
    with pytest.raises(replay_plan.ReplayError, match="reason"):
        replays.start(Plan(ReplayKind.MISSED, meta, reason="exhausted"), rate=10, user=None)


def test_keys_fit() -> None:
    assert delivery_pk(5, 7) >> DESTINATION_BITS == 5


def test_nothing_is_replayed_to_a_destination_that_is_about_to_be_deleted() -> None:
    """It would be deleted between two steps, and the rest be left behind without a word."""
    meta = factories.make_destination("meta")
    send(factories.event("SignUp", "e1"), factories.event("SignUp", "e2"))
    settle(meta, State.DEAD, "refused", event__event_id="e1")
    changes.delete(meta, user=None, is_finished_first=True)
    meta.refresh_from_db()
    assert meta.closing_at is not None
    plan = Plan(ReplayKind.DEAD, meta)
    with pytest.raises(replays.ReplayError, match="about to be deleted"):
        replays.start(plan, rate=10, user=None)
    dead = Delivery.objects.get(destination=meta, state=State.DEAD)
    client = client_with(group="Engineer")
    answer = client.post(reverse("destinations:replay_one"), {"delivery": dead.pk}, follow=True)
    assert "about to be deleted" in answer.content.decode()
    assert not Replay.objects.exists()
