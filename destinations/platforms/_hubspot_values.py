"""What an event of ours says to HubSpot: the properties of the custom event, and those of the contact. Pure.

Source: developers.hubspot.com/docs, "Send custom event occurrences", "Define custom events", "Contacts".
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from destinations.platforms import identity
from destinations.platforms._names import words
from destinations.platforms.base import Item
from events.payload import Payload

MAX_PROPERTIES = 50  # this and the next two: "Send custom event occurrences", Limits; beyond them a request fails
MAX_TEXT = 256
MAX_URL = 1024

# HubSpot's default event properties that an event of ours can fill → where it stands. Source: "Define custom events".
DEFAULTS = {
    "hs_page_url": "page_url", "hs_page_title": "page_title", "hs_referrer": "referrer", "hs_user_agent": "user_agent",
    "hs_city": "city", "hs_region": "state", "hs_country": "country",
}  # fmt: skip
UTM = {f"hs_{name}": name for name in words("utm_source utm_medium utm_campaign utm_term utm_content")}
URLS = words("hs_page_url hs_referrer hs_link_href page_url referrer")
# Without a property of its own for money, HubSpot needs these two defined on the events that carry an amount.
PROPERTIES = " ".join([*DEFAULTS, *UTM, "value", "currency"])
NOT_PROPERTIES = frozenset({"click_ids", "consent", "properties", "platform_params"})

CONTACT = {
    "firstname": "first_name", "lastname": "last_name", "company": "company_name", "website": "company_domain",
    "city": "city", "state": "state", "zip": "zip", "country": "country",
}  # fmt: skip

IDENTITY = frozenset({"email", "phone", *CONTACT.values()})

_EMAIL = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")

Plan = tuple[tuple[str, str, str, int], ...]
"""(property, source, key there, longest text) of each event property that is defined in HubSpot."""


# --- Contact --------------------------------------------------------------------------------------
def address(item: Item) -> str:
    """The e-mail address as HubSpot keeps it; "" when there is none, or only its hash."""
    params = item.payload.platform_params.get("hubspot")
    text = params["email"] if params and "email" in params else item.payload.email
    normal = identity.email(text) if text and isinstance(text, str) else ""
    return normal if normal and _EMAIL.fullmatch(normal) else ""


def contact_of(payload: Payload, email: str, legal_basis: str) -> dict[str, Any]:
    contact: dict[str, Any] = {"email": email}
    for name, attribute in CONTACT.items():
        value = getattr(payload, attribute)
        if value and not identity.is_hashed(value):
            contact[name] = value
    if payload.phone and not identity.is_hashed(payload.phone):
        country = identity.country(payload.country).upper() if payload.country else ""
        number = identity.phone_e164(payload.phone, country if len(country) == 2 else "")
        contact["phone"] = number or payload.phone  # HubSpot takes any text, and people can still read it
    if legal_basis and payload.consent.get("marketing"):
        contact["hs_legal_basis"] = legal_basis
    return contact


# --- Event properties -----------------------------------------------------------------------------
@lru_cache(maxsize=64)
def plan_of(names: str) -> Plan:
    """What the names in the setting are filled from; each once, and no more than HubSpot takes."""
    plan = []
    attributes = set(Payload.__struct_fields__) - NOT_PROPERTIES
    for name in list(dict.fromkeys(re.split(r"[\s,]+", names.strip())))[:MAX_PROPERTIES]:
        longest = MAX_URL if name in URLS else MAX_TEXT
        if name in UTM:
            plan.append((name, "utm", UTM[name], longest))
        elif name in DEFAULTS or name in attributes:
            plan.append((name, "payload", DEFAULTS.get(name, name), longest))
        elif name:
            plan.append((name, "properties", name, longest))
    return tuple(plan)


def properties_of(payload: Payload, plan: Plan) -> dict[str, str]:
    found: dict[str, str] = {}
    tags = _tags(payload.page_url) if payload.page_url and "utm_" in payload.page_url else {}
    for name, source, key, longest in plan:
        if source == "payload":
            value = getattr(payload, key)
        else:
            value = tags.get(key) if source == "utm" else payload.properties.get(key)
        if value is None or value == []:
            continue
        text = value if type(value) is str else text_of(value)
        if text and not (key in IDENTITY and identity.is_hashed(text)):
            found[name] = _cut(text, longest)
    if "value" in found and payload.currency is None:  # an amount of nothing
        del found["value"]
    if "currency" in found and (payload.value is None or not math.isfinite(payload.value)):
        del found["currency"]
    return found


def as_texts(properties: Mapping[str, Any]) -> dict[str, str]:
    """Properties after the sender's overrides, in HubSpot's limits."""
    texts = ((name, text_of(value)) for name, value in list(properties.items())[:MAX_PROPERTIES])
    return {name: _cut(text, MAX_URL if name in URLS else MAX_TEXT) for name, text in texts if text}


def text_of(value: Any) -> str:
    """A value as HubSpot takes every property: text. Several values are joined as it joins the choices of a list."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if not math.isfinite(value):
            return ""
        return str(int(value)) if value.is_integer() else format(Decimal(repr(value)), "f")
    if isinstance(value, list) and all(isinstance(one, str | int | float) for one in value):
        return ";".join(map(text_of, value))
    return str(value) if isinstance(value, int) else msgspec.json.encode(value).decode()


def _cut(text: str, longest: int) -> str:
    """At most `longest` characters as HubSpot counts them: an emoji is two."""
    if len(text) * 2 <= longest or (len(text) <= longest and text.isascii()):
        return text
    return text.encode("utf-16-le", "surrogatepass")[: longest * 2].decode("utf-16-le", "ignore")


@lru_cache(maxsize=4096)
def _tags(url: str) -> dict[str, str]:
    return dict(parse_qsl(url.partition("#")[0].partition("?")[2]))
