"""Errors of the ingest API as RFC 9457 `application/problem+json`."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

import psycopg
from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response

from trackstack_site import logs

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"


class Problem(exceptions.APIException):
    """An error the sender can act on. `code` is stable for programs, `detail` a sentence for people."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        retry_after: int | None = None,
        **members: Any,
    ) -> None:
        super().__init__(detail, code)
        self.status_code = status
        self.code = code
        self.retry_after = retry_after
        self.members = members


def not_stored() -> Problem:
    """The database is away: nothing was kept, and trying again is right."""
    return Problem(503, "not_stored", "The events could not be stored just now; send them again.", retry_after=2)


_CODES = {
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    415: "unsupported_media_type",
    429: "too_many_requests",
}


def as_problem(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler. A bug is logged whole and told as what it is: programs read these answers, too."""
    if isinstance(error, Http404):
        error = exceptions.NotFound()
    if isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    if isinstance(error, OperationalError | InterfaceError | psycopg.OperationalError | psycopg.InterfaceError):
        error = not_stored()
    if not isinstance(error, exceptions.APIException):
        logger.error("unexpected error", exc_info=error)
        detail = "Something broke here, and it is logged under the traceId. Nothing of this request may have been kept."
        error = Problem(500, "internal_error", f"{detail} Sending it again is safe.")
    request = context["request"]
    status = error.status_code
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": str(error.detail),
        "instance": request.path,
        "traceId": getattr(request, "trace_id", "") or logs.trace_id.get(),
        "code": getattr(error, "code", None) or _CODES.get(status, "bad_request"),
    }
    headers: dict[str, str] = {}
    if isinstance(error, Problem):
        body |= error.members
    wait = getattr(error, "retry_after", None) or getattr(error, "wait", None)
    if wait is not None:
        headers["Retry-After"] = str(max(1, round(wait)))
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="TrackStack"'
    if status == 405 and isinstance(error, exceptions.MethodNotAllowed):
        headers["Allow"] = "POST, OPTIONS"
    return Response(body, status=status, headers=headers, content_type=MEDIA_TYPE)
