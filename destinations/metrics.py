"""Prometheus metrics, read from the ledger: the same numbers as on the screens, whichever process is asked."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from django.db import connection
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

_TOTALS = """
SELECT d.name, d.platform_key, l.state, l.reason, sum(l.count)
FROM destinations_ledgerentry l JOIN destinations_destination d ON d.id = l.destination_id
GROUP BY 1, 2, 3, 4
"""
_LAG = """
SELECT d.name, d.hold <> '', extract(epoch FROM now() - (
    SELECT min(due_at) FROM destinations_delivery w WHERE w.destination_id = d.id AND w.state = 1
)) FROM destinations_destination d
"""


class LedgerCollector(Collector):
    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        settled = CounterMetricFamily(
            "trackstack_deliveries",
            "Event × destination by accounted state.",
            labels=["destination", "platform", "state", "reason"],
        )
        waiting = GaugeMetricFamily("trackstack_deliveries_waiting", "Not settled yet.", labels=["destination"])
        lag = GaugeMetricFamily(
            "trackstack_delivery_lag_seconds",
            "How overdue the oldest due row is.",
            labels=["destination"],
        )
        held = GaugeMetricFamily(
            "trackstack_destination_held",
            "1 while deliveries are held.",
            labels=["destination"],
        )
        unrouted = GaugeMetricFamily("trackstack_batches_unrouted", "Accepted batches not routed yet.")
        with connection.cursor() as cursor:
            cursor.execute(_TOTALS)
            open_rows: dict[str, int] = {}
            for name, platform, state, reason, count in cursor.fetchall():
                settled.add_metric([name, platform, state, reason], int(count))
                open_rows[name] = open_rows.get(name, 0) + (int(count) if state == "received" else -int(count))
            for name, count in open_rows.items():
                waiting.add_metric([name], count)
            cursor.execute(_LAG)
            for name, is_held, seconds in cursor.fetchall():
                lag.add_metric([name], max(0.0, float(seconds or 0)))
                held.add_metric([name], int(is_held))
            cursor.execute("SELECT count(*) FROM events_ingestbatch WHERE routed_at IS NULL")
            unrouted.add_metric([], cursor.fetchone()[0])
        yield from (settled, waiting, lag, held, unrouted)


@cache
def registry() -> CollectorRegistry:
    found = CollectorRegistry(auto_describe=False)
    found.register(LedgerCollector())
    return found
