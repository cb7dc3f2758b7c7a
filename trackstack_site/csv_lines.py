"""CSV that opens right in Excel and Sheets, and that no spreadsheet runs. RFC 4180; pure but for the response."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any, TypeVar

from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone

T = TypeVar("T")
BOM = "\ufeff"
"""Without it, spreadsheets take UTF-8 for a local encoding."""
_BEGINS = r"(?:^|(?<=[,;\t\r\n]))"
"""Where a cell may begin: a spreadsheet splits at what its country takes for the separator, whatever the file means,
and then a quote that does not stand first keeps nothing together."""
_RISKY = re.compile(_BEGINS + r"""(?='|[\s"]*[=+\-@])|^(?=[\t\r])""")
"""Source: OWASP, "CSV Injection". The apostrophe, which guards, is guarded too: so `unguarded` is exact."""
_GUARD = re.compile(_BEGINS + r"""'(?=[\s"']*[=+\-@]|'|[\t\r])""")


def line(cells: Iterable[str], separator: str = ",") -> str:
    """One line with its CRLF; what a spreadsheet would run as a formula has an apostrophe before it."""
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=separator).writerow([guarded(cell) for cell in cells])
    return buffer.getvalue()


def guarded(cell: str) -> str:
    return _RISKY.sub("'", cell)


def unguarded(cell: str) -> str:
    """What was guarded, as it was."""
    return _GUARD.sub("", cell)


def is_asked(request: HttpRequest) -> bool:
    """Whether a list is asked for as a file: the same address with `format=csv`, so with the same filter and the same
    permission. The button is includes/_export.html."""
    return request.GET.get("format") == "csv"


def text_of(value: Any) -> str:
    """A cell. Times are ISO 8601 with their zone, several values stand on lines of their own."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return "\n".join(map(text_of, value))
    return str(value)


def all_pages(page: Callable[[int | None], tuple[list[T], int | None]]) -> Iterator[T]:
    """The rows of every page, by the key that each page says to go on from."""
    before = None
    while True:
        rows, before = page(before)
        yield from rows
        if before is None:
            return


def download(name: str, header: Iterable[str], rows: Iterable[Iterable[Any]]) -> StreamingHttpResponse:
    """A streamed file: the first line is on its way before the last row is read."""

    def lines() -> Iterator[str]:
        yield BOM + line(header)
        for row in rows:
            yield line(map(text_of, row))

    return StreamingHttpResponse(
        lines(),
        content_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="trackstack-{name}-{timezone.now():%Y-%m-%d}.csv"',
            "Cache-Control": "no-store",
        },
    )
