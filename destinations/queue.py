"""The queue of record: claiming due deliveries (a lease) and recording what became of them.

A claim pushes `due_at` forward and counts the try, so a killed worker's rows become due again by themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

import msgspec
from django.conf import settings
from django.db import connection, transaction

from destinations import ledger
from destinations.models import Attempt, Destination, LedgerState, State
from events import payload as normal_form

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LEASE_SECONDS = settings.DELIVERY_LEASE.total_seconds()


class Claimed(msgspec.Struct, frozen=True):
    """One leased delivery with its event."""

    id: int
    tries: int
    created_ms: int
    """Unix times in milliseconds: a thousand of them cost a fraction of what as many datetimes do."""
    event_id: str
    event: str
    source_id: int
    occurred_ms: int
    received_ms: int
    payload: normal_form.Payload

    @property
    def created_at(self) -> datetime:
        return _EPOCH + timedelta(milliseconds=self.created_ms)

    @property
    def occurred_at(self) -> datetime:
        return _EPOCH + timedelta(milliseconds=self.occurred_ms)


@lru_cache(maxsize=1000)
def _day(number: int) -> date:
    """The UTC day that begins `number` days after the epoch."""
    return (_EPOCH + timedelta(days=number)).date()


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of one claimed row."""

    row: Claimed
    state: State
    reason: str = ""
    detail: str = ""
    due_at: datetime | None = None
    attempts: tuple[Attempt, ...] = ()
    """The requests that carried it, in order; several when its batch was split."""
    is_untried: bool = False
    """The claim did not come to a request: its try is taken back."""


CLAIM_SQL = """
WITH due AS MATERIALIZED (
    SELECT id FROM destinations_delivery
    WHERE destination_id = %s AND state = 1 AND due_at <= statement_timestamp()
    ORDER BY due_at LIMIT %s FOR UPDATE SKIP LOCKED
), leased AS (
    UPDATE destinations_delivery d SET due_at = statement_timestamp() + make_interval(secs => %s), tries = d.tries + 1
    FROM due WHERE d.id = due.id RETURNING d.id, d.tries, d.created_at, d.event_id AS event_pk
)
SELECT l.id, l.tries, round(extract(epoch FROM l.created_at) * 1000)::bigint, e.event_id, e.name, e.source_id,
    round(extract(epoch FROM e.occurred_at) * 1000)::bigint, round(extract(epoch FROM e.received_at) * 1000)::bigint,
    e.payload::text
FROM leased l JOIN events_event e ON e.id = l.event_pk ORDER BY l.id
"""

# The outcomes travel as one JSON text: the driver writes seven arrays an order of magnitude slower.
RECORD_SQL = """
UPDATE destinations_delivery d SET
    state = v.state, reason = v.reason, detail = v.detail, due_at = v.due_at,
    settled_at = CASE WHEN v.state = 1 THEN NULL ELSE statement_timestamp() END,
    tries = greatest(0, d.tries - v.untried),
    attempts = d.attempts || v.attempts
FROM jsonb_to_recordset(%s::jsonb) AS v (
    id bigint, state smallint, reason text, detail text, due_at timestamptz, untried smallint, attempts bigint[]
)
WHERE d.id = v.id AND d.state = 1
RETURNING d.id
"""


def claim(destination_id: int, limit: int) -> list[Claimed]:
    """Lease up to `limit` due rows, oldest first."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(CLAIM_SQL, [destination_id, limit, LEASE_SECONDS])
        return [Claimed(*row[:8], payload=normal_form.decode(row[8])) for row in cursor.fetchall()]  # type: ignore[misc]


def _outcome(s: Settled) -> dict[str, object]:
    return {
        "id": s.row.id,
        "state": s.state.value,
        "reason": s.reason,
        "detail": s.detail[:400],
        "due_at": s.due_at,
        "untried": int(s.is_untried),
        "attempts": [attempt.pk for attempt in s.attempts],
    }


def record(destination: Destination, settled: Sequence[Settled], attempts: Sequence[Attempt]) -> None:
    """Write outcomes, attempts and ledger in one transaction. A row that somebody settled meanwhile is left alone."""
    if not settled and not attempts:
        return
    with transaction.atomic():
        Attempt.objects.bulk_create(attempts)
        with connection.cursor() as cursor:
            cursor.execute(RECORD_SQL, [msgspec.json.encode([_outcome(s) for s in settled]).decode()])
            changed = {row[0] for row in cursor.fetchall()}
            tally = ledger.Tally()
            for s in settled:
                if s.row.id in changed and s.state != State.WAITING:
                    tally.add(
                        _day(s.row.received_ms // 86_400_000),
                        destination.pk,
                        s.row.event,
                        LedgerState(s.state.name.lower()),
                        s.reason,
                    )
            tally.write(cursor)


def has_due(destination_id: int) -> bool:
    return destination_id in due_destinations(destination_id)


def due_destinations(only: int | None = None) -> list[int]:
    """Destinations with rows to handle now. Held and backing-off ones are left out: their rows wait."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT d.id FROM destinations_destination d WHERE (%s::int IS NULL OR d.id = %s) AND"
            " (NOT d.is_enabled OR (d.hold = ''"
            " AND (d.backoff_until IS NULL OR d.backoff_until <= statement_timestamp())))"
            " AND EXISTS (SELECT 1 FROM destinations_delivery w"
            " WHERE w.destination_id = d.id AND w.state = 1 AND w.due_at <= statement_timestamp())",
            [only, only],
        )
        return [row[0] for row in cursor.fetchall()]
