"""What a change would have meant over the last days: deliveries, and how well the events tell whom they are about.

From the ledger and a bounded look at the newest events, so that asking costs little before the click as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta

from django.db.models import Sum
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from destinations.models import LedgerEntry, LedgerState
from events import recent

DAYS = 7

Pairs = Iterable[tuple[int, str]]
"""Destination id and event."""


def words(received: Mapping[str, int], names: Iterable[str]) -> dict[str, str]:
    """Event → "1,204 in 7 days, 61 % with e-mail"; empty for what did not come."""
    found = words_of({(0, name): count for name, count in received.items()}, [(0, name) for name in names])
    return {name: said for (_pk, name), said in found.items()}


def words_of(
    counted: Mapping[tuple[int, str], int], pairs: Pairs, *, with_email: bool = True
) -> dict[tuple[int, str], str]:
    """`words` for events of several destinations. with_email: not asked for what stops."""
    wanted = [pair for pair in pairs if counted.get(pair)]
    emails = recent.with_email(sorted({name for _pk, name in wanted})) if wanted and with_email else {}
    found = {}
    for pair in wanted:
        values = {"count": f"{counted[pair]:,}", "days": DAYS, "share": emails.get(pair[1])}
        if values["share"] is None:
            found[pair] = _("%(count)s in %(days)d days") % values
        else:
            found[pair] = _("%(count)s in %(days)d days, %(share)d %% with e-mail") % values
    return found


def sentence(added: Pairs, removed: Pairs) -> str:
    """How many deliveries more or fewer the last days would have seen; empty when nothing came of it."""
    return meant(_sum(LedgerState.RECEIVED, added), _sum(LedgerState.DELIVERED, removed))


def meant(more: int, fewer: int) -> str:
    """So many deliveries more, at most, and so many fewer, as a sentence; empty for none."""
    values = {"days": DAYS, "more": f"{more:,}", "fewer": f"{fewer:,}"}
    if more and fewer:
        sentence = ngettext(
            "Over the last %(days)d days this would have meant up to %(more)s more delivery and %(fewer)s fewer.",
            "Over the last %(days)d days this would have meant up to %(more)s more deliveries and %(fewer)s fewer.",
            more,
        )
    elif more:
        sentence = ngettext(
            "Over the last %(days)d days this would have meant up to %(more)s more delivery.",
            "Over the last %(days)d days this would have meant up to %(more)s more deliveries.",
            more,
        )
    elif fewer:
        sentence = ngettext(
            "Over the last %(days)d days this would have meant %(fewer)s fewer delivery.",
            "Over the last %(days)d days this would have meant %(fewer)s fewer deliveries.",
            fewer,
        )
    else:
        return ""
    return sentence % values


def _sum(state: LedgerState, pairs: Pairs) -> int:
    return sum(counts(state, pairs).values())


def counts(state: LedgerState, pairs: Pairs) -> dict[tuple[int, str], int]:
    """How many of each there were over the last days."""
    wanted = set(pairs)
    if not wanted:
        return {}
    since = timezone.now().date() - timedelta(days=DAYS - 1)
    rows = (
        LedgerEntry.objects.filter(day__gte=since, state=state, destination__in={pk for pk, _event in wanted})
        .filter(event_name__in={event for _, event in wanted})
        .values_list("destination_id", "event_name")
        .annotate(total=Sum("count"))
    )
    return {(pk, event): total for pk, event, total in rows.order_by() if (pk, event) in wanted}
