"""The one write path: bytes of a request → committed batch, or an error that says why.

`accept_batch` answers only after COMMIT, so a 202 is on disk. The rows of a request go in with one COPY; duplicates are
found by one look-up before it, and the unique index has the last word when two requests race.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from django.db import DatabaseError, DataError, IntegrityError, OperationalError, connection, transaction
from psycopg.errors import DeadlockDetected

from events import contract
from events.contract import Accepted, Rejected
from events.models import event_pk
from routing import snapshot
from routing.snapshot import Snapshot
from trackstack_site.nudge import nudge

RACE_TRIES = 4
ROUTE_TASK = "routing.route_batches"


class Sender(msgspec.Struct, frozen=True, kw_only=True):
    """Who sent a request, as the batch remembers it."""

    source_id: int
    trace_id: str
    client_ip: str | None = None
    user_agent: str = ""
    sdk: str = ""
    is_browser: bool = False
    """Sent by a page (it carried an Origin): then address and user agent are the person's, else the server's."""


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a request."""

    received: int
    accepted: int
    duplicates: int
    rejected: list[Rejected]
    warnings: list[contract.Warning_]
    planned: dict[str, int]
    """Platform key → deliveries that the routing of this moment would make."""


class NotStored(Exception):
    """The database could not take the batch; nothing of it was kept and the sender should try again."""


def accept_batch(raw: bytes, sender: Sender) -> Receipt:
    """Parse, deduplicate and commit one request body. Sending the same events again stores nothing twice.

    Raises contract.ContractError for a body that is no batch of events, NotStored when the database is away.
    """
    received_at = datetime.now(UTC)
    now_ms = int(received_at.timestamp() * 1000)
    try:
        state = snapshot.held()
        parsed = contract.parse_body(raw, now_ms=now_ms, names=state.events, retired=state.retired)
        accepted, rejected = parsed.accepted, parsed.rejected
        if sender.is_browser:
            accepted = [_with_browser(event, sender) for event in accepted]
        for attempt in range(RACE_TRIES):
            try:
                fresh, version = _store(accepted, rejected, sender, received_at)
                break
            except (IntegrityError, OperationalError) as error:
                # Another request stored one of these ids between our look-up and our COPY, or waits for one of ours as
                # we wait for one of its: look again.
                is_race = isinstance(error, IntegrityError) or isinstance(error.__cause__, DeadlockDetected)
                if not is_race or attempt == RACE_TRIES - 1:
                    raise
            except DataError:
                # The contract promises storable JSON; should PostgreSQL disagree, find the events it means.
                accepted, refused = _sort_out(accepted)
                if not refused:
                    raise
                rejected = [*rejected, *refused]
        if version != state.version:
            # The rules changed since this process last looked. What is stored does not depend on them; the answer does.
            state = snapshot.current(version)
            parsed = contract.parse_body(raw, now_ms=now_ms, names=state.events, retired=state.retired)
    except DatabaseError as error:
        raise NotStored(type(error).__name__) from error
    if fresh:
        nudge(ROUTE_TASK)
    return Receipt(
        received=len(parsed.accepted) + len(parsed.rejected),
        accepted=len(fresh),
        duplicates=len(accepted) - len(fresh),
        rejected=rejected,
        warnings=parsed.warnings,
        planned=_plan(state, fresh, sender.source_id, now_ms),
    )


# One statement finds the duplicates, writes the batch and reads the routing version: each round trip counts. The ids
# travel as one JSON text, which costs the driver a tenth of an array.
BATCH_SQL = f"""
WITH known AS MATERIALIZED (
    SELECT event_id FROM events_event WHERE event_id = ANY(ARRAY(SELECT jsonb_array_elements_text(%(ids)s::jsonb)))
        AND source_id = %(source_id)s
), fresh AS (
    SELECT %(distinct)s - count(*) AS count FROM known
), batch AS (
    INSERT INTO events_ingestbatch (source_id, received_at, client_ip, user_agent, sdk, trace_id,
        accepted, duplicates, rejected, routed_at, skips)
    SELECT %(source_id)s, %(received_at)s, %(client_ip)s, %(user_agent)s, %(sdk)s, %(trace_id)s,
        count, %(total)s - count, %(rejected)s, CASE WHEN count = 0 THEN %(received_at)s END, '{{}}' FROM fresh
    RETURNING id
)
SELECT (SELECT id FROM batch), ARRAY(SELECT event_id FROM known), ({snapshot.VERSION_SQL})
"""


def _store(
    accepted: Sequence[Accepted], rejected: Sequence[Rejected], sender: Sender, received_at: datetime
) -> tuple[list[Accepted], int]:
    """Write one batch in one transaction; returns the events that were new, and the routing version of that moment."""
    first: dict[str, Accepted] = {}
    for event in accepted:
        first.setdefault(event.event_id, event)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            BATCH_SQL,
            {
                "ids": msgspec.json.encode(list(first)).decode(),
                "distinct": len(first),
                "total": len(accepted),
                "rejected": len(rejected),
                "source_id": sender.source_id,
                "received_at": received_at,
                "client_ip": sender.client_ip,
                "user_agent": sender.user_agent,
                "sdk": sender.sdk,
                "trace_id": sender.trace_id,
            },
        )
        batch_id, known, version = cursor.fetchone()
        for event_id in known:
            del first[event_id]
        fresh = list(first.values())
        if fresh:
            _copy_events(cursor, batch_id, sender.source_id, received_at, fresh)
        if rejected:
            _copy(
                cursor,
                "COPY events_rejectedevent (source_id, batch_id, received_at, trace_id, index, event_name, event_id,"
                " field, code, sentence, payload) FROM STDIN",
                [
                    (
                        sender.source_id,
                        batch_id,
                        received_at,
                        sender.trace_id,
                        event.index,
                        event.event_name[:128],
                        event.event_id[:128],
                        event.field[:64],
                        event.code,
                        event.sentence[:400],
                        event.raw.replace("\x00", ""),
                    )
                    for event in rejected
                ],
            )
    return fresh, version


# What COPY's text format needs escaped; a payload is JSON, where only the backslash can occur.
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def _copy_events(cursor: Any, batch_id: int, source_id: int, received_at: datetime, fresh: Sequence[Accepted]) -> None:
    """The events as one block of COPY text. Writing it row by row through the driver costs three times as much."""
    received = received_at.isoformat()
    lines: list[bytes] = []
    # Written in the order of the ids, so that requests with the same ids wait for one another in one direction only.
    for position, event in sorted(enumerate(fresh), key=lambda numbered: numbered[1].event_id):
        occurred = _time(event.occurred_ms).isoformat()
        event_id = event.event_id.translate(_ESCAPES)
        head = f"{event_pk(batch_id, position)}\t{source_id}\t{event_id}\t{event.name}\t{occurred}\t{received}\t"
        lines += (head.encode(), event.payload_json.replace(b"\\", b"\\\\"), b"\n")
    with (
        connection.wrap_database_errors,
        cursor.copy(
            "COPY events_event (id, source_id, event_id, name, occurred_at, received_at, payload) FROM STDIN"
        ) as copy,
    ):
        copy.write(b"".join(lines))


def _copy(cursor: Any, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    with connection.wrap_database_errors, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _time(ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=ms)


def _with_browser(event: Accepted, sender: Sender) -> Accepted:
    """Fill the person's address and user agent from the request that their own browser made."""
    payload = event.payload
    if payload.client_ip and payload.user_agent:
        return event
    payload = msgspec.structs.replace(
        payload,
        client_ip=payload.client_ip or sender.client_ip,
        user_agent=payload.user_agent or sender.user_agent or None,
    )
    return msgspec.structs.replace(event, payload=payload, payload_json=msgspec.json.encode(payload))


def _sort_out(accepted: Sequence[Accepted]) -> tuple[list[Accepted], list[Rejected]]:
    """Ask PostgreSQL about each payload apart."""
    good: list[Accepted] = []
    bad: list[Rejected] = []
    for event in accepted:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT %s::jsonb", [event.payload_json.decode()])
            good.append(event)
        except DataError:
            bad.append(
                Rejected(
                    index=event.index,
                    field="event",
                    code="not_storable",
                    sentence="event: holds a value that PostgreSQL cannot store as JSON",
                    event_name=event.name,
                    event_id=event.event_id,
                    raw=event.payload_json.decode(),
                )
            )
    return good, bad


def _plan(state: Snapshot, fresh: Sequence[Accepted], source_id: int, now_ms: int) -> dict[str, int]:
    planned: Counter[str] = Counter()
    for event in fresh:
        for rule, decision in state.fan_out(source_id, event.name, event.payload.consent, event.occurred_ms, now_ms):
            if decision.send:
                planned[rule.platform] += 1
    return dict(planned)
