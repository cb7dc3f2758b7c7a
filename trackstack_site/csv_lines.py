"""CSV that opens right in Excel and Sheets, and that no spreadsheet runs. RFC 4180; pure but for the response."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator

from django.http import StreamingHttpResponse
from django.utils import timezone

BOM = "\ufeff"
"""Without it, spreadsheets take UTF-8 for a local encoding."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
"""Source: OWASP, "CSV Injection". The apostrophe, which guards, is guarded too: so `unguarded` is exact."""


def line(cells: Iterable[str]) -> str:
    """One line with its CRLF; cells that a spreadsheet would run as formulas begin with an apostrophe."""
    buffer = io.StringIO()
    csv.writer(buffer).writerow([guarded(cell) for cell in cells])
    return buffer.getvalue()


def guarded(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def unguarded(cell: str) -> str:
    return cell[1:] if cell[:1] == "'" and cell[1:].startswith(_FORMULA) else cell


def download(name: str, header: Iterable[str], rows: Iterable[Iterable[str]]) -> StreamingHttpResponse:
    """A streamed file: the first line is on its way before the last row is read."""

    def lines() -> Iterator[str]:
        yield BOM + line(header)
        for row in rows:
            yield line(row)

    return StreamingHttpResponse(
        lines(),
        content_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="trackstack-{name}-{timezone.now():%Y-%m-%d}.csv"',
            "Cache-Control": "no-store",
        },
    )
