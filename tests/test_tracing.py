"""OpenTelemetry: off it costs nothing; on, a collector gets ingest, routing and delivery under the sender's trace."""

from __future__ import annotations

import gzip
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from django.test import Client

from destinations import delivery, http
from destinations.platforms.base import Request, Response
from routing.dispatch import route_due
from tests import factories
from trackstack_site import tracing

pytestmark = pytest.mark.django_db
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class _Collector(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.bodies.append(body)  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def bodies(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    with HTTPServer(("127.0.0.1", 0), _Collector) as server:
        server.bodies = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        tracing.tracer.cache_clear()
        yield server.bodies  # type: ignore[attr-defined]
        tracing.tracer().provider.shutdown()
        tracing.tracer.cache_clear()
        server.shutdown()
        thread.join()


def spans(bodies: list[bytes]) -> dict[str, Any]:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    tracing.tracer().provider.force_flush()
    found = {}
    for body in bodies:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            found |= {one.name: one for scope in resource.scope_spans for one in scope.spans}
    return found


def test_off_nothing_is_imported() -> None:
    tracing.tracer.cache_clear()
    with tracing.span("nothing", trace_id=TRACE):
        assert not tracing.is_on()
    assert "opentelemetry.sdk" not in sys.modules or tracing.tracer() is None


def test_on_the_senders_trace_goes_from_ingest_to_delivery(
    bodies: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("events.ingest", "routing.dispatch", "destinations.delivery"):
        monkeypatch.setattr(f"{module}.nudge", lambda *_: None)
    meta = factories.make_destination("meta", name="Pixel", is_sandbox=False)

    def send(request: Request, *, timeout: float | None = None) -> tuple[Response, int]:
        return Response(status=200, body=b"{}"), 3

    monkeypatch.setattr(http, "send", send)  # the machine's edge
    answer = Client().post(
        "/events",
        json.dumps([factories.event("SignUp", "e1")]),
        content_type="application/json",
        headers={"x-ts-key": factories.make_key(), "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"},
    )
    assert answer.status_code == 202
    route_due()
    delivery.deliver_once(meta.pk)
    found = spans(bodies)
    assert found["ingest"].trace_id.hex() == TRACE
    for name in ("route", "deliver"):
        assert [link.trace_id.hex() for link in found[name].links] == [TRACE]
    attributes = {one.key: one.value for one in found["deliver"].attributes}
    assert attributes["destination"].string_value == "Pixel"
    assert attributes["events"].int_value == 1
