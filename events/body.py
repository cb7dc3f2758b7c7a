"""A request body cut into its events, without decoding them: one that cannot be decoded is then rejected alone.

Pure. A body is `{"events": […]}`, a bare array, or a single event object.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from events.fields import MAX_EVENTS

DECODE_ERRORS = (msgspec.MsgspecError, ValueError, RecursionError)
"""What decoding raises for input that is not JSON, not UTF-8, out of range or nested too deeply."""

_BOM = b"\xef\xbb\xbf"
_WHITE = b" \t\n\r"
_COMMA = ord(",")
_RawEvents = list[msgspec.Raw]
RawEvent = msgspec.Raw | bytes


class ContractError(Exception):
    """The request as a whole is refused: nothing in it can be told apart as an event."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        """HTTP status."""
        self.code = code
        self.detail = detail
        """A sentence for the sender."""


class _Envelope(msgspec.Struct):
    events: msgspec.Raw = msgspec.Raw(b"")


_envelope = msgspec.json.Decoder(_Envelope)
_list = msgspec.json.Decoder(_RawEvents)
_anything = msgspec.json.Decoder()


def split_body(raw: bytes) -> list[RawEvent]:
    """The JSON text of each event, in order; 1 to 100 of them.

    Raises ContractError: 400 `not_json`; 422 `no_events`, `too_many_events`.
    """
    body = raw.removeprefix(_BOM).strip(_WHITE)
    try:
        events = _split(body)
    except DECODE_ERRORS as error:
        # Some serialisers write NaN, or half an emoji; that is no JSON as a whole, but its other events are.
        salvaged = _salvage(body)
        if salvaged is None:
            raise ContractError(400, "not_json", f"The body is not JSON: {_why(error)}.") from None
        events = salvaged
    if not events:
        raise ContractError(422, "no_events", 'The body has no events: send an event, an array or {"events": […]}.')
    if len(events) > MAX_EVENTS:
        raise ContractError(
            422, "too_many_events", f"The body has {len(events)} events; at most {MAX_EVENTS} are taken at once."
        )
    return events


def decode_event(raw: RawEvent) -> tuple[object, str]:
    """The decoded event and an empty string, or None and a sentence that says why it cannot be decoded."""
    try:
        return _anything.decode(raw), ""
    except DECODE_ERRORS as error:
        return None, _why(error)


def half_character(raw: RawEvent) -> tuple[str, dict[str, Any]] | None:
    """Of an event that cannot be decoded: the field with half a surrogate pair (an emoji cut in two, say), and the
    event's own texts that are whole. None when that is not what is wrong with it.
    """
    if not _ESCAPED_SURROGATE.search(bytes(raw)):
        return None
    try:
        data = json.loads(bytes(raw))
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict):
        return None
    broken = next(
        (name for name, value in data.items() if _is_broken(name) or _is_broken(json.dumps(value, ensure_ascii=False))),
        None,
    )
    if broken is None:
        return None
    whole = {name: text for name, text in data.items() if isinstance(text, str) and not _is_broken(text)}
    return ("" if _is_broken(broken) else broken), whole


def _is_broken(text: str) -> bool:
    return _SURROGATE.search(text) is not None


def _why(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    return str(error)[:200].removeprefix("JSON is malformed: ")


def _split(body: bytes) -> list[RawEvent]:
    first = body[:1]
    if first == b"[":
        return list(_list.decode(body))
    if first == b"{":
        inner = _envelope.decode(body).events
        whole = bytes(inner)
        if not whole:
            return [body] if body[1:].strip(_WHITE) != b"}" else []
        return list(_list.decode(inner)) if whole[:1] == b"[" else []
    _anything.decode(body)
    return []


# --- Salvage --------------------------------------------------------------------------------------
# Strings (also one that never ends, so that the search stays linear), runs of brackets, and commas.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[{]++|[\]}]++|,', re.DOTALL)
_EVENTS_KEY = re.compile(rb'"events"\s*+:\s*+(?=\[)')
SALVAGE_BYTES = 256 * 1024
"""A longer broken body is refused as a whole: looking at every bracket costs more than decoding does."""


def _salvage(body: bytes) -> list[RawEvent] | None:
    """The events of a body that is no JSON as a whole, when its brackets still tell them apart and one of them is
    sound, or all are broken in a number or character only; None otherwise. Linear in the size of the body.
    """
    if len(body) > SALVAGE_BYTES:
        return None
    start = 0
    if body[:1] != b"[":
        key = _EVENTS_KEY.search(body)
        if key is None:
            return [body] if _is_nearly_json(body) else None
        start = key.end()
    parts, end = _elements(body, start)
    # What is left without the events must be JSON itself; this also tells whether the key was the right one.
    shell = body[:start] + b"[]" + body[end:]
    try:
        rest = _anything.decode(shell)
    except DECODE_ERRORS:
        return None
    if not parts or (rest.get("events") if isinstance(rest, dict) else rest) != []:
        return None
    if any(isinstance(decode_event(part)[0], dict) for part in parts) or all(map(_is_nearly_json, parts)):
        return list(parts)
    return None


def _elements(body: bytes, start: int) -> tuple[list[bytes], int]:
    """The elements of the array at `start`, by brackets and commas alone, and where it ends; none if it does not."""
    depth = 0
    parts: list[bytes] = []
    element = start + 1
    for token in _TOKEN.finditer(body, start):
        at = token.start()
        sign = body[at]
        if sign == _COMMA:
            if depth == 1:
                parts.append(body[element:at].strip(_WHITE))
                element = at + 1
        elif sign in b"[{":
            depth += token.end() - at
        elif sign in b"]}":
            length = token.end() - at
            if depth <= length:
                end = at + depth - 1
                parts.append(body[element:end].strip(_WHITE))
                return parts, end + 1
            depth -= length
    return [], start


_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_NOT_A_NUMBER = re.compile(rb"(?<=[:,\[\s])-?(?:NaN|Infinity)(?=[,\]}\s])")


def _is_nearly_json(part: bytes) -> bool:
    """Whether only a lone surrogate or a NaN keeps `part` from being a JSON object."""
    mended = _NOT_A_NUMBER.sub(b"0", _ESCAPED_SURROGATE.sub(b"?", part))
    return isinstance(decode_event(mended)[0], dict)
