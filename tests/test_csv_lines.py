"""No cell is a formula, wherever a spreadsheet splits a line; and what is guarded comes back exactly."""

from __future__ import annotations

import csv
import io
from itertools import product

import pytest

from trackstack_site.csv_lines import guarded, line, unguarded


def cells(longest: int) -> list[str]:
    return ["".join(chars) for length in range(longest + 1) for chars in product(",;\t\n\r\"'=- x", repeat=length)]


def test_what_is_guarded_comes_back() -> None:
    assert [cell for cell in cells(5) if unguarded(guarded(cell)) != cell] == []


@pytest.mark.parametrize("separator", [",", ";"])
def test_no_reader_finds_a_formula(separator: str) -> None:
    lines = [line(("a", cell, cell, "b"), separator) for cell in cells(3)]
    for split_at in (",", ";", "\t"):
        for text in lines:
            for row in csv.reader(io.StringIO(text, newline=""), delimiter=split_at):
                assert not [cell for cell in row if cell.strip().startswith(("=", "+", "-", "@"))], (text, split_at)
    read = [next(csv.reader(io.StringIO(text, newline=""), delimiter=separator)) for text in lines]
    assert [unguarded(row[1]) for row in read] == cells(3)


@pytest.mark.parametrize("plain", ["Sign up", "it's", "a, b; c", "a-b", "x;y", "https://a.example/?a=1", "1, 2"])
def test_what_is_harmless_stays_as_it_is(plain: str) -> None:
    assert guarded(plain) == plain
