"""The `user_data` and `custom_data` of a Snapchat event. Source: developers.snap.com, Conversions API, "Parameters"."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from destinations.platforms import base, identity
from destinations.platforms._contents import contents_of, ids_of
from destinations.platforms._names import words
from destinations.platforms.base import Item
from events.payload import Payload

CURRENCIES = frozenset(words("""
    USD AED ALL AUD BGN BHD BRL CAD CHF CLP CNY COP CZK DKK DZD EGP EUR GBP GHS GIP HKD HRK HUF IDR ILS INR IQD ISK JOD
    JPY KES KRW KWD KZT LBP MAD MXN MYR NGN NOK NZD OMR PEN PHP PKR PLN QAR RON RUB SAR SEK SGD THB TRY TWD TZS UAH VND
    XOF ZAR
"""))  # fmt: skip
"""Those that Snap's own Segment destination lets through."""


@lru_cache(maxsize=4096)
def _postal_code(text: str, country_code: str = "") -> str:
    """Lower case, no spaces; US: five digits. Source: Parameters, `zp`, and Snap's own Segment destination."""
    normal = "".join(text.split()).lower()
    return normal[:5] if country_code == "us" and not identity.is_hashed(normal) else normal


def _gender(text: str) -> str:
    """`f` or `m`. Source: Parameters, `ge`."""
    normal = text.strip().lower()
    return normal if identity.is_hashed(normal) else normal[:1]


RULES: dict[str, Callable[[str], str]] = {
    "em": identity.email,
    "ph": identity.phone_digits,  # country code, no "+", no "00", no trunk zero
    "fn": identity.name_compact,  # "lower case letters only", no punctuation, other scripts stay: Raphaël is raphaël
    "ln": identity.name_compact,
    "ge": _gender,
    "db": identity.postal_code_digits,  # YYYYMMDD
    "ct": identity.name_compact,  # "in lowercase without spaces or punctuation"
    "st": identity.state,
    "zp": _postal_code,
    "country": identity.country,
    "external_id": identity.identifier,
}
"""The keys of `user_data` that must be hashed, with their normalisers. madid, idfv and the address are plain in v3."""

_SCCID = re.compile(r"[?&]sccid=([^&#]+)", re.IGNORECASE)  # Snap writes ScCid; the value's case counts


def user_data(payload: Payload) -> dict[str, Any]:
    """em, ph and external_id in lists, the others alone, as the vendor's example and its Segment destination do."""
    user: dict[str, Any] = {}
    country = identity.country(payload.country) if payload.country else ""
    if payload.email and (email := identity.email(payload.email)):
        user["em"] = [identity.hashed(email)]
    if payload.phone:
        phone = identity.phone_digits(payload.phone, country.upper() if len(country) == 2 else "")
        if phone:
            user["ph"] = [identity.hashed(phone)]
    for key, text in (
        ("fn", identity.name_compact(payload.first_name) if payload.first_name else ""),
        ("ln", identity.name_compact(payload.last_name) if payload.last_name else ""),
        ("ct", identity.name_compact(payload.city) if payload.city else ""),
        ("st", identity.state(payload.state, country) if payload.state else ""),
        ("zp", _postal_code(payload.zip, country) if payload.zip else ""),
        ("country", country),
    ):
        if text:
            user[key] = identity.hashed(text)
    # "You can send one or more": the visitor's id too, which ties the visitor to the later user.
    ids = [identity.hashed(identity.identifier(text)) for text in (payload.external_id, payload.anonymous_id) if text]
    if any(ids):
        user["external_id"] = list(dict.fromkeys(filter(None, ids)))
    # lead_id is that of a Snapchat Lead Ad, not the CRM's, which the event has: it comes by platformParams only.
    for key, value in (
        ("client_ip_address", payload.client_ip),
        ("client_user_agent", payload.user_agent),
        ("sc_click_id", payload.click_ids.get("sccid") or _click_id(payload.page_url)),
        ("sc_cookie1", payload.click_ids.get("scid")),
        ("subscription_id", payload.subscription_id),
    ):
        if value:
            user[key] = value
    return user


def _click_id(page_url: str | None) -> str:
    """ScCid of the landing address, its case kept. Source: Parameters, `sc_click_id`."""
    found = _SCCID.search(page_url) if page_url else None
    return unquote(found[1]) if found else ""


def custom_data(item: Item) -> dict[str, Any]:
    payload = item.payload
    custom: dict[str, Any] = {}
    amount = base.value_of(item)
    if amount and amount[1] in CURRENCIES:
        custom["value"], custom["currency"] = amount
    contents = contents_of(payload)
    if content_ids := ids_of(payload, contents):
        custom["content_ids"] = content_ids
    if contents:
        custom["contents"] = [
            one.named(id="id", brand="brand", quantity="quantity", price="item_price") for one in contents
        ]
    if payload.content_name:
        custom["content_name"] = payload.content_name
    if payload.content_category:
        custom["content_category"] = payload.content_category
    if payload.content_type in ("product", "product_group"):  # the only two Snap knows
        custom["content_type"] = payload.content_type
    if payload.num_items is not None:
        custom["num_items"] = payload.num_items
    if order_id := payload.order_id or payload.transaction_id:
        custom["order_id"] = order_id
    return custom
