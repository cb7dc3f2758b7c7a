"""Pinterest's own rules, beyond what the contract suite and the golden files say of every platform."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import msgspec
import pytest

from destinations.platforms import base, identity
from destinations.platforms._pinterest_data import number_text
from destinations.platforms.base import Outcome, Request, Response
from destinations.platforms.pinterest import Pinterest
from tests.destinations.platforms.making import CONFIG, HOUR_MS, NOW, NOW_MS, body, item, only

PINTEREST = Pinterest()


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def sent(event: str = "SignUp", config: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    fields.setdefault("email", "a@b.co")
    built = PINTEREST.build([item(event, PINTEREST, **fields)], CONFIG["pinterest"] | (config or {}), NOW)
    (found,) = body(only(built))["data"]
    return found  # type: ignore[no-any-return]


def skipped(event: str = "SignUp", **fields: Any) -> tuple[str, str]:
    built = PINTEREST.build([item(event, PINTEREST, **fields)], CONFIG["pinterest"], NOW)
    assert built.requests == []
    return built.skipped[0].reason, built.skipped[0].detail


# --- The request ------------------------------------------------------------------------------------------
def test_the_token_is_in_a_header_and_the_account_in_the_path() -> None:
    request = only(PINTEREST.build([item(platform=PINTEREST, email="a@b.co")], CONFIG["pinterest"], NOW))
    assert request.method == "POST"
    assert request.url == "https://api.pinterest.com/v5/ad_accounts/549755885175/events"
    assert request.headers == {
        "Authorization": f"Bearer {CONFIG['pinterest']['conversion_token']}",
        "Content-Type": "application/json",
    }


def test_a_test_event_is_checked_only() -> None:
    config = CONFIG["pinterest"] | {base.TEST: "1"}
    request = only(PINTEREST.build([item(platform=PINTEREST, email="a@b.co")], config, NOW))
    assert request.url.endswith("/events?test=true")


def test_time_is_in_seconds_and_never_ahead_of_the_clock() -> None:
    assert sent(occurred_ms=NOW_MS - 1501)["event_time"] == (NOW_MS - 1501) // 1000
    assert sent(occurred_ms=NOW_MS + HOUR_MS)["event_time"] == NOW_MS // 1000
    assert sent(occurred_ms=NOW_MS - 7 * 24 * HOUR_MS)["event_time"] == NOW_MS // 1000 - 7 * 86_400
    assert skipped(email="a@b.co", occurred_ms=NOW_MS - 7 * 24 * HOUR_MS - 1)[0] == "too_old"


@pytest.mark.parametrize(
    ("event", "native", "name", "content_name"),
    [
        ("Purchase", "checkout", "checkout", None),
        ("PlanUpgrade", "custom", "custom", "PlanUpgrade"),
        ("MyOwnEvent", "custom", "custom", "MyOwnEvent"),
        ("PlanUpgrade", "", "custom", "PlanUpgrade"),
        ("PlanUpgrade", "watch_video", "watch_video", None),
        ("PlanUpgrade", "upgrade_2", "upgrade_2", None),
    ],
)
def test_names(event: str, native: str, name: str, content_name: str | None) -> None:
    found = sent(event, native_name=native)
    assert found["event_name"] == name
    assert found.get("custom_data", {}).get("content_name") == content_name


def test_the_senders_content_name_stays() -> None:
    assert sent("PlanUpgrade", content_name="Growth")["custom_data"]["content_name"] == "Growth"


def test_settings_of_the_destination() -> None:
    found = sent(config={"action_source": "offline", "partner_name": "ss-acme", "limited_data_processing": "on"})
    assert (found["action_source"], found["partner_name"]) == ("offline", "ss-acme")
    assert found["custom_data"] == {"opt_out_type": "LDP"}
    found = sent()
    assert found["action_source"] == "web"
    assert not {"partner_name", "opt_out", "custom_data"} & found.keys()


@pytest.mark.parametrize(("consent", "opt_out"), [({"marketing": True}, False), ({"marketing": False}, True)])
def test_consent(consent: dict[str, bool], opt_out: bool) -> None:
    assert sent(consent=consent)["opt_out"] is opt_out


def test_unknown_consent_is_not_opted_out() -> None:
    assert "opt_out" not in sent(consent={"analytics": False})


@pytest.mark.parametrize("page_url", ["/pricing", "ftp://x.example/", "android-app://x", "https://"])
def test_only_web_addresses_are_sent(page_url: str) -> None:
    assert "event_source_url" not in sent(page_url=page_url)


# --- Identity ---------------------------------------------------------------------------------------------
def test_identity() -> None:
    user = sent(
        email=" Ada@Example.COM ",
        phone="(415) 555-2671",
        first_name=" Anne-Marie ",
        last_name="O'Byron",
        city="Menlo Park",
        state="California",
        zip="94025-1234",
        country="United States",
        external_id=" u 1 ",
        anonymous_id="a1",
        client_ip="2001:db8::1",
        user_agent="Mozilla/5.0",
    )["user_data"]
    assert user == {
        "em": [sha("ada@example.com")],
        "ph": ["758fbf68945f21c416814c539ab578876c8d98fb69e6da692def92cd52417fe0"],  # 14155552671
        "fn": [sha("anne-marie")],
        "ln": [sha("o'byron")],
        "ct": ["0007a3d64c01e23d5075203c5977c14e4f7e01a3fc570686fcc50b5e1dd42685"],  # menlopark, the vendor's example
        "st": ["6959097001d10501ac7d54c0bdb8db61420f658f2922cc26e46d536119a31126"],  # ca, the vendor's example
        "zp": [sha("94025")],
        "country": ["79adb2a2fce5c6ba215fe5f27f532d4e7edbac4b6a5e09e1ef3a08084a904621"],  # us
        "external_id": [sha("u 1"), sha("a1")],
        "client_ip_address": "2001:db8::1",
        "client_user_agent": "Mozilla/5.0",
    }


@pytest.mark.parametrize(
    ("sent_text", "country", "expected"),
    [
        ("94025-1234", "us", "94025"), ("m1 1ae", "gb", "11"), (" 75001 ", "fr", "75001"),
        ("940251234", "", "940251234"), ("-", "us", ""), ("٣٣", "", ""), (sha("1").upper(), "us", sha("1")),
    ],
)  # fmt: skip
def test_postal_code_digits(sent_text: str, country: str, expected: str) -> None:
    assert identity.postal_code_digits(sent_text, country) == expected


@pytest.mark.parametrize(
    ("sent_text", "expected"),
    [(" O'Brien-Smith ", "o'brien-smith"), ("Jose\u0301", "jos\u00e9"), ("Mary Ann", "mary ann")],
)
def test_name_lower(sent_text: str, expected: str) -> None:
    assert identity.name_lower(sent_text) == expected


def test_what_is_hashed_already_is_passed_in_lower_case() -> None:
    digest = sha("x")
    fields = dict.fromkeys(("email", "phone", "first_name", "last_name", "city", "state", "zip"), digest.upper())
    user = sent(**fields, country=digest.upper(), external_id=digest.upper())["user_data"]
    assert set(map(tuple, user.values())) == {(digest,)}
    assert len(user) == 9


@pytest.mark.parametrize(
    ("fields", "click_id"),
    [
        ({"click_ids": {"epik": "dj0"}, "page_url": "https://x.example/?epik=other"}, "dj0"),
        ({"page_url": "https://x.example/?a=1&epik=dj0yJnU9%3D#top"}, "dj0yJnU9="),
        ({"page_url": "https://x.example/?xepik=1"}, None),
        ({"page_url": "https://x.example/#epik=1"}, None),
    ],
)
def test_click_id(fields: dict[str, Any], click_id: str | None) -> None:
    assert sent(**fields)["user_data"].get("click_id") == click_id


@pytest.mark.parametrize(
    "fields",
    [
        {}, {"phone": "+14155552671"}, {"external_id": "u1"}, {"client_ip": "203.0.113.7"}, {"user_agent": "x"},
        {"email": "none"}, {"click_ids": {"epik": "x"}, "first_name": "Ada", "last_name": "Byron"},
    ],
)  # fmt: skip
def test_too_little_identity_is_refused_aloud(fields: dict[str, Any]) -> None:
    reason, detail = skipped(**fields)
    assert reason == "no_identity"
    assert "e-mail address" in detail


def test_ip_and_user_agent_are_enough() -> None:
    assert sent(email=None, client_ip="203.0.113.7", user_agent="x")["user_data"]["client_user_agent"] == "x"


# --- Custom data ------------------------------------------------------------------------------------------
def test_custom_data() -> None:
    custom = sent("Purchase", value=72.39, currency="USD", content_id="a", content_name="Red shirt",
                  content_category="shirts", num_items=2, order_id="o1", transaction_id="t1",
                  content_type="product")["custom_data"]  # fmt: skip
    assert custom == {
        "value": "72.39", "currency": "USD", "content_ids": ["a"], "content_name": "Red shirt",
        "content_category": "shirts", "num_items": 2, "order_id": "o1",
    }  # fmt: skip
    custom = sent("Purchase", content_id="a", content_ids=["b", "c"], transaction_id="t1", num_items=0)["custom_data"]
    assert custom == {"content_ids": ["b", "c"], "num_items": 0, "order_id": "t1"}


@pytest.mark.parametrize(
    ("value", "text"),
    [(50.0, "50"), (49.9, "49.9"), (0.0, "0"), (19.999, "19.999"), (1e-7, "0.0000001"), (1e15, "1000000000000000")],
)
def test_the_value_is_a_string(value: float, text: str) -> None:
    assert number_text(value) == text
    assert sent("Purchase", value=value, currency="USD")["custom_data"]["value"] == text


@pytest.mark.parametrize(
    "fields",
    [{"value": 5.0}, {"currency": "USD"}, *({"value": v, "currency": "USD"} for v in (-1.0, math.inf, math.nan))],
)
def test_value_and_currency_both_or_neither(fields: dict[str, Any]) -> None:
    assert "custom_data" not in sent("Purchase", **fields)


@pytest.mark.parametrize("event", ["Refund", "Chargeback"])
def test_money_back_is_no_value(event: str) -> None:
    assert sent(event, value=5.0, currency="USD")["custom_data"] == {"content_name": event}


# --- Overrides --------------------------------------------------------------------------------------------
def test_overrides_are_hashed_where_pinterest_hashes() -> None:
    params = {
        "action_source": "app_ios",
        "user_data": {"em": ["B@c.de", "x"], "ge": "Female", "db": "1997-12-26", "hashed_maids": "AB-1",
                      "partner_id": "p", "external_id": 7},
        "custom_data": {"value": 12, "predicted_ltv": 600.5, "content_brand": "Acme"},
    }  # fmt: skip
    found = sent("Purchase", value=1.0, currency="USD", platform_params={"pinterest": params})
    assert found["action_source"] == "app_ios"
    assert found["user_data"] == {
        "em": [sha("b@c.de")], "ge": [sha("f")], "db": [sha("19971226")], "hashed_maids": [sha("AB-1")],
        "partner_id": "p", "external_id": [sha("7")],
    }  # fmt: skip
    assert found["custom_data"] == {
        "value": "12", "currency": "USD", "predicted_ltv": "600.5", "content_brand": "Acme",
    }  # fmt: skip


def test_an_override_may_give_the_identity_and_take_it_away() -> None:
    params = {"pinterest": {"user_data": {"hashed_maids": ["AB-1"]}}}
    assert sent(email=None, platform_params=params)["user_data"] == {"hashed_maids": [sha("AB-1")]}
    assert skipped(email="a@b.co", platform_params={"pinterest": {"user_data": {"em": None}}})[0] == "no_identity"


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 10**400, True])
def test_an_override_that_is_no_amount(value: Any) -> None:
    params = {"pinterest": {"custom_data": {"value": value}}}
    custom = sent("Purchase", value=1.0, currency="USD", platform_params=params)["custom_data"]
    assert custom.get("value") in (None, True)


@pytest.mark.parametrize("params", [{"user_data": "x"}, {"custom_data": [1]}])
def test_an_override_that_breaks_the_shape_is_refused_aloud(params: dict[str, Any]) -> None:
    assert skipped(email="a@b.co", platform_params={"pinterest": params})[0] == "invalid"


# --- Nasty input ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("text", ["é😀x" * 3_400, "\x00", "\u202e", "<script>", "  ", "ı̇", "'\"\\", "٣"])
def test_nasty_texts_are_carried(text: str) -> None:
    names = ("phone", "first_name", "last_name", "city", "state", "zip", "country", "external_id", "content_name",
             "content_category", "order_id", "page_url", "user_agent")  # fmt: skip
    user = sent(**dict.fromkeys(names, text))["user_data"]
    assert all(len(digest) == 64 for key, value in user.items() if isinstance(value, list) for digest in value)
    assert user["em"] == [sha("a@b.co")]


@pytest.mark.parametrize("occurred_ms", [0, NOW_MS - 30 * 24 * HOUR_MS])
def test_1970_is_too_old(occurred_ms: int) -> None:
    assert skipped(email="a@b.co", occurred_ms=occurred_ms)[0] == "too_old"


def test_2100_is_now() -> None:
    assert sent(occurred_ms=4_102_444_800_000)["event_time"] == NOW_MS // 1000


# --- Answers ----------------------------------------------------------------------------------------------
def parsed(status: int, answer: Any, count: int = 2, headers: dict[str, str] | None = None) -> list[Outcome]:
    items = tuple(item(key=key, event_id=f"e{key}") for key in range(count))
    request = Request(method="POST", url="u", headers={}, body=b"", items=items)
    raw = answer if isinstance(answer, bytes) else msgspec.json.encode(answer)
    return PINTEREST.parse(request, Response(status=status, headers=headers or {}, body=raw))


def results(outcomes: list[Outcome]) -> list[str]:
    return [outcome.result.value for outcome in outcomes]


def row(error: str = "", status: str = "failed") -> dict[str, Any]:
    return {"status": status, "error_message": error or None, "warning_message": "'ph' is missing"}


FINE = row(status="processed")


def summary(*rows: Any) -> dict[str, Any]:
    return {"num_events_received": len(rows), "num_events_processed": rows.count(FINE), "events": list(rows)}


def test_each_row_of_a_200_is_read() -> None:
    rows = summary(FINE, row("em is not a hash"), row("event_time is too old"), row("Internal error"), None, {})
    outcomes = parsed(200, rows, 6)
    assert results(outcomes) == ["ok", "permanent", "too_old", "retry", "permanent", "permanent"]
    assert outcomes[2].reason == "too_old"
    assert "em is not a hash" in outcomes[1].detail


def test_a_200_with_counts_only() -> None:
    assert results(parsed(200, {"num_events_received": 2, "num_events_processed": 2})) == ["ok", "ok"]
    assert results(parsed(200, {"num_events_received": 2, "num_events_processed": 1})) == ["retry", "retry"]


@pytest.mark.parametrize("answer", [b"", b"<html>", b'{"num_events', [], {"events": [FINE]}, {"events": "x"}])
def test_a_200_without_a_status_for_every_event_is_a_failure(answer: Any) -> None:
    assert results(parsed(200, answer)) == ["retry", "retry"]


def test_the_rows_of_a_422() -> None:
    answer = {"code": 1, "message": "Not all events were processed", "details": summary(FINE, row("bad"))}
    assert results(parsed(422, answer)) == ["ok", "permanent"]


@pytest.mark.parametrize("details", [{}, [], {"events": [FINE]}, {"events": None}])
def test_a_422_without_rows_splits(details: Any) -> None:
    assert results(parsed(422, {"code": 1, "message": "no", "details": details})) == ["split", "split"]


@pytest.mark.parametrize(
    ("status", "code", "result", "after"),
    [
        (400, 4196, "split", None), (401, 2, "config", None), (403, 29, "config", None), (403, 3, "config", None),
        (404, 50, "config", None), (413, None, "split", None), (429, 8, "retry", 7.0), (503, 4197, "retry", 7.0),
        (500, 2, "retry", 7.0), (400, 29, "config", None), (418, None, "split", None),
    ],
)  # fmt: skip
def test_the_error_table(status: int, code: int | None, result: str, after: float | None) -> None:
    outcomes = parsed(status, {"code": code, "message": "Because."}, headers={"retry-after": "7"})
    assert results(outcomes) == [result, result]
    assert outcomes[0].after == after
    assert "Because." in outcomes[0].detail


@pytest.mark.parametrize("code", [None, "2", [], 99])
def test_a_single_refused_event_is_final(code: Any) -> None:
    assert results(parsed(400, {"code": code, "message": None}, 1)) == ["permanent"]


def test_details_say_what_to_do_and_carry_no_identity() -> None:
    assert "generate a new one" in parsed(401, {"code": 2, "message": "Authentication failed."})[0].detail
    (outcome,) = parsed(200, summary(row("em ada@example.com is wrong")), 1)
    assert "ada@" not in outcome.detail
