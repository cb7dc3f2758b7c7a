"""What a replay would send, before it is started and while it runs: which events match, and what becomes of each.

Reading only. The same looks serve the estimate and the run, so the estimate says what the run does.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode

import msgspec
from django.db import connection
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from destinations import causes, reasons
from destinations.models import DESTINATION_BITS, Destination, ReplayKind, State, delivery_pk
from destinations.platforms.base import Platform
from destinations.queries import CLOCK_SLACK, EARLIEST, LATEST, first_batch
from events.models import POSITION_BITS, POSITION_MASK, Source, event_pk
from routing import snapshot
from routing.models import RoutingChange
from routing.snapshot import Snapshot
from trackstack_site.moment_field import STAMP

SCAN_ROWS = 2000
"""Events looked at in one transaction."""
ESTIMATE_ROWS = 20_000
"""Events that an estimate looks at; of what is beyond, it says that there is more."""
ESTIMATE_SECONDS = 3.0

BACKFILL_DAYS = 7
"""What a backfill begins with; the person may choose otherwise."""
MENDABLE = frozenset(reasons.BY_ROUTING)
"""Reasons of a skip that another routing may lift. The others are the event's own: it would be skipped again."""

WAITS = "waits already"
ACCEPTED = "delivered already"
DEAD_LETTER = "dead: replay it"
FORGOTTEN = "settled long ago: what became of it is no longer kept"
OWN_WORDS: dict[str, str | Promise] = {
    WAITS: gettext_lazy("Waits already"),
    ACCEPTED: gettext_lazy("Delivered already"),
    DEAD_LETTER: gettext_lazy("Dead: replay it"),
    FORGOTTEN: gettext_lazy("Settled long ago: what became of it is no longer kept"),
}
"""Verdicts that are no reason codes, as they are kept, and in words."""

_read_consent = msgspec.json.Decoder(dict[str, bool]).decode


class ReplayError(ValueError):
    """It cannot be started or changed so; the message is for the person who asked."""


class Plan(NamedTuple):
    """What is to be sent, before it is started."""

    kind: ReplayKind
    destination: Destination
    event: str = ""
    source: Source | None = None
    reason: str = ""
    detail: str = ""
    only: tuple[int, ...] = ()
    """Keys of deliveries."""
    since: datetime | None = None
    until: datetime | None = None

    def key_range(self) -> tuple[int, int]:
        """Event keys [lowest, highest) that may match; the end is now."""
        if self.only:
            events = [pk >> DESTINATION_BITS for pk in self.only]
            return min(events), max(events) + 1
        with connection.cursor() as cursor:
            cursor.execute("SELECT coalesce(max(id), 0) + 1 FROM events_ingestbatch")
            last = cursor.fetchone()[0]
        first = first_batch(max(self.since, EARLIEST) - CLOCK_SLACK) if self.since else 0
        if self.until:
            beyond = first_batch(min(self.until, LATEST) + CLOCK_SLACK)
            last = min(last, beyond if beyond is not None else last)
        return event_pk(first or 0, 0), event_pk(last, 0)


class Found(NamedTuple):
    """One event that matches, and what would become of it."""

    event_pk: int
    name: str
    day: date
    state: int | None
    """Of the delivery it has; None when it has none."""
    was: str
    """The reason of that state."""
    verdict: str
    """Empty: it is sent. Otherwise why not, a reason code or one of OWN_WORDS."""


class Estimate(NamedTuple):
    matching: int
    sendable: int
    left: dict[str, int]
    """Verdict → events."""
    is_partial: bool
    """There is more than was looked at."""


# --- Looking ----------------------------------------------------------------------------------------------
DEAD_SQL = """
SELECT e.id, e.name, (e.received_at AT TIME ZONE 'UTC')::date, w.state, w.reason, e.source_id,
    round(extract(epoch FROM e.occurred_at) * 1000)::bigint, e.payload->>'consent', false
FROM destinations_delivery w JOIN events_event e ON e.id = w.event_id
WHERE w.destination_id = %(destination)s AND w.state = 4 AND w.id >= %(low)s AND w.id < %(high)s
    AND (%(reason)s = '' OR w.reason = %(reason)s)
    AND (%(detail)s = '' OR CASE WHEN %(is_folded)s THEN {folded} ELSE w.detail END = %(detail)s)
    AND (%(only)s::bigint[] = '{{}}' OR w.id = ANY(%(only)s::bigint[]))
    AND {matches}
ORDER BY w.id LIMIT %(limit)s {lock}
"""
MISSED_SQL = """
SELECT e.id, e.name, (e.received_at AT TIME ZONE 'UTC')::date, w.state, w.reason, e.source_id,
    round(extract(epoch FROM e.occurred_at) * 1000)::bigint, e.payload->>'consent', {is_forgotten}
FROM (SELECT * FROM events_event WHERE id >= %(from)s AND id < %(to)s ORDER BY id LIMIT %(limit)s) e
JOIN events_ingestbatch b ON b.id = e.id >> {position_bits} AND b.routed_at IS NOT NULL
LEFT JOIN destinations_delivery w ON w.id = (e.id << {destination_bits} | %(destination)s)
WHERE {matches} ORDER BY e.id
"""
# Routing leaves a delivery or an entry in the list of skips for every destination it knew. Where there is neither, the
# destination is younger than the event; or it had a delivery, and retention has forgotten what became of it.
IS_FORGOTTEN = """(w.id IS NULL
    AND CASE WHEN %(born)s::bigint IS NULL THEN b.routed_at >= %(made)s ELSE b.routing_version >= %(born)s END
    AND NOT EXISTS (SELECT 1 FROM jsonb_each(b.skips -> %(key)s) AS s WHERE s.value @> to_jsonb(e.id & {mask})))"""
MATCHES = """(%(event)s = '' OR e.name = %(event)s) AND (%(source)s::bigint IS NULL OR e.source_id = %(source)s)
    AND (%(since)s::timestamptz IS NULL OR e.received_at >= %(since)s)
    AND (%(until)s::timestamptz IS NULL OR e.received_at < %(until)s)"""
MISSED_ROWS_SQL = MISSED_SQL.format(
    position_bits=POSITION_BITS, destination_bits=DESTINATION_BITS, matches=MATCHES,
    is_forgotten=IS_FORGOTTEN.format(mask=POSITION_MASK),
)  # fmt: skip
LAST_SQL = "SELECT max(id) FROM (SELECT id FROM events_event WHERE id >= %s AND id < %s ORDER BY id LIMIT %s) e"


def look(plan: Plan, state: Snapshot, low: int, high: int, *, lock: bool) -> tuple[list[Found], int]:
    """What matches among the next events from `low` on, and the key to go on from."""
    values: dict[str, Any] = {
        "destination": plan.destination.pk, "event": plan.event, "reason": plan.reason, "detail": plan.detail,
        "is_folded": causes.is_folded(plan.detail),
        "source": plan.source.pk if plan.source else None, "since": plan.since, "until": plan.until,
        "only": list(plan.only), "limit": SCAN_ROWS, "from": low, "to": high,
        "low": delivery_pk(low, 0), "high": delivery_pk(high, 0),
    }  # fmt: skip
    with connection.cursor() as cursor:
        if plan.kind == ReplayKind.DEAD:
            sql = DEAD_SQL.format(
                matches=MATCHES,
                folded=causes.folded_sql("w.detail"),
                lock="FOR UPDATE OF w SKIP LOCKED" if lock else "",
            )
            cursor.execute(sql, values)
            rows = cursor.fetchall()
            beyond = rows[-1][0] + 1 if len(rows) == SCAN_ROWS else high
        else:
            cursor.execute(LAST_SQL, [low, high, SCAN_ROWS])
            last = cursor.fetchone()[0]
            beyond = high if last is None else last + 1
            cursor.execute(MISSED_ROWS_SQL, values | _birth(plan.destination))
            rows = cursor.fetchall()
    now_ms = time.time_ns() // 1_000_000
    return [_found(plan, state, row, now_ms) for row in rows], beyond


def _birth(destination: Destination) -> dict[str, Any]:
    """Since when routing knows a destination: the version that it came with, or the time where there is no entry."""
    entries = RoutingChange.objects.filter(destination_pk=destination.pk, action="created")
    born = entries.values_list("version", flat=True).first()
    return {"born": born, "made": destination.created_at, "key": str(destination.pk)}


def _found(plan: Plan, state: Snapshot, row: Sequence[Any], now_ms: int) -> Found:
    pk, name, day, has_state, was = row[:5]
    return Found(pk, name, day, has_state, was or "", _verdict(plan, state, row, now_ms))


def _verdict(plan: Plan, state: Snapshot, row: Sequence[Any], now_ms: int) -> str:
    _pk, name, _day, has_state, was, source_id, occurred_ms, consent_json, is_forgotten = row
    if is_forgotten:
        return FORGOTTEN
    if has_state == State.WAITING:
        return WAITS
    if has_state == State.DELIVERED:
        return ACCEPTED
    if has_state == State.DEAD and plan.kind == ReplayKind.MISSED:
        return DEAD_LETTER
    if has_state == State.SKIPPED and was not in MENDABLE:
        return str(was)
    rule = state.rules.get(plan.destination.pk)
    if rule is None:
        return "destination_disabled"
    consent: Mapping[str, bool] = _read_consent(consent_json) if consent_json else {}
    return state.decide(rule, source_id, name, consent, occurred_ms, now_ms).reason


def check(plan: Plan) -> None:
    """Raises ReplayError for what makes no sense."""
    names = {"destination": plan.destination.name}
    if plan.destination.platform.is_builtin:
        raise ReplayError(_("%(destination)s is built in and has every event already.") % names)
    if plan.destination.closing_at is not None:
        # Nothing waits for it between two steps: it would be deleted or off, and the rest left behind.
        if plan.destination.is_kept_when_closed:
            raise ReplayError(_("%(destination)s is about to be switched off. Leave it on first.") % names)
        raise ReplayError(_("%(destination)s is about to be deleted. Keep it first.") % names)
    if plan.kind == ReplayKind.MISSED and (plan.reason or plan.detail or plan.only):
        raise ReplayError(_("Only dead deliveries can be chosen one by one or by the reason of their death."))


def estimate(plan: Plan) -> Estimate:
    """What a start would do, found as a start finds it. Changes nothing; bounded in rows and in time."""
    state = snapshot.current()
    low, high = plan.key_range()
    left: Counter[str] = Counter()
    sendable = seen = 0
    deadline = time.monotonic() + ESTIMATE_SECONDS
    while low < high and seen < ESTIMATE_ROWS and time.monotonic() < deadline:
        found, low = look(plan, state, low, high, lock=False)
        seen += SCAN_ROWS
        sendable += sum(not one.verdict for one in found)
        left.update(one.verdict for one in found if one.verdict)
    return Estimate(sendable + sum(left.values()), sendable, dict(left.most_common()), is_partial=low < high)


def label(verdict: str) -> str:
    """A verdict in words."""
    return str(OWN_WORDS[verdict]) if verdict in OWN_WORDS else reasons.label(verdict)


def sentence(plan: Plan, rate: int) -> str:
    which = _which(plan)
    if plan.kind == ReplayKind.DEAD and which:
        said = _("Dead deliveries %(which)s are sent again to %(destination)s, %(rate)d a second at most")
    elif plan.kind == ReplayKind.DEAD:
        said = _("Dead deliveries are sent again to %(destination)s, %(rate)d a second at most")
    elif which:
        said = _("Events %(which)s that were not sent go to %(destination)s, %(rate)d a second at most")
    else:
        said = _("Events that were not sent go to %(destination)s, %(rate)d a second at most")
    return said % {"which": which, "destination": plan.destination.name, "rate": rate}


def _which(plan: Plan) -> str:
    """What of the deliveries or events, as a part of the sentence."""
    chosen = ngettext("(%(count)d chosen)", "(%(count)d chosen)", len(plan.only)) % {"count": len(plan.only)}
    parts = [
        _("of %(event)s") % {"event": plan.event} if plan.event else "",
        _("from %(source)s") % {"source": plan.source.name} if plan.source else "",
        _("with the cause “%(cause)s”") % {"cause": reasons.label(plan.reason)} if plan.reason else "",
        chosen if plan.only else "",
        _("received since %(at)s") % {"at": f"{plan.since:%Y-%m-%d %H:%M} UTC"} if plan.since else "",
        _("until %(at)s") % {"at": f"{plan.until:%Y-%m-%d %H:%M} UTC"} if plan.until else "",
    ]
    return " ".join(filter(None, parts))


def backfill_query(destination_id: int, platform: Platform, event: str = "") -> str:
    """Query of the page that plans a backfill: the last days, within the age that the platform takes."""
    age = min(platform.max_age or timedelta(days=BACKFILL_DAYS), timedelta(days=BACKFILL_DAYS))
    since = timezone.now() - age + timedelta(minutes=5)  # or the first ones are too old by the time they are sent
    values = {"kind": ReplayKind.MISSED.value, "destination": destination_id, "since": since.strftime(STAMP)}
    return urlencode(values | ({"event": event} if event else {}))
