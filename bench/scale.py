"""Scale-out: deliveries in a second with 1, 2 and 4 worker processes, each request waiting 100 ms for its answer.

Sixteen webhook destinations (one event a request), so that the waiting is what takes time and neither the lanes of a
destination nor this machine's few cores are the limit; more workers then do proportionally more, or they stand in each
other's way in the database. The rate is what the sink counts in a window in which work never runs out, once every
thread that can have a lane has one; how long that takes from the first delivery on is a figure of its own.
"""

from __future__ import annotations

import time

from bench.installation import Installation
from bench.rows import Row, interleaved, median

SINK_MS = 100
DESTINATIONS = 16
MOST_RAMP = 12.0
"""Seconds after which it is measured with the lanes that are taken by then."""
TARGETS = {2: 1.8, 4: 3.2}


def run(stack: Installation, *, quick: bool) -> list[Row]:
    rounds, seconds = (1, 3.0) if quick else (5, 6.0)
    scale = _Scale(stack, seconds)
    try:
        stack.make_destinations(*["webhook"] * DESTINATIONS)
        stack.run_sink(SINK_MS)
        found = dict(zip((1, 2, 4), interleaved(rounds, scale.one, scale.two, scale.four), strict=True))
    finally:
        stack.stop_processes()
    from django.conf import settings

    rows = [
        Row(
            name="1 worker process, 100 ms sink",
            value=median(found[1]),
            unit="deliveries/s",
            limit=settings.DELIVER_THREADS * 1000 / SINK_MS,
            limit_name="its threads, always waiting",
            ratio=median(found[1]) / (settings.DELIVER_THREADS * 1000 / SINK_MS),
            rounds=found[1],
        )
    ]
    for count, target in TARGETS.items():
        ratio = median([many / one for many, one in zip(found[count], found[1], strict=True)])
        rows.append(
            Row(
                name=f"{count} worker processes, 100 ms sink",
                value=median(found[count]),
                unit="deliveries/s",
                limit=median(found[1]),
                limit_name="with 1",
                ratio=ratio,
                target=f"ratio ≥ {target}",
                met=ratio >= target,
                rounds=found[count],
            )
        )
    ramp = median(scale.ramps[4])
    rows.append(Row(name="until 4 worker processes are all at work", value=ramp, unit="s", rounds=scale.ramps[4]))
    return rows


class _Scale:
    def __init__(self, stack: Installation, seconds: float) -> None:
        self.stack = stack
        self.seconds = seconds
        self.ramps: dict[int, list[float]] = {}

    def one(self, number: int) -> float:
        return self._measure(1, number)

    def two(self, number: int) -> float:
        return self._measure(2, number)

    def four(self, number: int) -> float:
        return self._measure(4, number)

    def _ramp(self, workers: int) -> float:
        """Seconds until nine in ten of the threads that can have a lane have one."""
        from django.conf import settings

        most = min(workers * settings.DELIVER_THREADS, DESTINATIONS * settings.LANES_PER_DESTINATION)
        begun = time.monotonic()
        while (took := time.monotonic() - begun) < MOST_RAMP:
            taken = self.stack.sql("SELECT count(*) FROM destinations_laneslot WHERE leased_until > now()")[0][0]
            if taken >= 0.9 * most:
                break
            time.sleep(0.1)
        return took

    def _measure(self, workers: int, number: int) -> float:
        from django.conf import settings

        stack = self.stack
        stack.empty()
        # Enough that every thread of all workers is busy for twice the time that is measured.
        most = workers * settings.DELIVER_THREADS * 1000 / SINK_MS * (self.seconds + MOST_RAMP) * 1.1 / DESTINATIONS
        stack.accept(max(200, int(most / 100 + 1) * 100), prefix=number * 8 + workers)
        already = stack.sunk()
        stack.run_workers(workers)
        try:
            stack.until(lambda: stack.sunk() - already > 50 * workers, "the workers are at work", seconds=60)
            self.ramps.setdefault(workers, []).append(self._ramp(workers))
            before, begun = stack.sunk(), time.perf_counter()
            time.sleep(self.seconds)
            after, ended = stack.sunk(), time.perf_counter()
            if not stack.waiting():
                raise RuntimeError("the work ran out while it was measured")
            return (after - before) / (ended - begun)
        finally:
            stack.stop_processes("beat", *(f"worker{one}" for one in range(1, workers + 1)))
