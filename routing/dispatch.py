"""Routing accepted batches: for every event × destination a delivery, or a counted skip with its reason."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

import msgspec
from django.db import connection, transaction

from destinations import ledger
from destinations.delivery import DELIVER_TASK
from destinations.models import LedgerState, State, delivery_pk
from events import unrouted
from events.copy_format import COPY_HEADER, COPY_TRAILER, pg_microseconds
from events.models import POSITION_BITS, POSITION_MASK, event_pk
from routing import snapshot
from routing.snapshot import Snapshot
from routing.turns import Turns
from trackstack_site import tracing
from trackstack_site.nudge import nudge

BATCHES_PER_STEP = 40
"""Batches routed in one transaction: enough to share its cost, few enough to keep the first delivery soon."""

Skips = dict[str, dict[str, list[int]]]


_read_consent = msgspec.json.Decoder(dict[str, bool]).decode

TAKE_SQL = f"""
WITH RECURSIVE {unrouted.SOURCES}, served AS MATERIALIZED (  -- of more sources than a step has batches, any
    SELECT source_id FROM waiting WHERE source_id IS NOT NULL ORDER BY random() LIMIT %(limit)s
)
SELECT batch.* FROM served CROSS JOIN LATERAL (
    SELECT b.id, b.source_id, b.received_at, b.trace_id FROM events_ingestbatch b
    WHERE b.routed_at IS NULL AND b.source_id = served.source_id
    ORDER BY b.id LIMIT %(limit)s / (SELECT count(*) FROM served) FOR UPDATE SKIP LOCKED
) batch ORDER BY batch.id
"""
HEADS_SQL = """
SELECT d.id, (extract(epoch FROM head.due_at - timestamptz '2000-01-01 00:00+00') * 1000000)::bigint
FROM destinations_destination d CROSS JOIN LATERAL (
    SELECT w.due_at FROM destinations_delivery w
    WHERE w.destination_id = d.id AND w.state = 1 AND least(w.tries, 1) = 0 ORDER BY w.due_at LIMIT 1
) head
"""
EVENTS_SQL = """
SELECT e.id, e.name, round(extract(epoch FROM e.occurred_at) * 1000)::bigint, e.payload->>'consent'
FROM unnest(%s::bigint[], %s::bigint[]) AS span (lowest, highest)
JOIN events_event e ON e.id >= span.lowest AND e.id < span.highest ORDER BY e.id
"""
ROUTED_SQL = """
UPDATE events_ingestbatch b SET routed_at = %s, routing_version = %s, skips = v.skips::jsonb
FROM unnest(%s::bigint[], %s::text[]) AS v (id, skips) WHERE b.id = v.id
"""
SEEN_SQL = """
INSERT INTO events_seenname AS seen (name, count, first_seen_at, last_seen_at)
SELECT v.name, v.count, %s, %s FROM unnest(%s::text[], %s::bigint[]) AS v (name, count) ORDER BY v.name
ON CONFLICT (name) DO UPDATE SET count = seen.count + excluded.count, last_seen_at = excluded.last_seen_at
"""


def route_due() -> int:
    """Route until nothing is left; returns how many batches. Any number may run at once: a batch is locked by one."""
    routed = 0
    while count := route_step():
        routed += count
    return routed


UNDER_WAY = 7_305_003
"""Of pg_advisory_xact_lock: a step holds it shared, from before it reads the rules until its rows are there."""


def wait_for_steps() -> None:
    """Within a transaction: what older rules routed is there for all to see, and nothing is routed until its end."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [UNDER_WAY])


def route_step(limit: int = BATCHES_PER_STEP) -> int:
    """Route up to `limit` batches in one transaction, so that a batch is routed once and wholly, or not at all."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [UNDER_WAY])
        state = snapshot.current()
        cursor.execute(TAKE_SQL, {"limit": limit})
        batches = cursor.fetchall()
        if not batches:
            return 0
        with tracing.span("route", links=(trace_id for *_, trace_id in batches), batches=len(batches)):
            touched = _route(cursor, [batch[:3] for batch in batches], state)
    for destination_id in touched:
        nudge(DELIVER_TASK, destination_id)
    return len(batches)


def _route(cursor: Any, batches: Sequence[tuple[int, int, datetime]], state: Snapshot) -> set[int]:
    now = datetime.now(UTC)
    of_batch = {batch_id: (source_id, received_at.date()) for batch_id, source_id, received_at in batches}
    fates = _Fates(state, now, _heads(cursor) if len(state.sources) > 1 else {})
    cursor.execute(
        EVENTS_SQL,
        [
            [event_pk(batch, 0) for batch in of_batch],
            [event_pk(batch + 1, 0) for batch in of_batch],
        ],
    )
    tally = ledger.Tally()
    skips: dict[int, Skips] = {batch_id: {} for batch_id in of_batch}
    rows: list[bytes] = []
    alike: Counter[tuple[date, str, Fate]] = Counter()
    unregistered: Counter[str] = Counter()
    for pk, name, occurred_ms, consent_json in cursor.fetchall():
        batch_id = pk >> POSITION_BITS
        source_id, day = of_batch[batch_id]
        if name not in state.events:
            unregistered[name] += 1
        fate = fates.of(source_id, name, consent_json, occurred_ms)
        alike[day, name, fate] += 1
        event = pk.to_bytes(8)
        for destination_id, tail in fate.written:
            rows += (_KEY, delivery_pk(pk, destination_id).to_bytes(8), _EVENT, event, tail)
        for skipped_by, reason in fate.skipped:
            skips[batch_id].setdefault(skipped_by, {}).setdefault(reason, []).append(pk & POSITION_MASK)
    for (day, name, fate), count in alike.items():
        fates.took(fate, count)
        for destination_id, ledger_state, reason in fate.counted:
            tally.add(day, destination_id, name, ledger_state, reason, count)
    if rows:
        with connection.wrap_database_errors, cursor.copy(DELIVERY_COPY) as copy:
            copy.write(b"".join((COPY_HEADER, *rows, COPY_TRAILER)))
    tally.write(cursor)
    cursor.execute(
        ROUTED_SQL,
        [
            now,
            state.version,
            list(skips),
            [msgspec.json.encode(value).decode() for value in skips.values()],
        ],
    )
    retired = state.retired
    names = {name: count for name, count in unregistered.items() if name not in retired}
    if names:
        cursor.execute(SEEN_SQL, [now, now, list(names), list(names.values())])
    touched = {destination_id for _, _, fate in alike for destination_id in fate.waiting}
    return {pk for pk in touched if not state.rules[pk].is_held}


DELIVERY_COPY = (
    "COPY destinations_delivery (id, event_id, destination_id, state, due_at, created_at, settled_at) FROM STDIN"
    " (FORMAT BINARY)"
)
_KEY = struct.pack(">hi", 7, 8)  # seven values, the first eight bytes long
_EVENT = struct.pack(">i", 8)


def _heads(cursor: Any) -> dict[int, int]:
    """Destination id → the turn that is served next there, in microseconds since 2000; only where rows wait."""
    cursor.execute(HEADS_SQL)
    return dict(cursor.fetchall())


_turns = Turns()


def forget() -> None:
    """Empty the process's memory of turns (tests)."""
    _turns.forget()


class Fate(msgspec.Struct, frozen=True, eq=False):
    """What happens to an event at every destination: the same for all events of a name, source and consent."""

    source_id: int
    written: list[tuple[int, bytes]]
    """Destination id, and its delivery's row behind the keys in COPY's binary form."""
    skipped: list[tuple[str, str]]
    """Destination id as text, and reason."""
    counted: list[tuple[int, LedgerState, str]]
    waiting: list[int]


class _Fates:
    """The fates of one step's events, worked out once for each kind."""

    def __init__(self, state: Snapshot, now: datetime, heads: dict[int, int]) -> None:
        self.state = state
        self.heads = heads
        self.now_ms = int(now.timestamp() * 1000)
        self.now_us = pg_microseconds(now)
        self.moment = struct.pack(">iq", 8, self.now_us)
        self.starts: dict[tuple[int, int], int] = {}
        self.counts: Counter[tuple[int, int]] = Counter()
        self.known: dict[tuple[int, str, str | None], Fate] = {}

    def of(self, source_id: int, name: str, consent_json: str | None, occurred_ms: int) -> Fate:
        if self.now_ms - occurred_ms > self.state.shortest_age_ms:  # too old for somebody: a case of its own
            return self._decide(source_id, name, consent_json, occurred_ms)
        key = (source_id, name, consent_json)
        fate = self.known.get(key)
        if fate is None:
            fate = self.known[key] = self._decide(source_id, name, consent_json, occurred_ms)
        return fate

    def _decide(self, source_id: int, name: str, consent_json: str | None, occurred_ms: int) -> Fate:
        consent = _read_consent(consent_json) if consent_json else {}
        fate = Fate(source_id, [], [], [], [])
        for rule, decision in self.state.fan_out(source_id, name, consent, occurred_ms, self.now_ms):
            fate.counted.append((rule.id, LedgerState.RECEIVED, ""))
            if not decision.send:
                fate.skipped.append((str(rule.id), decision.reason))
                fate.counted.append((rule.id, LedgerState.SKIPPED, decision.reason))
                continue
            # The event table is the built-in warehouse: the event is there already.
            delivery_state = State.DELIVERED if rule.is_builtin else State.WAITING
            head = struct.pack(">ihih", 2, rule.id, 2, delivery_state.value)
            if rule.is_builtin:
                fate.written.append((rule.id, head + _NULL + self.moment + self.moment))
                fate.counted.append((rule.id, LedgerState.DELIVERED, ""))
            else:
                fate.written.append((rule.id, head + self._due(rule.id, source_id) + self.moment + _NULL))
                fate.waiting.append(rule.id)
        return fate

    def _due(self, destination_id: int, source_id: int) -> bytes:
        start = _turns.start(destination_id, source_id, self.heads, self.now_us)
        self.starts[destination_id, source_id] = start
        return struct.pack(">iq", 8, start)

    def took(self, fate: Fate, count: int) -> None:
        """So many events had this fate: the next of their source come after them."""
        for destination_id in fate.waiting:
            key = destination_id, fate.source_id
            self.counts[key] += count
            _turns.took(*key, self.starts[key], self.counts[key])


_NULL = struct.pack(">i", -1)
