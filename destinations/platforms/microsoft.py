"""Microsoft Advertising: the UET Conversions API, or offline conversions where the setting says so.

Source: learn.microsoft.com/advertising/guides/uet-conversion-api-integration (v1, 2026-09) and the help page "About
CAPI"; for offline conversions see `_microsoft_offline`. An event is a page load or a custom event, whose name is the
action of an event goal; identical event id and event name under one UET tag are one event, from the browser too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from destinations.masking import masked
from destinations.platforms import _microsoft_offline as offline
from destinations.platforms import _reading, base, identity
from destinations.platforms._contents import contents_of, ids_of
from destinations.platforms._names import NAMES, by_native, snake, words
from destinations.platforms.base import Built, Config, Field, IdChoice, Item, Outcome, Request, Response, Result, Skip
from events.payload import Payload

HOST = "https://capi.uet.microsoft.com/v1"
PAGE_LOAD = "pageLoad"
MAX_AGE_DAYS = 7
MAX_NAME = 100

_OWN_NAMES: dict[str, str | None] = {name: snake(name) for name in NAMES}
EVENTS = _OWN_NAMES | by_native({
    PAGE_LOAD: "PageView ContentView HighIntentPageView AdLandingPageView",
    "submit_lead_form": "LeadCaptured",
    "book_appointment": "DemoBooked",
    "contact": "ChatStarted",
    "signup": "SignUp",
    "begin_checkout": "CheckoutStarted",
    "subscribe": "SubscriptionStarted",
})  # fmt: skip

# For dynamic remarketing, which wants page type, item ids and, of a cart or purchase, the total.
PAGE_TYPES = by_native({"purchase": "Purchase TopUpPurchased CreditsPurchased", "cart": "CheckoutStarted"})

IDENTIFIERS = frozenset({"anonymousId", "externalId", "em", "ph", "msclkid", "idfa", "gaid"})
"""One of these: IP address and user agent alone are no identity."""
RULES: dict[str, Callable[[str], str]] = {
    "em": identity.email_without_dots_and_tag,
    "ph": identity.phone_e164,
}

STATUSES: dict[int, str] = {
    401: "Copy the token again: UET tag → Set up tagging → Use Conversions API.",
    403: "The account may not use the Conversions API yet: ask the account manager at Microsoft.",
    404: "Check the UET tag id.",
}

OFFLINE_FIELDS = ("developer_token", "customer_id", "account_id", "client_id", "refresh_token")
CAPI_FIELDS = ("uet_tag_id", "capi_token")

_HTTP = re.compile(r"https?://[^\s/]", re.IGNORECASE)
_TAIL = b'],"continueOnValidationError":true,"dataProvider":"TrackStack"}'


class Microsoft(base.Platform):
    key = "microsoft"
    label = "Microsoft Advertising"
    also_known_as = ("bing", "uet")
    kind = base.Kind.ADS
    events = EVENTS
    takes_custom_events = True
    recommended = frozenset(words("PageView LeadCaptured DemoBooked SignUp Purchase"))
    batch_limit = 1000
    max_body_bytes = 1024 * 1024  # ours: the vendor documents none
    max_age = timedelta(days=offline.MAX_AGE_DAYS)  # the longer of the two; `build` holds the Conversions API to 7 days
    docs_url = "https://learn.microsoft.com/en-us/advertising/guides/uet-conversion-api-integration"
    plain_identity = frozenset({"external_id", "anonymous_id"})
    oauth = offline.MicrosoftOAuth()
    lists_names = True
    fields = (
        Field(name="uet_tag_id", label=_("UET tag ID"), way=_("Conversions API"),
              required=True, pattern=r"[0-9]{6,12}", example="187012345",
              help=_("Conversions → UET tag; the tag must have a conversion goal, or nothing is reported")),
        Field(name="capi_token", label=_("Conversions API token"), way=_("Conversions API"),
              secret=True, required=True, pattern=r"\S{8,4096}",
              example="an-example-token-that-opens-only-the-sandbox",
              help=_("UET tag → Set up tagging → Use Conversions API → copy the token. Not offered? Ask the account "
                     "manager at Microsoft")),
        Field(name="default_consent", label=_("Ad storage consent"), is_advanced=True,
              choices=(("G", _("Granted")), ("D", _("Denied"))),
              help=_("Sent as adStorageConsent with events that do not say themselves")),
        Field(name="api", label=_("API"), is_advanced=False, default="capi",
              help=_("Offline conversions match clicks of the last 90 days to offline conversion goals, whose names "
                     "the events must have; they need the values below instead"),
              choices=(("capi", _("Conversions API (UET tag)")), ("offline", _("Offline conversions")))),
        Field(name="developer_token", label=_("Developer token"), way=_("Offline conversions"),
              secret=True, pattern=r"[A-Za-z0-9]{10,64}",
              help=_("For offline conversions: developers.ads.microsoft.com → Account")),
        Field(name="customer_id", label=_("Customer ID"), way=_("Offline conversions"), pattern=r"\d{1,18}",
              help=_("For offline conversions: cid= in the address of Microsoft Advertising")),
        Field(name="account_id", label=_("Account ID"), way=_("Offline conversions"), pattern=r"\d{1,18}",
              help=_("For offline conversions: aid= in the address of Microsoft Advertising")),
        Field(name="client_id", label=_("OAuth app: client ID"), way=_("Offline conversions"),
              pattern=r"[0-9a-fA-F-]{32,36}",
              help=_("For offline conversions: Azure portal → App registrations → your app → Application (client) ID")),
        Field(name="client_secret", label=_("OAuth app: client secret"), way=_("Offline conversions"),
              secret=True, pattern=r"\S{8,256}",
              help=_("Azure portal → your app → Certificates & secrets; a public app has none")),
        Field(name="refresh_token", label=_("Refresh token"), way=_("Offline conversions"),
              secret=True, pattern=r"\S{20,8192}",
              help=_("For offline conversions: sign in to your app once with the scope msads.manage offline_access")),
    )  # fmt: skip

    def problems(self, config: Config) -> dict[str, str]:
        """What the chosen API needs."""
        found = super().problems(config)
        if config.get("api") != "offline":
            return found
        for name in CAPI_FIELDS:
            if not config.get(name):
                found.pop(name, None)
        missing = [name for name in OFFLINE_FIELDS if not config.get(name)]
        return found | dict.fromkeys(missing, gettext("This is required for offline conversions."))

    def build(self, items: Sequence[Item], config: Config, now: datetime) -> Built:
        is_offline = config.get("api") == "offline"
        consent, now_ms = config.get("default_consent", ""), int(now.timestamp() * 1000)
        parts: list[tuple[Item, bytes]] = []
        skipped: list[Skip] = []
        for item in items:
            made = offline.row(item, now_ms) if is_offline else self._event(item, consent, now_ms)
            if isinstance(made, Skip):
                skipped.append(made)
            else:
                parts.append((item, msgspec.json.encode(made)))
        if is_offline:
            url, headers, start, end = offline.URL, offline.headers(config), b'{"OfflineConversions":[', b"]}"
        else:
            url, start, end = f"{HOST}/{config.get('uet_tag_id', '')}/events", b'{"data":[', _TAIL
            headers = {"Authorization": f"Bearer {config.get('capi_token', '')}", "Content-Type": "application/json"}
        runs = base.chunks(parts, self.batch_limit, self.max_body_bytes, overhead=128)
        return Built(skipped=skipped, requests=base.posts(runs, url, headers, start, end))

    def _event(self, item: Item, consent: str, now_ms: int) -> dict[str, Any] | Skip:
        payload, name = item.payload, item.native_name or item.event
        if now_ms - item.occurred_ms > MAX_AGE_DAYS * 86_400_000:
            detail = f"Microsoft's Conversions API takes events of the last {MAX_AGE_DAYS} days only."
            return Skip(item=item, reason="too_old", detail=detail)
        if len(name) > MAX_NAME:
            detail = f"Microsoft takes event names of at most {MAX_NAME} characters."
            return Skip(item=item, reason="invalid", detail=detail)
        event: dict[str, Any] = {"eventType": PAGE_LOAD} if name == PAGE_LOAD else {
            "eventType": "custom", "eventName": name
        }  # fmt: skip
        event["eventId"] = item.event_id
        event["eventTime"] = max(0, min(item.occurred_ms, now_ms)) // 1000
        if payload.page_url and _HTTP.match(payload.page_url):
            event["eventSourceUrl"] = payload.page_url
        if payload.referrer and _HTTP.match(payload.referrer):
            event["referrerUrl"] = payload.referrer
        if payload.page_title:
            event["pageTitle"] = payload.page_title
        said = payload.consent.get("marketing")
        if consent := consent if said is None else "G" if said else "D":
            event["adStorageConsent"] = consent
        event["userData"] = _user_data(payload)
        if custom := _custom_data(item):
            event["customData"] = custom
        if payload.platform_params:
            event = base.with_overrides(event, item, self.key)
            if not isinstance(event["userData"], dict):
                return Skip(item=item, reason="invalid", detail="platformParams.microsoft replaces an object.")
            event["userData"] = identity.protected(event["userData"], RULES)
        if not IDENTIFIERS & event["userData"].keys():
            needed = "Microsoft needs an e-mail address, phone number, msclkid, external id or anonymous id"
            return Skip(item=item, reason="no_identity", detail=f"{needed}; the event carries none of them.")
        if event["eventType"] == PAGE_LOAD and not event.get("eventSourceUrl"):
            detail = "A page load needs the address of the page (pageUrl); the event carries none."
            return Skip(item=item, reason="invalid", detail=detail)
        return event

    def parse(self, request: Request, response: Response) -> list[Outcome]:
        """Valid events are kept beside refused ones, which are named by index; warnings are no refusals."""
        if request.url.startswith(offline.HOST):
            return offline.parse(request, response)
        count, status, answer = len(request.items), response.status, response.json()
        is_fine, is_read = 200 <= status < 300, isinstance(answer, dict)
        answer = answer if is_read else {}
        error = answer.get("error")
        error = error if isinstance(error, dict) else {}
        said = (
            f"Microsoft {status} {error.get('code') or ''}".rstrip() + f": {error.get('message') or 'no reason given'}"
        )
        if base.is_transient(status) or (is_fine and not is_read):
            detail = masked(said, cap=300)
            return [Outcome(result=Result.RETRY, detail=detail, after=base.retry_after(response))] * count
        if status in STATUSES:
            return [Outcome(result=Result.CONFIG, detail=masked(f"{said} {STATUSES[status]}", cap=300))] * count
        refused = _refused(error.get("details"), count)
        received = answer.get("eventsReceived")
        # Sending again what was taken is harmless: the same event id and name are one event.
        is_rest_taken = is_fine and (not isinstance(received, int) or received >= count - len(refused))
        is_explained = not error or bool(error.get("details"))
        if refused or (is_rest_taken and is_explained):
            again = _reading.again("Microsoft")
            return [refused.get(index, base.OK if is_rest_taken else again) for index in range(count)]
        if is_fine and is_explained:
            detail = f"Microsoft received {received} of {count} events and names none that it refused."
            return [Outcome(result=Result.SPLIT if count > 1 else Result.RETRY, detail=detail)] * count
        return [Outcome(result=Result.SPLIT if count > 1 else Result.PERMANENT, detail=masked(said, cap=300))] * count

    # The token of the Conversions API opens nothing that reads, and an empty list of events is not documented.
    def check(self, config: Config, now: datetime) -> Request | None:
        return offline.goals(config)

    def read_check(self, response: Response, config: Config) -> Outcome:
        if _reading.is_good(response) and isinstance(_reading.fields_of(response).get("ConversionGoals"), list):
            return _reading.good(f"Account {config.get('account_id', '')} answers.")
        return _reading.refused(self, response, offline.HOST)

    def list_ids(self, config: Config, now: datetime, page: str = "") -> Request | None:
        """Goals are told by name, which is what an event is sent under; all come on one page."""
        return offline.goals(config)

    def read_ids(self, response: Response, config: Config) -> list[IdChoice]:
        return offline.goal_names(response)


def _refused(details: Any, count: int) -> dict[int, Outcome]:
    """Index of each refused event → what was wrong with it."""
    found: dict[int, Outcome] = {}
    for detail in details if isinstance(details, list) else []:
        if not isinstance(detail, dict) or detail.get("isWarning") is True:
            continue
        index, about = detail.get("index"), str(detail.get("propertyName") or "")
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < count or index in found:
            continue
        message = str(detail.get("errorMessage") or "refused")
        sentence = masked(f"Microsoft refused {about or 'the event'}: {message}", cap=300)
        if "eventtime" in about.lower() and re.search(r"\bold|\bdays|\bpast", message, re.IGNORECASE):
            found[index] = Outcome(result=Result.TOO_OLD, reason="too_old", detail=sentence)
        else:
            reason = "no_identity" if about.lower().endswith("userdata") else ""
            found[index] = Outcome(result=Result.PERMANENT, reason=reason, detail=sentence)
    return found


def _user_data(payload: Payload) -> dict[str, Any]:
    """Ids, IP address and user agent plain, e-mail address and phone number hashed; empty ones left out."""
    user = {
        "anonymousId": payload.anonymous_id,
        "externalId": payload.external_id,
        "em": offline.hashed_email(payload),
        "ph": offline.hashed_phone(payload),
        "msclkid": offline.click_id(payload),
        "clientIpAddress": payload.client_ip,
        "clientUserAgent": payload.user_agent,
    }
    return {name: value for name, value in user.items() if value}


def _custom_data(item: Item) -> dict[str, Any]:
    payload = item.payload
    custom: dict[str, Any] = {}
    page_type = PAGE_TYPES.get(item.event)
    if amount := base.value_of(item):
        custom["value"], custom["currency"] = amount
        if page_type:
            custom["ecommTotalValue"] = amount[0]
    if transaction_id := payload.transaction_id or payload.order_id:
        custom["transactionId"] = transaction_id
    if payload.content_category:
        custom["eventCategory"] = payload.content_category
    if payload.content_name:
        custom["eventLabel"] = payload.content_name
    contents = contents_of(payload)
    if content_ids := ids_of(payload, contents):
        names = {"id": "id", "name": "name", "price": "price", "quantity": "quantity"}
        items: list[dict[str, Any]] = [one.named(**names) for one in contents]
        items = items or [{"id": content_id} for content_id in content_ids]
        if len(items) == 1 and not contents:  # name and count belong to a single item
            if payload.content_name:
                items[0]["name"] = payload.content_name
            if payload.num_items:
                items[0]["quantity"] = payload.num_items
        custom["itemIds"], custom["items"] = content_ids, items
        page_type = page_type or ("product" if item.event == "ContentView" else None)
    if page_type:
        custom["pageType"] = page_type
    return custom
