"""Items, configurations and times for the tests of the adapters."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from destinations import platforms
from destinations.platforms.base import Built, Item, Request
from events.payload import Payload

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
NOW_MS = 1_795_435_200_000
HOUR_MS = 3_600_000

GOLDEN = Path(__file__).resolve().parents[2] / "golden"


def _config(key: str) -> dict[str, str]:
    """The configuration of the platform's golden Purchase: complete and valid, whatever else is configured there."""
    case = json.loads((GOLDEN / key / "purchase.json").read_text(encoding="utf-8"))
    config: dict[str, str] = case["config"]
    return config


CONFIG: dict[str, dict[str, str]] = {key: _config(key) for key in platforms.PLATFORMS} | {
    "meta": {"pixel_id": "1234567890123456", "access_token": "EAAB" + "x" * 60},
}


def item(event: str = "SignUp", platform: Any = None, **fields: Any) -> Item:
    """A delivery of `event` an hour ago; keyword arguments are its payload, or one of Item's own fields."""
    own = {name: fields.pop(name) for name in list(fields) if name in Item.__struct_fields__ and name != "payload"}
    defaults: dict[str, Any] = {
        "key": 1,
        "event_id": "evt-1",
        "event": event,
        "occurred_ms": NOW_MS - HOUR_MS,
        "native_name": platform.native_name(event) if platform is not None else "",
    }
    if platform is not None and platform.native_id is not None:
        defaults["native_id"] = platform.native_id.example
    return Item(payload=Payload(**fields), **(defaults | own))


def only(built: Built) -> Request:
    """The one request of a build that skipped nothing."""
    assert built.skipped == []
    assert len(built.requests) == 1
    return built.requests[0]


def body(request: Request) -> Any:
    return msgspec.json.decode(request.body)
