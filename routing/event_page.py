"""One event's page: its books at every destination over the last seven days, each figure with the way to its rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import date, timedelta
from typing import NamedTuple
from urllib.parse import urlencode

import msgspec
from django.db import connection
from django.urls import reverse
from django.utils.translation import gettext as _

from destinations import platforms, reasons
from destinations.models import LedgerState, State
from destinations.queries import RECEIVED
from destinations.replay_plan import MENDABLE, backfill_query
from routing.policy import DestinationRule, SourceRule, selects, stands
from routing.snapshot import Snapshot

DAYS = 7
LIFTED = MENDABLE - {"consent_denied", "too_old"}
"""Reasons of a skip that switching something may have lifted since; what a person said, and age, stay."""

# Totals are found by their unique index, one probe per day and destination; what is not folded yet is little and has an
# index of its own. Neither reads the counts of other events.
_BOOKS_SQL = """
SELECT destination_id, state, reason, sum(count)::bigint FROM (
    SELECT destination_id, state, reason, count FROM destinations_ledgerentry
    WHERE is_total AND day = ANY(%(days)s) AND destination_id = ANY(%(destinations)s) AND event_name = %(event)s
    UNION ALL
    SELECT destination_id, state, reason, count FROM destinations_ledgerentry
    WHERE NOT is_total AND day = ANY(%(days)s) AND event_name = %(event)s
) both_kinds GROUP BY 1, 2, 3 ORDER BY 1, 2, 4 DESC, 3
"""


class Figure(NamedTuple):
    code: str
    label: str
    number: int
    url: str


class Why(NamedTuple):
    """Skipped or dead for one reason."""

    label: str
    code: str
    number: int
    sentence: str
    url: str


class Line(NamedTuple):
    """One destination: received = delivered + waiting + skipped + dead."""

    rule: DestinationRule
    is_on: bool
    """By its mode and its switch; something else may be in the way."""
    is_sent: bool
    standing: str
    """What the toggles say, as a sentence."""
    native_name: str
    native_id: str
    figures: list[Figure]
    why: list[Why]
    backfill_url: str = ""
    """Where there is something to be sent that was not."""

    @property
    def counts(self) -> dict[str, int]:
        return {figure.code: figure.number for figure in self.figures}


def days_to(today: date) -> list[date]:
    """The last seven days, today included; the newest last."""
    return [today - timedelta(days=back) for back in reversed(range(DAYS))]


def books(event: str, days: list[date], destination_ids: list[int]) -> dict[int, dict[tuple[str, str], int]]:
    """Destination id → (state, reason) → count."""
    found: dict[int, dict[tuple[str, str], int]] = defaultdict(dict)
    with connection.cursor() as cursor:
        cursor.execute(_BOOKS_SQL, {"days": days, "destinations": destination_ids, "event": event})
        for destination_id, state, reason, count in cursor.fetchall():
            found[destination_id][state, reason] = count
    return found


def lines(event: str, state: Snapshot, today: date) -> list[Line]:
    """A line for each destination, in column order. One query."""
    days = days_to(today)
    counted = books(event, days, list(state.rules))
    stored = max((_sums(counts)[LedgerState.RECEIVED] for counts in counted.values()), default=0)
    return [_line(rule, event, state, counted.get(rule.id, {}), days[0], stored) for rule in state.rules.values()]


def _line(
    rule: DestinationRule, event: str, state: Snapshot, counts: Mapping[tuple[str, str], int], since: date, stored: int
) -> Line:
    """stored: how many there were; a destination that is younger than some of them received fewer."""
    # Sources and consent are each event's own; what holds for all of them is said here.
    everybody = msgspec.structs.replace(rule, source_ids=None)
    decision = stands(everybody, SourceRule(id=0), event, state.events.get(event), {})
    return Line(
        rule,
        selects(rule, event, state.events.get(event)).send,
        decision.send,
        decision.sentence(event, rule),
        rule.shown_name(rule.native_name(event)),
        rule.native_ids.get(event, ""),
        _figures(rule, event, counts, since),
        _why(rule, event, counts, since),
        _backfill_url(rule, event) if decision.send and _missed(rule, counts, stored) else "",
    )


def _missed(rule: DestinationRule, counts: Mapping[tuple[str, str], int], stored: int) -> int:
    """Events that it did not get and that the routing of now may send."""
    if rule.is_builtin:
        return 0
    never_asked = stored - _sums(counts)[LedgerState.RECEIVED]
    skipped = LedgerState.SKIPPED
    return never_asked + sum(n for (kind, reason), n in counts.items() if kind == skipped and reason in LIFTED)


def _backfill_url(rule: DestinationRule, event: str) -> str:
    return f"{reverse('destinations:replay_new')}?{backfill_query(rule.id, platforms.get(rule.platform), event)}"


def _sums(counts: Mapping[tuple[str, str], int]) -> dict[str, int]:
    """Ledger state → count, whatever the reasons."""
    total = dict.fromkeys(LedgerState.values, 0)
    for (ledger_state, _reason), count in counts.items():
        total[ledger_state] += count
    return total


def _list_url(rule: DestinationRule, event: str, since: date, state: int, reason: str = "") -> str:
    """The deliveries that a number counts, what routing skipped among them."""
    query = {"destination": rule.id, "event": event, "since": f"{since:%Y-%m-%d}T00:00", "state": state}
    return f"{reverse('destinations:deliveries')}?{urlencode(query | ({'reason': reason} if reason else {}))}"


def _figures(rule: DestinationRule, event: str, counts: Mapping[tuple[str, str], int], since: date) -> list[Figure]:
    total = _sums(counts)
    received, delivered, skipped, dead = (
        total[name.value]
        for name in (LedgerState.RECEIVED, LedgerState.DELIVERED, LedgerState.SKIPPED, LedgerState.DEAD)
    )
    waiting = max(0, received - delivered - skipped - dead)
    return [
        Figure(code, label, count, _list_url(rule, event, since, state))
        for code, label, count, state in (
            ("received", _("Received"), received, RECEIVED),
            ("delivered", _("Delivered"), delivered, State.DELIVERED),
            ("waiting", _("Waiting"), waiting, State.WAITING),
            ("skipped", _("Skipped"), skipped, State.SKIPPED),
            ("dead", _("Dead"), dead, State.DEAD),
        )
    ]


def _why(rule: DestinationRule, event: str, counts: Mapping[tuple[str, str], int], since: date) -> list[Why]:
    return [
        Why(
            reasons.label(reason),
            reason,
            count,
            reasons.explain(reason, event=event, destination=rule.name, platform=rule.label),
            _list_url(rule, event, since, State.DEAD if kind == LedgerState.DEAD else State.SKIPPED, reason),
        )
        for (kind, reason), count in counts.items()
        if reason and count > 0
    ]
