"""Google's token endpoint, for a refresh token or a service account."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

from destinations.sandbox import bigquery
from destinations.sandbox._google_ads_common import SKEW
from destinations.sandbox.base import Answer, Refused, Request
from destinations.sandbox.bigquery import no_token

SCOPES = {f"https://www.googleapis.com/auth/{name}" for name in ("datamanager", "adwords", "cloud-platform")}


def grant(request: Request, now: float) -> Answer:
    if request.method != "POST" or request.content_type != "application/x-www-form-urlencoded":
        raise Refused(no_token(400, "invalid_request", "Only a POST of a form is taken here"))
    form = dict(parse_qsl(request.body.decode("latin-1")))
    if form.get("grant_type") == bigquery.GRANT:
        subject = _account_of(form, now)
    elif form.get("grant_type") == "refresh_token":
        subject = _refresh_token_of(form)
    else:
        raise Refused(no_token(400, "unsupported_grant_type", f"Invalid grant_type: {form.get('grant_type')}"))
    mark = "-forbidden" if "forbidden" in subject else ""
    token = {"access_token": f"ya29.sandbox-access-token{mark}", "expires_in": 3599, "token_type": "Bearer"}
    return Answer.of(200, token)


def _refresh_token_of(form: dict[str, str]) -> str:
    if set(form) != {"grant_type", "client_id", "client_secret", "refresh_token"}:
        raise Refused(no_token(400, "invalid_request", "Missing or superfluous parameter"))
    if not re.fullmatch(r"\d+-[a-z0-9]+\.apps\.googleusercontent\.com", form["client_id"]):
        raise Refused(no_token(401, "invalid_client", "The OAuth client was not found."))
    if not re.fullmatch(r"\S{16,128}", form["client_secret"]):
        raise Refused(no_token(401, "invalid_client", "Unauthorized"))
    token = form["refresh_token"]
    if not re.fullmatch(r"1//\S{20,512}", token) or "expired" in token or "revoked" in token:
        raise Refused(no_token(400, "invalid_grant", "Token has been expired or revoked."))
    return token


def _account_of(form: dict[str, str], now: float) -> str:
    if set(form) != {"grant_type", "assertion"}:
        raise Refused(no_token(400, "invalid_request", "Missing or superfluous parameter"))
    claims = bigquery._claims(form["assertion"])
    issuer: Any = claims.get("iss")
    issued: Any = claims.get("iat")
    ends: Any = claims.get("exp")
    if not isinstance(issuer, str) or not issuer.endswith(".iam.gserviceaccount.com") or "revoked" in issuer:
        raise Refused(no_token(400, "invalid_grant", "Invalid grant: account not found"))
    if claims.get("aud") != bigquery.TOKEN_URL:
        raise Refused(no_token(400, "invalid_grant", "Invalid JWT: Failed audience check."))
    are_times = all(isinstance(at, int) and not isinstance(at, bool) for at in (issued, ends))
    if not are_times or not issued - SKEW <= now <= ends or not 0 < ends - issued <= 3600:
        text = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."
        raise Refused(no_token(400, "invalid_grant", text))
    scopes = str(claims.get("scope", "")).split()
    if not scopes or not SCOPES.issuperset(scopes):
        raise Refused(no_token(400, "invalid_scope", "Invalid OAuth scope or ID token audience provided."))
    return issuer
