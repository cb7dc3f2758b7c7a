"""Drafts: changes of the routing that are collected, to be in force all at once.

Here is what a draft holds, and how the routing looks with it; how it is published is in `routing.publishing`, what it
says to people in `routing.draft_diff`. Collecting changes nothing that is in force.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec
from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from destinations import platforms
from destinations.models import Destination
from routing import toggles
from routing.models import Collecting, Draft, DraftChange, DraftField, DraftState, Route
from routing.policy import DestinationRule, EventRule, Mode
from routing.snapshot import Snapshot

Key = tuple[str, str]
"""Event (empty for a mode) and field."""


class Wanted(msgspec.Struct):
    """What a draft wants of one destination, as `toggles.apply` takes it."""

    mode: str | None = None
    on: dict[str, bool] = {}
    native_names: dict[str, str] = {}
    native_ids: dict[str, str] = {}

    def put(self, change: DraftChange) -> None:
        if change.field == DraftField.MODE:
            self.mode = change.wanted
        elif change.field == DraftField.ENABLED:
            self.on[change.event_name] = change.wanted == "1"
        elif change.field == DraftField.NATIVE_NAME:
            self.native_names[change.event_name] = change.wanted
        else:
            self.native_ids[change.event_name] = change.wanted

    def natives(self, event: str) -> dict[str, str]:
        """What is wanted of the native name and id of one event."""
        parts = {"native_name": self.native_names, "native_id": self.native_ids}
        return {part: values[event] for part, values in parts.items() if event in values}


class Shown(NamedTuple):
    """A column as its reader sees it."""

    rule: DestinationRule
    drafted: frozenset[str] = frozenset()
    """Events that are in the reader's draft."""
    is_mode_drafted: bool = False


class View(NamedTuple):
    """The routing as somebody sees it: with the own draft on top, while switches are collected."""

    is_collecting: bool
    draft: Draft | None = None
    wanted: Mapping[int, Wanted] = {}
    total: int = 0

    @property
    def token(self) -> str:
        """Differs whenever the draft that is shown does; empty where nothing is collected."""
        if not self.is_collecting:
            return ""
        return f"{self.draft.pk}.{self.draft.revision}" if self.draft is not None else "0"

    @property
    def may_undo(self) -> bool:
        return self.draft is not None and self.draft.undo.get("revision") == self.draft.revision

    def shown(self, rule: DestinationRule, events: Mapping[str, EventRule]) -> Shown:
        wanted = self.wanted.get(rule.id)
        if wanted is None:
            return Shown(rule)
        drafted = drafted_rule(rule, wanted, events)
        switched = toggles.selected(rule, events) ^ toggles.selected(drafted, events)
        return Shown(
            drafted, frozenset(switched | set(wanted.native_names) | set(wanted.native_ids)), drafted.mode != rule.mode
        )

    def state(self, live: Snapshot) -> Snapshot:
        """The rules as they would be; the version stays that of the rules in force."""
        if not self.wanted:
            return live
        return Snapshot(
            version=live.version,
            rules={pk: self.shown(rule, live.events).rule for pk, rule in live.rules.items()},
            sources=live.sources,
            events=live.events,
            retired=live.retired,
            stages=live.stages,
        )


def drafted_rule(rule: DestinationRule, wanted: Wanted, events: Mapping[str, EventRule]) -> DestinationRule:
    """The rule as the draft wants it. Pure."""
    changed = toggles.changed_rule(rule, mode=wanted.mode, on=wanted.on, events=events)
    platform = platforms.get(rule.platform)
    names, ids = dict(rule.native_names), dict(rule.native_ids)
    for event, name in wanted.native_names.items():
        names.pop(event, None)
        if name or event in platform.events:
            names[event] = name or platform.native_name(event)
    for event, native_id in wanted.native_ids.items():
        ids.pop(event, None)
        if native_id:
            ids[event] = native_id
    return msgspec.structs.replace(changed, native_names=names, native_ids=ids)


def wanted_of(changes: Iterable[DraftChange]) -> dict[int, Wanted]:
    """By destination."""
    found: dict[int, Wanted] = {}
    for change in changes:
        found.setdefault(change.destination_id, Wanted()).put(change)
    return found


# --- Whose switches go where ---------------------------------------------------------------------------


def collects(user: Any) -> bool:
    """Whether this user's switches go into a draft. Costs nothing for who is logged in (`OneQueryBackend.get_user`)."""
    known = getattr(user, "collects_in_draft", None)
    return Collecting.objects.filter(user=user.pk).exists() if known is None else bool(known)


def set_collecting(user: Any, is_on: bool) -> None:
    """Idempotent. What was collected stays in its draft."""
    if is_on:
        Collecting.objects.get_or_create(user=user)
    else:
        Collecting.objects.filter(user=user).delete()


def current(user: Any) -> Draft | None:
    """The draft that takes the switches of this user."""
    return _taking(user).first()


def _taking(user: Any) -> QuerySet[Draft]:
    return Draft.objects.filter(author=user.pk, state=DraftState.OPEN).order_by("-collects_since", "-pk")


def view_of(user: Any) -> View:
    if not collects(user):
        return View(False)
    draft = current(user)
    changes = list(draft.changes.all()) if draft is not None else []
    return View(True, draft, wanted_of(changes), len(changes))


# --- Collecting ------------------------------------------------------------------------------------------


def collect(
    user: Any,
    rule: DestinationRule,
    state: Snapshot,
    *,
    mode: str | None = None,
    on: Mapping[str, bool] | None = None,
    native_names: Mapping[str, str] | None = None,
    native_ids: Mapping[str, str] | None = None,
) -> Draft:
    """Put a change into the user's draft; one that leads back to what is in force is taken out of it. Idempotent.

    rule, state: what is in force, without the draft. Raises toggles.ToggleError as `toggles.apply` does.
    """
    wanted = Wanted(mode, dict(on or {}), dict(native_names or {}), dict(native_ids or {}))
    return collect_all(user, {rule.id: wanted}, state)


def collect_all(user: Any, wanted: Mapping[int, Wanted], state: Snapshot) -> Draft:
    """`collect` for several destinations, by their ids: all of it or none, and one Undo for all of it."""
    for pk, one in wanted.items():
        rule = state.rules[pk]
        if rule.is_builtin and (one.mode is not None or one.on):
            raise toggles.ToggleError(_("%(destination)s always gets every event.") % {"destination": rule.name})
        toggles.check_native_ids(platforms.get(rule.platform).native_id, one.native_ids)
    with transaction.atomic():
        # One at a time: two switches in a row must not begin a draft each.
        list(Collecting.objects.select_for_update().filter(user=user.pk))
        draft = _taking(user).select_for_update().first() or Draft.objects.create(author=user)
        # A destination may be gone by now. Locked in the order in which all lock them who change several: what is
        # written here refers to them, and would wait for them in the order in which it is written.
        present = _locked(wanted)
        replaced = []
        for pk, one in wanted.items():
            rule = state.rules[pk]
            if pk not in present:
                raise toggles.ToggleError(_("%(destination)s was deleted meanwhile.") % {"destination": rule.name})
            held = _Held(draft, rule, state)
            if one.mode is not None:
                held.set_mode(one.mode)
            if one.on:
                held.set_on(one.on)
            held.set_native(DraftField.NATIVE_NAME, one.native_names, own_names(pk, one.native_names))
            held.set_native(DraftField.NATIVE_ID, one.native_ids, rule.native_ids)
            replaced += [(pk, *was) for was in held.replaced()]
        draft.revision += 1
        draft.problem, draft.undo = "", {}
        if replaced:
            draft.undo = {"revision": draft.revision, "was": replaced}
        draft.save(update_fields=["revision", "problem", "undo"])
    return draft


def take_back(user: Any, revision: int) -> set[int] | None:
    """Undo what was collected last; idempotent. The destinations it was about.

    None when the draft was changed since `revision`, or nothing was collected.
    """
    with transaction.atomic():
        draft = _taking(user).select_for_update().first()
        if draft is None or draft.revision != revision or draft.undo.get("revision") != revision:
            return None
        # What was deleted since stays out of the draft.
        present = _locked(pk for pk, *_rest in draft.undo.get("was", []))
        was = [part for part in draft.undo.get("was", []) if part[0] in present]
        for pk, event, field, before in was:
            key = {"draft": draft, "destination_id": pk, "event_name": event, "field": field}
            if before is None:
                DraftChange.objects.filter(**key).delete()
            else:
                DraftChange.objects.update_or_create(**key, defaults=before)
        draft.revision += 1
        draft.undo = {}
        draft.save(update_fields=["revision", "undo"])
    return {pk for pk, *_rest in was}


def _locked(destinations: Iterable[int]) -> set[int]:
    """Those of the destinations that are there, locked until the end of the transaction against their deletion."""
    rows = Destination.objects.present().filter(pk__in=set(destinations)).order_by("pk")
    return set(rows.select_for_update(of=("self",), no_key=True).values_list("pk", flat=True))


def own_names(destination_id: int, events: Iterable[str]) -> dict[str, str]:
    """The native names that were entered, without the platform's own."""
    rows = Route.objects.filter(destination=destination_id, event_name__in=list(events)).exclude(native_name="")
    return dict(rows.values_list("event_name", "native_name"))


class _Held:
    """The changes that a draft holds for one destination, and setting them."""

    def __init__(self, draft: Draft, rule: DestinationRule, state: Snapshot) -> None:
        self.draft, self.rule, self.state = draft, rule, state
        rows = DraftChange.objects.filter(draft=draft, destination=rule.id)
        self.changes: dict[Key, DraftChange] = {(row.event_name, row.field): row for row in rows}
        self.found = dict(self.changes)

    def replaced(self) -> list[tuple[str, str, dict[str, Any] | None]]:
        """(event, field, what the draft held there before) of each change that is another one now."""
        return [
            (event, field, was and {"wanted": was.wanted, "seen": was.seen, "seen_version": was.seen_version})
            for event, field in dict.fromkeys([*self.found, *self.changes])
            if (was := self.found.get((event, field))) is not self.changes.get((event, field))
        ]

    def set_mode(self, mode: str) -> None:
        """The mode decides of every event: what was drafted of single ones before is gone."""
        before = drafted_rule(self.rule, self.wanted(), self.state.events)
        chosen = toggles.selected(before, self.state.events)
        self.drop(key for key in list(self.changes) if key[1] == DraftField.ENABLED)
        self.put([("", DraftField.MODE, mode, self.rule.mode.value)])
        if mode == Mode.CUSTOM:
            # Custom begins with what is on, by the draft.
            self.set_on({event: event in chosen for event in self.state.events})

    def set_on(self, on: Mapping[str, bool]) -> None:
        events = self.state.events
        wanted = self.wanted()
        live = toggles.selected(self.rule, events)
        by_mode = toggles.selected(toggles.changed_rule(self.rule, mode=wanted.mode, events=events), events)
        asked = toggles.diff(drafted_rule(self.rule, wanted, events), on=on, events=events)
        changed = [*asked.added, *asked.removed]
        is_on = dict.fromkeys(asked.added, True) | dict.fromkeys(asked.removed, False)
        self.drop((event, DraftField.ENABLED) for event in changed if is_on[event] == (event in by_mode))
        self.put(
            (event, DraftField.ENABLED, "1" if is_on[event] else "0", "1" if event in live else "0")
            for event in changed
            if is_on[event] != (event in by_mode)
        )

    def set_native(self, field: DraftField, values: Mapping[str, str], live: Mapping[str, str]) -> None:
        self.put((event, field, value, live.get(event, "")) for event, value in values.items())

    def wanted(self) -> Wanted:
        return wanted_of(self.changes.values()).get(self.rule.id, Wanted())

    def put(self, values: Iterable[tuple[str, DraftField, str, str]]) -> None:
        """(event, field, wanted, in force) each; nothing is kept of what is so already."""
        made = []
        for event, field, wanted, seen in values:
            key = (event, field.value)
            if wanted == seen and field != DraftField.ENABLED:
                self.drop([key])
            elif key not in self.changes or self.changes[key].wanted != wanted:
                made.append(
                    DraftChange(
                        draft=self.draft,
                        destination_id=self.rule.id,
                        event_name=event,
                        field=field,
                        wanted=wanted,
                        seen=seen,
                        seen_version=self.state.version,
                    )
                )
                self.changes[key] = made[-1]
        DraftChange.objects.bulk_create(
            made,
            update_conflicts=True,
            unique_fields=["draft", "destination", "event_name", "field"],
            update_fields=["wanted", "seen", "seen_version"],
        )

    def drop(self, keys: Iterable[Key | tuple[str, DraftField]]) -> None:
        gone = [change for key in list(keys) if (change := self.changes.pop((key[0], str(key[1])), None)) is not None]
        DraftChange.objects.filter(pk__in=[change.pk for change in gone]).delete()


# --- Changing what is collected ----------------------------------------------------------------------------


def remove(draft: Draft, changes: Iterable[int]) -> int:
    """Take changes out of a draft, which its caller holds locked; returns how many were there."""
    found, _by_model = DraftChange.objects.filter(draft=draft, pk__in=list(changes)).delete()
    return found


def keep_all(draft: Draft, changes: Iterable[DraftChange], now: Mapping[int, str], version: int) -> None:
    """Stand by changes although something else was done meanwhile. `now`: what is in force, by change."""
    kept = list(changes)
    for change in kept:
        change.seen, change.seen_version = now[change.pk], version
    DraftChange.objects.bulk_update(kept, ["seen", "seen_version"])
