"""The `user_data` and `custom_data` of a Pinterest event. Source: developers.pinterest.com, API v5, events/create."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

from destinations.platforms import base, identity
from destinations.platforms._contents import Content, contents_of, ids_of
from destinations.platforms.base import Item
from events.fields import MAX_AMOUNT
from events.payload import Payload

CUSTOM = "custom"
"""The one name for all that has no name of its own ("Track conversion events in the API", table of event types): other
names are taken but do not show up in reports. What it was stands in `content_name`."""

_EPIK = re.compile(r"[?&]epik=([^&#]+)")


def _gender(text: str) -> str:
    """`f`, `m` or `n`. Source: API v5, `ge`."""
    normal = text.strip().lower()
    return normal if identity.is_hashed(normal) else normal[:1]


RULES: dict[str, Callable[[str], str]] = {
    "em": identity.email,
    "ph": identity.phone_digits,
    "fn": identity.name_lower,
    "ln": identity.name_lower,
    "ge": _gender,
    "db": identity.postal_code_digits,  # YYYYMMDD: digits only as well
    "ct": identity.name_compact,  # "in lowercase, and without spaces or punctuation": digits stay, unlike at Meta
    "st": identity.state,
    "zp": identity.postal_code_digits,
    "country": identity.country,
    "external_id": identity.identifier,  # no rule but the hash: it must be what the tag hashed
    "hashed_maids": identity.identifier,
}
"""The hashed keys of `user_data`, each a list, with their normalisers. Source: API v5, ConversionEventsUserData."""


def user_data(payload: Payload) -> dict[str, Any]:
    country = identity.country(payload.country) if payload.country else ""
    normal: dict[str, str] = {}
    if payload.email:
        normal["em"] = identity.email(payload.email)
    if payload.phone:
        normal["ph"] = identity.phone_digits(payload.phone, country.upper() if len(country) == 2 else "")
    if payload.first_name:
        normal["fn"] = identity.name_lower(payload.first_name)
    if payload.last_name:
        normal["ln"] = identity.name_lower(payload.last_name)
    if payload.city:
        normal["ct"] = identity.name_compact(payload.city)
    if payload.state:
        normal["st"] = identity.state(payload.state, country)
    if payload.zip:
        normal["zp"] = identity.postal_code_digits(payload.zip, country)
    normal["country"] = country
    user: dict[str, Any] = {key: [identity.hashed(text)] for key, text in normal.items() if text}
    # "You can send one or more external IDs": the visitor's too, which ties the visitor to the later user.
    ids = [identity.hashed(identity.identifier(text)) for text in (payload.external_id, payload.anonymous_id) if text]
    if any(ids):
        user["external_id"] = list(dict.fromkeys(filter(None, ids)))
    if payload.client_ip:
        user["client_ip_address"] = payload.client_ip
    if payload.user_agent:
        user["client_user_agent"] = payload.user_agent
    if click_id := payload.click_ids.get("epik") or _epik(payload.page_url):
        user["click_id"] = click_id
    return user


def _epik(page_url: str | None) -> str:
    """The click id of the landing address, which the tag keeps in the cookie _epik. Source: API v5, `click_id`."""
    found = _EPIK.search(page_url) if page_url and "epik=" in page_url else None
    return unquote(found[1]) if found else ""


def custom_data(item: Item, name: str, is_limited: bool) -> dict[str, Any]:
    payload = item.payload
    custom: dict[str, Any] = {}
    if amount := base.value_of(item):
        # A string, "parsed into a double" there; without trailing zeros, as the public integrations write it.
        custom["value"], custom["currency"] = number_text(amount[0]), amount[1]
    contents = contents_of(payload)
    if content_ids := ids_of(payload, contents):
        custom["content_ids"] = content_ids
    if contents:
        custom["contents"] = [_content(one) for one in contents]
    if payload.content_name:
        custom["content_name"] = payload.content_name
    elif name == CUSTOM:
        custom["content_name"] = item.event
    if payload.content_category:
        custom["content_category"] = payload.content_category
    if payload.num_items is not None:
        custom["num_items"] = payload.num_items
    if order_id := payload.order_id or payload.transaction_id:
        custom["order_id"] = order_id
    if is_limited:
        custom["opt_out_type"] = "LDP"
    return custom


def _content(one: Content) -> dict[str, Any]:
    """An amount is a string here too. Source: API v5, `contents`."""
    made = one.named(id="id", name="item_name", category="item_category", brand="item_brand", quantity="quantity")
    return made if one.price is None else made | {"item_price": number_text(one.price)}


def number_text(value: float) -> str:
    """A finite number as JavaScript's String() writes it, but never with an exponent: "49.9", "49"."""
    text = repr(value)
    return (format(Decimal(text), "f") if "e" in text else text).removesuffix(".0")


def protected(user: Mapping[str, Any]) -> dict[str, Any]:
    """`user` after the sender's overrides: hashed where Pinterest hashes, and in lists there."""
    lists = {key: identity.as_list(value) if key in RULES else value for key, value in user.items()}
    return identity.protected(lists, RULES)


def with_texts(custom: dict[str, Any]) -> dict[str, Any]:
    """Amounts that an override wrote as numbers, as the strings that Pinterest wants; what is no amount is left out."""
    changed = dict(custom)
    for key in ("value", "predicted_ltv"):
        given = custom.get(key)
        if isinstance(given, int | float) and not isinstance(given, bool):
            changed[key] = number_text(given) if -MAX_AMOUNT <= given <= MAX_AMOUNT else None
    return {key: value for key, value in changed.items() if value is not None}
