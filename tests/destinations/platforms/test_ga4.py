"""Google Analytics' own rules, beyond what the contract suite and the golden files say of every platform."""

from __future__ import annotations

import hashlib
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from destinations.platforms import _ga4_answers as answers
from destinations.platforms import _ga4_params as ga4
from destinations.platforms import identity
from destinations.platforms.base import TEST, Item, Outcome, Request, Response, Result
from destinations.platforms.ga4 import Ga4
from tests.destinations.platforms.making import CONFIG, HOUR_MS, NOW, NOW_MS, body, item, only

GA4 = Ga4()
APP = {"measurement_id": "", "firebase_app_id": "1:1234:android:321abc456def7890"}
APP_INSTANCE = "0123456789abcdef0123456789ABCDEF"


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def one(event: str, **fields: Any) -> Item:
    return item(event, GA4, **({"anonymous_id": "a.1"} | fields))


def sent(event: str = "SignUp", config: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    made = body(only(GA4.build([one(event, **fields)], CONFIG["ga4"] | (config or {}), NOW)))
    assert len(made["events"]) == 1
    return made  # type: ignore[no-any-return]


def params(event: str = "SignUp", config: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    return sent(event, config, **fields)["events"][0]["params"]  # type: ignore[no-any-return]


def skipped(config: dict[str, str] | None = None, event: str = "SignUp", **fields: Any) -> str:
    built = GA4.build([one(event, **fields)], CONFIG["ga4"] | (config or {}), NOW)
    assert built.requests == []
    assert built.skipped[0].detail.endswith(".")
    return built.skipped[0].reason


# --- Configuration and requests -------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("config", "wrong"),
    [
        ({}, {"api_secret"}), ({"api_secret": "0123456789"}, {"measurement_id"}),
        ({"api_secret": "0123456789", "measurement_id": "G-ABCD"}, set()),
        ({"api_secret": "0123456789", "firebase_app_id": "1:2:ios:abc"}, set()),
        ({"api_secret": "0123456789", "firebase_app_id": "1:2:ios:abc", "measurement_id": "G-ABCD"},
         {"firebase_app_id"}),
        ({"api_secret": "0123456789", "measurement_id": "UA-1-1"}, {"measurement_id"}),
        (CONFIG["ga4"] | {"region": "mars"}, {"region"}), (CONFIG["ga4"] | {"debug": "1"}, {"debug"}),
    ],
)  # fmt: skip
def test_a_destination_is_one_stream(config: dict[str, str], wrong: set[str]) -> None:
    assert GA4.problems(config).keys() == wrong


def test_the_examples_of_the_fields_are_valid() -> None:
    assert GA4.problems({field.name: field.example for field in GA4.fields if field.example}) == {}


@pytest.mark.parametrize(
    ("config", "url"),
    [
        ({}, "https://www.google-analytics.com/mp/collect?api_secret={secret}&measurement_id=G-GOLDEN1234"),
        ({"region": "eu"}, "https://region1.google-analytics.com/mp/collect?api_secret={secret}&measurement_id=G-GOLDEN1234"),
        (APP, "https://www.google-analytics.com/mp/collect?api_secret={secret}"
              "&firebase_app_id=1:1234:android:321abc456def7890"),
    ],
)  # fmt: skip
def test_urls(config: dict[str, str], url: str) -> None:
    items = [one("SignUp", properties={"app_instance_id": APP_INSTANCE})]
    request = only(GA4.build(items, CONFIG["ga4"] | config, NOW))
    assert request.url == url.format(secret=CONFIG["ga4"]["api_secret"])
    assert request.headers == {"Content-Type": "application/json"}
    assert request.before == ()


def test_a_test_goes_to_the_validation_server() -> None:
    for config in ({TEST: "1"}, {TEST: "1", "debug": "true"}):
        request = only(GA4.build([one("SignUp")], CONFIG["ga4"] | config, NOW))
        assert request.url.startswith("https://www.google-analytics.com/debug/mp/collect?api_secret=")
        assert body(request)["validation_behavior"] == "ENFORCE_RECOMMENDATIONS"
        assert request.before == ()


def test_with_debug_the_validation_server_is_asked_first() -> None:
    request = only(GA4.build([one("SignUp")], CONFIG["ga4"] | {"debug": "true"}, NOW))
    assert urlsplit(request.url).path == "/mp/collect"
    (check,) = request.before
    assert urlsplit(check.url).path == "/debug/mp/collect"
    assert check.items == request.items
    assert body(check) == body(request) | {"validation_behavior": "ENFORCE_RECOMMENDATIONS"}


def test_neighbours_of_one_client_share_a_request() -> None:
    at = NOW_MS - HOUR_MS
    items = [
        one("PageView", key=0, occurred_ms=at), one("SignUp", key=1, occurred_ms=at + 5),
        one("SignUp", key=2, anonymous_id="b"), one("SignUp", key=3),
        one("SignUp", key=4, consent={"marketing": False}), one("SignUp", key=5, external_id="u"),
    ]  # fmt: skip
    built = GA4.build(items, CONFIG["ga4"], NOW)
    assert [[carried.key for carried in request.items] for request in built.requests] == [[0, 1], [2], [3], [4], [5]]
    first = body(built.requests[0])
    assert "timestamp_micros" not in first, "each event has its own"
    assert [event["timestamp_micros"] for event in first["events"]] == [at * 1000, at * 1000 + 5000]


def test_twenty_five_events_and_130_kilobytes() -> None:
    many = [one("SignUp", key=key) for key in range(51)]
    assert [len(request.items) for request in GA4.build(many, CONFIG["ga4"], NOW).requests] == [25, 25, 1]
    items = [{"item_id": "x" * 100, "item_name": "y" * 100}] * 100
    heavy = [one("Purchase", key=key, properties={"items": items}) for key in range(10)]
    built = GA4.build(heavy, CONFIG["ga4"], NOW)
    assert [len(request.items) for request in built.requests] == [5, 5]
    assert all(len(request.body) < 130_000 for request in built.requests)
    items = [dict.fromkeys(ga4.ITEM_TEXTS, "x" * 100)] * 200
    assert skipped(event="Purchase", properties={"items": items}) == "invalid"


# --- Who ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"_ga": "GA1.1.1116446470.1795400000"}, "1116446470.1795400000"),
        ({"_ga": "GA1.2.1.2", "client_id": "3.4"}, "3.4"), ({"client_id": "GA1.1.5.6", "ga_client_id": 7}, "7"),
        ({"ga_client_id": "8.9", "client_id": "1.2"}, "8.9"), ({"_ga": "", "client_id": None}, "a.1"),
        ({"_ga": "odd"}, "odd"), ({"client_id": True}, "a.1"), ({"client_id": {}}, "a.1"), ({}, "a.1"),
    ],
)  # fmt: skip
def test_the_client_id(properties: dict[str, Any], expected: str) -> None:
    assert sent(properties=properties)["client_id"] == expected


def test_the_cookie_of_the_tag_as_anonymous_id_gives_its_client() -> None:
    assert sent(anonymous_id="GA1.1.1116446470.1795400000")["client_id"] == "1116446470.1795400000"


def test_the_anonymous_id_may_be_kept_out() -> None:
    assert skipped({"client_id_fallback": "none"}) == "no_identity"
    assert sent(config={"client_id_fallback": "none"}, properties={"_ga": "GA1.1.1.2"})["client_id"] == "1.2"
    assert skipped(anonymous_id=None, email="a@b.co", external_id="u") == "no_identity"
    assert skipped(anonymous_id="ada@example.com") == "no_identity", "no addresses in reports"
    params = {"client_id": "GA1.1.7.8"}
    assert sent(config={"client_id_fallback": "none"}, platform_params={"ga4": params})["client_id"] == "7.8"


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"_ga_GOLDEN1234": "GS1.1.1795431000.3.1.1795431500.60.0.0"}, "1795431000"),
        ({"_ga_GOLDEN1234": "GS2.1.s1795431000$o3$g1$t1795431500$j60$l0$h0"}, "1795431000"),
        ({"_ga_OTHER": "GS1.1.1.1"}, None), ({"session_id": 17}, "17"),
        ({"ga_session_id": "18", "session_id": "x"}, "18"),
        ({}, None),
    ],
)  # fmt: skip
def test_the_session_id(properties: dict[str, Any], expected: str | None) -> None:
    assert params(properties=properties).get("session_id") == expected


def test_an_app_has_an_instance() -> None:
    made = sent(config=APP, properties={"app_instance_id": APP_INSTANCE}, user_agent="x")
    assert made["app_instance_id"] == APP_INSTANCE
    assert "client_id" not in made
    assert "user_agent" not in made, "for websites only"
    assert skipped(APP) == "no_identity"
    assert skipped(APP, properties={"app_instance_id": "short"}) == "no_identity"
    made = sent(config=APP, platform_params={"ga4": {"app_instance_id": APP_INSTANCE}})
    assert made["app_instance_id"] == APP_INSTANCE


@pytest.mark.parametrize(
    ("external_id", "expected"), [("u1", "u1"), ("ada@example.com", None), ("x" * 257, None), (sha("x"), sha("x"))]
)
def test_the_user_id(external_id: str, expected: str | None) -> None:
    assert sent(external_id=external_id).get("user_id") == expected


def test_where_and_with_what() -> None:
    made = sent(client_ip="2001:db8::1", user_agent="Mozilla/5.0")
    assert (made["ip_override"], made["user_agent"]) == ("2001:db8::1", "Mozilla/5.0")


def test_user_data_is_hashed_by_googles_rules() -> None:
    made = sent(
        email="Jefferson.Loves.hiking+x@GMAIL.com", phone="(650) 555-1212", first_name=" Mary-Ann 2 ",
        last_name="O'Byron Smith", city="St. Gallen 9", state="CA", zip=" 94.103~ ", country="United States",
    )["user_data"]  # fmt: skip
    assert made == {
        "sha256_email_address": [sha("jeffersonloveshiking+x@gmail.com")],
        "sha256_phone_number": [sha("+16505551212")],
        "address": [
            {
                "sha256_first_name": sha("maryann"),
                "sha256_last_name": sha("obyron smith"),
                "city": "st gallen",
                "region": "ca",
                "postal_code": "94103",
                "country": "US",
            }
        ],
    }
    assert sent(email=sha("x").upper(), first_name=sha("y"))["user_data"] == {
        "sha256_email_address": [sha("x")], "address": [{"sha256_first_name": sha("y")}],
    }  # fmt: skip
    assert "user_data" not in sent(city="Rome", country="IT", zip="1"), "a place names nobody"


def test_letters_and_spaces() -> None:
    cases = {
        " Mary-Ann 2 ": "maryann", "José  María": "josé  maría", "李小龙": "李小龙", "O’Neil Jr.": "oneil jr", "42": "",
        "e\u0301": "é", sha("a").upper(): sha("a"), "ΑΘΉΝΑ": "αθήνα",
    }  # fmt: skip
    assert {text: identity.letters_and_spaces(text) for text in cases} == cases


@pytest.mark.parametrize(
    ("consent", "config", "expected", "has_user"),
    [
        ({}, {"ad_user_data_default": ""}, None, True),
        ({}, {"ad_user_data_default": "denied", "ad_personalization_default": "granted"}, ("DENIED", "GRANTED"), True),
        ({"marketing": True}, {}, ("GRANTED", "GRANTED"), True),
        ({"marketing": False}, {}, ("DENIED", "DENIED"), False),
        ({"analytics": True}, {}, ("GRANTED", None), True),
        ({"marketing": True}, {"user_data": "off"}, ("GRANTED", "GRANTED"), False),
    ],
)
def test_consent(consent: Any, config: dict[str, str], expected: Any, has_user: bool) -> None:
    made = sent(config=config, email="a@b.co", consent=consent)
    given = made.get("consent")
    assert (given and (given.get("ad_user_data"), given.get("ad_personalization"))) == expected
    assert ("user_data" in made) is has_user


# --- When -----------------------------------------------------------------------------------------------
def test_times_are_in_microseconds_of_the_last_72_hours() -> None:
    assert sent(occurred_ms=NOW_MS - 1501)["timestamp_micros"] == (NOW_MS - 1501) * 1000
    assert sent(occurred_ms=NOW_MS + HOUR_MS)["timestamp_micros"] == NOW_MS * 1000
    assert sent(occurred_ms=4_102_444_800_000)["timestamp_micros"] == NOW_MS * 1000
    assert skipped(occurred_ms=NOW_MS - 72 * HOUR_MS - 1) == "too_old"
    assert skipped(occurred_ms=0) == "too_old"


# --- What -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("native", "expected"),
    [
        ("my event", "my_event"), (" a  b ", "a_b"), ("Signed_Up2", "Signed_Up2"), ("x" * 40, "x" * 40),
        ("x" * 41, None), ("2fast", None), ("größe", None), ("a-b", None), ("session_start", None),
        ("screen_view", None), ("_x", None),
        ("ga_x", None), ("firebase_x", None), ("google_x", None), ("gtag.x", None), ("😀", None),
    ],
)  # fmt: skip
def test_event_names(native: str, expected: str | None) -> None:
    if expected is None:
        assert skipped(native_name=native) == "invalid"
    else:
        assert sent(native_name=native)["events"][0]["name"] == expected


def test_an_own_event_goes_by_its_name_in_snake_case() -> None:
    assert GA4.native_name("MyOwnEvent") == "my_own_event"
    assert sent("MyOwnEvent", native_name="")["events"][0]["name"] == "my_own_event"


def test_pages() -> None:
    made = params(
        "PageView", page_url="https://x.example/?email=ada.l%40example.com&u=a@b.co&gclid=1" + "x" * 1000,
        page_title="t" * 301, referrer="https://y.example/" + "r" * 500,
    )  # fmt: skip
    assert made["page_location"].startswith("https://x.example/?email=(redacted)&u=(redacted)&gclid=1xxx")
    assert (len(made["page_location"]), len(made["page_title"]), len(made["page_referrer"])) == (1000, 300, 420)


@pytest.mark.parametrize(
    ("event", "value", "currency", "expected"),
    [
        ("Purchase", 49.9, "USD", (49.9, "USD")), ("Purchase", 0.0, "JPY", (0.0, "JPY")),
        ("Purchase", -1.0, "USD", None), ("Purchase", 1.0, None, None), ("Purchase", None, "USD", None),
        ("Purchase", float("inf"), "USD", None), ("Purchase", float("nan"), "USD", None),
        ("Refund", 49.9, "USD", (49.9, "USD")), ("Refund", -49.9, "USD", (49.9, "USD")),
        ("Chargeback", -5.0, "EUR", (5.0, "EUR")),
    ],
)  # fmt: skip
def test_value_and_currency_both_or_neither(event: str, value: Any, currency: Any, expected: Any) -> None:
    made = params(event, value=value, currency=currency, transaction_id="t")
    assert (made.get("value"), made.get("currency")) == (expected or (None, None))


def test_transaction_ids() -> None:
    assert params("Purchase", transaction_id="t", order_id="o")["transaction_id"] == "t"
    assert params("Purchase", order_id="o")["transaction_id"] == "o"
    assert params("Purchase")["transaction_id"] == "evt-1", "a purchase is counted once by it"
    assert "transaction_id" not in params("SignUp")
    assert params("SubscriptionStarted", order_id="o")["transaction_id"] == "o"
    assert params("Refund", order_id="o")["transaction_id"] == "o"
    assert skipped(event="Refund", value=1.0, currency="USD") == "invalid"


@pytest.mark.parametrize(
    ("event", "fields", "expected"),
    [
        ("Purchase", {"properties": {"items": [
            {"item_id": 7, "item_name": "Seat", "price": 9.5, "quantity": 2, "color": "red", "currency": "EUR"},
            "x", {}]}},
         [{"item_id": "7", "item_name": "Seat", "currency": "EUR", "price": 9.5, "quantity": 2}]),
        ("Purchase", {"properties": {"products": [
            {"product_id": "p", "name": "n", "brand": "b", "category": "c", "variant": "v", "position": 3,
             "price": True}]}},
         [{"item_id": "p", "item_name": "n", "item_brand": "b", "item_category": "c", "item_variant": "v",
           "index": 3}]),
        ("Purchase", {"content_ids": ["a", "b"], "plan": "p"}, [{"item_id": "a"}, {"item_id": "b"}]),
        ("Purchase", {"content_ids": ["a"], "content_name": "A", "content_category": "c", "num_items": 2},
         [{"item_id": "a", "item_name": "A", "item_category": "c", "quantity": 2}]),
        ("Purchase", {"plan": "growth"}, [{"item_id": "growth", "item_name": "growth"}]),
        ("ContentView", {"content_id": "g7", "content_name": "Guide"}, [{"item_id": "g7", "item_name": "Guide"}]),
        ("SignUp", {"plan": "growth", "content_id": "g7"}, None),
        ("SignUp", {"content_ids": ["a"]}, [{"item_id": "a"}]),
        ("Purchase", {"properties": {"items": "x"}}, None),
    ],
)  # fmt: skip
def test_items(event: str, fields: dict[str, Any], expected: Any) -> None:
    assert params(event, **fields).get("items") == expected


@pytest.mark.parametrize(
    ("event", "fields", "expected"),
    [
        ("AddPaymentInfo", {"payment_method": "card"}, {"payment_type": "card"}),
        ("Purchase", {"payment_method": "card"}, {"payment_method": "card"}),
        ("LeadCaptured", {"lead_event_source": "Form"}, {"lead_source": "Form"}),
        ("FeatureUsed", {"lead_event_source": "Form"}, {"lead_event_source": "Form"}),
        ("MeetingHeld", {"pipeline_stage": "Demo"}, {"lead_status": "Demo"}),
        ("SalesQualifiedLead", {"pipeline_stage": "Demo", "opportunity_stage": "o"},
         {"pipeline_stage": "Demo", "opportunity_stage": "o"}),
        ("FeatureUsed", {"feature": "email-finder", "plan": "p" * 101, "num_items": 0},
         {"feature": "email-finder", "plan": "p" * 100, "num_items": 0}),
        ("SignUp", {"properties": {"method": "sso"}}, {"method": "sso"}),
        ("SignUp", {"company_name": "Acme", "company_domain": "acme.com"},
         {"company_name": "Acme", "company_domain": "acme.com"}),
    ],
)  # fmt: skip
def test_recommended_and_own_parameters(event: str, fields: dict[str, Any], expected: dict[str, Any]) -> None:
    made = params(event, **fields)
    assert {name: made.get(name) for name in expected} == expected


def test_nothing_that_names_a_person_becomes_a_parameter() -> None:
    made = params(
        lead_id="l1", crm_id="c1", sales_owner="sam@example.com", email="ada@example.com",
        feature="for ada@example.com",
        properties={"Email": "x", "name": "Ada", "note": "write to ada@example.com", "owner": "a%40b.co", "seats": 3,
                    "client_id": "1.2"},
    )  # fmt: skip
    assert made == {"engagement_time_msec": 100, "feature": "for (redacted)", "seats": 3}


def test_properties_become_parameters() -> None:
    properties = {
        "seats": 3, "ratio": 0.5, "is_annual": True, "note": "n" * 101, "bad-name": 1, "ga_x": 1, "_x": 1,
        "nested": {"a": 1}, "list": [1], "none": None, "empty": " ", "nan": float("nan"), "x" * 41: 1, "plan": "theirs",
        "engagement_time_msec": 1200,
    }  # fmt: skip
    made = params(plan="ours", properties=properties)
    assert made == {
        "engagement_time_msec": 1200, "plan": "ours", "seats": 3, "ratio": 0.5, "is_annual": True, "note": "n" * 100,
    }  # fmt: skip
    assert params(config={"properties": "off"}, properties=properties) == {"engagement_time_msec": 100}


def test_at_most_25_parameters() -> None:
    made = params("Purchase", value=1.0, currency="USD", properties={f"p{n}": n for n in range(50)})
    assert len(made) == 25
    assert {"value", "currency", "transaction_id", "engagement_time_msec"} <= made.keys()


def test_user_properties() -> None:
    given = {
        "tier": "gold", "seats": 3, "user_id": "x", "email": "a@b.co", "mail": "a@b.co", "long": "x" * 37, "a" * 25: 1,
        "ga_x": 1, "list": [], "first_visit_time": 1,
    }  # fmt: skip
    made = sent(properties={"user_properties": given})
    assert made["user_properties"] == {"tier": {"value": "gold"}, "seats": {"value": 3}}
    assert "user_properties" not in made["events"][0]["params"]
    assert "user_properties" not in sent(properties={"user_properties": "x"})


# --- Overrides ------------------------------------------------------------------------------------------
def test_overrides() -> None:
    made = sent(
        email="a@b.co", country="US",
        platform_params={"ga4": {
            "client_id": "9.9", "session_id": "55", "engagement_time_msec": 7, "debug_mode": 1, "name": "my event",
            "params": {"coupon": "X", "plan": None}, "user_location": {"city": "Rome"}, "timestamp_micros": 5,
            "events": [{"name": "evil"}],
            "user_data": {"sha256_email_address": "Ada.L@gmail.com", "sha256_phone_number": ["(415) 555-2671"],
                          "address": {"sha256_first_name": "Ada 1", "city": "rome", "sha256_street": "Main St. 7"}},
        }}, plan="p",
    )  # fmt: skip
    assert made == {
        "client_id": "9.9",
        "user_location": {"city": "Rome"},
        "consent": {"ad_user_data": "GRANTED"},
        "user_data": {
            "sha256_email_address": sha("adal@gmail.com"),
            "sha256_phone_number": [sha("+14155552671")],
            "address": [{"sha256_first_name": sha("ada"), "city": "rome", "sha256_street": sha("main st 7")}],
        },
        "timestamp_micros": 5,
        "events": [
            {
                "name": "my_event",
                "params": {"engagement_time_msec": 7, "coupon": "X", "session_id": "55", "debug_mode": 1},
            }
        ],
    }


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"params": "x"}, "invalid"), ({"user_data": []}, "invalid"), ({"name": None}, "invalid"),
        ({"name": "a-b"}, "invalid"),
        ({"client_id": ""}, "no_identity"), ({"client_id": None}, "no_identity"), ({"client_id": [1]}, "no_identity"),
    ],
)  # fmt: skip
def test_overrides_that_break_the_shape_are_refused_aloud(given: dict[str, Any], reason: str) -> None:
    assert skipped(platform_params={"ga4": given}) == reason


NASTY = ["", " ", "😀" * 40, "a" * 10_000, "\u0000", "'; --", "<b>", "é́", "\u202e", "@", "a@", "1e309"]


@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
def test_nasty_texts_are_carried_or_refused(text: str) -> None:
    names = ("email", "phone", "first_name", "last_name", "city", "state", "country", "zip", "order_id", "page_url",
             "page_title", "referrer", "user_agent", "client_ip", "content_id", "plan", "external_id", "currency",
             "company_name")  # fmt: skip
    fields: dict[str, Any] = dict.fromkeys(names, text)
    fields |= {"value": 1e308 * 10, "properties": {text: text, "a": text, "user_properties": {text: text}}}
    built = GA4.build([one("Purchase", **fields), one("SignUp", key=2)], CONFIG["ga4"], NOW)
    assert sum(len(request.items) for request in built.requests) + len(built.skipped) == 2
    for request in built.requests:
        for event in body(request)["events"]:
            assert all(len(value) <= ga4.LONGER.get(name, 100) for name, value in event["params"].items()
                       if isinstance(value, str))  # fmt: skip


# --- Answers --------------------------------------------------------------------------------------------
def parsed(
    status: int, answer: Any = b"", count: int = 3, path: str = "/mp/collect", headers: dict[str, str] | None = None
) -> list[Outcome]:
    items = tuple(item(key=key, event_id=f"e{key}") for key in range(count))
    url = f"https://www.google-analytics.com{path}?api_secret=x&measurement_id=G-X"
    raw = answer if isinstance(answer, bytes) else msgspec.json.encode(answer)
    request = Request(method="POST", url=url, headers={}, body=b"", items=items)
    return GA4.parse(request, Response(status=status, headers=headers or {}, body=raw))


def results(outcomes: list[Outcome]) -> list[str]:
    return [outcome.result.value for outcome in outcomes]


@pytest.mark.parametrize(
    ("status", "result"),
    [(204, "ok"), (200, "ok"), (302, "retry"), (400, "split"), (413, "split"), (401, "config"), (403, "config"),
     (404, "config"), (429, "retry"), (500, "retry"), (503, "retry")],
)  # fmt: skip
def test_statuses(status: int, result: str) -> None:
    assert results(parsed(status, b"<html>")) == [result] * 3
    assert results(parsed(status, b"<html>", 1)) == ["permanent" if result == "split" else result]


def test_retry_after() -> None:
    assert parsed(429, headers={"retry-after": "30"})[0].after == 30.0


def message(path: str = "", code: str = "VALUE_INVALID", text: str = "Item is wrong.") -> dict[str, str]:
    return {"fieldPath": path, "description": text, "validationCode": code}


def validated(*messages: Any, count: int = 3, status: int = 200) -> list[Outcome]:
    return parsed(status, {"validationMessages": list(messages)}, count, "/debug/mp/collect")


def test_the_validation_server() -> None:
    assert results(validated()) == ["ok"] * 3
    assert results(validated(message("events"))) == ["split"] * 3
    assert results(validated(message("events"), count=1)) == ["permanent"]
    assert results(validated(message("api_secret"))) == ["config"] * 3
    assert results(validated(message("events[1].name"), message("measurement_id"))) == ["config"] * 3
    outcomes = validated(message("events[1].params.x"), message("events[1].name"))
    assert results(outcomes) == ["retry", "permanent", "retry"]
    assert outcomes[0].after == 0.0
    assert "events[1].params.x" in outcomes[1].detail
    assert results(validated(message("events[9]"))) == ["split"] * 3
    assert results(validated(None, "x", count=1)) == ["permanent"]


@pytest.mark.parametrize("answer", [b"", b"<html>", {}, [], {"validationMessages": {}}])
def test_a_validation_without_messages_is_tried_again(answer: Any) -> None:
    assert results(parsed(200, answer, path="/debug/mp/collect")) == ["retry"] * 3


@pytest.mark.parametrize(("code", "advice"), answers.CODES.items())
def test_every_validation_code(code: str, advice: str) -> None:
    (outcome,) = validated(message("events[0]", code), count=1)
    assert outcome.result == Result.PERMANENT
    assert outcome.detail.endswith(f"{advice}.")


def test_details_carry_no_identity() -> None:
    (outcome,) = validated(message("events[0]", text="ada@example.com is no name"), count=1)
    assert "ada@" not in outcome.detail


def test_the_secret_is_in_the_url_only() -> None:
    request = only(GA4.build([one("SignUp")], CONFIG["ga4"], NOW))
    assert parse_qs(urlsplit(request.url).query)["api_secret"] == [CONFIG["ga4"]["api_secret"]]
    assert CONFIG["ga4"]["api_secret"] not in json.dumps(request.headers)
    assert GA4.url_secrets == {"api_secret"}
