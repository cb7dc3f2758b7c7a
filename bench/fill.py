"""A database with a past: events, deliveries, attempts and a ledger as months of use leave them, made in SQL.

The rows are those that the product would have written, keys and payloads included, so that pages and workers handle
them like any others; only nobody had to send them.
"""

from __future__ import annotations

import random
import time
from typing import Any

import msgspec

from bench import samples
from bench.installation import Installation

PER_BATCH = 100
STEP = 500_000
"""Deliveries written in one transaction."""

EVENTS_SQL = """
INSERT INTO events_event (id, source_id, event_id, name, occurred_at, received_at, payload)
SELECT (b << 7) | p, %(source)s, 'past-' || b || '-' || p, (%(names)s::text[])[1 + (b * 7 + p) %% %(count)s],
    t, t, %(payload)s::jsonb || jsonb_build_object(
        'email', 'past.' || b || '.' || p || '@example.com', 'externalId', 'user-' || b || '-' || p,
        'phone', '+49302' || lpad(((b * 100 + p) %% 10000000)::text, 7, '0'))
FROM generate_series(%(low)s::bigint, %(high)s::bigint - 1) AS b
    CROSS JOIN LATERAL (SELECT now() - %(span)s::interval * (1 - (b - %(first)s) / %(batches)s::float8) AS t) AS m
    CROSS JOIN generate_series(0, 99) AS p
"""
BATCHES_SQL = """
INSERT INTO events_ingestbatch (id, source_id, received_at, client_ip, user_agent, sdk, trace_id, accepted, duplicates,
    rejected, routed_at, routing_version, skips)
SELECT b, %(source)s, t, '203.0.113.1', 'bench/1', '', md5(b::text), 100, 0, 0, t, 1, '{}'
FROM generate_series(%(low)s::bigint, %(high)s::bigint - 1) AS b
    CROSS JOIN LATERAL (SELECT now() - %(span)s::interval * (1 - (b - %(first)s) / %(batches)s::float8) AS t) AS m
"""
SETTLED_SQL = """
INSERT INTO destinations_delivery (id, event_id, destination_id, state, reason, detail, due_at, tries, attempts,
    created_at, settled_at)
SELECT (e.id << 12) | d, e.id, d, CASE WHEN e.id %% 1000 = 0 THEN 4 ELSE 2 END,
    CASE WHEN e.id %% 1000 = 0 THEN 'refused' ELSE '' END, '', NULL, 1, ARRAY[(e.id >> 7) * 8 + d],
    e.received_at, e.received_at
FROM events_event e CROSS JOIN unnest(%(destinations)s::bigint[]) AS d
WHERE e.id >= %(low)s::bigint << 7 AND e.id < %(high)s::bigint << 7
"""
WAITING_SQL = """
INSERT INTO destinations_delivery (id, event_id, destination_id, state, due_at, created_at)
SELECT (e.id << 12) | d, e.id, d, 1, e.received_at, e.received_at
FROM events_event e CROSS JOIN unnest(%(destinations)s::bigint[]) AS d
WHERE e.id >= %(low)s::bigint << 7 AND e.id < %(high)s::bigint << 7
"""
ATTEMPTS_SQL = """
INSERT INTO destinations_attempt (id, destination_id, delivery_ids, started_at, latency_ms, method, url, request_body,
    status, response_body, outcome, detail)
SELECT b * 8 + d, d, ARRAY(SELECT (((b << 7) | p) << 12) | d FROM generate_series(0, 99) AS p), now(), 20, 'POST',
    'https://graph.facebook.com/v0/1/events', repeat('{"event_name":"SignUp"}', 40), 200, '{"events_received":100}',
    'ok', ''
FROM generate_series(%(low)s::bigint, %(high)s::bigint - 1) AS b CROSS JOIN unnest(%(destinations)s::bigint[]) AS d
ON CONFLICT DO NOTHING
"""
LEDGER_SQL = """
INSERT INTO destinations_ledgerentry (day, destination_id, event_name, state, reason, count, is_total)
SELECT (e.received_at AT TIME ZONE 'UTC')::date, d.destination_id, e.name,
    CASE s WHEN 0 THEN 'received' ELSE CASE d.state WHEN 2 THEN 'delivered' ELSE 'dead' END END,
    CASE s WHEN 0 THEN '' ELSE d.reason END, count(*), true
FROM destinations_delivery d JOIN events_event e ON e.id = d.event_id CROSS JOIN generate_series(0, 1) AS s
WHERE e.id >= %(low)s::bigint << 7 AND e.id < %(high)s::bigint << 7
GROUP BY 1, 2, 3, 4, 5
ON CONFLICT (day, destination_id, event_name, state, reason) WHERE is_total
DO UPDATE SET count = destinations_ledgerentry.count + excluded.count
"""


def fill(
    stack: Installation, deliveries: int, destinations: list[int], *, is_settled: bool, span: str, first: int = 1
) -> int:
    """Write that many deliveries, of as many events as there are destinations to share them; returns the next batch.

    `span` is how long ago the oldest is; `first` the first batch number.
    """
    import psycopg

    batches = deliveries // len(destinations) // PER_BATCH
    step = max(1, STEP // len(destinations) // PER_BATCH)
    values: dict[str, Any] = {
        "source": stack.source_id,
        "names": list(samples.NAMES),
        "count": len(samples.NAMES),
        "payload": payload(),
        "destinations": destinations,
        "first": first,
        "batches": batches,
        "span": span,
    }
    statements = [BATCHES_SQL, EVENTS_SQL]
    statements += [SETTLED_SQL, ATTEMPTS_SQL, LEDGER_SQL] if is_settled else [WAITING_SQL]
    with psycopg.connect(stack.engines.database_url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")  # only here: what was sent by nobody may be lost
        for low in range(first, first + batches, step):
            span_values = values | {"low": low, "high": min(low + step, first + batches)}
            with connection.transaction():
                for statement in statements:
                    connection.execute(statement, span_values)
        connection.execute("SELECT setval('events_ingestbatch_id_seq', %s)", [first + batches + 1])
        connection.execute(
            "SELECT setval('destinations_attempt_id_seq', %s)", [(first + batches + 1) * 8 + max(destinations)]
        )
        for table in ("events_event", "events_ingestbatch", "destinations_delivery", "destinations_ledgerentry"):
            connection.execute(f"VACUUM (ANALYZE) {table}")
        connection.execute("CHECKPOINT")
    return first + batches + 2


def payload() -> str:
    """What the contract makes of an event that every platform takes under any of the names."""
    from events import contract

    body = msgspec.json.encode({"events": [samples.event(random.Random(1), 1, "Purchase")]})
    parsed = contract.parse_body(
        body.replace(samples.TOKEN, b"past000000"), now_ms=int(time.time() * 1000), names={}, retired=frozenset()
    )
    return parsed.accepted[0].payload_json.decode()
