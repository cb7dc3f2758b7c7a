"""Microsoft's double refuses what Microsoft refuses, in its words, and takes what the adapter makes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec
import pytest

from destinations.platforms import base
from destinations.platforms.base import Item, Outcome, Response, Result, Token
from destinations.platforms.microsoft import Microsoft
from destinations.sandbox.server import Sandbox
from events.payload import Payload
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

PATH = "/microsoft/v1/187012345/events"
APPLY = "/microsoft/CampaignManagement/v13/OfflineConversions/Apply"
TOKENS = "/microsoft/common/oauth2/v2.0/token"
TOKEN = "an-example-token"
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
OFFLINE_HEADERS = HEADERS | {"DeveloperToken": "BBD37VB98EXAMPLE", "CustomerId": "1234", "CustomerAccountId": "5678"}
MSCLKID = "4b2bd3d3c4b01e2b3cb8b7f3ba0d7ac5"
CLIENT_ID = "00000000-1111-2222-3333-444444444444"


def event(**changes: Any) -> dict[str, Any]:
    return changed(
        {
            "eventType": "custom",
            "eventName": "purchase",
            "eventId": "e1",
            "eventTime": seconds(days_ago=1),
            "eventSourceUrl": "https://example.com/thanks",
            "referrerUrl": "https://www.bing.com/",
            "pageTitle": "Thanks",
            "keywords": "crm",
            "pageLoadId": "5f3a1c1e-6f0b-4b1a-9c3e-2f6d8f7a1b2c",
            "adStorageConsent": "G",
            "userData": {
                "anonymousId": "a1",
                "externalId": "u1",
                "em": EMAIL_HASH,
                "ph": PHONE_HASH,
                "msclkid": MSCLKID,
                "clientIpAddress": "2001:db8::1",
                "clientUserAgent": "Mozilla/5.0",
            },
            "customData": {
                "value": 49.9,
                "currency": "USD",
                "transactionId": "t1",
                "itemIds": ["a"],
                "items": [{"id": "a", "name": "A", "quantity": 1, "price": 49.9}],
                "pageType": "purchase",
                "ecommTotalValue": 49.9,
            },
        },
        changes,
    )


def send(sandbox: Sandbox, body: Any, path: str = PATH, method: str = "POST", **changes: Any) -> Reply:
    own = OFFLINE_HEADERS if path == APPLY else HEADERS
    headers = own | {name.replace("_", "-"): value for name, value in changes.items()}
    return ask(sandbox.url, method, path, body, {name: value for name, value in headers.items() if value is not GONE})


def batch(*events: Any, carry_on: bool = True) -> dict[str, Any]:
    return {"data": list(events), "continueOnValidationError": carry_on, "dataProvider": "TrackStack"}


# --- Conversions API ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"eventType": "pageLoad", "eventName": GONE},
        {"userData": {"anonymousId": "a"}, "customData": GONE},
        {"userData": {"msclkid": "4b2bd3d3-c4b0-1e2b-3cb8-b7f3ba0d7ac5"}},
        {"eventTime": seconds(days_ago=6.9)},
    ],
    ids=lambda value: str(value)[:60],
)
def test_good(sandbox: Sandbox, changes: dict[str, Any]) -> None:
    reply = send(sandbox, batch(event(), event(**changes)))
    assert reply.status == 200, reply.body
    assert reply.json["eventsReceived"] == 2
    assert "error" not in reply.json


BAD: list[tuple[dict[str, Any], str]] = [
    ({"eventType": "pageload"}, "eventType"),
    ({"eventType": GONE}, "eventType"),
    ({"eventName": GONE}, "eventName"),
    ({"eventName": "x" * 101}, "eventName"),
    ({"eventType": "pageLoad", "eventSourceUrl": GONE}, "eventSourceUrl"),
    ({"eventSourceUrl": "home"}, "eventSourceUrl"),
    ({"eventTime": seconds() * 1000}, "eventTime"),
    ({"eventTime": seconds(days_ago=7.1)}, "eventTime"),
    ({"eventTime": seconds(days_ago=-1)}, "eventTime"),
    ({"eventTime": GONE}, "eventTime"),
    ({"eventTime": "2026-11-23T12:00:00Z"}, "eventTime"),
    ({"event": "x"}, "event"),
    ({"pageLoadId": "x"}, "pageLoadId"),
    ({"adStorageConsent": "granted"}, "adStorageConsent"),
    ({"userData": GONE}, "userData"),
    ({"userData": {}}, "userData"),
    ({"userData": {"clientIpAddress": "192.0.2.1", "clientUserAgent": "x"}}, "userData"),
    ({"userData.em": "ada@example.com"}, "userData.em"),
    ({"userData.em": EMAIL_HASH.upper()}, "userData.em"),
    ({"userData.em": HASH_OF_NOTHING}, "userData.em"),
    ({"userData.em": [EMAIL_HASH]}, "userData.em"),
    ({"userData.ph": "+16505551212"}, "userData.ph"),
    ({"userData.ph": None}, "userData.ph"),
    ({"userData.msclkid": "x"}, "userData.msclkid"),
    ({"userData.externalId": ""}, "userData.externalId"),
    ({"userData.fn": EMAIL_HASH}, "userData.fn"),
    ({"customData.value": "49.90"}, "customData.value"),
    ({"customData.value": -1}, "customData.value"),
    ({"customData.currency": GONE}, "customData"),
    ({"customData.currency": "usd"}, "customData.currency"),
    ({"customData.itemIds": "a"}, "customData.itemIds"),
    ({"customData.items.0.id": GONE}, "customData.items.0.id"),
    ({"customData.items.0.quantity": 1.5}, "customData.items.0.quantity"),
    ({"customData.pageType": "checkout"}, "customData.pageType"),
    ({"customData.order_id": "x"}, "customData.order_id"),
]


@pytest.mark.parametrize(("changes", "name"), BAD, ids=[str(one[0])[:60] for one in BAD])
def test_a_bad_event_is_named_and_the_others_are_kept(sandbox: Sandbox, changes: dict[str, Any], name: str) -> None:
    reply = send(sandbox, batch(event(), event(**changes)))
    assert reply.status == 200, reply.body
    found = reply.json["error"]["details"]
    assert {one["index"] for one in found} == {1}
    assert name in {one["propertyName"] for one in found}
    assert sandbox.received()[0]["accepted"] == 1
    assert send(sandbox, batch(event(), event(**changes), carry_on=False)).status == 400
    assert send(sandbox, batch(event(**changes))).status == 400


def test_without_an_id_there_is_a_warning(sandbox: Sandbox) -> None:
    reply = send(sandbox, batch(event(eventId=GONE)))
    assert reply.status == 200
    assert [one["isWarning"] for one in reply.json["error"]["details"]] == [True]


def test_batch_limit(sandbox: Sandbox) -> None:
    assert send(sandbox, batch(*[event()] * 1000)).status == 200
    assert send(sandbox, batch(*[event()] * 1001)).status == 400


@pytest.mark.parametrize(
    "body", [b"{", [], {}, {"data": []}, {"data": {}}, {"data": [{}], "x": 1}, {"data": [event()], "dataProvider": 1}]
)
def test_bad_roots(sandbox: Sandbox, body: Any) -> None:
    assert send(sandbox, body).status == 400


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"Authorization": GONE}, 401, "Unauthorized"),
        ({"Authorization": f"Basic {TOKEN}"}, 401, "Unauthorized"),
        ({"Authorization": f"Bearer {TOKEN}expired"}, 401, "Unauthorized"),
        ({"Authorization": f"Bearer {TOKEN}revoked"}, 401, "Unauthorized"),
        ({"Authorization": f"Bearer {TOKEN}forbidden"}, 403, "Forbidden"),
        ({"Content_Type": "text/plain"}, 415, "UnsupportedMediaType"),
        ({"method": "PUT"}, 405, "MethodNotAllowed"),
        ({"path": "/microsoft/v2/187012345/events"}, 404, "NotFound"),
        ({"path": "/microsoft/v1/404012345/events"}, 404, "NotFound"),
        ({"path": "/microsoft/v1/tag/events"}, 404, "NotFound"),
    ],
)
def test_requests(sandbox: Sandbox, changes: dict[str, Any], status: int, code: str) -> None:
    reply = send(sandbox, batch(event()), **changes)
    assert (reply.status, reply.json["error"]["code"]) == (status, code)


def test_duplicates_are_counted_under_their_name(sandbox: Sandbox) -> None:
    send(sandbox, batch(event(), event(eventName="other")))
    send(sandbox, batch(event()))
    assert [one["duplicates"] for one in sandbox.received()] == [1, 0]


# --- Offline conversions --------------------------------------------------------------------------
def at(days_ago: float = 0) -> str:
    return datetime.fromtimestamp(seconds(days_ago), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def conversion(**changes: Any) -> dict[str, Any]:
    return changed(
        {
            "MicrosoftClickId": MSCLKID,
            "ConversionName": "Won deal",
            "ConversionTime": at(80),
            "ConversionValue": 49.9,
            "ConversionCurrencyCode": "USD",
            "HashedEmailAddress": EMAIL_HASH,
            "HashedPhoneNumber": PHONE_HASH,
        },
        changes,
    )


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"MicrosoftClickId": "x"}, "OfflineConversionMicrosoftClickIdInvalid"),
        (
            dict.fromkeys(("MicrosoftClickId", "HashedEmailAddress", "HashedPhoneNumber"), GONE),
            "OfflineConversionMicrosoftClickIdInvalid",
        ),
        ({"ConversionName": GONE}, "OfflineConversionConversionNameInvalid"),
        ({"ConversionName": "404 goal"}, "OfflineConversionGoalNotFound"),
        ({"ConversionTime": at(91)}, "OfflineConversionTooOld"),
        ({"ConversionTime": at(-1)}, "OfflineConversionFutureTime"),
        ({"ConversionTime": "2026-11-23T12:00:00+01:00"}, "OfflineConversionConversionTimeInvalid"),
        ({"HashedEmailAddress": "ada@example.com"}, "OfflineConversionHashedEmailAddressInvalid"),
        ({"HashedPhoneNumber": PHONE_HASH.upper()}, "OfflineConversionHashedPhoneNumberInvalid"),
        ({"ConversionValue": "49.9"}, "OfflineConversionConversionValueInvalid"),
        ({"Email": "x"}, "OfflineConversionEmailInvalid"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_bad_conversions_are_listed_by_index(sandbox: Sandbox, changes: dict[str, Any], code: str) -> None:
    reply = send(sandbox, {"OfflineConversions": [conversion(), conversion(**changes), conversion()]}, APPLY)
    assert reply.status == 200
    assert [(one["Index"], one["ErrorCode"]) for one in reply.json["PartialErrors"]] == [(1, code)]
    assert sandbox.received()[0]["accepted"] == 2


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"Authorization": GONE}, 401, 109),
        ({"Authorization": f"Bearer {TOKEN}expired"}, 401, 109),
        ({"Authorization": f"Bearer {TOKEN}revoked"}, 401, 105),
        ({"Authorization": f"Bearer {TOKEN}forbidden"}, 403, 106),
        ({"DeveloperToken": GONE}, 401, 105),
        ({"DeveloperToken": "BBD37VB98revoked"}, 401, 105),
        ({"CustomerId": GONE}, 403, 106),
        ({"CustomerAccountId": "x"}, 403, 106),
    ],
)
def test_credentials_of_offline_conversions(sandbox: Sandbox, changes: dict[str, Any], status: int, code: int) -> None:
    reply = send(sandbox, {"OfflineConversions": [conversion()]}, APPLY, **changes)
    assert (reply.status, reply.json["Errors"][0]["Code"]) == (status, code)


def test_roots_of_offline_conversions(sandbox: Sandbox) -> None:
    assert send(sandbox, {"OfflineConversions": [conversion()] * 1000}, APPLY).json == {"PartialErrors": []}
    for body in (
        {"OfflineConversions": [conversion()] * 1001},
        {"OfflineConversions": []},
        {},
        {"data": [conversion()]},
    ):
        assert send(sandbox, body, APPLY).status == 400


# --- Tokens ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({}, None),
        ({"client_secret": GONE}, None),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"scope": "openid"}, "invalid_scope"),
        ({"client_id": "x"}, "invalid_client"),
        ({"client_secret": "forbidden"}, "invalid_client"),
        ({"refresh_token": "M.C123-example-expired-token"}, "invalid_grant"),
        ({"refresh_token": "M.C123-example-revoked-token"}, "invalid_grant"),
        ({"password": "x"}, "invalid_request"),
    ],
)
def test_tokens(sandbox: Sandbox, changes: dict[str, Any], error: str | None) -> None:
    form = {
        "grant_type": "refresh_token",
        "refresh_token": "M.C123-example-refresh-token",
        "client_id": CLIENT_ID,
        "client_secret": "example-secret",
        "scope": "https://ads.microsoft.com/msads.manage offline_access",
    } | changes
    body = urlencode({name: value for name, value in form.items() if value is not GONE}).encode()
    reply = ask(sandbox.url, "POST", TOKENS, body, {"Content-Type": "application/x-www-form-urlencoded"})
    assert reply.json.get("error") == error
    assert ("access_token" in reply.json) == (error is None)


# --- With the adapter -----------------------------------------------------------------------------
PLATFORM = Microsoft()
NOW = datetime.now(UTC)
CAPI = {"uet_tag_id": "187012345", "capi_token": TOKEN}
OFFLINE = {
    "api": "offline",
    "developer_token": "BBD37VB98EXAMPLE",
    "customer_id": "1234",
    "account_id": "5678",
    "client_id": CLIENT_ID,
    "client_secret": "example-secret",
    "refresh_token": "M.C123-example-refresh-token",
    base.ACCESS_TOKEN: TOKEN,
}
PERSON: dict[str, Any] = {
    "email": " Ada.Lovelace+x@Example.com",
    "phone": "(650) 555-1212",
    "first_name": "Ada",
    "last_name": "Lovelace",
    "country": "US",
    "external_id": "user_42",
    "anonymous_id": "anon_9",
    "client_ip": "2001:db8::1",
    "user_agent": "Mozilla/5.0 (X11; Linux x86_64)",
    "page_url": f"https://example.com/pricing?msclkid={MSCLKID}",
    "page_title": "Pricing",
    "referrer": "https://www.bing.com/",
    "consent": {"marketing": True},
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
    "sign_up": ("SignUp", PERSON | {"plan": "trial"}),
    "lead": ("LeadCaptured", PERSON | {"lead_id": "00Q", "content_id": "g7", "value": 0.0, "currency": "EUR"}),
    "bare": ("SomethingOfMyOwn", {"email": "a@b.co"}),
}  # fmt: skip
PAGE = ("PageView", {"anonymous_id": "a", "page_url": "https://example.com/"})


def made(event_name: str, fields: dict[str, Any], config: dict[str, str], **own: Any) -> base.Request:
    values = {"native_name": PLATFORM.native_name(event_name), "event_id": "e1"} | own
    occurred = int(NOW.timestamp() * 1000) - 3_600_000
    one = Item(key=1, event=event_name, occurred_ms=occurred, payload=Payload(**fields), **values)
    built = PLATFORM.build([one], config, NOW)
    assert built.skipped == []
    return built.requests[0]


def delivered(sandbox: Sandbox, request: base.Request) -> list[Outcome]:
    path = "/microsoft" + urlsplit(request.url).path
    reply = ask(sandbox.url, request.method, path, request.body, request.headers)
    return PLATFORM.parse(request, Response(status=reply.status, headers=reply.headers, body=reply.body))


@pytest.mark.parametrize("config", [CAPI, OFFLINE], ids=["capi", "offline"])
@pytest.mark.parametrize("case", CASES)
def test_what_the_adapter_makes_is_taken(sandbox: Sandbox, case: str, config: dict[str, str]) -> None:
    assert delivered(sandbox, made(*CASES[case], config)) == [base.OK]
    assert sandbox.received()[0]["status"] == 200


def test_a_page_load_is_taken(sandbox: Sandbox) -> None:
    assert delivered(sandbox, made(*PAGE, CAPI)) == [base.OK]


@pytest.mark.parametrize(
    ("config", "result", "advice"),
    [
        (CAPI | {"capi_token": "a-token-expired"}, Result.CONFIG, "Copy the token again"),
        (CAPI | {"capi_token": "a-token-forbidden"}, Result.CONFIG, "account manager"),
        (CAPI | {"uet_tag_id": "404012345"}, Result.CONFIG, "UET tag id"),
        (OFFLINE | {base.ACCESS_TOKEN: "a-token-expired"}, Result.CONFIG, "token expired"),
        (OFFLINE | {"developer_token": "BBD37VB98revoked"}, Result.CONFIG, "developer token"),
        (OFFLINE | {"customer_id": ""}, Result.CONFIG, "customer id"),
    ],
)
def test_the_doubles_refusals_are_read_right(
    sandbox: Sandbox, config: dict[str, str], result: Result, advice: str
) -> None:
    (outcome,) = delivered(sandbox, made("SignUp", {"email": "a@b.co"}, config))
    assert outcome.result == result
    assert advice in outcome.detail


@pytest.mark.parametrize(
    ("config", "params", "expected"),
    [
        (CAPI, {"eventTime": 1}, Result.TOO_OLD),
        (CAPI, {"userData": {"surprise": "x"}}, Result.PERMANENT),
        (OFFLINE, {"ConversionTime": "1970-01-01T00:00:00Z"}, Result.TOO_OLD),
        (OFFLINE, {"MicrosoftClickId": "x"}, Result.PERMANENT),
        (OFFLINE, {"ConversionName": "404 goal"}, Result.CONFIG),
    ],
)
def test_only_the_bad_one_of_a_batch_is_refused(
    sandbox: Sandbox, config: dict[str, str], params: dict[str, Any], expected: Result
) -> None:
    items = [
        Item(key=key, event_id=f"e{key}", event="SignUp", occurred_ms=int(NOW.timestamp() * 1000),
             payload=Payload(email="a@b.co", platform_params={"microsoft": params} if key == 1 else {}))
        for key in range(3)
    ]  # fmt: skip
    (request,) = PLATFORM.build(items, config, NOW).requests
    assert [outcome.result for outcome in delivered(sandbox, request)] == [Result.OK, expected, Result.OK]


@pytest.mark.parametrize("config", [CAPI, OFFLINE], ids=["capi", "offline"])
@pytest.mark.parametrize("kind", ["429", "500", "html", "empty"])
def test_injected_failures_are_tried_again(sandbox: Sandbox, kind: str, config: dict[str, str]) -> None:
    request = made("SignUp", {"email": "a@b.co"}, config)
    failing = msgspec.structs.replace(request, headers=request.headers | {"x-sandbox-fail": kind})
    assert [outcome.result for outcome in delivered(sandbox, failing)] == [Result.RETRY]


@pytest.mark.parametrize("config", [CAPI, OFFLINE], ids=["capi", "offline"])
def test_a_partial_answer_fails_the_last(sandbox: Sandbox, config: dict[str, str]) -> None:
    items = [
        Item(key=key, event_id=f"e{key}", event="SignUp", occurred_ms=int(NOW.timestamp() * 1000),
             payload=Payload(email="a@b.co", click_ids={"msclkid": MSCLKID}))
        for key in range(2)
    ]  # fmt: skip
    (request,) = PLATFORM.build(items, config, NOW).requests
    failing = msgspec.structs.replace(request, headers=request.headers | {"x-sandbox-fail": "partial"})
    assert [outcome.result for outcome in delivered(sandbox, failing)] == [Result.OK, Result.PERMANENT]


@pytest.mark.parametrize(
    ("changes", "is_token"), [({}, True), ({"refresh_token": "M.C123-example-expired-token"}, False)]
)
def test_the_adapters_token_request(sandbox: Sandbox, changes: dict[str, str], is_token: bool) -> None:
    assert PLATFORM.oauth
    request = PLATFORM.oauth.request(OFFLINE | changes, NOW)
    assert request is not None
    path = "/microsoft" + urlsplit(request.url).path
    reply = ask(sandbox.url, request.method, path, request.body, request.headers)
    found = PLATFORM.oauth.read(Response(status=reply.status, headers=reply.headers, body=reply.body))
    if is_token:
        assert isinstance(found, Token)
        assert found.expires_in == 3600
        assert found.refresh_token
    else:
        assert isinstance(found, Outcome)
        assert found.result == Result.CONFIG
