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
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from destinations import ledger, waiting
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
from destinations.replay_plan import Found, Plan, ReplayError, check, label, look, sentence
from events.models import POSITION_BITS, POSITION_MASK, event_pk
from routing import snapshot, toggles
from trackstack_site.nudge import nudge
from trackstack_site.wording import in_english

REPLAY_TASK = "destinations.replay"
RATES = (10, 50, 200, 1000)
"""Deliveries a second that the screen offers."""
RUN_SECONDS = 1.5
BURST_SECONDS = 5
"""What a rate may make good of after a wait."""
BEHIND_SECONDS = 5
"""Live traffic is behind when a due row has waited this long."""
MOST_CHOSEN = 1000
"""Deliveries that can be picked one by one."""


# --- Starting and steering ----------------------------------------------------------------------------------
def start(plan: Plan, *, rate: int, user: Any, expected: int = 0) -> Replay:
    """Begin; the first rows move within seconds. Raises ReplayError. Audited."""
    check(plan)
    if not 1 <= rate <= RATES[-1]:
        raise ReplayError(_("The rate must be between 1 and %(most)d a second.") % {"most": RATES[-1]})
    if len(plan.only) > MOST_CHOSEN:
        raise ReplayError(_("Choose at most %(most)d deliveries, or use a filter.") % {"most": MOST_CHOSEN})
    low, high = plan.key_range()
    who = user.get_username() if user is not None else "system"
    with transaction.atomic():
        replay: Replay = Replay.objects.create(
            kind=plan.kind, destination=plan.destination, event=plan.event, source=plan.source, reason=plan.reason,
            detail=plan.detail, only=list(plan.only), since=plan.since, until=plan.until, lowest=low, highest=high,
            cursor=low, rate=rate, expected=expected, started_by=who,
        )  # fmt: skip
        with in_english():
            said = sentence(plan, rate)
        toggles.record_destination_change(plan.destination, "replay", [said], user=user)
    nudge(REPLAY_TASK)
    return replay


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
    found, beyond = look(plan, snapshot.current(), replay.cursor, replay.highest, lock=True)
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
            [key, [batch for batch, _kept in changed], [kept for _batch, kept in changed]],
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
