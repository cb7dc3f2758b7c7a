"""Which fields an event needs to be worth something, and which it has beside them. Pure.

Needed is what the meaning of an event rests on: whom it is about, or how much was paid for what. The contract takes an
event without them; platforms drop it, or count it at no value.
"""

from __future__ import annotations

from events import samples

Need = tuple[str, ...]
"""Names in the contract, of which one will do."""

PERSON: Need = ("email", "phone", "externalId")
_PERSON: tuple[Need, ...] = (PERSON,)
_PAGE: tuple[Need, ...] = (("pageUrl",),)
_WORTH: tuple[Need, ...] = (("value",), ("currency",))
_PAYMENT: tuple[Need, ...] = (*_WORTH, ("transactionId",), PERSON)
_DEAL: tuple[Need, ...] = (("opportunityId", "crmId", "leadId"), PERSON)

NEEDS: dict[str, tuple[Need, ...]] = {
    "PageView": _PAGE,
    "ContentView": _PAGE,
    "HighIntentPageView": _PAGE,
    "AdLandingPageView": _PAGE,
    "CompanyIdentified": (("companyDomain", "companyName", "companyId"),),
    "FeatureUsed": (("feature",),),
    "LeadCaptured": _PERSON,
    "DemoBooked": _PERSON,
    "SignUp": _PERSON,
    "StartTrial": _PERSON,
    "TrialActivated": _PERSON,
    "SalesQualifiedLead": _DEAL,
    "OpportunityCreated": _DEAL,
    "PipelineQualified": _DEAL,
    "MeetingHeld": _DEAL,
    "AddPaymentInfo": _PERSON,
    "CheckoutStarted": (*_WORTH, PERSON),
    "Purchase": _PAYMENT,
    "SubscriptionStarted": _PAYMENT,
    "PlanUpgrade": (*_WORTH, ("plan",), PERSON),
    "SubscriptionRenew": _PAYMENT,
    "ExpansionRevenue": _PAYMENT,
    "TopUpPurchased": _PAYMENT,
    "CreditsPurchased": _PAYMENT,
    "Refund": (*_WORTH, ("refundId", "transactionId")),
    "Chargeback": (*_WORTH, ("transactionId",)),
    "Churned": (("subscriptionId", "externalId"),),
    "Reactivated": (("subscriptionId", "externalId"),),
}


def needed(event: str) -> tuple[Need, ...]:
    """Nothing for an event of the team's own: what it rests on, only they know."""
    return NEEDS.get(event, ())


def own(event: str, stage: str) -> list[str]:
    """Fields that are this event's own and not needed: what a sample of it has beside the person."""
    single = {need[0] for need in needed(event) if len(need) == 1}
    carried = samples.sample(event, stage=stage)
    return [name for name in carried if name not in (*samples.PERSON, *single, "event", "eventId")]
