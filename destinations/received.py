"""What a destination received, whatever became of it: deliveries, and beside them what routing skipped.

A routing skip is no row: its batch keeps it as `IngestBatch.skips`. Its key here is the one its delivery would have,
so both kinds stand in one order and are paged by one key. The events are walked backwards by their primary key, some
at a time; of each, deliveries and skips are found by key. A page therefore costs at most MOST_EVENTS look-ups however
many deliveries there are, and ends early, with the way on, when it found too little in PAGE_SECONDS.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import connection

from destinations.models import DESTINATION_BITS, MAX_DESTINATION_ID, Delivery, State, delivery_pk
from destinations.queries import (
    CLOCK_SLACK,
    EARLIEST,
    LATEST,
    PAGE_SIZE,
    RECEIVED,
    Page,
    TooSlowError,
    bounded,
    first_batch,
)
from events.models import POSITION_BITS, POSITION_MASK, Event, event_pk

EVENTS_PER_STEP = 2_000
MOST_EVENTS = 100_000
"""Events that are looked at for one page."""
PAGE_SECONDS = 2.0

# A subquery and no NOT EXISTS, which a plan may turn into a join with all deliveries.
# The batch is read for an event that the filters leave, and of its skips only the destination that is asked for.
ROWS_SQL = f"""
SELECT owed.key, owed.reason, owed.is_skip, b.routed_at
FROM (SELECT id, name, source_id, received_at FROM events_event
    WHERE id >= %(low)s AND id < %(high)s ORDER BY id DESC LIMIT %(limit)s) e
JOIN events_ingestbatch b ON b.id = e.id >> {POSITION_BITS}
CROSS JOIN LATERAL (
    SELECT w.id AS key, w.state, w.reason, w.detail, false AS is_skip FROM destinations_delivery w
    WHERE w.id >= (e.id << {DESTINATION_BITS} | %(first)s) AND w.id <= (e.id << {DESTINATION_BITS} | %(last)s)
    UNION ALL
    SELECT (e.id << {DESTINATION_BITS} | d.key::int), {State.SKIPPED.value}, r.key, '', true
    FROM jsonb_each(CASE WHEN %(destination)s::text IS NULL THEN b.skips
        ELSE jsonb_build_object(%(destination)s::text, coalesce(b.skips -> %(destination)s::text, '{{}}')) END) d
    CROSS JOIN LATERAL jsonb_each(d.value) r
    WHERE r.value @> to_jsonb((e.id & {POSITION_MASK})::int) AND (  -- else a backfill made a delivery of it
        SELECT w.id FROM destinations_delivery w WHERE w.id = (e.id << {DESTINATION_BITS} | d.key::int)) IS NULL
) owed
WHERE (%(event)s = '' OR e.name = %(event)s) AND (%(source)s::bigint IS NULL OR e.source_id = %(source)s)
    AND (%(since)s::timestamptz IS NULL OR e.received_at >= %(since)s)
    AND (%(until)s::timestamptz IS NULL OR e.received_at < %(until)s)
    AND (%(state)s = {RECEIVED} OR owed.state = %(state)s)
    AND (%(reason)s = '' OR owed.reason = %(reason)s) AND (%(detail)s = '' OR owed.detail = %(detail)s)
    AND (%(before)s::bigint IS NULL OR owed.key < %(before)s)
ORDER BY owed.key DESC LIMIT %(rows)s
"""
LOWEST_SQL = """
SELECT min(id), min(received_at), count(*) FROM (
    SELECT id, received_at FROM events_event WHERE id >= %s AND id < %s ORDER BY id DESC LIMIT %s
) e
"""


def is_asked(filters: Mapping[str, Any]) -> bool:
    """Whether what routing skipped belongs into the list."""
    return filters.get("state") in (RECEIVED, State.SKIPPED)


def page(filters: Mapping[str, Any], before: int | None = None) -> Page:
    """Newest first, as `queries.delivery_page`; routing skips come as deliveries that are in no table."""
    deadline = time.monotonic() + PAGE_SECONDS
    found: list[Delivery] = []
    seen = 0
    try:
        for rows, beyond, looked_to in steps(filters, before, PAGE_SIZE + 1):
            found += rows
            seen += EVENTS_PER_STEP
            if len(found) > PAGE_SIZE:
                return Page(found[:PAGE_SIZE], found[PAGE_SIZE - 1].pk)
            if beyond is not None and (seen >= MOST_EVENTS or time.monotonic() > deadline):
                return Page(found, delivery_pk(beyond, 0), looked_to=looked_to)
    except TooSlowError:
        return Page([], None, is_slow=True)
    return Page(found, None)


def steps(
    filters: Mapping[str, Any], before: int | None, most: int
) -> Iterator[tuple[list[Delivery], int | None, datetime | None]]:
    """Up to `most` rows of the next events; the event key and time that were looked back to, no key after the last."""
    low, high = _event_keys(filters)
    if before is not None:
        high = min(high, (before - 1 >> DESTINATION_BITS) + 1)
    for first, last in _spans(filters, low, high):
        beyond: int | None = last
        while beyond is not None:
            with connection.cursor() as cursor:
                cursor.execute(LOWEST_SQL, [first, beyond, EVENTS_PER_STEP])
                lowest, looked_to, looked_at = cursor.fetchone()
            if lowest is None:
                break
            rows = _rows(_values(filters, before, most) | {"low": lowest, "high": beyond})
            if len(rows) == most:  # what is left of these events comes with the next page
                before = rows[-1].pk
                beyond = (before - 1 >> DESTINATION_BITS) + 1
            else:
                beyond = lowest if looked_at == EVENTS_PER_STEP else None
            yield rows, beyond, looked_to


def _spans(filters: Mapping[str, Any], low: int, high: int) -> list[tuple[int, int]]:
    """Ranges of event keys to walk, newest first: one, or of an event id each event that has it."""
    if event_id := filters.get("event_id"):
        keys = Event.objects.filter(event_id=event_id, pk__gte=low, pk__lt=high).order_by("-pk")
        return [(pk, pk + 1) for pk in keys.values_list("pk", flat=True)]
    return [(low, high)]


def _event_keys(filters: Mapping[str, Any]) -> tuple[int, int]:
    low, high = 0, 1 << 62 >> DESTINATION_BITS
    if since := filters.get("since"):
        low = event_pk(first_batch(max(since, EARLIEST) - CLOCK_SLACK) or 0, 0)
    if until := filters.get("until"):
        last = first_batch(min(until, LATEST) + CLOCK_SLACK)
        high = high if last is None else event_pk(last, 0)
    return low, high


def _values(filters: Mapping[str, Any], before: int | None, most: int) -> dict[str, Any]:
    destination, source = filters.get("destination"), filters.get("source")
    return {
        "destination": str(destination.pk) if destination else None,
        "first": destination.pk if destination else 0, "last": destination.pk if destination else MAX_DESTINATION_ID,
        "event": filters.get("event") or "", "source": source.pk if source else None,
        "since": filters.get("since"), "until": filters.get("until"), "state": filters["state"],
        "reason": filters.get("reason") or "", "detail": filters.get("detail") or "",
        "before": before, "limit": EVENTS_PER_STEP, "rows": most,
    }  # fmt: skip


def _rows(values: Mapping[str, Any]) -> list[Delivery]:
    """Raises queries.TooSlowError."""
    found = bounded(_fetched(values))
    deliveries = Delivery.objects.select_related("event").in_bulk([key for key, _, is_skip, _ in found if not is_skip])
    events = Event.objects.in_bulk({key >> DESTINATION_BITS for key, _, is_skip, _ in found if is_skip})
    rows = [
        _skip(key, events.get(key >> DESTINATION_BITS), reason, routed_at) if is_skip else deliveries.get(key)
        for key, reason, is_skip, routed_at in found
    ]
    return [row for row in rows if row is not None]


def _fetched(values: Mapping[str, Any]) -> Iterator[Sequence[Any]]:
    with connection.cursor() as cursor:
        cursor.execute(ROWS_SQL, values)
        yield from cursor.fetchall()


def _skip(key: int, event: Event | None, reason: str, routed_at: datetime) -> Delivery | None:
    if event is None:  # retention took it meanwhile
        return None
    destination_id = key & MAX_DESTINATION_ID
    return Delivery(
        pk=key, event=event, destination_id=destination_id, state=State.SKIPPED, reason=reason,
        created_at=routed_at, settled_at=routed_at,
    )  # fmt: skip
