"""The mappings as a table of text: which columns it has, and the cells of each line of a file. Pure.

Columns stand in any order. Of those that a file leaves out nothing changes; those that are none of ours are ignored.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from trackstack_site.csv_lines import BOM, unguarded

HEADER = ("stage", "event", "destination", "platform", "enabled", "native_name", "native_id", "mode")
NEEDED = ("event", "destination")
SEPARATORS = (",", ";", "\t")
"""Spreadsheets write semicolons where the comma is the decimal sign, and tabs when they are asked for text."""
MAX_ERRORS = 50


class CsvError(ValueError):
    """The file cannot be imported; nothing was changed. `errors` are sentences that name their line."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


def line_said(line: int, sentence: str) -> str:
    return _("Line %(number)d: %(sentence)s") % {"number": line, "sentence": sentence}


class Table:
    """A file being read: what is wrong with it is collected, by line."""

    def __init__(self, text: str) -> None:
        """Raises CsvError for what is not our table at all."""
        text = text.removeprefix(BOM)
        self._errors: list[tuple[int, str]] = []
        self._above = 0
        head, _end, rest = text.partition("\n")
        named = _named_separator(head)
        if named:
            # Spreadsheets write it for each other, and do not count it.
            text, self._above = rest, 1
            head = rest.partition("\n")[0]
        self._reader = csv.reader(io.StringIO(text, newline=""), delimiter=named or _separator_of(head), strict=True)
        self.header = self._header()
        self.ignored = [name for name in self.header if name and name not in HEADER]

    @property
    def _line(self) -> int:
        return self._above + self._reader.line_num

    def _header(self) -> list[str]:
        try:
            cells = next(self._reader, None)
        except csv.Error as error:
            raise self._not_csv(error) from None
        if cells is None:
            raise CsvError([_("The file is empty.")])
        header = [unguarded(cell.strip()).lower() for cell in cells]
        if not set(NEEDED) <= set(header):
            sentence = _("the header must be %(header)s.") % {"header": ",".join(HEADER)}
            raise CsvError([line_said(self._line, sentence)])
        for name in HEADER:
            if header.count(name) > 1:
                raise CsvError([line_said(self._line, _("the column %(name)s stands there twice.") % {"name": name})])
        return header

    def rows(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Line number and our cells by column, those that the file has."""
        try:
            for cells in self._reader:
                if not any(cell.strip() for cell in cells):
                    continue
                if len(cells) != len(self.header):
                    sentence = ngettext(
                        "has %(count)d cell, the header has %(wanted)d.",
                        "has %(count)d cells, the header has %(wanted)d.",
                        len(cells),
                    )
                    self.error(self._line, sentence % {"count": len(cells), "wanted": len(self.header)})
                    continue
                named = zip(self.header, cells, strict=True)
                yield self._line, {name: unguarded(cell.strip(" ")).strip() for name, cell in named if name in HEADER}
        except csv.Error as error:
            raise self._not_csv(error) from None

    def _not_csv(self, error: csv.Error) -> CsvError:
        return CsvError([line_said(self._line, _("this is not CSV (%(error)s).") % {"error": error})])

    def error(self, line: int, sentence: str) -> None:
        self._errors.append((line, sentence))

    def check(self) -> None:
        """Raises CsvError with what was found, in the order of the lines."""
        if not self._errors:
            return
        said = [line_said(*error) for error in sorted(self._errors, key=lambda error: error[0])]
        more = len(said) - MAX_ERRORS
        raise CsvError(said[:MAX_ERRORS] + ([_("… and %(count)d more.") % {"count": more}] if more > 0 else []))


def _named_separator(head: str) -> str:
    """Of a first line `sep=;`; empty for any other."""
    name, _equals, separator = head.strip("\r").strip('"').partition("=")
    return separator if name.strip().lower() == "sep" and separator in SEPARATORS else ""


def _separator_of(head: str) -> str:
    """The one by which the header names what is needed; a comma where none does."""
    for separator in SEPARATORS:
        names = {cell.strip().strip('"').strip().lower() for cell in head.split(separator)}
        if set(NEEDED) <= names:
            return separator
    return ","
