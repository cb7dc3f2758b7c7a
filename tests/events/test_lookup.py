"""Looking events up by transaction, order and person: whatever the index has summed up yet, and told to nobody."""

from __future__ import annotations

import hashlib
import io
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from events import lookup
from events.ingest import Sender, accept_batch
from events.models import Event
from routing.dispatch import route_due
from tests import factories
from tests.logins import client_with

pytestmark = pytest.mark.django_db


def send(*events: dict[str, Any]) -> None:
    accept_batch(json.dumps(list(events)).encode(), Sender(source_id=factories.make_source().pk, trace_id="l" * 32))


def purchase(event_id: str, **fields: Any) -> dict[str, Any]:
    return factories.event("Purchase", event_id, value=5, currency="USD", **fields)


def ids(by: str, text: str) -> list[str]:
    return [event.event_id for event in lookup.find(by, text)]


def test_every_key_newest_first() -> None:
    send(purchase("p1", transactionId="t-1", orderId="o-1", email="Ada@Example.com", externalId="user-7"))
    send(purchase("p2", transactionId="t-2", orderId="o-1", email="bob@example.com", externalId="user-8"))
    for _ in range(2):
        assert ids("transaction", " t-1 ") == ["p1"]
        assert ids("order", "o-1") == ["p2", "p1"]
        assert ids("email", "ADA@example.COM") == ["p1"]
        assert ids("external", "user-8") == ["p2"]
        assert ids("external", "user-9") == ids("order", "") == ids("order", "\x00") == []
        lookup.summarize()


def test_the_index_answers() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        for key in lookup.KEYS.values():
            cursor.execute(f"EXPLAIN SELECT id FROM events_event WHERE ({key.expression}) = 'x'")
            assert any(lookup.INDEX in row[0] for row in cursor.fetchall()), key.label


def test_the_trace_page_looks_by_post_and_repeats_no_address() -> None:
    send(purchase("p1", email="ada@example.com", transactionId="t-1"))
    client = client_with("destinations.view_delivery")
    page = reverse("destinations:trace")
    html = client.post(page, {"by": "email", "id": "ada@example.com"}).content.decode()
    assert f"{page}?id=p1" in html
    assert "ada@example.com" not in html
    assert "No event carries it" in client.post(page, {"by": "order", "id": "none"}).content.decode()
    answer = client.post(page, {"by": "event", "id": "p1"})
    assert answer.url == f"{page}?id=p1", "an event id tells nobody, and its page can be shared"
    assert "No event carries it" not in client.get(page).content.decode()


def test_each_reason_has_its_mend(settings: Any) -> None:
    meta = factories.make_destination("meta")
    linkedin = factories.make_destination("linkedin")
    linkedin.routes.all().delete()
    from routing import snapshot

    snapshot.bump()
    send(factories.event("FeatureUsed", "f1"), factories.event("SignUp", "s1"), factories.event("Unheard", "u1"))
    route_due()
    client = client_with(group="Engineer")

    def shown(event_id: str) -> str:
        html: str = client.get(reverse("destinations:trace"), {"id": event_id}).content.decode()
        return html

    assert "Switch it on" in shown("f1")
    assert reverse("routing:mapping", args=[linkedin.pk, "SignUp"]) in shown("s1")
    assert "Register it" in shown("u1")
    assert meta.name in shown("s1")


def test_the_command_looks_by_other_keys(capsys: pytest.CaptureFixture[str]) -> None:
    send(purchase("p1", orderId="o-1"), purchase("p2", orderId="o-2"), purchase("p3", orderId="o-2"))
    call_command("trace", "o-1", by="order", json=True)
    assert json.loads(capsys.readouterr().out)["event_id"] == "p1"
    call_command("trace", "o-2", by="order")
    assert capsys.readouterr().out.split() == ["p3", "p2"]
    with pytest.raises(SystemExit):
        call_command("trace", "o-3", by="order")
    assert Event.objects.count() == 3


def test_an_address_is_found_however_it_was_sent() -> None:
    digest = hashlib.sha256(b"ada@example.com").hexdigest()
    send(purchase("plain", email="Ada@Example.com"), purchase("hashed", email=digest))
    assert ids("email", "ada@EXAMPLE.com") == ["hashed", "plain"]
    assert ids("email", digest) == ["hashed"]
    lookup.summarize()
    assert ids("email", "ada@example.com") == ["hashed", "plain"]


def test_the_command_prints_one_document_whatever_is_found(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    send(purchase("p1", orderId="o-1"), purchase("p2", orderId="o-1"))
    route_due()
    call_command("trace", "o-1", by="order", json=True)
    document = json.loads(capsys.readouterr().out)
    assert (document["event_id"], document["found"]) == ("p2", True)
    assert [event["event_id"] for event in document["events"]] == ["p2", "p1"]
    assert document["destinations"] == document["events"][0]["destinations"] != []
    with pytest.raises(SystemExit):
        call_command("trace", "bob@example.com", by="email", json=True)
    assert json.loads(capsys.readouterr().out) == {"event_id": "", "found": False, "destinations": [], "events": []}
    monkeypatch.setattr("sys.stdin", io.StringIO("ada@example.com\n"))
    call_command("trace", "-", by="email")
    assert capsys.readouterr().out.split() == ["p2", "p1"]


@pytest.mark.django_db(transaction=True)
def test_a_filter_forgets_what_retention_took_away() -> None:
    send(*(purchase(f"p{n}", transactionId=f"t-{n}") for n in range(20)))
    lookup.summarize()

    def pages_read(transaction_id: str) -> bool:
        """Whether the filter lets a look through to the table."""
        with connection.cursor() as cursor:
            cursor.execute("SET enable_seqscan = off")
            cursor.execute(
                "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) SELECT id FROM events_event"
                f" WHERE (payload->>'transactionId') = '{transaction_id}'"
            )
            plan = "\n".join(row[0] for row in cursor.fetchall())
            cursor.execute("SET enable_seqscan = DEFAULT")
        assert lookup.INDEX in plan
        return "Heap Blocks" in plan

    assert pages_read("t-7")
    Event.objects.filter(event_id="p7").delete()
    assert pages_read("t-7"), "a filter keeps what is gone"
    assert lookup.refresh() >= 1, "one range of pages, or more where other tests left room in the table"
    assert not pages_read("t-7")
    assert ids("transaction", "t-8") == ["p8"]


def test_filters_are_made_anew_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "PAGES_PER_RANGE", 1)
    monkeypatch.setattr(lookup, "RANGES_PER_TURN", 2)
    send(*(purchase(f"p{n}") for n in range(90)))
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_relation_size('events_event') / 8192")
        pages = cursor.fetchone()[0]
    assert pages > 2
    begun = datetime(2026, 1, 1, tzinfo=UTC)
    touched: set[int] = set()
    for turn in range(-(-pages // 2)):
        with CaptureQueriesContext(connection) as queries:
            lookup.refresh(begun + turn * timedelta(seconds=lookup.TURN_SECONDS))
        touched |= {int(found[1]) for q in queries if (found := re.search(r"desummarize_range\(.*, (\d+)\)", q["sql"]))}
    assert touched == set(range(pages)), "each once in a round"
