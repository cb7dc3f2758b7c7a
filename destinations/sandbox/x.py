"""X's Conversion API: `POST /12/measurement/conversions/{pixel_id}`, up to 500 conversions.

Source: docs.x.com/x-ads-api, "Web conversions" (identifiers, example, table of errors), "Error codes and responses" and
"Making authenticated requests"; developer.x.com, "Web Conversions" (fields and their types).

Conventions of this double: a token (X-Pixel-Token or oauth_token) that contains `expired` or `revoked` is refused with
401, one that contains `forbidden` with 403; any other is accepted, and an OAuth signature is looked at for its shape
only, because the double has no secrets. A pixel id that starts with 404 does not exist. An event whose full id names
another pixel, or whose own id starts with 404, belongs to another account; the pixel's own id is no event.
`GET /12/accounts` and `GET /12/accounts/{id}/web_event_tags` take an OAuth signature only; an account id that starts
with 404 does not exist.
"""

from __future__ import annotations

import base64
import re
import uuid
from dataclasses import replace
from typing import Any, ClassVar
from urllib.parse import unquote

from destinations.sandbox import checks
from destinations.sandbox.base import Answer, NotJson, Refused, Request, Vendor, read_json
from destinations.sandbox.checks import Check, Fault

PATH = re.compile(r"/(?P<version>[^/]+)/measurement/conversions/(?P<pixel>[^/]+)")
ACCOUNTS_PATH = re.compile(r"/(?P<version>[^/]+)/accounts(/(?P<account>[^/]+)/web_event_tags)?")
TAGS = [
    ("o87ne", "Sign-up", "SIGN_UP", "o8z6j"),
    ("o87nf", "Purchase", "PURCHASE", "o8z6j"),
    ("p11aa", "Of another pixel", "CUSTOM", "p0000"),
]
VERSIONS = ("12",)
MOST_CONVERSIONS = 500
CLOCK_SKEW = 300
OAUTH = frozenset(
    {
        "oauth_consumer_key",
        "oauth_nonce",
        "oauth_signature",
        "oauth_signature_method",
        "oauth_timestamp",
        "oauth_token",
        "oauth_version",
    }
)


def _value(value: Any) -> str | None:
    """A double by the table of fields, and text in the example."""
    if isinstance(value, str):
        return None if re.fullmatch(r"\d+(\.\d+)?", value) else "must be a number of zero or more"
    return checks.amount(value)


def _count(value: Any) -> str | None:
    return checks.integer(value) or (None if value > 0 else "must be greater than zero")


def _encoded_url(value: Any) -> str | None:
    return checks.web_url(value) or (None if value.isascii() else "must be URL encoded")


CONVERSION: dict[str, Check] = {
    "conversion_time": checks.matching(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "in the format yyyy-MM-ddTHH:mm:ss.SSSZ"
    ),
    "event_id": checks.matching(r"tw-[a-z0-9]+-[a-z0-9]+|[a-z0-9]{4,12}", "the id of an event"),
    "identifiers": checks.list_of(lambda _: None),
    "conversion_id": checks.text,
    "value": _value,
    "price_currency": checks.matching(r"[A-Z]{3}", "an ISO 4217 currency code"),
    "number_items": _count,
    "description": checks.text,
    "event_source_url": _encoded_url,
    "contents": checks.list_of(lambda _: None),
}  # fmt: skip
REQUIRED = ("conversion_time", "event_id", "identifiers")
IDENTIFIER: dict[str, Check] = {
    "twclid": checks.plain,
    "hashed_email": checks.sha256,
    "hashed_phone_number": checks.sha256,
    "ip_address": checks.ip_address(4),
    "user_agent": checks.text,
}
STRONG = frozenset({"twclid", "hashed_email", "hashed_phone_number"})
HASHES = frozenset({"hashed_email", "hashed_phone_number"})
CONTENT: dict[str, Check] = {
    "content_id": checks.text,
    "content_group_id": checks.text,
    "content_name": checks.text,
    "content_type": checks.text,
    "content_price": checks.amount,
    "num_items": _count,
}


def fail(status: int, code: str, message: str, parameter: str = "") -> Answer:
    error = {"code": code, "message": message}
    if parameter:
        error["parameter"] = parameter
    return Answer.of(status, {"errors": [error], "request": {"params": {}}})


class X(Vendor):
    partial_note: ClassVar[str] = "200, but conversions_processed is one less than was sent"
    dedup_seconds: ClassVar[float] = 48 * 3600

    def answer(self, request: Request, now: float) -> Answer:
        target = PATH.fullmatch(request.path)
        if target is None or target["version"] not in VERSIONS:
            raise Refused(fail(404, "ROUTE_NOT_FOUND", f"The requested resource does not exist: {request.path}"))
        if request.method != "POST":
            raise Refused(fail(405, "METHOD_NOT_ALLOWED", f"{request.method} is not allowed for {request.path}"))
        _check_credentials(request, now)
        pixel = target["pixel"]
        if pixel.startswith("404") or not re.fullmatch(r"[a-z0-9]{4,12}", pixel):
            raise Refused(fail(404, "NOT_FOUND", f"Pixel {pixel} was not found", "pixel_id"))
        conversions = _read_conversions(request)
        errors: list[dict[str, str]] = []
        for conversion in conversions:  # all the bad ones are listed, without saying which each is
            errors += look_at_conversion(conversion)
        if errors:
            raise Refused(Answer.of(400, {"errors": errors, "request": {"params": {"pixel_id": pixel}}}))
        _refuse_events([conversion["event_id"] for conversion in conversions], pixel)
        data = {"conversions_processed": len(conversions), "debug_id": str(uuid.uuid4())}
        return Answer.of(200, {"request": {"params": {"account_id": "18ce552mlaq"}}, "data": data})

    def look(self, request: Request, now: float) -> Answer | None:
        """The accounts of who signed, and the web event tags of one."""
        target = ACCOUNTS_PATH.fullmatch(request.path)
        if target is None or target["version"] not in VERSIONS:
            return None
        if request.method != "GET":
            return fail(405, "METHOD_NOT_ALLOWED", f"{request.method} is not allowed for {request.path}")
        if "x-pixel-token" in request.headers:
            return fail(401, "UNAUTHORIZED_ACCESS", "This request is not properly authenticated")
        _check_credentials(request, now)
        asked, account = request.parameters, target["account"]
        if asked.keys() - {"count", "cursor"} or not 1 <= int(asked.get("count", "200")) <= 1000:
            return fail(400, "INVALID_PARAMETER", "Expected count in 1..1000", "count")
        if account is None:
            accounts = [{"id": "18ce54d4x5t", "name": "Example account", "approval_status": "ACCEPTED"}]
            return Answer.of(200, {"request": {"params": {}}, "next_cursor": None, "data": accounts})
        if account.startswith("404"):
            return fail(404, "NOT_FOUND", f"Account {account} was not found", "account_id")
        names = ("id", "name", "type", "website_tag_id")
        tags = [dict(zip(names, tag, strict=True)) | {"status": "TRACKING", "deleted": False} for tag in TAGS]
        count, start = int(asked.get("count", "200")), int(asked.get("cursor", "0"))
        cursor = str(start + count) if start + count < len(tags) else None
        params = {"account_id": account}
        return Answer.of(
            200, {"request": {"params": params}, "next_cursor": cursor, "data": tags[start : start + count]}
        )

    def ids(self, request: Request) -> list[tuple[str, ...]]:
        conversions = _read_conversions(request)
        return [(one["event_id"], one["conversion_id"]) if "conversion_id" in one else () for one in conversions]

    def error(self, status: int) -> Answer:
        known = {
            401: ("UNAUTHORIZED_ACCESS", "This request is not properly authenticated"),
            403: ("UNAUTHORIZED_CLIENT_APPLICATION", "The client application making this request is not authorized"),
            404: ("NOT_FOUND", "The resource was not found"),
            429: ("TOO_MANY_REQUESTS", "Too many requests have been made"),
            503: ("SERVICE_UNAVAILABLE", "The service is temporarily unavailable"),
        }
        fallback = ("INTERNAL_ERROR", "An unknown error occurred") if status >= 500 else ("INVALID", "Refused")
        return fail(status, *known.get(status, fallback))

    def partial(self, good: Answer) -> Answer:
        body = read_json(good.body)
        body["data"]["conversions_processed"] -= 1
        return replace(good, body=Answer.of(200, body).body)


def _check_credentials(request: Request, now: float) -> None:
    unauthorized = fail(401, "UNAUTHORIZED_ACCESS", "This request is not properly authenticated")
    if "x-pixel-token" in request.headers:
        token = request.headers["x-pixel-token"]
    else:
        scheme, _, rest = request.headers.get("authorization", "").partition(" ")
        found = {name: unquote(value) for name, value in re.findall(r'(\w+)="([^"]*)"', rest)}
        if scheme != "OAuth" or set(found) != OAUTH or not _is_signed(found, now):
            raise Refused(unauthorized)
        token = found["oauth_token"]
    if not re.fullmatch(r"\S{8,4096}", token) or "expired" in token or "revoked" in token:
        raise Refused(unauthorized)
    if "forbidden" in token:
        text = "The client application making this request does not have access to Twitter Ads API"
        raise Refused(fail(403, "UNAUTHORIZED_CLIENT_APPLICATION", text))


def _is_signed(found: dict[str, str], now: float) -> bool:
    try:
        signature = base64.b64decode(found["oauth_signature"], validate=True)
        skew = abs(int(found["oauth_timestamp"]) - now)
    except ValueError:
        return False
    is_sha1 = found["oauth_signature_method"] == "HMAC-SHA1" and len(signature) == 20
    return is_sha1 and skew <= CLOCK_SKEW and found["oauth_version"] == "1.0" and bool(found["oauth_nonce"])


def _read_conversions(request: Request) -> list[Any]:
    if request.content_type != "application/json":
        raise Refused(fail(415, "UNSUPPORTED_MEDIA_TYPE", f"Unsupported content type {request.content_type!r}"))
    try:
        root = read_json(request.body)
    except NotJson as error:
        raise Refused(fail(400, "INVALID_PARAMETER", f"The body is not JSON: {error}", "body")) from None
    conversions = root.get("conversions") if isinstance(root, dict) else None
    if not isinstance(conversions, list) or set(root) != {"conversions"} or not conversions:
        raise Refused(
            fail(400, "MISSING_PARAMETER", "A list of conversions and nothing else must be sent", "conversions")
        )
    if len(conversions) > MOST_CONVERSIONS:
        text = f"Conversion count limit is {MOST_CONVERSIONS}"
        raise Refused(fail(400, "INVALID_PARAMETER", text, "conversions"))
    return conversions


def _refuse_events(events: list[str], pixel: str) -> None:
    for event_id in events:
        *prefix, own = event_id.split("-")
        if (prefix and prefix[1] != pixel) or own.startswith("404"):
            raise Refused(fail(404, "WEB_EVENT_TAG_NOT_FOUND", f"Event_id ({event_id}) was not found", "event_id"))
        if own == pixel:
            text = f"Event_id ({event_id}) is not a single event tag (SET)"
            raise Refused(fail(400, "INVALID_PARAMETER", text, "event_id"))


def look_at_conversion(conversion: Any) -> list[dict[str, str]]:
    faults = checks.look_over(conversion, CONVERSION, REQUIRED)
    if isinstance(conversion, dict):
        identifiers, contents = conversion.get("identifiers"), conversion.get("contents")
        faults += _look_at_identifiers(identifiers if isinstance(identifiers, list) else [])
        for one in contents if isinstance(contents, list) else []:
            faults += checks.look_over(one, CONTENT, path="/contents")
            if one == {}:
                faults.append(Fault("/contents", "must not be empty"))
    return [_error(fault) for fault in faults]


def _look_at_identifiers(identifiers: list[Any]) -> list[Fault]:
    faults: list[Fault] = []
    seen: set[str] = set()
    for one in identifiers:
        faults += checks.look_over(one, IDENTIFIER, path="/identifiers")
        seen |= one.keys() if isinstance(one, dict) else set()
    if not seen & STRONG:
        faults.append(Fault("/identifiers", "At least one user identifier must be provided", "said"))
    return faults


def _error(fault: Fault) -> dict[str, str]:
    name = fault.path.rpartition("/")[2]
    if fault.kind == "said":
        message = fault.text
    elif name in HASHES:
        message = f"{name.capitalize()} is not a valid SHA-256 hash"
    else:
        message = f"{name}: {fault.text}"
    return {
        "code": "MISSING_PARAMETER" if fault.kind == "missing" else "INVALID_PARAMETER",
        "message": message,
        "parameter": name,
    }
