"""One dead destination beside four healthy ones: what the healthy four notice of it.

The dead one takes the request and never answers, so each of its tries lasts until the timeout; that is the worst kind
of dead, for a refused connection costs nobody anything. Beside it, in the same rounds: the same four without it. Two
figures for both: how fast a burst is delivered to the four, and the p95 from received to delivered at 100 events/s.
Every measure starts fresh workers and a destination that is not yet known to be dead.
"""

from __future__ import annotations

import time

from bench.delivery import SINK_MS, WORKERS, latency_of, warm_up
from bench.installation import Installation
from bench.load import Plan, drive
from bench.rows import Row, interleaved, median

HEALTHY = 4
DEAD_PIXEL = "4040404040404040"
WITHIN = 1.2


def run(stack: Installation, *, quick: bool) -> list[Row]:
    rounds, events, seconds = (2, 4_000, 3.0) if quick else (5, 10_000, 6.0)
    made = stack.make_destinations(*["meta"] * (HEALTHY + 1))
    isolation = _Isolation(stack, made[:-1], made[-1], events, seconds)
    isolation.mark()
    try:
        stack.run_sink(SINK_MS, hang=DEAD_PIXEL)
        stack.run_web()
        drive(Plan(port=stack.port, key=stack.key, size=1, rate=100, seconds=1.0, connections=8, processes=1))
        without, beside = interleaved(rounds, isolation.without, isolation.beside)
    finally:
        stack.stop_processes()
    slower = median([a / b for a, b in zip(without, beside, strict=True)])
    tails = isolation.tails
    later = median([a / b for a, b in zip(tails[True], tails[False], strict=True)])
    return [
        Row(
            name="burst to 4 healthy destinations beside a dead one",
            value=median(beside),
            unit="deliveries/s",
            limit=median(without),
            limit_name="without it",
            ratio=slower,
            target=f"ratio ≤ {WITHIN}",
            met=slower <= WITHIN,
            rounds=beside,
            note="the ratio is without ÷ beside",
        ),
        Row(
            name="p95 of 4 healthy destinations beside a dead one",
            value=median(tails[True]),
            unit="s",
            limit=median(tails[False]),
            limit_name="s without it",
            ratio=later,
            target=f"ratio ≤ {WITHIN}",
            met=later <= WITHIN,
            rounds=tails[True],
            note="100 events/s; the ratio is beside ÷ without",
        ),
    ]


class _Isolation:
    def __init__(self, stack: Installation, healthy: list[int], dead: int, events: int, seconds: float) -> None:
        self.stack = stack
        self.healthy = healthy
        self.dead = dead
        self.events = events
        self.seconds = seconds
        self.tails: dict[bool, list[float]] = {True: [], False: []}

    def mark(self) -> None:
        """The dead one's account, by which the sink knows it."""
        from destinations.models import Destination

        dead = Destination.objects.get(pk=self.dead)
        dead.settings = {**dead.settings, "pixel_id": DEAD_PIXEL}
        dead.save()

    def without(self, number: int) -> float:
        return self._measure(number, has_dead=False)

    def beside(self, number: int) -> float:
        return self._measure(number, has_dead=True)

    def _measure(self, number: int, *, has_dead: bool) -> float:
        stack = self.stack
        self._switch(on=False)
        stack.empty()
        stack.run_workers(WORKERS)
        warm_up(stack)
        stack.empty()
        self._switch(on=has_dead)
        stack.freeze("worker")
        stack.accept(self.events, prefix=number + 1 + 100 * has_dead)
        begun = time.time()
        stack.thaw("worker")
        wanted = self.events * HEALTHY
        stack.until(lambda: self._delivered() >= wanted, "the healthy ones have it all", seconds=120)
        last = stack.sql(
            "SELECT extract(epoch FROM max(settled_at))::float8 FROM destinations_delivery"
            " WHERE state = 2 AND destination_id = ANY(%s)",
            self.healthy,
        )[0][0]
        # The burst's rows stay: the dead destination's are what a calm rate has to get past.
        stack.execute("DELETE FROM destinations_delivery WHERE state = 2")
        drive(Plan(port=stack.port, key=stack.key, size=1, rate=100, seconds=self.seconds, connections=8, processes=1))
        stack.until(lambda: self._waiting() == 0, "the healthy ones have the calm rate too")
        self.tails[has_dead].append(latency_of(stack, self.healthy)[1])
        stack.stop_processes("worker1", "worker2", "beat")
        return float(wanted / (last - begun))

    def _switch(self, *, on: bool) -> None:
        from destinations.models import Destination
        from routing import snapshot

        Destination.objects.filter(pk=self.dead).update(is_enabled=on, failures=0, backoff_until=None)
        snapshot.bump()

    def _delivered(self) -> int:
        return int(
            self.stack.sql(
                "SELECT count(*) FROM destinations_delivery WHERE state = 2 AND destination_id = ANY(%s)", self.healthy
            )[0][0]
        )

    def _waiting(self) -> int:
        return int(
            self.stack.sql(
                "SELECT (SELECT count(*) FROM destinations_delivery WHERE state = 1 AND destination_id = ANY(%s))"
                " + (SELECT count(*) FROM events_ingestbatch WHERE routed_at IS NULL)",
                self.healthy,
            )[0][0]
        )
