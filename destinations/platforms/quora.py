"""Quora Conversion API, v0. Source: quora.com/ads/conversion_api_doc, Quora's own server tag (github.com/quora/
quora-capi-tag), and the design of Segment's destination, which was written with Quora (called "the design" below).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote

import msgspec
from django.utils.translation import gettext_lazy as _

from destinations.masking import masked
from destinations.platforms import _reading, base, identity
from destinations.platforms._names import NAMES, by_native, words
from destinations.platforms.base import Built, Config, Field, Item, Outcome, Request, Response, Result, Skip
from events.payload import Payload

VERSION = "v0"
MAX_AGE_MS = 90 * 86_400_000  # the design: "outside the 90-day window the server substitutes the current time"
MAX_VALUE = 214_748.36  # the design: above it the event is refused with VALUE_OUT_OF_RANGE
RATE_SECONDS = 60.0  # the design: 1,000 events a minute for an account; a batch beyond that is refused whole

GENERIC = "Generic"
"""What Quora's own tag calls all that has no name of its own."""

EVENTS = dict.fromkeys(NAMES, GENERIC) | by_native({
    "ViewContent": "ContentView HighIntentPageView IntegrationViewed ApiDocsViewed",
    "GenerateLead": "LeadCaptured DemoBooked",
    "CompleteRegistration": "SignUp",
    "AddPaymentInfo": "AddPaymentInfo",
    "InitiateCheckout": "CheckoutStarted",
    "Purchase": "Purchase TopUpPurchased CreditsPurchased",
})  # fmt: skip

# Code of a refused event → what to do. The design names the one; others are told by their message.
CODES = {"VALUE_OUT_OF_RANGE": f"The value is more than Quora takes ({MAX_VALUE:,.2f})"}
STATUSES: dict[int, tuple[Result, str]] = {
    401: (
        Result.CONFIG,
        "Quora refused the token: generate a new one in Ads Manager → Conversion API",
    ),
    403: (Result.CONFIG, "The token may not write to this account: it must be generated in the account of that id"),
    404: (Result.CONFIG, "Quora does not know this address: check the API version"),
}
RETRY_STATUSES = frozenset({423})  # beside the usual ones, in Segment's destination
REFUSED = "Quora refused the event: compare it with the message and mend it at its source"

_QCLID = re.compile(r"[?&]qclid=([^&#]+)")
_PASSES = re.compile(r"internal|time_?d?_?out|unavailable|temporar|rate_?limit|try again", re.IGNORECASE)
_ACCOUNT = re.compile(r"\baccount(_id)?\b|\btoken\b", re.IGNORECASE)


class _Settings(msgspec.Struct, frozen=True):
    """What of the configuration goes into every event."""

    currency: str
    sends_user: bool
    needs_click: bool
    now_ms: int


class Quora(base.Platform):
    key = "quora"
    label = "Quora"
    kind = base.Kind.ADS
    events = EVENTS
    takes_custom_events = True
    recommended = frozenset(words("LeadCaptured DemoBooked SignUp Purchase"))
    batch_limit = 1000
    max_age = timedelta(milliseconds=MAX_AGE_MS)
    docs_url = "https://www.quora.com/ads/conversion_api_doc"
    version = base.Version(default=VERSION, source="https://www.quora.com/ads/conversion_api_doc")
    # "Email is mapped and sent as plaintext; Quora hashes server-side" (the design); a hash would not pass its check.
    plain_identity = frozenset(words("email phone first_name last_name city state zip country company_name"))
    fields = (
        Field(name="account_id", label=_("Quora Ads account ID"), required=True, pattern=r"[0-9]{5,20}",
              example="5551234567",
              help=_("Ads Manager → Conversion API, or the number in the address of Ads Manager")),
        Field(name="access_token", label=_("Conversion API token"), secret=True, required=True,
              pattern=r"[\x21-\x7e]{1,4096}", example="an-example-token-that-opens-only-the-sandbox",
              help=_("Ads Manager → Conversion API → Generate Token")),
        Field(name="account_currency", label=_("Account currency"), is_advanced=False, pattern=r"[A-Z]{3}",
              default="USD", help=_("Quora takes amounts without a currency: those in another one are left out")),
        Field(name="user_data", label=_("People's data"), default="on",
              choices=(("on", _("Send: name, address, phone and e-mail in plain")), ("off", _("Send only click ids"))),
              help=_("Quora takes it in plain only and hashes it on arrival; conversions are attributed "
                     "by the click id")),
        Field(name="clicks_only", label=_("Which events"), default="off",
              choices=(("off", _("All")), ("on", _("Only those with a Quora click id"))),
              help=_("An event without a click id is taken, but counts for no ad")),
        Field(name="api_version", label=_("API version"), pattern=r"v\d{1,2}", default=VERSION, help=_("Such as v0")),
    )  # fmt: skip

    def native_name(self, event: str) -> str:
        return EVENTS.get(event) or GENERIC

    def build(self, items: Sequence[Item], config: Config, now: datetime) -> Built:
        settings = _Settings(
            currency=config.get("account_currency") or "USD",
            sends_user=config.get("user_data") != "off",
            needs_click=config.get("clicks_only") == "on",
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
        url = f"https://api.quora.com/ads/{config.get('api_version') or VERSION}/conversions"
        headers = {"Authorization": f"Bearer {config.get('access_token', '')}", "Content-Type": "application/json"}
        account = config.get("account_id", "").lstrip("0")  # a JSON number
        start = b'{"account_id":%b,"data":[' % (account.encode() if re.fullmatch("[0-9]+", account) else b"0")
        runs = base.chunks(parts, self.batch_limit)
        return Built(skipped=skipped, requests=base.posts(runs, url, headers, start, b"]}"))

    def _event(self, item: Item, settings: _Settings) -> dict[str, Any] | Skip:
        payload = item.payload
        if settings.now_ms - item.occurred_ms > MAX_AGE_MS:
            return Skip(item=item, reason="too_old", detail="Quora takes the times of the last 90 days only.")
        conversion: dict[str, Any] = {
            "event_name": item.native_name or self.native_name(item.event),
            "timestamp": min(item.occurred_ms, settings.now_ms) * 1000,  # microseconds; a clock may run ahead
            "event_id": item.event_id,
        }
        if click_id := payload.click_ids.get("qclid") or _qclid(payload.page_url):
            conversion["click_id"] = click_id
        amount = base.value_of(item)
        if amount and amount[1] == settings.currency:
            conversion["value"] = amount[0]
        event: dict[str, Any] = {"conversion": conversion}
        event["user"] = _user(payload) if settings.sends_user else {}  # must exist, may be empty
        device = {"user_agent": payload.user_agent, "referer": payload.referrer}  # one r: the public page misspells it
        if device := {key: value for key, value in device.items() if value}:
            event["device"] = device
        if payload.platform_params:
            event = base.with_overrides(event, item, self.key)
            if not all(isinstance(event.get(part, {}), dict) for part in ("conversion", "user", "device")):
                return Skip(item=item, reason="invalid", detail="platformParams.quora replaces an object.")
            conversion = event["conversion"]
        if not conversion.get("click_id"):
            if settings.needs_click:
                return Skip(item=item, reason="no_identity", detail="The event carries no Quora click id (qclid).")
            if not {"email", "phone_number", "ip"} & event["user"].keys():
                needed = "Quora needs its click id, or an e-mail address, phone number or IP address that may be sent"
                return Skip(item=item, reason="no_identity", detail=f"{needed}; the event carries none of them.")
        value = conversion.get("value")
        if isinstance(value, int | float) and value > MAX_VALUE:
            return Skip(item=item, reason="invalid", detail=f"Quora takes values up to {MAX_VALUE:,.2f} only.")
        return event

    def parse(self, request: Request, response: Response) -> list[Outcome]:
        """200 even when events were refused: those are named by index, the others were taken."""
        status, count, answer = response.status, len(request.items), _reading.fields_of(response)
        if 200 <= status < 300:
            return _taken(status, answer, count, base.retry_after(response))
        after = base.retry_after(response)
        if status in RETRY_STATUSES or base.is_transient(status):
            if after is None and status == 429:
                after = RATE_SECONDS
            detail = f"Quora answered {status}." if status != 429 else "Quora takes 1,000 events a minute (429)."
            return [Outcome(result=Result.RETRY, detail=detail, after=after)] * count
        said = str(answer.get("error_message") or answer.get("message") or answer.get("error") or "no reason given")
        known = STATUSES.get(status) or (STATUSES[403] if _ACCOUNT.search(said) else None)
        result, advice = known or (Result.SPLIT if count > 1 else Result.PERMANENT, REFUSED)
        return [Outcome(result=result, detail=masked(f"{advice}. Quora {status}: {said}", cap=300))] * count

    # No check: Quora documents nothing that reads, and no way to send an event that does not count.


def _taken(status: int, answer: dict[str, Any], count: int, after: float | None) -> list[Outcome]:
    rows, errored = answer.get("events"), answer.get("events_errored")
    found: dict[int, Outcome] = {}
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict) and row.get("status") != "OK" and isinstance(index := row.get("index"), int):
            found[index] = _row(row)
    outcomes = [found.get(index, base.OK) for index in range(count)]
    failed = sum(outcome.result != Result.OK for outcome in outcomes)
    is_told = "events_received" in answer or isinstance(rows, list)
    if not is_told or (isinstance(errored, int) and errored > failed):
        # Sending again what was taken is harmless: Quora drops what has the same event_id.
        result = Result.SPLIT if is_told and count > 1 else Result.RETRY
        detail = f"Quora answered {status} and did not say what became of each event."
        return [Outcome(result=result, detail=detail, after=after)] * count
    return outcomes


def _row(row: dict[str, Any]) -> Outcome:
    code, said = str(row.get("error_code") or ""), str(row.get("error_message") or "no reason given")
    detail = masked(f"{CODES.get(code, REFUSED)}. Quora says {code or 'ERROR'}: {said}", cap=300)
    return Outcome(result=Result.RETRY if _PASSES.search(f"{code} {said}") else Result.PERMANENT, detail=detail)


def _qclid(page_url: str | None) -> str:
    """The click id of the landing address, decoded once as Quora's own tag does."""
    found = _QCLID.search(page_url) if page_url and "qclid=" in page_url else None
    return unquote(found[1]) if found else ""


def _user(payload: Payload) -> dict[str, str]:
    """The person in plain, "stored as sent"; what came hashed is left out. Formats: the design, "Field formats"."""
    country = identity.country(payload.country).upper() if payload.country else ""
    user = {
        "email": payload.email if payload.email and identity.email(payload.email) else None,
        "phone_number": _phone(payload.phone, country) if payload.phone else None,
        "name": _name(payload),
        "ip": payload.client_ip,
        "country": country,
        "region": payload.state,
        "city": payload.city,
        "postal_code": payload.zip,
        "company_name": payload.company_name,
    }
    clean = {key: value.strip() for key, value in user.items() if value}
    return {key: value for key, value in clean.items() if value and not identity.is_hashed(value)}


def _phone(phone: str, country: str) -> str:
    """E.164, which is "preferred" and not enforced: as it is when it cannot be read."""
    return identity.phone_e164(phone, country if len(country) == 2 else "") or phone


def _name(payload: Payload) -> str:
    return " ".join(part for part in (payload.first_name, payload.last_name) if part and not identity.is_hashed(part))
