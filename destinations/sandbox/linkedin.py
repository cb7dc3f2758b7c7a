"""LinkedIn's Conversions API: `POST /rest/conversionEvents`, one event or a BATCH_CREATE of up to 5000.

Source: learn.microsoft.com/linkedin/marketing/conversions/conversions-overview (schema, batch, error codes) and its
page on API versions.

Conventions of this double: a token that contains `expired`, `revoked` or `forbidden` is answered as such; any other
token of the right shape is accepted. A conversion rule id that starts with 404 is unknown; one that starts with 999
was made with another conversion method than CONVERSIONS_API. `GET /rest/conversions?q=account` finds the rules of any
account whose id does not start with 404.
"""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import Any, ClassVar
from urllib.parse import parse_qsl

from destinations.sandbox import checks
from destinations.sandbox.base import Answer, NotJson, Refused, Request, Vendor, is_well_shaped_token, read_json
from destinations.sandbox.checks import Check, Fault

PATH = "/rest/conversionEvents"
TOKEN_PATH = "/oauth/v2/accessToken"  # noqa: S105
RULES_PATH = "/rest/conversions"
FINDER = {"q", "account", "start", "count"}
RULES = [
    (10000001, "Sign up", "SIGN_UP", "CONVERSIONS_API", True),
    (10000002, "Purchase", "PURCHASE", "CONVERSIONS_API", True),
    (10000003, "Old lead form", "LEAD", "CONVERSIONS_API", False),
    (99900001, "All pages", "KEY_PAGE_VIEW", "INSIGHT_TAG", True),
]
MOST_EVENTS = 5000
DAYS = 90
SKEW = 60
VERSION = re.compile(r"20\d{2}(0[1-9]|1[0-2])(\.\d{2})?")
OLDEST_VERSION = "202512"  # 202511 was sunset on 2026-11-16
NEWEST_VERSION = "202611"  # at least; later ones appear with the calendar
RULE = "urn:lla:llaPartnerConversion:"

NAME = checks.short_text(200)
EVENT: dict[str, Check] = {
    "conversion": checks.matching(rf"{RULE}\d{{4,15}}", "a URN of a conversion rule"),
    "conversionHappenedAt": checks.integer,
    "conversionValue": lambda _: None,
    "eventId": checks.text,
    "user": lambda _: None,
}
VALUE: dict[str, Check] = {
    "currencyCode": checks.matching(r"[A-Z]{3}", "an ISO 4217 currency code"),
    "amount": checks.matching(r"\d+(\.\d+)?", "a decimal number in a string"),
}
USER: dict[str, Check] = {
    "userIds": checks.list_of(lambda _: None, least=0),
    "userInfo": lambda _: None,
    "externalIds": checks.list_of(checks.not_email, most=1),
    "lead": checks.matching(r"urn:li:leadGenFormResponse:\S+", "a URN of a lead form response"),
}
USER_INFO: dict[str, Check] = {
    "firstName": NAME,
    "lastName": NAME,
    "title": NAME,
    "companyName": NAME,
    "countryCode": checks.matching(r"[A-Z]{2}", "an ISO 3166 country code in capitals"),
}
HASHED_NAMES: dict[str, Check] = {"hashedFirstName": checks.sha256, "hashedLastName": checks.sha256}
HASHED_NAMES_SINCE = "202609"
USER_ID: dict[str, Check] = {"idType": checks.text, "idValue": lambda _: None}
NIL_UUID = "00000000-0000-0000-0000-000000000000"


def _advertising_id(value: Any) -> str | None:
    check = checks.matching(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", "a UUID")
    return check(value) or ("must not be all zeros" if value == NIL_UUID else None)


# idType → (check of idValue, first version, first version without it)
ID_TYPES: dict[str, tuple[Check, str, str]] = {
    "SHA256_EMAIL": (checks.sha256, "", "9"),
    "LINKEDIN_FIRST_PARTY_ADS_TRACKING_UUID": (checks.plain, "", "9"),
    "ACXIOM_ID": (checks.plain, "", "9"),
    "ORACLE_MOAT_ID": (checks.plain, "", "202609"),
    "PLAINTEXT_IP_ADDRESS": (checks.ip_address(4), "202605", "9"),
    "GOOGLE_AID": (_advertising_id, "202605", "9"),
    "SHA256_IP_ADDRESS": (checks.sha256, "202607", "9"),
}
LEAD_ENOUGH_SINCE = "202605"


def fail(status: int, message: str, code: str = "", service_code: int | None = None) -> Answer:
    body: dict[str, Any] = {"status": status, "message": message}
    if code:
        body["code"] = code
    if service_code is not None:
        body["serviceErrorCode"] = service_code
    return Answer.of(status, body)


class LinkedIn(Vendor):
    partial_note: ClassVar[str] = "200, but the last element has the status 500 (only of a BATCH_CREATE)"

    def answer(self, request: Request, now: float) -> Answer:
        if request.path == TOKEN_PATH:
            return _token(request)
        if request.path != PATH:
            raise Refused(fail(404, f"No virtual resource found for {request.path}", "RESOURCE_NOT_FOUND"))
        if request.method != "POST":
            raise Refused(fail(405, f"Method {request.method} is not allowed for {PATH}", "METHOD_NOT_ALLOWED"))
        _check_token(request)
        version = _read_version(request, now)
        events, is_batch = _read_events(request)
        _refuse_faults(events, is_batch, version)
        _refuse_times([event["conversionHappenedAt"] for event in events], now)
        _refuse_rules([event["conversion"].removeprefix(RULE) for event in events])
        return Answer.of(200, {"elements": [{"status": 201} for _ in events]}) if is_batch else Answer(201)

    def look(self, request: Request, now: float) -> Answer | None:
        """The finder of an account's conversion rules."""
        if request.path != RULES_PATH:
            return None
        if request.method != "GET":
            return fail(405, f"Method {request.method} is not allowed for {RULES_PATH}", "METHOD_NOT_ALLOWED")
        _check_token(request)
        _read_version(request, now)
        asked = request.parameters
        account = re.fullmatch(r"urn:li:sponsoredAccount:(\d{5,12})", asked.get("account", ""))
        numbers = [asked.get("start", "0"), asked.get("count", "10")]
        if asked.get("q") != "account" or asked.keys() - FINDER or not account or not all(map(str.isdecimal, numbers)):
            return fail(400, "Invalid query parameters passed to request", "PARAM_INVALID")
        if account[1].startswith("404"):
            return fail(404, f"Ad account {account[1]} does not exist", "NOT_FOUND")
        start, count = map(int, numbers)
        if not 1 <= count <= 1000:
            return fail(400, "count must be between 1 and 1000", "PARAM_INVALID")
        names = ("id", "name", "type", "conversionMethod", "enabled")
        elements = [
            dict(zip(names, rule, strict=True)) | {"account": account[0]} for rule in RULES[start : start + count]
        ]
        paging = {"start": start, "count": count, "links": [], "total": len(RULES)}
        return Answer.of(200, {"paging": paging, "elements": elements})

    def ids(self, request: Request) -> list[tuple[str, ...]]:
        """Rule and event id. LinkedIn documents deduplication against the Insight Tag only: this is for counting."""
        if request.path == TOKEN_PATH:
            return []
        events, _ = _read_events(request)
        return [(one["conversion"], one["eventId"]) if "eventId" in one else () for one in events]

    def error(self, status: int) -> Answer:
        if status == 401:
            return fail(401, "The token used in the request has expired", "EXPIRED_ACCESS_TOKEN", 65602)
        if status == 403:
            return fail(403, "Not enough permissions to access: conversionEvents.BATCH_CREATE", "ACCESS_DENIED", 100)
        if status == 429:
            return fail(
                429, "Resource level throttle APPLICATION_AND_MEMBER DAY limit reached", "TOO_MANY_REQUESTS", 101
            )
        if status >= 500:
            return fail(status, "Internal Server Error", "INTERNAL_SERVER_ERROR")
        return fail(status, "The request was refused")

    def partial(self, good: Answer) -> Answer:
        if not good.body:
            return good
        body = read_json(good.body)
        body["elements"][-1] = {"status": 500, "error": {"status": 500, "message": "Internal Server Error"}}
        return replace(good, body=Answer.of(200, body).body)


def _token(request: Request) -> Answer:
    """Source: learn.microsoft.com/linkedin/shared/authentication/programmatic-refresh-tokens."""
    form = dict(parse_qsl(request.body.decode(errors="replace"), keep_blank_values=True))
    names = ("grant_type", "refresh_token", "client_id", "client_secret")
    missing = [name for name in names if not form.get(name)]
    if missing or request.content_type != "application/x-www-form-urlencoded":
        said = f'A required parameter "{(missing or ["grant_type"])[0]}" is missing'
        return Answer.of(400, {"error": "invalid_request", "error_description": said})
    if form.keys() - set(names) or form["grant_type"] != "refresh_token":
        return Answer.of(400, {"error": "invalid_request", "error_description": "Unable to retrieve access token"})
    if re.search("expired|revoked|forbidden", form["refresh_token"] + form["client_secret"]):
        said = "The provided refresh token is invalid, expired or revoked"
        return Answer.of(400, {"error": "invalid_grant", "error_description": said})
    answer = {"access_token": "AQ-made-up-access-token-of-the-sandbox-" + "x" * 40, "expires_in": 5_184_000}
    return Answer.of(200, answer | {"refresh_token": form["refresh_token"], "refresh_token_expires_in": 31_536_000})


def _check_token(request: Request) -> None:
    token = request.bearer or ""
    if not is_well_shaped_token(token, 60, 2048):
        raise Refused(fail(401, "Invalid access token", "INVALID_ACCESS_TOKEN", 65600))
    if "expired" in token:
        raise Refused(fail(401, "The token used in the request has expired", "EXPIRED_ACCESS_TOKEN", 65602))
    if "revoked" in token:
        text = "The token used in the request has been revoked by the user"
        raise Refused(fail(401, text, "REVOKED_ACCESS_TOKEN", 65601))
    if "forbidden" in token:
        text = "Not enough permissions to access: conversionEvents.BATCH_CREATE"
        raise Refused(fail(403, text, "ACCESS_DENIED", 100))


def _read_version(request: Request, now: float) -> str:
    version = request.headers.get("linkedin-version")
    if version is None:
        raise Refused(fail(400, "A version must be present. Please specify a version.", "VERSION_MISSING"))
    newest = max(NEWEST_VERSION, time.strftime("%Y%m", time.gmtime(now)))
    if not VERSION.fullmatch(version) or not OLDEST_VERSION <= version[:6] <= newest:
        raise Refused(fail(426, f"Requested version {version} is not active", "NONEXISTENT_VERSION"))
    return version[:6]


def _read_events(request: Request) -> tuple[list[Any], bool]:
    headers = request.headers
    if headers.get("x-restli-protocol-version") != "2.0.0":
        raise Refused(fail(400, "The header X-Restli-Protocol-Version must be 2.0.0"))
    if request.content_type != "application/json":
        raise Refused(fail(415, f"Unsupported content type {request.content_type!r}", "UNSUPPORTED_MEDIA_TYPE"))
    try:
        root = read_json(request.body)
    except NotJson as error:
        raise Refused(fail(400, f"The request body is not JSON: {error}")) from None
    if not isinstance(root, dict):
        raise Refused(fail(400, "The request body must be an object"))
    method = headers.get("x-restli-method", "CREATE").upper()
    if method == "CREATE" and "elements" not in root:
        return [root], False
    if method != "BATCH_CREATE" or set(root) != {"elements"} or not isinstance(root["elements"], list):
        raise Refused(fail(400, "A list of elements and nothing else goes with X-RestLi-Method: BATCH_CREATE"))
    if not 1 <= len(root["elements"]) <= MOST_EVENTS:
        count = len(root["elements"])
        raise Refused(fail(400, f"A batch must have 1 to {MOST_EVENTS} elements, and this one has {count}"))
    return root["elements"], True


def _refuse_faults(events: list[Any], is_batch: bool, version: str) -> None:
    """422 with a line per fault; the first of an element carries its index."""
    lines: list[str] = []
    for index, event in enumerate(events):
        for number, fault in enumerate(look_at_event(event, version)):
            text = fault.text + " and has no default value" * (fault.kind == "missing")
            prefix = f"Index: {index}, " if is_batch and number == 0 else ""
            lines.append(f"{prefix}ERROR :: {fault.path} :: {text}\n")
    if lines:
        raise Refused(fail(422, "".join(lines)))


def _refuse_times(times: list[int], now: float) -> None:
    """400 and not 422, in one sentence for all the events it is about, as live calls showed (2026-08)."""
    wrong = [i for i, at in enumerate(times) if checks.time_in_milliseconds(at, now, DAYS * checks.DAY, SKEW)]
    if wrong:
        text = f"Conversion time should be within {DAYS} days and not exceed current time, "
        raise Refused(fail(400, f"{text}indices {wrong} (0-indexed)."))


def _refuse_rules(rules: list[str]) -> None:
    if any(rule.startswith("404") for rule in rules):
        raise Refused(fail(404, "Could not find the conversion rule", "NOT_FOUND"))
    if wrong := [index for index, rule in enumerate(rules) if rule.startswith("999")]:
        text = "Incorrect conversions information provided. Conversion's method should be CONVERSIONS_API, "
        raise Refused(fail(400, f"{text}indices {wrong} (0-indexed)"))


def look_at_event(event: Any, version: str) -> list[Fault]:
    faults = checks.look_over(event, EVENT, ["conversion", "conversionHappenedAt", "user"])
    if not isinstance(event, dict):
        return faults
    if "conversionValue" in event:
        faults += checks.look_over(event["conversionValue"], VALUE, VALUE, path="/conversionValue")
    if "user" in event:
        faults += _look_at_user(event["user"], version)
    return faults


def _look_at_user(user: Any, version: str) -> list[Fault]:
    faults = checks.look_over(user, USER, ["userIds"], path="/user")
    if not isinstance(user, dict):
        return faults
    ids = user.get("userIds")
    faults += _look_at_ids(ids, version) if isinstance(ids, list) else []
    has_names = False
    if "userInfo" in user:
        info = user["userInfo"]
        has_hashed = (
            version >= HASHED_NAMES_SINCE and isinstance(info, dict) and not info.keys().isdisjoint(HASHED_NAMES)
        )
        fields = USER_INFO | HASHED_NAMES if has_hashed else USER_INFO
        required = HASHED_NAMES if has_hashed else ("firstName", "lastName")
        wrong = checks.look_over(info, fields, required, path="/user/userInfo")
        faults, has_names = faults + wrong, not wrong
    is_lead_enough = "lead" in user and version >= LEAD_ENOUGH_SINCE
    if not faults and not (ids or has_names or is_lead_enough or "externalIds" in user):
        faults.append(Fault("/user", "needs one of userIds, userInfo with both names, lead or externalIds"))
    return faults


def _look_at_ids(ids: list[Any], version: str) -> list[Fault]:
    faults: list[Fault] = []
    seen: set[str] = set()
    for number, one in enumerate(ids):
        path = f"/user/userIds/{number}"
        wrong = checks.look_over(one, USER_ID, USER_ID, path=path)
        if wrong:
            faults += wrong
            continue
        kind = one["idType"]
        check, since, until = ID_TYPES.get(kind, (checks.text, "9", "9"))
        if not since <= version < until:
            faults.append(Fault(f"{path}/idType", f"{kind} is not an enum symbol"))
        elif kind in seen:
            faults.append(Fault(f"{path}/idType", f"{kind} must not stand twice"))
        elif fault := check(one["idValue"]):
            faults.append(Fault(f"{path}/idValue", fault))
        seen.add(kind)
    return faults
