"""The built-in warehouse: the event table itself. What `build` returns is the form of its exports; nothing is sent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from destinations.platforms import base
from destinations.platforms._names import NAMES
from destinations.platforms.base import Built, Config, Item, Outcome, Request, Response
from events.payload import Payload

NESTED = ("content_ids", "click_ids", "consent", "properties")
"""Written as JSON text, so that a row stays flat and loads into any table."""

COLUMNS: tuple[str, ...] = (
    "event_id",
    "event",
    "occurred_at",
    *(name for name in Payload.__struct_fields__ if name != "platform_params"),
)
"""Every row has all of them, in this order; what an event does not carry is null. New columns are added at the end
of their group in `events.payload`, none is renamed. `occurred_at` is UTC with milliseconds, ISO 8601."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Warehouse(base.Platform):
    key = "warehouse"
    label = "Warehouse"
    kind = base.Kind.WAREHOUSE
    events = {name: name for name in NAMES}
    takes_custom_events = True
    recommended = frozenset(NAMES)
    batch_limit = 10_000
    is_builtin = True

    def build(self, items: Sequence[Item], config: Config, now: datetime) -> Built:
        """The rows as NDJSON, in the shape of a request that no HTTP client ever sees."""
        rows = [(item, msgspec.json.encode(row(item)) + b"\n") for item in items]
        requests = [
            Request(
                method="STORE",
                url="warehouse:events",
                headers={"Content-Type": "application/x-ndjson"},
                body=b"".join(line for _, line in run),
                items=tuple(item for item, _ in run),
            )
            for run in base.chunks(rows, self.batch_limit)
        ]
        return Built(requests=requests, skipped=[])

    def parse(self, request: Request, response: Response) -> list[Outcome]:
        return [base.OK] * len(request.items)


def row(item: Item) -> dict[str, Any]:
    """One export row: flat, with the columns of COLUMNS."""
    payload = item.payload
    values: dict[str, Any] = {
        "event_id": item.event_id,
        "event": item.event,
        "occurred_at": (_EPOCH + timedelta(milliseconds=item.occurred_ms))
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z"),
    }
    for name in COLUMNS[3:]:
        value = getattr(payload, name)
        if name in NESTED:
            value = msgspec.json.encode(value).decode() if value else None
        values[name] = value
    return values
