"""The normal form of an accepted event: what `events.contract` produces, PostgreSQL stores and the adapters read.

Pure: no ORM, no clock. JSON names are the contract's camelCase; absent fields are absent, never null.
"""

from __future__ import annotations

from typing import Any

import msgspec

Json = Any


class Payload(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, rename="camel"):
    """Every optional field of the contract, flat. Strings are trimmed and non-empty when present."""

    # identity
    email: str | None = None
    phone: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    city: str | None = None
    state: str | None = None
    zip: str | None = None
    country: str | None = None
    external_id: str | None = None
    anonymous_id: str | None = None
    # revenue
    value: float | None = None
    currency: str | None = None
    transaction_id: str | None = None
    order_id: str | None = None
    plan: str | None = None
    previous_plan: str | None = None
    subscription_id: str | None = None
    refund_id: str | None = None
    # B2B
    lead_id: str | None = None
    company_id: str | None = None
    company_name: str | None = None
    company_domain: str | None = None
    account_name: str | None = None
    crm_id: str | None = None
    opportunity_id: str | None = None
    opportunity_stage: str | None = None
    pipeline_stage: str | None = None
    sales_owner: str | None = None
    # content
    page_url: str | None = None
    page_title: str | None = None
    referrer: str | None = None
    content_type: str | None = None
    content_id: str | None = None
    content_name: str | None = None
    content_category: str | None = None
    content_ids: list[str] = []
    feature: str | None = None
    demo_type: str | None = None
    action_type: str | None = None
    payment_method: str | None = None
    lead_event_source: str | None = None
    num_items: int | None = None
    # ours
    client_ip: str | None = None
    user_agent: str | None = None
    click_ids: dict[str, str] = {}
    consent: dict[str, bool] = {}
    properties: dict[str, Json] = {}
    platform_params: dict[str, dict[str, Json]] = {}


_decoder = msgspec.json.Decoder(Payload)


def decode(raw: bytes | str) -> Payload:
    """The stored JSON text as a Payload. Raises msgspec.ValidationError if it is not in normal form."""
    return _decoder.decode(raw)


def encode(payload: Payload) -> bytes:
    return msgspec.json.encode(payload)
