"""Pinterest's API for Conversions: `POST /v5/ad_accounts/{ad_account_id}/events[?test=true]`.

Source: developers.pinterest.com/docs/api/v5/events-create (OpenAPI 5.23: schemas that allow no other properties, codes
of the responses) and the guide "Track conversion events in the API".

What breaks the schema is refused whole with 400; what is wrong with single events is told by status in the order of the
request, with 422 when any failed. The seven days are not in the schema; they are how the guides describe it.

Conventions of this double: a token that contains `expired`, `revoked` or `forbidden` is answered as such; any other
token is accepted. An ad account id that starts with 404 does not exist.
"""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import Any, ClassVar

from destinations.sandbox import checks
from destinations.sandbox.base import Answer, NotJson, Refused, Request, Vendor, read_json
from destinations.sandbox.checks import Check, Fault

PATH = re.compile(r"/v5/ad_accounts/(?P<account>[^/]+)/events")
MOST_EVENTS = 1000
DAYS = 7
SKEW = 300

EVENT_NAMES = (
    "add_payment_info", "add_to_cart", "add_to_wishlist", "app_install", "app_open", "checkout", "contact", "custom",
    "customize_product", "find_location", "initiate_checkout", "lead", "page_visit", "schedule", "search", "signup",
    "start_trial", "submit_application", "subscribe", "view_category", "view_content", "watch_video",
)  # fmt: skip
NUMBER = checks.matching(r"-?\d+(\.\d+)?", "a number in a string")

ROOT: dict[str, Check] = {"data": lambda _: None}
EVENT: dict[str, Check] = {
    "event_name": checks.text,
    "action_source": checks.one_of("web", "app_ios", "app_android", "offline"),
    "event_time": checks.integer,
    "event_id": checks.text,
    "event_source_url": checks.web_url,
    "opt_out": checks.boolean,
    "partner_name": checks.matching(r"ss-[a-z0-9-]+", "a partner name such as ss-partner"),
    "user_data": lambda _: None,
    "custom_data": lambda _: None,
    "wifi": checks.boolean,
    "language": checks.matching(r"[a-z]{2}", "an ISO 639-1 language code"),
    **dict.fromkeys(
        ("app_id", "app_name", "app_version", "device_brand", "device_carrier", "device_model", "device_type",
         "os_version"), checks.text,
    ),
    **dict.fromkeys(("app_info", "device_info"), checks.not_empty),
}  # fmt: skip
REQUIRED = ("event_name", "action_source", "event_time", "event_id", "user_data")
HASHED = ("em", "ph", "fn", "ln", "ge", "db", "ct", "st", "zp", "country", "external_id", "hashed_maids")
USER_DATA: dict[str, Check] = {
    **dict.fromkeys(HASHED, checks.list_of(checks.text)),
    "client_ip_address": checks.ip_address(4, 6),
    **dict.fromkeys(("client_user_agent", "click_id", "partner_id"), checks.text),
}
CUSTOM_DATA: dict[str, Check] = {
    "currency": checks.matching(r"[A-Z]{3}", "an ISO 4217 currency code"),
    "value": NUMBER,
    "predicted_ltv": NUMBER,
    "content_ids": checks.list_of(checks.text),
    "contents": lambda _: None,
    "num_items": checks.integer,
    **dict.fromkeys(
        ("content_name", "content_category", "content_brand", "order_id", "search_string", "opt_out_type", "np"),
        checks.text,
    ),
}
CONTENT: dict[str, Check] = {
    "item_price": NUMBER,
    "quantity": checks.integer,
    **dict.fromkeys(("id", "item_name", "item_category", "item_brand"), checks.text),
}


def fail(status: int, code: int, message: str, details: Any = None) -> Answer:
    return Answer.of(status, {"code": code, "message": message} | ({"details": details} if details else {}))


class Pinterest(Vendor):
    partial_note: ClassVar[str] = "200, but the last event has the status failed"

    def answer(self, request: Request, now: float) -> Answer:
        _check_target(request)
        _check_token(request)
        events = _read_events(request)
        faults = [look_at_event(event, now) for event in events]
        rows = [
            {"status": "failed", "error_message": f"{fault.path.strip('/')} {fault.text}", "warning_message": None}
            if fault
            else {"status": "processed", "error_message": None, "warning_message": _warning(event)}
            for event, fault in zip(events, faults, strict=True)
        ]
        summary = {
            "num_events_received": len(events),
            "num_events_processed": faults.count(None),
            "events": rows,
        }
        if faults.count(None) == len(events):
            return Answer.of(200, summary)
        return fail(422, 4181, "Not all events were successfully processed.", summary)

    def ids(self, request: Request) -> list[tuple[str, ...]]:
        """Ad account, event name and id; nothing is kept of a test, and of offline events nothing is recognised."""
        account = request.path.split("/")[3]
        taken = [event for event in _read_events(request) if look_at_event(event, time.time()) is None]
        if request.parameters.get("test") == "true":
            return [() for _ in taken]
        return [
            () if event["action_source"] == "offline" else (account, event["event_name"], event["event_id"])
            for event in taken
        ]

    def error(self, status: int) -> Answer:
        if status == 401:
            return fail(401, 2, "Authentication failed.")
        if status == 403:
            return fail(403, 29, "You are not permitted to access that resource.")
        if status == 429:
            return fail(429, 8, "You have exceeded your rate limit. Try again later.")
        if status >= 500:
            return fail(status, 4197, "The conversion service is temporarily unavailable.")
        return fail(status, 4196, "The request could not be processed.")

    def partial(self, good: Answer) -> Answer:
        body = read_json(good.body)
        body["events"][-1] = {
            "status": "failed",
            "error_message": "Internal error, try again.",
            "warning_message": None,
        }
        body["num_events_processed"] -= 1
        return replace(good, body=Answer.of(200, body).body)


def _check_target(request: Request) -> None:
    found = PATH.fullmatch(request.path)
    if not found:
        raise Refused(fail(404, 404, "The requested resource does not exist."))
    if request.method != "POST":
        raise Refused(fail(405, 405, f"Method {request.method} is not allowed."))
    account = found["account"]
    if not re.fullmatch(r"\d{1,18}", account, re.ASCII):
        raise Refused(fail(400, 1, f"ad_account_id {account!r} does not match ^\\d+$."))
    if set(request.parameters) - {"test"} or request.parameters.get("test", "true") not in ("true", "false"):
        raise Refused(fail(400, 1, "The query takes test=true or test=false and nothing else."))
    if account.startswith("404"):
        raise Refused(fail(404, 50, "Sorry! We couldn't find that ad account."))


def _check_token(request: Request) -> None:
    token = request.bearer or ""
    if not re.fullmatch(r"[\x21-\x7e]{1,4096}", token) or "expired" in token or "revoked" in token:
        raise Refused(fail(401, 2, "Authentication failed."))
    if "forbidden" in token:
        raise Refused(fail(403, 29, "You are not permitted to access that resource."))


def _read_events(request: Request) -> list[Any]:
    if request.content_type != "application/json":
        raise Refused(fail(415, 1, f"Unsupported content type {request.content_type!r}."))
    try:
        root = read_json(request.body)
    except NotJson as error:
        raise Refused(fail(400, 1, f"The request body is not JSON: {error}")) from None
    faults = checks.look_over(root, ROOT, ["data"])
    events: Any = root["data"] if not faults else []
    if not faults and (not isinstance(events, list) or not 1 <= len(events) <= MOST_EVENTS):
        faults = [Fault("/data", f"must be a list of 1 to {MOST_EVENTS} events")]
    if not faults:
        faults = [fault for number, event in enumerate(events) for fault in _schema_faults(event, f"/data/{number}")]
    if faults:
        raise Refused(fail(400, 4196, f"{faults[0].path} {faults[0].text}"))
    return list(events)


def _schema_faults(event: Any, path: str) -> list[Fault]:
    faults = checks.look_over(event, EVENT, REQUIRED, path=path)
    if faults:
        return faults
    faults = checks.look_over(event["user_data"], USER_DATA, path=f"{path}/user_data")
    if "custom_data" in event:
        faults += checks.look_over(event["custom_data"], CUSTOM_DATA, path=f"{path}/custom_data")
    contents = event["custom_data"].get("contents", []) if not faults and "custom_data" in event else []
    where = f"{path}/custom_data/contents"
    if not isinstance(contents, list):
        return [Fault(where, "must be a list")]
    return faults + [fault for one in contents for fault in checks.look_over(one, CONTENT, path=where)]


def look_at_event(event: dict[str, Any], now: float) -> Fault | None:
    """What is wrong with an event that the schema allows."""
    if time_fault := checks.time_in_seconds(event["event_time"], now, DAYS * checks.DAY, SKEW):
        return Fault("/event_time", time_fault[0])
    user = event["user_data"]
    for key in HASHED:
        for value in user.get(key, ()):
            if text := checks.sha256(value):
                return Fault(f"/user_data.{key}", text)
    if not {"em", "hashed_maids"} & user.keys() and not {"client_ip_address", "client_user_agent"} <= user.keys():
        return Fault("/user_data", "needs one of em, hashed_maids, or client_ip_address with client_user_agent")
    return None


def _warning(event: dict[str, Any]) -> str | None:
    if event["event_name"] not in EVENT_NAMES:
        return f"event_name {event['event_name']!r} is not a known event and will not show up in reports."
    return None
