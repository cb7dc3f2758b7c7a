"""Access tokens for Google's ads APIs, from a refresh token or a service account.

Source: developers.google.com/identity/protocols/oauth2/web-server#offline and …/oauth2/service-account (2026-09). The
scopes: developers.google.com/data-manager/api/devguides/quickstart/set-up-access, …/google-ads/api/docs/oauth/overview.
"""

from __future__ import annotations

from datetime import datetime
from urllib.parse import urlencode

from oauthlib.oauth2 import WebApplicationClient

from destinations.masking import masked
from destinations.platforms import base, bigquery
from destinations.platforms.base import Config, Outcome, Request, Response, Result, Token

SCOPES = {
    # The second lists the conversion actions; it gives a service account no more than its access in Google Ads does.
    "data_manager": "https://www.googleapis.com/auth/datamanager https://www.googleapis.com/auth/adwords",
    "google_ads": "https://www.googleapis.com/auth/adwords",
}
"""Of a service account's token. A refresh token has the scopes that were asked for when it was made."""

TOKEN_ERRORS = {
    "invalid_grant": "connect again: the refresh token or the service account's key was revoked or has expired (an app "
    "in publishing status Testing loses its refresh tokens after seven days), or this server's clock is wrong",
    "invalid_client": "check client id and client secret",
    "unauthorized_client": "the refresh token was made for another client, or the service account is disabled",
    "deleted_client": "the OAuth client was deleted: make a new one and connect again",
    "disabled_client": "the OAuth client is disabled in the Google Cloud console",
    "access_denied": "the organisation's policies forbid it",
    "admin_policy_enforced": "the organisation's policies forbid it",
    "org_internal": "the organisation's policies forbid it",
    "invalid_scope": "the service account may not use this API",
}
"""`error` of the token endpoint → what to do about it."""


class GoogleAuth(base.OAuth):
    """A service account where there is one, else the refresh token."""

    def request(self, config: Config, now: datetime) -> Request | None:
        if config.get("service_account_json"):
            form = {"grant_type": bigquery.GRANT, "assertion": assertion(config, now)}
            body = urlencode(form)
        elif config.get("refresh_token"):
            client_id, secret = config.get("oauth_client_id", ""), config.get("oauth_client_secret", "")
            body = WebApplicationClient(client_id).prepare_refresh_body(
                refresh_token=config["refresh_token"], client_id=client_id, client_secret=secret
            )
        else:
            return None
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return Request(method="POST", url=bigquery.TOKEN_URL, headers=headers, body=body.encode(), items=())

    def read(self, response: Response) -> Token | Outcome:
        status, answer = response.status, response.json()
        answer = answer if isinstance(answer, dict) else {}
        token, seconds, error = answer.get("access_token"), answer.get("expires_in"), str(answer.get("error") or "")
        if status == 200 and isinstance(token, str) and token:
            return Token(access_token=token, expires_in=float(seconds) if isinstance(seconds, int | float) else None)
        said = f"{error or 'no reason given'} {answer.get('error_description') or ''}".strip()
        detail = masked(f"Google gave no access token ({status}): {said}", cap=260)
        if base.is_transient(status) or status < 400:
            return Outcome(result=Result.RETRY, detail=detail, after=base.retry_after(response))
        advice = TOKEN_ERRORS.get(error, "check the OAuth client and connect again")
        return Outcome(result=Result.CONFIG, detail=f"{detail}; {advice}.")


def assertion(config: Config, now: datetime) -> str:
    """The signed JWT; RS256 has no randomness, so the same moment gives the same. Empty when the key is unusable,
    which Google answers with invalid_grant and `problem_of_account` does not let through."""
    account = bigquery._account(config.get("service_account_json", ""))
    if account is None:
        return ""
    import jwt

    issued = int(now.timestamp())
    email, private_key, key_id = account
    claims = {
        "iss": email,
        "scope": SCOPES.get(config.get("api", ""), SCOPES["data_manager"]),
        "aud": bigquery.TOKEN_URL,
        "iat": issued,
        "exp": issued + bigquery.TOKEN_SECONDS,
    }
    return jwt.encode(claims, private_key, algorithm="RS256", headers={"kid": key_id} if key_id else None)


def problem_of_account(text: str) -> str:
    """A sentence that says why this is no service account's key file, or an empty string."""
    return bigquery._problem_of_account(text)
