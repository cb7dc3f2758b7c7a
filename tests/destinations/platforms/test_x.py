"""X's own rules, beyond what the contract suite and the golden files say of every platform."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import msgspec
import pytest
from oauthlib.oauth1 import Client

from destinations.platforms.base import Outcome, Request, Response, Result
from destinations.platforms.x import OAUTH_FIELDS, X
from tests.destinations.platforms.making import CONFIG, HOUR_MS, NOW, NOW_MS, body, item, only

PLATFORM = X()
TOKEN_ONLY = {"pixel_id": "o8z6j", "pixel_token": "example-token"}
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0)"


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def sent(event: str = "SignUp", **fields: Any) -> dict[str, Any]:
    (found,) = body(only(PLATFORM.build([item(event, PLATFORM, **fields)], TOKEN_ONLY, NOW)))["conversions"]
    return found  # type: ignore[no-any-return]


def skipped(**fields: Any) -> tuple[str, str]:
    built = PLATFORM.build([item("SignUp", PLATFORM, **fields)], TOKEN_ONLY, NOW)
    assert built.requests == []
    return built.skipped[0].reason, built.skipped[0].detail


# --- Credentials ----------------------------------------------------------------------------------
def test_the_pixel_token_is_a_header() -> None:
    request = only(PLATFORM.build([item(platform=PLATFORM, email="a@b.co")], TOKEN_ONLY, NOW))
    assert request.url == "https://ads-api.x.com/12/measurement/conversions/o8z6j"
    assert request.headers == {"X-Pixel-Token": "example-token", "Content-Type": "application/json"}


def test_with_all_oauth_keys_the_request_is_signed_without_its_body() -> None:
    request = only(PLATFORM.build([item(platform=PLATFORM, email="a@b.co")], CONFIG["x"], NOW))
    assert request.headers.keys() == {"Authorization", "Content-Type"}
    said = dict(re.findall(r'(\w+)="([^"]*)"', request.headers["Authorization"]))
    assert "oauth_body_hash" not in said
    assert said["oauth_timestamp"] == str(NOW_MS // 1000)
    again = Client(
        *(CONFIG["x"][name] for name in OAUTH_FIELDS), nonce=said["oauth_nonce"], timestamp=said["oauth_timestamp"]
    )
    assert again.sign(request.url, "POST")[1]["Authorization"] == request.headers["Authorization"]


def test_signature_of_a_known_request() -> None:
    """Computed by RFC 5849 §3.4: key `cs%2Fex%26ample&ats%20example`."""
    client = Client(
        "ck_example", "cs/ex&ample", "at_example", "ats example", nonce="abcdef0123456789", timestamp="1700000000"
    )
    _, headers, _ = client.sign("https://ads-api.x.com/12/measurement/conversions/o8z6j", "POST")
    assert 'oauth_signature="2%2Fqsc66zgLblIidkTbY4fxzu1U0%3D"' in headers["Authorization"]


def test_another_body_or_second_has_another_nonce() -> None:
    def nonce(now: Any, **fields: Any) -> str:
        request = only(PLATFORM.build([item(platform=PLATFORM, email="a@b.co", **fields)], CONFIG["x"], now))
        return request.headers["Authorization"].split('oauth_nonce="')[1][:32]

    later = NOW.replace(second=1)
    assert len({nonce(NOW), nonce(later), nonce(NOW, event_id="e2")}) == 3
    assert nonce(NOW) == nonce(NOW)


def test_the_version_is_in_the_path() -> None:
    config = TOKEN_ONLY | {"api_version": "13"}
    request = only(PLATFORM.build([item(platform=PLATFORM, email="a@b.co")], config, NOW))
    assert request.url == "https://ads-api.x.com/13/measurement/conversions/o8z6j"


@pytest.mark.parametrize(
    ("without", "wrong"),
    [
        ((), set()),
        (("pixel_token",), set()),
        (OAUTH_FIELDS, set()),
        (("access_token",), {"access_token"}),
        (("pixel_token", "consumer_secret"), {"pixel_token", "consumer_secret"}),
        (("pixel_token", *OAUTH_FIELDS), {"pixel_token"}),
    ],
)
def test_a_token_or_all_four_keys(without: tuple[str, ...], wrong: set[str]) -> None:
    config = {name: value for name, value in CONFIG["x"].items() if name not in without}
    assert PLATFORM.problems(config).keys() == wrong


@pytest.mark.parametrize("native_id", ["tw-o8z6j-o87ne", "o87ne"])
def test_both_forms_of_an_event_id(native_id: str) -> None:
    assert PLATFORM.native_id
    assert re.fullmatch(PLATFORM.native_id.pattern, native_id)
    assert sent(email="a@b.co", native_id=native_id)["event_id"] == native_id


def test_an_event_without_an_id_is_refused_aloud() -> None:
    assert skipped(email="a@b.co", native_id="")[0] == "missing_native_id"


# --- Identity -------------------------------------------------------------------------------------
def test_the_vendors_own_vectors() -> None:
    assert sent(email=" Test-Email@test.com ", phone="+11234567890")["identifiers"] == [
        {"hashed_email": "e586883b2b4faf78d48300a79e0e15138d664cdf796ffb86e533170a9893eda8"},
        {"hashed_phone_number": "1fa6b8d986d9b9cd01bf36951815158bbde9f520c0567c835dfe34783d0a4231"},
    ]


def test_identifiers_stand_alone_in_the_vendors_order() -> None:
    found = sent(
        email="Ada.Byron+x@Gmail.com",
        phone="(650) 555-1212",
        country="us",
        client_ip="1.0.0.0",
        user_agent=FIREFOX,
        click_ids={"twclid": "23opevjt88psuo13lu8d020qkn"},
    )
    assert found["identifiers"] == [
        {"twclid": "23opevjt88psuo13lu8d020qkn"},
        {"hashed_email": sha("ada.byron+x@gmail.com")},
        {"hashed_phone_number": sha("+16505551212")},
        {"ip_address": "1.0.0.0", "user_agent": FIREFOX},
    ]


def test_an_address_or_a_browser_goes_along_with_the_first_identifier() -> None:
    assert sent(email="a@b.co", user_agent=FIREFOX)["identifiers"] == [
        {"hashed_email": sha("a@b.co"), "user_agent": FIREFOX}
    ]
    assert sent(email="a@b.co", client_ip="1.0.0.0")["identifiers"] == [
        {"hashed_email": sha("a@b.co"), "ip_address": "1.0.0.0"}
    ]


def test_no_ipv6() -> None:
    assert sent(email="a@b.co", client_ip="2001:db8::1")["identifiers"] == [{"hashed_email": sha("a@b.co")}]


def test_what_is_hashed_already_is_not_hashed_again() -> None:
    assert sent(email=sha("a@b.co").upper())["identifiers"] == [{"hashed_email": sha("a@b.co")}]


@pytest.mark.parametrize(
    ("page_url", "click_ids", "expected"),
    [
        ("https://a.example/?twclid=Url1&b=2#c", {}, "Url1"),
        ("https://a.example/?a=1&twclid=Url1#c", {}, "Url1"),
        ("https://a.example/?twclid=Url1", {"twclid": "Own1"}, "Own1"),
    ],
)
def test_click_id(page_url: str, click_ids: dict[str, str], expected: str) -> None:
    assert sent(page_url=page_url, click_ids=click_ids)["identifiers"] == [{"twclid": expected}]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"external_id": "u1", "anonymous_id": "a1"},
        {"client_ip": "203.0.113.7", "user_agent": FIREFOX},
        {"email": "nonsense"},
        {"phone": "555"},
        {"page_url": "https://a.example/?nottwclid=x&mytwclid=y"},
        {"first_name": "Ada", "last_name": "Byron"},
    ],
)
def test_too_little_identity_is_refused_aloud(fields: dict[str, Any]) -> None:
    reason, detail = skipped(**fields)
    assert reason == "no_identity"
    assert "twclid" in detail
    assert detail.endswith(".")


# --- Body -----------------------------------------------------------------------------------------
def test_time_has_milliseconds_and_z_and_is_never_ahead() -> None:
    assert sent(email="a@b.co", occurred_ms=NOW_MS - 1501)["conversion_time"] == "2026-11-23T11:59:58.499Z"
    assert sent(email="a@b.co", occurred_ms=NOW_MS + HOUR_MS)["conversion_time"] == "2026-11-23T12:00:00.000Z"


def test_value_is_text_with_a_currency_of_its_own_name() -> None:
    found = sent("Purchase", email="a@b.co", value=20.0, currency="EUR")
    assert (found["value"], found["price_currency"]) == ("20.00", "EUR")
    for fields in ({"value": 20.0}, {"currency": "EUR"}, {"value": -1.0, "currency": "EUR"}):
        assert not {"value", "price_currency"} & sent("Purchase", email="a@b.co", **fields).keys()


@pytest.mark.parametrize("event", ["Refund", "Chargeback"])
def test_money_that_goes_back_is_no_value(event: str) -> None:
    assert not {"value", "price_currency"} & sent(event, email="a@b.co", value=20.0, currency="EUR").keys()


def test_number_of_items_is_above_zero() -> None:
    assert sent(email="a@b.co", num_items=3)["number_items"] == 3
    assert "number_items" not in sent(email="a@b.co", num_items=0)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"content_ids": ["1"], "content_name": "Blankets", "content_category": "Pet supplies", "num_items": 1},
            [{"content_id": "1", "content_name": "Blankets", "content_type": "Pet supplies", "num_items": 1}],
        ),
        ({"content_id": "1"}, [{"content_id": "1"}]),
        ({"content_id": "9", "content_ids": ["1"]}, [{"content_id": "1"}]),
        (
            {"content_ids": ["1", "2"], "content_name": "Two", "content_type": "product", "num_items": 5},
            [{"content_id": "1", "content_type": "product"}, {"content_id": "2", "content_type": "product"}],
        ),
        ({"content_name": "Guide"}, [{"content_name": "Guide"}]),
        ({"num_items": 2}, None),
    ],
)
def test_contents(fields: dict[str, Any], expected: Any) -> None:
    assert sent(email="a@b.co", **fields).get("contents") == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://a.example/b?c=d&e=%20f#g", "https://a.example/b?c=d&e=%20f#g"),
        ("https://a.example/über uns", "https://a.example/%C3%BCber%20uns"),
        ("app://home", None),
        ("nonsense", None),
    ],
)
def test_the_page_is_url_encoded(url: str, expected: str | None) -> None:
    assert sent(email="a@b.co", page_url=url).get("event_source_url") == expected


def test_nothing_else_is_sent() -> None:
    found = sent(
        "Purchase",
        email="a@b.co",
        first_name="Ada",
        external_id="u1",
        plan="growth",
        properties={"secret": "x"},
        consent={"marketing": True},
        platform_params={"meta": {"x": 1}},
    )
    assert found.keys() == {"conversion_time", "event_id", "identifiers", "conversion_id"}


def test_what_the_sender_lays_over_it_is_hashed() -> None:
    params = {"description": "Renewal", "identifiers": [{"hashed_email": "A@B.co "}, {"hashed_phone_number": "x"}, {}]}
    found = sent(email="c@d.co", platform_params={"x": params})
    assert found["description"] == "Renewal"
    assert found["identifiers"] == [{"hashed_email": sha("a@b.co")}]


@pytest.mark.parametrize("identifiers", [None, "x", {"a": 1}, ["x"], [["x"]]])
def test_overrides_must_keep_the_list_of_identifiers(identifiers: Any) -> None:
    assert skipped(email="a@b.co", platform_params={"x": {"identifiers": identifiers}})[0] == "invalid"


@pytest.mark.parametrize(
    "fields",
    [
        {"content_name": "naïve ☕ \u202e", "content_ids": ["💾", "ı̇"], "user_agent": "😀"},
        {"page_url": "https://a.example/" + "é" * 2000, "content_name": "x" * 10_000},
        {"page_url": "https://a.example/\ud800", "num_items": 10**9},
        {"value": float("inf"), "currency": "USD"},
        {"value": float("nan"), "currency": "USD"},
        {"value": 1e300, "currency": "USD"},
        {"value": 0.0, "currency": "USD"},
        {"value": -0.0, "currency": "USD"},
        {"occurred_ms": 0},
        {"occurred_ms": -(10**18)},
        {"occurred_ms": 4_102_444_800_000},
        {"occurred_ms": 10**18},
        {"click_ids": {"twclid": "\r\nX-Other: 1"}},
    ],
)
@pytest.mark.parametrize("config", [TOKEN_ONLY, CONFIG["x"]], ids=["token", "oauth"])
def test_nasty_input(fields: dict[str, Any], config: dict[str, str]) -> None:
    request = only(PLATFORM.build([item("Purchase", PLATFORM, email="a@b.co", **fields)], config, NOW))
    (found,) = json.loads(request.body, parse_constant=lambda name: pytest.fail(name))["conversions"]
    assert "1970-01-01T00:00:00.000Z" <= found["conversion_time"] <= "2026-11-23T12:00:00.000Z"
    assert all(value != "" and value != [] for value in found.values())


# --- Answers --------------------------------------------------------------------------------------
def parse(status: int, answer: Any = b"", count: int = 1, **headers: str) -> list[Outcome]:
    raw = answer if isinstance(answer, bytes) else msgspec.json.encode(answer)
    sent_items = tuple(item(platform=PLATFORM, key=key) for key in range(count))
    request = Request(method="POST", url="u", headers={}, body=b"", items=sent_items)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    outcomes = PLATFORM.parse(request, Response(status=status, headers=named, body=raw))
    assert len(outcomes) == count
    assert len(set(map(repr, outcomes))) == 1, "X says the same of all"
    return outcomes


def errors(code: str, message: str = "Something.") -> dict[str, Any]:
    return {"errors": [{"code": code, "message": message, "parameter": "p"}], "request": {"params": {}}}


@pytest.mark.parametrize(
    ("answer", "count", "result"),
    [
        ({"data": {"conversions_processed": 3, "debug_id": "d"}}, 3, Result.OK),
        ({"data": {"conversions_processed": 2}}, 3, Result.SPLIT),
        ({"data": {"conversions_processed": 0}}, 1, Result.RETRY),
        ({"data": {}}, 3, Result.RETRY),
        ({"data": None}, 1, Result.RETRY),
        (b"<html>", 3, Result.RETRY),
        (b"", 1, Result.RETRY),
        (b'{"data":{"conversions_pro', 2, Result.RETRY),
    ],
)
def test_success_is_what_x_processed(answer: Any, count: int, result: Result) -> None:
    assert parse(200, answer, count)[0].result == result


NO_IDENTIFIER = errors("INVALID_PARAMETER", "At least one user identifier must be provided")
NO_HASH = errors("INVALID_PARAMETER", "Hashed_email is not a valid SHA-256 hash")
NO_SET = errors("INVALID_PARAMETER", "Event_id (o8z6j) is not a single event tag (SET)")


@pytest.mark.parametrize(
    ("status", "answer", "alone", "among_others", "reason", "advice"),
    [
        (400, NO_IDENTIFIER, Result.PERMANENT, Result.SPLIT, "no_identity", "Send an e-mail address"),
        (400, NO_HASH, Result.PERMANENT, Result.SPLIT, "invalid", "no SHA-256"),
        (400, NO_SET, Result.CONFIG, Result.SPLIT, "", "Enter the id of an event"),
        (400, errors("INVALID_PARAMETER", "bad time"), Result.PERMANENT, Result.SPLIT, "", "bad time"),
        (400, b"<html>", Result.PERMANENT, Result.SPLIT, "", "no reason given"),
        (401, errors("UNAUTHORIZED_ACCESS"), Result.CONFIG, Result.CONFIG, "", "Make a new access token"),
        (401, b"", Result.CONFIG, Result.CONFIG, "", "Make a new access token"),
        (403, errors("UNAUTHORIZED_CLIENT_APPLICATION"), Result.CONFIG, Result.CONFIG, "", "no access to the Ads API"),
        (403, errors("FORBIDDEN"), Result.CONFIG, Result.CONFIG, "", "AD_MANAGER"),
        (404, errors("WEB_EVENT_TAG_NOT_FOUND"), Result.CONFIG, Result.SPLIT, "", "Copy the event id again"),
        (404, errors("NOT_FOUND"), Result.CONFIG, Result.CONFIG, "", "Check the pixel id"),
        (404, errors("ROUTE_NOT_FOUND"), Result.CONFIG, Result.CONFIG, "", "API version"),
        (404, b"", Result.CONFIG, Result.CONFIG, "", "Check the pixel id"),
        (413, b"", Result.PERMANENT, Result.SPLIT, "", "413"),
        (408, b"", Result.RETRY, Result.RETRY, "", "408"),
        (423, b"", Result.RETRY, Result.RETRY, "", "locked"),
        (429, errors("TOO_MANY_REQUESTS"), Result.RETRY, Result.RETRY, "", "60,000 events"),
        (500, errors("INTERNAL_ERROR"), Result.RETRY, Result.RETRY, "", "X failed"),
        (503, errors("OVER_CAPACITY"), Result.RETRY, Result.RETRY, "", "over capacity"),
        (503, errors("SERVICE_UNAVAILABLE"), Result.RETRY, Result.RETRY, "", "unavailable"),
        (500, errors("UNAUTHORIZED_ACCESS"), Result.RETRY, Result.RETRY, "", "Something."),
    ],
)
def test_every_line_of_the_error_table(
    status: int, answer: Any, alone: Result, among_others: Result, reason: str, advice: str
) -> None:
    (one,) = parse(status, answer)
    assert (one.result, one.reason) == (alone, reason)
    assert advice in one.detail
    assert parse(status, answer, 3)[0].result == among_others


@pytest.mark.parametrize(
    ("headers", "after"),
    [
        ({"retry_after": "9", "x_rate_limit_reset": "1795435260", "date": "Mon, 23 Nov 2026 12:00:00 GMT"}, 9.0),
        ({"x_rate_limit_reset": "1795435260", "date": "Mon, 23 Nov 2026 12:00:00 GMT"}, 60.0),
        ({"x_account_rate_limit_reset": "1795435290", "date": "Mon, 23 Nov 2026 12:00:00 GMT"}, 90.0),
        ({"x_rate_limit_reset": "1", "date": "Mon, 23 Nov 2026 12:00:00 GMT"}, 0.0),
        ({"x_rate_limit_reset": "1795435260"}, None),
        ({"x_rate_limit_reset": "soon", "date": "Mon, 23 Nov 2026 12:00:00 GMT"}, None),
        ({"date": "nonsense", "x_rate_limit_reset": "1795435260"}, None),
        ({}, None),
    ],
)
def test_a_rate_limit_ends_when_x_says(headers: dict[str, str], after: float | None) -> None:
    assert parse(429, b"", 2, **headers)[0].after == after


def test_identity_in_messages_is_masked() -> None:
    (one,) = parse(400, errors("INVALID_PARAMETER", f"Hashed_email {sha('a@b.co')} of ada@example.com " + "x" * 1000))
    assert sha("a@b.co") not in one.detail
    assert "ada@example.com" not in one.detail
    assert len(one.detail) < 400
