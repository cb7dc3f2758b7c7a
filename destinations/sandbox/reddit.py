"""Reddit's Conversions API v3: `POST /api/v3/pixels/{pixel_id}/conversion_events`, and the endpoint for access tokens.

Source: ads-api.reddit.com/docs/v3, "Post Conversion Events", "CAPI direct integration" and "Verify conversion events";
github.com/reddit-archive/reddit/wiki/OAuth2.

Conventions of this double: a token that contains `expired`, `revoked` or `forbidden` is answered as such, a refresh
token likewise; any other of the right shape is accepted. A pixel id that contains `404` does not exist. Match keys that
Reddit takes plain or hashed must be hashed here: nothing of ours sends them in plain.
"""

from __future__ import annotations

import base64
import re
import secrets
from typing import Any, ClassVar
from urllib.parse import parse_qs

from destinations.sandbox import checks
from destinations.sandbox.base import Answer, NotJson, Refused, Request, Vendor, read_json
from destinations.sandbox.checks import Check, Fault

TOKEN_PATH = "/api/v1/access_token"  # noqa: S105
ME_PATH = "/api/v3/me"
PATH = re.compile(r"/api/v3/pixels/(?P<pixel>[at]2_[a-z0-9]{4,32})/conversion_events")
TOKEN = re.compile(r"[A-Za-z0-9._-]{20,4096}")
# Reddit turns away the names that libraries give themselves.
GENERIC_AGENT = re.compile(r"(python|curl|java|go-http|node|axios|okhttp|urllib)", re.IGNORECASE)
MOST_EVENTS = 1000
DAYS = 7
SKEW = 300

TRACKING_TYPES = (
    "PAGE_VISIT", "VIEW_CONTENT", "SEARCH", "ADD_TO_CART", "ADD_TO_WISHLIST", "PURCHASE", "LEAD", "SIGN_UP", "CUSTOM",
)  # fmt: skip


def _given(_: Any) -> None:
    """Looked over on its own."""


DATA: dict[str, Check] = {
    "events": checks.list_of(_given),
    "test_id": checks.matching(r"[A-Za-z0-9_-]{2,64}", "a test id"),
    "partner": checks.text,
    "partner_version": checks.text,
}
EVENT: dict[str, Check] = {
    "event_at": _given,
    "action_source": checks.one_of("WEBSITE", "APP", "PHYSICAL_STORE", "OTHER"),
    "event_source_url": checks.web_url,
    "click_id": checks.plain,
    **dict.fromkeys(("type", "user", "metadata"), _given),
}
TYPE: dict[str, Check] = {
    "tracking_type": checks.one_of(*TRACKING_TYPES),
    "custom_event_name": checks.short_text(64),
}
USER: dict[str, Check] = {
    **dict.fromkeys(("email", "phone_number", "external_id", "idfa", "aaid"), checks.sha256),
    "ip_address": checks.ip_address(4, 6),
    "user_agent": checks.plain,
    "uuid": checks.matching(r"(\d{13}\.)?[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", "a _rdt_uuid cookie"),
    "screen_dimensions": _given,
    "data_processing_options": _given,
}
SCREEN: dict[str, Check] = {"width": checks.integer, "height": checks.integer}
LIMITS: dict[str, Check] = {
    "modes": checks.list_of(checks.one_of("LDU"), most=1),
    "country": checks.matching(r"[A-Z]{2}", "an ISO 3166-1 country code"),
    "region": checks.matching(r"([A-Z]{2}-)?[A-Z0-9]{1,3}", "an ISO 3166-2 region code"),
}
METADATA: dict[str, Check] = {
    "conversion_id": checks.text,
    "value": checks.amount,
    "currency": checks.matching(r"[A-Z]{3}", "an ISO 4217 currency code"),
    "item_count": checks.integer,
    "products": checks.list_of(_given),
}
PRODUCT: dict[str, Check] = {
    **dict.fromkeys(("id", "name", "category"), checks.text),
    "quantity": checks.integer,
    "item_price": checks.amount,
}
NO_VALUE = ("PAGE_VISIT", "SEARCH")
ITEM_COUNT = ("PURCHASE", "ADD_TO_CART", "ADD_TO_WISHLIST", "CUSTOM")


def fail(status: int, message: str, reason: str = "") -> Answer:
    error: dict[str, Any] = {"code": status, "message": message}
    return Answer.of(status, {"error": error | ({"reason": reason} if reason else {})})


class Reddit(Vendor):
    dedup_seconds: ClassVar[float] = 7 * checks.DAY

    def answer(self, request: Request, now: float) -> Answer:
        agent = request.headers.get("user-agent", "")
        if not agent or GENERIC_AGENT.match(agent):
            raise Refused(fail(429, "Too Many Requests"))
        if request.path == TOKEN_PATH:
            return _give_token(request)
        _check_target(request)
        _check_token(request.bearer or "")
        events = _read_events(request)
        for event in events:
            if fault := look_at_event(event, now):
                # Without an index: which of them it was is for the sender to find out.
                raise Refused(fail(400, f"{fault.path.strip('/').replace('/', '.') or 'event'}: {fault.text}"))
        return Answer.of(200, {"data": {"message": f"Successfully processed {len(events)} conversion events."}})

    def look(self, request: Request, now: float) -> Answer | None:
        """Who logged in."""
        if request.path != ME_PATH or request.method != "GET":
            return None
        agent = request.headers.get("user-agent", "")
        if not agent or GENERIC_AGENT.match(agent):
            return fail(429, "Too Many Requests")
        _check_token(request.bearer or "")
        return Answer.of(200, {"data": {"id": "t2_example", "username": "example"}})

    def ids(self, request: Request) -> list[tuple[str, ...]]:
        """Pixel, type with the custom name, channel and conversion id."""
        if request.path == TOKEN_PATH:
            return []
        found: list[tuple[str, ...]] = []
        for one in _read_events(request):
            conversion_id, kind = one.get("metadata", {}).get("conversion_id"), one["type"]
            name = kind.get("custom_event_name", "")
            domain = (request.path, one["action_source"], kind["tracking_type"], name)
            found.append((*domain, conversion_id) if conversion_id else ())
        return found

    def error(self, status: int) -> Answer:
        if status == 401:
            return fail(401, "Authorization Required", "UNAUTHORIZED")
        if status == 403:
            return fail(403, "Forbidden")
        if status == 429:
            return fail(429, "Too Many Requests")
        if status >= 500:
            return fail(status, "Internal Server Error")
        return fail(status, "The request was refused.")


def _give_token(request: Request) -> Answer:
    """The refresh flow of RFC 6749 in Reddit's words: its errors are `{"message": …, "error": <status>}`."""
    if request.method != "POST":
        raise Refused(Answer.of(405, {"message": "Method Not Allowed", "error": 405}))
    scheme, _, pair = request.headers.get("authorization", "").partition(" ")
    try:
        client, colon, secret = base64.b64decode(pair, validate=True).decode().partition(":")
    except ValueError:
        client = colon = secret = ""
    if scheme.lower() != "basic" or not (client and colon and secret) or "forbidden" in client + secret:
        raise Refused(Answer.of(401, {"message": "Unauthorized", "error": 401}))
    if request.content_type != "application/x-www-form-urlencoded":
        raise Refused(Answer.of(200, {"error": "unsupported_grant_type"}))
    form = {name: values[-1] for name, values in parse_qs(request.body.decode(errors="replace")).items()}
    if form.get("grant_type") != "refresh_token":
        raise Refused(Answer.of(200, {"error": "unsupported_grant_type"}))
    refresh = form.get("refresh_token", "")
    if not TOKEN.fullmatch(refresh) or "expired" in refresh or "revoked" in refresh:
        raise Refused(Answer.of(400, {"message": "Bad Request", "error": 400}))
    return Answer.of(200, {
        "access_token": f"sandbox-{secrets.token_urlsafe(48)}", "token_type": "bearer", "expires_in": 86400,
        "refresh_token": refresh, "scope": "adsconversions",
    })  # fmt: skip


def _check_target(request: Request) -> None:
    found = PATH.fullmatch(request.path)
    if not found or "404" in found["pixel"]:
        raise Refused(fail(404, "Not Found"))
    if request.method != "POST":
        raise Refused(fail(405, "Method Not Allowed"))


def _check_token(token: str) -> None:
    if not TOKEN.fullmatch(token) or "expired" in token or "revoked" in token:
        raise Refused(fail(401, "Authorization Required", "UNAUTHORIZED"))
    if "forbidden" in token:
        raise Refused(fail(403, "The token may not write to this pixel."))


def _read_events(request: Request) -> list[Any]:
    if request.content_type != "application/json":
        raise Refused(fail(415, f"Unsupported content type {request.content_type!r}"))
    try:
        root = read_json(request.body)
    except NotJson as error:
        raise Refused(fail(400, f"JSON error: {error}")) from None
    if faults := checks.look_over(root, {"data": _given}, ["data"]):
        raise Refused(fail(400, _unknown(faults[0])))
    if faults := checks.look_over(root["data"], DATA, ["events"]):
        raise Refused(fail(400, _unknown(faults[0])))
    events: list[Any] = root["data"]["events"]
    if len(events) > MOST_EVENTS:
        raise Refused(fail(400, f"events: must not have more than {MOST_EVENTS} events"))
    return events


def _unknown(fault: Fault) -> str:
    """A field too many, in the words of the vendor's parser."""
    name = fault.path.rpartition("/")[2]
    return f'JSON error "unknown field" on field "{name}"' if fault.kind == "unknown" else f"{name}: {fault.text}"


def look_at_event(event: Any, now: float) -> Fault | None:
    """The first fault of an event."""
    faults = checks.look_over(event, EVENT, ["event_at", "action_source", "type", "user"])
    if faults:
        return faults[0]
    if time := checks.time_in_milliseconds(event["event_at"], now, DAYS * checks.DAY, SKEW):
        return Fault("/event_at", *time)
    faults = checks.look_over(event["type"], TYPE, ["tracking_type"], path="/type")
    faults += checks.look_over(event["user"], USER, path="/user")
    faults += checks.look_over(event.get("metadata", {}), METADATA, path="/metadata")
    if not faults:
        faults = [*_look_at_type(event["type"]), *_look_at_user(event), *_look_at_metadata(event)]
    return faults[0] if faults else None


def _look_at_type(kind: dict[str, Any]) -> list[Fault]:
    if (kind["tracking_type"] == "CUSTOM") != ("custom_event_name" in kind):
        return [Fault("/type/custom_event_name", "goes with CUSTOM, and CUSTOM with it")]
    name = kind.get("custom_event_name", "").replace("_", "").lower()
    if name in [one.replace("_", "").lower() for one in TRACKING_TYPES]:
        return [Fault("/type/custom_event_name", "must not match a standard event")]
    return []


def _look_at_user(event: dict[str, Any]) -> list[Fault]:
    user = event["user"]
    faults: list[Fault] = []
    if "screen_dimensions" in user:
        faults += checks.look_over(user["screen_dimensions"], SCREEN, SCREEN, path="/user/screen_dimensions")
    if "data_processing_options" in user:
        path = "/user/data_processing_options"
        faults += checks.look_over(user["data_processing_options"], LIMITS, ["modes", "country"], path=path)
    alone = {"email", "phone_number", "external_id", "uuid", "idfa", "aaid"}
    together = {"ip_address", "user_agent", "screen_dimensions"}
    if not (faults or "click_id" in event or alone & user.keys() or together <= user.keys()):
        faults.append(Fault("/user", "needs at least one match key"))
    return faults


def _look_at_metadata(event: dict[str, Any]) -> list[Fault]:
    metadata, kind = event.get("metadata", {}), event["type"]["tracking_type"]
    if ("value" in metadata) != ("currency" in metadata):
        return [Fault("/metadata/value", "and currency go together")]
    if "value" in metadata and kind in NO_VALUE:
        return [Fault("/metadata/value", f"is not for {kind}")]
    if "item_count" in metadata and kind not in ITEM_COUNT:
        return [Fault("/metadata/item_count", f"is not for {kind}")]
    return [
        fault
        for index, one in enumerate(metadata.get("products", []))
        for fault in checks.look_over(one, PRODUCT, ["id"], path=f"/metadata/products/{index}")
    ]
