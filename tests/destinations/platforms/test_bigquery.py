"""BigQuery: insertAll, its refusals by row, and the token of a service account."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

import jwt
import pytest

from destinations.platforms.base import ACCESS_TOKEN, TOKEN_EXPIRED, Outcome, Request, Response, Result, Token
from destinations.platforms.bigquery import ERRORS, TOKEN_ERRORS, BigQuery, ServiceAccount, insert_id
from destinations.sandbox.bigquery import PUBLIC_KEY
from tests.destinations.platforms.making import CONFIG, NOW, body, item, only

BIGQUERY = BigQuery()
FLOW = ServiceAccount()
OK, RETRY, PERMANENT, CONFIGURE, SPLIT = Result.OK, Result.RETRY, Result.PERMANENT, Result.CONFIG, Result.SPLIT
TAKEN = {"kind": "bigquery#tableDataInsertAllResponse"}
ACCOUNT = json.loads(CONFIG["bigquery"]["service_account_json"])


def built(*items: Any, **config: str) -> Request:
    return only(BIGQUERY.build(items or (item(),), CONFIG["bigquery"] | config, NOW))


def response(status: int, answer: Any = b"", **headers: str) -> Response:
    raw = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return Response(status=status, headers={name.replace("_", "-"): v for name, v in headers.items()}, body=raw)


def parsed(status: int, answer: Any = b"", count: int = 1, **headers: str) -> list[Outcome]:
    request = Request(method="POST", url="u", headers={}, body=b"", items=tuple(item(key=n) for n in range(count)))
    return BIGQUERY.parse(request, response(status, answer, **headers))


def error(code: int, reason: str, message: str = "no") -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "errors": [{"reason": reason, "message": message}]}}


def refused(index: int, *reasons: str) -> dict[str, Any]:
    errors = [{"reason": reason, "location": "value", "debugInfo": "", "message": "Could not"} for reason in reasons]
    return {"index": index, "errors": errors}


# --- Build --------------------------------------------------------------------------------------------
def test_the_request() -> None:
    request = built(item(event_id="a"), item(event_id="b"))
    assert request.url == (
        "https://bigquery.googleapis.com/bigquery/v2/projects/acme-analytics-1042/datasets/trackstack"
        "/tables/trackstack_events/insertAll"
    )
    assert request.headers == {
        "Authorization": "Bearer ya29.an-example-access-token",
        "Content-Type": "application/json",
    }
    sent = body(request)
    assert (sent["skipInvalidRows"], sent["ignoreUnknownValues"]) == (True, True)
    assert [row["insertId"] for row in sent["rows"]] == ["a", "b"]
    assert sent["rows"][0]["json"] == {"event_id": "a", "event": "SignUp", "occurred_at": "2026-11-23T11:00:00.000Z"}


def test_the_token_is_the_one_that_was_fetched() -> None:
    assert built(**{ACCESS_TOKEN: "ya29.another"}).headers["Authorization"] == "Bearer ya29.another"


def test_an_event_id_that_is_too_long_is_hashed_and_stays_in_the_row() -> None:
    assert insert_id("x" * 128) == "x" * 128
    (row,) = body(built(item(event_id="x" * 129)))["rows"]
    assert len(row["insertId"]) == 64
    assert row["json"]["event_id"] == "x" * 129


@pytest.mark.parametrize(
    "fields",
    [
        {"email": "é😀@例え.jp"}, {"page_title": "x" * 10_000}, {"value": -1.0}, {"value": 0.0}, {"value": 1e309},
        {"occurred_ms": 0}, {"occurred_ms": 4_102_444_800_000}, {"platform_params": {"bigquery": {"event": {"a": 1}}}},
    ],
    ids=lambda fields: str(fields)[:40],
)  # fmt: skip
def test_nasty_events_make_one_row(fields: dict[str, Any]) -> None:
    (row,) = body(built(item(**fields)))["rows"]
    assert not [value for value in row["json"].values() if isinstance(value, list | dict)]


# --- Configuration ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "value", "is_good"),
    [
        ("project_id", "my-project-1", True),
        ("project_id", "My Project", False),
        ("project_id", "../../x", False),
        ("dataset", "a-b", False),
        ("table", "events-2026", True),
        ("table", "a/b", False),
        ("service_account_json", "{}", False),
        ("service_account_json", "[1]", False),
        ("service_account_json", "not json", False),
        ("service_account_json", json.dumps({"client_email": "a@b.co"}), False),
        ("service_account_json", json.dumps({"client_email": "a@b.co", "private_key": "x"}), False),
        ("service_account_json", json.dumps({**ACCOUNT, "private_key": ACCOUNT["private_key"][:900]}), False),
        ("service_account_json", json.dumps({**ACCOUNT, "client_email": 7}), False),
        ("service_account_json", json.dumps({**ACCOUNT, "private_key": 7}), False),
        ("service_account_json", json.dumps(ACCOUNT, indent=2), True),
    ],
    ids=lambda value: str(value)[:24],
)
def test_the_configuration(name: str, value: str, is_good: bool) -> None:
    problems = BIGQUERY.problems(CONFIG["bigquery"] | {name: value})
    assert (problems == {}) is is_good
    assert all(sentence.endswith(".") for sentence in problems.values())


def test_the_sentence_says_what_the_file_lacks() -> None:
    config = CONFIG["bigquery"] | {"service_account_json": json.dumps({"client_email": "a@b.co"})}
    assert "no private_key" in BIGQUERY.problems(config)["service_account_json"]


# --- Token --------------------------------------------------------------------------------------------
def assertion_of(request: Request | None) -> str:
    assert request is not None
    form = parse_qs(request.body.decode(), strict_parsing=True, keep_blank_values=True)
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    return form["assertion"][0]


def test_the_assertion() -> None:
    request = FLOW.request(CONFIG["bigquery"], NOW)
    assert request is not None
    assert (request.method, request.url) == ("POST", "https://oauth2.googleapis.com/token")
    assert request.headers == {"Content-Type": "application/x-www-form-urlencoded"}
    text = assertion_of(request)
    assert jwt.get_unverified_header(text) == {"alg": "RS256", "typ": "JWT", "kid": ACCOUNT["private_key_id"]}
    claims = jwt.decode(
        text, PUBLIC_KEY, algorithms=["RS256"], audience="https://oauth2.googleapis.com/token",
        options={"verify_exp": False, "verify_iat": False},
    )  # fmt: skip
    assert claims == {
        "iss": "trackstack@acme-analytics-1042.iam.gserviceaccount.com",
        "scope": "https://www.googleapis.com/auth/bigquery.insertdata https://www.googleapis.com/auth/bigquery.readonly",
        "aud": "https://oauth2.googleapis.com/token",
        "iat": int(NOW.timestamp()),
        "exp": int(NOW.timestamp()) + 3600,
    }


def test_the_same_moment_gives_the_same_assertion() -> None:
    assert FLOW.request(CONFIG["bigquery"], NOW) == FLOW.request(CONFIG["bigquery"], NOW)
    assert FLOW.request(CONFIG["bigquery"], NOW) != FLOW.request(CONFIG["bigquery"], NOW + timedelta(seconds=1))


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"client_email":"a@b.co","private_key":"x"}'])
def test_an_unusable_key_does_not_raise(text: str) -> None:
    assert assertion_of(FLOW.request({"service_account_json": text}, NOW)) == ""


def test_a_token_is_read() -> None:
    answer = {"access_token": "ya29.x", "expires_in": 3599, "token_type": "Bearer"}
    assert FLOW.read(response(200, answer)) == Token(access_token="ya29.x", expires_in=3599.0)
    assert FLOW.read(response(200, {"access_token": "ya29.x"})) == Token(access_token="ya29.x", expires_in=None)


@pytest.mark.parametrize("code", TOKEN_ERRORS)
def test_every_token_error(code: str) -> None:
    outcome = FLOW.read(response(400, {"error": code, "error_description": "Invalid JWT Signature."}))
    assert isinstance(outcome, Outcome)
    assert outcome.result == CONFIGURE
    assert TOKEN_ERRORS[code] in outcome.detail


@pytest.mark.parametrize(
    ("status", "answer", "result"),
    [
        (200, b"<html>", RETRY), (200, {}, RETRY), (200, {"access_token": 7}, RETRY),
        (200, {"access_token": ""}, RETRY),
        (302, b"", RETRY), (429, b"", RETRY), (500, {"error": "internal_failure"}, RETRY), (503, b"<html>", RETRY),
        (400, b"", CONFIGURE), (401, {"error": "unheard_of"}, CONFIGURE), (403, [], CONFIGURE),
    ],
)  # fmt: skip
def test_other_token_answers(status: int, answer: Any, result: Result) -> None:
    outcome = FLOW.read(response(status, answer, retry_after="5"))
    assert isinstance(outcome, Outcome)
    assert outcome.result == result
    assert outcome.after == (5.0 if result == RETRY else None)


# --- Parse --------------------------------------------------------------------------------------------
def test_taken() -> None:
    assert [o.result for o in parsed(200, TAKEN, 3)] == [OK] * 3
    assert [o.result for o in parsed(200, TAKEN | {"insertErrors": []}, 2)] == [OK] * 2


def test_rows_are_refused_by_index() -> None:
    outcomes = parsed(200, TAKEN | {"insertErrors": [refused(1, "invalid"), refused(2, "timeout")]}, 4)
    assert [o.result for o in outcomes] == [OK, PERMANENT, RETRY, OK]
    assert "column value" in outcomes[1].detail
    assert ERRORS["invalid"][1] in outcomes[1].detail


def test_healthy_rows_that_were_stopped_are_sent_again_at_once() -> None:
    outcomes = parsed(200, TAKEN | {"insertErrors": [refused(0, "invalid"), refused(1, "stopped")]}, 2)
    assert [(o.result, o.after) for o in outcomes] == [(PERMANENT, None), (RETRY, 0.0)]
    both = parsed(200, TAKEN | {"insertErrors": [refused(0, "stopped", "invalid")]})
    assert both[0].result == PERMANENT


def test_an_index_of_zero_may_be_left_out() -> None:
    entry = refused(0, "invalid")
    del entry["index"]
    assert [o.result for o in parsed(200, TAKEN | {"insertErrors": [entry]}, 2)] == [PERMANENT, OK]


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"<html>", b"[]", b'{"kind":"bigquery#tableDataIn', {}, {"kind": "x"}, TAKEN | {"insertErrors": {}},
        TAKEN | {"insertErrors": [refused(9, "invalid")]}, TAKEN | {"insertErrors": [refused(-1, "invalid")]},
        TAKEN | {"insertErrors": [None]}, TAKEN | {"insertErrors": [{"index": "0"}]},
    ],
    ids=lambda answer: str(answer)[:40],
)  # fmt: skip
def test_an_answer_that_says_nothing_of_the_rows_is_no_answer(answer: Any) -> None:
    assert [o.result for o in parsed(200, answer, 2)] == [RETRY] * 2


@pytest.mark.parametrize("entry", [{"index": 0}, {"index": 0, "errors": [None]}, {"index": 0, "errors": "x"}])
def test_a_row_refused_without_a_reason_is_final(entry: dict[str, Any]) -> None:
    assert parsed(200, TAKEN | {"insertErrors": [entry]})[0].result == PERMANENT


@pytest.mark.parametrize("reason", ERRORS)
@pytest.mark.parametrize("count", [1, 2])
def test_every_reason(reason: str, count: int) -> None:
    result, advice = ERRORS[reason]
    outcomes = parsed(400, error(400, reason), count)
    assert [o.result for o in outcomes] == [SPLIT if result == PERMANENT and count == 2 else result] * count
    assert advice in outcomes[0].detail


@pytest.mark.parametrize(
    ("status", "answer", "count", "result"),
    [
        (403, error(403, "rateLimitExceeded"), 2, RETRY),
        (403, error(403, "quotaExceeded"), 2, RETRY),
        (403, error(403, "accessDenied"), 2, CONFIGURE),
        (403, error(403, "unheardOf"), 2, CONFIGURE),
        (403, {"error": {"code": 403, "details": [{"@type": "x"}, {"reason": "SERVICE_DISABLED"}]}}, 1, CONFIGURE),
        (403, b"<html>", 1, CONFIGURE),
        (404, error(404, "notFound"), 2, CONFIGURE),
        (404, b"", 2, CONFIGURE),
        (302, b"", 1, CONFIGURE),
        (413, error(413, "requestTooLarge"), 2, SPLIT),
        (413, b"<html>", 1, PERMANENT),
        (429, error(429, "rateLimitExceeded"), 2, RETRY),
        (500, error(500, "backendError"), 2, RETRY),
        (503, error(503, "accessDenied"), 2, RETRY),
        (502, b"<html>", 2, RETRY),
    ],
)
def test_refusals_of_the_request(status: int, answer: Any, count: int, result: Result) -> None:
    assert [o.result for o in parsed(status, answer, count)] == [result] * count


def test_an_expired_token_asks_for_a_fresh_one() -> None:
    outcomes = parsed(401, error(401, "authError"), 2)
    assert [(o.result, o.reason) for o in outcomes] == [(CONFIGURE, TOKEN_EXPIRED)] * 2


def test_a_used_up_quota_waits_longer() -> None:
    assert parsed(403, error(403, "quotaExceeded"))[0].after == 60.0
    assert parsed(403, error(403, "quotaExceeded"), retry_after="300")[0].after == 300.0
    assert parsed(403, error(403, "rateLimitExceeded"))[0].after is None


def test_the_sentence_masks_what_the_server_echoes() -> None:
    assert "ada@example.com" not in parsed(400, error(400, "invalid", "bad: ada@example.com"))[0].detail
