"""The sandbox: one WSGI application that answers as every platform does.

`/<platform key>/<the vendor's own path>` is answered by that platform's double. Beside them:

- `GET /_received[?platform=meta]` the last requests, newest first, with how many events were `accepted` and how many
  of those the vendor knew already (`duplicates`); `DELETE /_received` forgets them.
- `GET /_accepted[?platform=meta]` event id → how often it was taken, also of requests that are no longer kept.
- `POST /_failures {"platform": "meta", "kind": "429", "times": 3, "retry_after": 2, "seconds": 5,
  "match": {"event_id": "…"}}` makes requests fail; `GET /_failures`, `DELETE /_failures[?platform=meta]`.
  `kind` is timeout, html, empty, truncated, partial or a status. A single request fails with `x-sandbox-fail: <kind>`.
- `POST /_latency {"platform": "meta", "ms": 200}` (0: none), `GET /_latency`, `DELETE /_latency`.
- `GET /healthz`
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import cache
from http import HTTPStatus
from importlib import import_module
from typing import Any
from urllib.parse import parse_qsl, urlencode

from destinations.sandbox.base import Answer, NotJson, Refused, Request, Vendor, read_json
from destinations.sandbox.checks import Check, amount, look_over, text
from destinations.sandbox.failures import Failure, FailureBook, Unusable, check_possible, fail

VENDORS: dict[str, str] = {
    "meta": "destinations.sandbox.meta.Meta",
    "linkedin": "destinations.sandbox.linkedin.LinkedIn",
    "pinterest": "destinations.sandbox.pinterest.Pinterest",
    "snapchat": "destinations.sandbox.snapchat.Snapchat",
    "quora": "destinations.sandbox.quora.Quora",
    "clickhouse": "destinations.sandbox.clickhouse.ClickHouse",
    "tinybird": "destinations.sandbox.tinybird.Tinybird",
    "bigquery": "destinations.sandbox.bigquery.BigQuery",
    "files": "destinations.sandbox.files.Files",
    "salesforce": "destinations.sandbox.salesforce.Salesforce",
    "hubspot": "destinations.sandbox.hubspot.HubSpot",
    "customerio": "destinations.sandbox.customerio.CustomerIo",
    "google_ads": "destinations.sandbox.google_ads.GoogleAds",
    "ga4": "destinations.sandbox.ga4.Ga4",
    "x": "destinations.sandbox.x.X",
    "microsoft": "destinations.sandbox.microsoft.Microsoft",
    "tiktok": "destinations.sandbox.tiktok.TikTok",
    "reddit": "destinations.sandbox.reddit.Reddit",
    "webhook": "destinations.sandbox.webhook.Webhook",
}

MOST_KEPT = 500
MOST_KEPT_BYTES = 64 * 1024 * 1024
MOST_IDS = 500_000
SECRET = re.compile(r"authorization|cookie|token|secret|password|proof|api[-_]?key", re.IGNORECASE)
LATENCY_FIELDS: dict[str, Check] = {"platform": text, "ms": amount}


@cache
def vendor_of(key: str) -> Vendor:
    try:
        module, _, name = VENDORS[key].rpartition(".")
    except KeyError:
        raise Unusable(f"the sandbox has no platform {key!r}; it has {', '.join(VENDORS)}") from None
    vendor: Vendor = getattr(import_module(module), name)()
    return vendor


class Received:
    """The last requests. Secrets are not kept."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: deque[dict[str, Any]] = deque()
        self._bytes = 0

    def add(self, platform: str, request: Request) -> dict[str, Any]:
        query = [(name, "…" if SECRET.search(name) else value) for name, value in parse_qsl(request.query)]
        entry: dict[str, Any] = {
            "platform": platform,
            "received_at": datetime.now(UTC).isoformat(),
            "method": request.method,
            "path": request.path + (f"?{urlencode(query, safe='…')}" if query else ""),
            "headers": {name: value for name, value in request.headers.items() if not SECRET.search(name)},
            "body": request.body,
            "status": None,
            "failure": None,
            "accepted": 0,
            "duplicates": 0,
        }
        with self._lock:
            self._kept.append(entry)
            self._bytes += len(request.body)
            while len(self._kept) > MOST_KEPT or (self._bytes > MOST_KEPT_BYTES and len(self._kept) > 1):
                self._bytes -= len(self._kept.popleft()["body"])
        return entry

    def every(self, platform: str | None = None) -> list[dict[str, Any]]:
        with self._lock:
            kept = [entry.copy() for entry in reversed(self._kept) if platform in (None, entry["platform"])]
        for entry in kept:
            entry["body"] = _readable(entry["body"])
        return kept

    def clear(self) -> None:
        with self._lock:
            self._kept.clear()
            self._bytes = 0


class Accepted:
    """The ids of the events that were taken. Tells a lost event and one that came twice, long after the last requests
    are forgotten."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._times: OrderedDict[tuple[str, ...], tuple[int, float]] = OrderedDict()

    def add(self, platform: str, ids: list[tuple[str, ...]], now: float, window: float) -> int:
        """Returns how many the vendor knows already."""
        duplicates = 0
        with self._lock:
            for one in filter(None, ids):
                times, first = self._times.get((platform, *one), (0, now))
                is_known = times > 0 and now - first <= window
                self._times[platform, *one] = times + 1, first if is_known else now
                duplicates += is_known
            while len(self._times) > MOST_IDS:
                self._times.popitem(last=False)
        return duplicates

    def every(self, platform: str | None = None) -> dict[str, int]:
        """Event id → how often it was taken, repetitions included."""
        found: dict[str, int] = {}
        with self._lock:
            for key, (times, _) in self._times.items():
                if platform in (None, key[0]):
                    found[key[-1]] = found.get(key[-1], 0) + times
        return found

    def clear(self) -> None:
        with self._lock:
            self._times.clear()


def _readable(body: bytes) -> Any:
    """The JSON value of a body, or its text."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body.decode(errors="replace")


class App:
    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.received = Received()
        self.accepted = Accepted()
        self.failures = FailureBook()
        self.latencies: dict[str, float] = {}
        self.stopping = threading.Event()
        """Set on shutdown, so that injected timeouts end."""

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            answer = self._route(_read(environ))
        except (Unusable, NotJson) as error:
            answer = Answer.of(400, {"error": str(error)})
        length = len(answer.body) if answer.announced is None else answer.announced
        status = f"{answer.status} {_phrase(answer.status)}"
        start_response(status, [*answer.headers.items(), ("Content-Length", str(length))])
        return [answer.body]

    def clear(self) -> None:
        self.received.clear()
        self.accepted.clear()
        self.failures.clear()
        self.latencies.clear()

    def _route(self, request: Request) -> Answer:
        key, _, rest = request.path.removeprefix("/").partition("/")
        if key == "healthz":
            return Answer.of(200, {"status": "ok"})
        if key in ("_received", "_accepted", "_failures", "_latency"):
            return self._control(key, request)
        if key not in VENDORS:
            return Answer.of(404, {"error": f"the sandbox has no platform {key!r}", "platforms": list(VENDORS)})
        return self._serve(key, Request(request.method, f"/{rest}", request.query, request.headers, request.body))

    def _serve(self, key: str, request: Request) -> Answer:
        vendor = vendor_of(key)
        entry = self.received.add(key, request)
        if delay := self.latencies.get(key):
            self.stopping.wait(delay / 1000)
        read = self._look(vendor, request)

        def ask() -> Answer:
            if read is not None:
                return read
            try:
                good = vendor.answer(request, self.clock())
            except Refused as refused:
                return refused.answer
            ids = vendor.ids(request)
            if failure and failure.kind == "partial" and good.body and ids:
                ids.pop()
            duplicates = self.accepted.add(key, ids, self.clock(), vendor.dedup_seconds)
            entry.update(accepted=len(ids), duplicates=duplicates)
            return good

        if kind := request.headers.get("x-sandbox-fail"):
            check_possible(kind, key, vendor)
            failure: Failure | None = Failure(key, kind)
        else:
            failure = self.failures.take(key, request.body)
        if failure and failure.kind == "partial" and read is not None:
            failure = None  # of no event
        answer = fail(failure, vendor, ask, self.stopping.wait) if failure else ask()
        entry.update(status=answer.status, failure=failure.kind if failure else None)
        return answer

    def _look(self, vendor: Vendor, request: Request) -> Answer | None:
        try:
            return vendor.look(request, self.clock())
        except Refused as refused:
            return refused.answer

    def _control(self, key: str, request: Request) -> Answer:
        platform = request.parameters.get("platform")
        if platform is not None:
            vendor_of(platform)
        match request.method, key:
            case "GET", "_received":
                return Answer.of(200, self.received.every(platform))
            case "GET", "_accepted":
                return Answer.of(200, self.accepted.every(platform))
            case "GET", "_failures":
                return Answer.of(200, self.failures.every())
            case "GET", "_latency":
                return Answer.of(200, self.latencies.copy())
            case "DELETE", "_received":
                self.received.clear()
                self.accepted.clear()
            case "DELETE", "_failures":
                self.failures.clear(platform)
            case "DELETE", "_latency":
                self.latencies.clear()
            case "POST", "_failures":
                return Answer.of(201, self.set_failure(read_json(request.body)))
            case "POST", "_latency":
                return Answer.of(201, self.set_latency(read_json(request.body)))
            case _:
                return Answer.of(405, {"error": f"{request.method} is not allowed here"})
        return Answer(204)

    def set_failure(self, value: Any) -> dict[str, Any]:
        return self.failures.add(value, vendor_of).as_json()

    def set_latency(self, value: Any) -> dict[str, float]:
        if faults := look_over(value, LATENCY_FIELDS, LATENCY_FIELDS):
            raise Unusable(f"{faults[0].path} {faults[0].text}")
        vendor_of(value["platform"])
        self.latencies[value["platform"]] = value["ms"]
        return self.latencies.copy()


def _read(environ: dict[str, Any]) -> Request:
    headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name[:5] == "HTTP_"}
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            headers[name.replace("_", "-").lower()] = environ[name]
    return Request(
        environ["REQUEST_METHOD"],
        # WSGI hands over the bytes of the path as Latin-1.
        environ.get("PATH_INFO", "").encode("latin-1").decode(errors="replace"),
        environ.get("QUERY_STRING", ""),
        headers,
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)),
    )


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


application = App()
"""For any WSGI server with one process: what is received and set is kept in its memory."""
