"""A plain client for the sandbox's tests, and payloads written by hand from the vendors' documentation."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

EMAIL_HASH = "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"  # john_smith@gmail.com, Meta's example
PHONE_HASH = "e323ec626319ca94ee8bff2e4c87cf613be6ea19919ed1364124e16807ab3176"  # 16505551212, Meta's example
HASH_OF_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


class _Gone:
    def __repr__(self) -> str:
        return "GONE"  # names of tests hold it, and must be the same in every process


GONE = _Gone()
"""Set a field to it to leave the field out."""


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@contextmanager
def connected(url: str, timeout: float = 10) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=timeout)
    try:
        yield connection
    finally:
        connection.close()


def exchange(
    connection: http.client.HTTPConnection, method: str, path: str, body: Any = None, headers: Any = None
) -> Reply:
    raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    connection.request(method, path, raw, headers or {})
    response = connection.getresponse()
    with response:
        return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())


def ask(url: str, method: str, path: str, body: Any = None, headers: Any = None) -> Reply:
    with connected(url) as connection:
        return exchange(connection, method, path, body, headers)


def changed(value: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A deep copy with `{"user_data.em": …}` set."""
    copy = json.loads(json.dumps(value))
    for path, new in changes.items():
        *parents, name = path.split(".")
        at = copy
        for parent in parents:
            at = at[int(parent)] if isinstance(at, list) else at[parent]
        if new is GONE:
            del at[name]
        else:
            at[name] = new
    return copy


def seconds(days_ago: float = 0) -> int:
    return int(time.time() - days_ago * 86_400)
