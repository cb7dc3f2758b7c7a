"""A customer's webhook receiver that takes the signature seriously, at any path.

Source: the Standard Webhooks specification 1.0.0 (github.com/standard-webhooks/standard-webhooks).

The accepted secret is SANDBOX_WEBHOOK_SECRET (several separated by spaces, as during a rotation), by default the one
of the specification's own test vectors.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
from datetime import datetime

from destinations.sandbox import checks
from destinations.sandbox.base import Answer, NotJson, Refused, Request, Vendor, read_json

DEFAULT_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105  a public test vector
TOLERANCE = 300
# Printable ASCII without a space, and without the dot that separates the signed parts.
ID = re.compile(r"[!-\-/-~]{1,256}")
TYPE = r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*"


class Webhook(Vendor):
    """Its only message is the HTTP status, so it has no partial answers."""

    def answer(self, request: Request, now: float) -> Answer:
        if request.method != "POST":
            raise Refused(fail(405, f"{request.method} is not POST"))
        if request.content_type != "application/json":
            raise Refused(fail(415, "The content type must be application/json"))
        if not request.headers.get("user-agent"):
            raise Refused(fail(400, "The header User-Agent is missing"))
        _check_signature(request, now)
        _check_payload(request.body)
        return Answer.of(200, {"received": True})

    def look(self, request: Request, now: float) -> Answer | None:
        """A ping is checked like a message, and is no event."""
        try:
            message = read_json(request.body)
        except NotJson:
            return None
        is_ping = isinstance(message, dict) and message.get("type") == "ping"
        return self.answer(request, now) if is_ping else None

    def ids(self, request: Request) -> list[tuple[str, ...]]:
        return [(request.headers["webhook-id"],)]

    def error(self, status: int) -> Answer:
        texts = {401: "The signature does not match", 429: "Too many requests", 500: "Internal error"}
        return fail(status, texts.get(status, "The request failed"))


def fail(status: int, text: str) -> Answer:
    return Answer.of(status, {"error": text})


def _check_signature(request: Request, now: float) -> None:
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    for name in names:
        if name not in request.headers:
            raise Refused(fail(400, f"The header {name} is missing"))
    identity, timestamp, signatures = (request.headers[name] for name in names)
    if not ID.fullmatch(identity):
        raise Refused(fail(400, "webhook-id must be printable ASCII without dots and spaces"))
    if not re.fullmatch(r"\d{10}", timestamp):
        raise Refused(fail(400, "webhook-timestamp must be in Unix seconds"))
    if abs(now - int(timestamp)) > TOLERANCE:
        raise Refused(fail(401, "webhook-timestamp is more than five minutes off"))
    signed = f"{identity}.{timestamp}.".encode() + request.body
    given = [item.partition(",")[2].encode() for item in signatures.split() if item.startswith("v1,")]
    expected = [_sign(secret, signed) for secret in os.environ.get("SANDBOX_WEBHOOK_SECRET", DEFAULT_SECRET).split()]
    if not any(hmac.compare_digest(one, other) for one in given for other in expected):
        raise Refused(fail(401, "webhook-signature does not match"))


def _sign(secret: str, signed: bytes) -> bytes:
    encoded = secret.removeprefix("whsec_")
    key = base64.b64decode(encoded + "=" * (-len(encoded) % 4))
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())


def _is_moment(value: object) -> str | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    return None if moment and moment.tzinfo else "must be an ISO 8601 time with its offset"


def _check_payload(body: bytes) -> None:
    try:
        payload = read_json(body)
    except NotJson as error:
        raise Refused(fail(400, f"The body is not JSON: {error}")) from None
    fields: dict[str, checks.Check] = {
        "type": checks.matching(TYPE, "words separated by dots"),
        "timestamp": _is_moment,
        "data": lambda value: None if isinstance(value, dict) and value else "must be an object that says something",
    }
    # Receivers may get more fields than the specification names.
    faults = checks.look_over(payload, fields, fields, free=lambda _: None)
    if faults:
        raise Refused(fail(400, f"{faults[0].path} {faults[0].text}"))
