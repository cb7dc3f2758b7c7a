"""Customer.io: batches of the Track API v2 and of the Pipelines API.

Source: docs.customer.io, the OpenAPI files of both (journeys-track.json, cdp.json; 2026-08), "Limits", "Customer.io
Semantic Events" and github.com/ulid/spec.

Conventions of this double: a key that contains `expired`, `revoked` or `forbidden` is refused; any other of the right
shape is accepted. Identifiers may be ids, addresses, phone numbers, cio_ids and, for events, anonymous ids. Object
type 1 is the only one of the workspace. Without strict mode the Pipelines API takes everything and keeps what it
likes, so the double wants strict mode.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import time
from datetime import datetime
from typing import Any, ClassVar

from destinations.sandbox import checks
from destinations.sandbox.base import Answer, NotJson, Refused, Request, Vendor, read_json
from destinations.sandbox.checks import Check, Fault

REGION_PATH = "/api/v1/accounts/region"
TRACK_PATH, PIPELINES_PATH = "/api/v2/batch", "/v1/batch"
MOST_BYTES = 500_000
MOST_BYTES_OF_AN_ENTRY = 32_000
MOST_ATTRIBUTES = 300
SKEW = 60
KEY = re.compile(r"[\x21-\x39\x3b-\x7e]{8,128}")
SEMANTIC = (
    "user deleted", "user suppressed", "user unsuppressed", "device created or updated", "device deleted",
    "group deleted", "object deleted", "relationship deleted", "report delivery event", "report content event",
)  # fmt: skip
ENTRIES = "X-Sandbox-Entries"
"""Header of the double's own, by which `partial` knows the last entry."""
RESERVED = ("recipient", "from_address", "reply_to")


def _bytes(most: int) -> Check:
    def check(value: Any) -> str | None:
        return checks.text(value) or (f"must not be longer than {most} bytes" if len(value.encode()) > most else None)

    return check


def _email(value: Any) -> str | None:
    return checks.text(value) or (None if checks.EMAIL.fullmatch(value) else "is no e-mail address")


def _object(value: Any) -> str | None:
    return None if isinstance(value, dict) else "must be an object"


def _moment(value: Any) -> str | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    return None if moment and moment.tzinfo else "must be an ISO 8601 date-time"


IDENTIFIERS: dict[str, Check] = {
    "id": _bytes(150),
    "email": _email,
    "phone": checks.matching(r"\+[1-9]\d{1,14}", "a phone number in E.164"),
    "cio_id": checks.matching(r"(?!cio_)\S{1,150}", "a cio_id without its prefix"),
    "anonymous_id": _bytes(150),
}
IDENTIFY: dict[str, Check] = {
    "type": checks.one_of("person"),
    "action": checks.one_of("identify"),
    "identifiers": _object,
    "timestamp": checks.integer,
    "attributes": _object,
    "cio_relationships": checks.list_of(_object),
}
EVENT: dict[str, Check] = {
    "type": checks.one_of("person"),
    "action": checks.one_of("event", "page", "screen"),
    "identifiers": _object,
    "name": _bytes(100),
    "id": checks.matching(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", "a valid ULID"),
    "timestamp": checks.integer,
    "attributes": _object,
}
CALLS: dict[str, dict[str, Check]] = {
    "identify": {"traits": _object},
    "track": {"event": _bytes(100), "properties": _object},
}
CALL: dict[str, Check] = {
    "type": checks.one_of(*CALLS),
    "userId": _bytes(150),
    "anonymousId": _bytes(150),
    "context": _object,
    "integrations": _object,
    "timestamp": _moment,
    "messageId": checks.text,
}
CONTEXT: dict[str, Check] = {
    "active": checks.boolean,
    "ip": checks.ip_address(4, 6),
    "locale": checks.text,
    "userAgent": checks.text,
    "channel": checks.one_of("browser", "server", "mobile"),
    "campaign": _object,
    "page": _object,
}
PAGE: dict[str, Check] = dict.fromkeys(("name", "path", "referrer", "search", "title", "url"), checks.text)


def refuse(status: int, reason: str, field: str, message: str) -> Refused:
    return Refused(Answer.of(status, {"errors": [{"reason": reason, "field": field, "message": message}]}))


class CustomerIo(Vendor):
    partial_note: ClassVar[str] = "207: the last entry of a Track batch is refused (Pipelines has no partial answers)"

    def answer(self, request: Request, now: float) -> Answer:
        if request.path not in (TRACK_PATH, PIPELINES_PATH):
            raise refuse(404, "not_found", "", f"No such path: {request.path}")
        if request.method != "POST":
            raise refuse(405, "invalid", "", f"{request.method} is not allowed")
        is_track = request.path == TRACK_PATH
        _check_keys(request, is_track)
        if request.content_type != "application/json":
            raise refuse(400, "invalid", "", f"Content type {request.content_type!r} is not application/json")
        entries = _read_batch(request)
        if is_track:
            faults = [
                (number, fault) for number, entry in enumerate(entries) for fault in look_at_entry(entry, now)[:1]
            ]
            errors = [
                {"batch_index": number, "reason": fault.kind, "field": _field(fault), "message": fault.text}
                for number, fault in faults
            ]
            return Answer.of(207, {"errors": errors}) if errors else Answer.of(200, {}, {ENTRIES: str(len(entries))})
        if request.headers.get("x-strict-mode") != "1":
            raise refuse(400, "required", "X-Strict-Mode", "The double wants the strict mode")
        for entry in entries:
            if faulty := look_at_call(entry, now):
                raise refuse(400, faulty[0].kind, _field(faulty[0]), faulty[0].text)
        return Answer.of(200, {})

    def look(self, request: Request, now: float) -> Answer | None:
        """The account's region, which is the US."""
        if request.path != REGION_PATH or request.method != "GET":
            return None
        _check_keys(request, is_track=True)
        return Answer.of(200, {"url": "https://track.customer.io", "data_center": "us", "region": "us",
                               "environment_id": 3})  # fmt: skip

    def ids(self, request: Request) -> list[tuple[str, ...]]:
        """Of the events that were taken. One that was refused in a batch of Track is none of them."""
        entries = read_json(request.body)["batch"]
        if request.path == PIPELINES_PATH:
            return [(one["messageId"],) if "messageId" in one else () for one in entries if one["type"] == "track"]
        good = [one for one in entries if isinstance(one, dict) and not look_at_entry(one, time.time())]
        return [(one["id"],) if "id" in one else () for one in good if one["action"] != "identify"]

    def error(self, status: int) -> Answer:
        if status == 401:
            return Answer.of(401, {"meta": {"error": "Unauthorized request"}})
        texts = {403: "forbidden", 404: "not found", 429: "rate limit exceeded"}
        text = texts.get(status, "internal error" if status >= 500 else "malformed request")
        return Answer.of(status, {"errors": [{"reason": "error", "field": "", "message": text}]})

    def partial(self, good: Answer) -> Answer:
        if ENTRIES not in good.headers:
            return good
        last = int(good.headers[ENTRIES]) - 1
        error = {"batch_index": last, "reason": "invalid", "field": "attributes", "message": "attributes are invalid"}
        return Answer.of(207, {"errors": [error]})


def _field(fault: Fault) -> str:
    return fault.path.strip("/").replace("/", ".")


def _check_keys(request: Request, is_track: bool) -> None:
    scheme, _, coded = request.headers.get("authorization", "").partition(" ")
    try:
        user, _, password = base64.b64decode(coded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        user = password = ""
    keys = [user, password] if is_track else [user]
    is_known = scheme == "Basic" and all(map(KEY.fullmatch, keys)) and (is_track or not password)
    if not is_known or re.search("expired|revoked|forbidden", user + password):
        raise Refused(Answer.of(401, {"meta": {"error": "Unauthorized request"}}))


def _read_batch(request: Request) -> list[Any]:
    if len(request.body) >= MOST_BYTES:
        raise refuse(400, "too_large", "batch", "The request must be smaller than 500kb")
    try:
        root = read_json(request.body)
    except NotJson as error:
        raise refuse(400, "parse_error", "", f"malformed JSON: {error}") from None
    if not isinstance(root, dict) or not isinstance(root.get("batch"), list) or not root["batch"]:
        raise refuse(400, "required", "batch", "A list of entries is required")
    if unknown := root.keys() - {"batch", *(("context", "integrations") if request.path == PIPELINES_PATH else ())}:
        raise refuse(400, "invalid", sorted(unknown)[0], "unknown field")
    return list(root["batch"])


def _size(entry: Any) -> list[Fault]:
    size = len(json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode())
    return [Fault("/", "must be 32kb or smaller", "too_large")] if size > MOST_BYTES_OF_AN_ENTRY else []


# --- Track ----------------------------------------------------------------------------------------
def look_at_entry(entry: Any, now: float) -> list[Fault]:
    if not isinstance(entry, dict):
        return [Fault("/", "must be an object")]
    is_identify = entry.get("action") == "identify"
    fields, required = (IDENTIFY, ["type", "action", "identifiers"]) if is_identify else (
        EVENT, ["type", "action", "identifiers", "name"])  # fmt: skip
    if faults := checks.look_over(entry, fields, required) + _size(entry):
        return faults
    allowed = {name: check for name, check in IDENTIFIERS.items() if not (is_identify and name == "anonymous_id")}
    faults = checks.look_over(entry["identifiers"], allowed, path="/identifiers")
    if len(entry["identifiers"]) != 1:
        faults.append(Fault("/identifiers", "exactly one identifier is required", "required"))
    if "timestamp" in entry:
        faults += _look_at_seconds(entry["timestamp"], now)
    attributes = entry.get("attributes", {})
    faults += _look_at_person(entry, attributes) if is_identify else _look_at_event(attributes)
    return faults


def _look_at_seconds(seconds: int, now: float) -> list[Fault]:
    if seconds >= checks.FIRST_MILLISECONDS:
        return [Fault("/timestamp", "must be in seconds")]
    return [Fault("/timestamp", "is in the future")] if not 0 <= seconds <= now + SKEW else []


def _look_at_event(attributes: dict[str, Any]) -> list[Fault]:
    return [Fault(f"/attributes/{name}", "would readdress the messages") for name in RESERVED if name in attributes]


def _look_at_person(entry: dict[str, Any], attributes: dict[str, Any]) -> list[Fault]:
    faults = []
    if len(attributes) > MOST_ATTRIBUTES:
        faults.append(Fault("/attributes", f"has more than {MOST_ATTRIBUTES} attributes"))
    for name, value in attributes.items():
        if not name or len(name.encode()) > 150:
            faults.append(Fault("/attributes", "has a name that is empty or too long"))
        elif isinstance(value, str) and len(value.encode()) > 1000:
            faults.append(Fault(f"/attributes/{name}", "must not be longer than 1000 bytes"))
    if "email" in attributes and (fault := _email(attributes["email"])):
        faults.append(Fault("/attributes/email", fault))
    for relation in entry.get("cio_relationships", []):
        who = relation.get("identifiers")
        if not isinstance(who, dict) or who.keys() != {"object_type_id", "object_id"}:
            faults.append(Fault("/cio_relationships", "object_type_id and object_id are required", "required"))
        elif who["object_type_id"] != "1":
            faults.append(Fault("/cio_relationships", "object_type_id does not exist"))
    return faults


# --- Pipelines ------------------------------------------------------------------------------------
def look_at_call(call: Any, now: float) -> list[Fault]:
    own = CALLS.get(str(call.get("type")), {}) if isinstance(call, dict) else {}
    required = ["type", *(["event"] if call.get("type") == "track" else [])] if isinstance(call, dict) else []
    if faults := checks.look_over(call, CALL | own, required) + _size(call):
        return faults
    if not call.keys() & {"userId", "anonymousId"}:
        faults.append(Fault("/userId", "userId or anonymousId is required", "required"))
    if call.get("event", "").strip().lower() in SEMANTIC:
        faults.append(Fault("/event", "is a semantic event with a schema of its own"))
    if "timestamp" in call and datetime.fromisoformat(call["timestamp"]).timestamp() > now + SKEW:
        faults.append(Fault("/timestamp", "is in the future"))
    context = call.get("context", {})
    faults += checks.look_over(context, CONTEXT, path="/context")
    faults += checks.look_over(context.get("page", {}), PAGE, path="/context/page")
    return faults + checks.look_over(context.get("campaign", {}), {}, path="/context/campaign", free=checks.text)
