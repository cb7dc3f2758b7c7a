"""What an event should carry, and how many of the newest do: first what it needs, then its own, then the identity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from destinations import uses
from destinations.platforms.base import Kind
from events import needs, recent
from events.recent import Coverage, Share
from routing.event_page import Line

PICKY = (Kind.ADS, Kind.ANALYTICS, Kind.CRM)
"""The others get the event as it is, whatever it carries."""
OFTEN_USED = ("value", "currency", "pageUrl")
"""Shown with any event of which most destinations make use of them."""


class Wanted(NamedTuple):
    fields: tuple[str, ...]
    """Of which one will do."""
    is_needed: bool
    takers: list[str]
    """Destinations that make use of it, of those that get the event and pick."""
    share: Share | None


class Part(NamedTuple):
    title: str | Promise
    rows: list[Wanted]


class Fields(NamedTuple):
    parts: list[Part]
    picky: int
    """Destinations that get the event and take of it what they have a field for."""


def asked(name: str, stage: str, lines: Sequence[Line]) -> tuple[list[tuple[str, ...]], ...]:
    """What is needed, what else is the event's own, and the identity: each as names of which one will do."""
    needed = list(needs.needed(name))
    known = {need[0] for need in needed if len(need) == 1}
    own = needs.own(name, stage)
    picky = _picky(lines)
    often = [
        field
        for field in OFTEN_USED
        if field not in known and field not in own and 2 * len(_takers(name, field, picky)) > len(picky)
    ]
    return needed, [(field,) for field in (*own, *often)], list(recent.IDENTITY)


def of(parts: Sequence[Sequence[tuple[str, ...]]], name: str, lines: Sequence[Line], found: Coverage | None) -> Fields:
    """found: the coverage of `parts`, in their order; None where it must not be seen or there is none."""
    picky = _picky(lines)
    shares = {share.fields: share for share in found.shares} if found and found.events else {}
    titles = (_("Needed"), _("Its own"), _("Who it is about"))
    return Fields(
        [
            Part(
                title,
                [
                    Wanted(
                        fields,
                        number == 0,
                        list(dict.fromkeys(taker for field in fields for taker in _takers(name, field, picky))),
                        shares.get(fields),
                    )
                    for fields in part
                ],
            )
            for number, (title, part) in enumerate(zip(titles, parts, strict=True))
            if part
        ],
        len(picky),
    )


def _picky(lines: Sequence[Line]) -> list[Line]:
    return [line for line in lines if line.is_sent and line.rule.kind in PICKY]


def _takers(name: str, field: str, picky: Sequence[Line]) -> list[str]:
    return [line.rule.name for line in picky if field in _used(line, name)]


def _used(line: Line, name: str) -> frozenset[str]:
    return uses.used(line.rule.platform, name, line.native_name)
