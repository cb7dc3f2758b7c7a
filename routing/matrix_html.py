"""The many small pieces of the matrix as HTML. Thousands of cells are built here, so it is string work, not templates.

Everything that is not a constant of this file goes through `escape`.
"""

from __future__ import annotations

import re
from html import escape

from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

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
        self.stage = _("All of %(stage)s → %(destination)s")


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
    if cell.is_always:
        return f"<i>{words.always}</i>{_count(cell)}"
    event = escape(cell.event)
    looks, described = _marks(cell)
    switch = (
        f'<button id="{cell_id(cell)}" role="switch" aria-checked="{"true" if cell.is_on else "false"}"{looks}'
        f' name="set" value="{cell.destination_id}:{event}:{0 if cell.is_on else 1}"'
        f' aria-label="{event} → {escape(cell.destination)}"{described}{"" if may_toggle else " disabled"}></button>'
    )
    draft = f"<em>{words.draft}</em>" if cell.is_drafted else ""
    return switch + draft + _count(cell) + _mapping(cell, words, may_map=may_map)


def _marks(cell: Cell) -> tuple[str, str]:
    """Classes and descriptions of a switch. Most have none; the sentences stand once in the page, in its legend."""
    looks, ids = [], []
    if cell.problem:
        looks.append("is-warn")
        ids.append("m-lacking")
    elif _is_fan(cell):
        ids.append("m-fan")
    if cell.dead:
        ids.append("m-failing" if cell.is_failing else "m-losing")
    if cell.reason == "warehouse_only":
        looks.append("is-house")
        ids.append("m-house")
    if not cell.is_usual:
        looks.append("is-own")
    if cell.is_drafted:
        ids.append("drafted")
    return (
        f' class="{" ".join(looks)}"' if looks else "",
        f' aria-describedby="{" ".join(ids)}"' if ids else "",
    )


def _is_fan(cell: Cell) -> bool:
    return bool(cell.fan_in and cell.native_name and not cell.lacks_id)


def _count(cell: Cell) -> str:
    if cell.dead:
        return f'<b class="{"is-failing" if cell.is_failing else "is-losing"}">{short(cell.sent)}</b>'
    return f"<b>{short(cell.sent)}</b>" if cell.sent else ""


def _mapping(cell: Cell, words: Words, *, may_map: bool) -> str:
    name, mark = escape(cell.native_name), ""
    if not name:
        name, mark = words.unmapped, ' class="is-none"'
    elif cell.problem:
        mark = ' class="is-lacking"'
    elif _is_fan(cell):
        mark = ' class="is-fan"'
    if not may_map:
        return f"<span{mark}>{name}</span>"
    return f'<a href="{MAPPING_URL.format(cell.destination_id, escape(cell.event))}"{mark}>{name}</a>'


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
