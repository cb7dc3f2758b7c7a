"""Silence: far less than in the same hours of past weeks, and nothing that has a plain explanation."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from destinations import ledger, retention, silence
from destinations.models import Destination, EventHour, LedgerEntry
from destinations.silence import Silence, silences
from events.ingest import Sender, accept_batch
from events.models import CanonicalEvent
from routing import snapshot, toggles
from routing.dispatch import route_due
from tests import factories

pytestmark = pytest.mark.django_db
NOW = timezone.now().replace(minute=10)
HOUR = NOW.replace(minute=0, second=0, microsecond=0)
WEEK = timedelta(weeks=1)


def hours(
    destination: Destination,
    at: datetime,
    delivered: int,
    *,
    event: str = "SignUp",
    received: int = -1,
    refused: int = 0,
) -> None:
    EventHour.objects.create(
        hour=at, destination=destination, event_name=event, delivered=delivered, refused=refused,
        received=delivered + refused if received < 0 else received,
    )  # fmt: skip


def known(destination: Destination, weeks: int = 2) -> None:
    """It has been there, and counted, for that long and a day."""
    Destination.objects.filter(pk=destination.pk).update(created_at=NOW - timedelta(days=60))
    hours(destination, HOUR - weeks * WEEK - timedelta(days=1, hours=1), 0, event="PageView")


def ago(count: int, week: int = 0) -> datetime:
    return HOUR - week * WEEK - timedelta(hours=count)


def test_the_quietest_of_the_same_hours_is_what_it_is_held_against() -> None:
    meta = factories.make_destination("meta")
    known(meta)
    hours(meta, ago(1, week=1), 40)
    hours(meta, ago(1, week=2), 12)
    assert silences(NOW) == [Silence(meta.pk, "SignUp", expected=12, received=0, hours=1)]
    hours(meta, ago(1), 1)
    assert silences(NOW) == [], "of 12, one may well be chance"


def test_a_fifth_of_plenty_is_far_below() -> None:
    meta = factories.make_destination("meta")
    known(meta)
    for week in (1, 2):
        hours(meta, ago(1, week), 50)
    hours(meta, ago(1), 11)
    assert silences(NOW) == []
    EventHour.objects.filter(hour=ago(1)).update(delivered=10, received=10)
    assert silences(NOW) == [Silence(meta.pk, "SignUp", expected=50, received=10, hours=1, delivered=10)]


def test_a_rare_event_is_missed_by_the_next_day() -> None:
    meta = factories.make_destination("meta")
    known(meta)
    for week in (1, 2):
        for at in range(1, 25, 2):
            hours(meta, ago(at, week), 1)
    (found,) = silences(NOW)
    assert (found.hours, found.expected) == (24, 12)


def test_nights_and_what_is_new_alarm_nobody() -> None:
    meta = factories.make_destination("meta")
    known(meta)
    for week in (1, 2):
        hours(meta, ago(30, week), 900)  # by day; these are the hours of the night
    assert silences(NOW) == []
    young = factories.make_destination("meta", created_at=NOW - timedelta(days=3))
    hours(young, ago(50), 900)
    assert silences(NOW) == []


def test_an_hour_that_is_not_over_is_not_judged() -> None:
    meta = factories.make_destination("meta")
    known(meta)
    for week in (1, 2):
        hours(meta, HOUR - week * WEEK, 900)
    assert silences(NOW) == []


def test_what_came_and_waits_is_no_silence() -> None:
    meta = factories.make_destination("meta")
    known(meta)
    for week in (1, 2):
        hours(meta, ago(1, week), 100)
    hours(meta, ago(1), 0, received=100)
    assert silences(NOW) == [], "it is behind, and that is told elsewhere"
    EventHour.objects.filter(hour=ago(1)).update(refused=95)
    LedgerEntry.objects.create(
        day=ago(1).date(), destination=meta, event_name="SignUp", state="skipped", reason="no_identity", count=95
    )
    assert [(one.reason, one.received) for one in silences(NOW)] == [("no_identity", 100)]


def test_what_somebody_switched_off_is_no_silence() -> None:
    meta, other = factories.make_destination("meta"), factories.make_destination("meta")
    for one in (meta, other):
        known(one)
        for week in (1, 2):
            hours(one, ago(1, week), 100)
    toggles.apply(meta, on={"SignUp": False})
    Destination.objects.filter(pk=other.pk).update(is_enabled=False)
    assert silences(NOW) == []


def test_a_retired_event_may_be_silent() -> None:
    meta, builtin = factories.make_destination("meta"), Destination.objects.get(platform_key="warehouse")
    for one in (meta, builtin):
        known(one)
        for week in (1, 2):
            hours(one, ago(1, week), 100)
    assert len(silences(NOW)) == 2
    CanonicalEvent.objects.filter(name="SignUp").update(retired_at=NOW)
    snapshot.bump()
    assert silences(NOW) == []


def test_what_is_about_to_be_deleted_is_no_silence() -> None:
    """It gets nothing new by somebody's wish, whatever most of its events were skipped for before."""
    meta = factories.make_destination("meta")
    known(meta)
    for week in (1, 2):
        hours(meta, ago(1, week), 100)
    LedgerEntry.objects.create(
        day=ago(1).date(), destination=meta, event_name="SignUp", state="skipped", reason="consent_denied", count=95
    )
    assert [one.reason for one in silences(NOW)] == ["consent_denied"]
    Destination.objects.filter(pk=meta.pk).update(closing_at=NOW)
    assert silences(NOW) == []


def test_folding_counts_the_hour_and_retention_forgets_it() -> None:
    meta = factories.make_destination("meta")
    sender = Sender(source_id=factories.make_source().pk, trace_id="s" * 32)
    events = [factories.event("SignUp", "e1"), factories.event("SignUp", "e2"), factories.event("FeatureUsed", "e3")]
    accept_batch(json.dumps(events).encode(), sender)
    route_due()
    ledger.fold()
    day = timezone.now().date()
    LedgerEntry.objects.create(day=day, destination=meta, event_name="SignUp", state="delivered", count=2)
    ledger.fold()
    counted = EventHour.objects.filter(destination=meta).values_list("event_name", "received", "delivered", "refused")
    assert set(counted) == {("SignUp", 2, 2, 0), ("FeatureUsed", 1, 0, 1)}
    EventHour.objects.update(hour=NOW - silence.KEPT - timedelta(hours=1))
    retention.forget_old()
    assert not EventHour.objects.exists()
