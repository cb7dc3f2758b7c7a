"""BigQuery's double: the token of a service account, and rows that are refused by index."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest

from destinations.platforms import bigquery
from destinations.platforms._bigquery_example import SERVICE_ACCOUNT
from destinations.platforms.base import ACCESS_TOKEN, Outcome, Response, Result, Token
from destinations.sandbox.bigquery import GRANT, TOKEN_URL
from destinations.sandbox.server import Sandbox
from tests.destinations.platforms.making import CONFIG, item
from tests.destinations.sandbox.support import GONE, Reply, ask, changed
from tests.destinations.sandbox.warehouses import ITEMS, ROW, deliver, post

PATH = "/bigquery/bigquery/v2/projects/acme-analytics-1042/datasets/trackstack/tables/events/insertAll"
HEADERS = {"Authorization": "Bearer ya29.an-access-token", "Content-Type": "application/json"}
OTHER = "someone@other-project.iam.gserviceaccount.com"


def send(
    sandbox: Sandbox, *rows: Any, method: str = "POST", path: str = PATH, headers: Any = None, **root: Any
) -> Reply:
    body = {"rows": [{"insertId": f"i{n}", "json": row} for n, row in enumerate(rows or (ROW,))]} | root
    return ask(sandbox.url, method, path, {k: v for k, v in body.items() if v is not GONE}, HEADERS | (headers or {}))


def reason_of(reply: Reply) -> str:
    reason: str = reply.json["error"]["errors"][0]["reason"]
    return reason


def refused_of(reply: Reply) -> dict[int, str]:
    assert reply.status == 200
    return {entry["index"]: entry["errors"][0]["reason"] for entry in reply.json.get("insertErrors", [])}


# --- Rows ---------------------------------------------------------------------------------------------
def test_good_rows(sandbox: Sandbox) -> None:
    reply = send(sandbox, ROW, ROW | {"event_id": "evt-2", "email": None})
    assert (reply.status, reply.json) == (200, {"kind": "bigquery#tableDataInsertAllResponse"})


@pytest.mark.parametrize(
    "change",
    [
        {"email": 5}, {"value": "49.9"}, {"num_items": 1.5}, {"content_ids": ["a"]}, {"properties": "{"}, {"mine": "x"},
        {"event_id": None}, {"occurred_at": "2026-11-23 11:00:00"}, {"occurred_at": 1795431600000},
    ],
    ids=str,
)  # fmt: skip
def test_a_bad_row_is_named(sandbox: Sandbox, change: dict[str, Any]) -> None:
    rows = (ROW, ROW | {"event_id": "bad"} | change, ROW | {"event_id": "evt-3"})
    assert refused_of(send(sandbox, *rows)) == {0: "stopped", 1: "invalid", 2: "stopped"}
    assert ask(sandbox.url, "GET", "/_accepted").json == {}
    assert refused_of(send(sandbox, *rows, skipInvalidRows=True)) == {1: "invalid"}
    assert ask(sandbox.url, "GET", "/_accepted").json == {"evt-1": 1, "evt-3": 1}


def test_unknown_columns_may_be_ignored(sandbox: Sandbox) -> None:
    assert refused_of(send(sandbox, ROW | {"mine": 1}, ignoreUnknownValues=True)) == {}


@pytest.mark.parametrize(
    ("options", "status", "reason"),
    [
        ({"rows": GONE}, 400, "invalid"), ({"rows": []}, 400, "invalid"), ({"rows": {}}, 400, "invalid"),
        ({"rows": [{"insertId": "x"}]}, 400, "invalid"), ({"rows": [{"json": ROW, "insertID": "x"}]}, 400, "invalid"),
        ({"rows": [{"json": ROW, "insertId": "x" * 129}]}, 400, "invalid"), ({"rows": [{"json": []}]}, 400, "invalid"),
        ({"skipInvalidRows": "true"}, 400, "invalid"), ({"surprise": 1}, 400, "invalid"),
        ({"method": "GET"}, 404, "notFound"), ({"path": "/bigquery/v2/projects"}, 404, "notFound"),
        ({"path": PATH.replace("/trackstack/", "/missing/")}, 404, "notFound"),
        ({"path": PATH.replace("/events/", "/missing/")}, 404, "notFound"),
        ({"path": PATH + "?key=1"}, 400, "badRequest"),
        ({"headers": {"Content-Type": "text/plain"}}, 400, "badRequest"),
        ({"headers": {"Authorization": "Basic x"}}, 401, "authError"),
        ({"headers": {"Authorization": "Bearer EAAB1234567890"}}, 401, "authError"),
        ({"headers": {"Authorization": "Bearer ya29.expired-token"}}, 401, "authError"),
        ({"headers": {"Authorization": "Bearer ya29.revoked-token"}}, 401, "authError"),
        ({"headers": {"Authorization": "Bearer ya29.forbidden-token"}}, 403, "accessDenied"),
    ],
    ids=str,
)  # fmt: skip
def test_requests(sandbox: Sandbox, options: dict[str, Any], status: int, reason: str) -> None:
    reply = send(sandbox, **options)
    assert (reply.status, reason_of(reply)) == (status, reason)


@pytest.mark.parametrize("body", [b"", b"{", b"[]"])
def test_bodies(sandbox: Sandbox, body: bytes) -> None:
    assert ask(sandbox.url, "POST", PATH, body, HEADERS).status == 400


# --- Tokens -------------------------------------------------------------------------------------------
def ask_token(sandbox: Sandbox, assertion: str, **changes: Any) -> Reply:
    form = {"grant_type": GRANT, "assertion": assertion} | changes
    body = urlencode({name: value for name, value in form.items() if value is not GONE}).encode()
    return ask(sandbox.url, "POST", "/bigquery/token", body, {"Content-Type": "application/x-www-form-urlencoded"})


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    scope = "https://www.googleapis.com/auth/bigquery.insertdata"
    return changed({"iss": OTHER, "scope": scope, "aud": TOKEN_URL, "iat": now, "exp": now + 3600}, changes)


def signed(**changes: Any) -> str:
    """An assertion of an account whose key the double cannot know, signed with that of the example."""
    return jwt.encode(claims(**changes), json.loads(SERVICE_ACCOUNT)["private_key"], algorithm="RS256")


def test_a_token_for_an_assertion(sandbox: Sandbox) -> None:
    reply = ask_token(sandbox, signed())
    assert reply.status == 200
    assert reply.json == {"access_token": "ya29.sandbox-access-token", "expires_in": 3599, "token_type": "Bearer"}


NOW = int(time.time())


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"iss": "someone@gmail.com"}, "invalid_grant"), ({"iss": GONE}, "invalid_grant"),
        ({"iss": "revoked@other-project.iam.gserviceaccount.com"}, "invalid_grant"),
        ({"aud": "https://bigquery.googleapis.com/"}, "invalid_grant"),
        ({"scope": GONE}, "invalid_scope"), ({"scope": "https://www.googleapis.com/auth/unheard"}, "invalid_scope"),
        ({"exp": NOW + 7200}, "invalid_grant"), ({"iat": NOW - 9000, "exp": NOW - 5400}, "invalid_grant"),
        ({"iat": NOW + 9000, "exp": NOW + 9900}, "invalid_grant"), ({"iat": GONE}, "invalid_grant"),
    ],
    ids=str,
)  # fmt: skip
def test_claims(sandbox: Sandbox, changes: dict[str, Any], error: str) -> None:
    reply = ask_token(sandbox, signed(**changes))
    assert (reply.status, reply.json["error"]) == (400, error)


def test_other_token_requests(sandbox: Sandbox) -> None:
    assert ask_token(sandbox, "").status == 400
    assert ask_token(sandbox, "a.b.c").json["error"] == "invalid_grant"
    assert ask_token(sandbox, signed(), grant_type="client_credentials").json["error"] == "unsupported_grant_type"
    assert ask_token(sandbox, jwt.encode(claims(), "x" * 32, algorithm="HS256")).json["error"] == "invalid_grant"
    assert ask(sandbox.url, "GET", "/bigquery/token").json["error"] == "invalid_request"


def test_the_signature_of_the_example_account_is_verified(sandbox: Sandbox) -> None:
    good = signed(iss=CONFIG_ACCOUNT)
    assert ask_token(sandbox, good).status == 200
    head, body, signature = good.split(".")
    forged = f"{head}.{body}.{'A' * 10}{signature[10:]}"
    assert ask_token(sandbox, forged).json["error_description"] == "Invalid JWT Signature."


CONFIG_ACCOUNT = "trackstack@acme-analytics-1042.iam.gserviceaccount.com"


# --- With the adapter ---------------------------------------------------------------------------------
def fetched(sandbox: Sandbox, text: str) -> Token | Outcome:
    request = bigquery.ServiceAccount().request({"service_account_json": text}, datetime.now(UTC))
    assert request is not None
    reply = post(sandbox, "bigquery", request)
    return bigquery.ServiceAccount().read(Response(status=reply.status, headers=reply.headers, body=reply.body))


def test_what_the_adapter_builds_is_taken_with_the_token_it_gets(sandbox: Sandbox) -> None:
    token = fetched(sandbox, CONFIG["bigquery"]["service_account_json"])
    assert isinstance(token, Token)
    outcomes = deliver(sandbox, "bigquery", **{ACCESS_TOKEN: token.access_token})
    assert [outcome.result for outcome in outcomes] == [Result.OK] * len(ITEMS)
    assert ask(sandbox.url, "GET", "/_accepted").json == {f"e{n}": 1 for n in range(5)}


def test_the_adapter_reads_a_refused_account(sandbox: Sandbox) -> None:
    outcome = fetched(sandbox, SERVICE_ACCOUNT.replace("trackstack@", "revoked@"))
    assert isinstance(outcome, Outcome)
    assert outcome.result == Result.CONFIG


@pytest.mark.parametrize(
    ("config", "result"),
    [
        ({ACCESS_TOKEN: "ya29.expired-token"}, Result.CONFIG),
        ({ACCESS_TOKEN: "ya29.forbidden-token"}, Result.CONFIG),
        ({"table": "missing_table"}, Result.CONFIG),
        ({"dataset": "missing_set"}, Result.CONFIG),
    ],
    ids=str,
)
def test_the_adapter_reads_the_refusals(sandbox: Sandbox, config: dict[str, str], result: Result) -> None:
    assert {outcome.result for outcome in deliver(sandbox, "bigquery", **config)} == {result}


def test_only_the_bad_row_is_refused(sandbox: Sandbox) -> None:
    items = [item(key=n, event_id=f"e{n}") for n in range(3)]
    items[1] = item(key=1, event_id="e1", platform_params={"bigquery": {"value": "x"}})
    outcomes = deliver(sandbox, "bigquery", items)
    assert [outcome.result for outcome in outcomes] == [Result.OK, Result.PERMANENT, Result.OK]
    assert ask(sandbox.url, "GET", "/_accepted").json == {"e0": 1, "e2": 1}


@pytest.mark.parametrize(
    ("kind", "results"),
    [
        ("429", [Result.RETRY] * 5), ("500", [Result.RETRY] * 5), ("html", [Result.RETRY] * 5),
        ("empty", [Result.RETRY] * 5), ("401", [Result.CONFIG] * 5), ("403", [Result.CONFIG] * 5),
        ("404", [Result.CONFIG] * 5), ("400", [Result.SPLIT] * 5), ("partial", [*[Result.OK] * 4, Result.PERMANENT]),
    ],
)  # fmt: skip
def test_injected_failures(sandbox: Sandbox, kind: str, results: list[Result]) -> None:
    ask(sandbox.url, "POST", "/_failures", {"platform": "bigquery", "kind": kind, "times": 1})
    assert [outcome.result for outcome in deliver(sandbox, "bigquery")] == results
    if kind == "partial":
        assert ask(sandbox.url, "GET", "/_accepted").json == {f"e{n}": 1 for n in range(4)}
