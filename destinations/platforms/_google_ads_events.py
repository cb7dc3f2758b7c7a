"""The events of Google Ads: Event of the Data Manager API and ClickConversion of the Google Ads API.

Sources: google/ads/datamanager/v1/{event,user_data,device_info,cart_data}.proto and
developers.google.com/data-manager/api/devguides/concepts/formatting; google/ads/googleads/v25/services/
conversion_upload_service.proto and developers.google.com/google-ads/api/docs/conversions/upload-offline (2026-09).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from destinations.platforms import base, identity
from destinations.platforms._contents import contents_of
from destinations.platforms._names import by_native, words
from destinations.platforms.base import Config, Item, Skip
from events.payload import Payload

KEY = "google_ads"
GOOGLE_ADS = "google_ads"
"""Value of the setting `api`."""
MAX_AGE = timedelta(days=90)  # the longest click-through window: Google Ads Help, "About conversion windows"
MAX_ID = 512  # of a transaction id

EVENTS = by_native({
    "PAGE_VIEW": "PageView ContentView HighIntentPageView AdLandingPageView IntegrationViewed ApiDocsViewed",
    "SUBMIT_LEAD_FORM": "LeadCaptured",
    "BOOK_APPOINTMENT": "DemoBooked",
    "CONTACT": "ChatStarted",
    "SIGNUP": "SignUp",
    "BEGIN_CHECKOUT": "StartTrial CheckoutStarted",
    "QUALIFIED_LEAD": "SalesQualifiedLead",
    "CONVERTED_LEAD": "OpportunityCreated PipelineQualified",
    "PURCHASE": "Purchase PlanUpgrade SubscriptionRenew ExpansionRevenue TopUpPurchased CreditsPurchased",
    "SUBSCRIBE_PAID": "SubscriptionStarted Reactivated",
    "DEFAULT": """
        CompanyIdentified ReturningVisitor FeatureUsed DemoIntent PricingInteraction DocsInteraction SSOLogin
        EmailVerified WorkspaceCreated InviteSent TrialActivated FirstAction ApiKeyCreated ApiCallSucceeded CsvUploaded
        EnrichmentStarted EnrichmentCompleted CreditConsumed MeetingHeld AddPaymentInfo ApiPlaygroundUsed
        FirstSuccessfulApiCall EndpointTested EmailFinderUsed EmailValidationUsed MobileFinderUsed CompanyEnriched
        ProfileEnriched BulkJobStarted BulkJobCompleted CreditsLow CreditsExhausted TeamMemberInvited
        SalesforceConnected HubSpotConnected SmartleadConnected ClayExportClicked WebhookCreated WebhookDelivered
        WebhookFailed
    """,
}) | dict.fromkeys(words("Refund Chargeback Churned"))  # fmt: skip

WITH_CART = frozenset({"PURCHASE", "SUBSCRIBE_PAID"})
"""Categories whose items are a cart: "conversions with cart data" are about purchases only (Google Ads Help)."""

# "Google Ads does not support IP address matching for end users in the European Economic Area (EEA), United Kingdom
# (UK), or Switzerland (CH). Add logic to conditionally exclude sharing IP addresses" (DeviceInfo.ip_address).
NO_IP = frozenset(words("""
    at be bg hr cy cz dk ee fi fr de gr hu ie it lv lt lu mt nl pl pt ro sk si es se is li no gb ch
"""))  # fmt: skip

CLICK_IDS = {name: re.compile(rf"[?&]{name}=([^&#]+)") for name in ("gclid", "gbraid", "wbraid")}
_HTTP = re.compile(r"https?://[^\s/]", re.IGNORECASE)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration as the events need it, read once for a build."""

    now_ms: int
    customer_id: str
    uses_upload: bool
    ad_user_data: str
    ad_personalization: str
    source: str
    ip: str


def settings_of(config: Config, now: datetime) -> Settings:
    return Settings(
        now_ms=int(now.timestamp() * 1000),
        customer_id=digits(config.get("customer_id", "")),
        uses_upload=config.get("api") == GOOGLE_ADS,
        ad_user_data=_consent_word(config.get("ad_user_data_default", "")),
        ad_personalization=_consent_word(config.get("ad_personalization_default", "")),
        source=config.get("default_event_source") or "WEB",
        ip=config.get("ip_addresses") or "known",
    )


def digits(account: str) -> str:
    """`123-456-7890` as the APIs want it."""
    return account.replace("-", "")


def _consent_word(choice: str) -> str:
    return choice.upper() if choice in ("granted", "denied") else ""


def _unfit(item: Item, settings: Settings) -> Skip | None:
    if settings.now_ms - item.occurred_ms > MAX_AGE.total_seconds() * 1000:
        return Skip(item=item, reason="too_old", detail="Google Ads takes conversions of the last 90 days only.")
    if not item.native_name and item.event in EVENTS and EVENTS[item.event] is None:
        return Skip(item=item, reason="unmapped", detail=f"Google Ads counts conversions, and a {item.event} is none.")
    if not item.native_id:
        return Skip(item=item, reason="missing_native_id", detail="No conversion action is entered for the event.")
    return None


# --- Data Manager API -----------------------------------------------------------------------------
def event(item: Item, settings: Settings) -> dict[str, Any] | Skip:
    """An Event."""
    if skip := _unfit(item, settings):
        return skip
    payload = item.payload
    moment = _EPOCH + timedelta(milliseconds=min(item.occurred_ms, settings.now_ms))
    spec = "milliseconds" if moment.microsecond else "seconds"
    is_web = payload.user_agent is not None or _HTTP.match(payload.page_url or "") is not None
    made: dict[str, Any] = {
        "transactionId": _order_id(payload.transaction_id, payload.order_id, item.event_id),
        "eventTimestamp": moment.isoformat(timespec=spec).replace("+00:00", "Z"),
        "eventSource": "WEB" if is_web else settings.source,
    }
    if amount := base.value_of(item):
        made["conversionValue"], made["currency"] = amount
    if clicks := _click_ids(payload):
        made["adIdentifiers"] = clicks
    country = identity.country(payload.country) if payload.country else ""
    if identifiers := _identifiers(payload, country):
        made["userData"] = {"userIdentifiers": identifiers}
    if consent := _consent(payload, settings):
        made["consent"] = {name: f"CONSENT_{word}" for name, word in consent.items()}
    if device := _device(payload, country, settings):
        made["eventDeviceInfo"] = device
    if items := _cart(item, clicks):
        made["cartData"] = {"items": [
            # An int64 is a string in its JSON.
            _renamed(one | {"itemId": one["id"]}, {"id": "merchantProductId", "price": "unitPrice"})
            | ({"quantity": str(one["quantity"])} if "quantity" in one else {})
            for one in items
        ]}  # fmt: skip
    if payload.platform_params:
        made = base.with_overrides(made, item, KEY)
        made.pop("destinationReferences", None)  # there is one destination for an event: its conversion action
        user = made.setdefault("userData", {})
        if not isinstance(user, dict) or not isinstance(made.get("adIdentifiers", {}), dict):
            return _misshapen(item)
        if not _protect(user, country):
            return _misshapen(item)
        if not user:
            del made["userData"]
    return made if made.get("adIdentifiers") or made.get("userData") else _nameless(item)


def _device(payload: Payload, country: str, settings: Settings) -> dict[str, str]:
    device = {"userAgent": payload.user_agent} if payload.user_agent else {}
    may_know = settings.ip != "never" and country not in NO_IP and (len(country) == 2 or settings.ip == "unknown")
    if payload.client_ip and may_know:
        device["ipAddress"] = payload.client_ip
    return device


# --- Google Ads API -------------------------------------------------------------------------------
def conversion(item: Item, settings: Settings) -> dict[str, Any] | Skip:
    """A ClickConversion."""
    if skip := _unfit(item, settings):
        return skip
    payload, action = item.payload, item.native_id
    moment = _EPOCH + timedelta(milliseconds=min(item.occurred_ms, settings.now_ms))
    made: dict[str, Any] = {
        "conversionAction": action if "/" in action else f"customers/{settings.customer_id}/conversionActions/{action}",
        # "yyyy-mm-dd hh:mm:ss+|-hh:mm", no fraction
        "conversionDateTime": moment.isoformat(sep=" ", timespec="seconds"),
        "orderId": _order_id(payload.order_id, payload.transaction_id, item.event_id),
    }
    if amount := base.value_of(item):
        made["conversionValue"], made["currencyCode"] = amount
    # One of the three: both braids together are GBRAID_WBRAID_BOTH_SET, and a gclid says more than either. wbraid is
    # the one of the web.
    clicks = _click_ids(payload)
    for name in ("gclid", "wbraid", "gbraid"):
        if name in clicks:
            made[name] = clicks[name]
            break
    country = identity.country(payload.country) if payload.country else ""
    if identifiers := _identifiers(payload, country):
        # Names and addresses belong to adjustments here; a conversion takes these two only.
        keys = {"emailAddress": "hashedEmail", "phoneNumber": "hashedPhoneNumber"}
        if taken := [
            {"userIdentifierSource": "FIRST_PARTY", keys[name]: value}
            for one in identifiers
            for name, value in one.items()
            if name in keys
        ]:
            made["userIdentifiers"] = taken
    # ad_personalization "can only be set for OfflineUserDataJobService and UserDataService" (Consent).
    if word := _consent(payload, settings).get("adUserData"):
        made["consent"] = {"adUserData": word}
    if items := _cart(item, clicks):
        made["cartData"] = {"items": [_renamed(one, {"id": "productId", "price": "unitPrice"}) for one in items]}
    if payload.platform_params:
        made = base.with_overrides(made, item, KEY)
        if not _protect(made, country):
            return _misshapen(item)
    if not any(made.get(name) for name in ("gclid", "gbraid", "wbraid", "userIdentifiers")):
        return _nameless(item)
    return made


# --- Both -----------------------------------------------------------------------------------------
def _nameless(item: Item) -> Skip:
    needed = (
        "Google Ads needs a click id (gclid, gbraid, wbraid), an e-mail address or a phone number with country code"
    )
    return Skip(item=item, reason="no_identity", detail=f"{needed}; the event carries none of them.")


def _misshapen(item: Item) -> Skip:
    return Skip(item=item, reason="invalid", detail="platformParams.google_ads replaces an object or a list.")


def _order_id(*candidates: str | None) -> str:
    """The first there is; the last is the event id. No personal data: an address or an overlong id is hashed."""
    text = next((one for one in candidates if one), "")
    return identity.sha256_hex(text) if "@" in text or len(text) > MAX_ID else text


def _click_ids(payload: Payload) -> dict[str, str]:
    """As sent, else from the page's address. Case-sensitive, untouched."""
    known, page = payload.click_ids, payload.page_url or ""
    clicks = {}
    for name, pattern in CLICK_IDS.items():
        value = known.get(name)
        if not value and name in page and (found := pattern.search(page)):
            value = found[1]
        if value:
            clicks[name] = value
    return clicks


def _identifiers(payload: Payload, country: str) -> list[dict[str, Any]]:
    """UserIdentifiers of the Data Manager API: each one thing, hashed; an address with all four parts or not at all."""
    found: list[dict[str, Any]] = []
    region = country.upper() if len(country) == 2 else ""
    if payload.email and (email := identity.email_without_gmail_dots_and_tag(payload.email)):
        found.append({"emailAddress": identity.hashed(email)})
    if payload.phone and (phone := identity.phone_e164(payload.phone, region)):
        found.append({"phoneNumber": identity.hashed(phone)})
    if region and payload.zip and payload.first_name and payload.last_name and not identity.is_hashed(payload.zip):
        given, family = identity.given_name(payload.first_name), identity.family_name(payload.last_name)
        if given and family:
            found.append({"address": {
                "givenName": identity.hashed(given), "familyName": identity.hashed(family), "regionCode": region,
                "postalCode": payload.zip.strip(),
            }})  # fmt: skip
    return found


RULES = dict.fromkeys(("emailAddress", "hashedEmail"), identity.email_without_gmail_dots_and_tag)
NAME_RULES: dict[str, Callable[[str], str]] = {
    "givenName": identity.given_name, "hashedFirstName": identity.given_name,
    "familyName": identity.family_name, "hashedLastName": identity.family_name,
    "hashedStreetAddress": identity.name,
}  # fmt: skip
ADDRESSES = ("address", "addressInfo")


def _protect(holder: dict[str, Any], country: str) -> bool:
    """Hashes what stands in plain in `userIdentifiers` after the sender's overrides, in place; False: it is no list."""
    if "userIdentifiers" not in holder:
        return True
    if not isinstance(holder["userIdentifiers"], list):
        return False
    region = country.upper() if len(country) == 2 else ""

    def phone(text: str) -> str:
        return identity.phone_e164(text, region)

    rules = RULES | {"phoneNumber": phone, "hashedPhoneNumber": phone}
    kept = []
    for given in holder["userIdentifiers"]:
        one = identity.protected(given, rules) if isinstance(given, dict) else {}
        for name in ADDRESSES:
            if isinstance(one.get(name), dict):
                one[name] = identity.protected(one[name], NAME_RULES)
        if one.keys() - {"userIdentifierSource"}:
            kept.append(one)
    holder["userIdentifiers"] = kept
    if not kept:
        del holder["userIdentifiers"]
    return True


def _consent(payload: Payload, settings: Settings) -> dict[str, str]:
    """Our consent to marketing is both of Google's; what is not known is left out."""
    marketing = payload.consent.get("marketing")
    if marketing is not None:
        word = "GRANTED" if marketing else "DENIED"
        return {"adUserData": word, "adPersonalization": word}
    consent = {}
    if settings.ad_user_data:
        consent["adUserData"] = settings.ad_user_data
    if settings.ad_personalization:
        consent["adPersonalization"] = settings.ad_personalization
    return consent


def _cart(item: Item, clicks: Mapping[str, str]) -> list[dict[str, Any]]:
    """Items as `id`, `quantity`, `price`: of the sender's list of contents, else the content ids.

    None with a braid and no gclid: a cart is not supported there.
    """
    if item.native_name not in WITH_CART or (clicks and "gclid" not in clicks):
        return []
    payload = item.payload
    if contents := contents_of(payload):
        return [one.named(id="id", quantity="quantity", price="price") for one in contents]
    ids = payload.content_ids or ([payload.content_id] if payload.content_id else [])
    if len(ids) == 1 and payload.num_items:
        return [{"id": ids[0], "quantity": payload.num_items}]
    return [{"id": one} for one in ids]


def _renamed(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(name, name): value for name, value in values.items()}
