"""The many small pieces of the matrix as HTML. Thousands of cells are built here, so it is string work, not templates.

Everything that is not a constant of this file goes through `escape`.
"""

from __future__ import annotations

import re
from html import escape

from django.utils.safestring import SafeString, mark_safe

from destinations import reasons
from routing.matrix import Cell, Row, StageCell

MAPPING_URL = "{}/{}/"
"""Relative to the matrix page: keeps a thousand links short."""

DRAFTED = ' aria-describedby="drafted"></button><em>draft</em>'
"""On a switch in the reader's draft. The page has an element of that id that says what it means."""

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


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


def cell_html(cell: Cell, *, may_toggle: bool, may_map: bool) -> str:
    """What is inside the <td>: switch, count of the last seven days, native name as the way to the mapping."""
    count = f"<b>{short(cell.sent)}</b>" if cell.sent else ""
    if cell.is_always:
        return f"<i>always</i>{count}"
    event = escape(cell.event)
    problem = f' class="switch is-warn" title="{_problem(cell)}"' if cell.problem else ' class="switch"'
    hint = "" if cell.is_on or cell.reason == "not_selected" else f' title="{_reason(cell)}"'
    switch = (
        f'<button id="{cell_id(cell)}" role="switch" aria-checked="{"true" if cell.is_on else "false"}"'
        f'{problem}{hint} name="set" value="{cell.destination_id}:{event}:{0 if cell.is_on else 1}"'
        f' aria-label="{event} → {escape(cell.destination)}"{"" if may_toggle else " disabled"}'
        f"{DRAFTED if cell.is_drafted else '></button>'}"
    )
    return switch + count + _mapping(cell, may_map=may_map)


def _mapping(cell: Cell, *, may_map: bool) -> str:
    name, mark, title = escape(cell.native_name), "", ""
    if not name:
        name, mark = "not mapped", ' class="is-none"'
    elif cell.lacks_id:
        mark, title = ' class="is-lacking"' if cell.is_on else ' class="is-idless"', f"{name}: needs an id"
    elif cell.fan_in:
        mark, title = ' class="is-fan"', f"{cell.fan_in} events that are on become {name} here"
    hint = f' title="{title}"' if title else ""
    if not may_map:
        return f"<span{mark}{hint}>{name}</span>"
    return f'<a href="{MAPPING_URL.format(cell.destination_id, escape(cell.event))}"{mark}{hint}>{name}</a>'


def _problem(cell: Cell) -> str:
    return escape("On, but nothing is sent: " + reasons.label(cell.problem).lower())


def _reason(cell: Cell) -> str:
    return escape(
        reasons.explain(cell.reason, event=cell.event, destination=cell.destination, platform=cell.destination)
    )


def row_cells(row: Row, *, may_toggle: bool, may_map: bool) -> SafeString:
    """The cells of one row."""
    found = []
    for cell in row.cells:
        inner = cell_html(cell, may_toggle=may_toggle, may_map=may_map)
        found.append(f"<td class=al>{inner}" if cell.is_always else f"<td>{inner}")
    return mark_safe("".join(found))  # noqa: S308


def cell_swap(cell: Cell, *, may_toggle: bool, may_map: bool) -> SafeString:
    """One cell as an out-of-band swap."""
    inner = cell_html(cell, may_toggle=may_toggle, may_map=may_map)
    return mark_safe(f'<div hx-swap-oob="innerHTML:td:has(>#{cell_id(cell)})">{inner}</div>')  # noqa: S308


def stage_cell_html(cell: StageCell, *, may_toggle: bool, is_swap: bool = False) -> SafeString:
    """The three-state switch of one stage in one column. It asks before it changes anything."""
    count = f"<small>{cell.on}/{cell.total}</small>"
    if cell.is_always:
        return mark_safe(count)  # noqa: S308
    wanted = 0 if cell.state == "true" else 1
    key = f"s{cell.destination_id}-{escape(cell.stage)}"
    button = (
        f'<button id="{key}" class="tri" role="checkbox" aria-checked="{cell.state}" name="set"'
        f' value="{cell.destination_id}:@{escape(cell.stage)}:{wanted}"'
        f' aria-label="All of {escape(cell.label)} → {escape(cell.destination)}"{"" if may_toggle else " disabled"}>'
        "</button>"
    )
    if is_swap:
        return mark_safe(f'<div hx-swap-oob="innerHTML:td:has(>#{key})">{button}{count}</div>')  # noqa: S308
    return mark_safe(button + count)  # noqa: S308
