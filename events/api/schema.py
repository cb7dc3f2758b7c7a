"""What OpenAPI says of POST /events, drawn from the same field table that the contract checks with."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse

from events.fields import json_schema

EVENT = json_schema()
EVENTS = {
    "type": "array",
    "items": EVENT,
    "minItems": 1,
    "maxItems": settings.MAX_EVENTS_PER_BATCH,
}

_COUNT = {"type": "integer", "minimum": 0}
_FINDING = {
    "type": "object",
    "properties": {
        "index": {**_COUNT, "description": "Position in the request, from 0."},
        "eventId": {"type": "string"},
        "field": {"type": "string"},
        "code": {"type": "string"},
        "message": {
            "type": "string",
            "examples": ['event: unknown name "signup", did you mean "SignUp"?'],
        },
    },
    "required": ["index", "field", "code", "message"],
}
_FINDINGS = {"type": "array", "items": _FINDING}
_COUNTERS = ("planned", "delivered", "failed", "retried", "dlq")

ACCEPTED: dict[str, Any] = {
    "type": "object",
    "properties": {
        "status": {"type": "string", "const": "accepted"},
        "received": _COUNT,
        "accepted": _COUNT,
        "duplicates": {
            **_COUNT,
            "description": "Events whose eventId this source has sent before; not stored again.",
        },
        "rejected": _FINDINGS,
        "warnings": _FINDINGS,
        "planned_rows": {
            **_COUNT,
            "description": "Deliveries that the routing of this moment makes of the events.",
        },
        "delivered_rows": _COUNT,
        "failed_rows": _COUNT,
        "retried_rows": _COUNT,
        "dlq_rows": _COUNT,
        "platform_summary": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "properties": dict.fromkeys(_COUNTERS, _COUNT),
                "required": list(_COUNTERS),
            },
        },
    },
}
ACCEPTED["required"] = list(ACCEPTED["properties"])

PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457 problem details.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "traceId": {"type": "string"},
        "code": {"type": "string"},
    },
    "required": ["type", "title", "status", "detail", "instance", "traceId", "code"],
}
REFUSED = {
    **PROBLEM,
    "properties": {
        **PROBLEM["properties"],
        "received": _COUNT,
        "accepted": _COUNT,
        "rejected": _FINDINGS,
    },
}


def _problem(description: str, schema: dict[str, Any] | None = None) -> OpenApiResponse:
    return OpenApiResponse(response=schema or PROBLEM, description=description)


INGEST: dict[str, Any] = {
    "operation_id": "sendEvents",
    "summary": "Send 1 to 100 events",
    "description": "One bad event does not sink the batch: the valid ones are accepted, the bad ones are kept and "
    "named by index, field, code and sentence. A 202 is committed to disk. Sending the same eventId again is safe.",
    "tags": ["Ingest"],
    "parameters": [
        OpenApiParameter(
            "key",
            str,
            OpenApiParameter.QUERY,
            description="The API key, for navigator.sendBeacon only.",
        ),
        OpenApiParameter(
            "x-ts-sdk",
            str,
            OpenApiParameter.HEADER,
            description="Name and version of the sending library.",
        ),
    ],
    "request": {
        "application/json": {
            "oneOf": [
                {
                    "type": "object",
                    "properties": {"events": EVENTS},
                    "required": ["events"],
                },
                EVENTS,
                EVENT,
            ]
        }
    },
    "responses": {
        (202, "application/json"): OpenApiResponse(response=ACCEPTED, description="Committed."),
        **{
            (status, "application/problem+json"): _problem(text)
            for status, text in {
                400: "Not JSON.",
                401: "No key, or one that is unknown, revoked or expired.",
                403: "The key's source does not allow this browser origin.",
                413: "Larger than 1 MiB.",
                415: "Not application/json.",
                429: "Too many requests; Retry-After says when to go on.",
                503: "Could not be stored; Retry-After says when to try again.",
            }.items()
        },
        (422, "application/problem+json"): _problem(
            "No event, more than 100, or none that keeps the contract.", REFUSED
        ),
    },
    "examples": [
        OpenApiExample(
            "Two events",
            request_only=True,
            value={
                "events": [
                    {
                        "event": "SignUp",
                        "eventId": "signup-42",
                        "email": "ada@example.com",
                        "externalId": "user-42",
                        "pageUrl": "https://app.example.com/welcome",
                    },
                    {
                        "event": "Purchase",
                        "eventId": "order-1001",
                        "userData": {"email": "ada@example.com"},
                        "customData": {
                            "value": 99,
                            "currency": "USD",
                            "orderId": "1001",
                        },
                    },
                ]
            },
        )
    ],
}


class IngestKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "events.api.authentication.IngestKeyAuthentication"
    name = ["ingestKey", "bearer"]

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, str]]:
        return [
            {"type": "apiKey", "in": "header", "name": "x-ts-key"},
            {"type": "http", "scheme": "bearer"},
        ]
