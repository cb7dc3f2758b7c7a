"""What a draft says to people: its changes as sentences with what they would have meant, and what overtook them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from django.utils.translation import gettext as _

from routing import drafts, history, net, sentences, toggles
from routing.models import DraftChange, DraftField, Route, RoutingChange
from routing.policy import DestinationRule, mode_label
from routing.snapshot import Snapshot


class Line(NamedTuple):
    change: DraftChange
    text: str
    tone: str = ""
    """`added`, `removed` or neither."""
    impact: str = ""
    warning: str = ""
    conflict: str = ""
    is_so: bool = False
    """In force already: publishing changes nothing of it."""


class Section(NamedTuple):
    """One destination's part of a draft."""

    rule: DestinationRule
    lines: list[Line]
    becomes: str
    """The mode that it will have, when that is another."""
    by_mode: net.Part
    """What a mode switches, that no line of its own speaks of."""


class Difference(NamedTuple):
    sections: list[Section]
    impact: str
    conflicts: list[Line]


def difference(changes: Sequence[DraftChange], state: Snapshot) -> Difference:
    """What publishing the changes now would do. state: what is in force."""
    wanted = drafts.wanted_of(changes)
    overtaken = conflicts(changes, state)
    known = [change for change in changes if change.destination_id in state.rules]
    now = in_force(known, state)
    there = {pk: one for pk, one in wanted.items() if pk in state.rules}
    shown = net.preview(
        net.of_change(
            state.rules[pk],
            state,
            mode=one.mode,
            on=one.on,
            native_names=one.native_names,
            native_ids=one.native_ids,
        )
        for pk, one in there.items()
    )
    sections = []
    for (pk, one), part in zip(there.items(), shown.parts, strict=True):
        rule, by_mode = state.rules[pk], part.without(one.on)
        after = drafts.drafted_rule(rule, one, state.events)
        told = {line.event: line.impact for line in part.switches}
        lines = [
            _line(change, rule, after, state, now[change.pk], told, by_mode, overtaken.get(change.pk, ""))
            for change in known
            if change.destination_id == pk
        ]
        sections.append(Section(rule, lines, after.mode_label if after.mode != rule.mode else "", by_mode))
    found = [line for section in sections for line in section.lines if line.conflict]
    return Difference(sections, shown.impact, found)


def _line(
    change: DraftChange,
    rule: DestinationRule,
    after: DestinationRule,
    state: Snapshot,
    now: str,
    told: dict[str, str],
    by_mode: net.Part,
    conflict: str,
) -> Line:
    event = change.event_name
    is_so = now == change.wanted and not conflict
    if change.field == DraftField.MODE:
        text = _("%(destination)s: mode %(before)s → %(after)s, %(added)d events on, %(removed)d off") % {
            "destination": rule.name,
            "before": mode_label(now),
            "after": mode_label(change.wanted),
            "added": sum(1 for switch in by_mode.switches if switch.tone == "added"),
            "removed": sum(1 for switch in by_mode.switches if switch.tone == "removed"),
        }
        return Line(change, text, conflict=conflict, is_so=is_so and not by_mode.switches)
    if change.field != DraftField.ENABLED:
        native = sentences.native(change.field, rule.name, event, now, change.wanted)
        return Line(change, native, conflict=conflict, is_so=is_so)
    said = told.get(event, "")
    if change.wanted == "0":
        return Line(change, sentences.stops(rule.name, event), "removed", said, conflict=conflict, is_so=is_so)
    text = toggles.switched_on(after, rule.name, event)
    return Line(change, text, "added", said, _warning(rule, event, state), conflict, is_so)


def _warning(rule: DestinationRule, event: str, state: Snapshot) -> str:
    if toggles.needs_confirmation(rule, [event], state.events):
        return _("Money going back is not meant for ad platforms.")
    return ""


# --- What overtook it ----------------------------------------------------------------------------------------


def in_force(changes: Iterable[DraftChange], state: Snapshot) -> dict[int, str]:
    """What is in force of each change's field now, in the way `DraftChange` keeps it, by change."""
    known = list(changes)
    names = {
        (pk, event): name
        for pk, event, name in Route.objects.filter(
            destination__in={change.destination_id for change in known if change.field == DraftField.NATIVE_NAME}
        ).values_list("destination_id", "event_name", "native_name")
    }
    selected = {pk: toggles.selected(state.rules[pk], state.events) for pk in {c.destination_id for c in known}}
    found = {}
    for change in known:
        rule = state.rules[change.destination_id]
        if change.field == DraftField.MODE:
            found[change.pk] = rule.mode.value
        elif change.field == DraftField.ENABLED:
            found[change.pk] = "1" if change.event_name in selected[rule.id] else "0"
        elif change.field == DraftField.NATIVE_NAME:
            found[change.pk] = names.get((rule.id, change.event_name), "")
        else:
            found[change.pk] = rule.native_ids.get(change.event_name, "")
    return found


def conflicts(changes: Iterable[DraftChange], state: Snapshot) -> dict[int, str]:
    """Changes whose field somebody changed since they were collected, each with the sentence that says so.

    Who did the very same is no conflict. A mode is overtaken by any switch: it would undo it. A retired event is
    switched on nowhere: that change is to be dropped.
    """
    known = [change for change in changes if change.destination_id in state.rules]
    now = in_force(known, state)
    entries = _entries_since(known, state)
    found = {}
    for change in known:
        if change.field != DraftField.MODE and now[change.pk] == change.wanted:
            continue
        if change.field == DraftField.ENABLED and change.wanted == "1" and change.event_name in state.retired:
            found[change.pk] = _("It was retired meanwhile: take it out, or restore it first.")
            continue
        last = next((entry for entry in entries if _touches(entry, change)), None)
        if last is not None or now[change.pk] != change.seen:
            found[change.pk] = _overtaken(change, last, now[change.pk])
    return found


def _entries_since(changes: Sequence[DraftChange], state: Snapshot) -> list[RoutingChange]:
    """What was changed at the destinations since the first was collected, newest first."""
    since = min((change.seen_version for change in changes), default=state.version)
    if since == state.version:
        return []
    rows = RoutingChange.objects.filter(version__gt=since, action__in=history.ROUTING)
    return list(
        rows.filter(destination_pk__in={c.destination_id for c in changes}).order_by("-pk")[: history.MOST_BACK]
    )


def _touches(entry: RoutingChange, change: DraftChange) -> bool:
    if entry.destination_pk != change.destination_id or entry.version <= change.seen_version:
        return False
    if change.field == DraftField.MODE:
        return "mode" in entry.after or "selected" in entry.after
    if change.field == DraftField.ENABLED:
        return change.event_name in [*entry.after.get("selected", ()), *entry.before.get("selected", ())]
    return change.event_name in entry.after.get(change.field, {})


def _overtaken(change: DraftChange, last: RoutingChange | None, now: str) -> str:
    who = last.actor if last is not None else _("Somebody")
    if change.field == DraftField.MODE:
        return _("%(who)s changed switches there since you chose the mode.") % {"who": who}
    if change.field == DraftField.ENABLED:
        is_on = now == "1"
        return (_("%(who)s switched it on meanwhile.") if is_on else _("%(who)s switched it off meanwhile.")) % {
            "who": who
        }
    return _("%(who)s changed it meanwhile: from %(seen)s to %(now)s.") % {
        "who": who,
        "seen": change.seen or _("the default"),
        "now": now or _("the default"),
    }
