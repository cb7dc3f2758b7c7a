"""What Salesforce answers, to a login and to records, and what that means for each event."""

from __future__ import annotations

import base64
import hashlib
from typing import Any
from urllib.parse import parse_qs

import msgspec
import pytest

from destinations.platforms import base
from destinations.platforms.base import Built, Item, Outcome, Request, Response, Token
from destinations.platforms.salesforce import Salesforce
from tests.destinations.platforms.making import CONFIG, NOW, body, item, only

SALESFORCE = Salesforce()
ADA: dict[str, Any] = {"email": "ada@example.com", "first_name": "Ada", "last_name": "Byron"}
ADA_KEY = hashlib.sha256(b"ada@example.com").hexdigest()


def built(*items: Item) -> Built:
    return SALESFORCE.build(items, CONFIG["salesforce"], NOW)


# --- Tokens -------------------------------------------------------------------------------------------
def token_request(**config: str) -> Request:
    request = SALESFORCE.oauth.request(CONFIG["salesforce"] | config, NOW) if SALESFORCE.oauth else None
    assert request is not None
    return request


def read_token(status: int, answer: Any, headers: dict[str, str] | None = None) -> Token | Outcome:
    raw = answer if isinstance(answer, bytes) else msgspec.json.encode(answer)
    assert SALESFORCE.oauth is not None
    return SALESFORCE.oauth.read(Response(status=status, headers=headers or {}, body=raw))


def test_client_credentials() -> None:
    request = token_request(refresh_token="", client_id="3MVG9id", client_secret="s3cret+/=&")
    assert (request.method, request.url) == ("POST", "https://acme.my.salesforce.com/services/oauth2/token")
    assert request.headers["Authorization"] == "Basic " + base64.b64encode(b"3MVG9id:s3cret+/=&").decode()
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert request.body == b"grant_type=client_credentials"


def test_refresh() -> None:
    request = token_request(refresh_token="5Aep+/=&x", client_id="3MVG9id", client_secret="s3cret+/=&")
    assert "Authorization" not in request.headers
    assert parse_qs(request.body.decode()) == {
        "grant_type": ["refresh_token"],
        "refresh_token": ["5Aep+/=&x"],
        "client_id": ["3MVG9id"],
        "client_secret": ["s3cret+/=&"],
    }
    assert token_request() == token_request(), "the same on every call"


GRANTED = {
    "access_token": "00Dx!A", "instance_url": "https://acme.my.salesforce.com", "token_type": "Bearer",
    "id": "https://login.salesforce.com/id/00Dx/005x", "issued_at": "1278448384422", "signature": "SSSbLO",
}  # fmt: skip


def test_a_token() -> None:
    extra = {"instance_url": "https://acme.my.salesforce.com"}
    assert read_token(200, GRANTED) == Token(access_token="00Dx!A", extra=extra)
    rotated = read_token(200, GRANTED | {"refresh_token": "new"})
    assert isinstance(rotated, Token)
    assert rotated.refresh_token == "new"
    odd = read_token(200, GRANTED | {"instance_url": "http://evil.example/x"})
    assert isinstance(odd, Token)
    assert odd.extra == {}


@pytest.mark.parametrize(
    ("status", "error", "description", "expected"),
    [
        (400, "invalid_grant", "expired access/refresh token", "config"),
        (400, "invalid_grant", "token request is already being processed", "retry"),
        (400, "invalid_grant", "expired authorization code", "retry"),
        (400, "invalid_grant", "no client credentials user enabled", "config"),
        (400, "invalid_client", "invalid client credentials", "config"),
        (400, "invalid_client_id", "client identifier invalid", "config"),
        (401, "invalid_client", "", "config"),
        (400, "inactive_user", "user is inactive", "config"),
        (503, "server_error", "", "retry"),
        (429, "", "", "retry"),
    ],
)
def test_a_refused_token(status: int, error: str, description: str, expected: str) -> None:
    outcome = read_token(status, {"error": error, "error_description": description}, {"retry-after": "7"})
    assert isinstance(outcome, Outcome)
    assert outcome.result == expected
    assert outcome.detail
    assert outcome.after == (7.0 if expected == "retry" else None)


@pytest.mark.parametrize("answer", [b"", b"<html>", b"[]", b'{"access_token":5}', b'{"access_token":""}'])
def test_an_unreadable_token_is_asked_for_again(answer: bytes) -> None:
    outcome = read_token(200, answer)
    assert isinstance(outcome, Outcome)
    assert outcome.result == "retry"


# --- Answers ------------------------------------------------------------------------------------------
OK_ROW = {"id": "00T5e", "success": True, "errors": [], "created": True}


def row(code: str, message: str = "no", *fields: str) -> dict[str, Any]:
    return {"success": False, "errors": [{"statusCode": code, "message": message, "fields": list(fields)}]}


def request_with(count: int = 2, **fields: Any) -> Request:
    items = [item("PageView", SALESFORCE, key=key, event_id=f"e{key}", **fields) for key in range(count)]
    return only(built(*items))


def answered(request: Request, status: int, answer: Any, headers: dict[str, str] | None = None) -> list[Outcome]:
    raw = answer if isinstance(answer, bytes) else msgspec.json.encode(answer)
    return SALESFORCE.parse(request, Response(status=status, headers=headers or {}, body=raw))


def results(outcomes: list[Outcome]) -> list[str]:
    return [outcome.result.value for outcome in outcomes]


def test_a_result_for_every_record() -> None:
    outcomes = answered(request_with(3), 200, [OK_ROW, row("STRING_TOO_LONG", "Name: too large"), OK_ROW])
    assert results(outcomes) == ["ok", "permanent", "ok"]
    assert "STRING_TOO_LONG: Name: too large" in outcomes[1].detail


def test_a_queued_event_message_is_success() -> None:
    queued = {"statusCode": "OPERATION_ENQUEUED", "message": "232fd30e-0a71-42bd-a97b-be0e329b2ded", "fields": []}
    assert results(answered(request_with(1), 200, [{"id": "e00", "success": True, "errors": [queued]}])) == ["ok"]


@pytest.mark.parametrize(
    ("code", "message", "expected"),
    [
        ("REQUIRED_FIELD_MISSING", "Required fields are missing: [Company]", "permanent"),
        ("INVALID_FIELD", "No such column 'X__c' on sobject of type Task", "config"),
        ("INVALID_FIELD", "Foreign key external ID: x not found for field A__c in entity Lead", "retry"),
        ("INVALID_FIELD_FOR_INSERT_UPDATE", "Unable to create/update fields: X", "config"),
        ("MALFORMED_ID", "", "permanent"),
        ("STRING_TOO_LONG", "", "permanent"),
        ("FIELD_CUSTOM_VALIDATION_EXCEPTION", "", "permanent"),
        ("FIELD_INTEGRITY_EXCEPTION", "There's a problem with this country", "permanent"),
        ("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "", "permanent"),
        ("DUPLICATES_DETECTED", "Use one of these records?", "permanent"),
        ("DUPLICATE_EXTERNAL_ID", "", "permanent"),
        ("DUPLICATE_VALUE", "duplicate value found: Event_Id__c duplicates value on record with id: a00", "retry"),
        ("DUPLICATE_VALUE", "duplicate value found: Other__c duplicates value on record with id: a00", "permanent"),
        ("INVALID_EMAIL_ADDRESS", "", "permanent"),
        ("INSUFFICIENT_ACCESS_OR_READONLY", "", "permanent"),
        ("INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY", "", "permanent"),
        ("INVALID_CROSS_REFERENCE_KEY", "", "permanent"),
        ("ENTITY_IS_DELETED", "", "permanent"),
        ("CANNOT_UPDATE_CONVERTED_LEAD", "", "permanent"),
        ("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "MyTrigger: execution of BeforeInsert", "permanent"),
        ("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "MyTrigger: UNABLE_TO_LOCK_ROW, unable", "retry"),
        ("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "MyTrigger: Too many SOQL queries: 101", "retry"),
        ("UNABLE_TO_LOCK_ROW", "", "retry"),
        ("STORAGE_LIMIT_EXCEEDED", "", "config"),
        ("LIMIT_EXCEEDED", "", "retry"),
        ("SOMETHING_NEW", "", "permanent"),
    ],
)
def test_refused_records(code: str, message: str, expected: str) -> None:
    outcomes = answered(request_with(2), 200, [row(code, message), OK_ROW])
    assert results(outcomes) == [expected, "ok"]
    assert code in outcomes[0].detail


@pytest.mark.parametrize("answer", [b"", b"<html>", b'[{"success":', [], [OK_ROW], {"success": True}, [OK_ROW] * 3])
def test_a_200_without_a_result_for_every_record_is_a_failure(answer: Any) -> None:
    assert results(answered(request_with(2), 200, answer)) == ["retry"] * 2


@pytest.mark.parametrize("rows", [[None, OK_ROW], [{}, OK_ROW], [{"success": "true"}, OK_ROW]])
def test_a_result_that_says_nothing_is_no_success(rows: Any) -> None:
    first, second = answered(request_with(2), 200, rows)
    assert first.result != "ok"
    assert second.result == "ok"


def refusal(code: str, message: str = "no") -> list[dict[str, Any]]:
    return [{"message": message, "errorCode": code}]


def test_an_ended_session_asks_for_a_new_token() -> None:
    outcomes = answered(request_with(2), 401, refusal("INVALID_SESSION_ID", "Session expired or invalid"))
    assert [(o.result.value, o.reason) for o in outcomes] == [("config", base.TOKEN_EXPIRED)] * 2
    cut = answered(request_with(1), 401, b'[{"message":"Session expired","errorCode":"INVALID_SESSION_ID"')
    assert cut[0].reason == base.TOKEN_EXPIRED
    assert answered(request_with(1), 401, b"")[0].reason == ""


@pytest.mark.parametrize(
    ("status", "code", "message", "expected"),
    [
        (401, "INVALID_AUTH_HEADER", "", "config"),
        (403, "API_DISABLED_FOR_ORG", "", "config"),
        (403, "INSUFFICIENT_ACCESS", "", "config"),
        (403, "", "", "config"),
        (404, "NOT_FOUND", "The requested resource does not exist", "config"),
        (409, "", "", "config"),
        (410, "UNSUPPORTED_API_VERSION", "", "config"),
        (301, "", "", "config"),
        (400, "INVALID_FIELD", "No such column 'X__c' on sobject of type Lead", "config"),
        (400, "INVALID_TYPE", "sObject type 'TrackStack_Event__c' is not supported.", "config"),
        (400, "JSON_PARSER_ERROR", "", "split"),
        (400, "EXCEEDED_ID_LIMIT", "", "split"),
        (400, "", "", "split"),
        (413, "", "", "split"),
        (415, "", "", "split"),
        (400, "UNABLE_TO_LOCK_ROW", "", "retry"),
        (400, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "UNABLE_TO_LOCK_ROW", "retry"),
        (403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", "retry"),
        (500, "UNKNOWN_EXCEPTION", "", "retry"),
        (503, "SERVER_UNAVAILABLE", "", "retry"),
    ],
)
def test_refused_requests(status: int, code: str, message: str, expected: str) -> None:
    answer = refusal(code, message) if code else b"<html>no</html>"
    assert results(answered(request_with(2), status, answer)) == [expected] * 2
    alone = answered(request_with(1), status, answer)
    assert results(alone) == ["permanent" if expected == "split" else expected]


def test_the_daily_limit_is_not_asked_again_soon() -> None:
    daily = answered(request_with(1), 403, refusal("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."))
    assert daily[0].after == 900.0
    concurrent = answered(request_with(1), 403, refusal("REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests Limit exceeded."))
    assert concurrent[0].after is None
    told = answered(request_with(1), 403, refusal("REQUEST_LIMIT_EXCEEDED"), {"retry-after": "60"})
    assert told[0].after == 60.0


def test_a_field_that_an_event_brought_itself_holds_nothing_up() -> None:
    answer = refusal("INVALID_FIELD", "No such column 'Foo__c' on sobject of type TrackStack_Event__c")
    params: dict[str, Any] = {"platform_params": {"salesforce": {"Foo__c": 1}}}
    assert results(answered(request_with(2, **params), 400, answer)) == ["split"] * 2
    assert results(answered(request_with(1, **params), 400, answer)) == ["permanent"]


def people(*mails: str, **fields: Any) -> tuple[Request, ...]:
    items = [
        item("SignUp", SALESFORCE, key=key, event_id=f"e{key}", email=mail, **fields) for key, mail in enumerate(mails)
    ]
    return only(built(*items)).before


def test_of_people_each_event_takes_its_own_persons_result() -> None:
    (upsert,) = people("ada@example.com", "grace@example.com", "alan@example.com", last_name="X", company_name="Y")
    answer = [OK_ROW, row("INVALID_EMAIL_ADDRESS"), row("UNABLE_TO_LOCK_ROW")]
    assert results(answered(upsert, 200, answer)) == ["ok", "permanent", "retry"]


def test_events_that_share_a_refused_person_are_halved() -> None:
    (upsert,) = people("ada@example.com", "grace@example.com", "ada@example.com", last_name="X", company_name="Y")
    assert len(body(upsert)["records"]) == 2
    assert len(upsert.items) == 3
    assert results(answered(upsert, 200, [row("STRING_TOO_LONG"), OK_ROW])) == ["split", "split", "ok"]
    assert results(answered(upsert, 200, [OK_ROW, row("STRING_TOO_LONG")])) == ["ok", "ok", "permanent"]
    assert results(answered(upsert, 200, [row("UNABLE_TO_LOCK_ROW"), OK_ROW])) == ["retry", "retry", "ok"]


def test_who_is_there_already_need_not_be_created() -> None:
    create, upsert = people("ada@example.com", "grace@example.com")
    answer = [row("DUPLICATE_VALUE"), row("DUPLICATES_DETECTED")]
    assert results(answered(create, 200, answer)) == ["ok", "ok"]
    assert results(answered(create, 200, [OK_ROW, row("FIELD_CUSTOM_VALIDATION_EXCEPTION")])) == ["ok", "permanent"]
    assert results(answered(upsert, 200, [OK_ROW, row("DUPLICATES_DETECTED")])) == ["ok", "permanent"]


def test_people_known_by_record_id_and_by_user_id_are_found_in_the_answer() -> None:
    by_id = item("SignUp", SALESFORCE, key=0, event_id="a", **ADA, lead_id="00Q5e00000AbCdE")
    by_user = item("Purchase", SALESFORCE, key=1, event_id="b", external_id="u1", last_name="X")
    update, upsert = only(built(by_id, by_user)).before
    assert results(answered(update, 200, [row("ENTITY_IS_DELETED")])) == ["permanent"]
    assert results(answered(upsert, 200, [row("UNABLE_TO_LOCK_ROW")])) == ["retry"]


def test_details_carry_no_identity() -> None:
    outcomes = answered(request_with(1), 200, [row("INVALID_EMAIL_ADDRESS", "Email: ada@example.com is wrong")])
    assert "ada@" not in outcomes[0].detail
    assert ADA_KEY not in answered(request_with(1), 200, [row("X", f"Duplicate external id: {ADA_KEY}")])[0].detail
