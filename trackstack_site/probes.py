"""What an orchestrator and Prometheus ask for. Unauthenticated, cheap, and silent about data."""

from __future__ import annotations

from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse

from routing.snapshot import VERSION_SQL


def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers. Touches nothing else, so a dead database does not get web processes killed."""
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> HttpResponse:
    """The database answers and is migrated. The broker is not asked: without it events are accepted and swept later."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(VERSION_SQL)
            row = cursor.fetchone()
    except DatabaseError as error:
        return JsonResponse({"status": "unavailable", "detail": type(error).__name__}, status=503)
    finally:
        connection.close()
    if row is None:
        return JsonResponse({"status": "unavailable", "detail": "not migrated"}, status=503)
    return JsonResponse({"status": "ok"})


def metrics(request: HttpRequest) -> HttpResponse:
    from prometheus_client import generate_latest
    from prometheus_client.exposition import CONTENT_TYPE_LATEST

    from destinations.metrics import registry

    return HttpResponse(generate_latest(registry()), content_type=CONTENT_TYPE_LATEST)
