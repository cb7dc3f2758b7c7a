"""How the fields of a platform stand in its form: ways to the same credential together, seldom needed ones folded."""

from __future__ import annotations

from typing import NamedTuple

from django.forms import BoundField, Form
from django.utils.functional import Promise

from destinations.platforms.base import Field


class Way(NamedTuple):
    """One of several credentials, any of which will do."""

    label: str | Promise
    fields: list[BoundField]
    is_set: bool
    is_open: bool


class Part(NamedTuple):
    """A field, or the ways of which one is needed."""

    field: BoundField | None = None
    ways: list[Way] | None = None


class Layout(NamedTuple):
    parts: list[Part]
    advanced: list[BoundField]

    @property
    def is_advanced_open(self) -> bool:
        return any(field.errors for field in self.advanced)


class Placed(NamedTuple):
    """A platform's field with what stands for it in the form: its control, and the box to remove a stored secret."""

    field: Field
    bound: list[BoundField]
    is_set: bool
    """Whether another value than its default is stored."""

    @property
    def has_errors(self) -> bool:
        return any(bound.errors for bound in self.bound)


def laid_out(form: Form, fields: tuple[Field, ...], stored: dict[str, str], prefixes: tuple[str, ...]) -> Layout:
    placed = [
        Placed(
            field,
            [form[prefix + field.name] for prefix in prefixes if prefix + field.name in form.fields],
            stored.get(field.name, "") not in ("", field.default),
        )
        for field in fields
    ]
    parts: list[Part] = []
    advanced: list[BoundField] = []
    ways = _ways([one for one in placed if one.field.way])
    for one in placed:
        if one.field.way:
            parts += [Part(ways=ways)] if ways else []
            ways = []
        elif one.field.is_seldom and not one.is_set:
            advanced += one.bound
        else:
            parts += [Part(field=bound) for bound in one.bound]
    return Layout(parts, advanced)


def _ways(placed: list[Placed]) -> list[Way]:
    """Open are those that are set or wrong, else the first."""
    labels = list(dict.fromkeys(one.field.way for one in placed))
    found = []
    for label in labels:
        those = [one for one in placed if one.field.way == label]
        is_set, is_wrong = any(one.is_set for one in those), any(one.has_errors for one in those)
        found.append(Way(label, [bound for one in those for bound in one.bound], is_set, is_set or is_wrong))
    if found and not any(way.is_open for way in found):
        found[0] = found[0]._replace(is_open=True)
    return found
