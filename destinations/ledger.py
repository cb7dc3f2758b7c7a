"""Counting: received = delivered + waiting + skipped + dead, per day × destination × event."""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import Any

from django.db import connection

from destinations.models import LedgerState

Key = tuple[date, int, str, str, str]
"""day, destination id, event name, state, reason"""


class Tally:
    """Collects counts of one transaction; `write` adds them in the same transaction, so the books cannot drift."""

    def __init__(self) -> None:
        self.counts: Counter[Key] = Counter()

    def add(
        self,
        day: date,
        destination_id: int,
        event: str,
        state: LedgerState,
        reason: str = "",
        n: int = 1,
    ) -> None:
        self.counts[day, destination_id, event, state.value, reason] += n

    def write(self, cursor: Any) -> None:
        rows = [(key, count) for key, count in self.counts.items() if count]
        if not rows:
            return
        with cursor.copy(
            "COPY destinations_ledgerentry (day, destination_id, event_name, state, reason, count) FROM STDIN"
        ) as copy:
            for key, count in rows:
                copy.write_row((*key, count))


FOLD_SQL = """
WITH taken AS MATERIALIZED (  -- once: a plan may run a subquery with a limit for each row it meets
    SELECT id FROM destinations_ledgerentry WHERE NOT is_total ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM destinations_ledgerentry WHERE id IN (SELECT id FROM taken)
    RETURNING day, destination_id, event_name, state, reason, count
), folded AS (
    INSERT INTO destinations_ledgerentry AS total (day, destination_id, event_name, state, reason, count, is_total)
    SELECT day, destination_id, event_name, state, reason, sum(count), true FROM gone GROUP BY 1, 2, 3, 4, 5
    ON CONFLICT (day, destination_id, event_name, state, reason) WHERE is_total
    DO UPDATE SET count = total.count + excluded.count
), hours AS (
    INSERT INTO destinations_eventhour AS of_hour (hour, destination_id, event_name, received, delivered, refused)
    SELECT date_trunc('hour', statement_timestamp()), destination_id, event_name,
        coalesce(sum(count) FILTER (WHERE state = 'received'), 0),
        coalesce(sum(count) FILTER (WHERE state = 'delivered'), 0),
        coalesce(sum(count) FILTER (WHERE state IN ('skipped', 'dead')), 0)
    FROM gone GROUP BY 1, 2, 3
    ON CONFLICT (hour, destination_id, event_name) DO UPDATE SET received = of_hour.received + excluded.received,
        delivered = of_hour.delivered + excluded.delivered, refused = of_hour.refused + excluded.refused
)
SELECT count(*) FROM gone
"""


def fold(limit: int = 20_000) -> int:
    """Fold up to `limit` entries into their totals and this hour's; returns how many.

    One statement, so readers see parts or whole.
    """
    with connection.cursor() as cursor:
        cursor.execute(FOLD_SQL, [limit])
        folded: int = cursor.fetchone()[0]
    return folded
