"""Whom an event is about, as texts: what must not stand in anything that people see or that is kept of a request. Pure.

Masking by name (`destinations.masking`) knows the keys of the platforms; this knows the values of the very event, so it
also finds them under a key of the platform's own, or within another text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

from events.fields import FIELDS
from events.payload import Payload

IDENTITY: dict[str, str] = {
    field.name: field.attribute
    for field in FIELDS
    if field.group == "identity" or field.name in ("clientIp", "userAgent")
}
"""What may find a person, beside the click ids: name in the contract → attribute of Payload."""

OTHERS = ("sales_owner",)
"""Attributes of Payload that name a person, though not the one whom the event is about."""

SHORT = 3
"""Shorter texts ("CA", say) stand for a person only where they are a whole value."""
MASK = "***"
_PLAIN = re.compile(r"[\w.~-]*", re.ASCII)
"""The same in an address and in JSON as by itself."""


def values(payload: Payload) -> list[str]:
    """Everything in an event that tells whom it is about, as sent; `properties` may hold anything."""
    return [*identity(payload), *filter(None, map(str.strip, texts(payload.properties)))]


def identity(payload: Payload) -> list[str]:
    """`values` without `properties`."""
    found = [getattr(payload, attribute) for attribute in (*IDENTITY.values(), *OTHERS)]
    found += payload.click_ids.values()
    if payload.first_name and payload.last_name:  # as one text: what is short must be found within it
        first, last = payload.first_name.strip(), payload.last_name.strip()
        found += [f"{first} {last}", f"{last} {first}", f"{last}, {first}"]
    return [text for value in found if value and (text := str(value).strip())]


def spellings(values: Iterable[str]) -> list[str]:
    """Values in every way that platforms write them without hashing; longest first."""
    found = set()
    for text in values:
        found |= {text, text.lower(), text.upper()}
        digits = "".join(filter(str.isdigit, text))
        if len(digits) >= 7:
            found.add(digits)
    return sorted(found, key=len, reverse=True)


def _escaped(spelled: list[str], text: str) -> list[str]:
    """`spellings` with those of an address and of JSON that stands in a text, if this one has any; longest first."""
    has_quoted, has_json = "%" in text or "+" in text, "\\" in text
    if not has_quoted and not has_json:
        return spelled
    found = set(spelled)
    for spelling in spelled:
        if _PLAIN.fullmatch(spelling) or (len(spelling) < SHORT and spelling.isascii()):  # "/", say, is %2F everywhere
            continue
        if has_quoted:
            found |= {quote(spelling, safe="", errors="replace"), quote_plus(spelling, errors="replace")}
        if has_json:
            found |= {json.dumps(spelling)[1:-1], json.dumps(spelling, ensure_ascii=False)[1:-1]}
    return sorted(found, key=len, reverse=True)


def hidden(text: str, payload: Payload) -> str:
    """A text, or one that JSON strings stand in, without what tells whom the event is about."""
    return _without(text, spellings(values(payload)))


def within(value: Any, about: Iterable[str]) -> Any:
    """A decoded value with each of its texts as `hidden`. about: `values` of the event, or its `identity` alone."""
    return _within(value, spellings(about))


def _within(value: Any, spelled: list[str]) -> Any:
    if isinstance(value, str):
        return _without(value, spelled)
    if isinstance(value, Mapping):
        return {key: _within(entry, spelled) for key, entry in value.items()}
    if isinstance(value, list):
        return [_within(entry, spelled) for entry in value]
    return value


def _without(text: str, spelled: list[str]) -> str:
    for spelling in _escaped(spelled, text):
        if spelling not in text:
            continue
        if len(spelling) >= SHORT:
            text = text.replace(spelling, MASK)
        elif text == spelling:
            return MASK
        elif any(end in text for end in (f'{spelling}"', f"{spelling}'", f"{spelling}\\", f"={spelling}")):
            # A whole value of JSON, also of JSON within JSON, or of a form or address.
            word = re.escape(spelling)
            text = re.sub(rf'(\\*["\']){word}(?=\1)|(?<==){word}(?=&|$)', lambda found: (found[1] or "") + MASK, text)
    return text


def texts(value: Any) -> Iterator[str]:
    """Every text in a decoded value, however deep; the contract bounds how deep that is."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for entry in value.values():
            yield from texts(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from texts(entry)


def hidden_of_all(text: str, payloads: Iterable[Payload]) -> str:
    """As `hidden`, for an answer that may speak of several events."""
    for payload in payloads:
        text = hidden(text, payload)
    return text


def unnamed(sentence: str, payloads: Iterable[Payload]) -> str:
    """A platform's sentence without whom the events are about. Whole words only, and nothing of `properties`: unlike a
    body it must stay readable, and say the same of each event ("Timeout", though it is Tim's)."""
    found = spellings(text for payload in payloads for text in identity(payload) if len(text) >= SHORT)
    said = [re.escape(spelling) for spelling in found if spelling.lower() in sentence.lower()]
    return re.sub(rf"(?<!\w)(?:{'|'.join(said)})(?!\w)", MASK, sentence, flags=re.IGNORECASE) if said else sentence
