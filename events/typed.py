"""The fast way through the contract, for events that keep it to the letter: known keys, right types, trimmed values.

Pure. An event is plain when the contract would take it without a word and store it as it stands; such a one is decoded
and encoded again in compiled code, at a third of the cost. Anything else (an unknown key, a number as text, a blank
around a value, nested userData) gives None, and `events.contract` says what it means: there is one contract, and this
module never decides against an event. A property test holds both ways against each other.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from events.fields import (
    CLICK_IDS,
    CONSENT,
    FIELDS,
    MAX_AMOUNT,
    MAX_CLICK_ID,
    MAX_COUNT,
    MAX_DEPTH,
    MAX_EVENT_ID,
    MAX_FREE_BYTES,
    MAX_ITEMS,
    MAX_NAME,
)
from events.values import EARLIEST_MS, RefusedError, depth, is_ip, read_time


def _text(cap: int) -> Any:
    return Annotated[str, Meta(min_length=1, max_length=cap)]


_KINDS: dict[str, Any] = {
    "number": Annotated[float, Meta(ge=-MAX_AMOUNT, le=MAX_AMOUNT)],
    "integer": Annotated[int, Meta(ge=0, le=MAX_COUNT)],
    "currency": Annotated[str, Meta(min_length=3, max_length=3)],
}


def _kind(kind: str, cap: int) -> Any:
    if kind == "list":
        return Annotated[list[_text(cap)], Meta(max_length=MAX_ITEMS)]
    return _KINDS.get(kind, _text(cap)) | None


# The fields in the order of the normal form, so that encoding one gives its JSON: what is absent or null is left out.
# The three that a column of their own holds are taken out (set to UNSET) before.
_Wire = msgspec.defstruct(
    "_Wire",
    [
        ("event", _text(MAX_NAME) | msgspec.UnsetType),
        ("eventId", _text(MAX_EVENT_ID) | msgspec.UnsetType),
        ("ts", int | float | None | msgspec.UnsetType, msgspec.UNSET),
        *(
            (field.name, _kind(field.kind, field.cap), msgspec.field(default_factory=list))
            if field.kind == "list"
            else (field.name, _kind(field.kind, field.cap), None)
            for field in FIELDS
        ),
        ("clickIds", dict[Literal[*CLICK_IDS], _text(MAX_CLICK_ID)], msgspec.field(default_factory=dict)),
        ("consent", dict[Literal[*CONSENT], bool], msgspec.field(default_factory=dict)),
        ("properties", dict[str, Any], msgspec.field(default_factory=dict)),
        ("platformParams", dict[str, dict[str, Any]], msgspec.field(default_factory=dict)),
    ],
    omit_defaults=True,
    forbid_unknown_fields=True,
)
_Envelope = msgspec.defstruct("_Envelope", [("events", list[_Wire])], forbid_unknown_fields=True)

_read_one = msgspec.json.Decoder(_Wire).decode
_read_many = msgspec.json.Decoder(_Envelope).decode
_encode = msgspec.json.Encoder().encode

# Blanks that str.strip removes and JSON does not escape, beside the ASCII one; and the bytes such a one begins with,
# which are looked for first, because a search for one byte costs next to nothing.
_WIDE_BLANKS = (b"\xc2\x85", b"\xc2\xa0", b"\xe1\x9a\x80", b"\xe2\x80", b"\xe2\x81\x9f", b"\xe3\x80\x80")

Plain = tuple[str, str, int, dict[str, bool], bytes]
"""Name, event id, Unix milliseconds, consent, and the JSON of the payload."""


def read(source: bytes, now_ms: int, names: Collection[str]) -> Plain | None:
    """One event's JSON text, if it is plain. Never raises."""
    if b"\\" in source:  # an escape may hide a blank or a NUL
        return None
    try:
        return _plain(_read_one(source), now_ms, names)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def read_all(body: bytes, now_ms: int, names: Collection[str]) -> list[Plain | None] | None:
    """Every event of a body `{"events": […]}`, None for one that is not plain; None when that cannot be told apart."""
    if b"\\" in body:
        return None
    try:
        return [_plain(wire, now_ms, names) for wire in _read_many(body).events]  # type: ignore[attr-defined]
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _plain(wire: Any, now_ms: int, names: Collection[str]) -> Plain | None:
    name, event_id, occurred_ms = wire.event, wire.eventId, wire.ts
    if type(occurred_ms) is not int or not EARLIEST_MS <= occurred_ms <= now_ms:
        try:
            occurred_ms = now_ms if not occurred_ms and occurred_ms != 0 else read_time(occurred_ms, "ts", now_ms)
        except RefusedError:
            return None
    email, currency, client_ip = wire.email, wire.currency, wire.clientIp
    if (
        name not in names
        or event_id.strip() != event_id
        or (email is not None and "@" not in email)
        or (currency is not None and not (currency.isascii() and currency.isalpha() and currency.isupper()))
        or (client_ip is not None and not is_ip(client_ip))
        or (wire.properties and depth(wire.properties) > MAX_DEPTH)
        or (wire.platformParams and depth(wire.platformParams) > MAX_DEPTH)
    ):
        return None
    wire.event = wire.eventId = wire.ts = msgspec.UNSET
    text = _encode(wire)
    # Encoded without white space, so a blank beside a quote is one at the end of a value.
    if b' "' in text or b'" ' in text or len(text) > MAX_FREE_BYTES or (not text.isascii() and _has_wide_blank(text)):
        return None
    return name, event_id, occurred_ms, wire.consent, text


def _has_wide_blank(text: bytes) -> bool:
    if b"\xc2" in text or b"\xe1" in text or b"\xe2" in text or b"\xe3" in text:
        return any(blank in text for blank in _WIDE_BLANKS)
    return False
