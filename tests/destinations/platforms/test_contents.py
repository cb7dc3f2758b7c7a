"""The sender's list of contents, as each platform takes it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from destinations import platforms
from destinations.platforms._contents import MOST, Content, contents_of
from events.payload import Payload
from tests.destinations.platforms.making import CONFIG, item

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ITEMS = [
    {"item_id": "growth", "item_name": "Growth", "item_category": "plans", "quantity": 2, "price": 19.5, "margin": 0.4},
    {"product_id": 7, "email": "ada@example.com"},
]


def sent(key: str, **fields: Any) -> dict[str, Any]:
    platform = platforms.get(key)
    fields = {"email": "ada@example.com", "value": 39.0, "currency": "USD", "properties": {"items": ITEMS}} | fields
    made = item("Purchase", platform, **fields)
    built = platform.build([made], CONFIG[key], NOW)
    assert not built.skipped
    body: dict[str, Any] = json.loads(built.requests[0].body)
    return body


def test_only_known_fields_of_entries_with_an_id() -> None:
    payload = Payload(properties={"products": [*ITEMS, {"name": "no id"}, "text", {"id": True}], "note": "x"})
    assert contents_of(payload) == [
        Content(id="growth", name="Growth", category="plans", price=19.5, quantity=2),
        Content(id="7"),
    ]


@pytest.mark.parametrize("entry", [{"price": -1}, {"price": 1e309}, {"price": "9"}, {"quantity": 0}, {"quantity": 1.5},
                                   {"quantity": True}, {"price": None}])  # fmt: skip
def test_odd_numbers_are_left_out(entry: dict[str, Any]) -> None:
    assert contents_of(Payload(properties={"items": [{"id": "a"} | entry]})) == [Content(id="a")]


def test_a_count_may_be_written_as_a_fraction() -> None:
    """As many a JSON writer does: three must not reach a platform as one."""
    assert contents_of(Payload(properties={"items": [{"id": "a", "quantity": 3.0}]})) == [Content(id="a", quantity=3)]
    body = sent("meta", properties={"items": [{"id": "a", "quantity": 3.0}]})
    assert body["data"][0]["custom_data"]["contents"] == [{"id": "a", "quantity": 3}]


def test_a_long_list_is_cut_and_other_shapes_are_no_list() -> None:
    assert len(contents_of(Payload(properties={"items": [{"id": "a"}] * (MOST + 1)}))) == MOST
    assert contents_of(Payload(properties={"items": "growth"})) == contents_of(Payload()) == []


def test_meta() -> None:
    custom = sent("meta")["data"][0]["custom_data"]
    assert custom["content_ids"] == ["growth", "7"]
    assert custom["contents"] == [{"id": "growth", "quantity": 2, "item_price": 19.5}, {"id": "7", "quantity": 1}]


def test_tiktok() -> None:
    properties = sent("tiktok")["data"][0]["properties"]
    assert properties["contents"] == [
        {"content_id": "growth", "content_name": "Growth", "content_category": "plans", "price": 19.5, "quantity": 2},
        {"content_id": "7"},
    ]


def test_pinterest_takes_prices_as_text() -> None:
    custom = sent("pinterest")["data"][0]["custom_data"]
    assert custom["contents"] == [
        {"id": "growth", "item_name": "Growth", "item_category": "plans", "quantity": 2, "item_price": "19.5"},
        {"id": "7"},
    ]


def test_snapchat() -> None:
    custom = sent("snapchat")["data"][0]["custom_data"]
    assert custom["contents"] == [{"id": "growth", "quantity": 2, "item_price": 19.5}, {"id": "7"}]


def test_x() -> None:
    conversion = sent("x")["conversions"][0]
    assert conversion["contents"] == [
        {"content_id": "growth", "content_name": "Growth", "content_type": "plans", "content_price": 19.5,
         "num_items": 2},
        {"content_id": "7"},
    ]  # fmt: skip


def test_reddit() -> None:
    metadata = sent("reddit", content_category="shop")["data"]["events"][0]["metadata"]
    assert metadata["products"] == [
        {"id": "growth", "name": "Growth", "category": "plans", "quantity": 2, "item_price": 19.5},
        {"id": "7", "category": "shop"},
    ]


def test_microsoft() -> None:
    custom = sent("microsoft")["data"][0]["customData"]
    assert custom["itemIds"] == ["growth", "7"]
    assert custom["items"] == [{"id": "growth", "name": "Growth", "price": 19.5, "quantity": 2}, {"id": "7"}]
