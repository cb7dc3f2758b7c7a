"""The load generator: keep-alive connections on raw sockets, requests encoded beforehand, in processes of its own.

Two ways to drive. Closed loop: every connection sends its next request when the last one is answered; this finds the
highest rate. Open loop: requests fall due at a fixed rate whether or not the server keeps up, and a latency counts from
the moment a request was due, so a stall is seen by everybody who would have waited in it.

Every answer is checked: one that is neither right nor a 503 with Retry-After ends the run. That the generator is not
the bottleneck is shown by driving `bench.sink`, which answers at once, in the same run (see `bench.ingest`).
"""

from __future__ import annotations

import multiprocessing
import selectors
import signal
import socket
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

import msgspec

from bench import samples

LONGEST_SECONDS = 600
START_SECONDS = 0.3
"""Between "all are ready" and the first request."""


class Plan(msgspec.Struct, kw_only=True):
    """What to send, how and for how long."""

    port: int
    key: str
    path: str = "/events"
    size: int = 100
    """Events in a request."""
    seconds: float = 4.0
    warm_up: float = 1.0
    connections: int = 16
    processes: int = 2
    rate: float | None = None
    """Requests per second over all connections; None: as fast as they are answered."""
    expect: bytes = b""
    """What a right answer contains; empty: the server must have accepted all events."""
    templates: int = 40
    seed: int = 1

    def right_answer(self) -> bytes:
        return self.expect or b'"accepted":%d,' % self.size


class Load(msgspec.Struct):
    """What was measured in the window after the warm-up."""

    requests: int = 0
    events: int = 0
    total_events: int = 0
    """With the warm-up: what the server's CPU time was spent on."""
    refused: int = 0
    """Answered 503 because the server had enough to do: right, but nothing was accepted, so nothing is counted."""
    wrong: int = 0
    first_wrong: str = ""
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    """The generator's own."""
    latencies: list[float] = []
    """Seconds."""

    @property
    def per_second(self) -> float:
        return self.events / self.seconds if self.seconds else 0.0


def drive(plan: Plan) -> Load:
    """Run the plan in its processes; raises when an answer was wrong, for then the figure would be about nothing."""
    load = Load(seconds=plan.seconds)
    for part in in_processes(_send, [(plan, number) for number in range(plan.processes)]):
        load.requests += part.requests
        load.events += part.events
        load.total_events += part.total_events
        load.refused += part.refused
        load.wrong += part.wrong
        load.first_wrong = load.first_wrong or part.first_wrong
        load.cpu_seconds += part.cpu_seconds
        load.latencies += part.latencies
    if load.wrong:
        raise RuntimeError(f"{load.wrong} wrong answers; the first: {load.first_wrong}")
    return load


def in_processes(target: Any, arguments: list[tuple[Any, ...]]) -> list[Any]:
    """Call `target(start, *arguments)` in a process each and return what they return.

    `start` is a function that a process calls when it is prepared; it returns the moment at which all of them begin.
    """
    context = multiprocessing.get_context("spawn")
    pipes: list[Connection] = []
    children = []
    try:
        for values in arguments:
            ours, theirs = context.Pipe()
            child = context.Process(target=_child, args=(theirs, target, values), daemon=True)
            child.start()
            theirs.close()
            pipes.append(ours)
            children.append(child)
        for pipe in pipes:
            _receive(pipe, "ready")
        begin = time.monotonic() + START_SECONDS
        for pipe in pipes:
            pipe.send(begin)
        answers = [_receive(pipe) for pipe in pipes]
    finally:
        for child in children:
            child.join(0.5)
            if child.is_alive():
                child.terminate()
                child.join()
    return answers


def _receive(pipe: Connection, expected: str = "") -> Any:
    """What a process says; an error it met, or silence, is raised here."""
    if not pipe.poll(LONGEST_SECONDS):
        raise RuntimeError(f"a measuring process said nothing for {LONGEST_SECONDS} s")
    said = pipe.recv()
    if isinstance(said, str) and said != expected:
        raise RuntimeError(said)
    return said


def _child(pipe: Connection, target: Any, values: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle

    def start() -> float:
        pipe.send("ready")
        begin: float = pipe.recv()
        time.sleep(max(0.0, begin - time.monotonic()))
        return begin

    try:
        pipe.send(target(start, *values))
    except Exception as error:  # noqa: BLE001  (it is raised again where it can be seen)
        pipe.send(f"{type(error).__name__}: {error}")


class _Channel:
    """One connection, with at most one request under way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.since = 0.0
        self.buffer = b""

    def answer(self) -> bytes | None:
        """Head and body of the answer, or None while it is not all there."""
        part = self.socket.recv(262144)
        if not part:
            raise ConnectionError("the server closed a connection")
        self.buffer += part
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return None
        lower = head.lower()
        at = lower.find(b"content-length:")
        if at >= 0:
            is_whole = len(body) >= int(lower[at + 15 :].split(b"\r\n", 1)[0])
        else:
            is_whole = b"chunked" not in lower or body.endswith(b"0\r\n\r\n")
        if not is_whole:
            return None
        whole, self.buffer = self.buffer, b""
        return whole


def _send(start: Any, plan: Plan, number: int) -> Load:
    """What one process does."""
    fresh = samples.tokens(number)
    templates = samples.bodies(plan.templates, plan.size, seed=plan.seed * 100 + number)
    encoded = [_request(plan, body) for body in templates]
    channels = [_Channel(plan.port) for _ in range(plan.connections // plan.processes)]
    wake = selectors.DefaultSelector()
    for channel in channels:
        wake.register(channel.socket, selectors.EVENT_READ, channel)
    load, right = Load(seconds=plan.seconds), plan.right_answer()
    begin = start()
    spent = time.process_time()
    opens, closes = begin + plan.warm_up, begin + plan.warm_up + plan.seconds
    due = _due(plan, begin, number)
    idle, busy, at = list(channels), 0, 0
    following = next(due)
    while True:
        now = time.monotonic()
        while idle and following <= now and now < closes:
            channel = idle.pop()
            channel.since = now if plan.rate is None else following
            channel.socket.sendall(encoded[at % len(encoded)].replace(samples.TOKEN, next(fresh)))
            at, busy, following = at + 1, busy + 1, next(due)
        if now >= closes and (not busy or now >= closes + 30):
            break
        pause = max(0.0, min(following, closes) - now) if idle and now < closes else 1.0
        for key, _ in wake.select(pause):
            channel = key.data
            answer = channel.answer()
            if answer is None:
                continue
            done = time.monotonic()
            idle.append(channel)
            busy -= 1
            if answer.startswith(b"HTTP/1.1 503") and b"retry-after:" in answer.lower():
                load.refused += 1
                continue
            load.total_events += plan.size
            if right not in answer or not answer.startswith((b"HTTP/1.1 202", b"HTTP/1.1 200")):
                load.wrong += 1
                load.first_wrong = load.first_wrong or answer[:400].decode(errors="replace")
            # A closed loop counts what was finished in the window, an open loop what fell due in it.
            elif opens <= (done if plan.rate is None else channel.since) < closes:
                load.requests += 1
                load.events += plan.size
                load.latencies.append(done - channel.since)
    load.cpu_seconds = time.process_time() - spent
    for channel in channels:
        channel.socket.close()
    return load


def _due(plan: Plan, begin: float, number: int) -> Iterator[float]:
    """When this process's requests fall due; the processes take turns."""
    if plan.rate is None:
        while True:
            yield 0.0
    step = plan.processes / plan.rate
    moment = begin + step * number / plan.processes
    while True:
        yield moment
        moment += step


def _request(plan: Plan, body: bytes) -> bytes:
    head = (
        f"POST {plan.path} HTTP/1.1\r\nHost: 127.0.0.1:{plan.port}\r\nx-ts-key: {plan.key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\nuser-agent: bench/1\r\n\r\n"
    )
    return head.encode() + body
