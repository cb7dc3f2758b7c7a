"""The one write path: bytes of a request → committed batch, or an error that says why.

`accept_batch` answers only after COMMIT, so a 202 is on disk. How the rows get there is in `events.storing`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
import psycopg
from django.db import DatabaseError

from events import contract
from events.contract import Accepted, Rejected
from events.storing import Batch, store
from routing import snapshot
from routing.snapshot import Snapshot
from trackstack_site.nudge import nudge

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
        batch = Batch(
            source_id=sender.source_id,
            received_at=received_at,
            client_ip=sender.client_ip,
            user_agent=sender.user_agent,
            sdk=sender.sdk,
            trace_id=sender.trace_id,
            accepted=accepted,
            rejected=rejected,
        )
        store(batch)
        if batch.version != state.version:
            # The rules changed since this process last looked. What is stored does not depend on them; the answer does.
            state = snapshot.current(batch.version)
            parsed = contract.parse_body(raw, now_ms=now_ms, names=state.events, retired=state.retired)
    except (DatabaseError, psycopg.Error) as error:
        raise NotStored(type(error).__name__) from error
    fresh = batch.fresh
    if fresh:
        nudge(ROUTE_TASK)
    return Receipt(
        received=len(parsed.accepted) + len(parsed.rejected),
        accepted=len(fresh),
        duplicates=len(batch.accepted) - len(fresh),
        rejected=batch.rejected,
        warnings=parsed.warnings,
        planned=_plan(state, fresh, sender.source_id, now_ms),
    )


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
    return msgspec.structs.replace(event, payload_json=msgspec.json.encode(payload))


def _plan(state: Snapshot, fresh: Sequence[Accepted], source_id: int, now_ms: int) -> dict[str, int]:
    """Platform key → deliveries that routing would make of the events now."""
    planned: Counter[str] = Counter()
    alike: Counter[tuple[str, bool | None, bool | None]] = Counter()
    for event in fresh:
        consent = event.consent
        if now_ms - event.occurred_ms <= state.shortest_age_ms:
            alike[event.name, consent.get("marketing"), consent.get("analytics")] += 1
            continue
        for rule, decision in state.fan_out(source_id, event.name, consent, event.occurred_ms, now_ms):
            if decision.send:
                planned[rule.platform] += 1
    for (name, marketing, analytics), count in alike.items():
        for platform in state.planned(source_id, name, marketing, analytics):
            planned[platform] += count
    return dict(planned)
