"""What the sandbox keeps, how it is made to fail, and its connections."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from destinations.sandbox import app as app_module
from destinations.sandbox.server import Sandbox, running_sandbox
from tests.destinations.sandbox import test_linkedin, test_meta, test_webhook
from tests.destinations.sandbox.support import Reply, ask, connected, exchange

ROOT = Path(__file__).resolve().parents[3]


def meta(sandbox: Sandbox, event_id: str = "evt_1", **headers: str) -> Reply:
    return test_meta.send(sandbox, {"data": [test_meta.purchase(event_id=event_id)] * 2}, **headers)


def linkedin(sandbox: Sandbox) -> Reply:
    return test_linkedin.send(sandbox, {"elements": [test_linkedin.conversion()] * 2})


def control(sandbox: Sandbox, method: str, path: str, body: Any = None) -> Reply:
    return ask(sandbox.url, method, path, body)


class TestReceived:
    def test_newest_first_without_secrets(self, sandbox: Sandbox) -> None:
        meta(sandbox)
        linkedin(sandbox)
        kept = control(sandbox, "GET", "/_received").json
        assert [(one["platform"], one["method"], one["status"]) for one in kept] == [
            ("linkedin", "POST", 200),
            ("meta", "POST", 200),
        ]
        assert kept[1]["path"] == "/v26.0/123456789012345/events"
        assert kept[1]["body"]["data"][0]["event_id"] == "evt_1"
        assert kept[0]["headers"]["linkedin-version"] == "202609"
        assert test_meta.TOKEN not in json.dumps(kept)
        assert [one["platform"] for one in control(sandbox, "GET", "/_received?platform=meta").json] == ["meta"]
        assert control(sandbox, "DELETE", "/_received").status == 204
        assert sandbox.received() == []

    def test_ring(self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(app_module, "MOST_KEPT", 3)
        for number in range(5):
            meta(sandbox, f"evt_{number}")
        assert [one["body"]["data"][0]["event_id"] for one in sandbox.received()] == ["evt_4", "evt_3", "evt_2"]

    def test_bytes_are_bounded(self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(app_module, "MOST_KEPT_BYTES", 1)
        meta(sandbox)
        meta(sandbox)
        assert len(sandbox.received()) == 1

    def test_not_json_is_kept_as_text(self, sandbox: Sandbox) -> None:
        test_meta.send(sandbox, b"\xffoops")
        assert sandbox.received()[0]["body"] == "\ufffdoops"


class TestAccepted:
    def test_duplicates_are_counted(self, sandbox: Sandbox) -> None:
        batch = [test_meta.purchase(event_id=one) for one in ("a", "b")]
        test_meta.send(sandbox, {"data": batch})
        test_meta.send(sandbox, {"data": [*batch, test_meta.purchase(event_id="a", event_name="Lead")]})
        test_meta.send(sandbox, {"data": [test_meta.purchase(event_id="c", event_time=0)]})
        counts = [(one["accepted"], one["duplicates"]) for one in sandbox.received()]
        assert counts == [(0, 0), (3, 2), (2, 0)]
        assert sandbox.accepted("meta") == {"a": 3, "b": 2}
        assert control(sandbox, "GET", "/_accepted?platform=linkedin").json == {}
        test_linkedin.send(sandbox, test_linkedin.conversion(), X_RestLi_Method="CREATE")
        test_webhook.send(sandbox)
        assert control(sandbox, "GET", "/_accepted").json == {"a": 3, "b": 2, "evt_1": 1, "msg_1": 1}

    def test_events_without_id_are_not_recognised(self, sandbox: Sandbox) -> None:
        for _ in range(2):
            test_meta.send(sandbox, {"data": [test_meta.purchase(event_id=test_meta.GONE)]})
        assert [(one["accepted"], one["duplicates"]) for one in sandbox.received()] == [(1, 0)] * 2

    def test_meta_forgets_after_48_hours(self) -> None:
        ids, window = [("1", "Purchase", "a")], app_module.vendor_of("meta").dedup_seconds
        memory = app_module.Accepted()
        assert [memory.add("meta", ids, hour * 3600, window) for hour in (0, 47, 49, 50)] == [0, 1, 0, 1]

    @pytest.mark.parametrize(
        ("kind", "taken"), [("429", {}), ("html", {}), ("empty", {"evt_1": 2}), ("partial", {"evt_1": 1})]
    )
    def test_what_a_failing_request_leaves(self, sandbox: Sandbox, kind: str, taken: dict[str, int]) -> None:
        sandbox.fail("meta", kind, times=1)
        meta(sandbox)
        assert sandbox.accepted("meta") == taken


class TestFailures:
    def test_429_a_few_times(self, sandbox: Sandbox) -> None:
        order = {"platform": "meta", "kind": "429", "times": 2, "retry_after": 7}
        assert control(sandbox, "POST", "/_failures", order).status == 201
        assert linkedin(sandbox).status == 200
        replies = [meta(sandbox) for _ in range(3)]
        assert [one.status for one in replies] == [429, 429, 200]
        assert replies[0].headers["retry-after"] == "7"
        assert (replies[0].json["error"]["code"], replies[0].json["error"]["is_transient"]) == (4, True)
        assert [one["failure"] for one in sandbox.received()] == [None, "429", "429", None]
        assert control(sandbox, "GET", "/_failures").json == []

    def test_until_deleted(self, sandbox: Sandbox) -> None:
        sandbox.fail("meta", "500")
        sandbox.fail("linkedin", "500")
        assert [meta(sandbox).status for _ in range(3)] == [500] * 3
        assert control(sandbox, "GET", "/_failures").json[0] == {"platform": "meta", "kind": "500"}
        assert control(sandbox, "DELETE", "/_failures?platform=meta").status == 204
        assert meta(sandbox).status == 200
        assert linkedin(sandbox).status == 500
        control(sandbox, "DELETE", "/_failures")
        assert linkedin(sandbox).status == 200

    def test_only_one_event(self, sandbox: Sandbox) -> None:
        sandbox.fail("meta", "500", match={"event_id": "evt_1"})
        assert meta(sandbox, "evt_10").status == 200
        assert meta(sandbox, "evt_1").status == 500

    @pytest.mark.parametrize(("kind", "code"), [("401", "EXPIRED_ACCESS_TOKEN"), ("500", "INTERNAL_SERVER_ERROR")])
    def test_linkedin_words(self, sandbox: Sandbox, kind: str, code: str) -> None:
        sandbox.fail("linkedin", kind)
        reply = linkedin(sandbox)
        assert (reply.status, reply.json["code"]) == (int(kind), code)

    @pytest.mark.parametrize(("kind", "code"), [("401", 190), ("500", 2), ("503", 2), ("403", 200), ("400", 100)])
    def test_meta_words(self, sandbox: Sandbox, kind: str, code: int) -> None:
        sandbox.fail("meta", kind)
        reply = meta(sandbox)
        assert (reply.status, reply.json["error"]["code"]) == (int(kind), code)

    def test_webhook_words(self, sandbox: Sandbox) -> None:
        sandbox.fail("webhook", "410", times=1)
        assert test_webhook.send(sandbox).status == 410
        sandbox.fail("webhook", "429", times=1)
        reply = test_webhook.send(sandbox)
        assert (reply.status, reply.headers["retry-after"]) == (429, "1")

    def test_html_and_empty(self, sandbox: Sandbox) -> None:
        sandbox.fail("meta", "html", times=1)
        reply = meta(sandbox)
        assert (reply.status, reply.headers["content-type"]) == (502, "text/html; charset=utf-8")
        assert b"<html" in reply.body
        sandbox.fail("meta", "empty", times=1)
        reply = meta(sandbox)
        assert (reply.status, reply.headers["content-length"], reply.body) == (200, "0", b"")

    def test_truncated(self, sandbox: Sandbox) -> None:
        sandbox.fail("meta", "truncated", times=1)
        with pytest.raises(http.client.IncompleteRead) as cut:
            meta(sandbox)
        assert cut.value.partial.startswith(b'{"events_received":2')
        assert meta(sandbox).status == 200

    def test_partial(self, sandbox: Sandbox) -> None:
        sandbox.fail("meta", "partial", times=1)
        assert meta(sandbox).json["events_received"] == 1
        sandbox.fail("linkedin", "partial", times=2)
        assert [one["status"] for one in linkedin(sandbox).json["elements"]] == [201, 500]
        assert test_linkedin.send(sandbox, {"elements": [{}]}).status == 422, "a refusal stays one"

    def test_timeout(self, sandbox: Sandbox) -> None:
        sandbox.fail("linkedin", "timeout", times=1, seconds=0.3)
        before = time.monotonic()
        reply = linkedin(sandbox)
        assert reply.status == 504
        assert reply.json["status"] == 504
        assert time.monotonic() - before >= 0.3

    def test_client_gives_up_first(self, sandbox: Sandbox) -> None:
        sandbox.fail("webhook", "timeout", times=1, seconds=0.5)
        with connected(sandbox.url, timeout=0.1) as connection, pytest.raises(TimeoutError):
            exchange(connection, "POST", "/webhook/", b"{}")
        assert sandbox.received()[0]["status"] is None

    def test_header(self, sandbox: Sandbox) -> None:
        assert meta(sandbox, **{"x-sandbox-fail": "429"}).headers["retry-after"] == "1"
        assert meta(sandbox, **{"x-sandbox-fail": "html"}).status == 502
        assert meta(sandbox, **{"x-sandbox-fail": "nonsense"}).status == 400
        assert meta(sandbox).status == 200

    @pytest.mark.parametrize(
        "order",
        [
            {},
            [],
            {"platform": "meta"},
            {"platform": "nobody", "kind": "500"},
            {"platform": "meta", "kind": "200"},
            {"platform": "meta", "kind": 500},
            {"platform": "meta", "kind": "500", "times": 0},
            {"platform": "meta", "kind": "500", "sometimes": 1},
            {"platform": "meta", "kind": "500", "match": {"name": "x"}},
            {"platform": "webhook", "kind": "partial"},
            b"{",
        ],
        ids=repr,
    )
    def test_unusable_orders(self, sandbox: Sandbox, order: Any) -> None:
        reply = control(sandbox, "POST", "/_failures", order)
        assert reply.status == 400
        assert reply.json["error"]


class TestControl:
    def test_latency(self, sandbox: Sandbox) -> None:
        assert control(sandbox, "POST", "/_latency", {"platform": "meta", "ms": 150}).json == {"meta": 150}
        before = time.monotonic()
        assert meta(sandbox).status == 200
        assert time.monotonic() - before >= 0.15
        assert control(sandbox, "DELETE", "/_latency").status == 204
        assert control(sandbox, "GET", "/_latency").json == {}
        assert control(sandbox, "POST", "/_latency", {"platform": "meta", "ms": -1}).status == 400

    def test_the_rest(self, sandbox: Sandbox) -> None:
        assert control(sandbox, "GET", "/healthz").json == {"status": "ok"}
        assert control(sandbox, "POST", "/nobody/x").status == 404
        assert control(sandbox, "GET", "/").status == 404
        assert control(sandbox, "PUT", "/_failures").status == 405
        assert control(sandbox, "GET", "/_received?platform=nobody").status == 400

    def test_every_double_loads(self) -> None:
        for key in app_module.VENDORS:
            vendor = app_module.vendor_of(key)
            assert all(vendor.error(status).status == status for status in (400, 401, 403, 404, 429, 500, 503, 504))


class TestConnections:
    def test_keep_alive(self, sandbox: Sandbox) -> None:
        with connected(sandbox.url) as connection:
            exchange(connection, "GET", "/healthz")
            used = connection.sock
            for method, path in (
                ("DELETE", "/_received"),
                ("POST", "/meta/x"),
                ("GET", "/nobody"),
                ("HEAD", "/healthz"),
            ):
                exchange(connection, method, path, b"{}" if method == "POST" else None)
                assert connection.sock is used
            assert exchange(connection, "GET", "/healthz").headers["content-length"] == "15"

    def test_concurrency(self, sandbox: Sandbox) -> None:
        sandbox.delay("meta", 200)
        sandbox.fail("meta", "500", times=5)
        before = time.monotonic()
        with ThreadPoolExecutor(20) as pool:
            statuses = [one.status for one in pool.map(lambda n: meta(sandbox, f"evt_{n}"), range(20))]
        assert sorted(statuses) == [200] * 15 + [500] * 5
        assert time.monotonic() - before < 2
        assert len(sandbox.received("meta")) == 20

    @pytest.mark.parametrize(
        ("head", "status"),
        [
            ("Transfer-Encoding: chunked", 411),
            ("Content-Length: x", 411),
            ("Content-Length: 999999999", 413),
        ],
    )
    def test_bodies_of_unknown_or_absurd_length(self, sandbox: Sandbox, head: str, status: int) -> None:
        host, port = urlsplit(sandbox.url).netloc.split(":")
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.sendall(f"POST /meta/x HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n".encode())
            assert connection.makefile("rb").readline().startswith(f"HTTP/1.1 {status} ".encode())

    def test_closing_ends_idle_and_waiting_connections(self) -> None:
        with running_sandbox() as one:
            one.fail("webhook", "timeout", seconds=30)
            with connected(one.url) as idle, connected(one.url) as waiting:
                exchange(idle, "GET", "/healthz")
                waiting.request("POST", "/webhook/x", b"{}")
                while not one.received():
                    time.sleep(0.01)
                before = time.monotonic()
                server_threads = [t for t in threading.enumerate() if "process_request_thread" in t.name]
        for thread in server_threads:
            thread.join(5)
        assert time.monotonic() - before < 5
        assert not any(thread.is_alive() for thread in server_threads)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_command(number: signal.Signals) -> None:
    """Runs the command by itself: `manage.py` would need the project's settings."""
    code = (
        "from django.conf import settings; settings.configure()\n"
        "from destinations.management.commands.sandbox import Command\n"
        "Command().run_from_argv(['manage.py', 'sandbox'])"
    )
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        url = process.stdout.readline().strip()
        assert ask(url, "GET", "/healthz").status == 200
        process.send_signal(number)
        assert process.wait(5) == 0
