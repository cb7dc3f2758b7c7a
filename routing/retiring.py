"""What retiring an event would stop: the destinations that get it only as long as it is registered."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

from destinations.models import LedgerState
from routing import event_page
from routing.policy import carries, selects
from routing.snapshot import Snapshot


class Effect(NamedTuple):
    received: int
    """In the last seven days."""
    stops: list[tuple[str, int]]
    """Destinations that get it no more, with what was delivered there in the last seven days."""
    goes_on: list[str]
    """Destinations where it is ticked or recommended: they get it as before."""
    delivered: int
    """By those that stop, together."""


def effect(event: str, state: Snapshot, today: date) -> Effect:
    """One query."""
    rules = [rule for rule in state.rules.values() if rule.is_enabled and not rule.is_builtin]
    sent = [rule for rule in rules if selects(rule, event, state.events.get(event)).send and carries(rule, event).send]
    kept = {rule.id for rule in sent if selects(rule, event, None).send}
    books = event_page.books(event, event_page.days_to(today), list(state.rules))
    stops = [(rule.name, _count(books.get(rule.id, {}), LedgerState.DELIVERED)) for rule in sent if rule.id not in kept]
    builtin = next((rule for rule in state.rules.values() if rule.is_builtin), None)
    return Effect(
        received=_count(books.get(builtin.id, {}), LedgerState.RECEIVED) if builtin else 0,
        stops=sorted(stops, key=lambda stop: -stop[1]),
        goes_on=[rule.name for rule in sent if rule.id in kept],
        delivered=sum(count for _, count in stops),
    )


def _count(book: dict[tuple[str, str], int], wanted: LedgerState) -> int:
    return sum(count for (state, _), count in book.items() if state == wanted.value)
