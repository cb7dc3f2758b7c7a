"""Salesforce's token endpoint: client credentials, or a refresh token."""

from __future__ import annotations

import base64
import binascii
import re
from urllib.parse import parse_qsl

from destinations.sandbox.base import Answer, Request

CLIENT_ID = re.compile(r"3MVG[A-Za-z0-9._]{20,}")


def refused_token(error: str, description: str) -> Answer:
    return Answer.of(400, {"error": error, "error_description": description})


def grant(request: Request, now: float) -> Answer:
    if request.method != "POST" or request.content_type != "application/x-www-form-urlencoded":
        return refused_token("invalid_request", "must use HTTP POST")
    try:
        pairs = parse_qsl(request.body.decode(), keep_blank_values=True, strict_parsing=True)
    except ValueError:
        return refused_token("invalid_request", "the body is no form")
    form = dict(pairs)
    if len(form) != len(pairs):
        return refused_token("invalid_request", "a parameter stands twice")
    client_id, secret = _basic(request) or (form.get("client_id", ""), form.get("client_secret", ""))
    wanted = {"client_credentials": set(), "refresh_token": {"refresh_token"}}.get(form.get("grant_type", ""))
    if wanted is None:
        return refused_token("unsupported_grant_type", "grant type not supported")
    if unknown := form.keys() - wanted - {"grant_type", "client_id", "client_secret", "format", "scope"}:
        return refused_token("invalid_request", f"unknown parameter {min(unknown)}")
    if not CLIENT_ID.fullmatch(client_id):
        return refused_token("invalid_client_id", "client identifier invalid")
    if len(secret) < 16 or any(word in secret for word in ("expired", "revoked", "forbidden")):
        return refused_token("invalid_client", "invalid client credentials")
    if "refresh_token" in wanted:
        refresh_token = form.get("refresh_token", "")
        if "expired" in refresh_token or "revoked" in refresh_token or len(refresh_token) < 20:
            return refused_token("invalid_grant", "expired access/refresh token")
        if "forbidden" in refresh_token:
            return refused_token("inactive_user", "user is inactive")
    return Answer.of(
        200,
        {
            "access_token": f"00D5e000001N20Q!AQc{int(now):x}.SandboxAccessToken",
            "signature": base64.b64encode(b"signature").decode(),
            "instance_url": "https://sandbox.my.salesforce.com",
            "id": "https://login.salesforce.com/id/00D5e000001N20QEAS/0055e000001abcDAAQ",
            "token_type": "Bearer",
            "issued_at": str(int(now * 1000)),
        },
    )


def _basic(request: Request) -> tuple[str, str] | None:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return "", ""
    return name, secret
