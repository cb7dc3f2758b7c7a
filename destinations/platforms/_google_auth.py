"""Google's token endpoint: access tokens for a service account, and how its refusals are read. Pure.

Source: developers.google.com/identity/protocols/oauth2/service-account (2026-08).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

from django.utils.translation import gettext as _

from destinations.masking import masked
from destinations.platforms import _reading, base
from destinations.platforms.base import Outcome, Request, Response, Result, Token

TOKEN_URL = "https://oauth2.googleapis.com/token"  # noqa: S105
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TOKEN_SECONDS = 3600  # the most Google gives


def token_request(body: str) -> Request:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return Request(method="POST", url=TOKEN_URL, headers=headers, body=body.encode(), items=())


def for_account(service_account_json: str, scope: str, now: datetime) -> str:
    """The body of a request for an access token of an hour, against an assertion signed with the account's key."""
    return urlencode({"grant_type": GRANT, "assertion": assertion(service_account_json, scope, now)})


def read_token(response: Response, advices: Mapping[str, str], otherwise: str) -> Token | Outcome:
    """The token, or what its refusal means. advices: `error` of the endpoint → what to do; otherwise: of all others."""
    status, answer = response.status, _reading.fields_of(response)
    token, seconds, error = answer.get("access_token"), answer.get("expires_in"), str(answer.get("error") or "")
    if status == 200 and isinstance(token, str) and token:
        return Token(access_token=token, expires_in=float(seconds) if isinstance(seconds, int | float) else None)
    said = f"{error or 'no reason given'} {answer.get('error_description') or ''}".strip()
    detail = masked(f"Google gave no access token ({status}): {said}", cap=260)
    if base.is_transient(status) or status < 400:
        return Outcome(result=Result.RETRY, detail=detail, after=base.retry_after(response))
    return Outcome(result=Result.CONFIG, detail=f"{detail}; {advices.get(error, otherwise)}.")


def assertion(service_account_json: str, scope: str, now: datetime) -> str:
    """The signed JWT; RS256 has no randomness, so the same moment gives the same. Empty when the key is unusable,
    which Google answers with invalid_grant and `problem_of_account` does not let through."""
    account = _account(service_account_json)
    if account is None:
        return ""
    import jwt

    issued = int(now.timestamp())
    email, private_key, key_id = account
    claims = {"iss": email, "scope": scope, "aud": TOKEN_URL, "iat": issued, "exp": issued + TOKEN_SECONDS}
    return jwt.encode(claims, private_key, algorithm="RS256", headers={"kid": key_id} if key_id else None)


@lru_cache(maxsize=64)
def _account(text: str) -> tuple[str, Any, str] | None:
    """E-mail, key and key id of a service account file; None when there is no usable RSA key in it."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        found = json.loads(text)
        email, pem = found["client_email"], found["private_key"]
        key = load_pem_private_key(pem.encode(), None)
    except Exception:  # noqa: BLE001  whatever was pasted: JSON of another kind, half a key, an encrypted one
        return None
    if not isinstance(email, str) or not isinstance(key, RSAPrivateKey) or key.key_size < 2048:
        return None
    return email, key, str(found.get("private_key_id") or "")


def problem_of_account(text: str) -> str:
    """A sentence that says why this is no service account's key file, or an empty string."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        return str(_("Service account key is no JSON: paste the whole file."))
    missing = [name for name in ("client_email", "private_key") if not found.get(name)]
    if len(missing) == 1:
        said = _("Service account key has no %(name)s: it is not the key file of a service account.")
        return str(said % {"name": missing[0]})
    if missing:
        said = _("Service account key has no %(name)s and no %(other)s: it is not the key file of a service account.")
        return str(said % {"name": missing[0], "other": missing[1]})
    return "" if _account(text) else _("Service account key holds a private key that cannot be read: make a new one.")
