"""Salesforce's REST API: `/services/oauth2/token`, and sObject Collections below `/services/data/vNN.0`: POST
`/composite/sobjects` creates, PATCH updates by record id, PATCH `/composite/sobjects/{object}/{field}` upserts.

Source: developer.salesforce.com, REST API Developer Guide ("Using sObject Collections", headers, "Status Codes and
Error Responses"), Object Reference (Lead, Contact, Task), Platform Events Developer Guide; help.salesforce.com on the
OAuth flows.

Conventions of this double: a token, refresh token or secret that contains `expired`, `revoked` or `forbidden` is
answered as such; any other of the right shape is accepted. The org knows the fields of Lead, Contact and Task that
`_salesforce_records` lists, every custom field whose name does not contain `Missing`, and TrackStack_Event__c and __e
with their seven fields. A record whose external id begins with `404` does not exist, one with `converted` is a
converted lead, one with `twice` exists more than once, one with `locked` is locked; an address that begins with
`duplicate` finds a duplicate rule that alerts.
"""

from __future__ import annotations

import re
import uuid
from collections import Counter
from dataclasses import replace
from typing import Any, ClassVar

from destinations.sandbox._salesforce_records import PREFIXES, check_shape, fail, look_at
from destinations.sandbox._salesforce_tokens import grant
from destinations.sandbox.base import Answer, NotJson, Refused, Request, Vendor, read_json

TOKEN_PATH = "/services/oauth2/token"  # noqa: S105
PATH = re.compile(
    r"/services/data/v(?P<version>\d{1,3}\.\d)/composite/sobjects(?:/(?P<object>\w+)/(?P<field>\w+))?", re.ASCII
)
OLDEST, COLLECTIONS, UPSERTS, NEWEST = 31, 42, 46, 68
MOST_RECORDS = 200
ACCESS_TOKEN = re.compile(r"00D[A-Za-z0-9]{12}(?:[A-Za-z0-9]{3})?![\w.]{16,}", re.ASCII)
HEADERS = {
    "sforce-auto-assign": re.compile(r"TRUE|FALSE|01Q[A-Za-z0-9]{12,15}", re.IGNORECASE),
    "sforce-duplicate-rule-header": re.compile(
        r"(allowSave|includeRecordDetails|runAsCurrentUser)=(true|false)(;\s*\w+=(true|false))*"
    ),
}
EVENT_IDS = ("TrackStack_Event_Id__c", "Event_Id__c")


class Salesforce(Vendor):
    partial_note: ClassVar[str] = "200, but the last record was not written: UNABLE_TO_LOCK_ROW"

    def answer(self, request: Request, now: float) -> Answer:
        if request.path == TOKEN_PATH:
            return grant(request, now)
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
            check_shape(record, operation, found["object"], found["field"])
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
        elif fault := look_at(record, operation, field, is_saved):
            rows.append(_failed(*fault))
        elif kind.endswith("__e"):
            queued = {"statusCode": "OPERATION_ENQUEUED", "message": str(uuid.UUID(int=number)), "fields": []}
            rows.append({"id": f"e00xx00000000{number:02}AAA", "success": True, "errors": [queued]})
        else:
            made = record.get("id") or f"{PREFIXES.get(kind, 'a00')}5e0000{number:09}"
            created = {"created": True} if operation == "upsert" else {}
            rows.append({"id": made, "success": True, "errors": []} | created)
    return rows
