"""Quora's double refuses what Quora refuses, and takes what the adapter builds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from destinations.platforms import base
from destinations.platforms.base import Response
from destinations.platforms.quora import Quora
from destinations.sandbox.server import Sandbox
from tests.destinations.platforms.making import CONFIG, item
from tests.destinations.sandbox.support import EMAIL_HASH, GONE, Reply, ask, changed, seconds

PATH = "/quora/ads/v0/conversions"
TOKEN = "qT0k3n-" + "y" * 40
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}


def event(**changes: Any) -> dict[str, Any]:
    return changed(
        {
            "conversion": {
                "event_name": "Purchase",
                "timestamp": seconds(days_ago=1) * 1_000_000,
                "value": 42,
                "event_id": "evt-1",
                "click_id": "click-1|123|0",
            },
            "user": {
                "email": "ada@example.com",
                "phone_number": "+14155550123",
                "name": "Ada Byron",
                "ip": "192.0.2.1",
                "country": "US",
                "region": "California",
                "city": "San Francisco",
                "postal_code": "94103",
                "date_of_birth": "2000-01-01",
            },
            "device": {"user_agent": "Mozilla/5.0", "referer": "https://www.quora.com/", "language": "en-US"},
        },
        changes,
    )


def send(sandbox: Sandbox, *events: Any, account: Any = 5551234567, **changes: Any) -> Reply:
    return post(sandbox, {"account_id": account, "data": list(events)}, **changes)


def post(sandbox: Sandbox, body: Any, path: str = PATH, method: str = "POST", **changes: Any) -> Reply:
    headers = HEADERS | {name.replace("_", "-"): value for name, value in changes.items()}
    return ask(sandbox.url, method, path, body, {name: value for name, value in headers.items() if value is not GONE})


GOOD: list[dict[str, Any]] = [
    {},
    {"user": GONE, "device": GONE},
    {"user": {}},
    {"conversion": {"event_name": "Generic"}},
    {"conversion.value": -1.5},
    {"user.ip": "2001:db8::1"},
    {"user.company_name": "Acme", "user.job_title": "CTO"},
    {"conversion.timestamp": seconds(days_ago=400) * 1_000_000},
]


def test_good_events(sandbox: Sandbox) -> None:
    reply = send(sandbox, *[event(**changes) for changes in GOOD])
    assert reply.status == 200, reply.body
    rows = [{"status": "OK", "index": index} for index in range(len(GOOD))]
    assert reply.json == {"events_received": len(GOOD), "events_errored": 0, "events": rows}


def test_a_single_event(sandbox: Sandbox) -> None:
    reply = post(sandbox, {"account_id": 5551234567, **event()}, path="/quora/ads/v0/conversion")
    assert reply.json["events_received"] == 1
    assert post(sandbox, {"account_id": 5, **event(user=GONE)}, path="/quora/ads/v0/conversion").status == 400


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"conversion": GONE}, "conversion"),
    ({"conversion.event_name": GONE}, "conversion/event_name"),
    ({"conversion.event_name": "my_event"}, "conversion/event_name"),
    ({"conversion.timestamp": "1"}, "conversion/timestamp"),
    ({"conversion.value": "42"}, "conversion/value"),
    ({"conversion.currency": "USD"}, "conversion/currency"),
    ({"conversion.event_id": ""}, "conversion/event_id"),
    ({"account_id": 1}, "account_id"),
    ({"user.phone": "1"}, "user/phone"),
    ({"user.country": "us"}, "user/country"),
    ({"user.date_of_birth": "19990101"}, "user/date_of_birth"),
    ({"device.referrer": "https://x.example"}, "device/referrer"),
    ({"device.client_user_agent": "x"}, "device/client_user_agent"),
    ({"device": []}, "device"),
]


@pytest.mark.parametrize(("changes", "path"), REFUSED, ids=[str(one[0])[:50] for one in REFUSED])
def test_what_is_no_conversion_refuses_the_request(sandbox: Sandbox, changes: dict[str, Any], path: str) -> None:
    reply = send(sandbox, event(), event(**changes))
    assert reply.status == 400
    assert reply.json["error_message"].startswith(f"/data/1/{path} ")


ERRORS: list[tuple[dict[str, Any], str]] = [
    ({"conversion.value": 214_748.37}, "VALUE_OUT_OF_RANGE"),
    ({"conversion.timestamp": seconds() * 1000}, "INVALID_TIMESTAMP"),
    ({"conversion.timestamp": seconds()}, "INVALID_TIMESTAMP"),
    ({"user.email": EMAIL_HASH}, "INVALID_EMAIL"),
    ({"user.email": "ada"}, "INVALID_EMAIL"),
    ({"user.ip": "localhost"}, "INVALID_IP"),
    ({"user.name": EMAIL_HASH}, "INVALID_USER"),
]


@pytest.mark.parametrize(("changes", "code"), ERRORS)
def test_single_events_are_refused_by_index(sandbox: Sandbox, changes: dict[str, Any], code: str) -> None:
    reply = send(sandbox, event(), event(**changes))
    assert (reply.status, reply.json["events_received"], reply.json["events_errored"]) == (200, 2, 1)
    first, second = reply.json["events"]
    assert first["status"] == "OK"
    assert (second["status"], second["index"], second["error_code"]) == ("ERROR", 1, code)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"Authorization": GONE}, 401),
        ({"Authorization": f"Basic {TOKEN}"}, 401),
        ({"Authorization": f"Bearer {TOKEN}expired"}, 401),
        ({"Authorization": f"Bearer {TOKEN}revoked"}, 401),
        ({"Authorization": f"Bearer {TOKEN}forbidden"}, 403),
        ({"account": 4031234567}, 403),
        ({"account": "5551234567"}, 400),
        ({"account": 0}, 400),
        ({"Content_Type": "text/plain"}, 415),
        ({"method": "PUT"}, 405),
        ({"path": "/quora/ads/v1/conversions"}, 404),
    ],
)
def test_requests(sandbox: Sandbox, changes: dict[str, Any], status: int) -> None:
    reply = send(sandbox, event(), **changes)
    assert (reply.status, bool(reply.json["error_message"])) == (status, True)


@pytest.mark.parametrize(
    "body", [b"{", [], {}, {"account_id": 5, "data": []}, {"account_id": 5, "data": ["x"]}, {"data": [{}]}]
)
def test_bad_bodies(sandbox: Sandbox, body: Any) -> None:
    assert post(sandbox, body).status == 400


def test_batch_limit(sandbox: Sandbox) -> None:
    assert send(sandbox, *[event()] * 1000).json["events_received"] == 1000
    assert send(sandbox, *[event()] * 1001).status == 400


def test_what_was_taken_is_counted(sandbox: Sandbox) -> None:
    def named(event_id: str, value: float = 1) -> dict[str, Any]:
        return event(**{"conversion.event_id": event_id, "conversion.value": value})

    send(sandbox, named("a"), named("b", 1e6), named("a"))
    assert ask(sandbox.url, "GET", "/_accepted?platform=quora").json == {"a": 2}


# --- With the adapter -----------------------------------------------------------------------------------
QUORA = Quora()
PERSON: dict[str, Any] = {
    "email": "Ada@Example.com", "phone": "(415) 555 0123", "first_name": "Ada", "last_name": "O'Byron",
    "city": "New York", "state": "New York", "zip": "10001-1234", "country": "United States", "external_id": "u1",
    "anonymous_id": "a1", "client_ip": "203.0.113.7", "user_agent": "Mozilla/5.0", "company_name": "Acme Inc.",
    "page_url": "https://example.com/?qclid=abc", "referrer": "https://www.quora.com/",
}  # fmt: skip
BUILT: list[tuple[str, dict[str, Any]]] = [
    ("Purchase", PERSON | {"value": 49.9, "currency": "USD", "order_id": "o1", "content_ids": ["a"]}),
    ("SignUp", PERSON | {"plan": "trial", "click_ids": {"qclid": "click-1|123|0"}}),
    ("LeadCaptured", {"email": EMAIL_HASH, "first_name": EMAIL_HASH, "click_ids": {"qclid": "x"}, "value": 0.0}),
    ("PageView", {"client_ip": "2001:db8::1"}),
    ("MyOwnEvent", {"email": "a@b.co"}),
    ("Refund", {"phone": "+14155550123", "value": 5.0, "currency": "USD"}),
    ("SignUp", {"email": "a@b.co", "platform_params": {"quora": {"user": {"job_title": "CTO"}}}}),
]  # fmt: skip


def deliver(sandbox: Sandbox, config: dict[str, str], *events: tuple[str, dict[str, Any]]) -> list[base.Outcome]:
    now = datetime.now(UTC)
    items = [
        item(name, QUORA, key=key, event_id=f"e{key}", occurred_ms=seconds() * 1000, **fields)
        for key, (name, fields) in enumerate(events)
    ]
    (request,) = QUORA.build(items, CONFIG["quora"] | config, now).requests
    path = request.url.replace("https://api.quora.com", "/quora")
    reply = ask(sandbox.url, request.method, path, request.body, request.headers)
    return QUORA.parse(request, Response(status=reply.status, headers=reply.headers, body=reply.body))


def test_what_is_built_is_taken(sandbox: Sandbox) -> None:
    assert deliver(sandbox, {}, *BUILT) == [base.OK] * len(BUILT)
    assert deliver(sandbox, {"user_data": "off"}, *BUILT[:3]) == [base.OK] * 3


def test_refusals_are_understood(sandbox: Sandbox) -> None:
    def overridden(**params: Any) -> tuple[str, dict[str, Any]]:
        return "SignUp", {"email": "a@b.co", "platform_params": {"quora": params}}

    good, bad, broken = overridden(), overridden(user={"ip": "x"}), overridden(surprise=1)
    outcomes = deliver(sandbox, {}, good, bad, good)
    assert [outcome.result for outcome in outcomes] == ["ok", "permanent", "ok"]
    assert "INVALID_IP" in outcomes[1].detail
    assert [outcome.result for outcome in deliver(sandbox, {}, good, broken)] == ["split", "split"]
    assert [outcome.result for outcome in deliver(sandbox, {}, broken)] == ["permanent"]
    for config in ({"access_token": TOKEN + "expired"}, {"access_token": TOKEN + "forbidden"},
                   {"account_id": "40312345"}, {"api_version": "v9"}):  # fmt: skip
        assert [outcome.result for outcome in deliver(sandbox, config, good, good)] == ["config"] * 2


@pytest.mark.parametrize(
    ("kind", "expected"), [("429", "retry"), ("503", "retry"), ("401", "config"), ("html", "retry"), ("empty", "retry")]
)
def test_injected_failures_are_understood(sandbox: Sandbox, kind: str, expected: str) -> None:
    ask(sandbox.url, "POST", "/_failures", {"platform": "quora", "kind": kind, "times": 1})
    assert [outcome.result for outcome in deliver(sandbox, {}, BUILT[0], BUILT[1])] == [expected] * 2


def test_a_partial_answer_is_understood(sandbox: Sandbox) -> None:
    ask(sandbox.url, "POST", "/_failures", {"platform": "quora", "kind": "partial", "times": 1})
    assert [outcome.result for outcome in deliver(sandbox, {}, BUILT[0], BUILT[1])] == ["ok", "retry"]
