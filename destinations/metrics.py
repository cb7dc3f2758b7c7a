"""Prometheus metrics, read from the ledger and the roll-ups: the numbers of the screens, whichever process is asked.

A scrape costs the same at any volume: of the ledger it reads the newest days only, what lies before is summed once and
then remembered for a while. A replay takes deliveries out of `dead` again, which Prometheus reads as a reset.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from functools import cache
from itertools import accumulate
from typing import Any

from django.db import connection
from django.utils import timezone
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeHistogramMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from destinations import health, minutes, standing
from destinations.models import Destination, Span
from events import rejections

RECENT_DAYS = 3
REMEMBER_SECONDS = 600.0
REJECTED_MINUTES = 15

_TOTALS = """
SELECT destination_id, state, reason, sum(count)::bigint FROM destinations_ledgerentry
WHERE day >= %s AND day < %s GROUP BY 1, 2, 3
"""
_HISTOGRAMS = """
SELECT destination_id, array_agg(n ORDER BY bucket) FROM (
    SELECT destination_id, bucket, sum(n)::bigint AS n
    FROM destinations_deliveryminute, unnest(attempt_histogram) WITH ORDINALITY AS x (n, bucket)
    WHERE span IN (0, %s) AND minute >= %s GROUP BY 1, 2
) summed GROUP BY 1
"""
_REJECTED = "SELECT code, count(*) FROM events_rejectedevent WHERE received_at >= %s GROUP BY 1"
_ALERTS = """
SELECT r.kind, count(i.id) FROM destinations_alertrule r
LEFT JOIN destinations_alertincident i ON i.rule_id = r.id AND i.closed_at IS NULL GROUP BY 1
"""

Totals = Counter[tuple[int, str, str]]
_before: tuple[float, date, Totals] | None = None


def forget() -> None:
    """Empty the process's memory of the past (tests)."""
    global _before
    _before = None


def totals(today: date | None = None) -> Totals:
    """(destination id, state, reason) → count since ever."""
    global _before
    first = (today or timezone.now().date()) - timedelta(days=RECENT_DAYS)
    if _before is None or _before[1] != first or time.monotonic() - _before[0] > REMEMBER_SECONDS:
        _before = (time.monotonic(), first, _sum(date.min, first))
    return _before[2] + _sum(first, date.max)


def _sum(since: date, until: date) -> Totals:
    with connection.cursor() as cursor:
        cursor.execute(_TOTALS, [since, until])
        return Counter({(pk, state, reason): count for pk, state, reason, count in cursor.fetchall()})


class LedgerCollector(Collector):
    def collect(self) -> Iterator[Any]:
        destinations = Destination.objects.defer("settings", "secrets").in_bulk()
        counted = totals()
        yield from _books(destinations, counted)
        yield from _standings(destinations)
        yield _latency(destinations)
        yield from _arrivals()


def _books(destinations: dict[int, Destination], counted: Totals) -> Iterator[Any]:
    accepted = CounterMetricFamily("trackstack_events_accepted", "Events accepted and stored.")
    settled = CounterMetricFamily(
        "trackstack_deliveries",
        "Event × destination by accounted state.",
        labels=["destination", "platform", "state", "reason"],
    )
    waiting = GaugeMetricFamily("trackstack_deliveries_waiting", "Not settled yet.", labels=["destination"])
    for pk, one in destinations.items():
        of = {key[1:]: count for key, count in counted.items() if key[0] == pk}
        for (state, reason), count in of.items():
            settled.add_metric([one.name, one.platform_key, state, reason], count)
        ended = sum(count for (state, _), count in of.items() if state != "received")
        waiting.add_metric([one.name], of.get(("received", ""), 0) - ended)
        if one.platform.is_builtin:
            accepted.add_metric([], of.get(("received", ""), 0))
    yield from (accepted, settled, waiting)


def _standings(destinations: dict[int, Destination]) -> Iterator[Any]:
    lag = GaugeMetricFamily(
        "trackstack_delivery_lag_seconds", "How overdue the oldest due row is.", labels=["destination"]
    )
    due = GaugeMetricFamily(
        "trackstack_queue_depth", f"Rows that wait, counted to {standing.WAITING_CAP}.", labels=["destination"]
    )
    held = GaugeMetricFamily("trackstack_destination_held", "1 while deliveries are held.", labels=["destination"])
    broken = GaugeMetricFamily(
        "trackstack_destination_breaker_open", "1 while it does not answer.", labels=["destination"]
    )
    now = standing.standings()
    for pk, one in destinations.items():
        stands = now.get(pk, standing.Standing())
        lag.add_metric([one.name], stands.overdue)
        due.add_metric([one.name], stands.waiting)
        if one.removed_at is None:  # a request under way may fail after the deletion: that is nobody's trouble
            held.add_metric([one.name], int(bool(one.hold)))
            broken.add_metric([one.name], int(one.breaker_since is not None))
    yield from (lag, due, held, broken)


def _latency(destinations: dict[int, Destination]) -> GaugeHistogramMetricFamily:
    found = GaugeHistogramMetricFamily(
        "trackstack_attempt_latency_seconds", "Requests of the last hour by how long they took.", labels=["destination"]
    )
    with connection.cursor() as cursor:
        cursor.execute(_HISTOGRAMS, [Span.MINUTE.value, health.hour_ago(timezone.now())])
        for pk, counts in cursor.fetchall():
            if pk in destinations:
                sums = list(accumulate([*counts, *[0] * (len(minutes.BOUNDS_MS) + 1 - len(counts))]))
                bounds = [f"{bound / 1000:g}" for bound in minutes.BOUNDS_MS]
                buckets = [*zip(bounds, sums, strict=False), ("+Inf", sums[-1])]
                # Nobody adds latencies up: the sum is as near as the buckets are.
                total = sum(bound * count for bound, count in zip(minutes.BOUNDS_MS, counts, strict=False)) / 1000
                found.add_metric([destinations[pk].name], buckets=buckets, gsum_value=total)
    return found


def _arrivals() -> Iterator[Any]:
    ever = CounterMetricFamily("trackstack_events_rejected", "Events rejected, counted a minute late.", labels=["code"])
    for code, count in rejections.totals().items():
        ever.add_metric([code], count)
    rejected = GaugeMetricFamily(
        "trackstack_events_rejected_recent", f"Rejected in the last {REJECTED_MINUTES} minutes.", labels=["code"]
    )
    alerts = GaugeMetricFamily("trackstack_alerts_open", "Troubles that are open now.", labels=["rule"])
    unrouted = GaugeMetricFamily("trackstack_batches_unrouted", "Accepted batches not routed yet.")
    with connection.cursor() as cursor:
        cursor.execute(_REJECTED, [timezone.now() - timedelta(minutes=REJECTED_MINUTES)])
        for code, count in cursor.fetchall():
            rejected.add_metric([code], count)
        cursor.execute(_ALERTS)
        for kind, count in cursor.fetchall():
            alerts.add_metric([kind], count)
        cursor.execute("SELECT count(*) FROM events_ingestbatch WHERE routed_at IS NULL")
        unrouted.add_metric([], cursor.fetchone()[0])
    yield from (ever, rejected, alerts, unrouted)


@cache
def registry() -> CollectorRegistry:
    found = CollectorRegistry(auto_describe=False)
    found.register(LedgerCollector())
    return found
