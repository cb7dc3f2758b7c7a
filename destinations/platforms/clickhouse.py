"""ClickHouse over HTTP. Sources: clickhouse.com/docs/interfaces/http, …/optimize/asynchronous-inserts and
…/guides/developer/deduplicating-inserts-on-retries; error codes from src/Common/ErrorCodes.cpp (2026-08).

A batch is one INSERT … FORMAT JSONEachRow. It is sent as an asynchronous insert that is waited for: small batches then
do not make a part each, and an error still comes back. `DDL` is the table that fits.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from urllib.parse import quote, urlencode

import msgspec
from django.utils.translation import gettext_lazy as _

from destinations.masking import masked
from destinations.platforms import _reading, _rows, base
from destinations.platforms._names import NAMES
from destinations.platforms.base import Built, Config, Field, Item, Outcome, Request, Response, Result

SETTINGS = {
    # Stated, because servers differ in their defaults; without waiting, errors would be lost.
    "async_insert": "1",
    "wait_for_async_insert": "1",
    # Without it asynchronous inserts ignore the token below.
    "async_insert_deduplicate": "1",
    # occurred_at is ISO 8601 with T and Z, which tells the time zone whatever that of the column is.
    "date_time_input_format": "best_effort",
    # A table may have fewer columns than a row, and columns that are not nullable.
    "input_format_skip_unknown_fields": "1",
    "input_format_null_as_default": "1",
    # Errors then have an HTTP status of their own instead of following a 200.
    "wait_end_of_query": "1",
}

DDL = f"""\
CREATE TABLE trackstack_events
(
{
    _rows.definitions(
        {
            "text": "Nullable(String)",
            "json": "Nullable(String)",
            "number": "Nullable(Float64)",
            "integer": "Nullable(Int64)",
            "event_id": "String",
            "event": "LowCardinality(String)",
            "occurred_at": "DateTime64(3, 'UTC')",
        }
    )
},
    `loaded_at` DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(loaded_at)
PARTITION BY toYYYYMM(occurred_at)
ORDER BY (event, occurred_at, event_id)
SETTINGS non_replicated_deduplication_window = 1000"""
"""An event that is sent twice is replaced when parts merge (read with FINAL until then); a batch that is repeated
within the window is not inserted at all."""

_ADVICE_TABLE = "create the table with the statement in the documentation, or correct the table's name"
_ADVICE_LOGIN = "check user name and password"
_ADVICE_ROW = "compare the event with the types of the table's columns"
_ADVICE_LATER = "it is tried again"

ERRORS: dict[int, tuple[Result, str]] = {
    # a row does not fit its table: refused with the whole batch, and not named
    6: (Result.PERMANENT, _ADVICE_ROW),
    26: (Result.PERMANENT, _ADVICE_ROW),
    27: (Result.PERMANENT, _ADVICE_ROW),
    33: (Result.PERMANENT, _ADVICE_ROW),
    36: (Result.PERMANENT, _ADVICE_ROW),
    38: (Result.PERMANENT, _ADVICE_ROW),
    41: (Result.PERMANENT, _ADVICE_ROW),
    53: (Result.PERMANENT, _ADVICE_ROW),
    69: (Result.PERMANENT, _ADVICE_ROW),
    70: (Result.PERMANENT, _ADVICE_ROW),
    72: (Result.PERMANENT, _ADVICE_ROW),
    117: (Result.PERMANENT, _ADVICE_ROW),
    130: (Result.PERMANENT, _ADVICE_ROW),
    131: (Result.PERMANENT, "a text of the event is too long for the server"),
    321: (Result.PERMANENT, _ADVICE_ROW),
    349: (Result.PERMANENT, "make the column nullable or give it a default"),
    376: (Result.PERMANENT, _ADVICE_ROW),
    # a setting of the destination or of the server is wrong: no event is to blame, so all of them wait
    16: (Result.CONFIG, "add the missing column to the table"),
    47: (Result.CONFIG, "add the missing column to the table"),
    60: (Result.CONFIG, _ADVICE_TABLE),
    62: (Result.CONFIG, "the server does not understand the INSERT: it may be too old"),
    81: (Result.CONFIG, "correct the database's name"),
    115: (Result.CONFIG, "the server does not know a setting of the INSERT: it needs ClickHouse 23.3 or newer"),
    164: (Result.CONFIG, "the user may only read: allow it INSERT and settings"),
    192: (Result.CONFIG, _ADVICE_LOGIN),
    193: (Result.CONFIG, _ADVICE_LOGIN),
    194: (Result.CONFIG, _ADVICE_LOGIN),
    195: (Result.CONFIG, "allow the user this server's IP address"),
    218: (Result.CONFIG, _ADVICE_TABLE),
    291: (Result.CONFIG, "GRANT INSERT on the table to the user"),
    452: (Result.CONFIG, "let the user's profile change the settings of an INSERT"),
    497: (Result.CONFIG, "GRANT INSERT on the table to the user"),
    516: (Result.CONFIG, _ADVICE_LOGIN),
    # these pass; whether the rows arrived may be unknown, and the deduplication token then keeps them single
    159: (Result.RETRY, _ADVICE_LATER),
    201: (Result.RETRY, "the user's quota is used up; " + _ADVICE_LATER),
    202: (Result.RETRY, "the server is busy; " + _ADVICE_LATER),
    203: (Result.RETRY, _ADVICE_LATER),
    209: (Result.RETRY, _ADVICE_LATER),
    210: (Result.RETRY, _ADVICE_LATER),
    225: (Result.RETRY, _ADVICE_LATER),
    236: (Result.RETRY, "the server is shutting down; " + _ADVICE_LATER),
    241: (Result.RETRY, "the server is out of memory; " + _ADVICE_LATER),
    242: (Result.RETRY, "the replica takes no writes just now; " + _ADVICE_LATER),
    243: (Result.RETRY, "the server's disk is full"),
    252: (Result.RETRY, "the table has too many parts, merges must catch up; " + _ADVICE_LATER),
    254: (Result.RETRY, _ADVICE_LATER),
    279: (Result.RETRY, _ADVICE_LATER),
    285: (Result.RETRY, "too few replicas are up; " + _ADVICE_LATER),
    286: (Result.RETRY, _ADVICE_LATER),
    319: (Result.RETRY, "the server does not know whether it took the batch; " + _ADVICE_LATER),
    364: (Result.RETRY, _ADVICE_LATER),
    394: (Result.RETRY, "the query was cancelled; " + _ADVICE_LATER),
    439: (Result.RETRY, _ADVICE_LATER),
    999: (Result.RETRY, _ADVICE_LATER),
}
"""Code → what becomes of the batch, and what to do about it. Other codes are judged by the HTTP status."""

_EXCEPTION = re.compile(rb"Code: (\d{1,5})\b[.,]?.{0,80}?DB::Exception:", re.DOTALL)


class ClickHouse(base.Platform):
    key = "clickhouse"
    label = "ClickHouse"
    kind = base.Kind.WAREHOUSE
    events = {name: name for name in NAMES}
    takes_custom_events = True
    recommended = frozenset(NAMES)
    batch_limit = _rows.BATCH_LIMIT
    max_body_bytes = 16 * 1024 * 1024  # ours: the server documents none, and a worker holds it in memory
    docs_url = "https://clickhouse.com/docs/interfaces/http"
    plain_identity = _rows.PLAIN_IDENTITY
    ddl = DDL
    fields = (
        Field(name="url", label=_("Address"), required=True, pattern=r"https?://[^/\s?#@]+/?",
              example="https://abc123.eu-central-1.aws.clickhouse.cloud:8443",
              help=_("The HTTP interface: Cloud console → Connect → HTTPS; port 8443, or 8123 without TLS")),
        Field(name="database", label=_("Database"), is_advanced=False,
              default="default", pattern=r"[A-Za-z_][A-Za-z0-9_]*",
              help=_("SHOW DATABASES lists them; letters, digits and _")),
        Field(name="table", label=_("Table"), required=True, example="trackstack_events",
              pattern=r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?",
              help=_("Create it first; its CREATE TABLE stands in docs/platforms/clickhouse.md")),
        Field(name="username", label=_("User"), is_advanced=False, default="default", pattern=r"[\x21-\x7e]+",
              help=_("A user with INSERT on the table, best one made for TrackStack")),
        Field(name="password", label=_("Password"), secret=True, pattern=r"[\x20-\x7e]+",
              help=_("The user's password, in ASCII; Cloud console → Settings → Reset password")),
    )  # fmt: skip

    def build(self, items: Sequence[Item], config: Config, now: datetime) -> Built:
        encoder = msgspec.json.Encoder()
        parts = [(item, encoder.encode(_rows.row(item, self.key))) for item in items]
        headers = {"Content-Type": "application/x-ndjson"} | _login(config)
        requests = []
        for run in base.chunks(parts, self.batch_limit, self.max_body_bytes):
            batch = tuple(item for item, _ in run)
            body = b"\n".join(line for _, line in run) + b"\n"
            requests.append(
                Request(method="POST", url=_url(config, batch), headers=headers, body=body, items=batch),
            )
        return Built(requests=requests, skipped=[])

    def parse(self, request: Request, response: Response) -> list[Outcome]:
        """The exception decides, wherever it stands: after a 200 has been sent it can only be in header or body."""
        status, count = response.status, len(request.items)
        code = _code(response)
        if 200 <= status < 300 and code is None:
            # A good INSERT is answered with nothing; anything else comes from a proxy or another server.
            if not response.body.strip():
                return [base.OK] * count
            detail = masked(f"The address answered {status} as ClickHouse does not: {_said(response)}", cap=300)
            return [Outcome(result=Result.RETRY, detail=detail, after=base.retry_after(response))] * count
        if code is None or code not in ERRORS:
            result, advice = _by_status(status), ""
        else:
            result, advice = ERRORS[code]
        after = base.retry_after(response) if result == Result.RETRY else None
        if result == Result.PERMANENT and count > 1:
            result = Result.SPLIT
        said = masked(f"ClickHouse {code or status}: {_said(response)}", cap=260)
        detail = f"{said}; {advice}." if advice else said
        return [Outcome(result=result, detail=detail, after=after)] * count

    def check(self, config: Config, now: datetime) -> Request | None:
        """Whether the table exists: whoever may INSERT may know. A GET is read-only to the server. Source: the
        SQL reference, "EXISTS".
        """
        query = {"database": config.get("database") or "default", "query": f"EXISTS TABLE {_table(config)}"}
        url = f"{config.get('url', '').rstrip('/')}/?{urlencode(query, quote_via=quote)}"
        return Request(method="GET", url=url, headers=_login(config), body=b"", items=())

    def read_check(self, response: Response, config: Config) -> Outcome:
        if _reading.is_good(response) and _code(response) is None:
            if response.body.strip() == b"1":
                return _reading.good(f"Table {config.get('table', '')} answers.")
            if response.body.strip() == b"0":
                return _reading.bad(f"There is no table {config.get('table', '')}: {_ADVICE_TABLE}.")
        return _reading.refused(self, response)


def _login(config: Config) -> dict[str, str]:
    """Not in the URL, which servers write to their logs."""
    headers = {"X-ClickHouse-User": config.get("username") or "default"}
    if password := config.get("password"):
        headers["X-ClickHouse-Key"] = password
    return headers


def _table(config: Config) -> str:
    return ".".join(f"`{part}`" for part in config.get("table", "").split("."))


def _url(config: Config, items: Sequence[Item]) -> str:
    query = {
        "database": config.get("database") or "default",
        "query": f"INSERT INTO {_table(config)} FORMAT JSONEachRow",
        **SETTINGS,
        # The same batch sent again within the table's window is not inserted twice.
        "insert_deduplication_token": _rows.batch_hash(items),
    }
    return f"{config.get('url', '').rstrip('/')}/?{urlencode(query, quote_via=quote)}"


def _code(response: Response) -> int | None:
    header = response.headers.get("x-clickhouse-exception-code", "").strip()
    if header.isascii() and header.isdigit() and len(header) <= 5:
        return int(header) or None
    found = _EXCEPTION.search(response.body)
    if found is None and b"DB::Exception" not in response.body:
        return None
    return int(found[1]) if found else 0


def _said(response: Response) -> str:
    text = response.body[:2000].decode("utf-8", "replace").partition("DB::Exception:")
    return " ".join((text[2] or text[0]).split()) or "no reason given"


def _by_status(status: int) -> Result:
    if base.is_transient(status) or 200 <= status < 300:
        return Result.RETRY
    # 404: not the HTTP interface, or a table or database that is unknown; a redirect: another address.
    return Result.CONFIG if status in (401, 403, 404) or 300 <= status < 400 else Result.PERMANENT
