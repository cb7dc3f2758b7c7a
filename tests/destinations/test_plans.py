"""What is asked every few seconds reads a few rows of an index, also by statistics from before the queue drained."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from destinations import changes, queries, retention, silence, tasks
from destinations.models import Destination
from tests import factories

pytestmark = pytest.mark.django_db
ROWS = 20_000
FEW = 100

DELIVERIES_SQL = """
INSERT INTO destinations_delivery (id, event_id, destination_id, state, due_at, created_at)
SELECT (e << 12) | %s, e, %s, CASE WHEN e %% 2 = 0 THEN 1 ELSE 2 END, now(), now() FROM generate_series(1000, %s) AS e
"""
BATCHES_SQL = """
INSERT INTO events_ingestbatch (source_id, received_at, client_ip, user_agent, sdk, trace_id, accepted, duplicates,
    rejected, skips) SELECT %s, now(), '203.0.113.1', '', '', '', 0, 0, 0, '{}' FROM generate_series(1, %s)
"""
HOURS_SQL = """
INSERT INTO destinations_eventhour (hour, destination_id, event_name, received, delivered, refused)
SELECT date_trunc('hour', now()) - make_interval(hours => h), %s, 'Event' || e, 10, 9, 1
FROM generate_series(0, 863) AS h CROSS JOIN generate_series(1, 30) AS e
"""


def execute(sql: str, values: Any = None) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return [row[0] for row in cursor.fetchall()] if cursor.description else []


def passed_over(ask: Callable[[], Any]) -> int:
    """Rows that its queries read in vain."""
    with CaptureQueriesContext(
        connection,
    ) as seen:
        ask()
    asked = [query["sql"] for query in seen if query["sql"].lstrip().startswith(("SELECT", "WITH"))]
    plans = "\n".join(line for sql in asked for line in execute(f"EXPLAIN ANALYZE {sql}"))
    return sum(int(count) for count in re.findall(r"Rows Removed by (?:Join )?Filter: (\d+)", plans))


@pytest.fixture
def drained() -> Destination:
    """Half of all deliveries waited for it when statistics were made; now none does."""
    meta = factories.make_destination("meta")
    execute(DELIVERIES_SQL, [meta.pk, meta.pk, ROWS])
    execute("ANALYZE destinations_delivery")
    execute("UPDATE destinations_delivery SET state = 2, due_at = NULL")
    return meta


def test_what_waits_is_counted_by_its_index(drained: Destination) -> None:
    assert queries.waiting_count(drained) == 0
    assert passed_over(lambda: queries.waiting_count(drained)) < FEW


def test_a_closing_destination_is_looked_at_by_an_index(drained: Destination) -> None:
    Destination.objects.filter(pk=drained.pk).update(closing_at=timezone.now() - timedelta(minutes=1))
    assert passed_over(changes.finish_closing) < FEW


def test_whether_there_is_a_past_is_asked_of_indexes(drained: Destination) -> None:
    young = factories.make_destination("meta")
    assert not queries.has_history(young)
    assert passed_over(lambda: queries.has_history(young)) < FEW


def test_batches_that_wait_are_found_by_their_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "nudge", lambda *_: None)
    execute(BATCHES_SQL, [factories.make_source().pk, ROWS])
    execute("ANALYZE events_ingestbatch")
    execute("UPDATE events_ingestbatch SET routed_at = now()")
    assert passed_over(tasks.sweep) < FEW
    assert passed_over(lambda: retention.forget_events(timezone.now() - timedelta(days=400))) < FEW + 500


def test_silence_reads_the_hours_it_compares() -> None:
    meta = factories.make_destination("meta")
    execute(HOURS_SQL, [meta.pk])
    execute("ANALYZE destinations_eventhour")
    assert passed_over(lambda: silence.silences(timezone.now())) < FEW
