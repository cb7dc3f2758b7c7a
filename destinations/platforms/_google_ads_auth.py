"""Access tokens for Google's ads APIs, from a refresh token or a service account.

Source: developers.google.com/identity/protocols/oauth2/web-server#offline and …/oauth2/service-account (2026-09). The
scopes: developers.google.com/data-manager/api/devguides/quickstart/set-up-access, …/google-ads/api/docs/oauth/overview.
"""

from __future__ import annotations

from datetime import datetime

from oauthlib.oauth2 import WebApplicationClient

from destinations.platforms import _google_auth, base
from destinations.platforms.base import Config, Outcome, Request, Response, Token

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
        if account := config.get("service_account_json"):
            scope = SCOPES.get(config.get("api", ""), SCOPES["data_manager"])
            return _google_auth.token_request(_google_auth.for_account(account, scope, now))
        if config.get("refresh_token"):
            client_id, secret = config.get("oauth_client_id", ""), config.get("oauth_client_secret", "")
            body = WebApplicationClient(client_id).prepare_refresh_body(
                refresh_token=config["refresh_token"], client_id=client_id, client_secret=secret
            )
            return _google_auth.token_request(body)
        return None

    def read(self, response: Response) -> Token | Outcome:
        return _google_auth.read_token(response, TOKEN_ERRORS, "check the OAuth client and connect again")
