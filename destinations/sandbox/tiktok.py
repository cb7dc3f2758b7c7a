"""TikTok's Events API 2.0: `POST /open_api/v1.3/event/track/`.

Source: business-api.tiktok.com/portal/docs?id=1771101303285761 (parameters, examples, response) and its appendix of
return codes; the personal fields beyond these tables are those of TikTok's own Segment destination.

Conventions of this double: a token that contains `expired`, `revoked` or `forbidden` is answered as such; any other
token of the right shape is accepted. An event source id that starts with NOPIXEL does not exist. TikTok itself takes a
field it does not know in silence; the double refuses it, because a misspelt field is lost data. The form of TikTok's
partial answers (code 20001) is not documented, so there are none here.
"""

from __future__ import annotations

import re
import secrets
from typing import Any, ClassVar

from destinations.sandbox import checks
from destinations.sandbox.base import Answer, NotJson, Refused, Request, Vendor, read_json
from destinations.sandbox.checks import Check, Fault

PATH = "/open_api/v1.3/event/track/"
LIST_PATH = "/open_api/v1.3/pixel/list/"
TOKEN = re.compile(r"[A-Za-z0-9]{30,128}")
MOST_EVENTS = 1000
DAYS = 7
SKEW = 60
SOURCES = ("web", "app", "offline", "crm")

PERMISSION, PARAMETER, THROTTLED, TOKEN_EXPIRED, TOKEN_EMPTY, TOKEN_WRONG, BROKEN = (
    40001, 40002, 40100, 40102, 40104, 40105, 50000,
)  # fmt: skip

SOURCE_IDS = {"web": r"[A-Z0-9]{15,25}", "app": r"\d{15,25}", "offline": r"\d{15,25}", "crm": r"\d{15,25}"}
ROOT: dict[str, Check] = {
    "event_source": checks.one_of(*SOURCES),
    "event_source_id": checks.matching(r"[A-Z0-9]{15,25}", "a pixel code or the id of an event set"),
    "data": checks.list_of(lambda _: None),
    "test_event_code": checks.matching(r"[A-Za-z0-9_-]{4,32}", "a test event code"),
    "partner_name": checks.text,
}


def _given(_: Any) -> None:
    """Looked over on its own."""


EVENT: dict[str, Check] = {
    "event": checks.short_text(256),
    "event_time": _given,
    "event_id": checks.text,
    **dict.fromkeys(("user", "properties", "page", "lead", "app", "ad"), _given),
    "limited_data_use": checks.boolean,
}
# Part of an event → the sources it is for.
ONLY_FOR = {
    "page": ("web",), "lead": ("crm",), "app": ("app",), "ad": ("app", "web"), "limited_data_use": ("app", "web"),
}  # fmt: skip


def _place(value: Any) -> str | None:
    if not isinstance(value, str):
        return "must be a string"
    is_normal = re.fullmatch(r"[^\W_]+", value) is not None and value == value.lower()
    return None if is_normal else "must be lower-case letters and digits"


USER: dict[str, Check] = {
    **dict.fromkeys(("email", "phone", "external_id"), checks.one_or_list(checks.sha256)),
    **dict.fromkeys(("first_name", "last_name", "zip_code"), checks.sha256),
    "city": _place,
    "state": _place,
    "country": checks.matching(r"[a-z]{2}", "an ISO 3166 country code in lower case"),
    "ttclid": checks.plain,
    "ttp": checks.plain,
    "ip": checks.ip_address(4, 6),
    "user_agent": checks.plain,
    "locale": checks.matching(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*", "a BCP 47 tag"),
    "idfa": checks.text,
    "idfv": checks.text,
    "gaid": checks.text,
    "att_status": checks.one_of("AUTHORIZED", "DENIED", "NOT_DETERMINED", "RESTRICTED", "NOT_APPLICABLE"),
}
USER_ONLY_FOR = {
    **dict.fromkeys(("ttclid", "ttp"), ("web",)),
    **dict.fromkeys(("external_id", "first_name", "last_name", "zip_code", "city", "state", "country"), ("web", "crm")),
    **dict.fromkeys(("ip", "user_agent", "locale"), ("web", "app")),
    **dict.fromkeys(("idfa", "idfv", "gaid", "att_status"), ("app",)),
}
PROPERTIES: dict[str, Check] = {
    "content_ids": checks.list_of(checks.text),
    "contents": _given,
    "content_type": checks.one_of("product", "product_group"),
    "currency": checks.matching(r"[A-Z]{3}", "an ISO 4217 currency code"),
    "value": checks.amount,
    "num_items": checks.integer,
    "predicted_ltv": checks.amount,
    "customer_type": checks.one_of("new", "returning"),
    **dict.fromkeys(("search_string", "query", "description", "order_id", "shop_id", "status"), checks.text),
    "delivery_category": checks.one_of("in_store", "curbside", "home_delivery"),
}
CONTENT: dict[str, Check] = {
    "price": checks.amount,
    "quantity": checks.integer,
    **dict.fromkeys(("content_id", "content_name", "content_category", "brand"), checks.text),
}
PAGE: dict[str, Check] = {"url": checks.web_url, "referrer": checks.web_url}
LEAD: dict[str, Check] = {"lead_id": checks.text, "lead_event_source": checks.text}
APP: dict[str, Check] = dict.fromkeys(("app_id", "app_name", "app_version"), checks.text)


def answer(code: int, message: str, status: int = 200) -> Answer:
    """The vendor's frame; its HTTP status is 200 unless it throttles."""
    request_id = f"2026{secrets.token_hex(14).upper()}"
    return Answer.of(status, {"code": code, "message": message, "request_id": request_id, "data": {}})


class TikTok(Vendor):
    dedup_seconds: ClassVar[float] = 48 * 3600

    def answer(self, request: Request, now: float) -> Answer:
        if request.path != PATH or request.method != "POST":
            raise Refused(Answer(404 if request.path != PATH else 405, b"404 page not found"))
        _check_token(request.headers.get("access-token", ""))
        root = _read_root(request)
        source = root["event_source"]
        if not re.fullmatch(SOURCE_IDS[source], root["event_source_id"], re.ASCII):
            raise Refused(answer(PARAMETER, f"event_source_id: is not one of a {source} source"))
        if root["event_source_id"].startswith("NOPIXEL"):
            raise Refused(answer(PERMISSION, "No permission to operate the pixel code."))
        for index, event in enumerate(root["data"]):
            if fault := look_at_event(event, source, now):
                path = fault.path.strip("/").replace("/", ".")
                raise Refused(answer(PARAMETER, f"Batch.{index}.{path}: {fault.text}"))
        return answer(0, "OK")

    def look(self, request: Request, now: float) -> Answer | None:
        """The pixels of an advertiser: those with the given code, which is any that exists."""
        if request.path != LIST_PATH or request.method != "GET":
            return None
        _check_token(request.headers.get("access-token", ""))
        asked = request.parameters
        if not re.fullmatch(r"\d{10,25}", asked.get("advertiser_id", "")):
            return answer(PARAMETER, "advertiser_id: Missing data for required field.")
        if asked.keys() - {"advertiser_id", "code", "pixel_id", "page", "page_size"}:
            return answer(PARAMETER, "Unknown field.")
        if asked["advertiser_id"].startswith("404"):
            return answer(PERMISSION, "No permission to operate the advertiser.")
        code = asked.get("code", "C4EXAMPLE0PIXEL0CODE")
        known = [] if code.startswith("NOPIXEL") else [{"pixel_code": code, "pixel_name": "Example pixel"}]
        page = {"page": 1, "page_size": 10, "total_number": len(known), "total_page": 1}
        return Answer.of(
            200,
            {"code": 0, "message": "OK", "request_id": secrets.token_hex(16),
             "data": {"pixels": known, "page_info": page}},
        )  # fmt: skip

    def ids(self, request: Request) -> list[tuple[str, ...]]:
        """Event source id, event and event id."""
        root = _read_root(request)
        source = root["event_source_id"]
        return [(source, one["event"], one["event_id"]) if "event_id" in one else () for one in root["data"]]

    def error(self, status: int) -> Answer:
        if status == 401:
            return answer(TOKEN_WRONG, "Access token is incorrect or has been revoked.", status)
        if status == 403:
            return answer(PERMISSION, "No permission to operate the pixel code.", status)
        if status == 429:
            return answer(THROTTLED, "Too many requests. Please retry in some time.", status)
        if status >= 500:
            return answer(BROKEN, "System error.", status)
        return answer(PARAMETER, "The request was refused.", status)


def _check_token(token: str) -> None:
    if not token:
        raise Refused(answer(TOKEN_EMPTY, "Access token is empty."))
    if "expired" in token:
        raise Refused(answer(TOKEN_EXPIRED, "Access token has expired."))
    if "revoked" in token or not TOKEN.fullmatch(token):
        raise Refused(answer(TOKEN_WRONG, "Access token is incorrect or has been revoked."))
    if "forbidden" in token:
        raise Refused(answer(PERMISSION, "No permission to operate the pixel code."))


def _read_root(request: Request) -> Any:
    if request.content_type != "application/json":
        raise Refused(answer(PARAMETER, f"Content-Type: {request.content_type!r} is not application/json"))
    try:
        root = read_json(request.body)
    except NotJson as error:
        raise Refused(answer(PARAMETER, f"body: is not JSON: {error}")) from None
    if faults := checks.look_over(root, ROOT, ["event_source", "event_source_id", "data"]):
        raise Refused(answer(PARAMETER, f"{faults[0].path.strip('/') or 'body'}: {faults[0].text}"))
    if len(root["data"]) > MOST_EVENTS:
        raise Refused(answer(PARAMETER, f"batch: must not have more than {MOST_EVENTS} events"))
    return root


def look_at_event(event: Any, source: str, now: float) -> Fault | None:
    """The first fault of an event."""
    required = ["event", "event_time", *(["lead"] if source == "crm" else ["user"]), *["app"] * (source == "app")]
    faults = checks.look_over(event, EVENT, required)
    if not isinstance(event, dict):
        return faults[0]
    faults += _misplaced(event, ONLY_FOR, source, "")
    if "event_time" in event and (time := checks.time_in_seconds(event["event_time"], now, DAYS * checks.DAY, SKEW)):
        faults.append(Fault("/event_time", *time))
    parts: list[tuple[str, dict[str, Check], list[str]]] = [
        ("user", USER, []), ("properties", PROPERTIES, []), ("page", PAGE, ["url"]), ("lead", LEAD, ["lead_id"]),
        ("app", APP, ["app_id"]),
    ]  # fmt: skip
    for name, fields, needed in parts:
        if name in event:
            faults += checks.look_over(event[name], fields, needed, path=f"/{name}")
    if not faults:
        faults = [*_look_at_user(event, source), *_look_at_properties(event.get("properties", {}))]
    return faults[0] if faults else None


def _misplaced(found: dict[str, Any], only_for: dict[str, tuple[str, ...]], source: str, path: str) -> list[Fault]:
    names = [name for name in found if source not in only_for.get(name, SOURCES)]
    return [Fault(f"{path}/{name}", f"is not for {source} events") for name in names]


def _look_at_user(event: dict[str, Any], source: str) -> list[Fault]:
    user = event.get("user", {})
    if faults := _misplaced(user, USER_ONLY_FOR, source, "/user"):
        return faults
    alone = {"email", "phone", "external_id", "ttclid", "ttp", "idfa", "idfv", "gaid"}
    if source == "crm" or alone & user.keys() or {"ip", "user_agent"} <= user.keys():
        return []
    return [Fault("/user", "has nothing to match a person with")]


def _look_at_properties(properties: dict[str, Any]) -> list[Fault]:
    if ("value" in properties) != ("currency" in properties):
        return [Fault("/properties/value", "and currency go together")]
    if "contents" not in properties:
        return []
    contents = properties["contents"]
    if not isinstance(contents, list) or not contents:
        return [Fault("/properties/contents", "must be a non-empty list")]
    return [
        fault
        for index, one in enumerate(contents)
        for fault in checks.look_over(one, CONTENT, path=f"/properties/contents/{index}")
    ]
