"""Alerts: what is watched, and what is said when it breaks and when it holds again.

Beat asks once a minute. A rule that is broken somewhere opens an incident there, which is told once; when the rule
holds there again for CALM_SECONDS, that is told too. Everything is judged from rolled-up rows and bounded looks, as
Health shows them, so an evaluation costs the same at any volume.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, OuterRef
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.functional import Promise
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from destinations import health, silence
from destinations.alert_models import (
    AlertChannel,
    AlertIncident,
    AlertNotice,
    AlertRule,
    RuleKind,
)
from destinations.health import Row
from destinations.models import Hold, State
from trackstack_site.wording import followed

EVALUATE_TASK = "destinations.watch"
LOCK = 7_305_001
"""Of pg_advisory_xact_lock: one evaluation at a time, however many beats there are."""
CALM_SECONDS = 120.0
MOST_SILENCES = 3
"""Events that fell silent at a destination and are told one by one; more are one trouble of the destination."""
REJECTED_MINUTES = 15


class Kind(NamedTuple):
    """What a rule of a kind says of itself, for people."""

    question: str | Promise
    unit: str | Promise
    default: float
    least: float
    most: float


KINDS: dict[str, Kind] = {
    RuleKind.SUCCESS.value: Kind(
        _("Fewer than this share of an hour's tries succeeded (of 20 at least)"), "%", 90, 1, 100
    ),
    RuleKind.DEAD.value: Kind(_("More deliveries than this died in the last hour"), _("deliveries"), 50, 0, 1e6),
    RuleKind.LAG.value: Kind(_("The first due delivery has waited longer than this"), _("seconds"), 300, 10, 86_400),
    RuleKind.STOPPED.value: Kind(
        _("Credentials or settings are refused, or the platform does not answer"), "", 0, 0, 0
    ),
    RuleKind.ENDING.value: Kind(_("A token or an API version ends within this time"), _("days"), 30, 1, 90),
    RuleKind.REJECTED.value: Kind(_("More than this share of 15 minutes' events was rejected"), "%", 5, 0, 100),
    RuleKind.SILENCE.value: Kind(
        _("Far less of an event than in the same hours of past weeks, when it was this many at least"),
        _("deliveries"),
        10,
        10,
        1e6,
    ),
}


class Finding(NamedTuple):
    """A rule broken somewhere."""

    key: str
    sentence: str
    url: str


def found(rule: AlertRule, rows: Sequence[Row], silences: Sequence[silence.Silence]) -> list[Finding]:
    """Where a rule is broken now."""
    sent = [row for row in rows if row.destination.is_enabled and not row.destination.platform.is_builtin]
    return list(_LOOKS[rule.kind](rule.threshold, sent, silences))


def _success(threshold: float, rows: Sequence[Row], __: Any) -> Iterator[Finding]:
    for row in rows:
        share = row.hour.share
        if share is not None and row.hour.tries >= health.ENOUGH_TRIES and share * 100 < threshold:
            said = gettext("Only %(share)s %% of %(tries)d tries at %(destination)s succeeded in an hour.")
            words = {"share": f"{share * 100:.0f}", "tries": row.hour.tries, "destination": row.destination.name}
            yield Finding(str(row.destination.pk), said % words, _destination(row))


def _dead(threshold: float, rows: Sequence[Row], __: Any) -> Iterator[Finding]:
    for row in rows:
        if row.hour.dead > threshold:
            said = ngettext(
                "%(count)d delivery to %(destination)s died in the last hour.",
                "%(count)d deliveries to %(destination)s died in the last hour.",
                row.hour.dead,
            ) % {"count": row.hour.dead, "destination": row.destination.name}
            yield Finding(str(row.destination.pk), said, reverse("destinations:dead_letters"))


def _lag(threshold: float, rows: Sequence[Row], __: Any) -> Iterator[Finding]:
    for row in rows:
        if row.lag > threshold:
            words = {"destination": row.destination.name, "behind": _length(row.lag), "waiting": _waiting(row)}
            said = gettext("%(destination)s is %(behind)s behind: %(waiting)s.") % words
            query = urlencode({"destination": row.destination.pk, "state": State.WAITING.value})
            yield Finding(str(row.destination.pk), said, f"{reverse('destinations:deliveries')}?{query}")


def _length(seconds: float) -> str:
    if seconds >= 120:
        count = round(seconds / 60)
        return str(ngettext("%(count)d minute", "%(count)d minutes", count) % {"count": count})
    count = round(seconds)
    return str(ngettext("%(count)d second", "%(count)d seconds", count) % {"count": count})


def _waiting(row: Row) -> str:
    count = row.standing.waiting
    if row.standing.is_capped:
        return str(gettext("at least %(count)d deliveries wait") % {"count": count})
    return str(ngettext("%(count)d delivery waits", "%(count)d deliveries wait", count) % {"count": count})


def _stopped(_threshold: float, rows: Sequence[Row], __: Any) -> Iterator[Finding]:
    for row in rows:
        one = row.destination
        if one.hold in (Hold.CREDENTIALS, Hold.CONFIGURATION):
            words = {"destination": one.name, "why": one.hold_detail or Hold(one.hold).label}
            said = gettext("%(destination)s is stopped, its events wait: %(why)s") % words
            yield Finding(str(one.pk), said, _destination(row))
        elif one.breaker_since:
            words = {"destination": one.name, "since": f"{one.breaker_since:%Y-%m-%d %H:%M} UTC"}
            said = gettext("%(destination)s has not answered since %(since)s.") % words
            yield Finding(str(one.pk), followed(said, one.breaker_detail), _destination(row))


def _ending(threshold: float, rows: Sequence[Row], __: Any) -> Iterator[Finding]:
    for row in rows:
        for end in row.ends:
            if end.days <= threshold:
                yield Finding(f"{row.destination.pk} {end.key}"[:160], _ends(end, row), _destination(row))


def _ends(end: health.End, row: Row) -> str:
    words = {"what": end.what, "destination": row.destination.name, "count": end.days, "day": f"{end.at:%Y-%m-%d}"}
    if end.days <= 0:
        return str(gettext("The %(what)s of %(destination)s ended (%(day)s).") % words)
    said = ngettext(
        "The %(what)s of %(destination)s ends in %(count)d day (%(day)s).",
        "The %(what)s of %(destination)s ends in %(count)d days (%(day)s).",
        end.days,
    )
    return str(said % words)


REJECTED_SQL = """
SELECT coalesce(sum(accepted + duplicates), 0), coalesce(sum(rejected), 0) FROM (
    SELECT accepted, duplicates, rejected, received_at FROM events_ingestbatch ORDER BY id DESC LIMIT 200000
) AS late WHERE received_at >= %s
"""


def _rejected(threshold: float, _rows: Any, __: Any) -> Iterator[Finding]:
    with connection.cursor() as cursor:
        cursor.execute(REJECTED_SQL, [timezone.now() - timedelta(minutes=REJECTED_MINUTES)])
        taken, refused = cursor.fetchone()
    total = taken + refused
    if refused and total >= health.ENOUGH_TRIES and refused * 100 > threshold * total:
        words = {"refused": refused, "total": total, "minutes": REJECTED_MINUTES}
        said = gettext("%(refused)d of %(total)d events that came in the last %(minutes)d minutes were rejected.")
        yield Finding("", said % words, reverse("events:rejected"))


def _silent(threshold: float, rows: Sequence[Row], silences: Sequence[silence.Silence]) -> Iterator[Finding]:
    for row in rows:
        of = [one for one in silences if one.destination_id == row.destination.pk and one.expected >= threshold]
        if len(of) > MOST_SILENCES:
            hours = max(one.hours for one in of)
            names = ", ".join(one.event for one in of[:MOST_SILENCES])
            said = gettext(
                "%(destination)s gets far less of %(count)d events than in past weeks, looked at over up to %(hours)d"
                " hours: %(names)s and others."
            ) % {"destination": row.destination.name, "count": len(of), "hours": hours, "names": names}
            yield Finding(str(row.destination.pk), said, _destination(row))
            continue
        for one in of:
            why = gettext("Most were not sent: %(reason)s.") % {"reason": one.reason} if one.reason else ""
            said = followed(one.sentence(row.destination.name), why)
            yield Finding(f"{row.destination.pk} {one.event}", said, reverse("routing:event", args=[one.event]))


_LOOKS: dict[str, Any] = {
    RuleKind.SUCCESS.value: _success,
    RuleKind.DEAD.value: _dead,
    RuleKind.LAG.value: _lag,
    RuleKind.STOPPED.value: _stopped,
    RuleKind.ENDING.value: _ending,
    RuleKind.REJECTED.value: _rejected,
    RuleKind.SILENCE.value: _silent,
}


def _destination(row: Row) -> str:
    return str(reverse("destinations:edit", args=[row.destination.pk]))


# --- Incidents --------------------------------------------------------------------------------------------
def evaluate(now: datetime | None = None) -> tuple[int, int]:
    """One look at every rule; returns incidents opened and closed. Two at once do the work of one."""
    now = now or timezone.now()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
            if not cursor.fetchone()[0]:
                return 0, 0
        rules = list(AlertRule.objects.prefetch_related("channels"))
        watched = [rule for rule in rules if rule.is_enabled]
        rows = health.rows(now) if watched else []
        silences = silence.current() if any(rule.kind == RuleKind.SILENCE for rule in watched) else []
        opened = closed = 0
        for rule in rules:
            findings = {one.key: one for one in found(rule, rows, silences)} if rule.is_enabled else {}
            opened += _open(rule, findings, now)
            closed += _close(rule, findings, now)
    return opened, closed


def _open(rule: AlertRule, findings: dict[str, Finding], now: datetime) -> int:
    known = {incident.key: incident for incident in _marked(rule.incidents.filter(closed_at=None))}
    for key, one in findings.items():
        incident = known.get(key)
        if incident is None:
            incident = AlertIncident.objects.create(
                rule=rule, key=key, sentence=one.sentence[:400], url=one.url, opened_at=now, seen_at=now
            )
        else:
            AlertIncident.objects.filter(pk=incident.pk).update(seen_at=now, sentence=one.sentence[:400])
        if key not in known or not incident.is_told:  # what began while the rule was muted is told afterwards
            _tell(rule, incident, f"{rule.get_kind_display()}: {one.sentence}", now)
    return len(findings.keys() - known.keys())


def _marked(incidents: Any) -> Any:
    """With `is_told`: whether anybody was told of it."""
    return incidents.annotate(is_told=Exists(AlertNotice.objects.filter(incident=OuterRef("pk"))))


def _close(rule: AlertRule, findings: dict[str, Finding], now: datetime) -> int:
    """What was not seen for a while is over: a rule that hangs at its threshold is told once, not every minute.

    Over is told to whoever was told of the beginning; and not when the rule is merely watched no more.
    """
    over = _marked(rule.incidents.filter(closed_at=None, seen_at__lte=now - timedelta(seconds=CALM_SECONDS)))
    count = 0
    for incident in over.exclude(key__in=list(findings)):
        AlertIncident.objects.filter(pk=incident.pk).update(closed_at=now)
        minutes = max(1, round((now - incident.opened_at).total_seconds() / 60))
        said = ngettext(
            "Over after %(count)d minute: %(sentence)s", "Over after %(count)d minutes: %(sentence)s", minutes
        ) % {"count": minutes, "sentence": incident.sentence}
        if incident.is_told and rule.is_enabled:
            _tell(rule, incident, said, now)
        count += 1
    return count


def _tell(rule: AlertRule, incident: AlertIncident, said: str, now: datetime) -> None:
    if rule.is_muted:
        return
    link = f"{settings.SITE_URL}{incident.url}" if settings.SITE_URL and incident.url else incident.url
    # One line: what a platform said may have several, and no mail server takes such a subject.
    subject, text = " ".join(f"TrackStack: {said}".split())[:200], f"{said}\n{link}".strip()
    channels = [channel for channel in rule.channels.all() if channel.is_enabled]
    AlertNotice.objects.bulk_create(
        AlertNotice(channel=channel, incident=incident, subject=subject, text=text, due_at=now) for channel in channels
    )


def trial_notice(channel: AlertChannel, who: str) -> AlertNotice:
    """A message that says that it is a test, to be sent like any other."""
    with translation.override(settings.LANGUAGE_CODE):  # as every notice is, whoever asked for this one
        subject = gettext("TrackStack: a test")
        text = gettext("This is a test of the channel %(channel)s, sent by %(who)s.")
    text %= {"channel": channel.name, "who": who}
    notice: AlertNotice = AlertNotice.objects.create(channel=channel, subject=subject, text=text)
    return notice


MUTES = {"hour": timedelta(hours=1), "day": timedelta(days=1), "good": timedelta(days=36_500), "off": None}


def mute(rule: AlertRule, how: str) -> None:
    """Incidents still open and close, and stand in the history; nobody is told."""
    span = MUTES[how]
    AlertRule.objects.filter(pk=rule.pk).update(muted_until=timezone.now() + span if span else None)
