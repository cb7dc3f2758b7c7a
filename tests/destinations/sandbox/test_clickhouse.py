"""ClickHouse's double refuses what ClickHouse refuses, in ClickHouse's words, and takes what the adapter builds."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from destinations.platforms.base import Result
from destinations.sandbox.server import Sandbox
from tests.destinations.platforms.making import item
from tests.destinations.sandbox.support import GONE, Reply, ask
from tests.destinations.sandbox.warehouses import ITEMS, ROW, deliver

HEADERS = {"X-ClickHouse-User": "default", "X-ClickHouse-Key": "secret"}
PARAMETERS = {
    "database": "default",
    "query": "INSERT INTO `events` FORMAT JSONEachRow",
    "date_time_input_format": "best_effort",
}


def send(
    sandbox: Sandbox, *rows: Any, method: str = "POST", path: str = "/", headers: Any = HEADERS, **changes: Any
) -> Reply:
    parameters = {name: value for name, value in (PARAMETERS | changes).items() if value is not GONE}
    body = b"\n".join(row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows or (ROW,))
    return ask(sandbox.url, method, f"/clickhouse{path}?{urlencode(parameters, quote_via=quote)}", body, headers)


def code_of(reply: Reply) -> int:
    assert f"Code: {reply.headers['x-clickhouse-exception-code']}. DB::Exception: ".encode() in reply.body
    return int(reply.headers["x-clickhouse-exception-code"])


def test_a_good_insert_is_answered_with_nothing(sandbox: Sandbox) -> None:
    reply = send(sandbox, ROW, ROW | {"event_id": "evt-2", "email": None})
    assert (reply.status, reply.body) == (200, b"")
    assert json.loads(reply.headers["x-clickhouse-summary"])["written_rows"] == "2"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"email": 5}, 27), ({"value": "49.9"}, 27), ({"value": True}, 27), ({"num_items": 1.5}, 27),
        ({"content_ids": ["a"]}, 27), ({"properties": "{"}, 27), ({"event_id": None}, 349),
        ({"occurred_at": 1795431600}, 27), ({"occurred_at": "yesterday"}, 41), ({"mine": "x"}, 117),
    ],
    ids=str,
)  # fmt: skip
def test_a_bad_row_refuses_all_of_them(sandbox: Sandbox, change: dict[str, Any], code: int) -> None:
    reply = send(sandbox, ROW, ROW | change)
    assert (reply.status, code_of(reply)) == (400, code)
    assert b"(at row 2)" in reply.body
    assert ask(sandbox.url, "GET", "/_accepted").json == {}


@pytest.mark.parametrize("name", ["event_id", "event", "occurred_at"])
def test_columns_every_row_needs(sandbox: Sandbox, name: str) -> None:
    assert code_of(send(sandbox, {key: value for key, value in ROW.items() if key != name})) == 27


def test_settings_do_what_they_say(sandbox: Sandbox) -> None:
    assert send(sandbox, ROW | {"mine": 1}, input_format_skip_unknown_fields="1").status == 200
    assert code_of(send(sandbox, date_time_input_format=GONE)) == 41
    assert send(sandbox, ROW | {"occurred_at": "2026-11-23 11:00:00.000"}, date_time_input_format=GONE).status == 200


@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        ({"query": GONE}, 400, 62),
        ({"query": "SELECT 1"}, 400, 62),
        ({"query": "INSERT INTO `a` FORMAT CSV"}, 400, 62),
        ({"query": "INSERT INTO `a`; DROP TABLE b FORMAT JSONEachRow"}, 400, 62),
        ({"query": "INSERT INTO `missing_table` FORMAT JSONEachRow"}, 404, 60),
        ({"query": "INSERT INTO `missing_db`.`a` FORMAT JSONEachRow"}, 404, 81),
        ({"database": "missing_db"}, 404, 81),
        ({"made_up_setting": "1"}, 404, 115),
        ({"async_insert": "yes"}, 400, 27),
        ({"method": "GET"}, 500, 164),
        ({"user": "default"}, 403, 516),
        ({"headers": {}}, 403, 516),
        ({"headers": HEADERS | {"X-ClickHouse-Key": "expired"}}, 403, 516),
        ({"headers": HEADERS | {"X-ClickHouse-Key": "revoked"}}, 403, 516),
        ({"headers": HEADERS | {"X-ClickHouse-Key": "forbidden"}}, 403, 497),
    ],
    ids=str,
)
def test_requests(sandbox: Sandbox, options: dict[str, Any], status: int, code: int) -> None:
    reply = send(sandbox, **options)
    assert (reply.status, code_of(reply)) == (status, code)


@pytest.mark.parametrize(("body", "code"), [(b"", 108), (b"{", 27), (b"[]", 27), (b'{"a":NaN}', 27)])
def test_bodies(sandbox: Sandbox, body: bytes, code: int) -> None:
    assert code_of(send(sandbox, body)) == code


def test_another_path_has_no_handler(sandbox: Sandbox) -> None:
    assert send(sandbox, path="/insert").status == 404


# --- With the adapter ---------------------------------------------------------------------------------
def test_what_the_adapter_builds_is_taken(sandbox: Sandbox) -> None:
    assert [outcome.result for outcome in deliver(sandbox, "clickhouse")] == [Result.OK] * len(ITEMS)
    assert ask(sandbox.url, "GET", "/_accepted").json == {f"e{n}": 1 for n in range(5)}


@pytest.mark.parametrize(
    ("config", "result"),
    [
        ({"password": "expired-password"}, Result.CONFIG),
        ({"password": "forbidden-password"}, Result.CONFIG),
        ({"table": "missing_table"}, Result.CONFIG),
        ({"database": "missing_db"}, Result.CONFIG),
        ({"table": "marketing.events"}, Result.OK),
    ],
    ids=str,
)
def test_the_adapter_reads_the_refusals(sandbox: Sandbox, config: dict[str, str], result: Result) -> None:
    assert {outcome.result for outcome in deliver(sandbox, "clickhouse", **config)} == {result}


def test_a_row_that_does_not_fit_is_looked_for_and_refused_alone(sandbox: Sandbox) -> None:
    bad = item(platform_params={"clickhouse": {"value": "many"}})
    assert [outcome.result for outcome in deliver(sandbox, "clickhouse", [item(), bad])] == [Result.SPLIT] * 2
    assert [outcome.result for outcome in deliver(sandbox, "clickhouse", [bad])] == [Result.PERMANENT]


@pytest.mark.parametrize(
    ("kind", "result"),
    [("429", Result.RETRY), ("500", Result.RETRY), ("503", Result.RETRY), ("408", Result.RETRY), ("html", Result.RETRY),
     ("401", Result.CONFIG), ("403", Result.CONFIG), ("404", Result.CONFIG), ("400", Result.SPLIT),
     ("empty", Result.OK)],
)  # fmt: skip
def test_injected_failures(sandbox: Sandbox, kind: str, result: Result) -> None:
    ask(sandbox.url, "POST", "/_failures", {"platform": "clickhouse", "kind": kind, "times": 1})
    assert {outcome.result for outcome in deliver(sandbox, "clickhouse")} == {result}
