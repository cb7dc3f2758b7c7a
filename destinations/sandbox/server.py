"""A small threaded HTTP/1.1 server for the sandbox, with keep-alive."""

from __future__ import annotations

import io
import socket
import socketserver
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from destinations.sandbox.app import App

MOST_BODY_BYTES = 32 * 1024 * 1024
IDLE_SECONDS = 120


class Handler(BaseHTTPRequestHandler):
    """Hands each request of a connection to the WSGI application."""

    server: Server
    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True
    wbufsize = -1  # buffered: head and body leave in one packet

    def run_application(self) -> None:
        body = self._read_body()
        if body is None:
            return
        parts = urlsplit(self.path)
        environ: dict[str, Any] = {
            "REQUEST_METHOD": self.command,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(parts.path).decode("latin-1"),
            "QUERY_STRING": parts.query,
            "CONTENT_LENGTH": str(len(body)),
            "SERVER_NAME": self.server.server_address[0],
            "SERVER_PORT": str(self.server.server_address[1]),
            "SERVER_PROTOCOL": self.request_version,
            "REMOTE_ADDR": self.client_address[0],
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in self.headers.items():
            key = name.upper().replace("-", "_")
            environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value
        self._send(b"".join(self.server.app(environ, self._start_response)))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = run_application  # noqa: N815  the base class calls these

    def _read_body(self) -> bytes | None:
        """The body, or None after an answer that ends the connection, because its end is not known."""
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isascii() or not length.isdigit():
            self.send_error(411, "A Content-Length is required")
        elif int(length) > MOST_BODY_BYTES:
            self.send_error(413)
        else:
            body = self.rfile.read(int(length))
            if len(body) == int(length):
                return body
        self.close_connection = True
        return None

    def _start_response(self, status: str, headers: list[tuple[str, str]], exc_info: object = None) -> None:
        code, _, phrase = status.partition(" ")
        self._announced = int(dict(headers)["Content-Length"])
        self.send_response(int(code), phrase)
        if int(code) == 204:
            headers = [one for one in headers if one[0] != "Content-Length"]  # RFC 9110, 8.6
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()

    def _send(self, body: bytes) -> None:
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()
        if len(body) < self._announced:
            self.close_connection = True

    def version_string(self) -> str:
        return "sandbox"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the name in the base class
        """Requests are in /_received; the log stays quiet."""


class Server(socketserver.ThreadingTCPServer):
    # Not http.server's class: it looks the host's name up, which takes seconds where there is no DNS.
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, host: str, port: int, app: App) -> None:
        self.app = app
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__((host, port), Handler)

    @property
    def url(self) -> str:
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}"

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error; anything else is one of ours and is shown."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    def stop(self) -> None:
        """Ends injected timeouts and idle connections, whose threads would otherwise stay. Call from another thread."""
        self.app.stopping.set()
        self.shutdown()
        self.server_close()
        with self._lock:
            left = list(self._open)
        for connection in left:
            # It may have closed meanwhile.
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RD)


@contextmanager
def serving(host: str = "127.0.0.1", port: int = 0) -> Iterator[Server]:
    """A server in a thread, on a free port by default."""
    server = Server(host, port, App())
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="sandbox", daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join()


class Sandbox:
    """A running sandbox, for tests."""

    def __init__(self, server: Server) -> None:
        self.url = server.url
        self._app = server.app

    def received(self, platform: str | None = None) -> list[dict[str, Any]]:
        """The requests, newest first."""
        return self._app.received.every(platform)

    def accepted(self, platform: str | None = None) -> dict[str, int]:
        """Event id → how often it was taken, repetitions included."""
        return self._app.accepted.every(platform)

    def fail(self, platform: str, kind: str, **options: Any) -> None:
        """Options: times, retry_after, seconds, match={"event_id": …}."""
        self._app.set_failure({"platform": platform, "kind": kind, **options})

    def delay(self, platform: str, ms: float) -> None:
        self._app.set_latency({"platform": platform, "ms": ms})

    def clear(self) -> None:
        """Forgets requests, failures and delays."""
        self._app.clear()


@contextmanager
def running_sandbox() -> Iterator[Sandbox]:
    """A sandbox on a free port, in this process."""
    with serving() as server:
        yield Sandbox(server)
