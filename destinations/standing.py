"""How things stand at this moment: what waits at each destination, since when, and whether we are behind.

All of it bounded reads of the index of waiting deliveries: a backlog of millions costs no more than one of thousands.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from django.db import connection
from django.utils.translation import gettext as _

from destinations.glance import Glance
from destinations.waiting import FIRST_DUE
from events import unrouted

WAITING_CAP = 10_000
OLDEST_AMONG = 100
"""Waiting rows looked at for the oldest: of those never tried the first due, of the others the last due, which were
tried most."""
BEHIND_SECONDS = 15
"""A sweep may take some seconds to find a retry that came due; what is later than this is late."""
LOOK_SECONDS = 5.0


class Standing(NamedTuple):
    """What waits at one destination."""

    overdue: float = 0.0
    """Seconds since the first due row came due."""
    waiting: int = 0
    """Up to WAITING_CAP."""
    oldest_at: datetime | None = None
    oldest_id: int | None = None

    @property
    def is_capped(self) -> bool:
        return self.waiting >= WAITING_CAP


STANDING_SQL = f"""
SELECT d.id, greatest(0, extract(epoch FROM statement_timestamp() - due.at))::float, waiting.n, oldest.at, oldest.id
FROM destinations_destination d
CROSS JOIN {FIRST_DUE}
CROSS JOIN LATERAL (
    SELECT count(*) AS n FROM (
        SELECT 1 FROM destinations_delivery w WHERE w.destination_id = d.id AND w.state = 1 LIMIT %(cap)s
    ) capped
) waiting
CROSS JOIN LATERAL (
    SELECT ends.created_at AS at, ends.id FROM (
        (SELECT id, created_at FROM destinations_delivery w WHERE w.destination_id = d.id AND w.state = 1
         AND least(w.tries, 1) = 0 ORDER BY due_at LIMIT %(ends)s)
        UNION ALL
        (SELECT id, created_at FROM destinations_delivery w WHERE w.destination_id = d.id AND w.state = 1
         AND least(w.tries, 1) = 1 ORDER BY due_at DESC LIMIT %(ends)s)
    ) ends ORDER BY ends.created_at, ends.id LIMIT 1
) oldest
"""


def standings() -> dict[int, Standing]:
    """By destination id; destinations at which nothing waits are left out."""
    with connection.cursor() as cursor:
        cursor.execute(STANDING_SQL, {"cap": WAITING_CAP, "ends": OLDEST_AMONG})
        return {row[0]: Standing(*row[1:]) for row in cursor.fetchall()}


# --- Behind ----------------------------------------------------------------------------------------------


class Behind(NamedTuple):
    """What comes later than it should: events that wait to be routed, and destinations with overdue rows."""

    seconds: int
    found: tuple[str | None, ...]
    """Names of destinations, or None for routing, the one furthest behind first."""

    @property
    def late(self) -> tuple[str, ...]:
        """`found` in words. What was found is remembered for readers of any language."""
        return tuple(_("routing what came in") if name is None else name for name in self.found)


# Held destinations wait for somebody, which Health and their pills say; that is not being behind.
BEHIND_SQL = f"""
WITH RECURSIVE {unrouted.SOURCES}
SELECT NULL, extract(epoch FROM statement_timestamp() - min(first.received_at))::float
FROM waiting CROSS JOIN LATERAL (
    SELECT b.received_at FROM events_ingestbatch b
    WHERE b.routed_at IS NULL AND b.source_id = waiting.source_id ORDER BY b.id LIMIT 1
) first HAVING count(*) > 0
UNION ALL
SELECT d.name, extract(epoch FROM statement_timestamp() - due.at)::float
FROM destinations_destination d, {FIRST_DUE}
WHERE d.hold = '' AND due.at < statement_timestamp()
ORDER BY 2 DESC
"""


def look() -> Behind | None:
    """How far behind we are; None when we keep up. Pages ask `behind`, which remembers for a moment."""
    with connection.cursor() as cursor:
        cursor.execute(BEHIND_SQL)
        late = [(name, seconds) for name, seconds in cursor.fetchall() if seconds > BEHIND_SECONDS]
    if not late:
        return None
    return Behind(int(late[0][1]), tuple(name for name, _seconds in late))


behind = Glance(look, LOOK_SECONDS)
