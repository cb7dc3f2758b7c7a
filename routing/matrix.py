"""Configure → Events as data: stages → rows → cells. Pure: what was read goes in, nothing is read here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping

import msgspec
from django.utils.translation import gettext as _

from destinations.models import Hold
from destinations.platforms.base import Kind
from routing.policy import DestinationRule, EventRule, Mode, carries, selects
from routing.snapshot import Snapshot

FAILING_ONE_IN = 20


class StageInfo(msgspec.Struct, frozen=True):
    key: str
    label: str
    purpose: str


class Status(msgspec.Struct, frozen=True):
    """A destination's state in a word, as the page of destinations says it; `tone` picks the pill."""

    word: str
    tone: str
    detail: str = ""

    @property
    def stands_out(self) -> bool:
        """Not as nearly every column is: only that gets a pill."""
        return self.tone not in ("good", "info")


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One event at one destination."""

    destination_id: int
    destination: str
    event: str
    is_always: bool
    is_ad: bool = False
    """At an ad platform: there each event is a choice, where others mostly take everything."""
    is_on: bool
    problem: str = ""
    """Reason code why nothing is sent although it is on: `unmapped` or `missing_native_id`."""
    reason: str = ""
    """Reason code why it is off."""
    native_name: str
    native_id: str = ""
    lacks_id: bool = False
    fan_in: int = 0
    """How many switched-on events go there under this native name, when more than one."""
    sent: int = 0
    dead: int = 0
    """Dead letters of what was received in the last seven days."""
    is_drafted: bool = False
    """In its reader's draft: not in force yet."""
    is_usual: bool = True
    """As where nobody chose otherwise: what is recommended for ads and analytics, everything for the rest."""

    @property
    def is_failing(self) -> bool:
        """Many died of what came to an end; a few are marked more quietly."""
        return self.dead > 0 and self.dead * FAILING_ONE_IN >= self.dead + self.sent


class Column(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    name: str
    platform: str
    label: str
    mode: str
    is_usual_mode: bool
    is_always: bool
    status: Status
    on: int
    total: int
    state: str
    is_off: bool = False
    is_mode_drafted: bool = False


class Row(msgspec.Struct, frozen=True):
    event: str
    is_warehouse_only: bool
    cells: list[Cell]

    @property
    def marks(self) -> str:
        """What the views of the matrix go by: `on` for ads, `changed` from the usual, `problem`."""
        chosen = [cell for cell in self.cells if not cell.is_always]
        marks = {
            "on": any(cell.is_on for cell in chosen if cell.is_ad),
            "changed": any(not cell.is_usual for cell in chosen),
            "problem": any(cell.problem for cell in chosen),
        }
        return " ".join(name for name, is_so in marks.items() if is_so)

    @property
    def words(self) -> str:
        """What the filter box looks through."""
        return " ".join(dict.fromkeys([self.event, *(cell.native_name for cell in self.cells if cell.native_name)]))


class StageCell(msgspec.Struct, frozen=True, kw_only=True):
    destination_id: int
    destination: str
    stage: str
    label: str
    on: int
    total: int
    is_always: bool
    state: str


class Stage(msgspec.Struct, frozen=True):
    info: StageInfo
    rows: list[Row]
    cells: list[StageCell]


class Matrix(msgspec.Struct, frozen=True):
    columns: list[Column]
    stages: list[Stage]
    total: int


def tri_state(on: int, total: int) -> str:
    """What aria-checked says: true, false or mixed."""
    return "false" if not on else "true" if on == total else "mixed"


def is_on(rule: DestinationRule, event: str, event_rule: EventRule | None) -> bool:
    return rule.is_builtin or selects(rule, event, event_rule).send


def cells_of(
    rule: DestinationRule,
    events: Mapping[str, EventRule],
    sent: Mapping[tuple[int, str], int],
    dead: Mapping[tuple[int, str], int],
    drafted: Container[str] = (),
) -> dict[str, Cell]:
    """One column: a cell per registered event, in the order of the taxonomy. drafted: events in the reader's draft."""
    on = {name: is_on(rule, name, event_rule) for name, event_rule in events.items()}
    native = {name: rule.native_name(name) for name in events}
    fan_in = Counter(native[name] for name, chosen in on.items() if chosen and native[name])
    usual = msgspec.structs.replace(rule, mode=USUAL_MODE[rule.kind])
    found = {}
    for name, event_rule in events.items():
        carried = carries(rule, name)
        shared = fan_in[native[name]] if on[name] else 0
        found[name] = Cell(
            destination_id=rule.id,
            destination=rule.name,
            event=name,
            is_always=rule.is_builtin,
            is_ad=rule.kind == Kind.ADS,
            is_on=on[name],
            problem="" if carried.send or not on[name] or rule.is_builtin else carried.reason,
            reason="" if on[name] else selects(rule, name, event_rule).reason,
            native_name=rule.shown_name(native[name]),
            native_id=rule.native_ids.get(name, ""),
            lacks_id=rule.needs_native_id and not rule.native_ids.get(name),
            fan_in=shared if shared > 1 and not rule.is_builtin else 0,
            sent=sent.get((rule.id, name), 0),
            dead=max(0, dead.get((rule.id, name), 0)),
            is_drafted=name in drafted,
            is_usual=on[name] == is_on(usual, name, event_rule),
        )
    return found


USUAL_MODE = {kind: Mode.RECOMMENDED if kind in (Kind.ADS, Kind.ANALYTICS) else Mode.EVERYTHING for kind in Kind}
"""The mode that a destination of that kind starts with."""


def column_of(
    rule: DestinationRule, cells: Mapping[str, Cell], status: Status, *, is_mode_drafted: bool = False
) -> Column:
    on = sum(cell.is_on for cell in cells.values())
    return Column(
        id=rule.id,
        name=rule.name,
        platform=rule.platform,
        label=rule.label,
        mode=rule.mode_label,
        is_usual_mode=rule.mode == USUAL_MODE[rule.kind],
        is_always=rule.is_builtin,
        status=status,
        on=on,
        total=len(cells),
        state=tri_state(on, len(cells)),
        is_off=not rule.is_enabled and not rule.is_builtin,
        is_mode_drafted=is_mode_drafted,
    )


def stage_cell(rule: DestinationRule, stage: StageInfo, cells: Iterable[Cell]) -> StageCell:
    held = list(cells)
    on = sum(cell.is_on for cell in held)
    return StageCell(
        destination_id=rule.id,
        destination=rule.name,
        stage=stage.key,
        label=stage.label,
        on=on,
        total=len(held),
        is_always=rule.is_builtin,
        state=tri_state(on, len(held)),
    )


def status_of(rule: DestinationRule) -> Status:
    if rule.is_builtin:
        return Status(_("On"), "good", _("Every accepted event is here."))
    if not rule.is_enabled:
        return Status(_("Off"), "quiet", _("Nothing is sent to this destination."))
    if rule.is_held:
        word = str(Hold(rule.hold).label) if rule.hold else _("Held")
        return Status(word, "warn" if rule.hold in ("", Hold.PAUSED) else "bad", why_held(rule))
    if rule.is_sandbox:
        return Status(_("Sandbox"), "info", _("Sent to the built-in sandbox instead of the platform."))
    return Status(_("On"), "good")


def why_held(rule: DestinationRule) -> str:
    if not rule.hold:
        return _("Deliveries are written and wait.")
    label = Hold(rule.hold).label
    return _("%(state)s: %(detail)s") % {"state": label, "detail": rule.hold_detail} if rule.hold_detail else str(label)


def events_shown(state: Snapshot, words: str, mark: str) -> list[str]:
    """The events whose rows the page shows under a filter: all words found, and the mark of a view if one is given."""
    columns = [cells_of(rule, state.events, {}, {}) for rule in state.rules.values()]
    wanted = words.lower().split()
    found = []
    for name in state.events:
        row = Row(name, False, [cells[name] for cells in columns])
        text = row.words.lower()
        if all(word in text for word in wanted) and (not mark or mark in row.marks.split()):
            found.append(name)
    return found


def build(
    state: Snapshot,
    stages: Iterable[StageInfo],
    sent: Mapping[tuple[int, str], int],
    dead: Mapping[tuple[int, str], int],
    drafted: Mapping[int, Container[str]] | None = None,
    drafted_modes: Container[int] = (),
) -> Matrix:
    """sent, dead: (destination id, event) → delivered, and dead, in the last seven days.

    drafted, drafted_modes: what is in the reader's draft, by destination.
    """
    # The built-in warehouse has nothing to switch: it stands last, out of the way.
    rules = sorted(state.rules.values(), key=lambda rule: rule.is_builtin)
    columns = {rule.id: cells_of(rule, state.events, sent, dead, (drafted or {}).get(rule.id, ())) for rule in rules}
    shown = []
    for info in stages:
        names = [name for name, event_rule in state.events.items() if event_rule.stage == info.key]
        if not names:
            continue
        rows = [
            Row(
                name,
                state.events[name].routing_class == "warehouse_only",
                [columns[rule.id][name] for rule in rules],
            )
            for name in names
        ]
        summary = [stage_cell(rule, info, (columns[rule.id][name] for name in names)) for rule in rules]
        shown.append(Stage(info, rows, summary))
    return Matrix(
        [
            column_of(
                rule,
                columns[rule.id],
                status_of(rule),
                is_mode_drafted=rule.id in drafted_modes,
            )
            for rule in rules
        ],
        shown,
        len(state.events),
    )
