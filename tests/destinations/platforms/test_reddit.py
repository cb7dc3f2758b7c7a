"""Reddit's own rules, beyond what the contract suite and the golden files say of every platform."""

from __future__ import annotations

import base64
import hashlib
import math
from typing import Any

import msgspec
import pytest

from destinations.platforms import base
from destinations.platforms.base import Outcome, Request, Response, Token
from destinations.platforms.reddit import Reddit
from tests.destinations.platforms.making import HOUR_MS, NOW, NOW_MS, body, item, only

REDDIT = Reddit()
TOKEN = {"pixel_id": "a2_examplepixel", "conversion_access_token": "example-token.that-opens_only.the-sandbox"}
OAUTH = {
    "pixel_id": "a2_examplepixel",
    "client_id": "example-client-id",
    "client_secret": "example-client-secret",
    "refresh_token": "example.refresh-token_of.an-app",
}
UUID = "1684189007728.7c73f2ae-a433-4d7b-9838-f467da98f48e"


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def sent(event: str = "SignUp", config: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    request = only(REDDIT.build([item(event, REDDIT, **fields)], TOKEN | (config or {}), NOW))
    (found,) = body(request)["data"]["events"]
    return found  # type: ignore[no-any-return]


def user(config: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    return sent(config=config, **fields)["user"]  # type: ignore[no-any-return]


def skipped(event: str = "SignUp", **fields: Any) -> tuple[str, str]:
    built = REDDIT.build([item(event, REDDIT, **fields)], TOKEN, NOW)
    assert built.requests == []
    return built.skipped[0].reason, built.skipped[0].detail


# --- Request ----------------------------------------------------------------------------------------
def test_address_headers_and_root() -> None:
    request = only(REDDIT.build([item(platform=REDDIT, email="a@b.co")], TOKEN, NOW))
    assert request.method == "POST"
    assert request.url == "https://ads-api.reddit.com/api/v3/pixels/a2_examplepixel/conversion_events"
    assert request.headers == {
        "Authorization": f"Bearer {TOKEN['conversion_access_token']}",
        "Content-Type": "application/json",
        "User-Agent": "TrackStack:conversions:v1 (by a2_examplepixel)",
    }
    assert body(request).keys() == {"data"}
    assert body(request)["data"].keys() == {"events"}


def test_with_oauth_the_fetched_token_is_sent() -> None:
    config = TOKEN | OAUTH | {base.ACCESS_TOKEN: "fetched"}
    request = only(REDDIT.build([item(platform=REDDIT, email="a@b.co")], config, NOW))
    assert request.headers["Authorization"] == "Bearer fetched"


def test_the_test_id_goes_with_test_events_only_and_these_travel_alone() -> None:
    config = TOKEN | {"test_id": "t2_test"}
    two = [item(platform=REDDIT, key=key, email="a@b.co") for key in (1, 2)]
    assert "test_id" not in body(only(REDDIT.build(two, config, NOW)))["data"]
    requests = REDDIT.build(two, config | {base.TEST: "1"}, NOW).requests
    assert [(body(request)["data"]["test_id"], len(request.items)) for request in requests] == [("t2_test", 1)] * 2


def test_another_version_is_another_address() -> None:
    request = only(REDDIT.build([item(email="a@b.co")], TOKEN | {"api_version": "v4"}, NOW))
    assert "/api/v4/pixels/" in request.url


def test_time_is_in_milliseconds_and_never_ahead_of_the_clock() -> None:
    assert sent(email="a@b.co", occurred_ms=NOW_MS - 1501)["event_at"] == NOW_MS - 1501
    assert sent(email="a@b.co", occurred_ms=NOW_MS + HOUR_MS)["event_at"] == NOW_MS
    assert sent(email="a@b.co", occurred_ms=4_102_444_800_000)["event_at"] == NOW_MS  # the year 2100


@pytest.mark.parametrize("occurred_ms", [0, NOW_MS - 7 * 24 * HOUR_MS - 1])
def test_what_is_older_than_seven_days_stays_out_of_the_batch(occurred_ms: int) -> None:
    assert skipped(email="a@b.co", occurred_ms=occurred_ms)[0] == "too_old"


@pytest.mark.parametrize(
    ("event", "native_name", "expected"),
    [
        ("SignUp", "SIGN_UP", {"tracking_type": "SIGN_UP"}),
        ("SignUp", "", {"tracking_type": "SIGN_UP"}),
        ("Churned", "CUSTOM:Churned", {"tracking_type": "CUSTOM", "custom_event_name": "Churned"}),
        ("Churned", "", {"tracking_type": "CUSTOM", "custom_event_name": "Churned"}),
        ("Churned", "Lost", {"tracking_type": "CUSTOM", "custom_event_name": "Lost"}),
        ("Churned", "CUSTOM", {"tracking_type": "CUSTOM", "custom_event_name": "Churned"}),
        ("Churned", "CUSTOM:", {"tracking_type": "CUSTOM", "custom_event_name": "Churned"}),
        ("MyOwnEvent", "MyOwnEvent", {"tracking_type": "CUSTOM", "custom_event_name": "MyOwnEvent"}),
        # names of standard events, which custom ones must not have
        ("SignUp", "SignUp", {"tracking_type": "SIGN_UP"}),
        ("Churned", "CUSTOM:Lead", {"tracking_type": "LEAD"}),
        ("Churned", "add_to_cart", {"tracking_type": "ADD_TO_CART"}),
        ("Search", "Search", {"tracking_type": "SEARCH"}),
    ],
)
def test_types(event: str, native_name: str, expected: dict[str, str]) -> None:
    assert sent(event, email="a@b.co", native_name=native_name)["type"] == expected


def test_a_custom_name_beyond_64_characters_is_refused_aloud() -> None:
    assert sent(email="a@b.co", native_name="CUSTOM:" + "é" * 64)["type"]["custom_event_name"] == "é" * 64
    assert skipped(email="a@b.co", native_name="CUSTOM:" + "é" * 65)[0] == "invalid"


def test_where_it_happened() -> None:
    page = "https://example.com/?a=1#b"
    assert sent(email="a@b.co", page_url=page)["event_source_url"] == page
    assert sent(email="a@b.co")["action_source"] == "WEBSITE"
    assert "event_source_url" not in sent(email="a@b.co", page_url="app://home")
    shop = sent(email="a@b.co", page_url=page, config={"action_source": "PHYSICAL_STORE"})
    assert shop["action_source"] == "PHYSICAL_STORE"
    assert "event_source_url" not in shop


# --- Identity ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("fields", "key", "expected"),
    [
        # the vendor's own example
        ({"email": "Al.ice$+Apple@Example.Com"}, "email",
         "ff8d9819fc0e12bf0d24892e45987e249a28dce836a85cad60e28eaaa8c6d976"),
        ({"email": "alice@example.com"}, "email", "ff8d9819fc0e12bf0d24892e45987e249a28dce836a85cad60e28eaaa8c6d976"),
        ({"email": sha("x").upper()}, "email", sha("x")),
        ({"phone": "(650) 555-1212", "country": "US"}, "phone_number",
         "1e231c66011e7a2d867a9cfae267a6aff103cf4913640b6e71a99850fc0ffbc8"),
        ({"external_id": " User_42 "}, "external_id", sha("User_42")),
        ({"anonymous_id": "v"}, "external_id", sha("v")),
        ({"anonymous_id": "v", "external_id": "u"}, "external_id", sha("u")),
        ({"click_ids": {"rdt_uuid": UUID}}, "uuid", UUID),
        ({"email": "a@b.co", "client_ip": "2001:db8::1"}, "ip_address", "2001:db8::1"),
        ({"email": "a@b.co", "user_agent": "Mozilla/5.0"}, "user_agent", "Mozilla/5.0"),
    ],
)  # fmt: skip
def test_match_keys(fields: dict[str, Any], key: str, expected: str) -> None:
    assert user(**fields)[key] == expected


def test_names_and_places_are_no_match_keys() -> None:
    assert user(email="a@b.co", first_name="Ada", last_name="B", city="London", zip="1").keys() == {"email"}


def test_the_click_id_as_it_came_else_from_the_address() -> None:
    page = "https://example.com/?a=1&rdt_cid=318%2D4#top"
    assert sent(page_url=page)["click_id"] == "318-4"
    assert sent(page_url=page, click_ids={"rdt_cid": "own"})["click_id"] == "own"
    assert sent(page_url=page)["user"] == {}
    assert "click_id" not in sent(email="a@b.co", page_url="https://example.com/?nordt_cid=x")


@pytest.mark.parametrize(
    "fields",
    [
        {"email": "a@b.co"}, {"phone": "+14155550123"}, {"external_id": "u"}, {"anonymous_id": "v"},
        {"click_ids": {"rdt_cid": "x"}}, {"click_ids": {"rdt_uuid": UUID}},
        {"client_ip": "203.0.113.7", "user_agent": "x",
         "platform_params": {"reddit": {"user": {"screen_dimensions": {"width": 1, "height": 1}}}}},
    ],
)  # fmt: skip
def test_any_of_these_is_enough(fields: dict[str, Any]) -> None:
    assert sent(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {}, {"client_ip": "203.0.113.7", "user_agent": "x"}, {"first_name": "Ada"}, {"email": "none"},
        {"phone": "12"}, {"click_ids": {"gclid": "x"}}, {"consent": {"marketing": False}},
    ],
)  # fmt: skip
def test_too_little_identity_is_refused_aloud(fields: dict[str, Any]) -> None:
    reason, detail = skipped(**fields)
    assert reason == "no_identity"
    assert "click id" in detail


# --- Metadata -----------------------------------------------------------------------------------------
MONEY: dict[str, Any] = {"value": 49.9, "currency": "USD"}


@pytest.mark.parametrize(
    ("event", "native_name", "fields", "expected"),
    [
        ("Purchase", "PURCHASE", MONEY, MONEY),
        ("Purchase", "PURCHASE", {"value": 0.0, "currency": "JPY"}, {"value": 0.0, "currency": "JPY"}),
        ("Purchase", "PURCHASE", {"value": 5.0}, {}),
        ("Purchase", "PURCHASE", {"currency": "USD"}, {}),
        ("Purchase", "PURCHASE", {"value": -5.0, "currency": "USD"}, {}),
        ("Purchase", "PURCHASE", {"value": math.inf, "currency": "USD"}, {}),
        ("Purchase", "PURCHASE", {"value": math.nan, "currency": "USD"}, {}),
        ("LeadCaptured", "LEAD", MONEY, MONEY),
        ("ContentView", "VIEW_CONTENT", MONEY, MONEY),
        ("StartTrial", "CUSTOM:StartTrial", MONEY, MONEY),
        ("PageView", "PAGE_VISIT", MONEY, {}),
        ("Search", "SEARCH", MONEY, {}),
        ("Refund", "CUSTOM:Refund", MONEY, {}),
        ("Chargeback", "CUSTOM:Chargeback", MONEY, {}),
        ("Purchase", "PURCHASE", {"num_items": 3}, {"item_count": 3}),
        ("StartTrial", "CUSTOM:StartTrial", {"num_items": 3}, {"item_count": 3}),
        ("SignUp", "SIGN_UP", {"num_items": 3}, {}),
        ("ContentView", "VIEW_CONTENT", {"num_items": 3}, {}),
    ],
)
def test_value_and_count(event: str, native_name: str, fields: dict[str, Any], expected: dict[str, Any]) -> None:
    metadata = sent(event, email="a@b.co", native_name=native_name, event_id="e/1", **fields)["metadata"]
    assert metadata == {"conversion_id": "e/1"} | expected


def test_products() -> None:
    one = sent("Purchase", email="a@b.co", content_id="sku", content_name="Shoe", content_category="c", num_items=2)
    assert one["metadata"]["products"] == [{"id": "sku", "name": "Shoe", "category": "c", "quantity": 2}]
    two = sent("Purchase", email="a@b.co", content_ids=["a", "b"], content_name="Shoe", content_category="c")
    assert two["metadata"]["products"] == [{"id": "a", "category": "c"}, {"id": "b", "category": "c"}]
    assert "products" not in sent("Purchase", email="a@b.co", content_name="Shoe")["metadata"]


@pytest.mark.parametrize(
    ("event", "category"),
    [("HighIntentPageView", "high_intent"), ("IntegrationViewed", "integration"), ("ApiDocsViewed", "api_docs")],
)
def test_the_category_tells_the_view_contents_apart(event: str, category: str) -> None:
    assert sent(event, email="a@b.co", content_id="x")["metadata"]["products"] == [{"id": "x", "category": category}]
    own = sent(event, email="a@b.co", content_id="x", content_category="mine")
    assert own["metadata"]["products"] == [{"id": "x", "category": "mine"}]


def test_free_properties_and_company_stay_at_home() -> None:
    event = sent(email="a@b.co", properties={"note": "secret"}, company_name="Acme", referrer="https://x.example/")
    assert event.keys() == {"event_at", "action_source", "type", "user", "metadata"}


# --- Consent and overrides ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("mode", "fields", "expected"),
    [
        ("", {}, None),
        ("", {"consent": {"marketing": True}}, None),
        ("", {"consent": {"marketing": False}}, {"modes": ["LDU"], "country": "US"}),
        ("off", {"consent": {"marketing": False}}, None),
        ("on", {"state": "California", "country": "usa"}, {"modes": ["LDU"], "country": "US", "region": "US-CA"}),
        ("on", {"state": "us-co"}, {"modes": ["LDU"], "country": "US", "region": "US-CO"}),
        ("on", {"state": "Bayern", "country": "DE"}, {"modes": ["LDU"], "country": "DE"}),
        ("on", {"state": "Nowhere"}, {"modes": ["LDU"], "country": "US"}),
    ],
)
def test_limited_data_use(mode: str, fields: dict[str, Any], expected: Any) -> None:
    assert user(config={"ldu_mode": mode}, email="a@b.co", **fields).get("data_processing_options") == expected


def test_overrides_come_last_and_are_hashed_where_reddit_takes_hashes() -> None:
    params = {
        "action_source": "OTHER",
        "user": {"email": "A.da+x@Example.com", "idfa": "EA7583CD", "phone_number": sha("x").upper()},
        "metadata": {"item_count": 2},
    }
    event = sent(email="a@b.co", platform_params={"reddit": params, "meta": {"x": 1}})
    assert event["action_source"] == "OTHER"
    assert event["user"] == {"email": sha("ada@example.com"), "idfa": sha("EA7583CD"), "phone_number": sha("x")}
    assert event["metadata"] == {"conversion_id": "evt-1", "item_count": 2}


@pytest.mark.parametrize("params", [{"user": "x"}, {"metadata": None}, {"type": []}])
def test_an_override_that_breaks_the_shape_is_refused_aloud(params: dict[str, Any]) -> None:
    assert skipped(email="a@b.co", platform_params={"reddit": params})[0] == "invalid"


NASTY = ["é😀ı̇", "x" * 10_000, "'\"\\\r\n\t", "<script>", "٣", "\u202e", "  ", "a" * 64, "-1", "https://[::1", "+@b.co"]


@pytest.mark.parametrize("text", NASTY, ids=lambda text: ascii(text)[:20])
def test_nasty_text_is_carried_or_refused(text: str) -> None:
    names = (
        "email phone state country external_id anonymous_id page_url content_id content_name content_category "
        "client_ip user_agent"
    )
    fields: dict[str, Any] = dict.fromkeys(names.split(), text)
    event = sent("Purchase", content_ids=[text, text], click_ids={"rdt_cid": text}, event_id=text, **fields)
    for key in ("email", "phone_number", "external_id"):
        if key in event["user"]:
            assert len(event["user"][key]) == 64
            assert event["user"][key] != sha("")


# --- Configuration and login ------------------------------------------------------------------------------
def test_a_token_or_all_of_oauth() -> None:
    assert REDDIT.problems(TOKEN) == {}
    assert REDDIT.problems(OAUTH) == {}
    assert REDDIT.problems(TOKEN | OAUTH) == {}
    for name in ("client_id", "client_secret", "refresh_token"):
        assert REDDIT.problems(OAUTH | {name: ""}).keys() == {"conversion_access_token"}


def test_the_login_asks_for_a_token_with_the_refresh_token() -> None:
    request = REDDIT.oauth.request(OAUTH, NOW)
    assert request is not None
    assert (request.method, request.url) == ("POST", "https://www.reddit.com/api/v1/access_token")
    pair = base64.b64encode(b"example-client-id:example-client-secret").decode()
    assert request.headers == {
        "Authorization": f"Basic {pair}",
        "Content-Type": "application/x-www-form-urlencoded",
        "User-Agent": "TrackStack:conversions:v1 (by a2_examplepixel)",
    }
    assert request.body == b"grant_type=refresh_token&refresh_token=example.refresh-token_of.an-app"
    assert request == REDDIT.oauth.request(OAUTH, NOW)
    assert REDDIT.oauth.request(TOKEN, NOW) is None


def logged_in(status: int, answer: Any, headers: dict[str, str] | None = None) -> Token | Outcome:
    raw = answer if isinstance(answer, bytes) else msgspec.json.encode(answer)
    return REDDIT.oauth.read(Response(status=status, headers=headers or {}, body=raw))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"access_token": "t", "token_type": "bearer", "expires_in": 86400, "scope": "adsconversions"},
         Token(access_token="t", expires_in=86400.0)),
        ({"access_token": "t", "expires_in": 3600.5, "refresh_token": "r"},
         Token(access_token="t", expires_in=3600.5, refresh_token="r")),
        ({"access_token": "t"}, Token(access_token="t")),
        ({"access_token": "t", "expires_in": True, "refresh_token": 5}, Token(access_token="t")),
        ({"access_token": "t", "expires_in": -1}, Token(access_token="t")),
    ],
)  # fmt: skip
def test_tokens(answer: Any, expected: Token) -> None:
    assert logged_in(200, answer) == expected


@pytest.mark.parametrize(
    ("status", "answer", "result", "word"),
    [
        (400, {"message": "Bad Request", "error": 400}, "config", "Authorize the app again"),
        (200, {"error": "invalid_grant"}, "config", "invalid_grant"),
        (401, {"message": "Unauthorized", "error": 401}, "config", "client ID and secret"),
        (403, b"<html>", "config", "Check the app"),
        (200, b"<html>", "retry", "asked again"),
        (200, {"access_token": ""}, "retry", "asked again"),
        (200, [], "retry", "asked again"),
        (429, b"", "retry", "asked again"),
        (500, b"", "retry", "asked again"),
    ],
)
def test_no_token(status: int, answer: Any, result: str, word: str) -> None:
    outcome = logged_in(status, answer, {"retry-after": "9"})
    assert isinstance(outcome, Outcome)
    assert outcome.result == result
    assert word in outcome.detail
    assert outcome.after == (9.0 if result == "retry" else None)


# --- Answers ------------------------------------------------------------------------------------------
def parsed(
    status: int, answer: Any, count: int = 3, headers: dict[str, str] | None = None, sent_with: str = ""
) -> list[Outcome]:
    items = tuple(item(key=key, event_id=f"e{key}") for key in range(count))
    request_headers = {"Authorization": sent_with} if sent_with else {}
    request = Request(method="POST", url="u", headers=request_headers, body=b"", items=items)
    raw = answer if isinstance(answer, bytes) else msgspec.json.encode(answer)
    return REDDIT.parse(request, Response(status=status, headers=headers or {}, body=raw))


def results(outcomes: list[Outcome]) -> list[str]:
    return [outcome.result.value for outcome in outcomes]


@pytest.mark.parametrize(
    "answer",
    [
        {"data": {"message": "Successfully processed 3 conversion events."}},
        {"message": "Successfully processed 3 conversion events."}, {"data": {}}, {}, {"error": None},
    ],
)  # fmt: skip
def test_success(answer: Any) -> None:
    assert parsed(200, answer) == [base.OK] * 3


@pytest.mark.parametrize("answer", [b"", b"<html>", b'{"data":{"mess', [], 5])
def test_a_200_without_a_result_is_tried_again(answer: Any) -> None:
    assert results(parsed(200, answer)) == ["retry"] * 3


@pytest.mark.parametrize(("count", "result"), [(3, "split"), (1, "permanent")])
def test_fewer_than_were_sent(count: int, result: str) -> None:
    answer = {"data": {"message": f"Successfully processed {count - 1} conversion events."}}
    assert results(parsed(200, answer, count)) == [result] * count


@pytest.mark.parametrize(
    ("error", "result"),
    [
        ({"code": 400, "message": "x"}, "split"), ({"code": 401, "message": "x"}, "config"),
        ({"code": 503}, "retry"), ({"message": "x"}, "split"), ("x", "split"), (429, "retry"),
    ],
)  # fmt: skip
def test_a_200_with_an_error_is_a_failure(error: Any, result: str) -> None:
    assert results(parsed(200, {"error": error})) == [result] * 3


def test_a_bad_event_is_not_named_so_the_batch_is_split() -> None:
    answer = {"error": {"code": 400, "message": 'JSON error "unknown field" on field "test_id"'}}
    assert results(parsed(400, answer)) == ["split"] * 3
    (outcome,) = parsed(400, answer, 1)
    assert outcome.result == "permanent"
    assert 'Correct the event. Reddit 400: JSON error "unknown field"' in outcome.detail


def test_an_event_refused_for_its_age() -> None:
    assert results(parsed(400, {"error": {"message": "event_at: is older than 7 days"}}, 1)) == ["too_old"]


@pytest.mark.parametrize("message", ["invalid pixel id", "Invalid pixel", "pixel a2_x does not exist"])
def test_a_wrong_pixel_is_no_fault_of_the_event(message: str) -> None:
    outcomes = parsed(400, {"error": {"code": 400, "message": message}})
    assert results(outcomes) == ["config"] * 3
    assert "Check the pixel ID" in outcomes[0].detail


@pytest.mark.parametrize(
    ("status", "word"),
    [(401, "new conversion access token"), (403, "owns this pixel"), (404, "pixel ID"), (405, "version"),
     (410, "version")],
)  # fmt: skip
@pytest.mark.parametrize(
    "answer", [{"error": {"message": "because"}}, {"message": "because"}, b"Authorization Required"]
)
def test_what_a_person_must_mend_holds_the_destination(status: int, word: str, answer: Any) -> None:
    outcomes = parsed(status, answer)
    assert results(outcomes) == ["config"] * 3
    assert word in outcomes[0].detail
    assert outcomes[0].reason == ""


def test_a_fresh_token_may_mend_a_401() -> None:
    assert parsed(401, b"", sent_with="Bearer x")[0].reason == base.TOKEN_EXPIRED
    assert parsed(403, b"", sent_with="Bearer x")[0].reason == ""


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
def test_what_may_pass_is_tried_again(status: int) -> None:
    outcomes = parsed(status, {"error": {"code": status, "message": "busy"}}, headers={"retry-after": "12"})
    assert results(outcomes) == ["retry"] * 3
    assert outcomes[0].after == 12.0


def test_details_carry_no_identity_and_end() -> None:
    (outcome,) = parsed(400, {"error": {"message": "ada@example.com " + "x" * 5000}}, 1)
    assert "ada@" not in outcome.detail
    assert len(outcome.detail) < 400
