"""X (Twitter) Conversion API, Ads API v12. Source: docs.x.com/x-ads-api/measurement/web-conversions (2026-01), the page
on the official Google Tag Manager tag beside it (gtm-server-side), and developer.x.com, "Web Conversions" (fields).

X knows no event names: an event is the Events Manager event it is sent to, so every event that is on needs the id of
one. The event map says which type to give it there. One bad conversion refuses all of a request and is not named.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

import msgspec
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from oauthlib.oauth1 import Client

from destinations.masking import masked
from destinations.platforms import _reading, base, identity
from destinations.platforms._contents import contents_of
from destinations.platforms._names import by_native, words
from destinations.platforms.base import (
    Built,
    Config,
    Field,
    IdChoice,
    Item,
    NativeId,
    Outcome,
    Request,
    Response,
    Result,
    Skip,
)
from events.payload import Payload

VERSION = "12"
HOST = "https://ads-api.x.com"
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - UTC throughout, and written without a zone
OAUTH_FIELDS = ("consumer_key", "consumer_secret", "access_token", "access_token_secret")

EVENTS = by_native({
    "SITE_VISIT": "PageView AdLandingPageView",
    "CONTENT_VIEW": "ContentView HighIntentPageView IntegrationViewed ApiDocsViewed",
    "SIGN_UP": "LeadCaptured SignUp",
    "START_TRIAL": "StartTrial",
    "ADDED_PAYMENT_INFO": "AddPaymentInfo",
    "CHECKOUT_INITIATED": "CheckoutStarted",
    "PURCHASE": "Purchase TopUpPurchased CreditsPurchased",
    "SUBSCRIBE": "SubscriptionStarted",
    "CUSTOM": """
        CompanyIdentified ReturningVisitor FeatureUsed DemoIntent DemoBooked ChatStarted PricingInteraction
        DocsInteraction SSOLogin EmailVerified WorkspaceCreated InviteSent TrialActivated FirstAction ApiKeyCreated
        ApiCallSucceeded CsvUploaded EnrichmentStarted EnrichmentCompleted CreditConsumed SalesQualifiedLead
        OpportunityCreated PipelineQualified MeetingHeld PlanUpgrade SubscriptionRenew ExpansionRevenue Refund
        Chargeback Churned Reactivated ApiPlaygroundUsed FirstSuccessfulApiCall EndpointTested EmailFinderUsed
        EmailValidationUsed MobileFinderUsed CompanyEnriched ProfileEnriched BulkJobStarted BulkJobCompleted CreditsLow
        CreditsExhausted TeamMemberInvited SalesforceConnected HubSpotConnected SmartleadConnected ClayExportClicked
        WebhookCreated WebhookDelivered WebhookFailed
    """,
})  # fmt: skip

# code → what it means, and what to do. Source: docs.x.com/x-ads-api/fundamentals/error-codes-and-responses.
CODES: dict[str, tuple[Result, str]] = {
    "UNAUTHORIZED_ACCESS": (Result.CONFIG, "Make a new access token; with OAuth keys, check the server's clock too."),
    "UNAUTHORIZED_CLIENT_APPLICATION": (Result.CONFIG, "The app has no access to the Ads API: ask X for it."),
    "WEB_EVENT_TAG_NOT_FOUND": (Result.CONFIG, "Copy the event id again from Events Manager: this account has none."),
    "ROUTE_NOT_FOUND": (Result.CONFIG, "Check the pixel id and the API version."),
    "NOT_FOUND": (Result.CONFIG, "Check the pixel id, and that the token's owner manages its ad account."),
    "TOO_MANY_REQUESTS": (Result.RETRY, "60,000 events in 15 minutes are the most."),
    "OVER_CAPACITY": (Result.RETRY, "X is over capacity."),
    "SERVICE_UNAVAILABLE": (Result.RETRY, "X is unavailable."),
    "INTERNAL_ERROR": (Result.RETRY, "X failed."),
}
STATUSES: dict[int, tuple[Result, str]] = {
    401: CODES["UNAUTHORIZED_ACCESS"],
    403: (Result.CONFIG, "The token's owner must be AD_MANAGER or ACCOUNT_ADMIN of the ad account."),
    404: CODES["NOT_FOUND"],
    423: (Result.RETRY, "X has locked the resource for the moment."),
}
# What a 400 says in words only → result, reason code, advice. Source: the table of errors in "Web conversions".
MESSAGES: tuple[tuple[str, Result, str, str], ...] = (
    ("user identifier", Result.PERMANENT, "no_identity", "Send an e-mail address, a phone number or twclid."),
    ("sha-256", Result.PERMANENT, "invalid", "An identifier is no SHA-256: look at platformParams."),
    ("single event tag", Result.CONFIG, "", "Enter the id of an event, not of the pixel."),
)
ONE_OF_MANY = frozenset({"WEB_EVENT_TAG_NOT_FOUND"})
"""Codes that are about one conversion and not about the request."""

STRONG = frozenset({"twclid", "hashed_email", "hashed_phone_number"})
RULES: dict[str, Callable[[str], str]] = {"hashed_email": identity.email, "hashed_phone_number": identity.phone_e164}

_TWCLID = re.compile(r"[?&]twclid=([^&#]+)")
_HTTP = re.compile(r"https?://[^\s/]", re.IGNORECASE)
_RESETS = ("x-account-rate-limit-reset", "x-rate-limit-reset")


class X(base.Platform):
    key = "x"
    label = "X"
    also_known_as = ("twitter",)
    kind = base.Kind.ADS
    events = EVENTS
    takes_custom_events = True  # any event can have one of type CUSTOM
    recommended = frozenset(words("PageView LeadCaptured DemoBooked SignUp Purchase"))
    batch_limit = 500
    max_body_bytes = 8 * 1024 * 1024  # ours: the vendor documents none
    events_per_minute = 4000  # 60,000 per account and 15 minutes
    native_id = NativeId(
        label=_("Event ID"),
        pattern=r"tw-[a-z0-9]+-[a-z0-9]+|[a-z0-9]{4,12}",
        help=_(
            "Events Manager → the event → ID, such as tw-o8z6j-o87ne or o87ne; an event of this destination's pixel"
        ),
        example="tw-o8z6j-o87ne",
    )
    docs_url = "https://docs.x.com/x-ads-api/measurement/web-conversions"
    version = base.Version(default=VERSION, source="https://docs.x.com/x-ads-api/fundamentals/versioning")
    list_needs = (*OAUTH_FIELDS, "account_id")
    fields = (
        Field(name="pixel_id", label=_("Pixel ID"), required=True, pattern=r"[a-z0-9]{4,12}", example="o8z6j",
              help=_("Ads Manager → Tools → Events Manager → the ID of the X pixel event source")),
        Field(name="pixel_token", label=_("Conversion API access token"), way=_("A token"), secret=True, required=True,
              pattern=r"\S{8,4096}", example="an-example-token-that-opens-only-the-sandbox",
              help=_("Events Manager → Install Pixel → Manual → Conversion API → Generate access token. Not needed, "
                     "and not used, when the four OAuth keys below are entered")),
        Field(name="consumer_key", label=_("API key"), way=_("OAuth 1.0a keys"), secret=True,
              pattern=r"[A-Za-z0-9]{20,}",
              help=_("X developer console → your app → Keys and tokens; only to sign with OAuth 1.0a")),
        Field(name="consumer_secret", label=_("API key secret"), way=_("OAuth 1.0a keys"),
              secret=True, pattern=r"[A-Za-z0-9]{20,}",
              help=_("Beside the API key")),
        Field(name="access_token", label=_("Access token"), way=_("OAuth 1.0a keys"),
              secret=True, pattern=r"[A-Za-z0-9-]{20,}",
              help=_("Beside the API key; of a user who is AD_MANAGER or ACCOUNT_ADMIN of the ad account")),
        Field(name="access_token_secret", label=_("Access token secret"), way=_("OAuth 1.0a keys"),
              secret=True, pattern=r"[A-Za-z0-9]{20,}",
              help=_("Beside the access token")),
        Field(name="account_id", label=_("Ad account ID"), pattern=r"[a-z0-9]{5,16}", example="18ce54d4x5t",
              help=_("The part of Ads Manager's address behind ads.x.com/campaign_form/; with the four keys, to pick "
                     "events by name")),
        Field(name="api_version", label=_("Ads API version"), pattern=r"\d{1,3}", default=VERSION,
              help=_("Such as 12")),
    )  # fmt: skip

    def problems(self, config: Config) -> dict[str, str]:
        """The token, or all four OAuth keys."""
        found = super().problems(config)
        missing = [name for name in OAUTH_FIELDS if not config.get(name)]
        if not missing and not config.get("pixel_token"):
            found.pop("pixel_token", None)
        elif missing and len(missing) < len(OAUTH_FIELDS):
            found |= dict.fromkeys(missing, gettext("To sign with OAuth, all four keys are needed."))
        return found

    def build(self, items: Sequence[Item], config: Config, now: datetime) -> Built:
        parts: list[tuple[Item, bytes]] = []
        skipped: list[Skip] = []
        now_ms = int(now.timestamp() * 1000)
        for item in items:
            conversion = self._conversion(item, now_ms)
            if isinstance(conversion, Skip):
                skipped.append(conversion)
            else:
                parts.append((item, msgspec.json.encode(conversion)))
        pixel = config.get("pixel_id", "")
        url = f"{HOST}/{config.get('api_version') or VERSION}/measurement/conversions/{pixel}"
        requests = []
        for run in base.chunks(parts, self.batch_limit, self.max_body_bytes):
            body = b'{"conversions":[' + b",".join(part for _, part in run) + b"]}"
            headers = _authorization(url, config, body, now) | {"Content-Type": "application/json"}
            carried = tuple(item for item, _ in run)
            requests.append(Request(method="POST", url=url, headers=headers, body=body, items=carried))
        return Built(requests=requests, skipped=skipped)

    def _conversion(self, item: Item, now_ms: int) -> dict[str, Any] | Skip:
        payload = item.payload
        if not item.native_id:
            return Skip(item=item, reason="missing_native_id", detail="No Events Manager event is entered for it.")
        happened = EPOCH + timedelta(milliseconds=max(0, min(item.occurred_ms, now_ms)))
        conversion: dict[str, Any] = {
            # With milliseconds and Z: a time without a zone is refused.
            "conversion_time": happened.isoformat(timespec="milliseconds") + "Z",
            "event_id": item.native_id,
            "identifiers": _identifiers(payload),
            "conversion_id": item.event_id,
        }
        if amount := base.value_of(item):
            # As text with two decimals, as in the vendor's example: "20.00".
            conversion["value"], conversion["price_currency"] = base.decimal_text(amount[0]), amount[1]
        if payload.num_items:  # must be above zero
            conversion["number_items"] = payload.num_items
        if contents := _contents(payload):
            conversion["contents"] = contents
        if payload.page_url and _HTTP.match(payload.page_url):
            conversion["event_source_url"] = _encoded(payload.page_url)
        if payload.platform_params:
            conversion = base.with_overrides(conversion, item, self.key)
            found = conversion["identifiers"]
            if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
                return Skip(item=item, reason="invalid", detail="platformParams.x replaces the list of identifiers.")
            conversion["identifiers"] = [safe for one in found if (safe := identity.protected(one, RULES))]
        # "We currently need at least one identifier such as Click ID, email address, or phone number": IP address and
        # user agent alone match nobody.
        if not any(STRONG & one.keys() for one in conversion["identifiers"]):
            needed = "X needs an e-mail address, a phone number with country code or twclid"
            return Skip(item=item, reason="no_identity", detail=f"{needed}; the event carries none of them.")
        return conversion

    def parse(self, request: Request, response: Response) -> list[Outcome]:
        """X takes or refuses a request as a whole and never says which conversion was wrong."""
        count, status, answer = len(request.items), response.status, _reading.fields_of(response)
        if 200 <= status < 300:
            return [_accepted(answer, count, status)] * count
        code, message = _error(answer)
        said = f"X {status} {code}".rstrip() + f": {message or 'no reason given'}"
        if status == 423 or base.is_transient(status):
            detail = masked(f"{said} {_advice(code, status)}".rstrip(), cap=300)
            return [Outcome(result=Result.RETRY, detail=detail, after=_wait(response))] * count
        result, advice = CODES.get(code) or STATUSES.get(status) or (Result.PERMANENT, "")
        reason = ""
        if result == Result.PERMANENT:
            for words_of_it, *meaning in MESSAGES:
                if words_of_it in message.lower():
                    result, reason, advice = Result(meaning[0]), meaning[1], meaning[2]
                    break
        if count > 1 and (code in ONE_OF_MANY or status not in STATUSES) and result != Result.RETRY:
            return [Outcome(result=Result.SPLIT, detail=masked(said, cap=300))] * count
        return [Outcome(result=result, reason=reason, detail=masked(f"{said} {advice}".rstrip(), cap=300))] * count

    # A pixel's token opens nothing that reads: it is checked by the first event. With the OAuth keys there is the
    # account, and the events of its pixels. Source: docs.x.com/x-ads-api, "Web event tags" and "Accounts".
    def check(self, config: Config, now: datetime) -> Request | None:
        account = config.get("account_id", "")
        return _read_request(f"accounts/{account}/web_event_tags" if account else "accounts", "count=1", config, now)

    def read_check(self, response: Response, config: Config) -> Outcome:
        if _reading.is_good(response) and isinstance(_reading.fields_of(response).get("data"), list):
            account = config.get("account_id", "")
            return _reading.good(f"Ad account {account} answers." if account else "X takes the keys.")
        return _reading.refused(self, response)

    def list_ids(self, config: Config, now: datetime, page: str = "") -> Request | None:
        if not config.get("account_id"):
            return None
        query = "count=200" + (f"&cursor={quote(page, safe='')}" if page else "")
        return _read_request(f"accounts/{config['account_id']}/web_event_tags", query, config, now)

    def read_ids(self, response: Response, config: Config) -> list[IdChoice]:
        """The events of the configured pixel, by their full ids: X refuses those of another. Where none says that it is
        of this pixel, all of them.
        """
        pixel = config.get("pixel_id", "")
        tags = [
            tag
            for tag in _reading.objects(_reading.fields_of(response).get("data"))
            if tag.get("id") and tag.get("deleted") is not True
        ]
        own = [tag for tag in tags if tag.get("website_tag_id") == pixel]
        prefix = f"tw-{pixel}-" if own else ""
        return [IdChoice(prefix + _reading.text(tag["id"]), _tag_label(tag)) for tag in own or tags]

    def next_page(self, response: Response) -> str:
        return _reading.text(_reading.fields_of(response).get("next_cursor"), 200)


def _read_request(path: str, query: str, config: Config, now: datetime) -> Request | None:
    if not all(config.get(name) for name in OAUTH_FIELDS):
        return None
    url = f"{HOST}/{config.get('api_version') or VERSION}/{path}?{query}"
    return Request(method="GET", url=url, headers=_authorization(url, config, b"", now, "GET"), body=b"", items=())


def _tag_label(tag: dict[str, Any]) -> str:
    kind = _reading.text(tag.get("type")).replace("_", " ").lower()
    return f"{_reading.text(tag.get('name'))} ({kind})" if kind else _reading.text(tag.get("name"))


def _authorization(url: str, config: Config, body: bytes, now: datetime, method: str = "POST") -> dict[str, str]:
    """OAuth 1.0a where all its keys are entered, which X documents for integrations of one's own; else the token that
    its own server tag sends. A JSON body is not signed; nonce and time come from it and from `now`, never from dice.
    """
    keys = [config.get(name, "") for name in OAUTH_FIELDS]
    if not all(keys):
        return {"X-Pixel-Token": config.get("pixel_token", "")}
    timestamp = str(int(now.timestamp()))
    nonce = hashlib.sha256(timestamp.encode() + (body or url.encode())).hexdigest()[:32]
    _, headers, _ = Client(*keys, nonce=nonce, timestamp=timestamp).sign(url, method)
    return {"Authorization": str(headers["Authorization"])}


def _identifiers(payload: Payload) -> list[dict[str, str]]:
    """One object per identifier, address and browser in one together, as in the vendor's example."""
    found: list[dict[str, str]] = []
    page = payload.page_url or ""
    twclid = payload.click_ids.get("twclid", "")
    if not twclid and "twclid=" in page and (match := _TWCLID.search(page)):
        twclid = match[1]
    if twclid:
        found.append({"twclid": twclid})
    if payload.email and (email := identity.hashed(identity.email(payload.email))):
        found.append({"hashed_email": email})
    if payload.phone:
        country = identity.country(payload.country) if payload.country else ""
        phone = identity.phone_e164(payload.phone, country.upper() if len(country) == 2 else "")
        if phone:
            found.append({"hashed_phone_number": identity.hashed(phone)})
    device: dict[str, str] = {}
    # "Dotted-decimal notation, with four numbers separated by periods": no IPv6.
    if payload.client_ip and (address := identity.ipv4(payload.client_ip)):
        device["ip_address"] = address
    if payload.user_agent:
        device["user_agent"] = payload.user_agent
    if len(device) == 2:
        found.append(device)
    elif device and found:
        # "Required to be passed in conjunction with another identifier": alone it goes along with the first.
        found[0] |= device
    return found


def _contents(payload: Payload) -> list[dict[str, Any]]:
    """What was bought or looked at. Name and count belong to a single content; the vendor's example of a type is a
    category ("Pet supplies").
    """
    content_type = payload.content_type or payload.content_category
    if contents := contents_of(payload):
        names = {"id": "content_id", "name": "content_name", "price": "content_price", "quantity": "num_items"}
        common = {"content_type": content_type} if content_type else {}
        return [common | one.named(category="content_type", **names) for one in contents]
    if len(payload.content_ids) > 1:
        common = {"content_type": content_type} if content_type else {}
        return [{"content_id": content_id} | common for content_id in payload.content_ids]
    content: dict[str, Any] = {}
    if content_id := payload.content_ids[0] if payload.content_ids else payload.content_id:
        content["content_id"] = content_id
    if payload.content_name:
        content["content_name"] = payload.content_name
    if content_type:
        content["content_type"] = content_type
    if content and payload.num_items:
        content["num_items"] = payload.num_items
    return [content] if content else []


def _encoded(url: str) -> str:
    """ "The Event Source URL should be URL Encoded": what is encoded already stays."""
    return quote(url, safe="%:/?#[]@!$&'()*+,;=~", errors="replace")


def _accepted(answer: dict[str, Any], count: int, status: int) -> Outcome:
    data = answer.get("data")
    processed = data.get("conversions_processed") if isinstance(data, dict) else None
    if isinstance(processed, int) and processed >= count:
        return base.OK
    # Sending again what was taken is harmless: X knows event id and conversion id for 48 hours.
    result = Result.SPLIT if isinstance(processed, int) and count > 1 else Result.RETRY
    said = f"processed {processed} of {count} conversions" if isinstance(processed, int) else "confirmed nothing"
    return Outcome(result=result, detail=f"X answered {status} and {said}.")


def _error(answer: dict[str, Any]) -> tuple[str, str]:
    """Code and message of the first error, of all of them the one that the table knows."""
    errors = list(_reading.objects(answer.get("errors")))
    if not errors:
        return "", ""
    first = next((one for one in errors if str(one.get("code")) in CODES), errors[0])
    return str(first.get("code") or "")[:60], str(first.get("message") or "")


def _advice(code: str, status: int) -> str:
    result, advice = CODES.get(code) or STATUSES.get(status) or (Result.RETRY, "")
    return advice if result == Result.RETRY else ""


def _wait(response: Response) -> float | None:
    """Retry-After; of a rate limit the time of its end (Unix seconds), by the clock of the answer."""
    after = base.retry_after(response)
    if after is not None or response.status != 429:
        return after
    reset = next(filter(None, (response.headers.get(name, "").strip() for name in _RESETS)), "")
    try:
        sent = parsedate_to_datetime(response.headers.get("date", "")).timestamp()
        return min(max(0.0, int(reset[:12]) - sent), base.LONGEST_RETRY_AFTER)
    except (TypeError, ValueError, OverflowError):
        return None
