"""The list of what a destination received: deliveries and routing skips in one order, filtered, paged and exported."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.http import StreamingHttpResponse
from django.urls import reverse
from django.utils import timezone

from destinations import exports, queries, received
from destinations.models import Delivery, State, delivery_pk
from events.ingest import Sender, accept_batch
from events.models import Event
from routing.dispatch import route_due
from tests import factories
from tests.logins import client_with

pytestmark = pytest.mark.django_db

DENIED = {"consent": {"marketing": False}}


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("events.ingest", "routing.dispatch"):
        monkeypatch.setattr(f"{module}.nudge", lambda *_: None)


def send(*events: dict[str, Any], source: str = "Shop") -> None:
    accept_batch(json.dumps(list(events)).encode(), Sender(source_id=SOURCES[source], trace_id="d" * 32))
    route_due()


SOURCES: dict[str, int] = {}


@pytest.fixture(autouse=True)
def _sources() -> None:
    SOURCES.update({name: factories.make_source(name).pk for name in ("Shop", "App")})


def ids(page: queries.Page) -> list[str]:
    return [row.event.event_id for row in page.rows]


def walk(filters: dict[str, Any]) -> Iterator[queries.Page]:
    before = None
    while True:
        page = received.page(filters, before)
        yield page
        if (before := page.older) is None:
            return


def test_skips_and_deliveries_stand_in_one_order() -> None:
    pixel = factories.make_destination("meta", name="Pixel")
    send(factories.event("SignUp", "e1"), factories.event("SignUp", "e2", **DENIED))
    send(factories.event("SignUp", "e3"), factories.event("PageView", "e4", **DENIED))
    everything = received.page({"destination": pixel, "state": queries.RECEIVED})
    assert ids(everything) == ["e4", "e3", "e2", "e1"]
    assert [State(row.state).label for row in everything.rows] == ["Skipped", "Waiting", "Skipped", "Waiting"]
    skipped = received.page({"destination": pixel, "state": State.SKIPPED})
    assert ids(skipped) == ["e4", "e2"]
    assert {row.reason for row in skipped.rows} == {"consent_denied"}
    Delivery.objects.filter(event__event_id="e1").update(state=State.SKIPPED, reason="invalid")
    assert ids(received.page({"destination": pixel, "state": State.SKIPPED})) == ["e4", "e2", "e1"], "when sending, too"


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"event": "SignUp"}, ["e3", "e2"]),
        ({"reason": "consent_denied"}, ["e4", "e2"]),
        ({"reason": "source_not_enabled"}, ["e3"]),
        ({"event_id": "e2"}, ["e2"]),
        ({"event_id": "nobody"}, []),
        ({"detail": "said so"}, []),
        ({"since": timezone.now() + timedelta(days=1)}, []),
        ({"until": timezone.now() - timedelta(days=1)}, []),
    ],
)
def test_filters(filters: dict[str, Any], expected: list[str]) -> None:
    pixel = factories.make_destination("meta", name="Pixel", all_sources=False)
    pixel.sources.add(SOURCES["Shop"])
    factories.make_destination("meta", name="Other", is_enabled=False)
    send(factories.event("SignUp", "e1"), factories.event("SignUp", "e2", **DENIED))
    send(factories.event("SignUp", "e3"), source="App")
    send(factories.event("PageView", "e4", **DENIED))
    found = received.page({"destination": pixel, "state": State.SKIPPED} | filters)
    assert ids(found) == expected
    assert {row.destination_id for row in found.rows} <= {pixel.pk}


def test_without_a_destination_each_has_its_row() -> None:
    pixel, off = factories.make_destination("meta"), factories.make_destination("meta", is_enabled=False)
    send(factories.event("SignUp", "e1"))
    found = received.page({"state": queries.RECEIVED})
    assert {pixel.pk, off.pk} <= {row.destination_id for row in found.rows}
    (skip,) = received.page({"state": State.SKIPPED}).rows
    assert (skip.destination_id, skip.reason) == (off.pk, "destination_disabled")


def test_what_a_backfill_made_a_delivery_of_is_no_skip_any_more() -> None:
    off = factories.make_destination("meta", is_enabled=False)
    send(factories.event("SignUp", "e1"))
    event = Event.objects.get()
    Delivery.objects.create(
        pk=delivery_pk(event.pk, off.pk), event=event, destination=off, state=State.DELIVERED, created_at=timezone.now()
    )
    assert ids(received.page({"destination": off, "state": State.SKIPPED})) == []
    assert ids(received.page({"destination": off, "state": queries.RECEIVED})) == ["e1"]


@pytest.mark.parametrize("per_step", [1, 3, 1000])
def test_pages_follow_the_key_and_miss_nothing(monkeypatch: pytest.MonkeyPatch, per_step: int) -> None:
    monkeypatch.setattr(received, "PAGE_SIZE", 2)
    monkeypatch.setattr(received, "EVENTS_PER_STEP", per_step)
    pixel = factories.make_destination("meta", name="Pixel")
    send(*(factories.event("SignUp", f"e{n}", **(DENIED if n % 2 else {})) for n in range(4)))
    send(*(factories.event("SignUp", f"e{n}", **(DENIED if n % 2 else {})) for n in range(4, 7)))
    pages = [ids(page) for page in walk({"destination": pixel, "state": queries.RECEIVED})]
    assert pages == [["e6", "e5"], ["e4", "e3"], ["e2", "e1"], ["e0"]]
    assert [one for page in walk({"state": State.SKIPPED, "destination": pixel}) for one in ids(page)] == [
        "e5", "e3", "e1",
    ]  # fmt: skip


def test_a_search_that_finds_little_pauses_and_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(received, "EVENTS_PER_STEP", 2)
    monkeypatch.setattr(received, "MOST_EVENTS", 4)
    pixel = factories.make_destination("meta", name="Pixel")
    send(factories.event("SignUp", "e0", **DENIED), *(factories.event("SignUp", f"e{n}") for n in range(1, 7)))
    filters = {"destination": pixel, "state": State.SKIPPED}
    first, second = walk(filters)
    assert ids(first) == []
    assert first.looked_to is not None
    assert (ids(second), second.looked_to) == (["e0"], None)
    html = client_with("destinations.view_delivery").get(
        reverse("destinations:deliveries"), {"destination": pixel.pk, "state": State.SKIPPED.value}
    )
    assert "Looked back to" in html.content.decode()
    assert f"before={first.older}" in html.content.decode()


def test_the_screen_and_its_file_hold_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "ROWS_PER_READ", 2)
    pixel = factories.make_destination("meta", name="Pixel")
    send(*(factories.event("SignUp", f"e{n}", **(DENIED if n % 2 else {})) for n in range(6)))
    client = client_with("destinations.view_delivery")
    query = {"destination": pixel.pk, "event": "SignUp", "state": State.SKIPPED.value}
    html = client.get(reverse("destinations:deliveries"), query).content.decode()
    assert html.count('<th scope="row">') == 3
    assert "consent_denied" in html
    assert "?id=e5" in html
    answer = client.get(reverse("destinations:deliveries_csv"), query)
    assert isinstance(answer, StreamingHttpResponse)
    text = b"".join(answer.streaming_content).decode().removeprefix("\ufeff")  # type: ignore[arg-type]
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["event_id"], row["state"], row["reason"]) for row in rows] == [
        (f"e{n}", "skipped", "consent_denied") for n in (5, 3, 1)
    ]


def test_queries_do_not_grow_with_rows(django_assert_num_queries: Any) -> None:
    pixel = factories.make_destination("meta", name="Pixel")
    send(*(factories.event("SignUp", f"e{n}", **(DENIED if n % 2 else {})) for n in range(40)))
    with django_assert_num_queries(8):  # the span, a savepoint and two settings around the rows, two look-ups by key
        received.page({"destination": pixel, "state": queries.RECEIVED})
