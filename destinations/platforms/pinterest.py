"""Pinterest API for Conversions, v5. Source: developers.pinterest.com/docs/api/v5/events-create (OpenAPI 5.23)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from django.utils.translation import gettext_lazy as _

from destinations.masking import masked
from destinations.platforms import _reading, base
from destinations.platforms._names import NAMES, by_native, words
from destinations.platforms._pinterest_data import CUSTOM, custom_data, protected, user_data, with_texts
from destinations.platforms.base import Built, Config, Field, Item, Outcome, Request, Response, Result, Skip

VERSION = "v5"
MAX_AGE_MS = 7 * 86_400_000

EVENTS = dict.fromkeys(NAMES, CUSTOM) | by_native({
    "page_visit": "PageView AdLandingPageView",
    "view_content": "ContentView HighIntentPageView IntegrationViewed ApiDocsViewed",
    "lead": "LeadCaptured",
    "schedule": "DemoBooked",
    "contact": "ChatStarted",
    "signup": "SignUp",
    "start_trial": "StartTrial",
    "add_payment_info": "AddPaymentInfo",
    "initiate_checkout": "CheckoutStarted",
    "checkout": "Purchase TopUpPurchased CreditsPurchased",
    "subscribe": "SubscriptionStarted",
})  # fmt: skip


# Error code → what it means. Source: API v5, the responses of events/create.
CODES: dict[int, tuple[Result, str]] = {
    2: (Result.CONFIG, "Pinterest refused the conversion token: generate a new one in Ads Manager and enter it here"),
    3: (Result.CONFIG, "Pinterest says the token may not do this: generate one as Owner or Admin of the ad account"),
    8: (Result.RETRY, "Pinterest's rate limit is reached"),
    29: (Result.CONFIG, "The token's user may not write to this ad account: make them Admin, Analyst or Campaign"),
    4197: (Result.RETRY, "Pinterest is out of service for the moment"),
}
STATUSES: dict[int, tuple[Result, str]] = {
    401: CODES[2],
    403: CODES[29],
    404: (Result.CONFIG, "Pinterest does not know this ad account: check its id"),
}
REFUSED = "Pinterest refused the event: compare it with the message and mend it at its source"

_HTTP = re.compile(r"https?://[^\s/]", re.IGNORECASE)
_TOO_OLD = re.compile(r"event_time.*(\bold|past|days)", re.IGNORECASE)
_PASSES = re.compile(r"internal|time[d -]*out|try again|temporar|unavailable", re.IGNORECASE)


class _Settings(msgspec.Struct, frozen=True):
    """What of the configuration goes into every event."""

    action_source: str
    partner_name: str
    is_limited: bool
    now_ms: int


class Pinterest(base.Platform):
    key = "pinterest"
    label = "Pinterest"
    kind = base.Kind.ADS
    events = EVENTS
    takes_custom_events = True
    recommended = frozenset(words("PageView ContentView LeadCaptured SignUp Purchase"))
    batch_limit = 1000
    max_body_bytes = 2_000_000  # ours: the vendor documents none; Tealium's connector stops here
    max_age = timedelta(milliseconds=MAX_AGE_MS)
    requests_per_minute = 5000
    docs_url = "https://developers.pinterest.com/docs/api/v5/events-create/"
    version = base.Version(default=VERSION, source="https://developers.pinterest.com/docs/api/v5/")
    test_mode = base.TestMode(how=_("Pinterest checks the event and answers, and records nothing."))
    fields = (
        Field(name="ad_account_id", label=_("Ad account ID"), required=True, pattern=r"\d{1,18}",
              example="549755885175",
              help=_("Ads Manager: the number in the address, or under the account's name in the account overview")),
        Field(name="conversion_token", label=_("Conversion access token"), secret=True, required=True,
              pattern=r"[\x21-\x7e]{1,4096}", example="pina_EXAMPLETOKENTHATOPENSONLYTHESANDBOX",
              help=_("Ads Manager → Conversions → Conversions API → Set up API → Generate new token")),
        Field(name="partner_name", label=_("Partner name"), is_advanced=True, pattern=r"ss-[a-z0-9-]{1,60}",
              help=_("Only when Pinterest gave you one, such as ss-acme")),
        Field(name="action_source", label=_("Action source"), default="web",
              choices=(("web", _("Web")), ("offline", _("Offline"))),
              help=_("Where the events happened. Pinterest does not recognise an offline event that came twice")),
        Field(name="limited_data_processing", label=_("Limited data processing"), default="off",
              choices=(("off", _("Off")), ("on", _("On"))),
              help=_("Sends opt_out_type LDP with every event, for US state privacy laws")),
        Field(name="api_version", label=_("API version"), pattern=r"v\d{1,2}", default=VERSION, help=_("Such as v5")),
    )  # fmt: skip

    def native_name(self, event: str) -> str:
        """An own event is `custom` too, told apart by its `content_name`."""
        return EVENTS.get(event) or CUSTOM

    def build(self, items: Sequence[Item], config: Config, now: datetime) -> Built:
        settings = _Settings(
            action_source=config.get("action_source") or "web",
            partner_name=config.get("partner_name", ""),
            is_limited=config.get("limited_data_processing") == "on",
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
        url = f"https://api.pinterest.com/{config.get('api_version') or VERSION}"
        url += f"/ad_accounts/{config.get('ad_account_id', '')}/events"
        if config.get(base.TEST):
            url += "?test=true"
        headers = {
            "Authorization": f"Bearer {config.get('conversion_token', '')}",
            "Content-Type": "application/json",
        }
        runs = base.chunks(parts, self.batch_limit, self.max_body_bytes)
        return Built(skipped=skipped, requests=base.posts(runs, url, headers, b'{"data":[', b"]}"))

    def _event(self, item: Item, settings: _Settings) -> dict[str, Any] | Skip:
        payload = item.payload
        if settings.now_ms - item.occurred_ms > MAX_AGE_MS:
            return Skip(item=item, reason="too_old", detail="Pinterest takes events of the last seven days only.")
        name = item.native_name or self.native_name(item.event)
        event: dict[str, Any] = {
            "event_name": name,
            "action_source": settings.action_source,
            "event_time": min(item.occurred_ms, settings.now_ms) // 1000,  # a sender's clock may run ahead
            "event_id": item.event_id,
            "user_data": user_data(payload),
        }
        if payload.page_url and _HTTP.match(payload.page_url):
            event["event_source_url"] = payload.page_url
        if settings.partner_name:
            event["partner_name"] = settings.partner_name
        marketing = payload.consent.get("marketing")
        if marketing is not None:  # unknown is not opted out: the source's default has let the event through
            event["opt_out"] = not marketing
        if custom := custom_data(item, name, settings.is_limited):
            event["custom_data"] = custom
        if payload.platform_params:
            event = base.with_overrides(event, item, self.key)
            if not isinstance(event["user_data"], dict) or not isinstance(event.get("custom_data", {}), dict):
                return Skip(item=item, reason="invalid", detail="platformParams.pinterest replaces an object.")
            event["user_data"] = protected(event["user_data"])
            if "custom_data" in event:
                event["custom_data"] = with_texts(event["custom_data"])
        user = event["user_data"]
        # "At least one of 1) em, 2) hashed_maids or 3) pair client_ip_address + client_user_agent": a phone number or
        # an external id alone is refused. Source: API v5, ConversionEventsUserData.
        if "em" not in user and "hashed_maids" not in user:
            missing = {"client_ip_address", "client_user_agent"} - user.keys()
            if missing:
                needed = "Pinterest needs an e-mail address, or an IP address together with a user agent"
                return Skip(item=item, reason="no_identity", detail=f"{needed}; the event carries neither.")
        return event

    def parse(self, request: Request, response: Response) -> list[Outcome]:
        """A status for each event, in the order of the request, in a 200 and in the details of a 422."""
        status, count, answer = response.status, len(request.items), _reading.fields_of(response)
        if 200 <= status < 300:
            rows = answer.get("events")
            if isinstance(rows, list) and len(rows) == count:
                return [_row(row) for row in rows]
            if answer.get("num_events_processed") == count:
                return [base.OK] * count
            # Sending again what was taken is harmless: Pinterest drops what has the same event_id.
            detail = f"Pinterest answered {status} without a status for every event."
            return [Outcome(result=Result.RETRY, detail=detail, after=base.retry_after(response))] * count
        details = answer.get("details")
        rows = details.get("events") if isinstance(details, dict) else None
        if status == 422 and isinstance(rows, list) and len(rows) == count:
            # "Not all events were successfully processed": some were, and an offline one sent again counts twice.
            return [_row(row) for row in rows]
        return [_refused(status, answer, response, count)] * count

    def check(self, config: Config, now: datetime) -> Request | None:
        """A made-up event with `test=true`, which records nothing: a conversion token may read no ad account. Source:
        API v5, events/create, "test".
        """
        nobody = _reading.made_up(now, email="check@example.com")
        (request,) = self.build([nobody], {**config, base.TEST: "1", "action_source": "web"}, now).requests
        return msgspec.structs.replace(request, items=())

    def read_check(self, response: Response, config: Config) -> Outcome:
        if _reading.is_good(response) and "num_events_received" in _reading.fields_of(response):
            return _reading.good(
                f"Ad account {config.get('ad_account_id', '')} took a test event and recorded nothing."
            )
        return _reading.refused(self, response)


def _row(row: Any) -> Outcome:
    row = row if isinstance(row, dict) else {}
    if row.get("status") == "processed":
        return base.OK  # a warning_message is no failure
    said = row.get("error_message") or "no reason given"
    detail = masked(f"{REFUSED}. Pinterest says: {said}", cap=300)
    if _TOO_OLD.search(detail):
        return Outcome(result=Result.TOO_OLD, detail=detail, reason="too_old")
    return Outcome(result=Result.RETRY if _PASSES.search(str(said)) else Result.PERMANENT, detail=detail)


def _refused(status: int, answer: dict[str, Any], response: Response, count: int) -> Outcome:
    code = answer.get("code")
    known = CODES.get(code) if isinstance(code, int) else None
    if base.is_transient(status):
        known = (Result.RETRY, known[1] if known else "Pinterest could not take the request just now")
    result, advice = known or STATUSES.get(status) or (Result.PERMANENT, REFUSED)
    if result == Result.PERMANENT and count > 1:
        result = Result.SPLIT
    said = answer.get("message") or "no reason given"
    detail = masked(f"{advice}. Pinterest {status}, code {code}: {said}", cap=300)
    after = base.retry_after(response) if result == Result.RETRY else None
    return Outcome(result=result, detail=detail, after=after)
