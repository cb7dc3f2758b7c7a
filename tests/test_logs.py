"""What happened to a request can be followed by its trace id through the log, from ingest to the platform's answer."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from destinations import delivery, http
from destinations.platforms.base import Response
from routing.dispatch import route_due
from tests import factories
from trackstack_site.logs import JsonFormatter

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonFormatter())
        self.lines: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.loads(self.format(record)))

    def of(self, message: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["message"] == message]


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    for module in ("events.ingest", "routing.dispatch", "destinations.delivery"):
        monkeypatch.setattr(f"{module}.nudge", lambda *_: None)
    lines, root = Lines(), logging.getLogger()
    root.addHandler(lines)
    yield lines
    root.removeHandler(lines)


@pytest.mark.django_db
def test_a_trace_from_ingest_to_the_answer(
    log: Lines, client: Client, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.SANDBOX_URL = "http://127.0.0.1:1"
    meta = factories.make_destination("meta", name="Pixel")
    body = [factories.event("SignUp", "e1", email="ada@example.com"), factories.event("signup", "e2")]
    answer = client.post(
        "/events", json.dumps(body), content_type="application/json",
        headers={"x-ts-key": factories.make_key(), "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"},
    )  # fmt: skip
    assert answer.status_code == 202
    (ingest,) = log.of("ingest")
    assert (ingest["traceId"], ingest["accepted"], ingest["rejected"]) == (TRACE, 1, 1)
    assert ingest["codes"] == ["unknown_name"]

    route_due()
    refused = Response(status=400, body=b'{"error": {"code": 100, "message": "Invalid parameter ada@example.com"}}')
    monkeypatch.setattr(http, "send", lambda request, *, timeout=None: (refused, 7))
    delivery.deliver_due(meta.pk)
    (attempt,) = log.of("attempt")
    assert attempt["traceIds"] == [TRACE]
    assert (attempt["destination"], attempt["status"], attempt["events"]) == ("Pixel", 400, 1)
    assert (attempt["level"], attempt["latencyMs"]) == ("warning", 7)
    assert "ada@example.com" not in json.dumps(log.lines)
