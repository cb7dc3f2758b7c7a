"""Google Analytics 4, by the Measurement Protocol.

Sources: developers.google.com/analytics/devguides/collection/protocol/ga4/{reference,sending-events,validating-events}
and …/collection/ga4/uid-data (2026-09).

The endpoint answers 2xx to everything it can read, a wrong secret included: "accepted" is all that is ever known. Only
the validation server says what is wrong, so a test goes there, and so does every event when `debug` is on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from destinations.platforms import _ga4_params as ga4
from destinations.platforms import _reading, base
from destinations.platforms._ga4_answers import validated
from destinations.platforms._ga4_user import protected, user_data
from destinations.platforms._names import NAMES, by_native, snake, words
from destinations.platforms.base import TEST, Built, Config, Field, Item, Outcome, Request, Response, Result, Skip
from events.payload import Payload

HOSTS = {"eu": "region1.google-analytics.com"}
HOST = "www.google-analytics.com"
MAX_AGE = timedelta(hours=72)
MAX_USER_ID = 256

EVENTS: dict[str, str | None] = {**{name: snake(name) for name in NAMES}, **by_native({
    "page_view": "PageView",
    "view_item": "ContentView",
    "generate_lead": "LeadCaptured DemoBooked",
    "login": "SSOLogin",
    "begin_checkout": "StartTrial CheckoutStarted",
    "qualify_lead": "SalesQualifiedLead",
    "working_lead": "MeetingHeld",
    "purchase": "Purchase PlanUpgrade SubscriptionRenew ExpansionRevenue TopUpPurchased CreditsPurchased",
})}  # fmt: skip

PARAMS = ("session_id", "session_number", "engagement_time_msec", "debug_mode")
"""Parameters of the event that an override may name beside `client_id`."""

_APP_INSTANCE = re.compile(r"[0-9A-Fa-f]{32}")
_CHOICES = (("unspecified", _("Not said")), ("granted", _("Granted")), ("denied", _("Denied")))
_encode = msgspec.json.Encoder().encode


class _Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration as the events need it, read once for a build."""

    now_ms: int
    measurement_id: str
    is_app: bool
    takes_anonymous_id: bool
    sends_user_data: bool
    sends_properties: bool
    consent: dict[str, str]


class _Part(NamedTuple):
    item: Item
    root: bytes
    """The request without time and events: what events must have in common to share one."""
    event: bytes
    micros: int


class Ga4(base.Platform):
    key = "ga4"
    label = "Google Analytics 4"
    also_known_as = ("ga", "google analytics", "universal analytics")
    kind = base.Kind.ANALYTICS
    events = EVENTS
    takes_custom_events = True
    recommended = frozenset(NAMES[:44]) - frozenset(words("Refund Chargeback Churned"))
    batch_limit = 25
    max_body_bytes = 130_000
    max_age = MAX_AGE
    docs_url = "https://developers.google.com/analytics/devguides/collection/protocol/ga4"
    test_mode = base.TestMode(
        how=_("Google's validation server says what is wrong with the event, and records nothing.")
    )
    plain_identity = frozenset(words("""
        external_id anonymous_id client_ip user_agent city state zip country company_name company_domain
    """))  # fmt: skip
    url_secrets = frozenset({"api_secret"})  # the protocol knows no other place for it
    fields = (
        Field(name="measurement_id", label=_("Measurement ID"), way=_("A website"),
              pattern=r"G-[A-Z0-9]{4,14}", example="G-EXAMPLE123",
              help=_("Of a website: Admin → Data streams → the stream")),
        Field(name="api_secret", label=_("Measurement Protocol API secret"), secret=True, required=True,
              pattern=r"[A-Za-z0-9_-]{10,64}", example="an-example-api-secret",
              help=_("On the same page → Measurement Protocol API secrets → Create")),
        Field(name="firebase_app_id", label=_("Firebase app ID"), way=_("An app"),
              pattern=r"\d+:\d+:[a-zA-Z]+:[a-zA-Z0-9]+",
              help=_("Of an app, instead of the measurement ID: Firebase → Project settings → Your apps")),
        Field(name="region", label=_("Collected in"), is_advanced=False, default="global",
              choices=(("global", _("Anywhere")), ("eu", _("The European Union"))),
              help=_("Which of Google's hosts is used")),
        Field(name="debug", label=_("Validate first"), default="false",
              choices=(("false", _("No")), ("true", _("Yes"))),
              help=_("Ask Google's validation server before each send; twice the requests")),
        Field(name="client_id_fallback", label=_("Without a client id"), default="anonymous_id",
              choices=(("anonymous_id", _("Send the anonymous id as client id")), ("none", _("Skip the event"))),
              help=_("The tag's client id joins the event with the visitor's sessions; any other counts a new user")),
        Field(name="user_data", label=_("Hashed identity"), default="on",
              choices=(("on", _("Send")), ("off", _("Do not send"))),
              help=_("Counts once user-provided data collection is on: Admin → Data collection; never sent when "
                     "marketing consent is denied")),
        Field(name="properties", label=_("Properties"), default="on",
              choices=(("on", _("Send as event parameters")), ("off", _("Do not send"))),
              help=_("The plain values in an event's properties, without those that name a person")),
        Field(name="ad_user_data_default", label=_("Consent to ad user data"), default="unspecified", choices=_CHOICES,
              help=_("For events that say nothing of marketing consent")),
        Field(name="ad_personalization_default", label=_("Consent to ad personalization"), default="unspecified",
              choices=_CHOICES, help=_("For events that say nothing of marketing consent")),
    )  # fmt: skip

    def native_name(self, event: str) -> str:
        return EVENTS.get(event) or snake(event)

    def problems(self, config: Config) -> dict[str, str]:
        found = super().problems(config)
        ids = [name for name in ("measurement_id", "firebase_app_id") if config.get(name)]
        if config.get("api_secret") and not ids:
            found["measurement_id"] = gettext("Measurement ID is required, or for an app the Firebase app ID.")
        if len(ids) == 2:
            said = gettext("Firebase app ID and measurement ID: a destination is one stream.")
            found.setdefault("firebase_app_id", said)
        return found

    def build(self, items: Sequence[Item], config: Config, now: datetime) -> Built:
        settings = _settings(config, now)
        parts: list[_Part] = []
        skipped: list[Skip] = []
        for item in items:
            part = self._part(item, settings)
            if isinstance(part, Skip):
                skipped.append(part)
            else:
                parts.append(part)
        return Built(skipped=skipped, requests=[_request(run, config) for run in _runs(parts)])

    def _part(self, item: Item, settings: _Settings) -> _Part | Skip:
        payload = item.payload
        if settings.now_ms - item.occurred_ms > MAX_AGE.total_seconds() * 1000:
            return Skip(item=item, reason="too_old", detail="Google Analytics takes events of the last 72 hours only.")
        name = ga4.event_name(item.native_name or self.native_name(item.event))
        session = ga4.session_id(payload.properties, settings.measurement_id)
        body = _root(payload, settings)
        body["name"] = name
        body["params"] = ga4.params(item, name, session, settings.sends_properties)
        micros = min(item.occurred_ms, settings.now_ms) * 1000
        if payload.platform_params.get(self.key):
            overridden = _overridden(body, item)
            if overridden is None:
                return Skip(item=item, reason="invalid", detail="platformParams.ga4 replaces an object.")
            body = overridden
            name = ga4.event_name(body["name"]) if isinstance(body["name"], str) else ""
            given = body.pop("timestamp_micros", None)
            micros = given if isinstance(given, int) and not isinstance(given, bool) else micros
        if not name:
            wanted = "at most 40 letters, digits and _, none of Google's reserved names or prefixes"
            return Skip(item=item, reason="invalid", detail=f"Google Analytics takes event names of {wanted}.")
        if name == "refund" and not body["params"].get("transaction_id"):
            detail = "A refund needs the transaction id of its purchase, and the event has none."
            return Skip(item=item, reason="invalid", detail=detail)
        if skip := _unknown_client(item, body, settings):
            return skip
        event = _encode({"name": name, "params": body.pop("params")})
        del body["name"]
        root = _encode(body)
        if len(root) + len(event) + 64 > self.max_body_bytes:
            return Skip(
                item=item, reason="invalid", detail="Google Analytics takes at most 130 kB, the event has more."
            )
        return _Part(item, root, event, micros)

    def parse(self, request: Request, response: Response) -> list[Outcome]:
        """2xx is all there is, but for the validation server."""
        status, count = response.status, len(request.items)
        if "/debug/mp/collect" in request.url and 200 <= status < 300:
            return validated(response, count)
        detail = f"Google Analytics answered {status}."
        if 200 <= status < 300:
            outcome = base.OK
        elif base.is_transient(status) or status < 400:
            outcome = Outcome(result=Result.RETRY, detail=detail, after=base.retry_after(response))
        elif status in (401, 403, 404):
            advice = "check measurement ID and API secret, and whether a proxy stands between"
            outcome = Outcome(result=Result.CONFIG, detail=f"{detail[:-1]}; {advice}.")
        else:
            outcome = Outcome(result=Result.SPLIT if count > 1 else Result.PERMANENT, detail=detail)
        return [outcome] * count

    def check(self, config: Config, now: datetime) -> Request | None:
        """A made-up page view for the validation server, which records nothing. It looks at the shape alone; Google
        tells nobody whether a secret is right. Source: "Validating events".
        """
        ids = {"client_id": "1234567890.1234567890", "app_instance_id": "0" * 32}
        built = self.build([_reading.made_up(now, properties=ids)], {**config, TEST: "1"}, now)
        return next((msgspec.structs.replace(one, items=()) for one in built.requests), None)

    def read_check(self, response: Response, config: Config) -> Outcome:
        if _reading.is_good(response) and _reading.fields_of(response).get("validationMessages") == []:
            return _reading.good(
                "Google's validation server finds nothing wrong with the shape of an event. Whether measurement ID and "
                "API secret are right Google tells nobody: look for events in Google Analytics → Realtime."
            )
        return _reading.refused(self, response, "/debug/mp/collect")


def _settings(config: Config, now: datetime) -> _Settings:
    choices = {name: config.get(f"{name}_default", "") for name in ("ad_user_data", "ad_personalization")}
    return _Settings(
        now_ms=int(now.timestamp() * 1000),
        measurement_id=config.get("measurement_id", ""),
        is_app=bool(config.get("firebase_app_id")) and not config.get("measurement_id"),
        takes_anonymous_id=config.get("client_id_fallback") != "none",
        sends_user_data=config.get("user_data") != "off",
        sends_properties=config.get("properties") != "off",
        consent={name: choice.upper() for name, choice in choices.items() if choice in ("granted", "denied")},
    )


# --- Requests -------------------------------------------------------------------------------------
def _runs(parts: list[_Part]) -> Iterator[list[_Part]]:
    """Neighbours of the same client, person and consent: a request has these but once."""
    run: list[_Part] = []
    size = 0
    for part in parts:
        length = len(part.event) + 48  # with a time of its own
        is_full = len(run) == Ga4.batch_limit or size + length > Ga4.max_body_bytes
        if run and (is_full or run[0].root != part.root):
            yield run
            run = []
        if not run:
            size = len(part.root) + 128
        run.append(part)
        size += length
    if run:
        yield run


def _request(run: list[_Part], config: Config) -> Request:
    first = run[0]
    if all(part.micros == first.micros for part in run):
        time, events = b',"timestamp_micros":%d' % first.micros, [part.event for part in run]
    else:
        time, events = b"", [b'%b,"timestamp_micros":%d}' % (part.event[:-1], part.micros) for part in run]
    head = first.root[:-1] + time
    end = b',"events":[' + b",".join(events) + b"]}"
    stream = (
        f"firebase_app_id={quote(config['firebase_app_id'], safe=':')}"  # colons as they are, or it is not recognised
        if config.get("firebase_app_id") and not config.get("measurement_id")
        else f"measurement_id={quote(config.get('measurement_id', ''), safe='')}"
    )
    host = HOSTS.get(config.get("region", ""), HOST)
    query = f"mp/collect?api_secret={quote(config.get('api_secret', ''), safe='')}&{stream}"
    items, headers = tuple(part.item for part in run), {"Content-Type": "application/json"}
    checked = head + b',"validation_behavior":"ENFORCE_RECOMMENDATIONS"' + end
    check = Request(method="POST", url=f"https://{host}/debug/{query}", headers=headers, body=checked, items=items)
    if config.get(TEST):
        return check
    before = (check,) if config.get("debug") == "true" else ()
    return Request(method="POST", url=f"https://{host}/{query}", headers=headers, body=head + end, items=items,
                   before=before)  # fmt: skip


# --- Events ---------------------------------------------------------------------------------------
def _root(payload: Payload, settings: _Settings) -> dict[str, Any]:
    """What a request says once: who, where, and what may be done with it."""
    root: dict[str, Any] = {}
    if settings.is_app:
        if app_instance_id := ga4.app_instance_id(payload.properties):
            root["app_instance_id"] = app_instance_id
    elif client_id := ga4.client_id(payload.properties) or _anonymous(payload, settings):
        root["client_id"] = client_id
    if payload.external_id and "@" not in payload.external_id and len(payload.external_id) <= MAX_USER_ID:
        root["user_id"] = payload.external_id
    if payload.client_ip:
        root["ip_override"] = payload.client_ip
    if payload.user_agent and not settings.is_app:
        root["user_agent"] = payload.user_agent
    if properties := ga4.user_properties(payload):
        root["user_properties"] = properties
    marketing = payload.consent.get("marketing")
    consent = settings.consent
    if marketing is not None:
        consent = dict.fromkeys(("ad_user_data", "ad_personalization"), "GRANTED" if marketing else "DENIED")
    if consent:
        root["consent"] = consent
    if settings.sends_user_data and marketing is not False and (user := user_data(payload)):
        root["user_data"] = user
    return root


def _anonymous(payload: Payload, settings: _Settings) -> str:
    if not settings.takes_anonymous_id or payload.anonymous_id is None or "@" in payload.anonymous_id:
        return ""
    # Whoever sends the tag's cookie as the visitor's id means the client in it: `GA1.1.111.222` is 111.222.
    return ga4.client_id({"client_id": payload.anonymous_id})


def _unknown_client(item: Item, body: dict[str, Any], settings: _Settings) -> Skip | None:
    name = "app_instance_id" if settings.is_app else "client_id"
    found = body.get(name)
    if isinstance(found, str) and (_APP_INSTANCE.fullmatch(found) if settings.is_app else found.strip()):
        return None
    wanted = (
        "the app instance id (32 hexadecimal digits)"
        if settings.is_app
        else "a client id: that of the tag (_ga cookie)" + (", or an anonymous id" * settings.takes_anonymous_id)
    )
    return Skip(item=item, reason="no_identity", detail=f"Google Analytics needs {wanted}; the event carries none.")


# --- Overrides ------------------------------------------------------------------------------------
def _overridden(body: dict[str, Any], item: Item) -> dict[str, Any] | None:
    """`platformParams.ga4` over the request and its event: `client_id`, `user_properties` …, `name`, `params`, and some
    parameters also without `params`. None: it replaced an object by something else."""
    body = base.with_overrides(body, item, Ga4.key)
    params = body["params"]
    body.pop("events", None)  # a request carries several, so one event cannot speak for the list
    if not isinstance(params, dict) or not isinstance(body.get("user_data", {}), dict):
        return None
    params |= {name: body.pop(name) for name in PARAMS if name in body}
    body["params"] = {name: value for name, value in params.items() if value is not None}
    if isinstance(body.get("client_id"), str | int):
        body["client_id"] = ga4.client_id(body)
    if "user_data" in body:
        body["user_data"] = protected(body["user_data"], item.payload)
        if not body["user_data"]:
            del body["user_data"]
    return body
