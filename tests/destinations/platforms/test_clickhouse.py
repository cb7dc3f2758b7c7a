"""ClickHouse: one INSERT per batch, and the exception read wherever the server puts it."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from destinations.platforms.base import Outcome, Request, Response, Result
from destinations.platforms.clickhouse import ERRORS, ClickHouse
from tests.destinations.platforms.making import CONFIG, NOW, item, only

CLICKHOUSE = ClickHouse()
OK, RETRY, PERMANENT, CONFIGURE, SPLIT = Result.OK, Result.RETRY, Result.PERMANENT, Result.CONFIG, Result.SPLIT


def built(*items: Any, **config: str) -> Request:
    return only(CLICKHOUSE.build(items or (item(),), CONFIG["clickhouse"] | config, NOW))


def parsed(status: int, body: bytes = b"", count: int = 1, **headers: str) -> list[Outcome]:
    request = Request(method="POST", url="u", headers={}, body=b"", items=tuple(item(key=n) for n in range(count)))
    lower = {name.replace("_", "-"): value for name, value in headers.items()}
    return CLICKHOUSE.parse(request, Response(status=status, headers=lower, body=body))


def query_of(request: Request) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(request.url).query, strict_parsing=True).items()}


def exception(code: int, text: str = "something is wrong") -> bytes:
    return f"Code: {code}. DB::Exception: {text}. (NAME) (version 26.8.2.11 (official build))\n".encode()


# --- Build --------------------------------------------------------------------------------------------
def test_the_insert() -> None:
    request = built()
    assert request.method == "POST"
    assert request.url.startswith(
        "https://abc123.eu-central-1.aws.clickhouse.cloud:8443/?database=marketing&query=INSERT%20"
    )
    query = query_of(request)
    assert query.pop("query") == "INSERT INTO `trackstack_events` FORMAT JSONEachRow"
    assert len(query.pop("insert_deduplication_token")) == 64
    assert query == {
        "database": "marketing", "async_insert": "1", "wait_for_async_insert": "1", "async_insert_deduplicate": "1",
        "date_time_input_format": "best_effort", "input_format_skip_unknown_fields": "1",
        "input_format_null_as_default": "1", "wait_end_of_query": "1",
    }  # fmt: skip


def test_credentials_are_in_headers() -> None:
    request = built()
    assert request.headers["X-ClickHouse-User"] == "trackstack"
    assert request.headers["X-ClickHouse-Key"] == "correct-horse-battery"
    assert "correct-horse" not in request.url


def test_defaults() -> None:
    request = built(database="", username="", password="")
    assert query_of(request)["database"] == "default"
    assert request.headers == {"Content-Type": "application/x-ndjson", "X-ClickHouse-User": "default"}


def test_a_table_in_another_database_is_quoted_by_its_parts() -> None:
    assert query_of(built(table="mart.events"))["query"] == "INSERT INTO `mart`.`events` FORMAT JSONEachRow"
    assert "8443/?" in built(url=CONFIG["clickhouse"]["url"] + "/").url


def test_one_line_per_event() -> None:
    request = built(*(item(key=n, event_id=f"e{n}", properties={"text": "a\nb"}) for n in range(3)))
    lines = request.body.decode().splitlines()
    assert [json.loads(line)["event_id"] for line in lines] == ["e0", "e1", "e2"]
    assert request.body.endswith(b"}\n")


def test_the_token_is_the_batch() -> None:
    tokens = [
        query_of(built(*batch))["insert_deduplication_token"]
        for batch in ([item()], [item(email="x@y.zz")], [item(event_id="other")])
    ]
    assert tokens[0] == tokens[1] != tokens[2]


NASTY = [
    {"email": "é😀@例え.jp"},
    {"page_title": "x" * 10_000},
    {"page_title": "\u2028\u2029\x00\x1f\"'\\`"},
    {"value": -1.0, "currency": "USD"},
    {"value": 0.0, "currency": "USD"},
    {"value": 1e309, "currency": "USD"},
    {"value": 1e15},
    {"occurred_ms": 0},
    {"occurred_ms": 4_102_444_800_000},
    {"platform_params": {"clickhouse": {"occurred_at": None, "event_id": {"a": []}, "`": "DROP TABLE"}}},
]


@pytest.mark.parametrize("fields", NASTY, ids=lambda fields: str(fields)[:40])
def test_nasty_events_make_one_line_of_json(fields: dict[str, Any]) -> None:
    (line,) = built(item(**fields)).body.splitlines()
    assert isinstance(json.loads(line), dict)


@pytest.mark.parametrize(
    ("name", "value", "is_good"),
    [
        ("url", "http://localhost:8123", True),
        ("url", "https://ch.example.com:8443/", True),
        ("url", "https://user:password@ch.example.com", False),
        ("url", "https://ch.example.com/?query=SELECT", False),
        ("url", "ch.example.com:8443", False),
        ("table", "a.b", True),
        ("table", "a.b.c", False),
        ("table", "a`b", False),
        ("table", "9a", False),
        ("database", "a-b", False),
        ("password", "zwölf", False),
        ("username", "a b", False),
    ],
)
def test_the_configuration(name: str, value: str, is_good: bool) -> None:
    assert (CLICKHOUSE.problems(CONFIG["clickhouse"] | {name: value}) == {}) is is_good


# --- Parse --------------------------------------------------------------------------------------------
def test_an_empty_200_is_taken() -> None:
    assert [o.result for o in parsed(200, count=3, x_clickhouse_summary='{"written_rows":"3"}')] == [OK] * 3


@pytest.mark.parametrize("code", ERRORS)
@pytest.mark.parametrize("count", [1, 2])
def test_every_code(code: int, count: int) -> None:
    result, advice = ERRORS[code]
    for outcomes in (
        parsed(500, exception(code), count),
        parsed(400, exception(code), count, x_clickhouse_exception_code=str(code)),
        parsed(200, exception(code), count),
        parsed(200, b"", count, x_clickhouse_exception_code=str(code)),
    ):
        expected = SPLIT if result == PERMANENT and count == 2 else result
        assert [o.result for o in outcomes] == [expected] * count
        assert advice in outcomes[0].detail
        assert str(code) in outcomes[0].detail


@pytest.mark.parametrize(
    ("code", "result"),
    [(60, CONFIGURE), (81, CONFIGURE), (516, CONFIGURE), (497, CONFIGURE), (27, PERMANENT), (117, PERMANENT),
     (202, RETRY), (241, RETRY), (252, RETRY), (319, RETRY), (999, RETRY)],
)  # fmt: skip
def test_what_the_codes_mean(code: int, result: Result) -> None:
    assert parsed(500, exception(code))[0].result == result


@pytest.mark.parametrize(
    ("status", "body", "count", "result"),
    [
        (200, b"<html>Welcome</html>", 1, RETRY),
        (200, b"Ok.\n", 1, RETRY),
        (200, b"half an answer, then DB::Exception without a code", 1, RETRY),
        (200, exception(31337), 1, RETRY),
        (302, b"", 1, CONFIGURE),
        (401, b"", 1, CONFIGURE),
        (403, b"<html>", 1, CONFIGURE),
        (404, b"There is no handle /x", 1, CONFIGURE),
        (413, b"<html>413 Request Entity Too Large</html>", 2, SPLIT),
        (413, b"<html>413 Request Entity Too Large</html>", 1, PERMANENT),
        (400, exception(31337), 1, PERMANENT),
        (500, exception(31337), 1, RETRY),
        (500, b"\xff\xfe", 1, RETRY),
    ],
)
def test_answers_without_a_known_code(status: int, body: bytes, count: int, result: Result) -> None:
    assert [o.result for o in parsed(status, body, count)] == [result] * count


def test_the_sentence_masks_what_the_server_echoes() -> None:
    detail = parsed(400, exception(27, "Cannot parse input: expected '}' before: ada@example.com"))[0].detail
    assert "ada@example.com" not in detail
    assert "Cannot parse input" in detail


def test_retry_after_is_honoured() -> None:
    assert parsed(503, exception(202), retry_after="7")[0].after == 7.0
    assert parsed(400, exception(27), retry_after="7")[0].after is None
