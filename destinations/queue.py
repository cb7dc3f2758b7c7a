"""The queue of record: claiming due deliveries (a lease) and recording what became of them.

A claim pushes `due_at` forward and counts the try, so a killed worker's rows become due again by themselves.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import islice

import msgspec
from django.conf import settings
from django.db import connection, transaction

from destinations import ledger, minutes, waiting
from destinations.models import DESTINATION_BITS, Attempt, Destination, LedgerState, State
from events import payload as normal_form
from events.models import POSITION_BITS

DAY_MS = 86_400_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LEASE_SECONDS = settings.DELIVERY_LEASE.total_seconds()


class EventRow(msgspec.Struct, frozen=True, gc=False):
    """An event as delivery needs it."""

    event_id: str
    name: str
    source_id: int
    occurred_ms: int
    """Unix times in milliseconds: a thousand of them cost a fraction of what as many datetimes do."""
    received_ms: int
    payload: normal_form.Payload


class Claimed(msgspec.Struct, frozen=True, gc=False):
    """One leased delivery with its event."""

    id: int
    tries: int
    created_ms: int
    turn_us: int
    """What it was due at before the claim, Unix time in microseconds."""
    was_sent: bool
    """It was in requests before, that did not settle it."""
    of: EventRow

    @property
    def created_at(self) -> datetime:
        return _EPOCH + timedelta(milliseconds=self.created_ms)

    @property
    def turn(self) -> datetime:
        """Its place in the queue, for when it is given back: due now, it would stand behind all that waits."""
        return _EPOCH + timedelta(microseconds=self.turn_us)

    @property
    def occurred_at(self) -> datetime:
        return _EPOCH + timedelta(milliseconds=self.of.occurred_ms)


@lru_cache(maxsize=1000)
def _day(number: int) -> date:
    """The UTC day that begins `number` days after the epoch."""
    return (_EPOCH + timedelta(days=number)).date()


class Settled(msgspec.Struct, frozen=True, gc=False, kw_only=True):
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
    is_blameless: bool = False
    """Its request was refused for another event: a request without that one goes out at once."""


# Of one half of the waiting rows, the next in turn: half 0 was never tried, half 1 is tried again.
_NEXT_SQL = """SELECT id, due_at FROM destinations_delivery
    WHERE destination_id = %(destination)s AND state = 1 AND least(tries, 1) = {half}
    AND due_at <= statement_timestamp() ORDER BY due_at LIMIT {limit} FOR UPDATE SKIP LOCKED"""
# What was never tried goes first; of a claim, an eighth is kept for what is tried again, so that it ends in time too.
_AGAIN_LIMIT = f"CASE WHEN {waiting.has_fresh('%(destination)s')} THEN %(limit)s / 8 ELSE %(limit)s END"
DUE_SQL = f"""
again AS MATERIALIZED (
    {_NEXT_SQL.format(half=1, limit=_AGAIN_LIMIT)}
), fresh AS MATERIALIZED (
    {_NEXT_SQL.format(half=0, limit="%(limit)s - (SELECT count(*) FROM again)")}
), due AS (SELECT * FROM again UNION ALL SELECT * FROM fresh)"""
PROBED_AMONG = 10
# Any of the first ones: the very first may be what breaks the platform, and would keep the others waiting for ever.
PROBE_SQL = f"""
again AS MATERIALIZED (
    {_NEXT_SQL.format(half=1, limit=PROBED_AMONG)}
), fresh AS MATERIALIZED (
    {_NEXT_SQL.format(half=0, limit=PROBED_AMONG)}
), due AS MATERIALIZED (
    SELECT * FROM (SELECT * FROM again UNION ALL SELECT * FROM fresh) first_ones ORDER BY random() LIMIT %(limit)s
)"""
LEASE_SQL = """
WITH {due}
UPDATE destinations_delivery d
SET due_at = statement_timestamp() + make_interval(secs => %(lease)s), tries = d.tries + 1
FROM due WHERE d.id = due.id
RETURNING d.id, d.tries, floor(extract(epoch FROM d.created_at) * 1000)::bigint,
    (extract(epoch FROM due.due_at) * 1000000)::bigint, d.attempts <> '{{}}'
"""
EVENTS_SQL = """
SELECT e.id, e.event_id, e.name, e.source_id, round(extract(epoch FROM e.occurred_at) * 1000)::bigint,
    round(extract(epoch FROM e.received_at) * 1000)::bigint, e.payload::text
FROM events_event e WHERE e.id = ANY(%s::bigint[])
"""

MOST_REMEMBERED = 6_000
"""Events that a worker keeps at hand, some 15 MB: lanes of other destinations are about to ask for the same ones."""
_remembered: dict[int, EventRow] = {}
_remembering = threading.Lock()


def claim(destination_id: int, limit: int) -> list[Claimed]:
    """Lease up to `limit` due rows, in the order of their turns."""
    return _lease(LEASE_SQL.format(due=DUE_SQL), destination_id, limit)


def claim_probe(destination_id: int) -> list[Claimed]:
    """Lease one of the first due rows, whichever; none when nothing is due."""
    return _lease(LEASE_SQL.format(due=PROBE_SQL), destination_id, 1)


def _lease(sql: str, destination_id: int, limit: int) -> list[Claimed]:
    with connection.cursor() as cursor:
        cursor.execute(sql, {"destination": destination_id, "limit": limit, "lease": LEASE_SECONDS})
        leased = sorted(cursor.fetchall())
    events = _events([row[0] >> DESTINATION_BITS for row in leased])
    # Retention keeps an event as long as a delivery of it waits; should one be gone all the same, its rows lapse.
    known = ((row, events.get(row[0] >> DESTINATION_BITS)) for row in leased)
    return [Claimed(*row, event) for row, event in known if event is not None]  # type: ignore[call-arg]


def _events(pks: Sequence[int]) -> dict[int, EventRow]:
    """The events of these keys; they never change, so what was read once need not be read again."""
    # One at a time: the lanes of several destinations often ask for the same events at the same moment, and the second
    # then finds what the first has read.
    with _remembering:
        missing = [pk for pk in pks if pk not in _remembered]
        if missing:
            with connection.cursor() as cursor:
                cursor.execute(EVENTS_SQL, [_array(missing)])
                rows = cursor.fetchall()
            _remembered.update((row[0], EventRow(*row[1:6], normal_form.decode(row[6]))) for row in rows)  # type: ignore[call-arg]
        found = {pk: event for pk in pks if (event := _remembered.get(pk)) is not None}
        for pk in list(islice(_remembered, max(0, len(_remembered) - MOST_REMEMBERED))):
            del _remembered[pk]  # the oldest
    return found


SPLIT_SQL = """
SELECT d.id, min(cardinality(a.delivery_ids)) FROM destinations_delivery d
JOIN destinations_attempt a ON a.id = ANY(d.attempts) AND a.outcome = 'split'
WHERE d.id = ANY(%s::bigint[]) GROUP BY d.id
"""


def refused_among(rows: Iterable[Claimed]) -> dict[int, int]:
    """Delivery id → how many were in the smallest batch that was refused for one of them, which one is not known."""
    sent = [row.id for row in rows if row.was_sent]
    if not sent:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(SPLIT_SQL, [_array(sent)])
        return dict(cursor.fetchall())


def batch_of(delivery_id: int) -> int:
    return delivery_id >> DESTINATION_BITS >> POSITION_BITS


def trace_ids(delivery_ids: Iterable[int]) -> dict[int, str]:
    """Batch → the trace of the request that brought it, for the events of these deliveries."""
    with connection.cursor() as cursor:
        batches = _array({batch_of(one) for one in delivery_ids})
        cursor.execute("SELECT id, trace_id FROM events_ingestbatch WHERE id = ANY(%s::bigint[])", [batches])
        return dict(cursor.fetchall())


def forget() -> None:
    """Empty the process's memory of events (tests, where keys begin anew)."""
    _remembered.clear()


def _array(keys: Iterable[int]) -> str:
    """Keys as PostgreSQL writes an array: the driver takes ten times as long over a list."""
    return f"{{{','.join(map(str, keys))}}}"


# Most rows of a claim end alike (delivered, by the same request): then one ending and a list of keys says it all. It
# travels as one JSON text, which the driver writes an order of magnitude faster than arrays.
RECORD_SQL = """
UPDATE destinations_delivery d SET
    state = v.state, reason = v.reason, detail = v.detail, due_at = v.due_at,
    settled_at = CASE WHEN v.state = 1 THEN NULL ELSE statement_timestamp() END,
    tries = greatest(0, d.tries - v.untried),
    attempts = d.attempts || v.attempts
FROM (
    SELECT unnest(ids) AS id, state, reason, detail, due_at, untried, attempts
    FROM jsonb_to_recordset(%s::jsonb) AS ending (
        ids bigint[], state smallint, reason text, detail text, due_at timestamptz, untried smallint, attempts bigint[]
    )
) AS v
WHERE d.id = v.id AND d.state = 1
RETURNING d.id
"""
ATTEMPT_SQL = """
INSERT INTO destinations_attempt (destination_id, delivery_ids, started_at, latency_ms, method, url, request_body,
    status, response_body, outcome, detail)
SELECT destination_id, delivery_ids, started_at, latency_ms, method, url, request_body,
    status, response_body, outcome, detail
FROM jsonb_to_recordset(%s::jsonb) AS made (
    number integer, destination_id smallint, delivery_ids bigint[], started_at timestamptz, latency_ms integer,
    method text, url text, request_body text, status smallint, response_body text, outcome text, detail text
) ORDER BY number RETURNING id
"""


def _insert_attempts(attempts: Sequence[Attempt]) -> None:
    """As bulk_create, which spends more on a thousand delivery ids than everything else here."""
    if not attempts:
        return
    names = [field.attname for field in Attempt._meta.concrete_fields if not field.primary_key]
    rows = [
        {"number": number, **{name: getattr(attempt, name) for name in names}}
        for number, attempt in enumerate(attempts)
    ]
    with connection.cursor() as cursor:
        cursor.execute(ATTEMPT_SQL, [msgspec.json.encode(rows).decode()])
        for attempt, (pk,) in zip(attempts, sorted(cursor.fetchall()), strict=True):
            attempt.pk = pk


Ending = tuple[State, str, str, "datetime | None", tuple[int, ...], bool]


def _ending(s: Settled) -> Ending:
    return s.state, s.reason, s.detail[:400], s.due_at, tuple(attempt.pk for attempt in s.attempts), s.is_untried


def record(destination: Destination, settled: Sequence[Settled], attempts: Sequence[Attempt]) -> None:
    """Write outcomes, attempts and counts in one transaction. A row that somebody settled meanwhile is left alone."""
    if not settled and not attempts:
        return
    with transaction.atomic():
        _insert_attempts(attempts)
        groups: dict[Ending, list[Settled]] = {}
        for s in settled:
            groups.setdefault(_ending(s), []).append(s)
        endings = [
            {
                "ids": [s.row.id for s in members],
                "state": state.value,
                "reason": reason,
                "detail": detail,
                "due_at": due_at,
                "untried": int(is_untried),
                "attempts": attempt_ids,
            }
            for (state, reason, detail, due_at, attempt_ids, is_untried), members in groups.items()
        ]
        with connection.cursor() as cursor:
            cursor.execute(RECORD_SQL, [msgspec.json.encode(endings).decode()])
            if cursor.rowcount != len(settled):
                changed = {row[0] for row in cursor.fetchall()}
                settled = [s for s in settled if s.row.id in changed]
            counted = Counter(
                (s.row.of.received_ms // DAY_MS, s.row.of.name, s.state, s.reason)
                for s in settled
                if s.state != State.WAITING
            )
            tally = ledger.Tally()
            for (day, name, state, reason), count in counted.items():
                tally.add(_day(day), destination.pk, name, LedgerState(state.name.lower()), reason, count)
            tally.write(cursor)
            minutes.write(cursor, destination.pk, settled, attempts)


def has_due(destination_id: int) -> bool:
    return destination_id in due_destinations(destination_id)


def due_destinations(only: int | None = None) -> list[int]:
    """Destinations with rows to handle now. Held and backing-off ones are left out: their rows wait."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT d.id FROM destinations_destination d WHERE (%s::int IS NULL OR d.id = %s) AND"
            " (NOT d.is_enabled OR (d.hold = ''"
            " AND (d.backoff_until IS NULL OR d.backoff_until <= statement_timestamp())))"
            f" AND {waiting.has_due('d.id')}",
            [only, only],
        )
        return [row[0] for row in cursor.fetchall()]
