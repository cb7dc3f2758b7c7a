"""What changed for the worse, in at most three sentences, each with a link to what mends or shows it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple
from urllib.parse import urlencode

from django.urls import reverse

from destinations import reasons
from destinations.health import Row
from destinations.models import Hold, State
from destinations.silence import Silence, within
from destinations.standing import WAITING_CAP
from trackstack_site.templatetags.figures import duration, percent, thousands

MOST = 3
FAILURES = 3
"""Failed requests in a row that are more than a hiccup."""


class Sentence(NamedTuple):
    tone: str
    subject: str
    """The words that are the link."""
    rest: str
    url: str

    def __str__(self) -> str:
        return f"{self.subject} {self.rest}"


def sentences(rows: Sequence[Row], silences: Sequence[Silence], now: datetime) -> list[Sentence]:
    """The gravest first: who stopped, who fails, what died, who fell silent, what will end, who is paused."""
    kinds = (
        _stopped(rows, now),
        _failing(rows, now),
        _died(rows),
        _silent(rows, silences),
        _poor(rows),
        _ending(rows),
        _paused(rows, now),
    )
    found = (sentence for kind in kinds for sentence in kind)
    return [sentence for sentence, _ in zip(found, range(MOST), strict=False)]


def _sent(rows: Iterable[Row]) -> Iterator[Row]:
    return (row for row in rows if row.destination.is_enabled and not row.destination.platform.is_builtin)


def _stopped(rows: Iterable[Row], now: datetime) -> Iterator[Sentence]:
    stopped = [row for row in _sent(rows) if row.destination.hold in (Hold.CREDENTIALS, Hold.CONFIGURATION)]
    for row in sorted(stopped, key=lambda row: row.destination.held_at or now, reverse=True):
        what = Hold(row.destination.hold).label.lower()
        rest = f"stopped: {what}{_ago(row.destination.held_at, now)}. {_held(row)}"
        yield Sentence("bad", row.destination.name, rest, _edit(row))


def _failing(rows: Iterable[Row], now: datetime) -> Iterator[Sentence]:
    for row in _sent(rows):
        until, failures = row.destination.backoff_until, row.destination.failures
        if row.destination.hold or failures < FAILURES:
            continue
        following = f" Next try in {duration((until - now).total_seconds())}." if until and until > now else ""
        rest = f"fails: {thousands(failures)} requests in a row.{following}"
        yield Sentence("bad", row.destination.name, rest, _deliveries(row, State.WAITING))


def _died(rows: Iterable[Row]) -> Iterator[Sentence]:
    for row in sorted(_sent(rows), key=lambda row: row.hour.dead, reverse=True):
        if row.hour.dead:
            noun = "delivery" if row.hour.dead == 1 else "deliveries"
            subject = f"{thousands(row.hour.dead)} {noun} to {row.destination.name}"
            yield Sentence("bad", subject, "died in the last hour.", _deliveries(row, State.DEAD))


def _silent(rows: Iterable[Row], silences: Sequence[Silence]) -> Iterator[Sentence]:
    everywhere = {row.destination.pk for row in rows if row.destination.platform.is_builtin}
    unsent = {silence.event for silence in silences if silence.destination_id in everywhere}
    names = {row.destination.pk: row.destination.name for row in _sent(rows) if not row.destination.hold}
    for silence in silences:
        before = f"in past weeks it was {thousands(silence.expected)} at least"
        got = f"only {thousands(silence.delivered)}" if silence.delivered else "none"
        when = within(silence.hours)
        query = {"event": silence.event}
        if silence.destination_id in everywhere:
            rest = f"fell silent: {got} arrived {when}, {before}."
            yield Sentence("warn", silence.event, rest, _list(query))
        elif silence.destination_id in names and silence.event not in unsent:
            why = f" ({reasons.label(silence.reason).lower()})" if silence.reason else ""
            subject = f"{silence.event} to {names[silence.destination_id]}"
            rest = f"fell silent: {got} {'were' if silence.delivered > 1 else 'was'} delivered {when}{why}, {before}."
            yield Sentence("warn", subject, rest, _list({**query, "destination": str(silence.destination_id)}))


def _poor(rows: Iterable[Row]) -> Iterator[Sentence]:
    for row in _sent(rows):
        if row.hour.is_poor and not row.destination.hold and row.destination.failures < FAILURES:
            before = f", over 24 hours {percent(row.day.share)}" if row.day.share is not None else ""
            rest = f"took {percent(row.hour.share)} of the tries of the last hour{before}."
            yield Sentence("warn", row.destination.name, rest, _deliveries(row, State.WAITING))


def _ending(rows: Iterable[Row]) -> Iterator[Sentence]:
    ends = [(end, row) for row in _sent(rows) for end in row.ends if end.tone != "quiet"]
    for end, row in sorted(ends, key=lambda found: found[0].at):
        when = f"ends in {end.days} days" if end.days > 1 else "ends within two days" if end.days >= 0 else "has ended"
        yield Sentence(end.tone, row.destination.name, f"needs you: its {end.what} {when}.", _edit(row))


def _paused(rows: Iterable[Row], now: datetime) -> Iterator[Sentence]:
    for row in _sent(rows):
        if row.destination.hold == Hold.PAUSED and row.held:
            rest = f"was paused{_ago(row.destination.held_at, now)}. {_held(row)}"
            yield Sentence("info", row.destination.name, rest, _edit(row))


def _ago(at: datetime | None, now: datetime) -> str:
    return f" {duration((now - at).total_seconds())} ago" if at is not None else ""


def _held(row: Row) -> str:
    if not row.held:
        return "Nothing waits."
    count = f"{thousands(row.held)} or more" if row.held >= WAITING_CAP else thousands(row.held)
    return f"{count} {'delivery waits' if row.held == 1 else 'deliveries wait'}, nothing is lost."


def _edit(row: Row) -> str:
    url: str = reverse("destinations:edit", args=[row.destination.pk])
    return url


def _deliveries(row: Row, state: State) -> str:
    return _list({"destination": str(row.destination.pk), "state": str(state.value)})


def _list(query: dict[str, str]) -> str:
    return f"{reverse('destinations:deliveries')}?{urlencode(query)}"
