"""What comes in and goes out just now: the newest events with what became of them, in one bounded read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection

from destinations import masking
from destinations.models import DESTINATION_BITS, Destination, State
from events.models import POSITION_BITS, Source

LOOK_BACK = 2_000
"""Newest events that a filter is looked for among."""
MOST = 40


class Lane(NamedTuple):
    destination: str
    state: str


class Line(NamedTuple):
    key: int
    name: str
    event_id: str
    source: str
    received_at: datetime
    person: str
    """The e-mail address, masked; empty when the event has none."""
    lanes: list[Lane]
    skipped: int
    is_routed: bool


# Deliveries of an event are a range of keys; the lateral join reads forty such ranges.
SQL = f"""
SELECT e.id, e.name, e.event_id, e.source_id, e.received_at, e.payload->>'email',
    ARRAY(SELECT w.destination_id * 10 + w.state FROM destinations_delivery w
          WHERE w.id >= e.id << {DESTINATION_BITS} AND w.id < (e.id + 1) << {DESTINATION_BITS} ORDER BY w.id),
    (SELECT b.routed_at IS NOT NULL FROM events_ingestbatch b WHERE b.id = e.id >> {POSITION_BITS})
FROM (SELECT * FROM events_event ORDER BY id DESC LIMIT {LOOK_BACK}) e
WHERE (%(event)s = '' OR e.name = %(event)s) AND (%(source)s::bigint IS NULL OR e.source_id = %(source)s)
    AND (%(destination)s::bigint IS NULL OR EXISTS (
        SELECT 1 FROM destinations_delivery w WHERE w.id = (e.id << {DESTINATION_BITS} | %(destination)s)
            AND (%(state)s::int IS NULL OR w.state = %(state)s)))
    AND (%(state)s::int IS NULL OR EXISTS (
        SELECT 1 FROM destinations_delivery w WHERE w.id >= e.id << {DESTINATION_BITS}
            AND w.id < (e.id + 1) << {DESTINATION_BITS} AND w.state = %(state)s))
ORDER BY e.id DESC LIMIT {MOST}
"""


def lines(filters: Mapping[str, Any]) -> list[Line]:
    """The newest first. filters: cleaned data of `forms.LiveFilter`."""
    source, destination = filters.get("source"), filters.get("destination")
    values = {
        "event": filters.get("event") or "",
        "source": source.pk if source else None,
        "destination": destination.pk if destination else None,
        "state": filters.get("state"),
    }
    columns = {row.pk: row for row in Destination.objects.defer("settings", "secrets")}
    sent = {pk: row.name for pk, row in columns.items() if not row.platform.is_builtin}
    sources = dict(Source.objects.values_list("pk", "name"))
    with connection.cursor() as cursor:
        cursor.execute(SQL, values)
        return [_line(row, sent, sources) for row in cursor.fetchall()]


def _line(row: Any, sent: Mapping[int, str], sources: Mapping[int, str]) -> Line:
    key, name, event_id, source_id, received_at, email, packed, is_routed = row
    of = {number // 10: State(number % 10).name.lower() for number in packed}
    lanes = [Lane(sent[pk], state) for pk, state in of.items() if pk in sent and state != "skipped"]
    return Line(
        key, name, event_id, sources.get(source_id, ""), received_at, masking.email(email) if email else "", lanes,
        len(sent) - len(lanes) if is_routed else 0, bool(is_routed),
    )  # fmt: skip
