"""What a change would have meant over the last days: deliveries, and how well the events tell whom they are about.

From the ledger and a bounded look at the newest events, so that asking costs little before the click as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta

from django.db.models import QuerySet, Sum
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from destinations import platforms
from destinations.models import LedgerEntry, LedgerState
from events import recent

DAYS = 7

Pairs = Iterable[tuple[int, str]]
"""Destination id and event."""


def words_of(
    counted: Mapping[tuple[int, str], int], pairs: Pairs, *, with_email: bool = True
) -> dict[tuple[int, str], str]:
    """ "1,204 in 7 days, 61 % with e-mail", of each that came. with_email: not asked for what stops."""
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


def received(pairs: Pairs) -> dict[tuple[int, str], int]:
    """How many of each event came over the last days: what its destination may get from now on, at most.

    Counted where every event is, at the built-in warehouse: a destination's own books begin on the day it was added.
    They know no sources, so one that takes only some of them gets fewer. One query.
    """
    wanted = set(pairs)
    builtin = [platform.key for platform in platforms.every() if platform.is_builtin]
    rows = _ledger(LedgerState.RECEIVED, wanted).filter(destination__platform_key__in=builtin)
    came = dict(rows.values_list("event_name").annotate(total=Sum("count")).order_by()) if wanted else {}
    return {(pk, event): came[event] for pk, event in wanted if event in came}


def delivered(pairs: Pairs) -> dict[tuple[int, str], int]:
    """How many of each the destination got over the last days. One query."""
    wanted = set(pairs)
    if not wanted:
        return {}
    rows = (
        _ledger(LedgerState.DELIVERED, wanted)
        .filter(destination__in={pk for pk, _event in wanted})
        .values_list("destination_id", "event_name")
        .annotate(total=Sum("count"))
    )
    return {(pk, event): total for pk, event, total in rows.order_by() if (pk, event) in wanted}


def _ledger(state: LedgerState, pairs: Pairs) -> QuerySet[LedgerEntry]:
    since = timezone.now().date() - timedelta(days=DAYS - 1)
    return LedgerEntry.objects.filter(day__gte=since, state=state, event_name__in={event for _pk, event in pairs})
