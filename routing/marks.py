"""What the marks of one cell of the matrix mean, each as a sentence. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from django.utils.translation import gettext as _

from destinations import reasons
from destinations.platforms.base import Kind
from routing import sentences
from routing.matrix import Cell, why_held
from routing.policy import DestinationRule, EventRule
from trackstack_site.templatetags.figures import thousands


class Mark(NamedTuple):
    look: str
    """Class of the mark in the legend; empty for a sentence without a mark of its own."""
    sentence: str


def of(event: str, column: Mapping[str, Cell], rule: DestinationRule, event_rule: EventRule) -> list[Mark]:
    """What keeps the event from arriving first, then what is only worth knowing. column: all cells of the destination,
    by their events.
    """
    cell = column[event]
    if cell.is_always:
        return [Mark("", _("Every accepted event is here."))]
    return [
        *_of_column(rule),
        *_of_mapping(cell, column, rule),
        *_of_outcome(cell),
        *_of_choice(cell, rule, event_rule),
    ]


def _of_column(rule: DestinationRule) -> list[Mark]:
    if not rule.is_enabled:
        return [Mark("", _explain("destination_disabled", "", rule))]
    return [Mark("", why_held(rule))] if rule.is_held else []


def _of_mapping(cell: Cell, column: Mapping[str, Cell], rule: DestinationRule) -> list[Mark]:
    reason = "" if cell.native_name else "unmapped"
    if cell.native_name and cell.lacks_id:
        reason = "missing_native_id"
    if reason:
        sentence = _explain(reason, cell.event, rule)
        return [
            Mark("is-lacking", f"{sentence} {_('Until then, nothing is sent.')}") if cell.is_on else Mark("", sentence)
        ]
    if cell.fan_in:
        together = [name for name, other in column.items() if other.is_on and other.native_name == cell.native_name]
        values = {"events": sentences.listed(together), "name": cell.native_name}
        return [Mark("is-fan", _("%(events)s become %(name)s here.") % values)]
    return []


def _of_outcome(cell: Cell) -> list[Mark]:
    if not cell.dead:
        return []
    counts = {"dead": thousands(cell.dead), "total": thousands(cell.sent + cell.dead)}
    return [
        Mark(
            "is-failing" if cell.is_failing else "is-losing",
            _("%(dead)s of %(total)s died in the last 7 days.") % counts,
        )
    ]


def _of_choice(cell: Cell, rule: DestinationRule, event_rule: EventRule) -> list[Mark]:
    found = []
    if event_rule.routing_class == "warehouse_only" and rule.kind in (Kind.ADS, Kind.ANALYTICS):
        found.append(Mark("" if cell.is_on else "is-house", _explain("warehouse_only", cell.event, rule)))
    elif not cell.is_on:
        found.append(Mark("", _explain(cell.reason, cell.event, rule)))
    if not cell.is_usual:
        usual = (
            _("Not as usual: it is on here, and off by default.")
            if cell.is_on
            else _("Not as usual: it is off here, and on by default.")
        )
        found.append(Mark("is-own", usual))
    if cell.is_drafted:
        found.append(Mark("", _("In your draft, not in force yet.")))
    return found


def _explain(code: str, event: str, rule: DestinationRule) -> str:
    return reasons.explain(code, event=event, destination=rule.name, platform=rule.label)
