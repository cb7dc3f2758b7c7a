"""Customer.io's own rules, beyond what the contract suite and the golden files say of every platform."""

from __future__ import annotations

import base64
import math
import re
from typing import Any

import msgspec
import pytest

from destinations.platforms import base
from destinations.platforms._customerio_values import ulid
from destinations.platforms.base import Outcome, Request, Response
from destinations.platforms.customerio import CustomerIo
from tests.destinations.platforms.making import CONFIG, HOUR_MS, NOW, NOW_MS, body, item, only

CIO = CustomerIo()
HASH = "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"
TRACK = {"site_id": "a1b2c3d4e5f60718293a", "api_key": "0f1e2d3c4b5a69788796", "region": "us"}
PIPELINES = {"cdp_key": "cdp0123456789abcdef", "region": "us", "api": "pipelines"}


def entries(event: str = "SignUp", config: dict[str, str] | None = None, **fields: Any) -> list[Any]:
    batch: list[Any] = body(only(CIO.build([item(event, CIO, **fields)], TRACK | (config or {}), NOW)))["batch"]
    return batch


def sent(event: str = "SignUp", config: dict[str, str] | None = None, **fields: Any) -> Any:
    return entries(event, config, **fields)[-1]


def person(**fields: Any) -> Any:
    return entries(**fields)[0]["attributes"]


def skipped(config: dict[str, str] | None = None, **fields: Any) -> tuple[str, str]:
    built = CIO.build([item("SignUp", CIO, **fields)], TRACK | (config or {}), NOW)
    assert built.requests == []
    return built.skipped[0].reason, built.skipped[0].detail


# --- Requests -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("config", "url", "user"),
    [
        (TRACK, "https://track.customer.io/api/v2/batch", "a1b2c3d4e5f60718293a:0f1e2d3c4b5a69788796"),
        (TRACK | {"region": "eu"}, "https://track-eu.customer.io/api/v2/batch",
         "a1b2c3d4e5f60718293a:0f1e2d3c4b5a69788796"),
        (PIPELINES, "https://cdp.customer.io/v1/batch", "cdp0123456789abcdef:"),
        (PIPELINES | {"region": "eu"}, "https://cdp-eu.customer.io/v1/batch", "cdp0123456789abcdef:"),
    ],
)  # fmt: skip
def test_address_and_keys(config: dict[str, str], url: str, user: str) -> None:
    request = only(CIO.build([item("SignUp", CIO, email="a@b.co")], config, NOW))
    assert (request.method, request.url) == ("POST", url)
    expected = {
        "Authorization": f"Basic {base64.b64encode(user.encode()).decode()}",
        "Content-Type": "application/json",
    }
    assert request.headers == expected | ({"X-Strict-Mode": "1"} if "cdp" in url else {})


@pytest.mark.parametrize(
    ("config", "wrong"),
    [
        (TRACK, set()),
        (PIPELINES, set()),
        ({"region": "us"}, {"site_id", "api_key"}),
        ({"region": "us", "api": "pipelines"} | {"site_id": "a" * 20, "api_key": "b" * 20}, {"cdp_key"}),
        (TRACK | {"region": "asia"}, {"region"}),
        (TRACK | {"site_id": "x:y"}, {"site_id"}),
        (TRACK | {"object_type_id": "one"}, {"object_type_id"}),
    ],
)
def test_the_keys_of_the_chosen_api(config: dict[str, str], wrong: set[str]) -> None:
    found = CIO.problems(config)
    assert found.keys() == wrong
    assert all(found.values())


# --- Track --------------------------------------------------------------------------------------------
def test_person_and_event_of_track() -> None:
    fields = {
        "external_id": "u1", "anonymous_id": "a1", "email": " Ada@Example.com", "phone": "(650) 555-1212",
        "country": "US", "first_name": "Ada", "last_name": "Byron", "city": "New York", "state": "NY", "zip": "10001",
        "company_name": "Acme", "value": 49.9, "currency": "USD", "order_id": "o1", "content_ids": ["a"],
        "page_url": "https://x.example/?gclid=1", "num_items": 2, "properties": {"seats": 5, "order_id": "older"},
        "client_ip": "203.0.113.7", "user_agent": "Mozilla/5.0", "occurred_ms": NOW_MS - 1501, "event_id": "e-1",
    }  # fmt: skip
    assert entries("Purchase", **fields) == [
        {
            "type": "person",
            "action": "identify",
            "identifiers": {"id": "u1"},
            "timestamp": NOW_MS // 1000 - 2,
            "attributes": {
                "email": "ada@example.com", "phone": "+16505551212", "first_name": "Ada", "last_name": "Byron",
                "city": "New York", "state": "NY", "zip": "10001", "country": "US", "company_name": "Acme",
                "anonymous_id": "a1",
            },
        },
        {
            "type": "person",
            "action": "event",
            "identifiers": {"id": "u1"},
            "name": "Purchase",
            "id": ulid("e-1", NOW_MS - 1501),
            "timestamp": NOW_MS // 1000 - 2,
            "attributes": {
                "value": 49.9, "currency": "USD", "order_id": "o1", "content_ids": ["a"], "num_items": 2, "seats": 5,
                "page_url": "https://x.example/?gclid=1", "company_name": "Acme",
            },
        },
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "identifiers"),
    [
        ({"external_id": "u1", "email": "a@b.co", "anonymous_id": "a1"}, {"id": "u1"}),
        ({"external_id": HASH}, {"id": HASH}),
        ({"external_id": "cio_a3000001"}, {"cio_id": "a3000001"}),
        ({"external_id": "cio_"}, {"id": "cio_"}),
        ({"email": " A@B.co", "anonymous_id": "a1"}, {"email": "a@b.co"}),
        ({"email": HASH, "anonymous_id": "a1"}, {"anonymous_id": "a1"}),
        ({"platform_params": {"customerio": {"identifiers": {"phone": "+14155552671"}}}}, {"phone": "+14155552671"}),
        ({"external_id": "u", "platform_params": {"customerio": {"identifiers": {"email": "x@y.co"}}}},
         {"email": "x@y.co"}),
    ],
)  # fmt: skip
def test_exactly_one_identifier(fields: dict[str, Any], identifiers: dict[str, str]) -> None:
    found = entries(**fields)
    assert [entry["identifiers"] for entry in found] == [identifiers] * (1 if "anonymous_id" in identifiers else 2)


@pytest.mark.parametrize("config", [TRACK, PIPELINES])
@pytest.mark.parametrize("fields", [{}, {"email": HASH}, {"email": "x"}, {"phone": "+14155552671"}, {"crm_id": "1"}])
def test_too_little_identity_is_refused_aloud(config: dict[str, str], fields: dict[str, Any]) -> None:
    assert skipped(config, **fields)[0] == "no_identity"


@pytest.mark.parametrize("config", [TRACK, PIPELINES])
def test_a_visitor_is_no_person_yet(config: dict[str, str]) -> None:
    (event,) = entries(config=config, anonymous_id="a1", first_name="Ada")
    assert event.get("action", event["type"]) in ("event", "track")


@pytest.mark.parametrize("config", [TRACK, PIPELINES])
def test_persons_can_be_left_alone(config: dict[str, str]) -> None:
    params = {"customerio": {"person": {"x": 1}}}
    (event,) = entries(config=config | {"identify": "off"}, email="a@b.co", platform_params=params)
    assert "person" not in event


@pytest.mark.parametrize(
    ("ms", "seconds"),
    [
        (NOW_MS - 1501, NOW_MS // 1000 - 2),
        (NOW_MS + HOUR_MS, NOW_MS // 1000),
        (4_102_444_800_000, NOW_MS // 1000),
        (0, 0),
    ],
)
def test_times_are_in_seconds_and_never_ahead_of_the_clock(ms: int, seconds: int) -> None:
    assert [entry["timestamp"] for entry in entries(email="a@b.co", occurred_ms=ms)] == [seconds] * 2


def test_the_ulid_holds_the_time_as_the_specification_has_it() -> None:
    # github.com/ulid/spec: encodeTime(1469918176385) is 01ARYZ6S41, and 7ZZZ… is the largest.
    assert ulid("x", 1_469_918_176_385).startswith("01ARYZ6S41")
    assert ulid("x", 1 << 60).startswith("7ZZZZZZZZZ")
    assert ulid("x", -1).startswith("0000000000")


def test_the_ulid_is_the_same_on_every_try_and_another_for_another_event() -> None:
    ids = {ulid(event_id, ms) for event_id in ("a", "b", "😀", "ä" * 128) for ms in (0, 1, NOW_MS)}
    assert len(ids) == 12
    assert all(re.fullmatch(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", one) for one in ids)
    later = CIO.build([item("SignUp", CIO, email="a@b.co")], TRACK, NOW.replace(year=2027))
    assert body(only(later))["batch"][-1]["id"] == sent(email="a@b.co")["id"]


@pytest.mark.parametrize(
    ("value", "currency", "is_sent"),
    [
        (49.9, "USD", True), (0.0, "USD", True), (-5.0, "USD", True), (1e15, "JPY", True), (5.0, None, False),
        (None, "USD", False), (math.inf, "USD", False), (-math.inf, "USD", False), (math.nan, "USD", False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("event", ["Purchase", "Refund", "Chargeback"])
def test_value_and_currency_both_or_neither(event: str, value: Any, currency: Any, is_sent: bool) -> None:
    attributes = sent(event, email="a@b.co", value=value, currency=currency)["attributes"]
    assert attributes == ({"value": value, "currency": currency} if is_sent else {})


@pytest.mark.parametrize("name", ["recipient", "from_address", "reply_to"])
def test_an_event_never_readdresses_messages(name: str) -> None:
    for fields in ({"properties": {name: "x"}}, {"platform_params": {"customerio": {"attributes": {name: "x"}}}}):
        assert sent(email="a@b.co", **fields)["attributes"] == {}


def test_what_is_hashed_or_too_long_for_a_person() -> None:
    found = person(external_id="u", email=HASH, phone=HASH, first_name=HASH, last_name="é" * 5000, city="😀" * 300)
    assert found == {"last_name": "é" * 500, "city": "😀" * 250}


@pytest.mark.parametrize(("phone", "expected"), [("+49 30 901820", "+4930901820"), ("555-1212", "555-1212")])
def test_phone_numbers(phone: str, expected: str) -> None:
    assert person(email="a@b.co", phone=phone)["phone"] == expected


@pytest.mark.parametrize(
    ("consent", "config", "expected"),
    [
        ({"marketing": True}, {"subscription": "marketing"}, False),
        ({"marketing": False}, {"subscription": "marketing"}, True),
        ({}, {"subscription": "marketing"}, None),
        ({"marketing": True}, {}, None),
    ],
)
def test_the_subscription_follows_the_consent_where_wanted(
    consent: dict[str, bool], config: dict[str, str], expected: bool | None
) -> None:
    assert person(config=config, email="a@b.co", consent=consent).get("unsubscribed") is expected


def test_a_company_is_related_where_wanted() -> None:
    relations = [{"identifiers": {"object_type_id": "1", "object_id": "acme"}}]
    config = {"object_type_id": "1"}
    assert entries(config=config, email="a@b.co", company_id="acme")[0]["cio_relationships"] == relations
    assert "cio_relationships" not in entries(email="a@b.co", company_id="acme")[0]
    assert "cio_relationships" not in entries(config=config, email="a@b.co")[0]


@pytest.mark.parametrize("config", [TRACK, PIPELINES])
def test_names_are_those_of_the_route(config: dict[str, str]) -> None:
    key = "event" if config is PIPELINES else "name"
    assert sent("MyOwnEvent", config, email="a@b.co")[key] == "MyOwnEvent"
    assert sent(config=config, email="a@b.co", native_name="signed up 😀")[key] == "signed up 😀"
    assert sent(config=config, email="a@b.co", native_name="")[key] == "SignUp"
    assert skipped(config, email="a@b.co", native_name="é" * 51)[0] == "invalid"
    assert skipped(config, email="a@b.co", native_name=" ")[0] == "invalid"
    assert skipped(config, external_id="é" * 76)[0] == "invalid"


def test_overrides_reach_event_and_person() -> None:
    params = {"name": "other", "attributes": {"team": {"a": [1]}}, "person": {"plan": "growth", "email": None}}
    identify, event = entries(email="a@b.co", plan="x", platform_params={"customerio": params, "meta": {"y": 1}})
    assert identify["attributes"] == {"email": None, "plan": "growth"}
    assert (event["name"], event["attributes"]) == ("other", {"plan": "x", "team": {"a": [1]}})
    assert event.keys() == {"type", "action", "identifiers", "name", "id", "timestamp", "attributes"}


@pytest.mark.parametrize(
    "params",
    [
        {"attributes": "x"}, {"attributes": None}, {"name": 7}, {"name": None}, {"identifiers": "x"},
        {"identifiers": {"id": "1", "email": "a@b.co"}}, {"identifiers": {"user": "1"}}, {"identifiers": {"id": 7}},
    ],
)  # fmt: skip
def test_an_override_that_breaks_the_shape_is_refused_aloud(params: dict[str, Any]) -> None:
    assert skipped(email="a@b.co", platform_params={"customerio": params})[0] == "invalid"
    assert skipped(email="a@b.co", platform_params={"customerio": {"identifiers": {}}})[0] == "no_identity"


# --- Pipelines ----------------------------------------------------------------------------------------
def test_person_and_event_of_pipelines() -> None:
    fields = {
        "external_id": "u1", "anonymous_id": "a1", "email": "a@b.co", "client_ip": "203.0.113.7", "plan": "growth",
        "user_agent": "Mozilla/5.0", "page_title": "Pricing", "referrer": "https://google.com/", "event_id": "e-1",
        "page_url": "https://x.example/a/b?utm_source=s&utm_medium=m&utm_campaign=n%20o&utm_term=t&utm_content=c#utm_x=1",
    }  # fmt: skip
    identify, track = entries(config=PIPELINES, **fields)
    assert identify == {
        "type": "identify", "userId": "u1", "anonymousId": "a1", "traits": {"email": "a@b.co"},
        "timestamp": "2026-11-23T11:00:00.000Z", "messageId": "identify-e-1",
    }  # fmt: skip
    assert track == {
        "type": "track",
        "userId": "u1",
        "anonymousId": "a1",
        "event": "SignUp",
        "properties": {name: fields[name] for name in ("plan", "page_url", "page_title", "referrer")},
        "context": {
            "ip": "203.0.113.7",
            "userAgent": "Mozilla/5.0",
            "page": {
                "url": fields["page_url"],
                "path": "/a/b",
                "search": "?utm_source=s&utm_medium=m&utm_campaign=n%20o&utm_term=t&utm_content=c",
                "title": "Pricing",
                "referrer": "https://google.com/",
            },
            "campaign": {"source": "s", "medium": "m", "name": "n o", "term": "t", "content": "c"},
        },
        "timestamp": "2026-11-23T11:00:00.000Z",
        "messageId": "e-1",
    }


def test_an_address_serves_as_user_id() -> None:
    identify, track = entries(config=PIPELINES, email="A@b.co")
    assert (identify["userId"], track["userId"], "context" in track) == ("a@b.co", "a@b.co", False)


@pytest.mark.parametrize("name", ["User Deleted", "user suppressed ", "Device Created or Updated", "Group Deleted"])
def test_commands_are_no_events(name: str) -> None:
    reason, detail = skipped(PIPELINES, email="a@b.co", native_name=name)
    assert reason == "invalid"
    assert "command" in detail
    assert skipped(PIPELINES, email="a@b.co", platform_params={"customerio": {"event": name}})[0] == "invalid"
    assert sent(email="a@b.co", native_name=name)["name"] == name, "to Track it is a name like any other"


# --- Size ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("config", [TRACK, PIPELINES])
def test_too_large_an_event_is_cut_where_that_helps(config: dict[str, str]) -> None:
    data = "properties" if config is PIPELINES else "attributes"
    event = sent(config=config, email="a@b.co", content_name="x" * 50_000, properties={"deep": [{"a": "é" * 9_000}]})
    assert event[data] == {"content_name": "x" * 12_000, "deep": [{"a": "é" * 9_000}]}
    assert len(msgspec.json.encode(event)) <= 32_000
    many = {f"p{number}": "x" * 1024 for number in range(30)}
    assert sent(config=config, email="a@b.co", plan="x" * 5_000, properties=many)[data]["p0"] == "x" * 1_000
    reason, detail = skipped(config, email="a@b.co", properties={"numbers": [1_000_000] * 5_000})
    assert (reason, "32 kB" in detail) == ("invalid", True)


# --- Answers ------------------------------------------------------------------------------------------
def parsed(
    status: int, answer: Any, config: dict[str, str] | None = None, count: int = 4, **headers: str
) -> list[Outcome]:
    """Of four items: a person with its event, a visitor's event, and twice a person with its event."""
    people = [{"external_id": f"u{n}"} if n != 1 else {"anonymous_id": "a"} for n in range(count)]
    items = [item("SignUp", CIO, key=n, event_id=f"e{n}", **who) for n, who in enumerate(people)]
    request = only(CIO.build(items, config or TRACK, NOW))
    raw = answer if isinstance(answer, bytes) else msgspec.json.encode(answer)
    return CIO.parse(
        request, Response(status=status, headers={k.replace("_", "-"): v for k, v in headers.items()}, body=raw)
    )


def results(outcomes: list[Outcome]) -> list[str]:
    return [outcome.result.value for outcome in outcomes]


def error(index: Any, field: str = "attributes", message: str = "wrong") -> dict[str, Any]:
    return {"batch_index": index, "reason": "invalid", "field": field, "message": message}


@pytest.mark.parametrize("config", [TRACK, PIPELINES])
@pytest.mark.parametrize("answer", [{}, b"", {"errors": []}])
def test_all_taken(config: dict[str, str], answer: Any) -> None:
    assert parsed(200, answer, config) == [base.OK] * 4


@pytest.mark.parametrize("answer", [b"<html>", b"{", [], None, 7])
def test_a_200_that_confirms_nothing_is_tried_again(answer: Any) -> None:
    assert results(parsed(200, answer)) == ["retry"] * 4


@pytest.mark.parametrize(
    ("indices", "expected"),
    [
        ([1], ["permanent", "ok", "ok", "ok"]),
        ([2], ["ok", "permanent", "ok", "ok"]),
        ([4, 6], ["ok", "ok", "permanent", "permanent"]),
        ([0], ["permanent", "ok", "ok", "ok"]),
        ([0, 1, 2, 3, 4, 5, 6], ["permanent"] * 4),
    ],
)
def test_a_207_names_entries_and_they_name_their_events(indices: list[int], expected: list[str]) -> None:
    assert results(parsed(207, {"errors": [error(index) for index in indices]})) == expected


def test_what_was_refused_is_said() -> None:
    person_only, *_ = parsed(207, {"errors": [error(0, "attributes.email", "ada@example.com is none")]})
    assert "the person (its event was taken)" in person_only.detail
    assert "these attributes" in person_only.detail
    assert "ada@" not in person_only.detail
    both, *_ = parsed(207, {"errors": [error(1, "name", "of event"), error(0, "attributes", "of person")]})
    assert "of event" in both.detail


@pytest.mark.parametrize("index", [7, -1, "1", None, 1.5, 99999999999])
def test_an_error_that_names_no_entry_splits(index: Any) -> None:
    assert results(parsed(207, {"errors": [error(index), error(2)]})) == ["split", "permanent", "split", "split"]
    assert results(parsed(207, {"errors": [error(index)]}, count=1)) == ["permanent"]
    assert results(parsed(207, {"errors": ["x"]})) == ["split"] * 4


def test_a_body_that_is_none_of_ours() -> None:
    request = Request(method="POST", url="u", headers={}, body=b"[]", items=(item(), item()))
    answer = msgspec.json.encode({"errors": [error(0)]})
    assert results(CIO.parse(request, Response(status=207, body=answer))) == ["split"] * 2


@pytest.mark.parametrize("config", [TRACK, PIPELINES])
@pytest.mark.parametrize(
    ("status", "many", "alone", "advice"),
    [
        (400, "split", "permanent", ""),
        (413, "split", "permanent", ""),
        (401, "config", "config", "region"),
        (403, "config", "config", "workspace"),
        (404, "config", "config", "region"),
        (301, "config", "config", "other region"),
        (307, "config", "config", "other region"),
        (304, "retry", "retry", ""),
        (429, "retry", "retry", ""),
        (500, "retry", "retry", ""),
        (504, "retry", "retry", ""),
    ],
)
def test_refusals(config: dict[str, str], status: int, many: str, alone: str, advice: str) -> None:
    answer = {"errors": [{"reason": "required", "field": "batch", "message": "their words"}]}
    assert results(parsed(status, answer, config)) == [many] * 4
    (outcome,) = parsed(status, answer, config, 1)
    assert outcome.result == alone
    assert "their words" in outcome.detail
    assert advice in outcome.detail


@pytest.mark.parametrize("answer", [{"meta": {"error": "their words"}}, {"meta": {"errors": ["their words"]}}])
def test_the_older_shape_of_errors(answer: Any) -> None:
    (outcome,) = parsed(400, answer, count=1)
    assert "their words" in outcome.detail


def test_it_waits_as_long_as_asked() -> None:
    assert [outcome.after for outcome in parsed(429, b"", retry_after="7")] == [7.0] * 4
    assert [outcome.after for outcome in parsed(503, b"<html>")] == [None] * 4


def test_the_suites_configuration_has_all_secrets() -> None:
    assert CIO.secret_names <= CONFIG["customerio"].keys()
