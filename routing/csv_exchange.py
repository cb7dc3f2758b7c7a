"""The mappings as CSV, out and back in: one row per event × destination.

An export imports to no change at all. An import is all or nothing: every line is checked first and errors are named by
line; then each destination is changed through `routing.toggles`, as the screens do, in one transaction.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Container, Iterator, Mapping
from typing import TYPE_CHECKING

import msgspec
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from destinations.models import Destination
from destinations.platforms.base import Platform
from events.suggest import near_name
from routing import net, snapshot, toggles
from routing.models import Route, RoutingChange
from routing.policy import DestinationRule, Mode, selects
from routing.snapshot import Snapshot
from trackstack_site.csv_lines import BOM, line, unguarded

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

HEADER = ("stage", "event", "destination", "platform", "enabled", "native_name", "native_id", "mode")
MAX_ERRORS = 50

# Spreadsheets write TRUE and FALSE in the language of their user: German, French, Spanish, Italian and Dutch ones.
_YES = frozenset({"true", "yes", "on", "1", "wahr", "vrai", "verdadero", "vero", "waar"})
_NO = frozenset({"false", "no", "off", "0", "falsch", "faux", "falso", "onwaar"})


class CsvError(ValueError):
    """The file cannot be imported; nothing was changed. `errors` are sentences that name their line."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


class DestinationChange(msgspec.Struct, frozen=True, kw_only=True):
    """What an import changes at one destination, as `toggles.apply` takes it."""

    destination_id: int
    mode: str | None
    on: dict[str, bool]
    native_names: dict[str, str]
    native_ids: dict[str, str]
    net: net.Net


class Plan(msgspec.Struct, frozen=True):
    """What an import would change: nothing when `changes` is empty."""

    changes: list[DestinationChange]
    confirmations: list[str]
    """Sentences on events that would newly go where they normally should not: ask before importing."""

    @property
    def sentences(self) -> list[str]:
        return [sentence for change in self.changes for sentence in change.net.sentences]


# --- Export ---------------------------------------------------------------------------------------


def export_lines(
    state: Snapshot | None = None,
    *,
    destination: str | None = None,
    events: Container[str] | None = None,
    with_bom: bool = False,
) -> Iterator[str]:
    """The CSV line by line, each ending in CRLF (RFC 4180), in the order of the taxonomy, then of the columns.

    destination: the name of the only one to export; an unknown name exports the header alone.
    events: the only ones to export.
    with_bom: for a download that a spreadsheet opens, which else takes UTF-8 for a local encoding.
    """
    state = state or snapshot.current()
    yield (BOM if with_bom else "") + line(HEADER)
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
                )
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
) -> list[RoutingChange]:
    """Make the changes of `text` as one version, all of them or none; returns one history entry per destination.

    Raises CsvError, also when something needs a confirmation and `is_confirmed` is not set.
    """
    with transaction.atomic():
        # Locked together and in order: what is planned is what is changed, and two imports cannot wait for each other.
        held = {destination.pk: destination for destination in Destination.objects.select_for_update().order_by("pk")}
        plan = plan_import(text, snapshot.load())
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
    native_name: str
    native_id: str
    mode: str


def _line_said(line: int, sentence: str) -> str:
    return _("Line %(number)d: %(sentence)s") % {"number": line, "sentence": sentence}


class _Import:
    def __init__(self, state: Snapshot) -> None:
        self.state = state
        self.rules = {rule.name: rule for rule in state.rules.values()}
        self.errors: list[str] = []
        self.rows: dict[int, dict[str, _Row]] = {}

    def error(self, line: int, sentence: str) -> None:
        self.errors.append(_line_said(line, sentence))

    def plan(self, text: str) -> Plan:
        for number, cells in self._cells(text):
            self._read(number, cells)
        destinations = Destination.objects.in_bulk(self.rows)
        routes: dict[int, dict[str, Route]] = {}
        for route in Route.objects.filter(destination__in=self.rows):
            routes.setdefault(route.destination_id, {})[route.event_name] = route
        changes: list[DestinationChange] = []
        confirmations: list[str] = []
        for pk, rows in self.rows.items():
            change = self._compare(self.state.rules[pk], destinations[pk].platform, routes.get(pk, {}), rows)
            if change is not None:
                changes.append(change)
                confirmations += self._confirmations(self.state.rules[pk], change)
        if self.errors:
            more = len(self.errors) - MAX_ERRORS
            rest = [_("… and %(count)d more.") % {"count": more}] if more > 0 else []
            raise CsvError(self.errors[:MAX_ERRORS] + rest)
        return Plan(changes, confirmations)

    def _cells(self, text: str) -> Iterator[tuple[int, dict[str, str]]]:
        """Line number and cells by column. Raises CsvError for what is not our table at all."""
        text = text.removeprefix(BOM)
        head = text.partition("\n")[0]
        # Spreadsheets write semicolons where the comma is the decimal sign.
        delimiter = ";" if ";" in head and "," not in head else ","
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        header: list[str] | None = None
        try:
            for cells in reader:
                if header is None:
                    header = [cell.strip().lower() for cell in cells]
                    if sorted(header) != sorted(HEADER):
                        sentence = _("the header must be %(header)s.") % {"header": ",".join(HEADER)}
                        raise CsvError([_line_said(1, sentence)])
                elif not any(cell.strip() for cell in cells):
                    continue
                elif len(cells) != len(HEADER):
                    sentence = ngettext(
                        "has %(count)d cell, the header has %(wanted)d.",
                        "has %(count)d cells, the header has %(wanted)d.",
                        len(cells),
                    )
                    self.error(reader.line_num, sentence % {"count": len(cells), "wanted": len(HEADER)})
                else:
                    named = zip(header, cells, strict=True)
                    yield reader.line_num, {name: unguarded(cell.strip(" ")).strip() for name, cell in named}
        except csv.Error as error:
            sentence = _("this is not CSV (%(error)s).") % {"error": error}
            raise CsvError([_line_said(reader.line_num, sentence)]) from None
        if header is None:
            raise CsvError([_("The file is empty.")])

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
            if cells[column] not in ("", is_now):
                values = {"column": column, "now": is_now, "wanted": cells[column][:80]}
                self.error(line, _('%(column)s is "%(now)s" and cannot be changed to "%(wanted)s".') % values)
        enabled = cells["enabled"].lower()
        if enabled and enabled not in _YES | _NO:
            self.error(line, _('enabled must be true or false, not "%(text)s".') % {"text": enabled[:80]})
            enabled = ""
        mode = cells["mode"].lower()
        if mode and mode not in set(Mode):
            values = {"modes": ", ".join(Mode), "text": mode[:80]}
            self.error(line, _('mode must be %(modes)s, not "%(text)s".') % values)
            mode = ""
        for column, longest in (("native_name", 100), ("native_id", 200)):
            if len(cells[column]) > longest or not cells[column].isprintable():
                sentence = _("%(column)s must have at most %(longest)d characters, all of them printable.")
                self.error(line, sentence % {"column": column, "longest": longest})
        rows = self.rows.setdefault(rule.id, {})
        if event in rows:
            sentence = _("%(event)s for %(destination)s stands in line %(number)d already.")
            self.error(line, sentence % {"event": event, "destination": rule.name, "number": rows[event].line})
            return
        is_on = None if not enabled else enabled in _YES
        rows[event] = _Row(line, event, is_on, cells["native_name"], cells["native_id"], mode)

    def _compare(
        self, rule: DestinationRule, platform: Platform, routes: Mapping[str, Route], rows: Mapping[str, _Row]
    ) -> DestinationChange | None:
        """What the rows of one destination change, or None."""
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
            override = routes[event].native_name if event in routes else ""
            default = platform.native_name(event)
            wanted = "" if row.native_name == default else row.native_name  # empty: back to the platform's own
            before, after = override or default, wanted or default
            if before != after:
                native_names[event] = wanted
                # Not "default": the file has the platform's own name, too.
                none = _("none")
                shown[event] = (before or none, after or none)
            before = rule.native_ids.get(event, "")
            if row.native_id != before:
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
        shape = platform.native_id
        if shape is None:
            self.error(row.line, _("%(platform)s takes no native ids.") % {"platform": platform.label})
        elif not re.fullmatch(shape.pattern, row.native_id):
            values = {"text": row.native_id[:80], "shape": str(shape.label).lower(), "help": shape.help}
            self.error(row.line, _('"%(text)s" does not look like a %(shape)s. %(help)s') % values)

    def _confirmations(self, rule: DestinationRule, change: DestinationChange) -> list[str]:
        added = toggles.diff(rule, mode=change.mode, on=change.on, events=self.state.events).added
        sentence = _(
            "%(destination)s: %(event)s is meant for CRM and warehouse only; confirm that it is to go to %(platform)s."
        )
        return [
            sentence % {"destination": rule.name, "event": event, "platform": rule.label}
            for event in toggles.needs_confirmation(rule, added, self.state.events)
        ]
