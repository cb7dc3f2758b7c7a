"""LinkedIn's own rules, beyond what the contract suite and the golden files say of every platform."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import pytest

from destinations.platforms.base import ACCESS_TOKEN, TOKEN_EXPIRED, Outcome, Request, Response, Result
from destinations.platforms.linkedin import LinkedIn
from tests.destinations.platforms.making import CONFIG, HOUR_MS, NOW, NOW_MS, body, item, only

LINKEDIN = LinkedIn()


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def sent(event: str = "SignUp", version: str = "", names: str = "", **fields: Any) -> dict[str, Any]:
    config = CONFIG["linkedin"] | {"api_version": version, "names": names}
    (found,) = body(only(LINKEDIN.build([item(event, LINKEDIN, **fields)], config, NOW)))["elements"]
    return found  # type: ignore[no-any-return]


def skipped(**fields: Any) -> tuple[str, str]:
    built = LINKEDIN.build([item("SignUp", LINKEDIN, **fields)], CONFIG["linkedin"], NOW)
    assert built.requests == []
    return built.skipped[0].reason, built.skipped[0].detail


def test_headers_name_version_and_method() -> None:
    request = only(LINKEDIN.build([item(platform=LINKEDIN, email="a@b.co")], CONFIG["linkedin"], NOW))
    assert request.url == "https://api.linkedin.com/rest/conversionEvents"
    assert request.headers == {
        "Authorization": f"Bearer {CONFIG['linkedin']['access_token']}",
        "LinkedIn-Version": "202609",
        "X-Restli-Protocol-Version": "2.0.0",
        "X-RestLi-Method": "BATCH_CREATE",
        "Content-Type": "application/json",
    }


@pytest.mark.parametrize("native_id", ["12345678", "urn:lla:llaPartnerConversion:12345678"])
def test_the_rule_is_sent_as_urn(native_id: str) -> None:
    assert sent(email="a@b.co", native_id=native_id)["conversion"] == "urn:lla:llaPartnerConversion:12345678"


def test_an_event_without_a_rule_is_refused_aloud() -> None:
    assert skipped(email="a@b.co", native_id="")[0] == "missing_native_id"


def test_time_is_in_milliseconds_and_never_ahead_of_the_clock() -> None:
    assert sent(email="a@b.co", occurred_ms=NOW_MS - 1501)["conversionHappenedAt"] == NOW_MS - 1501
    assert sent(email="a@b.co", occurred_ms=NOW_MS + HOUR_MS)["conversionHappenedAt"] == NOW_MS
    assert skipped(email="a@b.co", occurred_ms=NOW_MS - 90 * 24 * HOUR_MS - 1)[0] == "too_old"


@pytest.mark.parametrize(
    ("value", "amount"),
    [(50.0, "50.00"), (0.0, "0.00"), (19.999, "19.999"), (0.0000001, "0.0000001"), (1e15, "1000000000000000.00")],
)
def test_the_amount_is_a_decimal_string(value: float, amount: str) -> None:
    expected = {"currencyCode": "USD", "amount": amount}
    assert sent("Purchase", email="a@b.co", value=value, currency="USD")["conversionValue"] == expected


@pytest.mark.parametrize("fields", [{"value": 5.0}, {"currency": "USD"}, {"value": -1.0, "currency": "USD"}])
def test_value_and_currency_both_or_neither(fields: dict[str, Any]) -> None:
    assert "conversionValue" not in sent("Purchase", email="a@b.co", **fields)


def test_user_ids() -> None:
    user = sent(email=" Ada@Exam ple.com", click_ids={"li_fat_id": "abc-DEF"}, client_ip="203.0.113.7")["user"]
    assert user["userIds"] == [
        {"idType": "SHA256_EMAIL", "idValue": sha("ada@example.com")},
        {"idType": "LINKEDIN_FIRST_PARTY_ADS_TRACKING_UUID", "idValue": "abc-DEF"},
        {"idType": "SHA256_IP_ADDRESS", "idValue": sha("203.0.113.7")},
    ]


def test_li_fat_id_is_read_from_the_landing_address() -> None:
    (user_id,) = sent(page_url="https://example.com/?li_fat_id=abc-DEF&x=1")["user"]["userIds"]
    assert user_id == {"idType": "LINKEDIN_FIRST_PARTY_ADS_TRACKING_UUID", "idValue": "abc-DEF"}


@pytest.mark.parametrize(
    ("version", "client_ip"), [("202604", "203.0.113.7"), ("202609", "2001:db8::1"), ("202609", "x")]
)
def test_only_ipv4_and_only_where_the_version_takes_it(version: str, client_ip: str) -> None:
    assert len(sent(version=version, email="a@b.co", client_ip=client_ip)["user"]["userIds"]) == 1


def test_an_address_is_plain_before_the_version_that_hashes_it() -> None:
    user = sent(version="202606", client_ip="203.0.113.7")["user"]
    assert user["userIds"] == [{"idType": "PLAINTEXT_IP_ADDRESS", "idValue": "203.0.113.7"}]


def test_names_are_plain_as_the_vendor_shows_them_and_come_in_pairs() -> None:
    user = sent(first_name="Ada", last_name="Byron", company_name="Acme", country="Germany")["user"]
    info = {"firstName": "Ada", "lastName": "Byron", "companyName": "Acme", "countryCode": "DE"}
    assert user == {"userIds": [], "userInfo": info}
    assert "userInfo" not in sent(email="a@b.co", first_name="Ada", country="DE")["user"]
    assert "userInfo" not in sent(names="off", email="a@b.co", first_name="Ada", last_name="Byron")["user"]


def test_names_can_be_hashed() -> None:
    user = sent(names="hashed", first_name="Ada Mary", last_name="O'Byron", company_name="Acme", country="Germany")[
        "user"
    ]
    assert user == {
        "userIds": [],
        "userInfo": {
            "hashedFirstName": sha("adamary"),
            "hashedLastName": sha("obyron"),
            "companyName": "Acme",
            "countryCode": "DE",
        },
    }


def test_a_version_that_takes_no_hashed_names_gets_none() -> None:
    fields = {"email": "a@b.co", "first_name": "Ada", "last_name": "Byron"}
    assert "userInfo" not in sent(version="202608", names="hashed", **fields)["user"]
    assert "userInfo" not in sent(version="202608", email="a@b.co", first_name=sha("ada"), last_name="Byron")["user"]


@pytest.mark.parametrize(
    "fields",
    [
        {"external_id": "u1"}, {"lead_id": "urn:li:leadGenFormResponse:1-2"},
        {"first_name": "Ada", "last_name": "Byron"}, {"click_ids": {"li_fat_id": "x"}},
    ],
)  # fmt: skip
def test_any_of_these_is_enough(fields: dict[str, Any]) -> None:
    assert sent(**fields)["user"]["userIds"] is not None


@pytest.mark.parametrize(
    "fields",
    [
        {}, {"phone": "+14155552671"}, {"client_ip": "2001:db8::1", "user_agent": "x"}, {"first_name": "Ada"},
        {"email": "none"}, {"lead_id": "00Q"}, {"anonymous_id": "v"},
    ],
)  # fmt: skip
def test_too_little_identity_is_refused_aloud(fields: dict[str, Any]) -> None:
    assert skipped(**fields)[0] == "no_identity"


def test_overrides_are_hashed_where_linkedin_hashes() -> None:
    params = {
        "user": {
            "userIds": [
                {"idType": "SHA256_EMAIL", "idValue": "Ada@Example.com"},
                {"idType": "ACXIOM_ID", "idValue": "a"},
            ],
            "userInfo": {"firstName": "Ada", "title": "Countess"},
        }
    }
    user = sent(names="hashed", last_name="Byron", first_name="A", platform_params={"linkedin": params})["user"]
    assert user["userIds"][0]["idValue"] == sha("ada@example.com")
    assert user["userIds"][1]["idValue"] == "a"
    # The plain name that the override names beats the one that was built.
    assert user["userInfo"] == {"hashedFirstName": sha("ada"), "hashedLastName": sha("byron"), "title": "Countess"}


def test_an_override_with_one_name_only_is_left_out() -> None:
    params = {"user": {"userInfo": {"title": "CTO"}}}
    assert "userInfo" not in sent(email="a@b.co", platform_params={"linkedin": params})["user"]


def test_an_override_that_breaks_the_shape_is_refused_aloud() -> None:
    assert skipped(email="a@b.co", platform_params={"linkedin": {"user": "x"}})[0] == "invalid"
    assert skipped(email="a@b.co", platform_params={"linkedin": {"user": {"userIds": "x"}}})[0] == "invalid"


# --- Answers ------------------------------------------------------------------------------------------
def parsed(status: int, answer: Any, count: int = 4, headers: dict[str, str] | None = None) -> list[Outcome]:
    items = tuple(item(key=key, event_id=f"e{key}") for key in range(count))
    request = Request(method="POST", url="u", headers={}, body=b"", items=items)
    raw = answer if isinstance(answer, bytes) else msgspec.json.encode(answer)
    return LINKEDIN.parse(request, Response(status=status, headers=headers or {}, body=raw))


def results(outcomes: list[Outcome]) -> list[str]:
    return [outcome.result.value for outcome in outcomes]


def test_a_status_for_every_element() -> None:
    answer = {"elements": [{"status": 201}, {"status": 422, "message": "bad"}, {"status": 500}, {"status": 404}]}
    assert results(parsed(200, answer)) == ["ok", "permanent", "retry", "config"]


@pytest.mark.parametrize("answer", [b"", b"<html>", {"elements": [{"status": 201}]}, {"elements": "x"}, []])
def test_a_200_without_a_status_for_every_element_is_a_failure(answer: Any) -> None:
    assert results(parsed(200, answer)) == ["retry"] * 4


def test_a_created_without_body_is_success() -> None:
    assert results(parsed(201, b"", 1)) == ["ok"]


def test_400_names_the_bad_ones_and_the_others_go_again_at_once() -> None:
    outcomes = parsed(400, {"message": "Conversion rules at indices [0, 3] (0-indexed) are not CONVERSIONS_API"})
    assert results(outcomes) == ["permanent", "retry", "retry", "permanent"]
    assert outcomes[1].after == 0.0


def test_422_names_each_bad_one_with_its_errors() -> None:
    message = (
        "Index: 1, ERROR :: /user/userInfo/firstName :: field is required\nERROR :: /eventId :: too long\n"
        "Index: 2, ERROR :: /conversionHappenedAt :: older than 90 days\n"
    )
    outcomes = parsed(422, {"message": message, "status": 422})
    assert results(outcomes) == ["retry", "permanent", "permanent", "retry"]
    assert "/eventId :: too long" in outcomes[1].detail
    assert "90 days" in outcomes[2].detail
    assert "90 days" not in outcomes[1].detail


@pytest.mark.parametrize("message", ["something else", "indices [9] (0-indexed)", "indices [] "])
def test_a_refusal_without_a_usable_index_splits(message: str) -> None:
    assert results(parsed(422, {"message": message})) == ["split"] * 4
    assert results(parsed(422, {"message": message}, 1)) == ["permanent"]


@pytest.mark.parametrize("status", [401, 403, 404, 426])
def test_what_a_person_must_mend_holds_the_destination(status: int) -> None:
    assert results(parsed(status, {"message": "no"})) == ["config"] * 4


@pytest.mark.parametrize("status", [408, 409, 423, 425, 429, 500, 503])
def test_what_may_pass_is_tried_again(status: int) -> None:
    outcomes = parsed(status, b"busy", headers={"retry-after": "12"})
    assert results(outcomes) == ["retry"] * 4
    assert outcomes[0].after == 12.0


def test_details_carry_no_identity() -> None:
    outcomes = parsed(422, {"message": "Index: 0, ERROR :: /user :: ada@example.com is wrong"}, 1)
    assert "ada@" not in outcomes[0].detail


APP = {"client_id": "86abcdefgh1234", "client_secret": "a-made-up-secret", "refresh_token": "AQ" + "r" * 40}


def test_an_app_gets_its_access_token_with_a_refresh_token() -> None:
    assert LINKEDIN.oauth is not None
    request = LINKEDIN.oauth.request(APP, NOW)
    assert request is not None
    assert request.url == "https://www.linkedin.com/oauth/v2/accessToken"
    assert dict(parse_qsl(request.body.decode())) == {"grant_type": "refresh_token"} | APP
    assert LINKEDIN.oauth.request(APP | {"access_token": "a" * 60}, NOW) is None, "a lasting token needs none"
    built = LINKEDIN.build([item("SignUp", LINKEDIN, email="ada@example.com")], APP | {ACCESS_TOKEN: "fresh"}, NOW)
    assert built.requests[0].headers["Authorization"] == "Bearer fresh"


def test_what_an_app_needs_is_said() -> None:
    assert LINKEDIN.problems(APP) == {}
    assert LINKEDIN.problems({}).keys() == {"access_token"}
    assert LINKEDIN.problems({"refresh_token": APP["refresh_token"]}).keys() == {"client_id", "client_secret"}


def test_an_ended_token_is_fetched_anew_before_the_destination_is_held() -> None:
    one = LINKEDIN.build([item("SignUp", LINKEDIN, email="ada@example.com")], CONFIG["linkedin"], NOW).requests[0]
    (outcome,) = LINKEDIN.parse(one, Response(status=401, body=b'{"message":"expired"}'))
    assert (outcome.result, outcome.reason) == (Result.CONFIG, TOKEN_EXPIRED)
