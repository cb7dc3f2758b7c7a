"""The history of the routing: what was changed when, what that came to, and the way back.

An entry holds what it changed of one destination, before and after (`routing.toggles.apply`). So the difference of two
versions is the sum of the entries between them, and going back is that sum the other way round: made as a new change,
with an entry of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet, Sum
from django.utils import timezone
from django.utils.translation import gettext

from destinations.models import DeliveryMinute, Destination, Span
from routing import drafts, snapshot, toggles
from routing import sentences as said
from routing.models import RoutingChange
from routing.net import Net
from routing.policy import DestinationRule
from trackstack_site.csv_lines import all_pages
from trackstack_site.wording import in_english

PAGE_SIZE = 50
ROUTING = ("toggle", "mode", "mapping")
"""Actions that changed what is routed: those that can be compared and taken back."""
TESTS = "tests"
"""What is asked for to see the test events that were sent: they changed nothing, and stand apart."""
EFFECT = timedelta(hours=24)
MOST_BACK = 2000
"""Entries that a comparison may span."""


def entries(filters: Mapping[str, Any], before: int | None = None) -> tuple[list[RoutingChange], int | None]:
    """One page, newest first, and the key to go on from."""
    rows = _filtered(filters)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    found = list(rows[: PAGE_SIZE + 1])
    return found[:PAGE_SIZE], found[PAGE_SIZE - 1].pk if len(found) > PAGE_SIZE else None


class Version(NamedTuple):
    """Entries that were made together, as one row of the list: the fields are named as theirs."""

    pk: int
    version: int
    at: datetime
    actor: str
    destination_name: str
    sentences: list[str]
    note: str
    is_test: bool


def versions(rows: Iterable[RoutingChange]) -> list[Version]:
    """The entries of one version in one row; they stand beside each other, newest first."""
    return list(_versions(rows))


EXPORTED = ("version", "at", "destination", "who", "what", "note")


def exported(filters: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    """Rows of a CSV file: what the list shows with that filter, all pages of it."""
    for one in _versions(all_pages(partial(entries, filters))):
        yield one.version, one.at, one.destination_name, one.actor, one.sentences, one.note


def _versions(rows: Iterable[RoutingChange]) -> Iterator[Version]:
    for key, entries_of in groupby(rows, key=_made_together):
        version, made = key[0], list(entries_of)[::-1]
        first = made[0]
        names = ", ".join(dict.fromkeys(one.destination_name for one in made if one.destination_name))
        sentences = [sentence for one in made for sentence in one.sentences]
        is_test = first.action == toggles.TEST
        yield Version(first.pk, version, first.at, first.actor, names, sentences, first.note, is_test)


def toned(entry: RoutingChange) -> list[tuple[str, str]]:
    """The sentences as they were kept, each with `added`, `removed` or neither."""
    with in_english():
        stopped = {said.stops(entry.destination_name, name) for name in entry.before.get("selected") or ()}
        started = {said.starts(entry.destination_name, name) for name in entry.after.get("selected") or ()}
    tones = dict.fromkeys(stopped, "removed") | dict.fromkeys(started, "added")
    return [(sentence, tones.get(sentence, "")) for sentence in entry.sentences]


def _made_together(entry: RoutingChange) -> tuple[int, int]:
    """Tests raise no version: each is a row of its own."""
    return entry.version, entry.pk if entry.action == toggles.TEST else 0


def siblings(entry: RoutingChange) -> QuerySet[RoutingChange]:
    """The entries that were made together with this one, itself among them."""
    if entry.action == toggles.TEST:
        return RoutingChange.objects.filter(pk=entry.pk)
    return RoutingChange.objects.filter(version=entry.version).exclude(action=toggles.TEST).order_by("pk")


def _filtered(filters: Mapping[str, Any]) -> QuerySet[RoutingChange]:
    rows = RoutingChange.objects.order_by("-pk")
    if destination := filters.get("destination"):
        rows = rows.filter(destination_pk=destination.pk)
    if actor := filters.get("actor"):
        rows = rows.filter(actor=actor)
    if event := filters.get("event"):
        rows = rows.filter(sentences__icontains=event)
    if filters.get("what") == TESTS:
        return rows.filter(action=toggles.TEST)
    if filters.get("what") == "routing":
        return rows.filter(action__in=ROUTING)
    return rows.exclude(action=toggles.TEST)


def between(low: int, high: int) -> list[Net]:
    """The net difference from version `low` to version `high`, by destination; what cancelled out is left out.

    Raises ValueError when there are more than MOST_BACK entries between them.
    """
    nets, state = _sums(low, high), snapshot.current()
    try:
        since = {net.destination_pk: net.reversed() for net in _sums(high, state.version)}
    except ValueError:
        since = {}  # too long ago to say what had an id then: as it is now
    rules = {pk: _now_with(state.rules.get(pk), net) for pk, net in since.items()}
    return [net._replace(after=rules.get(pk) or state.rules.get(pk)) for net in nets for pk in [net.destination_pk]]


def _sums(low: int, high: int, destination_pk: int | None = None) -> list[Net]:
    rows = RoutingChange.objects.filter(version__gt=low, version__lte=high, action__in=ROUTING).order_by("pk")
    if destination_pk is not None:
        rows = rows.filter(destination_pk=destination_pk)
    found = list(rows[: MOST_BACK + 1])
    if len(found) > MOST_BACK:
        sentence = gettext("More than %(count)d changes lie between the two versions.")
        raise ValueError(sentence % {"count": MOST_BACK})
    of_destination: dict[int, list[RoutingChange]] = {}
    for row in found:
        if row.destination_pk is not None:
            of_destination.setdefault(row.destination_pk, []).append(row)
    nets = (_net(pk, changes) for pk, changes in of_destination.items())
    return [net for net in nets if net.mode or net.switched or net.native_names or net.native_ids]


def _now_with(rule: DestinationRule | None, net: Net) -> DestinationRule | None:
    """The rule in force, with the native names and ids that a net ends with."""
    if rule is None:
        return None
    names = {event: new for event, (_, new) in net.native_names.items()}
    ids = {event: new for event, (_, new) in net.native_ids.items()}
    wanted = drafts.Wanted(native_names=names, native_ids=ids)
    return drafts.drafted_rule(rule, wanted, snapshot.current().events)


def _net(pk: int, changes: Iterable[RoutingChange]) -> Net:
    mode: list[str] = []
    switched: dict[str, tuple[bool, bool]] = {}
    natives: dict[str, dict[str, tuple[str, str]]] = {"native_name": {}, "native_id": {}}
    name = ""
    for change in changes:
        name = change.destination_name
        if "mode" in change.after:
            mode = [mode[0] if mode else change.before["mode"], change.after["mode"]]
        for event in change.after.get("selected", ()):
            switched[event] = (switched.get(event, (False, False))[0], True)
        for event in change.before.get("selected", ()):
            switched[event] = (switched.get(event, (True, True))[0], False)
        for column, known in natives.items():
            for event, value in change.after.get(column, {}).items():
                old = known[event][0] if event in known else change.before[column][event]
                known[event] = (old, value)
    return Net(
        pk,
        name,
        (mode[0], mode[1]) if mode and mode[0] != mode[1] else None,
        {event: both for event, both in switched.items() if both[0] != both[1]},
        {event: both for event, both in natives["native_name"].items() if both[0] != both[1]},
        {event: both for event, both in natives["native_id"].items() if both[0] != both[1]},
    )


def way_back(version: int, destination_pk: int | None = None) -> list[Net]:
    """What going back to a version would change now. Destinations that are gone are left out."""
    newest = RoutingChange.objects.order_by("-version").values_list("version", flat=True).first() or version
    backwards = [net.reversed() for net in _sums(version, newest, destination_pk)]
    present = set(Destination.objects.present().values_list("pk", flat=True))
    rules = snapshot.current().rules
    return [
        net._replace(after=_now_with(rules.get(net.destination_pk), net))
        for net in backwards
        if net.destination_pk in present
    ]


def roll_back(
    version: int, *, user: Any, seen: int, destination_pk: int | None = None, note: str = ""
) -> list[RoutingChange]:
    """Go back to a version, as one new version: all of it, or none.

    Destinations that are gone are left out. Raises toggles.StaleError when the routing is not what was seen, and
    toggles.ToggleError.
    """
    made, group = [], toggles.Group()
    with in_english():
        note = note or gettext("Back to version %(version)s") % {"version": version}
    with transaction.atomic():
        # Locked together and in order, so that no two who change several wait for each other.
        held = Destination.objects.present().select_for_update(of=("self",)).order_by("pk").in_bulk()
        for number, net in enumerate(net for net in way_back(version, destination_pk) if net.destination_pk in held):
            change = toggles.apply(
                held[net.destination_pk],
                mode=net.mode[1] if net.mode else None,
                on={event: is_on for event, (_, is_on) in net.switched.items()},
                native_names={event: new for event, (_, new) in net.native_names.items()},
                native_ids={event: new for event, (_, new) in net.native_ids.items()},
                user=user,
                note=note,
                seen=seen if number == 0 else None,
                group=group,
            )
            if change is not None:
                made.append(change)
    return made


def take_back(made: Sequence[RoutingChange], *, user: Any) -> list[RoutingChange]:
    """Undo entries that were made together, as one new version.

    Raises toggles.ToggleError, also when one of their destinations was changed again since, or is gone.
    """
    undone, group = [], toggles.Group()
    with in_english():
        note = gettext("Undo")
    with transaction.atomic():
        # Locked together and in order, so that nothing comes between the look and the change.
        rows = Destination.objects.select_for_update(of=("self",)).order_by("pk")
        held = rows.in_bulk([one.destination_pk for one in made if one.destination_pk is not None])
        for one in made:
            later = RoutingChange.objects.filter(pk__gt=made[-1].pk, destination_pk=one.destination_pk)
            destination = held.get(one.destination_pk or 0)
            if destination is None or later.exclude(action=toggles.TEST).exists():
                sentence = gettext("%(destination)s was changed again since, so this cannot be undone by itself.")
                raise toggles.ToggleError(sentence % {"destination": one.destination_name})
            on = dict.fromkeys(one.after.get("selected", ()), False)
            change = toggles.apply(
                destination,
                mode=one.before.get("mode"),
                on=on | dict.fromkeys(one.before.get("selected", ()), True),
                native_names=one.before.get("native_name"),
                native_ids=one.before.get("native_id"),
                user=user,
                note=note,
                group=group,
            )
            if change is not None:
                undone.append(change)
    return undone


class Effect(NamedTuple):
    """Deliveries of a destination in a stretch of time."""

    delivered: int
    dead: int


def effect(entry: RoutingChange) -> tuple[Effect, Effect] | None:
    """The 24 hours before a change and those after it; None for what concerns no destination, or is no longer kept."""
    kept = settings.RETENTION_DAYS["minutes"]
    if entry.destination_pk is None or entry.at - EFFECT < timezone.now() - timedelta(days=kept):
        return None
    return _sum(entry.destination_pk, entry.at - EFFECT, entry.at), _sum(
        entry.destination_pk, entry.at, entry.at + EFFECT
    )


def _sum(destination_pk: int, since: datetime, until: datetime) -> Effect:
    rows = DeliveryMinute.objects.filter(
        destination_id=destination_pk, span__in=(Span.MINUTE, Span.PART), minute__gte=since, minute__lt=until
    )
    found = rows.aggregate(delivered=Sum("delivered"), dead=Sum("dead"))
    return Effect(found["delivered"] or 0, found["dead"] or 0)
