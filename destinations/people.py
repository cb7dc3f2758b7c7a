"""Whom an event is about, as texts: what must not stand in anything that people see or that is kept of a request. Pure.

Masking by name (`destinations.masking`) knows the keys of the platforms; this knows the values of the very event, so it
also finds them under a key of the platform's own, or within another text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from events.fields import FIELDS
from events.payload import Payload

IDENTITY: dict[str, str] = {
    field.name: field.attribute
    for field in FIELDS
    if field.group == "identity" or field.name in ("clientIp", "userAgent")
}
"""What may find a person, beside the click ids: name in the contract → attribute of Payload."""

SHORT = 3
"""Shorter texts ("CA", say) stand for a person only where they are a whole value."""
MASK = "***"


def values(payload: Payload) -> list[str]:
    """Everything in an event that tells whom it is about, as sent; `properties` may hold anything."""
    return [*identity(payload), *filter(None, map(str.strip, texts(payload.properties)))]


def identity(payload: Payload) -> list[str]:
    """`values` without `properties`."""
    found = [getattr(payload, attribute) for attribute in IDENTITY.values()]
    found += payload.click_ids.values()
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


def hidden(text: str, payload: Payload) -> str:
    """A text that JSON strings stand in, without what tells whom the event is about."""
    for spelling in spellings(values(payload)):
        whole = spelling if len(spelling) >= SHORT else f'"{spelling}"'
        text = text.replace(whole, MASK if whole == spelling else f'"{MASK}"')
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
