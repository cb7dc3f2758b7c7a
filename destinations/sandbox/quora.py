"""Quora's Conversion API: `POST /ads/v0/conversions` (a batch) and `POST /ads/v0/conversion` (one event).

Source: quora.com/ads/conversion_api_doc, Quora's own server tag, and the design of Segment's destination, which was
written with Quora.

200 even when events were refused: those are told by index. What is no conversion at all (unknown and missing fields,
wrong types) refuses the request with 400. Quora itself puts the current time where a timestamp is outside of 90 days;
this double refuses what can only be another unit.

Conventions of this double: a token that contains `expired`, `revoked` or `forbidden` is answered as such; any other
token is accepted. An account id that starts with 403 belongs to another token.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, ClassVar

from destinations.sandbox import checks
from destinations.sandbox.base import Answer, NotJson, Refused, Request, Vendor, read_json
from destinations.sandbox.checks import Check, Fault

BATCH, SINGLE = "/ads/v0/conversions", "/ads/v0/conversion"
MOST_EVENTS = 1000
MOST_VALUE = 214_748.3647
SIXTEEN_DIGITS = range(10**15, 10**16)

EVENT_NAMES = (
    "Generic", "ViewContent", "AppInstall", "Purchase", "GenerateLead", "CompleteRegistration", "AddPaymentInfo",
    "AddToCart", "AddToWishlist", "InitiateCheckout", "Search",
)  # fmt: skip


def _number(value: Any) -> str | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return None if is_number else "must be a number"


EVENT: dict[str, Check] = dict.fromkeys(("conversion", "user", "device"), lambda _: None)
CONVERSION: dict[str, Check] = {
    "event_name": checks.one_of(*EVENT_NAMES),
    "timestamp": checks.integer,
    "click_id": checks.text,
    "event_id": checks.text,
    "value": _number,
}
USER: dict[str, Check] = {
    **dict.fromkeys(
        ("name", "phone_number", "region", "city", "postal_code", "company_name", "job_title"), checks.text
    ),
    "email": checks.text,  # looked at for each event, like ip
    "ip": checks.text,
    "country": checks.matching(r"[A-Z]{2}", "an ISO 3166 country code"),
    "date_of_birth": checks.matching(r"\d{4}-\d{2}-\d{2}", "a date such as 2000-01-01"),
}
DEVICE: dict[str, Check] = dict.fromkeys(("user_agent", "referer", "language", "mobile_device_id"), checks.text)


def fail(status: int, message: str) -> Answer:
    return Answer.of(status, {"error_code": {401: "UNAUTHORIZED", 403: "FORBIDDEN"}.get(status, "BAD_REQUEST"),
                              "error_message": message})  # fmt: skip


class Quora(Vendor):
    partial_note: ClassVar[str] = "200, but the last event has the status ERROR"

    def answer(self, request: Request, now: float) -> Answer:
        _check_target(request)
        _check_token(request)
        rows = []
        for index, event in enumerate(_read_events(request)):
            fault = look_at_event(event)
            rows.append(
                {"status": "ERROR", "index": index, "error_code": fault.kind, "error_message": fault.text}
                if fault
                else {"status": "OK", "index": index}
            )
        errored = sum(row["status"] == "ERROR" for row in rows)
        return Answer.of(200, {"events_received": len(rows), "events_errored": errored, "events": rows})

    def ids(self, request: Request) -> list[tuple[str, ...]]:
        """The event id, within an account."""
        account = str(_read_root(request)["account_id"])
        taken = [event["conversion"] for event in _read_events(request) if look_at_event(event) is None]
        return [(account, one["event_id"]) if "event_id" in one else () for one in taken]

    def error(self, status: int) -> Answer:
        reasons = {401: "Invalid token", 403: "Not allowed", 429: "More than 1000 events per minute"}
        return fail(status, reasons.get(status, "Internal error" if status >= 500 else "Invalid request"))

    def partial(self, good: Answer) -> Answer:
        body = read_json(good.body)
        body["events_errored"] += 1
        row = {"status": "ERROR", "error_code": "INTERNAL_ERROR", "error_message": "Try again"}
        body["events"][-1] = {"index": len(body["events"]) - 1} | row
        return replace(good, body=Answer.of(200, body).body)


def _check_target(request: Request) -> None:
    if request.path not in (BATCH, SINGLE):
        raise Refused(fail(404, f"There is no {request.path}"))
    if request.method != "POST":
        raise Refused(fail(405, f"Method {request.method} is not allowed"))


def _check_token(request: Request) -> None:
    token = request.bearer or ""
    if not re.fullmatch(r"[\x21-\x7e]+", token) or "expired" in token or "revoked" in token:
        raise Refused(fail(401, "Invalid token"))
    if "forbidden" in token:
        raise Refused(fail(403, "The token does not belong to the account"))


def _read_root(request: Request) -> dict[str, Any]:
    if request.content_type != "application/json":
        raise Refused(fail(415, f"Unsupported content type {request.content_type!r}"))
    try:
        root = read_json(request.body)
    except NotJson as error:
        raise Refused(fail(400, f"The body is not JSON: {error}")) from None
    rest: dict[str, Check] = dict.fromkeys(("data",) if request.path == BATCH else EVENT, lambda _: None)
    required = ("account_id", "data") if request.path == BATCH else ("account_id", "conversion", "user")
    _refuse(checks.look_over(root, {"account_id": checks.integer} | rest, required))
    if str(root["account_id"]).startswith("403"):
        raise Refused(fail(403, "The token does not belong to the account"))
    return dict(root)


def _read_events(request: Request) -> list[Any]:
    root = _read_root(request)
    account = root.pop("account_id")
    if account <= 0:
        raise Refused(fail(400, "account_id must be positive"))
    events = root["data"] if request.path == BATCH else [root]
    if not isinstance(events, list) or not 1 <= len(events) <= MOST_EVENTS:
        raise Refused(fail(400, f"data must be a list of 1 to {MOST_EVENTS} events"))
    for index, event in enumerate(events):
        path = f"/data/{index}"
        _refuse(checks.look_over(event, EVENT, ["conversion"], path=path))
        _refuse(checks.look_over(event["conversion"], CONVERSION, ["event_name"], path=f"{path}/conversion"))
        _refuse(checks.look_over(event.get("user", {}), USER, path=f"{path}/user"))
        _refuse(checks.look_over(event.get("device", {}), DEVICE, path=f"{path}/device"))
    return events


def _refuse(faults: list[Fault]) -> None:
    if faults:
        raise Refused(fail(400, f"{faults[0].path} {faults[0].text}"))


def look_at_event(event: dict[str, Any]) -> Fault | None:
    """What is wrong with the values of an event; the kind is the error code."""
    conversion, user = event["conversion"], event.get("user", {})
    if conversion.get("value", 0) > MOST_VALUE:
        return Fault("", "value is out of range", "VALUE_OUT_OF_RANGE")
    if conversion.get("timestamp", SIXTEEN_DIGITS[0]) not in SIXTEEN_DIGITS:
        return Fault("", "timestamp must be in microseconds", "INVALID_TIMESTAMP")
    if "email" in user and not checks.EMAIL.fullmatch(user["email"]):
        return Fault("", "email is not valid", "INVALID_EMAIL")
    if "ip" in user and checks.ip_address(4, 6)(user["ip"]):
        return Fault("", "ip is not valid", "INVALID_IP")
    hashed = next((name for name, value in user.items() if checks.SHA256.fullmatch(value.lower())), None)
    return Fault("", f"{hashed} must not be hashed", "INVALID_USER") if hashed else None
