"""Reddit's double refuses what Reddit refuses, in Reddit's words, and takes what the adapter builds."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import pytest

from destinations import platforms
from destinations.platforms.base import ACCESS_TOKEN, Outcome, Response, Token
from destinations.sandbox.server import Sandbox
from tests.destinations.platforms.making import CONFIG, item, only
from tests.destinations.sandbox.support import EMAIL_HASH, GONE, HASH_OF_NOTHING, Reply, ask, changed, seconds

PATH = "/reddit/api/v3/pixels/a2_examplepixel/conversion_events"
TOKEN_PATH = "/reddit/api/v1/access_token"
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ1c2VyIn0.ldXmh1_-zt"
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json", "User-Agent": "Shop:capi:v1"}


def purchase(**changes: Any) -> dict[str, Any]:
    """An event with every field that the vendor's schema knows."""
    return changed(
        {
            "event_at": seconds(days_ago=1) * 1000,
            "action_source": "WEBSITE",
            "event_source_url": "https://example.com/thanks?rdt_cid=x",
            "click_id": "3184742045291813272",
            "type": {"tracking_type": "PURCHASE"},
            "user": {
                "email": EMAIL_HASH, "phone_number": EMAIL_HASH, "external_id": EMAIL_HASH, "idfa": EMAIL_HASH,
                "aaid": EMAIL_HASH, "ip_address": "192.0.2.1", "user_agent": "Mozilla/5.0",
                "uuid": "1684189007728.7c73f2ae-a433-4d7b-9838-f467da98f48e",
                "screen_dimensions": {"width": 3440, "height": 1440},
                "data_processing_options": {"modes": ["LDU"], "country": "US", "region": "US-CA"},
            },
            "metadata": {
                "conversion_id": "H72B9A4YXQ", "value": 10.99, "currency": "USD", "item_count": 5,
                "products": [{"id": "item-213", "name": "Burrito", "category": "Food", "quantity": 5,
                              "item_price": 2.2}],
            },
        },
        changes,
    )  # fmt: skip


def root(*events: Any, **data: Any) -> dict[str, Any]:
    return {"data": {"events": list(events), **data}}


def send(sandbox: Sandbox, value: Any, method: str = "POST", path: str = PATH, **changes: Any) -> Reply:
    headers = HEADERS | {name.replace("_", "-"): one for name, one in changes.items()}
    return ask(sandbox.url, method, path, value, {name: one for name, one in headers.items() if one is not GONE})


@pytest.mark.parametrize(
    "changes",
    [
        {}, {"event_source_url": GONE, "click_id": GONE, "metadata": GONE}, {"user": {}}, {"action_source": "OTHER"},
        {"click_id": GONE, "user": {"email": EMAIL_HASH}},
        {"click_id": GONE, "user": {"uuid": "7c73f2ae-a433-4d7b-9838-f467da98f48e"}},
        {"click_id": GONE, "user": {"ip_address": "2001:db8::1", "user_agent": "x",
                                    "screen_dimensions": {"width": 1, "height": 1}}},
        {"type": {"tracking_type": "CUSTOM", "custom_event_name": "é" * 64}},
        {"event_at": seconds(days_ago=6.9) * 1000}, {"event_at": (seconds() + 200) * 1000},
        {"user.data_processing_options.region": GONE},
    ],
)  # fmt: skip
def test_good_events(sandbox: Sandbox, changes: dict[str, Any]) -> None:
    reply = send(sandbox, root(purchase(**changes), purchase(), test_id="t2_x"))
    assert reply.status == 200, reply.body
    assert reply.json == {"data": {"message": "Successfully processed 2 conversion events."}}


BAD: list[tuple[dict[str, Any], str]] = [
    ({"event_at": GONE}, "event_at"),
    ({"event_at": "2026-01-01T00:00:00Z"}, "event_at"),
    ({"event_at": seconds()}, "event_at"),
    ({"event_at": seconds(days_ago=8) * 1000}, "event_at"),
    ({"event_at": seconds(days_ago=-1) * 1000}, "event_at"),
    ({"action_source": GONE}, "action_source"),
    ({"action_source": "website"}, "action_source"),
    ({"event_type": {"tracking_type": "PURCHASE"}}, "event_type"),
    ({"test_id": "x"}, "test_id"),
    ({"event_source_url": "/x"}, "event_source_url"),
    ({"click_id": EMAIL_HASH}, "click_id"),
    ({"type": GONE}, "type"),
    ({"type.tracking_type": "Purchase"}, "type.tracking_type"),
    ({"type.custom_event_name": "x"}, "type.custom_event_name"),
    ({"type": {"tracking_type": "CUSTOM"}}, "type.custom_event_name"),
    ({"type": {"tracking_type": "CUSTOM", "custom_event_name": "x" * 65}}, "type.custom_event_name"),
    ({"type": {"tracking_type": "CUSTOM", "custom_event_name": "SignUp"}}, "type.custom_event_name"),
    ({"user": GONE}, "user"),
    ({"user": {}, "click_id": GONE}, "user"),
    ({"user": {"ip_address": "192.0.2.1", "user_agent": "x"}, "click_id": GONE}, "user"),
    ({"user.email": "ada@example.com"}, "user.email"),
    ({"user.email": EMAIL_HASH.upper()}, "user.email"),
    ({"user.email": HASH_OF_NOTHING}, "user.email"),
    ({"user.email": [EMAIL_HASH]}, "user.email"),
    ({"user.phone_number": "+14155550123"}, "user.phone_number"),
    ({"user.phone": EMAIL_HASH}, "user.phone"),
    ({"user.external_id": "u1"}, "user.external_id"),
    ({"user.ip_address": EMAIL_HASH}, "user.ip_address"),
    ({"user.user_agent": EMAIL_HASH}, "user.user_agent"),
    ({"user.uuid": EMAIL_HASH}, "user.uuid"),
    ({"user.first_name": EMAIL_HASH}, "user.first_name"),
    ({"user.screen_dimensions": {"width": "1", "height": 1}}, "user.screen_dimensions.width"),
    ({"user.data_processing_options": {"modes": ["LDU"]}}, "user.data_processing_options.country"),
    ({"user.data_processing_options.modes": ["ldu"]}, "user.data_processing_options.modes"),
    ({"user.data_processing_options.country": "us"}, "user.data_processing_options.country"),
    ({"metadata": []}, "metadata"),
    ({"metadata.value": "10.99"}, "metadata.value"),
    ({"metadata.value": -1}, "metadata.value"),
    ({"metadata.value": GONE}, "metadata.value"),
    ({"metadata.currency": "usd"}, "metadata.currency"),
    ({"metadata.value_decimal": 10.99}, "metadata.value_decimal"),
    ({"metadata.item_count": 1.5}, "metadata.item_count"),
    ({"type.tracking_type": "PAGE_VISIT"}, "metadata.value"),
    ({"type.tracking_type": "LEAD"}, "metadata.item_count"),
    ({"metadata.products": [{}]}, "metadata.products.0.id"),
    ({"metadata.products.0.price": 2}, "metadata.products.0.price"),
]


@pytest.mark.parametrize(("changes", "path"), BAD, ids=[str(one[0])[:60] for one in BAD])
def test_one_bad_event_refuses_the_request_without_an_index(
    sandbox: Sandbox, changes: dict[str, Any], path: str
) -> None:
    reply = send(sandbox, root(purchase(), purchase(**changes)))
    assert (reply.status, reply.json["error"]["code"]) == (400, 400)
    assert reply.json["error"]["message"].startswith(f"{path}: ")


@pytest.mark.parametrize(
    "body",
    [
        b"{", b"\xff", [], {}, root(), {"events": [purchase()]}, root(purchase()) | {"test_id": "x"},
        root(purchase(), test_id="?"), root(purchase(), test_mode=True), root(*[purchase()] * 1001),
    ],
    ids=lambda body: str(body)[:40],
)  # fmt: skip
def test_bad_roots(sandbox: Sandbox, body: Any) -> None:
    assert send(sandbox, body).status == 400


def test_a_field_too_many_in_the_words_of_the_parser(sandbox: Sandbox) -> None:
    reply = send(sandbox, root(purchase(), test_mode=True))
    assert reply.json["error"]["message"] == 'JSON error "unknown field" on field "test_mode"'


def test_a_thousand_are_taken(sandbox: Sandbox) -> None:
    assert send(sandbox, root(*[purchase()] * 1000)).status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": GONE}, 401), ({"Authorization": f"Basic {TOKEN}"}, 401),
        ({"Authorization": "Bearer x"}, 401), ({"Authorization": f"Bearer {TOKEN}expired"}, 401),
        ({"Authorization": f"Bearer {TOKEN}revoked"}, 401), ({"Authorization": f"Bearer {TOKEN}forbidden"}, 403),
        ({"Content_Type": "text/plain"}, 415),
        ({"User_Agent": GONE}, 429), ({"User_Agent": "python-urllib3/2"}, 429), ({"method": "PUT"}, 405),
        ({"path": "/reddit/api/v2.0/conversions/events/a2_examplepixel"}, 404), ({"path": PATH + "/"}, 404),
        ({"path": PATH.replace("example", "404x")}, 404),
    ],
)  # fmt: skip
def test_requests(sandbox: Sandbox, headers: dict[str, Any], status: int) -> None:
    reply = send(sandbox, root(purchase()), **headers)
    assert (reply.status, reply.json["error"]["code"]) == (status, status)


def test_ids_are_counted_within_a_type_and_a_channel(sandbox: Sandbox) -> None:
    known = {"metadata": {"conversion_id": "a"}}
    others = [{"type": {"tracking_type": "LEAD"}}, {"action_source": "OTHER"}, {"metadata": GONE}]
    send(sandbox, root(*[purchase(**(known | other)) for other in ({}, *others)]))
    send(sandbox, root(purchase(**known)))
    assert sandbox.accepted("reddit") == {"a": 4}


@pytest.mark.parametrize("kind", ["400", "401", "403", "429", "500"])
def test_injected_failures_speak_reddit(sandbox: Sandbox, kind: str) -> None:
    sandbox.fail("reddit", kind)
    reply = send(sandbox, root(purchase()))
    assert (reply.status, reply.json["error"]["code"]) == (int(kind), int(kind))


# --- The token endpoint ---------------------------------------------------------------------------------
PAIR = base64.b64encode(b"client:secret").decode()
LOGIN = {
    "Authorization": f"Basic {PAIR}",
    "Content-Type": "application/x-www-form-urlencoded",
    "User-Agent": "Shop:capi:v1",
}
FORM = b"grant_type=refresh_token&refresh_token=" + TOKEN.encode()


def test_a_refresh_token_gives_an_access_token_that_opens(sandbox: Sandbox) -> None:
    reply = ask(sandbox.url, "POST", TOKEN_PATH, FORM, LOGIN)
    assert reply.status == 200
    assert (reply.json["token_type"], reply.json["expires_in"]) == ("bearer", 86400)
    token = reply.json["access_token"]
    assert send(sandbox, root(purchase()), Authorization=f"bearer {token}").status == 200


@pytest.mark.parametrize(
    ("form", "headers", "status"),
    [
        (FORM, {"Authorization": ""}, 401), (FORM, {"Authorization": "Basic ?"}, 401),
        (FORM, {"Authorization": "Basic " + base64.b64encode(b"client:").decode()}, 401),
        (FORM, {"Authorization": f"Bearer {PAIR}"}, 401), (FORM, {"Content-Type": "application/json"}, 200),
        (b"grant_type=password", {}, 200), (b"", {}, 200), (FORM + b"revoked", {}, 400),
        (b"grant_type=refresh_token", {}, 400), (FORM, {"User-Agent": "curl/8"}, 429),
    ],
)  # fmt: skip
def test_no_token(sandbox: Sandbox, form: bytes, headers: dict[str, str], status: int) -> None:
    reply = ask(sandbox.url, "POST", TOKEN_PATH, form, LOGIN | headers)
    assert reply.status == status
    assert reply.json["error"]
    assert "access_token" not in reply.json


def test_the_token_endpoint_takes_posts_only(sandbox: Sandbox) -> None:
    assert ask(sandbox.url, "GET", TOKEN_PATH, None, LOGIN).status == 405


# --- With the adapter -----------------------------------------------------------------------------------
REDDIT = platforms.get("reddit")
EXAMPLES = {field.name: field.example for field in REDDIT.fields if field.required}
OAUTH = {
    "pixel_id": "a2_examplepixel",
    "client_id": "example-client-id",
    "client_secret": "example-client-secret",
    "refresh_token": "example.refresh-token_of.an-app",
}
FULL: dict[str, Any] = {
    "email": "ada@example.com", "phone": "(650) 555-1212", "first_name": "Ada", "last_name": "O'Byron",
    "city": "London", "state": "New York", "zip": "10001-1234", "country": "United States", "external_id": "u",
    "anonymous_id": "v", "client_ip": "203.0.113.7", "user_agent": "Mozilla/5.0", "value": 49.9, "currency": "USD",
    "page_url": "https://example.com/?rdt_cid=x", "referrer": "https://example.com/", "order_id": "o",
    "content_ids": ["a"], "content_name": "A", "content_category": "c", "num_items": 1, "lead_id": "7",
    "click_ids": {"rdt_cid": "x", "rdt_uuid": "1684189007728.7c73f2ae-a433-4d7b-9838-f467da98f48e"},
    "consent": {"marketing": False},
}  # fmt: skip
BARE = {"email": "ada@example.com"}


def deliver(sandbox: Sandbox, config: dict[str, str], event: str = "Purchase", **fields: Any) -> tuple[Reply, Outcome]:
    now = datetime.now(UTC)
    one = item(event, REDDIT, occurred_ms=int(now.timestamp() * 1000), **fields)
    request = only(REDDIT.build([one], config, now))
    path = "/reddit" + request.url.removeprefix("https://ads-api.reddit.com")
    reply = ask(sandbox.url, request.method, path, request.body, request.headers)
    (outcome,) = REDDIT.parse(request, Response(status=reply.status, headers=reply.headers, body=reply.body))
    return reply, outcome


def log_in(sandbox: Sandbox, config: dict[str, str]) -> Token | Outcome:
    assert REDDIT.oauth is not None
    request = REDDIT.oauth.request(config, datetime.now(UTC))
    assert request is not None
    path = "/reddit" + request.url.removeprefix("https://www.reddit.com")
    reply = ask(sandbox.url, request.method, path, request.body, request.headers)
    return REDDIT.oauth.read(Response(status=reply.status, headers=reply.headers, body=reply.body))


@pytest.mark.parametrize(
    "event", ["Purchase", "SignUp", "LeadCaptured", "PageView", "HighIntentPageView", "Refund", "MyOwnEvent"]
)
@pytest.mark.parametrize("fields", [FULL, BARE], ids=["full", "bare"])
@pytest.mark.parametrize("config", [EXAMPLES, CONFIG["reddit"]], ids=["examples", "golden"])
def test_what_the_adapter_builds_is_taken(
    sandbox: Sandbox, config: dict[str, str], fields: dict[str, Any], event: str
) -> None:
    reply, outcome = deliver(sandbox, config, event, **fields)
    assert (reply.status, outcome.result) == (200, "ok"), reply.body


def test_the_adapter_logs_in_and_delivers(sandbox: Sandbox) -> None:
    token = log_in(sandbox, OAUTH)
    assert isinstance(token, Token)
    assert token.expires_in == 86400.0
    reply, outcome = deliver(sandbox, OAUTH | {ACCESS_TOKEN: token.access_token}, **FULL)
    assert (reply.status, outcome.result) == (200, "ok"), reply.body


@pytest.mark.parametrize(
    "changes", [{"refresh_token": "example.revoked-refresh-token"}, {"client_secret": "forbidden-secret"}]
)
def test_the_adapter_reads_a_refused_login(sandbox: Sandbox, changes: dict[str, str]) -> None:
    outcome = log_in(sandbox, OAUTH | changes)
    assert isinstance(outcome, Outcome)
    assert outcome.result == "config"


@pytest.mark.parametrize(
    ("config", "params", "result", "reason"),
    [
        ({"conversion_access_token": TOKEN + "expired"}, {}, "config", "token_expired"),
        ({"conversion_access_token": TOKEN + "forbidden"}, {}, "config", ""),
        ({"pixel_id": "a2_404x"}, {}, "config", ""),
        ({}, {"oops": 1}, "permanent", ""),
        ({}, {"event_at": "2026-01-01"}, "permanent", ""),
        ({}, {"event_at": 1_600_000_000_000}, "too_old", ""),
    ],
)
def test_the_adapter_reads_its_refusals(
    sandbox: Sandbox, config: dict[str, str], params: dict[str, Any], result: str, reason: str
) -> None:
    _, outcome = deliver(sandbox, EXAMPLES | config, platform_params={"reddit": params}, **BARE)
    assert (outcome.result, outcome.reason) == (result, reason)


@pytest.mark.parametrize(("kind", "result"), [("429", "retry"), ("500", "retry"), ("401", "config"), ("html", "retry")])
def test_the_adapter_reads_its_failures(sandbox: Sandbox, kind: str, result: str) -> None:
    sandbox.fail("reddit", kind)
    assert deliver(sandbox, EXAMPLES, **BARE)[1].result == result
