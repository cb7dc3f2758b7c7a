"""TikTok's double refuses what TikTok refuses, in TikTok's words, and takes what the adapter builds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from destinations import platforms
from destinations.platforms.base import Response
from destinations.sandbox.server import Sandbox
from tests.destinations.platforms.making import CONFIG, item, only
from tests.destinations.sandbox.support import EMAIL_HASH, GONE, HASH_OF_NOTHING, Reply, ask, changed, seconds

PATH = "/tiktok/open_api/v1.3/event/track/"
TOKEN = "0123456789abcdef0123456789abcdef01234567"
PIXEL = "C4EXAMPLE0PIXEL0CODE"
HEADERS = {"Access-Token": TOKEN, "Content-Type": "application/json"}


def purchase(**changes: Any) -> dict[str, Any]:
    """The vendor's example of a web event, with every field its tables know."""
    return changed(
        {
            "event": "Purchase",
            "event_time": seconds(days_ago=1),
            "event_id": "12345",
            "user": {
                "external_id": [EMAIL_HASH], "phone": EMAIL_HASH, "email": EMAIL_HASH, "first_name": EMAIL_HASH,
                "last_name": EMAIL_HASH, "zip_code": EMAIL_HASH, "city": "newyork", "state": "ny", "country": "us",
                "ttclid": "E.C.P.x", "ttp": "2F7h37YkS1j57AYSKTI7IHhJPYH", "ip": "2001:db8::1",
                "user_agent": "Mozilla/5.0", "locale": "en_US",
            },
            "page": {"url": "https://example.com/?a=1", "referrer": "https://example.com/"},
            "properties": {
                "currency": "USD", "value": 200.0, "content_type": "product", "description": "shoes", "num_items": 2,
                "content_ids": ["12345"], "order_id": "o", "shop_id": "s", "search_string": "x",
                "contents": [{"price": 100.0, "quantity": 2, "content_id": "12345", "content_name": "Max",
                              "content_category": "Shoes", "brand": "Fancy"}],
            },
            "limited_data_use": False,
        },
        changes,
    )  # fmt: skip


def root(*events: Any, **changes: Any) -> dict[str, Any]:
    return changed({"event_source": "web", "event_source_id": PIXEL, "data": list(events)}, changes)


def send(sandbox: Sandbox, value: Any, method: str = "POST", path: str = PATH, **changes: Any) -> Reply:
    headers = HEADERS | {name.replace("_", "-"): one for name, one in changes.items()}
    return ask(sandbox.url, method, path, value, {name: one for name, one in headers.items() if one is not GONE})


@pytest.mark.parametrize(
    "changes",
    [
        {}, {"user": {"email": EMAIL_HASH}, "page": GONE, "properties": GONE, "limited_data_use": GONE},
        {"event_id": GONE}, {"user": {"ip": "192.0.2.1", "user_agent": "x"}}, {"user": {"ttp": "x"}},
        {"event_time": seconds(days_ago=6.9)}, {"event": "MyOwnEvent"},
    ],
)  # fmt: skip
def test_good_events(sandbox: Sandbox, changes: dict[str, Any]) -> None:
    reply = send(sandbox, root(purchase(**changes), purchase()))
    assert reply.status == 200
    assert {key: reply.json[key] for key in ("code", "message", "data")} == {"code": 0, "message": "OK", "data": {}}
    assert reply.json["request_id"]


def test_other_sources(sandbox: Sandbox) -> None:
    known = {"event": "Purchase", "event_time": seconds(), "user": {"email": EMAIL_HASH}}
    crm = {"event": "Qualified", "event_time": seconds(), "lead": {"lead_id": "7"}}
    app = known | {"app": {"app_id": "com.example"}}
    for source, event in (("offline", known), ("crm", crm), ("crm", known | crm), ("app", app)):
        body = root(event, event_source=source, event_source_id="7012345678901234567", test_event_code="TEST1")
        assert send(sandbox, body).json["code"] == 0, source
        assert send(sandbox, root(event, event_source=source)).json["message"].startswith("event_source_id: ")


BAD: list[tuple[dict[str, Any], str]] = [
    ({"event": GONE}, "event"),
    ({"event": ""}, "event"),
    ({"event_time": GONE}, "event_time"),
    ({"event_time": str(seconds())}, "event_time"),
    ({"event_time": seconds() * 1000}, "event_time"),
    ({"event_time": seconds(days_ago=8)}, "event_time"),
    ({"event_time": seconds(days_ago=-1)}, "event_time"),
    ({"event_id": 5}, "event_id"),
    ({"timestamp": "x"}, "timestamp"),
    ({"limited_data_use": 1}, "limited_data_use"),
    ({"lead": {"lead_id": "7"}}, "lead"),
    ({"app": {"app_id": "7"}}, "app"),
    ({"user": GONE}, "user"),
    ({"user": {}}, "user"),
    ({"user": {"ip": "192.0.2.1"}}, "user"),
    ({"user": {"city": "london"}}, "user"),
    ({"user.email": "ada@example.com"}, "user.email"),
    ({"user.email": EMAIL_HASH.upper()}, "user.email"),
    ({"user.email": HASH_OF_NOTHING}, "user.email"),
    ({"user.email": []}, "user.email"),
    ({"user.phone": "+14155550123"}, "user.phone"),
    ({"user.phone_number": EMAIL_HASH}, "user.phone_number"),
    ({"user.external_id": ["u1"]}, "user.external_id"),
    ({"user.first_name": "ada"}, "user.first_name"),
    ({"user.zip_code": "94103"}, "user.zip_code"),
    ({"user.city": "New York"}, "user.city"),
    ({"user.country": "US"}, "user.country"),
    ({"user.country": EMAIL_HASH}, "user.country"),
    ({"user.ttclid": EMAIL_HASH}, "user.ttclid"),
    ({"user.ip": EMAIL_HASH}, "user.ip"),
    ({"user.user_agent": EMAIL_HASH}, "user.user_agent"),
    ({"user.gaid": "x"}, "user.gaid"),
    ({"page.url": GONE}, "page.url"),
    ({"page.url": "/x"}, "page.url"),
    ({"page.referrer": "x"}, "page.referrer"),
    ({"properties": []}, "properties"),
    ({"properties.value": "200"}, "properties.value"),
    ({"properties.value": -1}, "properties.value"),
    ({"properties.value": GONE}, "properties.value"),
    ({"properties.currency": GONE}, "properties.value"),
    ({"properties.currency": "usd"}, "properties.currency"),
    ({"properties.content_type": "guide"}, "properties.content_type"),
    ({"properties.contents": {}}, "properties.contents"),
    ({"properties.contents.0.content_id": 12345}, "properties.contents.0.content_id"),
    ({"properties.contents.0.content_type": "product"}, "properties.contents.0.content_type"),
    ({"properties.revenue": 5}, "properties.revenue"),
]


@pytest.mark.parametrize(("changes", "path"), BAD, ids=[str(one[0])[:60] for one in BAD])
def test_the_first_fault_is_told_by_index_and_path(sandbox: Sandbox, changes: dict[str, Any], path: str) -> None:
    reply = send(sandbox, root(purchase(), purchase(**changes)))
    assert (reply.status, reply.json["code"]) == (200, 40002)
    assert reply.json["message"].startswith(f"Batch.1.{path}: ")


@pytest.mark.parametrize(
    "body",
    [
        b"{", b"\xff", [], {}, root(), root(purchase(), event_source="website"), root(purchase(), event_source_id="x"),
        root(purchase(), pixel_code="x"), root(purchase(), test_event_code="?"), root(*[purchase()] * 1001),
    ],
    ids=lambda body: str(body)[:40],
)  # fmt: skip
def test_bad_roots(sandbox: Sandbox, body: Any) -> None:
    assert send(sandbox, body).json["code"] == 40002


def test_a_thousand_are_taken(sandbox: Sandbox) -> None:
    assert send(sandbox, root(*[purchase()] * 1000)).json["code"] == 0


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Access_Token": GONE}, 40104), ({"Access_Token": "short"}, 40105), ({"Access_Token": TOKEN + "-"}, 40105),
        ({"Access_Token": TOKEN + "expired"}, 40102), ({"Access_Token": TOKEN + "revoked"}, 40105),
        ({"Access_Token": TOKEN + "forbidden"}, 40001), ({"Content_Type": "text/plain"}, 40002),
        ({"Access_Token": GONE, "Authorization": f"Bearer {TOKEN}"}, 40104),
    ],
)  # fmt: skip
def test_requests(sandbox: Sandbox, headers: dict[str, Any], code: int) -> None:
    assert send(sandbox, root(purchase()), **headers).json["code"] == code


def test_wrong_ways(sandbox: Sandbox) -> None:
    assert send(sandbox, root(purchase()), path="/tiktok/open_api/v1.3/pixel/track/").status == 404
    assert send(sandbox, root(purchase()), path=PATH.rstrip("/")).status == 404
    assert send(sandbox, root(purchase()), method="PUT").status == 405
    assert send(sandbox, root(purchase(), event_source_id="NOPIXEL0PIXEL0CODE00")).json["code"] == 40001


def test_ids_are_counted_within_a_source_and_an_event(sandbox: Sandbox) -> None:
    send(sandbox, root(purchase(event_id="a"), purchase(event_id="a", event="Lead"), purchase(event_id=GONE)))
    send(sandbox, root(purchase(event_id="a")))
    assert sandbox.accepted("tiktok") == {"a": 3}


@pytest.mark.parametrize(("kind", "code"), [("401", 40105), ("403", 40001), ("429", 40100), ("500", 50000)])
def test_injected_failures_speak_tiktok(sandbox: Sandbox, kind: str, code: int) -> None:
    sandbox.fail("tiktok", kind)
    reply = send(sandbox, root(purchase()))
    assert (reply.status, reply.json["code"]) == (int(kind), code)


# --- With the adapter -----------------------------------------------------------------------------------
TIKTOK = platforms.get("tiktok")
EXAMPLES = {field.name: field.example for field in TIKTOK.fields if field.required}
FULL: dict[str, Any] = {
    "email": "ada@example.com", "phone": "(650) 555-1212", "first_name": "Ada", "last_name": "O'Byron",
    "city": "São Paulo", "state": "New York", "zip": "10001-1234", "country": "United States", "external_id": "u",
    "anonymous_id": "v", "client_ip": "203.0.113.7", "user_agent": "Mozilla/5.0", "value": 49.9, "currency": "USD",
    "page_url": "https://example.com/?ttclid=E.C.P.x", "referrer": "https://example.com/", "order_id": "o",
    "content_ids": ["a"], "content_name": "A", "content_category": "c", "num_items": 1, "lead_id": "7",
    "lead_event_source": "HubSpot", "click_ids": {"ttclid": "E.C.P.x", "ttp": "p"}, "consent": {"marketing": False},
}  # fmt: skip
BARE = {"email": "ada@example.com"}


def deliver(sandbox: Sandbox, config: dict[str, str], event: str = "Purchase", **fields: Any) -> tuple[Reply, str]:
    now = datetime.now(UTC)
    one = item(event, TIKTOK, occurred_ms=int(now.timestamp() * 1000), **fields)
    request = only(TIKTOK.build([one], config, now))
    reply = ask(sandbox.url, request.method, "/tiktok" + request.url[len("https://business-api.tiktok.com") :],
                request.body, request.headers)  # fmt: skip
    (outcome,) = TIKTOK.parse(request, Response(status=reply.status, headers=reply.headers, body=reply.body))
    return reply, outcome.result.value


@pytest.mark.parametrize("event", ["Purchase", "SignUp", "LeadCaptured", "HighIntentPageView", "Refund", "MyOwnEvent"])
@pytest.mark.parametrize("fields", [FULL, BARE], ids=["full", "bare"])
@pytest.mark.parametrize("config", [EXAMPLES, CONFIG["tiktok"]], ids=["examples", "golden"])
def test_what_the_adapter_builds_is_taken(
    sandbox: Sandbox, config: dict[str, str], fields: dict[str, Any], event: str
) -> None:
    reply, result = deliver(sandbox, config, event, **fields)
    assert (reply.json["code"], result) == (0, "ok"), reply.body


@pytest.mark.parametrize("source", ["crm", "offline", "app"])
def test_what_it_builds_for_other_sources_is_taken(sandbox: Sandbox, source: str) -> None:
    config = EXAMPLES | {"event_source": source, "pixel_code": "7012345678901234567"}
    params = {"tiktok": {"app": {"app_id": "com.example"}}} if source == "app" else {}
    reply, result = deliver(sandbox, config, platform_params=params, **FULL)
    assert (reply.json["code"], result) == (0, "ok"), reply.body


@pytest.mark.parametrize(
    ("config", "params", "result"),
    [
        ({"access_token": TOKEN + "expired"}, {}, "config"), ({"access_token": TOKEN + "revoked"}, {}, "config"),
        ({"access_token": TOKEN + "forbidden"}, {}, "config"), ({"pixel_code": "NOPIXEL0PIXEL0CODE00"}, {}, "config"),
        ({"event_source": "offline"}, {}, "config"), ({}, {"properties": {"oops": 1}}, "permanent"),
    ],
)  # fmt: skip
def test_the_adapter_reads_its_refusals(
    sandbox: Sandbox, config: dict[str, str], params: dict[str, Any], result: str
) -> None:
    assert deliver(sandbox, EXAMPLES | config, platform_params={"tiktok": params}, **BARE)[1] == result


@pytest.mark.parametrize(("kind", "result"), [("429", "retry"), ("500", "retry"), ("401", "config"), ("html", "retry")])
def test_the_adapter_reads_its_failures(sandbox: Sandbox, kind: str, result: str) -> None:
    sandbox.fail("tiktok", kind)
    assert deliver(sandbox, EXAMPLES, **BARE)[1] == result
