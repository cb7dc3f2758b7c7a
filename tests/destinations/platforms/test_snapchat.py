"""Snapchat's own rules, beyond what the contract suite and the golden files say of every platform."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import msgspec
import pytest

from destinations.platforms import base
from destinations.platforms.base import Outcome, Request, Response
from destinations.platforms.snapchat import Snapchat
from tests.destinations.platforms.making import CONFIG, HOUR_MS, NOW, NOW_MS, body, item, only

SNAPCHAT = Snapchat()
PIXEL = "1ec32188-754e-4be2-8e55-c949a984a39f"
MONEY = {"value": 49.9, "currency": "USD"}


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def sent(event: str = "SignUp", config: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    fields.setdefault("email", "a@b.co")
    built = SNAPCHAT.build([item(event, SNAPCHAT, **fields)], CONFIG["snapchat"] | (config or {}), NOW)
    (found,) = body(only(built))["data"]
    return found  # type: ignore[no-any-return]


def skipped(event: str = "SignUp", **fields: Any) -> tuple[str, str]:
    built = SNAPCHAT.build([item(event, SNAPCHAT, **fields)], CONFIG["snapchat"], NOW)
    assert built.requests == []
    return built.skipped[0].reason, built.skipped[0].detail


# --- The request ------------------------------------------------------------------------------------------
def test_the_token_is_in_the_address_and_declared_so() -> None:
    request = only(SNAPCHAT.build([item(platform=SNAPCHAT, email="a@b.co")], CONFIG["snapchat"], NOW))
    token = CONFIG["snapchat"]["access_token"]
    assert request.url == f"https://tr.snapchat.com/v3/{PIXEL}/events?access_token={token}"
    assert request.headers == {"Content-Type": "application/json"}
    assert SNAPCHAT.url_secrets == {"access_token"}


@pytest.mark.parametrize("token", ["eyJ.a-b_c.d~e=", "A" * 500])
def test_every_token_that_fits_stands_in_the_address_as_it_is(token: str) -> None:
    assert "access_token" not in SNAPCHAT.problems(CONFIG["snapchat"] | {"access_token": token})
    config = CONFIG["snapchat"] | {"access_token": token}
    assert token in only(SNAPCHAT.build([item(platform=SNAPCHAT, email="a@b.co")], config, NOW)).url


def test_a_test_event_is_checked_only() -> None:
    config = CONFIG["snapchat"] | {base.TEST: "1"}
    request = only(SNAPCHAT.build([item(platform=SNAPCHAT, email="a@b.co")], config, NOW))
    assert request.url.split("?")[0].endswith(f"/v3/{PIXEL}/events/validate")


def test_test_event_code() -> None:
    assert sent(config={"test_event_code": "abc"})["test_event_code"] == "abc"
    assert "test_event_code" not in sent()


def test_time_is_in_seconds_and_never_ahead_of_the_clock() -> None:
    assert sent(occurred_ms=NOW_MS - 1501)["event_time"] == (NOW_MS - 1501) // 1000
    assert sent(occurred_ms=NOW_MS + HOUR_MS)["event_time"] == NOW_MS // 1000
    assert sent(occurred_ms=4_102_444_800_000)["event_time"] == NOW_MS // 1000
    assert skipped(email="a@b.co", occurred_ms=NOW_MS - 7 * 24 * HOUR_MS - 1)[0] == "too_old"
    assert skipped(email="a@b.co", occurred_ms=0)[0] == "too_old"


@pytest.mark.parametrize(
    ("config", "fields", "expected"),
    [
        ({}, {"page_url": "https://x.example/a"}, ("WEB", "https://x.example/a")),
        ({}, {}, ("OFFLINE", None)),
        ({}, {"page_url": "/pricing"}, ("OFFLINE", None)),
        ({"website_url": "https://x.example"}, {}, ("WEB", "https://x.example")),
        ({"website_url": "https://x.example"}, {"page_url": "https://y.example/"}, ("WEB", "https://y.example/")),
    ],
)
def test_a_web_event_has_a_page(config: dict[str, str], fields: dict[str, Any], expected: tuple[str, Any]) -> None:
    found = sent(config=config, **fields)
    assert (found["action_source"], found.get("event_source_url")) == expected


@pytest.mark.parametrize(
    ("event", "native", "slots", "name"),
    [
        ("SignUp", "SIGN_UP", "", "SIGN_UP"),
        ("SignUp", "", "", "SIGN_UP"),
        ("Churned", "CUSTOM_EVENT_5", "", "CUSTOM_EVENT_5"),
        ("Churned", "CUSTOM_EVENT_5", "Churned=CUSTOM_EVENT_4", "CUSTOM_EVENT_4"),
        ("Churned", "CUSTOM_EVENT_5", "SignUp: CUSTOM_EVENT_1\n Churned : CUSTOM_EVENT_4 ;", "CUSTOM_EVENT_4"),
        ("Churned", "SAVE", "Churned=CUSTOM_EVENT_4", "SAVE"),
        ("Churned", "my_event", "", "my_event"),
        ("MyOwnEvent", "CUSTOM_EVENT_2", "", "CUSTOM_EVENT_2"),
    ],
)
def test_names_and_slots(event: str, native: str, slots: str, name: str) -> None:
    assert "custom_slots" not in SNAPCHAT.problems({"custom_slots": slots})
    assert sent(event, {"custom_slots": slots}, native_name=native)["event_name"] == name


@pytest.mark.parametrize(
    "slots", ["Churned", "churned=CUSTOM_EVENT_1", "Churned=CUSTOM_EVENT_6", "A=B\nC" + " " * 5000]
)
def test_slots_that_are_none_are_told(slots: str) -> None:
    assert "is not like" in SNAPCHAT.problems(CONFIG["snapchat"] | {"custom_slots": slots})["custom_slots"]
    assert sent("Churned", {"custom_slots": slots})["event_name"] == "CUSTOM_EVENT_5"


# --- Consent ----------------------------------------------------------------------------------------------
OPTIONS = ("data_processing_options", "data_processing_options_country", "data_processing_options_state")


@pytest.mark.parametrize(
    ("config", "consent", "options"),
    [
        ({}, {}, (None, None, None)),
        ({}, {"marketing": True}, (None, None, None)),
        ({}, {"marketing": False}, (["LDU"], 0, 0)),
        ({"limited_data": "always"}, {"marketing": True}, (["LDU"], 0, 0)),
        ({"limited_data": "always", "limited_data_value": "LMU"}, {}, (["LMU"], None, None)),
    ],
)
def test_consent(config: dict[str, str], consent: dict[str, bool], options: tuple[Any, ...]) -> None:
    found = sent(config=config, consent=consent)
    assert tuple(found.get(name) for name in OPTIONS) == options


# --- Identity ---------------------------------------------------------------------------------------------
def test_the_vendors_own_examples() -> None:
    user = sent(email=" Person@Example.com ", phone="+44 844 412 4653", first_name="John", last_name="Raphaël")[
        "user_data"
    ]
    assert user == {
        "em": ["542d240129883c019e106e3b1b2d3f3cb3537c43c425364de8e951d5a3083345"],
        "ph": ["dc008fda46e2e64002cf2f82a4906236282d431c4f75e5b60bfe79fc48546383"],
        "fn": "96d9632f363564cc3032521409cf22a852f2032eec099ed5967c0d000cec607a",
        "ln": "e74bb89e718fe1e19c422a48382870399f8bf7ca8dfa008739e75b0be76627b7",
    }


def test_identity() -> None:
    user = sent(
        phone="0044 (0)844 412 4653",
        first_name="Mary Ann",
        last_name="O'Byron-Smith",
        city="St. Louis",
        state="Missouri",
        zip="63101-1234",
        country="United States",
        external_id=" u 1 ",
        anonymous_id="a1",
        client_ip="2001:db8::1",
        user_agent="Mozilla/5.0",
        click_ids={"sccid": "AbC-1", "scid": "cookie", "fbp": "x"},
        subscription_id="sub_1",
        lead_id="00Q",
    )["user_data"]
    assert user == {
        "em": [sha("a@b.co")],
        "ph": ["dc008fda46e2e64002cf2f82a4906236282d431c4f75e5b60bfe79fc48546383"],
        "fn": sha("maryann"),
        "ln": sha("obyronsmith"),
        "ct": sha("stlouis"),
        "st": sha("mo"),
        "zp": sha("63101"),
        "country": sha("us"),
        "external_id": [sha("u 1"), sha("a1")],
        "client_ip_address": "2001:db8::1",
        "client_user_agent": "Mozilla/5.0",
        "sc_click_id": "AbC-1",
        "sc_cookie1": "cookie",
        "subscription_id": "sub_1",
    }


@pytest.mark.parametrize(
    ("zip_code", "country", "normal"), [("M1 1AE", "GB", "m11ae"), ("01310-100", "BR", "01310-100")]
)
def test_postal_codes_of_other_countries(zip_code: str, country: str, normal: str) -> None:
    assert sent(zip=zip_code, country=country)["user_data"]["zp"] == sha(normal)


def test_what_is_hashed_already_is_passed_in_lower_case() -> None:
    digest = sha("x")
    fields = dict.fromkeys(("email", "phone", "first_name", "last_name", "city", "state", "zip"), digest.upper())
    user = sent(**fields, country=digest.upper(), external_id=digest.upper())["user_data"]
    assert {value[0] if isinstance(value, list) else value for value in user.values()} == {digest}
    assert len(user) == 9


@pytest.mark.parametrize(
    ("fields", "click_id"),
    [
        ({"page_url": "https://x.example/?a=1&ScCid=AbC%2D1#top"}, "AbC-1"),
        ({"page_url": "https://x.example/?sccid=AbC"}, "AbC"),
        ({"click_ids": {"sccid": "Own"}, "page_url": "https://x.example/?ScCid=AbC"}, "Own"),
        ({"page_url": "https://x.example/?xScCid=1"}, None),
    ],
)
def test_the_click_id_keeps_its_case(fields: dict[str, Any], click_id: str | None) -> None:
    assert sent(**fields)["user_data"].get("sc_click_id") == click_id


@pytest.mark.parametrize(
    "fields", [{"phone": "+14155552671"}, {"client_ip": "203.0.113.7", "user_agent": "x"}, {"email": "a@b.co"}]
)
def test_any_of_these_is_enough(fields: dict[str, Any]) -> None:
    assert sent(**({"email": None} | fields))["user_data"]


@pytest.mark.parametrize(
    "fields",
    [
        {}, {"external_id": "u1"}, {"client_ip": "203.0.113.7"}, {"user_agent": "x"}, {"email": "none"},
        {"phone": "555"},
        {"click_ids": {"sccid": "x"}, "first_name": "Ada", "last_name": "Byron"},
    ],
)  # fmt: skip
def test_too_little_identity_is_refused_aloud(fields: dict[str, Any]) -> None:
    reason, detail = skipped(**fields)
    assert reason == "no_identity"
    assert "phone number" in detail


# --- Custom data ------------------------------------------------------------------------------------------
def test_custom_data() -> None:
    custom = sent("Purchase", **MONEY, content_id="a", content_name="Red shirt", content_category="shirts", num_items=2,
                  order_id="o1", transaction_id="t1", content_type="product")["custom_data"]  # fmt: skip
    assert custom == {
        "value": 49.9, "currency": "USD", "content_ids": ["a"], "content_name": "Red shirt",
        "content_category": "shirts", "num_items": 2, "order_id": "o1", "content_type": "product",
    }  # fmt: skip
    custom = sent(content_id="a", content_ids=["b"], transaction_id="t1", num_items=0, content_type="guide")[
        "custom_data"
    ]
    assert custom == {"content_ids": ["b"], "num_items": 0, "order_id": "t1"}


@pytest.mark.parametrize(
    ("fields", "reason", "missing"),
    [
        ({"currency": "USD"}, "missing_value", "no value."),
        ({"value": 5.0}, "missing_value", "no currency."),
        ({"value": -5.0, "currency": "USD"}, "missing_value", "no positive value."),
        ({"value": math.inf, "currency": "USD"}, "missing_value", "no positive value."),
        ({"value": 5.0, "currency": "AFN"}, "invalid", "does not take amounts in AFN."),
    ],
)
def test_a_purchase_needs_value_and_currency(fields: dict[str, Any], reason: str, missing: str) -> None:
    for event in ("Purchase", "CreditsPurchased"):
        found, detail = skipped(event, email="a@b.co", **fields)
        assert (found, detail.endswith(missing)) == (reason, True)
    assert "custom_data" not in sent("SignUp", **fields)


def test_a_purchase_by_override_needs_them_too() -> None:
    assert skipped("PlanUpgrade", email="a@b.co", native_name="PURCHASE")[0] == "missing_value"
    params = {"snapchat": {"custom_data": {"value": 1, "currency": "AFN"}}}
    assert sent("Purchase", platform_params=params)["custom_data"] == {"value": 1, "currency": "AFN"}


def test_zero_is_a_value() -> None:
    assert sent("Purchase", value=0.0, currency="USD")["custom_data"] == {"value": 0.0, "currency": "USD"}


@pytest.mark.parametrize("event", ["Refund", "Chargeback"])
def test_money_back_is_no_value(event: str) -> None:
    assert "custom_data" not in sent(event, **MONEY)


# --- Overrides --------------------------------------------------------------------------------------------
def test_overrides_are_hashed_where_snapchat_hashes() -> None:
    params = {
        "action_source": "OFFLINE",
        "user_data": {"em": ["B@c.de", "x"], "ge": "Female", "db": "1997-12-26", "lead_id": 7, "external_id": "Own",
                      "ct": "New York", "madid": "ab-1"},
        "custom_data": {"predicted_ltv": 600.5},
    }  # fmt: skip
    found = sent(page_url="https://x.example/", platform_params={"snapchat": params})
    assert found["action_source"] == "OFFLINE"
    assert found["user_data"] == {
        "em": [sha("b@c.de")], "ge": sha("f"), "db": sha("19971226"), "lead_id": 7, "external_id": sha("Own"),
        "ct": sha("newyork"), "madid": "ab-1",
    }  # fmt: skip
    assert found["custom_data"] == {"predicted_ltv": 600.5}


def test_an_override_may_give_the_identity_and_take_it_away() -> None:
    params = {"snapchat": {"user_data": {"madid": "ab-1"}}}
    assert sent(email=None, platform_params=params)["user_data"] == {"madid": "ab-1"}
    assert skipped(email="a@b.co", platform_params={"snapchat": {"user_data": {"em": None}}})[0] == "no_identity"


@pytest.mark.parametrize("params", [{"user_data": "x"}, {"custom_data": [1]}])
def test_an_override_that_breaks_the_shape_is_refused_aloud(params: dict[str, Any]) -> None:
    assert skipped(email="a@b.co", platform_params={"snapchat": params})[0] == "invalid"


# --- Nasty input ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("text", ["é😀x" * 3_400, "\x00", "\u202e", "<script>", "  ", "ı̇", "'\"\\", "٣"])
def test_nasty_texts_are_carried(text: str) -> None:
    names = ("phone", "first_name", "last_name", "city", "state", "zip", "country", "external_id", "content_name",
             "content_category", "order_id", "page_url", "user_agent")  # fmt: skip
    user = sent(**dict.fromkeys(names, text))["user_data"]
    for key in ("fn", "ln", "ct", "st", "zp", "country"):
        assert len(user.get(key, sha(""))) == 64
        assert user.get(key) != sha("")


# --- Answers ----------------------------------------------------------------------------------------------
def parsed(status: int, answer: Any, count: int = 2, headers: dict[str, str] | None = None) -> list[Outcome]:
    items = tuple(item(key=key, event_id=f"e{key}") for key in range(count))
    request = Request(method="POST", url="u", headers={}, body=b"", items=items)
    raw = answer if isinstance(answer, bytes) else msgspec.json.encode(answer)
    return SNAPCHAT.parse(request, Response(status=status, headers=headers or {}, body=raw))


def results(outcomes: list[Outcome]) -> list[str]:
    return [outcome.result.value for outcome in outcomes]


def invalid(message: str) -> dict[str, Any]:
    errors = {"codes": ["1"], "error_msgs": [message]}
    return {"status": "INVALID", "reason": "Invalid event", "event": 0, "errors": errors}


@pytest.mark.parametrize("status", ["VALID", "SUCCESS", "valid"])
def test_success(status: str) -> None:
    assert results(parsed(200, {"status": status, "reason": "ok"})) == ["ok", "ok"]


@pytest.mark.parametrize("answer", [b"", b"<html>", b'{"status":"VAL', [], {}, {"status": None}, {"status": "?"}])
def test_a_200_that_does_not_say_so_is_no_success(answer: Any) -> None:
    assert results(parsed(200, answer)) == ["retry", "retry"]


def test_a_200_may_be_a_refusal() -> None:
    assert results(parsed(200, invalid("no"))) == ["split", "split"]
    assert results(parsed(200, invalid("no"), 1)) == ["permanent"]


@pytest.mark.parametrize(
    ("message", "result", "reason"),
    [
        ("Timestamp invalid or out of range", "too_old", "too_old"),
        ("event_time is older than 37 days", "too_old", "too_old"),
        ("Missing price and/or currency in Purchase events", "permanent", "missing_value"),
        ("Insufficient PII", "permanent", "no_identity"),
        ("Unhashed PII", "permanent", ""),
    ],
)
def test_why_a_single_event_was_refused(message: str, result: str, reason: str) -> None:
    (outcome,) = parsed(400, invalid(message), 1)
    assert (outcome.result, outcome.reason) == (result, reason)
    assert outcome.detail.endswith(f"Invalid event; {message}")
    assert results(parsed(400, invalid(message))) == ["split", "split"]


def test_the_answer_of_the_test_endpoint() -> None:
    logs = [{"status": "INVALID", "errors": {"codes": [], "error_msgs": ["Unhashed PII"]}}]
    (outcome,) = parsed(400, {"status": "INVALID", "test_event": True, "reason": "", "event_logs": logs}, 1)
    assert outcome.detail.endswith("Snapchat 400: Unhashed PII")


@pytest.mark.parametrize("errors", [None, [], {"error_msgs": None}, {"error_msgs": [1, None]}, "x"])
def test_a_refusal_of_another_shape(errors: Any) -> None:
    (outcome,) = parsed(400, {"status": "INVALID", "errors": errors, "event_logs": [None, 1]}, 1)
    assert outcome.detail.endswith("no reason given")


@pytest.mark.parametrize(
    ("status", "result", "after"),
    [
        (401, "config", None), (403, "config", None), (404, "config", None), (413, "split", None), (422, "split", None),
        (429, "retry", 7.0), (500, "retry", 7.0), (503, "retry", 7.0), (301, "split", None),
    ],
)  # fmt: skip
def test_the_error_table(status: int, result: str, after: float | None) -> None:
    outcomes = parsed(status, invalid("Because"), headers={"retry-after": "7"})
    assert results(outcomes) == [result, result]
    assert outcomes[0].after == after


def test_details_say_what_to_do_and_carry_no_identity() -> None:
    assert "generate a new one" in parsed(401, b"")[0].detail
    (outcome,) = parsed(400, invalid("em ada@example.com is not hashed"), 1)
    assert "ada@" not in outcome.detail
