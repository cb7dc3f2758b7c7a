"""The ingest contract: what is accepted, in which normal form, and why the rest is rejected."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events import payload as normal_form
from events.contract import Accepted, ContractError, Parsed, Rejected, parse_body, parse_event, split_body
from events.fields import CLICK_IDS, FIELDS, MAX_EVENTS, json_schema
from events.payload import Payload

NAMES = frozenset({"PageView", "SignUp", "StartTrial", "Purchase", "Refund", "LeadCaptured", "SSOLogin", "DemoBooked"})
NOW = 1_767_225_600_000  # 2026-01-01T00:00:00Z
DAY = 86_400_000


def parse(event: Any, **options: Any) -> Accepted | Rejected:
    raw = event if isinstance(event, bytes) else json.dumps(event).encode()
    return parse_event(raw, **{"now_ms": NOW, "names": NAMES, **options})


def accepted(event: dict[str, Any] | bytes, **options: Any) -> Accepted:
    if isinstance(event, dict):
        event = {"event": "SignUp", "eventId": "e1", **event}
    result = parse(event, **options)
    assert isinstance(result, Accepted), result
    return result


def rejected(event: Any, **options: Any) -> Rejected:
    if isinstance(event, dict):
        event = {"event": "SignUp", "eventId": "e1", **event}
    result = parse(event, **options)
    assert isinstance(result, Rejected), result
    return result


def form(**fields: Any) -> dict[str, Any]:
    """The normal form of an event with `fields`, as the database would store it."""
    return dict(json.loads(accepted(fields).payload_json))


def body(raw: bytes) -> Parsed:
    return parse_body(raw, now_ms=NOW, names=NAMES)


# --- Normal form ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ({}, {}),
        ({"email": " ada@example.com "}, {"email": "ada@example.com"}),
        ({"email": None, "phone": "", "city": "  "}, {}),
        ({"externalId": 123}, {"externalId": "123"}),
        ({"externalId": 123.0}, {"externalId": "123"}),
        ({"externalId": 12345678901234567890123}, {"externalId": "12345678901234567890123"}),
        ({"zip": 1.5}, {"zip": "1.5"}),
        ({"value": "49.00"}, {"value": 49.0}),
        ({"value": 0}, {"value": 0.0}),
        ({"value": -5, "currency": " eur "}, {"value": -5.0, "currency": "EUR"}),
        ({"value": "", "currency": ""}, {}),
        ({"numItems": "3"}, {"numItems": 3}),
        ({"numItems": 2.0}, {"numItems": 2}),
        ({"contentIds": ["a", 7, " ", None]}, {"contentIds": ["a", "7"]}),
        ({"contentIds": "a"}, {"contentIds": ["a"]}),
        ({"contentIds": []}, {}),
        ({"userData": {"email": "a@b.c"}, "customData": {"value": 1}}, {"email": "a@b.c", "value": 1.0}),
        ({"userData": []}, {}),
        ({"email": "a@b.c", "userData": {"email": "a@b.c"}}, {"email": "a@b.c"}),
        (
            {"gclid": "g", "userData": {"fbp": "p"}, "clickIds": {"fbc": "c"}},
            {"clickIds": {"gclid": "g", "fbp": "p", "fbc": "c"}},
        ),
        ({"userData": {"clickIds": {"epik": "e"}}}, {"clickIds": {"epik": "e"}}),
        (
            {"consent": {"marketing": False, "analytics": "granted"}},
            {"consent": {"marketing": False, "analytics": True}},
        ),
        ({"userData": {"consent": {"marketing": "DENIED"}}}, {"consent": {"marketing": False}}),
        (
            {"consent": {"marketing": True}, "customData": {"consent": {"marketing": False}}},
            {"consent": {"marketing": False}},
        ),
        (
            {"consent": {"marketing": False}, "customData": {"consent": {"marketing": True}}},
            {"consent": {"marketing": False}},
        ),
        ({"consent": {"marketing": None}}, {}),
        ({"properties": {"a": None, "b": [1, {"c": 1e3}]}}, {"properties": {"a": None, "b": [1, {"c": 1e3}]}}),
        ({"properties": {"id": 2**70}}, {"properties": {"id": 2**70}}),
        ({"platformParams": {"meta": {"x": 1}, "x": None}}, {"platformParams": {"meta": {"x": 1}}}),
        ({"city": "Par\0is", "properties": {"k\0": ["\0"]}}, {"city": "Paris", "properties": {"k": [""]}}),
        ({"city": "\0"}, {}),
        ({"clientIp": "2001:db8::1"}, {"clientIp": "2001:db8::1"}),
        ({"city": "\\u0000"}, {"city": "\\u0000"}),
    ],
)
def test_normal_form(sent: dict[str, Any], stored: dict[str, Any]) -> None:
    assert form(**sent) == stored


def test_every_field_is_read_flat_and_nested_and_stored_alike() -> None:
    flat = {field.name: field.example for field in FIELDS}
    clicks = {name: f"{name}-1" for name in CLICK_IDS}
    identity = {field.name for field in FIELDS if field.group == "identity"}
    nested = {
        "userData": {**{name: value for name, value in flat.items() if name in identity}, **clicks},
        "customData": {name: value for name, value in flat.items() if name not in identity},
    }
    stored = form(**flat, **clicks)
    assert stored == form(**nested) == {**flat, "clickIds": clicks}
    assert accepted({**flat, **clicks}).warnings == accepted(nested).warnings == []


def test_the_table_and_the_payload_name_the_same_fields() -> None:
    containers = {"click_ids", "consent", "properties", "platform_params"}
    assert [field.attribute for field in FIELDS] == [f for f in Payload.__struct_fields__ if f not in containers]
    assert set(json_schema()["properties"]) >= {field.name for field in FIELDS} | {"event", "eventId", "ts"}


def test_ids_and_names_are_trimmed_and_numbers_become_strings() -> None:
    result = accepted({"event": " SignUp ", "eventId": 42})
    assert (result.name, result.event_id, result.is_registered) == ("SignUp", "42", True)


# --- Time -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "ms"),
    [
        ({}, NOW),
        ({"ts": None}, NOW),
        ({"ts": ""}, NOW),
        ({"ts": 1_767_225_600}, NOW),
        ({"ts": 1_767_225_600.5}, NOW + 500),
        ({"ts": 1_767_225_600_123}, NOW + 123),
        ({"ts": "1767225600"}, NOW),
        ({"ts": "1767225600123"}, NOW + 123),
        ({"ts": "2026-01-01T00:00:00Z"}, NOW),
        ({"ts": "2026-01-01T01:00:00.250+01:00"}, NOW + 250),
        ({"ts": "2026-01-01t00:00:00z"}, NOW),
        ({"ts": "2026-01-01 00:00:00"}, NOW),
        ({"ts": "2026-01-01"}, NOW),
        ({"ts": 946_684_800}, 946_684_800_000),
        ({"ts": NOW + DAY}, NOW + DAY),
        ({"timestamp": NOW - 1}, NOW - 1),
        ({"eventTime": NOW - 1}, NOW - 1),
        ({"event_time": NOW - 1}, NOW - 1),
        ({"time": NOW - 1}, NOW - 1),
        ({"occurredAt": "2026-01-01T00:00:00Z"}, NOW),
        ({"timestamp": NOW - 5, "ts": NOW - 1}, NOW - 1),
        ({"timestamp": NOW - 5, "ts": ""}, NOW - 5),
    ],
)
def test_time(sent: dict[str, Any], ms: int) -> None:
    assert accepted(sent).occurred_ms == ms


@pytest.mark.parametrize(
    ("ts", "code", "part"),
    [
        (NOW + DAY + 1, "ts_in_future", "more than a day in the future"),
        (NOW * 1000, "ts_in_future", "microseconds"),
        (10**400, "ts_in_future", "microseconds"),
        (1_767_225, "ts_too_early", "before the year 2000; it was read as seconds"),
        (0, "ts_too_early", "before the year 2000"),
        (-(10**400), "ts_too_early", "before the year 2000"),
        ("1970-01-01T00:00:00Z", "ts_too_early", "before the year 2000"),
        ("0001-01-01T00:00:00+23:59", "ts_too_early", "before the year 2000"),
        ("9999-12-31T23:59:59-23:59", "ts_in_future", "future"),
        ("yesterday", "ts_shape", "ISO 8601"),
        ("NaN", "ts_shape", "ISO 8601"),
        (True, "wrong_type", "not a boolean"),
        ({}, "wrong_type", "not an object"),
    ],
)
def test_impossible_time_is_rejected(ts: Any, code: str, part: str) -> None:
    result = rejected({"ts": ts})
    assert (result.field, result.code) == ("ts", code)
    assert part in result.sentence


# --- Names ----------------------------------------------------------------------------------------


def test_unknown_name_is_rejected_with_a_suggestion() -> None:
    result = rejected({"event": "signup"})
    assert result.code == "unknown_name"
    assert result.sentence == 'event: unknown name "signup", did you mean "SignUp"?'
    assert (result.event_name, result.event_id) == ("signup", "e1")


@pytest.mark.parametrize(
    ("sent", "meant"),
    [("sign_up", "SignUp"), ("page view", "PageView"), ("sso_login", "SSOLogin"), ("purchased", "Purchase")],
)
def test_suggestions(sent: str, meant: str) -> None:
    assert f'did you mean "{meant}"?' in rejected({"event": sent}).sentence


@pytest.mark.parametrize("name", ["xyz", "$pageview", "Ünicode", "S", "SignUp\nSignUp", "Sign Up Now Please", '"'])
def test_unknown_name_that_is_no_pascal_case_is_rejected(name: str) -> None:
    assert rejected({"event": name}).code in {"unknown_name", "too_long"}


def test_unregistered_pascal_case_name_is_accepted_with_a_warning() -> None:
    result = accepted({"event": "Signup"})
    assert not result.is_registered
    [warning] = result.warnings
    assert (warning.field, warning.code) == ("event", "not_registered")
    assert 'did you mean "SignUp"?' in warning.sentence
    [warning] = accepted({"event": "WebinarAttended"}).warnings
    assert "did you mean" not in warning.sentence


def test_retired_name_is_accepted_with_a_warning() -> None:
    result = accepted({"event": "OldEvent"}, retired={"OldEvent"})
    assert not result.is_registered
    assert [warning.code for warning in result.warnings] == ["retired"]


# --- Rejections -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "field", "code"),
    [
        ({"event": None}, "event", "missing"),
        ({"event": " "}, "event", "missing"),
        ({"event": 7}, "event", "wrong_type"),
        ({"event": ["SignUp"]}, "event", "wrong_type"),
        ({"event": "A" * 65}, "event", "too_long"),
        ({"eventId": None}, "eventId", "missing"),
        ({"eventId": "\0"}, "eventId", "missing"),
        ({"eventId": True}, "eventId", "wrong_type"),
        ({"eventId": "x" * 129}, "eventId", "too_long"),
        ({"email": True}, "email", "wrong_type"),
        ({"email": {}}, "email", "wrong_type"),
        ({"city": "x" * 257}, "city", "too_long"),
        ({"externalId": 10**300}, "externalId", "too_long"),
        ({"pageUrl": "https://" + "x" * 2048}, "pageUrl", "too_long"),
        ({"userData": {"email": False}}, "userData.email", "wrong_type"),
        ({"userData": "x"}, "userData", "wrong_type"),
        ({"value": "1,000"}, "value", "wrong_type"),
        ({"value": "$5"}, "value", "wrong_type"),
        ({"value": "nan"}, "value", "wrong_type"),
        ({"value": "1e999"}, "value", "out_of_range"),
        ({"value": 10**400}, "value", "out_of_range"),
        ({"value": True}, "value", "wrong_type"),
        ({"value": [1]}, "value", "wrong_type"),
        ({"currency": "US"}, "currency", "currency_shape"),
        ({"currency": "ßa"}, "currency", "currency_shape"),
        ({"currency": 840}, "currency", "wrong_type"),
        ({"numItems": 1.5}, "numItems", "wrong_type"),
        ({"numItems": -1}, "numItems", "out_of_range"),
        ({"contentIds": [True]}, "contentIds", "wrong_type"),
        ({"contentIds": ["x"] * 201}, "contentIds", "too_long"),
        ({"clickIds": {"gclid": 1.5e300, "fbc": []}}, "clickIds.fbc", "wrong_type"),
        ({"consent": {"marketing": "maybe"}}, "consent.marketing", "wrong_type"),
        ({"consent": {"marketing": 1}}, "consent.marketing", "wrong_type"),
        ({"consent": True}, "consent", "wrong_type"),
        ({"properties": "x"}, "properties", "wrong_type"),
        ({"properties": {"x": "y" * 33_000}}, "properties", "too_long"),
        ({"unknown": "y" * 33_000}, "properties", "too_long"),
        ({"platformParams": {"meta": 1}}, "platformParams.meta", "wrong_type"),
        ({"platformParams": {"meta": {"x": "y" * 33_000}}}, "platformParams", "too_long"),
    ],
)
def test_rejections_name_field_and_code(sent: dict[str, Any], field: str, code: str) -> None:
    result = rejected(sent)
    assert (result.field, result.code) == (field, code)
    assert result.sentence.startswith(f"{field}: ")


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"x": value}
    return value


def test_depth_is_capped() -> None:
    assert accepted({"properties": nested(10)}).payload.properties == nested(10)
    assert rejected({"properties": nested(11)}).code == "too_deep"
    assert accepted({"thing": nested(9)}).payload.properties == {"thing": nested(9)}
    assert rejected({"thing": nested(10)}).code == "too_deep"
    assert rejected({"thing\0": nested(10)}).field == "thing"


def test_missing_event_id_points_at_the_key_that_was_meant() -> None:
    sent = json.dumps({"event": "SignUp", "plan": "x", "event_id": "e1"}).encode()
    assert rejected(sent).sentence == 'eventId: is missing; you sent "event_id", did you mean "eventId"?'
    assert 'you sent "event_name"' in rejected(b'{"event_name":"SignUp"}').sentence


@pytest.mark.parametrize("raw", [b"1", b"null", b'"x"', b"[]", b"[{}]", b"true"])
def test_an_event_that_is_no_object_is_rejected(raw: bytes) -> None:
    assert rejected(raw).code == "not_an_object"


# --- Warnings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "field", "code", "part"),
    [
        ({"favouriteColour": "red"}, "favouriteColour", "unknown_field", "kept under properties"),
        ({"order_id": "1"}, "order_id", "unknown_field", 'did you mean "orderId"?'),
        ({"emial": "a@b.c"}, "emial", "unknown_field", 'did you mean "email"?'),
        ({"user_data": {"email": "a@b.c"}}, "user_data", "unknown_field", 'did you mean "userData"?'),
        ({"userData": {"shoe": 9}}, "userData.shoe", "unknown_field", "kept under properties"),
        ({"userData": {"ts": 9}}, "userData.ts", "unknown_field", "top level only"),
        ({"consent": {"ad_storage": "denied"}}, "consent.ad_storage", "unknown_field", 'did you mean "marketing"?'),
        ({"clickIds": {"foo": "1"}}, "clickIds.foo", "unknown_field", "kept under properties"),
        ({"email": "a@b.c", "userData": {"email": "x@y.z"}}, "userData.email", "conflict", "is kept"),
        ({"userData": {"value": 1}, "customData": {"value": 2}}, "customData.value", "conflict", "is kept"),
        ({"gclid": "a", "clickIds": {"gclid": "b"}}, "clickIds.gclid", "conflict", "is kept"),
        ({"foo": 1, "properties": {"foo": 2}}, "foo", "conflict", "properties.foo"),
        ({"ts": NOW, "time": NOW - 1}, "time", "conflict", "kept under properties"),
        ({"email": "ada"}, "email", "email_shape", "neither"),
        ({"clientIp": "1.2.3"}, "clientIp", "ip_shape", "kept under properties"),
    ],
)
def test_warnings(sent: dict[str, Any], field: str, code: str, part: str) -> None:
    [warning] = accepted(sent).warnings
    assert (warning.field, warning.code) == (field, code)
    assert part in warning.sentence


def test_unknown_fields_are_kept() -> None:
    sent = {"a": 1, "b": None, "userData": {"c": [2]}, "properties": {"d": 3}, "clientIp": "nowhere"}
    assert form(**sent) == {"properties": {"a": 1, "c": [2], "d": 3, "clientIp": "nowhere"}}


def test_flat_wins_over_nested_whatever_comes_first() -> None:
    assert form(userData={"email": "x@y.z"}, email="a@b.c") == {"email": "a@b.c"}


def test_hashed_email_needs_no_at_sign() -> None:
    assert accepted({"email": "a" * 64}).warnings == []


def test_warnings_of_an_event_are_capped() -> None:
    result = accepted({f"unknown{number}": number for number in range(500)})
    assert len(result.warnings) == 10
    assert len(result.payload.properties) == 500


# --- Bodies ---------------------------------------------------------------------------------------

GOOD = b'{"event":"SignUp","eventId":"good"}'


@pytest.mark.parametrize(
    "raw", [GOOD, b"[" + GOOD + b"]", b'{"events":[' + GOOD + b"]}", b"\xef\xbb\xbf" + GOOD, b" \r\n" + GOOD + b"\t"]
)
def test_body_shapes(raw: bytes) -> None:
    parsed = body(raw)
    assert [event.event_id for event in parsed.accepted] == ["good"]
    assert not parsed.rejected


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        (b"", 400, "not_json"),
        (b"hello", 400, "not_json"),
        (b"{bad", 400, "not_json"),
        (b"[{bad}]", 400, "not_json"),
        (b"[1] x", 400, "not_json"),
        (GOOD + GOOD, 400, "not_json"),
        (b'{"events":[' + GOOD, 400, "not_json"),
        (b'{"events":[' + GOOD + b"]", 400, "not_json"),
        (b'{"events":[' + GOOD + b",]}}", 400, "not_json"),
        (GOOD.decode().encode("utf-16"), 400, "not_json"),
        (b"event=SignUp", 400, "not_json"),
        (b"[" * 100_000, 400, "not_json"),
        (b'["' + b'\\"' * 100_000, 400, "not_json"),
        (b"{}", 422, "no_events"),
        (b"[]", 422, "no_events"),
        (b"null", 422, "no_events"),
        (b"3", 422, "no_events"),
        (b'"x"', 422, "no_events"),
        (b'{"events":[]}', 422, "no_events"),
        (b'{"events":null}', 422, "no_events"),
        (b'{"events":{}}', 422, "no_events"),
        (b"[" + b",".join([GOOD] * 101) + b"]", 422, "too_many_events"),
    ],
)
def test_a_body_without_events_is_refused_as_a_whole(raw: bytes, status: int, code: str) -> None:
    with pytest.raises(ContractError) as caught:
        body(raw)
    assert (caught.value.status, caught.value.code) == (status, code)


@pytest.mark.parametrize(
    "bad",
    [
        b'{"event":"SignUp","eventId":"b","value":1e309}',
        b'{"event":"SignUp","eventId":"b","city":"\\ud83d"}',
        b'{"event":"SignUp","eventId":"b","city":"\\ude00x"}',
        b'{"event":"SignUp","eventId":"b","city":"\xff"}',
        b'{"event":"SignUp","eventId":"b","value":NaN}',
        b'{"event":"SignUp","eventId":"b","value":-Infinity}',
        b'{"event":"SignUp","eventId":"b","city":"\n,]"}',
        b'{"event":"SignUp","eventId":' + b"9" * 5000 + b"}",
        b'{"event":"SignUp","eventId":"b","x":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        b"{oops}",
        b"",
    ],
)
@pytest.mark.parametrize("envelope", [b"[%b]", b'{"events":[%b]}', b'{"sentAt":1,"events":[%b],"sdk":"x"}'])
def test_one_event_that_cannot_be_read_is_rejected_alone(bad: bytes, envelope: bytes) -> None:
    parsed = body(envelope % b",".join([GOOD, bad, GOOD.replace(b"good", b"also good")]))
    assert [(event.index, event.event_id) for event in parsed.accepted] == [(0, "good"), (2, "also good")]
    assert [(event.index, event.code) for event in parsed.rejected] == [(1, "not_decodable")]
    assert "\0" not in parsed.rejected[0].raw


@pytest.mark.parametrize("value", [b"NaN", b'"\\ud800"', b"1e999"])
def test_an_only_event_with_a_broken_value_is_kept_as_rejected(value: bytes) -> None:
    parsed = body(b'{"event":"SignUp","eventId":"b","x":%b}' % value)
    assert [event.code for event in parsed.rejected] == ["not_decodable"]


@pytest.mark.parametrize(
    ("part", "field"),
    [
        (b'"plan":"Pro \\ud83d"', "plan"),
        (b'"properties":{"a":["\\uDE00x"]}', "properties"),
        (b'"properties":{"\\ud83d":1}', "properties"),
        (b'"\\ud83d":1', ""),
        (b'"plan":"\\ud83d\\ude00","city":"\\ude00\\ud83d"', "city"),
    ],
)
def test_half_a_character_is_told_with_its_field(part: bytes, field: str) -> None:
    (rejected,) = body(b'{"events":[{"event":"SignUp","eventId":"b",%b}]}' % part).rejected
    assert (rejected.field, rejected.code, rejected.event_name, rejected.event_id) == (
        field, "not_decodable", "SignUp", "b",
    )  # fmt: skip
    assert "half a character" in rejected.sentence
    assert rejected.sentence.isascii()


def test_duplicate_keys_take_the_last() -> None:
    assert accepted(b'{"event":"SignUp","eventId":"a","eventId":"b"}').event_id == "b"


def test_a_full_batch_is_parsed_in_order() -> None:
    events = [{"event": "PageView" if number % 2 else "nope", "eventId": number} for number in range(MAX_EVENTS)]
    parsed = body(json.dumps(events).encode())
    assert [event.index for event in parsed.accepted] == list(range(1, MAX_EVENTS, 2))
    assert [event.index for event in parsed.rejected] == list(range(0, MAX_EVENTS, 2))


def test_the_rejected_text_is_what_was_sent() -> None:
    raw = b'{ "event" : "nope" , "eventId":"1" }'
    assert body(b"[ " + raw + b" ]").rejected[0].raw == raw.decode()


# --- Properties -----------------------------------------------------------------------------------

KEYS = st.sampled_from(
    [
        *(field.name for field in FIELDS),
        *CLICK_IDS,
        "event",
        "eventId",
        "ts",
        "time",
        "userData",
        "customData",
        "clickIds",
        "consent",
        "marketing",
        "analytics",
        "properties",
        "platformParams",
        "meta",
    ]
) | st.text(max_size=6)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["SignUp", "granted", "2026-01-01", "49.00", "USD", "a\0b", " x ", NOW, 10**30])
)
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6), max_leaves=12
)
EVENTS = st.dictionaries(KEYS, JSON, max_size=8).map(
    lambda extra: {"event": "SignUp", "eventId": "e", "ts": NOW, **extra}
)
QUICK = settings(max_examples=150, deadline=None)


def check_storable(event: Accepted) -> None:
    text = event.payload_json.decode("utf-8")
    assert "\\u0000" not in text.replace("\\\\", "")
    assert json.loads(text, parse_constant=pytest.fail) is not None
    assert normal_form.decode(event.payload_json) == event.payload
    assert 1 <= len(event.event_id) <= 128
    assert 1 <= len(event.name) <= 64
    assert "\0" not in event.event_id + event.name
    assert isinstance(event.occurred_ms, int)


@QUICK
@given(st.lists(EVENTS | JSON, max_size=4))
def test_every_event_is_accepted_or_rejected_exactly_once(events: list[Any]) -> None:
    try:
        parsed = body(json.dumps(events).encode())
    except ContractError:
        assert not events
        return
    indexes = [event.index for event in (*parsed.accepted, *parsed.rejected)]
    assert sorted(indexes) == list(range(len(events)))
    for event in parsed.accepted:
        check_storable(event)
    for refused in parsed.rejected:
        assert len(refused.field) <= 64
        assert len(refused.code) <= 32
        assert 0 < len(refused.sentence) <= 400
        assert max(len(refused.event_name), len(refused.event_id)) <= 128
        for text in (refused.raw, refused.field, refused.sentence, refused.event_name, refused.event_id):
            assert "\0" not in text
            text.encode()
    for warning in parsed.warnings:
        assert len(warning.sentence) <= 400


@QUICK
@given(EVENTS)
def test_the_normal_form_parses_to_itself(event: dict[str, Any]) -> None:
    first = parse(event)
    if isinstance(first, Rejected):
        return
    again = parse(
        {"event": first.name, "eventId": first.event_id, "ts": first.occurred_ms, **json.loads(first.payload_json)}
    )
    assert isinstance(again, Accepted)
    assert again.payload == first.payload
    assert again.payload_json == first.payload_json
    assert (again.name, again.event_id, again.occurred_ms) == (first.name, first.event_id, first.occurred_ms)


@QUICK
@given(st.binary(max_size=200) | st.text(alphabet='[]{},:"\\ud8e0 events1NaN-.', max_size=60).map(str.encode))
def test_no_bytes_make_it_raise(raw: bytes) -> None:
    for wrapped in (raw, b"[" + GOOD + b"," + raw + b"]", b'{"events":[' + raw + b"]}"):
        try:
            parts = split_body(wrapped)
            parsed = body(wrapped)
        except ContractError:
            continue
        assert len(parts) == len(parsed.accepted) + len(parsed.rejected)
    parse(raw)


@QUICK
@given(st.lists(JSON, min_size=1, max_size=5))
def test_splitting_gives_back_the_elements(events: list[Any]) -> None:
    raw = msgspec.json.encode(events)
    assert [msgspec.json.decode(part) for part in split_body(raw)] == msgspec.json.decode(raw)
