"""Tinybird Events API. Sources: tinybird.co/docs/api-reference/events-api and …/docs/ingest/events-api (2026-08).

A batch is NDJSON for one data source. A row that does not fit its types is no error there: it goes to the quarantine
data source `<name>_quarantine`, and the answer counts such rows without naming them. `DDL` is a data source that fits.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from django.utils.translation import gettext_lazy as _

from destinations.masking import masked
from destinations.platforms import _reading, _rows, base
from destinations.platforms._names import NAMES
from destinations.platforms.base import Built, Config, Field, Item, Outcome, Request, Response, Result

DDL = f"""\
SCHEMA >
{
    _rows.definitions(
        {
            "text": "Nullable(String)",
            "json": "Nullable(String)",
            "number": "Nullable(Float64)",
            "integer": "Nullable(Int64)",
            "event_id": "String",
            "event": "LowCardinality(String)",
            "occurred_at": "DateTime64(3)",
        },
        "    `{name}` {type} `json:$.{name}`",
    )
}

ENGINE "ReplacingMergeTree"
ENGINE_PARTITION_KEY "toYYYYMM(occurred_at)"
ENGINE_SORTING_KEY "event, occurred_at, event_id\""""
"""Nothing is deduplicated on the way in: an event sent twice is replaced when parts merge (read with FINAL)."""

ERRORS: dict[int, tuple[Result, str]] = {
    401: (Result.CONFIG, "check the token"),
    403: (Result.CONFIG, "the token must be valid and have the scope DATASOURCE:APPEND on the data source"),
    404: (Result.CONFIG, "the token's workspace is not at this address: check the region in API host"),
    # "The general advice is to not retry": the rows are in the data source, a copy of them would be doubled.
    422: (Result.SKIPPED, "the rows are taken, but a materialized view failed on them: review the views"),
    413: (Result.PERMANENT, "the request is larger than the plan allows"),
}
"""Status → what becomes of the batch, and what to do about it. A 400 depends on its message, see `_refused`."""

_MAY_NOT_READ = re.compile(r"DATASOURCES?:READ|not enough permissions", re.IGNORECASE)


class Tinybird(base.Platform):
    key = "tinybird"
    label = "Tinybird"
    kind = base.Kind.WAREHOUSE
    events = {name: name for name in NAMES}
    takes_custom_events = True
    recommended = frozenset(NAMES)
    batch_limit = _rows.BATCH_LIMIT
    max_body_bytes = 10_000_000  # "10 MB" on the free plan, 100 MB on paid ones
    requests_per_minute = 6_000  # 100 a second and data source; the API reference says 1000
    docs_url = "https://www.tinybird.co/docs/api-reference/events-api"
    plain_identity = _rows.PLAIN_IDENTITY
    ddl = DDL
    fields = (
        Field(name="api_host", label=_("API host"), required=True, example="https://api.us-east.tinybird.co",
              pattern=r"https://api\.([a-z0-9-]+\.)*tinybird\.co/?|http://localhost:7181/?",
              help=_("The API host of the workspace's region: Tinybird → Tokens, or the address of your workspace")),
        Field(name="token", label=_("Token"), secret=True, required=True, pattern=r"p\.[A-Za-z0-9._-]+",
              example="p.eyJ1IjogImV4YW1wbGUiLCAiaWQiOiAiZXhhbXBsZSJ9.opens-only-the-sandbox",
              help=_("Tinybird → Tokens: one with the scope DATASOURCE:APPEND on the data source")),
        Field(name="data_source", label=_("Data source"), required=True, example="trackstack_events",
              pattern=r"[A-Za-z_][A-Za-z0-9_]*",
              help=_("Deploy it first; its definition stands in docs/platforms/tinybird.md")),
        Field(name="wait", label=_("Wait until rows are written"), default="true",
              choices=(("true", _("Yes: errors come back")), ("false", _("No: faster, and errors are lost"))),
              help=_("Whether Tinybird answers once the rows are in the database, or before")),
    )  # fmt: skip

    def build(self, items: Sequence[Item], config: Config, now: datetime) -> Built:
        encoder = msgspec.json.Encoder()
        parts = [(item, encoder.encode(_rows.row(item, self.key, _rows.spaced))) for item in items]
        query = urlencode({"name": config.get("data_source", ""), "wait": config.get("wait") or "true"})
        url = f"{config.get('api_host', '').rstrip('/')}/v0/events?{query}"
        headers = {"Authorization": f"Bearer {config.get('token', '')}", "Content-Type": "application/x-ndjson"}
        requests = [
            Request(method="POST", url=url, headers=headers, items=tuple(item for item, _ in run),
                    body=b"\n".join(line for _, line in run) + b"\n")
            for run in base.chunks(parts, self.batch_limit, self.max_body_bytes)
        ]  # fmt: skip
        return Built(requests=requests, skipped=[])

    def parse(self, request: Request, response: Response) -> list[Outcome]:
        """200 is written, 202 (without waiting) is queued; both count rows, also those put into quarantine."""
        status, count, answer = response.status, len(request.items), _reading.fields_of(response)
        if 200 <= status < 300:
            return [_accepted(status, answer, count)] * count
        message = str(answer.get("error") or "no reason given")
        after = None
        if base.is_transient(status):
            result, advice, after = Result.RETRY, "", base.retry_after(response)
        else:
            result, advice = ERRORS.get(status) or _refused(message)
        if result == Result.PERMANENT and count > 1:
            result = Result.SPLIT
        said = masked(f"Tinybird {status}: {message}", cap=260)
        return [Outcome(result=result, detail=f"{said}; {advice}." if advice else said, after=after)] * count

    def check(self, config: Config, now: datetime) -> Request | None:
        """The data source's description, which needs DATASOURCE:READ. Source: …/docs/api-reference/datasource-api."""
        url = f"{config.get('api_host', '').rstrip('/')}/v0/datasources/{quote(config.get('data_source', ''), safe='')}"
        headers = {"Authorization": f"Bearer {config.get('token', '')}"}
        return Request(method="GET", url=url, headers=headers, body=b"", items=())

    def read_check(self, response: Response, config: Config) -> Outcome:
        """A token that may only append is the usual one: Tinybird knows it by the time it says that it may not read."""
        name, answer = config.get("data_source", ""), _reading.fields_of(response)
        if _reading.is_good(response) and answer.get("name") == name:
            return _reading.good(f"Data source {name} answers.")
        if response.status == 403 and _MAY_NOT_READ.search(str(answer.get("error"))):
            return _reading.good(
                f"Tinybird knows the token. It may not read {name}; whether it may append, the first row shows."
            )
        if response.status == 404:
            return _reading.bad(f"Tinybird has no data source {name}: deploy it, or correct its name or the API host.")
        return _reading.refused(self, response)


def _accepted(status: int, answer: dict[str, Any], count: int) -> Outcome:
    written, quarantined = answer.get("successful_rows"), answer.get("quarantined_rows", 0)
    if not isinstance(written, int) or not isinstance(quarantined, int):
        return Outcome(result=Result.RETRY, detail=f"Tinybird answered {status} without counting the rows.")
    if not quarantined:
        return base.OK
    detail = "does not fit the types of the data source and is in its quarantine: compare its schema."
    if quarantined < count:
        # Which ones is not said. Nothing is lost and sending again would double the others, so this is a remark.
        return Outcome(result=Result.OK, detail=f"{quarantined} of {count} rows: each {detail}")
    return Outcome(result=Result.SKIPPED, reason="refused", detail=f"The row {detail}")


def _refused(message: str) -> tuple[Result, str]:
    """A 400 is about the request, as no single row is refused: its name, its token, its data source; or its JSON."""
    lowered = message.lower()
    if any(word in lowered for word in ("data source", "datasource", "'name'", "token", "workspace", "schema")):
        return Result.CONFIG, "check the data source's name and definition"
    return Result.PERMANENT, ""
