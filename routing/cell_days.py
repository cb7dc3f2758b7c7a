"""One cell of the matrix day by day: what was delivered there on each of the last seven days (UTC)."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

from django.db import connection

from destinations.models import LedgerState
from routing.event_page import days_to

BAR_HEIGHT = 32
LEAST_BAR = 1.5
"""What is not nothing is seen."""

# As the event page asks: totals by their unique index, and the little that is not folded yet by an index of its own.
_SQL = """
SELECT day, sum(count)::bigint FROM (
    SELECT day, count FROM destinations_ledgerentry
    WHERE is_total AND day = ANY(%(days)s) AND destination_id = %(destination)s AND event_name = %(event)s
        AND state = %(state)s
    UNION ALL
    SELECT day, count FROM destinations_ledgerentry
    WHERE NOT is_total AND day = ANY(%(days)s) AND destination_id = %(destination)s AND event_name = %(event)s
        AND state = %(state)s
) both_kinds GROUP BY day
"""


class Day(NamedTuple):
    day: date
    count: int
    height: float
    """Of its bar, up to BAR_HEIGHT."""

    @property
    def top(self) -> float:
        return BAR_HEIGHT - self.height


def delivered(event: str, destination_id: int, today: date) -> list[Day]:
    """Seven days, today last, those without a delivery too. One query."""
    days = days_to(today)
    asked = {"days": days, "destination": destination_id, "event": event, "state": LedgerState.DELIVERED.value}
    with connection.cursor() as cursor:
        cursor.execute(_SQL, asked)
        counts: dict[date, int] = dict(cursor.fetchall())
    return with_bars([(day, counts.get(day, 0)) for day in days])


def with_bars(counts: list[tuple[date, int]]) -> list[Day]:
    largest = max((count for _, count in counts), default=0)
    return [
        Day(day, count, round(max(LEAST_BAR, BAR_HEIGHT * count / largest), 1) if count > 0 else 0)
        for day, count in counts
    ]
