"""What a version came to: deliveries of its destinations before it and since, over the same length of time.

Minutes are counted by destination, single events by the hour; so the events that were changed are compared by whole
hours, and all of the destination by whole minutes. The minute and the hour of the change are in neither part.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.db.models import Q, QuerySet, Sum
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from destinations.models import DeliveryMinute, EventHour, Span
from routing import sentences
from routing.models import RoutingChange

FULL = timedelta(hours=24)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


class Row(NamedTuple):
    label: str
    before: int
    after: int
    hint: str = ""


class Effect(NamedTuple):
    """Of one destination."""

    before: str
    """How long before: the head of its column."""
    after: str
    rows: list[Row]


class _Window(NamedTuple):
    """So many whole units that ended before the change, and as many that began after it."""

    number: int
    before: tuple[datetime, datetime]
    after: tuple[datetime, datetime]


def _window(at: datetime, now: datetime, unit: timedelta) -> _Window:
    zero = timedelta(minutes=at.minute if unit == HOUR else 0, seconds=at.second, microseconds=at.microsecond)
    began = at - zero
    ended = began + unit if zero else began
    number = max(0, min(FULL, now - ended) // unit)
    return _Window(number, (began - number * unit, began), (ended, ended + number * unit))


def is_kept(at: datetime) -> bool:
    """Whether the minutes around a change are still there."""
    return at - FULL >= timezone.now() - timedelta(days=settings.RETENTION_DAYS["minutes"])


def of(made: Sequence[RoutingChange]) -> dict[int, Effect]:
    """By destination, of entries that were made together; empty in the first minute, and when the minutes of then are
    gone. Two queries at most."""
    at, now = made[0].at, timezone.now()
    destinations = list(dict.fromkeys(one.destination_pk for one in made if one.destination_pk is not None))
    minutes, hours = _window(at, now, MINUTE), _window(at, now, HOUR)
    if not destinations or not minutes.number or not is_kept(at):
        return {}
    events = changed_events(made)
    whole = _of_minutes(destinations, minutes)
    single = _of_hours(events, hours) if hours.number and events else {}
    before, after = _heads(minutes.number)
    found = {}
    for pk in destinations:
        rows = []
        if hours.number and events.get(pk):
            counts = [single.get((pk, event), (0, 0)) for event in events[pk]]
            rows.append(
                Row(
                    _named(events[pk]),
                    sum(one[0] for one in counts),
                    sum(one[1] for one in counts),
                    _whole(hours.number),
                )
            )
        delivered_before, dead_before, delivered, dead = whole.get(pk, (0, 0, 0, 0))
        rows.append(Row(_("Delivered, all events"), delivered_before, delivered))
        rows.append(Row(_("Dead, all events"), dead_before, dead))
        found[pk] = Effect(before, after, rows)
    return found


def _named(events: list[str]) -> str:
    if len(events) > sentences.MOST_NAMED:
        return _("Delivered, the %(count)d events it changed") % {"count": len(events)}
    return _("Delivered, %(events)s") % {"events": sentences.listed(events)}


def changed_events(made: Sequence[RoutingChange]) -> dict[int, list[str]]:
    """The events that entries name, by destination."""
    found: dict[int, list[str]] = {}
    for one in made:
        named = [
            event
            for values in (one.after, one.before)
            for kind in ("selected", "native_name", "native_id")
            for event in values.get(kind, ())
        ]
        if named and one.destination_pk is not None:
            found[one.destination_pk] = list(dict.fromkeys([*found.get(one.destination_pk, ()), *named]))
    return found


def _of_minutes(destinations: list[int], window: _Window) -> dict[int, tuple[int, int, int, int]]:
    """Delivered and dead before, delivered and dead since."""
    rows = DeliveryMinute.objects.filter(destination__in=destinations, span__in=(Span.MINUTE, Span.PART))
    before, after = (_within("minute", span) for span in window[1:])
    sums = (
        rows.filter(before | after)
        .values_list("destination_id")
        .annotate(
            delivered_before=Sum("delivered", filter=before, default=0),
            dead_before=Sum("dead", filter=before, default=0),
            delivered_after=Sum("delivered", filter=after, default=0),
            dead_after=Sum("dead", filter=after, default=0),
        )
    )
    return {pk: (one, two, three, four) for pk, one, two, three, four in sums.order_by()}


def _of_hours(events: dict[int, list[str]], window: _Window) -> dict[tuple[int, str], tuple[int, int]]:
    """Delivered before and since, by destination and event."""
    named = {event for names in events.values() for event in names}
    before, after = (_within("hour", span) for span in window[1:])
    rows: QuerySet[EventHour] = EventHour.objects.filter(before | after, destination__in=events, event_name__in=named)
    sums = rows.values_list("destination_id", "event_name").annotate(
        delivered_before=Sum("delivered", filter=before, default=0),
        delivered_after=Sum("delivered", filter=after, default=0),
    )
    return {(pk, event): (one, two) for pk, event, one, two in sums.order_by()}


def _within(field: str, span: tuple[datetime, datetime]) -> Q:
    return Q(**{f"{field}__gte": span[0], f"{field}__lt": span[1]})


def _heads(minutes: int) -> tuple[str, str]:
    if minutes * MINUTE >= FULL:
        return _("24 h before"), _("24 h after")
    hours, rest = divmod(minutes, 60)
    if hours:
        values = {"hours": hours, "minutes": rest}
        return _("%(hours)d h %(minutes)d min before") % values, _("%(hours)d h %(minutes)d min since") % values
    return _("%(minutes)d min before") % {"minutes": rest}, _("%(minutes)d min since") % {"minutes": rest}


def _whole(hours: int) -> str:
    return ngettext("%(count)d whole hour each", "%(count)d whole hours each", hours) % {"count": hours}
