"""The way of a new destination to its first live event, step by step: what is done, what is next, and where."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import NamedTuple

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from destinations import trial
from destinations.models import Destination, LedgerEntry, LedgerState
from routing import snapshot, toggles
from routing.models import RoutingChange
from routing.policy import DestinationRule, EventRule, selects
from trackstack_site.wording import followed

SAID_FOR = timedelta(days=7)
"""How long its page says that it went live, with the steps that were left out."""


class Step(NamedTuple):
    key: str
    title: str
    is_done: bool
    sentence: str
    action: str = ""
    url: str = ""
    is_optional: bool = False
    """It cannot be done here, and nothing stands in the way without it."""
    is_quoted: bool = False
    """The sentence is a vendor's, or was kept: it is no text to translate."""


def steps(destination: Destination) -> list[Step]:
    """In order; none for the built-in warehouse, which needs none. A handful of small queries."""
    if destination.platform.is_builtin:
        return []
    state = snapshot.current()
    rule = state.rules.get(destination.pk)
    if rule is None:
        return []
    return [
        _credentials(destination),
        _events(destination, rule, state.events),
        _test(destination),
        _on(destination),
        _live(destination),
    ]


def is_live(found: list[Step]) -> bool:
    """Whether live events arrive: then the steps before were taken, or were not needed."""
    return bool(found) and found[-1].is_done


def is_recent(destination: Destination, today: date) -> bool:
    """Whether its first live event is some days old at most: as long its page says so."""
    first = _first(destination)
    return first is not None and first[0] > today - SAID_FOR


def _credentials(destination: Destination) -> Step:
    title = _("Credentials")
    if destination.is_check_good is None:
        said = _("They are entered, and nobody has asked %(platform)s yet whether it takes them.")
        return Step("credentials", title, False, said % {"platform": destination.platform.label})
    return Step("credentials", title, destination.is_check_good, destination.check_said, is_quoted=True)


def lacking(destination: Destination, rule: DestinationRule, events: Mapping[str, EventRule]) -> tuple[int, list[str]]:
    """How many events are on, and which of them lack the id that the platform needs."""
    on = [name for name, event_rule in events.items() if selects(rule, name, event_rule).send]
    shape = destination.platform.native_id
    if shape is None or not shape.required:
        return len(on), []
    return len(on), [name for name in on if rule.native_name(name) and not rule.native_ids.get(name)]


def _events(destination: Destination, rule: DestinationRule, events: Mapping[str, EventRule]) -> Step:
    count, without = lacking(destination, rule, events)
    shape = destination.platform.native_id
    matrix = reverse("routing:matrix")
    if not count:
        return Step("events", _("Events"), False, _("No event is on for it."), _("Choose events"), matrix)
    on = ngettext("%(count)d event is on.", "%(count)d events are on.", count) % {"count": count}
    if shape is None or not shape.required:
        return Step("events", _("Events"), True, on, _("Choose events"), matrix)
    ids = reverse("destinations:ids", args=[destination.pk])
    title = _("Events and their ids")
    if without:
        words = {"count": len(without), "label": shape.label, "names": ", ".join(without[:3])}
        missing = ngettext(
            "%(count)d of them lacks its %(label)s and is not sent: %(names)s.",
            "%(count)d of them lack their %(label)s and are not sent, such as %(names)s.",
            len(without),
        )
        # One with an id is enough to begin with; the others are said, and stay marked in the matrix.
        return Step("events", title, len(without) < count, followed(on, missing % words), _("Enter ids"), ids)
    return Step("events", title, True, followed(on, _("Each has its id.")), _("Change ids"), ids)


def _test(destination: Destination) -> Step:
    title = _("A test event is accepted")
    page = reverse("destinations:edit", args=[destination.pk])
    entry = RoutingChange.objects.filter(destination_pk=destination.pk, action=toggles.TEST).exclude(note="").first()
    if entry is not None:
        is_done = entry.note.startswith(trial.TAKEN)
        return Step("test", title, is_done, entry.note, _("Send as test"), f"{page}#try", is_quoted=True)
    if obstacle := trial.obstacle(destination):
        return Step("test", title, False, obstacle, is_optional=True)
    return Step("test", title, False, trial.whereabouts(destination), _("Send as test"), f"{page}#try")


def _on(destination: Destination) -> Step:
    title = _("It is switched on")
    if not destination.is_enabled:
        return Step("on", title, False, _("Nothing is sent to it until it is on: events are skipped."))
    if destination.hold:
        return Step("on", title, False, _("It is on, and held: events wait until it is resumed."))
    return Step("on", title, True, _("Events that are on are sent to it."))


def _first(destination: Destination) -> tuple[date, str] | None:
    """The day of its first deliveries, and an event of that day."""
    delivered = LedgerEntry.objects.filter(destination=destination, state=LedgerState.DELIVERED)
    return delivered.order_by("day", "event_name").values_list("day", "event_name").first()


def _live(destination: Destination) -> Step:
    title = _("The first live event arrives")
    first = _first(destination)
    if first is not None:
        day, event = first
        said = _("Live since %(day)s; %(event)s was among the first events.")
        return Step("live", title, True, said % {"event": event, "day": day.isoformat()})
    return Step(
        "live", title, False, _("This changes by itself when your product sends one of the events that are on."),
        _("Live"), f"{reverse('destinations:live')}?destination={destination.pk}",
    )  # fmt: skip
