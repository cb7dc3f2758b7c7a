"""Who fell silent: an event that used to reach a destination and does not today, judged by the ledger.

What is to be expected today follows from how much came in today: the share that this event's deliveries had of all
events in the seven days before yesterday. So nights, weekends and a quiet day alarm nobody.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import NamedTuple

from django.db import connection
from django.db.models import Sum
from django.utils import timezone

from destinations.glance import Glance
from destinations.models import LedgerEntry, LedgerState

ENOUGH = 10
"""Expected deliveries from which on none at all is no chance (1 in 20,000)."""
MOST_TOLD = 50
LOOK_SECONDS = 60.0
"""A look reads a week of the ledger, and what it finds changes slowly."""
DELIBERATE = frozenset({"destination_disabled", "source_not_enabled", "not_selected", "warehouse_only"})
"""Skips that somebody decided on: no news to them."""


class Silence(NamedTuple):
    destination_id: int
    event: str
    expected: int
    """Deliveries that today should have seen by now."""
    received: int
    """Events of that name that came in today."""
    reason: str = ""
    """Why most of them were not delivered, where the ledger says so."""


# What came and waits is on its way: shortly after midnight that is all there is, and behind a hold as well.
SILENT_SQL = """
WITH recent AS (
    SELECT destination_id, event_name,
        sum(count) FILTER (WHERE state = 'delivered' AND day < %(yesterday)s) AS delivered_before,
        count(DISTINCT day) FILTER (WHERE state = 'delivered' AND day < %(yesterday)s) AS days,
        coalesce(sum(count) FILTER (WHERE state = 'delivered' AND day = %(today)s), 0) AS delivered,
        coalesce(sum(count) FILTER (WHERE state = 'received' AND day < %(yesterday)s), 0) AS received_before,
        coalesce(sum(count) FILTER (WHERE state = 'received' AND day = %(today)s), 0) AS received,
        coalesce(sum(count) FILTER (WHERE state IN ('skipped', 'dead') AND day = %(today)s), 0) AS refused
    FROM destinations_ledgerentry WHERE day >= %(first)s AND day <= %(today)s
    GROUP BY 1, 2
), total AS (
    SELECT destination_id, sum(received_before) AS before, sum(received) AS today FROM recent GROUP BY 1
)
SELECT destination_id, event_name, (delivered_before * total.today / total.before)::bigint, received
FROM recent JOIN total USING (destination_id)
WHERE delivered = 0 AND days >= 5 AND total.before > 0
    AND delivered_before * total.today / total.before - (received - refused) >= %(enough)s
ORDER BY 3 DESC, 1, 2 LIMIT 5000
"""


def silences(today: date) -> list[Silence]:
    """The gravest first. Somebody's switching off is none."""
    days = {"today": today, "yesterday": today - timedelta(days=1), "first": today - timedelta(days=8)}
    with connection.cursor() as cursor:
        cursor.execute(SILENT_SQL, {**days, "enough": ENOUGH})
        found = [Silence(*row) for row in cursor.fetchall()]
    if not found:
        return []
    reasons = _reasons(today, found)
    told = [silence._replace(reason=reasons.get(silence[:2], "")) for silence in found]
    return [silence for silence in told if silence.reason not in DELIBERATE][:MOST_TOLD]


def _reasons(today: date, found: Iterable[Silence]) -> dict[tuple[int, str], str]:
    """The most frequent reason of today's skipped and dead, by destination and event."""
    rows = LedgerEntry.objects.filter(
        day=today,
        destination__in={silence.destination_id for silence in found},
        event_name__in={silence.event for silence in found},
        state__in=(LedgerState.SKIPPED, LedgerState.DEAD),
    )
    counted = rows.values_list("destination_id", "event_name", "reason").annotate(total=Sum("count"))
    return {(pk, event): reason for pk, event, reason, _ in counted.order_by("total")}


today = Glance(lambda: silences(timezone.now().date()), LOOK_SECONDS)
