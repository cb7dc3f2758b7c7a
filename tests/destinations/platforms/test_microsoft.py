"""Microsoft's own rules, beyond what the contract suite and the golden files say of every platform."""

from __future__ import annotations

import hashlib
import json
from typing import Any
from urllib.parse import parse_qs

import msgspec
import pytest

from destinations.platforms import base
from destinations.platforms._microsoft_offline import URL as OFFLINE_URL
from destinations.platforms.base import Outcome, Request, Response, Result, Token
from destinations.platforms.microsoft import Microsoft
from tests.destinations.platforms.making import CONFIG, HOUR_MS, NOW, NOW_MS, body, item, only

PLATFORM = Microsoft()
CAPI = {"uet_tag_id": "187012345", "capi_token": "example-token"}
OFFLINE = {name: value for name, value in CONFIG["microsoft"].items() if name not in CAPI} | {"api": "offline"}
DAY_MS = 24 * HOUR_MS
MSCLKID = "4b2bd3d3c4b01e2b3cb8b7f3ba0d7ac5"


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def sent(event: str = "SignUp", config: dict[str, str] = CAPI, **fields: Any) -> dict[str, Any]:
    (found,) = body(only(PLATFORM.build([item(event, PLATFORM, **fields)], config, NOW)))["data"]
    return found  # type: ignore[no-any-return]


def row(event: str = "Purchase", **fields: Any) -> dict[str, Any]:
    (found,) = body(only(PLATFORM.build([item(event, PLATFORM, **fields)], OFFLINE, NOW)))["OfflineConversions"]
    return found  # type: ignore[no-any-return]


def skipped(event: str = "SignUp", config: dict[str, str] = CAPI, **fields: Any) -> tuple[str, str]:
    built = PLATFORM.build([item(event, PLATFORM, **fields)], config, NOW)
    assert built.requests == []
    return built.skipped[0].reason, built.skipped[0].detail


# --- Settings -------------------------------------------------------------------------------------
def test_the_request() -> None:
    request = only(PLATFORM.build([item(platform=PLATFORM, external_id="u")], CAPI, NOW))
    assert request.url == "https://capi.uet.microsoft.com/v1/187012345/events"
    assert request.headers == {"Authorization": "Bearer example-token", "Content-Type": "application/json"}
    root = body(request)
    assert root.keys() == {"data", "continueOnValidationError", "dataProvider"}
    assert (root["continueOnValidationError"], root["dataProvider"]) == (True, "TrackStack")


@pytest.mark.parametrize(
    ("config", "wrong"),
    [
        (CAPI, set()),
        (CAPI | {"api": "capi"}, set()),
        ({"uet_tag_id": "187012345"}, {"capi_token"}),
        (OFFLINE, set()),
        (OFFLINE | {"client_secret": ""}, set()),
        (OFFLINE | {"uet_tag_id": "x"}, {"uet_tag_id"}),
        (
            CAPI | {"api": "offline"},
            {"developer_token", "customer_id", "account_id", "client_id", "refresh_token"},
        ),
        (CAPI | {"api": "soap"}, {"api"}),
        (CAPI | {"default_consent": "yes"}, {"default_consent"}),
    ],
)
def test_each_api_has_its_own_credentials(config: dict[str, str], wrong: set[str]) -> None:
    assert PLATFORM.problems(config).keys() == wrong


# --- Conversions API: event -----------------------------------------------------------------------
def test_a_page_load_has_no_name_and_needs_the_page() -> None:
    found = sent("PageView", external_id="u", page_url="https://a.example/")
    assert found["eventType"] == "pageLoad"
    assert "eventName" not in found
    assert found["eventSourceUrl"] == "https://a.example/"
    for fields in ({}, {"page_url": "app://home"}):
        reason, detail = skipped("PageView", external_id="u", **fields)
        assert reason == "invalid"
        assert "pageUrl" in detail


def test_a_custom_event_is_named_by_the_goals_action() -> None:
    assert (sent("LeadCaptured", external_id="u")["eventType"], sent("LeadCaptured", external_id="u")["eventName"]) == (
        "custom",
        "submit_lead_form",
    )
    assert sent("SignUp", external_id="u", native_name="joined")["eventName"] == "joined"
    assert sent("MyOwn", external_id="u")["eventName"] == "MyOwn"
    page = sent("SignUp", external_id="u", native_name="pageLoad", page_url="https://a.example/")
    assert page["eventType"] == "pageLoad"


def test_names_have_a_length() -> None:
    assert sent(external_id="u", native_name="x" * 100)["eventName"] == "x" * 100
    assert skipped(external_id="u", native_name="x" * 101)[0] == "invalid"


def test_time_is_in_seconds_and_never_ahead_of_the_clock() -> None:
    assert sent(external_id="u", occurred_ms=NOW_MS - 1501)["eventTime"] == NOW_MS // 1000 - 2
    assert sent(external_id="u", occurred_ms=NOW_MS + HOUR_MS)["eventTime"] == NOW_MS // 1000


def test_seven_days() -> None:
    assert sent(external_id="u", occurred_ms=NOW_MS - 7 * DAY_MS)
    assert skipped(external_id="u", occurred_ms=NOW_MS - 7 * DAY_MS - 1)[0] == "too_old"


@pytest.mark.parametrize(
    ("consent", "default", "expected"),
    [
        ({}, "", None),
        ({}, "G", "G"),
        ({}, "D", "D"),
        ({"marketing": True}, "D", "G"),
        ({"marketing": False}, "G", "D"),
        ({"analytics": True}, "", None),
    ],
)
def test_consent(consent: dict[str, bool], default: str, expected: str | None) -> None:
    found = sent(external_id="u", consent=consent, config=CAPI | {"default_consent": default})
    assert found.get("adStorageConsent") == expected


def test_addresses_are_of_the_web() -> None:
    found = sent(external_id="u", page_url="https://a.example/?x=é", referrer="https://b.example/", page_title="T")
    assert (found["eventSourceUrl"], found["referrerUrl"]) == ("https://a.example/?x=é", "https://b.example/")
    assert found["pageTitle"] == "T"
    assert (
        not {"eventSourceUrl", "referrerUrl"} & sent(external_id="u", page_url="x", referrer="android-app://b").keys()
    )


# --- Conversions API: identity --------------------------------------------------------------------
def test_user_data() -> None:
    found = sent(
        email=" Jane.Doe+promo@Example.COM ",
        phone="(415) 555-2671",
        country="US",
        external_id="u1",
        anonymous_id="a1",
        client_ip="2001:db8::1",
        user_agent="Mozilla/5.0",
        click_ids={"msclkid": MSCLKID},
        first_name="Jane",
        city="Menlo Park",
    )
    assert found["userData"] == {
        "anonymousId": "a1",
        "externalId": "u1",
        "em": "c4d25e9c90ff23e9145397bc6fbd5385ca5fbe78211222ccbecd0b369ebb19a6",  # janedoe@example.com
        "ph": "cb6880e416769253645cb9c6b8989154bf66a56a77fc14c81fb1019663cbb928",  # +14155552671
        "msclkid": MSCLKID,
        "clientIpAddress": "2001:db8::1",
        "clientUserAgent": "Mozilla/5.0",
    }


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"click_ids": {"msclkid": "4B2BD3D3-C4B0-1E2B-3CB8-B7F3BA0D7AC5"}}, "4B2BD3D3-C4B0-1E2B-3CB8-B7F3BA0D7AC5"),
        ({"click_ids": {"msclkid": f"_uet{MSCLKID}"}}, MSCLKID),
        ({"click_ids": {"msclkid": "dd4afcccb1c9a4cad9544dd7e5006"}}, "dd4afcccb1c9a4cad9544dd7e5006"),
        ({"page_url": f"https://a.example/?a=1&msclkid={MSCLKID}#x"}, MSCLKID),
        ({"page_url": f"https://a.example/?msclkid={MSCLKID}", "click_ids": {"msclkid": "a" * 32}}, "a" * 32),
        ({"click_ids": {"msclkid": "not-a-guid"}}, None),
        ({"click_ids": {"msclkid": "N"}}, None),
        ({"page_url": "https://a.example/?msclkid=zzz"}, None),
    ],
)
def test_click_id(fields: dict[str, Any], expected: str | None) -> None:
    assert sent(external_id="u", **fields)["userData"].get("msclkid") == expected


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"client_ip": "203.0.113.7", "user_agent": "Mozilla/5.0"},
        {"email": "nonsense"},
        {"email": "+tag@example.com"},
        {"phone": "555"},
        {"click_ids": {"msclkid": "zzz"}},
        {"first_name": "Ada", "last_name": "Byron"},
    ],
)
@pytest.mark.parametrize("config", [CAPI, OFFLINE], ids=["capi", "offline"])
def test_too_little_identity_is_refused_aloud(fields: dict[str, Any], config: dict[str, str]) -> None:
    reason, detail = skipped(config=config, **fields)
    assert reason == "no_identity"
    assert "msclkid" in detail


def test_a_hash_is_passed_through() -> None:
    assert sent(email=sha("a@b.co").upper(), phone=sha("+1").upper())["userData"] == {
        "em": sha("a@b.co"),
        "ph": sha("+1"),
    }


# --- Conversions API: custom data -----------------------------------------------------------------
def test_custom_data_of_a_purchase() -> None:
    found = sent(
        "Purchase",
        external_id="u",
        value=49.9,
        currency="USD",
        transaction_id="t1",
        order_id="o1",
        content_id="sku",
        content_name="Growth",
        content_category="plans",
        num_items=2,
        plan="growth",
        properties={"x": 1},
    )
    assert found["customData"] == {
        "value": 49.9,
        "currency": "USD",
        "ecommTotalValue": 49.9,
        "transactionId": "t1",
        "eventCategory": "plans",
        "eventLabel": "Growth",
        "itemIds": ["sku"],
        "items": [{"id": "sku", "name": "Growth", "quantity": 2}],
        "pageType": "purchase",
    }


@pytest.mark.parametrize(
    ("event", "fields", "expected"),
    [
        ("SignUp", {}, None),
        ("SignUp", {"value": 5.0}, None),
        ("SignUp", {"value": 5.0, "currency": "EUR"}, {"value": 5.0, "currency": "EUR"}),
        ("SignUp", {"value": -5.0, "currency": "EUR"}, None),
        ("Refund", {"value": 5.0, "currency": "EUR", "order_id": "o1"}, {"transactionId": "o1"}),
        ("Chargeback", {"value": 5.0, "currency": "EUR"}, None),
        (
            "CheckoutStarted",
            {"value": 5.0, "currency": "EUR", "content_ids": ["a", "b"], "content_name": "Two", "num_items": 3},
            {
                "value": 5.0,
                "currency": "EUR",
                "ecommTotalValue": 5.0,
                "eventLabel": "Two",
                "itemIds": ["a", "b"],
                "items": [{"id": "a"}, {"id": "b"}],
                "pageType": "cart",
            },
        ),
        (
            "ContentView",
            {"content_ids": ["a"], "page_url": "https://a.example/"},
            {"itemIds": ["a"], "items": [{"id": "a"}], "pageType": "product"},
        ),
        ("ContentView", {"page_url": "https://a.example/"}, None),
    ],
)
def test_custom_data(event: str, fields: dict[str, Any], expected: Any) -> None:
    assert sent(event, external_id="u", **fields).get("customData") == expected


def test_what_the_sender_lays_over_it_is_hashed() -> None:
    params = {"keywords": "crm", "userData": {"em": "J.D+x@e.co", "ph": "+1 415 555 2671", "gaid": "g"}}
    found = sent(email="c@d.co", platform_params={"microsoft": params, "meta": {"x": 1}})
    assert found["keywords"] == "crm"
    assert found["userData"] == {"em": sha("jd@e.co"), "ph": sha("+14155552671"), "gaid": "g"}


@pytest.mark.parametrize("user", [None, "x", []])
def test_overrides_must_keep_the_user(user: Any) -> None:
    assert skipped(email="a@b.co", platform_params={"microsoft": {"userData": user}})[0] == "invalid"


NASTY: list[dict[str, Any]] = [
    {"content_name": "naïve ☕ \u202e", "content_ids": ["💾", "ı̇"], "user_agent": "😀"},
    {"page_url": "https://a.example/" + "é" * 2000, "content_name": "x" * 10_000},
    {"value": float("inf"), "currency": "USD"},
    {"value": float("nan"), "currency": "USD"},
    {"value": 0.0, "currency": "USD"},
    {"value": -1.0, "currency": "USD"},
    {"num_items": 0, "content_id": "x"},
    {"occurred_ms": 4_102_444_800_000},
    {"occurred_ms": 10**18},
    {"click_ids": {"msclkid": "\r\nX-Other: 1"}},
]


@pytest.mark.parametrize("fields", NASTY)
def test_nasty_input(fields: dict[str, Any]) -> None:
    request = only(PLATFORM.build([item("Purchase", PLATFORM, email="a@b.co", **fields)], CAPI, NOW))
    (found,) = json.loads(request.body, parse_constant=lambda name: pytest.fail(name))["data"]
    assert NOW_MS // 1000 - 7 * 86_400 <= found["eventTime"] <= NOW_MS // 1000
    assert all(value not in ("", [], {}, None) for value in (*found.values(), *found["userData"].values()))
    rows = json.loads(only(PLATFORM.build([item(platform=PLATFORM, email="a@b.co", **fields)], OFFLINE, NOW)).body)
    assert rows["OfflineConversions"][0]["HashedEmailAddress"] == sha("a@b.co")


@pytest.mark.parametrize("occurred_ms", [0, -(10**18)])
@pytest.mark.parametrize("config", [CAPI, OFFLINE], ids=["capi", "offline"])
def test_1970_is_too_old(occurred_ms: int, config: dict[str, str]) -> None:
    assert skipped(config=config, email="a@b.co", occurred_ms=occurred_ms)[0] == "too_old"


# --- Conversions API: answers ---------------------------------------------------------------------
def parse(status: int, answer: Any = b"", count: int = 1, url: str = "u", **headers: str) -> list[Outcome]:
    raw = answer if isinstance(answer, bytes) else msgspec.json.encode(answer)
    sent_items = tuple(item(platform=PLATFORM, key=key) for key in range(count))
    request = Request(method="POST", url=url, headers={}, body=b"", items=sent_items)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    outcomes = PLATFORM.parse(request, Response(status=status, headers=named, body=raw))
    assert len(outcomes) == count
    return outcomes


def results(outcomes: list[Outcome]) -> list[Result]:
    return [outcome.result for outcome in outcomes]


def failed(*details: dict[str, Any], received: Any = None, code: str = "ValidationError") -> dict[str, Any]:
    answer: dict[str, Any] = {"error": {"code": code, "message": "Some are bad", "details": list(details)}}
    return answer if received is None else answer | {"eventsReceived": received}


def detail(index: Any, name: str = "eventName", message: str = "is bad", **more: Any) -> dict[str, Any]:
    return {"index": index, "propertyName": name, "attemptedValue": "x", "errorMessage": message} | more


OK, RETRY, PERMANENT, CONFIGURE, SPLIT = Result.OK, Result.RETRY, Result.PERMANENT, Result.CONFIG, Result.SPLIT


@pytest.mark.parametrize(
    ("status", "answer", "expected"),
    [
        (200, {"eventsReceived": 3, "traceId": "t"}, [OK, OK, OK]),
        (200, {"traceId": "t"}, [OK, OK, OK]),
        (200, {"eventsReceived": 3, "error": None}, [OK, OK, OK]),
        (200, {"eventsReceived": 2}, [SPLIT] * 3),
        (200, b"<html>", [RETRY] * 3),
        (200, b"", [RETRY] * 3),
        (200, b'{"eventsRec', [RETRY] * 3),
        (200, failed(detail(1), received=3), [OK, PERMANENT, OK]),
        (200, failed(detail(1), received=2), [OK, PERMANENT, OK]),
        (200, failed(detail(1), received=1), [RETRY, PERMANENT, RETRY]),
        (200, failed(detail(1, isWarning=True), received=3), [OK, OK, OK]),
        (200, failed(detail(0), detail(0, "eventId"), detail(2), received=3), [PERMANENT, OK, PERMANENT]),
        (200, failed(received=3), [SPLIT] * 3),
        (200, failed(detail(7), detail("1"), detail(None), detail(True), received=3), [OK, OK, OK]),
        (400, failed(detail(1), received=0), [RETRY, PERMANENT, RETRY]),
        (400, failed(detail(0), detail(1), detail(2)), [PERMANENT] * 3),
        (400, failed(detail(1, isWarning=True)), [SPLIT] * 3),
        (400, failed(), [SPLIT] * 3),
        (400, b"", [SPLIT] * 3),
        (413, b"", [SPLIT] * 3),
        (401, failed(code="Unauthorized"), [CONFIGURE] * 3),
        (401, b"", [CONFIGURE] * 3),
        (403, b"", [CONFIGURE] * 3),
        (404, b"", [CONFIGURE] * 3),
        (408, b"", [RETRY] * 3),
        (429, failed(code="TooManyRequests"), [RETRY] * 3),
        (503, failed(detail(1)), [RETRY] * 3),
    ],
)
def test_answers(status: int, answer: Any, expected: list[Result]) -> None:
    assert results(parse(status, answer, 3)) == expected


@pytest.mark.parametrize("status", [400, 413, 422])
def test_alone_there_is_nothing_to_split(status: int) -> None:
    assert results(parse(status, failed())) == [PERMANENT]
    assert results(parse(200, {"eventsReceived": 0})) == [RETRY]


@pytest.mark.parametrize(
    ("found", "result", "reason"),
    [
        (detail(0, "eventTime", "must be within the last 7 days"), Result.TOO_OLD, "too_old"),
        (detail(0, "data[0].EventTime", "is too old"), Result.TOO_OLD, "too_old"),
        (detail(0, "eventTime", "must be in seconds"), PERMANENT, ""),
        (detail(0, "userData", "needs at least one identifier"), PERMANENT, "no_identity"),
        (detail(0, "userData.em", "is no hash"), PERMANENT, ""),
    ],
)
def test_reasons(found: dict[str, Any], result: Result, reason: str) -> None:
    (one,) = parse(200, failed(found, received=1))
    assert (one.result, one.reason) == (result, reason)
    assert found["errorMessage"] in one.detail


@pytest.mark.parametrize(
    ("status", "advice"), [(401, "Copy the token again"), (403, "account manager"), (404, "UET tag id")]
)
def test_what_to_do(status: int, advice: str) -> None:
    assert advice in parse(status, b"<html>")[0].detail


def test_others_go_again_at_once() -> None:
    again, _ = parse(400, failed(detail(1)), 2)
    assert (again.result, again.after) == (RETRY, 0.0)
    assert parse(429, b"", retry_after="9")[0].after == 9.0


def test_identity_in_messages_is_masked() -> None:
    (one,) = parse(200, failed(detail(0, "userData.em", f"ada@example.com {sha('x')} " + "y" * 1000), received=1))
    assert "ada@example.com" not in one.detail
    assert sha("x") not in one.detail
    assert len(one.detail) < 400


# --- Offline conversions --------------------------------------------------------------------------
def test_the_request_of_offline_conversions() -> None:
    request = only(PLATFORM.build([item(platform=PLATFORM, email="a@b.co")], OFFLINE, NOW))
    assert request.url == OFFLINE_URL
    assert request.headers == {
        "Authorization": f"Bearer {OFFLINE[base.ACCESS_TOKEN]}",
        "DeveloperToken": OFFLINE["developer_token"],
        "CustomerId": OFFLINE["customer_id"],
        "CustomerAccountId": OFFLINE["account_id"],
        "Content-Type": "application/json",
    }
    assert body(request).keys() == {"OfflineConversions"}


def test_an_offline_conversion() -> None:
    found = row(
        email=" Jane.Doe+promo@Example.COM ",
        phone="(415) 555-2671",
        country="US",
        click_ids={"msclkid": MSCLKID},
        external_id="u1",
        client_ip="203.0.113.7",
        value=49.9,
        currency="USD",
        native_name="Won deal",
    )
    assert found == {
        "ConversionName": "Won deal",
        "ConversionTime": "2026-11-23T11:00:00Z",
        "MicrosoftClickId": MSCLKID,
        "HashedEmailAddress": "c4d25e9c90ff23e9145397bc6fbd5385ca5fbe78211222ccbecd0b369ebb19a6",
        "HashedPhoneNumber": "cb6880e416769253645cb9c6b8989154bf66a56a77fc14c81fb1019663cbb928",
        "ConversionValue": 49.9,
        "ConversionCurrencyCode": "USD",
    }


def test_offline_conversions_are_of_the_last_90_days() -> None:
    assert row(email="a@b.co", occurred_ms=NOW_MS - 90 * DAY_MS)["ConversionTime"] == "2026-08-25T12:00:00Z"
    assert row(email="a@b.co", occurred_ms=NOW_MS - 1501)["ConversionTime"] == "2026-11-23T11:59:58.499Z"
    assert row(email="a@b.co", occurred_ms=NOW_MS + HOUR_MS)["ConversionTime"] == "2026-11-23T12:00:00Z"
    assert skipped(config=OFFLINE, email="a@b.co", occurred_ms=NOW_MS - 90 * DAY_MS - 1)[0] == "too_old"


def test_an_offline_conversion_needs_a_goal_and_takes_no_money_back() -> None:
    assert skipped("PageView", config=OFFLINE, email="a@b.co")[0] == "unmapped"
    for event in ("Refund", "Chargeback"):
        assert skipped(event, config=OFFLINE, email="a@b.co", value=5.0, currency="EUR")[0] == "invalid"


def test_overrides_of_an_offline_conversion_are_hashed() -> None:
    params = {"HashedEmailAddress": "J.D+x@e.co", "ConversionName": "Other", "HashedPhoneNumber": ""}
    found = row(email="c@d.co", platform_params={"microsoft": params})
    assert found["HashedEmailAddress"] == sha("jd@e.co")
    assert found["ConversionName"] == "Other"
    assert "HashedPhoneNumber" not in found


def offline(status: int, answer: Any = b"", count: int = 1, **headers: str) -> list[Outcome]:
    return parse(status, answer, count, OFFLINE_URL, **headers)


def partial(index: Any, code: str = "OfflineConversionMicrosoftClickIdInvalid") -> dict[str, Any]:
    return {"FieldPath": None, "ErrorCode": code, "Message": "m", "Code": 4806, "Index": index, "Type": "BatchError"}


def api_fault(number: Any, code: Any = None) -> dict[str, Any]:
    return {"TrackingId": "t", "Errors": [{"Code": number, "ErrorCode": code, "Message": "said", "Detail": None}]}


@pytest.mark.parametrize(
    ("status", "answer", "expected"),
    [
        (200, {"PartialErrors": []}, [OK, OK, OK]),
        (200, {"PartialErrors": [None]}, [OK, OK, OK]),
        (200, {"PartialErrors": [partial(1)]}, [OK, PERMANENT, OK]),
        (200, {"PartialErrors": [partial(2), partial(0)]}, [PERMANENT, OK, PERMANENT]),
        (200, {"PartialErrors": [partial(None)]}, [SPLIT] * 3),
        (200, {"PartialErrors": [partial(3)]}, [SPLIT] * 3),
        (200, {"PartialErrors": [partial(0, "OfflineConversionGoalNotFound")]}, [CONFIGURE, OK, OK]),
        (200, {"PartialErrors": [partial(0, "OfflineConversionTimeTooOld")]}, [Result.TOO_OLD, OK, OK]),
        (200, {"PartialErrors": [partial(0, "SomethingElse")]}, [PERMANENT, OK, OK]),
        (200, {"PartialErrors": [partial(0, "InternalError")]}, [RETRY, OK, OK]),
        (200, {}, [RETRY] * 3),
        (200, b"<html>", [RETRY] * 3),
        (200, b"", [RETRY] * 3),
        (400, {"BatchErrors": [partial(1)]}, [RETRY, PERMANENT, RETRY]),
        (400, api_fault(9999, "NoIdea"), [SPLIT] * 3),
        (400, b"", [SPLIT] * 3),
        (413, b"", [SPLIT] * 3),
        (401, api_fault(109, "AuthenticationTokenExpired"), [CONFIGURE] * 3),
        (400, api_fault(105), [CONFIGURE] * 3),
        (400, api_fault(106, "UserIsNotAuthorized"), [CONFIGURE] * 3),
        (403, b"", [CONFIGURE] * 3),
        (404, b"", [CONFIGURE] * 3),
        (429, api_fault(117, "CallRateExceeded"), [RETRY] * 3),
        (400, {"OperationErrors": [{"Code": 117}]}, [RETRY] * 3),
        (500, api_fault(0), [RETRY] * 3),
        (503, api_fault(9999, "NoIdea"), [RETRY] * 3),
        (502, b"<html>", [RETRY] * 3),
    ],
)
def test_answers_to_offline_conversions(status: int, answer: Any, expected: list[Result]) -> None:
    assert results(offline(status, answer, 3)) == expected


def test_alone_an_error_without_index_is_its_own() -> None:
    assert results(offline(200, {"PartialErrors": [partial(None)]})) == [PERMANENT]
    assert results(offline(400, api_fault(9999, "NoIdea"))) == [PERMANENT]


@pytest.mark.parametrize("answer", [api_fault(109), api_fault(109, "AuthenticationTokenExpired"), b"", b"<html>"])
def test_a_fresh_token_is_asked_for(answer: Any) -> None:
    (one,) = offline(401, answer)
    assert (one.result, one.reason) == (CONFIGURE, base.TOKEN_EXPIRED)


def test_a_minute_after_too_many_calls() -> None:
    assert offline(429, api_fault(117))[0].after == 60.0
    assert offline(429, api_fault(117), retry_after="9")[0].after == 9.0
    assert offline(429, b"", retry_after="9")[0].after == 9.0


# --- Tokens ---------------------------------------------------------------------------------------
def test_the_refresh_request() -> None:
    assert PLATFORM.oauth
    request = PLATFORM.oauth.request(OFFLINE, NOW)
    assert request is not None
    assert request.url == "https://login.microsoftonline.com/common/oauth2/v2.0/token"
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert parse_qs(request.body.decode()) == {
        "grant_type": ["refresh_token"],
        "refresh_token": [OFFLINE["refresh_token"]],
        "client_id": [OFFLINE["client_id"]],
        "client_secret": [OFFLINE["client_secret"]],
        "scope": ["https://ads.microsoft.com/msads.manage offline_access"],
    }
    public = PLATFORM.oauth.request(OFFLINE | {"client_secret": ""}, NOW)
    assert public is not None
    assert b"client_secret" not in public.body


def test_the_conversions_api_needs_no_token() -> None:
    assert PLATFORM.oauth
    assert PLATFORM.oauth.request(CAPI, NOW) is None
    assert PLATFORM.oauth.request(CONFIG["microsoft"], NOW) is None


def read(status: int, answer: Any = b"", **headers: str) -> Token | Outcome:
    assert PLATFORM.oauth
    raw = answer if isinstance(answer, bytes) else msgspec.json.encode(answer)
    return PLATFORM.oauth.read(Response(status=status, headers=headers, body=raw))


def test_tokens_are_read_and_a_new_refresh_token_is_kept() -> None:
    answer = {"access_token": "a", "expires_in": 3599, "refresh_token": "r", "token_type": "Bearer"}
    assert read(200, answer) == Token(access_token="a", expires_in=3599.0, refresh_token="r")
    assert read(200, {"access_token": "a"}) == Token(access_token="a")


@pytest.mark.parametrize(
    ("status", "answer", "result", "words"),
    [
        (400, {"error": "invalid_grant", "error_description": "AADSTS70008"}, CONFIGURE, "Sign in again"),
        (401, {"error": "invalid_client"}, CONFIGURE, "Check the OAuth app"),
        (400, b"<html>", CONFIGURE, "Check the OAuth app"),
        (400, {"error": "temporarily_unavailable"}, RETRY, "temporarily_unavailable"),
        (503, b"", RETRY, "503"),
        (200, {}, RETRY, "200"),
        (200, {"access_token": 1}, RETRY, "200"),
        (200, b"[]", RETRY, "200"),
    ],
)
def test_refused_tokens(status: int, answer: Any, result: Result, words: str) -> None:
    outcome = read(status, answer)
    assert isinstance(outcome, Outcome)
    assert outcome.result == result
    assert words in outcome.detail
