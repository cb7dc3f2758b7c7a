"""The only door to the network.

Every outgoing request passes here: with a timeout, without redirects, to public addresses only (checked on the address
that is really connected to, so a name that resolves differently the second time gains nothing), reading a bounded
answer, and with errors as sentences a marketer can read.
"""

from __future__ import annotations

import io
import ipaddress
import socket
import time
from contextvars import ContextVar
from functools import cache
from http import client
from typing import Any
from urllib.parse import urlsplit

import msgspec
import urllib3
from django.conf import settings
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
    SSLError,
)
from urllib3.util import connection as sockets

from destinations.platforms.base import Request, Response

CONNECT_SECONDS = 5
MAX_ANSWER_BYTES = 4 * 1024 * 1024
"""Larger than the longest per-row answer of a full batch; what is beyond is not read."""
USER_AGENT = "TrackStack/0.1 (+server-side conversion router)"


# What is outside of it (NAT64, site-local, IPv4-compatible …) leads to addresses that the checks above cannot see.
_INTERNET_V6 = ipaddress.ip_network("2000::/3")


class NoAnswer(msgspec.Struct, frozen=True):
    """No HTTP answer came. `is_refused_here`: we did not even try (private address, bad URL)."""

    sentence: str
    is_refused_here: bool = False


class PrivateAddress(HTTPError):
    """The host resolves to an address that outgoing requests must not reach."""


@cache
def _permitted(entries: tuple[str, ...]) -> tuple[frozenset[str], tuple[Any, ...]]:
    """ALLOW_PRIVATE_ADDRESSES as host names and networks."""
    hosts: set[str] = set()
    networks: list[Any] = []
    for entry in entries:
        try:
            networks.append(ipaddress.ip_network(entry, strict=False))
        except ValueError:
            hosts.add(entry.lower())
    return frozenset(hosts), tuple(networks)


def may_reach(host: str, port: int, address: str) -> bool:
    """Whether `host`, resolved to `address`, may be connected to."""
    ip: Any = ipaddress.ip_address(address.split("%")[0])
    ip = getattr(ip, "ipv4_mapped", None) or ip
    if ip.is_global and not ip.is_multicast and (ip.version == 4 or ip in _INTERNET_V6):
        inner = getattr(ip, "sixtofour", None) or (getattr(ip, "teredo", None) or (None, None))[1]
        if inner is None or inner.is_global:
            return True
    sandbox = urlsplit(settings.SANDBOX_URL)
    if settings.SANDBOX_URL and (host, port) == (sandbox.hostname, sandbox.port):
        return True
    hosts, networks = _permitted(tuple(settings.ALLOW_PRIVATE_ADDRESSES))
    return host.lower() in hosts or any(ip in network for network in networks if network.version == ip.version)


_until: ContextVar[float] = ContextVar("until")
"""When the exchange at hand must be over, on the monotonic clock."""


def _left() -> float:
    """Seconds that remain of the exchange; raises TimeoutError when none do."""
    left = _until.get() - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


class _Timed(io.RawIOBase):
    """What comes out of a socket until the exchange's time is up: a socket's own timeout is per packet, and an answer
    that drips, in its head or its body, must end as well."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._raw: Any = sock.makefile("rb", buffering=0)  # keeps the socket open while it is read

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(_left())
        count: int | None = self._raw.readinto(buffer)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Answer(client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp.close()
        self.fp = io.BufferedReader(_Timed(sock))


class _Guard:
    """Connects to a permitted address only, and is done in time."""

    response_class: Any = _Answer

    def send(self: Any, data: Any) -> None:
        if self.sock is not None:
            self.sock.settimeout(_left())
        super().send(data)  # type: ignore[misc]

    def _new_conn(self: Any) -> socket.socket:
        try:
            found = socket.getaddrinfo(self._dns_host, self.port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        addresses = [info[4][0] for info in found]
        permitted = [str(a) for a in addresses if may_reach(self._dns_host, self.port, str(a))]
        if not permitted:
            raise PrivateAddress(f"{self.host} is a private address")
        last: OSError | None = None
        for address in permitted[:4]:
            try:
                return sockets.create_connection(
                    (address, self.port),
                    self.timeout,
                    source_address=self.source_address,
                    socket_options=self.socket_options,
                )
            except TimeoutError as error:
                raise ConnectTimeoutError(self, f"no connection to {self.host}") from error
            except OSError as error:
                last = error
        raise NewConnectionError(self, f"no connection to {self.host}: {last}") from last


class _GuardedHTTP(_Guard, HTTPConnection):
    pass


class _GuardedHTTPS(_Guard, HTTPSConnection):
    pass


class _HTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _GuardedHTTP


class _HTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _GuardedHTTPS


def _manager() -> urllib3.PoolManager:
    manager = urllib3.PoolManager(num_pools=64, maxsize=32, retries=False)
    manager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
    return manager


_pools = _manager()


def send(request: Request, *, timeout: float | None = None) -> tuple[Response | NoAnswer, int]:
    """Make one request; returns the answer, or why there is none, and the latency in milliseconds. Never raises.

    timeout: seconds for all of it, however the answer comes.
    """
    seconds = settings.HTTP_TIMEOUT_SECONDS if timeout is None else timeout
    started = time.monotonic()
    answer: Response | NoAnswer
    try:
        if not request.url.startswith(("https://", "http://")):
            raise ValueError("not an absolute HTTP URL")
        _until.set(started + seconds)
        answer = _exchange(request, seconds)
    except PrivateAddress:
        host = urlsplit(request.url).hostname
        answer = NoAnswer(
            f"{host} is a private address; an operator can permit it with ALLOW_PRIVATE_ADDRESSES.",
            is_refused_here=True,
        )
    except NameResolutionError:
        answer = NoAnswer(f"{urlsplit(request.url).hostname} could not be found (DNS).")
    except NewConnectionError:  # before its base class ConnectTimeoutError
        answer = NoAnswer("The connection was refused.")
    except ConnectTimeoutError:
        answer = NoAnswer(f"No connection within {CONNECT_SECONDS} s.")
    except (ReadTimeoutError, TimeoutError):
        answer = NoAnswer(f"No answer within {seconds:g} s.")
    except SSLError:
        answer = NoAnswer("The TLS certificate could not be verified.")
    except (HTTPError, OSError) as error:
        is_late = time.monotonic() - started >= seconds  # it took too long to take the request
        broke = f"The connection broke ({type(error).__name__})."
        answer = NoAnswer(f"No answer within {seconds:g} s." if is_late else broke)
    except ValueError:
        answer = NoAnswer("The URL is not valid.", is_refused_here=True)
    return answer, round((time.monotonic() - started) * 1000)


def _exchange(request: Request, seconds: float) -> Response:
    raw = _pools.request(
        request.method,
        request.url,
        body=request.body,
        headers={"User-Agent": USER_AGENT, **request.headers},
        timeout=urllib3.Timeout(connect=min(CONNECT_SECONDS, seconds), read=seconds),
        redirect=False,
        preload_content=False,
    )
    try:
        body = b""
        while len(body) < MAX_ANSWER_BYTES:
            part = raw.read1(65536, decode_content=True)
            if not part:
                break
            body += part
    finally:
        raw.release_conn() if raw.closed or not raw.length_remaining else raw.close()
    headers = {name.lower(): value for name, value in raw.headers.items()}
    return Response(status=raw.status, headers=headers, body=body[:MAX_ANSWER_BYTES])
