"""Times typed into forms: what is no time, or beyond what can be kept and shown, is said at the field."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django import forms

from trackstack_site.moment_field import EARLIEST, LATEST, MomentField


class When(forms.Form):
    at = MomentField("At ({zone})")


def test_a_time_with_its_zone_is_the_same_time_in_utc() -> None:
    form = When({"at": "2026-11-28T10:00:00+02:00"})
    assert form.is_valid()
    assert form.cleaned_data["at"] == datetime(2026, 11, 28, 8, tzinfo=UTC)
    assert 'value="2026-11-28T08:00"' in str(form["at"])


@pytest.mark.parametrize("text", ["yesterday", "2026-02-30T10:00"])
def test_what_is_none_is_said_at_the_field(text: str) -> None:
    form = When({"at": text})
    assert form.errors == {"at": ["This is not a time."]}
    assert "<input" in str(form["at"]), "it is shown all the same"


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("0001-01-01T00:00:00+14:00", EARLIEST),
        ("0001-01-01T00:00", EARLIEST),
        ("9999-12-31T23:59:59-14:00", LATEST),
        ("9999-12-31T23:59", LATEST),
    ],
)
def test_beyond_all_zones_it_is_the_first_or_the_last_time_there_is(text: str, taken: datetime) -> None:
    form = When({"at": text})
    assert form.is_valid()
    assert form.cleaned_data["at"] == taken
    assert "<input" in str(form["at"])
