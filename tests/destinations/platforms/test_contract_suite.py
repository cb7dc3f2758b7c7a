"""What holds for every platform of the registry, whatever the vendor: one suite instead of copies."""

from __future__ import annotations

import csv
import inspect
import math
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from destinations import platforms, reasons
from destinations.platforms import base
from destinations.platforms._names import NAMES
from destinations.platforms.base import Built, Item, Kind, Outcome, Platform, Request, Response, Result
from events.fields import CLICK_IDS
from events.payload import Payload
from tests.destinations.platforms.making import CONFIG, HOUR_MS, NOW, NOW_MS, item

PLATFORMS = platforms.every()
each_platform = pytest.mark.parametrize("platform", PLATFORMS, ids=lambda platform: platform.key)

DATA = Path(__file__).resolve().parents[2] / "data"


def rows_of(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


MAPPINGS = {row.pop("event"): row for row in rows_of("mappings.csv")}
"""Event → platform → native name, as agreed for the product; written from the vendors' lists, not from the adapters."""
DEFAULT_LISTS: dict[str, set[str]] = {"warehouse": set(NAMES)}
for _row in rows_of("default_lists.csv"):
    DEFAULT_LISTS.setdefault(_row["platform"], set()).add(_row["event"])


# --- Declarations -------------------------------------------------------------------------------------
@each_platform
def test_a_platform_describes_itself(platform: Platform) -> None:
    assert platforms.get(platform.key) is platform
    assert re.fullmatch(r"[a-z][a-z0-9_]*", platform.key)
    assert platform.label
    assert isinstance(platform.kind, Kind)
    assert platform.batch_limit >= 1
    assert platform.is_builtin or platform.docs_url.startswith("https://")
    assert inspect.getdoc(inspect.getmodule(type(platform)))


@each_platform
def test_fields_say_where_their_value_is_found(platform: Platform) -> None:
    names = [field.name for field in platform.fields]
    assert len(names) == len(set(names))
    for field in platform.fields:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", field.name)
        assert field.label
        assert field.help
        re.compile(field.pattern)
        assert not field.default or not field.problem(field.default)


@each_platform
def test_what_it_declares_fits_together(platform: Platform) -> None:
    names = {field.name for field in platform.fields}
    assert platform.url_secrets <= platform.secret_names
    assert platform.plain_identity <= set(Payload.__struct_fields__)
    if platform.version is not None:
        assert platform.version.source.startswith("https://")
        (field,) = [field for field in platform.fields if field.name == "api_version"]
        assert field.default == platform.version.default
    if platform.test_mode is not None:
        assert not platform.test_mode.needs or platform.test_mode.needs in names
    if platform.native_id is not None:
        assert re.fullmatch(platform.native_id.pattern, platform.native_id.example)


@each_platform
def test_the_configuration_is_checked_with_sentences(platform: Platform) -> None:
    config = CONFIG[platform.key]
    assert platform.problems(config) == {}
    required = {field.name for field in platform.fields if field.required}
    assert platform.problems({}).keys() == required
    assert all(sentence.endswith(".") for sentence in platform.problems({}).values())


@each_platform
def test_ways_are_alternatives(platform: Platform) -> None:
    assert len({field.way for field in platform.fields} - {""}) != 1, "one way alone is no choice"


@each_platform
def test_a_field_left_empty_means_its_default(platform: Platform) -> None:
    """On this rests that saving untouched defaults changes nothing."""
    config = CONFIG[platform.key]
    items = [item(event, platform, email="ada@example.com") for event in sorted(platform.recommended)]
    for field in platform.fields:
        if not field.default or field.required:
            continue
        built = [platform.build(items, {**config, field.name: value}, NOW) for value in (field.default, "")]
        assert built[0] == built[1], field.name


@each_platform
def test_its_examples_are_a_whole_configuration(platform: Platform) -> None:
    assert platform.problems(platform.example_config()) == {}


@each_platform
def test_all_canonical_events_are_mapped_as_agreed(platform: Platform) -> None:
    assert list(MAPPINGS) == list(NAMES)
    assert set(platform.events) == set(NAMES)
    if platform.key in MAPPINGS["SignUp"]:
        agreed = {event: "" if row[platform.key] == "none" else row[platform.key] for event, row in MAPPINGS.items()}
        assert {event: platform.native_name(event) for event in NAMES} == agreed


@each_platform
def test_the_default_list(platform: Platform) -> None:
    assert platform.recommended == DEFAULT_LISTS[platform.key]
    assert all(platform.native_name(event) for event in platform.recommended)


def test_no_ad_platform_recommends_money_back_or_product_events() -> None:
    never = {"Refund", "Chargeback", "Churned", *NAMES[44:]}
    assert len(never) == 25
    for platform in PLATFORMS:
        if platform.kind == Kind.ADS:
            assert not platform.recommended & never


# --- Build --------------------------------------------------------------------------------------------
text = st.text(min_size=1, max_size=20) | st.sampled_from(
    ["a@b.co", "+14155552671", "US", "😀", "ı̇", "'\"\\\r\n", "a" * 64, "<script>", "https://x.example/?fbclid=Ab", "٣"]
)
optional = st.none() | text
scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | text
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3), max_leaves=8
)
overrides = st.dictionaries(
    st.sampled_from([platform.key for platform in PLATFORMS]),
    st.dictionaries(
        st.sampled_from(["user_data", "custom_data", "event_name", "user", "data", "conversion", "x"]),
        json_values | st.dictionaries(st.sampled_from(["em", "value", "userIds", "userInfo"]), json_values, max_size=3),
        max_size=3,
    ),
    max_size=2,
)
SPECIAL: dict[str, st.SearchStrategy[Any]] = {
    "value": st.none() | st.floats() | st.sampled_from([0.0, -1.0, 1e15, 0.1]),
    "currency": st.none() | st.sampled_from(["USD", "JPY"]),
    "num_items": st.none() | st.integers(0, 10**9),
    "content_ids": st.lists(text, max_size=3),
    "click_ids": st.dictionaries(st.sampled_from(sorted(CLICK_IDS)), text, max_size=3),
    "consent": st.dictionaries(st.sampled_from(["marketing", "analytics"]), st.booleans(), max_size=2),
    "properties": st.dictionaries(text, json_values, max_size=3),
    "platform_params": overrides,
}
payloads = st.builds(Payload, **{name: SPECIAL.get(name, optional) for name in Payload.__struct_fields__})
items = st.lists(
    st.builds(
        lambda event, event_id, occurred_ms, native, native_id, payload: (
            event, event_id, occurred_ms, native, native_id, payload,
        ),
        st.sampled_from(NAMES) | st.sampled_from(["MyOwnEvent", "A" * 64]),
        st.text(min_size=1, max_size=128),
        st.integers(0, 4_102_444_800_000) | st.integers(NOW_MS - HOUR_MS, NOW_MS),
        st.booleans(),
        st.booleans(),
        payloads,
    ),
    max_size=4,
)  # fmt: skip


def accounted(platform: Platform, given_items: list[Item], built: Built) -> None:
    """Each item in exactly one place, order kept, limits respected."""
    carried = [one.key for request in built.requests for one in request.items]
    refused = [skip.item.key for skip in built.skipped]
    assert sorted(carried + refused) == [one.key for one in given_items]
    assert carried == sorted(carried)
    assert refused == sorted(refused)
    for request in built.requests:
        assert 1 <= len(request.items) <= platform.batch_limit
        keys = {one.key for one in request.items}
        assert all({one.key for one in part.items} <= keys and not part.before for part in request.before)
        assert all(isinstance(value, str) and "\n" not in value for value in request.headers.values())
        if platform.max_body_bytes and len(request.items) > 1:
            assert len(request.body) <= platform.max_body_bytes
    for skip in built.skipped:
        assert skip.reason in reasons.REASONS
        assert skip.detail.endswith(".")


@each_platform
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(parts=items)
def test_build_never_raises_and_accounts_for_every_item(platform: Platform, parts: list[Any]) -> None:
    given_items = [
        Item(
            key=key,
            event=event,
            event_id=event_id,
            occurred_ms=occurred_ms,
            payload=payload,
            native_name=platform.native_name(event) if is_resolved else "",
            native_id=platform.native_id.example if platform.native_id and has_id else "",
        )
        for key, (event, event_id, occurred_ms, is_resolved, has_id, payload) in enumerate(parts)
    ]
    config = CONFIG[platform.key]
    built = platform.build(given_items, config, NOW)
    accounted(platform, given_items, built)
    secrets = [config[name] for name in platform.secret_names if config.get(name)]
    in_url = [config[name] for name in platform.url_secrets]
    for request in [part for whole in built.requests for part in (*whole.before, whole)]:
        if platform.is_json:
            for line in request.body.split(b"\n"):
                assert not line or msgspec.json.decode(line) is not None
        assert not [secret for secret in secrets if secret in request.url and secret not in in_url]
        assert not [secret for secret in secrets if secret.encode() in request.body]
    assert platform.build(given_items, config, NOW) == built, "the same on every call"


FULL = {
    "email": "ada@example.com", "external_id": "u1", "anonymous_id": "a1", "value": 1.0, "currency": "USD",
    "page_url": "https://app.example.com/pricing", "transaction_id": "t1",
}  # fmt: skip


@each_platform
def test_a_batch_beyond_the_limit_becomes_several_requests_in_order(platform: Platform) -> None:
    count = min(platform.batch_limit, 5000) * 2 + 1
    one = item("Purchase", platform, **FULL)
    many = [msgspec.structs.replace(one, key=key, event_id=f"e{key}") for key in range(count)]
    built = platform.build(many, CONFIG[platform.key], NOW)
    accounted(platform, many, built)
    assert built.skipped == []
    assert len(built.requests) == math.ceil(count / platform.batch_limit)


@each_platform
def test_long_texts_are_carried_or_refused(platform: Platform) -> None:
    long = {name: "é😀x" * 3_400 for name in Payload.__struct_fields__ if name not in SPECIAL}
    many = [item("Purchase", platform, key=key, **long) for key in range(3)]
    accounted(platform, many, platform.build(many, CONFIG[platform.key], NOW))


@each_platform
def test_requests_stay_below_the_size_limit(platform: Platform) -> None:
    if platform.max_body_bytes is None:
        pytest.skip("the platform has none")
    person = {"email": "a@b.co", "external_id": "u", "anonymous_id": "a", "first_name": "Ada", "last_name": "Byron"}
    long = {"content_name": "x" * 500_000, "company_name": "x" * 500_000}
    large = [item("SignUp", platform, key=key, **person, **long) for key in range(40)]
    built = platform.build(large, CONFIG[platform.key], NOW)
    accounted(platform, large, built)
    assert len(built.requests) > 1


@each_platform
@pytest.mark.parametrize("event", NAMES)
def test_every_mapped_event_can_be_built(platform: Platform, event: str) -> None:
    if not platform.native_name(event):
        pytest.skip("unmapped")
    built = platform.build([item(event, platform, **FULL)], CONFIG[platform.key], NOW)
    assert len(built.requests) == 1


@each_platform
def test_nothing_to_send_is_no_request(platform: Platform) -> None:
    assert platform.build([], CONFIG[platform.key], NOW) == Built(requests=[], skipped=[])


@each_platform
def test_what_is_too_old_stays_out_of_the_batch(platform: Platform) -> None:
    if platform.max_age is None:
        pytest.skip("the platform takes any age")
    old = item(
        "SignUp", platform, key=0, occurred_ms=NOW_MS - int(platform.max_age / timedelta(milliseconds=1)) - 1, **FULL
    )
    built = platform.build([old, item("SignUp", platform, key=1, **FULL)], CONFIG[platform.key], NOW)
    assert [skip.reason for skip in built.skipped] == ["too_old"]
    assert len(built.requests[0].items) == 1


PLAIN = {
    "email": "ada.byron@example.com", "phone": "+14155552671", "first_name": "Adamaria", "last_name": "Byronova",
    "city": "Londonderry", "zip": "94103", "external_id": "user_4711",
}  # fmt: skip


@each_platform
def test_ad_platforms_get_no_identity_in_plain(platform: Platform) -> None:
    if platform.kind != Kind.ADS:
        pytest.skip("not an ad platform")
    (request,) = platform.build([item("SignUp", platform, **PLAIN)], CONFIG[platform.key], NOW).requests
    for name, value in PLAIN.items():
        if name not in platform.plain_identity:
            assert value.lower().encode() not in request.body.lower(), name


# --- Parse --------------------------------------------------------------------------------------------
answers = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [b"", b"<html><body>502 Bad Gateway</body></html>", b'{"error":{"code":1', b"null", b"[]", b"1", b'"x"',
         b'{"error":null}', b'{"elements":[null,{"status":"x"}]}', b'{"message":"indices [0, 99999999999]"}',
         b'{"message":"Index: 0, ERROR :: /x :: y Index: 1"}', b'{"error":{"code":"190"}}', b"\xff\xfe"]
    ),
    st.dictionaries(st.sampled_from(["error", "message", "elements", "events_received", "code"]), json_values).map(
        msgspec.json.encode
    ),
    st.dictionaries(st.sampled_from(["code", "error_subcode", "message", "is_transient"]), json_values).map(
        lambda error: msgspec.json.encode({"error": error})
    ),
)  # fmt: skip


@each_platform
@settings(max_examples=150, deadline=None)
@given(
    status=st.integers(100, 599),
    answer=answers,
    count=st.integers(1, 4),
    headers=st.dictionaries(st.just("retry-after"), st.sampled_from(["", "3", "-1", "soon", "1e9", "٣", "²"])),
)
def test_parse_gives_one_outcome_per_item(
    platform: Platform, status: int, answer: bytes, count: int, headers: dict[str, str]
) -> None:
    sent = tuple(item("SignUp", platform, key=key) for key in range(count))
    request = Request(method="POST", url="https://x.example", headers={}, body=b"", items=sent)
    outcomes = platform.parse(request, Response(status=status, headers=headers, body=answer))
    assert len(outcomes) == count
    for outcome in outcomes:
        assert isinstance(outcome, Outcome)
        assert outcome.after is None or outcome.after >= 0
        assert len(outcome.detail) <= 400
        assert outcome.reason in {"", base.TOKEN_EXPIRED, *reasons.REASONS}
        assert outcome.reason != base.TOKEN_EXPIRED or outcome.result == Result.CONFIG
        if outcome.result not in (Result.OK,):
            assert outcome.detail
        if count == 1:
            assert outcome.result != Result.SPLIT
        if not platform.is_builtin and outcome.result == Result.OK:
            assert 200 <= status < 300


@each_platform
@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(platform: Platform, status: int) -> None:
    if platform.is_builtin:
        pytest.skip("nothing is sent")
    request = Request(method="POST", url="u", headers={}, body=b"", items=(item(), item()))
    outcomes = platform.parse(request, Response(status=status, headers={"retry-after": "9"}, body=b"<html>"))
    assert [(outcome.result, outcome.after) for outcome in outcomes] == [(Result.RETRY, 9.0)] * 2


# --- Helpers they share -------------------------------------------------------------------------------
def test_decimal_text() -> None:
    assert [base.decimal_text(value) for value in (0.0, 5.0, 49.9, 0.001)] == ["0.00", "5.00", "49.90", "0.001"]
