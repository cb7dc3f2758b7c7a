"""The ingest contract: bytes in, accepted or rejected events out, each exactly once.

Pure: no ORM, no clock. No input makes it raise anything but ContractError. What it accepts always encodes to JSON that
PostgreSQL's jsonb takes: no NUL characters, no lone surrogates, finite numbers only.

An event that keeps it to the letter is read in compiled code (`events.typed`). Every other takes one pass over its
keys (`events.collected`); whatever is rare (NUL characters, deep nesting, big integers) is looked for cheaply and
dealt with apart.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from events import typed
from events.body import ContractError, decode_event, half_character, split_body
from events.collected import TOP, Draft, Warning_, collect, collect_nested, occurred_at_ms, required, with_unknown
from events.fields import MAX_DEPTH, MAX_EVENT_ID, MAX_EVENTS, MAX_FREE_BYTES, MAX_NAME, NAME_PATTERN, STRUCTURAL
from events.payload import Payload
from events.payload import decode as decode_payload
from events.suggest import near_name
from events.values import RefusedError, depth, is_ip, kind_of, read_object, without_nul

__all__ = ["Accepted", "ContractError", "Parsed", "Rejected", "Warning_", "parse_body", "parse_event", "split_body"]

_NAME = re.compile(NAME_PATTERN.removesuffix("$") + r"\Z")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")

_encode = msgspec.json.Encoder().encode


class Accepted(msgspec.Struct, frozen=True, gc=False):
    index: int
    name: str
    event_id: str
    occurred_ms: int
    """Unix time in milliseconds."""
    consent: dict[str, bool]
    """Of the payload: what routing asks of every event."""
    payload_json: bytes
    """The payload encoded: what the database stores."""
    is_registered: bool = True
    """False for extension names nobody registered and for retired names."""
    warnings: Sequence[Warning_] = ()

    @property
    def payload(self) -> Payload:
        """Decoded anew with each call: storing an event needs none."""
        return decode_payload(self.payload_json)


class Rejected(msgspec.Struct, frozen=True, gc=False):
    index: int
    field: str
    code: str
    sentence: str
    event_name: str
    event_id: str
    raw: str
    """The event's JSON text as received; bytes that are no text are replaced."""


class Parsed(msgspec.Struct, frozen=True):
    accepted: list[Accepted]
    rejected: list[Rejected]
    warnings: list[Warning_]


# --- One event ------------------------------------------------------------------------------------


def parse_event(
    raw: msgspec.Raw | bytes, *, now_ms: int, names: Collection[str], retired: Collection[str] = (), index: int = 0
) -> Accepted | Rejected:
    """One event's JSON text, accepted in normal form or rejected with the first reason found.

    now_ms: Unix milliseconds. names: the registered ones (best a frozenset). index: its position in the request.
    """
    plain = typed.read(bytes(raw), now_ms, names)
    if plain is not None:
        return Accepted(index, *plain)
    return _parse_any(raw, now_ms, names, retired, index)


def _parse_any(
    raw: msgspec.Raw | bytes, now_ms: int, names: Collection[str], retired: Collection[str], index: int
) -> Accepted | Rejected:
    """As `parse_event`, for any input."""
    data, trouble = decode_event(raw)
    if trouble:
        return _undecodable(raw, trouble, index)
    if type(data) is not dict:
        sentence = f"The event must be a JSON object, not {kind_of(data)}."
        return Rejected(index, "", "not_an_object", sentence, "", "", _as_text(raw))
    source = bytes(raw)
    try:
        # A bracket for each level is the least that depth takes, so counting them spares most events the walk.
        if source.count(b"{") + source.count(b"[") > MAX_DEPTH:
            for name, value in data.items():
                if depth(value) > MAX_DEPTH - (name not in STRUCTURAL):
                    raise RefusedError(name, "too_deep", f"is nested more than {MAX_DEPTH} levels deep")
        if b"\\u0000" in source:
            data = without_nul(data)
        return _accept(data, now_ms, names, retired, index)
    except RefusedError as refusal:
        return Rejected(
            index,
            refusal.field,
            refusal.code,
            refusal.sentence,
            _shown(data.get("event")),
            _shown(data.get("eventId")),
            _as_text(raw),
        )


def _undecodable(raw: msgspec.Raw | bytes, trouble: str, index: int) -> Rejected:
    half = half_character(raw)
    if half is None:
        return Rejected(index, "", "not_decodable", f"The event cannot be read: {trouble}.", "", "", _as_text(raw))
    field, whole = half
    refusal = RefusedError(field, "not_decodable", "has half a character (a surrogate without its other half)")
    sentence = refusal.sentence if field else f"The event {refusal.sentence}."
    name, event_id = _shown(whole.get("event")), _shown(whole.get("eventId"))
    return Rejected(index, refusal.field, refusal.code, sentence, name, event_id, _as_text(raw))


def _accept(
    data: dict[str, Any], now_ms: int, names: Collection[str], retired: Collection[str], index: int
) -> Accepted:
    """Raises RefusedError."""
    draft = Draft(index)
    found = draft.found
    name, is_registered = _read_name(data, names, retired, draft)
    event_id = required(data, "eventId", MAX_EVENT_ID)
    collect(data, "", TOP, draft)
    occurred_ms = occurred_at_ms(data, now_ms, draft)
    collect_nested(data, draft)
    if draft.clicks:
        found["click_ids"] = draft.clicks
    _check_shapes(draft)
    properties = data.get("properties")
    if properties is not None:
        found["properties"] = read_object(properties, "properties")
    if draft.unknown:
        found["properties"] = with_unknown(found.get("properties", {}), draft)
    params = data.get("platformParams")
    if params is not None:
        found["platform_params"] = {
            platform: read_object(values, f"platformParams.{platform}")
            for platform, values in read_object(params, "platformParams").items()
            if values is not None
        }
    payload = Payload(**found)
    payload_json = _encode(payload)
    if len(payload_json) > MAX_FREE_BYTES:
        for field, part in (("properties", payload.properties), ("platformParams", payload.platform_params)):
            size = len(_encode(part))
            if size > MAX_FREE_BYTES:
                raise RefusedError(field, "too_long", f"has {size} bytes of JSON, at most {MAX_FREE_BYTES} are taken")
    return Accepted(index, name, event_id, occurred_ms, payload.consent, payload_json, is_registered, draft.warnings)


def _check_shapes(draft: Draft) -> None:
    email = draft.found.get("email")
    if email is not None and "@" not in email and not _SHA256.fullmatch(email):
        draft.warn(
            "email", "email_shape", "is neither an e-mail address nor a SHA-256 of one; most platforms ignore it"
        )
    client_ip = draft.found.get("client_ip")
    if client_ip is not None and not is_ip(client_ip):
        # A platform refuses the whole event for it; as a property it does no harm.
        del draft.found["client_ip"]
        draft.unknown.append(("", "clientIp", client_ip))


def _read_name(
    data: dict[str, Any], names: Collection[str], retired: Collection[str], draft: Draft
) -> tuple[str, bool]:
    name = data.get("event")
    if type(name) is str and name in names:
        return name, True
    if name is not None and type(name) is not str:
        raise RefusedError("event", "wrong_type", f"must be a string, not {kind_of(name)}")
    name = required(data, "event", MAX_NAME)
    if name in names:
        return name, True
    if name in retired:
        draft.warn("event", "retired", f'"{name}" is retired: it is stored, and sent only where it is ticked')
        return name, False
    near = near_name(name, names if isinstance(names, frozenset) else frozenset(names))
    if not _NAME.match(name):
        if near:
            raise RefusedError("event", "unknown_name", f'unknown name "{name}", did you mean "{near}"?')
        raise RefusedError(
            "event", "unknown_name", f'unknown name "{name}"; names of your own are written in PascalCase'
        )
    mean = f', did you mean "{near}"?' if near else ": it is stored, and sent only where it is ticked"
    draft.warn("event", "not_registered", f'"{name}" is not registered{mean}')
    return name, False


def _shown(value: Any) -> str:
    """What can be said of the name or id of a rejected event."""
    return str(value)[:128].replace("\0", "") if type(value) in (str, int, float) else ""


def _as_text(raw: msgspec.Raw | bytes) -> str:
    return bytes(raw).decode("utf-8", "replace").replace("\0", "\ufffd")


# --- A request ------------------------------------------------------------------------------------


def parse_body(raw: bytes, *, now_ms: int, names: Collection[str], retired: Collection[str] = ()) -> Parsed:
    """Every event of a request body, accepted or rejected, each exactly once and in order.

    Raises ContractError when there is nothing to tell apart as events: see `split_body`.
    """
    known = names if isinstance(names, frozenset) else frozenset(names)
    parsed = Parsed([], [], [])
    plain = typed.read_all(raw, now_ms, known)
    if plain and len(plain) <= MAX_EVENTS and None not in plain:
        parsed.accepted.extend([Accepted(index, *event) for index, event in enumerate(plain)])  # type: ignore[misc]
        return parsed
    for index, part in enumerate(split_body(raw)):
        result = parse_event(part, now_ms=now_ms, names=known, retired=retired, index=index)
        if isinstance(result, Accepted):
            parsed.accepted.append(result)
            if result.warnings:
                parsed.warnings.extend(result.warnings)
        else:
            parsed.rejected.append(result)
    return parsed
