"""Tinybird: NDJSON for a data source, and counts of what went where."""

from __future__ import annotations

import json
from typing import Any

import pytest

from destinations.platforms.base import Outcome, Request, Response, Result
from destinations.platforms.tinybird import ERRORS, Tinybird
from tests.destinations.platforms.making import CONFIG, NOW, item, only

TINYBIRD = Tinybird()
OK, RETRY, PERMANENT, CONFIGURE, SPLIT = Result.OK, Result.RETRY, Result.PERMANENT, Result.CONFIG, Result.SPLIT


def built(*items: Any, **config: str) -> Request:
    return only(TINYBIRD.build(items or (item(),), CONFIG["tinybird"] | config, NOW))


def parsed(status: int, answer: Any = b"", count: int = 1, **headers: str) -> list[Outcome]:
    request = Request(method="POST", url="u", headers={}, body=b"", items=tuple(item(key=n) for n in range(count)))
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    lower = {name.replace("_", "-"): value for name, value in headers.items()}
    return TINYBIRD.parse(request, Response(status=status, headers=lower, body=body))


def counts(good: Any, bad: Any) -> dict[str, Any]:
    return {"successful_rows": good, "quarantined_rows": bad}


# --- Build --------------------------------------------------------------------------------------------
def test_the_request() -> None:
    request = built()
    assert request.method == "POST"
    assert request.url == "https://api.us-east.tinybird.co/v0/events?name=trackstack_events&wait=true"
    assert request.headers["Authorization"] == "Bearer " + CONFIG["tinybird"]["token"]
    assert request.headers["Content-Type"] == "application/x-ndjson"


@pytest.mark.parametrize(("wait", "sent"), [("", "true"), ("true", "true"), ("false", "false")])
def test_waiting_is_said_in_any_case(wait: str, sent: str) -> None:
    assert built(wait=wait).url.endswith(f"&wait={sent}")


def test_times_are_written_as_datetime64_reads_them() -> None:
    assert json.loads(built().body)["occurred_at"] == "2026-11-23 11:00:00.000"


def test_one_line_per_event() -> None:
    lines = built(*(item(key=n, event_id=f"e{n}", content_name="a\nb") for n in range(3))).body.decode().splitlines()
    assert [json.loads(line)["event_id"] for line in lines] == ["e0", "e1", "e2"]


@pytest.mark.parametrize(
    "fields",
    [
        {"email": "é😀@例え.jp"}, {"page_title": "x" * 10_000}, {"value": -1.0}, {"value": 0.0}, {"value": 1e309},
        {"occurred_ms": 0}, {"occurred_ms": 4_102_444_800_000}, {"platform_params": {"tinybird": {"event": {"a": 1}}}},
    ],
    ids=lambda fields: str(fields)[:40],
)  # fmt: skip
def test_nasty_events_make_one_line_of_json(fields: dict[str, Any]) -> None:
    (line,) = built(item(**fields)).body.splitlines()
    assert isinstance(json.loads(line), dict)


@pytest.mark.parametrize(
    ("name", "value", "is_good"),
    [
        ("api_host", "https://api.tinybird.co", True),
        ("api_host", "https://api.europe-west2.gcp.tinybird.co", True),
        ("api_host", "https://api.us-east.aws.tinybird.co/", True),
        ("api_host", "http://localhost:7181", True),
        ("api_host", "https://tinybird.co.example.com", False),
        ("api_host", "http://api.tinybird.co", False),
        ("token", "p.eyJ1.x-y_z", True),
        ("token", "eyJ1", False),
        ("data_source", "a-b", False),
        ("wait", "maybe", False),
    ],
)
def test_the_configuration(name: str, value: str, is_good: bool) -> None:
    assert (TINYBIRD.problems(CONFIG["tinybird"] | {name: value}) == {}) is is_good


# --- Parse --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("status", [200, 202])
def test_written_and_queued_rows_are_taken(status: int) -> None:
    assert [o.result for o in parsed(status, counts(2, 0), 2)] == [OK, OK]


def test_a_quarantined_row_is_not_sent_again() -> None:
    (alone,) = parsed(200, counts(0, 1))
    assert alone.result == Result.SKIPPED
    assert "quarantine" in alone.detail
    some = parsed(200, counts(2, 1), 3)
    assert [o.result for o in some] == [OK] * 3
    assert some[0].detail.startswith("1 of 3 rows")
    assert [o.result for o in parsed(200, counts(0, 2), 2)] == [Result.SKIPPED] * 2


@pytest.mark.parametrize("answer", [b"", b"<html>", b'{"successful_rows":1', b"[]", counts("1", 0), counts(None, None)])
def test_an_answer_without_counts_is_no_answer(answer: Any) -> None:
    assert [o.result for o in parsed(200, answer, 2)] == [RETRY] * 2


@pytest.mark.parametrize("status", ERRORS)
@pytest.mark.parametrize("count", [1, 2])
def test_every_status_of_the_table(status: int, count: int) -> None:
    result, advice = ERRORS[status]
    outcomes = parsed(status, {"error": "no"}, count)
    assert [o.result for o in outcomes] == [SPLIT if result == PERMANENT and count == 2 else result] * count
    assert advice in outcomes[0].detail


@pytest.mark.parametrize(
    ("status", "error", "count", "result"),
    [
        (400, "The 'name' parameter is missing", 2, CONFIGURE),
        (400, "Data Source 'x' does not exist", 2, CONFIGURE),
        (400, "invalid JSON", 2, SPLIT),
        (400, "invalid JSON", 1, PERMANENT),
        (405, "method not allowed", 1, PERMANENT),
        (500, "Internal error", 2, RETRY),
        (503, "Service unavailable", 1, RETRY),
    ],
)
def test_other_refusals(status: int, error: str, count: int, result: Result) -> None:
    assert [o.result for o in parsed(status, {"error": error}, count)] == [result] * count


def test_retry_after_is_honoured() -> None:
    (outcome,) = parsed(429, {"error": "Too many requests"}, retry_after="2")
    assert (outcome.result, outcome.after) == (RETRY, 2.0)


def test_the_sentence_masks_what_the_server_echoes() -> None:
    assert "ada@example.com" not in parsed(400, {"error": "bad row ada@example.com"})[0].detail
