"""/metrics: the ledger's numbers, a bounded cost, and dashboards that name what exists."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from destinations import metrics
from destinations.models import DeliveryMinute, Hold, LedgerEntry, Span
from events import rejections
from events.ingest import Sender, accept_batch
from events.models import RejectedEvent, RejectedTotal
from routing.dispatch import route_due
from tests import factories

pytestmark = pytest.mark.django_db
DOCS = Path(__file__).resolve().parents[2] / "docs" / "grafana"


@pytest.fixture(autouse=True)
def _forget() -> None:
    metrics.forget()


def scrape() -> str:
    answer = Client().get("/metrics")
    assert answer.status_code == 200
    text: str = answer.content.decode()
    return text


def value(text: str, name: str, **labels: str) -> float:
    for line in text.splitlines():
        if re.match(rf"{name}(\{{| )", line) and all(f'{key}="{one}"' in line for key, one in labels.items()):
            return float(line.rpartition(" ")[2])
    raise AssertionError(f"no {name} {labels}")


def test_books_standing_rejections_and_latency() -> None:
    meta = factories.make_destination("meta", name="Pixel", hold=Hold.PAUSED)
    sender = Sender(source_id=factories.make_source().pk, trace_id="m" * 32)
    events = [factories.event("SignUp", "e1"), factories.event("FeatureUsed", "e2"), factories.event("signup", "bad")]
    accept_batch(json.dumps(events).encode(), sender)
    assert value(scrape(), "trackstack_batches_unrouted") == 1
    route_due()
    DeliveryMinute.objects.create(
        destination=meta, minute=timezone.now(), span=Span.PART, attempts=3, attempt_histogram=[0, 0, 2, 0, 1]
    )  # fmt: skip
    text = scrape()
    assert value(text, "trackstack_events_accepted_total") == 2
    assert value(text, "trackstack_deliveries_total", destination="Pixel", state="skipped", reason="not_selected") == 1
    assert value(text, "trackstack_deliveries_waiting", destination="Pixel") == 1
    assert value(text, "trackstack_queue_depth", destination="Pixel") == 1
    assert value(text, "trackstack_destination_held", destination="Pixel") == 1
    assert value(text, "trackstack_destination_breaker_open", destination="Pixel") == 0
    assert value(text, "trackstack_events_rejected_recent", code="unknown_name") == 1
    assert value(text, "trackstack_alerts_open", rule="lag") == 0
    assert value(text, "trackstack_attempt_latency_seconds_bucket", destination="Pixel", le="0.02") == 2
    assert value(text, "trackstack_attempt_latency_seconds_bucket", destination="Pixel", le=r"+Inf") == 3


def test_rejections_are_counted_once_and_outlive_what_is_forgotten() -> None:
    sender = Sender(source_id=factories.make_source().pk, trace_id="m" * 32)

    def reject(count: int) -> None:
        accept_batch(json.dumps([factories.event("signup", f"bad{n}") for n in range(count)]).encode(), sender)

    rejections.count_totals()
    assert rejections.totals() == {}
    reject(3)
    rejections.count_totals()
    assert rejections.totals() == {}, "a transaction may still be under way that puts one before the mark"
    RejectedEvent.objects.update(received_at=timezone.now() - timedelta(seconds=90))
    RejectedTotal.objects.update(counted_to=timezone.now() - timedelta(seconds=95))
    for _ in range(2):
        rejections.count_totals()
    assert value(scrape(), "trackstack_events_rejected_total", code="unknown_name") == 3
    RejectedEvent.objects.all().delete()
    reject(2)
    RejectedEvent.objects.update(received_at=timezone.now() - timedelta(seconds=10))
    RejectedTotal.objects.update(counted_to=timezone.now() - timedelta(seconds=70))
    rejections.count_totals()
    assert rejections.totals() == {"unknown_name": 3}
    RejectedEvent.objects.update(received_at=timezone.now() - timedelta(seconds=65))
    RejectedTotal.objects.update(counted_to=timezone.now() - timedelta(seconds=70))
    rejections.count_totals()
    assert rejections.totals() == {"unknown_name": 5}


def test_the_past_is_summed_once(django_assert_num_queries: Any) -> None:
    meta = factories.make_destination("meta")
    old = timezone.now().date() - timedelta(days=40)
    LedgerEntry.objects.create(day=old, destination=meta, event_name="SignUp", state="received", count=7)
    with django_assert_num_queries(2):
        assert metrics.totals()[meta.pk, "received", ""] == 7
    LedgerEntry.objects.create(
        day=timezone.now().date(), destination=meta, event_name="SignUp", state="received", count=2
    )  # fmt: skip
    with django_assert_num_queries(1):
        assert metrics.totals()[meta.pk, "received", ""] == 9


@pytest.mark.parametrize("name", ["trackstack.json", "alert-rules.yml"])
def test_dashboards_and_rules_name_what_exists(name: str) -> None:
    factories.make_destination("meta")
    send = Sender(source_id=factories.make_source().pk, trace_id="m" * 32)
    accept_batch(json.dumps([factories.event("SignUp"), factories.event("nope")]).encode(), send)
    route_due()
    text = scrape()
    named = set(re.findall(r"trackstack_[a-z_]+", (DOCS / name).read_text()))
    assert len(named) >= 4
    known = set(re.findall(r"^# TYPE (trackstack_\S+)", text, re.MULTILINE))
    assert {one for one in named if one.removesuffix("_bucket") not in known} == set()
