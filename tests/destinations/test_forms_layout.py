"""The form of a destination: what is seldom needed is folded, and one of several credentials will do."""

from __future__ import annotations

import pytest

from destinations import platforms
from destinations.forms import PREFIX, DestinationForm
from destinations.forms_layout import Layout
from tests import factories

pytestmark = pytest.mark.django_db


def layout(key: str, stored: dict[str, str] | None = None, data: dict[str, str] | None = None) -> Layout:
    destination = None if stored is None else factories.make_destination(key, settings=stored, secrets={})
    return DestinationForm(platforms.get(key), destination, data=data).layout()


def names(fields: list) -> list[str]:  # type: ignore[type-arg]
    return [field.name.removeprefix(PREFIX) for field in fields]


def test_every_field_stands_in_the_form_once() -> None:
    for platform in platforms.every():
        found = DestinationForm(platform).layout()
        shown = names(found.advanced)
        for part in found.parts:
            shown += names([part.field]) if part.field else [n for way in part.ways or [] for n in names(way.fields)]
        assert sorted(shown) == sorted(field.name for field in platform.fields), platform.key


def test_what_is_seldom_needed_is_folded_unless_filled_or_wrong() -> None:
    assert {"app_secret", "api_version", "ldu_mode"} <= set(names(layout("meta").advanced))
    assert "pixel_id" not in names(layout("meta").advanced)
    assert not layout("meta").is_advanced_open
    assert "ldu_mode" not in names(layout("meta", {"ldu_mode": "geo"}).advanced), "it is filled"
    assert "ldu_mode" in names(layout("meta", {"ldu_mode": "off"}).advanced), "its default is as good as empty"
    assert layout("meta", data={"name": "M", f"{PREFIX}app_secret": "short"}).is_advanced_open


def test_of_several_credentials_none_is_marked_as_required() -> None:
    for key, count in {"linkedin": 2, "google_ads": 2, "x": 2, "reddit": 2, "hubspot": 2, "ga4": 2}.items():
        ways = next(part.ways for part in layout(key).parts if part.ways)
        assert len(ways) == count, key
        assert not any(field.field.is_expected for way in ways for field in way.fields), key
        assert [way.is_open for way in ways] == [True, False], "the first, until another is set"


def test_the_way_that_is_set_or_wrong_is_open() -> None:
    ways = next(part.ways for part in layout("linkedin", {"client_id": "abcdefgh"}).parts if part.ways)
    assert [(way.is_set, way.is_open) for way in ways] == [(False, False), (True, True)]
    data = {"name": "L", f"{PREFIX}client_id": "abcdefgh"}
    ways = next(part.ways for part in layout("linkedin", data=data).parts if part.ways)
    assert ways[1].is_open, "client id, secret and refresh token go together"
