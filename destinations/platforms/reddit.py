"""Reddit Conversions API v3. Source: ads-api.reddit.com/docs/v3, "Post Conversion Events" and "CAPI direct integration"
(2026-09); business.reddithelp.com, "Manual Advanced Matching" for the match keys.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

import msgspec
from django.utils.translation import gettext_lazy as _

from destinations.platforms import _reading, base, identity
from destinations.platforms._contents import Content, contents_of, ids_of
from destinations.platforms._names import NAMES, by_native, words
from destinations.platforms._reddit_answers import Login, outcomes, user_agent, uses_oauth
from destinations.platforms.base import Built, Config, Field, Item, Outcome, Request, Response, Skip
from events.payload import Payload

VERSION = "v3"
MAX_AGE = timedelta(days=7)
MAX_AGE_MS = MAX_AGE // timedelta(milliseconds=1)
MAX_NAME = 64  # characters of a custom event name
CUSTOM = "CUSTOM:"

STANDARD = by_native({
    "PAGE_VISIT": "PageView",
    "VIEW_CONTENT": "ContentView HighIntentPageView IntegrationViewed ApiDocsViewed",
    "LEAD": "LeadCaptured DemoBooked",
    "SIGN_UP": "SignUp",
    "PURCHASE": "Purchase PlanUpgrade SubscriptionRenew ExpansionRevenue TopUpPurchased CreditsPurchased",
})  # fmt: skip
EVENTS: dict[str, str | None] = {name: STANDARD.get(name, CUSTOM + name) for name in NAMES}

# Four events become VIEW_CONTENT; the category of the product tells them apart.
CATEGORY = {"HighIntentPageView": "high_intent", "IntegrationViewed": "integration", "ApiDocsViewed": "api_docs"}

# A custom name must not be that of a standard event, in v2's spelling (PageVisit) or any other: it is that event then.
TRACKING_TYPES = {
    name.replace("_", "").lower(): name
    for name in words("PAGE_VISIT VIEW_CONTENT SEARCH ADD_TO_CART ADD_TO_WISHLIST PURCHASE LEAD SIGN_UP")
}
# "Only set for revenue-related events": a page visit has no value, and only what is bought or custom counts items.
WITHOUT_VALUE = frozenset({"PAGE_VISIT", "SEARCH"})
WITH_ITEM_COUNT = frozenset({"PURCHASE", "ADD_TO_CART", "ADD_TO_WISHLIST", "CUSTOM"})

# Taken plain or hashed: here they leave hashed. Of IP address and user agent the vendor says not to hash them.
USER_RULES: dict[str, Callable[[str], str]] = {
    "email": identity.email_alphanumeric,
    "phone_number": identity.phone_e164,
    "external_id": identity.identifier,
    "idfa": identity.identifier,
    "aaid": identity.identifier,
}
ENOUGH = ("email", "phone_number", "external_id", "uuid", "idfa", "aaid")
BROWSER = frozenset({"ip_address", "user_agent", "screen_dimensions"})

_RDT_CID = re.compile(r"[?&]rdt_cid=([^&#]+)")
_HTTP = re.compile(r"https?://[^\s/]", re.IGNORECASE)


class Reddit(base.Platform):
    key = "reddit"
    label = "Reddit"
    kind = base.Kind.ADS
    events = EVENTS
    takes_custom_events = True
    recommended = frozenset(words("PageView ContentView LeadCaptured SignUp Purchase"))
    batch_limit = 1000
    max_age = MAX_AGE
    requests_per_minute = 5000
    oauth = Login()
    docs_url = "https://ads-api.reddit.com/docs/v3/guides/programs/capi/direct-integration"
    version = base.Version(default=VERSION, source="https://ads-api.reddit.com/docs/v3/history")
    test_mode = base.TestMode(
        how=_("It shows up in Events Manager → Event testing within seconds and does not count."), needs="test_id"
    )
    fields = (
        Field(name="pixel_id", label=_("Pixel ID"), required=True, pattern=r"[at]2_[a-z0-9]{4,32}",
              example="a2_examplepixel", help=_("Reddit Ads → Events Manager; the same as the id of the ad account")),
        Field(name="conversion_access_token", label=_("Conversion access token"), way=_("A token"),
              secret=True, required=True,
              pattern=r"[A-Za-z0-9._-]{20,4096}", example="example-token.that-opens-only.the-sandbox",
              help=_("Events Manager → Conversions API → Generate access token; it does not expire. Not needed, and "
                     "not used, when the three OAuth values below are entered")),
        # Not sent with real traffic: events that carry it are slowed down and kept out of the real data.
        Field(name="test_id", label=_("Test ID"), pattern=r"[A-Za-z0-9_-]{2,64}",
              help=_("Events Manager → Event testing (ads.reddit.com/events-manager/testing). "
                     "Only Send as test uses it")),
        Field(name="client_id", label=_("OAuth client ID"), way=_("An OAuth app"), pattern=r"[A-Za-z0-9_-]{8,128}",
              help=_("Reddit Ads → Developer applications → your app")),
        Field(name="client_secret", label=_("OAuth client secret"), way=_("An OAuth app"),
              secret=True, pattern=r"[A-Za-z0-9_-]{8,256}",
              help=_("Beside the client ID")),
        Field(name="refresh_token", label=_("OAuth refresh token"), way=_("An OAuth app"),
              secret=True, pattern=r"[A-Za-z0-9._-]{16,4096}",
              help=_("Of an authorization with duration=permanent and the scope adsconversions")),
        Field(name="action_source", label=_("Action source"), default="WEBSITE",
              help=_("Where the events happen. Only website events are deduplicated against the pixel"),
              choices=(("WEBSITE", _("Website")), ("APP", _("App")), ("PHYSICAL_STORE", _("Shop")),
                       ("OTHER", _("Other")))),
        Field(name="ldu_mode", label=_("Limited Data Use"), default="no_consent", help=_("For US state privacy laws"),
              choices=(("no_consent", _("For people who refused marketing")), ("on", _("For everybody")),
                       ("off", _("Off")))),
        Field(name="api_version", label=_("API version"), pattern=r"v\d{1,2}", default=VERSION, help=_("Such as v3")),
    )  # fmt: skip

    def problems(self, config: Config) -> dict[str, str]:
        """The token, or all three values of OAuth."""
        found = super().problems(config)
        if uses_oauth(config) and not config.get("conversion_access_token"):
            del found["conversion_access_token"]
        return found

    def build(self, items: Sequence[Item], config: Config, now: datetime) -> Built:
        source, ldu_mode = config.get("action_source") or "WEBSITE", config.get("ldu_mode") or "no_consent"
        now_ms = int(now.timestamp() * 1000)
        parts: list[tuple[Item, bytes]] = []
        skipped: list[Skip] = []
        for item in items:
            event = self._event(item, source, ldu_mode, now_ms)
            if isinstance(event, Skip):
                skipped.append(event)
            else:
                parts.append((item, msgspec.json.encode(event)))
        pixel, token = config.get("pixel_id", ""), config.get("conversion_access_token", "")
        headers = {
            "Authorization": f"Bearer {config.get(base.ACCESS_TOKEN, '') if uses_oauth(config) else token}",
            "Content-Type": "application/json",
            "User-Agent": user_agent(config),
        }
        url = f"https://ads-api.reddit.com/api/{config.get('api_version') or VERSION}/pixels/{pixel}/conversion_events"
        test_id = config.get("test_id") if config.get(base.TEST) else ""
        start = (
            b'{"data":{"test_id":%b,"events":[' % msgspec.json.encode(test_id) if test_id else b'{"data":{"events":['
        )
        # "Only one event per request appears" in the test.
        runs = base.chunks(parts, 1 if test_id else self.batch_limit)
        return Built(skipped=skipped, requests=base.posts(runs, url, headers, start, b"]}}"))

    def _event(self, item: Item, source: str, ldu_mode: str, now_ms: int) -> dict[str, Any] | Skip:
        payload = item.payload
        if now_ms - item.occurred_ms > MAX_AGE_MS:
            # One older event makes Reddit refuse the others of its request.
            return Skip(item=item, reason="too_old", detail="Reddit takes events of the last seven days only.")
        tracking_type, name = _type(item.native_name or EVENTS.get(item.event) or item.event, item.event)
        if len(name) > MAX_NAME:
            detail = f"Reddit takes names of custom events of at most {MAX_NAME} characters."
            return Skip(item=item, reason="invalid", detail=detail)
        event: dict[str, Any] = {
            "event_at": min(item.occurred_ms, now_ms),  # milliseconds; a sender's clock may run ahead
            "action_source": source,
            "type": {"tracking_type": tracking_type, "custom_event_name": name}
            if name
            else {"tracking_type": tracking_type},
            "user": _user(payload, ldu_mode),
            "metadata": _metadata(item, tracking_type),
        }
        if source == "WEBSITE" and payload.page_url and _HTTP.match(payload.page_url):
            event["event_source_url"] = payload.page_url
        if click_id := payload.click_ids.get("rdt_cid") or _rdt_cid_of(payload.page_url):
            event["click_id"] = click_id
        if payload.platform_params:
            event = base.with_overrides(event, item, self.key)
            if not all(isinstance(event[part], dict) for part in ("type", "user", "metadata")):
                return Skip(item=item, reason="invalid", detail="platformParams.reddit replaces an object.")
            event["user"] = identity.protected(event["user"], USER_RULES)
        user = event["user"]
        if not event.get("click_id") and not any(user.get(key) for key in ENOUGH) and not user.keys() >= BROWSER:
            needed = (
                "Reddit needs a click id, uuid, e-mail address, phone number or external id, or IP address with user "
                "agent and screen size"
            )
            return Skip(item=item, reason="no_identity", detail=f"{needed}; the event carries none of them.")
        return event

    def parse(self, request: Request, response: Response) -> list[Outcome]:
        """Reddit takes or refuses a request as a whole and does not say which event was wrong."""
        return [outcomes(request, response)] * len(request.items)

    def check(self, config: Config, now: datetime) -> Request | None:
        """Who logged in; a conversion access token opens nothing that reads. Source: docs/v3, "Me"."""
        if not uses_oauth(config):
            return None
        headers = {"Authorization": f"Bearer {config.get(base.ACCESS_TOKEN, '')}", "User-Agent": user_agent(config)}
        url = f"https://ads-api.reddit.com/api/{config.get('api_version') or VERSION}/me"
        return Request(method="GET", url=url, headers=headers, body=b"", items=())

    def read_check(self, response: Response, config: Config) -> Outcome:
        """The scope of sending may not read this: Reddit refuses that with 403, and has known the login by then."""
        if (_reading.is_good(response) and isinstance(response.json(), dict)) or response.status == 403:
            return _reading.good(
                "Reddit takes the login; whether it may write to the pixel shows with the first event."
            )
        return _reading.refused(self, response)


@lru_cache(maxsize=4096)
def _type(native_name: str, event: str) -> tuple[str, str]:
    """Tracking type and the name of a custom event, "" for a standard one."""
    name = native_name.removeprefix(CUSTOM).strip()
    standard = TRACKING_TYPES.get(name.replace("_", "").replace(" ", "").lower())
    if standard:
        return standard, ""
    return "CUSTOM", event if name in ("", "CUSTOM", "Custom") else name


def _user(payload: Payload, ldu_mode: str) -> dict[str, Any]:
    user: dict[str, Any] = {}
    code = identity.country(payload.country) if payload.country else ""
    country = code.upper() if len(code) == 2 else ""
    if payload.email and (text := identity.email_alphanumeric(payload.email)):
        user["email"] = identity.hashed(text)
    if payload.phone and (text := identity.phone_e164(payload.phone, country)):
        user["phone_number"] = identity.hashed(text)
    # One value only: the visitor's id stands in until there is a user.
    if text := identity.hashed(identity.identifier(payload.external_id or payload.anonymous_id or "")):
        user["external_id"] = text
    for key, value in (
        # The whole cookie, `1684189007728.7c73f2ae-…`, as in the vendor's example of a request.
        ("uuid", payload.click_ids.get("rdt_uuid")),
        ("ip_address", payload.client_ip), ("user_agent", payload.user_agent),
    ):  # fmt: skip
        if value:
            user[key] = value
    if ldu_mode == "on" or (ldu_mode == "no_consent" and payload.consent.get("marketing") is False):
        user["data_processing_options"] = _limits(payload, country)
    return user


def _limits(payload: Payload, country: str) -> dict[str, Any]:
    """The country is required, and the laws that this is for are those of US states; the region is optional."""
    limits: dict[str, Any] = {"modes": ["LDU"], "country": country or "US"}
    state = identity.state(payload.state, "us") if payload.state and country in ("", "US") else ""
    if len(state) == 2 and state.isascii() and state.isalpha():
        limits["region"] = f"US-{state.upper()}"
    return limits


def _rdt_cid_of(page_url: str | None) -> str:
    found = _RDT_CID.search(page_url) if page_url and "rdt_cid=" in page_url else None
    return unquote(found[1]) if found else ""


def _metadata(item: Item, tracking_type: str) -> dict[str, Any]:
    payload = item.payload
    metadata: dict[str, Any] = {"conversion_id": item.event_id}  # plain: the pixel's conversionId is compared with it
    if tracking_type not in WITHOUT_VALUE and (amount := base.value_of(item)):
        metadata["value"], metadata["currency"] = amount  # major units, unlike v2
    if tracking_type in WITH_ITEM_COUNT and payload.num_items is not None:
        metadata["item_count"] = payload.num_items
    contents = contents_of(payload)
    if ids := ids_of(payload, contents):
        metadata["products"] = _products(item, ids, contents, tracking_type)
    return metadata


def _products(item: Item, ids: list[str], contents: list[Content], tracking_type: str) -> list[dict[str, Any]]:
    """Those that the sender listed, else one for each id; the event's name and count are those of a single one."""
    payload = item.payload
    names = {"id": "id", "name": "name", "category": "category", "quantity": "quantity", "price": "item_price"}
    products: list[dict[str, Any]] = [one.named(**names) for one in contents] or [{"id": one} for one in ids]
    if len(products) == 1 and payload.content_name:
        products[0].setdefault("name", payload.content_name)
    category = payload.content_category
    if category is None and tracking_type == "VIEW_CONTENT":
        category = CATEGORY.get(item.event)
    if category:
        for product in products:
            product.setdefault("category", category)
    if len(products) == 1 and payload.num_items:
        products[0].setdefault("quantity", payload.num_items)
    return products
