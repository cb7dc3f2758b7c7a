"""One cell of the matrix day by day: what was delivered there on each of the last seven days (UTC), and what died."""

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
SELECT day, state, sum(count)::bigint FROM (
    SELECT day, state, count FROM destinations_ledgerentry
    WHERE is_total AND day = ANY(%(days)s) AND destination_id = %(destination)s AND event_name = %(event)s
        AND state = ANY(%(states)s)
    UNION ALL
    SELECT day, state, count FROM destinations_ledgerentry
    WHERE NOT is_total AND day = ANY(%(days)s) AND destination_id = %(destination)s AND event_name = %(event)s
        AND state = ANY(%(states)s)
) both_kinds GROUP BY 1, 2
"""


class Day(NamedTuple):
    day: date
    count: int
    height: float
    """Of its bar, up to BAR_HEIGHT."""

    @property
    def top(self) -> float:
        return BAR_HEIGHT - self.height


class Week(NamedTuple):
    days: list[Day]
    """Seven, today last, those without a delivery too."""
    dead: int

    @property
    def delivered(self) -> int:
        return sum(day.count for day in self.days)

    @property
    def most(self) -> Day:
        return max(self.days, key=lambda day: day.count)


def week(event: str, destination_id: int, today: date) -> Week:
    """One query."""
    days = days_to(today)
    states = [LedgerState.DELIVERED.value, LedgerState.DEAD.value]
    asked = {"days": days, "destination": destination_id, "event": event, "states": states}
    with connection.cursor() as cursor:
        cursor.execute(_SQL, asked)
        counts: dict[tuple[date, str], int] = {(day, state): count for day, state, count in cursor.fetchall()}
    dead = sum(count for (_, state), count in counts.items() if state == LedgerState.DEAD)
    return Week(with_bars([(day, counts.get((day, states[0]), 0)) for day in days]), dead)


def with_bars(counts: list[tuple[date, int]]) -> list[Day]:
    largest = max((count for _, count in counts), default=0)
    return [
        Day(day, count, round(max(LEAST_BAR, BAR_HEIGHT * count / largest), 1) if count > 0 else 0)
        for day, count in counts
    ]
