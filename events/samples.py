"""A sample of every event, with a made-up person: for previews, tests of a destination and the lines to copy. Pure."""

from __future__ import annotations

from typing import Any

from events.fields import FIELDS

PERSON: dict[str, str] = {
    "email": "ada@example.com",
    "phone": "+14155550123",
    "firstName": "Ada",
    "lastName": "Lovelace",
    "city": "San Francisco",
    "state": "CA",
    "zip": "94103",
    "country": "US",
    "externalId": "user_42",
    "anonymousId": "anon_7f3c2a",
    "clientIp": "203.0.113.7",
    "userAgent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36",
}
COMPANY = ("companyName", "companyDomain")
MONEY = ("value", "currency", "transactionId", "orderId", "plan")
DEAL = (*COMPANY, "leadId", "crmId", "opportunityId", "opportunityStage", "pipelineStage", "salesOwner")

_OF_STAGE: dict[str, tuple[str, ...]] = {
    "awareness": ("pageUrl", "pageTitle", "referrer"),
    "interest": ("pageUrl", "pageTitle", *COMPANY),
    "acquisition": ("pageUrl", *COMPANY),
    "activation": COMPANY,
    "revenue": (*MONEY, *COMPANY),
    "product": (*COMPANY, "plan"),
}
_OF_EVENT: dict[str, tuple[str, ...]] = {
    "ContentView": ("contentType", "contentId", "contentName", "contentCategory"),
    "FeatureUsed": ("feature",),
    "LeadCaptured": ("leadEventSource",),
    "DemoIntent": ("demoType",),
    "DemoBooked": ("demoType",),
    "InviteSent": ("numItems",),
    "StartTrial": ("plan",),
    "TrialActivated": ("plan",),
    "FirstAction": ("actionType",),
    "ApiCallSucceeded": ("numItems",),
    "EnrichmentStarted": ("numItems",),
    "EnrichmentCompleted": ("numItems",),
    "CreditConsumed": ("numItems",),
    "SalesQualifiedLead": DEAL,
    "OpportunityCreated": (*DEAL, "value", "currency"),
    "PipelineQualified": (*DEAL, "value", "currency"),
    "MeetingHeld": DEAL,
    "AddPaymentInfo": ("paymentMethod",),
    "Purchase": ("paymentMethod", "subscriptionId"),
    "SubscriptionStarted": ("subscriptionId",),
    "PlanUpgrade": ("previousPlan", "subscriptionId"),
    "SubscriptionRenew": ("subscriptionId",),
    "Refund": ("refundId",),
    "Churned": ("subscriptionId",),
    "BulkJobStarted": ("numItems",),
    "BulkJobCompleted": ("numItems",),
    "CreditsPurchased": ("value", "currency", "transactionId", "numItems"),
}

_EXAMPLES: dict[str, Any] = {field.name: field.example for field in FIELDS} | PERSON
_EXAMPLES["pageUrl"] = "https://www.example.com/pricing"  # without a click id, which platforms would look up

OTHERS: dict[str, Any] = {
    field.attribute: _EXAMPLES[field.name]
    for field in FIELDS
    if field.group in ("identity", "b2b", "technical")
    or field.name in ("transactionId", "orderId", "subscriptionId", "refundId")
}
"""Attribute of Payload → made-up value, for every field that tells who or which deal an event is about."""


def sample(event: str, *, stage: str = "", event_id: str = "") -> dict[str, Any]:
    """One event as product code sends it, without a time: that is when it is received.

    stage: the one of an event that is not shipped with the product.
    """
    extra = (*_OF_STAGE.get(stage, ()), *_OF_EVENT.get(event, ()))
    # In the order of the contract, so that samples read alike.
    wanted = [field.name for field in FIELDS if field.name in PERSON or field.name in extra]
    return {"event": event, "eventId": event_id or f"{event.lower()}-42"} | {name: _EXAMPLES[name] for name in wanted}
