"""HubSpot's double refuses what HubSpot refuses, and takes what the adapter builds."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from destinations.platforms import base
from destinations.platforms.base import Outcome, Response
from destinations.platforms.hubspot import HubSpot
from destinations.sandbox.server import Sandbox
from tests.destinations.platforms.making import CONFIG, item
from tests.destinations.sandbox.support import EMAIL_HASH, GONE, Reply, ask, changed, seconds

HUBSPOT = HubSpot()
EVENTS = "/hubspot/events/v3/send/batch"
CONTACTS = "/hubspot/crm/v3/objects/contacts/batch/upsert"
OAUTH = "/hubspot/oauth/v1/token"
TOKEN = "pat-na1-00000000-0000-4000-8000-000000000000"
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}


def occurrence(**changes: Any) -> dict[str, Any]:
    return changed(
        {
            "eventName": "pe1234567_login_event",
            "email": "test@hubspot.com",
            "occurredAt": datetime.fromtimestamp(seconds(days_ago=1), UTC).isoformat().replace("+00:00", "Z"),
            "uuid": "evt_1",
            "properties": {"hs_city": "Cambridge", "hs_page_id": "53005768010", "seats": "5"},
        },
        changes,
    )


def contact(**changes: Any) -> dict[str, Any]:
    return changed(
        {
            "id": "test@hubspot.com",
            "idProperty": "email",
            "objectWriteTraceId": "0",
            "properties": {"email": "test@hubspot.com", "phone": "+18884827768"},
        },
        changes,
    )


def send(sandbox: Sandbox, path: str, *inputs: Any, method: str = "POST", **changes: Any) -> Reply:
    headers = HEADERS | {name.replace("_", "-"): value for name, value in changes.items()}
    sent = {name: value for name, value in headers.items() if value is not GONE}
    return ask(sandbox.url, method, path, {"inputs": list(inputs)}, sent)


# --- Events -------------------------------------------------------------------------------------------
GOOD: list[dict[str, Any]] = [
    {},
    {"email": GONE, "objectId": "608051"},
    {"email": GONE, "utk": "0123456789abcdef0123456789abcdef"},
    {"occurredAt": GONE, "uuid": GONE},
    {"properties": {}},
    {"properties": {"hs_page_url": "https://example.com/" + "x" * 1000}},
    {"occurredAt": "2020-01-01T00:00:00.000Z"},
]


@pytest.mark.parametrize("path", [EVENTS, "/hubspot/events/2026-09/send/batch"])
def test_good_events(sandbox: Sandbox, path: str) -> None:
    reply = send(sandbox, path, *[occurrence(**changes, uuid=f"e{n}") for n, changes in enumerate(GOOD[:3])])
    assert (reply.status, reply.body) == (204, b"")
    for changes in GOOD:
        assert send(sandbox, path, occurrence(**changes)).status == 204
    assert sandbox.accepted("hubspot") == {"e0": 1, "e1": 1, "e2": 1, "evt_1": len(GOOD) - 1}


BAD: list[tuple[dict[str, Any], str]] = [
    ({"eventName": GONE}, "/eventName"),
    ({"eventName": "login_event"}, "/eventName"),
    ({"eventName": "pe1_undefined"}, "does not exist"),
    ({"properties": GONE}, "/properties"),
    ({"properties": []}, "/properties"),
    ({"email": GONE}, "one of objectId, email and utk"),
    ({"email": EMAIL_HASH}, "invalid"),
    ({"email": "nobody"}, "invalid"),
    ({"objectId": 608051}, "/objectId"),
    ({"objectId": "0065e00000XyZ"}, "/objectId"),
    ({"utk": "x"}, "/utk"),
    ({"occurredAt": seconds()}, "/occurredAt"),
    ({"occurredAt": "2026-11-23T12:00:00"}, "/occurredAt"),
    ({"occurredAt": "2100-01-01T00:00:00Z"}, "is in the future"),
    ({"uuid": ""}, "/uuid"),
    ({"event_name": "x"}, "/event_name"),
    ({"value": 1}, "/value"),
    ({"properties.seats": 5}, "/properties/seats"),
    ({"properties.seats": ""}, "/properties/seats"),
    ({"properties.Seats": "5"}, "is no name"),
    ({"properties.hs_ip": "192.0.2.1"}, "does not exist"),
    ({"properties.undefined_one": "5"}, "does not exist"),
    ({"properties.seats": "x" * 257}, "longer than 256"),
    ({"properties.seats": "😀" * 129}, "longer than 256"),
    ({"properties.hs_page_url": "x" * 1025}, "longer than 1024"),
    ({"properties": {f"p{number}": "x" for number in range(51)}}, "more than 50"),
]


@pytest.mark.parametrize(("changes", "text"), BAD, ids=[str(one[0])[:60] for one in BAD])
def test_one_bad_event_refuses_the_batch(sandbox: Sandbox, changes: dict[str, Any], text: str) -> None:
    reply = send(sandbox, EVENTS, occurrence(), occurrence(**changes))
    assert (reply.status, reply.json["category"]) == (400, "VALIDATION_ERROR")
    assert text in reply.json["message"]
    assert sandbox.accepted("hubspot") == {}


@pytest.mark.parametrize(("path", "most", "make"), [(EVENTS, 500, occurrence), (CONTACTS, 100, contact)])
def test_batch_limits(sandbox: Sandbox, path: str, most: int, make: Any) -> None:
    inputs = [make(**({"id": f"u{n}@b.co"} if path == CONTACTS else {})) for n in range(most + 1)]
    assert send(sandbox, path, *inputs[:most]).status in (200, 204)
    assert send(sandbox, path, *inputs).status == 400
    assert send(sandbox, path).status == 400


# --- Contacts -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", [CONTACTS, "/hubspot/crm/objects/2026-09/contacts/batch/upsert"])
def test_good_contacts(sandbox: Sandbox, path: str) -> None:
    second = contact(id="b@b.co", objectWriteTraceId="1", properties={"phone": "1"})
    reply = send(sandbox, path, contact(), second)
    assert (reply.status, reply.json["status"]) == (200, "COMPLETE")
    assert [one["objectWriteTraceId"] for one in reply.json["results"]] == ["0", "1"]
    assert send(sandbox, path, contact(objectWriteTraceId=GONE)).status == 200
    assert sandbox.accepted("hubspot") == {}


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"id": "nobody", "properties": {"phone": "1"}}, "INVALID_EMAIL"),
        ({"properties.email": EMAIL_HASH}, "INVALID_EMAIL"),
        ({"properties.undefined_one": "1"}, "PROPERTY_DOESNT_EXIST"),
        ({"properties.first name": "Ada"}, "PROPERTY_DOESNT_EXIST"),
        ({"properties.phone": 1}, "INVALID_TEXT"),
        ({"properties.firstname": EMAIL_HASH}, "INVALID_TEXT"),
        ({"properties.lifecyclestage": "Lead"}, "INVALID_OPTION"),
    ],
)
def test_a_refused_contact_is_named_by_its_trace_id(sandbox: Sandbox, changes: dict[str, Any], kind: str) -> None:
    good, bad = contact(id="a@b.co", properties={"phone": "1"}), contact(objectWriteTraceId="1", **changes)
    reply = send(sandbox, CONTACTS, good, bad)
    assert (reply.status, reply.json["numErrors"], len(reply.json["results"])) == (207, 1, 1)
    (error,) = reply.json["errors"]
    assert (error["category"], error["context"]) == ("VALIDATION_ERROR", {"objectWriteTraceId": ["1"]})
    assert kind in error["message"]
    assert send(sandbox, CONTACTS, good, contact(objectWriteTraceId=GONE, **changes)).status == 400


@pytest.mark.parametrize(
    "inputs",
    [
        [contact(), contact(id="TEST@hubspot.com", objectWriteTraceId="1")],
        [contact(idProperty=GONE)],
        [contact(idProperty="hs_object_id")],
        [contact(id=GONE)],
        [contact(properties=GONE)],
        [contact(surprise=1)],
        ["x"],
    ],
    ids=lambda inputs: str(inputs)[:40],
)
def test_bad_upserts(sandbox: Sandbox, inputs: list[Any]) -> None:
    assert send(sandbox, CONTACTS, *inputs).status == 400


# --- Requests and tokens ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("changes", "status", "category"),
    [
        ({"Authorization": GONE}, 401, "INVALID_AUTHENTICATION"),
        ({"Authorization": f"Basic {TOKEN}"}, 401, "INVALID_AUTHENTICATION"),
        ({"Authorization": "Bearer short"}, 401, "INVALID_AUTHENTICATION"),
        ({"Authorization": f"Bearer {TOKEN}revoked"}, 401, "INVALID_AUTHENTICATION"),
        ({"Authorization": f"Bearer {TOKEN}expired"}, 401, "EXPIRED_AUTHENTICATION"),
        ({"Authorization": f"Bearer {TOKEN}forbidden"}, 403, "MISSING_SCOPES"),
        ({"Content_Type": "text/plain"}, 415, "VALIDATION_ERROR"),
        ({"method": "PUT"}, 405, "INVALID_METHOD"),
    ],
)
def test_requests(sandbox: Sandbox, changes: dict[str, Any], status: int, category: str) -> None:
    for path, one in ((EVENTS, occurrence()), (CONTACTS, contact())):
        reply = send(sandbox, path, one, **changes)
        assert (reply.status, reply.json["category"]) == (status, category)


@pytest.mark.parametrize("path", ["/hubspot/events/v3/send", "/hubspot/events/v4/send/batch", "/hubspot/"])
def test_unknown_paths(sandbox: Sandbox, path: str) -> None:
    assert send(sandbox, path, occurrence()).status == 404


@pytest.mark.parametrize("body", [b"{", [], {}, {"inputs": {}}, {"inputs": [occurrence()], "x": 1}], ids=repr)
def test_bad_roots(sandbox: Sandbox, body: Any) -> None:
    assert ask(sandbox.url, "POST", EVENTS, body, HEADERS).status == 400


FORM = {"grant_type": "refresh_token", "client_id": "c", "client_secret": "s", "refresh_token": "r"}


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"grant_type": "authorization_code"}, "BAD_GRANT_TYPE"),
        ({"scope": "crm"}, "BAD_GRANT_TYPE"),
        ({"client_id": ""}, "BAD_CLIENT_ID"),
        ({"client_secret": "forbidden"}, "BAD_CLIENT_SECRET"),
        ({"refresh_token": ""}, "BAD_REFRESH_TOKEN"),
        ({"refresh_token": "revoked"}, "BAD_REFRESH_TOKEN"),
    ],
)
def test_token_refusals(sandbox: Sandbox, changes: dict[str, str], status: str) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    reply = ask(sandbox.url, "POST", OAUTH, urlencode(FORM | changes).encode(), headers)
    assert (reply.status, reply.json["status"]) == (400, status)
    assert ask(sandbox.url, "POST", OAUTH, urlencode(FORM).encode(), HEADERS).status == 415
    assert ask(sandbox.url, "POST", OAUTH, urlencode(FORM).encode(), headers).json["expires_in"] == 1800


def test_partial(sandbox: Sandbox) -> None:
    sandbox.fail("hubspot", "partial", times=2)
    reply = send(sandbox, CONTACTS, contact(), contact(id="b@b.co", objectWriteTraceId="1"))
    assert (reply.status, reply.json["errors"][0]["context"]) == (207, {"objectWriteTraceId": ["1"]})
    assert send(sandbox, EVENTS, occurrence()).status == 204


# --- With the adapter ---------------------------------------------------------------------------------
PERSON: dict[str, Any] = {
    "email": " Ada.Lovelace@Example.com", "phone": "(650) 555-1212", "first_name": "Ada", "last_name": "O'Byron",
    "city": "New York", "state": "NY", "zip": "10001", "country": "US", "external_id": "u1", "anonymous_id": "a1",
    "company_name": "Acme Inc.", "company_domain": "acme.com", "crm_id": "608051", "user_agent": "Mozilla/5.0",
    "client_ip": "203.0.113.7", "page_url": "https://example.com/a?utm_source=google&utm_term=x", "page_title": "Ä😀",
    "referrer": "https://www.google.com/", "value": 49.9, "currency": "USD", "consent": {"marketing": True},
}  # fmt: skip
CASES: list[tuple[str, dict[str, Any]]] = [
    ("Purchase", PERSON | {"order_id": "o1", "num_items": 2, "content_ids": ["a", "b"], "plan": "growth"}),
    ("SignUp", PERSON),
    ("LeadCaptured", {"email": "ada@example.com", "lead_event_source": "HubSpot"}),
    ("PageView", {"email": "ada@example.com"}),
    ("Refund", {"crm_id": "608051", "value": 1e15, "currency": "USD"}),
    ("MyOwnEvent", {"email": "ada@example.com", "page_title": "😀" * 5000, "properties": {"seats": [1, "x"]}}),
]


def delivered(sandbox: Sandbox, config: dict[str, str], *cases: tuple[str, dict[str, Any]]) -> list[list[Outcome]]:
    """What `parse` makes of the double's answers, request by request, those that go before among them."""
    now = int(time.time() * 1000)
    items = [
        item(event, HUBSPOT, key=key, event_id=f"e{key}", occurred_ms=now - 1000, **fields)
        for key, (event, fields) in enumerate(cases)
    ]
    built = HUBSPOT.build(items, config, datetime.now(UTC))
    assert built.skipped == []
    found = []
    for request in [part for whole in built.requests for part in (*whole.before, whole)]:
        path = "/hubspot" + urlsplit(request.url).path
        reply = ask(sandbox.url, request.method, path, request.body, request.headers)
        found.append(HUBSPOT.parse(request, Response(status=reply.status, headers=reply.headers, body=reply.body)))
    return found


CUSTOM = CONFIG["hubspot"] | {"event_properties": f"{CONFIG['hubspot']['event_properties']} seats order_id lead_id"}


@pytest.mark.parametrize("version", ["v3", "2026-09"])
def test_what_the_adapter_builds_is_taken(sandbox: Sandbox, version: str) -> None:
    for outcomes in delivered(sandbox, CUSTOM | {"api_version": version}, *CASES):
        assert set(outcomes) == {base.OK}
    assert sandbox.accepted("hubspot") == {f"e{key}": 1 for key in range(len(CASES))}


def test_the_example_opens_the_sandbox(sandbox: Sandbox) -> None:
    example = {field.name: field.example for field in HUBSPOT.fields if field.example}
    assert HUBSPOT.problems(example) == {}
    assert [set(one) for one in delivered(sandbox, example, *CASES)] == [{base.OK}] * 2


def test_a_refused_contact_stops_its_events_only(sandbox: Sandbox) -> None:
    bad = {"email": "ada@example.com", "platform_params": {"hubspot": {"contact": {"lifecyclestage": "Boss"}}}}
    upsert, events = delivered(
        sandbox, CUSTOM, ("SignUp", bad), ("SignUp", {"email": "b@b.co"}), ("PageView", {"email": "ADA@example.com"})
    )
    assert [outcome.result for outcome in upsert] == ["permanent", "ok", "permanent"]
    assert "allowed options" in upsert[0].detail
    assert [outcome.result for outcome in events] == ["ok"] * 3


@pytest.mark.parametrize(
    ("token", "reason"),
    [("pat-na1-expired-expired-expired", ""), ("CNexpired-oauth-token-of-an-app", base.TOKEN_EXPIRED)],
)
def test_expired_tokens(sandbox: Sandbox, token: str, reason: str) -> None:
    config = CUSTOM | {"access_token": "", base.ACCESS_TOKEN: token}
    for (outcome,) in delivered(sandbox, config, CASES[0]):
        assert (outcome.result, outcome.reason) == ("config", reason)


def test_undefined_names(sandbox: Sandbox) -> None:
    both = delivered(sandbox, CUSTOM, CASES[0], ("UndefinedEvent", {"email": "a@b.co"}))
    assert [outcome.result for outcome in both[1]] == ["split"] * 2
    (alone,) = delivered(sandbox, CUSTOM, ("UndefinedEvent", {"crm_id": "1"}))
    assert alone[0].result == "permanent"
    assert "Custom events" in alone[0].detail
    config = CUSTOM | {"event_properties": "undefined_one"}
    (held,) = delivered(sandbox, config, ("SignUp", {"crm_id": "1", "properties": {"undefined_one": "x"}}))
    assert held[0].result == "config"
    assert "Event properties" in held[0].detail


@pytest.mark.parametrize(("kind", "result"), [("429", "retry"), ("503", "retry"), ("html", "retry"), ("403", "config")])
def test_injected_failures(sandbox: Sandbox, kind: str, result: str) -> None:
    sandbox.fail("hubspot", kind)
    for (outcome,) in delivered(sandbox, CUSTOM, CASES[0]):
        assert outcome.result == result


def test_the_token_of_an_app(sandbox: Sandbox) -> None:
    config = {"portal_id": "12345678", "client_id": "client-1", "client_secret": "secret-1", "refresh_token": "r&t 1"}
    request = HUBSPOT.oauth.request(config, datetime.now(UTC))
    assert request is not None
    reply = ask(sandbox.url, "POST", "/hubspot" + urlsplit(request.url).path, request.body, request.headers)
    token = HUBSPOT.oauth.read(Response(status=reply.status, body=reply.body))
    assert isinstance(token, base.Token)
    assert (token.expires_in, token.refresh_token) == (1800.0, "r&t 1")
    for outcomes in delivered(sandbox, config | {base.ACCESS_TOKEN: token.access_token}, *CASES):
        assert set(outcomes) == {base.OK}
    bad = HUBSPOT.oauth.request(config | {"refresh_token": "revoked!"}, datetime.now(UTC))
    assert bad is not None
    reply = ask(sandbox.url, "POST", OAUTH, bad.body, bad.headers)
    outcome = HUBSPOT.oauth.read(Response(status=reply.status, body=reply.body))
    assert isinstance(outcome, Outcome)
    assert outcome.result == "config"
    assert "BAD_REFRESH_TOKEN" in outcome.detail
