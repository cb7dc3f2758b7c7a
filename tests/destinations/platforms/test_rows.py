"""The row that the data platforms share."""

from __future__ import annotations

import json
import math
import re

import pytest

from destinations import platforms
from destinations.platforms import _rows, warehouse
from destinations.platforms._rows import KINDS, batch_hash, iso, row, spaced
from tests.destinations.platforms.making import item

WAREHOUSES = ("clickhouse", "tinybird", "bigquery", "files")


def test_what_is_there_is_what_the_built_in_warehouse_has() -> None:
    full = item("Purchase", email="Ada@Example.com", phone="1", value=0.0, currency="USD", num_items=0,
                content_ids=["é"], click_ids={"gclid": "g"}, consent={"marketing": False},
                properties={"a": [1]}, zip="01234")  # fmt: skip
    stored = {name: value for name, value in warehouse.row(full).items() if value is not None}
    assert list(row(full, "x").items()) == list(stored.items())
    assert row(full, "x")["value"] == 0.0
    assert json.loads(row(full, "x")["consent"]) == {"marketing": False}


def test_what_the_event_does_not_carry_is_left_out() -> None:
    assert row(item(), "x") == {"event_id": "evt-1", "event": "SignUp", "occurred_at": "2026-11-23T11:00:00.000Z"}


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 1e309])
def test_an_amount_that_json_cannot_write_is_left_out(value: float) -> None:
    assert "value" not in row(item(value=value, currency="USD"), "x")


def test_the_name_entered_for_the_route_wins() -> None:
    assert row(item("SignUp", native_name="signed_up"), "x")["event"] == "signed_up"
    assert row(item("MyOwnEvent"), "x")["event"] == "MyOwnEvent"


def test_overrides_stay_flat_and_null_takes_away() -> None:
    given = {"plan": "x", "email": None, "mine": {"a": 1}, "properties": {"b": 2}, "content_ids": ["c"], "n": 1}
    made = row(item(email="a@b.co", properties={"a": 1}, platform_params={"files": given, "other": {"z": 1}}), "files")
    assert made == {
        "event_id": "evt-1", "event": "SignUp", "occurred_at": "2026-11-23T11:00:00.000Z",
        "plan": "x", "mine": '{"a":1}', "properties": '{"b":2}', "content_ids": '["c"]', "n": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0, "1970-01-01T00:00:00.000Z"), (1, "1970-01-01T00:00:00.001Z"), (4_102_444_800_000, "2100-01-01T00:00:00.000Z")],
)
def test_times(milliseconds: int, text: str) -> None:
    assert iso(milliseconds) == text
    assert spaced(milliseconds) == text.replace("T", " ").rstrip("Z")


def test_a_batch_is_named_by_its_events_in_their_order() -> None:
    one, two = item(event_id="a"), item(event_id="b")
    assert batch_hash([one, two]) == batch_hash([one, item(event_id="b", email="x@y.zz")])
    assert (
        len({batch_hash([one, two]), batch_hash([two, one]), batch_hash([one]), batch_hash([item(event_id="ab")])}) == 4
    )


@pytest.mark.parametrize("key", WAREHOUSES)
def test_the_table_has_every_column_once(key: str) -> None:
    names = re.findall(r"^    `(\w+)` \S", platforms.get(key).ddl, re.MULTILINE)  # type: ignore[attr-defined]
    assert [name for name in names if name != "loaded_at"] == list(KINDS)


def test_every_column_has_a_kind() -> None:
    assert tuple(KINDS) == warehouse.COLUMNS
    assert {name for name, kind in KINDS.items() if kind != "text"} == {
        *warehouse.NESTED,
        *("occurred_at", "value", "num_items"),
    }
    assert {"email", "phone", "external_id", "client_ip", "user_agent"} <= _rows.PLAIN_IDENTITY
