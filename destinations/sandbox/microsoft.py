"""Microsoft Advertising: the UET Conversions API, offline conversions (REST, v13), and the token endpoint before them.

`POST /v1/{tag}/events`, `POST /CampaignManagement/v13/OfflineConversions/Apply`, `POST /common/oauth2/v2.0/token`.

Source: learn.microsoft.com/advertising/guides/uet-conversion-api-integration, the pages on ApplyOfflineConversions,
OfflineConversion and "Operation Error Codes", and "Get access and refresh tokens".

Conventions of this double: a token, developer token, client id, client secret or refresh token that contains `expired`,
`revoked` or `forbidden` is answered as such; any other is accepted. A UET tag id that starts with 404 does not exist; a
conversion name that contains `404` is the name of no goal.
"""

from __future__ import annotations

import re
import time
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import parse_qs

from destinations.sandbox import checks
from destinations.sandbox.base import Answer, NotJson, Refused, Request, Vendor, read_json
from destinations.sandbox.checks import Check, Fault

EVENTS_PATH = re.compile(r"/v1/(?P<tag>[^/]+)/events")
APPLY_PATH = "/CampaignManagement/v13/OfflineConversions/Apply"
GOALS_PATH = "/CampaignManagement/v13/ConversionGoals/QueryByIds"
GOALS = [(1001, "sign_up", "Active"), (1002, "purchase", "Active"), (1003, "old lead", "Paused")]
GOAL_TYPES = {
    "Url", "Duration", "PagesViewedPerVisit", "Event", "AppInstall", "OfflineConversion", "InStoreTransaction",
}  # fmt: skip
TOKEN_PATH = "/common/oauth2/v2.0/token"  # noqa: S105
SCOPE = "https://ads.microsoft.com/msads.manage"
MOST = 1000
EVENT_DAYS = 7
CONVERSION_DAYS = 90
SKEW = 60

CURRENCY = checks.matching(r"[A-Z]{3}", "an ISO 4217 currency code")
GUID = checks.matching(r"[0-9a-fA-F-]{28,36}", "a click id")
PAGE_TYPES = ("home", "product", "category", "searchresults", "cart", "purchase", "other")

ROOT: dict[str, Check] = {
    "data": lambda _: None,  # looked over event by event
    "continueOnValidationError": checks.boolean,
    "dataProvider": checks.text,
}
EVENT: dict[str, Check] = {
    "eventType": checks.one_of("pageLoad", "custom"),
    "eventName": checks.short_text(100),
    "eventId": checks.text,
    "eventTime": lambda _: None,  # needs the clock
    "eventSourceUrl": checks.web_url,
    "referrerUrl": checks.web_url,
    "pageTitle": checks.text,
    "keywords": checks.text,
    "pageLoadId": checks.matching(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", "a UUIDv4"),
    "adStorageConsent": checks.one_of("G", "D"),
    "userData": lambda _: None,
    "customData": lambda _: None,
}
USER_DATA: dict[str, Check] = {
    "anonymousId": checks.text,
    "externalId": checks.text,
    "em": checks.sha256,
    "ph": checks.sha256,
    "msclkid": GUID,
    "clientIpAddress": checks.ip_address(4, 6),
    "clientUserAgent": checks.text,
    "idfa": checks.plain,
    "gaid": checks.plain,
}
IDENTIFIERS = frozenset({"anonymousId", "externalId", "em", "ph", "msclkid", "idfa", "gaid"})
CUSTOM_DATA: dict[str, Check] = {
    "value": checks.amount,
    "currency": CURRENCY,
    "itemIds": checks.list_of(checks.text),
    "pageType": checks.one_of(*PAGE_TYPES),
    "items": checks.list_of(lambda _: None),
    "hotelData": checks.not_empty,
    **dict.fromkeys(("eventValue", "ecommTotalValue"), checks.amount),
    **dict.fromkeys(("transactionId", "eventCategory", "eventLabel", "searchTerm", "ecommCategory"), checks.text),
}
ITEM: dict[str, Check] = {
    "id": checks.text,
    "name": checks.text,
    "price": checks.amount,
    "quantity": checks.integer,
}

CONVERSION: dict[str, Check] = {
    "MicrosoftClickId": GUID,
    "ConversionName": checks.short_text(100),
    "ConversionTime": checks.matching(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,7})?Z", "a UTC date and time"),
    "ConversionValue": checks.amount,
    "ConversionCurrencyCode": CURRENCY,
    "HashedEmailAddress": checks.sha256,
    "HashedPhoneNumber": checks.sha256,
    "ExternalAttributionCredit": checks.amount,
    "ExternalAttributionModel": checks.text,
}
MATCHED_BY = frozenset({"MicrosoftClickId", "HashedEmailAddress", "HashedPhoneNumber"})
# Symbolic code → number, as in the list of operation error codes.
NUMBERS = {
    "InternalError": 0,
    "NullRequest": 100,
    "InvalidCredentials": 105,
    "UserIsNotAuthorized": 106,
    "AuthenticationTokenExpired": 109,
    "CallRateExceeded": 117,
}


def fail(
    status: int, code: str, message: str, details: list[dict[str, Any]] | None = None, received: int = 0
) -> Answer:
    """An error of the Conversions API."""
    error = {"code": code, "message": message, "details": details or []}
    return Answer.of(status, {"eventsReceived": received, "error": error, "traceId": uuid.uuid4().hex})


def fault_of_api(status: int, code: str, message: str) -> Answer:
    """An error of the Campaign Management API."""
    error = {"Code": NUMBERS[code], "ErrorCode": code, "Message": message, "Detail": None}
    return Answer.of(status, {"TrackingId": str(uuid.uuid4()), "Type": "AdApiFaultDetail", "Errors": [error]})


class Microsoft(Vendor):
    partial_note: ClassVar[str] = "200, but the last event or conversion is listed as refused"

    def answer(self, request: Request, now: float) -> Answer:
        if request.path == TOKEN_PATH:
            return _token(request)
        if request.path == APPLY_PATH:
            return _apply(request, now)
        target = EVENTS_PATH.fullmatch(request.path)
        if target is None or not re.fullmatch(r"\d{6,12}", target["tag"]) or target["tag"].startswith("404"):
            raise Refused(fail(404, "NotFound", f"Nothing was found at {request.path}"))
        return _events(request, now)

    def look(self, request: Request, now: float) -> Answer | None:
        """GetConversionGoalsByIds."""
        if request.path != GOALS_PATH:
            return None
        _check_api(request)
        root = _read(request)
        kinds = root.get("ConversionGoalTypes") if isinstance(root, dict) else None
        asked = set(re.split(r"[ ,]+", kinds)) if isinstance(kinds, str) else set()
        known = {"ConversionGoalIds", "ConversionGoalTypes", "ReturnAdditionalFields"}
        if not asked or asked - GOAL_TYPES or set(root) - known:
            return fault_of_api(400, "NullRequest", "The conversion goal types must be named.")
        goals = [
            {"Id": key, "Name": name, "Status": status, "Type": "OfflineConversion", "TagId": None}
            for key, name, status in GOALS
            if "OfflineConversion" in asked
        ]
        return Answer.of(200, {"ConversionGoals": goals, "PartialErrors": []})

    def ids(self, request: Request) -> list[tuple[str, ...]]:
        """Of what was taken: the event id under its name; offline the click under its goal, at its time."""
        if request.path == TOKEN_PATH:
            return []
        root, now = read_json(request.body), time.time()
        if request.path == APPLY_PATH:
            rows = [row for row in root["OfflineConversions"] if not look_at_conversion(row, now)]
            keys = ("ConversionName", "ConversionTime", "MicrosoftClickId")
            return [tuple(row[key] for key in keys) if "MicrosoftClickId" in row else () for row in rows]
        events = [event for event in root["data"] if all(one.kind == "warning" for one in look_at_event(event, now))]
        return [(event.get("eventName", ""), event["eventId"]) if "eventId" in event else () for event in events]

    def error(self, status: int) -> Answer:
        known = {401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 429: "TooManyRequests"}
        code = known.get(status, "InternalServerError" if status >= 500 else "BadRequest")
        return fail(status, code, "The request was refused")

    def partial(self, good: Answer) -> Answer:
        body = read_json(good.body)
        if "eventsReceived" in body:
            last = _detail(body["eventsReceived"] - 1, Fault("/eventName", "is not valid"))
            body["error"] = {"code": "ValidationError", "message": "Some events are not valid", "details": [last]}
        elif "PartialErrors" in body:
            count = int(good.headers["TrackingId"].rpartition("-")[2])
            text = "The click id is not valid"
            body["PartialErrors"] = [_partial_error(count - 1, "OfflineConversionMicrosoftClickIdInvalid", text)]
        return replace(good, body=Answer.of(200, body).body)


# --- Conversions API -------------------------------------------------------------------------------
def _events(request: Request, now: float) -> Answer:
    if request.method != "POST":
        raise Refused(fail(405, "MethodNotAllowed", f"{request.method} is not allowed"))
    token = request.bearer or ""
    if not re.fullmatch(r"\S{8,4096}", token) or "expired" in token or "revoked" in token:
        raise Refused(fail(401, "Unauthorized", "The token is not valid for this tag"))
    if "forbidden" in token:
        raise Refused(fail(403, "Forbidden", "The account is not enabled for the Conversions API"))
    root = _read(request)
    faults = checks.look_over(root, ROOT, ["data"])
    events = root.get("data") if isinstance(root, dict) else None
    if faults or not isinstance(events, list) or not 1 <= len(events) <= MOST:
        text = faults[0].text if faults else f"data must have 1 to {MOST} events"
        raise Refused(fail(400, "BadRequest", text))
    details = [_detail(index, fault) for index, event in enumerate(events) for fault in look_at_event(event, now)]
    bad = {detail["index"] for detail in details if not detail["isWarning"]}
    if bad and (len(bad) == len(events) or root.get("continueOnValidationError") is not True):
        raise Refused(fail(400, "ValidationError", "Validation failed", details))
    if details:
        return fail(200, "ValidationError", "Some events are not valid", details, len(events))
    return Answer.of(200, {"eventsReceived": len(events), "traceId": uuid.uuid4().hex})


def _detail(index: int, fault: Fault) -> dict[str, Any]:
    return {
        "index": index,
        "propertyName": fault.path.strip("/").replace("/", "."),
        "attemptedValue": None,
        "errorMessage": fault.text,
        "errorCode": fault.kind,
        "isWarning": fault.kind == "warning",
    }


def look_at_event(event: Any, now: float) -> list[Fault]:
    faults = checks.look_over(event, EVENT, ["eventType", "eventTime", "userData"])
    if not isinstance(event, dict):
        return faults
    if event.get("eventType") == "custom" and "eventName" not in event:
        faults.append(Fault("/eventName", "is required for custom events", "missing"))
    if event.get("eventType") == "pageLoad" and "eventSourceUrl" not in event:
        faults.append(Fault("/eventSourceUrl", "is required for page loads", "missing"))
    if "eventTime" in event and (
        wrong := checks.time_in_seconds(event["eventTime"], now, EVENT_DAYS * checks.DAY, SKEW)
    ):
        faults.append(Fault("/eventTime", *wrong))
    if "userData" in event:
        user = event["userData"]
        faults += checks.look_over(user, USER_DATA, path="/userData")
        if isinstance(user, dict) and not user.keys() & IDENTIFIERS:
            faults.append(Fault("/userData", "needs at least one identifier"))
    if "customData" in event:
        faults += _look_at_custom_data(event["customData"])
    if "eventId" not in event:
        faults.append(Fault("/eventId", "is recommended, for deduplication", "warning"))
    return faults


def _look_at_custom_data(custom: Any) -> list[Fault]:
    faults = checks.look_over(custom, CUSTOM_DATA, path="/customData")
    if not isinstance(custom, dict):
        return faults
    if ("value" in custom) != ("currency" in custom):
        faults.append(Fault("/customData", "value and currency are sent both or neither"))
    items = custom.get("items")
    for number, one in enumerate(items if isinstance(items, list) else []):
        faults += checks.look_over(one, ITEM, ["id"], path=f"/customData/items/{number}")
    return faults


def _read(request: Request) -> Any:
    if request.content_type != "application/json":
        raise Refused(fail(415, "UnsupportedMediaType", f"Unsupported content type {request.content_type!r}"))
    try:
        return read_json(request.body)
    except NotJson as error:
        raise Refused(fail(400, "BadRequest", f"The body is not JSON: {error}")) from None


# --- Offline conversions ---------------------------------------------------------------------------
def _check_api(request: Request) -> None:
    if request.method != "POST":
        raise Refused(fail(405, "MethodNotAllowed", f"{request.method} is not allowed"))
    token, developer = request.bearer or "", request.headers.get("developertoken", "")
    if not re.fullmatch(r"\S{8,8192}", token) or "expired" in token:
        text = "Authentication token expired. Please renew it or obtain a new token."
        raise Refused(fault_of_api(401, "AuthenticationTokenExpired", text))
    if not re.fullmatch(r"[A-Za-z0-9]{10,64}", developer) or "revoked" in developer + token:
        raise Refused(fault_of_api(401, "InvalidCredentials", "Authentication failed."))
    numbers = [request.headers.get(name, "") for name in ("customerid", "customeraccountid")]
    if "forbidden" in token or not all(re.fullmatch(r"\d{1,18}", number) for number in numbers):
        raise Refused(fault_of_api(403, "UserIsNotAuthorized", "The user does not represent a authorized developer."))


def _apply(request: Request, now: float) -> Answer:
    _check_api(request)
    root = _read(request)
    rows = root.get("OfflineConversions") if isinstance(root, dict) else None
    if not isinstance(rows, list) or set(root) != {"OfflineConversions"} or not 1 <= len(rows) <= MOST:
        raise Refused(fault_of_api(400, "NullRequest", f"1 to {MOST} offline conversions must be sent."))
    errors = [
        _partial_error(index, code, text)
        for index, row in enumerate(rows)
        for code, text in look_at_conversion(row, now)[:1]
    ]
    headers = {"TrackingId": f"{uuid.uuid4()}-{len(rows)}"}
    return Answer.of(200, {"PartialErrors": errors}, headers)


def look_at_conversion(row: Any, now: float) -> list[tuple[str, str]]:
    """Symbolic code and message of each fault."""
    faults = checks.look_over(row, CONVERSION, ["ConversionName", "ConversionTime"])
    found = [(f"OfflineConversion{fault.path.strip('/')}Invalid", fault.text) for fault in faults]
    if found or not isinstance(row, dict):
        return found
    if not row.keys() & MATCHED_BY:
        found.append(("OfflineConversionMicrosoftClickIdInvalid", "A click id or hashed identity is required."))
    if "404" in row["ConversionName"]:
        found.append(("OfflineConversionGoalNotFound", "No offline conversion goal has this name."))
    at = datetime.fromisoformat(row["ConversionTime"]).astimezone(UTC).timestamp()
    if at > now + SKEW:
        found.append(("OfflineConversionFutureTime", "The conversion time is in the future."))
    if at < now - CONVERSION_DAYS * checks.DAY:
        found.append(("OfflineConversionTooOld", "The conversion time is too old."))
    return found


def _partial_error(index: int, code: str, message: str) -> dict[str, Any]:
    return {
        "FieldPath": None,
        "ErrorCode": code,
        "Message": message,
        "Code": 0,
        "Details": None,
        "Index": index,
        "Type": "BatchError",
    }


# --- Tokens ----------------------------------------------------------------------------------------
def _token(request: Request) -> Answer:
    if request.method != "POST" or request.content_type != "application/x-www-form-urlencoded":
        raise Refused(Answer.of(400, {"error": "invalid_request", "error_description": "A form must be posted."}))
    form = {name: values[0] for name, values in parse_qs(request.body.decode(errors="replace")).items()}
    if form.get("grant_type") != "refresh_token":
        raise Refused(Answer.of(400, {"error": "unsupported_grant_type", "error_description": "Not supported."}))
    if unknown := form.keys() - {"grant_type", "refresh_token", "client_id", "client_secret", "scope"}:
        text = f"Unknown parameters: {', '.join(sorted(unknown))}"
        raise Refused(Answer.of(400, {"error": "invalid_request", "error_description": text}))
    if SCOPE not in form.get("scope", "").split():
        raise Refused(Answer.of(400, {"error": "invalid_scope", "error_description": "AADSTS70011: invalid scope."}))
    is_app = re.fullmatch(r"[0-9a-fA-F-]{32,36}", form.get("client_id", "")) is not None
    if not is_app or "forbidden" in form.get("client_secret", ""):
        text = "AADSTS7000215: Invalid client secret provided."
        raise Refused(Answer.of(401, {"error": "invalid_client", "error_description": text, "error_codes": [7000215]}))
    refresh = form.get("refresh_token", "")
    if len(refresh) < 20 or "expired" in refresh or "revoked" in refresh:
        text = "AADSTS70008: The refresh token has expired."
        raise Refused(Answer.of(400, {"error": "invalid_grant", "error_description": text, "error_codes": [70008]}))
    return Answer.of(
        200,
        {
            "token_type": "Bearer",
            "scope": SCOPE,
            "expires_in": 3600,
            "access_token": f"EwB-sandbox-{uuid.uuid4().hex}",
            "refresh_token": f"M.C-sandbox-{uuid.uuid4().hex}",
        },
    )
