"""ClickHouse's HTTP interface, as far as an INSERT … FORMAT JSONEachRow goes.

Source: clickhouse.com/docs/interfaces/http; the texts of exceptions as a server 26.8 gives them.

Conventions of this double: a password that contains `expired` or `revoked` is wrong, one that contains `forbidden`
belongs to a user without INSERT; a table whose name contains `missing` is unknown, and so is such a database.
"""

from __future__ import annotations

import re
from typing import Any

from destinations.sandbox import _rows
from destinations.sandbox.base import Answer, NotJson, Refused, Request, Vendor

NAME = r"(?:`[A-Za-z_]\w*`|[A-Za-z_]\w*)"
INSERT = re.compile(rf"INSERT INTO ({NAME}(?:\.{NAME})?) FORMAT JSONEachRow", re.ASCII)
EXISTS = re.compile(rf"EXISTS TABLE ({NAME}(?:\.{NAME})?)", re.ASCII)
FLAG = re.compile(r"0|1|true|false")
SETTINGS: dict[str, re.Pattern[str]] = {
    "async_insert": FLAG,
    "wait_for_async_insert": FLAG,
    "async_insert_deduplicate": FLAG,
    "insert_deduplicate": FLAG,
    "date_time_input_format": re.compile("basic|best_effort|best_effort_us"),
    "input_format_skip_unknown_fields": FLAG,
    "input_format_null_as_default": FLAG,
    "input_format_allow_errors_num": re.compile(r"\d+"),
    "insert_deduplication_token": re.compile(r".{1,256}"),
    "wait_end_of_query": FLAG,
    "query_id": re.compile(r".{1,128}"),
}
STATUSES = {
    27: (400, "CANNOT_PARSE_INPUT_ASSERTION_FAILED"),
    41: (400, "CANNOT_PARSE_DATETIME"),
    60: (404, "UNKNOWN_TABLE"),
    62: (400, "SYNTAX_ERROR"),
    81: (404, "UNKNOWN_DATABASE"),
    108: (400, "NO_DATA_TO_INSERT"),
    115: (404, "UNKNOWN_SETTING"),
    117: (400, "INCORRECT_DATA"),
    164: (500, "READONLY"),
    202: (503, "TOO_MANY_SIMULTANEOUS_QUERIES"),
    209: (408, "SOCKET_TIMEOUT"),
    241: (500, "MEMORY_LIMIT_EXCEEDED"),
    349: (400, "CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN"),
    497: (403, "ACCESS_DENIED"),
    516: (403, "AUTHENTICATION_FAILED"),
}


def fail(code: int, message: str, status: int | None = None) -> Answer:
    usual, name = STATUSES[code]
    text = f"Code: {code}. DB::Exception: {message}. ({name}) (version 26.8.2.11 (official build))\n"
    headers = {"Content-Type": "text/plain; charset=UTF-8", "X-ClickHouse-Exception-Code": str(code)}
    return Answer(usual if status is None else status, text.encode(), headers)


class ClickHouse(Vendor):
    """A bad row refuses the whole INSERT and is not named, so it has no partial answers."""

    def answer(self, request: Request, now: float) -> Answer:
        if request.path != "/":
            text = f"There is no handle {request.path}\n\nUse / or /ping for health checks.\n".encode()
            raise Refused(Answer(404, text, {"Content-Type": "text/plain; charset=UTF-8"}))
        _check_login(request)
        if request.method != "POST":
            raise Refused(fail(164, "Cannot execute query in readonly mode"))
        table = _check_query(request.parameters)
        rows = _rows_of(request)
        for number, row in enumerate(rows, 1):
            _check_row(row, number, request.parameters)
        summary = f'{{"read_rows":"{len(rows)}","written_rows":"{len(rows)}","written_bytes":"{len(request.body)}"}}'
        return Answer(200, b"", {"X-ClickHouse-Summary": summary, "X-ClickHouse-Query-Id": f"sandbox-{table}"})

    def look(self, request: Request, now: float) -> Answer | None:
        """EXISTS TABLE, which a table that is not there answers as well."""
        found = EXISTS.fullmatch(request.parameters.get("query", ""))
        if request.path != "/" or found is None:
            return None
        _check_login(request)
        if unknown := request.parameters.keys() - {"query", "database"}:
            return fail(115, f"Setting {min(unknown)} is neither a builtin setting nor started with the prefix")
        *named, table = found[1].replace("`", "").split(".")
        database = named[0] if named else request.parameters.get("database", "default")
        if "missing" in request.parameters.get("database", ""):
            return fail(81, f"Database {database} does not exist")
        is_there = "missing" not in database and "missing" not in table
        return Answer(200, b"1\n" if is_there else b"0\n", {"Content-Type": "text/tab-separated-values; charset=UTF-8"})

    def ids(self, request: Request) -> list[tuple[str, ...]]:
        return [(row["event_id"],) for row in _rows.lines_of(request.body)]

    def error(self, status: int) -> Answer:
        if status in (401, 403):
            return fail(516, "default: Authentication failed: password is incorrect", status)
        if status == 404:
            return fail(60, "Table default.trackstack_events does not exist")
        if status in (429, 503):
            return fail(202, "Too many simultaneous queries. Maximum: 100", status)
        if status >= 500:
            return fail(241, "Memory limit (total) exceeded", status)
        if status in (408, 425):
            return fail(209, "Timeout exceeded while reading from socket", status)
        return fail(27, "Cannot parse input", status)


def _check_login(request: Request) -> None:
    headers, parameters = request.headers, request.parameters
    if "user" in parameters or "password" in parameters:
        # The server takes them, and writes them to its log: nothing of ours may send them so.
        raise Refused(fail(516, "the sandbox takes no credentials in the URL"))
    password = headers.get("x-clickhouse-key", "")
    if "x-clickhouse-user" not in headers:
        raise Refused(fail(516, "default: Authentication failed: there is no user with such name"))
    if "expired" in password or "revoked" in password:
        user = headers["x-clickhouse-user"]
        raise Refused(fail(516, f"{user}: Authentication failed: password is incorrect"))
    if "forbidden" in password:
        text = "Not enough privileges. To execute this query, it's necessary to have the grant INSERT(event_id, event)"
        raise Refused(fail(497, f"{headers['x-clickhouse-user']}: {text} ON default.events"))


def _check_query(parameters: dict[str, str]) -> str:
    for name, value in parameters.items():
        if name in ("query", "database"):
            continue
        if name not in SETTINGS:
            raise Refused(fail(115, f"Setting {name} is neither a builtin setting nor started with the prefix"))
        if not SETTINGS[name].fullmatch(value):
            raise Refused(fail(27, f"Cannot parse {value!r} as a value of {name}"))
    found = INSERT.fullmatch(parameters.get("query", ""))
    if found is None:
        raise Refused(fail(62, f"Syntax error: failed at position 1: {parameters.get('query', '')[:80]}"))
    database = parameters.get("database", "default")
    *named, table = found[1].replace("`", "").split(".")
    database = named[0] if named else database
    if "missing" in database or not re.fullmatch(r"[A-Za-z_]\w*", database):
        raise Refused(fail(81, f"Database {database} does not exist"))
    if "missing" in table:
        raise Refused(fail(60, f"Table {database}.{table} does not exist"))
    return table


def _rows_of(request: Request) -> list[Any]:
    if not request.body.strip():
        raise Refused(fail(108, "No data to insert"))
    try:
        return _rows.lines_of(request.body)
    except NotJson as error:
        raise Refused(fail(27, f"Cannot parse input: {error}: while parsing JSONEachRow")) from None


def _check_row(row: Any, number: int, parameters: dict[str, str]) -> None:
    where = f"(at row {number})"
    if not isinstance(row, dict):
        raise Refused(fail(27, f"Cannot parse input: expected '{{' {where}"))
    unknown = sorted(row.keys() - _rows.COLUMNS)
    if unknown and parameters.get("input_format_skip_unknown_fields") != "1":
        raise Refused(fail(117, f"Unknown field found while parsing JSONEachRow format: {unknown[0]}: {where}"))
    times = _rows.SPACED
    if parameters.get("date_time_input_format") == "best_effort":
        times = re.compile(f"{_rows.ISO.pattern}|{_rows.SPACED.pattern}")
    if fault := _rows.wrong_row(row, times):
        code = 41 if fault.startswith("occurred_at is no time") else 349 if fault.endswith("null") else 27
        raise Refused(fail(code, f"Cannot parse input: {fault}: (while reading the value of a key): {where}"))
