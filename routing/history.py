"""The history of the routing: what was changed when, what that came to, and the way back.

An entry holds what it changed of one destination, before and after (`routing.toggles.apply`). So the difference of two
versions is the sum of the entries between them, and going back is that sum the other way round: made as a new change,
with an entry of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext

from destinations.models import Destination
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
MOST_BACK = 2000
"""Entries that a comparison may span."""


def entries(filters: Mapping[str, Any], before: int | None = None) -> tuple[list[RoutingChange], int | None]:
    """One page, newest first, and the key to go on from."""
    rows = _filtered(filters)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    found = list(rows[: PAGE_SIZE + 1])
    if len(found) <= PAGE_SIZE:
        return found, None
    # A version stands on one page, whole; unless it is longer than a page.
    page = [row for row in found if row.version != found[-1].version] or found[:PAGE_SIZE]
    return page, page[-1].pk


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
    """Undo entries that were made together, as one new version: exactly the reverse of each.

    Raises toggles.ToggleError, also when something that they changed was changed again since, or a destination is gone.
    """
    undone, group = [], toggles.Group()
    with in_english():
        note = gettext("Undo")
    with transaction.atomic():
        # Locked together and in order, so that nothing comes between the look and the change.
        rows = Destination.objects.select_for_update(of=("self",)).order_by("pk")
        held = rows.in_bulk([one.destination_pk for one in made if one.destination_pk is not None])
        if why := why_kept(made):
            raise toggles.ToggleError(why)
        for one in made:
            on = dict.fromkeys(one.after.get("selected", ()), False)
            change = toggles.apply(
                held[one.destination_pk or 0],
                mode=one.before.get("mode"),
                on=on | dict.fromkeys(one.before.get("selected", ()), True),
                native_names=one.before.get("native_name"),
                native_ids=one.before.get("native_id"),
                user=user,
                note=note,
                group=group,
            )
            if not _is_reverse(change, one):
                # What a mode means may be another by now: an event was added, or retired.
                raise toggles.ToggleError(_kept_sentence(one.destination_name))
            if change is not None:
                undone.append(change)
    return undone


def why_kept(made: Sequence[RoutingChange]) -> str:
    """Why entries that were made together cannot be taken back by themselves; empty when they can. Two queries."""
    asked = {one.destination_pk for one in made}
    present = set(Destination.objects.present().filter(pk__in=asked - {None}).values_list("pk", flat=True))
    later = RoutingChange.objects.filter(pk__gt=made[-1].pk, destination_pk__in=present, action__in=ROUTING)
    since: dict[int | None, list[RoutingChange]] = {}
    for number, row in enumerate(later.only("destination_pk", "before", "after").order_by("pk")[: MOST_BACK + 1]):
        if number == MOST_BACK:
            sentence = gettext("More than %(count)d changes were made there since.")
            return sentence % {"count": MOST_BACK}
        since.setdefault(row.destination_pk, []).append(row)
    for one in made:
        overtaking = (row for row in since.get(one.destination_pk, ()) if _overtakes(row, one))
        if one.destination_pk not in present or any(overtaking):
            return _kept_sentence(one.destination_name)
    return ""


def _kept_sentence(destination: str) -> str:
    sentence = gettext("%(destination)s was changed again since, so this cannot be undone by itself.")
    return sentence % {"destination": destination}


def _overtakes(later: RoutingChange, entry: RoutingChange) -> bool:
    """Whether taking the entry back would take back some of a later one of its destination, too.

    A mode decides of every event: with a switch, in either order, neither goes without the other.
    """
    mine, theirs = _touched(entry), _touched(later)
    kinds = [{kind for kind, _event in touched} for touched in (mine, theirs)]
    is_by_mode = any("mode" in one and "selected" in other for one, other in (kinds, kinds[::-1]))
    return is_by_mode or bool(mine & theirs)


def _touched(entry: RoutingChange) -> set[tuple[str, str]]:
    """Kind and event (empty for the mode) of each thing that an entry changed."""
    found = {("mode", "")} if "mode" in entry.after else set()
    for kind in ("selected", "native_name", "native_id"):
        found |= {(kind, event) for values in (entry.before, entry.after) for event in values.get(kind, ())}
    return found


def _is_reverse(change: RoutingChange | None, entry: RoutingChange) -> bool:
    before, after = (change.before, change.after) if change is not None else ({}, {})
    return _in_order(before) == _in_order(entry.after) and _in_order(after) == _in_order(entry.before)


def _in_order(values: Mapping[str, Any]) -> dict[str, Any]:
    return {**values, "selected": sorted(values.get("selected", ()))}


def reverse_of(made: Sequence[RoutingChange]) -> list[Net]:
    """What taking entries back would change."""
    rules = snapshot.current().rules
    backwards = [_net(one.destination_pk, [one]).reversed() for one in made if one.destination_pk is not None]
    return [net._replace(after=_now_with(rules.get(net.destination_pk), net)) for net in backwards if net.lines]
