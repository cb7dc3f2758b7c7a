"""POST /events: from HTTP to `accept_batch` and back. No rule of the contract lives here."""

from __future__ import annotations

import ipaddress
import logging
import threading
from typing import Any

import msgspec
from csp.decorators import csp_update
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.authentication import SessionAuthentication
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.permissions import AllowAny
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from events.api import schema
from events.api.authentication import (
    IngestKeyAuthentication,
    KnownKey,
    find_key,
    note_use,
    read_key,
)
from events.api.parsers import EventsParser
from events.api.problems import Problem, not_stored
from events.contract import ContractError
from events.ingest import NotStored, Receipt, Sender, accept_batch
from events.keys import split_key
from events.models import Source
from trackstack_site import tracing

logger = logging.getLogger(__name__)

PREFLIGHT_SECONDS = 600
SLOT_WAIT_SECONDS = 0.25
# Fewer than the process has threads: when the database stalls, the others go on answering, with 503 and at once,
# instead of every request piling up behind it.
_slots = threading.BoundedSemaphore(max(1, settings.WEB_THREADS - 2))


def _log(receipt: Receipt, sender: Sender) -> None:
    """A line a request, with its trace: always when something was left out, else where LOG_LEVEL is DEBUG."""
    level = logging.INFO if receipt.rejected else logging.DEBUG
    if logger.isEnabledFor(level):
        said = {
            "source": sender.source_id,
            "accepted": receipt.accepted,
            "duplicates": receipt.duplicates,
            "rejected": len(receipt.rejected),
            "codes": sorted({one.code for one in receipt.rejected}),
        }
        logger.log(level, "ingest", extra=said)


class JSONOnly(BaseContentNegotiation):
    """Answers are JSON, whatever Accept says: an SDK with a careless header still gets its verdict."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class CompactJSON(JSONRenderer):
    """DRF's renderer spends more on an answer than the contract does on an event."""

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        return b"" if data is None else msgspec.json.encode(data)


class EventsView(APIView):
    """The ingest endpoint."""

    authentication_classes = [IngestKeyAuthentication]
    permission_classes = [AllowAny]
    parser_classes = [EventsParser]
    renderer_classes = [CompactJSON]
    content_negotiation_class = JSONOnly
    allowed_origin = ""

    @extend_schema(**schema.INGEST)
    def post(self, request: Request) -> Response:
        key: KnownKey = request.auth
        origin = request.META.get("HTTP_ORIGIN", "")
        if origin and not is_allowed(origin, key.allowed_origins):
            raise Problem(
                403,
                "origin_not_allowed",
                f"This key's source does not allow the origin {origin[:200]}; add it to the source's allowed origins.",
            )
        self.allowed_origin = origin
        sender = Sender(
            source_id=key.source_id,
            trace_id=request.trace_id,
            client_ip=client_address(request),
            user_agent=request.META.get("HTTP_USER_AGENT", "")[:512].replace("\x00", ""),
            sdk=request.META.get("HTTP_X_TS_SDK", "")[:64].replace("\x00", ""),
            is_browser=bool(origin),
        )
        if not _slots.acquire(timeout=SLOT_WAIT_SECONDS):
            raise Problem(
                503, "overloaded", "More events arrive than can be stored just now; send them again.", retry_after=1
            )
        try:
            with tracing.span("ingest", trace_id=sender.trace_id, source=sender.source_id):
                receipt = accept_batch(read_body(request), sender)
        except ContractError as error:
            raise Problem(error.status, error.code, error.detail) from None
        except NotStored:
            raise not_stored() from None
        finally:
            _slots.release()
        note_use(key)
        _log(receipt, sender)
        if receipt.rejected and not receipt.accepted and not receipt.duplicates:
            raise Problem(
                422,
                "all_rejected",
                f"None of the {receipt.received} events keeps the contract: {receipt.rejected[0].sentence}",
                received=receipt.received,
                accepted=0,
                rejected=[rejection(event) for event in receipt.rejected],
            )
        return Response(answer(receipt), status=202)

    def options(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        """CORS preflight: allowed for the key's origins; a preflight without `?key=` asks all active sources."""
        origin = request.META.get("HTTP_ORIGIN", "")
        response = HttpResponse(status=204)
        response["Allow"] = "POST, OPTIONS"
        if origin and self._preflight_allows(request, origin):
            response["Access-Control-Allow-Methods"] = "POST, OPTIONS"
            response["Access-Control-Allow-Headers"] = "content-type, x-ts-key, x-ts-sdk, authorization, traceparent"
            response["Access-Control-Max-Age"] = str(PREFLIGHT_SECONDS)
            self.allowed_origin = origin
        return response

    @staticmethod
    def _preflight_allows(request: Request, origin: str) -> bool:
        if text := read_key(request):
            parts = split_key(text)
            known = find_key(parts[0]) if parts else None
            return known is not None and is_allowed(origin, known.allowed_origins)
        return any(
            is_allowed(origin, frozenset(origins))
            for origins in Source.objects.filter(is_active=True).values_list("allowed_origins", flat=True)
        )

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        origin = request.META.get("HTTP_ORIGIN", "")
        if origin:
            # What `post` and `options` found out. Nothing is asked here, where an error has no handler any more.
            if self.allowed_origin:
                response["Access-Control-Allow-Origin"] = self.allowed_origin
                response["Access-Control-Expose-Headers"] = "x-trace-id, retry-after"
            response["Vary"] = "Origin"
        return response


def read_body(request: Request) -> bytes:
    """The raw body. A chunked one has no Content-Length, and Django then takes it for empty: it is read here."""
    if "chunked" in request.META.get("HTTP_TRANSFER_ENCODING", "").lower() and not request.META.get("CONTENT_LENGTH"):
        return EventsParser().parse(RawStream(request.META), request.content_type)
    # DRF calls no parser for an empty body and gives an empty dict.
    return request.data or b""


class RawStream:
    """What EventsParser needs of a request, over the server's own input."""

    def __init__(self, environ: Any) -> None:
        self.META = environ
        self.read = environ["wsgi.input"].read


def is_allowed(origin: str, allowed: frozenset[str]) -> bool:
    """Whether a browser origin may send; `*` allows any. Blank never means all."""
    if "*" in allowed:
        return True
    return origin.rstrip("/").lower() in {item.rstrip("/").lower() for item in allowed}


def client_address(request: Any) -> str | None:
    """The sender's address: the connection's, or what the trusted proxies in front of us added to X-Forwarded-For."""
    address = request.META.get("REMOTE_ADDR", "")
    if settings.TRUSTED_PROXY_COUNT:
        hops = [hop.strip() for hop in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if hop.strip()]
        if len(hops) >= settings.TRUSTED_PROXY_COUNT:
            address = hops[-settings.TRUSTED_PROXY_COUNT]
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return None


def rejection(event: Any) -> dict[str, Any]:
    return {
        "index": event.index,
        "eventId": event.event_id,
        "field": event.field,
        "code": event.code,
        "message": event.sentence,
    }


def answer(receipt: Receipt) -> dict[str, Any]:
    """The body of a 202. Delivery happens later, so its counters are 0 here; `trace` and the screens have them."""
    return {
        "status": "accepted",
        "received": receipt.received,
        "accepted": receipt.accepted,
        "duplicates": receipt.duplicates,
        "rejected": [rejection(event) for event in receipt.rejected],
        "warnings": [
            {"index": w.index, "field": w.field, "code": w.code, "message": w.sentence} for w in receipt.warnings
        ],
        "planned_rows": sum(receipt.planned.values()),
        "delivered_rows": 0,
        "failed_rows": 0,
        "retried_rows": 0,
        "dlq_rows": 0,
        "platform_summary": {
            platform: {
                "planned": count,
                "delivered": 0,
                "failed": 0,
                "retried": 0,
                "dlq": 0,
            }
            for platform, count in receipt.planned.items()
        },
    }


class SchemaView(SpectacularAPIView):
    authentication_classes: list[Any] = []
    permission_classes = [AllowAny]


# Open to all; whoever is logged in has the menu beside it.
_reference = SpectacularSwaggerSplitView.as_view(
    url_name="schema", authentication_classes=[SessionAuthentication], permission_classes=[AllowAny]
)


# Swagger UI sets style attributes; scripts stay ours.
@csp_update({"style-src": ["'self'", "'unsafe-inline'"]})
def reference(request: HttpRequest) -> HttpResponse:
    """The rendered API reference, served from our own files."""
    response: HttpResponse = _reference(request)
    return response
