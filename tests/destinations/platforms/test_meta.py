"""Meta's own rules, beyond what the contract suite and the golden files say of every platform."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import msgspec
import pytest

from destinations.platforms.base import Outcome, Request, Response, Result
from destinations.platforms.meta import BUSY_SECONDS, Meta
from tests.destinations.platforms.making import CONFIG, HOUR_MS, NOW, NOW_MS, body, item, only

META = Meta()
BROWSER = {"page_url": "https://example.com/pricing", "user_agent": "Mozilla/5.0", "client_ip": "203.0.113.7"}


def sent(event: str = "SignUp", config: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    request = only(META.build([item(event, META, **fields)], CONFIG["meta"] | (config or {}), NOW))
    (found,) = body(request)["data"]
    return found  # type: ignore[no-any-return]


def skipped(event: str = "SignUp", **fields: Any) -> tuple[str, str]:
    built = META.build([item(event, META, **fields)], CONFIG["meta"], NOW)
    assert built.requests == []
    return built.skipped[0].reason, built.skipped[0].detail


# --- Request ----------------------------------------------------------------------------------------
def test_token_travels_in_the_header_and_the_proof_in_the_url() -> None:
    config = CONFIG["meta"] | {"app_secret": "0123456789abcdef0123456789abcdef"}
    request = only(META.build([item(platform=META, email="a@b.co")], config, NOW))
    proof = hmac.new(config["app_secret"].encode(), config["access_token"].encode(), hashlib.sha256).hexdigest()
    assert request.url == f"https://graph.facebook.com/v26.0/1234567890123456/events?appsecret_proof={proof}"
    assert request.headers["Authorization"] == f"Bearer {config['access_token']}"
    assert config["access_token"] not in request.url
    assert config["access_token"].encode() not in request.body


def test_test_event_code_stands_at_the_root() -> None:
    config = CONFIG["meta"] | {"test_event_code": "TEST123", "api_version": "v25.0"}
    request = only(META.build([item(platform=META, email="a@b.co")], config, NOW))
    assert body(request)["test_event_code"] == "TEST123"
    assert request.url.startswith("https://graph.facebook.com/v25.0/")


def test_time_is_in_seconds_and_never_ahead_of_the_clock() -> None:
    assert sent(email="a@b.co", occurred_ms=NOW_MS - 1500)["event_time"] == (NOW_MS - 1500) // 1000
    assert sent(email="a@b.co", occurred_ms=NOW_MS + HOUR_MS)["event_time"] == NOW_MS // 1000


def test_an_event_older_than_seven_days_stays_out_of_the_batch() -> None:
    assert skipped(email="a@b.co", occurred_ms=NOW_MS - 7 * 24 * HOUR_MS - 1)[0] == "too_old"
    assert sent(email="a@b.co", occurred_ms=NOW_MS - 7 * 24 * HOUR_MS)


# --- Identity ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "fields",
    [
        {"email": "a@b.co"}, {"phone": "+14155552671"}, {"external_id": "u"}, {"anonymous_id": "v"},
        {"click_ids": {"fbp": "fb.1.1.1"}}, {"click_ids": {"fbc": "fb.1.1.x"}}, {"click_ids": {"fbclid": "x"}},
        {"lead_id": "123456789012345"}, {"client_ip": "203.0.113.7", "user_agent": "Mozilla/5.0"},
    ],
)  # fmt: skip
def test_any_strong_key_is_enough(fields: dict[str, Any]) -> None:
    assert sent(**fields)["user_data"]


@pytest.mark.parametrize(
    "fields",
    [
        {}, {"user_agent": "Mozilla/5.0"}, {"client_ip": "203.0.113.7"}, {"first_name": "Ada", "last_name": "Byron"},
        {"city": "London", "country": "GB", "zip": "M1 1AE"}, {"email": "none"}, {"phone": "555"},
        {"lead_id": "00Q5e00000AbCdE"}, {"click_ids": {"gclid": "x"}},
    ],
)  # fmt: skip
def test_too_little_identity_is_refused_aloud(fields: dict[str, Any]) -> None:
    reason, detail = skipped(**fields)
    assert reason == "no_identity"
    assert "e-mail address" in detail


def test_fbc_is_built_from_fbclid_with_the_time_of_the_event_and_its_case() -> None:
    expected = f"fb.1.{NOW_MS - HOUR_MS}.AbC_d-E"
    assert sent(click_ids={"fbclid": "AbC_d-E"})["user_data"]["fbc"] == expected
    assert sent(page_url="https://app.example.com/?a=1&fbclid=AbC_d-E#top")["user_data"]["fbc"] == expected
    assert sent(referrer="https://l.example/?fbclid=AbC_d-E")["user_data"]["fbc"] == expected
    assert sent(click_ids={"fbclid": "x", "fbc": "fb.2.9.y"})["user_data"]["fbc"] == "fb.2.9.y"


def test_a_newer_click_in_the_address_replaces_the_cookie() -> None:
    page = "https://app.example.com/?fbclid=New"
    assert sent(page_url=page, click_ids={"fbc": "fb.2.9.Old"})["user_data"]["fbc"] == f"fb.1.{NOW_MS - HOUR_MS}.New"
    for cookie in ("fb.2.9.New", "fb.2.9.New.AQYB"):
        assert sent(page_url=page, click_ids={"fbc": cookie})["user_data"]["fbc"] == cookie


def test_a_hashed_address_is_not_hashed_again() -> None:
    hashed = hashlib.sha256(b"john_smith@gmail.com").hexdigest()
    assert sent(email=hashed.upper())["user_data"]["em"] == [hashed]
    assert sent(email=" John_Smith@gmail.com")["user_data"]["em"] == [hashed]


# --- Where it happened ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("fields", "config", "expected"),
    [
        (BROWSER, {}, "website"),
        (BROWSER, {"default_action_source": "chat"}, "website"),
        ({"email": "a@b.co"}, {}, "system_generated"),
        ({"email": "a@b.co", "page_url": "https://example.com/"}, {}, "system_generated"),
        ({"email": "a@b.co", "page_url": "app://home", "user_agent": "x"}, {}, "system_generated"),
        ({"email": "a@b.co"}, {"default_action_source": "phone_call"}, "phone_call"),
    ],
)
def test_action_source(fields: dict[str, Any], config: dict[str, str], expected: str) -> None:
    event = sent(config=config, **fields)
    assert event["action_source"] == expected
    if expected == "website":
        assert event["event_source_url"]
        assert event["user_data"]["client_user_agent"]


def test_only_web_addresses_are_event_source_urls() -> None:
    assert "event_source_url" not in sent(email="a@b.co", page_url="app://home")


# --- Value ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({}, "value"), ({"value": 5.0}, "currency"), ({"currency": "USD"}, "value"),
        ({"value": -5.0, "currency": "USD"}, "positive"), ({"value": float("nan"), "currency": "USD"}, "positive"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("event", ["Purchase", "PlanUpgrade", "CreditsPurchased"])
def test_a_purchase_without_value_and_currency_is_refused_aloud(event: str, fields: dict[str, Any], word: str) -> None:
    reason, detail = skipped(event, email="a@b.co", **fields)
    assert reason == "missing_value"
    assert word in detail


def test_zero_is_a_value() -> None:
    assert sent("Purchase", email="a@b.co", value=0.0, currency="EUR")["custom_data"]["value"] == 0.0


def test_other_events_send_value_and_currency_both_or_neither() -> None:
    assert "custom_data" not in sent(email="a@b.co", value=5.0)
    assert sent(email="a@b.co", value=5.0, currency="EUR")["custom_data"] == {"value": 5.0, "currency": "EUR"}


@pytest.mark.parametrize("event", ["Refund", "Chargeback"])
def test_money_that_goes_back_is_never_a_value(event: str) -> None:
    assert "value" not in sent(event, email="a@b.co", value=5.0, currency="EUR").get("custom_data", {})


# --- Content and overrides ----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("event", "category"),
    [("HighIntentPageView", "high_intent"), ("IntegrationViewed", "integration"), ("ApiDocsViewed", "api_docs")],
)
def test_the_category_tells_the_view_contents_apart(event: str, category: str) -> None:
    assert sent(event, email="a@b.co")["custom_data"]["content_category"] == category
    assert sent(event, email="a@b.co", content_category="mine")["custom_data"]["content_category"] == "mine"


def test_free_properties_and_company_stay_at_home() -> None:
    event = sent(email="a@b.co", properties={"note": "secret"}, company_name="Acme", content_type="guide")
    assert b"secret" not in msgspec.json.encode(event)
    assert "custom_data" not in event


@pytest.mark.parametrize(
    ("mode", "country", "state"), [("geo", 0, 0), ("us", 1, 0), ("us-ca", 1, 1000), ("us-nj", 1, 1010)]
)
def test_limited_data_use(mode: str, country: int, state: int) -> None:
    event = sent(email="a@b.co", config={"ldu_mode": mode})
    assert event["data_processing_options"] == ["LDU"]
    assert (event["data_processing_options_country"], event["data_processing_options_state"]) == (country, state)


@pytest.mark.parametrize("mode", ["", "off"])
def test_limited_data_use_off_sends_no_option(mode: str) -> None:
    assert not [key for key in sent(email="a@b.co", config={"ldu_mode": mode}) if key.startswith("data_processing")]


def test_overrides_come_last_and_are_hashed_where_meta_hashes() -> None:
    params = {
        "opt_out": True,
        "custom_data": {"predicted_ltv": 9},
        "user_data": {"em": "Ada@Example.com", "madid": "m"},
    }
    event = sent(platform_params={"meta": params, "other": {"x": 1}}, plan="pro")
    assert event["opt_out"] is True
    assert event["custom_data"] == {"plan": "pro", "predicted_ltv": 9}
    assert event["user_data"] == {"em": hashlib.sha256(b"ada@example.com").hexdigest(), "madid": "m"}


def test_an_override_that_breaks_the_shape_is_refused_aloud() -> None:
    assert skipped(email="a@b.co", platform_params={"meta": {"user_data": "x"}})[0] == "invalid"


def test_a_custom_name_beyond_fifty_characters_is_refused_aloud() -> None:
    assert skipped("A" * 51, email="a@b.co")[0] == "invalid"


# --- Answers ------------------------------------------------------------------------------------------
def parsed(status: int, answer: Any, count: int = 2, headers: dict[str, str] | None = None) -> list[Outcome]:
    items = tuple(item(key=key, event_id=f"e{key}") for key in range(count))
    request = Request(method="POST", url="u", headers={}, body=b"", items=items)
    raw = answer if isinstance(answer, bytes) else msgspec.json.encode(answer)
    return META.parse(request, Response(status=status, headers=headers or {}, body=raw))


def refused(code: int, subcode: int = 0, status: int = 400, count: int = 1, **more: Any) -> Outcome:
    error = {"message": "m", "code": code, "error_subcode": subcode, **more}
    return parsed(status, {"error": error}, count)[0]


def test_a_full_receipt_is_success() -> None:
    answer = {"events_received": 2, "messages": [], "fbtrace_id": "x"}
    assert [outcome.result for outcome in parsed(200, answer)] == [Result.OK, Result.OK]


@pytest.mark.parametrize(
    ("answer", "count", "result"),
    [
        ({"events_received": 1}, 2, Result.SPLIT), ({"events_received": 0}, 1, Result.RETRY),
        ({}, 2, Result.RETRY), (b"<html>", 2, Result.RETRY), (b"", 2, Result.RETRY), (b'{"events_rec', 1, Result.RETRY),
    ],
)  # fmt: skip
def test_a_200_without_a_full_receipt_is_a_failure(answer: Any, count: int, result: Result) -> None:
    assert {outcome.result for outcome in parsed(200, answer, count)} == {result}


@pytest.mark.parametrize("code", [1, 2, 341, 368, 5000, 21009, 987654])
def test_transient_and_unknown_codes_are_tried_again(code: int) -> None:
    assert refused(code, count=2).result == Result.RETRY


@pytest.mark.parametrize("code", [4, 17, 32, 613, 80003, 80004])
def test_throttling_waits_longer(code: int) -> None:
    outcome = refused(code, status=500)
    assert (outcome.result, outcome.after) == (Result.RETRY, BUSY_SECONDS)


def test_retry_after_is_honoured() -> None:
    assert parsed(429, {"error": {"code": 4}}, 1, {"retry-after": "7"})[0].after == 7.0


@pytest.mark.parametrize(
    ("code", "subcode", "status"), [(190, 463, 500), (10, 0, 403), (200, 0, 403), (3, 0, 400), (100, 33, 400)]
)
def test_credentials_and_wrong_pixel_hold_the_destination(code: int, subcode: int, status: int) -> None:
    assert refused(code, subcode, status, count=2).result == Result.CONFIG


def test_a_payload_error_splits_the_batch_until_the_event_is_alone() -> None:
    assert refused(100, 2804001, count=2).result == Result.SPLIT
    assert refused(100, 2804001).result == Result.PERMANENT
    assert refused(100, 2804009).reason == "missing_value"
    assert refused(100, 2804050).reason == "no_identity"
    assert refused(100, 2804003).result == Result.TOO_OLD
    assert refused(100, 2804001, is_transient=True).result == Result.RETRY


def test_details_are_equal_for_equal_causes_and_carry_no_identity() -> None:
    outcome = refused(100, 1, error_user_msg="bad value ada@example.com", fbtrace_id="AbC")
    assert "ada@" not in outcome.detail
    assert outcome == refused(100, 1, error_user_msg="bad value ada@example.com", fbtrace_id="XyZ")


def test_a_lead_of_a_crm_says_so() -> None:
    """Meta, "Conversions API for CRM Integration": `event_source` and `lead_event_source`, `system_generated`."""
    fields = {"email": "a@b.co", "lead_id": "525645896321548", "lead_event_source": "HubSpot"}
    event = body(only(META.build([item("LeadCaptured", META, **fields)], CONFIG["meta"], NOW)))["data"][0]
    assert event["action_source"] == "system_generated"
    assert event["custom_data"] == {"lead_event_source": "HubSpot", "event_source": "crm"}
