"""Replay and backfill: sending dead deliveries again, and events for the first time that were not sent.

Both walk the events of a range of keys once. What can be sent is handed to the delivery queue at a rate of the person's
choosing, and only while live traffic to the destination is not behind: so what waits for its turn waits here, as a
cursor, and never stands before a live event in the queue.

A step is one transaction: the rows it hands over, the ledger, and its own cursor. Killed at any moment it did all or
nothing, and whoever comes next goes on. What was delivered is never sent again.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode

import msgspec
from django.db import connection, transaction
from django.utils import timezone

from destinations import ledger, reasons, waiting
from destinations.delivery import DELIVER_TASK
from destinations.models import (
    DESTINATION_BITS,
    Destination,
    LedgerState,
    Replay,
    ReplayKind,
    ReplayState,
    State,
    delivery_pk,
)
from destinations.platforms.base import Platform
from destinations.queries import CLOCK_SLACK, EARLIEST, LATEST, first_batch
from events.models import POSITION_BITS, POSITION_MASK, Source, event_pk
from routing import snapshot, toggles
from routing.models import RoutingChange
from routing.snapshot import Snapshot
from trackstack_site.nudge import nudge

TIME = "%Y-%m-%dT%H:%M"
"""Of a time in an address, as browsers write it."""
REPLAY_TASK = "destinations.replay"
RATES = (10, 50, 200, 1000)
"""Deliveries a second that the screen offers."""
SCAN_ROWS = 2000
"""Events looked at in one transaction."""
ESTIMATE_ROWS = 20_000
"""Events that an estimate looks at; of what is beyond, it says that there is more."""
ESTIMATE_SECONDS = 3.0
RUN_SECONDS = 1.5
BURST_SECONDS = 5
"""What a rate may make good of after a wait."""
BEHIND_SECONDS = 5
"""Live traffic is behind when a due row has waited this long."""
MOST_CHOSEN = 1000
"""Deliveries that can be picked one by one."""

MENDABLE = frozenset(reasons.BY_ROUTING)
"""Reasons of a skip that another routing may lift. The others are the event's own: it would be skipped again."""

WAITS = "waits already"
ACCEPTED = "delivered already"
DEAD_LETTER = "dead: replay it"
FORGOTTEN = "settled long ago: what became of it is no longer kept"
OWN_WORDS = (WAITS, ACCEPTED, DEAD_LETTER, FORGOTTEN)

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
    AND (%(reason)s = '' OR w.reason = %(reason)s) AND (%(detail)s = '' OR w.detail = %(detail)s)
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


def _look(plan: Plan, state: Snapshot, low: int, high: int, *, lock: bool) -> tuple[list[Found], int]:
    """What matches among the next events from `low` on, and the key to go on from."""
    values: dict[str, Any] = {
        "destination": plan.destination.pk, "event": plan.event, "reason": plan.reason, "detail": plan.detail,
        "source": plan.source.pk if plan.source else None, "since": plan.since, "until": plan.until,
        "only": list(plan.only), "limit": SCAN_ROWS, "from": low, "to": high,
        "low": delivery_pk(low, 0), "high": delivery_pk(high, 0),
    }  # fmt: skip
    with connection.cursor() as cursor:
        if plan.kind == ReplayKind.DEAD:
            sql = DEAD_SQL.format(matches=MATCHES, lock="FOR UPDATE OF w SKIP LOCKED" if lock else "")
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
    _, name, _, has_state, was, source_id, occurred_ms, consent_json, is_forgotten = row
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
    if plan.destination.platform.is_builtin:
        raise ReplayError(f"{plan.destination.name} is built in and has every event already.")
    if plan.kind == ReplayKind.MISSED and (plan.reason or plan.detail or plan.only):
        raise ReplayError("Only dead deliveries can be chosen one by one or by the reason of their death.")


def estimate(plan: Plan) -> Estimate:
    """What a start would do, found as a start finds it. Changes nothing; bounded in rows and in time."""
    state = snapshot.current()
    low, high = plan.key_range()
    left: Counter[str] = Counter()
    sendable = seen = 0
    deadline = time.monotonic() + ESTIMATE_SECONDS
    while low < high and seen < ESTIMATE_ROWS and time.monotonic() < deadline:
        found, low = _look(plan, state, low, high, lock=False)
        seen += SCAN_ROWS
        sendable += sum(not one.verdict for one in found)
        left.update(one.verdict for one in found if one.verdict)
    return Estimate(sendable + sum(left.values()), sendable, dict(left.most_common()), is_partial=low < high)


def label(verdict: str) -> str:
    """A verdict in words."""
    return verdict.capitalize() if verdict in OWN_WORDS else reasons.label(verdict)


# --- Starting and steering ----------------------------------------------------------------------------------
def start(plan: Plan, *, rate: int, user: Any, expected: int = 0) -> Replay:
    """Begin; the first rows move within seconds. Raises ReplayError. Audited."""
    check(plan)
    if not 1 <= rate <= RATES[-1]:
        raise ReplayError(f"The rate must be between 1 and {RATES[-1]} a second.")
    if len(plan.only) > MOST_CHOSEN:
        raise ReplayError(f"Choose at most {MOST_CHOSEN} deliveries, or use a filter.")
    low, high = plan.key_range()
    who = user.get_username() if user is not None else "system"
    with transaction.atomic():
        replay: Replay = Replay.objects.create(
            kind=plan.kind, destination=plan.destination, event=plan.event, source=plan.source, reason=plan.reason,
            detail=plan.detail, only=list(plan.only), since=plan.since, until=plan.until, lowest=low, highest=high,
            cursor=low, rate=rate, expected=expected, started_by=who,
        )  # fmt: skip
        toggles.record_destination_change(plan.destination, "replay", [sentence(plan, rate)], user=user)
    nudge(REPLAY_TASK)
    return replay


def sentence(plan: Plan, rate: int) -> str:
    what = "Dead deliveries" if plan.kind == ReplayKind.DEAD else "Events that were not sent"
    parts = [
        f"of {plan.event}" if plan.event else "",
        f"from {plan.source.name}" if plan.source else "",
        f"with the cause “{reasons.label(plan.reason)}”" if plan.reason else "",
        f"({len(plan.only)} chosen)" if plan.only else "",
        f"received since {plan.since:%Y-%m-%d %H:%M} UTC" if plan.since else "",
        f"until {plan.until:%Y-%m-%d %H:%M} UTC" if plan.until else "",
    ]
    chosen = " ".join(part for part in (what, *parts) if part)
    again = "again " if plan.kind == ReplayKind.DEAD else ""
    return f"{chosen} are sent {again}to {plan.destination.name}, {rate} a second at most"


STEERED = {
    "pause": (ReplayState.RUNNING, ReplayState.PAUSED, "paused"),
    "resume": (ReplayState.PAUSED, ReplayState.RUNNING, "resumed"),
    "cancel": (None, ReplayState.CANCELLED, "cancelled"),
}


def steer(replay: Replay, action: str, *, user: Any) -> bool:
    """Pause, resume or cancel; False when it is past that. What was handed over already is delivered all the same."""
    needed, to, word = STEERED[action]
    open_states = [needed] if needed else [ReplayState.RUNNING, ReplayState.PAUSED]
    with transaction.atomic():
        values: dict[str, Any] = {"state": to, "waits_for": "", "stepped_at": timezone.now()}
        if to == ReplayState.CANCELLED:
            values["finished_at"] = timezone.now()
        if not Replay.objects.filter(pk=replay.pk, state__in=open_states).update(**values):
            return False
        said = f"The replay {replay.pk} to {replay.destination.name} is {word} after {replay.moved} deliveries"
        toggles.record_destination_change(replay.destination, "replay", [said], user=user)
    if to == ReplayState.RUNNING:
        nudge(REPLAY_TASK)
    return True


# --- Running --------------------------------------------------------------------------------------------------
def run_all() -> int:
    """One turn of every running replay; returns deliveries handed over. Any number may run at once."""
    moved = 0
    for pk in list(Replay.objects.filter(state=ReplayState.RUNNING).values_list("pk", flat=True)):
        moved += run(pk)
    return moved


def run(pk: int) -> int:
    """Hand over as many deliveries as the rate allows since the last turn, unless live traffic is behind."""
    deadline = time.monotonic() + RUN_SECONDS
    moved = 0
    destination_id = None
    budget: int | None = None
    while time.monotonic() < deadline:
        with transaction.atomic():
            replay = (
                Replay.objects.select_for_update(skip_locked=True, of=("self",))
                .select_related("destination", "source")
                .filter(pk=pk, state=ReplayState.RUNNING)
                .first()
            )
            if replay is None:
                break
            destination_id = replay.destination_id
            if why := _obstacle(replay.destination):
                _note_wait(replay, why)
                break
            if budget is None:
                budget = _budget(replay)
            if budget < 1:
                break
            done = _step(replay, budget)
        moved += done
        budget -= done
        if replay.state != ReplayState.RUNNING:
            break
    if moved and destination_id is not None:
        nudge(DELIVER_TASK, destination_id)
    return moved


def _budget(replay: Replay) -> int:
    waited = (timezone.now() - replay.stepped_at).total_seconds()
    return int(replay.rate * max(0.0, min(waited, BURST_SECONDS))) or int(waited > 1)


BEHIND_SQL = f"SELECT {waiting.has_due('%(destination)s', late='%(late)s')}"


def _obstacle(destination: Destination) -> str:
    """Why nothing should be handed over now, in words."""
    if destination.hold:
        return f"{destination.name} is held: it goes on when the destination is resumed."
    if destination.backoff_until and destination.backoff_until > timezone.now():
        return f"{destination.name} is backing off after failures."
    with connection.cursor() as cursor:
        cursor.execute(BEHIND_SQL, {"destination": destination.pk, "late": BEHIND_SECONDS})
        if cursor.fetchone()[0]:
            return "Live events wait for this destination and go first."
    return ""


def _note_wait(replay: Replay, why: str) -> None:
    Replay.objects.filter(pk=replay.pk).update(waits_for=why, stepped_at=timezone.now())


def plan_of(replay: Replay) -> Plan:
    return Plan(
        ReplayKind(replay.kind), replay.destination, replay.event, replay.source, replay.reason, replay.detail,
        tuple(replay.only), replay.since, replay.until,
    )  # fmt: skip


def _step(replay: Replay, budget: int) -> int:
    """Look at the next events and hand over at most `budget` of them. Within a transaction that holds the replay."""
    plan = plan_of(replay)
    found, beyond = _look(plan, snapshot.current(), replay.cursor, replay.highest, lock=True)
    taken: list[Found] = []
    left = Counter(replay.left)
    for one in found:
        if one.verdict:
            left[one.verdict] += 1
        elif len(taken) == budget:
            beyond = one.event_pk
            break
        else:
            taken.append(one)
    moved = _hand_over(plan.destination.pk, taken)
    replay.cursor, replay.left, replay.waits_for = beyond, dict(left), ""
    replay.moved += moved
    replay.stepped_at = timezone.now()
    if replay.cursor >= replay.highest:
        replay.state, replay.finished_at = ReplayState.DONE, timezone.now()
    replay.save(update_fields=["cursor", "left", "moved", "waits_for", "stepped_at", "state", "finished_at"])
    return moved


AGAIN_SQL = """
UPDATE destinations_delivery SET state = 1, reason = '', detail = '', due_at = statement_timestamp(), tries = 0,
    created_at = statement_timestamp(), settled_at = NULL
WHERE id = ANY(%s::bigint[]) AND state IN (3, 4) RETURNING id
"""
FIRST_SQL = """
INSERT INTO destinations_delivery (id, event_id, destination_id, state, due_at, created_at)
SELECT key, key >> %s, %s, 1, statement_timestamp(), statement_timestamp() FROM unnest(%s::bigint[]) AS key
ON CONFLICT (id) DO NOTHING RETURNING id
"""


def _hand_over(destination_id: int, taken: Sequence[Found]) -> int:
    """Put events into the queue and move them in the books: out of dead or skipped, so that they count as waiting."""
    by_key = {delivery_pk(one.event_pk, destination_id): one for one in taken}
    again = [key for key, one in by_key.items() if one.state is not None]
    first = [key for key, one in by_key.items() if one.state is None]
    tally = ledger.Tally()
    with connection.cursor() as cursor:
        moved = _returned(cursor, AGAIN_SQL, [again]) if again else []
        for key in moved:
            one = by_key[key]
            was = LedgerState.DEAD if one.state == State.DEAD.value else LedgerState.SKIPPED
            tally.add(one.day, destination_id, one.name, was, one.was, -1)
        if first:
            made = _returned(cursor, FIRST_SQL, [DESTINATION_BITS, destination_id, first])
            skipped = _forget_skips(cursor, destination_id, [by_key[key].event_pk for key in made])
            for key in made:
                one = by_key[key]
                if reason := skipped.get(one.event_pk):
                    tally.add(one.day, destination_id, one.name, LedgerState.SKIPPED, reason, -1)
                else:  # the destination is younger than the event: it has not been counted there yet
                    tally.add(one.day, destination_id, one.name, LedgerState.RECEIVED, "", 1)
            moved = [*moved, *made]
        tally.write(cursor)
    return len(moved)


def _returned(cursor: Any, sql: str, values: Sequence[Any]) -> list[int]:
    cursor.execute(sql, values)
    return [row[0] for row in cursor.fetchall()]


def _forget_skips(cursor: Any, destination_id: int, events: Iterable[int]) -> dict[int, str]:
    """Take events out of their batches' lists of skips; returns the reason that each stood under."""
    of_batch: dict[int, set[int]] = {}
    for pk in events:
        of_batch.setdefault(pk >> POSITION_BITS, set()).add(pk & POSITION_MASK)
    key = str(destination_id)
    cursor.execute(
        "SELECT id, skips->%s FROM events_ingestbatch WHERE id = ANY(%s) AND skips ? %s ORDER BY id FOR UPDATE",
        [key, sorted(of_batch), key],
    )
    found: dict[int, str] = {}
    changed: list[tuple[int, str]] = []
    for batch, text in cursor.fetchall():
        by_reason: dict[str, list[int]] = msgspec.json.decode(text) if isinstance(text, str) else text
        kept: dict[str, list[int]] = {}
        for reason, positions in by_reason.items():
            found |= {event_pk(batch, position): reason for position in positions if position in of_batch[batch]}
            if rest := [position for position in positions if position not in of_batch[batch]]:
                kept[reason] = rest
        changed.append((batch, msgspec.json.encode(kept).decode()))
    if changed:
        cursor.execute(
            "UPDATE events_ingestbatch b SET skips = jsonb_set(b.skips, ARRAY[%s], v.kept::jsonb)"
            " FROM unnest(%s::bigint[], %s::text[]) AS v (id, kept) WHERE b.id = v.id",
            [key, [batch for batch, _ in changed], [kept for _, kept in changed]],
        )
    return found


# --- Reading ---------------------------------------------------------------------------------------------------
class Progress(NamedTuple):
    replay: Replay
    percent: int
    left: list[tuple[str, int]]
    sentence: str


def progress(replay: Replay) -> Progress:
    span = replay.highest - replay.lowest
    share = 1.0 if replay.state == ReplayState.DONE or span <= 0 else (replay.cursor - replay.lowest) / span
    left = [(label(verdict), count) for verdict, count in sorted(replay.left.items(), key=lambda entry: -entry[1])]
    return Progress(replay, min(100, int(share * 100)), left, sentence(plan_of(replay), replay.rate))


BACKFILL_DAYS = 7
"""What a backfill begins with; the person may choose otherwise."""


def backfill_query(destination_id: int, platform: Platform, event: str = "") -> str:
    """Query of the page that plans a backfill: the last days, within the age that the platform takes."""
    age = min(platform.max_age or timedelta(days=BACKFILL_DAYS), timedelta(days=BACKFILL_DAYS))
    since = timezone.now() - age + timedelta(minutes=5)  # or the first ones are too old by the time they are sent
    values = {"kind": ReplayKind.MISSED.value, "destination": destination_id, "since": since.strftime(TIME)}
    return urlencode(values | ({"event": event} if event else {}))
