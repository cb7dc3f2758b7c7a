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
from django.db import DatabaseError, DataError, IntegrityError, connection, transaction

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
        state = snapshot.current()
        parsed = contract.parse_body(raw, now_ms=now_ms, names=state.events, retired=state.retired)
        accepted, rejected = parsed.accepted, parsed.rejected
        if sender.is_browser:
            accepted = [_with_browser(event, sender) for event in accepted]
        for attempt in range(RACE_TRIES):
            try:
                fresh = _store(accepted, rejected, sender, received_at)
                break
            except IntegrityError:
                # Another request stored one of these ids between our look-up and our COPY: look again.
                if attempt == RACE_TRIES - 1:
                    raise
            except DataError:
                # The contract promises storable JSON; should PostgreSQL disagree, find the events it means.
                accepted, refused = _sort_out(accepted)
                if not refused:
                    raise
                rejected = [*rejected, *refused]
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


def _store(
    accepted: Sequence[Accepted],
    rejected: Sequence[Rejected],
    sender: Sender,
    received_at: datetime,
) -> list[Accepted]:
    """Write one batch in one transaction; returns the events that were new."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT nextval('events_ingestbatch_id_seq'),"
            " ARRAY(SELECT event_id FROM events_event WHERE event_id = ANY(%s) AND source_id = %s)",
            [[event.event_id for event in accepted], sender.source_id],
        )
        batch_id, known = cursor.fetchone()
        seen = set(known)
        fresh: list[Accepted] = []
        for event in accepted:
            if event.event_id not in seen:
                seen.add(event.event_id)
                fresh.append(event)
        cursor.execute(
            "INSERT INTO events_ingestbatch (id, source_id, received_at, client_ip, user_agent, sdk, trace_id,"
            " accepted, duplicates, rejected, routed_at, skips) VALUES (%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,%s,'{}')",
            [
                batch_id,
                sender.source_id,
                received_at,
                sender.client_ip,
                sender.user_agent,
                sender.sdk,
                sender.trace_id,
                len(fresh),
                len(accepted) - len(fresh),
                len(rejected),
                None if fresh else received_at,
            ],
        )
        if fresh:
            _copy(
                cursor,
                "COPY events_event (id, source_id, event_id, name, occurred_at, received_at, payload) FROM STDIN",
                [
                    (
                        event_pk(batch_id, position),
                        sender.source_id,
                        event.event_id,
                        event.name,
                        _time(event.occurred_ms),
                        received_at,
                        event.payload_json.decode(),
                    )
                    for position, event in enumerate(fresh)
                ],
            )
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
    return fresh


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
