"""What a platform would be sent, without sending it. Pure: the core of `manage.py preview`, the destination's page and
the test bench.

Secrets are shown as `***`. Identity is shown as it would leave, hashed where the platform takes hashes;
`without_people` hides it for events of real people.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from destinations import masking, people
from destinations.platforms.base import ACCESS_TOKEN, Built, Config, Item, Platform, Request
from events import contract, masked_json, samples
from events.contract import Accepted
from events.payload import Payload
from routing.policy import DestinationRule, EventRule, Mode, SourceRule, decide

SOURCE = SourceRule(id=0, name="preview")
"""Grants what an event says nothing about."""
SHORT = 8


class Settings(msgspec.Struct, forbid_unknown_fields=True):
    config: dict[str, str] = {}
    native_ids: dict[str, str] = {}
    native_names: dict[str, str] = {}


def preview(platform: Platform, settings: Settings, body: bytes, now: datetime) -> dict[str, Any]:
    """The document to print. Pure. Raises contract.ContractError when the body is no batch of events."""
    now_ms = int(now.timestamp() * 1000)
    parsed = contract.parse_body(body, now_ms=now_ms, names=frozenset(platform.events))
    rule = rule_of(platform, settings)
    items: list[Item] = []
    skipped = [
        {"event_id": event.event_id, "reason": "rejected", "detail": event.sentence} for event in parsed.rejected
    ]
    for event in parsed.accepted:
        ticked = msgspec.structs.replace(rule, ticked=frozenset({event.name}))
        decision = decide(ticked, SOURCE, event.name, EventRule(event.name), event.consent, event.occurred_ms, now_ms)
        if not decision.send:
            sentence = decision.sentence(event.name, rule)
            skipped.append({"event_id": event.event_id, "reason": decision.reason, "detail": sentence})
            continue
        items.append(item_of(event, rule))
    config = dict(settings.config)
    if platform.oauth is not None:
        config.setdefault(ACCESS_TOKEN, "***")  # a real one would be fetched, and hidden here
    built = platform.build(items, config, now)
    skipped += [
        {"event_id": skip.item.event_id, "reason": skip.reason, "detail": skip.detail} for skip in built.skipped
    ]
    return {"requests": shown_all(built, secret_texts(platform, settings.config)), "skipped": skipped}


def item_of(event: Accepted, rule: DestinationRule) -> Item:
    return Item(
        key=event.index,
        event_id=event.event_id,
        event=event.name,
        occurred_ms=event.occurred_ms,
        payload=event.payload,
        native_name=rule.native_name(event.name),
        native_id=rule.native_ids.get(event.name, ""),
    )


def shown_all(built: Built, hidden: Iterable[str]) -> list[dict[str, Any]]:
    """Every request in the order of sending: what must succeed before one stands before it."""
    return [shown(part, hidden) for whole in built.requests for part in (*whole.before, whole)]


def rule_of(platform: Platform, settings: Settings) -> DestinationRule:
    age = platform.max_age
    return DestinationRule(
        id=0,
        name=platform.label,
        platform=platform.key,
        label=platform.label,
        kind=platform.kind,
        mode=Mode.CUSTOM,
        is_builtin=platform.is_builtin,
        native_names={event: platform.native_name(event) for event in platform.events} | settings.native_names,
        takes_custom_events=platform.takes_custom_events,
        native_ids=settings.native_ids,
        needs_native_id=platform.native_id is not None and platform.native_id.required,
        max_age_ms=None if age is None else int(age.total_seconds() * 1000),
    )


def secret_texts(platform: Platform, config: Config) -> list[str]:
    """Every secret value and, as one field may hold several, its lines, words and header values; longest first.

    Also the `user:password` forms of HTTP Basic (RFC 7617) that a secret can be half of.
    """
    found: set[str] = set()
    for name in platform.secret_names:
        value = config.get(name, "").strip()
        lines = [line.strip() for line in value.splitlines()]
        found.update({value, *lines, *value.split(), *(line.partition(":")[2].strip() for line in lines)})
    values = ["", *filter(None, config.values())]
    pairs = [f"{user}:{word}" for user in values for word in values if len(user + word) < 400]
    found |= {b64encode(pair.encode()).decode() for pair in pairs if any(one and one in pair for one in found)}
    return sorted(filter(None, found), key=len, reverse=True)


def shown(request: Request, hidden: Iterable[str]) -> dict[str, Any]:
    """A request for people: the body as JSON when it is one document of it, else as text."""
    try:
        text = request.body.decode()
    except UnicodeDecodeError:
        text = f"({len(request.body):,} bytes that are no text)"  # a Parquet file
    try:
        body: Any = json.loads(text)
    except ValueError:
        body = text
    return {
        "method": request.method,
        "url": _masked(request.url, hidden),
        "headers": _masked(request.headers, hidden),
        "body": _masked(body, hidden),
        "event_ids": [item.event_id for item in request.items],
    }


def _masked(value: Any, hidden: Iterable[str]) -> Any:
    if isinstance(value, str):
        for secret in hidden:
            # A short word ("on", say) is hidden where it is all there is; elsewhere it would hide half the payload.
            if len(secret) >= SHORT or value == secret:
                value = value.replace(secret, "***")
        return value
    if isinstance(value, Mapping):
        return {key: _masked(entry, hidden) for key, entry in value.items()}
    if isinstance(value, list):
        return [_masked(entry, hidden) for entry in value]
    return value


# --- Identity -------------------------------------------------------------------------------------------


def identity_of(payload: Payload) -> dict[str, Payload]:
    """The identity an event carries: name in the contract → the payload without it."""
    found = {
        name: msgspec.structs.replace(payload, **{attribute: None})
        for name, attribute in people.IDENTITY.items()
        if getattr(payload, attribute) is not None
    }
    for name in payload.click_ids:
        rest = {key: value for key, value in payload.click_ids.items() if key != name}
        found[name] = msgspec.structs.replace(payload, click_ids=rest)
    return found


def used_identity(platform: Platform, item: Item, config: Config, now: datetime) -> dict[str, bool]:
    """Each identity field that the event carries, and whether the platform's request would be another without it."""

    def outcome(payload: Payload) -> tuple[list[bytes], list[str]]:
        built = platform.build([msgspec.structs.replace(item, payload=payload)], config, now)
        parts = [part for whole in built.requests for part in (*whole.before, whole)]
        return [part.url.encode() + part.body for part in parts], [skip.reason for skip in built.skipped]

    whole = outcome(item.payload)
    return {name: outcome(without) != whole for name, without in identity_of(item.payload).items()}


def without_people(document: dict[str, Any], payload: Payload) -> dict[str, Any]:
    """A shown request of a real person's event, with whatever tells who it is as `***`, hashed or plain.

    What senders put into `properties` may be anything, and a platform may have it under any name: it is hidden as well.
    """
    told = {name: document[name] for name in ("url", "headers", "body")}
    masked: dict[str, Any] = document | people.within(told, people.values(payload))
    return masked | {"url": masking.masked(masked["url"]), "body": _body_without_people(masked["body"])}


def _body_without_people(body: Any) -> Any:
    if not isinstance(body, str):
        return masked_json.of_request(body)
    lines = []
    for line in body.splitlines():
        try:
            lines.append(json.dumps(masked_json.of_request(json.loads(line)), ensure_ascii=False))
        except ValueError:
            lines.append(masking.masked(line))
    return "\n".join(lines)


def stand_in(payload: Payload) -> Payload:
    """A real event with made-up people and companies in place of its own, so that a test tells nobody's story.

    Fields that the event lacks stay absent; free text is masked.
    """
    masked = msgspec.convert(masked_json.of_request(msgspec.to_builtins(payload)), Payload, strict=False)
    others = {name: value for name, value in samples.OTHERS.items() if getattr(payload, name) is not None}
    clicks = {name: f"made-up-{name}" for name in payload.click_ids}
    return msgspec.structs.replace(masked, **others, click_ids=clicks)
