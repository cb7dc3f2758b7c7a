"""Every request gets a trace id: the caller's `traceparent` (W3C Trace Context) when it sent one, else a new one."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from trackstack_site import logs

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


class TraceIdMiddleware:
    """Sets `request.trace_id` and answers it as X-Trace-Id."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        match = _TRACEPARENT.fullmatch(request.META.get("HTTP_TRACEPARENT", ""))
        request.trace_id = match[1] if match and match[1] != "0" * 32 else secrets.token_hex(16)  # type: ignore[attr-defined]
        token = logs.trace_id.set(request.trace_id)  # type: ignore[attr-defined]
        try:
            response = self.get_response(request)
        finally:
            logs.trace_id.reset(token)
        response["X-Trace-Id"] = request.trace_id  # type: ignore[attr-defined]
        return response
