"""Tinybird's double: who may send, what is refused as a whole, and what goes to quarantine."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from destinations.platforms.base import Result
from destinations.sandbox.server import Sandbox
from tests.destinations.platforms.making import item
from tests.destinations.sandbox.support import GONE, Reply, ask
from tests.destinations.sandbox.warehouses import ITEMS, deliver
from tests.destinations.sandbox.warehouses import ROW as SHARED

ROW = SHARED | {"occurred_at": "2026-11-23 11:00:00.000"}
TOKEN = "p.eyJ1IjoiYSJ9.abcdefgh"


def send(sandbox: Sandbox, *rows: Any, method: str = "POST", path: str = "/v0/events", token: str = TOKEN,
         content_type: str = "application/x-ndjson", **changes: Any) -> Reply:  # fmt: skip
    parameters = {"name": "events", "wait": "true"} | changes
    query = urlencode({name: value for name, value in parameters.items() if value is not GONE})
    body = b"\n".join(row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows or (ROW,))
    headers = {"Authorization": f"Bearer {token}", "Content-Type": content_type}
    return ask(sandbox.url, method, f"/tinybird{path}?{query}", body, headers)


def test_rows_are_counted(sandbox: Sandbox) -> None:
    reply = send(sandbox, ROW, ROW | {"event_id": "evt-2", "email": None})
    assert (reply.status, reply.json) == (200, {"successful_rows": 2, "quarantined_rows": 0})
    assert send(sandbox, wait="false").status == send(sandbox, wait=GONE).status == 202


@pytest.mark.parametrize(
    "change",
    [
        {"email": 5}, {"value": "49.9"}, {"value": True}, {"num_items": 1.5}, {"content_ids": ["a"]},
        {"properties": "{"}, {"event_id": None}, {"occurred_at": 1795431600}, {"occurred_at": "2026-11-23T11:00:00Z"},
        {"mine": "x"},
    ],
    ids=str,
)  # fmt: skip
def test_a_row_that_does_not_fit_goes_to_quarantine(sandbox: Sandbox, change: dict[str, Any]) -> None:
    reply = send(sandbox, ROW, ROW | {"event_id": "bad"} | change)
    assert (reply.status, reply.json) == (200, {"successful_rows": 1, "quarantined_rows": 1})
    assert ask(sandbox.url, "GET", "/_accepted").json == {"evt-1": 1}


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"name": GONE}, 400), ({"name": "a-b"}, 400), ({"name": "missing_source"}, 400),
        ({"name": "broken_view"}, 422),
        ({"wait": "1"}, 400), ({"surprise": "1"}, 400), ({"method": "GET"}, 405), ({"path": "/v0/datasources"}, 404),
        ({"token": "eyJ1"}, 403), ({"token": TOKEN + "expired"}, 403), ({"token": TOKEN + "revoked"}, 403),
        ({"token": TOKEN + "forbidden"}, 403), ({"content_type": "text/csv"}, 415),
    ],
    ids=str,
)  # fmt: skip
def test_requests(sandbox: Sandbox, options: dict[str, Any], status: int) -> None:
    reply = send(sandbox, **options)
    assert reply.status == status
    assert reply.json["error"]


@pytest.mark.parametrize("body", [b"", b"{", b'{"a":NaN}'])
def test_bodies(sandbox: Sandbox, body: bytes) -> None:
    assert send(sandbox, body).status == 400


def test_size(sandbox: Sandbox) -> None:
    assert send(sandbox, ROW | {"page_title": "x" * 10_000_000}).status == 413


# --- With the adapter ---------------------------------------------------------------------------------
@pytest.mark.parametrize("wait", ["true", "false"])
def test_what_the_adapter_builds_is_taken(sandbox: Sandbox, wait: str) -> None:
    outcomes = deliver(sandbox, "tinybird", wait=wait)
    assert [(outcome.result, outcome.detail) for outcome in outcomes] == [(Result.OK, "")] * len(ITEMS)
    assert ask(sandbox.url, "GET", "/_accepted").json == {f"e{n}": 1 for n in range(5)}


@pytest.mark.parametrize(
    ("config", "result"),
    [
        ({"token": TOKEN + "expired"}, Result.CONFIG),
        ({"token": TOKEN + "forbidden"}, Result.CONFIG),
        ({"data_source": "missing_source"}, Result.CONFIG),
        ({"data_source": "broken_view"}, Result.SKIPPED),
    ],
    ids=str,
)
def test_the_adapter_reads_the_refusals(sandbox: Sandbox, config: dict[str, str], result: Result) -> None:
    assert {outcome.result for outcome in deliver(sandbox, "tinybird", **config)} == {result}


def test_the_adapter_tells_of_quarantine(sandbox: Sandbox) -> None:
    bad = item(platform_params={"tinybird": {"value": "many"}})
    outcomes = deliver(sandbox, "tinybird", [item(), bad])
    assert [outcome.result for outcome in outcomes] == [Result.OK] * 2
    assert "quarantine" in outcomes[0].detail
    assert [outcome.result for outcome in deliver(sandbox, "tinybird", [bad])] == [Result.SKIPPED]


@pytest.mark.parametrize(
    ("kind", "result"),
    [("429", Result.RETRY), ("500", Result.RETRY), ("503", Result.RETRY), ("html", Result.RETRY),
     ("empty", Result.RETRY),
     ("401", Result.CONFIG), ("403", Result.CONFIG), ("404", Result.CONFIG),
     ("413", Result.SPLIT), ("422", Result.SKIPPED), ("partial", Result.OK)],
)  # fmt: skip
def test_injected_failures(sandbox: Sandbox, kind: str, result: Result) -> None:
    ask(sandbox.url, "POST", "/_failures", {"platform": "tinybird", "kind": kind, "times": 1})
    assert {outcome.result for outcome in deliver(sandbox, "tinybird")} == {result}
