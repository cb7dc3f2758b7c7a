"""What becomes of identity at a platform: hashed, in plain or not sent.

It is not read from what an adapter declares but looked for in what it builds: an event that carries everything, once
whole and once without the field in question. No database is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from destinations.platforms._names import NAMES
from destinations.platforms.base import ACCESS_TOKEN, Item, Platform, Request
from events.payload import Payload

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)

IDENTITY = {
    "email": "e-mail",
    "phone": "phone",
    "first_name": "first name",
    "last_name": "last name",
    "city": "city",
    "state": "state",
    "zip": "postal code",
    "country": "country",
    "external_id": "external id",
    "anonymous_id": "anonymous id",
    "client_ip": "IP address",
    "user_agent": "user agent",
    "company_name": "company name",
    "company_domain": "company domain",
}
"""Attribute of the payload → what people call it."""
PERSON: dict[str, Any] = {
    "email": "ada.byron@example.com",
    "phone": "+14155552671",
    "first_name": "Adamaria",
    "last_name": "Byronova",
    "city": "Sacramento",
    "state": "CA",
    "zip": "94103",
    "country": "US",
    "external_id": "user4711",
    "anonymous_id": "visitor8899",
    "client_ip": "8.8.4.4",
    "user_agent": "Mozilla/5.0 (X11; Linux x86_64)",
    "company_name": "Acmecorporate",
    "company_domain": "acmecorporate.com",
}
HASH = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
SHORT = 5
"""Values with fewer characters are in many texts by chance: they must be the whole of a value to count."""


def identity(platform: Platform) -> dict[str, list[str]]:
    """Names of what leaves hashed, in plain and not at all."""
    found: dict[str, list[str]] = {"hashed": [], "plain": [], "absent": []}
    if platform.is_builtin:
        return found
    event = probe_event(platform)
    whole = _sent(platform, event, PERSON)
    for name, label in IDENTITY.items():
        rest = _sent(platform, event, {key: value for key, value in PERSON.items() if key != name})
        # Without its field an event may lack what it needs, and nothing is sent at all: that shows it too.
        if whole == rest:
            found["absent"].append(label)
        elif _is_in(PERSON[name], whole) or not _hashes(whole) - _hashes(rest):
            found["plain"].append(label)  # perhaps in a form of the platform's own, such as without a plus sign
        else:
            found["hashed"].append(label)
    return found


def probe_event(platform: Platform) -> str:
    """A sign-up where the platform has one: the events with the most identity. Empty: it has no event at all."""
    names = [name for name in ("SignUp", "LeadCaptured", "Purchase", *NAMES) if platform.native_name(name)]
    return next((name for name in names if _requests(platform, name, PERSON)), "")


def _requests(platform: Platform, event: str, person: Mapping[str, Any]) -> list[Request]:
    config = {field.name: field.default or (field.example if field.required else "") for field in platform.fields}
    if platform.oauth is not None:
        config[ACCESS_TOKEN] = "token"
    item = Item(
        key=1,
        event_id="event-1",
        event=event,
        occurred_ms=int((NOW - timedelta(minutes=1)).timestamp() * 1000),
        payload=Payload(
            **person,
            value=49.0,
            currency="USD",
            order_id="order-1",
            transaction_id="order-1",
            page_url="https://app.example.com/pricing",
            consent={"marketing": True, "analytics": True},
        ),
        native_name=platform.native_name(event),
        native_id=platform.native_id.example if platform.native_id else "",
    )
    built = platform.build([item], config, NOW)
    return [part for whole in built.requests for part in (*whole.before, whole)]


def _sent(platform: Platform, event: str, person: Mapping[str, Any]) -> list[str]:
    """Every text of the requests' addresses and bodies. Headers change with signatures: no identity is in them."""
    texts: list[str] = []
    for request in _requests(platform, event, person) if event else []:
        texts += [value for _, value in parse_qsl(urlsplit(request.url).query)]
        if platform.is_json:
            for line in request.body.splitlines():
                texts += _leaves(_decoded(line))
        else:
            texts.append(request.body.decode("latin-1"))
    return texts


def _decoded(line: bytes) -> Any:
    try:
        return msgspec.json.decode(line)
    except (msgspec.DecodeError, ValueError):
        return [value for _, value in parse_qsl(line.decode("utf-8", "replace"))]


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _leaves(entry)
            yield json.dumps(key)
    elif isinstance(value, list):
        for entry in value:
            yield from _leaves(entry)
    else:
        yield str(value)


def _hashes(texts: Iterable[str]) -> set[str]:
    return {found for text in texts for found in HASH.findall(text)}


def _is_in(value: str, texts: Iterable[str]) -> bool:
    variants = {value.lower(), value.lower().lstrip("+")}
    lowered = [text.lower() for text in texts]
    return any(
        variant == text or (len(variant) >= SHORT and variant in text) for variant in variants for text in lowered
    )
