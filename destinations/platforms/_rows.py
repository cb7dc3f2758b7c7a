"""The row of an event, as the data platforms share it: the built-in warehouse's columns, flat, in snake_case.

What an event does not carry is left out, which every one of them reads as null; `content_ids`, `click_ids`, `consent`
and `properties` are JSON in a text. Identity and times stay as they were sent: this is the sender's own database, and a
row here agrees with the row of the built-in warehouse.

`event` is the canonical name, or the one entered for the route. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from operator import attrgetter
from typing import Any

import msgspec

from destinations.platforms import base
from destinations.platforms.base import Item
from destinations.platforms.warehouse import COLUMNS, NESTED
from events.fields import FIELDS

BATCH_LIMIT = 10_000
"""Rows in one request. ClickHouse, "Bulk inserts": 10,000 to 100,000 rows; a worker holds all of them in memory."""

KINDS: dict[str, str] = dict.fromkeys(COLUMNS, "text") | dict.fromkeys(NESTED, "json") | {
    "occurred_at": "time",
    "value": "number",
    "num_items": "integer",
}  # fmt: skip
"""Column → text, json, time, number or integer; in the order of COLUMNS."""
PLAIN_IDENTITY = frozenset(field.attribute for field in FIELDS if field.group == "identity") | {
    "client_ip",
    "user_agent",
}

_OF_PAYLOAD = COLUMNS[3:]
_values = attrgetter(*_OF_PAYLOAD)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def iso(milliseconds: int) -> str:
    """`2026-11-23T11:00:00.000Z`."""
    return f"{_moment(milliseconds).isoformat(timespec='milliseconds')}Z"


def spaced(milliseconds: int) -> str:
    """`2026-11-23 11:00:00.000`, in UTC: what a DateTime64 column reads whatever its settings are."""
    return _moment(milliseconds).isoformat(sep=" ", timespec="milliseconds")


def _moment(milliseconds: int) -> datetime:
    return (_EPOCH + timedelta(milliseconds=milliseconds)).replace(tzinfo=None)


def row(item: Item, platform_key: str, time: Callable[[int], Any] = iso) -> dict[str, Any]:
    """The columns that the event has a value for, in the order of COLUMNS, the sender's overrides over them."""
    payload = item.payload
    values: dict[str, Any] = {
        "event_id": item.event_id,
        "event": item.native_name or item.event,
        "occurred_at": time(item.occurred_ms),
    }
    values.update((name, value) for name, value in zip(_OF_PAYLOAD, _values(payload), strict=True) if value is not None)
    if payload.value is not None and not math.isfinite(payload.value):
        del values["value"]  # JSON has no infinity, and no amount is one
    for name in NESTED:
        if not values[name]:
            del values[name]
        else:
            values[name] = _text(values[name])
    if payload.platform_params.get(platform_key):
        values = base.with_overrides(values, item, platform_key)
        values = {
            name: _text(value) if isinstance(value, list | dict) else value
            for name, value in values.items()
            if value is not None
        }
    return values


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def batch_hash(items: Sequence[Item]) -> str:
    """Names a batch by the ids of its events: the same batch sent again has the same."""
    return sha256("\n".join(item.event_id for item in items).encode("utf-8", "surrogatepass")).hexdigest()


def definitions(types: Mapping[str, str], line: str = "    `{name}` {type}") -> str:
    """The columns of a CREATE TABLE. `types` has a type per kind, and one per column where that differs."""
    return ",\n".join(line.format(name=name, type=types.get(name) or types[kind]) for name, kind in KINDS.items())
