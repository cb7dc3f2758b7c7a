"""OpenTelemetry spans, when an installation asks for them: the standard OTEL_* variables, and the extra `otel`.

Without OTEL_EXPORTER_OTLP_ENDPOINT nothing is imported and a span costs a function call. The trace of an event is the
one its sender named in `traceparent`: ingest is a span in it; routing and deliveries, which are about many events at
once, link to it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

logger = logging.getLogger(__name__)

MOST_LINKS = 32


@cache
def tracer() -> Any:
    """None while tracing is off."""
    if not (os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        logger.warning("OTEL_EXPORTER_OTLP_ENDPOINT is set, but the extra `otel` is not installed: no traces")
        return None
    name = os.environ.get("OTEL_SERVICE_NAME", "trackstack")
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return _Tracer(provider)


def is_on() -> bool:
    return tracer() is not None


@contextmanager
def span(name: str, *, trace_id: str = "", links: Iterable[str] = (), **attributes: Any) -> Iterator[None]:
    """A span around what happens within; an exception is noted on it and goes on.

    trace_id: 32 hex digits of the trace it belongs to. links: of the traces that it is about.
    """
    made = tracer()
    if made is None:
        yield
        return
    with made.span(name, trace_id, list(dict.fromkeys(links))[:MOST_LINKS], attributes):
        yield


class _Tracer:
    """What of the library is used; only here while tracing is on."""

    def __init__(self, provider: Any) -> None:
        self.provider = provider
        self.tracer = provider.get_tracer("trackstack")

    def span(self, name: str, trace_id: str, links: list[str], attributes: dict[str, Any]) -> Any:
        from opentelemetry import trace

        parent = trace.set_span_in_context(trace.NonRecordingSpan(self._remote(trace_id))) if trace_id else None
        return self.tracer.start_as_current_span(
            name,
            context=parent,
            links=[trace.Link(self._remote(one)) for one in links],
            attributes={key: value for key, value in attributes.items() if value not in (None, "")},
        )

    @staticmethod
    def _remote(trace_id: str) -> Any:
        """The sender's span is not kept: its trace is what matters."""
        from opentelemetry import trace

        number = int(trace_id, 16)
        flags = trace.TraceFlags(trace.TraceFlags.SAMPLED)
        return trace.SpanContext(number, (number & (1 << 64) - 1) or 1, is_remote=True, trace_flags=flags)
