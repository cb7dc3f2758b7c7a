"""LinkedIn Conversions API. Source: learn.microsoft.com/linkedin/marketing, "Conversions API" (version 202609).

LinkedIn knows no event names: an event is the conversion rule it is sent to, so every event that is on needs a rule id.
The event map says which type to give that rule in Campaign Manager.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import quote

import msgspec
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from destinations.masking import masked
from destinations.platforms import _oauth, _reading, base, identity
from destinations.platforms._names import by_native, words
from destinations.platforms._oauth import RefreshTokenGrant
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

URL = "https://api.linkedin.com/rest/conversionEvents"
RULES_URL = "https://api.linkedin.com/rest/conversions"
"""The finder of an account's rules. Source: the same site, "Conversion Tracking", "Find Conversions by Ad Account"."""
PAGE = 100
TOKEN_URL = "https://www.linkedin.com/oauth/v2/accessToken"  # noqa: S105
"""Source: the same site, "Refresh Tokens with OAuth 2.0"."""
VERSION = "202609"
MAX_AGE = timedelta(days=90)
RULE = "urn:lla:llaPartnerConversion:"
ACCOUNT = "urn:li:sponsoredAccount:"
LEAD = "urn:li:leadGenFormResponse:"

EVENTS = by_native({
    "PageView": "PageView",
    "ViewContent": "ContentView IntegrationViewed ApiDocsViewed",
    "Key Page View": "HighIntentPageView AdLandingPageView",
    "Lead": "LeadCaptured DemoBooked",
    "Contact": "ChatStarted",
    "Sign Up": "SignUp",
    "Login": "SSOLogin",
    "Complete Signup": "EmailVerified",
    "Invite": "InviteSent TeamMemberInvited",
    "Start Trial": "StartTrial",
    "Sales Qualified Lead": "SalesQualifiedLead",
    "Qualified Lead": "OpportunityCreated PipelineQualified",
    "Start Checkout": "CheckoutStarted",
    "Purchase": "Purchase PlanUpgrade SubscriptionRenew ExpansionRevenue TopUpPurchased CreditsPurchased",
    "Subscribe": "SubscriptionStarted Reactivated",
    "Other": """
        CompanyIdentified ReturningVisitor FeatureUsed DemoIntent PricingInteraction DocsInteraction WorkspaceCreated
        TrialActivated FirstAction ApiKeyCreated ApiCallSucceeded CsvUploaded EnrichmentStarted EnrichmentCompleted
        CreditConsumed MeetingHeld ApiPlaygroundUsed FirstSuccessfulApiCall EndpointTested EmailFinderUsed
        EmailValidationUsed MobileFinderUsed CompanyEnriched ProfileEnriched BulkJobStarted BulkJobCompleted CreditsLow
        CreditsExhausted SalesforceConnected HubSpotConnected SmartleadConnected ClayExportClicked WebhookCreated
        WebhookDelivered WebhookFailed
    """,
}) | dict.fromkeys(words("AddPaymentInfo Refund Chargeback Churned"))  # fmt: skip

CONFIG_STATUSES = {
    401: "refused the access token",
    403: "says the token's owner may not write to this ad account",
    404: "does not know the conversion rule or ad account",
    426: "has switched this LinkedIn-Version off",
}
RETRY_STATUSES = frozenset({409, 423})  # a conflict or a lock of the moment

_INDICES = re.compile(r"indices\s*\[([\d,\s]*)\]", re.IGNORECASE)
_INDEX = re.compile(r"\bIndex:\s*(\d{1,6})\b\s*,?(.*?)(?=\bIndex:\s*\d|\Z)", re.DOTALL | re.IGNORECASE)
_LI_FAT_ID = re.compile(r"[?&]li_fat_id=([^&#]+)")

USER_INFO_RULES = dict.fromkeys(("hashedFirstName", "hashedLastName"), identity.name_compact)
ID_RULES = {"SHA256_EMAIL": identity.email_without_spaces, "SHA256_IP_ADDRESS": identity.ipv4}


class LinkedIn(base.Platform):
    key = "linkedin"
    label = "LinkedIn"
    kind = base.Kind.ADS
    events = EVENTS
    takes_custom_events = True  # any event can have a rule of type Other
    recommended = frozenset(words("""
        PageView ContentView LeadCaptured DemoBooked SignUp StartTrial SalesQualifiedLead OpportunityCreated Purchase
    """))  # fmt: skip
    batch_limit = 5000
    max_body_bytes = 8 * 1024 * 1024  # ours: the vendor documents none
    max_age = MAX_AGE
    requests_per_minute = 600
    native_id = NativeId(
        label=_("Conversion rule"),
        pattern=r"(urn:lla:llaPartnerConversion:)?\d{4,15}",
        help=_("Campaign Manager → Measurement → Conversion tracking; its source must be the Conversions API"),
        example="10000001",
    )
    docs_url = "https://learn.microsoft.com/linkedin/marketing/integrations/ads-reporting/conversions-api"
    version = base.Version(
        default=VERSION,
        # Each monthly version lives for a year. Source: "Versioning" on the same site.
        sunsets={f"{year}{month:02}": date(year + 1, month, 15) for year in (2025, 2026) for month in range(1, 13)},
        source="https://learn.microsoft.com/linkedin/marketing/versioning",
    )
    plain_identity = frozenset({"first_name", "last_name", "external_id"})
    list_needs = ("ad_account_id",)
    oauth = RefreshTokenGrant("LinkedIn", TOKEN_URL)
    fields = (
        Field(name="access_token", label=_("Conversions API token"), way=_("A token"), secret=True, required=True,
              pattern=r"[A-Za-z0-9_-]{60,2048}",
              example="AQ-an-example-token-that-opens-only-the-sandbox-and-nothing-else-at-all",
              help=_("Campaign Manager → Data → Signals manager → Direct API → Generate token")),
        Field(name="client_id", label=_("App client ID"), way=_("An app of your own"), pattern=r"[A-Za-z0-9]{8,32}",
              help=_("Of an app of your own with access to the Conversions API: LinkedIn Developers → My apps → Auth")),
        Field(name="client_secret", label=_("App client secret"), way=_("An app of your own"),
              secret=True, pattern=r"\S{8,128}", help=_("Beside it")),
        Field(name="refresh_token", label=_("Refresh token"), way=_("An app of your own"),
              secret=True, pattern=r"[A-Za-z0-9_-]{20,2048}",
              help=_("Made with the scopes rw_conversions and r_ads; LinkedIn lets it live for a year")),
        Field(name="ad_account_id", label=_("Ad account"), pattern=r"(urn:li:sponsoredAccount:)?\d{5,12}",
              example="512345678",
              help=_("The number in the address of Campaign Manager: to check the connection and "
                     "to pick rules by name")),
        Field(name="api_version", label=_("LinkedIn-Version"), pattern=r"20\d{2}(0[1-9]|1[0-2])(\.\d{2})?",
              default=VERSION, help=_("Year and month, such as 202609; each lives for a year")),
        # The vendor's examples all carry plain names; the hashed fields are new, and an unknown field refuses a batch.
        Field(name="names", label=_("First and last names"), default="plain",
              choices=(("plain", _("As they are")), ("hashed", _("Hashed (version 202609 and newer)")),
                       ("off", _("Not sent"))),
              help=_("LinkedIn documents names as plain text; newer versions are said to take them hashed too")),
    )  # fmt: skip

    def problems(self, config: Config) -> dict[str, str]:
        """The lasting token, or the three values of an app."""
        lasting = gettext("Enter a Conversions API token, or an app's values.")
        return _oauth.problems(config, super().problems(config), lasting)

    def build(self, items: Sequence[Item], config: Config, now: datetime) -> Built:
        version = config.get("api_version") or VERSION
        names = config.get("names") or "plain"
        if names == "hashed" and version < "202609":
            names = "off"
        parts: list[tuple[Item, bytes]] = []
        skipped: list[Skip] = []
        for item in items:
            event = self._event(item, version, names, int(now.timestamp() * 1000))
            if isinstance(event, Skip):
                skipped.append(event)
            else:
                parts.append((item, msgspec.json.encode(event)))
        headers = _headers(config) | {"X-RestLi-Method": "BATCH_CREATE", "Content-Type": "application/json"}
        runs = base.chunks(parts, self.batch_limit, self.max_body_bytes)
        return Built(skipped=skipped, requests=base.posts(runs, URL, headers, b'{"elements":[', b"]}"))

    def _event(self, item: Item, version: str, names: str, now_ms: int) -> dict[str, Any] | Skip:
        payload = item.payload
        if now_ms - item.occurred_ms > MAX_AGE.total_seconds() * 1000:
            return Skip(item=item, reason="too_old", detail="LinkedIn takes events of the last 90 days only.")
        if not item.native_id:
            return Skip(item=item, reason="missing_native_id", detail="No conversion rule is entered for the event.")
        event: dict[str, Any] = {
            "conversion": item.native_id if item.native_id.startswith(RULE) else RULE + item.native_id,
            "conversionHappenedAt": min(item.occurred_ms, now_ms),  # a sender's clock may run ahead
            "eventId": item.event_id,
            "user": _user(payload, version, names),
        }
        if amount := base.value_of(item):
            event["conversionValue"] = {"currencyCode": amount[1], "amount": base.decimal_text(amount[0])}
        if payload.platform_params:
            event = base.with_overrides(event, item, self.key)
            user = event["user"]
            if not isinstance(user, dict) or not isinstance(user.setdefault("userIds", []), list):
                return Skip(item=item, reason="invalid", detail="platformParams.linkedin replaces an object.")
            event["user"] = _protected(user, names)
        user = event["user"]
        if not any(isinstance(entry, dict) for entry in user["userIds"]) and not user.keys() - {"userIds"}:
            needed = "LinkedIn needs an e-mail address, li_fat_id, IPv4 address, both names, external id or lead form"
            return Skip(item=item, reason="no_identity", detail=f"{needed}; the event carries none of them.")
        return event

    def parse(self, request: Request, response: Response) -> list[Outcome]:
        """One bad element refuses all of them; the message says which, and the others are sent again at once."""
        status, count, answer = response.status, len(request.items), _reading.fields_of(response)
        if 200 <= status < 300:
            return _accepted(status, answer, count)
        message = str(answer.get("message") or "no reason given")
        detail = masked(f"LinkedIn {status}: {message}", cap=300)
        if status in RETRY_STATUSES or base.is_transient(status):
            return [Outcome(result=Result.RETRY, detail=detail, after=base.retry_after(response))] * count
        result = Result.CONFIG if status in CONFIG_STATUSES else Result.PERMANENT
        if status in (400, 404, 422) and (bad := _bad_indices(message, count)):
            again = _reading.again("LinkedIn")
            return [
                Outcome(result=result, detail=masked(f"LinkedIn {status}: {bad[i]}", cap=300)) if i in bad else again
                for i in range(count)
            ]
        if status in CONFIG_STATUSES:
            reason = base.TOKEN_EXPIRED if status == 401 else ""
            return [
                Outcome(result=result, detail=f"LinkedIn {CONFIG_STATUSES[status]}. {detail}", reason=reason)
            ] * count
        return [Outcome(result=Result.SPLIT if count > 1 else result, detail=detail)] * count

    def check(self, config: Config, now: datetime) -> Request | None:
        """One of the account's rules. A token alone opens nothing that reads: without an account there is no check."""
        return _finder(config, "0", 1)

    def read_check(self, response: Response, config: Config) -> Outcome:
        if _reading.is_good(response) and isinstance(_reading.fields_of(response).get("elements"), list):
            account = config.get("ad_account_id", "").removeprefix(ACCOUNT)
            return _reading.good(f"Ad account {account} answers.")
        return _reading.refused(self, response)

    def list_ids(self, config: Config, now: datetime, page: str = "") -> Request | None:
        return _finder(config, page or "0", PAGE)

    def read_ids(self, response: Response, config: Config) -> list[IdChoice]:
        """Those that take events of the Conversions API; one of the Insight Tag would refuse them."""
        return [
            IdChoice(_reading.text(rule.get("id")), _rule_label(rule))
            for rule in _reading.objects(_reading.fields_of(response).get("elements"))
            if rule.get("conversionMethod", "CONVERSIONS_API") == "CONVERSIONS_API"
        ]

    def next_page(self, response: Response) -> str:
        """The place of the first rule that was not on this page."""
        answer = _reading.fields_of(response)
        paging, rules = answer.get("paging"), answer.get("elements")
        start = paging.get("start") if isinstance(paging, dict) else None
        is_more = isinstance(rules, list) and len(rules) >= PAGE and isinstance(start, int)
        return str(start + PAGE) if is_more and isinstance(start, int) else ""


def _headers(config: Config) -> dict[str, str]:
    return {
        "Authorization": f"Bearer {config.get('access_token') or config.get(base.ACCESS_TOKEN, '')}",
        "LinkedIn-Version": config.get("api_version") or VERSION,
        "X-Restli-Protocol-Version": "2.0.0",
    }


def _finder(config: Config, start: str, count: int) -> Request | None:
    account = config.get("ad_account_id", "").removeprefix(ACCOUNT)
    if not account:
        return None
    query = f"q=account&account={quote(ACCOUNT + account, safe='')}&start={start}&count={count}"
    return Request(method="GET", url=f"{RULES_URL}?{query}", headers=_headers(config), body=b"", items=())


def _rule_label(rule: dict[str, Any]) -> str:
    name = _reading.text(rule.get("name"))
    return gettext("%(name)s (switched off)") % {"name": name} if rule.get("enabled") is False else name


def _accepted(status: int, answer: dict[str, Any], count: int) -> list[Outcome]:
    elements = answer.get("elements")
    if not isinstance(elements, list) or len(elements) != count:
        if status == 201:  # how a single event is answered: no body
            return [base.OK] * count
        return [Outcome(result=Result.RETRY, detail=f"LinkedIn answered {status} without a status per event.")] * count
    return [_element(element) for element in elements]


def _element(element: Any) -> Outcome:
    status = element.get("status") if isinstance(element, dict) else None
    status = status if isinstance(status, int) else 0
    if 200 <= status < 300:
        return base.OK
    detail = masked(f"LinkedIn {status}: {element.get('message') or 'refused'}" if status else "unreadable", cap=300)
    if not status or status in RETRY_STATUSES or base.is_transient(status):
        return Outcome(result=Result.RETRY, detail=detail)
    return Outcome(result=Result.CONFIG if status in CONFIG_STATUSES else Result.PERMANENT, detail=detail)


def _bad_indices(message: str, count: int) -> dict[int, str]:
    """Index of each refused element → what was wrong. Two shapes: `indices [0, 3]` and `Index: 0, ERROR :: …`."""
    found: dict[int, str] = {}
    for listed in _INDICES.finditer(message):
        found.update(dict.fromkeys(map(int, re.findall(r"\b\d{1,6}\b", listed[1])), message))
    for index, said in _INDEX.findall(message):
        found[int(index)] = " ".join(said.split())
    return {index: said for index, said in found.items() if index < count}


def _user(payload: Payload, version: str, names: str) -> dict[str, Any]:
    ids: list[dict[str, str]] = []
    email = identity.email_without_spaces(payload.email) if payload.email else ""
    if email:
        ids.append({"idType": "SHA256_EMAIL", "idValue": identity.hashed(email)})
    found = _LI_FAT_ID.search(payload.page_url or "")
    li_fat_id = payload.click_ids.get("li_fat_id") or (found[1] if found else "")
    if li_fat_id:
        ids.append({"idType": "LINKEDIN_FIRST_PARTY_ADS_TRACKING_UUID", "idValue": li_fat_id})
    if version >= "202605" and identity.ipv4(payload.client_ip or ""):
        if version >= "202607":
            ids.append({"idType": "SHA256_IP_ADDRESS", "idValue": identity.hashed(payload.client_ip or "")})
        else:
            ids.append({"idType": "PLAINTEXT_IP_ADDRESS", "idValue": payload.client_ip or ""})
    user: dict[str, Any] = {"userIds": ids}  # must exist, may be empty
    if names != "off" and payload.first_name and payload.last_name:  # one without the other is refused
        info = {"firstName": payload.first_name, "lastName": payload.last_name}
        if names == "hashed":
            info = _hashed_names(info)  # both, or the request is refused
        if len(info) == 2 and ("hashedFirstName" in info or not any(map(identity.is_hashed, info.values()))):
            country = identity.country(payload.country) if payload.country else ""
            extra = {"companyName": payload.company_name, "countryCode": country.upper() if len(country) == 2 else ""}
            user["userInfo"] = info | {key: value for key, value in extra.items() if value}
    if payload.external_id:
        user["externalIds"] = [payload.external_id]
    if payload.lead_id and payload.lead_id.startswith(LEAD):
        user["lead"] = payload.lead_id
    return user


def _hashed_names(info: dict[str, Any]) -> dict[str, Any]:
    """`userInfo` with the names hashed, which LinkedIn takes since 202609: then they leave in plain no longer."""
    keys = {"firstName": "hashedFirstName", "lastName": "hashedLastName"}
    return identity.protected({keys.get(key, key): value for key, value in info.items()}, USER_INFO_RULES)


def _protected(user: dict[str, Any], names: str) -> dict[str, Any]:
    """`user` after the sender's overrides: what LinkedIn takes hashed leaves hashed, whatever was written there."""
    ids = []
    for entry in user["userIds"]:
        rule = ID_RULES.get(str(entry.get("idType"))) if isinstance(entry, dict) else None
        ids.append(entry | identity.protected({"idValue": entry.get("idValue")}, {"idValue": rule}) if rule else entry)
    safe = user | {"userIds": ids}
    info = safe.pop("userInfo", None)
    if isinstance(info, dict):
        info = _hashed_names(info) if names == "hashed" else identity.protected(info, USER_INFO_RULES)
        # Without both names LinkedIn refuses the element, and with it the batch.
        if {"hashedFirstName", "hashedLastName"} <= info.keys() or {"firstName", "lastName"} <= info.keys():
            safe["userInfo"] = info
    return safe
