"""A backlog of a million deliveries, drained: does the rate hold from first to last, does memory stay flat?

Five batching destinations, 20 ms sink, two worker processes; the rows are there before the workers start (a broken
account that was mended, a platform that was away). Rates per tenth are what the sink counts; memory is the resident set
of every worker process, looked at twice a second.
"""

from __future__ import annotations

import itertools
import time

from bench.delivery import DESTINATIONS, SINK_MS, WORKERS, warm_up
from bench.fill import fill
from bench.installation import Installation
from bench.rows import Row, below, median

SLICES = 10


def run(stack: Installation, *, quick: bool) -> list[Row]:
    from destinations.delivery import DELIVER_TASK
    from trackstack_site.nudge import nudge

    total = 50_000 if quick else 1_000_000
    destinations = stack.make_destinations(*["meta"] * DESTINATIONS)
    try:
        stack.run_sink(SINK_MS)
        stack.run_workers(WORKERS)
        warm_up(stack)
        fresh = max(stack.memory("worker"))
        stack.freeze("worker")
        start = int(stack.sql("SELECT nextval('events_ingestbatch_id_seq')")[0][0]) + 1000
        fill(stack, total, destinations, is_settled=False, span="1 hour", first=start)
        already = stack.sunk()
        for destination in destinations:
            nudge(DELIVER_TASK, destination)  # as "Resume" does
        stack.thaw("worker")
        moments, memory = _watch(stack, total, already)
        stack.until(stack.is_settled, "the last are recorded", seconds=120)
    finally:
        stack.stop_processes()
    rates = [total / SLICES / (b - a) for a, b in itertools.pairwise(moments)]
    slowest = min(rates) / median(rates)
    most = [max(sample) for sample in memory]
    middle = max(most[: len(most) // 2 or 1])
    growth = max(most) / middle
    return [
        Row(
            name=f"backlog of {total:,} drained",
            value=total / (moments[-1] - moments[0]),
            unit="deliveries/s",
            limit=rates[0],
            limit_name="in the first tenth",
            ratio=rates[-1] / rates[0],
            target="last tenth ≥ 0.8 of the first",
            met=rates[-1] >= 0.8 * rates[0],
            rounds=rates,
            note=f"slowest tenth {slowest:.2f} of the median; per tenth: {', '.join(f'{rate:,.0f}' for rate in rates)}",
        ),
        below(
            "backlog, largest worker",
            max(most),
            "MB",
            200,
            note=f"{fresh:.0f} MB before, {middle:.0f} MB in the first half, × {growth:.2f} after",
        ),
    ]


def _watch(stack: Installation, total: int, already: int) -> tuple[list[float], list[list[float]]]:
    """When each tenth was done, and the memory meanwhile."""
    while stack.sunk() == already:
        time.sleep(0.01)
    moments: list[float] = [time.monotonic()]
    memory: list[list[float]] = []
    deadline = time.monotonic() + 900
    while len(moments) <= SLICES:
        if time.monotonic() > deadline:
            raise RuntimeError(f"only {len(moments) - 1} tenths were drained in 15 minutes")
        done = stack.sunk() - already
        if done < total and len(memory) % 20 == 19 and stack.is_settled():
            raise RuntimeError(f"only {stack.sunk() - already:,} of {total:,} deliveries came to the sink")
        while len(moments) <= SLICES and done >= total * len(moments) // SLICES:
            moments.append(time.monotonic())
        if not memory or len(memory) < 2 * (time.monotonic() - moments[0]):
            memory.append(stack.memory("worker"))
        time.sleep(0.05)
    return moments, memory
