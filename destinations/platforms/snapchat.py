"""Snapchat Conversions API, v3. Source: developers.snap.com/api/marketing-api/Conversions-API (Parameters, Using the
API, Verify Set Up), and Snap's own Segment destination where these pages are silent.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import msgspec
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from destinations.masking import masked
from destinations.platforms import _reading, base, identity
from destinations.platforms._names import by_native, words
from destinations.platforms._snapchat_data import CURRENCIES, RULES, custom_data, user_data
from destinations.platforms.base import Built, Config, Field, Item, Outcome, Request, Response, Result, Skip

VERSION = "v3"
# The introduction says 37 days, Snap's own Segment destination "cannot be more than 7 days in the past", and the public
# integrations hold to 7: an event that is too old would refuse its whole batch.
MAX_AGE_MS = 7 * 86_400_000

EVENTS = by_native({
    "PAGE_VIEW": "PageView AdLandingPageView",
    "VIEW_CONTENT": "ContentView HighIntentPageView IntegrationViewed ApiDocsViewed",
    "SIGN_UP": "SignUp",
    "LOGIN": "SSOLogin",
    "INVITE": "InviteSent TeamMemberInvited",
    "START_TRIAL": "StartTrial",
    "SPENT_CREDITS": "CreditConsumed",
    "ADD_BILLING": "AddPaymentInfo",
    "START_CHECKOUT": "CheckoutStarted",
    "PURCHASE": "Purchase TopUpPurchased CreditsPurchased",
    "SUBSCRIBE": "SubscriptionStarted",
    # Five slots, no free names: leads, sales intent, use of the product, pipeline, and the rest.
    "CUSTOM_EVENT_1": "LeadCaptured",
    "CUSTOM_EVENT_2": "DemoIntent DemoBooked ChatStarted PricingInteraction",
    "CUSTOM_EVENT_3": """
        FeatureUsed DocsInteraction EmailVerified WorkspaceCreated TrialActivated FirstAction ApiKeyCreated
        ApiCallSucceeded CsvUploaded EnrichmentStarted EnrichmentCompleted ApiPlaygroundUsed FirstSuccessfulApiCall
        EndpointTested EmailFinderUsed EmailValidationUsed MobileFinderUsed CompanyEnriched ProfileEnriched
        BulkJobStarted BulkJobCompleted SalesforceConnected HubSpotConnected SmartleadConnected ClayExportClicked
        WebhookCreated
    """,
    "CUSTOM_EVENT_4": "SalesQualifiedLead OpportunityCreated PipelineQualified MeetingHeld",
    "CUSTOM_EVENT_5": """
        CompanyIdentified ReturningVisitor PlanUpgrade SubscriptionRenew ExpansionRevenue Refund Chargeback Churned
        Reactivated CreditsLow CreditsExhausted WebhookDelivered WebhookFailed
    """,
})  # fmt: skip

STRONG = frozenset({"em", "ph", "madid"})
"""One of these, or IP address with user agent. Source: Using the API, "At least one of the following"."""

# Status → what it means. Source: Verify Set Up, and the vendor's SDK for the rest.
STATUSES: dict[int, tuple[Result, str]] = {
    401: (Result.CONFIG, "Snapchat refused the token: generate a new one in Business Manager and enter it here"),
    403: (Result.CONFIG, "The token may not write to this Pixel: it must come from the business that owns the Pixel"),
    404: (Result.CONFIG, "Snapchat does not know this Pixel: check its id in Events Manager"),
}
REFUSED = "Snapchat refused the event: compare it with the message and mend it at its source"

# What the 400 of a single event was for, told from its text; the vendor's codes are not public.
REASONS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("too_old", re.compile(r"time.*(\bold|past|range|days)", re.IGNORECASE)),
    ("no_identity", re.compile(r"insufficient|at least one|identifier", re.IGNORECASE)),
    ("missing_value", re.compile(r"\b(price|value|currency)\b", re.IGNORECASE)),
)

_HTTP = re.compile(r"https?://[^\s/]", re.IGNORECASE)
_SLOT = re.compile(r"([A-Z][A-Za-z0-9]{1,63})\s*[=:]\s*(CUSTOM_EVENT_[1-5])")


class _Settings(msgspec.Struct, frozen=True):
    """What of the configuration goes into every event."""

    slots: dict[str, str]
    website_url: str
    test_event_code: str
    option: str
    is_always_limited: bool
    now_ms: int


class Snapchat(base.Platform):
    key = "snapchat"
    label = "Snapchat"
    also_known_as = ("snap",)
    kind = base.Kind.ADS
    events = EVENTS
    recommended = frozenset(words("PageView ContentView LeadCaptured SignUp Purchase"))
    batch_limit = 2000
    max_body_bytes = 2_000_000  # ours: the vendor documents none; Tealium's connector stops here
    max_age = timedelta(milliseconds=MAX_AGE_MS)
    docs_url = "https://developers.snap.com/api/marketing-api/Conversions-API/Introduction"
    version = base.Version(
        default=VERSION, source="https://developers.snap.com/api/marketing-api/Conversions-API/Introduction"
    )
    test_mode = base.TestMode(how=_("Snapchat checks the event and shows it in Events Manager; it does not count."))
    plain_identity = frozenset({"subscription_id"})
    url_secrets = frozenset({"access_token"})
    fields = (
        Field(name="pixel_id", label=_("Snap Pixel ID"), required=True, example="1ec32188-754e-4be2-8e55-c949a984a39f",
              pattern=r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}",
              help=_("Ads Manager → Events Manager → your Pixel")),
        Field(name="access_token", label=_("Conversions API token"), secret=True, required=True,
              pattern=r"[A-Za-z0-9._~=-]{1,4096}", example="eyJ-an-example.token-that-opens-only.the-sandbox",
              help=_("Business Manager → Business details → Conversions API tokens → Generate")),
        Field(name="test_event_code", label=_("Test event code"), pattern=r"[A-Za-z0-9_-]{1,64}",
              help=_("Events Manager → Test events. Sent with every event: remove it afterwards")),
        Field(name="custom_slots", label=_("Custom slots"), is_advanced=True, multiline=True,
              help=_("One per line, such as Churned=CUSTOM_EVENT_4: the slot an event goes to instead of ours")),
        Field(name="website_url", label=_("Website"), is_advanced=True, pattern=r"https?://\S{3,2000}",
              help=_("Sent as the page of events that came without one, which makes them web events; empty: they are "
                     "OFFLINE events")),
        Field(name="limited_data", label=_("Limit the use of data"), default="denied",
              choices=(("denied", _("Of people who did not consent to marketing")), ("always", _("Of everybody"))),
              help=_("Sends data_processing_options")),
        Field(name="limited_data_value", label=_("Way of limiting"), default="LDU",
              choices=(("LDU", "LDU"), ("LMU", "LMU")),
              help=_("Snap's SDK and Segment send LDU, Snap's documentation shows LMU; ask your account manager")),
        Field(name="api_version", label=_("API version"), pattern=r"v\d{1,2}", default=VERSION, help=_("Such as v3")),
    )  # fmt: skip

    def problems(self, config: Config) -> dict[str, str]:
        found = super().problems(config)
        bad = [line for line in _slot_lines(config) if not _SLOT.fullmatch(line)]
        if bad:
            said = gettext("Custom slots: %(line)r is not like %(example)s.")
            found["custom_slots"] = said % {"line": bad[0][:80], "example": "Churned=CUSTOM_EVENT_4"}
        return found

    def build(self, items: Sequence[Item], config: Config, now: datetime) -> Built:
        settings = _Settings(
            slots={found[1]: found[2] for line in _slot_lines(config) if (found := _SLOT.fullmatch(line))},
            website_url=config.get("website_url", ""),
            test_event_code=config.get("test_event_code", ""),
            option=config.get("limited_data_value") or "LDU",
            is_always_limited=config.get("limited_data") == "always",
            now_ms=int(now.timestamp() * 1000),
        )
        parts: list[tuple[Item, bytes]] = []
        skipped: list[Skip] = []
        for item in items:
            event = self._event(item, settings)
            if isinstance(event, Skip):
                skipped.append(event)
            else:
                parts.append((item, msgspec.json.encode(event)))
        url = _url(config, "/validate" if config.get(base.TEST) else "")
        headers = {"Content-Type": "application/json"}
        runs = base.chunks(parts, self.batch_limit, self.max_body_bytes)
        return Built(skipped=skipped, requests=base.posts(runs, url, headers, b'{"data":[', b"]}"))

    def _event(self, item: Item, settings: _Settings) -> dict[str, Any] | Skip:
        payload = item.payload
        if settings.now_ms - item.occurred_ms > MAX_AGE_MS:
            return Skip(item=item, reason="too_old", detail="Snapchat takes events of the last seven days only.")
        event: dict[str, Any] = {
            "event_name": _name(item, settings),
            "event_time": min(item.occurred_ms, settings.now_ms) // 1000,  # a sender's clock may run ahead
            "event_id": item.event_id,
            "user_data": user_data(payload),
        }
        # A web event without the address of its page is refused, so one that has none happened off the web.
        page_url = payload.page_url if payload.page_url and _HTTP.match(payload.page_url) else settings.website_url
        event["action_source"] = "WEB" if page_url else "OFFLINE"
        if page_url:
            event["event_source_url"] = page_url
        if custom := custom_data(item):
            event["custom_data"] = custom
        if settings.is_always_limited or payload.consent.get("marketing") is False:
            event["data_processing_options"] = [settings.option]
            if settings.option == "LDU":  # 0 and 0: Snap finds out where the person is
                event["data_processing_options_country"] = event["data_processing_options_state"] = 0
        if settings.test_event_code:
            event["test_event_code"] = settings.test_event_code
        if payload.platform_params:
            event = base.with_overrides(event, item, self.key)
            if not isinstance(event["user_data"], dict) or not isinstance(event.get("custom_data", {}), dict):
                return Skip(item=item, reason="invalid", detail="platformParams.snapchat replaces an object.")
            event["user_data"] = identity.protected(event["user_data"], RULES)
        user = event["user_data"]
        if STRONG.isdisjoint(user) and not {"client_ip_address", "client_user_agent"} <= user.keys():
            needed = "Snapchat needs an e-mail address, a phone number, or an IP address together with a user agent"
            return Skip(item=item, reason="no_identity", detail=f"{needed}; the event carries none of them.")
        if event["event_name"] == "PURCHASE" and not {"value", "currency"} <= event.get("custom_data", {}).keys():
            return _without_value(item)
        return event

    def parse(self, request: Request, response: Response) -> list[Outcome]:
        """One bad event refuses all of them. The answer gives a number for it, but does not say how it counts."""
        status, count, answer = response.status, len(request.items), _reading.fields_of(response)
        said = str(answer.get("status")).upper()
        if 200 <= status < 300 and said in ("VALID", "SUCCESS"):
            return [base.OK] * count
        if base.is_transient(status) or (200 <= status < 300 and said != "INVALID"):
            # Sending again what was taken is harmless: Snap drops the same event_id within 48 hours.
            detail = f"Snapchat answered {status} and did not confirm the events."
            return [Outcome(result=Result.RETRY, detail=detail, after=base.retry_after(response))] * count
        result, advice = STATUSES.get(status) or (Result.SPLIT if count > 1 else Result.PERMANENT, REFUSED)
        reason = _said(answer)
        detail = masked(f"{advice}. Snapchat {status}: {reason}", cap=300)
        code = next((code for code, pattern in REASONS if pattern.search(reason)), "")
        if result != Result.PERMANENT:
            return [Outcome(result=result, detail=detail)] * count
        return [Outcome(result=Result.TOO_OLD if code == "too_old" else result, detail=detail, reason=code)]

    def check(self, config: Config, now: datetime) -> Request | None:
        """How many test events came in the last hour. Source: Verify Set Up, "Test Event Stats"."""
        return Request(method="GET", url=_url(config, "/validate/stats"), headers={}, body=b"", items=())

    def read_check(self, response: Response, config: Config) -> Outcome:
        answer = response.json()
        said = str(answer.get("status")).upper() if isinstance(answer, dict) else ""
        if _reading.is_good(response) and isinstance(answer, dict | list) and said not in ("INVALID", "FAILED"):
            return _reading.good(f"Pixel {config.get('pixel_id', '')} answers.")
        return _reading.refused(self, response)


def _url(config: Config, rest: str) -> str:
    url = f"https://tr.snapchat.com/{config.get('api_version') or VERSION}/{config.get('pixel_id', '')}/events{rest}"
    return f"{url}?access_token={quote(config.get('access_token', ''), safe='~=')}"  # taken nowhere else


def _slot_lines(config: Config) -> list[str]:
    return [line.strip() for line in re.split(r"[\n,;]", config.get("custom_slots", "")) if line.strip()]


def _said(answer: dict[str, Any]) -> str:
    """The messages of an error, of the whole request and of its events (those of the test endpoint)."""
    texts = [answer.get("reason")]
    logs = answer.get("event_logs")
    for part in (answer, *(logs if isinstance(logs, list) else ())):
        errors = part.get("errors") if isinstance(part, dict) else None
        found = errors.get("error_msgs") if isinstance(errors, dict) else None
        texts += found if isinstance(found, list) else ()
    return "; ".join(dict.fromkeys(text for text in texts if isinstance(text, str) and text)) or "no reason given"


def _name(item: Item, settings: _Settings) -> str:
    """What was entered for the route, else the slot of the settings, else the platform's name."""
    usual = EVENTS.get(item.event) or item.event
    if item.native_name and item.native_name != usual:
        return item.native_name
    return settings.slots.get(item.event, usual)


def _without_value(item: Item) -> Skip:
    payload = item.payload
    if payload.currency is not None and payload.currency not in CURRENCIES:
        return Skip(item=item, reason="invalid", detail=f"Snapchat does not take amounts in {payload.currency[:8]}.")
    missing = "value" if payload.value is None else "currency" if payload.currency is None else "positive value"
    return Skip(item=item, reason="missing_value", detail=f"A PURCHASE needs value and currency: no {missing}.")
