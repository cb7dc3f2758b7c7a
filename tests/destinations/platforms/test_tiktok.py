"""TikTok's own rules, beyond what the contract suite and the golden files say of every platform."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import msgspec
import pytest

from destinations.platforms import base
from destinations.platforms.base import Outcome, Request, Response, Result
from destinations.platforms.tiktok import TikTok
from tests.destinations.platforms.making import CONFIG, HOUR_MS, NOW, NOW_MS, body, item, only

TIKTOK = TikTok()


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def sent(event: str = "SignUp", config: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    request = only(TIKTOK.build([item(event, TIKTOK, **fields)], CONFIG["tiktok"] | (config or {}), NOW))
    (found,) = body(request)["data"]
    return found  # type: ignore[no-any-return]


def user(config: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    return sent(config=config, **fields)["user"]  # type: ignore[no-any-return]


def skipped(config: dict[str, str] | None = None, **fields: Any) -> tuple[str, str]:
    built = TIKTOK.build([item("SignUp", TIKTOK, **fields)], CONFIG["tiktok"] | (config or {}), NOW)
    assert built.requests == []
    return built.skipped[0].reason, built.skipped[0].detail


# --- Request ----------------------------------------------------------------------------------------
def test_address_headers_and_root() -> None:
    request = only(TIKTOK.build([item(platform=TIKTOK, email="a@b.co")], CONFIG["tiktok"], NOW))
    assert request.method == "POST"
    assert request.url == "https://business-api.tiktok.com/open_api/v1.3/event/track/"
    assert request.headers == {
        "Access-Token": CONFIG["tiktok"]["access_token"],
        "Content-Type": "application/json",
    }
    root = body(request)
    assert root.keys() == {"event_source", "event_source_id", "data"}
    assert (root["event_source"], root["event_source_id"]) == ("web", CONFIG["tiktok"]["pixel_code"])


def test_the_test_code_goes_with_test_events_only_and_these_travel_alone() -> None:
    config = CONFIG["tiktok"] | {"test_event_code": "TEST12345"}
    two = [item(platform=TIKTOK, key=key, email="a@b.co") for key in (1, 2)]
    assert "test_event_code" not in body(only(TIKTOK.build(two, config, NOW)))
    requests = TIKTOK.build(two, config | {base.TEST: "1"}, NOW).requests
    assert [(body(request)["test_event_code"], len(request.items)) for request in requests] == [("TEST12345", 1)] * 2


def test_another_version_is_another_address() -> None:
    request = only(TIKTOK.build([item(email="a@b.co")], CONFIG["tiktok"] | {"api_version": "v1.4"}, NOW))
    assert "/open_api/v1.4/event/track/" in request.url


def test_time_is_in_seconds_and_never_ahead_of_the_clock() -> None:
    assert sent(email="a@b.co", occurred_ms=NOW_MS - 1500)["event_time"] == (NOW_MS - 1500) // 1000
    assert sent(email="a@b.co", occurred_ms=NOW_MS + HOUR_MS)["event_time"] == NOW_MS // 1000
    assert sent(email="a@b.co", occurred_ms=4_102_444_800_000)["event_time"] == NOW_MS // 1000  # the year 2100


@pytest.mark.parametrize("occurred_ms", [0, NOW_MS - 7 * 24 * HOUR_MS - 1])
def test_what_is_older_than_seven_days_is_refused_aloud(occurred_ms: int) -> None:
    assert skipped(email="a@b.co", occurred_ms=occurred_ms)[0] == "too_old"


def test_the_override_of_a_route_is_the_name_that_is_sent() -> None:
    assert sent(email="a@b.co", native_name="SubmitApplication")["event"] == "SubmitApplication"
    assert sent("MyOwnEvent", email="a@b.co")["event"] == "MyOwnEvent"


# --- Identity ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("fields", "key", "expected"),
    [  # the vendor's own examples
        ({"email": " ALICE_abc@gmail.com "}, "email",
         "848a771458438fc2ec420560d769fb9b9b86851ee338ec56517baabd79d3bb4f"),
        ({"phone": "(+1)2133734253"}, "phone", "9f7ec22d72092cd3c0b58726ed9c2d91b92e51a3f29837508fb2948bb22dd2fd"),
        ({"external_id": "user_123"}, "external_id",
         "80fba0ae1c48e3978e43e4efc365e14e12ea0c830ba8ba5b9a2dafc7e3f2ab8b"),
        ({"external_id": " UserABC"}, "external_id", sha("UserABC")),
        # 16505551212 in E.164
        ({"phone": "(650) 555-1212", "country": "US"}, "phone",
         "1e231c66011e7a2d867a9cfae267a6aff103cf4913640b6e71a99850fc0ffbc8"),
        ({"phone": "+44 844 412 4653"}, "phone", sha("+448444124653")),
        ({"email": sha("ada@example.com").upper()}, "email", sha("ada@example.com")),
    ],
)  # fmt: skip
def test_hashes(fields: dict[str, Any], key: str, expected: str) -> None:
    assert user(**fields)[key] == expected


def test_names_and_places() -> None:
    found = user(
        email="a@b.co", first_name="Ada Mary", last_name="O'Byron", zip="SW1A 1AA-x",
        city="New York", state="CA", country="United States",
    )  # fmt: skip
    del found["email"]
    assert found == {
        "first_name": sha("adamary"),
        "last_name": sha("obyron"),
        "zip_code": sha("sw1a1aax"),
        "city": "newyork",
        "state": "ca",
        "country": "us",
    }
    assert "country" not in user(email="a@b.co", country="Atlantis")
    assert user(email="a@b.co", city="São Paulo 2")["city"] == "sãopaulo2"


def test_the_visitor_stands_in_for_the_user() -> None:
    assert user(anonymous_id="v")["external_id"] == sha("v")
    assert user(anonymous_id="v", external_id="u")["external_id"] == sha("u")


def test_click_ids_as_they_came_else_from_the_address() -> None:
    page = "https://example.com/?a=1&ttclid=E.C.P.x%2Dy#top"
    assert user(page_url=page)["ttclid"] == "E.C.P.x-y"
    assert user(page_url=page, click_ids={"ttclid": "E.C.P.own"})["ttclid"] == "E.C.P.own"
    assert user(click_ids={"ttp": "2F7h"}) == {"ttp": "2F7h"}
    assert "ttclid" not in user(email="a@b.co", page_url="https://example.com/?nottclid=x")


@pytest.mark.parametrize(
    "fields",
    [
        {"email": "a@b.co"}, {"phone": "+14155550123"}, {"external_id": "u"}, {"anonymous_id": "v"},
        {"click_ids": {"ttclid": "x"}}, {"click_ids": {"ttp": "x"}}, {"client_ip": "2001:db8::1", "user_agent": "x"},
    ],
)  # fmt: skip
def test_any_of_these_is_enough(fields: dict[str, Any]) -> None:
    assert user(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {}, {"client_ip": "203.0.113.7"}, {"user_agent": "x"}, {"first_name": "Ada", "city": "London"},
        {"email": "none"}, {"phone": "12"}, {"click_ids": {"gclid": "x"}}, {"lead_id": "1"},
    ],
)  # fmt: skip
def test_too_little_identity_is_refused_aloud(fields: dict[str, Any]) -> None:
    reason, detail = skipped(**fields)
    assert reason == "no_identity"
    assert "ttclid" in detail


# --- Sources ----------------------------------------------------------------------------------------
PERSON: dict[str, Any] = {
    "email": "a@b.co", "phone": "+14155550123", "external_id": "u", "first_name": "Ada", "city": "London",
    "client_ip": "203.0.113.7", "user_agent": "x", "click_ids": {"ttclid": "c", "ttp": "p"},
    "page_url": "https://example.com/", "lead_id": "7012345678901234567", "lead_event_source": "HubSpot",
    "consent": {"marketing": False},
}  # fmt: skip


def test_an_event_of_a_crm_has_a_lead_and_no_browser() -> None:
    event = sent(config={"event_source": "crm"}, **PERSON)
    assert event["lead"] == {"lead_id": "7012345678901234567", "lead_event_source": "HubSpot"}
    assert event["user"].keys() == {"email", "phone", "external_id", "first_name", "city"}
    assert not event.keys() & {"page", "limited_data_use"}


def test_a_lead_is_enough_for_a_crm_and_needed() -> None:
    assert "user" not in sent(config={"event_source": "crm"}, lead_id="7")
    reason, detail = skipped(config={"event_source": "crm"}, email="a@b.co")
    assert (reason, "leadId" in detail) == ("invalid", True)


def test_an_offline_event_has_mail_and_phone_only() -> None:
    event = sent(config={"event_source": "offline"}, **PERSON)
    assert event["user"].keys() == {"email", "phone"}
    assert not event.keys() & {"page", "lead", "limited_data_use"}
    assert skipped(config={"event_source": "offline"}, external_id="u")[0] == "no_identity"


def test_an_event_of_an_app_needs_the_app() -> None:
    assert skipped(config={"event_source": "app"}, email="a@b.co")[0] == "invalid"
    params = {"tiktok": {"app": {"app_id": "com.example"}, "user": {"gaid": "g"}}}
    event = sent(config={"event_source": "app"}, platform_params=params, **PERSON)
    assert event["user"].keys() == {"email", "phone", "ip", "user_agent", "gaid"}
    assert event["app"] == {"app_id": "com.example"}


def test_a_page_needs_an_address() -> None:
    page = {"url": "https://example.com/?a=1#b", "referrer": "https://x.example/"}
    assert sent(email="a@b.co", page_url=page["url"], referrer=page["referrer"])["page"] == page
    assert "page" not in sent(email="a@b.co", referrer="https://x.example/")
    assert "page" not in sent(email="a@b.co", page_url="app://home")


# --- Value and content --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("event", "fields", "expected"),
    [
        ("Purchase", {"value": 49.9, "currency": "USD"}, {"value": 49.9, "currency": "USD"}),
        ("Purchase", {"value": 0.0, "currency": "JPY"}, {"value": 0.0, "currency": "JPY"}),
        ("Purchase", {"value": 5.0}, None),
        ("Purchase", {"currency": "USD"}, None),
        ("Purchase", {"value": -5.0, "currency": "USD"}, None),
        ("Purchase", {"value": math.inf, "currency": "USD"}, None),
        ("Purchase", {"value": math.nan, "currency": "USD"}, None),
        ("Refund", {"value": 5.0, "currency": "USD"}, None),
        ("Chargeback", {"value": 5.0, "currency": "USD"}, None),
    ],
)
def test_value_and_currency_both_or_neither(event: str, fields: dict[str, Any], expected: Any) -> None:
    assert sent(event, email="a@b.co", **fields).get("properties") == expected


def test_one_content_with_its_name_and_quantity() -> None:
    properties = sent(
        "Purchase", email="a@b.co", content_id="sku", content_name="Shoe", content_category="Shoes", num_items=2,
        transaction_id="t",
    )["properties"]  # fmt: skip
    assert properties == {
        "contents": [{"content_id": "sku", "content_name": "Shoe", "quantity": 2, "content_category": "Shoes"}],
        "content_ids": ["sku"],
        "content_type": "product",
        "num_items": 2,
        "order_id": "t",
    }


def test_several_contents_share_no_name() -> None:
    properties = sent(
        "Purchase", email="a@b.co", content_ids=["a", "b"], content_name="Shoe", content_type="product_group",
        order_id="o", transaction_id="t",
    )["properties"]  # fmt: skip
    assert properties == {
        "contents": [{"content_id": "a"}, {"content_id": "b"}],
        "content_ids": ["a", "b"],
        "content_type": "product_group",
        "order_id": "o",
    }


@pytest.mark.parametrize(
    ("event", "category"),
    [("HighIntentPageView", "high_intent"), ("IntegrationViewed", "integration"), ("ApiDocsViewed", "api_docs")],
)
def test_the_category_tells_the_view_contents_apart(event: str, category: str) -> None:
    assert sent(event, email="a@b.co")["properties"] == {"contents": [{"content_category": category}]}
    assert sent(event, email="a@b.co", content_category="mine")["properties"]["contents"] == [
        {"content_category": "mine"}
    ]
    assert "properties" not in sent(event, email="a@b.co", native_name="Other")


def test_free_properties_and_company_stay_at_home() -> None:
    event = sent(email="a@b.co", properties={"note": "secret"}, company_name="Acme", content_type="guide")
    assert event.keys() == {"event", "event_time", "event_id", "user"}


# --- Consent and overrides ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("mode", "consent", "expected"),
    [
        ("", {}, None), ("", {"marketing": False}, True), ("no_consent", {"marketing": True}, None),
        ("on", {"marketing": True}, True), ("off", {"marketing": False}, None),
    ],
)  # fmt: skip
def test_limited_data_use(mode: str, consent: dict[str, bool], expected: Any) -> None:
    event = sent(config={"limited_data_use": mode}, email="a@b.co", consent=consent)
    assert event.get("limited_data_use") is expected


def test_overrides_come_last_and_are_hashed_where_tiktok_hashes() -> None:
    params = {"user": {"email": ["Ada@Example.com", ""], "locale": "en-US"}, "properties": {"query": "shoes"}}
    event = sent(email="a@b.co", platform_params={"tiktok": params, "meta": {"x": 1}})
    assert event["user"] == {"email": [sha("ada@example.com")], "locale": "en-US"}
    assert event["properties"] == {"query": "shoes"}


@pytest.mark.parametrize("params", [{"user": "x"}, {"user": None}, {"properties": []}])
def test_an_override_that_breaks_the_shape_is_refused_aloud(params: dict[str, Any]) -> None:
    assert skipped(email="a@b.co", platform_params={"tiktok": params})[0] == "invalid"


def test_an_override_may_bring_the_identity_or_take_it_away() -> None:
    assert user(platform_params={"tiktok": {"user": {"phone": "+14155550123"}}})["phone"] == sha("+14155550123")
    assert skipped(email="a@b.co", platform_params={"tiktok": {"user": {"email": None}}})[0] == "no_identity"


NASTY = ["é😀ı̇", "x" * 10_000, "'\"\\\r\n\t", "<script>", "٣", "\u202e", "  ", "a" * 64, "-1", "https://[::1"]


@pytest.mark.parametrize("text", NASTY, ids=lambda text: ascii(text)[:20])
def test_nasty_text_is_carried_or_refused(text: str) -> None:
    names = (
        "email phone first_name last_name city state zip country external_id anonymous_id page_url referrer "
        "content_id content_name content_category order_id client_ip user_agent"
    )
    fields: dict[str, Any] = dict.fromkeys(names.split(), text)
    built = TIKTOK.build(
        [item("Purchase", TIKTOK, content_ids=[text, text], click_ids={"ttclid": text}, event_id=text, **fields)],
        CONFIG["tiktok"], NOW,
    )  # fmt: skip
    (event,) = body(only(built))["data"]
    for key in ("email", "phone", "external_id", "first_name", "last_name", "zip_code"):
        if key in event["user"]:
            assert len(event["user"][key]) == 64
            assert event["user"][key] != sha("")
    assert all(event["user"].values())


# --- Answers ------------------------------------------------------------------------------------------
def parsed(status: int, answer: Any, count: int = 3, headers: dict[str, str] | None = None) -> list[Outcome]:
    items = tuple(item(key=key, event_id=f"e{key}") for key in range(count))
    request = Request(method="POST", url="u", headers={}, body=b"", items=items)
    raw = answer if isinstance(answer, bytes) else msgspec.json.encode(answer)
    return TIKTOK.parse(request, Response(status=status, headers=headers or {}, body=raw))


def results(outcomes: list[Outcome]) -> list[str]:
    return [outcome.result.value for outcome in outcomes]


@pytest.mark.parametrize("code", [0, 20001])
def test_success(code: int) -> None:
    assert parsed(200, {"code": code, "message": "OK", "request_id": "x", "data": {}}) == [base.OK] * 3


def test_a_partial_success_fails_what_it_names() -> None:
    answer = {"code": 20001, "message": "partial", "data": {"errors": ["Batch.1.event_time: too old"]}}
    assert results(parsed(200, answer)) == ["ok", "permanent", "ok"]


@pytest.mark.parametrize("status", [200, 400])
def test_a_bad_parameter_refuses_the_one_it_names_and_the_others_go_again_at_once(status: int) -> None:
    message = "Batch.1.properties.contents.0.content_id: Not a valid string"
    outcomes = parsed(status, {"code": 40002, "message": message})
    assert results(outcomes) == ["retry", "permanent", "retry"]
    assert outcomes[0].after == 0.0
    assert message in outcomes[1].detail
    assert results(parsed(status, {"code": 40002, "message": "Batch.0.event: required"}, 1)) == ["permanent"]


@pytest.mark.parametrize("message", ["something is wrong", "Batch.7.event: required", None])
def test_a_bad_parameter_without_a_usable_index_splits(message: Any) -> None:
    assert results(parsed(200, {"code": 40002, "message": message})) == ["split"] * 3
    assert results(parsed(200, {"code": 40002, "message": message}, 1)) == ["permanent"]


def test_a_bad_source_is_no_fault_of_the_event() -> None:
    outcomes = parsed(200, {"code": 40002, "message": "event_source_id: Invalid pixel"})
    assert results(outcomes) == ["config"] * 3
    assert "Check pixel ID" in outcomes[0].detail


@pytest.mark.parametrize(
    ("code", "result", "word"),
    [
        (40001, "config", "this very pixel"), (40007, "config", "pixel ID"), (40100, "retry", "throttles"),
        (40101, "config", "new access token"), (40102, "config", "expired"), (40104, "config", "missing"),
        (40105, "config", "revoked"), (40199, "config", "new access token"), (40700, "retry", "internal"),
        (50000, "retry", "again"), (51234, "retry", "again"), (61000, "retry", "again"), (-1, "retry", "again"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("status", [200, 401, 500])
def test_codes(code: int, result: str, word: str, status: int) -> None:
    outcomes = parsed(status, {"code": code, "message": "because"})
    assert results(outcomes) == [result] * 3
    assert word in outcomes[0].detail
    assert f"TikTok {code}: because" in outcomes[0].detail


def test_a_throttle_waits_as_long_as_asked_else_five_minutes() -> None:
    throttled = {"code": 40100, "message": "Too many requests"}
    assert parsed(401, throttled)[0].after == 300.0
    assert parsed(401, throttled, headers={"retry-after": "9"})[0].after == 9.0


@pytest.mark.parametrize("answer", [b"", b"<html>", b'{"code":0,"mess', {}, [], {"code": "0"}, {"code": False}])
@pytest.mark.parametrize("status", [200, 401, 429, 503])
def test_an_answer_without_a_code_is_tried_again(status: int, answer: Any) -> None:
    assert results(parsed(status, answer)) == ["retry"] * 3


@pytest.mark.parametrize(("status", "result"), [(403, "config"), (404, "split"), (413, "split")])
def test_a_status_without_a_code(status: int, result: str) -> None:
    assert results(parsed(status, b"<html>")) == [result] * 3


def test_a_code_of_success_with_a_status_of_failure_is_no_success() -> None:
    assert results(parsed(502, {"code": 0, "message": "OK"})) == ["retry"] * 3


def test_details_carry_no_identity_and_end() -> None:
    (outcome,) = parsed(200, {"code": 40002, "message": "Batch.0.user.email: ada@example.com " + "x" * 5000}, 1)
    assert outcome.result == Result.PERMANENT
    assert "ada@" not in outcome.detail
    assert len(outcome.detail) < 400
