"""What Google's two ads APIs answer, and what that means for each event."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from destinations.platforms import _google_ads_answers as answers
from destinations.platforms.base import TOKEN_EXPIRED, Outcome, Request, Response, Result
from destinations.platforms.google_ads import GoogleAds
from tests.destinations.platforms.making import item

ADS = GoogleAds()


# --- Answers of the Data Manager API --------------------------------------------------------------------
def parsed(
    status: int, answer: Any, count: int = 3, headers: dict[str, str] | None = None, url: str = "u", sent: bytes = b""
) -> list[Outcome]:
    items = tuple(item(key=key, event_id=f"e{key}") for key in range(count))
    raw = answer if isinstance(answer, bytes) else msgspec.json.encode(answer)
    request = Request(method="POST", url=url, headers={}, body=sent, items=items)
    return ADS.parse(request, Response(status=status, headers=headers or {}, body=raw))


def results(outcomes: list[Outcome]) -> list[str]:
    return [outcome.result.value for outcome in outcomes]


def refusal(*violations: tuple[str, str], status: int = 400, **more: Any) -> dict[str, Any]:
    """As in the vendor's "Understand API errors"."""
    listed = [{"field": field, "description": "No.", "reason": reason} for field, reason in violations]
    details = [
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "INVALID_ARGUMENT"},
        {"@type": "type.googleapis.com/google.rpc.RequestInfo", "requestId": "t-1"},
        {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": listed},
    ]
    return {"error": {"code": status, "message": "There was a problem.", "status": "X", "details": details} | more}


def test_a_request_id_is_success_and_warnings_are_none() -> None:
    warning = {"field": "events.events[0].cart_data", "description": "x", "reason": "y"}
    assert results(parsed(200, {"requestId": "t-1", "fieldWarnings": [warning]})) == ["ok"] * 3
    assert results(parsed(200, {"requestId": "v-1"})) == ["ok"] * 3


@pytest.mark.parametrize("answer", [b"", b"<html>", {}, [], {"requestId": 5}])
def test_a_200_without_request_id_is_tried_again(answer: Any) -> None:
    assert results(parsed(200, answer)) == ["retry"] * 3


def test_the_named_events_are_refused_and_the_others_go_again_at_once() -> None:
    outcomes = parsed(400, refusal(
        ("events.events[0].user_data.user_identifiers[1]", "INVALID_HEX_ENCODING"),
        ("events.events[2].event_timestamp", "EVENT_TIME_INVALID"), ("events.events[2].currency", "INVALID_FORMAT"),
    ))  # fmt: skip
    assert results(outcomes) == ["permanent", "retry", "too_old"]
    assert outcomes[1].after == 0.0
    assert "user_identifiers[1]" in outcomes[0].detail
    assert outcomes[2].reason == "too_old"


@pytest.mark.parametrize(("reason", "verdict"), answers.DATA_MANAGER.items())
def test_every_reason_of_the_data_manager_api(reason: str, verdict: answers.Verdict) -> None:
    outcomes = parsed(400, refusal(("events[1].x", reason)))
    if verdict.result == Result.CONFIG:
        assert results(outcomes) == ["config"] * 3
    else:
        assert results(outcomes) == ["retry", verdict.result.value, "retry"]
    assert outcomes[1].reason == verdict.reason
    assert verdict.advice in outcomes[1].detail


@pytest.mark.parametrize("field", ["encoding", "events.events[9].x", "events", ""])
def test_a_refusal_without_a_usable_index_splits(field: str) -> None:
    assert results(parsed(400, refusal((field, "INVALID_FORMAT")))) == ["split"] * 3
    assert results(parsed(400, refusal((field, "INVALID_FORMAT")), 1)) == ["permanent"]


def test_a_wrong_destination_holds_the_rows() -> None:
    outcomes = parsed(400, refusal(("destinations[0].product_destination_id", "INVALID_CONVERSION_ACTION_ID")))
    assert results(outcomes) == ["config"] * 3
    assert "conversion action's id" in outcomes[0].detail


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        (401, "", ("config", TOKEN_EXPIRED)), (401, "ACCESS_TOKEN_EXPIRED", ("config", TOKEN_EXPIRED)),
        (403, "SERVICE_DISABLED", ("config", "")), (403, "ACCESS_TOKEN_SCOPE_INSUFFICIENT", ("config", "")),
        (403, "", ("config", "")), (404, "", ("config", "")), (413, "", ("split", "")), (400, "", ("split", "")),
        (500, "", ("retry", "")), (503, "INTERNAL_ERROR", ("retry", "")), (302, "", ("retry", "")),
        (503, "PERMISSION_DENIED", ("retry", "")),
    ],
)  # fmt: skip
def test_refusals_of_the_whole(status: int, reason: str, expected: tuple[str, str]) -> None:
    answer = {"error": {"code": status, "message": "No.", "details": [{"reason": reason}]}}
    (outcome, *_) = parsed(status, answer)
    assert (outcome.result.value, outcome.reason) == expected


def test_how_long_to_wait() -> None:
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "12.5s"}]
    assert parsed(429, {"error": {"details": details}})[0].after == 12.5
    assert parsed(429, {"error": {"details": details}}, headers={"retry-after": "3"})[0].after == 3.0
    assert parsed(429, {"error": {"details": [{"retryDelay": "soon"}]}})[0].after is None


def test_details_carry_no_identity() -> None:
    outcomes = parsed(400, refusal(("events[0].x", "INVALID_FORMAT"), message="ada@example.com"), 1)
    outcomes += parsed(400, {"error": {"message": "ada@example.com is wrong"}}, 1)
    assert not any("ada@" in outcome.detail for outcome in outcomes)


# --- Answers of the Google Ads API ----------------------------------------------------------------------
ADS_URL = "https://googleads.googleapis.com/v25/customers/1234567890:uploadClickConversions"


def failure(code: str, index: int | None = 0, name: str = "conversions", **more: Any) -> dict[str, Any]:
    element = {"fieldName": name} | ({"index": index} if index else {})
    location = {} if index is None else {"location": {"fieldPathElements": [element, {"fieldName": "gclid"}]}}
    return {"errorCode": {"conversionUploadError": code}, "message": f"{code} it is."} | location | more


def ads(status: int, *errors: dict[str, Any], count: int = 3, results: Any = None, **more: Any) -> list[Outcome]:
    details = [{"@type": "type.googleapis.com/google.ads.googleads.v25.errors.GoogleAdsFailure", "errors": errors}]
    problem = {"code": 3, "message": "First.", "details": details if errors else []}
    if status == 200:
        answer: Any = {"results": [{"gclid": "x"}] * count if results is None else results}
        answer |= {"partialFailureError": problem} if errors else {}
    else:
        answer = {"error": problem}
    return parsed(status, answer, count, url=ADS_URL, **more)


def test_all_rows_taken() -> None:
    assert results(ads(200)) == ["ok"] * 3
    assert results(ads(200, results=[])) == ["retry"] * 3
    assert results(parsed(200, {}, url=ADS_URL)) == ["retry"] * 3
    assert results(parsed(200, {}, url=ADS_URL, sent=b'{"validateOnly":true}')) == ["ok"] * 3
    assert results(parsed(200, b"<html>", url=ADS_URL, sent=b'{"validateOnly":true}')) == ["retry"] * 3


def test_rows_are_refused_by_index_and_the_others_are_taken() -> None:
    outcomes = ads(
        200, failure("CLICK_NOT_FOUND", 0), failure("UNPARSEABLE_GCLID", 2), results=[{}, {"gclid": "x"}, {}]
    )
    assert results(outcomes) == ["skipped", "ok", "permanent"]


@pytest.mark.parametrize(("code", "verdict"), answers.GOOGLE_ADS.items())
def test_every_code_of_the_google_ads_api(code: str, verdict: answers.Verdict) -> None:
    outcomes = ads(200, failure(code, 1))
    assert results(outcomes) == ["ok", verdict.result.value, "ok"]
    assert (outcomes[1].reason, outcomes[1].after) == (verdict.reason, verdict.after)
    assert verdict.advice in outcomes[1].detail
    # Refused as a whole, nothing was taken: no code is a success then.
    whole = ads(403, failure(code, None), count=1)
    assert "ok" not in results(whole)
    assert "skipped" not in results(whole)


def test_a_later_try_is_asked_for() -> None:
    assert ads(200, failure("TOO_RECENT_EVENT", 1))[1].after == 6 * 3600
    delay = {"quotaErrorDetails": {"retryDelay": "30s"}}
    (outcome, *_) = ads(429, failure("RESOURCE_EXHAUSTED", None, details=delay))
    assert (outcome.result, outcome.after) == (Result.RETRY, 30.0)


def test_a_partial_failure_that_names_no_row() -> None:
    assert results(ads(200, failure("INTERNAL_ERROR", None), results=[{}, {"gclid": "x"}, {}])) == [
        "retry",
        "ok",
        "retry",
    ]
    assert results(ads(200, failure("SOMETHING_NEW", None))) == ["ok"] * 3, "every row has its result"
    assert results(ads(200, failure("SOMETHING_NEW", 7), results=[{}, {}, {}])) == ["permanent"] * 3
    answer = {"partialFailureError": {"code": 3, "message": "?"}, "results": [{}, {}, {}]}
    assert results(parsed(200, answer, url=ADS_URL)) == ["retry"] * 3


def test_an_unknown_code_is_final() -> None:
    assert results(ads(200, failure("SOMETHING_NEW", 1))) == ["ok", "permanent", "ok"]


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (401, "OAUTH_TOKEN_EXPIRED", ("config", TOKEN_EXPIRED)), (401, "", ("config", TOKEN_EXPIRED)),
        (401, "OAUTH_TOKEN_REVOKED", ("config", "")), (401, "NOT_ADS_USER", ("config", "")),
        (403, "USER_PERMISSION_DENIED", ("config", "")), (403, "SOMETHING_NEW", ("config", "")),
        (403, "CUSTOMER_NOT_ALLOWLISTED_FOR_THIS_FEATURE", ("config", "")), (404, "", ("config", "")),
        (400, "UNSUPPORTED_VERSION", ("config", "")), (400, "SOMETHING_NEW", ("split", "")),
        (500, "INTERNAL_ERROR", ("retry", "")), (503, "", ("retry", "")),
        (400, "CONCURRENT_MODIFICATION", ("retry", "")),
    ],
)  # fmt: skip
def test_refusals_of_a_whole_upload(status: int, code: str, expected: tuple[str, str]) -> None:
    (outcome, *_) = ads(status, failure(code, None))
    assert (outcome.result.value, outcome.reason) == expected


def test_a_refused_upload_that_names_a_row() -> None:
    outcomes = ads(400, failure("ORDER_ID_CONTAINS_PII", 1))
    assert results(outcomes) == ["retry", "permanent", "retry"]
    assert outcomes[0].after == 0.0


def test_the_answer_may_come_in_a_list() -> None:
    answer = [{"error": {"code": 401, "message": "No.", "details": []}}]
    assert results(parsed(401, answer, url=ADS_URL)) == ["config"] * 3
