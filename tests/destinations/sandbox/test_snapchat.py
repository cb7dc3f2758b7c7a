"""Snapchat's double refuses what Snapchat refuses, and takes what the adapter builds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from destinations.platforms import base
from destinations.platforms.base import Response
from destinations.platforms.snapchat import Snapchat
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

TOKEN = "eyJhbGciOiJIUzI1NiJ9." + "Y" * 60
PATH = "/snapchat/v3/1ec32188-754e-4be2-8e55-c949a984a39f/events"
HEADERS = {"Content-Type": "application/json"}


def event(**changes: Any) -> dict[str, Any]:
    return changed(
        {
            "event_name": "PURCHASE",
            "event_time": seconds(days_ago=1),
            "action_source": "WEB",
            "event_source_url": "https://www.example.com/",
            "event_id": "EBBE201",
            "user_data": {
                "em": [EMAIL_HASH],
                "ph": PHONE_HASH,
                "client_ip_address": "192.0.2.1",
                "client_user_agent": "Mozilla/5.0",
                "sc_click_id": "AbC-1",
                "sc_cookie1": "x",
            },
            "custom_data": {
                "currency": "USD",
                "value": 10.5,
                "contents": [{"id": "003", "quantity": 1, "item_price": 5, "brand": "fidos_fare"}],
                "order_id": "o1",
            },
            "data_processing_options": ["LDU"],
            "data_processing_options_country": 0,
            "data_processing_options_state": 0,
        },
        changes,
    )


NO_OPTIONS = dict.fromkeys(
    ("data_processing_options", "data_processing_options_country", "data_processing_options_state"), GONE
)


def send(sandbox: Sandbox, *events: Any, **changes: Any) -> Reply:
    return post(sandbox, {"data": list(events)}, **changes)


def post(
    sandbox: Sandbox,
    body: Any,
    path: str = PATH,
    token: str = TOKEN,
    method: str = "POST",
    kind: Any = "application/json",
) -> Reply:
    query = f"?access_token={token}" if "?" not in path else ""
    return ask(sandbox.url, method, path + query, body, {"Content-Type": kind})


GOOD: list[dict[str, Any]] = [
    {},
    {**NO_OPTIONS, "event_id": GONE},
    {"event_name": "CUSTOM_EVENT_1", "custom_data": GONE},
    {"action_source": "OFFLINE", "event_source_url": GONE},
    {"action_source": "MOBILE_APP", "app_data": {"extinfo": ["i2"]}},
    {"user_data": {"client_ip_address": "2001:db8::1", "client_user_agent": "x"}},
    {"user_data": {"madid": "38400000-8cf0-11bd-b23e-10b96e40000d"}},
    {"event_time": seconds(days_ago=36)},
    {"data_processing_options": ["LMU"]},
]


def test_good_events(sandbox: Sandbox) -> None:
    reply = send(sandbox, *[event(**changes) for changes in GOOD])
    assert reply.status == 200, reply.body
    assert reply.json == {"status": "VALID", "reason": ""}


BAD: list[tuple[dict[str, Any], str]] = [
    *(({name: GONE}, name) for name in ("event_name", "event_time", "action_source", "user_data")),
    ({"event_source_url": GONE}, "event_source_url"),
    ({"event_source_url": "www.example.com"}, "event_source_url"),
    ({"action_source": "website"}, "action_source"),
    ({"action_source": "MOBILE_APP"}, "app_data"),
    ({"event_time": seconds() * 1000}, "event_time must be in seconds"),
    ({"event_time": str(seconds())}, "event_time must be an integer"),
    ({"event_time": seconds(days_ago=38)}, "event_time is older than 37 days"),
    ({"event_time": seconds(days_ago=-1)}, "event_time is in the future"),
    ({"pixel_id": "x"}, "pixel_id"),
    ({"opt_out": 1}, "opt_out"),
    ({"data_processing_options": "['LMU']"}, "data_processing_options"),
    ({"data_processing_options": ["lmu"]}, "data_processing_options"),
    ({"data_processing_options": GONE}, "data_processing_options"),
    ({"data_processing_options_state": 1}, "data_processing_options_state"),
    ({"user_data.em": "john@example.com"}, "user_data.em is a plain"),
    ({"user_data.em": [EMAIL_HASH.upper()]}, "user_data.em must be lower-case"),
    ({"user_data.ph": "16505551212"}, "user_data.ph"),
    ({"user_data.fn": HASH_OF_NOTHING}, "user_data.fn is the hash of an empty value"),
    ({"user_data.external_id": "a@example.com"}, "user_data.external_id"),
    ({"user_data.client_ip_address": EMAIL_HASH}, "user_data.client_ip_address must be an IP address"),
    ({"user_data.client_user_agent": EMAIL_HASH}, "user_data.client_user_agent must not be hashed"),
    ({"user_data.madid": "38400000-8CF0-11BD-B23E-10B96E40000D"}, "user_data.madid"),
    ({"user_data.uuid_c1": "x"}, "user_data.uuid_c1"),
    ({"user_data": {"external_id": EMAIL_HASH}}, "user_data has insufficient PII"),
    ({"user_data": {"client_ip_address": "192.0.2.1"}}, "user_data has insufficient PII"),
    ({"custom_data.value": GONE}, "custom_data misses value"),
    ({"custom_data.currency": GONE}, "custom_data misses value"),
    ({"event_name": "SIGN_UP", "custom_data.currency": GONE}, "custom_data.currency is required"),
    ({"custom_data.value": "10.5"}, "custom_data.value must be a number"),
    ({"custom_data.value": -1}, "custom_data.value"),
    ({"custom_data.currency": "usd"}, "custom_data.currency"),
    ({"custom_data.transaction_id": "x"}, "custom_data.transaction_id"),
    ({"custom_data.content_type": "guide"}, "custom_data.content_type"),
    ({"custom_data.contents": "x"}, "custom_data.contents must be a list"),
    ({"custom_data.contents.0.item_price": "5"}, "custom_data.contents.item_price"),
]


@pytest.mark.parametrize(("changes", "reason"), BAD, ids=[str(one[0])[:50] for one in BAD])
def test_one_bad_event_refuses_all(sandbox: Sandbox, changes: dict[str, Any], reason: str) -> None:
    reply = send(sandbox, event(), event(**changes), event())
    assert (reply.status, reply.json["status"], reply.json["event"]) == (400, "INVALID", 1)
    assert reply.json["reason"].startswith(reason)
    assert reply.json["errors"]["error_msgs"] == [reply.json["reason"]]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"token": ""}, 401),
        ({"token": TOKEN + "expired"}, 401),
        ({"token": TOKEN + "revoked"}, 401),
        ({"token": TOKEN + "forbidden"}, 403),
        ({"path": PATH + "?pixel=1"}, 400),
        ({"path": "/snapchat/v2/conversion"}, 404),
        ({"path": "/snapchat/v3/x/events"}, 404),
        ({"path": PATH.replace("1ec", "404")}, 404),
        ({"method": "GET"}, 405),
        ({"kind": "text/plain"}, 415),
    ],
)
def test_requests(sandbox: Sandbox, changes: dict[str, Any], status: int) -> None:
    reply = send(sandbox, event(), **changes)
    assert (reply.status, reply.json["status"]) == (status, "INVALID")


@pytest.mark.parametrize("body", [b"{", [], {}, {"data": []}, {"data": {}}, {"data": ["x"]}, {"data": [{}], "x": 1}])
def test_bad_bodies(sandbox: Sandbox, body: Any) -> None:
    assert post(sandbox, body).status == 400


def test_batch_limit(sandbox: Sandbox) -> None:
    assert send(sandbox, *[event()] * 2000).status == 200
    assert send(sandbox, *[event()] * 2001).status == 400


def accepted(sandbox: Sandbox) -> Any:
    return ask(sandbox.url, "GET", "/_accepted?platform=snapchat").json


def test_a_test_tells_of_each_event_and_keeps_none(sandbox: Sandbox) -> None:
    reply = send(sandbox, event(), event(user_data={}), path=f"{PATH}/validate")
    assert (reply.status, reply.json["status"], reply.json["test_event"]) == (400, "INVALID", True)
    assert [log["status"] for log in reply.json["event_logs"]] == ["VALID", "INVALID"]
    assert send(sandbox, event(), path=f"{PATH}/validate").status == 200
    assert accepted(sandbox) == {}


def test_what_was_taken_is_counted(sandbox: Sandbox) -> None:
    send(sandbox, event(event_id="a"), event(event_id="b"), event(event_id="a"))
    assert accepted(sandbox) == {"a": 2, "b": 1}


# --- With the adapter -----------------------------------------------------------------------------------
SNAPCHAT = Snapchat()
PERSON: dict[str, Any] = {
    "email": "Ada@Example.com", "phone": "+1 415 555 0123", "first_name": "Ada", "last_name": "O'Byron",
    "city": "New York", "state": "New York", "zip": "10001-1234", "country": "US", "external_id": "u1",
    "anonymous_id": "a1", "client_ip": "203.0.113.7", "user_agent": "Mozilla/5.0",
    "page_url": "https://example.com/?ScCid=abc", "click_ids": {"sccid": "AbC", "scid": "c1"},
    "subscription_id": "sub_1", "lead_id": "00Q", "referrer": "https://www.google.com/",
}  # fmt: skip
BUILT: list[tuple[str, dict[str, Any]]] = [
    ("Purchase", PERSON | {"value": 49.9, "currency": "USD", "order_id": "o1", "content_ids": ["a"], "num_items": 1,
                           "content_name": "Growth", "content_category": "plans", "content_type": "product"}),
    ("SignUp", PERSON | {"plan": "trial", "consent": {"marketing": False}}),
    ("LeadCaptured", {"email": EMAIL_HASH.upper(), "value": 0.0, "currency": "EUR"}),
    ("PageView", {"client_ip": "2001:db8::1", "user_agent": "x"}),
    ("Refund", {"phone": "+14155550123", "value": 5.0, "currency": "USD"}),
    ("SignUp", {"email": "a@b.co", "value": 5.0, "currency": "AFN"}),
    ("SignUp", {"email": "a@b.co", "platform_params": {"snapchat": {"user_data": {"fn": "Ada", "ge": "female"},
                                                                    "custom_data": {"sign_up_method": "sso"}}}}),
]  # fmt: skip


def deliver(sandbox: Sandbox, config: dict[str, str], *events: tuple[str, dict[str, Any]]) -> list[base.Outcome]:
    now = datetime.now(UTC)
    items = [
        item(name, SNAPCHAT, key=key, event_id=f"e{key}", occurred_ms=seconds() * 1000, **fields)
        for key, (name, fields) in enumerate(events)
    ]
    (request,) = SNAPCHAT.build(items, CONFIG["snapchat"] | config, now).requests
    path = request.url.replace("https://tr.snapchat.com", "/snapchat")
    reply = ask(sandbox.url, request.method, path, request.body, request.headers)
    return SNAPCHAT.parse(request, Response(status=reply.status, headers=reply.headers, body=reply.body))


@pytest.mark.parametrize(
    "config",
    [
        {}, {"limited_data": "always"}, {"limited_data": "always", "limited_data_value": "LMU"}, {base.TEST: "1"},
        {"test_event_code": "abc"}, {"website_url": "https://example.com/"}, {"custom_slots": "SignUp=CUSTOM_EVENT_4"},
    ],
)  # fmt: skip
def test_what_is_built_is_taken(sandbox: Sandbox, config: dict[str, str]) -> None:
    assert deliver(sandbox, config, *BUILT) == [base.OK] * len(BUILT)


def test_refusals_are_understood(sandbox: Sandbox) -> None:
    def overridden(**params: Any) -> tuple[str, dict[str, Any]]:
        return "SignUp", {"email": "a@b.co", "platform_params": {"snapchat": params}}

    good, old, broken = overridden(), overridden(event_time=1), overridden(surprise=1)
    half = overridden(custom_data={"value": 1})
    assert [outcome.result for outcome in deliver(sandbox, {}, good, broken)] == ["split", "split"]
    for bad, result, reason in ((broken, "permanent", ""), (old, "too_old", "too_old"),
                                (half, "permanent", "missing_value")):  # fmt: skip
        for config in ({}, {base.TEST: "1"}):
            (outcome,) = deliver(sandbox, config, bad)
            assert (outcome.result, outcome.reason) == (result, reason)
    for config in ({"access_token": TOKEN + "expired"}, {"access_token": TOKEN + "forbidden"},
                   {"pixel_id": "404" + CONFIG["snapchat"]["pixel_id"][3:]}):  # fmt: skip
        assert [outcome.result for outcome in deliver(sandbox, config, good, good)] == ["config"] * 2


@pytest.mark.parametrize(
    ("kind", "expected"), [("429", "retry"), ("503", "retry"), ("401", "config"), ("html", "retry")]
)
def test_injected_failures_are_understood(sandbox: Sandbox, kind: str, expected: str) -> None:
    ask(sandbox.url, "POST", "/_failures", {"platform": "snapchat", "kind": kind, "times": 1})
    assert [outcome.result for outcome in deliver(sandbox, {}, BUILT[0], BUILT[1])] == [expected] * 2
