"""What an event of ours says to Customer.io: who it is about, the attributes of the person and of the event. Pure.

Source: docs.customer.io, Track API v2 ("Send multiple requests") and Pipelines API ("Batch requests"), with their
OpenAPI files; github.com/ulid/spec for the event's id.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl

from destinations.platforms import identity
from destinations.platforms._names import words
from events.payload import Payload

MAX_ID = 150  # bytes of an id; of a person's attribute 1000: docs.customer.io, "Limits"
MAX_ATTRIBUTE = 1000

# They address the e-mails that the event triggers, so an event must not bring them along: OpenAPI, person_event.
RESERVED = frozenset({"recipient", "from_address", "reply_to"})

PERSON = words("first_name last_name city state zip country company_name company_domain")
EVENT = words("""
    transaction_id order_id plan previous_plan subscription_id refund_id lead_id company_id company_name company_domain
    account_name crm_id opportunity_id opportunity_stage pipeline_stage sales_owner page_url page_title referrer
    content_type content_id content_name content_category feature demo_type action_type payment_method
    lead_event_source num_items
""")
CAMPAIGN = {f"utm_{name}": name for name in words("source medium term content")} | {"utm_campaign": "name"}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [first + second for first in _CROCKFORD for second in _CROCKFORD]


def ulid(event_id: str, ms: int) -> str:
    """The event's time (48 bits) and a hash of its id (80 bits): the same on every try, so that it is told apart once.

    Another shape of id is not honoured: OpenAPI, person_event, "A valid ULID used to deduplicate events".
    """
    digest = sha256(event_id.encode("utf-8", "surrogatepass")).digest()
    number = min(max(ms, 0), (1 << 48) - 1) << 80 | int.from_bytes(digest[:10])
    return "".join([_PAIRS[number >> shift & 1023] for shift in range(120, -1, -10)])


def iso(ms: int) -> str:
    return (_EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def email_of(payload: Payload) -> str:
    """The address in plain, the only form Customer.io can write to."""
    normal = identity.email(payload.email) if payload.email else ""
    return "" if identity.is_hashed(normal) else normal


def identifiers_of(payload: Payload, email: str) -> dict[str, str]:
    """Exactly one, the surest: the sender's id, the address, the visitor. Empty: nobody."""
    user = payload.external_id or ""
    if user.startswith("cio_") and len(user) > 4:
        return {"cio_id": user[4:]}
    if user:
        return {"id": user}
    if email:
        return {"email": email}
    return {"anonymous_id": payload.anonymous_id} if payload.anonymous_id else {}


def person_of(payload: Payload, email: str, subscription: str) -> dict[str, Any]:
    """The attributes of the person. With the visitor's id, Customer.io hands over what the visitor did before."""
    person: dict[str, Any] = {"email": email} if email else {}
    if payload.phone and not identity.is_hashed(payload.phone):
        country = identity.country(payload.country).upper() if payload.country else ""
        number = identity.phone_e164(payload.phone, country if len(country) == 2 else "")
        person["phone"] = number or payload.phone
    for name in PERSON:
        value = getattr(payload, name)
        if value and not identity.is_hashed(value):
            person[name] = value
    if payload.anonymous_id:
        person["anonymous_id"] = payload.anonymous_id
    if subscription == "marketing" and "marketing" in payload.consent:
        person["unsubscribed"] = not payload.consent["marketing"]
    return {name: _cut(value) if isinstance(value, str) else value for name, value in person.items()}


def attributes_of(payload: Payload) -> dict[str, Any]:
    """The attributes of the event: the sender's own properties, and over them the fields of the contract."""
    found = dict(payload.properties)
    if payload.value is not None and payload.currency is not None and math.isfinite(payload.value):
        found["value"], found["currency"] = payload.value, payload.currency
    for name in EVENT:
        value = getattr(payload, name)
        if value is not None:
            found[name] = value
    if payload.content_ids:
        found["content_ids"] = payload.content_ids
    return without_reserved(found)


def without_reserved(attributes: dict[str, Any]) -> dict[str, Any]:
    if RESERVED.isdisjoint(attributes):
        return attributes
    return {name: value for name, value in attributes.items() if name not in RESERVED}


def context_of(payload: Payload) -> dict[str, Any]:
    """Where it happened, as the Pipelines API names it. Source: its OpenAPI file, context_common and context_page."""
    url, page = payload.page_url or "", {}
    if url:
        address, _, search = url.partition("#")[0].partition("?")
        page["url"] = url
        if path := "/" + address.partition("://")[2].partition("/")[2]:
            page["path"] = path
        if search:
            page["search"] = f"?{search}"
    if payload.page_title:
        page["title"] = payload.page_title
    if payload.referrer:
        page["referrer"] = payload.referrer
    campaign = _campaign(url) if "utm_" in url else {}
    parts = {"ip": payload.client_ip, "userAgent": payload.user_agent, "page": page, "campaign": campaign}
    return {name: value for name, value in parts.items() if value}


@lru_cache(maxsize=4096)
def _campaign(url: str) -> dict[str, str]:
    tags = parse_qsl(url.partition("#")[0].partition("?")[2])
    return {CAMPAIGN[name]: value for name, value in tags if name in CAMPAIGN}


def _cut(text: str) -> str:
    if len(text) * 4 <= MAX_ATTRIBUTE:
        return text
    return text.encode("utf-8", "surrogatepass")[:MAX_ATTRIBUTE].decode("utf-8", "ignore")


def with_texts_of(value: Any, longest: int) -> Any:
    """The value with every text in it cut to `longest` characters."""
    if isinstance(value, str):
        return value[:longest]
    if isinstance(value, list):
        return [with_texts_of(one, longest) for one in value]
    return {name: with_texts_of(one, longest) for name, one in value.items()} if isinstance(value, dict) else value
