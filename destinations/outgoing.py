"""From a destination's request to an answer: which way it leaves. Every way out of the product passes here."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec
from django.conf import settings

from destinations import files, http
from destinations.models import Destination
from destinations.platforms.base import Request, Response


def addressed(destination: Destination, request: Request) -> Request:
    """The request with its URL led to the sandbox when the destination is in sandbox mode."""
    if not destination.is_sandbox or request.url.startswith(files.SCHEME):
        return request
    parts = urlsplit(request.url)
    query = f"?{parts.query}" if parts.query else ""
    url = f"{settings.SANDBOX_URL.rstrip('/')}/{destination.platform_key}{parts.path}{query}"
    return msgspec.structs.replace(request, url=url)


def send(
    destination: Destination, request: Request, *, timeout: float | None = None
) -> tuple[Response | http.NoAnswer, int]:
    """The answer, or why there is none, and the latency in milliseconds. Never raises. `timeout` in seconds."""
    if request.url.startswith(files.SCHEME):
        return files.write(request)
    return http.send(addressed(destination, request), timeout=timeout)
