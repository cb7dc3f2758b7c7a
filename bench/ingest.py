"""Ingest: events accepted in a second by the production server, everything checked, deduplicated and committed.

Beside it, in the same rounds:
- batches of 100: COPY of the same rows into a copy of the event table with all its indexes, 100 rows a transaction,
  with as many connections as the product writes with: one a web process (`events.storing`). It parses nothing, looks
  nothing up and writes no batch row. What as many connections as there are HTTP connections would reach stands beside;
- single events: the same server answering a DRF view that does nothing (`bench.web`);
- the load generator against a sink that answers at once, to show that it could have sent more.

Workers are off: this is about the way in. What a million events cost in CPU time and bytes comes from the same rounds.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from bench import samples
from bench.installation import Installation
from bench.load import Plan, drive, in_processes
from bench.rows import Row, against, below, interleaved, median, percentile

CONNECTIONS = 16
"""Of the load generator."""
SINGLES_CONNECTIONS = 32
"""For single events, to either view: as many as the server has threads."""
PROCESSES = 2
WRITERS = 2
"""Connections that the product writes with: a web process has one, and the default is two processes."""
COPY_TABLE = "bench_event"


def run(stack: Installation, *, quick: bool) -> list[Row]:
    rounds, seconds = (2, 1.5) if quick else (5, 4.0)
    stack.make_destinations("meta", "linkedin", "webhook")
    stack.run_web()
    stack.run_sink()
    try:
        ingest = _Ingest(stack, seconds)
        drive(ingest.plan(seconds=1.5))  # the server's first requests import and connect
        batches, copies, crowd, null_batches = interleaved(
            rounds, ingest.batches, ingest.copies, ingest.crowd, ingest.null_batches
        )
        singles, empties, null_singles = interleaved(rounds, ingest.singles, ingest.empties, ingest.null_singles)
        rows = [
            against(
                "ingest, batches of 100",
                batches,
                "events/s",
                copies,
                f"COPY of the same rows, {WRITERS} connections",
                at_least=0.5,
                note=ingest.refusals("batches"),
            ),
            Row(
                name=f"COPY of the same rows, {CONNECTIONS} connections",
                value=median(crowd),
                unit="rows/s",
                limit=median(batches),
                limit_name="what the product took",
                rounds=crowd,
            ),
            against(
                "ingest, single events",
                singles,
                "events/s",
                empties,
                "empty DRF view",
                at_least=0.5,
                note=ingest.refusals("singles"),
            ),
            *_headroom("load generator, batches of 100", null_batches, batches),
            *_headroom("load generator, single events", null_singles, singles),
        ]
        rows += _at_half(ingest, rounds, "batches of 100", 100, median(batches))
        rows += _at_half(ingest, rounds, "single events", 1, median(singles))
        return rows + ingest.costs()
    finally:
        stack.stop_processes()
        stack.execute(f"DROP TABLE IF EXISTS {COPY_TABLE}")


class _Ingest:
    """The measures of one round."""

    def __init__(self, stack: Installation, seconds: float) -> None:
        self.stack = stack
        self.seconds = seconds
        stack.execute(f"DROP TABLE IF EXISTS {COPY_TABLE}")
        stack.execute(f"CREATE TABLE {COPY_TABLE} (LIKE events_event INCLUDING ALL)")
        self.lines = copy_lines(stack.source_id, 40)
        self.cpu: list[tuple[float, float, int]] = []
        self.bytes: list[float] = []
        self.copy_bytes: list[float] = []
        self.wal: list[float] = []
        self.refused: dict[str, list[int]] = {"batches": [], "singles": [], "calm": []}

    def plan(self, **values: Any) -> Plan:
        defaults = {"port": self.stack.port, "key": self.stack.key, "connections": CONNECTIONS, "processes": PROCESSES}
        return Plan(**{**defaults, "seconds": self.seconds, "seed": int(time.time()) % 10_000, **values})

    def batches(self, number: int) -> float:
        self.stack.empty()
        before = self._meters()
        load = drive(self.plan())
        after = self._meters()
        self.refused["batches"].append(load.refused)
        stored = int(self.stack.sql("SELECT count(*) FROM events_event")[0][0])
        if stored != load.total_events:
            raise RuntimeError(f"{load.total_events} events were answered 202, {stored} are stored")
        self.cpu.append((after[0] - before[0], after[1] - before[1], stored))
        self.wal.append((after[2] - before[2]) / stored)
        size = self.stack.sql(
            "SELECT pg_total_relation_size('events_event') + pg_total_relation_size('events_ingestbatch')"
        )
        self.bytes.append(size[0][0] / stored)
        return load.per_second

    def _meters(self) -> tuple[float, float, float]:
        wal = self.stack.sql("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")[0][0]
        return self.stack.cpu_seconds("web"), self.stack.cpu_seconds("postgres"), float(wal)

    def copies(self, number: int) -> float:
        return self._copies(WRITERS)

    def crowd(self, number: int) -> float:
        return self._copies(CONNECTIONS)

    def _copies(self, connections: int) -> float:
        self.stack.execute(f"TRUNCATE {COPY_TABLE}")
        self.stack.execute("CHECKPOINT")
        dsn = self.stack.engines.database_url
        each = connections // PROCESSES
        arguments = [(dsn, self.lines, each, process, self.seconds) for process in range(PROCESSES)]
        counted = sum(in_processes(copy_rows, arguments))
        stored, size = self.stack.sql(f"SELECT count(*), pg_total_relation_size('{COPY_TABLE}') FROM {COPY_TABLE}")[0]
        if stored < counted:
            raise RuntimeError(f"{counted} rows were counted, {stored} are stored")
        self.copy_bytes.append(size / stored)
        return float(counted / self.seconds)

    def null_batches(self, number: int) -> float:
        return drive(self.plan(port=self.stack.sandbox_port, seconds=self.seconds / 2, warm_up=0.3)).per_second

    def null_singles(self, number: int) -> float:
        plan = self.plan(port=self.stack.sandbox_port, seconds=self.seconds / 2, warm_up=0.3, size=1)
        return drive(plan).per_second

    def singles(self, number: int) -> float:
        self.stack.empty()
        self.stack.execute("CHECKPOINT")  # what the batches before left to write is not theirs
        load = drive(self.plan(size=1, connections=SINGLES_CONNECTIONS))
        self.refused["singles"].append(load.refused)
        return load.per_second

    def empties(self, number: int) -> float:
        return drive(self.plan(size=1, path="/empty", connections=SINGLES_CONNECTIONS)).per_second

    def refusals(self, kind: str) -> str:
        """Back-pressure is no error, but a rate that it took to reach should say so."""
        return f"{sum(self.refused[kind])} requests were answered 503 (try again) in all rounds"

    def costs(self) -> list[Row]:
        """Per million events, from the rounds with batches of 100."""
        web = median([1e6 * one / events for one, _, events in self.cpu])
        database = median([1e6 * one / events for _, one, events in self.cpu])
        return [
            Row(name="ingest cost, web", value=web, unit="CPU s per million events"),
            Row(name="ingest cost, PostgreSQL", value=database, unit="CPU s per million events"),
            Row(
                name="ingest cost, tables and indexes",
                value=median(self.bytes),
                unit="bytes per event",
                limit=median(self.copy_bytes),
                limit_name="with COPY alone",
            ),
            Row(name="ingest cost, write-ahead log", value=median(self.wal), unit="bytes per event"),
        ]


def _headroom(name: str, null: list[float], product: list[float]) -> list[Row]:
    """How much more the generator could have sent."""
    ratio = median(null) / median(product)
    note = "against a sink that answers at once: the generator is not the bottleneck"
    return [
        Row(
            name=name,
            value=median(null),
            unit="events/s",
            limit=median(product),
            limit_name="what the product took",
            ratio=ratio,
            target="ratio ≥ 1.5",
            met=ratio >= 1.5,
            rounds=null,
            note=note,
        )
    ]


def _at_half(ingest: _Ingest, rounds: int, label: str, size: int, highest: float) -> list[Row]:
    """Latency with requests falling due at half the highest rate; it counts from when a request was due."""
    tails, middles = [], []
    for _ in range(rounds):
        ingest.stack.empty()
        load = drive(ingest.plan(size=size, rate=highest / size / 2, connections=32))
        ingest.refused["calm"].append(load.refused)
        tails.append(1000 * percentile(load.latencies, 0.99))
        middles.append(1000 * percentile(load.latencies, 0.5))
    refused = sum(ingest.refused["calm"][-rounds:])
    note = f"open loop at {highest / 2:,.0f} events/s; median {median(middles):.1f} ms; {refused} answered 503"
    return [below(f"ingest p99 at half the highest rate, {label}", median(tails), "ms", 50, rounds=tails, note=note)]


# --- The limit: COPY -----------------------------------------------------------------------------------


def copy_lines(source_id: int, count: int) -> list[list[bytes]]:
    """`count` batches of 100 rows as COPY text without their keys, exactly as the product stores those events."""
    from datetime import UTC, datetime

    from events import contract
    from routing import snapshot

    state = snapshot.current()
    now = datetime.now(UTC)
    found = []
    for body in samples.bodies(count, 100, seed=7):
        parsed = contract.parse_body(
            body, now_ms=int(now.timestamp() * 1000), names=state.events, retired=state.retired
        )
        lines = []
        for event in parsed.accepted:
            occurred = datetime.fromtimestamp(event.occurred_ms / 1000, UTC).isoformat()
            head = f"\t{source_id}\t{event.event_id}\t{event.name}\t{occurred}\t{now.isoformat()}\t"
            lines.append(head.encode() + event.payload_json.replace(b"\\", b"\\\\") + b"\n")
        found.append(lines)
    return found


def copy_rows(start: Any, dsn: str, batches: list[list[bytes]], connections: int, process: int, seconds: float) -> int:
    """What one process of the limit does: a thread for each connection, each COPY a transaction. Returns rows."""
    import psycopg

    counts = [0] * connections
    moment: list[float] = []
    is_set = threading.Event()

    def work(number: int) -> None:
        fresh = samples.tokens(16 * process + number)
        key = (1 << 50) * (1 + process) + (1 << 40) * number
        with psycopg.connect(dsn, autocommit=True) as connection, connection.cursor() as cursor:
            ready.wait()
            is_set.wait(60)
            opens, closes = moment[0] + 1.0, moment[0] + 1.0 + seconds
            at = 0
            while time.monotonic() < closes:
                lines = batches[at % len(batches)]
                block = b"".join([b"%d" % (key + i) + line for i, line in enumerate(lines)])
                with cursor.copy(
                    f"COPY {COPY_TABLE} (id, source_id, event_id, name, occurred_at, received_at, payload) FROM STDIN"
                ) as copy:
                    copy.write(block.replace(samples.TOKEN, next(fresh)))
                if opens <= time.monotonic() < closes:
                    counts[number] += len(lines)
                key, at = key + 128, at + 1

    ready = threading.Barrier(connections + 1, timeout=20)
    threads = [threading.Thread(target=work, args=(number,)) for number in range(connections)]
    for thread in threads:
        thread.daemon = True
        thread.start()
    ready.wait()
    moment.append(start())
    is_set.set()
    for thread in threads:
        thread.join()
    return sum(counts)
