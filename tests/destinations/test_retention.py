"""Forgetting old rows: oldest first, class by class, with the books kept."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import Sum
from django.utils import timezone

from destinations import retention
from destinations.models import Delivery, Hold, LedgerEntry, State
from events.ingest import Sender, accept_batch
from events.models import Event, IngestBatch, RejectedEvent, event_pk
from routing.dispatch import route_due
from tests.factories import event, make_destination, make_source

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_wakes(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("events.ingest", "routing.dispatch"):
        monkeypatch.setattr(f"{module}.nudge", lambda *_: None)


def send(source: Any, *ids: str, days_ago: int = 0) -> None:
    events = [event("SignUp", name) for name in ids]
    accept_batch(json.dumps([*events, {"event": "bad name"}]).encode(), Sender(source_id=source.pk, trace_id="t" * 32))
    route_due()
    at = timezone.now() - timedelta(days=days_ago)
    batch = IngestBatch.objects.latest("pk")
    IngestBatch.objects.filter(pk=batch.pk).update(received_at=at)
    RejectedEvent.objects.filter(batch_id=batch.pk).update(received_at=at)
    Delivery.objects.filter(event__event_id__in=ids).update(created_at=at)


def test_each_class_goes_at_its_own_age(settings: Any) -> None:
    settings.RETENTION_DAYS = {"rejected": 10, "deliveries": 20, "events": 30}
    make_destination("meta")
    source = make_source()
    for age in (35, 25, 15, 5):
        send(source, f"age-{age}", days_ago=age)
    retention.forget_old()
    assert set(Event.objects.values_list("event_id", flat=True)) == {"age-25", "age-15", "age-5"}
    assert set(Delivery.objects.values_list("event__event_id", flat=True)) == {"age-15", "age-5"}
    assert RejectedEvent.objects.count() == 1
    retention.forget_old()
    assert Event.objects.count() == 3


def test_zero_keeps_for_ever(settings: Any) -> None:
    settings.RETENTION_DAYS = {"events": 0}
    send(make_source(), "old", days_ago=5000)
    assert retention.forget_old() == {"hours": 0}
    assert Event.objects.count() == 1


def test_what_still_waited_is_accounted_for_before_it_goes(settings: Any) -> None:
    settings.RETENTION_DAYS = {"deliveries": 20}
    held = make_destination("meta", hold=Hold.PAUSED)
    send(make_source(), "old", days_ago=25)
    assert Delivery.objects.get(destination=held).state == State.WAITING
    retention.forget_old()
    books = dict(
        LedgerEntry.objects.filter(destination=held)
        .values_list("state")
        .annotate(Sum("count"))
        .values_list("state", "count__sum")
    )
    assert books == {"received": 1, "dead": 1}
    assert LedgerEntry.objects.get(destination=held, state="dead").reason == "too_old"


def test_what_was_replayed_or_backfilled_lately_is_kept_though_its_event_is_old(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their keys are among the oldest; they neither go with their neighbours nor stand before them."""
    settings.RETENTION_DAYS = {"deliveries": 20}
    monkeypatch.setattr(retention, "ROWS_PER_STEP", 2)
    meta = make_destination("meta")
    source = make_source()
    for number in range(4):
        send(source, f"again-{number}", days_ago=25)
        send(source, f"old-{number}", days_ago=25)
    send(source, "young")
    Delivery.objects.filter(event__event_id__startswith="again", destination=meta).update(created_at=timezone.now())
    retention.forget_old()
    kept = set(Delivery.objects.filter(destination=meta).values_list("event__event_id", flat=True))
    assert kept == {"again-0", "again-1", "again-2", "again-3", "young"}
    dead = LedgerEntry.objects.filter(destination=meta, state="dead")
    assert sum(entry.count for entry in dead) == 4, "only what had waited all the time"
    assert retention.forget_deliveries(timezone.now() - timedelta(days=20)) == 0


def test_an_unrouted_batch_is_never_forgotten(settings: Any) -> None:
    settings.RETENTION_DAYS = {"events": 10}
    source = make_source()
    send(source, "old", days_ago=50)
    IngestBatch.objects.update(routed_at=None)
    routed = IngestBatch.objects.get()
    Event.objects.create(
        id=event_pk(routed.pk + 1, 0),
        source=source,
        event_id="later",
        name="SignUp",
        occurred_at=routed.received_at,
        received_at=routed.received_at,
        payload={},
    )
    routed.pk, routed.routed_at = routed.pk + 1, timezone.now()
    routed.save(force_insert=True)
    retention.forget_old()
    assert Event.objects.count() == 2, "what comes after it waits as well"


def test_a_step_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCHES_PER_STEP", 2)
    source = make_source()
    for n in range(5):
        send(source, f"n{n}", days_ago=50)
    assert retention.forget_events(timezone.now() - timedelta(days=10)) == 2
    assert Event.objects.count() == 3
