"""Tracing one event: page-free, through the real ingest and routing."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.management import call_command

from destinations.models import Attempt, Delivery, Destination, Hold, State
from destinations.trace import document, trace
from events.ingest import Sender, accept_batch
from events.models import RejectedEvent, Source
from routing.dispatch import route_due
from tests import factories

pytestmark = pytest.mark.django_db


def send(source: Source, *events: dict[str, Any]) -> None:
    accept_batch(json.dumps(list(events)).encode(), Sender(source_id=source.pk, trace_id="a" * 32))


def lane(found: dict[str, Any], destination: Destination) -> dict[str, Any]:
    return next(entry for entry in found["destinations"] if entry["destination"] == destination.name)


def test_unknown_id_is_not_found() -> None:
    assert trace("nobody-sent-this") == []
    assert document("nobody-sent-this")["found"] is False


def test_before_routing_every_destination_is_unrouted() -> None:
    meta = factories.make_destination("meta")
    send(factories.make_source(), factories.event(event_id="e1"))
    (found,) = trace("e1")
    assert lane(found, meta)["state"] == "unrouted"
    assert found["batch"]["routed_at"] is None


def test_waiting_skipped_delivered_and_held() -> None:
    meta, off = factories.make_destination("meta"), factories.make_destination("webhook", is_enabled=False)
    held = factories.make_destination(
        "webhook", hold=Hold.CREDENTIALS, hold_detail="Token refused", event_mode="everything"
    )
    source = factories.make_source("Shop")
    send(source, factories.event(event_id="other"), factories.event(event_id="e2"))
    route_due()
    (found,) = trace("e2", "Shop")
    assert found["source"] == "Shop"
    assert found["batch"]["trace_id"] == "a" * 32
    assert lane(found, meta)["state"] == "waiting"
    assert lane(found, meta)["next_try_at"]
    assert (lane(found, off)["state"], lane(found, off)["reason"]) == ("skipped", "destination_disabled")
    assert lane(found, off)["sentence"] == f"{off.name} is switched off."
    assert lane(found, held)["state"] == "held"
    assert "Token refused" in lane(found, held)["sentence"]
    assert [entry["state"] for entry in found["destinations"] if entry["platform"] == "warehouse"] == ["delivered"]
    assert trace("e2", "Nobody") == []


def test_attempts_of_a_dead_delivery() -> None:
    meta = factories.make_destination("meta")
    send(factories.make_source(), factories.event(event_id="e3"))
    route_due()
    row = Delivery.objects.get(destination=meta)
    attempt = Attempt.objects.create(
        destination=meta,
        delivery_ids=[row.pk],
        started_at=datetime.now(UTC),
        latency_ms=12,
        method="POST",
        url="https://example.com",
        request_body="{}",
        status=400,
        outcome="permanent",
        detail="Invalid parameter",
    )
    Delivery.objects.filter(pk=row.pk).update(
        state=State.DEAD, reason="refused", detail="Invalid parameter", tries=1, attempts=[attempt.pk], due_at=None
    )
    (found,) = trace("e3")
    entry = lane(found, meta)
    assert entry["state"] == "dead"
    assert entry["sentence"] == "Meta refused the event. Invalid parameter."
    assert [(made["status"], made["latency_ms"]) for made in entry["attempts"]] == [(400, 12)]


def test_several_sources_may_send_one_id_and_rejections_answer_too() -> None:
    for name in ("One", "Two"):
        send(factories.make_source(name), factories.event(event_id="e4"))
    assert [event["source"] for event in trace("e4")] == ["Two", "One"]
    source = factories.make_source("Three")
    send(source, factories.event("signup", event_id="e5"))
    (found,) = trace("e5")
    assert found["state"] == "rejected"
    assert "did you mean" in found["sentence"].lower()
    assert found["rejected_id"] == RejectedEvent.objects.get().pk


def test_the_number_of_queries_does_not_grow_with_destinations(django_assert_max_num_queries: Any) -> None:
    for _ in range(5):
        factories.make_destination("webhook")
    send(factories.make_source(), factories.event(event_id="e6"))
    route_due()
    with django_assert_max_num_queries(8):  # two of them open and close the view
        trace("e6")


def test_command_prints_one_json_document(capsys: pytest.CaptureFixture[str]) -> None:
    send(factories.make_source("Shop"), factories.event(event_id="e7"))
    route_due()
    out = io.StringIO()
    call_command("trace", "e7", "--json", stdout=out)
    printed = json.loads(out.getvalue())
    assert printed["found"] is True
    assert printed["source"] == "Shop"
    assert printed["destinations"] == printed["events"][0]["destinations"]
    out = io.StringIO()
    call_command("trace", "e7", stdout=out)
    assert "delivered  Warehouse" in out.getvalue()


def test_command_exits_with_1_when_nothing_is_found() -> None:
    out = io.StringIO()
    with pytest.raises(SystemExit) as error:
        call_command("trace", "nope", "--json", stdout=out)
    assert error.value.code == 1
    assert json.loads(out.getvalue())["found"] is False
