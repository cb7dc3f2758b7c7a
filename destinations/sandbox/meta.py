"""Meta's Conversions API: `POST /{version}/{pixel_id}/events`.

Source: developers.facebook.com/docs/marketing-api/conversions-api (using-the-api, parameters, payload helper) as of
Graph API v26.0, and Meta's business SDK for the field names.

Conventions of this double: a token that contains `expired`, `revoked` or `forbidden` is answered as such; any other
token of the right shape is accepted. A pixel id that starts with 404 does not exist. `GET /{version}/{pixel_id}` gives
the fields asked for.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple
from urllib.parse import parse_qsl

from destinations.sandbox import checks
from destinations.sandbox.base import Answer, NotJson, Refused, Request, Vendor, is_well_shaped_token, read_json
from destinations.sandbox.checks import Check, Fault

PATH = re.compile(r"/(?P<version>[^/]+)/(?P<pixel>[^/]+)/events/?")
PIXEL_PATH = re.compile(r"/(?P<version>[^/]+)/(?P<pixel>[^/]+)/?")
PIXEL_FIELDS = ("id", "name", "code", "creation_time", "is_unavailable", "last_fired_time")
MOST_EVENTS = 1000
DAYS = 7
DAYS_IN_STORE = 62
SKEW = 60

ACTION_SOURCES = (
    "email", "website", "app", "phone_call", "chat", "physical_store", "system_generated", "business_messaging",
    "other",
)  # fmt: skip
CURRENCY = checks.matching(r"[A-Za-z]{3}", "an ISO 4217 currency code")
STATES = (0, *range(1000, 1011))

ROOT: dict[str, Check] = {
    "data": lambda _: None,  # looked over event by event
    "test_event_code": checks.matching(r"[A-Za-z0-9]{4,32}", "a test event code"),
    **dict.fromkeys(("partner_agent", "namespace_id", "upload_id", "upload_tag", "upload_source"), checks.text),
}
EVENT: dict[str, Check] = {
    "event_name": checks.short_text(50),
    "event_time": lambda _: None,  # needs the clock and the action source
    "action_source": checks.one_of(*ACTION_SOURCES),
    "event_source_url": checks.web_url,
    "event_id": checks.text,
    "user_data": lambda _: None,
    "custom_data": lambda _: None,
    "opt_out": checks.boolean,
    "referrer_url": checks.web_url,
    "data_processing_options": checks.list_of(checks.one_of("LDU"), most=1, least=0),
    "data_processing_options_country": checks.one_of(0, 1),
    "data_processing_options_state": checks.one_of(*STATES),
    "messaging_channel": checks.text,
    **dict.fromkeys(("original_event_data", "customer_segmentation", "attribution_data", "app_data"), checks.not_empty),
}
CLICK_ID = r"fb\.\d\.\d{13}\.\S+"  # the creation time is in milliseconds: thirteen digits
USER_DATA: dict[str, Check] = {
    **dict.fromkeys(
        ("em", "ph", "fn", "ln", "db", "ge", "ct", "st", "zp", "country"), checks.one_or_list(checks.sha256)
    ),
    "external_id": checks.one_or_list(checks.not_email),
    "client_ip_address": checks.ip_address(4, 6),
    "client_user_agent": checks.text,
    "fbc": checks.matching(CLICK_ID, "fb.<index>.<creation in ms>.<fbclid>"),
    "fbp": checks.matching(CLICK_ID, "fb.<index>.<creation in ms>.<random>"),
    "fb_login_id": checks.integer,
    "lead_id": checks.integer,
    **dict.fromkeys(("subscription_id", "madid", "anon_id", "page_id", "ctwa_clid"), checks.plain),
}
STRONG = frozenset({"em", "ph", "external_id", "fbc", "fbp", "lead_id", "madid"})
CUSTOM_DATA: dict[str, Check] = {
    "value": checks.amount,
    "currency": CURRENCY,
    "predicted_ltv": checks.amount,
    "net_revenue": checks.amount,
    "num_items": checks.integer,
    "content_ids": checks.list_of(checks.text),
    "content_type": checks.one_of("product", "product_group"),
    "contents": lambda _: None,
    **dict.fromkeys(("order_id", "content_name", "content_category", "search_string", "status"), checks.text),
}
CONTENT: dict[str, Check] = {
    "id": checks.text,
    "quantity": checks.integer,
    "item_price": checks.amount,
    "delivery_category": checks.one_of("in_store", "curbside", "home_delivery"),
}


class Problem(NamedTuple):
    subcode: int
    title: str


# Of Meta's many 28040xx subcodes these are the ones whose meaning is public; every other fault gets 2804019.
PROBLEMS = {
    "old": Problem(2804003, "Event Timestamp Too Old"),
    "value": Problem(2804009, "Missing Value For Purchase Event"),
    "identity": Problem(2804050, "Not Enough Customer Information Parameters"),
}
OTHER_PROBLEM = Problem(2804019, "Invalid Parameter In Server Event")


def fail(
    status: int,
    code: int,
    message: str,
    subcode: int | None = None,
    *,
    kind: str = "OAuthException",
    is_transient: bool = False,
    title: str = "",
    explanation: str = "",
) -> Answer:
    error: dict[str, Any] = {"message": message, "type": kind, "code": code}
    if subcode is not None:
        error["error_subcode"] = subcode
    error["is_transient"] = is_transient
    if title:
        error |= {"error_user_title": title, "error_user_msg": explanation}
    return Answer.of(status, {"error": error | {"fbtrace_id": secrets.token_urlsafe(16)}})


class Meta(Vendor):
    partial_note: ClassVar[str] = "200, but events_received is one less than was sent"
    dedup_seconds: ClassVar[float] = 48 * 3600

    def answer(self, request: Request, now: float) -> Answer:
        _check_target(request, PATH.fullmatch(request.path), "POST")
        _check_token(request)
        root = _read_root(request)
        if faults := checks.look_over(root, ROOT, ["data"]):
            raise Refused(_invalid(faults[0]))
        events = root["data"]
        if not isinstance(events, list) or not events:
            raise Refused(_invalid(Fault("/data", "must be a non-empty array")))
        if len(events) > MOST_EVENTS:
            raise Refused(_invalid(Fault("/data", f"must not have more than {MOST_EVENTS} events")))
        for event in events:
            if fault := look_at_event(event, now):
                raise Refused(_invalid(fault))
        trace = secrets.token_urlsafe(16)
        return Answer.of(200, {"events_received": len(events), "messages": [], "fbtrace_id": trace})

    def look(self, request: Request, now: float) -> Answer | None:
        """A dataset's fields; without `fields` its id and name."""
        found = PIXEL_PATH.fullmatch(request.path)
        if request.method != "GET" or not found:
            return None
        _check_target(request, found, "GET")
        _check_token(request)
        values = {"id": found["pixel"], "name": "Example pixel", "is_unavailable": False}
        wanted = [name.strip() for name in request.parameters.get("fields", "id,name").split(",")]
        if unknown := [name for name in wanted if name not in PIXEL_FIELDS]:
            return fail(400, 100, f"(#100) Tried accessing nonexisting field ({unknown[0]}) on node type (AdsPixel)")
        return Answer.of(200, {name: values[name] for name in {*wanted, "id"} if name in values})

    def ids(self, request: Request) -> list[tuple[str, ...]]:
        """Event name and id, within a pixel."""
        pixel = request.path.split("/")[2]
        events = _read_root(request)["data"]
        return [(pixel, one["event_name"], one["event_id"]) if "event_id" in one else () for one in events]

    def error(self, status: int) -> Answer:
        if status == 401:
            return fail(401, 190, "Error validating access token: Session has expired.", 463)
        if status == 429:
            return fail(429, 4, "(#4) Application request limit reached", is_transient=True)
        if status >= 500:
            text = "An unexpected error has occurred. Please retry your request later."
            return fail(status, 2, text, is_transient=True)
        if status == 403:
            return fail(403, 200, "(#200) Permissions error")
        title, text = OTHER_PROBLEM.title, "A server event parameter is invalid."
        return fail(status, 100, "Invalid parameter", OTHER_PROBLEM.subcode, title=title, explanation=text)

    def partial(self, good: Answer) -> Answer:
        body = read_json(good.body)
        body["events_received"] -= 1
        return replace(good, body=Answer.of(200, body).body)


def _check_target(request: Request, found: re.Match[str] | None, method: str) -> None:
    # An old version is served by the oldest living one, so only the shape counts.
    if not found or not re.fullmatch(r"v\d{2}\.0", found["version"], re.ASCII):
        raise Refused(fail(400, 2500, f"Unknown path components: {request.path}"))
    pixel = found["pixel"]
    if request.method != method or not re.fullmatch(r"\d{10,20}", pixel, re.ASCII) or pixel.startswith("404"):
        text = (
            f"Unsupported {request.method.lower()} request. Object with ID '{pixel}' does not exist, cannot be loaded "
            "due to missing permissions, or does not support this operation."
        )
        raise Refused(fail(400, 100, text, 33, kind="GraphMethodException"))
    proof = request.parameters.get("appsecret_proof")
    if proof is not None and not re.fullmatch("[0-9a-f]{64}", proof):
        raise Refused(
            fail(400, 100, "Invalid appsecret_proof provided in the API argument", kind="GraphMethodException")
        )


def _check_token(request: Request) -> None:
    token = request.bearer or request.parameters.get("access_token") or ""
    if not is_well_shaped_token(token, 40, 1024):
        raise Refused(fail(401, 190, "Invalid OAuth access token - Cannot parse access token"))
    if "expired" in token:
        raise Refused(fail(401, 190, "Error validating access token: Session has expired.", 463))
    if "revoked" in token:
        raise Refused(fail(401, 190, "Error validating access token: The token has been invalidated.", 467))
    if "forbidden" in token:
        raise Refused(fail(403, 200, "(#200) You do not have sufficient permissions to perform this action"))


def _read_root(request: Request) -> Any:
    try:
        if request.content_type == "application/json":
            return read_json(request.body)
        if request.content_type == "application/x-www-form-urlencoded":
            form: dict[str, Any] = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
            return form | ({"data": read_json(form["data"].encode())} if "data" in form else {})
    except (NotJson, UnicodeDecodeError) as error:
        raise Refused(_invalid(Fault("/", f"is not JSON: {error}"))) from None
    raise Refused(_invalid(Fault("/", f"has the content type {request.content_type!r}; JSON or a form is expected")))


def _invalid(fault: Fault) -> Answer:
    """The refusal of a whole batch. Meta names the field, and not which event it was in."""
    problem = PROBLEMS.get(fault.kind, OTHER_PROBLEM)
    explanation = f"{fault.path.strip('/').replace('/', '.') or 'The body'} {fault.text}."
    return fail(400, 100, "Invalid parameter", problem.subcode, title=problem.title, explanation=explanation)


def look_at_event(event: Any, now: float) -> Fault | None:
    """The first fault of an event."""
    faults = checks.look_over(event, EVENT, ["event_name", "event_time", "action_source", "user_data"])
    if faults:
        return faults[0]
    oldest = DAYS_IN_STORE if event["action_source"] == "physical_store" else DAYS
    if time := checks.time_in_seconds(event["event_time"], now, oldest * checks.DAY, SKEW):
        return Fault("/event_time", *time)
    custom = event.get("custom_data", {})
    faults = checks.look_over(event["user_data"], USER_DATA, path="/user_data")
    faults += checks.look_over(custom, CUSTOM_DATA, path="/custom_data", free=checks.not_empty)
    if not faults:
        faults = [*_look_at_identity(event), *_look_at_value(event["event_name"], custom), *_look_at_ldu(event)]
    return faults[0] if faults else None


def _look_at_identity(event: dict[str, Any]) -> list[Fault]:
    user = event["user_data"]
    if event["action_source"] == "website":
        if "event_source_url" not in event:
            return [Fault("/event_source_url", "is required for events of a website", "missing")]
        if "client_user_agent" not in user:
            return [Fault("/user_data/client_user_agent", "is required for events of a website", "missing")]
    if event["action_source"] == "app" and "app_data" not in event:
        return [Fault("/app_data", "is required for events of an app", "missing")]
    if STRONG & user.keys() or {"client_ip_address", "client_user_agent"} <= user.keys():
        return []
    return [Fault("/user_data", "has too few customer information parameters to match", "identity")]


def _look_at_value(name: str, custom: dict[str, Any]) -> list[Fault]:
    missing = [field for field in ("value", "currency") if field not in custom]
    if missing and (name == "Purchase" or len(missing) == 1):
        kind = "value" if name == "Purchase" else "missing"
        return [Fault(f"/custom_data/{missing[0]}", "is missing; value and currency go together", kind)]
    if "contents" not in custom:
        return []
    contents = custom["contents"]
    if not isinstance(contents, list) or not contents:
        return [Fault("/custom_data/contents", "must be a non-empty list")]
    return [f for one in contents for f in checks.look_over(one, CONTENT, ["id"], path="/custom_data/contents")]


def _look_at_ldu(event: dict[str, Any]) -> list[Fault]:
    place = ("data_processing_options_country", "data_processing_options_state")
    given = [name for name in place if name in event]
    if not event.get("data_processing_options"):
        return [Fault(f"/{name}", "goes with data_processing_options only") for name in given]
    if len(given) < len(place):
        return [Fault("/data_processing_options", "needs a country and a state")]
    if all(event[name] == 0 for name in place) and "client_ip_address" not in event["user_data"]:
        return [Fault("/user_data/client_ip_address", "is needed to find the country and state")]
    return []
