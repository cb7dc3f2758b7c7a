"""Routing accepted batches: for every event × destination a delivery, or a counted skip with its reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from django.db import connection, transaction

from destinations import ledger
from destinations.delivery import DELIVER_TASK
from destinations.models import LedgerState, State, delivery_pk
from events.models import POSITION_BITS, event_pk
from routing import snapshot
from routing.snapshot import Snapshot
from trackstack_site.nudge import nudge

BATCHES_PER_STEP = 40
"""Batches routed in one transaction: enough to share its cost, few enough to keep the first delivery soon."""

Skips = dict[str, dict[str, list[int]]]


_read_consent = msgspec.json.Decoder(dict[str, bool]).decode

TAKE_SQL = """
SELECT id, source_id, received_at FROM events_ingestbatch
WHERE routed_at IS NULL ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
"""
EVENTS_SQL = """
SELECT e.id, e.name, e.occurred_at, e.payload->>'consent'
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


def route_step(limit: int = BATCHES_PER_STEP) -> int:
    """Route up to `limit` batches in one transaction, so that a batch is routed once and wholly, or not at all."""
    state = snapshot.current()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(TAKE_SQL, [limit])
        batches = cursor.fetchall()
        if not batches:
            return 0
        touched = _route(cursor, batches, state)
    for destination_id in touched:
        nudge(DELIVER_TASK, destination_id)
    return len(batches)


def _route(cursor: Any, batches: Sequence[tuple[int, int, datetime]], state: Snapshot) -> set[int]:
    now = datetime.now(UTC)
    now_ms = int(now.timestamp() * 1000)
    of_batch = {batch_id: (source_id, received_at.date()) for batch_id, source_id, received_at in batches}
    cursor.execute(
        EVENTS_SQL,
        [
            [event_pk(batch, 0) for batch in of_batch],
            [event_pk(batch + 1, 0) for batch in of_batch],
        ],
    )
    tally = ledger.Tally()
    skips: dict[int, Skips] = {batch_id: {} for batch_id in of_batch}
    deliveries: list[tuple[Any, ...]] = []
    touched: set[int] = set()
    unregistered: Counter[str] = Counter()
    for pk, name, occurred_at, consent_json in cursor.fetchall():
        batch_id, position = pk >> POSITION_BITS, pk & ((1 << POSITION_BITS) - 1)
        source_id, day = of_batch[batch_id]
        if name not in state.events:
            unregistered[name] += 1
        consent = _read_consent(consent_json) if consent_json else {}
        occurred_ms = round(occurred_at.timestamp() * 1000)
        for rule, decision in state.fan_out(source_id, name, consent, occurred_ms, now_ms):
            tally.add(day, rule.id, name, LedgerState.RECEIVED)
            if not decision.send:
                skips[batch_id].setdefault(str(rule.id), {}).setdefault(decision.reason, []).append(position)
                tally.add(day, rule.id, name, LedgerState.SKIPPED, decision.reason)
            elif rule.is_builtin:
                # The event table is the built-in warehouse: the event is there already.
                deliveries.append(
                    (
                        delivery_pk(pk, rule.id),
                        pk,
                        rule.id,
                        State.DELIVERED.value,
                        None,
                        now,
                        now,
                    )
                )
                tally.add(day, rule.id, name, LedgerState.DELIVERED)
            else:
                deliveries.append(
                    (
                        delivery_pk(pk, rule.id),
                        pk,
                        rule.id,
                        State.WAITING.value,
                        now,
                        now,
                        None,
                    )
                )
                touched.add(rule.id)
    with cursor.copy(
        "COPY destinations_delivery (id, event_id, destination_id, state, due_at, created_at, settled_at) FROM STDIN"
    ) as copy:
        for row in deliveries:
            copy.write_row(row)
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
    return {pk for pk in touched if not state.rules[pk].is_held}
