"""Who fell silent: an event of which a destination gets far less than in the same hours of past weeks.

Compared are the last whole hours with the quietest of the same hours one to four weeks before. So nights and weekends
alarm nobody, and neither does a week without a campaign once it has been seen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import connection
from django.db.models import Min, Sum
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from destinations.glance import Glance
from destinations.models import Destination, EventHour, LedgerEntry, LedgerState
from routing import snapshot
from routing.policy import selects

ENOUGH = 10
"""Expected deliveries from which on none at all is no chance (1 in 20,000)."""
PLENTY = 25
"""Expected deliveries from which on a fifth of them is no chance either (1 in 700,000)."""
FIFTH = 5
SPANS = (1, 3, 12, 24)
"""Hours looked at together: a frequent event is missed soon, a rare one by the next day."""
WEEKS = (1, 2, 3, 4)
MOST_TOLD = 50
LOOK_SECONDS = 60.0
"""A look reads some days of hours, and what it finds changes slowly."""
KEPT = timedelta(days=36)
DELIBERATE = frozenset({"destination_disabled", "source_not_enabled", "not_selected", "warehouse_only"})
"""Skips that somebody decided on: no news to them."""


class Silence(NamedTuple):
    destination_id: int
    event: str
    expected: int
    """Deliveries in the same hours of the quietest of the past weeks."""
    received: int
    """Events of that name that came in within the hours."""
    hours: int = 24
    delivered: int = 0
    reason: str = ""
    """Why most of them were not delivered, where the ledger says so."""

    def sentence(self, destination: str) -> str:
        """destination: its name."""
        words = {
            "destination": destination, "event": self.event, "within": within(self.hours), "count": self.delivered,
            "expected": self.expected,
        }  # fmt: skip
        if self.delivered:
            said = _(
                "%(destination)s got only %(count)d %(event)s %(within)s; in past weeks it was %(expected)d at least."
            )
        else:
            said = _("%(destination)s got no %(event)s %(within)s; in past weeks it was %(expected)d at least.")
        return str(said % words)


def within(hours: int) -> str:
    """As part of a sentence."""
    return str(
        _("in the last hour")
        if hours == 1
        else ngettext("in %(count)d hour", "in %(count)d hours", hours) % {"count": hours}
    )


class Counts(NamedTuple):
    received: int = 0
    delivered: int = 0
    refused: int = 0

    @property
    def waiting(self) -> int:
        """What came and waits is on its way: behind a hold, that is all there is."""
        return max(0, self.received - self.delivered - self.refused)


_SUMS = ", ".join(
    f"coalesce(sum(h.{name}) FILTER (WHERE ago <= {hours}), 0)::bigint" for hours in SPANS for name in Counts._fields
)
# Hour by hour: asked for ranges, PostgreSQL holds each hour that is kept against each of them, for seconds.
COUNTS_SQL = f"""
SELECT h.destination_id, h.event_name, week, {_SUMS}
FROM generate_series(1, {max(SPANS)}) AS ago CROSS JOIN unnest(%(weeks)s::int[]) AS week
JOIN destinations_eventhour h ON h.hour = %(hour)s - make_interval(weeks => week, hours => ago)
GROUP BY 1, 2, 3
"""


def silences(now: datetime) -> list[Silence]:
    """The gravest first. What somebody switched off, retired or is about to delete is none."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    known_since = EventHour.objects.aggregate(first=Min("hour"))["first"]
    if known_since is None:
        return []
    taking = Destination.objects.present().filter(is_enabled=True, closing_at=None)
    made = dict(taking.values_list("pk", "created_at"))
    state, found = snapshot.current(), []
    for (pk, event), counts in _counts(hour).items():
        rule = state.rules.get(pk)
        if pk not in made or rule is None or event in state.retired:
            continue
        if rule.is_builtin or selects(rule, event, state.events.get(event)).send:
            silence = _judge(pk, event, counts, hour, max(known_since, made[pk]))
            found += [silence] if silence else []
    if not found:
        return []
    reasons = _reasons(hour - timedelta(hours=max(SPANS)), found)
    told = [silence._replace(reason=reasons.get(silence[:2], "")) for silence in found]
    wanted = [silence for silence in told if silence.reason not in DELIBERATE]
    return sorted(wanted, key=lambda one: (-one.expected, one.destination_id, one.event))[:MOST_TOLD]


Table = dict[tuple[int, int], Counts]
"""Hours and week → counts."""


def _counts(hour: datetime) -> dict[tuple[int, str], Table]:
    """Destination and event → what was counted in the hours before `hour`, this week (0) and in past ones."""
    found: dict[tuple[int, str], Table] = defaultdict(dict)
    with connection.cursor() as cursor:
        cursor.execute(COUNTS_SQL, {"hour": hour, "weeks": [0, *WEEKS]})
        for pk, event, week, *sums in cursor.fetchall():
            for number, hours in enumerate(SPANS):
                found[pk, event][hours, week] = Counts(*sums[number * 3 : number * 3 + 3])
    return found


def _judge(pk: int, event: str, counts: Table, hour: datetime, since: datetime) -> Silence | None:
    """since: nothing is known of what lies before."""
    for hours in SPANS:
        weeks = [week for week in WEEKS if hour - timedelta(weeks=week, hours=hours) >= since]
        if not weeks:
            continue
        expected = min(counts.get((hours, week), Counts()).delivered for week in weeks)
        got = counts.get((hours, 0), Counts())
        if _is_far_below(got.delivered + got.waiting, expected):
            return Silence(pk, event, expected, got.received, hours, got.delivered)
    return None


def _is_far_below(got: int, expected: int) -> bool:
    return expected >= ENOUGH and (got <= 0 or (expected >= PLENTY and got * FIFTH <= expected))


def _reasons(since: datetime, found: Iterable[Silence]) -> dict[tuple[int, str], str]:
    """The most frequent reason of the skipped and dead of these days, by destination and event."""
    rows = LedgerEntry.objects.filter(
        day__gte=since.date(),
        destination__in={silence.destination_id for silence in found},
        event_name__in={silence.event for silence in found},
        state__in=(LedgerState.SKIPPED, LedgerState.DEAD),
    )
    counted = rows.values_list("destination_id", "event_name", "reason").annotate(total=Sum("count"))
    return {(pk, event): reason for pk, event, reason, _total in counted.order_by("total")}


current = Glance(lambda: silences(timezone.now()), LOOK_SECONDS)
