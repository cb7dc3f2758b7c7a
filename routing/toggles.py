"""The one write path of the toggles: mode, switches, native names and ids. Each change is one version and one entry."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from django.db import connection, transaction
from django.db.models import Subquery
from django.utils.translation import gettext as _

from destinations import reasons
from destinations.models import Destination, Hold
from destinations.platforms.base import Kind, NativeId
from routing import sentences as said
from routing import snapshot
from routing.models import Route, RoutingChange, RoutingVersion
from routing.policy import DestinationRule, EventRule, Mode, carries, selects
from trackstack_site.wording import in_english

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser


TEST = "test"
"""Action of an entry that changed nothing."""


class StaleError(Exception):
    """The routing is not what the caller saw when deciding."""


class ToggleError(ValueError):
    """A change that cannot be made; the message is for the person who asked for it."""


class Group:
    """Changes of several destinations, in one transaction, that make one version."""

    def __init__(self) -> None:
        self.version: int | None = None
        self.rules: list[DestinationRule] = []

    def add(self, version: int, rule: DestinationRule) -> None:
        if self.version is None:
            self.version = version
            # Of all at once: a snapshot with only some of them would carry this version, and never be read again.
            transaction.on_commit(lambda: snapshot.note_change(version, self.rules))
        self.rules.append(rule)


class Diff(msgspec.Struct, frozen=True):
    """What a change does to the events a destination selects, in taxonomy order."""

    added: list[str]
    removed: list[str]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed)


def selected(rule: DestinationRule, events: Mapping[str, EventRule]) -> set[str]:
    """The names this destination selects now: registered ones by the policy, and unregistered ones it ticked."""
    chosen = {name for name, event_rule in events.items() if selects(rule, name, event_rule).send}
    if rule.mode == Mode.CUSTOM:
        chosen |= rule.ticked
    return chosen


def changed_rule(
    rule: DestinationRule,
    *,
    mode: str | None = None,
    on: Mapping[str, bool] | None = None,
    events: Mapping[str, EventRule],
) -> DestinationRule:
    """The rule as it would be after the change. Pure.

    Ticking a box in another mode makes that mode's effective list the Custom list first: nothing else moves.
    """
    changed = rule if mode is None else msgspec.structs.replace(rule, mode=Mode(mode))
    if mode == Mode.CUSTOM and rule.mode != Mode.CUSTOM:
        changed = msgspec.structs.replace(changed, ticked=frozenset(selected(rule, events)))
    if on:
        before = selected(changed, events)
        ticked = (before | {name for name, is_on in on.items() if is_on}) - {n for n, is_on in on.items() if not is_on}
        if ticked != before:
            changed = msgspec.structs.replace(changed, mode=Mode.CUSTOM, ticked=frozenset(ticked))
    return changed


def diff(
    rule: DestinationRule,
    *,
    mode: str | None = None,
    on: Mapping[str, bool] | None = None,
    events: Mapping[str, EventRule],
) -> Diff:
    before = selected(rule, events)
    after = selected(changed_rule(rule, mode=mode, on=on, events=events), events)
    order = [*events, *sorted((before | after) - set(events))]
    return Diff(
        [n for n in order if n in after - before],
        [n for n in order if n in before - after],
    )


def needs_confirmation(rule: DestinationRule, names: Iterable[str], events: Mapping[str, EventRule]) -> list[str]:
    """Of `names`, those that would send a warehouse-only event (money going back) to an ad or analytics platform."""
    if rule.kind not in (Kind.ADS, Kind.ANALYTICS):
        return []
    return [n for n in names if (found := events.get(n)) is not None and found.routing_class == "warehouse_only"]


def apply(
    destination: Destination,
    *,
    mode: str | None = None,
    on: Mapping[str, bool] | None = None,
    native_names: Mapping[str, str] | None = None,
    native_ids: Mapping[str, str] | None = None,
    user: AbstractBaseUser | None = None,
    actor: str = "",
    note: str = "",
    seen: int | None = None,
    group: Group | None = None,
) -> RoutingChange | None:
    """Change the toggles of one destination; None when nothing would change. Idempotent.

    native_names, native_ids: event → value, empty to go back to the platform's own.
    seen: the routing version that the decision to change was made on.
    group: what this belongs to; its changes have one version.
    Raises ToggleError for the built-in warehouse, a deleted destination, an unknown mode or a native id of the wrong
    shape; StaleError when the routing is no longer what was seen.
    """
    platform = destination.platform
    if platform.is_builtin and (mode is not None or on):
        raise ToggleError(_("%(destination)s always gets every event.") % {"destination": destination.name})
    if mode is not None and mode not in set(Mode):
        raise ToggleError(_("Unknown mode %(mode)r.") % {"mode": mode})
    shape = platform.native_id
    check_native_ids(shape, native_ids or {})
    with transaction.atomic():
        # The lock orders concurrent changes of one destination: each sees what the one before it left.
        destination, version = _locked(destination, seen)
        routes = {route.event_name: route for route in destination.routes.all()}
        state = snapshot.current(version)
        events = state.events
        rule = snapshot.rule_of(destination, routes.values())
        new_rule = changed_rule(rule, mode=mode, on=on, events=events)
        if on and not native_names and not native_ids and mode is None and new_rule == rule:
            return None
        change = diff(rule, mode=mode, on=on, events=events)
        before: dict[str, Any] = {}
        after: dict[str, Any] = {}
        if new_rule.mode != rule.mode:
            before["mode"], after["mode"] = rule.mode, new_rule.mode
        sentences = _kept_sentences(destination, rule, new_rule, change)
        if change:
            before["selected"], after["selected"] = change.removed, change.added
        touched: dict[str, Route] = {}
        _set_ticked(destination, routes, new_rule.ticked, touched)
        for column, values in (("native_name", native_names), ("native_id", native_ids)):
            for event, old, value in _set_native(destination, routes, column, values or {}, touched):
                before.setdefault(column, {})[event] = old
                after.setdefault(column, {})[event] = value
                with in_english():
                    sentences.append(said.native(column, destination.name, event, old, value))
        if not sentences and not touched:
            return None
        Route.objects.bulk_create(
            touched.values(),
            update_conflicts=True,
            unique_fields=["destination", "event_name"],
            update_fields=["is_on", "native_name", "native_id"],
        )
        if new_rule.mode != rule.mode:
            Destination.objects.filter(pk=destination.pk).update(event_mode=new_rule.mode.value)
            destination.event_mode = new_rule.mode.value
        entry = _record(
            action="toggle" if on else "mode" if mode else "mapping",
            destination=destination,
            sentences=sentences,
            before=before,
            after=after,
            user=user,
            actor=actor,
            note=note,
            version=group.version if group is not None else None,
        )
        # As the rows are now, those that were touched among them.
        now = snapshot.rule_of(destination, {**routes, **touched}.values())
        (group or Group()).add(entry.version, now)
        return entry


def _locked(asked: Destination, seen: int | None) -> tuple[Destination, int]:
    """The destination's row, locked, and the routing version. Raises as `apply` does."""
    versions = Subquery(RoutingVersion.objects.values("version")[:1])
    row = Destination.objects.select_for_update(of=("self",)).annotate(routing_version=versions).get(pk=asked.pk)
    version: int = row.routing_version or 0
    if seen is not None and seen != version:
        raise StaleError(_("The routing was changed meanwhile."))
    if row.removed_at is not None:
        # Its row is the name of its past; a change would put it back among the rules.
        raise ToggleError(_("%(destination)s was deleted meanwhile.") % {"destination": asked.name})
    return row, version


def _kept_sentences(
    destination: Destination, before: DestinationRule, after: DestinationRule, change: Diff
) -> list[str]:
    with in_english():
        mode = [said.mode(destination.name, before.mode, after.mode)] if after.mode != before.mode else []
        added = [switched_on(after, destination.name, name) for name in change.added]
        return [*mode, *added, *(said.stops(destination.name, name) for name in change.removed)]


def switched_on(rule: DestinationRule | None, destination: str, event: str) -> str:
    """What switching an event on really does: without a name or an id there, nothing is sent yet.

    rule: None where it is not known any more.
    """
    if rule is None or (decision := carries(rule, event)).send:
        return said.starts(destination, event)
    values = {"event": event, "destination": destination, "reason": str(reasons.label(decision.reason)).lower()}
    sentence: str = _("%(event)s is switched on for %(destination)s, but nothing is sent: %(reason)s") % values
    return sentence


def _set_ticked(
    destination: Destination,
    routes: dict[str, Route],
    ticked: Collection[str],
    touched: dict[str, Route],
) -> None:
    for name in set(routes) | set(ticked):
        route = routes.get(name) or Route(destination=destination, event_name=name)
        if route.is_on != (name in ticked):
            route.is_on = name in ticked
            touched[name] = route


def _set_native(
    destination: Destination,
    routes: Mapping[str, Route],
    column: str,
    values: Mapping[str, str],
    touched: dict[str, Route],
) -> list[tuple[str, str, str]]:
    """Put native names or ids on the routes; returns (event, old, new) for those that changed."""
    changed: list[tuple[str, str, str]] = []
    for event, value in values.items():
        route = touched.get(event) or routes.get(event) or Route(destination=destination, event_name=event)
        old = getattr(route, column)
        if old != value:
            setattr(route, column, value)
            touched[event] = route
            changed.append((event, old, value))
    return changed


def check_native_ids(shape: NativeId | None, native_ids: Mapping[str, str]) -> None:
    for event, value in native_ids.items():
        if not value:
            continue
        if shape is None:
            raise ToggleError(_("%(event)s: this platform takes no native ids.") % {"event": event})
        if not re.fullmatch(shape.pattern, value):
            values = {"event": event, "value": value, "shape": str(shape.label).lower(), "help": shape.help}
            raise ToggleError(_("%(event)s: %(value)r does not look like a %(shape)s. %(help)s") % values)


def _record(
    *,
    action: str,
    destination: Destination,
    sentences: list[str],
    before: dict[str, Any],
    after: dict[str, Any],
    user: AbstractBaseUser | None,
    actor: str,
    note: str,
    version: int | None = None,
) -> RoutingChange:
    """version: one that stands already, or that this transaction has made; without it, the entry makes one."""
    change = RoutingChange(
        user=user,  # type: ignore[misc]
        actor=actor or (user.get_username() if user is not None else "system"),
        action=action,
        destination_name=destination.name,
        destination_pk=destination.pk,
        sentences=sentences,
        before=before,
        after=after,
        note=note,
    )
    names = [field.column for field in RoutingChange._meta.concrete_fields if field.column not in ("id", "version")]
    values = [change._meta.get_field(name).get_db_prep_save(getattr(change, name), connection) for name in names]
    held = snapshot.BUMP_SQL if version is None else f"SELECT {int(version)} AS version"
    with connection.cursor() as cursor:
        marks = ", ".join(["%s"] * len(names))
        cursor.execute(RECORD_SQL.format(held=held, names=", ".join(names), values=marks), values)
        change.pk, change.version = cursor.fetchone()
    if version is None:
        snapshot.note_bump(change.version)
    return change


# The entry and the version that it makes, in one statement: a switch has few to spare.
RECORD_SQL = """
WITH held AS ({held})
INSERT INTO routing_routingchange (version, {names}) SELECT held.version, {values} FROM held RETURNING id, version
"""


def record_destination_change(
    destination: Destination,
    action: str,
    sentences: list[str],
    *,
    user: AbstractBaseUser | None = None,
    actor: str = "",
    note: str = "",
) -> RoutingChange:
    """Audit and version for a change of the destination itself (created, edited, held, resumed, switched).

    Call it inside the transaction that makes the change.
    """
    return _record(
        action=action,
        destination=destination,
        sentences=sentences,
        before={},
        after={},
        user=user,
        actor=actor,
        note=note,
    )


def record_test(
    destination: Destination, sentences: list[str], *, user: AbstractBaseUser | None = None
) -> RoutingChange:
    """A test event that somebody sends: kept in the history, but the routing and its version stay as they are."""
    return _record(
        action=TEST,
        destination=destination,
        sentences=sentences,
        before={},
        after={},
        user=user,
        actor="",
        note="",
        version=snapshot.stored_version(),
    )


def set_enabled(destination: Destination, is_enabled: bool, **who: Any) -> RoutingChange | None:
    """Switch a whole destination on or off. Off: waiting rows are skipped as `destination_disabled` when next due."""
    with transaction.atomic():
        if (
            not Destination.objects.present()
            .filter(pk=destination.pk)
            .exclude(is_enabled=is_enabled)
            .update(is_enabled=is_enabled)
        ):
            return None
        with in_english():
            text = _("%(destination)s is switched on") if is_enabled else _("%(destination)s is switched off")
        return record_destination_change(destination, "enabled", [text % {"destination": destination.name}], **who)


def set_hold(destination: Destination, hold: Hold, detail: str = "", **who: Any) -> RoutingChange | None:
    """Pause (or resume with Hold.NONE): deliveries are written and wait. None when it is so already."""
    from django.utils import timezone

    with transaction.atomic():
        held_at = timezone.now() if hold else None
        if (
            not Destination.objects.present()
            .filter(pk=destination.pk)
            .exclude(hold=hold)
            .update(hold=hold, hold_detail=detail, held_at=held_at)
        ):
            return None
        with in_english():
            if not hold:
                text = _("%(destination)s is resumed")
            elif hold == Hold.PAUSED:
                text = _("%(destination)s is paused")
            else:
                text = _("%(destination)s is held: %(why)s")
            sentence = text % {"destination": destination.name, "why": detail or hold.label}
        return record_destination_change(destination, "hold" if hold else "resume", [sentence], **who)
