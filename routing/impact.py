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
    found = words_of({(0, name): count for name, count in received.items()}, [(0, name) for name in names])
    return {name: said for (_, name), said in found.items()}


def words_of(received: Mapping[tuple[int, str], int], pairs: Pairs) -> dict[tuple[int, str], str]:
    """`words` for events of several destinations."""
    wanted = [pair for pair in pairs if received.get(pair)]
    emails = recent.with_email(sorted({name for _, name in wanted})) if wanted else {}
    found = {}
    for pair in wanted:
        share = f", {emails[pair[1]]} % with e-mail" if pair[1] in emails else ""
        found[pair] = f"{received[pair]:,} in {DAYS} days{share}"
    return found


def sentence(added: Pairs, removed: Pairs) -> str:
    """How many deliveries more or fewer the last days would have seen; empty when nothing came of it."""
    more = _sum(LedgerState.RECEIVED, added)
    fewer = _sum(LedgerState.DELIVERED, removed)
    parts = [
        f"up to {more:,} more deliveries" if more else "",
        f"{fewer:,} fewer{'' if more else ' deliveries'}" if fewer else "",
    ]
    said = " and ".join(part for part in parts if part)
    return f"Over the last {DAYS} days this would have meant {said}." if said else ""


def of_changes(changes: Iterable[Any]) -> str:
    """`sentence` for changes that have `destination_id` and `on`: event → switched on or off."""
    known = [(change.destination_id, event, is_on) for change in changes for event, is_on in change.on.items()]
    return sentence(
        [(pk, event) for pk, event, is_on in known if is_on], [(pk, event) for pk, event, is_on in known if not is_on]
    )


def _sum(state: LedgerState, pairs: Pairs) -> int:
    return sum(counts(state, pairs).values())


def counts(state: LedgerState, pairs: Pairs) -> dict[tuple[int, str], int]:
    """How many of each there were over the last days."""
    wanted = set(pairs)
    if not wanted:
        return {}
    since = timezone.now().date() - timedelta(days=DAYS - 1)
    rows = (
        LedgerEntry.objects.filter(day__gte=since, state=state, destination__in={pk for pk, _ in wanted})
        .filter(event_name__in={event for _, event in wanted})
        .values_list("destination_id", "event_name")
        .annotate(total=Sum("count"))
    )
    return {(pk, event): total for pk, event, total in rows.order_by() if (pk, event) in wanted}
