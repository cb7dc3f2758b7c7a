"""What the warehouse doubles' tests share: full events, and a delivery as the product makes it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from destinations import platforms
from destinations.platforms.base import Item, Outcome, Request, Response
from destinations.sandbox.server import Sandbox
from tests.destinations.platforms.making import CONFIG, item
from tests.destinations.sandbox.support import Reply, ask

ROW: dict[str, Any] = {
    "event_id": "evt-1",
    "event": "Purchase",
    "occurred_at": "2026-11-23T11:00:00.000Z",
    "email": "ada@example.com",
    "value": 49.9,
    "currency": "USD",
    "num_items": 2,
    "content_ids": '["a"]',
    "properties": '{"plan":"growth"}',
}
"""Written by hand from the documented columns."""

PERSON = {
    "email": "ada@example.com", "phone": "+14155552671", "first_name": "Ada", "last_name": "O'Byron", "city": "London",
    "state": "LND", "zip": "NW1", "country": "GB", "external_id": "u1", "anonymous_id": "a1",
    "client_ip": "2001:db8::1", "user_agent": "Mozilla/5.0", "page_url": "https://example.com/?gclid=x",
    "page_title": "Pricing 😀", "referrer": "https://example.org/", "click_ids": {"gclid": "x"},
    "consent": {"marketing": True, "analytics": False},
    "properties": {"seats": 3, "nested": {"a": [1, None]}},
}  # fmt: skip
ITEMS: list[Item] = [
    item("Purchase", key=0, event_id="e0", **PERSON, value=49.9, currency="USD", order_id="o1", transaction_id="t1",
         num_items=2, content_ids=["a", "b"], content_type="product", plan="growth", subscription_id="s1"),
    item("SignUp", key=1, event_id="e1", **PERSON, plan="trial"),
    item("LeadCaptured", key=2, event_id="e2", **PERSON, lead_id="l1", company_name="Acme", lead_event_source="Form"),
    item("PageView", key=3, event_id="e3"),
    item("MyOwnEvent", key=4, event_id="e4", native_name="my_own"),
]  # fmt: skip


def build(key: str, items: list[Item] | None = None, **config: str) -> Request:
    """The one request of a build at the real time, which the doubles check signatures against."""
    built = platforms.get(key).build(ITEMS if items is None else items, CONFIG[key] | config, datetime.now(UTC))
    assert built.skipped == []
    (request,) = built.requests
    return request


def post(sandbox: Sandbox, key: str, request: Request) -> Reply:
    """To the sandbox, as delivery leads a destination there: the vendor's path below the platform's key."""
    parts = urlsplit(request.url)
    path = f"/{key}{parts.path}" + (f"?{parts.query}" if parts.query else "")
    return ask(sandbox.url, request.method, path, request.body, request.headers)


def deliver(sandbox: Sandbox, key: str, items: list[Item] | None = None, **config: str) -> list[Outcome]:
    request = build(key, items, **config)
    reply = post(sandbox, key, request)
    return platforms.get(key).parse(request, Response(status=reply.status, headers=reply.headers, body=reply.body))
