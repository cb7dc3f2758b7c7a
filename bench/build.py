"""Building payloads: what one core turns into requests of a platform in a second, and builds and sends to a sink.

The event is a Purchase with full identity, and every one is another person's, so that no memo of a normalised or hashed
value ever helps. Pure adapter code is measured in CPU time of one process bound to one core; building and sending in
wall time, by `destinations.http`, in batches of 1,000, to a sink on the other core.

The peers' figures were measured on a machine of this kind with the same event: RudderStack's transformer 2,250/s,
Segment's builder 7,000/s, walkerOS 12,000/s (it does not normalise); building and sending one request an event, Segment
1,550/s and walkerOS 3,150/s.
"""

from __future__ import annotations

import os
import random
import time
from datetime import UTC, datetime
from typing import Any

from bench import samples
from bench.installation import Installation
from bench.load import in_processes
from bench.rows import Row, at_least, median

PEERS = "RudderStack 2,250, Segment 7,000, walkerOS 12,000"
SENDING_PEERS = "Segment 1,550, walkerOS 3,150"


def run(stack: Installation, *, quick: bool) -> list[Row]:
    rounds, events = (2, 2_000) if quick else (5, 5_000)
    stack.run_sink()
    try:
        found = in_processes(_measure, [(rounds, events, stack.sandbox_port)])[0]
    finally:
        stack.stop_processes("sink")
    rows = []
    for key, firsts in found["build"].items():
        again = median(found["again"][key])
        note = f"the same people once more, as for a second destination: {again:,.0f}/s"
        rows.append(
            at_least(
                f"building for {key}",
                median(firsts),
                "events/s",
                20_000,
                rounds=firsts,
                limit_name=PEERS if key == "meta" else "",
                note=note,
            )
        )
    sent = found["send"]
    rows.append(
        at_least(
            "building and sending Meta, batches of 1,000",
            median(sent),
            "events/s",
            12_000,
            rounds=sent,
            limit_name=SENDING_PEERS,
        )
    )
    return rows


def _measure(start: Any, rounds: int, events: int, port: int) -> dict[str, Any]:
    """In a process of its own: the platforms take turns, each round with new people."""
    import django

    django.setup()
    from destinations import platforms
    from trackstack_site.memory import collect_seldom

    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if cores:
        os.sched_setaffinity(0, cores[-1:])
    start()
    every = platforms.every()
    collect_seldom()  # as a worker does once it is ready
    build: dict[str, list[float]] = {platform.key: [] for platform in every}
    again: dict[str, list[float]] = {platform.key: [] for platform in every}
    send: list[float] = []
    for number in range(rounds):
        for place, platform in enumerate(every):
            # Another platform's round filled the memos with other people: these are new to all of them.
            first = (number * len(every) + place) * 2 * events
            items = make_items(platform, first, events)
            build[platform.key].append(events / _build(platform, items))
            again[platform.key].append(events / _build(platform, items))
        send.append(
            _send(platforms.get("meta"), make_items(platforms.get("meta"), 3_000_000 + number * events, events), port)
        )
    return {"build": build, "again": again, "send": send}


def make_items(platform: Any, first: int, count: int) -> list[Any]:
    """Purchases of `count` people, as the contract leaves them and as a worker hands them to the adapter."""
    import msgspec

    from destinations.platforms.base import Item
    from events import contract

    now_ms = int(time.time() * 1000)
    dice = random.Random(first)
    items = []
    token = b"%010x" % first
    for number in range(first, first + count, 100):
        people = [samples.event(dice, n, "Purchase") for n in range(number, min(number + 100, first + count))]
        body = msgspec.json.encode({"events": people}).replace(samples.TOKEN, token)
        parsed = contract.parse_body(body, now_ms=now_ms, names={}, retired=frozenset())
        if parsed.rejected:
            raise RuntimeError(parsed.rejected[0].sentence)
        items += [
            Item(
                key=number + event.index,
                event_id=event.event_id,
                event=event.name,
                occurred_ms=event.occurred_ms,
                payload=event.payload,
                native_name=platform.native_name(event.name),
                native_id=platform.native_id.example if platform.native_id else "",
            )
            for event in parsed.accepted
        ]
    return items


def config_of(platform: Any) -> dict[str, str]:
    return {field.name: field.default for field in platform.fields if field.default} | platform.example_config()


def _build(platform: Any, items: list[Any]) -> float:
    """CPU seconds for all of them, in batches as large as the platform takes, at most 1,000."""
    config, now = config_of(platform), datetime.now(UTC)
    size = max(50, min(platform.batch_limit, 1000))
    spent = time.process_time()
    for at in range(0, len(items), size):
        built = platform.build(items[at : at + size], config, now)
        if built.skipped:
            raise RuntimeError(f"{platform.key}: {built.skipped[0].detail}")
    return time.process_time() - spent


def _send(platform: Any, items: list[Any], port: int) -> float:
    """Events per second of wall time, built and delivered by this one process."""
    import msgspec

    from destinations import http
    from destinations.platforms.base import Response, Result

    config, now = config_of(platform), datetime.now(UTC)
    begun = time.perf_counter()
    for at in range(0, len(items), 1000):
        for request in platform.build(items[at : at + 1000], config, now).requests:
            url = f"http://127.0.0.1:{port}/meta/v0/1/events"
            answer, _ = http.send(msgspec.structs.replace(request, url=url))
            outcomes = platform.parse(request, answer) if isinstance(answer, Response) else []
            if not outcomes or any(outcome.result != Result.OK for outcome in outcomes):
                raise RuntimeError(f"the sink did not take it: {answer}")
    return len(items) / (time.perf_counter() - begun)
