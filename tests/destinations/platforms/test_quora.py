"""Quora's own rules, beyond what the contract suite and the golden files say of every platform."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import msgspec
import pytest

from destinations.platforms.base import Outcome, Request, Response
from destinations.platforms.quora import Quora
from tests.destinations.platforms.making import CONFIG, HOUR_MS, NOW, NOW_MS, body, item, only

QUORA = Quora()
DIGEST = hashlib.sha256(b"x").hexdigest()


def sent(event: str = "SignUp", config: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    fields.setdefault("click_ids", {"qclid": "c1"})
    built = QUORA.build([item(event, QUORA, **fields)], CONFIG["quora"] | (config or {}), NOW)
    (found,) = body(only(built))["data"]
    return found  # type: ignore[no-any-return]


def skipped(event: str = "SignUp", config: dict[str, str] | None = None, **fields: Any) -> tuple[str, str]:
    built = QUORA.build([item(event, QUORA, **fields)], CONFIG["quora"] | (config or {}), NOW)
    assert built.requests == []
    return built.skipped[0].reason, built.skipped[0].detail


# --- The request ------------------------------------------------------------------------------------------
def test_the_batch_names_the_account_once_and_as_a_number() -> None:
    many = [item(platform=QUORA, key=key, email="a@b.co") for key in range(2)]
    request = only(QUORA.build(many, CONFIG["quora"], NOW))
    assert request.url == "https://api.quora.com/ads/v0/conversions"
    assert request.headers == {
        "Authorization": f"Bearer {CONFIG['quora']['access_token']}",
        "Content-Type": "application/json",
    }
    found = body(request)
    assert found.keys() == {"account_id", "data"}
    assert found["account_id"] == 5551234567
    assert [set(one) for one in found["data"]] == [{"conversion", "user"}] * 2


@pytest.mark.parametrize(("account", "number"), [("00123", 123), ("12345678901234567890", 12345678901234567890)])
def test_every_account_id_that_fits_is_a_number(account: str, number: int) -> None:
    assert "account_id" not in QUORA.problems({"account_id": account})
    request = only(QUORA.build([item(platform=QUORA, email="a@b.co")], CONFIG["quora"] | {"account_id": account}, NOW))
    assert body(request)["account_id"] == number


@pytest.mark.parametrize("account", ["", "x", '1,"a":2', "٣٣٣٣٣", "0"])
def test_an_account_id_that_is_none_breaks_nothing(account: str) -> None:
    request = only(QUORA.build([item(platform=QUORA, email="a@b.co")], CONFIG["quora"] | {"account_id": account}, NOW))
    assert body(request)["account_id"] == 0
    assert "account_id" in QUORA.problems(CONFIG["quora"] | {"account_id": account})


def test_time_is_in_microseconds_and_never_ahead_of_the_clock() -> None:
    assert sent(occurred_ms=NOW_MS - 1501)["conversion"]["timestamp"] == (NOW_MS - 1501) * 1000
    assert len(str(sent()["conversion"]["timestamp"])) == 16
    assert sent(occurred_ms=NOW_MS + HOUR_MS)["conversion"]["timestamp"] == NOW_MS * 1000
    assert sent(occurred_ms=4_102_444_800_000)["conversion"]["timestamp"] == NOW_MS * 1000
    assert skipped(email="a@b.co", occurred_ms=NOW_MS - 90 * 24 * HOUR_MS - 1)[0] == "too_old"
    assert skipped(email="a@b.co", occurred_ms=0)[0] == "too_old"


@pytest.mark.parametrize(
    ("event", "native", "name"),
    [
        ("SignUp", "CompleteRegistration", "CompleteRegistration"), ("SignUp", "", "CompleteRegistration"),
        ("MyOwnEvent", "Generic", "Generic"), ("MyOwnEvent", "", "Generic"), ("SignUp", "Search", "Search"),
    ],
)  # fmt: skip
def test_names(event: str, native: str, name: str) -> None:
    assert sent(event, native_name=native)["conversion"]["event_name"] == name


def test_own_events_are_generic() -> None:
    assert QUORA.takes_custom_events
    assert QUORA.native_name("MyOwnEvent") == "Generic"


# --- Value ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("fields", "value"),
    [
        ({"value": 49.9, "currency": "USD"}, 49.9),
        ({"value": 0.0, "currency": "USD"}, 0.0),
        ({"value": 214_748.36, "currency": "USD"}, 214_748.36),
        ({"value": 49.9, "currency": "EUR"}, None),
        ({"value": 49.9}, None),
        ({"currency": "USD"}, None),
        ({"value": -1.0, "currency": "USD"}, None),
        ({"value": math.inf, "currency": "USD"}, None),
        ({"value": math.nan, "currency": "USD"}, None),
    ],
)
def test_the_value_is_in_the_accounts_currency(fields: dict[str, Any], value: float | None) -> None:
    assert sent("Purchase", **fields)["conversion"].get("value") == value


def test_another_account_currency() -> None:
    config = {"account_currency": "EUR"}
    assert sent("Purchase", config, value=5.0, currency="EUR")["conversion"]["value"] == 5.0
    assert "value" not in sent("Purchase", config, value=5.0, currency="USD")["conversion"]


@pytest.mark.parametrize("event", ["Refund", "Chargeback"])
def test_money_back_is_no_value(event: str) -> None:
    assert "value" not in sent(event, value=5.0, currency="USD")["conversion"]


def test_more_than_quora_takes_is_refused_aloud() -> None:
    fields = {"email": "a@b.co", "value": 214_748.37, "currency": "USD"}
    assert skipped("Purchase", **fields) == ("invalid", "Quora takes values up to 214,748.36 only.")


# --- Identity ---------------------------------------------------------------------------------------------
def test_identity_is_plain() -> None:
    found = sent(
        email=" Ada@Example.COM ",
        phone="(415) 555-2671",
        first_name="Ada",
        last_name="O'Byron",
        city="New York",
        state="California",
        zip="10001-1234",
        country="United States",
        company_name="Acme Inc.",
        external_id="u1",
        client_ip="2001:db8::1",
        user_agent="Mozilla/5.0",
        referrer="https://www.quora.com/",
        page_url="https://x.example/",
    )
    assert found["user"] == {
        "email": "Ada@Example.COM",
        "phone_number": "+14155552671",
        "name": "Ada O'Byron",
        "ip": "2001:db8::1",
        "country": "US",
        "region": "California",
        "city": "New York",
        "postal_code": "10001-1234",
        "company_name": "Acme Inc.",
    }
    assert found["device"] == {"user_agent": "Mozilla/5.0", "referer": "https://www.quora.com/"}


@pytest.mark.parametrize(
    ("fields", "user"),
    [
        ({"first_name": "Ada"}, {"name": "Ada"}),
        ({"last_name": "Byron", "first_name": DIGEST}, {"name": "Byron"}),
        ({"phone": "ext. 12"}, {"phone_number": "ext. 12"}),
        ({"country": "Atlantis"}, {}),
        ({"email": "none"}, {}),
        (dict.fromkeys(("email", "phone", "first_name", "last_name", "city", "state", "zip", "country"), DIGEST), {}),
        ({"email": DIGEST.upper(), "company_name": "  "}, {}),
    ],
)
def test_what_is_hashed_or_unusable_is_left_out(fields: dict[str, Any], user: dict[str, str]) -> None:
    assert sent(**fields)["user"] == user


def test_nothing_of_the_person_is_sent_when_switched_off() -> None:
    found = sent(
        config={"user_data": "off"}, email="a@b.co", phone="+14155552671", user_agent="x", client_ip="192.0.2.1"
    )
    assert found["user"] == {}
    assert found["device"] == {"user_agent": "x"}


@pytest.mark.parametrize(
    ("fields", "click_id"),
    [
        ({"click_ids": {"qclid": "a|1|0"}, "page_url": "https://x.example/?qclid=b"}, "a|1|0"),
        ({"click_ids": {}, "page_url": "https://x.example/thanks?a=1&qclid=click-1%7C123%7C0#x"}, "click-1|123|0"),
        ({"click_ids": {}, "page_url": "https://x.example/thanks?qclid=click-1|123|0"}, "click-1|123|0"),
        ({"click_ids": {}, "page_url": "https://x.example/?xqclid=b"}, None),
    ],
)
def test_click_id(fields: dict[str, Any], click_id: str | None) -> None:
    assert sent(email="a@b.co", **fields)["conversion"].get("click_id") == click_id


@pytest.mark.parametrize("fields", [{"email": "a@b.co"}, {"phone": "+14155552671"}, {"client_ip": "192.0.2.1"}])
def test_any_of_these_is_enough(fields: dict[str, Any]) -> None:
    assert "click_id" not in sent(click_ids={}, **fields)["conversion"]
    assert skipped(config={"user_data": "off"}, **fields)[0] == "no_identity"
    assert skipped(config={"clicks_only": "on"}, **fields) == (
        "no_identity",
        "The event carries no Quora click id (qclid).",
    )


@pytest.mark.parametrize(
    "fields", [{}, {"email": "none"}, {"user_agent": "x"}, {"first_name": "Ada"}, {"email": DIGEST}]
)
def test_too_little_identity_is_refused_aloud(fields: dict[str, Any]) -> None:
    assert skipped(**fields)[0] == "no_identity"


# --- Overrides --------------------------------------------------------------------------------------------
def test_overrides() -> None:
    params = {"conversion": {"value": 7}, "user": {"job_title": "CTO", "date_of_birth": "2000-01-01"},
              "device": {"language": "en-US"}}  # fmt: skip
    found = sent("Purchase", value=1.0, currency="USD", email="a@b.co", platform_params={"quora": params})
    assert found["conversion"]["value"] == 7
    assert found["user"] == {"email": "a@b.co", "job_title": "CTO", "date_of_birth": "2000-01-01"}
    assert found["device"] == {"language": "en-US"}


def test_an_override_may_give_the_click_id_and_too_large_a_value() -> None:
    params = {"quora": {"conversion": {"click_id": "c2"}}}
    assert sent(click_ids={}, platform_params=params)["conversion"]["click_id"] == "c2"
    params = {"quora": {"conversion": {"value": 1e9}}}
    assert skipped(email="a@b.co", platform_params=params)[0] == "invalid"


@pytest.mark.parametrize("params", [{"user": "x"}, {"conversion": [1]}, {"device": 1}, {"user": None}])
def test_an_override_that_breaks_the_shape_is_refused_aloud(params: dict[str, Any]) -> None:
    assert skipped(email="a@b.co", platform_params={"quora": params})[0] == "invalid"


# --- Nasty input ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("text", ["é😀x" * 3_400, "\x00", "\u202e", "<script>", "ı̇", "'\"\\", "٣"])
def test_nasty_texts_are_carried(text: str) -> None:
    names = ("phone", "first_name", "last_name", "city", "state", "zip", "company_name", "user_agent", "referrer")
    found = sent(**dict.fromkeys(names, text), email=text, country=text, page_url=text)
    assert found["user"]["city"] == text
    assert found["user"]["name"] == f"{text} {text}"
    assert found["device"] == {"user_agent": text, "referer": text}
    assert not {"email", "country"} & found["user"].keys()


def test_white_space_alone_is_nothing() -> None:
    assert sent(**dict.fromkeys(("email", "phone", "first_name", "last_name", "city", "state"), "  "))["user"] == {}


# --- Answers ----------------------------------------------------------------------------------------------
def parsed(status: int, answer: Any, count: int = 3, headers: dict[str, str] | None = None) -> list[Outcome]:
    items = tuple(item(key=key, event_id=f"e{key}") for key in range(count))
    request = Request(method="POST", url="u", headers={}, body=b"", items=items)
    raw = answer if isinstance(answer, bytes) else msgspec.json.encode(answer)
    return QUORA.parse(request, Response(status=status, headers=headers or {}, body=raw))


def results(outcomes: list[Outcome]) -> list[str]:
    return [outcome.result.value for outcome in outcomes]


def summary(*rows: Any, received: int = 3, errored: int | None = None) -> dict[str, Any]:
    failed = sum(isinstance(row, dict) and row.get("status") == "ERROR" for row in rows)
    return {
        "events_received": received,
        "events_errored": failed if errored is None else errored,
        "events": list(rows),
    }


def error(index: Any, code: str | None = "VALUE_OUT_OF_RANGE", message: str | None = "no") -> dict[str, Any]:
    return {"status": "ERROR", "index": index, "error_code": code, "error_message": message}


def test_events_are_refused_by_index_and_those_not_named_were_taken() -> None:
    outcomes = parsed(200, summary({"status": "OK", "index": 0}, error(2)))
    assert results(outcomes) == ["ok", "ok", "permanent"]
    assert "214,748.36" in outcomes[2].detail
    assert results(parsed(200, summary())) == ["ok"] * 3


def test_an_error_that_passes_is_tried_again() -> None:
    outcomes = parsed(
        200, summary(error(0, "INTERNAL_ERROR"), error(1, None, "Temporarily unavailable"), error(2, "X"))
    )
    assert results(outcomes) == ["retry", "retry", "permanent"]


@pytest.mark.parametrize("answer", [b"", b"<html>", b'{"events_rec', [], {}, {"events": "x"}])
def test_a_200_that_is_no_answer_is_a_failure(answer: Any) -> None:
    assert results(parsed(200, answer)) == ["retry"] * 3


@pytest.mark.parametrize("rows", [(), (error(9),), (error("0"),), (error(None),), (None, 1)])
def test_errors_that_are_counted_and_not_named_split(rows: Any) -> None:
    assert results(parsed(200, summary(*rows, errored=1))) == ["split"] * 3
    assert results(parsed(200, summary(*rows, errored=1), 1)) == ["retry"]


@pytest.mark.parametrize(
    ("status", "answer", "result", "after"),
    [
        (400, {"error_message": "bad"}, "split", None), (400, {"message": "account_id does not match"}, "config", None),
        (401, b"", "config", None), (403, b"", "config", None), (404, b"<html>", "config", None),
        (413, b"", "split", None), (422, {"error": ["x"]}, "split", None), (423, b"", "retry", 7.0),
        (429, b"", "retry", 7.0), (500, b"", "retry", 7.0), (503, b"<html>", "retry", 7.0),
    ],
)  # fmt: skip
def test_the_error_table(status: int, answer: Any, result: str, after: float | None) -> None:
    outcomes = parsed(status, answer, headers={"retry-after": "7"})
    assert results(outcomes) == [result] * 3
    assert outcomes[0].after == after


def test_too_many_events_wait_for_the_next_minute() -> None:
    assert [outcome.after for outcome in parsed(429, b"")] == [60.0] * 3
    assert parsed(503, b"")[0].after is None


def test_a_single_refused_event_is_final() -> None:
    assert results(parsed(400, {"error_message": "bad"}, 1)) == ["permanent"]


def test_details_say_what_to_do_and_carry_no_identity() -> None:
    assert "generate a new one" in parsed(401, b"")[0].detail
    (outcome,) = parsed(200, summary(error(0, "INVALID_EMAIL", "ada@example.com is wrong")), 1)
    assert "ada@" not in outcome.detail
