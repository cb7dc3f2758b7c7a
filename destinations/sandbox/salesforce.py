"""Salesforce's REST API: `/services/oauth2/token`, and sObject Collections below `/services/data/vNN.0`: POST
`/composite/sobjects` creates, PATCH updates by record id, PATCH `/composite/sobjects/{object}/{field}` upserts.

Source: developer.salesforce.com, REST API Developer Guide ("Using sObject Collections", headers, "Status Codes and
Error Responses"), Object Reference (Lead, Contact, Task), Platform Events Developer Guide; help.salesforce.com on the
OAuth flows.

Conventions of this double: a token, refresh token or secret that contains `expired`, `revoked` or `forbidden` is
answered as such; any other of the right shape is accepted. The org knows the fields of Lead, Contact and Task that are
listed here, every custom field whose name does not contain `Missing`, and TrackStack_Event__c and __e with their seven
fields. A record whose external id begins with `404` does not exist, one with `converted` is a converted lead, one with
`twice` exists more than once, one with `locked` is locked; an address that begins with `duplicate` finds a duplicate
rule that alerts.
"""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar
from urllib.parse import parse_qsl

from destinations.sandbox.base import Answer, NotJson, Refused, Request, Vendor, read_json

TOKEN_PATH = "/services/oauth2/token"  # noqa: S105
PATH = re.compile(
    r"/services/data/v(?P<version>\d{1,3}\.\d)/composite/sobjects(?:/(?P<object>\w+)/(?P<field>\w+))?", re.ASCII
)
OLDEST, COLLECTIONS, UPSERTS, NEWEST = 31, 42, 46, 68
MOST_RECORDS = 200
ACCESS_TOKEN = re.compile(r"00D[A-Za-z0-9]{12}(?:[A-Za-z0-9]{3})?![\w.]{16,}", re.ASCII)
CLIENT_ID = re.compile(r"3MVG[A-Za-z0-9._]{20,}")
RECORD_ID = re.compile(r"[A-Za-z0-9]{15}(?:[A-Z0-5]{3})?")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?(Z|[+-]\d\d:?\d\d)")
DAY = re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])")
EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
HEADERS = {
    "sforce-auto-assign": re.compile(r"TRUE|FALSE|01Q[A-Za-z0-9]{12,15}", re.IGNORECASE),
    "sforce-duplicate-rule-header": re.compile(
        r"(allowSave|includeRecordDetails|runAsCurrentUser)=(true|false)(;\s*\w+=(true|false))*"
    ),
}

PREFIXES = {"Lead": "00Q", "Contact": "003", "Task": "00T"}
ADDRESS = {"Street": 255, "City": 40, "State": 80, "PostalCode": 20, "Country": 80, "StateCode": 10, "CountryCode": 10}
PERSON = {"FirstName": 40, "LastName": 80, "Email": 80, "Phone": 40, "MobilePhone": 40, "Title": 128, "LeadSource": 255}
TEXTS: dict[str, dict[str, int]] = {
    "Lead": PERSON | ADDRESS | {"Company": 255, "Website": 255, "Status": 255, "Industry": 255, "Description": 32_000},
    "Contact": PERSON
    | {f"Mailing{name}": size for name, size in ADDRESS.items()}
    | {"Department": 80, "Description": 32_000},
    "Task": {
        "Subject": 255, "Status": 255, "Priority": 255, "ActivityDate": 10, "Description": 32_000, "TaskSubtype": 40,
        "WhoId": 18, "WhatId": 18, "OwnerId": 18, "Type": 255,
    },
    "TrackStack_Event__c": {
        "Event_Id__c": 255, "Event_Name__c": 255, "Occurred_At__c": 40, "Email__c": 80, "Currency__c": 3,
        "Payload__c": 32_768,
    },
}  # fmt: skip
TEXTS["TrackStack_Event__e"] = TEXTS["TrackStack_Event__c"]
REQUIRED = {"Lead": ("LastName", "Company"), "Contact": ("LastName",)}
EVENT_IDS = ("TrackStack_Event_Id__c", "Event_Id__c")
CUSTOM_FIELD = re.compile(r"[A-Za-z]\w*__c", re.ASCII)


def fail(status: int, code: str, message: str) -> Answer:
    return Answer.of(status, [{"message": message, "errorCode": code}])


def refused_token(error: str, description: str) -> Answer:
    return Answer.of(400, {"error": error, "error_description": description})


class Salesforce(Vendor):
    partial_note: ClassVar[str] = "200, but the last record was not written: UNABLE_TO_LOCK_ROW"

    def answer(self, request: Request, now: float) -> Answer:
        if request.path == TOKEN_PATH:
            return _token(request, now)
        found = PATH.fullmatch(request.path)
        if found is None:
            raise Refused(fail(404, "NOT_FOUND", "The requested resource does not exist"))
        _check_version(found["version"], is_upsert=bool(found["object"]))
        _check_session(request)
        allowed = ("PATCH",) if found["object"] else ("POST", "PATCH")
        if request.method not in allowed:
            text = f"HTTP Method '{request.method}' not allowed. Allowed are {','.join(allowed)}"
            raise Refused(fail(405, "METHOD_NOT_ALLOWED", text))
        for name, shape in HEADERS.items():
            if name in request.headers and not shape.fullmatch(request.headers[name]):
                raise Refused(fail(400, "INVALID_HEADER", f"The value of the header {name} is not valid"))
        records = _read_records(request)
        operation = "upsert" if found["object"] else "create" if request.method == "POST" else "update"
        for record in records:
            _check_shape(record, operation, found["object"], found["field"])
        return Answer.of(200, _results(records, operation, found["field"], request))

    def look(self, request: Request, now: float) -> Answer | None:
        """The resources of a version."""
        found = re.fullmatch(r"/services/data/v(\d\d\.\d)/?", request.path)
        if found is None or request.method != "GET":
            return None
        _check_version(found[1], is_upsert=False)
        _check_session(request)
        names = ("sobjects", "query", "search", "limits", "composite", "recent")
        return Answer.of(200, {name: f"/services/data/v{found[1]}/{name}" for name in names})

    def ids(self, request: Request) -> list[tuple[str, ...]]:
        """Object and event id; people have none: writing one again is no repetition."""
        if request.path == TOKEN_PATH:
            return [()]
        found: list[tuple[str, ...]] = []
        for record in _read_records(request):
            event_id = next((str(record[name]) for name in EVENT_IDS if name in record), "")
            found.append((record["attributes"]["type"], event_id) if event_id else ())
        return found

    def error(self, status: int) -> Answer:
        if status == 401:
            return fail(401, "INVALID_SESSION_ID", "Session expired or invalid")
        if status in (403, 429):
            return fail(status, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
        if status == 503:
            return fail(503, "SERVER_UNAVAILABLE", "Server is currently unavailable. Please try again")
        if status >= 500:
            return fail(status, "UNKNOWN_EXCEPTION", "An unexpected error occurred. Please include this ErrorId")
        return fail(status, "MALFORMED_QUERY", "The request was refused")

    def partial(self, good: Answer) -> Answer:
        rows = read_json(good.body)
        if not isinstance(rows, list):
            return good
        rows[-1] = _failed("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record")
        return replace(good, body=Answer.of(200, rows).body)


# --- Tokens -------------------------------------------------------------------------------------------
def _token(request: Request, now: float) -> Answer:
    if request.method != "POST" or request.content_type != "application/x-www-form-urlencoded":
        return refused_token("invalid_request", "must use HTTP POST")
    try:
        pairs = parse_qsl(request.body.decode(), keep_blank_values=True, strict_parsing=True)
    except ValueError:
        return refused_token("invalid_request", "the body is no form")
    form = dict(pairs)
    if len(form) != len(pairs):
        return refused_token("invalid_request", "a parameter stands twice")
    client_id, secret = _basic(request) or (form.get("client_id", ""), form.get("client_secret", ""))
    wanted = {"client_credentials": set(), "refresh_token": {"refresh_token"}}.get(form.get("grant_type", ""))
    if wanted is None:
        return refused_token("unsupported_grant_type", "grant type not supported")
    if unknown := form.keys() - wanted - {"grant_type", "client_id", "client_secret", "format", "scope"}:
        return refused_token("invalid_request", f"unknown parameter {min(unknown)}")
    if not CLIENT_ID.fullmatch(client_id):
        return refused_token("invalid_client_id", "client identifier invalid")
    if len(secret) < 16 or any(word in secret for word in ("expired", "revoked", "forbidden")):
        return refused_token("invalid_client", "invalid client credentials")
    if "refresh_token" in wanted:
        refresh_token = form.get("refresh_token", "")
        if "expired" in refresh_token or "revoked" in refresh_token or len(refresh_token) < 20:
            return refused_token("invalid_grant", "expired access/refresh token")
        if "forbidden" in refresh_token:
            return refused_token("inactive_user", "user is inactive")
    return Answer.of(
        200,
        {
            "access_token": f"00D5e000001N20Q!AQc{int(now):x}.SandboxAccessToken",
            "signature": base64.b64encode(b"signature").decode(),
            "instance_url": "https://sandbox.my.salesforce.com",
            "id": "https://login.salesforce.com/id/00D5e000001N20QEAS/0055e000001abcDAAQ",
            "token_type": "Bearer",
            "issued_at": str(int(now * 1000)),
        },
    )


def _basic(request: Request) -> tuple[str, str] | None:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return "", ""
    return name, secret


def _check_session(request: Request) -> None:
    token = request.bearer or ""
    if not ACCESS_TOKEN.fullmatch(token) or "expired" in token or "revoked" in token:
        raise Refused(fail(401, "INVALID_SESSION_ID", "Session expired or invalid"))
    if "forbidden" in token:
        text = "The REST API is not enabled for this Organization."
        raise Refused(fail(403, "API_DISABLED_FOR_ORG", text))


def _check_version(version: str, *, is_upsert: bool) -> None:
    number = int(version.partition(".")[0])
    if number < OLDEST:
        raise Refused(fail(410, "UNSUPPORTED_API_VERSION", "Invalid Api version specified on URL"))
    if number > NEWEST or not version.endswith(".0") or number < (UPSERTS if is_upsert else COLLECTIONS):
        raise Refused(fail(404, "NOT_FOUND", "The requested resource does not exist"))


# --- Records ------------------------------------------------------------------------------------------
def _read_records(request: Request) -> list[dict[str, Any]]:
    if request.content_type != "application/json":
        text = f"Content-Type header specified in HTTP request is not supported: {request.content_type}"
        raise Refused(fail(415, "UNSUPPORTED_MEDIA_TYPE", text))
    try:
        root = read_json(request.body)
    except NotJson as error:
        raise Refused(fail(400, "JSON_PARSER_ERROR", str(error))) from None
    if (
        not isinstance(root, dict)
        or root.keys() - {"allOrNone", "records"}
        or not isinstance(root.get("records"), list)
    ):
        raise Refused(fail(400, "JSON_PARSER_ERROR", "The body must have records, and allOrNone at most beside them"))
    if not isinstance(root.get("allOrNone", False), bool):
        raise Refused(fail(400, "JSON_PARSER_ERROR", "allOrNone must be a boolean"))
    records: list[Any] = root["records"]
    if not records:
        raise Refused(fail(400, "REQUIRED_FIELD_MISSING", "No records were given"))
    if len(records) > MOST_RECORDS:
        text = f"record limit reached. cannot submit more than {MOST_RECORDS} records in this call"
        raise Refused(fail(400, "EXCEEDED_ID_LIMIT", text))
    for record in records:
        attributes = record.get("attributes") if isinstance(record, dict) else None
        if not isinstance(attributes, dict) or set(attributes) != {"type"} or not isinstance(attributes["type"], str):
            raise Refused(fail(400, "INVALID_TYPE", "Each record needs attributes with its type and nothing else"))
    return records


def _check_shape(record: dict[str, Any], operation: str, sobject: str | None, field: str | None) -> None:
    """What refuses the whole request: types and columns the org does not have, and values of another type."""
    kind = record["attributes"]["type"]
    if kind not in TEXTS and not re.fullmatch(r"[A-Za-z]\w*__[ce]", kind, re.ASCII):
        raise Refused(fail(400, "INVALID_TYPE", f"sObject type '{kind}' is not supported."))
    if sobject is not None and kind != sobject:
        raise Refused(fail(400, "INVALID_TYPE", f"The type {kind} is not that of the URL, {sobject}"))
    if kind.endswith("__e") and operation != "create":
        raise Refused(fail(400, "INVALID_OPERATION", "Event messages can only be created"))
    if field is not None and (not CUSTOM_FIELD.fullmatch(field) or "Missing" in field):
        raise Refused(
            fail(404, "NOT_FOUND", "Provided external ID field does not exist or is not accessible: " + field)
        )
    has_id = "id" in record
    if has_id != (operation == "update") or "Id" in record or not isinstance(record.get("id", ""), str):
        raise Refused(fail(400, "INVALID_FIELD", f"The field id goes with an update only, and this is an {operation}"))
    if field is not None and not isinstance(record.get(field), str):
        raise Refused(fail(400, "MISSING_ARGUMENT", f"{field} not specified"))
    for name, value in record.items():
        if name in ("attributes", "id"):
            continue
        if fault := _column(kind, name, value):
            raise Refused(fail(400, *fault))


def _column(kind: str, name: str, value: Any) -> tuple[str, str] | None:
    if kind == "Task" and name == "Who":
        return _reference(value)
    is_number = name.endswith("__c") and "Value" in name
    is_ours = kind.startswith("TrackStack_Event__")
    is_known = name in TEXTS.get(kind, {}) or (is_ours and name == "Value__c")
    if not is_known and (is_ours or not CUSTOM_FIELD.fullmatch(name) or "Missing" in name):
        return "INVALID_FIELD", f"No such column '{name}' on sobject of type {kind}"
    if value is None or (not is_known and isinstance(value, str | bool | int | float)):
        return None
    if is_number:
        is_fine = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e18
    else:
        is_fine = isinstance(value, str)
    return None if is_fine else ("JSON_PARSER_ERROR", f"Cannot deserialize {name} from {type(value).__name__}")


def _reference(value: Any) -> tuple[str, str] | None:
    """Who, named by an external id: the type, because it may be a Lead or a Contact, and one indexed field."""
    if not isinstance(value, dict):
        return "INVALID_FIELD", "The value provided for foreign key reference Who is not a nested SObject"
    attributes = value.get("attributes")
    if not isinstance(attributes, dict) or attributes.get("type") not in ("Lead", "Contact") or len(attributes) > 1:
        return "INVALID_FIELD", "The foreign key reference Who is polymorphic: its attributes must say the type"
    keys = [name for name in value if name != "attributes"]
    if len(keys) != 1 or not CUSTOM_FIELD.fullmatch(keys[0]) or "Missing" in keys[0]:
        return "INVALID_FIELD", "More than 1 field provided in an external foreign key reference in entity: Who"
    return None if isinstance(value[keys[0]], str) else ("JSON_PARSER_ERROR", "The external id must be a string")


def _failed(code: str, message: str, fields: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"success": False, "errors": [{"statusCode": code, "message": message, "fields": list(fields)}]}


def _results(
    records: list[dict[str, Any]], operation: str, field: str | None, request: Request
) -> list[dict[str, Any]]:
    key = field or ("id" if operation == "update" else None)
    times = Counter(record[key].lower() for record in records if key)
    is_saved = "allowsave=true" in request.headers.get("sforce-duplicate-rule-header", "").lower()
    rows: list[dict[str, Any]] = []
    for number, record in enumerate(records):
        kind = record["attributes"]["type"]
        if key and times[record[key].lower()] > 1:
            rows.append(_failed("DUPLICATE_VALUE", f"Duplicate external id specified: {record[key]}", (key,)))
        elif fault := _look_at(record, operation, field, is_saved):
            rows.append(_failed(*fault))
        elif kind.endswith("__e"):
            queued = {"statusCode": "OPERATION_ENQUEUED", "message": str(uuid.UUID(int=number)), "fields": []}
            rows.append({"id": f"e00xx00000000{number:02}AAA", "success": True, "errors": [queued]})
        else:
            made = record.get("id") or f"{PREFIXES.get(kind, 'a00')}5e0000{number:09}"
            created = {"created": True} if operation == "upsert" else {}
            rows.append({"id": made, "success": True, "errors": []} | created)
    return rows


Complaint = tuple[str, str, tuple[str, ...]]
"""Code, message and fields."""


def _look_at(record: Mapping[str, Any], operation: str, field: str | None, is_saved: bool) -> Complaint | None:
    """What is wrong with one record; the others are written nevertheless."""
    kind = record["attributes"]["type"]
    fault = _look_at_values(record, operation) or _look_at_existing(record, str(record.get(field or "", "")))
    if fault:
        return fault
    if kind in REQUIRED and str(record.get("Email", "")).startswith("duplicate") and not is_saved:
        return "DUPLICATES_DETECTED", "Use one of these records?", ()
    if kind == "Task":
        return _look_at_task(record, operation)
    return _look_at_event(record) if kind.startswith("TrackStack_Event__") else None


def _look_at_values(record: Mapping[str, Any], operation: str) -> Complaint | None:
    kind = record["attributes"]["type"]
    for name, size in TEXTS.get(kind, {}).items():
        value = record.get(name)
        if isinstance(value, str) and len(value.encode("utf-16-le")) > 2 * size:
            return "STRING_TOO_LONG", f"{name}: data value too large: (max length={size})", (name,)
    required = REQUIRED.get(kind, ())
    # An update may leave a required field as it is, but not clear it.
    gaps = tuple(name for name in required if not record.get(name) and (operation == "create" or name in record))
    if gaps:
        return "REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(gaps)}]", gaps
    for name in ("Email", "Email__c"):
        if record.get(name) and not EMAIL.fullmatch(record[name]):
            return "INVALID_EMAIL_ADDRESS", f"{name}: invalid email address: {record[name]}", (name,)
    if "id" in record and (not RECORD_ID.fullmatch(record["id"]) or record["id"][:3] != PREFIXES.get(kind)):
        return "MALFORMED_ID", f"{kind} ID: id value of incorrect type: {record['id']}", ("Id",)
    return None


def _look_at_existing(record: Mapping[str, Any], key: str) -> Complaint | None:
    """What the org has under this external id already."""
    if key.startswith("converted") and record["attributes"]["type"] == "Lead":
        return "CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead", ()
    if key.startswith("twice"):
        return "DUPLICATE_EXTERNAL_ID", f"more than one record found for external id field: [{key}]", ()
    if key.startswith("locked"):
        return "UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record", ()
    return None


def _look_at_event(record: Mapping[str, Any]) -> Complaint | None:
    if gaps := tuple(name for name in ("Event_Id__c", "Event_Name__c", "Occurred_At__c") if not record.get(name)):
        return "REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(gaps)}]", gaps
    if not MOMENT.fullmatch(record["Occurred_At__c"]):
        return "INVALID_TYPE_ON_FIELD_IN_RECORD", "Occurred At: value not of required type", ("Occurred_At__c",)
    if ("Value__c" in record) != ("Currency__c" in record):
        return "FIELD_CUSTOM_VALIDATION_EXCEPTION", "A value needs its currency", ("Value__c",)
    return None


def _look_at_task(record: Mapping[str, Any], operation: str) -> Complaint | None:
    if "ActivityDate" in record and not DAY.fullmatch(record["ActivityDate"]):
        return "INVALID_TYPE_ON_FIELD_IN_RECORD", "Due Date Only: value not of required type", ("ActivityDate",)
    if "TaskSubtype" in record and operation != "create":
        text = "Unable to create/update fields: TaskSubtype. Please check the security settings of this field"
        return "INVALID_FIELD_FOR_INSERT_UPDATE", text, ("TaskSubtype",)
    if "Who" in record and "WhoId" in record:
        return (
            "INVALID_FIELD",
            "cannot specify both an external ID reference Who and a salesforce id, WhoId",
            ("WhoId",),
        )
    for name, prefixes in (("WhoId", ("00Q", "003")), ("WhatId", ("006", "001", "500", "701"))):
        value = record.get(name)
        if value and (not RECORD_ID.fullmatch(value) or value[:3] not in prefixes):
            return "MALFORMED_ID", f"{name}: id value of incorrect type: {value}", (name,)
    person = record.get("Who") or {}
    key = next((value for name, value in person.items() if name != "attributes"), "")
    if key.startswith("404"):
        field = next(name for name in person if name != "attributes")
        kind = person["attributes"]["type"]
        return "INVALID_FIELD", f"Foreign key external ID: {key} not found for field {field} in entity {kind}", ()
    is_lead = str(record.get("WhoId", "")).startswith("00Q") or person.get("attributes", {}).get("type") == "Lead"
    if is_lead and record.get("WhatId"):
        return "FIELD_INTEGRITY_EXCEPTION", "Related To ID: cannot be set when the name is a lead", ("WhatId",)
    if not (record.get("Subject") or "").strip():
        return "REQUIRED_FIELD_MISSING", "Required fields are missing: [Subject]", ("Subject",)
    return None
