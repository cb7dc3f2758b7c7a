"""X's double refuses what X refuses, in X's words, and takes what the adapter makes."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from oauthlib.oauth1 import Client

from destinations.platforms import base
from destinations.platforms.base import Item, Response, Result
from destinations.platforms.x import X
from destinations.sandbox.server import Sandbox
from events.payload import Payload
from tests.destinations.sandbox.support import EMAIL_HASH, GONE, HASH_OF_NOTHING, PHONE_HASH, Reply, ask, changed

PATH = "/x/12/measurement/conversions/o8z6j"
TOKEN = "an-example-token"
HEADERS = {"X-Pixel-Token": TOKEN, "Content-Type": "application/json"}
OAUTH = {
    "consumer_key": "ExampleConsumerKey12345",
    "consumer_secret": "ExampleConsumerSecret123",
    "access_token": "123-ExampleAccessToken123",
    "access_token_secret": "ExampleAccessTokenSecret1",
}


def conversion(**changes: Any) -> dict[str, Any]:
    """The vendor's own example."""
    return changed(
        {
            "conversion_time": "2026-02-18T01:14:00.603Z",
            "event_id": "o87ne",
            "identifiers": [
                {"twclid": "23opevjt88psuo13lu8d020qkn"},
                {"hashed_email": EMAIL_HASH},
                {"hashed_phone_number": PHONE_HASH},
                {"ip_address": "1.0.0.0", "user_agent": "Mozilla/5.0"},
            ],
            "value": "20.00",
            "price_currency": "USD",
            "number_items": 3,
            "conversion_id": "23294827",
            "description": "Pet supply purchases",
            "event_source_url": "https://example.com/pets%20and%20more",
            "contents": [
                {
                    "content_id": "1",
                    "content_name": "Blankets",
                    "content_type": "Pet supplies",
                    "content_price": 100.99,
                    "num_items": 1,
                    "content_group_id": "123",
                }
            ],
        },
        changes,
    )


def send(sandbox: Sandbox, body: Any, method: str = "POST", path: str = PATH, **changes: Any) -> Reply:
    headers = HEADERS | {name.replace("_", "-"): value for name, value in changes.items()}
    return ask(sandbox.url, method, path, body, {name: value for name, value in headers.items() if value is not GONE})


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"value": 20.5},
        {"event_id": "tw-o8z6j-o87ne"},
        {"identifiers": [{"hashed_email": EMAIL_HASH, "user_agent": "Mozilla/5.0"}]},
        dict.fromkeys(
            ("value", "price_currency", "number_items", "conversion_id", "description", "contents", "event_source_url"),
            GONE,
        ),
    ],
    ids=repr,
)
def test_good(sandbox: Sandbox, changes: dict[str, Any]) -> None:
    reply = send(sandbox, {"conversions": [conversion(), conversion(**changes)]})
    assert reply.status == 200, reply.body
    assert reply.json["data"]["conversions_processed"] == 2
    assert reply.json["data"]["debug_id"]


@pytest.mark.parametrize(
    ("changes", "parameter", "message"),
    [
        ({"conversion_time": "2026-02-18T01:14:00Z"}, "conversion_time", "yyyy-MM-ddTHH:mm:ss.SSSZ"),
        ({"conversion_time": "2026-02-18T01:14:00.603"}, "conversion_time", "yyyy-MM-ddTHH:mm:ss.SSSZ"),
        ({"conversion_time": 1795435200}, "conversion_time", "must be a string"),
        ({"conversion_time": GONE}, "conversion_time", "required"),
        ({"event_id": GONE}, "event_id", "required"),
        ({"event_id": "SIGN_UP"}, "event_id", "the id of an event"),
        ({"event_id": "o8z6j"}, "event_id", "is not a single event tag (SET)"),
        ({"event_name": "Purchase"}, "event_name", "unrecognized"),
        ({"currency": "USD"}, "currency", "unrecognized"),
        ({"price_currency": "usd"}, "price_currency", "ISO 4217"),
        ({"value": "20,00"}, "value", "number"),
        ({"value": -1}, "value", "number"),
        ({"number_items": 0}, "number_items", "greater than zero"),
        ({"number_items": "3"}, "number_items", "integer"),
        ({"conversion_id": ""}, "conversion_id", "must not be empty"),
        ({"event_source_url": "https://example.com/ü"}, "event_source_url", "URL encoded"),
        ({"event_source_url": "home"}, "event_source_url", "URL"),
        ({"contents": []}, "contents", "must not be empty"),
        ({"contents": [{}]}, "contents", "must not be empty"),
        ({"contents.0.content_price": "1"}, "content_price", "number"),
        ({"contents.0.num_items": 0}, "num_items", "greater than zero"),
        ({"contents.0.price": 1}, "price", "unrecognized"),
        ({"identifiers": []}, "identifiers", "must not be empty"),
        (
            {"identifiers": [{"ip_address": "1.0.0.0", "user_agent": "x"}]},
            "identifiers",
            "At least one user identifier",
        ),
        ({"identifiers.0.email": "a@b.co"}, "email", "unrecognized"),
        ({"identifiers.1.hashed_email": "ada@example.com"}, "hashed_email", "not a valid SHA-256 hash"),
        ({"identifiers.1.hashed_email": EMAIL_HASH.upper()}, "hashed_email", "not a valid SHA-256 hash"),
        ({"identifiers.1.hashed_email": HASH_OF_NOTHING}, "hashed_email", "not a valid SHA-256 hash"),
        ({"identifiers.2.hashed_phone_number": "+16505551212"}, "hashed_phone_number", "not a valid SHA-256 hash"),
        ({"identifiers.0.twclid": EMAIL_HASH}, "twclid", "must not be hashed"),
        ({"identifiers.3.ip_address": "2001:db8::1"}, "ip_address", "IPv4"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_one_bad_conversion_refuses_all(
    sandbox: Sandbox, changes: dict[str, Any], parameter: str, message: str
) -> None:
    reply = send(sandbox, {"conversions": [conversion(), conversion(**changes)]})
    assert reply.status == 400, reply.body
    found = [error for error in reply.json["errors"] if error["parameter"] == parameter]
    assert message in found[0]["message"]
    assert "index" not in str(reply.json).lower()


def test_batch_limit(sandbox: Sandbox) -> None:
    assert send(sandbox, {"conversions": [conversion()] * 500}).status == 200
    reply = send(sandbox, {"conversions": [conversion()] * 501})
    assert reply.json["errors"][0]["message"] == "Conversion count limit is 500"


@pytest.mark.parametrize("body", [b"{", [], {}, {"conversions": []}, {"conversions": {}}, {"data": []}], ids=repr)
def test_bad_roots(sandbox: Sandbox, body: Any) -> None:
    assert send(sandbox, body).status == 400


def signed(url: str, timestamp: int | None = None, **changes: str) -> str:
    keys = OAUTH | changes
    client = Client(*keys.values(), nonce="n", timestamp=str(timestamp or int(time.time())))
    return str(client.sign(url, "POST")[1]["Authorization"])


URL = "https://ads-api.x.com/12/measurement/conversions/o8z6j"


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"X_Pixel_Token": GONE}, 401, "UNAUTHORIZED_ACCESS"),
        ({"X_Pixel_Token": GONE, "Authorization": f"Bearer {TOKEN}"}, 401, "UNAUTHORIZED_ACCESS"),
        ({"X_Pixel_Token": GONE, "Authorization": signed(URL, 1_700_000_000)}, 401, "UNAUTHORIZED_ACCESS"),
        ({"X_Pixel_Token": GONE, "Authorization": signed(URL)[:-20] + '"'}, 401, "UNAUTHORIZED_ACCESS"),
        ({"X_Pixel_Token": f"{TOKEN}-expired"}, 401, "UNAUTHORIZED_ACCESS"),
        ({"X_Pixel_Token": f"{TOKEN}-revoked"}, 401, "UNAUTHORIZED_ACCESS"),
        ({"X_Pixel_Token": f"{TOKEN}-forbidden"}, 403, "UNAUTHORIZED_CLIENT_APPLICATION"),
        ({"Content_Type": "text/plain"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
        ({"method": "PUT"}, 405, "METHOD_NOT_ALLOWED"),
        ({"path": PATH.replace("/12/", "/11/")}, 404, "ROUTE_NOT_FOUND"),
        ({"path": PATH + "/events"}, 404, "ROUTE_NOT_FOUND"),
        ({"path": PATH.replace("o8z6j", "404aa")}, 404, "NOT_FOUND"),
    ],
)
def test_requests(sandbox: Sandbox, changes: dict[str, Any], status: int, code: str) -> None:
    reply = send(sandbox, {"conversions": [conversion()]}, **changes)
    assert (reply.status, reply.json["errors"][0]["code"]) == (status, code)


def test_an_oauth_signature_is_accepted(sandbox: Sandbox) -> None:
    body = {"conversions": [conversion()]}
    assert send(sandbox, body, X_Pixel_Token=GONE, Authorization=signed(URL)).status == 200


@pytest.mark.parametrize("event_id", ["tw-other-o87ne", "404ab", "tw-o8z6j-404ab"])
def test_events_of_others(sandbox: Sandbox, event_id: str) -> None:
    reply = send(sandbox, {"conversions": [conversion(), conversion(event_id=event_id)]})
    assert (reply.status, reply.json["errors"][0]["code"]) == (404, "WEB_EVENT_TAG_NOT_FOUND")


def test_duplicates_are_counted(sandbox: Sandbox) -> None:
    for _ in range(2):
        send(sandbox, {"conversions": [conversion()]})
    assert [one["duplicates"] for one in sandbox.received()] == [1, 0]


# --- With the adapter -----------------------------------------------------------------------------
PLATFORM = X()
CONFIG = {"pixel_id": "o8z6j", "pixel_token": TOKEN}
PERSON: dict[str, Any] = {
    "email": "Ada.Lovelace@Example.com",
    "phone": "(650) 555-1212",
    "first_name": "Ada",
    "last_name": "Lovelace",
    "country": "US",
    "external_id": "user_42",
    "anonymous_id": "anon_9",
    "client_ip": "203.0.113.7",
    "user_agent": "Mozilla/5.0 (X11; Linux x86_64)",
    "page_url": "https://example.com/über uns?twclid=23opevjt88psuo13lu8d020qkn",
    "referrer": "https://x.com/",
}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "purchase": (
        "Purchase",
        PERSON
        | {
            "value": 49.9, "currency": "USD", "order_id": "o1", "transaction_id": "t1", "num_items": 2,
            "content_ids": ["a", "b"], "content_name": "Growth", "content_category": "plans", "content_type": "product",
        },
    ),
    "sign_up": ("SignUp", PERSON | {"client_ip": "2001:db8::1", "plan": "trial"}),
    "lead": ("LeadCaptured", PERSON | {"lead_id": "00Q", "content_name": "Guide", "value": 0.0, "currency": "EUR"}),
    "bare": ("SomethingOfMyOwn", {"email": "a@b.co"}),
}  # fmt: skip


def made(event: str, fields: dict[str, Any], config: dict[str, str], **own: Any) -> base.Request:
    now = datetime.now(UTC)  # at the call: X refuses a signature older than five minutes, and a suite takes longer
    one = Item(
        key=1, event_id="e1", event=event, occurred_ms=int(now.timestamp() * 1000) - 3_600_000,
        payload=Payload(**fields), native_name=PLATFORM.native_name(event), **({"native_id": "o87ne"} | own),
    )  # fmt: skip
    built = PLATFORM.build([one], config, now)
    assert built.skipped == []
    return built.requests[0]


def delivered(sandbox: Sandbox, request: base.Request) -> tuple[Reply, list[base.Outcome]]:
    path = "/x" + urlsplit(request.url).path
    reply = ask(sandbox.url, request.method, path, request.body, request.headers)
    return reply, PLATFORM.parse(request, Response(status=reply.status, headers=reply.headers, body=reply.body))


@pytest.mark.parametrize("config", [CONFIG, CONFIG | OAUTH], ids=["token", "oauth"])
@pytest.mark.parametrize("case", CASES)
def test_what_the_adapter_makes_is_taken(sandbox: Sandbox, case: str, config: dict[str, str]) -> None:
    reply, outcomes = delivered(sandbox, made(*CASES[case], config))
    assert reply.status == 200, reply.body
    assert outcomes == [base.OK]


@pytest.mark.parametrize(
    ("config", "own", "result", "advice"),
    [
        ({"pixel_token": "a-token-expired"}, {}, Result.CONFIG, "Make a new access token"),
        ({"pixel_token": "a-token-forbidden"}, {}, Result.CONFIG, "no access to the Ads API"),
        ({"pixel_id": "404aa"}, {}, Result.CONFIG, "Check the pixel id"),
        ({"api_version": "11"}, {}, Result.CONFIG, "API version"),
        ({}, {"native_id": "tw-other-o87ne"}, Result.CONFIG, "Copy the event id again"),
        ({}, {"native_id": "o8z6j"}, Result.CONFIG, "Enter the id of an event"),
    ],
)
def test_the_doubles_refusals_are_read_right(
    sandbox: Sandbox, config: dict[str, str], own: dict[str, Any], result: Result, advice: str
) -> None:
    _, (outcome,) = delivered(sandbox, made("SignUp", {"email": "a@b.co"}, CONFIG | config, **own))
    assert outcome.result == result
    assert advice in outcome.detail


def test_a_bad_conversion_splits_its_batch(sandbox: Sandbox) -> None:
    params = {"x": {"conversion_time": "yesterday"}}
    items = [
        Item(key=key, event_id=f"e{key}", event="SignUp", occurred_ms=0, native_id="o87ne",
             payload=Payload(email="a@b.co", platform_params=params if key == 1 else {}))
        for key in range(3)
    ]  # fmt: skip
    now = datetime.now(UTC)
    (request,) = PLATFORM.build(items, CONFIG, now).requests
    assert {outcome.result for outcome in delivered(sandbox, request)[1]} == {Result.SPLIT}
    (alone,) = PLATFORM.build(items[1:2], CONFIG, now).requests
    assert delivered(sandbox, alone)[1][0].result == Result.PERMANENT


@pytest.mark.parametrize("kind", ["429", "500", "html", "empty", "partial"])
def test_injected_failures_are_no_success(sandbox: Sandbox, kind: str) -> None:
    request = made("SignUp", {"email": "a@b.co"}, CONFIG)
    failing = msgspec.structs.replace(request, headers=request.headers | {"x-sandbox-fail": kind})
    _, (outcome,) = delivered(sandbox, failing)
    assert outcome.result == Result.RETRY
