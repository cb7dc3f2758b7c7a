"""The built-in warehouse: the form of an export row."""

from __future__ import annotations

import json

import pytest

from destinations.platforms.base import Response, Result
from destinations.platforms.warehouse import COLUMNS, Warehouse, row
from events.payload import Payload
from tests.destinations.platforms.making import NOW, item, only

WAREHOUSE = Warehouse()


def test_one_line_per_event_and_no_http() -> None:
    items = [item(key=n, event_id=f"e{n}", properties={"line": "a\nb"}) for n in range(3)]
    request = only(WAREHOUSE.build(items, {}, NOW))
    assert (request.method, request.url) == ("STORE", "warehouse:events")
    lines = request.body.decode().splitlines()
    assert [json.loads(line)["event_id"] for line in lines] == ["e0", "e1", "e2"]


def test_every_row_has_the_same_columns_in_the_same_order() -> None:
    full = item(email="a@b.co", content_ids=["x"], click_ids={"gclid": "g"}, consent={"marketing": True})
    assert tuple(row(full)) == tuple(row(item())) == COLUMNS


def test_columns_are_stable() -> None:
    assert COLUMNS[:5] == ("event_id", "event", "occurred_at", "email", "phone")
    assert set(Payload.__struct_fields__) - set(COLUMNS) == {"platform_params"}


def test_rows_are_flat() -> None:
    full = row(item(content_ids=["é"], click_ids={"gclid": "g"}, consent={"marketing": True}, properties={"a": [1]}))
    assert not [value for value in full.values() if isinstance(value, list | dict)]
    assert json.loads(full["content_ids"]) == ["é"]
    assert json.loads(full["properties"]) == {"a": [1]}
    assert row(item())["properties"] is None
    assert full["occurred_at"] == "2026-11-23T11:00:00.000Z"


@pytest.mark.parametrize("status", [0, 200, 500])
def test_what_is_stored_is_delivered(status: int) -> None:
    request = only(WAREHOUSE.build([item(), item()], {}, NOW))
    assert [o.result for o in WAREHOUSE.parse(request, Response(status=status))] == [Result.OK, Result.OK]
