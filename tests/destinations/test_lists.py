"""Attempts, Live and the CSV files: filtered alike, masked, streamed, and nothing a spreadsheet would run."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import pytest
from django.http import StreamingHttpResponse
from django.test import Client
from django.urls import reverse

from destinations import exports, live
from destinations.models import State
from events.ingest import Sender, accept_batch
from routing.dispatch import route_due
from tests import factories
from tests.destinations.test_observe_views import kill
from tests.logins import client_with

pytestmark = pytest.mark.django_db
PAGES = ("live", "attempts", "deliveries_csv", "attempts_csv", "dead_csv")


def send(*events: dict[str, Any], name: str = "Backend") -> None:
    source = factories.make_source(name)
    accept_batch(json.dumps(list(events)).encode(), Sender(source_id=source.pk, trace_id="v" * 32))
    route_due()


def rows(name: str, **query: Any) -> list[dict[str, str]]:
    answer = client_with("destinations.view_delivery").get(reverse(f"destinations:{name}"), query)
    assert isinstance(answer, StreamingHttpResponse)
    text = b"".join(answer.streaming_content).decode()  # type: ignore[arg-type]
    assert text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))


@pytest.mark.parametrize("name", PAGES)
def test_pages_ask_who_is_there_and_what_they_may(name: str) -> None:
    page = reverse(f"destinations:{name}")
    assert Client().get(page).status_code == 302
    assert client_with("destinations.view_destination").get(page).status_code == 403
    assert client_with(group="Viewer").get(page).status_code == 200


def test_deliveries_are_exported_as_they_are_filtered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "ROWS_PER_READ", 2)
    meta = factories.make_destination("meta", name="Pixel")
    send(*(factories.event("SignUp", f"e{n}") for n in range(5)))
    kill(meta)
    found = rows("deliveries_csv", destination=meta.pk)
    assert [row["event_id"] for row in found] == ["e4", "e3", "e2", "e1", "e0"], "all pages, newest first"
    assert {(row["state"], row["reason"], row["destination"]) for row in found} == {("dead", "refused", "Pixel")}
    assert rows("deliveries_csv", destination=meta.pk, state=State.DELIVERED.value) == []
    assert rows("deliveries_csv", state="nonsense") == [], "a filter that makes no sense matches nothing"


def test_no_cell_is_a_formula() -> None:
    factories.make_destination("meta", name="=HYPERLINK(1)")
    send(factories.event("SignUp", "+cmd|' /C calc'!A0"))
    cells = {cell for row in rows("deliveries_csv") for cell in row.values()}
    assert "'=HYPERLINK(1)" in cells
    assert not any(cell.startswith(("=", "+", "@", "-")) for cell in cells)


def test_attempts_are_listed_filtered_and_exported() -> None:
    meta, other = factories.make_destination("meta", name="Pixel"), factories.make_destination("meta", name="Other")
    send(factories.event("SignUp", "e1"))
    kill(meta, detail="Invalid parameter")
    kill(other, detail="Something else")
    client = client_with("destinations.view_delivery")
    page = reverse("destinations:attempts")
    html = client.get(page, {"destination": meta.pk}).content.decode()
    assert "Invalid parameter" in html
    assert 'When (<span data-zone translate="no">UTC</span>)' in html
    assert "Something else" not in html
    for query in ({"outcome": "ok"}, {"status": 200}, {"since": "2099-01-01T00:00"}, {"status": "x"}):
        assert "Invalid parameter" not in client.get(page, query).content.decode()
    assert "Invalid parameter" in client.get(page, {"outcome": "failed", "status": 400}).content.decode()
    (row,) = rows("attempts_csv", destination=meta.pk)
    assert (row["destination"], row["status"], row["deliveries"], row["detail"]) == (
        "Pixel", "400", "1", "Invalid parameter",
    )  # fmt: skip


def test_dead_letters_are_exported_by_cause() -> None:
    meta = factories.make_destination("meta", name="Pixel")
    send(factories.event("SignUp", "e1"), factories.event("SignUp", "e2"))
    kill(meta)
    (row,) = rows("dead_csv")
    assert (row["destination"], row["reason"], row["deliveries"]) == ("Pixel", "refused", "2")


def test_live_shows_the_newest_masked_and_filtered() -> None:
    meta = factories.make_destination("meta", name="Pixel")
    send(factories.event("SignUp", "e1", email="ada@example.com"), name="Shop")
    send(factories.event("FeatureUsed", "e2"), name="App")
    html = client_with("destinations.view_delivery").get(reverse("destinations:live")).content.decode()
    assert re.findall(r"id-cell\">(\w+)<", html) == ["e2", "e1"]
    assert "a***@example.com" in html
    assert "ada@example.com" not in html

    def ids(**filters: Any) -> list[str]:
        return [line.event_id for line in live.lines(filters)]

    assert ids(event="SignUp") == ["e1"]
    assert ids(destination=meta) == ["e1"], "FeatureUsed does not go there"
    assert ids(destination=meta, state=State.DEAD.value) == []
    assert ids(state=State.WAITING.value) == ["e1"]
    kill(meta)
    assert ids(destination=meta, state=State.DEAD.value) == ["e1"]
    (line,) = live.lines({"event": "SignUp"})
    assert line.lanes == [("Pixel", "dead")]
    assert line.skipped == 0


def test_live_does_not_say_not_sent_of_what_waits_to_be_routed() -> None:
    factories.make_destination("meta", name="Pixel")
    source = factories.make_source("Shop")
    accept_batch(json.dumps([factories.event("SignUp", "e1")]).encode(), Sender(source_id=source.pk, trace_id="v" * 32))
    page, client = reverse("destinations:live"), client_with("destinations.view_delivery")
    html = client.get(page).content.decode()
    assert "not sent" not in html
    assert "waits to be routed" in html
    route_due()
    assert "waits to be routed" not in client.get(page).content.decode()


def test_live_reads_little_however_much_there_is(django_assert_max_num_queries: Any) -> None:
    for _ in range(3):
        factories.make_destination("meta")
    send(*(factories.event("SignUp", f"e{n}") for n in range(60)))
    client = client_with("destinations.view_delivery")
    client.get(reverse("destinations:live"))
    with django_assert_max_num_queries(10):
        client.get(reverse("destinations:live"))
    assert len(live.lines({})) == live.MOST
