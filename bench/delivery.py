"""Accept → delivered: deliveries in a second to five batching destinations, and how long one takes at a calm rate.

Throughput: events are accepted while two warm worker processes are stopped (SIGSTOP), then the workers go on; the clock
runs from there until the last delivery is recorded, so routing, claiming, building, sending (the sink answers after
20 ms), recording and the ledger are all in it. Beside it, in the same rounds: the very same delivery rows, inserted by
one COPY and settled by one UPDATE, the least that PostgreSQL has to do to know of each that it was delivered.

Latency: single events at 100 a second through the web server, with workers and beat as delivered; from the moment the
event was received to the moment its delivery was recorded, both by the database's clock.
"""

from __future__ import annotations

import time

from bench.installation import Installation
from bench.load import Plan, drive
from bench.rows import Row, against, below, interleaved, median

SINK_MS = 20
DESTINATIONS = 5
WORKERS = 2
COPY_TABLE = "bench_delivery"


def run(stack: Installation, *, quick: bool) -> list[Row]:
    rounds, events = (2, 4_000) if quick else (5, 20_000)
    delivery = Delivery(stack, events)
    try:
        delivery.start()
        rates, limits = interleaved(rounds, delivery.product, delivery.limit)
        rows = [
            against(
                f"delivered, {DESTINATIONS} batching destinations",
                rates,
                "deliveries/s",
                limits,
                "COPY and one UPDATE of the same rows",
                at_least=0.15,
                note=f"{events * DESTINATIONS:,} deliveries a round",
            ),
            *delivery.costs(),
        ]
        return rows + _latency(stack, delivery.destinations, 2 if quick else 5, 3.0 if quick else 6.0)
    finally:
        stack.stop_processes()
        stack.execute(f"DROP TABLE IF EXISTS {COPY_TABLE}")


class Delivery:
    """Rounds of throughput."""

    def __init__(self, stack: Installation, events: int) -> None:
        self.stack = stack
        self.events = events
        self.destinations: list[int] = []
        self.cpu: list[tuple[float, float, float]] = []

    def start(self) -> None:
        self.destinations = self.stack.make_destinations(*["meta"] * DESTINATIONS)
        self.stack.execute(f"DROP TABLE IF EXISTS {COPY_TABLE}")
        self.stack.execute(f"CREATE TABLE {COPY_TABLE} (LIKE destinations_delivery INCLUDING ALL)")
        self.stack.run_sink(SINK_MS)
        self.stack.run_workers(WORKERS)
        warm_up(self.stack)

    def product(self, number: int) -> float:
        stack = self.stack
        stack.empty()
        stack.freeze("worker")
        accepted = stack.accept(self.events, prefix=number + 1)
        if accepted != self.events:
            raise RuntimeError(f"{accepted} of {self.events} events were accepted")
        stack.execute("CHECKPOINT")
        before = self._meters()
        begun = time.time()
        stack.thaw("worker")
        stack.until(stack.is_settled, "all is delivered", seconds=180)
        after = self._meters()
        delivered, seconds = stack.sql(
            "SELECT count(*), extract(epoch FROM max(settled_at))::float8 - %s"
            " FROM destinations_delivery WHERE state = 2 AND destination_id = ANY(%s)",
            begun,
            self.destinations,
        )[0]
        if delivered != self.events * DESTINATIONS:
            raise RuntimeError(f"{delivered} of {self.events * DESTINATIONS} deliveries were made")
        self.cpu.append(tuple((b - a) / delivered for a, b in zip(before, after, strict=True)))  # type: ignore[arg-type]
        return float(delivered / seconds)

    def _meters(self) -> tuple[float, float, float]:
        wal = self.stack.sql("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")[0][0]
        return self.stack.cpu_seconds("worker"), self.stack.cpu_seconds("postgres"), float(wal)

    def limit(self, number: int) -> float:
        """The rows of the round before, COPY-ed and settled; the CHECKPOINT keeps its writes out of our time."""
        import psycopg

        with psycopg.connect(self.stack.engines.database_url, autocommit=True) as connection:
            with connection.cursor().copy(
                "COPY (SELECT id, event_id, destination_id, 1, created_at, created_at FROM destinations_delivery"
                f" WHERE destination_id = ANY('{{{','.join(map(str, self.destinations))}}}') ORDER BY id) TO STDOUT"
            ) as copy:
                rows = b"".join(copy)
            connection.execute(f"TRUNCATE {COPY_TABLE}")
            connection.execute("CHECKPOINT")
            begun = time.perf_counter()
            with connection.cursor().copy(
                f"COPY {COPY_TABLE} (id, event_id, destination_id, state, due_at, created_at) FROM STDIN"
            ) as copy:
                copy.write(rows)
            done = connection.execute(
                f"UPDATE {COPY_TABLE} SET state = 2, due_at = NULL, settled_at = now(), tries = 1, attempts = '{{1}}'"
            )
            return done.rowcount / (time.perf_counter() - begun)

    def costs(self) -> list[Row]:
        workers, database, wal = (median([one[place] for one in self.cpu]) for place in range(3))
        return [
            Row(name="delivery cost, workers", value=workers * 1e6, unit="CPU s per million deliveries"),
            Row(name="delivery cost, PostgreSQL", value=database * 1e6, unit="CPU s per million deliveries"),
            Row(name="delivery cost, write-ahead log", value=wal, unit="bytes per delivery"),
        ]


def warm_up(stack: Installation, events: int = 1000) -> None:
    """Workers have imported, connected and delivered something."""
    stack.accept(events, prefix=99)
    stack.until(stack.is_settled, "the warm-up is delivered", seconds=60)


def _latency(stack: Installation, destinations: list[int], rounds: int, seconds: float) -> list[Row]:
    stack.run_web()
    drive(Plan(port=stack.port, key=stack.key, size=1, rate=100, seconds=1.0, connections=8, processes=1))
    stack.until(stack.is_settled, "the warm-up is delivered")
    tails, middles, worst = [], [], []
    for _ in range(rounds):
        stack.empty()
        plan = Plan(port=stack.port, key=stack.key, size=1, rate=100, seconds=seconds, connections=8, processes=1)
        drive(plan)
        stack.until(stack.is_settled, "the calm rate is delivered")
        middle, tail, most = latency_of(stack, destinations)
        middles.append(middle)
        tails.append(tail)
        worst.append(most)
    note = f"median {median(middles):.3f} s, slowest of a round {median(worst):.3f} s"
    row = below("accept → delivered at 100 events/s, p95", median(tails), "s", 1, rounds=tails, note=note)
    row.limit, row.limit_name = SINK_MS / 1000, "s the sink takes"
    return [row]


def latency_of(stack: Installation, destinations: list[int]) -> tuple[float, float, float]:
    """Median, 95th percentile and most, in seconds, of the deliveries to these destinations."""
    found = stack.sql(
        "SELECT percentile_cont(ARRAY[0.5, 0.95, 1]) WITHIN GROUP"
        " (ORDER BY extract(epoch FROM d.settled_at - e.received_at)::float8)"
        " FROM destinations_delivery d JOIN events_event e ON e.id = d.event_id"
        " WHERE d.state = 2 AND d.destination_id = ANY(%s)",
        destinations,
    )[0][0]
    if found is None:
        raise RuntimeError("nothing was delivered")
    return found[0], found[1], found[2]
