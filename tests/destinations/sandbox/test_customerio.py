"""Customer.io's double refuses what Customer.io refuses, and takes what the adapter builds."""

from __future__ import annotations

import base64
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest

from destinations.platforms import base
from destinations.platforms.base import Outcome, Response
from destinations.platforms.customerio import CustomerIo
from destinations.sandbox.server import Sandbox
from tests.destinations.platforms.making import CONFIG, item
from tests.destinations.sandbox.support import GONE, Reply, ask, changed, seconds

CIO = CustomerIo()
TRACK, PIPELINES = "/customerio/api/v2/batch", "/customerio/v1/batch"
ULID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"  # github.com/ulid/spec


def basic(user: str, password: str = "") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


TRACK_HEADERS = {
    "Authorization": basic("a1b2c3d4e5f60718293a", "0f1e2d3c4b5a69788796"),
    "Content-Type": "application/json",
}
PIPELINES_HEADERS = {
    "Authorization": basic("cdp0123456789abcdef"),
    "Content-Type": "application/json",
    "X-Strict-Mode": "1",
}


def identify(**changes: Any) -> dict[str, Any]:
    entry = {"type": "person", "action": "identify", "identifiers": {"id": "42"}, "timestamp": seconds(days_ago=1)}
    return changed(entry | {"attributes": {"first_name": "Jane", "plan": "premium"}}, changes)


def purchase(**changes: Any) -> dict[str, Any]:
    entry = {"type": "person", "action": "event", "identifiers": {"id": "42"}, "name": "purchase", "id": ULID}
    return changed(
        entry | {"timestamp": seconds(days_ago=1), "attributes": {"product": "Widget", "price": 9.5}}, changes
    )


def track(**changes: Any) -> dict[str, Any]:
    call = {"type": "track", "userId": "97980cfea0067", "event": "Course Started", "properties": {"title": "Intro"}}
    more = {"timestamp": "2026-11-01T12:00:00.000Z", "messageId": "evt_1", "anonymousId": "a1"}
    context = {"ip": "192.0.2.1", "userAgent": "x", "page": {"url": "https://x.example/"}, "campaign": {"name": "n"}}
    return changed(call | more | {"context": context}, changes)


def send(sandbox: Sandbox, path: str, *entries: Any, method: str = "POST", **changes: Any) -> Reply:
    headers = TRACK_HEADERS if path == TRACK else PIPELINES_HEADERS
    given = headers | {name.replace("_", "-"): value for name, value in changes.items()}
    sent = {name: value for name, value in given.items() if value is not GONE}
    return ask(sandbox.url, method, path, {"batch": list(entries)}, sent)


# --- Track --------------------------------------------------------------------------------------------
def test_a_good_batch(sandbox: Sandbox) -> None:
    relation = {"identifiers": {"object_type_id": "1", "object_id": "acme"}}
    reply = send(
        sandbox, TRACK, identify(), purchase(), purchase(identifiers={"anonymous_id": "a"}, id=GONE),
        identify(identifiers={"cio_id": "a3000001"}, cio_relationships=[relation]), identify(attributes=GONE),
        purchase(identifiers={"phone": "+14155552671"}, id=ULID[:-1] + "W", timestamp=GONE, attributes=GONE),
    )  # fmt: skip
    assert (reply.status, reply.json) == (200, {})
    assert sandbox.accepted("customerio") == {ULID: 1, ULID[:-1] + "W": 1}


BAD: list[tuple[dict[str, Any], str]] = [
    (purchase(type="people"), "type"),
    (purchase(action="purchase"), "action"),
    (purchase(name=GONE), "name"),
    (purchase(name="x" * 101), "name"),
    (purchase(identifiers=GONE), "identifiers"),
    (purchase(identifiers={}), "identifiers"),
    (purchase(identifiers={"id": "1", "email": "a@b.co"}), "identifiers"),
    (purchase(identifiers={"id": 1}), "identifiers.id"),
    (purchase(identifiers={"id": "x" * 151}), "identifiers.id"),
    (purchase(identifiers={"email": "nobody"}), "identifiers.email"),
    (purchase(identifiers={"cio_id": "cio_a3"}), "identifiers.cio_id"),
    (purchase(identifiers={"user_id": "1"}), "identifiers.user_id"),
    (purchase(id="evt_1"), "id"),
    (purchase(id=ULID.lower()), "id"),
    (purchase(timestamp=seconds() * 1000), "timestamp"),
    (purchase(timestamp=str(seconds())), "timestamp"),
    (purchase(timestamp=seconds() + 3600), "timestamp"),
    (purchase(timestamp=1.5), "timestamp"),
    (purchase(attributes=[]), "attributes"),
    (purchase(**{"attributes.recipient": "a@b.co"}), "attributes.recipient"),
    (purchase(properties={}), "properties"),
    (purchase(**{"attributes.text": "x" * 32_000}), ""),
    (identify(identifiers={"anonymous_id": "a"}), "identifiers.anonymous_id"),
    (identify(name="x"), "name"),
    (identify(**{"attributes.email": "x"}), "attributes.email"),
    (identify(**{"attributes.plan": "é" * 501}), "attributes.plan"),
    (identify(attributes={f"a{n}": 1 for n in range(301)}), "attributes"),
    (identify(cio_relationships=[{"identifiers": {"object_id": "acme"}}]), "cio_relationships"),
    (identify(cio_relationships=[{"identifiers": {"object_type_id": "9", "object_id": "a"}}]), "cio_relationships"),
    ("x", ""),  # type: ignore[list-item]
]


@pytest.mark.parametrize(("entry", "field"), BAD, ids=[str(number) for number in range(len(BAD))])
def test_a_bad_entry_is_named_and_the_others_are_taken(sandbox: Sandbox, entry: Any, field: str) -> None:
    reply = send(sandbox, TRACK, identify(), entry, purchase())
    assert reply.status == 207
    assert [(one["batch_index"], one["field"]) for one in reply.json["errors"]] == [(1, field)]
    assert sandbox.accepted("customerio") == {ULID: 1}


# --- Pipelines ----------------------------------------------------------------------------------------
def test_good_calls(sandbox: Sandbox) -> None:
    call = {"type": "identify", "userId": "97980cfea0067", "traits": {"email": "cool.person@example.com"}}
    reply = send(sandbox, PIPELINES, call, track(), track(userId=GONE, messageId=GONE, context=GONE, timestamp=GONE))
    assert (reply.status, reply.json) == (200, {})
    assert sandbox.accepted("customerio") == {"evt_1": 1}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"type": "page"}, "type"), ({"type": GONE}, "type"), ({"event": GONE}, "event"), ({"event": 1}, "event"),
        ({"event": "User Deleted"}, "event"), ({"userId": GONE, "anonymousId": GONE}, "userId"),
        ({"userId": 7}, "userId"), ({"timestamp": seconds()}, "timestamp"),
        ({"timestamp": "2100-01-01T00:00:00Z"}, "timestamp"),
        ({"traits": {}}, "traits"), ({"name": "x"}, "name"), ({"context.ip": "x"}, "context.ip"),
        ({"context.page.host": "x"}, "context.page.host"), ({"context.os": {}}, "context.os"),
        ({"context.campaign.name": 7}, "context.campaign.name"), ({"properties.text": "x" * 32_000}, ""),
    ],
)  # fmt: skip
def test_one_bad_call_refuses_the_batch(sandbox: Sandbox, changes: dict[str, Any], field: str) -> None:
    reply = send(sandbox, PIPELINES, track(), track(**changes))
    assert reply.status == 400
    assert field in [one["field"] for one in reply.json["errors"]]
    assert sandbox.accepted("customerio") == {}


# --- Requests -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(("path", "entry"), [(TRACK, purchase()), (PIPELINES, track())])
@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"Authorization": GONE}, 401),
        ({"Authorization": "Bearer 0123456789abcdef"}, 401),
        ({"Authorization": "Basic ???"}, 401),
        ({"Authorization": basic("short", "short")}, 401),
        ({"Authorization": basic("expired0123456789", "")}, 401),
        ({"Authorization": basic("revoked0123456789", "0123456789")}, 401),
        ({"Authorization": basic("0123456789", "forbidden0123456789")}, 401),
        ({"Content_Type": "text/plain"}, 400),
        ({"method": "PUT"}, 405),
    ],
)
def test_requests(sandbox: Sandbox, path: str, entry: Any, changes: dict[str, Any], status: int) -> None:
    assert send(sandbox, path, entry, **changes).status == status


def test_keys_and_modes_of_the_other_api(sandbox: Sandbox) -> None:
    assert send(sandbox, TRACK, purchase(), Authorization=basic("cdp0123456789abcdef")).status == 401
    assert send(sandbox, PIPELINES, track(), Authorization=TRACK_HEADERS["Authorization"]).status == 401
    assert send(sandbox, PIPELINES, track(), X_Strict_Mode=GONE).status == 400
    assert send(sandbox, "/customerio/api/v1/batch", purchase()).status == 404


@pytest.mark.parametrize("body", [b"{", [], {}, {"batch": {}}, {"batch": []}, {"batch": [1], "x": 1}], ids=repr)
def test_bad_roots(sandbox: Sandbox, body: Any) -> None:
    assert ask(sandbox.url, "POST", TRACK, body, TRACK_HEADERS).status == 400
    assert ask(sandbox.url, "POST", PIPELINES, body, PIPELINES_HEADERS).status == 400


def test_too_large_a_batch(sandbox: Sandbox) -> None:
    large = purchase(**{"attributes.text": "x" * 30_000})
    assert send(sandbox, TRACK, *[large] * 16).status == 200
    assert send(sandbox, TRACK, *[large] * 17).status == 400


def test_partial(sandbox: Sandbox) -> None:
    sandbox.fail("customerio", "partial", times=2)
    assert send(sandbox, TRACK, identify(), purchase()).json["errors"][0]["batch_index"] == 1
    assert sandbox.accepted("customerio") == {}
    assert send(sandbox, PIPELINES, track()).json == {}


# --- With the adapter ---------------------------------------------------------------------------------
PERSON: dict[str, Any] = {
    "email": " Ada.Lovelace@Example.com", "phone": "(650) 555-1212", "first_name": "Ada", "last_name": "O'Byron",
    "city": "New York", "state": "NY", "zip": "10001", "country": "US", "external_id": "u1", "anonymous_id": "a1",
    "company_id": "acme", "company_name": "Acme Inc.", "company_domain": "acme.com", "user_agent": "Mozilla/5.0",
    "client_ip": "203.0.113.7", "page_url": "https://example.com/a?utm_source=google&utm_term=x", "page_title": "Ä😀",
    "referrer": "https://www.google.com/", "value": 49.9, "currency": "USD", "consent": {"marketing": True},
    "properties": {"seats": 5, "reply_to": "spy@example.com"},
}  # fmt: skip
CASES: list[tuple[str, dict[str, Any]]] = [
    ("Purchase", PERSON | {"order_id": "o1", "num_items": 2, "content_ids": ["a", "b"], "plan": "growth"}),
    ("SignUp", PERSON),
    ("LeadCaptured", {"email": "ada@example.com", "lead_event_source": "HubSpot"}),
    ("PageView", {"anonymous_id": "a1", "page_url": "nonsense"}),
    ("Refund", {"external_id": "cio_a3000001", "value": 1e15, "currency": "USD"}),
    ("MyOwnEvent", {"email": "ada@example.com", "content_name": "😀" * 20_000, "last_name": "ü" * 10_000}),
]
CONFIGS = [CONFIG["customerio"], CONFIG["customerio"] | {"api": "pipelines", "region": "eu"}]


def delivered(sandbox: Sandbox, config: dict[str, str], *cases: tuple[str, dict[str, Any]]) -> list[Outcome]:
    """What `parse` makes of the double's answer to one request."""
    now = int(time.time() * 1000)
    items = [
        item(event, CIO, key=key, event_id=f"e{key}", occurred_ms=now - 1000, **fields)
        for key, (event, fields) in enumerate(cases)
    ]
    built = CIO.build(items, config, datetime.now(UTC))
    assert built.skipped == []
    (request,) = built.requests
    path = "/customerio" + urlsplit(request.url).path
    reply = ask(sandbox.url, request.method, path, request.body, request.headers)
    return CIO.parse(request, Response(status=reply.status, headers=reply.headers, body=reply.body))


@pytest.mark.parametrize("config", CONFIGS, ids=["track", "pipelines"])
def test_what_the_adapter_builds_is_taken(sandbox: Sandbox, config: dict[str, str]) -> None:
    assert delivered(sandbox, config | {"subscription": "marketing"}, *CASES) == [base.OK] * len(CASES)
    assert sorted(sandbox.accepted("customerio").values()) == [1] * len(CASES)


def test_the_example_opens_the_sandbox(sandbox: Sandbox) -> None:
    example = {field.name: field.example for field in CIO.fields if field.example}
    assert CIO.problems(example) == {}
    assert delivered(sandbox, example, *CASES) == [base.OK] * len(CASES)


def test_a_full_batch_is_taken(sandbox: Sandbox) -> None:
    outcomes = delivered(sandbox, CONFIGS[0], *[CASES[0]] * CIO.batch_limit)
    assert outcomes == [base.OK] * CIO.batch_limit


def test_refused_entries_are_those_of_their_events(sandbox: Sandbox) -> None:
    bad_event = {"external_id": "u", "platform_params": {"customerio": {"id": "no ulid"}}}
    bad_person = {"external_id": "u", "platform_params": {"customerio": {"person": {"email": "x"}}}}
    outcomes = delivered(
        sandbox, CONFIGS[0], CASES[0], ("SignUp", bad_event), CASES[3], ("SignUp", bad_person), CASES[1]
    )
    assert [outcome.result for outcome in outcomes] == ["ok", "permanent", "ok", "permanent", "ok"]
    assert "ULID" in outcomes[1].detail
    assert "its event was taken" in outcomes[3].detail


def test_pipelines_refuses_the_batch(sandbox: Sandbox) -> None:
    bad = {"external_id": "u", "platform_params": {"customerio": {"context": {"ip": "x"}}}}
    outcomes = delivered(sandbox, CONFIGS[1], CASES[0], ("SignUp", bad))
    assert [outcome.result for outcome in outcomes] == ["split"] * 2
    (alone,) = delivered(sandbox, CONFIGS[1], ("SignUp", bad))
    assert alone.result == "permanent"
    assert "context.ip" in alone.detail


@pytest.mark.parametrize(
    ("kind", "result"), [("429", "retry"), ("503", "retry"), ("html", "retry"), ("401", "config"), ("400", "permanent")]
)
def test_injected_failures(sandbox: Sandbox, kind: str, result: str) -> None:
    for config in CONFIGS:
        sandbox.fail("customerio", kind, times=1)
        (outcome,) = delivered(sandbox, config, CASES[0])
        assert outcome.result == result


def test_refused_keys(sandbox: Sandbox) -> None:
    (outcome,) = delivered(sandbox, CONFIGS[0] | {"api_key": "expired0123456789"}, CASES[0])
    assert outcome.result == "config"
    assert "keys" in outcome.detail
