"""Which fields of an event a platform makes use of, found by building requests with and without each. Pure."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

from destinations import platforms, preview
from destinations.platforms.base import ACCESS_TOKEN, Platform
from events import contract
from events.fields import CLICK_IDS, FIELDS
from events.payload import Payload

logger = logging.getLogger(__name__)

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
"""Any will do, as long as it is the same each time: payloads are compared."""
BARE = ("email", "value", "currency", "clientIp", "userAgent", "clickIds")
"""Enough for most platforms to take the event."""
_ATTRIBUTES: dict[str, str] = {field.name: field.attribute for field in FIELDS} | {"clickIds": "click_ids"}
_NOTHING: dict[str, Any] = {field.attribute: [] if field.kind == "list" else None for field in FIELDS} | {
    "click_ids": {}
}


@lru_cache(maxsize=2048)
def used(platform_key: str, event: str, native_name: str) -> frozenset[str]:
    """The fields, by their names in the contract, that make its request another one.

    An adapter's answer never changes within a process, so it is asked once for each event and name.
    """
    platform = platforms.get(platform_key)
    try:
        return _used(platform, event, native_name)
    except Exception:  # a page about an event must not fail for an adapter's bug
        logger.exception("%s could not build a payload", platform.key)
        return frozenset()


def _used(platform: Platform, event: str, native_name: str) -> frozenset[str]:
    config = platform.example_config()
    if platform.oauth is not None:
        config.setdefault(ACCESS_TOKEN, "token")
    ids = {event: platform.native_id.example} if platform.native_id is not None else {}
    names = {event: native_name} if native_name else {}
    item = preview.item_of(_full(event), preview.rule_of(platform, preview.Settings(config, ids, names)))

    def outcome(payload: Payload) -> tuple[list[bytes], list[str]]:
        built = platform.build([msgspec.structs.replace(item, payload=payload)], config, NOW)
        parts = [part for whole in built.requests for part in (*whole.before, whole)]
        return [part.url.encode() + part.body for part in parts], [skip.reason for skip in built.skipped]

    full = item.payload
    bare = Payload(**{attribute: getattr(full, attribute) for attribute in map(_ATTRIBUTES.__getitem__, BARE)})
    of_full, of_bare = outcome(full), outcome(bare)

    def makes_a_difference(name: str) -> bool:
        attribute = _ATTRIBUTES[name]
        # Beside another, a field may stand back (orderId for transactionId); alone, it may not do (zip without a name).
        if outcome(msgspec.structs.replace(full, **{attribute: _NOTHING[attribute]})) != of_full:
            return True
        return outcome(msgspec.structs.replace(bare, **{attribute: getattr(full, attribute)})) != of_bare

    return frozenset(filter(makes_a_difference, _ATTRIBUTES)) if of_full[0] else frozenset()


def _full(event: str) -> contract.Accepted:
    """An event that carries every field."""
    fields = {field.name: field.example for field in FIELDS}
    body = {"event": event, "eventId": "1", **fields, "clickIds": dict.fromkeys(CLICK_IDS, "made-up")}
    now_ms = int(NOW.timestamp() * 1000)
    return contract.parse_body(json.dumps(body).encode(), now_ms=now_ms, names=frozenset({event})).accepted[0]
