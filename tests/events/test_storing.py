"""Concurrent requests share a transaction, and none of them notices."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

import pytest
from django.db import DataError, OperationalError, connection, connections, transaction

from events import storing, writing
from events.contract import Accepted, Rejected
from events.models import Event, IngestBatch, RejectedEvent
from events.storing import Batch, store

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)
BACKSLASH = '{"pageTitle":"a\\\\b\\ttab \\"quoted\\" é 😀"}'


def accepted(*ids: str, text: str = '{"email":"a@b.co"}') -> list[Accepted]:
    return [Accepted(i, "SignUp", event_id, 1_795_000_000_123 + i, {}, text.encode()) for i, event_id in enumerate(ids)]


def batch(*ids: str, source_id: int = 1, **values: Any) -> Batch:
    defaults: dict[str, Any] = {
        "source_id": source_id, "received_at": NOW, "client_ip": "203.0.113.7", "user_agent": "curl\t8\\x", "sdk": "s",
        "trace_id": "0" * 32, "accepted": accepted(*ids), "rejected": [],
    }  # fmt: skip
    return Batch(**(defaults | values))


def fresh(one: Batch) -> list[str]:
    return [event.event_id for event in one.fresh]


@pytest.fixture(params=["insert", "copy"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "copy":
        monkeypatch.setattr(writing, "MOST_INSERTED", -1)
    return str(request.param)


def test_a_group_is_stored_with_its_batches(way: str) -> None:
    store(batch("known"))
    group = [batch("a", "b", "a"), batch("b", "c", "known"), batch("a", source_id=2), batch("known"), batch()]
    storing._settle(group)
    assert [fresh(one) for one in group] == [["a", "b"], ["c"], ["a"], [], []]
    assert all(one.error is None and one.is_settled for one in group)
    rows = list(IngestBatch.objects.order_by("id").values_list("accepted", "duplicates", "source_id"))
    assert rows == [(1, 0, 1), (2, 1, 1), (1, 2, 1), (1, 0, 2), (0, 1, 1), (0, 0, 1)]
    assert [row.routed_at for row in IngestBatch.objects.order_by("id")] == [None, None, None, None, NOW, NOW]
    stored = IngestBatch.objects.get(accepted=2)
    assert (stored.client_ip, stored.user_agent, stored.sdk, stored.received_at) == (
        "203.0.113.7", "curl\t8\\x", "s", NOW,
    )  # fmt: skip
    events = list(Event.objects.order_by("id").values_list("event_id", "source_id"))
    assert events == [("known", 1), ("a", 1), ("b", 1), ("c", 1), ("a", 2)]
    for event in Event.objects.filter(source_id=2):
        assert IngestBatch.objects.get(pk=event.batch_id).source_id == 2


def test_every_value_arrives_as_it_was(way: str) -> None:
    store(batch(accepted=accepted("é\t\\ 😀", text=BACKSLASH), client_ip=None))
    event = Event.objects.get()
    assert (event.event_id, event.name, event.received_at) == ("é\t\\ 😀", "SignUp", NOW)
    assert event.occurred_at == datetime.fromtimestamp(1_795_000_000, UTC).replace(microsecond=123_000)
    assert event.payload == {"pageTitle": 'a\\b\ttab "quoted" é 😀'}
    assert IngestBatch.objects.get().client_ip is None


def test_rejected_events_are_kept_with_their_batch() -> None:
    refused = Rejected(1, "event", "unknown_name", "event: unknown", "signup", "r", '{"event":"signup"}')
    store(batch("a", rejected=[refused]))
    row = RejectedEvent.objects.get()
    assert (row.batch_id, row.payload) == (IngestBatch.objects.get().pk, '{"event":"signup"}')


def test_one_batch_that_cannot_be_stored_does_not_take_the_others_with_it(way: str) -> None:
    bad = batch(accepted=accepted("x", text='{"pageTitle":"\\u0000"}') + accepted("y"))
    group = [batch("a"), bad, batch("b")]
    storing._settle(group)
    assert [fresh(one) for one in group] == [["a"], ["y"], ["b"]]
    assert [one.code for one in bad.rejected] == ["not_storable"]
    assert RejectedEvent.objects.get().event_id == "x"


def test_many_threads_get_each_their_own_answer() -> None:
    """More requests than a group holds, ids in common, and a slow first group so that the others gather."""
    real, calls = storing.write, []

    def slow(group: Any) -> None:
        calls.append(len(group))
        if len(calls) == 1:
            first_is_in.set()
            ready.wait(20)
        real(group)

    first_is_in, ready = threading.Event(), threading.Event()
    batches = [batch(f"own-{i}", "common", f"own-{i}") for i in range(40)]

    def run(one: Batch) -> None:
        try:
            store(one)
        finally:
            connections.close_all()

    with patch("events.storing.write", side_effect=slow):
        threads = [threading.Thread(target=run, args=(one,)) for one in batches]
        threads[0].start()
        assert first_is_in.wait(5), "the writer takes up the first batch while there is no other"
        for thread in threads[1:]:
            thread.start()
        for _ in range(1000):
            if storing._waiting.qsize() == 39:
                break
            time.sleep(0.01)
        ready.set()
        for thread in threads:
            thread.join(20)
    assert sum(calls) == 40
    assert calls[0] == 1
    assert len(calls) == 3, "one alone, then as many as a group takes, then the rest"
    assert Event.objects.count() == 41
    assert sorted(len(one.fresh) for one in batches) == [1] * 39 + [2]


def test_an_error_reaches_everyone_who_waited_and_the_next_one_can_store() -> None:
    group = [batch("a"), batch("b")]
    with patch("events.storing.write", side_effect=OperationalError("gone")) as tried:
        storing._settle(group)
        assert tried.call_count == 1, "a database that is away is not asked once for each"
    assert [type(one.error) for one in group] == [OperationalError] * 2
    with patch("events.storing.write", side_effect=DataError("?")), pytest.raises(DataError):
        store(batch("c"))
    store(batch("d"))
    assert Event.objects.get().event_id == "d"


def test_whatever_happens_to_a_group_the_writer_goes_on() -> None:
    with patch("events.storing.write", side_effect=SystemExit), pytest.raises(storing.NotSettledError):
        store(batch("a"))
    store(batch("b"))
    assert Event.objects.get().event_id == "b"


def test_a_connection_that_the_database_closed_is_renewed() -> None:
    store(batch("a"))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
    store(batch("b"))
    assert Event.objects.count() == 2


def test_within_a_transaction_of_somebodys_own_it_stays_in_it() -> None:
    with transaction.atomic():
        store(batch("a"))
        assert Event.objects.count() == 1
        transaction.set_rollback(True)
    assert Event.objects.count() == 0
    assert connection.get_autocommit()
