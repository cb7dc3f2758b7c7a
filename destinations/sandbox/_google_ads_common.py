"""What Google's front end, the Data Manager API's double and the Google Ads API's have in common."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from destinations.sandbox import checks
from destinations.sandbox.base import Answer, NotJson, Refused, Request, read_json
from destinations.sandbox.checks import Fault

MOST_EVENTS = 2000
DAYS = 90
SKEW = 300
CURRENCY = checks.matching(r"[A-Z]{3}", "an ISO 4217 currency code")

STATUSES = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
            429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED"}  # fmt: skip
TYPE = "type.googleapis.com/google.rpc."


def fine(value: Any) -> str | None:
    return None


def fail(status: int, message: str, details: list[dict[str, Any]] | None = None) -> Answer:
    error: dict[str, Any] = {"code": status, "message": message, "status": STATUSES.get(status, "UNKNOWN")}
    return Answer.of(status, {"error": error | ({"details": details} if details else {})})


def info(reason: str, domain: str = "googleapis.com") -> dict[str, Any]:
    return {"@type": f"{TYPE}ErrorInfo", "reason": reason, "domain": domain}


def check_request(request: Request) -> Any:
    if request.method != "POST":
        raise Refused(fail(404, f"The requested URL {request.path} was not found on this server."))
    check_token(request)
    if request.content_type != "application/json":
        raise Refused(fail(400, f"Invalid content type {request.content_type!r}."))
    if request.query:
        raise Refused(unreadable([Fault("/", f"Unknown name in the query: {request.query}")]))
    try:
        return read_json(request.body)
    except NotJson as error:
        raise Refused(fail(400, f"Invalid JSON payload received. {error}")) from None


def check_token(request: Request) -> None:
    token = request.bearer or ""
    if not re.fullmatch(r"ya29\.[A-Za-z0-9._-]{10,2048}", token):
        text = "Request had invalid authentication credentials. Expected OAuth 2 access token."
        raise Refused(fail(401, text, [info("CREDENTIALS_MISSING" if not token else "ACCESS_TOKEN_TYPE_UNSUPPORTED")]))
    if "expired" in token or "revoked" in token:
        text = "Request had invalid authentication credentials. Expected OAuth 2 access token."
        raise Refused(fail(401, text, [info("ACCESS_TOKEN_EXPIRED")]))
    if "forbidden" in token:
        text = "Request had insufficient authentication scopes."
        raise Refused(fail(403, text, [info("ACCESS_TOKEN_SCOPE_INSUFFICIENT")]))


def unreadable(faults: list[Fault]) -> Answer:
    """What Google's front end says of a name or a type that the API does not have."""
    said = [
        {"field": google_path(fault.path), "description": f"Invalid JSON payload received. {fault.path}: {fault.text}"}
        for fault in faults
    ]
    return fail(400, said[0]["description"], [{"@type": f"{TYPE}BadRequest", "fieldViolations": said}])


def google_path(path: str) -> str:
    """`/events/0/userData` as `events[0].user_data`, which is how Google writes it."""
    snake = re.sub(r"(?<=[a-z])([A-Z])", lambda found: f"_{found[1].lower()}", path)
    return re.sub(r"/(\d+)(?=/|$)", r"[\1]", snake).strip("/").replace("/", ".")


def listed(one: dict[str, Any], *names: str) -> list[Any]:
    found: Any = one
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, list) else []


def within(moment: datetime, path: str, now: float) -> list[Fault]:
    if now - DAYS * checks.DAY - SKEW <= moment.timestamp() <= now + SKEW:
        return []
    return [Fault(path, "Event did not occur within the acceptable time window.", "EVENT_TIME_INVALID")]
