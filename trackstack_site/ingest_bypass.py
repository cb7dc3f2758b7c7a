"""Machine endpoints skip the browser's middleware (sessions, CSRF, CSP): they use none of it, and every event pays."""

from __future__ import annotations

from collections.abc import Callable

from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest, HttpResponse
from django.urls import resolve

PATHS = frozenset({"/events", "/events/", "/healthz", "/readyz", "/metrics"})


class IngestBypassMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self.answer = convert_exception_to_response(self._answer)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info in PATHS:
            response: HttpResponse = self.answer(request)
            return response
        return self.get_response(request)

    @staticmethod
    def _answer(request: HttpRequest) -> HttpResponse:
        view, args, kwargs = request.resolver_match = resolve(request.path_info)
        response = view(request, *args, **kwargs)
        if hasattr(response, "render") and not response.is_rendered:
            response.render()
        return response  # type: ignore[no-any-return]
