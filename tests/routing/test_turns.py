"""Sources share a destination; what is new goes before what is tried again."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from destinations import delivery, pacing, queue, standing
from destinations.models import Delivery, Destination
from events.ingest import Sender, accept_batch
from events.models import IngestBatch, Source
from routing import dispatch
from routing.turns import Turns
from tests.factories import event, make_destination, make_source


@pytest.fixture(autouse=True)
def _no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("events.ingest", "routing.dispatch"):
        monkeypatch.setattr(f"{module}.nudge", lambda *_: None)


def test_where_nothing_waits_the_turn_is_now() -> None:
    turns = Turns()
    assert turns.start(1, 1, {}, now=1_000) == 1_000
    turns.took(1, 1, 1_000, events=500)
    assert turns.start(1, 1, {}, now=2_000) == 2_000
    assert turns.start(1, 1, {}, now=1_200) == 1_200, "never in the future"


def test_a_long_queue_stands_behind_itself() -> None:
    turns, heads = Turns(), {7: 1_000}
    for n in range(4):
        start = turns.start(7, 1, heads, now=9_000_000)
        assert start == 1_000 + n * 100
        turns.took(7, 1, start, events=100)
    assert turns.start(7, 2, heads, now=9_000_000) == 1_000, "another source is served next"
    assert turns.start(8, 1, heads, now=9_000_000) == 9_000_000, "another destination has a queue of its own"
    # What the second source did not use while it was silent it cannot save up.
    assert turns.start(7, 2, {7: 1_350}, now=9_000_000) == 1_350


def send(source: Source, name: str, count: int) -> None:
    events = [event("SignUp", f"{name}-{n}") for n in range(count)]
    accept_batch(json.dumps(events).encode(), Sender(source_id=source.pk, trace_id="t" * 32))


def claimed(destination: Destination, limit: int) -> Counter[str]:
    return Counter(row.of.event_id.split("-")[0] for row in queue.claim(destination.pk, limit))


@pytest.mark.django_db
def test_a_noisy_source_does_not_keep_a_quiet_one_waiting() -> None:
    meta = make_destination("meta")
    noisy, quiet = make_source("Import"), make_source("Backend")
    for n in range(40):
        send(noisy, f"noisy{n}", 100)
        dispatch.route_due()
    send(quiet, "quiet", 3)
    dispatch.route_due()
    assert claimed(meta, 300)["quiet"] == 3, "within the next claims, not behind the 4,000"
    send(noisy, "late", 5)
    dispatch.route_due()
    assert "late" not in claimed(meta, 1_000)


@pytest.mark.django_db
def test_a_step_of_routing_takes_from_every_source() -> None:
    make_destination("meta")
    noisy, quiet = make_source("Import"), make_source("Backend")
    for n in range(8):
        send(noisy, f"n{n}", 1)
    send(quiet, "q", 1)
    assert dispatch.route_step(limit=4) == 3, "two of one, and all there is of the other"
    assert not IngestBatch.objects.filter(source_id=quiet.pk, routed_at=None).exists()
    assert dispatch.route_step(limit=4) == 4, "who waits alone has it all"
    assert dispatch.route_due() == 2


@pytest.mark.django_db
def test_a_step_of_routing_is_no_larger_for_many_sources() -> None:
    make_destination("meta")
    for n in range(6):
        send(make_source(), f"s{n}", 1)
    assert [dispatch.route_step(limit=4) for _ in range(3)] == [4, 2, 0]


@pytest.mark.django_db
def test_what_was_never_tried_goes_before_what_is_tried_again() -> None:
    meta, source = make_destination("meta"), make_source()
    send(source, "again", 20)
    dispatch.route_due()
    long_ago = timezone.now() - timedelta(minutes=5)
    Delivery.objects.update(tries=2, due_at=long_ago)
    send(source, "fresh", 20)
    dispatch.route_due()
    assert claimed(meta, 8) == {"fresh": 7, "again": 1}, "an eighth is kept for them"
    assert claimed(meta, 1) == {"fresh": 1}
    assert claimed(meta, 100) == {"fresh": 12, "again": 12}
    assert claimed(meta, 100) == {"again": 7}, "with nothing fresh they have it all"
    assert not queue.has_due(meta.pk)


@pytest.mark.django_db
def test_what_is_late_is_told_whether_it_was_tried_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    meta, source = make_destination("meta"), make_source()
    send(source, "e", 2)
    assert standing.look() is None
    IngestBatch.objects.update(received_at=timezone.now() - timedelta(seconds=60))
    behind: Any = standing.look()
    assert behind.late == ("routing what came in",)
    dispatch.route_due()
    assert standing.look() is None
    ago = timezone.now() - timedelta(seconds=90)
    for tries in (0, 3):
        Delivery.objects.update(tries=tries, due_at=ago, created_at=ago)
        behind = standing.look()
        assert (behind.late, 89 <= behind.seconds <= 95) == ((meta.name,), True)
    # An early turn is a place in the queue: nobody waited before there was something to wait.
    Delivery.objects.update(due_at=ago, created_at=timezone.now())
    assert standing.look() is None


@pytest.mark.django_db
def test_what_is_given_back_keeps_its_turn(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """The platform takes one request for now: the rest of the claim goes back, and not behind everybody's queue."""
    settings.SANDBOX_URL = "http://127.0.0.1:1"
    hubspot = make_destination("hubspot", event_mode="everything")
    noisy, quiet = make_source("Import"), make_source("Backend")
    for n in range(10):
        send(noisy, f"noisy{n}", 100)
        dispatch.route_due()
    send(quiet, "quiet", 3)
    dispatch.route_due()
    before = dict(Delivery.objects.filter(destination=hubspot).values_list("pk", "due_at"))
    monkeypatch.setattr(pacing, "wait", lambda *_: 1.0)
    assert delivery.deliver_once(hubspot.pk)
    assert dict(Delivery.objects.filter(destination=hubspot).values_list("pk", "due_at")) == before
    assert claimed(hubspot, 300)["quiet"] == 3, "within the next claims, as if nobody had claimed them"
