"""What was bought or looked at, item by item, for the platforms that take a list of contents. Pure.

The contract knows the ids of contents; with prices and counts they come in `properties`: as `items` (GA4's word),
`products` (the one of Segment and RudderStack) or `contents` (Meta's and TikTok's). Only the fields below are read:
the rest of the free-form properties stays at home, nobody vouches for what is in it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from events.payload import Payload

LISTS = ("items", "products", "contents")
MOST = 200  # as many as Google Analytics takes
MAX_TEXT = 200
MAX_NUMBER = 1e12

IDS = ("item_id", "product_id", "content_id", "id", "sku")
NAMES = ("item_name", "content_name", "name", "title")
CATEGORIES = ("item_category", "content_category", "category")
BRANDS = ("item_brand", "brand")
PRICES = ("price", "item_price", "unit_price")
QUANTITIES = ("quantity", "num_items")


class Content(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    id: str
    name: str | None = None
    category: str | None = None
    brand: str | None = None
    price: float | None = None
    """Of one, in the currency of the event."""
    quantity: int | None = None

    def named(self, **names: str) -> dict[str, Any]:
        """What is known, each field under the vendor's name for it; fields without one are left out."""
        return {name: value for field, name in names.items() if (value := getattr(self, field)) is not None}


def contents_of(payload: Payload) -> list[Content]:
    """The contents that the sender listed; [] when there is no such list. Entries without an id are left out."""
    properties = payload.properties
    if not properties:
        return []
    for name in LISTS:
        listed = properties.get(name)
        if isinstance(listed, list) and (found := [one for one in map(_content, listed[:MOST]) if one is not None]):
            return found
    return []


def ids_of(payload: Payload, contents: list[Content]) -> list[str]:
    """The ids of the contract's fields, else those of the list."""
    return payload.content_ids or ([payload.content_id] if payload.content_id else [one.id for one in contents])


def _content(given: Any) -> Content | None:
    if not isinstance(given, Mapping):
        return None
    content_id = _text(given, IDS)
    if content_id is None:
        return None
    price, quantity = _number(given, PRICES), _number(given, QUANTITIES)
    return Content(
        id=content_id,
        name=_text(given, NAMES),
        category=_text(given, CATEGORIES),
        brand=_text(given, BRANDS),
        price=price,
        quantity=int(quantity) if quantity and quantity == int(quantity) else None,  # 2.0 is two
    )


def _text(given: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    for name in names:
        value = given.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and (text := str(value)[:MAX_TEXT].strip()):
            return text
    return None


def _number(given: Mapping[str, Any], names: tuple[str, ...]) -> int | float | None:
    for name in names:
        value = given.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value if math.isfinite(value) and 0 <= value <= MAX_NUMBER else None
    return None
