"""HubSpot's own rules, beyond what the contract suite and the golden files say of every platform."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest

from destinations.platforms import base
from destinations.platforms.base import Outcome, Request, Response
from destinations.platforms.hubspot import HubSpot
from tests.destinations.platforms.making import CONFIG, HOUR_MS, NOW, NOW_MS, body, item, only

HUBSPOT = HubSpot()
HASH = "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"
UTK = "0123456789abcdef0123456789abcdef"
PLAIN = {"portal_id": "12345678", "access_token": "pat-na1-00000000-0000-4000-8000-000000000000"}


def both(event: str = "SignUp", config: dict[str, str] | None = None, **fields: Any) -> tuple[Any, Any]:
    """The contact (None: none is written) and the event."""
    request = only(HUBSPOT.build([item(event, HUBSPOT, **fields)], PLAIN | (config or {}), NOW))
    contact = body(request.before[0])["inputs"][0] if request.before else None
    return contact, body(request)["inputs"][0]


def sent(event: str = "SignUp", **fields: Any) -> Any:
    return both(event, **fields)[1]


def skipped(**fields: Any) -> tuple[str, str]:
    built = HUBSPOT.build([item("SignUp", HUBSPOT, **fields)], PLAIN, NOW)
    assert built.requests == []
    return built.skipped[0].reason, built.skipped[0].detail


# --- Requests -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("version", "events", "contacts"),
    [
        ("", "/events/v3/send/batch", "/crm/v3/objects/contacts/batch/upsert"),
        ("v3", "/events/v3/send/batch", "/crm/v3/objects/contacts/batch/upsert"),
        ("2026-09", "/events/2026-09/send/batch", "/crm/objects/2026-09/contacts/batch/upsert"),
    ],
)
def test_the_contact_goes_before_its_event(version: str, events: str, contacts: str) -> None:
    one = item("SignUp", HUBSPOT, email="a@b.co")
    request = only(HUBSPOT.build([one], PLAIN | {"api_version": version}, NOW))
    (before,) = request.before
    assert (before.url, request.url) == (f"https://api.hubapi.com{contacts}", f"https://api.hubapi.com{events}")
    headers = {"Authorization": f"Bearer {PLAIN['access_token']}", "Content-Type": "application/json"}
    assert before.headers == request.headers == headers
    assert before.items == request.items == (one,)


def test_several_upserts_go_before_one_batch_and_carry_the_items_of_their_contacts() -> None:
    items = [item("SignUp", HUBSPOT, key=n, event_id=f"e{n}", email=f"u{n % 250}@b.co") for n in range(500)]
    request = only(HUBSPOT.build(items, PLAIN, NOW))
    assert [len(body(one)["inputs"]) for one in request.before] == [100, 100, 50]
    assert [[one.key for one in before.items] for before in request.before] == [
        [n for n in range(500) if low <= n % 250 < low + 100] for low in (0, 100, 200)
    ]


def test_one_input_per_address_with_all_that_is_known() -> None:
    items = [
        item("SignUp", HUBSPOT, key=0, email="a@b.co", first_name="Ada", city="London"),
        item("SignUp", HUBSPOT, key=1, crm_id="77"),
        item("SignUp", HUBSPOT, key=2, email=" A@B.co", city="Paris"),
    ]
    (before,) = only(HUBSPOT.build(items, PLAIN, NOW)).before
    assert body(before)["inputs"] == [
        {
            "id": "a@b.co",
            "idProperty": "email",
            "objectWriteTraceId": "0",
            "properties": {"email": "a@b.co", "firstname": "Ada", "city": "Paris"},
        }
    ]
    assert [one.key for one in before.items] == [0, 2]


def test_without_contacts_or_addresses_only_the_events_are_sent() -> None:
    assert both(email="a@b.co", config={"upsert_contacts": "off"})[0] is None
    assert both(crm_id="1")[0] is None


# --- Events -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("event", "native_name", "config", "expected"),
    [
        ("HubSpotConnected", None, {}, "pe12345678_hubspot_connected"),
        ("SSOLogin", "", {}, "pe12345678_sso_login"),
        ("SignUp", None, {"event_prefix": "pe99_"}, "pe99_sign_up"),
        ("MyOwnEvent", None, {}, "pe12345678_my_own_event"),
        ("SignUp", "pe777_Signed_up", {}, "pe777_Signed_up"),
        ("SignUp", "signed-up", {}, "pe12345678_signed-up"),
        ("SignUp", "Signed Up!", {}, "pe12345678_signed_up_"),
    ],
)
def test_names_are_fully_qualified(event: str, native_name: str | None, config: dict[str, str], expected: str) -> None:
    own = {} if native_name is None else {"native_name": native_name}
    assert both(event, config, email="a@b.co", **own)[1]["eventName"] == expected


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (NOW_MS - 1501, "2026-11-23T11:59:58.499Z"),
        (NOW_MS + HOUR_MS, "2026-11-23T12:00:00.000Z"),
        (4_102_444_800_000, "2026-11-23T12:00:00.000Z"),
        (0, "1970-01-01T00:00:00.000Z"),
    ],
)
def test_times_are_iso_texts_and_never_ahead_of_the_clock(ms: int, text: str) -> None:
    assert sent(email="a@b.co", occurred_ms=ms)["occurredAt"] == text


def test_the_uuid_is_the_event_id() -> None:
    assert sent(email="a@b.co", event_id="ä/1")["uuid"] == "ä/1"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"email": " Ada@Example.COM "}, {"email": "ada@example.com"}),
        ({"crm_id": "608051"}, {"objectId": "608051"}),
        ({"properties": {"hubspotutk": UTK}}, {"utk": UTK}),
        ({"email": "a@b.co", "crm_id": "0065e0", "properties": {"hubspotutk": "x"}}, {"email": "a@b.co"}),
        ({"email": HASH, "crm_id": "1"}, {"objectId": "1"}),
        ({"email": "a@b.co", "crm_id": "1"}, {"email": "a@b.co", "objectId": "1"}),
        ({"platform_params": {"hubspot": {"utk": UTK}}}, {"utk": UTK}),
        ({"platform_params": {"hubspot": {"objectId": 608051}}}, {"objectId": "608051"}),
        ({"platform_params": {"hubspot": {"email": "B@b.co"}}}, {"email": "b@b.co"}),
    ],
)
def test_identity(fields: dict[str, Any], expected: dict[str, str]) -> None:
    event = sent(**fields)
    assert {name: event[name] for name in ("email", "objectId", "utk") if name in event} == expected


def test_an_id_of_another_crm_is_none_of_hubspots() -> None:
    event = both(email="a@b.co", crm_id="1", config={"crm_ids": "other"})[1]
    assert "objectId" not in event


@pytest.mark.parametrize(
    "fields",
    [
        {}, {"email": HASH}, {"email": HASH.upper()}, {"email": "nobody"}, {"email": "a@localhost"},
        {"phone": "+14155552671", "external_id": "u1", "anonymous_id": "a1"}, {"crm_id": "abc"},
        {"email": "a@b.co", "platform_params": {"hubspot": {"email": None}}},
        {"email": "a@b.co", "platform_params": {"hubspot": {"email": 7}}},
    ],
)  # fmt: skip
def test_too_little_identity_is_refused_aloud(fields: dict[str, Any]) -> None:
    reason, detail = skipped(**fields)
    assert reason == "no_identity"
    assert "e-mail" in detail


# --- Event properties ---------------------------------------------------------------------------------
def test_default_properties() -> None:
    fields = {
        "page_url": "https://example.com/?utm_source=a&utm_medium=b&utm_campaign=c%20d&utm_term=e&utm_content=f#utm_x=1",
        "page_title": "Pricing", "referrer": "https://google.com/", "user_agent": "Mozilla/5.0", "city": "Köln",
        "state": "NW", "country": "DE", "value": 49.0, "currency": "EUR", "order_id": "not listed", "plan": "neither",
    }  # fmt: skip
    assert sent("Purchase", email="a@b.co", **fields)["properties"] == {
        "hs_page_url": fields["page_url"],
        "hs_page_title": "Pricing",
        "hs_referrer": "https://google.com/",
        "hs_user_agent": "Mozilla/5.0",
        "hs_city": "Köln",
        "hs_region": "NW",
        "hs_country": "DE",
        "hs_utm_source": "a",
        "hs_utm_medium": "b",
        "hs_utm_campaign": "c d",
        "hs_utm_term": "e",
        "hs_utm_content": "f",
        "value": "49",
        "currency": "EUR",
    }


def listed(names: str, **fields: Any) -> dict[str, str]:
    properties: dict[str, str] = both("Purchase", {"event_properties": names}, email="a@b.co", **fields)[1][
        "properties"
    ]
    return properties


def test_only_listed_properties_are_sent() -> None:
    fields = {
        "plan": "growth",
        "feature": "x",
        "properties": {"seats": 5, "form": "a"},
        "page_url": "https://x.example",
    }
    assert listed("plan, seats\nnot_there", **fields) == {"plan": "growth", "seats": "5"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (49.9, "49.9"), (0.0, "0"), (-5.0, "-5"), (1e15, "1000000000000000"), (1e-7, "0.0000001"), (0.1, "0.1"),
        (math.inf, None), (-math.inf, None), (math.nan, None), (None, None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("event", ["Purchase", "Refund"])
def test_amounts_are_texts_and_come_with_their_currency(event: str, value: float | None, text: str | None) -> None:
    found = sent(event, email="a@b.co", value=value, currency="USD")["properties"]
    assert found == ({"value": text, "currency": "USD"} if text is not None else {})
    assert sent(event, email="a@b.co", value=value)["properties"] == {}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x", "x"), (5, "5"), (2.50, "2.5"), (True, "true"), (False, "false"), (["a", 1, None], '["a",1,null]'),
        (["a", 1, True], "a;1;true"), ({"a": [1]}, '{"a":[1]}'), (None, None), ("", None), ([], None),
        (1e309, None), ("😀" * 5000, "😀" * 128), ("x" * 10_000, "x" * 256), ("é" * 10_000, "é" * 256),
        ("😀" * 128, "😀" * 128), ("Ünï\r\n\t\"'<b>", "Ünï\r\n\t\"'<b>"),
    ],
    ids=lambda value: repr(value)[:20],
)  # fmt: skip
def test_every_property_is_a_text_within_the_limits(value: Any, text: str | None) -> None:
    assert listed("mine", properties={"mine": value}) == ({} if text is None else {"mine": text})
    overridden = sent(email="a@b.co", platform_params={"hubspot": {"properties": {"mine": value}}})["properties"]
    assert overridden == ({} if text is None else {"mine": text})


def test_addresses_of_pages_may_be_longer() -> None:
    url = "https://example.com/" + "a" * 3000
    found = sent(email="a@b.co", page_url=url, referrer=url, page_title=url)["properties"]
    assert {name: len(text) for name, text in found.items()} == {
        "hs_page_url": 1024, "hs_referrer": 1024, "hs_page_title": 256,
    }  # fmt: skip


def test_no_more_than_fifty_properties() -> None:
    names = [f"p{number}" for number in range(60)]
    given = dict.fromkeys(names, "x")
    assert list(listed(" ".join(names), properties=given)) == names[:50]
    assert len(sent(email="a@b.co", platform_params={"hubspot": {"properties": given}})["properties"]) == 50


def test_hashed_places_stay_at_home() -> None:
    contact, event = both(email="a@b.co", city=HASH, first_name=HASH, phone=HASH, zip="10001")
    assert contact["properties"] == {"email": "a@b.co", "zip": "10001"}
    assert event["properties"] == {}


# --- Contacts -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("fields", "phone"),
    [
        ({"phone": "(650) 555-1212", "country": "United States"}, "+16505551212"),
        ({"phone": "+49 30 901820"}, "+4930901820"),
        ({"phone": "555-1212"}, "555-1212"),
        ({"phone": "ask Ada 😀"}, "ask Ada 😀"),
    ],
)
def test_phone_numbers(fields: dict[str, Any], phone: str) -> None:
    assert both(email="a@b.co", **fields)[0]["properties"]["phone"] == phone


@pytest.mark.parametrize(
    ("consent", "is_written"), [({"marketing": True}, True), ({"marketing": False}, False), ({}, False)]
)
def test_the_legal_basis_goes_with_consent(consent: dict[str, bool], is_written: bool) -> None:
    config = {"legal_basis": "Freely given consent from contact"}
    properties = both(email="a@b.co", consent=consent, config=config)[0]["properties"]
    assert ("hs_legal_basis" in properties) == is_written
    assert "hs_legal_basis" not in both(email="a@b.co", consent=consent)[0]["properties"]


def test_overrides_reach_event_and_contact() -> None:
    params = {
        "properties": {"seats": 5},
        "eventName": "pe1_other",
        "contact": {"lifecyclestage": "lead", "company": None, "email": "x"},
    }
    contact, event = both(email="a@b.co", company_name="Acme", platform_params={"hubspot": params, "meta": {"x": 1}})
    assert contact["properties"] == {"email": "a@b.co", "company": "", "lifecyclestage": "lead"}
    assert (event["eventName"], event["properties"]) == ("pe1_other", {"seats": "5"})
    assert event.keys() == {"eventName", "email", "occurredAt", "uuid", "properties"}


@pytest.mark.parametrize("params", [{"properties": "x"}, {"properties": None}, {"eventName": 1}])
def test_an_override_that_breaks_the_shape_is_refused_aloud(params: dict[str, Any]) -> None:
    assert skipped(email="a@b.co", platform_params={"hubspot": params})[0] == "invalid"


@pytest.mark.parametrize(
    ("settings", "portal"),
    [({"portal_id": "123"}, "123"), ({"portal_id": "123", "event_prefix": "pe55_"}, "55"), ({}, "")],
)
def test_names_are_shown_as_they_are_sent(settings: dict[str, str], portal: str) -> None:
    assert HUBSPOT.fills(settings) == {"portal_id": portal}


# --- Configuration and tokens -------------------------------------------------------------------------
APP = {"client_id": "client-1", "client_secret": "secret-1", "refresh_token": "refresh-1"}


@pytest.mark.parametrize(
    ("config", "wrong"),
    [
        (PLAIN, set()),
        ({"portal_id": "12345678"} | APP, set()),
        ({"portal_id": "12345678"}, {"access_token"}),
        ({"portal_id": "12345678", "client_id": "client-1"}, {"client_secret", "refresh_token"}),
        (PLAIN | {"portal_id": "x"}, {"portal_id"}),
        (PLAIN | {"event_properties": "Seats"}, {"event_properties"}),
        (PLAIN | {"event_properties": "1st"}, {"event_properties"}),
        (PLAIN | {"event_properties": "seats;plan"}, {"event_properties"}),
        (PLAIN | {"event_properties": "seats, plan\norder_id "}, set()),
        (PLAIN | {"api_version": "2026-09"}, set()),
        (PLAIN | {"api_version": "v4"}, {"api_version"}),
    ],
)
def test_a_token_or_an_app(config: dict[str, str], wrong: set[str]) -> None:
    found = HUBSPOT.problems(config)
    assert found.keys() == wrong
    assert all(sentence.endswith(".") or "does not look right" in sentence for sentence in found.values())


def test_a_private_app_needs_no_token_endpoint() -> None:
    assert HUBSPOT.oauth.request(PLAIN, NOW) is None
    assert HUBSPOT.oauth.request(PLAIN | APP, NOW) is None
    assert HUBSPOT.oauth.request({}, NOW) is None


def test_the_request_for_a_token() -> None:
    request = HUBSPOT.oauth.request(APP | {"refresh_token": "a+b/c=&"}, NOW)
    assert request is not None
    assert (request.method, request.url) == ("POST", "https://api.hubapi.com/oauth/v1/token")
    assert request.headers == {"Content-Type": "application/x-www-form-urlencoded"}
    assert sorted(request.body.split(b"&")) == [
        b"client_id=client-1", b"client_secret=secret-1", b"grant_type=refresh_token", b"refresh_token=a%2Bb%2Fc%3D%26",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "answer", "result"),
    [
        (400, {"status": "BAD_REFRESH_TOKEN", "message": "missing or invalid refresh token"}, "config"),
        (401, b"<html>", "config"), (429, {}, "retry"), (503, b"", "retry"), (200, b"<html>", "retry"),
        (200, {"access_token": ""}, "retry"), (200, {"access_token": 1}, "retry"), (302, b"", "retry"),
    ],
)  # fmt: skip
def test_refused_tokens(status: int, answer: Any, result: str) -> None:
    raw = answer if isinstance(answer, bytes) else msgspec.json.encode(answer)
    outcome = HUBSPOT.oauth.read(Response(status=status, body=raw))
    assert isinstance(outcome, Outcome)
    assert outcome.result == result
    assert outcome.detail


def test_the_token_is_read() -> None:
    answer = {"token_type": "bearer", "access_token": "CN", "refresh_token": "r", "expires_in": 1800}
    token = HUBSPOT.oauth.read(Response(status=200, body=msgspec.json.encode(answer)))
    assert token == base.Token(access_token="CN", expires_in=1800.0, refresh_token="r")
    bare = HUBSPOT.oauth.read(Response(status=200, body=b'{"access_token":"CN","expires_in":"soon","refresh_token":1}'))
    assert bare == base.Token(access_token="CN")


# --- Answers ------------------------------------------------------------------------------------------
def request_of(count: int, is_upsert: bool = False, token: str = "") -> Request:
    items = [item("SignUp", HUBSPOT, key=n, event_id=f"e{n}", email=f"u{n // 2}@b.co") for n in range(count)]
    config = PLAIN | ({"access_token": token} if token else {})
    request = only(HUBSPOT.build(items, config, NOW))
    return request.before[0] if is_upsert else request


def parsed(status: int, answer: Any, count: int = 4, is_upsert: bool = False, **headers: str) -> list[Outcome]:
    raw = answer if isinstance(answer, bytes) else msgspec.json.encode(answer)
    response = Response(status=status, headers={k.replace("_", "-"): v for k, v in headers.items()}, body=raw)
    return HUBSPOT.parse(request_of(count, is_upsert), response)


def results(outcomes: list[Outcome]) -> list[str]:
    return [outcome.result.value for outcome in outcomes]


def error(category: str, message: str = "no", **more: Any) -> dict[str, Any]:
    return {"status": "error", "message": message, "correlationId": "c", "category": category} | more


def test_a_204_takes_all_events() -> None:
    assert parsed(204, b"") == [base.OK] * 4


@pytest.mark.parametrize("answer", [b"<html>maintenance</html>", b"[1", {"errors": [{"message": "x"}]}])
def test_a_200_that_confirms_nothing_is_tried_again(answer: Any) -> None:
    assert results(parsed(200, answer)) == ["retry"] * 4


@pytest.mark.parametrize("answer", [b"", b"<html>", {}, {"results": []}, {"status": "COMPLETE", "errors": []}])
def test_an_upsert_without_results_is_tried_again(answer: Any) -> None:
    assert results(parsed(200, answer, is_upsert=True)) == ["retry"] * 4


def test_an_upsert_that_worked() -> None:
    assert parsed(200, {"status": "COMPLETE", "results": [{"id": "1"}, {"id": "2"}]}, is_upsert=True) == [base.OK] * 4


@pytest.mark.parametrize("status", [200, 207])
def test_a_refused_contact_takes_its_events_with_it(status: int) -> None:
    bad = error("VALIDATION_ERROR", "Email address x@b.co is invalid", context={"objectWriteTraceId": ["1"]})
    outcomes = parsed(status, {"results": [{"id": "1"}], "numErrors": 1, "errors": [bad]}, is_upsert=True)
    assert results(outcomes) == ["ok", "ok", "permanent", "permanent"]
    assert "x@b.co" not in outcomes[2].detail
    assert "contact" in outcomes[2].detail


def test_a_contact_that_may_pass_is_tried_again() -> None:
    bad = error("CONFLICT", context={"objectWriteTraceId": ["0"]})
    assert results(parsed(207, {"errors": [bad]}, is_upsert=True)) == ["retry", "retry", "ok", "ok"]


@pytest.mark.parametrize("context", [None, {}, {"objectWriteTraceId": ["77"]}, {"objectWriteTraceId": [None]}, "x"])
def test_an_error_that_names_no_contact_splits(context: Any) -> None:
    answer = {"errors": [error("VALIDATION_ERROR", context=context)]}
    assert results(parsed(207, answer, is_upsert=True)) == ["split"] * 4
    assert results(parsed(207, answer, 1, is_upsert=True)) == ["permanent"]


@pytest.mark.parametrize("answer", [{"errors": ["x", None]}, {"errors": [{"category": ["a"], "message": {"x": 1}}]}])
def test_odd_errors(answer: Any) -> None:
    assert results(parsed(207, answer, is_upsert=True)) == ["split"] * 4


@pytest.mark.parametrize(
    ("status", "category", "many", "alone", "advice"),
    [
        (401, "EXPIRED_AUTHENTICATION", "config", "config", "connect HubSpot again"),
        (401, "INVALID_AUTHENTICATION", "config", "config", "copy it"),
        (401, "", "config", "config", "enter a new one"),
        (402, "", "config", "config", "Enterprise"),
        (403, "MISSING_SCOPES", "config", "config", "analytics.behavioral_events.send"),
        (403, "", "config", "config", "scopes"),
        (404, "", "config", "config", "API version"),
        (404, "OBJECT_NOT_FOUND", "split", "permanent", "crmId"),
        (409, "CONFLICT", "retry", "retry", "somebody else"),
        (423, "", "retry", "retry", "locked"),
        (477, "", "retry", "retry", "moved"),
        (400, "VALIDATION_ERROR", "split", "permanent", "Custom events"),
        (413, "", "split", "permanent", ""),
        (415, "", "split", "permanent", ""),
        (302, "", "retry", "retry", ""),
        (524, "", "retry", "retry", ""),
    ],
)
def test_refusals(status: int, category: str, many: str, alone: str, advice: str) -> None:
    assert results(parsed(status, error(category, "words of theirs"))) == [many] * 4
    (outcome,) = parsed(status, error(category, "words of theirs"), 1)
    assert outcome.result == alone
    assert "words of theirs" in outcome.detail
    assert advice in outcome.detail or alone == "retry"


@pytest.mark.parametrize(
    ("status", "answer", "headers", "after"),
    [
        (429, error("RATE_LIMITS", policyName="TEN_SECONDLY_ROLLING"), {}, 10.0),
        (429, error("RATE_LIMITS", policyName="SECONDLY"), {}, 1.0),
        (429, error("RATE_LIMITS", policyName="DAILY"), {}, 3600.0),
        (429, error("RATE_LIMITS", policyName="DAILY"), {"retry_after": "7"}, 7.0),
        (429, error("RATE_LIMITS", policyName=["x"]), {}, None),
        (429, b"<html>", {}, None),
        (423, {}, {}, 2.0),
        (477, {}, {"retry_after": "600"}, 600.0),
        (503, b"", {}, None),
    ],
)
def test_how_long_to_wait(status: int, answer: Any, headers: dict[str, str], after: float | None) -> None:
    for outcome in (*parsed(status, answer, **headers), *parsed(status, answer, is_upsert=True, **headers)):
        assert (outcome.result, outcome.after) == ("retry", after)


@pytest.mark.parametrize(("token", "reason"), [("pat-eu1-x", ""), ("CNye-app-token", base.TOKEN_EXPIRED)])
def test_only_the_token_of_an_app_can_be_renewed(token: str, reason: str) -> None:
    for is_upsert in (False, True):
        for answer in (error("EXPIRED_AUTHENTICATION"), {}):
            response = Response(status=401, body=msgspec.json.encode(answer))
            (outcome,) = HUBSPOT.parse(request_of(1, is_upsert, token), response)
            assert (outcome.result, outcome.reason) == ("config", reason)


@pytest.mark.parametrize(
    "message",
    ['Property "seats" does not exist', "[PROPERTY_DOESNT_EXIST]", "The property 'seats' is not defined on the event"],
)
def test_a_property_that_hubspot_does_not_know_holds_the_destination(message: str) -> None:
    answer = error("VALIDATION_ERROR", message)
    assert results(parsed(400, answer)) == ["split"] * 4, "the others may carry none"
    (outcome,) = parsed(400, answer, 1)
    assert outcome.result == "config"
    assert "Event properties" in outcome.detail
    one = item("SignUp", HUBSPOT, email="a@b.co", platform_params={"hubspot": {"properties": {"seats": 1}}})
    request = only(HUBSPOT.build([one], PLAIN, NOW))
    (outcome,) = HUBSPOT.parse(request, Response(status=400, body=msgspec.json.encode(answer)))
    assert outcome.result == "permanent", "the sender's own property is one event's fault"
    assert results(parsed(400, answer, 1, is_upsert=True)) == ["permanent"]


def test_details_carry_no_identity_and_the_errors_within() -> None:
    answer = error("VALIDATION_ERROR", "Invalid input", errors=[{"message": "ada@example.com is wrong"}])
    (outcome,) = parsed(400, answer, 1)
    assert "is wrong" in outcome.detail
    assert "ada@" not in outcome.detail


def test_the_suites_configuration_has_all_secrets() -> None:
    assert HUBSPOT.secret_names <= CONFIG["hubspot"].keys()
