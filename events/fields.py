"""The fields of an event, declared once: the parser's dispatch table, the API schema and the docs grow from here.

Pure: no ORM, no clock.
"""

from __future__ import annotations

from typing import Any

import msgspec

MAX_EVENTS = 100
MAX_NAME = 64
MAX_EVENT_ID = 128
MAX_URL = 2048
MAX_ITEMS = 200
"""Entries of `contentIds`."""
MAX_FREE_BYTES = 32 * 1024
"""Encoded size of `properties`, and of `platformParams`."""
MAX_DEPTH = 10
"""Nesting of `properties` and of `platformParams`, themselves included."""
MAX_AMOUNT = 1e15
MAX_COUNT = 1_000_000_000

NAME_PATTERN = r"^[A-Z][A-Za-z0-9]{1,63}$"
"""What an event name looks like, registered or not."""

TS_ALIASES = ("timestamp", "eventTime", "event_time", "time", "occurredAt")
"""Read as `ts` when `ts` is absent, in this order."""

CONTAINERS = ("userData", "customData")
"""Objects whose keys are read as if they stood at the top; the first to name a field wins."""


class Field(msgspec.Struct, frozen=True):
    """One optional field of the contract."""

    name: str
    """As in JSON."""
    group: str
    kind: str
    """text, url, number, integer, currency, ip or list."""
    description: str
    example: Any = None
    cap: int = 1024
    """Characters, of each entry in a list."""

    @property
    def attribute(self) -> str:
        """Its name in `events.payload.Payload`: the snake_case of `name`."""
        return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in self.name)


FIELDS: tuple[Field, ...] = (
    # identity
    Field("email", "identity", "text", "E-mail address, plain or SHA-256.", "ada@example.com", 320),
    Field("phone", "identity", "text", "Phone number, best with country code.", "+14155550123", 128),
    Field("firstName", "identity", "text", "Given name.", "Ada", 256),
    Field("lastName", "identity", "text", "Family name.", "Lovelace", 256),
    Field("city", "identity", "text", "City.", "London", 256),
    Field("state", "identity", "text", "State or region.", "CA", 256),
    Field("zip", "identity", "text", "Postal code.", "94103", 128),
    Field("country", "identity", "text", "Country, best as ISO 3166 two-letter code.", "US", 128),
    Field("externalId", "identity", "text", "Your id of the user.", "user_42", 256),
    Field("anonymousId", "identity", "text", "Your id of the visitor before sign-up.", "anon_9f2c", 256),
    # revenue
    Field("value", "revenue", "number", "Amount of money, in units of the currency.", 49.0),
    Field("currency", "revenue", "currency", "ISO 4217 code.", "USD", 3),
    Field("transactionId", "revenue", "text", "Payment or invoice id.", "in_1042", 256),
    Field("orderId", "revenue", "text", "Order id.", "order_1042", 256),
    Field("plan", "revenue", "text", "Plan bought or in use.", "growth", 256),
    Field("previousPlan", "revenue", "text", "Plan before the change.", "starter", 256),
    Field("subscriptionId", "revenue", "text", "Subscription id.", "sub_77", 256),
    Field("refundId", "revenue", "text", "Refund id.", "re_12", 256),
    # B2B
    Field("leadId", "b2b", "text", "Lead id in your CRM.", "00Q5e00000AbCdE", 256),
    Field("companyId", "b2b", "text", "Your id of the company.", "acme", 256),
    Field("companyName", "b2b", "text", "Company name.", "Acme Inc.", 512),
    Field("companyDomain", "b2b", "text", "Company domain.", "acme.com", 256),
    Field("accountName", "b2b", "text", "Account or workspace name.", "Acme EU", 512),
    Field("crmId", "b2b", "text", "Contact id in your CRM.", "12345", 256),
    Field("opportunityId", "b2b", "text", "Opportunity or deal id.", "0065e00000XyZ", 256),
    Field("opportunityStage", "b2b", "text", "Stage of the opportunity.", "Proposal", 256),
    Field("pipelineStage", "b2b", "text", "Stage of the pipeline.", "Qualified", 256),
    Field("salesOwner", "b2b", "text", "Who owns the deal.", "sam@example.com", 320),
    # content
    Field("pageUrl", "content", "url", "Address of the page.", "https://example.com/pricing?gclid=abc", MAX_URL),
    Field("pageTitle", "content", "text", "Title of the page.", "Pricing"),
    Field("referrer", "content", "url", "Address the visitor came from.", "https://www.google.com/", MAX_URL),
    Field("contentType", "content", "text", "Kind of content.", "guide", 256),
    Field("contentId", "content", "text", "Id of the content.", "guide-7", 256),
    Field("contentName", "content", "text", "Name of the content.", "Attribution for B2B"),
    Field("contentCategory", "content", "text", "Category of the content.", "guides", 256),
    Field("contentIds", "content", "list", "Ids of several pieces of content or products.", ["sku-1"], 256),
    Field("feature", "content", "text", "Product feature concerned.", "email-finder", 256),
    Field("demoType", "content", "text", "Kind of demo.", "live", 256),
    Field("actionType", "content", "text", "Kind of action.", "export", 256),
    Field("paymentMethod", "content", "text", "How it is paid.", "card", 256),
    Field("leadEventSource", "content", "text", "System the lead event comes from.", "HubSpot", 256),
    Field("numItems", "content", "integer", "How many items.", 3),
    # technical
    Field("clientIp", "technical", "ip", "IP address of the visitor, when a server sends.", "203.0.113.7", 64),
    Field("userAgent", "technical", "text", "User agent of the visitor, when a server sends.", "Mozilla/5.0"),
)

CLICK_IDS: dict[str, str] = {
    "fbc": "Meta click id cookie (_fbc)",
    "fbp": "Meta browser id cookie (_fbp)",
    "fbclid": "Meta click id from the landing address",
    "gclid": "Google Ads click id",
    "gbraid": "Google Ads app-to-web id",
    "wbraid": "Google Ads web-to-app id",
    "li_fat_id": "LinkedIn click id",
    "ttclid": "TikTok click id",
    "ttp": "TikTok browser id cookie (_ttp)",
    "rdt_cid": "Reddit click id",
    "rdt_uuid": "Reddit browser id cookie (_rdt_uuid)",
    "twclid": "X click id",
    "msclkid": "Microsoft Ads click id",
    "epik": "Pinterest click id",
    "scid": "Snapchat browser id cookie (_scid)",
    "sccid": "Snapchat click id (ScCid)",
    "qclid": "Quora click id",
}
"""Read inside `clickIds`, and also flat or inside `userData` and `customData`."""
MAX_CLICK_ID = 1024

CONSENT: dict[str, str] = {
    "marketing": "Ad platforms and CRMs may have the event",
    "analytics": "Analytics, warehouses and webhooks may have the event",
}

STRUCTURAL: dict[str, str] = {
    "event": "Canonical name such as SignUp, or an extension name in PascalCase. Required.",
    "eventId": "Unique per event and source; the same id again is a duplicate. Required.",
    "ts": "When it happened: Unix seconds or milliseconds, or ISO 8601. Missing: now.",
    "userData": "Identity fields and click ids, nested instead of flat.",
    "customData": "All other fields, nested instead of flat.",
    "clickIds": "Click and browser ids of ad platforms.",
    "consent": "What the person agreed to; a category not named takes the source's default.",
    "properties": "Anything else, free form.",
    "platformParams": "Per platform key: values merged over what is sent there.",
}
"""The fields that are no plain values."""


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12, as OpenAPI 3.1 takes it) of one event."""

    def plain(field: Field) -> dict[str, Any]:
        text: dict[str, Any] = {"type": "string", "maxLength": field.cap}
        shapes: dict[str, dict[str, Any]] = {
            "number": {"type": "number", "minimum": -MAX_AMOUNT, "maximum": MAX_AMOUNT},
            "integer": {"type": "integer", "minimum": 0, "maximum": MAX_COUNT},
            "currency": {"type": "string", "pattern": "^[A-Za-z]{3}$"},
            "list": {"type": "array", "items": text, "maxItems": MAX_ITEMS},
        }
        return {**shapes.get(field.kind, text), "description": field.description, "examples": [field.example]}

    click_ids = {
        name: {"type": "string", "maxLength": MAX_CLICK_ID, "description": description}
        for name, description in CLICK_IDS.items()
    }
    flat: dict[str, Any] = {field.name: plain(field) for field in FIELDS}
    shapes: dict[str, dict[str, Any]] = {
        "event": {"type": "string", "pattern": NAME_PATTERN, "examples": ["SignUp"]},
        "eventId": {"type": "string", "minLength": 1, "maxLength": MAX_EVENT_ID, "examples": ["signup-42"]},
        "ts": {
            "oneOf": [{"type": "number"}, {"type": "string", "format": "date-time"}],
            "examples": [1767225600, "2026-01-01T00:00:00Z"],
        },
        "userData": {"type": "object", "properties": {f.name: flat[f.name] for f in FIELDS if f.group == "identity"}},
        "customData": {"type": "object", "properties": {f.name: flat[f.name] for f in FIELDS if f.group != "identity"}},
        "clickIds": {"type": "object", "properties": click_ids},
        "consent": {
            "type": "object",
            "properties": {name: {"type": "boolean", "description": text} for name, text in CONSENT.items()},
        },
        "properties": {"type": "object", "additionalProperties": True},
        "platformParams": {"type": "object", "additionalProperties": {"type": "object", "additionalProperties": True}},
    }
    special = {name: {**shapes[name], "description": description} for name, description in STRUCTURAL.items()}
    return {
        "type": "object",
        "required": ["event", "eventId"],
        "properties": {**special, **flat},
        "additionalProperties": True,
    }
