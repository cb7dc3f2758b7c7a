"""A loopback destination that costs next to nothing: reads a request, waits, answers success as the platform would.

`python -m bench.sink --port 9000 --latency 20` answers after 20 ms. The first segment of the path is the platform
(sandbox mode puts it there); `/events` is answered as the ingest API would, to measure the load generator alone.
Requests whose path contains `--hang` are never answered: a dead destination. `GET /_stats` tells what came.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from collections import Counter

MARKS = {b"meta": b'"event_name":', b"linkedin": b'"conversionHappenedAt":'}
"""What occurs once in each event of a body: counting it costs less than decoding."""


class Sink(asyncio.Protocol):
    """One connection."""

    seconds = 0.0
    hang = b""
    events: Counter[str] = Counter()
    requests: Counter[str] = Counter()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.parts: list[bytes] = []
        self.have = self.need = 0

    def data_received(self, data: bytes) -> None:
        self.parts.append(data)
        self.have += len(data)
        while self.have and self.have >= self.need:
            buffer = b"".join(self.parts)
            self.parts = [buffer]
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                self.need = 0
                return
            if not self.need:
                self.need = end + 4 + self._length(buffer[:end])
                continue
            request, rest = buffer[: self.need], buffer[self.need :]
            self.parts, self.have, self.need = [rest], len(rest), 0
            self._take(request)

    @staticmethod
    def _length(head: bytes) -> int:
        lower = head.lower()
        at = lower.find(b"\r\ncontent-length:")
        return int(lower[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0

    def _take(self, request: bytes) -> None:
        path = request[: request.index(b"\r\n")].split(b" ")[1]
        if self.hang and self.hang in path:
            self.requests["hanging"] += 1
            return
        platform = path[1:].split(b"/", 1)[0].split(b"?", 1)[0]
        if platform == b"_stats":
            body = json.dumps({"events": dict(self.events), "requests": dict(self.requests)}).encode()
            self._answer(b"200 OK", body)
            return
        count = request.count(MARKS[platform]) if platform in MARKS else 1
        self.events[platform.decode()] += count
        self.requests[platform.decode()] += 1
        if platform == b"meta":
            body = b'{"events_received":%d,"messages":[],"fbtrace_id":"bench"}' % count
        elif platform == b"linkedin":
            body = b'{"elements":[' + b",".join([b'{"status":201}'] * count) + b"]}"
        elif platform == b"events":
            events = request.count(b'"eventId":')
            body = b'{"status":"accepted","received":%d,"accepted":%d,"duplicates":0}' % (events, events)
        else:
            body = b"{}"
        status = b"202 Accepted" if platform == b"events" else b"200 OK"
        if self.seconds:
            asyncio.get_running_loop().call_later(self.seconds, self._answer, status, body)
        else:
            self._answer(status, body)

    def _answer(self, status: bytes, body: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(
                b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
                % (status, len(body), body)
            )


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", port, backlog=512)
    async with server:
        await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--latency", type=float, default=0.0, help="milliseconds")
    parser.add_argument("--hang", default="", help="part of the paths that are never answered")
    asked = parser.parse_args()
    Sink.seconds, Sink.hang = asked.latency / 1000, asked.hang.encode()
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(SystemExit))
    asyncio.run(serve(asked.port))


if __name__ == "__main__":
    main()
