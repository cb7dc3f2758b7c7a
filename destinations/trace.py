"""What became of one event: every destination with its state, the reason in words and the requests that carried it.

`manage.py trace` and the Trace screen share this; both see only what is masked already.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from destinations import reasons
from destinations.models import DESTINATION_BITS, Attempt, Delivery, Destination, Hold, State, delivery_pk
from events.models import Event, IngestBatch, RejectedEvent, Source
from trackstack_site.wording import followed

MAX_MATCHES = 20
"""Sources that may have sent the same id, and rejections of it, that are shown."""
MAX_ATTEMPTS = 50
"""Requests shown of one delivery, newest kept."""

BREAKER_OPEN = "not_answering"
"""Reason of a row that is held because the destination's breaker is open."""

STATE_NAMES = {
    State.WAITING: "waiting",
    State.DELIVERED: "delivered",
    State.SKIPPED: "skipped",
    State.DEAD: "dead",
}

WORDS = {
    "waiting": gettext_lazy("Waiting"),
    "held": gettext_lazy("Held"),
    "delivered": gettext_lazy("Delivered"),
    "skipped": gettext_lazy("Skipped"),
    "dead": gettext_lazy("Dead"),
    "unrouted": gettext_lazy("Unrouted"),
    "rejected": gettext_lazy("Rejected"),
    "not asked": gettext_lazy("Not asked"),
    "forgotten": gettext_lazy("Forgotten"),
}
"""The states as pages call them."""


def trace(event_id: str, source: str | None = None) -> list[dict[str, Any]]:
    """Every event with that id, newest first; when none was accepted, the rejected ones. Empty: never seen.

    source: only that source's, by name.
    """
    with _one_view():
        return _trace(event_id, source)


def trace_of(events: list[Event]) -> list[dict[str, Any]]:
    """What became of these events, in the order given, as `trace` tells it."""
    with _one_view():
        return _accepted(events, dict(Source.objects.values_list("pk", "name")))


@contextmanager
def _one_view() -> Iterator[None]:
    """One view of everything: an event that is being routed must not be shown half before and half after."""
    with transaction.atomic():
        if not connection.savepoint_ids:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        yield


def _trace(event_id: str, source: str | None) -> list[dict[str, Any]]:
    names = dict(Source.objects.values_list("pk", "name"))
    wanted: dict[str, Any] = {"event_id": event_id.replace("\x00", "")}
    if source is not None:
        wanted["source__in"] = [pk for pk, name in names.items() if name == source]
    events = list(Event.objects.filter(**wanted).order_by("-id")[:MAX_MATCHES])
    if events:
        return _accepted(events, names)
    return [_rejected(row, names) for row in RejectedEvent.objects.filter(**wanted).order_by("-id")[:MAX_MATCHES]]


def document(event_id: str, source: str | None = None) -> dict[str, Any]:
    """What `manage.py trace --json` prints: always the same shape, the first event's fields repeated at the top."""
    return as_document(trace(event_id, source), event_id)


def as_document(events: list[dict[str, Any]], event_id: str = "") -> dict[str, Any]:
    """event_id: what was asked for, told when nothing was found."""
    first = events[0] if events else {"destinations": []}
    return {"event_id": event_id, "found": bool(events)} | first | {"events": events}


def _accepted(events: list[Event], sources: Mapping[int, str]) -> list[dict[str, Any]]:
    batches = IngestBatch.objects.in_bulk({event.batch_id for event in events})
    destinations = Destination.objects.defer("settings", "secrets").in_bulk()
    deliveries = {event.pk: _deliveries(event) for event in events}
    wanted = {pk for rows in deliveries.values() for row in rows for pk in row.attempts[-MAX_ATTEMPTS:]}
    attempts = Attempt.objects.defer("delivery_ids", "request_body", "response_body").in_bulk(wanted)
    return [
        {
            "event_id": event.event_id,
            "event": event.name,
            "source": sources.get(event.source_id, ""),
            "id": event.pk,
            "state": "accepted",
            "received_at": _iso(event.received_at),
            "occurred_at": _iso(event.occurred_at),
            "batch": _batch(batches.get(event.batch_id)),
            "destinations": lanes(event, batches.get(event.batch_id), deliveries[event.pk], destinations, attempts),
        }
        for event in events
    ]


def _deliveries(event: Event) -> list[Delivery]:
    """The deliveries of an event are a range of the primary key."""
    return list(
        Delivery.objects.filter(pk__gte=delivery_pk(event.pk, 0), pk__lt=delivery_pk(event.pk + 1, 0)).order_by("pk")
    )


def _batch(batch: IngestBatch | None) -> dict[str, Any] | None:
    if batch is None:
        return None
    return {
        "id": batch.pk,
        "trace_id": batch.trace_id,
        "routed_at": _iso(batch.routed_at),
        "routing_version": batch.routing_version,
    }


def lanes(
    event: Event,
    batch: IngestBatch | None,
    deliveries: Iterable[Delivery],
    destinations: Mapping[int, Destination],
    attempts: Mapping[int, Attempt],
) -> list[dict[str, Any]]:
    """One entry per destination in column order. A destination added after the routing has none: it was not asked."""
    found: dict[int, dict[str, Any]] = {}
    for row in deliveries:
        destination_id = row.pk & ((1 << DESTINATION_BITS) - 1)
        tried = [attempts[pk] for pk in row.attempts if pk in attempts]
        found[destination_id] = _delivery(event, row, destination_id, destinations.get(destination_id), tried)
    for key, by_reason in (batch.skips if batch else {}).items():
        for reason, positions in by_reason.items():
            if event.position in positions:
                found.setdefault(int(key), _skip(event, int(key), reason, destinations.get(int(key)), batch))
    if batch is not None and batch.routed_at is None:
        for pk, destination in destinations.items():
            sentence = _("The event is stored and waits to be routed.")
            found.setdefault(pk, _lane(pk, destination, state="unrouted", sentence=sentence))
    return [found[pk] for pk in sorted(found)]


def _lane(pk: int, destination: Destination | None, **values: Any) -> dict[str, Any]:
    lane: dict[str, Any] = {
        "destination": name_of(pk, destination),
        "destination_id": pk,
        "delivery_id": None,
        "platform": destination.platform_key if destination else None,
        "state": "",
        "reason": "",
        "sentence": "",
        "tries": 0,
        "next_try_at": None,
        "settled_at": None,
        "attempts": [],
    }
    return lane | values


def _skip(
    event: Event, pk: int, reason: str, destination: Destination | None, batch: IngestBatch | None
) -> dict[str, Any]:
    return _lane(
        pk,
        destination,
        state="skipped",
        reason=reason,
        sentence=explain(reason, event.name, pk, destination),
        settled_at=_iso(batch.routed_at) if batch else None,
    )


def _delivery(
    event: Event, row: Delivery, pk: int, destination: Destination | None, attempts: list[Attempt]
) -> dict[str, Any]:
    state = state_of(row, destination)
    return _lane(
        pk,
        destination,
        delivery_id=row.pk,
        state=state,
        reason=(destination.hold or BREAKER_OPEN) if state == "held" and destination else row.reason,
        sentence=sentence_of(row, event.name, destination),
        tries=row.tries,
        next_try_at=_iso(row.due_at) if state == "waiting" and not is_under_way(row) else None,
        settled_at=_iso(row.settled_at),
        attempts=[
            {
                "id": attempt.pk,
                "at": _iso(attempt.started_at),
                "status": attempt.status,
                "latency_ms": attempt.latency_ms,
                "outcome": attempt.outcome,
                "detail": attempt.detail,
            }
            for attempt in attempts
        ],
    )


def state_of(row: Delivery, destination: Destination | None) -> str:
    """The state as a person reads it: what waits behind a hold is held."""
    if destination is not None and destination.is_enabled and row.state == State.WAITING:
        is_stopped = destination.breaker_since is not None and not is_under_way(row)
        return "held" if destination.hold or is_stopped else "waiting"
    return STATE_NAMES[State(row.state)]


def is_under_way(row: Delivery) -> bool:
    """A worker has claimed it and not recorded the request yet: `due_at` is the end of its lease, not a next try."""
    return (
        row.state == State.WAITING
        and row.tries > len(row.attempts)
        and row.due_at is not None
        and row.due_at > timezone.now()
    )


def sentence_of(row: Delivery, event: str, destination: Destination | None) -> str:
    """Why a delivery is as it is, in plain words."""
    names = {"destination": name_of(row.destination_id, destination)}
    state = state_of(row, destination)
    detail = _ended(row.detail) if row.detail else ""
    if state == "held" and destination is not None and not destination.hold:
        return _unanswered(destination, names)
    if state == "held" and destination is not None:
        why = _ended(destination.hold_detail or str(Hold(destination.hold).label))
        return _("%(destination)s is held, the event waits: %(why)s") % {**names, "why": why}
    if state == "waiting":
        if destination is not None and not destination.is_enabled:
            return _("%(destination)s is switched off: the event is skipped when its turn comes.") % names
        if is_under_way(row):
            return _("Being sent now (try %(number)d).") % {"number": row.tries}
        if row.tries:
            return followed(_("Waits for try %(number)d.") % {"number": row.tries + 1}, detail)
        return followed(_("Waits for its first try."), detail)
    if state == "delivered":
        if destination is not None and destination.platform.is_builtin:
            return _("Stored: the event table is this destination.")
        return _("%(destination)s took it.") % names
    return followed(explain(row.reason, event, row.destination_id, destination), detail)


def _unanswered(destination: Destination, names: Mapping[str, str]) -> str:
    said = _("%(destination)s is not answering: the event waits its turn and loses no try.") % names
    probe = destination.backoff_until
    if probe and probe > timezone.now():
        at = f"{probe:%Y-%m-%d %H:%M:%S} UTC"
        said = followed(said, _("It is probed again at %(at)s.") % {"at": at})
    return followed(said, _ended(destination.breaker_detail) if destination.breaker_detail else "")


def explain(reason: str, event: str, pk: int, destination: Destination | None) -> str:
    name = name_of(pk, destination)
    label = destination.platform.label if destination else name
    return _ended(reasons.explain(reason, event=event, destination=name, platform=label))


def name_of(pk: int, destination: Destination | None) -> str:
    return destination.name if destination else _("Deleted destination %(number)d") % {"number": pk}


def _rejected(row: RejectedEvent, sources: Mapping[int, str]) -> dict[str, Any]:
    return {
        "event_id": row.event_id,
        "event": row.event_name,
        "source": sources.get(row.source_id, ""),
        "state": "rejected",
        "reason": row.code,
        "sentence": row.sentence,
        "field": row.field,
        "rejected_id": row.pk,
        "received_at": _iso(row.received_at),
        "occurred_at": None,
        "resubmitted_at": _iso(row.resubmitted_at),
        "batch": {"id": row.batch_id, "trace_id": row.trace_id, "routed_at": None, "routing_version": None},
        "destinations": [],
    }


def _iso(at: datetime | None) -> str | None:
    return at.isoformat().replace("+00:00", "Z") if at else None


def _ended(text: str) -> str:
    """With a full stop, so that sentences can follow each other."""
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."
