"""Tinybird's Events API: `POST /v0/events?name=…&wait=…` with NDJSON.

Source: tinybird.co/docs/api-reference/events-api and …/docs/ingest/events-api.

Conventions of this double: a token that contains `expired`, `revoked` or `forbidden` is answered as such, one with
`appendonly` may not read; a data source whose name contains `missing` does not exist, and one whose name contains
`broken` has a failing materialized view. A row that does not fit the table of TrackStack's columns goes to quarantine,
as does one with an unknown field: Tinybird would ignore the field, and this double is stricter.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, ClassVar

from destinations.sandbox import _rows
from destinations.sandbox.base import Answer, NotJson, Refused, Request, Vendor, read_json

PATH = "/v0/events"
SOURCE_PATH = re.compile(r"/v0/datasources/([^/]+)")
TOKEN = re.compile(r"p\.[A-Za-z0-9._-]{8,}")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
MOST_BYTES = 10_000_000
CONTENT_TYPES = ("application/x-ndjson", "application/json")
DOCS = "https://docs.tinybird.co/api-reference/overview#authentication"


def fail(status: int, message: str) -> Answer:
    return Answer.of(status, {"error": message, "documentation": DOCS})


class Tinybird(Vendor):
    partial_note: ClassVar[str] = "200 or 202, but the last row is in quarantine"

    def answer(self, request: Request, now: float) -> Answer:
        if request.path != PATH:
            raise Refused(fail(404, f"Not found: {request.path}"))
        if request.method != "POST":
            raise Refused(fail(405, f"Method {request.method} not allowed"))
        _check_token(request)
        parameters = request.parameters
        if unknown := parameters.keys() - {"name", "wait", "format"}:
            raise Refused(fail(400, f"Unknown parameter: {sorted(unknown)[0]}"))
        name, wait = parameters.get("name", ""), parameters.get("wait", "false")
        if not NAME.fullmatch(name):
            raise Refused(fail(400, "The 'name' parameter is missing or is no name of a Data Source"))
        if wait not in ("true", "false"):
            raise Refused(fail(400, "The 'wait' parameter must be 'true' or 'false'"))
        if "missing" in name:
            raise Refused(fail(400, f"Data Source '{name}' does not exist and the token cannot create it"))
        if len(request.body) > MOST_BYTES:
            raise Refused(fail(413, "Payload too large: the limit is 10 MB"))
        if request.content_type not in CONTENT_TYPES:
            raise Refused(fail(415, f"Unsupported content type {request.content_type!r}"))
        rows = _rows_of(request)
        if "broken" in name:
            raise Refused(fail(422, "There was an error when attaching the data to a Materialized View"))
        good = sum(_is_good(row) for row in rows)
        counts = {"successful_rows": good, "quarantined_rows": len(rows) - good}
        return Answer.of(200 if wait == "true" else 202, counts)

    def look(self, request: Request, now: float) -> Answer | None:
        """The description of a data source."""
        found = SOURCE_PATH.fullmatch(request.path)
        if found is None or request.method != "GET":
            return None
        _check_token(request)
        if "appendonly" in (request.bearer or ""):
            text = f"Not enough permissions for datasource '{found[1]}', token needs DATASOURCES:READ:{found[1]} scope"
            return fail(403, text)
        if "missing" in found[1] or not NAME.fullmatch(found[1]):
            return fail(404, f'Data Source "{found[1]}" does not exist')
        return Answer.of(200, {"id": "t_example", "name": found[1], "statistics": {"bytes": 0, "row_count": 0}})

    def ids(self, request: Request) -> list[tuple[str, ...]]:
        return [(str(row["event_id"]),) if _is_good(row) else () for row in _rows.lines_of(request.body)]

    def error(self, status: int) -> Answer:
        texts = {
            401: "invalid authentication token. Workspace not found",
            403: "invalid authentication token. Token is not valid",
            404: "The token's Workspace doesn't belong to this cluster",
            413: "Payload too large: the limit is 10 MB",
            422: "There was an error when attaching the data to a Materialized View",
            429: "Too many requests: the limit of the Data Source is reached",
        }
        return fail(status, texts.get(status, "Internal error" if status >= 500 else "The request is invalid"))

    def partial(self, good: Answer) -> Answer:
        counts = read_json(good.body)
        counts["successful_rows"] -= 1
        counts["quarantined_rows"] += 1
        return replace(good, body=Answer.of(good.status, counts).body)


def _check_token(request: Request) -> None:
    token = request.bearer or ""
    if not TOKEN.fullmatch(token):
        raise Refused(fail(403, "invalid authentication token. Token not found"))
    if "expired" in token or "revoked" in token:
        raise Refused(fail(403, "invalid authentication token. Token is not valid"))
    if "forbidden" in token:
        raise Refused(fail(403, "Token has no DATASOURCES:APPEND scope over the Data Source"))


def _rows_of(request: Request) -> list[Any]:
    try:
        return _rows.lines_of(request.body)
    except NotJson as error:
        raise Refused(fail(400, f"The body is no NDJSON: {error}")) from None


def _is_good(row: Any) -> bool:
    return isinstance(row, dict) and not row.keys() - _rows.COLUMNS and not _rows.wrong_row(row, _rows.SPACED)
