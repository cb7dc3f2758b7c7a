"""The table on screen, the JSON file and the chart."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

import msgspec

from bench.installation import ROOT
from bench.rows import Row

CHART = ROOT / "docs" / "images" / "bench.svg"
HEADINGS = ("figure", "value", "unit", "beside it", "ratio", "to reach", "")


def number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def cells(row: Row) -> tuple[str, ...]:
    beside = f"{number(row.limit)} {row.limit_name}".strip() if row.limit is not None else row.limit_name
    met = "" if row.met is None else "yes" if row.met else "NO"
    return (
        row.name,
        number(row.value),
        row.unit,
        beside,
        "" if row.ratio is None else f"{row.ratio:.2f}",
        row.target,
        met,
    )


def show(rows: Sequence[Row]) -> None:
    """A plain table that fits what it holds."""
    lines = [HEADINGS, *(cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    for line in lines:
        texts = [
            text.rjust(width) if column in (1, 4) else text.ljust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ]
        print("  " + "  ".join(texts).rstrip(), flush=True)
    for row in rows:
        if row.note:
            print(f"  · {row.name}: {row.note}", flush=True)


def save(path: Path, machine: dict[str, str], found: dict[str, list[Row]], *, quick: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {"machine": machine, "quick": quick, "figures": found}
    path.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=1))


# --- The chart --------------------------------------------------------------------------------------
WIDTH, LEFT, TOP, STEP, BAR = 960, 330, 64, 44, 14
STYLE = """
  svg { background: #fff; font: 13px system-ui, sans-serif; fill: #1f2933 }
  .muted { fill: #616e7c; font-size: 12px } .product { fill: #2f6fdb } .limit { fill: #cbd2d9 }
  h1, .title { font-size: 16px; font-weight: 600 }
"""


def draw(rows: Sequence[Row], machine: dict[str, str], path: Path = CHART) -> None:
    """A pair of bars for each figure that has something beside it: the product in blue, the other in grey."""
    shown = [row for row in rows if row.limit and row.value]
    height = TOP + STEP * len(shown) + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>Measured figures beside their limits</title><style>{STYLE}</style>",
        '<text class="title" x="16" y="26">Measured figures (blue) beside their limits or baselines (grey)</text>',
        f'<text class="muted" x="16" y="46">{escape(_caption(machine))}</text>',
    ]
    for position, row in enumerate(shown):
        top = TOP + STEP * position
        longest = max(row.value, row.limit or 0)
        room = WIDTH - LEFT - 250
        blue, grey = (max(2.0, room * value / longest) for value in (row.value, row.limit or 0))
        parts += [
            f'<text x="{LEFT - 12}" y="{top + 20}" text-anchor="end">{escape(row.name)}</text>',
            f'<rect class="product" x="{LEFT}" y="{top}" width="{blue:.0f}" height="{BAR}" rx="2"/>',
            f'<rect class="limit" x="{LEFT}" y="{top + BAR + 2}" width="{grey:.0f}" height="{BAR}" rx="2"/>',
            f'<text class="muted" x="{LEFT + blue + 6:.0f}" y="{top + 11}">'
            f"{number(row.value)} {escape(row.unit)}</text>",
            f'<text class="muted" x="{LEFT + grey + 6:.0f}" y="{top + BAR + 13}">'
            f"{number(row.limit)} {escape(row.limit_name)}</text>",
        ]
    parts.append("</svg>\n")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(parts))


def _caption(machine: dict[str, str]) -> str:
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory']}, PostgreSQL {machine['postgresql']} with "
        f"fsync {machine['fsync']}, everything on this one machine, {machine['date']}"
    )
