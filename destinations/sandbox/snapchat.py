"""Snapchat's Conversions API: `POST /v3/{pixel_id}/events?access_token=…`, and `…/events/validate` for tests.

Source: developers.snap.com/api/marketing-api/Conversions-API (Parameters, Using the API, Verify Set Up) and the
business SDK for the field names.

One bad event refuses them all; the answer names one. Snapchat takes milliseconds too, this double does not: the
documented examples are seconds.

Conventions of this double: a token that contains `expired`, `revoked` or `forbidden` is answered as such; any other
token is accepted. A pixel id that starts with 404 does not exist.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, ClassVar

from destinations.sandbox import checks
from destinations.sandbox.base import Answer, NotJson, Refused, Request, Vendor, read_json
from destinations.sandbox.checks import Check, Fault

PATH = re.compile(r"/v3/(?P<asset>[^/]+)/events(?P<validate>/validate)?")
STATS_PATH = re.compile(r"(/v3/[^/]+/events)/validate/(stats|logs)")
UUID = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}")
MOST_EVENTS = 2000
DAYS = 37
SKEW = 300

HASHED = ("em", "ph", "fn", "ln", "ge", "db", "ct", "st", "zp", "country")
ROOT: dict[str, Check] = {"data": lambda _: None}
EVENT: dict[str, Check] = {
    "event_name": checks.short_text(64),
    "event_time": lambda _: None,  # needs the clock
    "action_source": checks.one_of("WEB", "MOBILE_APP", "OFFLINE"),
    "event_source_url": checks.web_url,
    "event_id": checks.text,
    "user_data": lambda _: None,
    "custom_data": lambda _: None,
    "app_data": checks.not_empty,
    "data_processing_options": checks.list_of(checks.one_of("LDU", "LMU"), most=1),
    "data_processing_options_country": checks.one_of(0, 1),
    "data_processing_options_state": checks.one_of(0, 1000),
    "opt_out": checks.boolean,
    "integration": checks.text,
    "test_event_code": checks.text,
}
MADID = checks.matching(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", "an advertising id in lower case")
USER_DATA: dict[str, Check] = {
    **dict.fromkeys(HASHED, checks.one_or_list(checks.sha256)),
    "external_id": checks.one_or_list(checks.not_email),
    "client_ip_address": checks.ip_address(4, 6),  # v2 wanted it hashed, v3 refuses that
    "madid": MADID,
    "mobile_ad_id": MADID,
    "lead_id": lambda value: checks.plain(str(value)),
    **dict.fromkeys(
        ("client_user_agent", "sc_click_id", "sc_cookie1", "idfv", "subscription_id", "anon_id", "download_id",
         "partner_id"), checks.plain,
    ),
}  # fmt: skip
CUSTOM_DATA: dict[str, Check] = {
    "value": checks.amount,
    "predicted_ltv": checks.amount,
    "currency": checks.matching(r"[A-Z]{3}", "an ISO 4217 currency code"),
    "content_ids": checks.list_of(checks.text),
    "content_type": checks.one_of("product", "product_group"),
    "contents": lambda _: None,
    "num_items": checks.integer,
    "brands": checks.one_or_list(checks.text),
    "content_category": checks.one_or_list(checks.text),
    "custom_fields": checks.not_empty,
    **dict.fromkeys(
        ("content_name", "order_id", "search_string", "sign_up_method", "event_tag", "status"), checks.text
    ),
}
CONTENT: dict[str, Check] = {
    "quantity": checks.integer,
    "item_price": checks.amount,
    **dict.fromkeys(("id", "brand", "delivery_category"), checks.text),
}


def fail(status: int, reason: str, event: int | None = None, codes: tuple[str, ...] = ()) -> Answer:
    body: dict[str, Any] = {"status": "INVALID", "reason": reason}
    if event is not None:
        body["event"] = event
    return Answer.of(status, body | {"errors": {"codes": list(codes), "error_msgs": [reason]}})


class Snapchat(Vendor):
    dedup_seconds: ClassVar[float] = 48 * 3600

    def answer(self, request: Request, now: float) -> Answer:
        is_test = _check_target(request)
        _check_token(request)
        events = _read_events(request)
        faults = [look_at_event(event, now) for event in events]
        if is_test:
            return _logs(events, faults)
        for index, fault in enumerate(faults):
            if fault:
                raise Refused(fail(400, _told(fault), index, (fault.kind.upper(),)))
        return Answer.of(200, {"status": "VALID", "reason": ""})

    def look(self, request: Request, now: float) -> Answer | None:
        """What the test events of the last hour or day were: there are none."""
        found = STATS_PATH.fullmatch(request.path)
        if found is None:
            return None
        if request.method != "GET":
            return fail(405, f"Method {request.method} is not allowed")
        _check_target(replace(request, method="POST", path=found[1]))
        _check_token(request)
        return Answer.of(200, {"status": "SUCCESS", found[2]: []})

    def ids(self, request: Request) -> list[tuple[str, ...]]:
        """Pixel, event name and id; a test is not kept."""
        events, asset = _read_events(request), request.path.split("/")[2]
        if request.path.endswith("/validate"):
            return [() for _ in events]
        return [(asset, one["event_name"], one["event_id"]) if "event_id" in one else () for one in events]

    def error(self, status: int) -> Answer:
        reasons = {401: "Unauthorized", 403: "Forbidden", 429: "Too many requests"}
        return fail(status, reasons.get(status, "Internal error" if status >= 500 else "Invalid request"))


def _told(fault: Fault) -> str:
    return f"{fault.path.strip('/').replace('/', '.') or 'The body'} {fault.text}"


def _logs(events: list[Any], faults: list[Fault | None]) -> Answer:
    logs = [
        {
            "event": event,
            "status": "INVALID" if fault else "VALID",
            "errors": {"codes": [fault.kind.upper()], "error_msgs": [_told(fault)]} if fault else {},
            "warnings": [],
        }
        for event, fault in zip(events, faults, strict=True)
    ]
    is_valid = not any(faults)
    body = {"status": "VALID" if is_valid else "INVALID", "test_event": True, "reason": "", "event_logs": logs}
    return Answer.of(200 if is_valid else 400, body)


def _check_target(request: Request) -> bool:
    """Whether the request is a test."""
    found = PATH.fullmatch(request.path)
    if not found or not UUID.fullmatch(found["asset"]) or found["asset"].startswith("404"):
        raise Refused(fail(404, "Not found"))
    if request.method != "POST":
        raise Refused(fail(405, f"Method {request.method} is not allowed"))
    if surplus := set(request.parameters) - {"access_token"}:
        raise Refused(fail(400, f"Unknown query parameter {min(surplus)!r}"))
    return bool(found["validate"])


def _check_token(request: Request) -> None:
    token = request.parameters.get("access_token", "")
    if not re.fullmatch(r"[\x21-\x7e]+", token) or "expired" in token or "revoked" in token:
        raise Refused(fail(401, "The access token is missing or not valid"))
    if "forbidden" in token:
        raise Refused(fail(403, "The access token does not belong to the organization of this asset"))


def _read_events(request: Request) -> list[Any]:
    if request.content_type != "application/json":
        raise Refused(fail(415, f"Unsupported content type {request.content_type!r}"))
    try:
        root = read_json(request.body)
    except NotJson as error:
        raise Refused(fail(400, f"The body is not JSON: {error}")) from None
    if faults := checks.look_over(root, ROOT, ["data"]):
        raise Refused(fail(400, _told(faults[0])))
    events = root["data"]
    if not isinstance(events, list) or not 1 <= len(events) <= MOST_EVENTS:
        raise Refused(fail(400, f"data must be a list of 1 to {MOST_EVENTS} events"))
    return events


def look_at_event(event: Any, now: float) -> Fault | None:
    """The first fault of an event."""
    faults = checks.look_over(event, EVENT, ["event_name", "event_time", "action_source", "user_data"])
    if faults:
        return faults[0]
    if time := checks.time_in_seconds(event["event_time"], now, DAYS * checks.DAY, SKEW):
        return Fault("/event_time", *time)
    custom, user = event.get("custom_data", {}), event["user_data"]
    faults = checks.look_over(user, USER_DATA, path="/user_data")
    faults += checks.look_over(custom, CUSTOM_DATA, path="/custom_data")
    if not faults and "contents" in custom:
        path, contents = "/custom_data/contents", custom["contents"]
        faults = [Fault(path, "must be a list")] if not isinstance(contents, list) else []
        faults += [fault for one in contents for fault in checks.look_over(one, CONTENT, path=path)] * (not faults)
    return faults[0] if faults else _look_at_whole(event, user, custom)


def _look_at_whole(event: dict[str, Any], user: dict[str, Any], custom: dict[str, Any]) -> Fault | None:
    if event["action_source"] == "WEB" and "event_source_url" not in event:
        return Fault("/event_source_url", "is required for web events", "missing")
    if event["action_source"] == "MOBILE_APP" and "app_data" not in event:
        return Fault("/app_data", "is required for app events", "missing")
    if not {"em", "ph", "madid"} & user.keys() and not {"client_ip_address", "client_user_agent"} <= user.keys():
        return Fault("/user_data", "has insufficient PII: at least one of em, ph, madid, or IP and user agent", "pii")
    if event["event_name"] == "PURCHASE" and not {"value", "currency"} <= custom.keys():
        return Fault("/custom_data", "misses value or currency of a PURCHASE", "missing")
    if "value" in custom and "currency" not in custom:
        return Fault("/custom_data/currency", "is required with value", "missing")
    if "data_processing_options" not in event and any(name.startswith("data_processing_") for name in event):
        return Fault("/data_processing_options", "is missing", "missing")
    return None
