"""The roll-up that Health reads: what became of deliveries, by minute and by quarter of an hour, per destination.

`write` adds one small row in the transaction of `destinations.queue.record`, whatever the number of deliveries in it,
so the figures cannot drift from the deliveries. The fold turns these parts into one row a span. Reading is always a sum
over one span and the parts that are not folded yet.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django.db import connection

from destinations.models import Attempt, State
from destinations.platforms.base import Result
from destinations.waiting import FIRST_DUE

if TYPE_CHECKING:
    from destinations.queue import Settled

# fmt: off
BOUNDS_MS = (
    5, 10, 20, 35, 50, 75, 100, 150, 200, 300, 500, 750, 1_000, 1_500, 2_000, 3_000, 5_000, 7_500, 10_000, 15_000,
    20_000, 30_000, 60_000, 120_000, 300_000, 900_000, 3_600_000, 14_400_000, 86_400_000, 259_200_000,
)
# fmt: on
"""Upper ends of the buckets; one more bucket holds what took longer. Stored by position: only ever append."""

INSERT_SQL = """
INSERT INTO destinations_deliveryminute (destination_id, minute, span, delivered, failed, dead, attempts,
    delivery_histogram, attempt_histogram)
VALUES (%s, date_trunc('minute', statement_timestamp()), 0, %s, %s, %s, %s, %s::int[], %s::int[])
"""


def histogram(latencies: Mapping[int, int]) -> list[int]:
    """Counts by bucket, as long as the highest bucket needs. latencies: milliseconds → how many took that long."""
    counts: list[int] = []
    for latency, count in latencies.items():
        bucket = bisect_left(BOUNDS_MS, latency)
        counts.extend([0] * (bucket + 1 - len(counts)))
        counts[bucket] += count
    return counts


def percentile(counts: Sequence[int], share: float) -> float | None:
    """Milliseconds that `share` of a histogram stays below, evenly spread within a bucket; None for an empty one."""
    wanted = share * sum(counts)
    if not wanted:
        return None
    for bucket, count in enumerate(counts):
        if count and wanted <= count:
            low = BOUNDS_MS[bucket - 1] if bucket else 0
            high = BOUNDS_MS[min(bucket, len(BOUNDS_MS) - 1)]
            return low + (high - low) * wanted / count
        wanted -= count
    return float(BOUNDS_MS[-1])


def write(cursor: Any, destination_id: int, settled: Sequence[Settled], attempts: Sequence[Attempt]) -> None:
    """Add the part of one flush; call it in the transaction that records what is counted."""
    states = Counter(s.state.value for s in settled)
    delivered, dead = states[State.DELIVERED.value], states[State.DEAD.value]
    failed = sum(1 for s in settled if s.state is State.WAITING and _has_failed(s))
    if not (attempts or failed or delivered or dead):
        return
    now_ms = time.time_ns() // 1_000_000
    # Events of a batch were received together: far fewer times than deliveries. Clocks of two machines may disagree.
    received = Counter(s.row.of.received_ms for s in settled if s.state is State.DELIVERED)
    cursor.execute(
        INSERT_SQL,
        [
            destination_id,
            delivered,
            failed,
            dead,
            len(attempts),
            _array(histogram({max(0, now_ms - at): count for at, count in received.items()})),
            _array(histogram(Counter(attempt.latency_ms for attempt in attempts))),
        ],
    )


def _has_failed(settled: Settled) -> bool:
    """Whether a request that carried it was refused; what was claimed and given back unsent did not fail."""
    return bool(settled.attempts) and not settled.is_blameless and settled.attempts[-1].outcome != Result.OK


def _array(counts: Sequence[int]) -> str:
    return f"{{{','.join(map(str, counts))}}}"


# One statement, so that readers see the parts or the whole. A part counts in both spans.
FOLD_SQL = """
WITH taken AS MATERIALIZED (
    SELECT id FROM destinations_deliveryminute WHERE span = 0 ORDER BY minute LIMIT %s FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM destinations_deliveryminute WHERE id IN (SELECT id FROM taken) RETURNING *
), spanned AS (
    SELECT gone.*, length.span AS of_span,
        date_bin(make_interval(mins => length.span), gone.minute, 'epoch') AS began
    FROM gone, (VALUES (1), (15)) AS length (span)
), counts AS (
    SELECT destination_id, of_span, began, sum(delivered) AS delivered, sum(failed) AS failed, sum(dead) AS dead,
        sum(attempts) AS attempts, max(lag_seconds) AS lag_seconds
    FROM spanned GROUP BY 1, 2, 3
), buckets AS (
    SELECT destination_id, of_span, began, of_what, bucket, sum(n)::int AS n
    FROM spanned, LATERAL (
        SELECT 'delivery', * FROM unnest(delivery_histogram) WITH ORDINALITY
        UNION ALL
        SELECT 'attempt', * FROM unnest(attempt_histogram) WITH ORDINALITY
    ) AS counted (of_what, n, bucket)
    GROUP BY 1, 2, 3, 4, 5
), histograms AS (
    SELECT destination_id, of_span, began,
        array_agg(n ORDER BY bucket) FILTER (WHERE of_what = 'delivery') AS delivery,
        array_agg(n ORDER BY bucket) FILTER (WHERE of_what = 'attempt') AS attempt
    FROM buckets GROUP BY 1, 2, 3
), folded AS (
    INSERT INTO destinations_deliveryminute AS total (destination_id, span, minute, delivered, failed, dead, attempts,
        lag_seconds, delivery_histogram, attempt_histogram)
    SELECT destination_id, of_span, began, delivered, failed, dead, attempts, lag_seconds,
        coalesce(delivery, '{}'), coalesce(attempt, '{}')
    FROM counts LEFT JOIN histograms USING (destination_id, of_span, began)
    ORDER BY destination_id, of_span, began
    ON CONFLICT (destination_id, span, minute) WHERE span > 0 DO UPDATE SET
        delivered = total.delivered + excluded.delivered,
        failed = total.failed + excluded.failed,
        dead = total.dead + excluded.dead,
        attempts = total.attempts + excluded.attempts,
        lag_seconds = greatest(total.lag_seconds, excluded.lag_seconds),
        delivery_histogram = ARRAY(
            SELECT coalesce(a, 0) + coalesce(b, 0)
            FROM unnest(total.delivery_histogram, excluded.delivery_histogram) WITH ORDINALITY AS x (a, b, bucket)
            ORDER BY bucket
        ),
        attempt_histogram = ARRAY(
            SELECT coalesce(a, 0) + coalesce(b, 0)
            FROM unnest(total.attempt_histogram, excluded.attempt_histogram) WITH ORDINALITY AS x (a, b, bucket)
            ORDER BY bucket
        )
)
SELECT count(*) FROM gone
"""
# Held destinations are left out: their rows wait for somebody, and we are not behind.
LAG_SQL = f"""
INSERT INTO destinations_deliveryminute (destination_id, minute, span, lag_seconds)
SELECT d.id, date_trunc('minute', statement_timestamp()), 0,
    least(2147483647, extract(epoch FROM statement_timestamp() - due.at))::int
FROM destinations_destination d, {FIRST_DUE}
WHERE d.hold = '' AND due.at < statement_timestamp() - interval '1 second'
"""


def fold(limit: int = 5_000) -> int:
    """Fold up to `limit` parts into their minutes and quarters of an hour; returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(FOLD_SQL, [limit])
        folded: int = cursor.fetchone()[0]
    return folded


def note_lag() -> None:
    """Note how far behind each destination is just now. Of the notes of a minute the highest stays."""
    with connection.cursor() as cursor:
        cursor.execute(LAG_SQL)
