"""Pinterest's double refuses what Pinterest refuses, and takes what the adapter builds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from destinations.platforms import base
from destinations.platforms.base import Response
from destinations.platforms.pinterest import Pinterest
from destinations.sandbox.server import Sandbox
from tests.destinations.platforms.making import CONFIG, item
from tests.destinations.sandbox.support import (
    EMAIL_HASH,
    GONE,
    HASH_OF_NOTHING,
    PHONE_HASH,
    Reply,
    ask,
    changed,
    seconds,
)

PATH = "/pinterest/v5/ad_accounts/549755885175/events"
TOKEN = "pina_" + "Y" * 60
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}


def event(**changes: Any) -> dict[str, Any]:
    return changed(
        {
            "event_name": "checkout",
            "action_source": "web",
            "event_time": seconds(days_ago=1),
            "event_id": "eventId0001",
            "event_source_url": "https://www.my-clothing-shop.org/",
            "partner_name": "ss-partner",
            "opt_out": False,
            "user_data": {
                "em": [EMAIL_HASH],
                "ph": [PHONE_HASH],
                "client_ip_address": "216.3.128.12",
                "client_user_agent": "Mozilla/5.0",
                "click_id": "dj0yJnU9QWJD",
            },
            "custom_data": {
                "currency": "USD",
                "value": "72.39",
                "content_ids": ["red-pinterest-shirt-logo-1"],
                "contents": [{"id": "red", "item_price": "1325.12", "quantity": 5}],
                "num_items": 2,
                "order_id": "my_order_id",
                "opt_out_type": "LDP",
            },
        },
        changes,
    )


def send(sandbox: Sandbox, *events: Any, path: str = PATH, method: str = "POST", **changes: Any) -> Reply:
    return post(sandbox, {"data": list(events)}, path, method, **changes)


def post(sandbox: Sandbox, body: Any, path: str = PATH, method: str = "POST", **changes: Any) -> Reply:
    headers = HEADERS | {name.replace("_", "-"): value for name, value in changes.items()}
    return ask(sandbox.url, method, path, body, {name: value for name, value in headers.items() if value is not GONE})


GOOD: list[dict[str, Any]] = [
    {},
    {"custom_data": GONE, "event_source_url": GONE, "opt_out": GONE, "partner_name": GONE},
    {"user_data": {"em": [EMAIL_HASH]}},
    {"user_data": {"hashed_maids": [EMAIL_HASH]}},
    {"user_data": {"client_ip_address": "2001:db8::1", "client_user_agent": "x"}},
    {"action_source": "offline"},
    {"event_time": seconds(days_ago=6.9)},
]


def test_good_events(sandbox: Sandbox) -> None:
    reply = send(sandbox, *[event(**changes) for changes in GOOD])
    assert reply.status == 200, reply.body
    processed = {"status": "processed", "error_message": None, "warning_message": None}
    assert reply.json == {
        "num_events_received": len(GOOD),
        "num_events_processed": len(GOOD),
        "events": [processed] * len(GOOD),
    }


def test_an_unknown_name_is_processed_with_a_warning(sandbox: Sandbox) -> None:
    (row,) = send(sandbox, event(event_name="my_event")).json["events"]
    assert row["status"] == "processed"
    assert "reports" in row["warning_message"]


SCHEMA: list[tuple[dict[str, Any], str]] = [
    *(({name: GONE}, name) for name in ("event_name", "action_source", "event_time", "event_id", "user_data")),
    ({"event_name": ""}, "event_name"),
    ({"action_source": "website"}, "action_source"),
    ({"event_time": "1700000000"}, "event_time"),
    ({"event_time": 1.5}, "event_time"),
    ({"event_id": 1}, "event_id"),
    ({"event_source_url": "example.com"}, "event_source_url"),
    ({"opt_out": "false"}, "opt_out"),
    ({"referrer_url": "https://x.example"}, "referrer_url"),
    ({"advertiser_tracking_enabled": True}, "advertiser_tracking_enabled"),
    ({"user_data.em": EMAIL_HASH}, "user_data/em"),
    ({"user_data.em": []}, "user_data/em"),
    ({"user_data.epik": "x"}, "user_data/epik"),
    ({"user_data.client_ip_address": EMAIL_HASH}, "user_data/client_ip_address"),
    ({"user_data.click_id": ""}, "user_data/click_id"),
    ({"custom_data.value": 72.39}, "custom_data/value"),
    ({"custom_data.value": "72,39"}, "custom_data/value"),
    ({"custom_data.value": "1e3"}, "custom_data/value"),
    ({"custom_data.currency": "usd"}, "custom_data/currency"),
    ({"custom_data.num_items": "2"}, "custom_data/num_items"),
    ({"custom_data.content_type": "product"}, "custom_data/content_type"),
    ({"custom_data.contents": {}}, "custom_data/contents"),
    ({"custom_data.contents.0.item_price": 5}, "custom_data/contents/item_price"),
    ({"custom_data.contents.0.brand": "x"}, "custom_data/contents/brand"),
]


@pytest.mark.parametrize(("changes", "path"), SCHEMA, ids=[str(one[0])[:50] for one in SCHEMA])
def test_what_the_schema_does_not_allow_refuses_the_request(sandbox: Sandbox, changes: Any, path: str) -> None:
    reply = send(sandbox, event(), event(**changes))
    assert (reply.status, reply.json["code"]) == (400, 4196)
    assert reply.json["message"].startswith(f"/data/1/{path} ")


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"event_time": seconds(days_ago=7.1)}, "event_time is older than 7 days"),
    ({"event_time": seconds(days_ago=-1)}, "event_time is in the future"),
    ({"event_time": seconds() * 1000}, "event_time must be in seconds"),
    ({"user_data.em": ["john@example.com"]}, "user_data.em is a plain e-mail address"),
    ({"user_data.em": [EMAIL_HASH.upper()]}, "user_data.em must be lower-case"),
    ({"user_data.ph": ["16505551212"]}, "user_data.ph must be a SHA-256 hash"),
    ({"user_data.external_id": ["u1"]}, "user_data.external_id must be"),
    ({"user_data.fn": [HASH_OF_NOTHING]}, "user_data.fn is the hash of an empty value"),
    ({"user_data": {"ph": [PHONE_HASH]}}, "user_data needs one of"),
    ({"user_data": {"external_id": [EMAIL_HASH], "client_ip_address": "192.0.2.1"}}, "user_data needs one of"),
]


@pytest.mark.parametrize(("changes", "message"), FAULTS, ids=[one[1] for one in FAULTS])
def test_faults_of_single_events_are_told_in_order(sandbox: Sandbox, changes: Any, message: str) -> None:
    reply = send(sandbox, event(), event(**changes))
    assert reply.status == 422
    details = reply.json["details"]
    assert (details["num_events_received"], details["num_events_processed"]) == (2, 1)
    assert [row["status"] for row in details["events"]] == ["processed", "failed"]
    assert details["events"][1]["error_message"].startswith(message)


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"Authorization": GONE}, 401, 2),
        ({"Authorization": f"Basic {TOKEN}"}, 401, 2),
        ({"Authorization": f"Bearer {TOKEN}expired"}, 401, 2),
        ({"Authorization": f"Bearer {TOKEN}revoked"}, 401, 2),
        ({"Authorization": f"Bearer {TOKEN}forbidden"}, 403, 29),
        ({"Content_Type": "text/plain"}, 415, 1),
        ({"method": "GET"}, 405, 405),
        ({"path": "/pinterest/v5/events"}, 404, 404),
        ({"path": "/pinterest/v4/ad_accounts/1/events"}, 404, 404),
        ({"path": "/pinterest/v5/ad_accounts/abc/events"}, 400, 1),
        ({"path": "/pinterest/v5/ad_accounts/4041/events"}, 404, 50),
        ({"path": f"{PATH}?access_token=x"}, 400, 1),
    ],
)
def test_requests(sandbox: Sandbox, changes: dict[str, Any], status: int, code: int) -> None:
    reply = send(sandbox, event(), **changes)
    assert (reply.status, reply.json["code"]) == (status, code)


@pytest.mark.parametrize("body", [b"{", [], {}, {"data": []}, {"data": {}}, {"data": ["x"]}, {"data": [{}], "x": 1}])
def test_bad_bodies(sandbox: Sandbox, body: Any) -> None:
    assert post(sandbox, body).status == 400


def test_batch_limit(sandbox: Sandbox) -> None:
    assert send(sandbox, *[event()] * 1000).json["num_events_processed"] == 1000
    assert send(sandbox, *[event()] * 1001).status == 400


def accepted(sandbox: Sandbox) -> Any:
    return ask(sandbox.url, "GET", "/_accepted?platform=pinterest").json


def test_what_was_processed_is_counted(sandbox: Sandbox) -> None:
    send(sandbox, event(event_id="a"), event(event_id="b", user_data={"ph": [PHONE_HASH]}), event(event_id="a"))
    assert accepted(sandbox) == {"a": 2}


def test_nothing_is_kept_of_a_test(sandbox: Sandbox) -> None:
    assert send(sandbox, event(), path=f"{PATH}?test=true").status == 200
    assert accepted(sandbox) == {}


# --- With the adapter -----------------------------------------------------------------------------------
PINTEREST = Pinterest()
PERSON: dict[str, Any] = {
    "email": "Ada@Example.com", "phone": "+1 415 555 0123", "first_name": "Ada", "last_name": "O'Byron",
    "city": "New York", "state": "New York", "zip": "10001-1234", "country": "US", "external_id": "u1",
    "anonymous_id": "a1", "client_ip": "203.0.113.7", "user_agent": "Mozilla/5.0",
    "page_url": "https://example.com/?epik=abc", "click_ids": {"epik": "dj0yJnU9"}, "consent": {"marketing": True},
    "referrer": "https://www.google.com/",
}  # fmt: skip
BUILT: list[tuple[str, dict[str, Any]]] = [
    ("Purchase", PERSON | {"value": 49.9, "currency": "USD", "order_id": "o1", "content_ids": ["a"], "num_items": 1,
                           "content_name": "Growth", "content_category": "plans"}),
    ("SignUp", PERSON | {"plan": "trial"}),
    ("LeadCaptured", {"email": EMAIL_HASH.upper(), "value": 0.0, "currency": "EUR"}),
    ("PageView", {"client_ip": "2001:db8::1", "user_agent": "x"}),
    ("MyOwnEvent", {"email": "a@b.co"}),
    ("Refund", {"email": "a@b.co", "value": 5.0, "currency": "USD"}),
    ("SignUp", {"email": "a@b.co", "platform_params": {"pinterest": {"user_data": {"fn": "Ada", "ge": "female"},
                                                                     "custom_data": {"value": 5}}}}),
]  # fmt: skip


def deliver(sandbox: Sandbox, config: dict[str, str], *events: tuple[str, dict[str, Any]]) -> list[base.Outcome]:
    now = datetime.now(UTC)
    items = [
        item(name, PINTEREST, key=key, event_id=f"e{key}", occurred_ms=seconds() * 1000, **fields)
        for key, (name, fields) in enumerate(events)
    ]
    (request,) = PINTEREST.build(items, CONFIG["pinterest"] | config, now).requests
    path = request.url.replace("https://api.pinterest.com", "/pinterest")
    reply = ask(sandbox.url, request.method, path, request.body, request.headers)
    return PINTEREST.parse(request, Response(status=reply.status, headers=reply.headers, body=reply.body))


@pytest.mark.parametrize("config", [{}, {"limited_data_processing": "on", "partner_name": "ss-acme"}, {base.TEST: "1"}])
def test_what_is_built_is_taken(sandbox: Sandbox, config: dict[str, str]) -> None:
    assert deliver(sandbox, config, *BUILT) == [base.OK] * len(BUILT)


def test_refusals_are_understood(sandbox: Sandbox) -> None:
    good = ("SignUp", {"email": "a@b.co"})
    bad = ("SignUp", {"email": "a@b.co", "platform_params": {"pinterest": {"event_time": 1}}})
    broken = ("SignUp", {"email": "a@b.co", "platform_params": {"pinterest": {"surprise": 1}}})
    assert [outcome.result for outcome in deliver(sandbox, {}, good, bad)] == ["ok", "too_old"]
    assert [outcome.result for outcome in deliver(sandbox, {}, good, broken)] == ["split", "split"]
    assert [outcome.result for outcome in deliver(sandbox, {}, broken)] == ["permanent"]
    for config in ({"conversion_token": TOKEN + "expired"}, {"conversion_token": TOKEN + "forbidden"},
                   {"ad_account_id": "404"}):  # fmt: skip
        assert [outcome.result for outcome in deliver(sandbox, config, good, good)] == ["config"] * 2


@pytest.mark.parametrize(
    ("kind", "expected"), [("429", "retry"), ("503", "retry"), ("401", "config"), ("400", "split")]
)
def test_injected_failures_are_understood(sandbox: Sandbox, kind: str, expected: str) -> None:
    ask(sandbox.url, "POST", "/_failures", {"platform": "pinterest", "kind": kind, "times": 1})
    assert [outcome.result for outcome in deliver(sandbox, {}, BUILT[0], BUILT[1])] == [expected] * 2


def test_a_partial_answer_is_understood(sandbox: Sandbox) -> None:
    ask(sandbox.url, "POST", "/_failures", {"platform": "pinterest", "kind": "partial", "times": 1})
    assert [outcome.result for outcome in deliver(sandbox, {}, BUILT[0], BUILT[1])] == ["ok", "retry"]
