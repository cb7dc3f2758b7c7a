"""Salesforce's double refuses what Salesforce refuses, in Salesforce's words, and takes what the adapter builds."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from destinations.platforms import salesforce
from destinations.platforms.base import ACCESS_TOKEN, Item, Outcome, Request, Response, Token
from destinations.sandbox.server import Sandbox
from events.payload import Payload
from tests.destinations.platforms.making import CONFIG, NOW, item
from tests.destinations.sandbox.support import GONE, Reply, ask, changed, connected, exchange

ROOT = "/salesforce/services/data/v66.0/composite/sobjects"
LEADS = f"{ROOT}/Lead/TrackStack_Id__c"
TASKS = f"{ROOT}/Task/TrackStack_Event_Id__c"
EVENTS = f"{ROOT}/TrackStack_Event__c/Event_Id__c"
TOKEN_PATH = "/salesforce/services/oauth2/token"
ACCESS = "00D5e000001N20Q!AQcAQExampleAccessToken"
HEADERS = {"Authorization": f"Bearer {ACCESS}", "Content-Type": "application/json"}
CLIENT = {"client_id": "3MVG9example.consumer_key.0123456789", "client_secret": "0F1E2D3C4B5A69788796A5B4C3D2E1F0"}

LEAD = {
    "attributes": {"type": "Lead"},
    "TrackStack_Id__c": "k1",
    "FirstName": "Ada",
    "LastName": "Byron",
    "Company": "Engines",
    "Email": "ada@example.com",
    "City": "London",
    "Country": "United Kingdom",
}
TASK = {
    "attributes": {"type": "Task"},
    "TrackStack_Event_Id__c": "evt_1",
    "Subject": "Signed up",
    "Status": "Completed",
    "Priority": "Normal",
    "ActivityDate": "2026-11-23",
    "Description": "Event: SignUp",
    "Who": {"attributes": {"type": "Lead"}, "TrackStack_Id__c": "k1"},
}
EVENT = {
    "attributes": {"type": "TrackStack_Event__c"},
    "Event_Id__c": "evt_1",
    "Event_Name__c": "PageView",
    "Occurred_At__c": "2026-11-23T10:00:00.000Z",
    "Email__c": "ada@example.com",
    "Value__c": 5.5,
    "Currency__c": "USD",
    "Payload__c": "{}",
}


def send(sandbox: Sandbox, path: str, *records: Any, method: str = "PATCH", **headers: Any) -> Reply:
    given = HEADERS | {name.replace("_", "-"): value for name, value in headers.items()}
    sent = {name: value for name, value in given.items() if value is not GONE}
    return ask(sandbox.url, method, path, {"allOrNone": False, "records": list(records)}, sent)


def refusal(reply: Reply) -> tuple[int, str]:
    assert [set(error) for error in reply.json] == [{"message", "errorCode"}], reply.body
    return reply.status, reply.json[0]["errorCode"]


def faults(reply: Reply) -> list[str]:
    assert reply.status == 200, reply.body
    return [row["errors"][0]["statusCode"] if not row["success"] else "" for row in reply.json]


# --- Records ------------------------------------------------------------------------------------------
def test_upserts(sandbox: Sandbox) -> None:
    for path, record in ((LEADS, LEAD), (TASKS, TASK), (EVENTS, EVENT)):
        (row,) = send(sandbox, path, record).json
        assert (row["success"], row["errors"], row["created"]) == (True, [], True)
    ids = ask(sandbox.url, "GET", "/_accepted?platform=salesforce").json
    assert ids == {"evt_1": 2}, "the Task and the event; people have no event id"


def test_creates(sandbox: Sandbox) -> None:
    message = changed(EVENT, {"attributes.type": "TrackStack_Event__e"})
    rows = send(sandbox, ROOT, LEAD, changed(TASK, {"TaskSubtype": "Task"}), message, method="POST").json
    assert [row["success"] for row in rows] == [True] * 3
    assert all("created" not in row for row in rows)
    assert rows[2]["errors"][0]["statusCode"] == "OPERATION_ENQUEUED"


def test_updates(sandbox: Sandbox) -> None:
    record = changed(LEAD, {"id": "00Q5e00000AbCdEAAV", "Company": GONE, "LastName": GONE})
    assert send(sandbox, ROOT, record).json[0] == {"id": "00Q5e00000AbCdEAAV", "success": True, "errors": []}
    assert faults(send(sandbox, ROOT, changed(record, {"id": "0035e00000AbCdEAAV"}))) == ["MALFORMED_ID"]
    assert refusal(send(sandbox, ROOT, LEAD)) == (400, "INVALID_FIELD")
    assert refusal(send(sandbox, LEADS, record)) == (400, "INVALID_FIELD")


RECORDS: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    (LEADS, LEAD, {"LastName": ""}, "REQUIRED_FIELD_MISSING"),
    (LEADS, LEAD, {"LastName": "x" * 81}, "STRING_TOO_LONG"),
    (LEADS, LEAD, {"FirstName": "😀" * 21}, "STRING_TOO_LONG"),
    (LEADS, LEAD, {"Email": "ada@localhost"}, "INVALID_EMAIL_ADDRESS"),
    (LEADS, LEAD, {"Email": "0" * 64}, "INVALID_EMAIL_ADDRESS"),
    (LEADS, LEAD, {"TrackStack_Id__c": "converted-1"}, "CANNOT_UPDATE_CONVERTED_LEAD"),
    (LEADS, LEAD, {"TrackStack_Id__c": "twice-1"}, "DUPLICATE_EXTERNAL_ID"),
    (LEADS, LEAD, {"TrackStack_Id__c": "locked-1"}, "UNABLE_TO_LOCK_ROW"),
    (LEADS, LEAD, {"Email": "duplicate@example.com"}, "DUPLICATES_DETECTED"),
    (TASKS, TASK, {"Subject": "x" * 256}, "STRING_TOO_LONG"),
    (TASKS, TASK, {"Subject": " "}, "REQUIRED_FIELD_MISSING"),
    (TASKS, TASK, {"ActivityDate": "2026-11-23T10:00:00Z"}, "STRING_TOO_LONG"),
    (TASKS, TASK, {"ActivityDate": "23.11.2026"}, "INVALID_TYPE_ON_FIELD_IN_RECORD"),
    (TASKS, TASK, {"TaskSubtype": "Task"}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
    (TASKS, TASK, {"WhoId": "00Q5e00000AbCdE"}, "INVALID_FIELD"),
    (TASKS, TASK, {"Who": GONE, "WhoId": "0055e00000AbCdE"}, "MALFORMED_ID"),
    (TASKS, TASK, {"WhatId": "deal-7"}, "MALFORMED_ID"),
    (TASKS, TASK, {"WhatId": "0065e00000AbCdE"}, "FIELD_INTEGRITY_EXCEPTION"),
    (TASKS, TASK, {"Who.TrackStack_Id__c": "404-1"}, "INVALID_FIELD"),
    (EVENTS, EVENT, {"Occurred_At__c": "1795431600"}, "INVALID_TYPE_ON_FIELD_IN_RECORD"),
    (EVENTS, EVENT, {"Event_Name__c": GONE}, "REQUIRED_FIELD_MISSING"),
    (EVENTS, EVENT, {"Currency__c": GONE}, "FIELD_CUSTOM_VALIDATION_EXCEPTION"),
    (EVENTS, EVENT, {"Payload__c": "x" * 32_769}, "STRING_TOO_LONG"),
]


@pytest.mark.parametrize(("path", "record", "changes", "code"), RECORDS, ids=lambda value: str(value)[-40:])
def test_a_bad_record_leaves_the_others_alone(
    sandbox: Sandbox, path: str, record: dict[str, Any], changes: dict[str, Any], code: str
) -> None:
    field = path.rpartition("/")[2]
    other = changed(record, {field: "another"})
    assert faults(send(sandbox, path, changed(record, changes), other)) == [code, ""]


REQUESTS: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    (LEADS, LEAD, {"Nickname": "x"}, "INVALID_FIELD"),
    (LEADS, LEAD, {"Missing__c": "x"}, "INVALID_FIELD"),
    (LEADS, LEAD, {"Email": 5}, "JSON_PARSER_ERROR"),
    (LEADS, LEAD, {"attributes.type": "Contact"}, "INVALID_TYPE"),
    (LEADS, LEAD, {"attributes": GONE}, "INVALID_TYPE"),
    (LEADS, LEAD, {"attributes": {}}, "INVALID_TYPE"),
    (LEADS, LEAD, {"Id": "00Q5e00000AbCdE"}, "INVALID_FIELD"),
    (LEADS, LEAD, {"TrackStack_Id__c": GONE}, "MISSING_ARGUMENT"),
    (TASKS, TASK, {"Who": "k1"}, "INVALID_FIELD"),
    (TASKS, TASK, {"Who.attributes": GONE}, "INVALID_FIELD"),
    (TASKS, TASK, {"Who.attributes.type": "Account"}, "INVALID_FIELD"),
    (TASKS, TASK, {"Who.Email": "ada@example.com"}, "INVALID_FIELD"),
    (TASKS, TASK, {"DueDate": "2026-11-23"}, "INVALID_FIELD"),
    (EVENTS, EVENT, {"Value__c": "5.5"}, "JSON_PARSER_ERROR"),
    (EVENTS, EVENT, {"Name": "x"}, "INVALID_FIELD"),
    (EVENTS, EVENT, {"Plan__c": "x"}, "INVALID_FIELD"),
    (EVENTS, EVENT, {"attributes.type": "Event"}, "INVALID_TYPE"),
]


@pytest.mark.parametrize(("path", "record", "changes", "code"), REQUESTS, ids=lambda value: str(value)[-40:])
def test_what_does_not_fit_the_schema_refuses_the_request(
    sandbox: Sandbox, path: str, record: dict[str, Any], changes: dict[str, Any], code: str
) -> None:
    field = path.rpartition("/")[2]
    other = changed(record, {field: "another"})
    assert refusal(send(sandbox, path, other, changed(record, changes))) == (400, code)


def test_required_fields_of_who_is_created(sandbox: Sandbox) -> None:
    bare = {"attributes": {"type": "Lead"}, "TrackStack_Id__c": "k1"}
    assert faults(send(sandbox, ROOT, bare, method="POST")) == ["REQUIRED_FIELD_MISSING"]
    assert faults(send(sandbox, LEADS, bare)) == [""], "whether the lead is there already, the double cannot know"


def test_an_external_id_twice_in_a_request(sandbox: Sandbox) -> None:
    twice = [LEAD, changed(LEAD, {"TrackStack_Id__c": "K1"}), changed(LEAD, {"TrackStack_Id__c": "k2"})]
    assert faults(send(sandbox, LEADS, *twice)) == ["DUPLICATE_VALUE", "DUPLICATE_VALUE", ""]


def test_duplicate_rules_can_be_overruled(sandbox: Sandbox) -> None:
    record = changed(LEAD, {"Email": "duplicate@example.com"})
    assert faults(send(sandbox, LEADS, record, Sforce_Duplicate_Rule_Header="allowSave=true")) == [""]
    assert refusal(send(sandbox, LEADS, record, Sforce_Duplicate_Rule_Header="yes")) == (400, "INVALID_HEADER")
    assert refusal(send(sandbox, LEADS, LEAD, Sforce_Auto_Assign="no")) == (400, "INVALID_HEADER")
    assert faults(send(sandbox, LEADS, LEAD, Sforce_Auto_Assign="FALSE")) == [""]


def test_batch_limit(sandbox: Sandbox) -> None:
    many = [changed(EVENT, {"Event_Id__c": f"e{n}"}) for n in range(201)]
    assert len(send(sandbox, EVENTS, *many[:200]).json) == 200
    assert refusal(send(sandbox, EVENTS, *many)) == (400, "EXCEEDED_ID_LIMIT")
    assert send(sandbox, EVENTS).status == 400


@pytest.mark.parametrize(
    ("path", "headers", "status", "code"),
    [
        (LEADS, {"Authorization": GONE}, 401, "INVALID_SESSION_ID"),
        (LEADS, {"Authorization": "Bearer short"}, 401, "INVALID_SESSION_ID"),
        (LEADS, {"Authorization": f"Basic {ACCESS}"}, 401, "INVALID_SESSION_ID"),
        (LEADS, {"Authorization": f"Bearer {ACCESS}.expired"}, 401, "INVALID_SESSION_ID"),
        (LEADS, {"Authorization": f"Bearer {ACCESS}.revoked"}, 401, "INVALID_SESSION_ID"),
        (LEADS, {"Authorization": f"Bearer {ACCESS}.forbidden"}, 403, "API_DISABLED_FOR_ORG"),
        (LEADS, {"Content_Type": "text/plain"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
        (LEADS, {"method": "POST"}, 405, "METHOD_NOT_ALLOWED"),
        (ROOT, {"method": "PUT"}, 405, "METHOD_NOT_ALLOWED"),
        ("/salesforce/services/data/v30.0/composite/sobjects", {"method": "POST"}, 410, "UNSUPPORTED_API_VERSION"),
        ("/salesforce/services/data/v45.0/composite/sobjects/Lead/A__c", {}, 404, "NOT_FOUND"),
        ("/salesforce/services/data/v99.0/composite/sobjects", {"method": "POST"}, 404, "NOT_FOUND"),
        ("/salesforce/services/data/66.0/composite/sobjects", {"method": "POST"}, 404, "NOT_FOUND"),
        (f"{ROOT}/Lead/Missing_Id__c", {}, 404, "NOT_FOUND"),
        (f"{ROOT}/Lead", {}, 404, "NOT_FOUND"),
    ],
)
def test_requests(sandbox: Sandbox, path: str, headers: dict[str, Any], status: int, code: str) -> None:
    assert refusal(send(sandbox, path, LEAD, **headers)) == (status, code)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        [],
        {},
        {"records": {}},
        {"records": ["x"]},
        {"records": [LEAD], "x": 1},
        {"allOrNone": 0, "records": [LEAD]},
    ],
)
def test_bad_roots(sandbox: Sandbox, body: Any) -> None:
    assert ask(sandbox.url, "PATCH", LEADS, body, HEADERS).status == 400


# --- Tokens -------------------------------------------------------------------------------------------
def grant(sandbox: Sandbox, form: dict[str, str], **headers: str) -> Reply:
    given = {"Content-Type": "application/x-www-form-urlencoded"} | headers
    return ask(sandbox.url, "POST", TOKEN_PATH, urlencode(form).encode(), given)


def test_tokens(sandbox: Sandbox) -> None:
    basic = base64.b64encode(":".join(CLIENT.values()).encode()).decode()
    for reply in (
        grant(sandbox, {"grant_type": "client_credentials"} | CLIENT),
        grant(sandbox, {"grant_type": "client_credentials"}, Authorization=f"Basic {basic}"),
        grant(sandbox, {"grant_type": "refresh_token", "refresh_token": "5Aep861KIwKdekr90I4iHdtDgWwRoG7O6n"} | CLIENT),
    ):
        assert reply.status == 200, reply.body
        assert {"access_token", "instance_url", "id", "issued_at", "signature", "token_type"} == set(reply.json)
        token = reply.json["access_token"]
        assert faults(send(sandbox, LEADS, LEAD, Authorization=f"Bearer {token}")) == [""]


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "client_credentials", "client_id": "x"}, "invalid_client_id"),
        ({"grant_type": "client_credentials", "client_secret": "short"}, "invalid_client"),
        ({"grant_type": "client_credentials", "client_secret": "a-secret-that-expired"}, "invalid_client"),
        ({"grant_type": "client_credentials", "username": "x"}, "invalid_request"),
        ({"grant_type": "refresh_token"}, "invalid_grant"),
        ({"grant_type": "refresh_token", "refresh_token": "a-token-that-was-revoked"}, "invalid_grant"),
        ({"grant_type": "refresh_token", "refresh_token": "a-token-of-the-forbidden"}, "inactive_user"),
    ],
)
def test_refused_tokens(sandbox: Sandbox, form: dict[str, str], error: str) -> None:
    reply = grant(sandbox, CLIENT | form)
    assert (reply.status, reply.json["error"]) == (400, error)
    assert reply.json["error_description"]


def test_a_token_request_is_a_form(sandbox: Sandbox) -> None:
    form = {"grant_type": "client_credentials"} | CLIENT
    assert ask(sandbox.url, "POST", TOKEN_PATH, form, {"Content-Type": "application/json"}).status == 400
    assert ask(sandbox.url, "GET", TOKEN_PATH).status == 400


# --- With the adapter -----------------------------------------------------------------------------------
ADAPTER = salesforce.Salesforce()


def deliver(sandbox: Sandbox, request: Request) -> list[list[Outcome]]:
    """The outcomes of the requests that go before, and of the request itself."""
    found = []
    with connected(sandbox.url) as connection:
        for part in (*request.before, request):
            reply = exchange(connection, part.method, "/salesforce" + urlsplit(part.url).path, part.body, part.headers)
            answer = Response(status=reply.status, headers=reply.headers, body=reply.body)
            found.append(ADAPTER.parse(part, answer))
    return found


FULL = {
    "email": "ada@example.com", "phone": "+14155552671", "first_name": "Ada", "last_name": "O'Byron", "city": "London",
    "state": "England", "zip": "W1U 6AB", "country": "United Kingdom", "external_id": "u1", "anonymous_id": "a1",
    "company_name": "Engines", "company_domain": "engines.example", "value": 49.9, "currency": "USD", "order_id": "o1",
    "page_url": "https://example.com/pricing?gclid=x", "lead_event_source": "Web", "opportunity_id": "0065e00000XyZ12",
    "content_ids": ["a", "b"], "num_items": 2, "client_ip": "203.0.113.7", "user_agent": "Mozilla/5.0",
    "properties": {"a": [1, {"b": None}]}, "click_ids": {"gclid": "x"}, "consent": {"marketing": True},
}  # fmt: skip
LONG = dict.fromkeys(("first_name", "last_name", "phone", "city", "zip", "company_name", "page_title"), "é😀x" * 300)
SETTINGS: list[dict[str, str]] = [
    {},
    {"object": "Contact", "event_target": "platform_event"},
    {"event_target": "task", "task_id_field": "none"},
    {"address_format": "codes", "assignment_rules": "new", "duplicates": "allow", "person_key": "external_id"},
    {"assignment_rules": "off", "api_version": "68.0"},
]


@pytest.mark.parametrize("config", SETTINGS, ids=str)
@pytest.mark.parametrize(
    "event", ["Purchase", "SignUp", "LeadCaptured", "Refund", "MeetingHeld", "PageView", "SeatAdded"]
)
@pytest.mark.parametrize(
    "fields",
    [
        FULL, {"email": "ada@example.com"}, {"external_id": "u1"}, LONG | {"email": "a@b.co"},
        FULL | {"lead_id": "00Q5e00000AbCdE"}, FULL | {"crm_id": "0035e00000AbCdEAAV"},
    ],
    ids=["full", "e-mail", "id", "long", "lead", "contact"],
)  # fmt: skip
def test_what_is_built_is_taken(sandbox: Sandbox, event: str, fields: dict[str, Any], config: dict[str, str]) -> None:
    one = item(event, ADAPTER, **fields)
    built = ADAPTER.build([one], CONFIG["salesforce"] | config, NOW)
    assert built.skipped == []
    (request,) = built.requests
    for outcomes in deliver(sandbox, request):
        assert [outcome.result.value for outcome in outcomes] == ["ok"], outcomes


def test_a_bare_event_is_taken(sandbox: Sandbox) -> None:
    bare = Item(key=1, event="PageView", event_id="e", occurred_ms=0, payload=Payload())
    (request,) = ADAPTER.build([bare], CONFIG["salesforce"], NOW).requests
    assert deliver(sandbox, request)[0][0].result == "ok"


def test_a_batch_of_many_people_is_taken(sandbox: Sandbox) -> None:
    items = [item("SignUp", ADAPTER, key=n, event_id=f"e{n}", email=f"p{n % 90}@example.com") for n in range(200)]
    (request,) = ADAPTER.build(items, CONFIG["salesforce"], NOW).requests
    for outcomes in deliver(sandbox, request):
        assert [outcome.result.value for outcome in outcomes] == ["ok"] * 200


def test_refusals_are_understood(sandbox: Sandbox) -> None:
    items = [
        item("MeetingHeld", ADAPTER, key=0, event_id="a", external_id="404-nobody"),
        item("MeetingHeld", ADAPTER, key=1, event_id="b", external_id="somebody"),
    ]
    (request,) = ADAPTER.build(items, CONFIG["salesforce"], NOW).requests
    missing, found = deliver(sandbox, request)[-1]
    assert (missing.result, found.result) == ("retry", "ok")
    assert "no such person" in missing.detail
    twin = item("SignUp", ADAPTER, email="duplicate@example.com", last_name="X", company_name="Y")
    (request,) = ADAPTER.build([twin], CONFIG["salesforce"], NOW).requests
    assert deliver(sandbox, request)[0][0].result == "permanent"
    (request,) = ADAPTER.build([twin], CONFIG["salesforce"] | {"duplicates": "allow"}, NOW).requests
    assert deliver(sandbox, request)[0][0].result == "ok"
    config = CONFIG["salesforce"] | {ACCESS_TOKEN: f"{ACCESS}.expired"}
    (request,) = ADAPTER.build([twin], config, NOW).requests
    outcome = deliver(sandbox, request)[-1][0]
    assert (outcome.result, outcome.reason) == ("config", "token_expired")
    (request,) = ADAPTER.build([twin], CONFIG["salesforce"] | {"external_id_field": "Missing__c"}, NOW).requests
    assert deliver(sandbox, request)[0][0].result == "config"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("partial", "retry"),
        ("html", "retry"),
        ("empty", "retry"),
        ("401", "config"),
        ("403", "retry"),
        ("503", "retry"),
    ],
)
def test_injected_failures_are_understood(sandbox: Sandbox, kind: str, expected: str) -> None:
    items = [item("PageView", ADAPTER, key=n, event_id=f"e{n}") for n in range(2)]
    (request,) = ADAPTER.build(items, CONFIG["salesforce"], NOW).requests
    request.headers["x-sandbox-fail"] = kind
    first, last = deliver(sandbox, request)[0]
    assert last.result == expected
    assert first.result == ("ok" if kind == "partial" else expected)


@pytest.mark.parametrize("refresh_token", ["", "5Aep861KIwKdekr90I4iHdtDgWwRoG7O6n"])
def test_the_token_the_adapter_asks_for_opens_the_door(sandbox: Sandbox, refresh_token: str) -> None:
    assert ADAPTER.oauth is not None
    request = ADAPTER.oauth.request(CONFIG["salesforce"] | CLIENT | {"refresh_token": refresh_token}, NOW)
    assert request is not None
    path = "/salesforce" + urlsplit(request.url).path
    reply = ask(sandbox.url, request.method, path, request.body, request.headers)
    token = ADAPTER.oauth.read(Response(status=reply.status, headers=reply.headers, body=reply.body))
    assert isinstance(token, Token)
    extra = {f"oauth.{name}": value for name, value in token.extra.items()}
    config = CONFIG["salesforce"] | {ACCESS_TOKEN: token.access_token} | extra
    (request,) = ADAPTER.build([item("Purchase", ADAPTER, **FULL)], config, NOW).requests
    assert request.url.startswith("https://sandbox.my.salesforce.com/")
    assert [outcomes[0].result.value for outcomes in deliver(sandbox, request)] == ["ok", "ok"]
