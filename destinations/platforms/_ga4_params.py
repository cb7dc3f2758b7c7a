"""The parameters of a Google Analytics 4 event: names, lengths, items, and the ids of client and session.

Sources: developers.google.com/analytics/devguides/collection/protocol/ga4/reference (limits, reserved names) and
…/reference/events (recommended events); support.google.com/analytics/answer/13316687 (naming rules) and
…/answer/9267744 (lengths); the validator of github.com/googleanalytics/ga-dev-tools (2026-09).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from destinations.platforms import base
from destinations.platforms._names import words
from destinations.platforms.base import Item
from events.payload import Payload

MAX_NAME = 40
MAX_PARAMS = 25
MAX_ITEMS = 200
MAX_VALUE = 100  # 500 in Analytics 360, which nobody can tell from here
LONGER = {"page_location": 1000, "page_referrer": 420, "page_title": 300}
MAX_USER_PROPERTY_NAME, MAX_USER_PROPERTY = 24, 36

RESERVED_EVENTS = frozenset(words("""
    ad_activeview ad_click ad_exposure ad_impression ad_query adunit_exposure app_clear_data app_install app_update
    app_remove app_store_refund app_store_subscription_cancel app_store_subscription_convert
    app_store_subscription_renew error first_open first_visit in_app_purchase notification_dismiss
    notification_foreground notification_open notification_receive os_update screen_view session_start user_engagement
"""))  # fmt: skip
RESERVED_PREFIXES = ("_", "firebase_", "ga_", "google_", "gtag.")
RESERVED_USER_PROPERTIES = frozenset(words("""
    first_open_time first_visit_time last_deep_link_referrer user_id first_open_after_install
"""))  # fmt: skip

ENGAGEMENT_MSEC = 100
"""What the vendor's own sample sends; without any an event makes nobody an active user, and stays out of Realtime
("Recommended parameters for reports")."""

SHOP = frozenset(words("""
    add_payment_info add_shipping_info add_to_cart add_to_wishlist begin_checkout purchase refund remove_from_cart
    view_cart view_item select_item
"""))  # fmt: skip
"""Recommended events with `items`: one is made up from the content or the plan when the event lists none."""
LEADS = frozenset(words("generate_lead qualify_lead working_lead disqualify_lead close_convert_lead"))

CUSTOM = words("""
    content_type content_id content_name content_category plan previous_plan feature demo_type action_type
    payment_method lead_event_source num_items subscription_id refund_id opportunity_stage pipeline_stage
    opportunity_id company_id company_name company_domain account_name
""")  # fmt: skip
"""Sent under their own names. Ids of single people (lead, CRM) and who sells to them stay at home: "do not send
personally identifiable information" (Analytics policy)."""

ITEM_TEXTS = words("""
    item_id item_name affiliation coupon currency item_brand item_category item_category2 item_category3 item_category4
    item_category5 item_list_id item_list_name item_variant location_id creative_name creative_slot promotion_id
    promotion_name
""")  # fmt: skip
ITEM_NUMBERS = words("discount index price")
ITEM_ALIASES = {
    "item_id": ("product_id", "id", "sku"), "item_name": ("name",), "item_brand": ("brand",),
    "item_category": ("category",), "item_variant": ("variant",), "index": ("position",),
}  # fmt: skip
"""The other names these go by in the product lists of RudderStack and Segment."""

CLIENT_IDS = ("ga_client_id", "client_id", "_ga")
SESSION_IDS = ("ga_session_id", "session_id")
APP_INSTANCE_IDS = ("ga_app_instance_id", "app_instance_id")
NO_PARAMS = frozenset(words("""
    items products user_properties email phone first_name last_name name full_name username user_name address street
    street_address city state zip postal_code country ip ip_address client_ip user_agent user_id birthday
    date_of_birth gender password token firebase_conversion
""")).union(CLIENT_IDS, SESSION_IDS, APP_INSTANCE_IDS)  # fmt: skip
"""Properties that are sent in another place, or that name a person."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)
_SPACES = re.compile(r"\s+")
_CLIENT_COOKIE = re.compile(r"GA\d+\.\d+\.(\d+\.\d+)")
_SESSION_COOKIE = re.compile(r"GS1\.\d+\.(\d+)(?:\..*)?|GS2\.\d+\.s(\d+)(?:\$.*)?")
_EMAIL = re.compile(r"[^\s@/?&=#:;,]{1,254}(?:@|%40)[\w.-]{1,253}", re.IGNORECASE)


def event_name(name: str) -> str:
    """As GA4 takes it: spaces as "_"; "" when it is none."""
    name = _SPACES.sub("_", name.strip())
    return name if is_name(name, MAX_NAME) and name not in RESERVED_EVENTS else ""


def is_name(name: str, longest: int) -> bool:
    return len(name) <= longest and _NAME.fullmatch(name) is not None and not name.startswith(RESERVED_PREFIXES)


def without_addresses(text: str) -> str:
    """E-mail addresses as (redacted), which is what Analytics' own redaction of the tag puts there."""
    return _EMAIL.sub("(redacted)", text) if "@" in text or "%40" in text else text


def params(item: Item, name: str, session_id: str, with_properties: bool) -> dict[str, Any]:
    """At most 25, the important ones first."""
    payload = item.payload
    found: dict[str, Any] = {"engagement_time_msec": ENGAGEMENT_MSEC}
    if session_id:
        found["session_id"] = session_id
    found |= _page(payload)
    if amount := _money(item):
        found["value"], found["currency"] = amount
    transaction_id = payload.transaction_id or payload.order_id
    if name == "purchase":  # by it GA4 counts a purchase once, however often it comes
        transaction_id = transaction_id or item.event_id
    if transaction_id:
        found["transaction_id"] = transaction_id[:MAX_VALUE]
    if items := _items(payload, name):
        found["items"] = items
    for key, value in _custom(payload, name):
        if len(found) == MAX_PARAMS:
            return found
        found[key] = value if isinstance(value, int) else without_addresses(value)[:MAX_VALUE]
    for key, value in payload.properties.items() if with_properties else ():
        if key == "engagement_time_msec" and isinstance(value, int) and not isinstance(value, bool) and value > 0:
            found[key] = value
        elif len(found) < MAX_PARAMS and key not in found and _is_param(key, value):
            found[key] = value[:MAX_VALUE] if isinstance(value, str) else value
    return found


def _page(payload: Payload) -> dict[str, str]:
    pages = {"page_location": payload.page_url, "page_title": payload.page_title, "page_referrer": payload.referrer}
    return {name: without_addresses(text)[: LONGER[name]] for name, text in pages.items() if text}


def _custom(payload: Payload, name: str) -> Iterator[tuple[str, Any]]:
    """Recommended parameters under their names, the rest under ours."""
    for key in CUSTOM:
        value = getattr(payload, key)
        if value is None:
            continue
        if key == "payment_method" and name == "add_payment_info":
            yield "payment_type", value
        elif key == "lead_event_source" and name in LEADS:
            yield "lead_source", value
        elif key == "pipeline_stage" and name == "working_lead":
            yield "lead_status", value
        else:
            yield key, value


def _is_param(key: str, value: Any) -> bool:
    if not is_name(key, MAX_NAME) or key.lower() in NO_PARAMS:
        return False
    if isinstance(value, str):
        return bool(value.strip()) and _EMAIL.search(value) is None
    return isinstance(value, int | float) and math.isfinite(value)


def _money(item: Item) -> tuple[float, str] | None:
    """Both or neither. Money back is a positive amount of a `refund`, which Analytics subtracts itself."""
    payload = item.payload
    if payload.value is None or payload.currency is None or not math.isfinite(payload.value):
        return None
    if item.event in base.MONEY_BACK:
        return abs(payload.value), payload.currency
    return (payload.value, payload.currency) if payload.value >= 0 else None


def _items(payload: Payload, name: str) -> list[dict[str, Any]]:
    listed = payload.properties.get("items") or payload.properties.get("products")
    if isinstance(listed, list) and (items := [one for one in map(_item, listed[:MAX_ITEMS]) if one]):
        return items
    ids = payload.content_ids or ([payload.content_id] if payload.content_id and name in SHOP else [])
    if len(ids) > 1:
        return [{"item_id": one[:MAX_VALUE]} for one in ids[:MAX_ITEMS]]
    if not ids and name not in SHOP:
        return []
    made = {
        "item_id": ids[0] if ids else payload.plan,
        "item_name": payload.content_name or payload.plan,
        "item_category": payload.content_category,
    }
    item: dict[str, Any] = {key: text[:MAX_VALUE] for key, text in made.items() if text}
    if item and payload.num_items:
        item["quantity"] = payload.num_items
    return [item] if item else []


def _item(given: Any) -> dict[str, Any]:
    """An entry of the sender's list with the fields GA4 knows; {} without an id and a name."""
    if not isinstance(given, Mapping):
        return {}

    def value_of(name: str) -> Any:
        return next((given[one] for one in (name, *ITEM_ALIASES.get(name, ())) if given.get(one) is not None), None)

    item: dict[str, Any] = {}
    for name in ITEM_TEXTS:
        value = value_of(name)
        if isinstance(value, str | int | float) and not isinstance(value, bool) and (text := str(value).strip()):
            item[name] = text[:MAX_VALUE]
    for name in ITEM_NUMBERS:
        value = value_of(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            item[name] = value
    quantity = given.get("quantity")
    if isinstance(quantity, int) and not isinstance(quantity, bool):
        item["quantity"] = quantity
    return item if "item_id" in item or "item_name" in item else {}


def user_properties(payload: Payload) -> dict[str, Any]:
    """`properties.user_properties`, each as `{"value": …}`, where GA4 takes the name and the value."""
    given = payload.properties.get("user_properties")
    found: dict[str, Any] = {}
    for name, value in given.items() if isinstance(given, Mapping) else ():
        fits = (
            is_name(name, MAX_USER_PROPERTY_NAME) and name not in RESERVED_USER_PROPERTIES and len(found) < MAX_PARAMS
        )
        if fits and name.lower() not in NO_PARAMS and _is_param(name, value) and len(str(value)) <= MAX_USER_PROPERTY:
            found[name] = {"value": value}
    return found


# --- Client and session ---------------------------------------------------------------------------
def client_id(properties: Mapping[str, Any]) -> str:
    """The id of the tag's client: as it is, or out of its `_ga` cookie."""
    return cookie_value(_first(properties, CLIENT_IDS), _CLIENT_COOKIE)


def session_id(properties: Mapping[str, Any], measurement_id: str) -> str:
    """The id of the tag's session: as it is, or out of its `_ga_<stream>` cookie."""
    names = (*SESSION_IDS, f"_ga_{measurement_id.removeprefix('G-')}")
    return cookie_value(_first(properties, names), _SESSION_COOKIE)


def app_instance_id(properties: Mapping[str, Any]) -> str:
    return _first(properties, APP_INSTANCE_IDS)


def cookie_value(text: str, cookie: re.Pattern[str]) -> str:
    found = cookie.fullmatch(text)
    return next(group for group in found.groups() if group) if found else text


def _first(properties: Mapping[str, Any], names: tuple[str, ...]) -> str:
    for name in names:
        value = properties.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip():
            return str(value).strip()
    return ""
