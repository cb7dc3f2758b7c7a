"""TikTok Events API 2.0. Source: business-api.tiktok.com/portal/docs?id=1771101303285761, "Report App, Web, Offline, or
CRM Events" (v1.3), and the event parameters in TikTok's own part of Segment's catalogue ("TikTok Conversions").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote, urlencode

import msgspec
from django.utils.translation import gettext_lazy as _

from destinations.platforms import _reading, base, identity
from destinations.platforms._contents import contents_of, ids_of
from destinations.platforms._names import by_native, words
from destinations.platforms._tiktok_answers import outcomes
from destinations.platforms.base import Built, Config, Field, Item, Outcome, Request, Response, Skip
from events.payload import Payload

VERSION = "v1.3"
MAX_AGE = timedelta(days=7)  # ours: the vendor names none, and attributes a click for 7 days unless told otherwise
NO_PERMISSION = 40001
MAX_AGE_MS = MAX_AGE // timedelta(milliseconds=1)

EVENTS = by_native({
    "Pageview": "PageView",  # as TikTok's pixel spells it: both must agree to be deduplicated
    "ViewContent": "ContentView HighIntentPageView IntegrationViewed ApiDocsViewed",
    "Lead": "LeadCaptured",
    "Schedule": "DemoBooked",
    "Contact": "ChatStarted",
    "CompleteRegistration": "SignUp",
    "InitiateCheckout": "CheckoutStarted",
    "Purchase": "Purchase PlanUpgrade ExpansionRevenue TopUpPurchased CreditsPurchased",
    "Subscribe": "SubscriptionStarted SubscriptionRenew Reactivated",
}) | {  # two standard events of the same name, and the custom ones
    name: name
    for name in words("""
        StartTrial AddPaymentInfo AdLandingPageView CompanyIdentified ReturningVisitor FeatureUsed DemoIntent
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

CONTENT = {
    "id": "content_id", "name": "content_name", "category": "content_category", "brand": "brand", "price": "price",
    "quantity": "quantity",
}  # fmt: skip
"""Our names of what is known of a content → TikTok's."""

USER_RULES: dict[str, Callable[[str], str]] = {
    "email": identity.email,
    "phone": identity.phone_e164,
    # "user_123" is hashed as it stands in the vendor's example, and its Tag Manager template keeps the case as well.
    "external_id": identity.identifier,
    # "lowercase without any punctuation", and TikTok's own Segment destination takes the spaces out.
    "first_name": identity.name_compact,
    "last_name": identity.name_compact,
    "zip_code": identity.postal_code_compact,
}
STRONG = ("email", "phone", "external_id", "ttclid", "ttp", "idfa", "idfv", "gaid")

# Which parts an event may have, by where it happened: "For web and CRM events only", and so on in the vendor's tables.
WITH_PERSON, WITH_BROWSER = frozenset({"web", "crm"}), frozenset({"web", "app"})

_TTCLID = re.compile(r"[?&]ttclid=([^&#]+)")
_HTTP = re.compile(r"https?://[^\s/]", re.IGNORECASE)
_NOT_ALPHANUMERIC = re.compile(r"[\W_]+")


class TikTok(base.Platform):
    key = "tiktok"
    label = "TikTok"
    also_known_as = ("bytedance",)
    kind = base.Kind.ADS
    events = EVENTS
    takes_custom_events = True
    recommended = frozenset(words("PageView ContentView LeadCaptured SignUp Purchase"))
    batch_limit = 1000
    max_body_bytes = 8 * 1024 * 1024  # ours: the vendor documents none
    max_age = MAX_AGE
    requests_per_minute = 60_000  # 1000 a second
    docs_url = "https://business-api.tiktok.com/portal/docs?id=1771101303285761"
    version = base.Version(
        default=VERSION,
        source="https://business-api.tiktok.com/portal/docs/report-app-web-offline-or-crm-events/v1.3",
    )
    test_mode = base.TestMode(
        how=_("It shows up in Events Manager → Test events within a minute and does not count."),
        needs="test_event_code",
    )
    plain_identity = frozenset({"city", "state", "country"})  # no hash is taken for them
    fields = (
        Field(name="pixel_code", label=_("Pixel ID"), required=True, pattern=r"[A-Z0-9]{15,25}",
              example="C4EXAMPLE0PIXEL0CODE",
              help=_("TikTok Ads Manager → Tools → Events → Web events → your pixel. For another source: the id of the "
                     "CRM or offline event set, or the TikTok App ID")),
        Field(name="access_token", label=_("Events API access token"), secret=True, required=True,
              pattern=r"[A-Za-z0-9]{30,128}", example="exampletokenthatopensonlythesandbox00000",
              help=_("Events Manager → your pixel → Settings → Generate access token; it is shown once")),
        # Not sent with real traffic: TikTok keeps events that carry it out of the real data.
        Field(name="test_event_code", label=_("Test event code"), pattern=r"[A-Za-z0-9_-]{4,32}",
              help=_("Events Manager → your pixel → Test events. Only Send as test uses it; each session has its own")),
        Field(name="event_source", label=_("Event source"), is_advanced=False,
              default="web", help=_("Where the events happen"),
              choices=(("web", _("Website")), ("crm", _("CRM")), ("offline", _("Offline")), ("app", _("App")))),
        Field(name="limited_data_use", label=_("Limited Data Use"), default="no_consent",
              help=_("For US state privacy laws; TikTok applies it to people who live there"),
              choices=(("no_consent", _("For people who refused marketing")), ("on", _("For everybody")),
                       ("off", _("Off")))),
        Field(name="advertiser_id", label=_("Advertiser ID"), pattern=r"\d{10,25}", example="7012345678901234567",
              help=_("TikTok Ads Manager: aadvid= in the address. Only to check the connection, with a token of an app "
                     "that may read pixels; one from Events Manager may only send")),
        Field(name="api_version", label=_("API version"), pattern=r"v\d\.\d", default=VERSION, help=_("Such as v1.3")),
    )  # fmt: skip

    def build(self, items: Sequence[Item], config: Config, now: datetime) -> Built:
        source, limited = config.get("event_source") or "web", config.get("limited_data_use") or "no_consent"
        now_ms = int(now.timestamp() * 1000)
        parts: list[tuple[Item, bytes]] = []
        skipped: list[Skip] = []
        for item in items:
            event = self._event(item, source, limited, now_ms)
            if isinstance(event, Skip):
                skipped.append(event)
            else:
                parts.append((item, msgspec.json.encode(event)))
        root = {"event_source": source, "event_source_id": config.get("pixel_code", "")}
        is_test = bool(config.get(base.TEST) and config.get("test_event_code"))
        if is_test:
            root["test_event_code"] = config["test_event_code"]
        start = msgspec.json.encode(root)[:-1] + b',"data":['
        url = f"https://business-api.tiktok.com/open_api/{config.get('api_version') or VERSION}/event/track/"
        headers = {"Access-Token": config.get("access_token", ""), "Content-Type": "application/json"}
        # The test tab shows one event of a request.
        runs = base.chunks(parts, 1 if is_test else self.batch_limit, self.max_body_bytes, overhead=256)
        return Built(skipped=skipped, requests=base.posts(runs, url, headers, start, b"]}"))

    def _event(self, item: Item, source: str, limited: str, now_ms: int) -> dict[str, Any] | Skip:
        payload = item.payload
        if now_ms - item.occurred_ms > MAX_AGE_MS:
            return Skip(item=item, reason="too_old", detail="TikTok attributes events of the last seven days only.")
        event: dict[str, Any] = {
            "event": item.native_name or item.event,
            "event_time": min(item.occurred_ms, now_ms) // 1000,  # a sender's clock may run ahead
            "event_id": item.event_id,
            "user": _user(payload, source),
        }
        if properties := _properties(item):
            event["properties"] = properties
        # `url` is required in `page`. An event of a server has no page; it is sent without, as in the vendor's example.
        if source == "web" and payload.page_url and _HTTP.match(payload.page_url):
            event["page"] = {"url": payload.page_url}
            if payload.referrer:
                event["page"]["referrer"] = payload.referrer
        if source == "crm" and payload.lead_id:
            event["lead"] = {"lead_id": payload.lead_id}
            if payload.lead_event_source:
                event["lead"]["lead_event_source"] = payload.lead_event_source
        if source in WITH_BROWSER and (
            limited == "on" or (limited == "no_consent" and payload.consent.get("marketing") is False)
        ):
            event["limited_data_use"] = True
        if payload.platform_params:
            event = base.with_overrides(event, item, self.key)
            if not isinstance(event["user"], dict) or not isinstance(event.get("properties", {}), dict):
                return Skip(item=item, reason="invalid", detail="platformParams.tiktok replaces an object.")
            event["user"] = identity.protected(event["user"], USER_RULES)
        return _lacks(item, event, source) or event

    def parse(self, request: Request, response: Response) -> list[Outcome]:
        """A bad event refuses the whole request; a message like `Batch.0.properties.value: …` names it."""
        return outcomes(len(request.items), response) or super().parse(request, response)

    def check(self, config: Config, now: datetime) -> Request | None:
        """The pixel in the advertiser's list. Source: portal/docs?id=1740858697598978, "Get pixels"."""
        advertiser = config.get("advertiser_id", "")
        if not advertiser or (config.get("event_source") or "web") != "web":
            return None  # an event set or an app is in no list of pixels
        query = urlencode({"advertiser_id": advertiser, "code": config.get("pixel_code", "")})
        url = f"https://business-api.tiktok.com/open_api/{config.get('api_version') or VERSION}/pixel/list/?{query}"
        headers = {"Access-Token": config.get("access_token", "")}
        return Request(method="GET", url=url, headers=headers, body=b"", items=())

    def read_check(self, response: Response, config: Config) -> Outcome:
        answer = _reading.fields_of(response)
        data, code = answer.get("data"), answer.get("code")
        if _reading.is_good(response) and code == 0 and isinstance(data, dict):
            pixels = _reading.objects(data.get("pixels"))
            pixel = next((one for one in pixels if one.get("pixel_code") == config.get("pixel_code")), None)
            if pixel is None:
                return _reading.bad("Check the pixel ID: the advertiser has no such pixel.")
            return _reading.good(f"Pixel{_reading.quoted(pixel.get('pixel_name'))} answers.")
        if code == NO_PERMISSION:
            said = _reading.text(answer.get("message"), 200)
            return _reading.bad(
                "TikTok knows the token, but it may not list this advertiser's pixels: check the advertiser ID. One "
                f"from Events Manager may send all the same. TikTok {code}: {said}"
            )
        return _reading.refused(self, response)


def _lacks(item: Item, event: dict[str, Any], source: str) -> Skip | None:
    """What TikTok would refuse the finished event for."""
    if source == "crm" and not event.get("lead"):
        detail = "TikTok's CRM source needs the TikTok lead id (leadId), and the event has none."
        return Skip(item=item, reason="invalid", detail=detail)
    if source == "app" and not event.get("app"):
        detail = "TikTok's app source needs platformParams.tiktok.app with app_id, and the event has none."
        return Skip(item=item, reason="invalid", detail=detail)
    user = event["user"]
    if not user and source == "crm":
        del event["user"]  # the lead id is enough: "With required fields only"
    elif not any(user.get(key) for key in STRONG) and not {"ip", "user_agent"} <= user.keys() and source != "crm":
        needed = "TikTok needs an e-mail address, phone number, external id, ttclid, ttp, or IP address with user agent"
        return Skip(item=item, reason="no_identity", detail=f"{needed}; the event carries none of them.")
    return None


def _user(payload: Payload, source: str) -> dict[str, Any]:
    code = identity.country(payload.country) if payload.country else ""
    country = code if len(code) == 2 else ""  # a hash says nothing: TikTok takes the code in plain
    normal: dict[str, str] = {}
    plain: dict[str, str | None] = {}
    if payload.email:
        normal["email"] = identity.email(payload.email)
    if payload.phone:
        normal["phone"] = identity.phone_e164(payload.phone, country.upper())
    if source in WITH_PERSON:
        # "User IDs, and external cookie IDs": the visitor's id stands in until there is a user.
        normal["external_id"] = identity.identifier(payload.external_id or payload.anonymous_id or "")
        normal["first_name"] = identity.name_compact(payload.first_name or "")
        normal["last_name"] = identity.name_compact(payload.last_name or "")
        normal["zip_code"] = identity.postal_code_compact(payload.zip or "")
        plain["city"], plain["state"], plain["country"] = _place(payload.city), _place(payload.state), country
    if source == "web":
        plain["ttclid"] = payload.click_ids.get("ttclid") or _ttclid_of(payload.page_url)
        plain["ttp"] = payload.click_ids.get("ttp")
    if source in WITH_BROWSER:
        plain["ip"], plain["user_agent"] = payload.client_ip, payload.user_agent
    user: dict[str, Any] = {key: identity.hashed(text) for key, text in normal.items() if text}
    user.update({key: text for key, text in plain.items() if text})
    return user


def _place(text: str | None) -> str:
    """Lower case, letters and digits only ("New York" is `newyork`). Source: TikTok's Segment destination, `city`."""
    return _NOT_ALPHANUMERIC.sub("", text).lower() if text else ""


def _ttclid_of(page_url: str | None) -> str:
    found = _TTCLID.search(page_url) if page_url and "ttclid=" in page_url else None
    return unquote(found[1]) if found else ""


def _properties(item: Item) -> dict[str, Any]:
    payload = item.payload
    properties: dict[str, Any] = {}
    if amount := base.value_of(item):
        properties["value"], properties["currency"] = amount
    listed = contents_of(payload)
    ids = ids_of(payload, listed)
    contents: list[dict[str, Any]] = [one.named(**CONTENT) for one in listed] or [{"content_id": one} for one in ids]
    if not listed and len(contents) <= 1:  # a name and a quantity are those of one content
        content = contents[0] if contents else {}
        if payload.content_name:
            content["content_name"] = payload.content_name
        if ids and payload.num_items:
            content["quantity"] = payload.num_items
        contents = [content]
    category = payload.content_category
    if category is None and item.native_name == "ViewContent":
        category = CATEGORY.get(item.event)
    if category:
        for content in contents:
            content.setdefault("content_category", category)
    if contents[0]:
        properties["contents"] = contents
    if ids:
        properties["content_ids"] = ids
        # "When the content_id is a sku_id, set this field to product": the other of the two must be asked for.
        properties["content_type"] = "product_group" if payload.content_type == "product_group" else "product"
    if payload.num_items is not None:
        properties["num_items"] = payload.num_items
    if order_id := payload.order_id or payload.transaction_id:
        properties["order_id"] = order_id
    return properties
