"""Each platform has a mark of its own that is no vendor's logo."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings

from destinations import platforms
from destinations.marks import HUES, mark_of


@pytest.mark.parametrize(
    ("label", "letters"),
    [("Meta", "Me"), ("LinkedIn", "LI"), ("Google Ads", "GA"), ("Google Analytics 4", "G4"), ("X", "X")],
)
def test_letters_come_of_words_and_humps(label: str, letters: str) -> None:
    assert mark_of("any", label).letters == letters


def test_no_two_platforms_look_the_same() -> None:
    marks = [mark_of(platform.key, platform.label) for platform in platforms.every()]
    assert len(set(marks)) == len(marks)


def test_the_style_sheet_has_every_colour() -> None:
    sheet = (Path(settings.BASE_DIR) / "trackstack_site/static/trackstack/trackstack.css").read_text()
    assert all(f".mark.is-hue-{hue} " in sheet for hue in range(HUES))
