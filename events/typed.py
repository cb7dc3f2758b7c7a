"""The fast way through the contract, for events that keep it to the letter: known keys, right types, trimmed values.

Pure. `read` decides in compiled code whether an event is so plain that the contract would take it without a word and
store it as it stands; then it is read here, at a third of the cost. Anything else (an unknown key, a number as text, a
blank around a value, nested userData) gives None, and `events.contract` says what it means: there is one contract, and
this module never decides against an event. A property test holds both ways against each other.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, cast

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
from events.payload import Payload
from events.values import EARLIEST_MS, RefusedError, is_ip, read_time


def _text(cap: int) -> Any:
    return Annotated[str, Meta(min_length=1, max_length=cap)]


_KINDS: dict[str, Any] = {
    "number": Annotated[float, Meta(ge=-MAX_AMOUNT, le=MAX_AMOUNT)],
    "integer": Annotated[int, Meta(ge=0, le=MAX_COUNT)],
    "currency": Annotated[str, Meta(min_length=3, max_length=3)],
}

_ClickIds = msgspec.defstruct(
    "_ClickIds",
    [(name, _text(MAX_CLICK_ID) | msgspec.UnsetType, msgspec.UNSET) for name in CLICK_IDS],
    frozen=True,
    forbid_unknown_fields=True,
)
_Consent = msgspec.defstruct(
    "_Consent",
    [(name, bool | msgspec.UnsetType, msgspec.UNSET) for name in CONSENT],
    frozen=True,
    forbid_unknown_fields=True,
)


def _kind(kind: str, cap: int) -> Any:
    if kind == "list":
        return Annotated[list[_text(cap)], Meta(max_length=MAX_ITEMS)] | msgspec.UnsetType
    return _KINDS.get(kind, _text(cap)) | None


# What is null in the normal form may be null here. The free objects are typed as the normal form has them.
_Wire = msgspec.defstruct(
    "_Wire",
    [
        ("event", _text(MAX_NAME)),
        ("eventId", _text(MAX_EVENT_ID)),
        ("ts", int | float | None, None),
        *(
            (field.name, _kind(field.kind, field.cap), msgspec.UNSET if field.kind == "list" else None)
            for field in FIELDS
        ),
        ("clickIds", _ClickIds | msgspec.UnsetType, msgspec.UNSET),
        ("consent", _Consent | msgspec.UnsetType, msgspec.UNSET),
        ("properties", dict[str, msgspec.Raw] | msgspec.UnsetType, msgspec.UNSET),
        ("platformParams", dict[str, dict[str, msgspec.Raw]] | msgspec.UnsetType, msgspec.UNSET),
    ],
    frozen=True,
    forbid_unknown_fields=True,
)

_read_wire = msgspec.json.Decoder(_Wire).decode
_read_payload = msgspec.json.Decoder(Payload).decode
_encode = msgspec.json.Encoder().encode

# Blanks that str.strip removes and JSON does not escape, beside the ASCII one; and the bytes such a one begins with,
# which are looked for first, because a search for one byte costs next to nothing.
_WIDE_BLANKS = (b"\xc2\x85", b"\xc2\xa0", b"\xe1\x9a\x80", b"\xe2\x80", b"\xe2\x81\x9f", b"\xe3\x80\x80")

Plain = tuple[str, str, int, Payload, bytes]
"""Name, event id, Unix milliseconds, payload and its JSON."""


def read(source: bytes, now_ms: int, names: Collection[str]) -> Plain | None:
    """The event, when the contract would accept it without a warning and unchanged; else None. Never raises."""
    if b"\\" in source:  # an escape may hide a blank or a NUL
        return None
    try:
        wire = cast("Any", _read_wire(source))
        payload = _read_payload(source)
        occurred_ms: int | None = wire.ts
        if type(occurred_ms) is not int or not EARLIEST_MS <= occurred_ms <= now_ms:
            occurred_ms = now_ms if occurred_ms is None else read_time(occurred_ms, "ts", now_ms)
    except (msgspec.MsgspecError, ValueError, RecursionError, RefusedError):
        return None
    name, event_id, email, currency, client_ip = wire.event, wire.eventId, wire.email, wire.currency, wire.clientIp
    if (
        occurred_ms is None
        or name not in names
        or (email is not None and "@" not in email)
        or (currency is not None and not (currency.isascii() and currency.isalpha() and currency.isupper()))
        or (client_ip is not None and not is_ip(client_ip))
        or event_id[0] == " "
        or event_id[-1] == " "
        or ((payload.properties or payload.platform_params) and _is_deep(source))
        or (not source.isascii() and _has_wide_blank(source))
    ):
        return None
    text = _encode(payload)
    # Encoded without white space, so a blank beside a quote is one at the end of a value.
    return None if b' "' in text or b'" ' in text or len(text) > MAX_FREE_BYTES else (
        name, event_id, occurred_ms, payload, text
    )  # fmt: skip


def _is_deep(source: bytes) -> bool:
    """Whether there are brackets enough for too deep a nesting: a bracket for each level is the least it takes."""
    return source.count(b"{") + source.count(b"[") > MAX_DEPTH


def _has_wide_blank(source: bytes) -> bool:
    if b"\xc2" in source or b"\xe1" in source or b"\xe2" in source or b"\xe3" in source:
        return any(blank in source for blank in _WIDE_BLANKS)
    return False
