"""Google Analytics' double: silent where the vendor is, and strict on the validation server."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

from destinations.platforms.base import TEST, Item, Outcome, Response, Result
from destinations.platforms.ga4 import Ga4
from destinations.sandbox.server import Sandbox
from tests.destinations.platforms.making import CONFIG, item
from tests.destinations.sandbox.support import EMAIL_HASH, GONE, HASH_OF_NOTHING, Reply, ask, changed

GA4 = Ga4()
QUERY = "?api_secret=an-example-api-secret&measurement_id=G-EXAMPLE123"
APP_QUERY = "?api_secret=an-example-api-secret&firebase_app_id=1:1234:android:321abc456def7890"


def micros(hours_ago: float = 0) -> int:
    return int((time.time() - hours_ago * 3600) * 1_000_000)


def hit(**changes: Any) -> dict[str, Any]:
    """The vendor's samples put together."""
    return changed(
        {
            "client_id": "1116446470.1795400000",
            "user_id": "u1",
            "timestamp_micros": micros(1),
            "ip_override": "203.0.113.7",
            "user_agent": "Mozilla/5.0",
            "user_properties": {"tier": {"value": "gold"}},
            "consent": {"ad_user_data": "GRANTED", "ad_personalization": "DENIED"},
            "user_data": {
                "sha256_email_address": [EMAIL_HASH],
                "sha256_phone_number": [EMAIL_HASH],
                "address": [
                    {"sha256_first_name": EMAIL_HASH, "sha256_last_name": EMAIL_HASH, "city": "san francisco",
                     "region": "california", "postal_code": "94103", "country": "US"}
                ],
            },
            "events": [
                {
                    "name": "purchase",
                    "params": {
                        "session_id": "123", "engagement_time_msec": 100, "currency": "USD", "value": 30.03,
                        "transaction_id": "T_12345", "items": [{"item_id": "SKU_1", "price": 10.01, "quantity": 3}],
                    },
                }
            ],
        },
        changes,
    )  # fmt: skip


def validate(sandbox: Sandbox, body: Any, query: str = QUERY) -> list[dict[str, str]]:
    reply = ask(sandbox.url, "POST", f"/ga4/debug/mp/collect{query}", body, {"Content-Type": "application/json"})
    assert reply.status == 200
    messages: list[dict[str, str]] = reply.json["validationMessages"]
    return messages


def collect(sandbox: Sandbox, body: Any, query: str = QUERY) -> Reply:
    return ask(sandbox.url, "POST", f"/ga4/mp/collect{query}", body, {"Content-Type": "application/json"})


def accepted(sandbox: Sandbox) -> Any:
    return ask(sandbox.url, "GET", "/_accepted").json


GOOD: list[dict[str, Any]] = [
    {},
    {"user_id": GONE, "timestamp_micros": GONE, "user_data": GONE, "consent": GONE, "user_properties": GONE},
    {"timestamp_micros": micros(71), "events.0.timestamp_micros": micros(2)},
    {
        "events.0.params": {
            "transaction_id": "T_12345",
            "debug_mode": 1,
            "page_location": "https://x.example/" + "x" * 900,
        }
    },
    {"user_data.sha256_email_address": EMAIL_HASH},
    {"validation_behavior": "ENFORCE_RECOMMENDATIONS"},
]


@pytest.mark.parametrize("changes", GOOD, ids=[str(one)[:60] for one in GOOD])
def test_good(sandbox: Sandbox, changes: dict[str, Any]) -> None:
    assert validate(sandbox, hit(**changes)) == []
    assert accepted(sandbox) == {}, "the validation server takes nothing"
    reply = collect(sandbox, hit(**changes))
    assert (reply.status, reply.body) == (204, b"")
    assert accepted(sandbox) == {"T_12345": 1}


def test_an_app(sandbox: Sandbox) -> None:
    body = hit(client_id=GONE, app_instance_id="0123456789abcdef0123456789ABCDEF", user_agent=GONE)
    assert validate(sandbox, body, APP_QUERY) == []
    assert validate(sandbox, hit(), APP_QUERY)[0]["fieldPath"] == "app_instance_id"
    assert validate(sandbox, body, APP_QUERY.replace(":", "%3A"))[0]["fieldPath"] == "firebase_app_id"
    assert validate(sandbox, body)[0]["fieldPath"] == "client_id"


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"client_id": GONE}, "client_id", "VALUE_REQUIRED"),
    ({"client_id": ""}, "client_id", "VALUE_INVALID"),
    ({"client_id": "ada@example.com"}, "client_id", "VALUE_INVALID"),
    ({"user_id": "ada@example.com"}, "user_id", "VALUE_INVALID"),
    ({"user_id": "x" * 257}, "user_id", "VALUE_INVALID"),
    ({"surprise": 1}, "surprise", "NAME_INVALID"),
    ({"timestamp_micros": micros(1) // 1000}, "timestamp_micros", "VALUE_OUT_OF_BOUNDS"),
    ({"timestamp_micros": micros(73)}, "timestamp_micros", "VALUE_OUT_OF_BOUNDS"),
    ({"timestamp_micros": micros(-1)}, "timestamp_micros", "VALUE_OUT_OF_BOUNDS"),
    ({"timestamp_micros": str(micros(1))}, "timestamp_micros", "VALUE_INVALID"),
    ({"events.0.timestamp_micros": micros(73)}, "events[0].timestamp_micros", "VALUE_OUT_OF_BOUNDS"),
    ({"ip_override": "x"}, "ip_override", "VALUE_INVALID"),
    ({"consent.ad_user_data": "granted"}, "consent.ad_user_data", "VALUE_INVALID"),
    ({"consent.analytics": "GRANTED"}, "consent.analytics", "NAME_INVALID"),
    ({"user_data.sha256_email_address": ["ada@example.com"]}, "user_data.sha256_email_address", "VALUE_INVALID"),
    ({"user_data.sha256_email_address": [HASH_OF_NOTHING]}, "user_data.sha256_email_address", "VALUE_INVALID"),
    ({"user_data.sha256_phone_number": [EMAIL_HASH.upper()]}, "user_data.sha256_phone_number", "VALUE_INVALID"),
    ({"user_data.email": "x"}, "user_data.email", "NAME_INVALID"),
    ({"user_data.address.0.city": "Rome"}, "user_data.address[0].city", "VALUE_INVALID"),
    ({"user_data.address.0.city": EMAIL_HASH}, "user_data.address[0].city", "VALUE_INVALID"),
    ({"user_data.address.0.country": "us"}, "user_data.address[0].country", "VALUE_INVALID"),
    ({"user_data.address.0.sha256_first_name": "ada"}, "user_data.address[0].sha256_first_name", "VALUE_INVALID"),
    ({"user_properties.user_id": {"value": "x"}}, "user_properties.user_id", "NAME_RESERVED"),
    ({"user_properties.tier": "gold"}, "user_properties.tier", "VALUE_INVALID"),
    ({"user_properties.tier.value": "x" * 37}, "user_properties.tier.value", "VALUE_INVALID"),
    ({"events": []}, "events", "EXCEEDED_MAX_ENTITIES"),
    ({"events": GONE}, "events", "VALUE_REQUIRED"),
    ({"events": [{"name": "a"}] * 26}, "events", "EXCEEDED_MAX_ENTITIES"),
    ({"events.0.name": GONE}, "events[0].name", "VALUE_REQUIRED"),
    ({"events.0.name": "session_start"}, "events[0].name", "NAME_RESERVED"),
    ({"events.0.name": "ga_x"}, "events[0].name", "NAME_RESERVED"),
    ({"events.0.name": "my event"}, "events[0].name", "NAME_INVALID"),
    ({"events.0.name": "x" * 41}, "events[0].name", "NAME_INVALID"),
    ({"events.0.event_id": "x"}, "events[0].event_id", "NAME_INVALID"),
    ({"events.0.params.a": "x" * 101}, "events[0].params.a", "VALUE_INVALID"),
    ({"events.0.params.a": None}, "events[0].params.a", "VALUE_INVALID"),
    ({"events.0.params.a": ["x"]}, "events[0].params.a", "VALUE_INVALID"),
    ({"events.0.params.a": "ada@example.com"}, "events[0].params.a", "VALUE_INVALID"),
    ({"events.0.params.page_title": "x" * 301}, "events[0].params.page_title", "VALUE_INVALID"),
    ({"events.0.params": {"transaction_id": "t", **{f"p{n}": n for n in range(25)}}}, "events[0].params",
     "EXCEEDED_MAX_ENTITIES"),
    ({"events.0.params.currency": GONE}, "events[0].params.currency", "VALUE_REQUIRED"),
    ({"events.0.params.currency": "usd"}, "events[0].params.currency", "VALUE_INVALID"),
    ({"events.0.params.value": "30"}, "events[0].params.value", "VALUE_INVALID"),
    ({"events.0.params.transaction_id": GONE}, "events[0].params.transaction_id", "VALUE_REQUIRED"),
    ({"events.0.params.items": {}}, "events[0].params.items", "EXCEEDED_MAX_ENTITIES"),
    ({"events.0.params.items": [{"price": 1}]}, "events[0].params.items[0]", "VALUE_REQUIRED"),
    ({"events.0.params.items.0.price": "1"}, "events[0].params.items[0].price", "VALUE_INVALID"),
    ({"events.0.params.items.0.quantity": 1.5}, "events[0].params.items[0].quantity", "VALUE_INVALID"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "path", "code"), BAD, ids=[str(one[0])[:60] for one in BAD])
def test_bad(sandbox: Sandbox, changes: dict[str, Any], path: str, code: str) -> None:
    (message,) = validate(sandbox, hit(**changes))
    assert (message["fieldPath"], message["validationCode"]) == (path, code)
    assert message["description"]
    assert collect(sandbox, hit(**changes)).status == 204, "it never tells"
    assert accepted(sandbox) == {}


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("", "api_secret"), ("?measurement_id=G-EXAMPLE123", "api_secret"),
        ("?api_secret=a-forbidden-secret&measurement_id=G-EXAMPLE123", "api_secret"),
        ("?api_secret=an-example-api-secret", "measurement_id"), (QUERY.replace("G-EX", "UA-"), "measurement_id"),
        (QUERY.replace("G-EXAMPLE", "G-404"), "measurement_id"),
        (QUERY + "&firebase_app_id=1:2:ios:a", "measurement_id"),
        (QUERY + "&debug=1", ""),
    ],
)  # fmt: skip
def test_streams(sandbox: Sandbox, query: str, path: str) -> None:
    assert validate(sandbox, hit(), query)[0]["fieldPath"] == path
    assert collect(sandbox, hit(), query).status == 204
    assert accepted(sandbox) == {}


def test_requests(sandbox: Sandbox) -> None:
    assert ask(sandbox.url, "GET", f"/ga4/mp/collect{QUERY}").status == 405
    assert ask(sandbox.url, "POST", f"/ga4/g/collect{QUERY}", hit()).status == 404
    assert collect(sandbox, b"x" * 130_000).status == 413
    assert collect(sandbox, b"{").status == 204
    assert validate(sandbox, b"{")[0]["description"].startswith("The body is not JSON")
    assert validate(sandbox, b"[]")[0]["description"] == "must be an object"


def test_a_purchase_that_comes_again_is_known(sandbox: Sandbox) -> None:
    collect(sandbox, hit())
    collect(sandbox, hit())
    assert accepted(sandbox) == {"T_12345": 2}
    assert [one["duplicates"] for one in ask(sandbox.url, "GET", "/_received").json] == [1, 0]


# --- With the adapter -----------------------------------------------------------------------------------
PERSON: dict[str, Any] = {
    "email": "ada@example.com", "phone": "+14155552671", "first_name": "Ada 1", "last_name": "O'Byron",
    "city": "St. Gallen", "state": "SG", "zip": "9000", "country": "CH", "external_id": "u1", "anonymous_id": "a1",
    "client_ip": "2001:db8::1", "user_agent": "Mozilla/5.0",
    "page_url": "https://example.com/?gclid=EAI&e=a%40b.co", "page_title": "Pricing 😀",
    "referrer": "https://example.org/", "consent": {"marketing": True},
    "properties": {"seats": 3, "user_properties": {"tier": "gold"}, "_ga": "GA1.1.1.2", "note": "x" * 200},
}  # fmt: skip
ITEMS: list[Item] = [
    item("Purchase", GA4, key=0, event_id="e0", **PERSON, value=49.9, currency="USD", num_items=2,
         content_ids=["a", "b"], plan="growth", transaction_id="t0"),
    item("SignUp", GA4, key=1, event_id="e1", **PERSON),
    item("LeadCaptured", GA4, key=2, event_id="e2", **PERSON, lead_event_source="Form", company_name="Acme"),
    item("Refund", GA4, key=3, event_id="e3", anonymous_id="a2", value=49.9, currency="USD", transaction_id="t0"),
    item("MyOwnEvent", GA4, key=4, event_id="e4", anonymous_id="a3"),
]  # fmt: skip


def deliver(sandbox: Sandbox, items: list[Item], config: dict[str, str]) -> list[Outcome]:
    """As delivery does it, at the real time: what must come before, then the request itself."""
    now = datetime.now(UTC)
    at = int(now.timestamp() * 1000) - 60_000
    built = GA4.build([msgspec.structs.replace(one, occurred_ms=at) for one in items], CONFIG["ga4"] | config, now)
    assert built.skipped == []
    outcomes: list[Outcome] = []
    for whole in built.requests:
        for request in (*whole.before, whole):
            parts = urlsplit(request.url)
            reply = ask(sandbox.url, request.method, f"/ga4{parts.path}?{parts.query}", request.body, request.headers)
            outcomes += GA4.parse(request, Response(status=reply.status, headers=reply.headers, body=reply.body))
    return outcomes


@pytest.mark.parametrize("config", [{}, {"region": "eu"}, {"debug": "true"}, {TEST: "1"}], ids=str)
def test_what_the_adapter_builds_is_valid_and_taken(sandbox: Sandbox, config: dict[str, str]) -> None:
    outcomes = deliver(sandbox, ITEMS, config)
    assert {outcome.result for outcome in outcomes} == {Result.OK}, outcomes
    assert len(outcomes) == len(ITEMS) * (2 if "debug" in config else 1)
    assert accepted(sandbox) == ({} if TEST in config else {"t0": 1})


@pytest.mark.parametrize("one", ITEMS, ids=lambda one: one.event)
def test_each_event_passes_the_validation_server(sandbox: Sandbox, one: Item) -> None:
    (outcome,) = deliver(sandbox, [one], {TEST: "1"})
    assert outcome.result == Result.OK, outcome


def test_what_the_adapter_builds_of_an_app_is_valid(sandbox: Sandbox) -> None:
    config = {"measurement_id": "", "firebase_app_id": "1:1234:ios:321abc456def7890", TEST: "1"}
    properties = {"app_instance_id": "0123456789abcdef0123456789abcdef"}
    (outcome,) = deliver(sandbox, [item("SignUp", GA4, properties=properties, user_agent="x")], config)
    assert outcome.result == Result.OK, outcome


def test_the_adapter_reads_the_refusals(sandbox: Sandbox) -> None:
    params = {"a": "x" * 101}
    bad = item("SignUp", GA4, key=2, anonymous_id="a", platform_params={"ga4": {"params": params}})
    good = item("SignUp", GA4, key=1, anonymous_id="a")
    outcomes = deliver(sandbox, [good, bad], {TEST: "1"})
    assert [outcome.result for outcome in outcomes] == [Result.RETRY, Result.PERMANENT]
    assert "events[1].params.a" in outcomes[1].detail
    outcomes = deliver(sandbox, [good], {TEST: "1", "api_secret": "a-revoked-secret"})
    assert [outcome.result for outcome in outcomes] == [Result.CONFIG]


@pytest.mark.parametrize("kind", ["500", "429", "html"])
def test_failures(sandbox: Sandbox, kind: str) -> None:
    ask(sandbox.url, "POST", "/_failures", {"platform": "ga4", "kind": kind, "times": 1})
    assert {outcome.result for outcome in deliver(sandbox, ITEMS[:1], {})} == {Result.RETRY}


def test_the_examples_of_the_fields_open_the_sandbox(sandbox: Sandbox) -> None:
    config = {field.name: field.example for field in GA4.fields if field.example}
    (outcome,) = deliver(sandbox, ITEMS[:1], config | {TEST: "1"})
    assert outcome.result == Result.OK, json.dumps(outcome.detail)
