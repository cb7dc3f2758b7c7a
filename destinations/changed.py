"""What changed for the worse, in at most three sentences, each with a link to what mends or shows it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from destinations import reasons
from destinations.health import Row
from destinations.models import Hold, State
from destinations.silence import Silence, within
from destinations.standing import WAITING_CAP
from trackstack_site.templatetags.figures import duration, percent, thousands
from trackstack_site.wording import followed

MOST = 3
NAMED = 3
"""Destinations that a sentence about many names."""
FAILURES = 3
"""Failed requests in a row that are more than a hiccup."""


class Sentence(NamedTuple):
    tone: str
    subject: str
    """The words that are the link: a name, or a whole phrase."""
    rest: str
    url: str
    is_named: bool = True
    """Whether the subject is names only."""

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
    return [sentence for sentence, _number in zip(found, range(MOST), strict=False)]


def _sent(rows: Iterable[Row]) -> Iterator[Row]:
    return (row for row in rows if row.destination.is_enabled and not row.destination.platform.is_builtin)


def _stopped(rows: Iterable[Row], now: datetime) -> Iterator[Sentence]:
    stopped = [row for row in _sent(rows) if row.destination.hold in (Hold.CREDENTIALS, Hold.CONFIGURATION)]
    for row in sorted(stopped, key=lambda row: row.destination.held_at or now, reverse=True):
        what = str(Hold(row.destination.hold).label).lower()
        if row.destination.held_at is None:
            said = _("stopped: %(what)s.") % {"what": what}
        else:
            said = _("stopped: %(what)s %(ago)s ago.") % {"what": what, "ago": _since(row.destination.held_at, now)}
        yield Sentence("bad", row.destination.name, followed(said, _held(row)), _edit(row))


def _failing(rows: Iterable[Row], now: datetime) -> Iterator[Sentence]:
    for row in _sent(rows):
        until, failures = row.destination.backoff_until, row.destination.failures
        if row.destination.hold or failures < FAILURES:
            continue
        rest = ngettext("fails: %(count)s request in a row.", "fails: %(count)s requests in a row.", failures)
        rest %= {"count": thousands(failures)}
        if until and until > now:
            rest = followed(rest, _("Next try in %(wait)s.") % {"wait": duration((until - now).total_seconds())})
        yield Sentence("bad", row.destination.name, rest, _deliveries(row, State.WAITING))


def _died(rows: Iterable[Row]) -> Iterator[Sentence]:
    """One sentence, however many destinations it was: often they share the cause, and Dead letters has each."""
    died = sorted((row for row in _sent(rows) if row.hour.dead), key=lambda row: row.hour.dead, reverse=True)
    if not died:
        return
    number = sum(row.hour.dead for row in died)
    if len(died) == 1:
        subject = ngettext(
            "%(count)s delivery to %(destination)s", "%(count)s deliveries to %(destination)s", number
        ) % {"count": thousands(number), "destination": died[0].destination.name}
        rest = ngettext("died in the last hour.", "died in the last hour.", number)
        yield Sentence("bad", subject, rest, _deliveries(died[0], State.DEAD), is_named=False)
        return
    subject = _("%(count)s deliveries to %(destinations)d destinations")
    subject %= {"count": thousands(number), "destinations": len(died)}
    names = [row.destination.name for row in died[:NAMED]]
    if len(died) > NAMED:
        rest = _("died in the last hour, most of them to %(names)s.") % {"names": ", ".join(names)}
    else:
        rest = _("died in the last hour: %(names)s.") % {"names": ", ".join(names)}
    yield Sentence("bad", subject, rest, reverse("destinations:dead_letters"), is_named=False)


def _silent(rows: Iterable[Row], silences: Sequence[Silence]) -> Iterator[Sentence]:
    everywhere = {row.destination.pk for row in rows if row.destination.platform.is_builtin}
    unsent = {silence.event for silence in silences if silence.destination_id in everywhere}
    names = {row.destination.pk: row.destination.name for row in _sent(rows) if not row.destination.hold}
    for silence in silences:
        query = {"event": silence.event}
        if silence.destination_id in everywhere:
            yield Sentence("warn", silence.event, _unarrived(silence), _list(query))
        elif silence.destination_id in names and silence.event not in unsent:
            subject = _("%(event)s to %(destination)s")
            subject %= {"event": silence.event, "destination": names[silence.destination_id]}
            url = _list({**query, "destination": str(silence.destination_id)})
            yield Sentence("warn", subject, _undelivered(silence), url, is_named=False)


def _unarrived(silence: Silence) -> str:
    words = _words(silence)
    if not silence.delivered:
        return str(_("fell silent: none arrived %(within)s, in past weeks it was %(expected)s at least.") % words)
    said = ngettext(
        "fell silent: only %(count)s arrived %(within)s, in past weeks it was %(expected)s at least.",
        "fell silent: only %(count)s arrived %(within)s, in past weeks it was %(expected)s at least.",
        silence.delivered,
    )
    return str(said % words)


def _undelivered(silence: Silence) -> str:
    words = _words(silence)
    if silence.reason:
        words["within"] = _("%(within)s (%(reason)s)") % {**words, "reason": reasons.label(silence.reason).lower()}
    if not silence.delivered:
        return str(_("fell silent: none was delivered %(within)s, in past weeks it was %(expected)s at least.") % words)
    said = ngettext(
        "fell silent: only %(count)s was delivered %(within)s, in past weeks it was %(expected)s at least.",
        "fell silent: only %(count)s were delivered %(within)s, in past weeks it was %(expected)s at least.",
        silence.delivered,
    )
    return str(said % words)


def _words(silence: Silence) -> dict[str, str]:
    return {
        "count": thousands(silence.delivered),
        "expected": thousands(silence.expected),
        "within": within(silence.hours),
    }


def _poor(rows: Iterable[Row]) -> Iterator[Sentence]:
    for row in _sent(rows):
        if row.hour.is_poor and not row.destination.hold and row.destination.failures < FAILURES:
            words = {"hour": percent(row.hour.share), "day": percent(row.day.share)}
            if row.day.share is None:
                rest = _("took %(hour)s of the tries of the last hour.") % words
            else:
                rest = _("took %(hour)s of the tries of the last hour, over 24 hours %(day)s.") % words
            yield Sentence("warn", row.destination.name, rest, _deliveries(row, State.WAITING))


def _ending(rows: Iterable[Row]) -> Iterator[Sentence]:
    ends = [(end, row) for row in _sent(rows) for end in row.ends if end.tone != "quiet"]
    for end, row in sorted(ends, key=lambda found: found[0].at):
        if end.days > 1:
            rest = ngettext(
                "needs you: its %(what)s ends in %(count)d day.", "needs you: its %(what)s ends in %(count)d days.",
                end.days,
            )  # fmt: skip
        elif end.days >= 0:
            rest = _("needs you: its %(what)s ends within two days.")
        else:
            rest = _("needs you: its %(what)s has ended.")
        yield Sentence(end.tone, row.destination.name, rest % {"what": end.what, "count": end.days}, _edit(row))


def _paused(rows: Iterable[Row], now: datetime) -> Iterator[Sentence]:
    for row in _sent(rows):
        if row.destination.hold == Hold.PAUSED and row.held:
            if row.destination.held_at is None:
                said = _("was paused.")
            else:
                said = _("was paused %(ago)s ago.") % {"ago": _since(row.destination.held_at, now)}
            yield Sentence("info", row.destination.name, followed(said, _held(row)), _edit(row))


def _since(at: datetime, now: datetime) -> str:
    return str(duration((now - at).total_seconds()))


def _held(row: Row) -> str:
    if not row.held:
        return str(_("Nothing waits."))
    if row.held >= WAITING_CAP:
        return str(_("%(count)s or more deliveries wait, nothing is lost.") % {"count": thousands(row.held)})
    said = ngettext(
        "%(count)s delivery waits, nothing is lost.", "%(count)s deliveries wait, nothing is lost.", row.held
    )
    return str(said % {"count": thousands(row.held)})


def _edit(row: Row) -> str:
    url: str = reverse("destinations:edit", args=[row.destination.pk])
    return url


def _deliveries(row: Row, state: State) -> str:
    return _list({"destination": str(row.destination.pk), "state": str(state.value)})


def _list(query: dict[str, str]) -> str:
    return f"{reverse('destinations:deliveries')}?{urlencode(query)}"
