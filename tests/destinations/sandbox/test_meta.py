"""Meta's double refuses what Meta refuses, in Meta's words."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from destinations.sandbox.server import Sandbox
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

PATH = "/meta/v26.0/123456789012345/events"
TOKEN = "EAA" + "x" * 60


def purchase(**changes: Any) -> dict[str, Any]:
    return changed(
        {
            "event_name": "Purchase",
            "event_time": seconds(),
            "action_source": "website",
            "event_source_url": "https://example.com/thanks?plan=pro",
            "event_id": "evt_1",
            "user_data": {
                "em": [EMAIL_HASH],
                "ph": [PHONE_HASH],
                "country": ["79adb2a2fce5c6ba215fe5f27f532d4e7edbac4b6a5e09e1ef3a08084a904621"],
                "external_id": "user-17",
                "client_ip_address": "2001:db8::1",
                "client_user_agent": "Mozilla/5.0",
                "fbc": "fb.1.1554763741205.AbCdEfGhIjKlMnOpQrStUvWxYz1234567890",
                "fbp": "fb.1.1558571054389.1098115397",
            },
            "custom_data": {
                "value": 49.5,
                "currency": "USD",
                "order_id": "in_1",
                "contents": [{"id": "pro", "quantity": 1, "item_price": 49.5}],
                "num_items": 1,
                "plan": "pro",
            },
        },
        changes,
    )


def send(sandbox: Sandbox, body: Any, path: str = PATH, token: str | None = TOKEN, **headers: str) -> Reply:
    auth = {"Authorization": f"Bearer {token}"} if token else {}
    return ask(sandbox.url, "POST", path, body, {"Content-Type": "application/json", **auth, **headers})


def error(reply: Reply) -> dict[str, Any]:
    found: dict[str, Any] = reply.json["error"]
    assert {"message", "type", "code", "fbtrace_id"} <= found.keys()
    return found


def test_good_batch(sandbox: Sandbox) -> None:
    store = purchase(action_source="physical_store", event_time=seconds(days_ago=60), event_source_url=GONE)
    lead = purchase(event_name="Lead", custom_data=GONE)
    ldu = purchase(
        data_processing_options=["LDU"], data_processing_options_country=1, data_processing_options_state=1000
    )
    reply = send(sandbox, {"data": [purchase(), store, lead, ldu], "test_event_code": "TEST123"})
    assert reply.status == 200
    assert reply.json["events_received"] == 4
    assert reply.json["messages"] == []
    assert reply.json["fbtrace_id"]


def test_token_in_the_query_and_form_body(sandbox: Sandbox) -> None:
    form = urlencode({"data": json.dumps([purchase()])}).encode()
    path = f"{PATH}?access_token={TOKEN}&appsecret_proof={'a' * 64}"
    reply = ask(sandbox.url, "POST", path, form, {"Content-Type": "application/x-www-form-urlencoded"})
    assert reply.json["events_received"] == 1
    (kept,) = sandbox.received("meta")
    assert TOKEN not in json.dumps(kept)
    assert "a" * 64 not in kept["path"]


BAD_EVENTS: list[tuple[str, dict[str, Any], int]] = [
    ("older than seven days", {"event_time": seconds(days_ago=7.1)}, 2804003),
    ("a store's older than 62 days", {"action_source": "physical_store", "event_time": seconds(days_ago=63)}, 2804003),
    ("milliseconds", {"event_time": seconds() * 1000}, 2804019),
    ("future", {"event_time": seconds(days_ago=-1)}, 2804019),
    ("time as text", {"event_time": str(seconds())}, 2804019),
    ("time as float", {"event_time": seconds() + 0.5}, 2804019),
    ("time as bool", {"event_time": True}, 2804019),
    ("no time", {"event_time": GONE}, 2804019),
    ("no name", {"event_name": GONE}, 2804019),
    ("empty name", {"event_name": ""}, 2804019),
    ("unknown action source", {"action_source": "web"}, 2804019),
    ("no action source", {"action_source": GONE}, 2804019),
    ("website without URL", {"event_source_url": GONE}, 2804019),
    ("URL without scheme", {"event_source_url": "example.com/x"}, 2804019),
    ("website without user agent", {"user_data.client_user_agent": GONE}, 2804019),
    ("unknown event field", {"eventName": "Purchase"}, 2804019),
    ("null event id", {"event_id": None}, 2804019),
    ("number as event id", {"event_id": 7}, 2804019),
    ("no user data", {"user_data": GONE}, 2804019),
    ("unknown user field", {"user_data.email": EMAIL_HASH}, 2804019),
    ("plain e-mail", {"user_data.em": "john@example.com"}, 2804019),
    ("plain e-mail in a list", {"user_data.em": [EMAIL_HASH, "john@example.com"]}, 2804019),
    ("plain e-mail as external id", {"user_data.external_id": "john@example.com"}, 2804019),
    ("upper-case hash", {"user_data.em": EMAIL_HASH.upper()}, 2804019),
    ("short hash", {"user_data.ph": PHONE_HASH[:-1]}, 2804019),
    ("plain phone", {"user_data.ph": "16505551212"}, 2804019),
    ("plain country", {"user_data.country": "us"}, 2804019),
    ("hash of nothing", {"user_data.em": HASH_OF_NOTHING}, 2804019),
    ("empty list", {"user_data.em": []}, 2804019),
    ("null", {"user_data.fn": None}, 2804019),
    ("fbc in seconds", {"user_data.fbc": "fb.1.1554763741.AbC"}, 2804019),
    ("bare fbclid", {"user_data.fbc": "AbCdEf"}, 2804019),
    ("hashed IP address", {"user_data.client_ip_address": EMAIL_HASH}, 2804019),
    ("lead id as text", {"user_data.lead_id": "123"}, 2804019),
    ("too little identity", {"user_data": {"client_user_agent": "x", "country": EMAIL_HASH}}, 2804050),
    ("purchase without value", {"custom_data": {"currency": "USD"}}, 2804009),
    ("purchase without custom data", {"custom_data": GONE}, 2804009),
    ("value without currency", {"event_name": "Lead", "custom_data": {"value": 1}}, 2804019),
    ("value as text", {"custom_data.value": "49.50"}, 2804019),
    ("negative value", {"custom_data.value": -1}, 2804019),
    ("currency sign", {"custom_data.currency": "$"}, 2804019),
    ("content without id", {"custom_data.contents": [{"quantity": 1}]}, 2804019),
    ("unknown content field", {"custom_data.contents": [{"id": "1", "price": 1}]}, 2804019),
    ("unknown content type", {"custom_data.content_type": "plan"}, 2804019),
    ("null custom key", {"custom_data.plan": None}, 2804019),
    ("LDU without country", {"data_processing_options": ["LDU"]}, 2804019),
    ("country without LDU", {"data_processing_options_country": 1}, 2804019),
    ("unknown option", {"data_processing_options": ["CCPA"]}, 2804019),
    ("opt out as text", {"opt_out": "true"}, 2804019),
]


@pytest.mark.parametrize(("changes", "subcode"), [one[1:] for one in BAD_EVENTS], ids=[one[0] for one in BAD_EVENTS])
def test_one_bad_event_refuses_the_batch(sandbox: Sandbox, changes: dict[str, Any], subcode: int) -> None:
    reply = send(sandbox, {"data": [purchase(), purchase(**changes), purchase()]})
    assert reply.status == 400
    found = error(reply)
    assert (found["code"], found["error_subcode"]) == (100, subcode)
    assert found["error_user_title"]
    assert found["error_user_msg"]
    assert "1" not in found["error_user_msg"].split(), "Meta does not tell which event it was"
    assert found["is_transient"] is False


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"data": NaN}',
        b'{"data": [], "data": []}',
        b"\xff",
        [],
        {},
        {"data": []},
        {"data": {}},
        {"data": ["x"]},
        {"data": [{}], "surprise": 1},
    ],
    ids=repr,
)
def test_bad_roots(sandbox: Sandbox, body: Any) -> None:
    reply = send(sandbox, body)
    assert reply.status == 400
    assert error(reply)["code"] == 100


def test_batch_limit(sandbox: Sandbox) -> None:
    event = purchase()
    assert send(sandbox, {"data": [event] * 1000}).json["events_received"] == 1000
    assert error(send(sandbox, {"data": [event] * 1001}))["code"] == 100


@pytest.mark.parametrize(
    ("token", "status", "code", "subcode"),
    [
        (None, 401, 190, None),
        ("short", 401, 190, None),
        ("x" * 30 + " " + "x" * 30, 401, 190, None),
        (TOKEN + "expired", 401, 190, 463),
        (TOKEN + "revoked", 401, 190, 467),
        (TOKEN + "forbidden", 403, 200, None),
    ],
)
def test_tokens(sandbox: Sandbox, token: str | None, status: int, code: int, subcode: int | None) -> None:
    reply = send(sandbox, {"data": [purchase()]}, token=token)
    assert (reply.status, error(reply)["code"], error(reply).get("error_subcode")) == (status, code, subcode)


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("POST", "/meta/26/123456789012345/events", 2500),
        ("POST", "/meta/v26.0/123456789012345/event", 2500),
        ("POST", "/meta/v26.0/404456789012345/events", 100),
        ("POST", "/meta/v26.0/abc/events", 100),
        ("GET", PATH, 100),
        ("POST", f"{PATH}?appsecret_proof=x", 100),
    ],
)
def test_wrong_targets(sandbox: Sandbox, method: str, path: str, code: int) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    reply = ask(sandbox.url, method, path, {"data": [purchase()]}, headers)
    assert reply.status == 400
    assert error(reply)["code"] == code


def test_wrong_content_type(sandbox: Sandbox) -> None:
    assert send(sandbox, {"data": [purchase()]}, **{"Content-Type": "text/plain"}).status == 400
