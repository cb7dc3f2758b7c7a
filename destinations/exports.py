"""Lists as rows of a CSV file: page after page by key, so that a file of millions costs no more memory than a page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from destinations import queries, reasons, received, replays
from destinations import trace as tracing
from destinations.alert_models import AlertIncident, AlertNotice
from destinations.health import Row
from destinations.models import Delivery, Destination, Replay
from events.models import Source

ROWS_PER_READ = 1000
DELIVERIES = (
    "received_at", "event", "event_id", "source", "destination", "state", "reason", "why", "tries", "settled_at",
)  # fmt: skip
ATTEMPTS = ("started_at", "destination", "method", "url", "status", "latency_ms", "outcome", "detail", "deliveries")
REPLAYS = (
    "started_at", "started_by", "destination", "what", "state", "handed_over", "expected", "left_out", "finished_at",
)  # fmt: skip
DESTINATIONS = (
    "destination", "platform", "on", "state", "why", "sandbox", "events", "received", "delivered", "waiting", "skipped",
    "dead",
)  # fmt: skip
ALERTS = ("kind", "what", "sentence", "channel", "state", "from", "until")
HEALTH = (
    "destination", "platform", "on", "state", "why", "success_1h", "success_24h", "p50_ms", "p95_ms", "lag_s",
    "oldest_waiting_since", "waiting", "held", "ends",
)  # fmt: skip
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


def replay_rows() -> Iterator[tuple[Any, ...]]:
    """Every replay, newest first; on the screen the newest page of them."""
    for row in Replay.objects.select_related("destination", "source").iterator(ROWS_PER_READ):
        found = replays.progress(row)
        left = [f"{count} {label}" for label, count in found.left]
        yield (
            row.created_at, row.started_by, row.destination.name, found.sentence, row.state, row.moved, row.expected,
            left, row.finished_at,
        )  # fmt: skip


def destinations(rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Any, ...]]:
    """rows: as the screen has them. Settings and secrets are not among it."""
    for row in rows:
        one, status, counts = row["destination"], row["status"], row["counts"]
        yield (
            one.name, row["platform"].label, one.is_enabled, status.label, status.why, one.is_sandbox, one.event_mode,
            counts.received, counts.delivered, counts.waiting, counts.skipped, counts.dead,
        )  # fmt: skip


def alerts() -> Iterator[tuple[Any, ...]]:
    """Troubles, then messages, the newest of each first."""
    for incident in AlertIncident.objects.select_related("rule").iterator(ROWS_PER_READ):
        state = "over" if incident.closed_at else "now"
        yield "trouble", incident.rule, incident.sentence, "", state, incident.opened_at, incident.closed_at
    for notice in AlertNotice.objects.select_related("channel").iterator(ROWS_PER_READ):
        yield "message", notice.subject, notice.detail, notice.channel.name, notice.state, notice.created_at, None


def health(rows: Iterable[Row]) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        one = row.destination
        if one.platform.is_builtin:
            continue
        yield (
            one.name, one.platform.label, one.is_enabled, row.status.label, row.status.why, _share(row.hour.share),
            _share(row.day.share), _rounded(row.hour.p50), _rounded(row.hour.p95), _rounded(row.lag),
            row.standing.oldest_at, row.waiting, row.held, [f"{end.what}: {end.at:%Y-%m-%d}" for end in row.ends],
        )  # fmt: skip


def _share(share: float | None) -> str:
    return "" if share is None else f"{share:.4f}"


def _rounded(number: float | None) -> str:
    return "" if number is None else f"{number:.0f}"
