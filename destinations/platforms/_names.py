"""The canonical names, for adapters that call every event by its own name or by a form of it. Pure."""

from __future__ import annotations

import re
from functools import lru_cache


def words(text: str) -> tuple[str, ...]:
    """The names in a text block: a list of 66 quoted strings is harder to read and to compare."""
    return tuple(text.split())


NAMES = words(
    """
    PageView ContentView HighIntentPageView AdLandingPageView CompanyIdentified ReturningVisitor
    FeatureUsed LeadCaptured DemoIntent DemoBooked ChatStarted PricingInteraction DocsInteraction IntegrationViewed
    SignUp SSOLogin EmailVerified WorkspaceCreated InviteSent StartTrial TrialActivated
    FirstAction ApiKeyCreated ApiCallSucceeded CsvUploaded EnrichmentStarted EnrichmentCompleted CreditConsumed
    SalesQualifiedLead OpportunityCreated PipelineQualified MeetingHeld
    AddPaymentInfo CheckoutStarted Purchase SubscriptionStarted PlanUpgrade SubscriptionRenew ExpansionRevenue
    TopUpPurchased Refund Chargeback Churned Reactivated
    ApiDocsViewed ApiPlaygroundUsed FirstSuccessfulApiCall EndpointTested EmailFinderUsed EmailValidationUsed
    MobileFinderUsed CompanyEnriched ProfileEnriched BulkJobStarted BulkJobCompleted CreditsPurchased CreditsLow
    CreditsExhausted TeamMemberInvited SalesforceConnected HubSpotConnected SmartleadConnected ClayExportClicked
    WebhookCreated WebhookDelivered WebhookFailed
    """
)
"""All 66, in the order of the taxonomy."""

_WORD_BOUNDARY = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@lru_cache(maxsize=4096)
def snake(name: str) -> str:
    """`SignUp` as `sign_up`, `SSOLogin` as `sso_login`; a brand written with capitals stays one word."""
    return _WORD_BOUNDARY.sub("_", name.replace("HubSpot", "Hubspot")).lower()


def by_native(groups: dict[str, str]) -> dict[str, str | None]:
    """An event map written the short way round: native name → the canonical names that become it."""
    return {event: native for native, events in groups.items() for event in events.split()}
