"""The roll-up behind Health: written with every outcome, folded without loss, equal to a recount."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from destinations import delivery, minutes, retention, tasks
from destinations.models import Attempt, Delivery, DeliveryMinute, Destination, Hold, Span, State
from destinations.sandbox.server import Sandbox, running_sandbox
from events.ingest import Sender, accept_batch
from events.models import Event
from routing.dispatch import route_due
from tests.factories import event, make_destination, make_source

pytestmark = pytest.mark.django_db

COUNTS = ("delivered", "failed", "dead", "attempts")


@pytest.fixture(scope="module")
def _server() -> Iterator[Sandbox]:
    with running_sandbox() as server:
        yield server


@pytest.fixture
def sandbox(_server: Sandbox, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    _server.clear()
    settings.SANDBOX_URL = _server.url
    for module in ("events.ingest", "routing.dispatch", "destinations.delivery"):
        monkeypatch.setattr(f"{module}.nudge", lambda *_: None)
    return _server


def owe(*ids: str, waited: timedelta = timedelta()) -> None:
    """Accept and route one event an id, received that long ago."""
    sender = Sender(source_id=make_source().pk, trace_id="m" * 32)
    accept_batch(json.dumps([event("SignUp", name) for name in ids]).encode(), sender)
    Event.objects.filter(event_id__in=ids).update(received_at=timezone.now() - waited)
    route_due()


def deliver(destination: Destination) -> None:
    """Everything that is due, retries included."""
    waiting = Delivery.objects.filter(destination=destination, state=State.WAITING)
    for _ in range(20):
        waiting.update(due_at=timezone.now())
        Destination.objects.filter(pk=destination.pk).update(backoff_until=None)
        if not delivery.deliver_once(destination.pk):
            break
    assert not waiting.exists()


def totals(destination: Destination, *spans: Span) -> dict[str, Any]:
    """The sum of a destination's rows, histograms included."""
    found: Counter[str] = Counter()
    histograms: dict[str, Counter[int]] = {"delivery": Counter(), "attempt": Counter()}
    for row in DeliveryMinute.objects.filter(destination=destination, span__in=spans):
        found.update({name: getattr(row, name) for name in COUNTS})
        for name, counted in histograms.items():
            counted.update(dict(enumerate(getattr(row, f"{name}_histogram"))))
    return {name: found[name] for name in COUNTS} | {name: +counted for name, counted in histograms.items()}


def recount(destination: Destination) -> dict[str, int]:
    """The same from deliveries and attempts themselves."""
    states = Counter(Delivery.objects.filter(destination=destination).values_list("state", flat=True))
    made = {attempt.pk: attempt for attempt in Attempt.objects.filter(destination=destination)}
    failed = sum(
        made[pk].outcome != "ok" for row in Delivery.objects.filter(destination=destination) for pk in row.attempts
    )
    return {
        "delivered": states[State.DELIVERED],
        "failed": failed - states[State.DEAD],
        "dead": states[State.DEAD],
        "attempts": len(made),
    }


def test_the_roll_up_equals_a_recount_after_real_deliveries(sandbox: Sandbox) -> None:
    hook = make_destination("webhook", event_mode="everything")
    meta = make_destination("meta")
    ids = [f"e{number}" for number in range(30)]
    owe(*ids[:20], waited=timedelta(seconds=50))
    sandbox.fail("webhook", "500", times=4)
    sandbox.fail("webhook", "413", match={"event_id": "e7"})
    sandbox.fail("meta", "503", times=1)
    for destination in (hook, meta):
        deliver(destination)
    owe(*ids[20:], waited=timedelta(seconds=50))
    for destination in (hook, meta):
        deliver(destination)
        expected = recount(destination)
        written = totals(destination, Span.PART)
        assert {name: written[name] for name in COUNTS} == expected
        assert sum(written["delivery"].values()) == expected["delivered"]
        assert sum(written["attempt"].values()) == expected["attempts"]
        slow = minutes.BOUNDS_MS.index(60_000)
        assert set(written["delivery"]) == {slow}, "accepted 50 s before it was delivered"
    assert recount(hook) == {"delivered": 29, "failed": 4, "dead": 1, "attempts": 34}
    assert recount(meta)["failed"] == 20

    parts = {destination.pk: totals(destination, Span.PART) for destination in (hook, meta)}
    tasks.fold_ledger()
    assert not DeliveryMinute.objects.filter(span=Span.PART).exists()
    for destination in (hook, meta):
        assert totals(destination, Span.MINUTE) == parts[destination.pk]
        assert totals(destination, Span.QUARTER) == parts[destination.pk]


def test_a_flush_is_one_row_however_many_deliveries(sandbox: Sandbox) -> None:
    meta = make_destination("meta")
    owe(*(f"e{number}" for number in range(40)))
    deliver(meta)
    row = DeliveryMinute.objects.get()
    assert (row.delivered, row.attempts, row.span) == (40, 1, Span.PART)


def test_refused_credentials_are_failed_tries_and_what_is_given_back_unsent_is_none(sandbox: Sandbox) -> None:
    hook = make_destination("webhook", event_mode="everything")
    owe("e1", "e2", "e3")
    sandbox.fail("webhook", "401", times=1)
    delivery.deliver_once(hook.pk)
    hook.refresh_from_db()
    assert hook.hold == Hold.CREDENTIALS
    assert totals(hook, Span.PART) | {"attempt": None} == {
        "delivered": 0, "failed": 1, "dead": 0, "attempts": 1, "delivery": Counter(), "attempt": None,
    }  # fmt: skip


def test_events_that_a_bad_one_took_with_them_lose_no_try_and_are_no_failures(sandbox: Sandbox) -> None:
    linkedin = make_destination("linkedin")
    sender = Sender(source_id=make_source().pk, trace_id="m" * 32)
    bad = event("SignUp", "bad", platformParams={"linkedin": {"action_source": "carrier pigeon"}})
    accept_batch(json.dumps([event("SignUp", "e1"), bad, event("SignUp", "e2")]).encode(), sender)
    route_due()
    assert delivery.deliver_once(linkedin.pk) == 3
    rows = {row.event.event_id: row for row in Delivery.objects.filter(destination=linkedin).select_related("event")}
    assert {name: (row.state, row.tries) for name, row in rows.items()} == {
        "e1": (State.WAITING, 0), "bad": (State.DEAD, 1), "e2": (State.WAITING, 0),
    }  # fmt: skip
    assert Attempt.objects.get().outcome == "permanent", "what is to blame gives the attempt its name"
    assert delivery.deliver_once(linkedin.pk) == 2
    counted = totals(linkedin, Span.PART)
    assert {name: counted[name] for name in COUNTS} == {"delivered": 2, "failed": 0, "dead": 1, "attempts": 2}


def part(destination: Destination, at: datetime, **values: Any) -> None:
    DeliveryMinute.objects.create(destination=destination, minute=at, **values)


def test_folding_adds_to_what_is_there_in_both_spans() -> None:
    one, other = make_destination("webhook"), make_destination("webhook")
    at = datetime(2026, 3, 1, 10, 7, tzinfo=UTC)
    part(one, at, delivered=1, lag_seconds=9, delivery_histogram=[0, 1])
    assert minutes.fold() == 1
    part(one, at, delivered=2, failed=1, lag_seconds=4, delivery_histogram=[1, 0, 1], attempt_histogram=[3])
    part(one, at + timedelta(minutes=1), dead=1, attempts=1)
    part(one, at + timedelta(minutes=8), delivered=5)
    part(other, at, delivered=7)
    assert (minutes.fold(limit=2), minutes.fold(limit=9), minutes.fold()) == (2, 2, 0)
    rows = DeliveryMinute.objects.filter(destination=one).order_by("span", "minute")
    assert [(r.span, r.minute - at, r.delivered, r.failed, r.dead, r.attempts, r.lag_seconds) for r in rows] == [
        (1, timedelta(), 3, 1, 0, 0, 9),
        (1, timedelta(minutes=1), 0, 0, 1, 1, 0),
        (1, timedelta(minutes=8), 5, 0, 0, 0, 0),
        (15, timedelta(minutes=-7), 3, 1, 1, 1, 9),
        (15, timedelta(minutes=8), 5, 0, 0, 0, 0),
    ]
    assert (rows[0].delivery_histogram, rows[0].attempt_histogram) == ([1, 1, 1], [3])
    assert DeliveryMinute.objects.get(destination=other, span=Span.QUARTER).delivered == 7


def test_lag_is_noted_where_due_rows_wait_for_us() -> None:
    late, held = make_destination("webhook"), make_destination("webhook", hold=Hold.PAUSED)
    make_destination("webhook", event_mode="custom")  # nothing waits there
    Destination.objects.filter(pk__in=(late.pk, held.pk)).update(event_mode="everything")
    owe("e1")
    ago = timezone.now() - timedelta(seconds=100)
    Delivery.objects.filter(state=State.WAITING).update(due_at=ago, created_at=ago)
    minutes.note_lag()
    row = DeliveryMinute.objects.get()
    assert (row.destination_id, row.lag_seconds // 10, row.attempts) == (late.pk, 10, 0)


def test_minutes_are_forgotten_after_their_time(settings: Any) -> None:
    hook = make_destination("webhook")
    now = timezone.now()
    for days in (9, 7):
        part(hook, now - timedelta(days=days), span=Span.MINUTE)
    retention.forget_old(now)
    assert [now - row.minute for row in DeliveryMinute.objects.all()] == [timedelta(days=7)]


def test_percentiles_of_a_histogram() -> None:
    assert minutes.percentile([], 0.5) is None
    assert minutes.percentile([0, 0], 0.95) is None
    counts = minutes.histogram({3: 1, 90: 97, 1_400: 2})
    assert sum(counts) == 100
    assert 75 < (minutes.percentile(counts, 0.5) or 0) <= 100
    assert 75 < (minutes.percentile(counts, 0.95) or 0) <= 100
    assert 1_000 < (minutes.percentile(counts, 0.99) or 0) <= 1_500
    assert minutes.percentile(minutes.histogram({10**12: 3}), 0.5) == minutes.BOUNDS_MS[-1]
    assert minutes.histogram({0: 1, 5: 1, 6: 1}) == [2, 1]
