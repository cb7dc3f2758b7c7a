"""Meta Conversions API. Source: developers.facebook.com/docs/marketing-api/conversions-api (Graph v26.0, 2026-09)."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from destinations.masking import masked
from destinations.platforms import _reading, base, identity
from destinations.platforms._contents import contents_of, ids_of
from destinations.platforms._names import by_native, words
from destinations.platforms.base import Built, Config, Field, Item, Outcome, Request, Response, Result, Skip
from events.payload import Payload

VERSION = "v26.0"
MAX_NAME = 50  # of a custom event: Meta Pixel, "Custom Events"
BUSY_SECONDS = 300.0  # a throttled account stays so for minutes: Graph API, "Rate Limits"

EVENTS = by_native({
    "ViewContent": "ContentView HighIntentPageView IntegrationViewed ApiDocsViewed",
    "Lead": "LeadCaptured",
    "Schedule": "DemoBooked",
    "Contact": "ChatStarted",
    "CompleteRegistration": "SignUp",
    "InitiateCheckout": "CheckoutStarted",
    "Purchase": "Purchase PlanUpgrade ExpansionRevenue TopUpPurchased CreditsPurchased",
    "Subscribe": "SubscriptionStarted SubscriptionRenew Reactivated",
}) | {  # three standard events of the same name, and the custom ones
    name: name
    for name in words("""
        PageView StartTrial AddPaymentInfo AdLandingPageView CompanyIdentified ReturningVisitor FeatureUsed DemoIntent
        PricingInteraction DocsInteraction SSOLogin EmailVerified WorkspaceCreated InviteSent TrialActivated FirstAction
        ApiKeyCreated ApiCallSucceeded CsvUploaded EnrichmentStarted EnrichmentCompleted CreditConsumed
        SalesQualifiedLead OpportunityCreated PipelineQualified MeetingHeld Refund Chargeback Churned ApiPlaygroundUsed
        FirstSuccessfulApiCall EndpointTested EmailFinderUsed EmailValidationUsed MobileFinderUsed CompanyEnriched
        ProfileEnriched BulkJobStarted BulkJobCompleted CreditsLow CreditsExhausted TeamMemberInvited
        SalesforceConnected HubSpotConnected SmartleadConnected ClayExportClicked WebhookCreated WebhookDelivered
        WebhookFailed
    """)
}  # fmt: skip

# Four events become ViewContent; the category tells them apart in Events Manager.
CATEGORY = {"HighIntentPageView": "high_intent", "IntegrationViewed": "integration", "ApiDocsViewed": "api_docs"}

# Sent under the same name. The free-form `properties` stay at home: nobody vouches for what is in them.
CUSTOM = words("""
    content_name content_category plan previous_plan feature demo_type action_type payment_method
    lead_event_source opportunity_stage pipeline_stage
""")

COUNTED = frozenset({"InitiateCheckout", "Purchase"})
"""The events for which Meta's pages name `num_items`."""

STRONG = frozenset(("em", "ph", "external_id", "fbc", "fbp", "lead_id", "madid"))
"""One of these, or IP address and user agent: weaker combinations are refused since Graph v13 ("Best Practices")."""

US_STATES = words("us-ca us-co us-ct us-fl us-or us-tx us-mt us-de us-ne us-nh us-nj")  # their codes count from 1000
LDU = {"geo": (0, 0), "us": (1, 0), **{state: (1, code) for code, state in enumerate(US_STATES, 1000)}}
"""Mode → country and state; 0 asks Meta to find out. Source: Meta, "Data Processing Options"."""

# Meta decides by error code, not by HTTP status: 190 has been seen with 500. An unknown code is tried again.
BUSY = frozenset({4, 17, 32, 613, 80003, 80004})
TRANSIENT = frozenset({1, 2, 341, 368, 5000, 21009})
CONFIG_CODES = frozenset({3, 10, 102, 190, *range(200, 300)})
PAYLOAD, WRONG_PIXEL = 100, 33  # with subcode 33: no such dataset, or the token may not write to it
SUBCODES = {2804003: "too_old", 2804009: "missing_value", 2804050: "no_identity"}

_FBCLID = re.compile(r"[?&]fbclid=([^&#]+)")
_HTTP = re.compile(r"https?://[^\s/]", re.IGNORECASE)
_LEAD_ID = re.compile(r"[0-9]{15,17}")  # of a Lead Ads lead; a CRM's own ids are not meant


class Meta(base.Platform):
    key = "meta"
    label = "Meta"
    also_known_as = ("facebook", "instagram", "fb", "capi")
    kind = base.Kind.ADS
    events = EVENTS
    takes_custom_events = True
    recommended = frozenset(words("PageView ContentView LeadCaptured DemoBooked SignUp StartTrial FirstAction "
                                  "AddPaymentInfo Purchase PlanUpgrade SubscriptionRenew"))  # fmt: skip
    batch_limit = 1000
    max_body_bytes = 8 * 1024 * 1024  # ours: the vendor documents none
    max_age = timedelta(days=7)
    docs_url = "https://developers.facebook.com/docs/marketing-api/conversions-api/get-started"
    version = base.Version(
        default=VERSION,
        sunsets={
            "v21.0": date(2027, 1, 21), "v22.0": date(2027, 5, 20), "v23.0": date(2027, 10, 8),
            "v24.0": date(2028, 2, 18), "v25.0": date(2028, 7, 29),
        },
        source="https://developers.facebook.com/docs/graph-api/changelog",
    )  # fmt: skip
    test_mode = base.TestMode(
        how=_("It shows up in Events Manager → Test events; Meta uses it like a real one, so send made-up people."),
        needs="test_event_code",
    )
    fields = (
        Field(name="pixel_id", label=_("Pixel / Dataset ID"), required=True, pattern=r"\d{10,20}",
              example="1234567890123456", help=_("Events Manager → Data sources → your dataset → Settings")),
        Field(name="access_token", label=_("Conversions API access token"), secret=True, required=True,
              pattern=r"[A-Za-z0-9_-]{40,1024}",
              example="EAA-an-example-token-that-opens-only-the-sandbox",
              help=_("Events Manager → your dataset → Settings → Conversions API → Generate access token")),
        Field(name="app_secret", label=_("App secret"), is_advanced=True, secret=True, pattern=r"[0-9a-f]{32}",
              help=_("App dashboard → Settings → Basic; only when the app requires appsecret_proof")),
        Field(name="test_event_code", label=_("Test event code"), pattern=r"[A-Za-z0-9]{4,32}",
              help=_("Events Manager → Test events. Test events count like real ones: remove it afterwards")),
        Field(name="api_version", label=_("Graph version"), pattern=r"v\d{2}\.0", default=VERSION,
              help=_("Such as v26.0")),
        Field(name="ldu_mode", label=_("Limited Data Use"), default="off", help=_("For US state privacy laws"),
              choices=(("off", _("Off")), ("geo", _("On, Meta finds country and state")),
                       ("us", _("On, in the United States")),
                       *((one, format_lazy(_("On, in {state}"), state=one[3:].upper())) for one in US_STATES))),
        Field(name="default_action_source", label=_("Action source"), default="website",
              help=_("For events that came without a page and a browser"),
              choices=(("website", _("website")), ("email", _("email")), ("phone_call", _("phone call")),
                       ("chat", _("chat")), ("physical_store", _("physical store")),
                       ("system_generated", _("system generated")), ("other", _("other")))),
    )  # fmt: skip

    def build(self, items: Sequence[Item], config: Config, now: datetime) -> Built:
        parts: list[tuple[Item, bytes]] = []
        skipped: list[Skip] = []
        for item in items:
            event = self._event(item, config, int(now.timestamp() * 1000))
            if isinstance(event, Skip):
                skipped.append(event)
            else:
                parts.append((item, msgspec.json.encode(event)))
        code, url = config.get("test_event_code", ""), _url(config, "/events")
        headers = _authorization(config) | {"Content-Type": "application/json"}
        end = b'],"test_event_code":%b}' % msgspec.json.encode(code) if code else b"]}"
        runs = base.chunks(parts, self.batch_limit, self.max_body_bytes)
        return Built(skipped=skipped, requests=base.posts(runs, url, headers, b'{"data":[', end))

    def _event(self, item: Item, config: Config, now_ms: int) -> dict[str, Any] | Skip:
        payload, name = item.payload, item.native_name or item.event
        if now_ms - item.occurred_ms > self.max_age.total_seconds() * 1000:
            # One event older than seven days makes Meta refuse the other 999 of its request.
            return Skip(item=item, reason="too_old", detail="Meta takes events of the last seven days only.")
        if len(name) > MAX_NAME:
            return Skip(item=item, reason="invalid", detail=f"Meta takes event names of at most {MAX_NAME} characters.")
        is_web = payload.page_url is not None and _HTTP.match(payload.page_url) is not None
        event: dict[str, Any] = {
            "event_name": name,
            # A sender's clock that runs ahead must not sink the batch: Meta refuses times more than a minute ahead.
            "event_time": min(item.occurred_ms, now_ms) // 1000,
            "event_id": item.event_id,
            "action_source": _action_source(payload, is_web, config),
            "user_data": _user_data(item),
        }
        if is_web:
            event["event_source_url"] = payload.page_url
        if payload.referrer and _HTTP.match(payload.referrer):
            event["referrer_url"] = payload.referrer
        if custom := _custom_data(item):
            event["custom_data"] = custom
            if payload.lead_event_source and event["action_source"] == "system_generated":
                # A lead of a CRM: "event_source: crm" beside "lead_event_source", the CRM's name. Source: Meta,
                # "Conversions API for CRM Integration", payload specification.
                custom["event_source"] = "crm"
        if limits := LDU.get(config.get("ldu_mode", "")):
            event["data_processing_options"] = ["LDU"]
            event["data_processing_options_country"], event["data_processing_options_state"] = limits
        if payload.platform_params:
            event = base.with_overrides(event, item, self.key)
            if not isinstance(event["user_data"], dict) or not isinstance(event.get("custom_data", {}), dict):
                return Skip(item=item, reason="invalid", detail="platformParams.meta replaces an object.")
            event["user_data"] = identity.protected(event["user_data"])
        user = event["user_data"]
        # (No value in `user` is empty.)
        if STRONG.isdisjoint(user) and not {"client_ip_address", "client_user_agent"} <= user.keys():
            needed = "Meta needs an e-mail address, phone number, external id, fbc, fbp, or IP address with user agent"
            return Skip(item=item, reason="no_identity", detail=f"{needed}; the event carries none of them.")
        if event["event_name"] == "Purchase" and not {"value", "currency"} <= event.get("custom_data", {}).keys():
            missing = "value" if payload.value is None else "currency" if payload.currency is None else "positive value"
            return Skip(item=item, reason="missing_value", detail=f"A Purchase needs value and currency: no {missing}.")
        return event

    def parse(self, request: Request, response: Response) -> list[Outcome]:
        """Meta takes or refuses a request as a whole and never says which event was wrong."""
        count, answer = len(request.items), _reading.fields_of(response)
        if isinstance(answer.get("error"), dict):
            return [_refused(answer["error"], response, count)] * count
        is_fine = 200 <= response.status < 300
        if is_fine and answer.get("events_received") == count:
            return [base.OK] * count
        if response.status == 413:
            return super().parse(request, response)
        # Sending again what was taken is harmless: Meta drops the same event_id within 48 hours.
        result = Result.SPLIT if is_fine and "events_received" in answer and count > 1 else Result.RETRY
        detail = f"Meta answered {response.status} and did not confirm all events."
        return [Outcome(result=result, detail=detail, after=base.retry_after(response))] * count

    def check(self, config: Config, now: datetime) -> Request | None:
        """The dataset's name. Source: Graph API, "Ads Pixel", reading."""
        url = _url(config, "", "fields=id,name")
        return Request(method="GET", url=url, headers=_authorization(config), body=b"", items=())

    def read_check(self, response: Response, config: Config) -> Outcome:
        answer = _reading.fields_of(response)
        if _reading.is_good(response) and _reading.text(answer.get("id")) == config.get("pixel_id"):
            return _reading.good(f"Pixel{_reading.quoted(answer.get('name'))} answers.")
        return _reading.refused(self, response)


def _url(config: Config, rest: str, query: str = "") -> str:
    url = f"https://graph.facebook.com/{config.get('api_version') or VERSION}/{config.get('pixel_id', '')}{rest}"
    if secret := config.get("app_secret"):
        proof = hmac.new(secret.encode(), config.get("access_token", "").encode(), hashlib.sha256).hexdigest()
        query = f"{query}&appsecret_proof={proof}" if query else f"appsecret_proof={proof}"
    return f"{url}?{query}" if query else url


def _authorization(config: Config) -> dict[str, str]:
    """The token goes into a header: URLs end up in logs."""
    return {"Authorization": f"Bearer {config.get('access_token', '')}"}


def _refused(error: dict[str, Any], response: Response, count: int) -> Outcome:
    code, subcode = (value if isinstance(value := error.get(k), int) else 0 for k in ("code", "error_subcode"))
    said = error.get("error_user_msg") or error.get("message") or "no reason given"
    # Without the trace id, which the attempt's answer keeps: equal causes must read equal to be one group.
    detail = masked(f"Meta error {code}/{subcode}: {said}", cap=300)
    after = base.retry_after(response)
    if code in BUSY or response.status == 429:
        return Outcome(result=Result.RETRY, detail=detail, after=BUSY_SECONDS if after is None else after)
    if code in CONFIG_CODES or (code, subcode) == (PAYLOAD, WRONG_PIXEL):
        return Outcome(result=Result.CONFIG, detail=detail)
    if code in TRANSIENT or code != PAYLOAD or error.get("is_transient") is True:
        return Outcome(result=Result.RETRY, detail=detail, after=after)
    if count > 1:
        return Outcome(result=Result.SPLIT, detail=detail)
    reason = SUBCODES.get(subcode, "")
    return Outcome(result=Result.TOO_OLD if reason == "too_old" else Result.PERMANENT, detail=detail, reason=reason)


def _action_source(payload: Payload, is_web: bool, config: Config) -> str:
    """`website` needs page address and user agent; an event without them came from a server: the default holds then,
    unless that is `website` too, which Meta would refuse. Source: Meta, "Server Event Parameters".
    """
    if is_web and payload.user_agent:
        return "website"
    default = config.get("default_action_source") or "website"
    return "system_generated" if default == "website" else default


def _user_data(item: Item) -> dict[str, Any]:
    payload, user = item.payload, identity.short_keys(item.payload)
    for key, value in (
        ("client_ip_address", payload.client_ip), ("client_user_agent", payload.user_agent), ("fbc", _fbc(item)),
        ("fbp", payload.click_ids.get("fbp")), ("subscription_id", payload.subscription_id),
    ):  # fmt: skip
        if value:
            user[key] = value
    if payload.lead_id and _LEAD_ID.fullmatch(payload.lead_id):
        user["lead_id"] = int(payload.lead_id)
    return user


def _fbc(item: Item) -> str:
    """The cookie, unless the page was reached with another click id: then what the cookie would say by now,
    `fb.1.{ms}.{fbclid}`, the click id untouched. 1 is what Meta asks of servers that store no cookie; the time is the
    event's, the same on every try. Source: Meta, "fbp and fbc Parameters"; its parameter builder for the precedence.
    """
    payload = item.payload
    cookie, landed = payload.click_ids.get("fbc", ""), ""
    for address in (payload.page_url, payload.referrer):
        if address is not None and "fbclid=" in address and (found := _FBCLID.search(address)):
            landed = found[1]
            break
    if cookie and (not landed or cookie.endswith(f".{landed}") or f".{landed}." in cookie):
        return cookie
    fbclid = landed or payload.click_ids.get("fbclid", "")
    return f"fb.1.{item.occurred_ms}.{fbclid}" if fbclid else ""


def _custom_data(item: Item) -> dict[str, Any]:
    payload = item.payload
    custom = {name: value for name in CUSTOM if (value := getattr(payload, name)) is not None}
    if payload.num_items is not None and item.native_name in COUNTED:
        custom["num_items"] = payload.num_items
    if amount := base.value_of(item):
        custom["value"], custom["currency"] = amount
    if order_id := payload.order_id or payload.transaction_id:
        custom["order_id"] = order_id
    contents = contents_of(payload)
    if content_ids := ids_of(payload, contents):
        custom["content_ids"] = content_ids
    if contents:  # "id and quantity are the required fields": Meta Pixel, "Object Properties"
        custom["contents"] = [
            {"id": one.id, "quantity": one.quantity or 1} | one.named(price="item_price") for one in contents
        ]
    if payload.content_type in ("product", "product_group"):  # the only two Meta knows
        custom["content_type"] = payload.content_type
    if item.native_name == "ViewContent" and item.event in CATEGORY:
        custom.setdefault("content_category", CATEGORY[item.event])
    return custom
