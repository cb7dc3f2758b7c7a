"""Forgetting: rows older than each class of data is kept, oldest first, in small steps.

A step takes a bounded run of the primary key, which is in order of time in every hot table (`events.models.event_pk`
and `destinations.models.delivery_pk`), so it costs the same at ten million rows as at ten thousand and never holds a
lock that ingest or delivery waits for. The ledger is kept: it is small, and it is the books.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from destinations import ledger, silence
from destinations.models import DESTINATION_BITS, LedgerState
from destinations.queries import CLOCK_SLACK, first_batch
from events import unrouted
from events.models import POSITION_BITS, QualityCount, QualityMemory, event_pk

ROWS_PER_STEP = 5_000
BATCHES_PER_STEP = 500
SECONDS_PER_RUN = 5.0
MAX_KEY = 2**63 - 1


def forget_old(now: datetime | None = None) -> dict[str, int]:
    """One run over all classes: steps until nothing is old, or the time is up. Returns rows forgotten by class."""
    now = now or timezone.now()
    deadline = time.monotonic() + SECONDS_PER_RUN
    forgotten: dict[str, int] = {}
    for name, days in settings.RETENTION_DAYS.items():
        if not days:
            continue  # 0 keeps for ever
        cutoff = now - timedelta(days=days)
        while time.monotonic() < deadline:
            count = STEPS[name](cutoff)
            forgotten[name] = forgotten.get(name, 0) + count
            if not count:
                break
    forgotten["hours"] = _forget("destinations_eventhour", "hour", now - silence.KEPT)
    return forgotten


def forget_attempts(cutoff: datetime) -> int:
    return _forget("destinations_attempt", "started_at", cutoff)


def forget_rejected(cutoff: datetime) -> int:
    return _forget("events_rejectedevent", "received_at", cutoff)


def forget_minutes(cutoff: datetime) -> int:
    return _forget("destinations_deliveryminute", "minute", cutoff)


def forget_quality(cutoff: datetime) -> int:
    """What was found in the events, and what was remembered of them. Both are small: days × checks × names."""
    found, _ = QualityCount.objects.filter(day__lt=cutoff.date()).delete()
    oldest = QualityMemory.objects.filter(day__lt=cutoff.date()).values_list("pk", flat=True)[:ROWS_PER_STEP]
    return found + QualityMemory.objects.filter(pk__in=list(oldest)).delete()[0]


def _forget(table: str, column: str, cutoff: datetime) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            f"DELETE FROM {table} WHERE id IN (SELECT id FROM (SELECT id, {column} AS at FROM {table}"
            f" ORDER BY id LIMIT %s) AS oldest WHERE at < %s)",
            [ROWS_PER_STEP, cutoff],
        )
        count: int = cursor.rowcount
    return count


OLD_DELIVERIES_SQL = """
SELECT id FROM destinations_delivery WHERE id < %s AND created_at < %s ORDER BY id LIMIT %s
"""


def forget_deliveries(cutoff: datetime) -> int:
    """Old events may have young deliveries, replayed or backfilled lately: those stay until they are old themselves."""
    first_young = first_batch(cutoff + CLOCK_SLACK)
    below = MAX_KEY if first_young is None else event_pk(first_young, 0) << DESTINATION_BITS
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(OLD_DELIVERIES_SQL, [below, cutoff, ROWS_PER_STEP])
        old = [row[0] for row in cursor.fetchall()]
        if old:
            # The time is asked again: a replay may have taken one up meanwhile.
            _delete_deliveries(cursor, "id = ANY(%s) AND created_at < %s", [old, cutoff])
    return len(old)


def forget_events(cutoff: datetime) -> int:
    """Batches with their events and what is left of their deliveries."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            f"WITH RECURSIVE {unrouted.SOURCES}"
            " SELECT max(id) FROM (SELECT id, received_at FROM events_ingestbatch ORDER BY id LIMIT %s) AS oldest"
            f" WHERE received_at < %s AND id < coalesce({unrouted.FIRST}, id + 1)",
            [BATCHES_PER_STEP, cutoff],
        )
        highest = cursor.fetchone()[0]
        if highest is None:
            return 0
        events_below = (highest + 1) << POSITION_BITS
        _delete_deliveries(cursor, "id < %s", [events_below << DESTINATION_BITS])
        cursor.execute("DELETE FROM events_event WHERE id < %s", [events_below])
        cursor.execute("DELETE FROM events_ingestbatch WHERE id <= %s", [highest])
        count: int = cursor.rowcount
    return count


def _delete_deliveries(cursor: Any, which: str, values: list[Any]) -> None:
    """Delete deliveries. One that still waits (its destination was held all the time) dies first, so that the books
    say what became of it."""
    cursor.execute(
        f"WITH gone AS (DELETE FROM destinations_delivery WHERE {which} RETURNING event_id, destination_id, state)"
        " SELECT (e.received_at AT TIME ZONE 'UTC')::date, g.destination_id, e.name, count(*)"
        " FROM gone g JOIN events_event e ON e.id = g.event_id WHERE g.state = 1 GROUP BY 1, 2, 3",
        values,
    )
    tally = ledger.Tally()
    for day, destination_id, event, count in cursor.fetchall():
        tally.add(day, destination_id, event, LedgerState.DEAD, "too_old", count)
    tally.write(cursor)


STEPS: dict[str, Callable[[datetime], int]] = {
    "attempts": forget_attempts,
    "rejected": forget_rejected,
    "deliveries": forget_deliveries,
    "events": forget_events,
    "minutes": forget_minutes,
    "quality": forget_quality,
}
