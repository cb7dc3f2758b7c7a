"""The one door to the network, against real sockets on this machine."""

from __future__ import annotations

import http.server
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from destinations import http as door
from destinations.platforms.base import Request, Response

DRIPS = {
    "/drip-status": (b"", b"H"),
    "/drip-head": (b"HTTP/1.1 200 OK\r\n", b"X"),
    "/drip-continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "/drip-chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
}
"""What comes once, and what then comes drop by drop."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if self.path == "/redirect":
            self.send_response(302)
            self.send_header("Location", "/")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif self.path == "/slow":
            time.sleep(1.5)
            self.close_connection = True
        elif self.path == "/drip":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            for _ in range(20):
                self.wfile.write(b"x")
                self.wfile.flush()
                time.sleep(0.1)
        elif self.path in DRIPS:
            start, drop = DRIPS[self.path]
            self.wfile.write(start)
            for _ in range(20):
                self.wfile.write(drop)
                self.wfile.flush()
                time.sleep(0.1)
        elif self.path == "/last":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end")
            self.close_connection = True
        else:
            answer = b"got " + body + b" as " + self.headers["User-Agent"].encode()
            self.send_response(201)
            self.send_header("Content-Length", str(len(answer)))
            self.send_header("Retry-After", "7")
            self.end_headers()
            self.wfile.write(answer)

    def log_message(self, *args: Any) -> None:
        pass


class Quiet(http.server.ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is what some tests want."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = Quiet(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def _fresh_connections(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Addresses are checked when a connection is made: no test may find another one's kept open."""
    pools = door._manager()
    monkeypatch.setattr(door, "_pools", pools)
    yield
    pools.clear()


@pytest.fixture
def permitted(settings: Any) -> None:
    settings.ALLOW_PRIVATE_ADDRESSES = ["127.0.0.0/8"]


def post(url: str, timeout: float = 5) -> Any:
    answer, latency = door.send(
        Request(method="POST", url=url, headers={"X": "1"}, body=b"hello", items=()), timeout=timeout
    )
    assert latency >= 0
    return answer


@pytest.mark.usefixtures("permitted")
def test_sends_and_reads(url: str) -> None:
    answer = post(url)
    assert isinstance(answer, Response)
    assert (answer.status, answer.headers["retry-after"]) == (201, "7")
    assert answer.body.startswith(b"got hello as TrackStack/")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "10.0.0.1", "169.254.169.254", "[::1]", "0.0.0.0"])
def test_private_addresses_are_refused_without_connecting(host: str, settings: Any) -> None:
    settings.SANDBOX_URL = ""
    answer = post(f"http://{host}:9/")
    assert isinstance(answer, door.NoAnswer)
    assert answer.is_refused_here
    assert "private address" in answer.sentence


def test_mapped_and_special_addresses_are_private_too() -> None:
    for address in (
        "::ffff:127.0.0.1",
        "fe80::1%eth0",
        "224.0.0.1",
        "100.64.0.1",
        "fd00::1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "fec0::1",
        "::7f00:1",
    ):
        assert not door.may_reach("x.example", 443, address)
    assert door.may_reach("x.example", 443, "93.184.216.34")
    assert door.may_reach("x.example", 443, "2606:2800:220:1::1")


def test_a_permitted_name_and_the_sandbox_are_reached(url: str, settings: Any) -> None:
    settings.ALLOW_PRIVATE_ADDRESSES = ["localhost"]
    assert isinstance(post(url.replace("127.0.0.1", "localhost")), Response)
    assert isinstance(post(url), door.NoAnswer)
    settings.SANDBOX_URL = url
    assert isinstance(post(url), Response)


@pytest.mark.usefixtures("permitted")
def test_redirects_are_answers_not_followed(url: str) -> None:
    answer = post(f"{url}/redirect")
    assert answer.status == 302


@pytest.mark.usefixtures("permitted")
@pytest.mark.parametrize("path", ["/slow", "/drip", *DRIPS])
def test_slow_and_dripping_answers_end(url: str, path: str) -> None:
    started = time.monotonic()
    answer = post(f"{url}{path}", timeout=0.5)
    assert isinstance(answer, door.NoAnswer)
    assert "No answer within 0.5 s" in answer.sentence
    assert time.monotonic() - started < 1.4


@pytest.mark.usefixtures("permitted")
def test_an_answer_that_ends_with_the_connection_is_read(url: str) -> None:
    for _ in range(2):
        assert post(f"{url}/last").body == b"to the end"


@pytest.mark.usefixtures("permitted")
def test_a_connection_is_kept_and_has_the_whole_time_again(url: str) -> None:
    for _ in range(4):
        assert post(url, timeout=0.5).status == 201
        time.sleep(0.2)
    (key,) = list(door._pools.pools.keys())
    pool: Any = door._pools.pools[key]
    assert pool.num_connections == 1


@pytest.mark.usefixtures("permitted")
def test_a_request_that_is_not_taken_ends_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        started = time.monotonic()
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
        big = Request(method="POST", url=url, headers={}, body=b"x" * 30_000_000, items=())
        answer, _latency = door.send(big, timeout=0.5)
        assert isinstance(answer, door.NoAnswer)
        assert "No answer within 0.5 s" in answer.sentence
        assert time.monotonic() - started < 1.4


@pytest.mark.usefixtures("permitted")
def test_nobody_listening_is_said_plainly() -> None:
    assert "refused" in post("http://127.0.0.1:9/").sentence


@pytest.mark.parametrize("url", ["nonsense", "http://", "ftp://x.example/", "http://[::bad/"])
def test_a_bad_url_is_no_exception(url: str) -> None:
    assert isinstance(post(url), door.NoAnswer)
