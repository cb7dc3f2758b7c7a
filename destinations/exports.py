"""Lists as rows of a CSV file: page after page by key, so that a file of millions costs no more memory than a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from destinations import queries, reasons, received
from destinations import trace as tracing
from destinations.models import Delivery, Destination
from events.models import Source

ROWS_PER_READ = 1000
DELIVERIES = (
    "received_at", "event", "event_id", "source", "destination", "state", "reason", "why", "tries", "settled_at",
)  # fmt: skip
ATTEMPTS = ("started_at", "destination", "method", "url", "status", "latency_ms", "outcome", "detail", "deliveries")
DEAD = ("destination", "reason", "label", "detail", "deliveries", "first_at", "last_at")


def deliveries(filters: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """What the Deliveries screen shows with that filter, newest first, all pages of it."""
    destinations = Destination.objects.defer("settings", "secrets").in_bulk()
    sources = dict(Source.objects.values_list("pk", "name"))
    for page in _pages(filters):
        for row in page:
            destination = destinations.get(row.destination_id)
            yield (
                row.event.received_at.isoformat(),
                row.event.name,
                row.event.event_id,
                sources.get(row.event.source_id, ""),
                tracing.name_of(row.destination_id, destination),
                tracing.state_of(row, destination),
                row.reason,
                tracing.sentence_of(row, row.event.name, destination),
                str(row.tries),
                row.settled_at.isoformat() if row.settled_at else "",
            )


def _pages(filters: Mapping[str, Any]) -> Iterator[list[Delivery]]:
    if received.is_asked(filters):
        yield from (found for found, *_ in received.steps(filters, None, ROWS_PER_READ))
        return
    rows = queries.filtered(Delivery.objects.select_related("event").order_by("-pk"), filters)
    before = None
    while page := list((rows if before is None else rows.filter(pk__lt=before))[:ROWS_PER_READ]):
        before = page[-1].pk
        yield page


def attempts(filters: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Requests made, newest first; what they said is masked already."""
    names = dict(Destination.objects.values_list("pk", "name"))
    before = None
    while page := list(queries.attempts(filters, before)[:ROWS_PER_READ]):
        before = page[-1].pk
        for row in page:
            yield (
                row.started_at.isoformat(),
                names.get(row.destination_id) or tracing.name_of(row.destination_id, None),
                row.method,
                row.url,
                "" if row.status is None else str(row.status),
                str(row.latency_ms),
                row.outcome,
                row.detail,
                str(len(row.delivery_ids)),
            )


def dead() -> Iterator[tuple[str, ...]]:
    """Dead letters by cause, as on their screen."""
    names = dict(Destination.objects.values_list("pk", "name"))
    for group in queries.dead_groups():
        yield (
            names.get(group.destination_id) or tracing.name_of(group.destination_id, None),
            group.reason,
            reasons.label(group.reason),
            group.detail,
            str(group.count),
            group.first_at.isoformat(),
            group.last_at.isoformat(),
        )
