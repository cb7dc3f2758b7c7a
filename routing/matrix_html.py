"""The many small pieces of the matrix as HTML. Thousands of cells are built here, so it is string work, not templates.

Everything that is not a constant of this file goes through `escape`.
"""

from __future__ import annotations

import re
from html import escape

from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from destinations import reasons
from routing.matrix import Cell, Row, StageCell

MAPPING_URL = "{}/{}/"
"""Relative to the matrix page: keeps a thousand links short."""

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class Words:
    """What the cells say in the reader's language: looked up once for a page, not for each of a thousand cells."""

    def __init__(self) -> None:
        self.always = escape(_("always"))
        self.draft = escape(_("draft"))
        self.unmapped = escape(_("not mapped"))
        self.needs_id = escape(_("%(name)s: needs an id"))
        self.stage = _("All of %(stage)s → %(destination)s")
        self._fans: dict[int, str] = {}
        self._problems: dict[str, str] = {}

    def fan_in(self, count: int) -> str:
        """With %(count)d and %(name)s, of which the name is escaped already."""
        if count not in self._fans:
            one, many = (
                "%(count)d event that is on becomes %(name)s here",
                "%(count)d events that are on become %(name)s here",
            )
            self._fans[count] = escape(ngettext(one, many, count))
        return self._fans[count]

    def problem(self, code: str) -> str:
        if code not in self._problems:
            values = {"reason": str(reasons.label(code)).lower()}
            self._problems[code] = escape(_("On, but nothing is sent: %(reason)s") % values)
        return self._problems[code]


def short(count: int) -> str:
    """950, 1.2k, 48k, 3.1M."""
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if count >= size:
            value = count / size
            return f"{value:.1f}{letter}" if value < 10 else f"{value:.0f}{letter}"
    return str(count)


def breakable(event: str) -> SafeString:
    """An event name that may be broken between its words, where the column is narrow."""
    return mark_safe(_HUMP.sub("<wbr>", escape(event)))  # noqa: S308


def cell_id(cell: Cell) -> str:
    return f"b{cell.destination_id}-{escape(cell.event)}"


def cell_html(cell: Cell, words: Words, *, may_toggle: bool, may_map: bool) -> str:
    """What is inside the <td>: switch, count of the last seven days, native name as the way to the mapping."""
    count = f"<b>{short(cell.sent)}</b>" if cell.sent else ""
    if cell.is_always:
        return f"<i>{words.always}</i>{count}"
    event = escape(cell.event)
    problem = f' class="switch is-warn" title="{words.problem(cell.problem)}"' if cell.problem else ' class="switch"'
    hint = "" if cell.is_on or cell.reason == "not_selected" else f' title="{_reason(cell)}"'
    # The page has an element `drafted` that says what it means.
    drafted = f' aria-describedby="drafted"></button><em>{words.draft}</em>' if cell.is_drafted else "></button>"
    switch = (
        f'<button id="{cell_id(cell)}" role="switch" aria-checked="{"true" if cell.is_on else "false"}"'
        f'{problem}{hint} name="set" value="{cell.destination_id}:{event}:{0 if cell.is_on else 1}"'
        f' aria-label="{event} → {escape(cell.destination)}"{"" if may_toggle else " disabled"}'
        f"{drafted}"
    )
    return switch + count + _mapping(cell, words, may_map=may_map)


def _mapping(cell: Cell, words: Words, *, may_map: bool) -> str:
    name, mark, title = escape(cell.native_name), "", ""
    if not name:
        name, mark = words.unmapped, ' class="is-none"'
    elif cell.lacks_id:
        mark, title = ' class="is-lacking"' if cell.is_on else ' class="is-idless"', words.needs_id % {"name": name}
    elif cell.fan_in:
        mark, title = ' class="is-fan"', words.fan_in(cell.fan_in) % {"count": cell.fan_in, "name": name}
    hint = f' title="{title}"' if title else ""
    if not may_map:
        return f"<span{mark}{hint}>{name}</span>"
    return f'<a href="{MAPPING_URL.format(cell.destination_id, escape(cell.event))}"{mark}{hint}>{name}</a>'


def _reason(cell: Cell) -> str:
    return escape(
        reasons.explain(cell.reason, event=cell.event, destination=cell.destination, platform=cell.destination)
    )


def row_cells(row: Row, words: Words, *, may_toggle: bool, may_map: bool) -> SafeString:
    """The cells of one row."""
    found = []
    for cell in row.cells:
        inner = cell_html(cell, words, may_toggle=may_toggle, may_map=may_map)
        found.append(f"<td class=al>{inner}" if cell.is_always else f"<td>{inner}")
    return mark_safe("".join(found))  # noqa: S308


def cell_swap(cell: Cell, words: Words, *, may_toggle: bool, may_map: bool) -> SafeString:
    """One cell as an out-of-band swap."""
    inner = cell_html(cell, words, may_toggle=may_toggle, may_map=may_map)
    return mark_safe(f'<div hx-swap-oob="innerHTML:td:has(>#{cell_id(cell)})">{inner}</div>')  # noqa: S308


def stage_cell_html(cell: StageCell, words: Words, *, may_toggle: bool, is_swap: bool = False) -> SafeString:
    """The three-state switch of one stage in one column. It asks before it changes anything."""
    count = f"<small>{cell.on}/{cell.total}</small>"
    if cell.is_always:
        return mark_safe(count)  # noqa: S308
    wanted = 0 if cell.state == "true" else 1
    key = f"s{cell.destination_id}-{escape(cell.stage)}"
    label = escape(words.stage % {"stage": cell.label, "destination": cell.destination})
    button = (
        f'<button id="{key}" class="tri" role="checkbox" aria-checked="{cell.state}" name="set"'
        f' value="{cell.destination_id}:@{escape(cell.stage)}:{wanted}"'
        f' aria-label="{label}"{"" if may_toggle else " disabled"}>'
        "</button>"
    )
    if is_swap:
        return mark_safe(f'<div hx-swap-oob="innerHTML:td:has(>#{key})">{button}{count}</div>')  # noqa: S308
    return mark_safe(button + count)  # noqa: S308
