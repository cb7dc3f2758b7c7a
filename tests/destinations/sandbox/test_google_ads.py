"""Google Ads' double refuses what Google refuses, in Google's words, and the adapter agrees with it."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

import jwt
import msgspec
import pytest

from destinations.platforms._bigquery_example import SERVICE_ACCOUNT
from destinations.platforms.base import (
    ACCESS_TOKEN,
    TEST,
    TOKEN_EXPIRED,
    Item,
    Outcome,
    Request,
    Response,
    Result,
    Token,
)
from destinations.platforms.google_ads import GoogleAds
from destinations.sandbox.server import Sandbox
from tests.destinations.platforms.making import CONFIG, item
from tests.destinations.sandbox.support import EMAIL_HASH, GONE, HASH_OF_NOTHING, Reply, ask, changed, seconds

INGEST = "/google_ads/v1/events:ingest"
UPLOAD = "/google_ads/v25/customers/1234567890:uploadClickConversions"
HEADERS = {"Authorization": "Bearer ya29.an-access-token", "Content-Type": "application/json"}
ADS = GoogleAds()


def request_of(count: int, url: str = "https://datamanager.googleapis.com") -> Request:
    items = tuple(item(key=key) for key in range(count))
    return Request(method="POST", url=url, headers={}, body=b"", items=items)


def moment(days_ago: float = 0) -> datetime:
    return datetime.fromtimestamp(seconds(days_ago), UTC)


def rfc3339(days_ago: float = 0) -> str:
    return moment(days_ago).isoformat().replace("+00:00", "Z")


def spaced(days_ago: float = 0) -> str:
    return moment(days_ago).isoformat(sep=" ", timespec="seconds")


def send(sandbox: Sandbox, path: str, body: Any, method: str = "POST", **changes: Any) -> Reply:
    headers = HEADERS | {name.replace("_", "-"): value for name, value in changes.items()}
    return ask(sandbox.url, method, path, body, {name: value for name, value in headers.items() if value is not GONE})


# --- Data Manager API -----------------------------------------------------------------------------------
def event(**changes: Any) -> dict[str, Any]:
    """The vendor's own sample, with a time of today."""
    return changed(
        {
            "adIdentifiers": {"gclid": "GCLID_1"},
            "conversionValue": 1.99,
            "currency": "USD",
            "eventTimestamp": rfc3339(1),
            "transactionId": "ABC798654321",
            "eventSource": "WEB",
            "userData": {"userIdentifiers": [{"emailAddress": EMAIL_HASH}, {"phoneNumber": EMAIL_HASH}]},
            "consent": {"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_DENIED"},
            "eventDeviceInfo": {"userAgent": "Mozilla/5.0", "ipAddress": "203.0.113.7"},
            "cartData": {"items": [{"merchantProductId": "SKU_1", "quantity": "2", "unitPrice": 1.0}]},
        },
        changes,
    )


def ingest(*events: Any, **changes: Any) -> dict[str, Any]:
    return changed(
        {
            "destinations": [
                {
                    "operatingAccount": {"accountType": "GOOGLE_ADS", "accountId": "1234567890"},
                    "loginAccount": {"accountType": "GOOGLE_ADS", "accountId": "1112223333"},
                    "productDestinationId": "7012345678",
                }
            ],
            "encoding": "HEX",
            "events": list(events or (event(),)),
        },
        changes,
    )


GOOD: list[dict[str, Any]] = [
    {},
    {"userData": GONE, "transactionId": GONE, "consent": GONE, "cartData": GONE, "conversionValue": GONE},
    {"adIdentifiers": GONE, "eventTimestamp": rfc3339(89), "eventSource": "PHONE"},
    {"eventTimestamp": rfc3339(1).replace("Z", ".123Z")},
    {"userData.userIdentifiers": [{"address": {
        "givenName": EMAIL_HASH, "familyName": EMAIL_HASH, "regionCode": "US", "postalCode": "94045"}}]},
]  # fmt: skip


def test_good_events(sandbox: Sandbox) -> None:
    reply = send(sandbox, INGEST, ingest(*(event(**one) for one in GOOD)))
    assert reply.status == 200, reply.body
    assert reply.json["requestId"].startswith("t-")
    assert sum(ask(sandbox.url, "GET", "/_accepted").json.values()) == len(GOOD) - 1, "one has no id"
    assert send(sandbox, INGEST, ingest(validateOnly=True)).json["requestId"].startswith("v-")
    assert sum(ask(sandbox.url, "GET", "/_accepted").json.values()) == len(GOOD) - 1


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"eventTimestamp": GONE}, "event_timestamp", "REQUIRED_FIELD_MISSING"),
    ({"eventTimestamp": seconds()}, "event_timestamp", "INVALID_FORMAT"),
    ({"eventTimestamp": "2026-11-23 10:00:00"}, "event_timestamp", "INVALID_FORMAT"),
    ({"eventTimestamp": rfc3339(91)}, "event_timestamp", "EVENT_TIME_INVALID"),
    ({"eventTimestamp": rfc3339(-1)}, "event_timestamp", "EVENT_TIME_INVALID"),
    ({"currency": GONE}, "currency", "REQUIRED_FIELD_MISSING"),
    ({"currency": "usd"}, "currency", "INVALID_FORMAT"),
    ({"conversionValue": "1.99"}, "conversion_value", "INVALID_FORMAT"),
    ({"conversionValue": -1}, "conversion_value", "INVALID_FORMAT"),
    ({"transactionId": "x" * 513}, "transaction_id", "INVALID_FORMAT"),
    ({"eventSource": "website"}, "event_source", "INVALID_FORMAT"),
    ({"consent.adUserData": "GRANTED"}, "consent.ad_user_data", "INVALID_FORMAT"),
    ({"eventDeviceInfo.ipAddress": "x"}, "event_device_info.ip_address", "INVALID_FORMAT"),
    ({"adIdentifiers": GONE, "userData": GONE}, "", "NO_IDENTIFIERS_PROVIDED"),
    ({"userData.userIdentifiers": []}, "user_data.user_identifiers", "INVALID_FORMAT"),
    ({"userData.userIdentifiers.1.phoneNumber": "+14155552671"}, "user_data.user_identifiers[1].phone_number",
     "INVALID_HEX_ENCODING"),
    ({"userData.userIdentifiers.0.emailAddress": "a@b.co"}, "user_data.user_identifiers[0].email_address",
     "INVALID_HEX_ENCODING"),
    ({"userData.userIdentifiers.0.emailAddress": EMAIL_HASH.upper()}, "user_data.user_identifiers[0].email_address",
     "INVALID_HEX_ENCODING"),
    ({"userData.userIdentifiers.0.emailAddress": HASH_OF_NOTHING}, "user_data.user_identifiers[0].email_address",
     "INVALID_HEX_ENCODING"),
    ({"userData.userIdentifiers": [{"emailAddress": EMAIL_HASH, "phoneNumber": EMAIL_HASH}]},
     "user_data.user_identifiers[0]", "INVALID_FORMAT"),
    ({"userData.userIdentifiers": [{"emailAddress": EMAIL_HASH}] * 11}, "user_data.user_identifiers",
     "TOO_MANY_USER_IDENTIFIERS"),
    ({"userData.userIdentifiers": [{"address": {
        "givenName": EMAIL_HASH, "familyName": EMAIL_HASH, "regionCode": "US"}}]},
     "user_data.user_identifiers[0].address.postal_code", "REQUIRED_FIELD_MISSING"),
    ({"userData.userIdentifiers": [{"address": {
        "givenName": EMAIL_HASH, "familyName": EMAIL_HASH, "regionCode": "us", "postalCode": "1"}}]},
     "user_data.user_identifiers[0].address.region_code", "INVALID_FORMAT"),
    ({"destinationReferences": ["x"]}, "destination_references", "INVALID_DESTINATION"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "field", "reason"), BAD, ids=[str(one[0])[:60] for one in BAD])
def test_a_bad_event_is_named_and_refuses_all(
    sandbox: Sandbox, changes: dict[str, Any], field: str, reason: str
) -> None:
    reply = send(sandbox, INGEST, ingest(event(), event(**changes)))
    assert (reply.status, reply.json["error"]["status"]) == (400, "INVALID_ARGUMENT")
    violations = reply.json["error"]["details"][2]["fieldViolations"]
    assert (violations[0]["field"], violations[0]["reason"]) == (f"events.events[1].{field}".rstrip("."), reason)
    assert ask(sandbox.url, "GET", "/_accepted").json == {}
    outcomes = ADS.parse(request_of(2), Response(status=reply.status, body=reply.body))
    if reason == "INVALID_DESTINATION":
        assert [outcome.result for outcome in outcomes] == [Result.CONFIG] * 2
    else:
        assert (outcomes[0].result, outcomes[0].after) == (Result.RETRY, 0.0)
        assert outcomes[1].result in (Result.PERMANENT, Result.TOO_OLD)


@pytest.mark.parametrize(
    "changes",
    [
        {"surprise": 1}, {"destinations.0.surprise": 1}, {"events.0.surprise": 1}, {"events.0.userData.surprise": 1},
        {"events.0.userData.userIdentifiers.0.hashedEmail": EMAIL_HASH}, {"events.0.adIdentifiers.fbclid": "x"},
        {"events.0.cartData.items.0.surprise": 1}, {"testEventCode": "x"},
    ],
    ids=str,
)  # fmt: skip
def test_unknown_names_are_refused_by_the_front_end(sandbox: Sandbox, changes: dict[str, Any]) -> None:
    reply = send(sandbox, INGEST, ingest(**changes))
    assert reply.status == 400
    assert reply.json["error"]["message"].startswith("Invalid JSON payload received.")


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({"encoding": GONE}, 400, "REQUIRED_FIELD_MISSING"), ({"events": GONE}, 400, "REQUIRED_FIELD_MISSING"),
        ({"events": []}, 400, "REQUIRED_FIELD_MISSING"), ({"destinations": []}, 400, "REQUIRED_FIELD_MISSING"),
        ({"destinations.0.productDestinationId": GONE}, 400, "REQUIRED_FIELD_MISSING"),
        ({"destinations.0.productDestinationId": "customers/1/conversionActions/2"}, 400, "INVALID_NUMBER_FORMAT"),
        ({"destinations.0.productDestinationId": "4041"}, 400, "INVALID_CONVERSION_ACTION_ID"),
        ({"destinations.0.productDestinationId": "9991"}, 400, "INVALID_CONVERSION_ACTION_TYPE"),
        ({"destinations.0.operatingAccount.accountId": "123-456-7890"}, 400, "INVALID_FORMAT"),
        ({"destinations.0.operatingAccount.accountId": "4021234567"}, 400,
         "DESTINATION_ACCOUNT_ENHANCED_CONVERSIONS_TERMS_NOT_SIGNED"),
        ({"destinations.0.operatingAccount.accountType": "META"}, 400, "INVALID_FORMAT"),
        ({"destinations.0.operatingAccount.accountId": "4041234567"}, 403, "PERMISSION_DENIED"),
    ],
    ids=str,
)  # fmt: skip
def test_roots_and_destinations(sandbox: Sandbox, changes: dict[str, Any], status: int, reason: str) -> None:
    reply = send(sandbox, INGEST, ingest(**changes))
    assert reply.status == status
    assert reason in json.dumps(reply.json["error"]["details"])


def test_limits(sandbox: Sandbox) -> None:
    one = event()
    assert send(sandbox, INGEST, ingest(*[one] * 2000)).status == 200
    assert send(sandbox, INGEST, ingest(*[one] * 2001)).status == 400
    destination = ingest()["destinations"][0]
    many = [destination | {"reference": f"r{n}", "productDestinationId": f"70{n}"} for n in range(11)]
    named = event(destinationReferences=["r0"])
    assert send(sandbox, INGEST, ingest(named, destinations=many[:10])).status == 200
    assert send(sandbox, INGEST, ingest(named, destinations=many)).status == 400
    assert send(sandbox, INGEST, ingest(named, destinations=[many[0]] * 2)).status == 400, "one reference twice"
    assert send(sandbox, INGEST, ingest(destinations=many[:2])).status == 400, "which of the two?"


@pytest.mark.parametrize("path", [INGEST, UPLOAD])
@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"Authorization": GONE}, 401), ({"Authorization": "Bearer EAAB1234567890"}, 401),
        ({"Authorization": "Bearer ya29.expired-token"}, 401), ({"Authorization": "Bearer ya29.revoked-token"}, 401),
        ({"Authorization": "Bearer ya29.forbidden-token"}, 403), ({"Content_Type": "text/plain"}, 400),
        ({"method": "GET"}, 404), ({"body": b"{"}, 400), ({"body": b"[]"}, 400), ({"query": "?key=1"}, 400),
    ],
    ids=str,
)  # fmt: skip
def test_requests(sandbox: Sandbox, path: str, options: dict[str, Any], status: int) -> None:
    options = dict(options)
    body = options.pop("body", ingest() if path == INGEST else upload())
    reply = send(sandbox, path + options.pop("query", ""), body, **options)
    assert (reply.status, reply.json["error"]["code"]) == (status, status)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/events",
        "/v2/events:ingest",
        "/v25/customers/123-456-7890:uploadClickConversions",
        "/v25/customers/1:x",
        "/",
    ],
)
def test_other_paths(sandbox: Sandbox, path: str) -> None:
    assert send(sandbox, f"/google_ads{path}", ingest()).status == 404


# --- Google Ads API -------------------------------------------------------------------------------------
def row(**changes: Any) -> dict[str, Any]:
    return changed(
        {
            "conversionAction": "customers/1234567890/conversionActions/7012345678",
            "conversionDateTime": spaced(1),
            "gclid": "EAIaIQ",
            "conversionValue": 1.99,
            "currencyCode": "USD",
            "orderId": "o-1",
            "consent": {"adUserData": "GRANTED"},
            "userIdentifiers": [{"userIdentifierSource": "FIRST_PARTY", "hashedEmail": EMAIL_HASH}],
            "cartData": {"items": [{"productId": "a", "quantity": 1, "unitPrice": 2.5}]},
        },
        changes,
    )


def upload(*rows: Any, **changes: Any) -> dict[str, Any]:
    return changed({"conversions": list(rows or (row(),)), "partialFailure": True}, changes)


def test_good_rows(sandbox: Sandbox) -> None:
    reply = send(
        sandbox, UPLOAD, upload(row(), row(gclid=GONE, orderId="o-2"), row(userIdentifiers=GONE, orderId="o-3"))
    )
    assert reply.status == 200
    assert "partialFailureError" not in reply.json
    assert len(reply.json["results"]) == 3
    assert ask(sandbox.url, "GET", "/_accepted").json == {"o-1": 1, "o-2": 1, "o-3": 1}
    assert send(sandbox, UPLOAD, upload(validateOnly=True)).json == {}


BAD_ROWS: list[tuple[dict[str, Any], str, Result]] = [
    ({"gclid": GONE, "userIdentifiers": GONE}, "INVALID_CONVERSION_FOR_CLICK", Result.PERMANENT),
    ({"gclid": GONE, "gbraid": "g", "wbraid": "w"}, "GBRAID_WBRAID_BOTH_SET", Result.PERMANENT),
    ({"userIdentifiers.0.hashedEmail": "a@b.co"}, "INVALID_USER_IDENTIFIER", Result.PERMANENT),
    ({"userIdentifiers.0.hashedEmail": HASH_OF_NOTHING}, "INVALID_USER_IDENTIFIER", Result.PERMANENT),
    ({"userIdentifiers.0.hashedPhoneNumber": EMAIL_HASH}, "INVALID_USER_IDENTIFIER", Result.PERMANENT),
    ({"userIdentifiers": [{"hashedEmail": EMAIL_HASH}] * 6}, "INVALID_USER_IDENTIFIER", Result.PERMANENT),
    ({"conversionDateTime": spaced(91)}, "EXPIRED_EVENT", Result.TOO_OLD),
    ({"conversionDateTime": spaced(1).replace(" ", "T")}, "INVALID_VALUE", Result.PERMANENT),
    ({"conversionDateTime": spaced(1)[:19]}, "INVALID_VALUE", Result.PERMANENT),
    ({"conversionValue": "1"}, "INVALID_VALUE", Result.PERMANENT),
    ({"currencyCode": GONE}, "INVALID_CURRENCY_CODE", Result.PERMANENT),
    ({"orderId": "a@b.co"}, "ORDER_ID_CONTAINS_PII", Result.PERMANENT),
    ({"orderId": "known-1"}, "ORDER_ID_ALREADY_IN_USE", Result.OK),
    ({"gclid": "fresh"}, "TOO_RECENT_EVENT", Result.RETRY),
    ({"gclid": "unknown"}, "CLICK_NOT_FOUND", Result.SKIPPED),
    ({"conversionAction": "7012345678"}, "INVALID_VALUE", Result.PERMANENT),
    ({"conversionAction": "customers/1234567890/conversionActions/4041"}, "NO_CONVERSION_ACTION_FOUND", Result.CONFIG),
    (
        {"conversionAction": "customers/1234567890/conversionActions/9991"},
        "INVALID_CONVERSION_ACTION_TYPE",
        Result.CONFIG,
    ),
    ({"conversionEnvironment": "WEB"}, "CUSTOMER_NOT_ALLOWLISTED_FOR_THIS_FEATURE", Result.CONFIG),
    ({"consent.adUserData": "CONSENT_GRANTED"}, "INVALID_VALUE", Result.PERMANENT),
    ({"cartData.items.0.quantity": "1"}, "INVALID_VALUE", Result.PERMANENT),
]


@pytest.mark.parametrize(("changes", "code", "result"), BAD_ROWS, ids=[str(one[0])[:60] for one in BAD_ROWS])
@pytest.mark.parametrize("index", [0, 1])
def test_a_bad_row_fails_alone(
    sandbox: Sandbox, changes: dict[str, Any], code: str, result: Result, index: int
) -> None:
    rows = [row(orderId="o-0"), row(orderId="o-1")]
    rows[index] = changed(rows[index], changes)
    reply = send(sandbox, UPLOAD, upload(*rows))
    assert reply.status == 200
    (error,) = reply.json["partialFailureError"]["details"][0]["errors"]
    assert list(error["errorCode"].values()) == [code]
    assert [bool(one) for one in reply.json["results"]] == [index == 1, index == 0]
    assert ask(sandbox.url, "GET", "/_accepted").json == {f"o-{1 - index}": 1}
    outcomes = ADS.parse(request_of(2, "https://googleads.googleapis.com/v25"), Response(status=200, body=reply.body))
    assert [outcome.result for outcome in outcomes] == [result if n == index else Result.OK for n in range(2)]


@pytest.mark.parametrize(
    ("path", "changes", "headers", "status", "code"),
    [
        (UPLOAD, {"partialFailure": GONE}, {}, 400, "partialFailure"),
        (UPLOAD, {"partialFailure": False}, {}, 400, "partialFailure"),
        (UPLOAD, {"conversions": []}, {}, 400, "conversions"), (UPLOAD, {"surprise": 1}, {}, 400, "surprise"),
        (UPLOAD, {"conversions.0.surprise": 1}, {}, 400, "surprise"),
        (UPLOAD, {"conversions.0.userIdentifiers.0.addressInfo": {}}, {}, 400, "addressInfo"),
        (UPLOAD, {"conversions": [{}] * 2001}, {}, 400, "TOO_MANY_CONVERSIONS_IN_REQUEST"),
        (UPLOAD.replace("v25", "v22"), {}, {}, 400, "UNSUPPORTED_VERSION"),
        (UPLOAD.replace("v25", "v99"), {}, {}, 400, "UNSUPPORTED_VERSION"),
        (UPLOAD, {}, {"login_customer_id": "111-222-3333"}, 400, "INVALID_LOGIN_CUSTOMER_ID"),
        (UPLOAD.replace("1234567890", "4044567890"), {}, {}, 403, "USER_PERMISSION_DENIED"),
        (UPLOAD.replace("1234567890", "4034567890"), {}, {}, 403, "CUSTOMER_NOT_ALLOWLISTED_FOR_THIS_FEATURE"),
    ],
)  # fmt: skip
def test_whole_uploads(
    sandbox: Sandbox, path: str, changes: dict[str, Any], headers: dict[str, str], status: int, code: str
) -> None:
    reply = send(sandbox, path, upload(**changes), **headers)
    assert reply.status == status
    assert code in json.dumps(reply.json)


# --- Tokens ---------------------------------------------------------------------------------------------
FORM = {
    "grant_type": "refresh_token",
    "client_id": "123456789012-abc.apps.googleusercontent.com",
    "client_secret": "GOCSPX-0123456789",
    "refresh_token": "1//0123456789012345678901",
}


def ask_token(sandbox: Sandbox, form: dict[str, Any]) -> Reply:
    body = urlencode({name: value for name, value in form.items() if value is not GONE}).encode()
    return ask(sandbox.url, "POST", "/google_ads/token", body, {"Content-Type": "application/x-www-form-urlencoded"})


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({}, 200, None), ({"client_id": "x"}, 401, "invalid_client"),
        ({"client_secret": "short"}, 401, "invalid_client"),
        ({"client_secret": GONE}, 400, "invalid_request"), ({"scope": "x"}, 400, "invalid_request"),
        ({"refresh_token": "1//an-expired-token-0123456789"}, 400, "invalid_grant"),
        ({"refresh_token": "1//a-revoked-token-0123456789"}, 400, "invalid_grant"),
        ({"refresh_token": "short"}, 400, "invalid_grant"), ({"grant_type": "password"}, 400, "unsupported_grant_type"),
    ],
    ids=str,
)  # fmt: skip
def test_refresh_tokens(sandbox: Sandbox, changes: dict[str, Any], status: int, error: str | None) -> None:
    reply = ask_token(sandbox, FORM | changes)
    assert (reply.status, reply.json.get("error")) == (status, error)
    assert error or reply.json["access_token"].startswith("ya29.")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({}, None), ({"iss": "someone@gmail.com"}, "invalid_grant"), ({"aud": "x"}, "invalid_grant"),
        ({"scope": GONE}, "invalid_scope"), ({"scope": "https://www.googleapis.com/auth/drive"}, "invalid_scope"),
        ({"exp": int(time.time()) + 9000}, "invalid_grant"), ({"iat": GONE}, "invalid_grant"),
        ({"iss": "revoked@x.iam.gserviceaccount.com"}, "invalid_grant"),
    ],
    ids=str,
)  # fmt: skip
def test_service_accounts(sandbox: Sandbox, changes: dict[str, Any], error: str | None) -> None:
    now = int(time.time())
    claims = changed(
        {"iss": "me@x.iam.gserviceaccount.com", "scope": "https://www.googleapis.com/auth/adwords",
         "aud": "https://oauth2.googleapis.com/token", "iat": now, "exp": now + 3600},
        changes,
    )  # fmt: skip
    signed = jwt.encode(claims, json.loads(SERVICE_ACCOUNT)["private_key"], algorithm="RS256")
    grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
    reply = ask_token(sandbox, {"grant_type": grant, "assertion": signed})
    assert (reply.status, reply.json.get("error")) == (400 if error else 200, error)
    assert ask_token(sandbox, {"grant_type": grant, "assertion": signed, "scope": "x"}).status == 400


def test_token_requests(sandbox: Sandbox) -> None:
    assert ask(sandbox.url, "GET", "/google_ads/token").json["error"] == "invalid_request"


# --- With the adapter -----------------------------------------------------------------------------------
PERSON: dict[str, Any] = {
    "email": "ada@example.com", "phone": "+14155552671", "first_name": "Ada", "last_name": "O'Byron", "city": "London",
    "zip": "94103", "country": "US", "external_id": "u1", "anonymous_id": "a1", "client_ip": "2001:db8::1",
    "user_agent": "Mozilla/5.0", "page_url": "https://example.com/?gclid=EAI", "click_ids": {"wbraid": "w"},
    "consent": {"marketing": True},
}  # fmt: skip
ITEMS: list[Item] = [
    item("Purchase", ADS, key=0, event_id="e0", **PERSON, value=49.9, currency="USD", num_items=2,
         content_ids=["a", "b"], properties={"items": [{"item_id": "a", "price": 1.5, "quantity": 2}]}),
    item("SignUp", ADS, key=1, event_id="e1", **PERSON),
    item("LeadCaptured", ADS, key=2, event_id="e2", email="b@example.com", native_id="7099999999"),
    item("MyOwnEvent", ADS, key=3, event_id="e3", phone="+14155552671"),
]  # fmt: skip


def deliver(sandbox: Sandbox, **config: str) -> list[Outcome]:
    """As delivery does it, at the real time."""
    now = datetime.now(UTC)
    at = int(now.timestamp() * 1000) - 60_000
    sent = [msgspec.structs.replace(one, occurred_ms=at) for one in ITEMS]
    built = ADS.build(sent, CONFIG["google_ads"] | config, now)
    assert built.skipped == []
    (request,) = built.requests
    reply = ask(sandbox.url, request.method, f"/google_ads{urlsplit(request.url).path}", request.body, request.headers)
    return ADS.parse(request, Response(status=reply.status, headers=reply.headers, body=reply.body))


@pytest.mark.parametrize("api", ["data_manager", "google_ads"])
@pytest.mark.parametrize("credentials", [{}, {"service_account_json": SERVICE_ACCOUNT}], ids=["refresh", "service"])
def test_what_the_adapter_builds_is_taken_with_the_token_it_gets(
    sandbox: Sandbox, api: str, credentials: dict[str, str]
) -> None:
    request = ADS.oauth.request(CONFIG["google_ads"] | credentials | {"api": api}, datetime.now(UTC))
    assert request is not None
    reply = ask(sandbox.url, request.method, "/google_ads/token", request.body, request.headers)
    token = ADS.oauth.read(Response(status=reply.status, headers=reply.headers, body=reply.body))
    assert isinstance(token, Token)
    outcomes = deliver(sandbox, api=api, **{ACCESS_TOKEN: token.access_token})
    assert [outcome.result for outcome in outcomes] == [Result.OK] * len(ITEMS), outcomes
    assert ask(sandbox.url, "GET", "/_accepted").json == {f"e{n}": 1 for n in range(len(ITEMS))}
    outcomes = deliver(sandbox, api=api, **{ACCESS_TOKEN: token.access_token, TEST: "1"})
    assert {outcome.result for outcome in outcomes} == {Result.OK}
    assert ask(sandbox.url, "GET", "/_accepted").json == {f"e{n}": 1 for n in range(len(ITEMS))}, "only checked"


def test_the_examples_of_the_fields_open_the_sandbox(sandbox: Sandbox) -> None:
    names = ("oauth_client_id", "oauth_client_secret", "refresh_token")
    config = {field.name: field.example for field in ADS.fields if field.name in names}
    request = ADS.oauth.request(config, datetime.now(UTC))
    assert request is not None
    assert ask(sandbox.url, "POST", "/google_ads/token", request.body, request.headers).status == 200


@pytest.mark.parametrize("api", ["data_manager", "google_ads"])
@pytest.mark.parametrize(
    ("config", "reason"),
    [({ACCESS_TOKEN: "ya29.expired-token"}, TOKEN_EXPIRED), ({ACCESS_TOKEN: "ya29.forbidden-token"}, ""),
     ({"customer_id": "404-456-7890"}, "")],
    ids=str,
)  # fmt: skip
def test_the_adapter_reads_refusals_of_credentials(
    sandbox: Sandbox, api: str, config: dict[str, str], reason: str
) -> None:
    outcomes = deliver(sandbox, api=api, **config)
    assert {(outcome.result, outcome.reason) for outcome in outcomes} == {(Result.CONFIG, reason)}


def test_the_adapter_tells_who_must_switch(sandbox: Sandbox) -> None:
    outcomes = deliver(sandbox, api="google_ads", customer_id="403-456-7890")
    assert {outcome.result for outcome in outcomes} == {Result.CONFIG}
    assert "set API to Data Manager API" in outcomes[0].detail


@pytest.mark.parametrize("kind", ["500", "429", "html", "empty"])
def test_failures(sandbox: Sandbox, kind: str) -> None:
    ask(sandbox.url, "POST", "/_failures", {"platform": "google_ads", "kind": kind, "times": 1})
    assert {outcome.result for outcome in deliver(sandbox)} == {Result.RETRY}
