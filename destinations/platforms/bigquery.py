"""BigQuery, by tabledata.insertAll.

Sources: cloud.google.com/bigquery/docs/reference/rest/v2/tabledata/insertAll, …/docs/streaming-data-into-bigquery and
…/docs/error-messages; developers.google.com/identity/protocols/oauth2/service-account (2026-08).

The newer Storage Write API exists as gRPC only. `DDL` is the table that fits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any
from urllib.parse import quote

import msgspec
from django.utils.translation import gettext_lazy as _

from destinations.masking import masked
from destinations.platforms import _google_auth, _reading, _rows, base
from destinations.platforms._bigquery_example import SERVICE_ACCOUNT
from destinations.platforms._names import NAMES
from destinations.platforms.base import (
    ACCESS_TOKEN,
    TOKEN_EXPIRED,
    Built,
    Config,
    Field,
    Item,
    Outcome,
    Request,
    Response,
    Result,
    Token,
)

SCOPE = "https://www.googleapis.com/auth/bigquery.insertdata https://www.googleapis.com/auth/bigquery.readonly"
"""The second reads the table's description for *Check connection*; what it may read, the role decides."""
MAX_INSERT_ID = 128
QUOTA_SECONDS = 60.0
"""Ours: quotas are counted by the minute or by the day, and the answer does not say which."""

# One bad row must not hold up the others, and a table may have fewer columns than a row.
HEAD = b'{"skipInvalidRows":true,"ignoreUnknownValues":true,"rows":['

DDL = f"""\
CREATE TABLE `project.dataset.trackstack_events`
(
{
    _rows.definitions(
        {
            "text": "STRING",
            "json": "JSON",
            "number": "FLOAT64",
            "integer": "INT64",
            "event_id": "STRING NOT NULL",
            "event": "STRING NOT NULL",
            "occurred_at": "TIMESTAMP NOT NULL",
        }
    )
}
)
PARTITION BY DATE(occurred_at)
CLUSTER BY event"""
"""`insertId` keeps an event single for about a minute only, and as best it can: count DISTINCT event_id. BigQuery
streams into partitions from ten years ago to one year ahead; leave PARTITION BY out for older events."""

ERRORS: dict[str, tuple[Result, str]] = {
    "rateLimitExceeded": (Result.RETRY, "too many requests at once, it is tried again"),
    "quotaExceeded": (Result.RETRY, "the project's quota is used up: raise it under IAM → Quotas, or wait"),
    "backendError": (Result.RETRY, ""),
    "internalError": (Result.RETRY, ""),
    "badGateway": (Result.RETRY, ""),
    "timeout": (Result.RETRY, ""),
    "tableUnavailable": (Result.RETRY, ""),
    "accessDenied": (Result.CONFIG, "give the service account the role BigQuery Data Editor on the table"),
    "insufficientPermissions": (Result.CONFIG, "give the service account the role BigQuery Data Editor on the table"),
    "forbidden": (Result.CONFIG, "give the service account the role BigQuery Data Editor on the table"),
    "accessNotConfigured": (Result.CONFIG, "enable the BigQuery API in the project"),
    "SERVICE_DISABLED": (Result.CONFIG, "enable the BigQuery API in the project"),
    "billingNotEnabled": (Result.CONFIG, "enable billing: the free tier takes no streaming inserts"),
    "blocked": (Result.CONFIG, "Google has blocked the operation for a while: see the project's messages"),
    "authError": (Result.CONFIG, "check the service account key"),
    "required": (Result.CONFIG, "check project, data set and table"),
    "notFound": (
        Result.CONFIG,
        "correct project, data set or table; a table made a few minutes ago may not be known yet",
    ),
    "invalid": (Result.PERMANENT, "compare the row with the table's columns"),
    "badRequest": (Result.PERMANENT, ""),
    "responseTooLarge": (Result.PERMANENT, ""),
}
"""Reason → what becomes of it, and what to do about it. Other reasons are judged by the HTTP status."""

TOKEN_ERRORS = {
    "invalid_grant": "the service account's key is deleted or disabled, or this server's clock is wrong",
    "invalid_client": "the service account is unknown: enter its key file again",
    "unauthorized_client": "the service account may not ask for tokens: is it disabled?",
    "access_denied": "the organisation's policies forbid it",
    "disabled_client": "the service account is disabled",
    "org_internal": "the organisation's policies forbid it",
    "invalid_scope": "Google does not know the scope any more: update TrackStack",
}


class ServiceAccount(base.OAuth):
    """The two-legged flow: an assertion signed with the account's key, for an access token of an hour."""

    def request(self, config: Config, now: datetime) -> Request | None:
        return _google_auth.token_request(_google_auth.for_account(config.get("service_account_json", ""), SCOPE, now))

    def read(self, response: Response) -> Token | Outcome:
        return _google_auth.read_token(response, TOKEN_ERRORS, "enter the service account's key file again")


class BigQuery(base.Platform):
    key = "bigquery"
    label = "BigQuery"
    also_known_as = ("bq", "google cloud", "gcp")
    kind = base.Kind.WAREHOUSE
    events = {name: name for name in NAMES}
    takes_custom_events = True
    recommended = frozenset(NAMES)
    batch_limit = 500  # "we recommend using about 500 rows per request"; 50,000 are taken
    max_body_bytes = 10_000_000  # "10 MB"
    docs_url = "https://cloud.google.com/bigquery/docs/streaming-data-into-bigquery"
    plain_identity = _rows.PLAIN_IDENTITY
    oauth = ServiceAccount()
    ddl = DDL
    fields = (
        Field(name="project_id", label=_("Project"), required=True, pattern=r"[a-z][a-z0-9-]{4,28}[a-z0-9]",
              example="acme-analytics-1042",
              help=_("The project's id (not its name): Google Cloud console, at the top")),
        Field(name="dataset", label=_("Data set"), required=True, pattern=r"[A-Za-z0-9_]{1,1024}", example="trackstack",
              help=_("BigQuery → Explorer, below the project")),
        Field(name="table", label=_("Table"), required=True, pattern=r"[\w-]{1,1024}", example="trackstack_events",
              help=_("Create it first; its CREATE TABLE stands in docs/platforms/bigquery.md")),
        Field(name="location", label=_("Location"), is_advanced=True, pattern=r"[A-Za-z0-9-]{2,40}",
              help=_("Where the data set is, such as EU; for your own records, BigQuery finds it by itself")),
        Field(name="service_account_json", label=_("Service account key"), secret=True, required=True, multiline=True,
              pattern=r"\s*\{[\s\S]+\}\s*", example=SERVICE_ACCOUNT,
              help=_("The whole JSON file: IAM → Service accounts → Keys → Add key; its role on the table is "
                     "BigQuery Data Editor")),
    )  # fmt: skip

    def problems(self, config: Config) -> dict[str, str]:
        found = super().problems(config)
        text = config.get("service_account_json", "")
        if "service_account_json" not in found and (sentence := _google_auth.problem_of_account(text)):
            found["service_account_json"] = sentence
        return found

    def build(self, items: Sequence[Item], config: Config, now: datetime) -> Built:
        encoder = msgspec.json.Encoder()
        parts = [
            (item, encoder.encode({"insertId": insert_id(item.event_id), "json": _rows.row(item, self.key)}))
            for item in items
        ]
        url = f"{_table_url(config)}/insertAll"
        headers = {"Authorization": f"Bearer {config.get(ACCESS_TOKEN, '')}", "Content-Type": "application/json"}
        runs = base.chunks(parts, self.batch_limit, self.max_body_bytes)
        return Built(skipped=[], requests=base.posts(runs, url, headers, HEAD, b"]}"))

    def parse(self, request: Request, response: Response) -> list[Outcome]:
        """A 200 lists the rows it did not take, by index; anything else is about the whole request."""
        status, count, answer = response.status, len(request.items), response.json()
        if 200 <= status < 300:
            return _accepted(status, answer, count)
        error = answer.get("error") if isinstance(answer, dict) else None
        error = error if isinstance(error, dict) else {}
        reason, message = _reason(error), str(error.get("message") or "no reason given")
        said = masked(f"BigQuery {status}: {message}", cap=240)
        if status == 401:
            detail = f"{said}; a new access token is fetched, if that does not help check the service account key."
            return [Outcome(result=Result.CONFIG, reason=TOKEN_EXPIRED, detail=detail)] * count
        if base.is_transient(status):
            result, advice = Result.RETRY, ERRORS.get(reason, (None, ""))[1]
        elif reason in ERRORS:
            result, advice = ERRORS[reason]
        else:
            result, advice = Result.CONFIG if status in (403, 404) or status < 400 else Result.PERMANENT, ""
        after = base.retry_after(response) if result == Result.RETRY else None
        if reason == "quotaExceeded" and after is None:
            after = QUOTA_SECONDS
        if result == Result.PERMANENT and count > 1:
            result = Result.SPLIT
        return [Outcome(result=result, detail=f"{said}; {advice}." if advice else said, after=after)] * count

    def check(self, config: Config, now: datetime) -> Request | None:
        """The table's description. Source: …/rest/v2/tables/get."""
        headers = {"Authorization": f"Bearer {config.get(ACCESS_TOKEN, '')}"}
        return Request(method="GET", url=_table_url(config), headers=headers, body=b"", items=())

    def read_check(self, response: Response, config: Config) -> Outcome:
        if _reading.is_good(response) and _reading.fields_of(response).get("kind") == "bigquery#table":
            return _reading.good(f"Table {config.get('dataset', '')}.{config.get('table', '')} answers.")
        return _reading.refused(self, response)


def _table_url(config: Config) -> str:
    project, dataset, table = (quote(config.get(name, ""), safe="") for name in ("project_id", "dataset", "table"))
    return f"https://bigquery.googleapis.com/bigquery/v2/projects/{project}/datasets/{dataset}/tables/{table}"


def _accepted(status: int, answer: Any, count: int) -> list[Outcome]:
    if not isinstance(answer, dict) or not isinstance(errors := answer.get("insertErrors", []), list):
        return [Outcome(result=Result.RETRY, detail=f"BigQuery answered {status} with something unreadable.")] * count
    if not errors and answer.get("kind") != "bigquery#tableDataInsertAllResponse":
        return [Outcome(result=Result.RETRY, detail=f"BigQuery answered {status} as it does not answer rows.")] * count
    outcomes = [base.OK] * count
    for entry in errors:
        index = entry.get("index", 0) if isinstance(entry, dict) else None  # JSON of protobuf leaves a 0 out
        if not isinstance(index, int) or not 0 <= index < count:
            # Something was not taken and it is not said what: insertId keeps the others from being doubled.
            return [Outcome(result=Result.RETRY, detail="BigQuery refused a row without naming it.")] * count
        outcomes[index] = _row_outcome(entry.get("errors"))
    return outcomes


def _row_outcome(errors: Any) -> Outcome:
    listed = list(_reading.objects(errors))
    reasons = {str(error.get("reason")) for error in listed}
    if reasons == {"stopped"}:
        return Outcome(result=Result.RETRY, after=0.0, detail="BigQuery stopped at another row of the batch.")
    first = next((error for error in listed if error.get("reason") != "stopped"), {})
    column = f" (column {first['location']})" if first.get("location") else ""
    detail = masked(f"BigQuery refused the row: {first.get('message') or first.get('reason')}{column}", cap=260)
    result, advice = ERRORS.get(str(first.get("reason")), (Result.PERMANENT, ERRORS["invalid"][1]))
    return Outcome(result=result, detail=f"{detail}; {advice}." if advice else detail)


def _reason(error: Mapping[str, Any]) -> str:
    """`errors[0].reason`, else the one in `details`, where newer parts of Google's front end put it."""
    for name in ("errors", "details"):
        entries = error.get(name)
        for entry in entries if isinstance(entries, list) else []:
            if isinstance(entry, dict) and isinstance(entry.get("reason"), str):
                reason: str = entry["reason"]
                return reason
    return ""


def insert_id(event_id: str) -> str:
    """The event id, or its hash when it is longer than BigQuery takes."""
    if len(event_id) <= MAX_INSERT_ID:
        return event_id
    return sha256(event_id.encode("utf-8", "surrogatepass")).hexdigest()
