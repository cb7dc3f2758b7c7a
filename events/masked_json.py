"""JSON for people's eyes: identity masked, and put back where an edited text left the mask standing. Pure.

A person who mends a rejected event edits what they may see; whatever they did not touch goes back in as it was sent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from destinations import masking

Json = Any
CAP = 50_000
_SURROGATE = re.compile("[\ud800-\udfff]")
DEEPEST = 40
"""Deeper values are shown as `…`: nobody reads them, and recursion must end somewhere."""


def shown(value: Json, key: str = "", depth: int = 0) -> Json:
    """A decoded value with each leaf masked as its key and its text demand; numbers under identity keys too."""
    if depth > DEEPEST:
        return "…"
    if isinstance(value, dict):
        return {str(name): shown(inner, str(name), depth + 1) for name, inner in value.items()}
    if isinstance(value, list):
        return [shown(inner, key, depth + 1) for inner in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and (inner := _inner(value)) is not None:
        return _as_text(value, inner, lambda found: shown(found, key, depth + 1))
    text = value if isinstance(value, str) else str(value)
    pair = f"{json.dumps(key)}: {json.dumps(text, ensure_ascii=False)}"
    masked = masking.masked(pair, cap=CAP)
    return value if masked == pair else _value_of(masked, text)


def of_request(value: Json, depth: int = 0) -> Json:
    """As `shown`, with every leaf under `properties` masked: what senders put there is theirs, and may be anything."""
    if depth > DEEPEST:
        return "…"
    if isinstance(value, dict):
        return {
            str(name): _blank(inner, depth) if name == "properties" else _of_pair(str(name), inner, depth)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [of_request(inner, depth + 1) for inner in value]
    return shown(value)


def _of_pair(name: str, value: Json, depth: int) -> Json:
    has_objects = isinstance(value, dict) or (isinstance(value, list) and any(isinstance(x, dict) for x in value))
    if isinstance(value, str) and (inner := _inner(value)) is not None:
        return _as_text(value, inner, lambda found: _of_pair(name, found, depth + 1))
    return of_request(value, depth + 1) if has_objects else shown(value, name, depth + 1)


def _inner(text: str) -> Json:
    """What a text holds that is a JSON object or array itself; None when it is none."""
    if text[:1] not in ("{", "["):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _as_text(text: str, inner: Json, mask: Callable[[Json], Json]) -> str:
    masked = mask(inner)
    return text if masked == inner else json.dumps(masked, ensure_ascii=False)


def _blank(value: Json, depth: int) -> Json:
    if depth > DEEPEST:
        return "…"
    if isinstance(value, dict):
        return {str(name): _blank(inner, depth + 1) for name, inner in value.items()}
    return "***"


def _value_of(masked: str, text: str) -> str:
    """The value of a masked `"key": "value"`; `***` when masking went across its quotes."""
    try:
        (value,) = json.loads(f"{{{masked}}}").values()
    except ValueError:
        return "***"
    return str(value) if value != text else "***"


def restored(edited: Json, original: Json, key: str = "", depth: int = 0) -> Json:
    """`edited` with every leaf that still reads as `shown(original)` put back to what was sent."""
    if depth > DEEPEST:
        return original if edited == "…" else edited
    if isinstance(edited, dict) and isinstance(original, dict):
        return {name: restored(inner, original.get(name), name, depth + 1) for name, inner in edited.items()}
    if isinstance(edited, list) and isinstance(original, list):
        padded = [*original, *[None] * (len(edited) - len(original))]
        return [restored(inner, padded[index], key, depth + 1) for index, inner in enumerate(edited)]
    if isinstance(edited, str) and not isinstance(original, (dict, list)) and edited == shown(original, key, depth):
        return original
    return edited


def pretty(value: Json) -> str:
    """Masked and indented. Text is read as JSON first; what is none is masked as it stands. What is decoded already is
    an event that was accepted: what stands in its `properties` is masked whatever it is.
    """
    mask = of_request
    if isinstance(value, str):
        mask = shown
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return masking.masked(value, cap=CAP)
    try:
        return printable(json.dumps(mask(value), ensure_ascii=False, indent=2))
    except RecursionError:
        return printable(masking.masked(str(value)[:CAP], cap=CAP))


def printable(text: str) -> str:
    """JSON text with half a surrogate pair, which no page, file or database takes, as the escape it came as."""
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
