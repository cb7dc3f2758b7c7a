"""What a change would have meant over the last days: deliveries, and how well the events tell whom they are about.

From the ledger and a bounded look at the newest events, so that asking costs little before the click as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from django.db.models import Sum
from django.utils import timezone

from destinations.models import LedgerEntry, LedgerState
from events import recent

DAYS = 7

Pairs = Iterable[tuple[int, str]]
"""Destination id and event."""


def words(received: Mapping[str, int], names: Iterable[str]) -> dict[str, str]:
    """Event → "1,204 in 7 days, 61 % with e-mail"; empty for what did not come."""
    wanted = [name for name in names if received.get(name)]
    emails = recent.with_email(wanted) if wanted else {}
    found = {}
    for name in wanted:
        share = f", {emails[name]} % with e-mail" if name in emails else ""
        found[name] = f"{received[name]:,} in {DAYS} days{share}"
    return found


def sentence(added: Pairs, removed: Pairs) -> str:
    """How many deliveries more or fewer the last days would have seen; empty when nothing came of it."""
    more = _sum(LedgerState.RECEIVED, added)
    fewer = _sum(LedgerState.DELIVERED, removed)
    parts = [f"up to {more:,} more deliveries" if more else "", f"{fewer:,} fewer" if fewer else ""]
    said = " and ".join(part for part in parts if part)
    return f"Over the last {DAYS} days this would have meant {said}." if said else ""


def of_changes(changes: Iterable[Any]) -> str:
    """`sentence` for changes that have `destination_id` and `on`: event → switched on or off."""
    known = [(change.destination_id, event, is_on) for change in changes for event, is_on in change.on.items()]
    return sentence(
        [(pk, event) for pk, event, is_on in known if is_on], [(pk, event) for pk, event, is_on in known if not is_on]
    )


def _sum(state: LedgerState, pairs: Pairs) -> int:
    wanted = set(pairs)
    if not wanted:
        return 0
    since = timezone.now().date() - timedelta(days=DAYS - 1)
    rows = (
        LedgerEntry.objects.filter(day__gte=since, state=state, destination__in={pk for pk, _ in wanted})
        .filter(event_name__in={event for _, event in wanted})
        .values_list("destination_id", "event_name")
        .annotate(total=Sum("count"))
    )
    return sum(total for pk, event, total in rows.order_by() if (pk, event) in wanted)
