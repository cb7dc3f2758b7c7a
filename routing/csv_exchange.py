"""The mappings as CSV, out and back in: one row per event × destination.

An export imports to no change at all. An import is all or nothing: every line is checked first and errors are named by
line; then each destination is changed through `routing.toggles`, as the screens do, in one transaction.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from typing import TYPE_CHECKING

import msgspec
from django.db import transaction
from django.utils.translation import gettext as _

from destinations import platforms
from destinations.models import Destination
from destinations.platforms.base import Platform
from events.suggest import near_name
from routing import drafts, net, snapshot, toggles
from routing import sentences as said
from routing.csv_table import HEADER, CsvError, Table
from routing.models import Route, RoutingChange
from routing.native_names import problem_of as name_problem
from routing.policy import DestinationRule, Mode, selects
from routing.snapshot import Snapshot
from trackstack_site.csv_lines import BOM, line

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser
LONGEST_ID = Route._meta.get_field("native_id").max_length or 0

# Spreadsheets write TRUE and FALSE in the language of their user: German, French, Spanish, Italian and Dutch ones.
_YES = frozenset({"true", "yes", "on", "1", "wahr", "vrai", "verdadero", "vero", "waar"})
_NO = frozenset({"false", "no", "off", "0", "falsch", "faux", "falso", "onwaar"})


class DestinationChange(msgspec.Struct, frozen=True, kw_only=True):
    """What an import changes at one destination, as `toggles.apply` takes it."""

    destination_id: int
    mode: str | None
    on: dict[str, bool]
    native_names: dict[str, str]
    native_ids: dict[str, str]
    net: net.Net
    lines: dict[str, int] = {}
    """Event → its line in the file; empty → the line that says the mode."""


class Plan(msgspec.Struct, frozen=True):
    """What an import would change: nothing when `changes` is empty."""

    changes: list[DestinationChange]
    confirmations: list[str]
    """Sentences on events that would newly go where they normally should not: ask before importing."""
    ignored: list[str] = []
    """Columns of the file that are none of ours."""

    @property
    def sentences(self) -> list[str]:
        return [sentence for change in self.changes for sentence in change.net.sentences]

    @property
    def to_collect(self) -> dict[int, drafts.Wanted]:
        """For a draft, by destination."""
        return {
            one.destination_id: drafts.Wanted(one.mode, one.on, one.native_names, one.native_ids)
            for one in self.changes
        }


# --- Export ---------------------------------------------------------------------------------------


def export_lines(
    state: Snapshot | None = None,
    *,
    destination: str | None = None,
    events: Container[str] | None = None,
    with_bom: bool = False,
    separator: str = ",",
) -> Iterator[str]:
    """The CSV line by line, each ending in CRLF (RFC 4180), in the order of the taxonomy, then of the columns.

    destination: the name of the only one to export; an unknown name exports the header alone.
    events: the only ones to export.
    with_bom: for a download that a spreadsheet opens, which else takes UTF-8 for a local encoding.
    separator: a semicolon for spreadsheets of countries with a decimal comma.
    """
    state = state or snapshot.current()
    yield (BOM if with_bom else "") + line(HEADER, separator)
    for event_rule in state.events.values():
        event = event_rule.name
        if events is not None and event not in events:
            continue
        for rule in state.rules.values():
            if destination is not None and rule.name != destination:
                continue
            yield line(
                (
                    event_rule.stage,
                    event,
                    rule.name,
                    rule.platform,
                    "true" if is_enabled(rule, event, state) else "false",
                    rule.native_name(event),
                    rule.native_ids.get(event, ""),
                    rule.mode.value,
                ),
                separator,
            )


def is_enabled(rule: DestinationRule, event: str, state: Snapshot) -> bool:
    return rule.is_builtin or selects(rule, event, state.events.get(event)).send


# --- Import ---------------------------------------------------------------------------------------


def plan_import(text: str, state: Snapshot | None = None) -> Plan:
    """What importing `text` would change. Rows that are not in it stay as they are. Changes nothing.

    Where the mode and the switches both change, the mode comes first; a switch still different then makes the list a
    Custom one. Raises CsvError.
    """
    return _Import(state or snapshot.current()).plan(text)


def import_csv(
    text: str,
    *,
    user: AbstractBaseUser | None = None,
    actor: str = "",
    note: str = "",
    is_confirmed: bool = False,
    seen: int | None = None,
) -> list[RoutingChange]:
    """Make the changes of `text` as one version, all of them or none; returns one history entry per destination.

    seen: the routing version for which the changes, and what is to be confirmed, were shown.
    Raises CsvError, also when something needs a confirmation and `is_confirmed` is not set; toggles.StaleError.
    """
    with transaction.atomic():
        # Locked together and in order: what is planned is what is changed, and two imports cannot wait for each other.
        held = {destination.pk: destination for destination in Destination.objects.select_for_update().order_by("pk")}
        state = snapshot.load()
        if seen not in (None, state.version):
            raise toggles.StaleError(_("The routing was changed meanwhile."))
        plan = plan_import(text, state)
        if plan.confirmations and not is_confirmed:
            raise CsvError(plan.confirmations)
        changes, group = [], toggles.Group()
        for change in plan.changes:
            try:
                entry = toggles.apply(
                    held[change.destination_id],
                    mode=change.mode,
                    on=change.on,
                    native_names=change.native_names,
                    native_ids=change.native_ids,
                    user=user,
                    actor=actor,
                    note=note,
                    group=group,
                )
            except toggles.ToggleError as error:
                raise CsvError([str(error)]) from error
            if entry is not None:
                changes.append(entry)
        return changes


class _Row(msgspec.Struct, frozen=True):
    line: int
    event: str
    is_on: bool | None
    native_name: str | None
    """None: not in the file, which is not the same as empty there."""
    native_id: str | None
    mode: str


class _Import:
    def __init__(self, state: Snapshot) -> None:
        self.state = state
        self.rules = {rule.name: rule for rule in state.rules.values()}
        self.rows: dict[int, dict[str, _Row]] = {}

    def plan(self, text: str) -> Plan:
        table = Table(text)
        self.error = table.error
        for number, cells in table.rows():
            self._read(number, cells)
        changes: list[DestinationChange] = []
        confirmations: list[str] = []
        for pk, rows in self.rows.items():
            change = self._compare(self.state.rules[pk], rows)
            if change is not None:
                changes.append(change)
                confirmations += self._confirmations(self.state.rules[pk], change)
        table.check()
        return Plan(changes, confirmations, table.ignored)

    def _read(self, line: int, cells: Mapping[str, str]) -> None:
        """Check a row by itself and keep it."""
        event = cells["event"]
        event_rule = self.state.events.get(event)
        rule = self.rules.get(cells["destination"])
        if event_rule is None:
            near = near_name(event, frozenset(self.state.events))
            sentence = (
                _('unknown event "%(event)s", did you mean "%(near)s"?') if near else _('unknown event "%(event)s".')
            )
            self.error(line, sentence % {"event": event[:80], "near": near})
        if rule is None:
            self.error(line, _('unknown destination "%(destination)s".') % {"destination": cells["destination"][:80]})
        if event_rule is None or rule is None:
            return
        for column, is_now in (("platform", rule.platform), ("stage", event_rule.stage)):
            if (cell := cells.get(column, "")) not in ("", is_now):
                values = {"column": column, "now": is_now, "wanted": cell[:80]}
                self.error(line, _('%(column)s is "%(now)s" and cannot be changed to "%(wanted)s".') % values)
        enabled = cells.get("enabled", "").lower()
        if enabled and enabled not in _YES | _NO:
            self.error(line, _('enabled must be true or false, not "%(text)s".') % {"text": enabled[:80]})
            enabled = ""
        mode = cells.get("mode", "").lower()
        if mode and mode not in set(Mode):
            values = {"modes": ", ".join(Mode), "text": mode[:80]}
            self.error(line, _('mode must be %(modes)s, not "%(text)s".') % values)
            mode = ""
        rows = self.rows.setdefault(rule.id, {})
        if event in rows:
            sentence = _("%(event)s for %(destination)s stands in line %(number)d already.")
            self.error(line, sentence % {"event": event, "destination": rule.name, "number": rows[event].line})
            return
        is_on = None if not enabled else enabled in _YES
        rows[event] = _Row(line, event, is_on, cells.get("native_name"), cells.get("native_id"), mode)

    def _compare(self, rule: DestinationRule, rows: Mapping[str, _Row]) -> DestinationChange | None:
        """What the rows of one destination change, or None."""
        platform, own = platforms.get(rule.platform), net.own_names(rule)
        mode = self._mode(rule, rows)
        in_mode = toggles.changed_rule(rule, mode=mode, events=self.state.events)
        on: dict[str, bool] = {}
        native_names: dict[str, str] = {}
        native_ids: dict[str, str] = {}
        shown: dict[str, net.Change] = {}
        for event, row in rows.items():
            if row.is_on is not None and row.is_on != is_enabled(in_mode, event, self.state):
                if mode in (Mode.RECOMMENDED, Mode.EVERYTHING):
                    # Sending what a file says is off would be worse than asking what it means.
                    self.error(row.line, self._not_in_mode(row, mode, rule))
                on[event] = row.is_on
                if rule.is_builtin:
                    self.error(row.line, self._always(rule))
            override, default = own.get(event, ""), platform.native_name(event)
            named = override.strip() if row.native_name is None else row.native_name
            wanted = "" if named == default else named  # empty: back to the platform's own
            before, after = override or default, wanted or default
            # An older rule let blanks stand first or last, which no cell keeps.
            if before.strip() != after.strip():
                native_names[event] = wanted
                if problem := name_problem(wanted):
                    self.error(row.line, problem)
                # Not "default": the file has the platform's own name, too.
                none = _("none")
                shown[event] = (before or none, after or none)
            before = rule.native_ids.get(event, "")
            if row.native_id is not None and row.native_id != before:
                self._check_native_id(platform, row)
                native_ids[event] = row.native_id
        if not (mode or on or native_names or native_ids):
            return None
        found = net.of_change(
            rule, self.state, mode=mode, on=on, native_names=native_names, native_ids=native_ids
        )._replace(native_names=shown)
        return DestinationChange(
            destination_id=rule.id,
            mode=mode,
            on=on,
            native_names=native_names,
            native_ids=native_ids,
            net=found,
            lines={event: row.line for event, row in rows.items()}
            | {"": next((row.line for row in rows.values() if row.mode == mode), 0)},
        )

    def _mode(self, rule: DestinationRule, rows: Mapping[str, _Row]) -> str | None:
        """The mode the rows agree on, or None when it stays."""
        said_in: dict[str, int] = {}
        for row in rows.values():
            if row.mode:
                said_in.setdefault(row.mode, row.line)
        if len(said_in) > 1:
            (first, line), (other, other_line) = list(said_in.items())[:2]
            values = {"destination": rule.name, "here": other, "there": first, "number": line}
            sentence = _("mode of %(destination)s is %(here)s here and %(there)s in line %(number)d.")
            self.error(other_line, sentence % values)
            return None
        mode = next(iter(said_in), None)
        if mode is None or mode == rule.mode:
            return None
        if rule.is_builtin:
            self.error(said_in[mode], self._always(rule))
        return mode

    @staticmethod
    def _always(rule: DestinationRule) -> str:
        return _("%(destination)s always gets every event.") % {"destination": rule.name}

    @staticmethod
    def _not_in_mode(row: _Row, mode: str, rule: DestinationRule) -> str:
        if row.is_on:
            sentence = _(
                "%(event)s is on here, but not in the new mode %(mode)s of %(destination)s: leave enabled empty to let"
                " the mode decide, or set the mode to custom."
            )
        else:
            sentence = _(
                "%(event)s is off here, but not in the new mode %(mode)s of %(destination)s: leave enabled empty to let"
                " the mode decide, or set the mode to custom."
            )
        return sentence % {"event": row.event, "mode": mode, "destination": rule.name}

    def _check_native_id(self, platform: Platform, row: _Row) -> None:
        if not row.native_id:
            return
        if len(row.native_id) > LONGEST_ID or not row.native_id.isprintable():
            sentence = _("native_id must have at most %(longest)d characters, all of them printable.")
            self.error(row.line, sentence % {"longest": LONGEST_ID})
            return
        shape = platform.native_id
        if shape is None:
            self.error(row.line, _("%(platform)s takes no native ids.") % {"platform": platform.label})
        elif not re.fullmatch(shape.pattern, row.native_id):
            values = {"text": row.native_id[:80], "shape": str(shape.label).lower(), "help": shape.help}
            self.error(row.line, _('"%(text)s" does not look like a %(shape)s. %(help)s') % values)

    def _confirmations(self, rule: DestinationRule, change: DestinationChange) -> list[str]:
        added = toggles.diff(rule, mode=change.mode, on=change.on, events=self.state.events).added
        return [
            said.money_back(rule.name, event, rule.label)
            for event in toggles.needs_confirmation(rule, added, self.state.events)
        ]
