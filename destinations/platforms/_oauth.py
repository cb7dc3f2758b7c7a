"""The refresh token grant of OAuth 2 (RFC 6749 §6), as several vendors have it: client id and secret in the body."""

from __future__ import annotations

from datetime import datetime

from django.utils.translation import gettext as _
from oauthlib.oauth2 import WebApplicationClient

from destinations.masking import masked
from destinations.platforms import _reading, base
from destinations.platforms.base import Config, Outcome, Request, Response, Result, Token

NAMES = ("client_id", "client_secret", "refresh_token")


class RefreshTokenGrant(base.OAuth):
    """Refresh token → access token. A configuration with a lasting `access_token` needs none of it."""

    def __init__(self, label: str, token_url: str) -> None:
        self.label = label
        self.token_url = token_url

    @staticmethod
    def is_used(config: Config) -> bool:
        return not config.get("access_token") and bool(config.get("refresh_token"))

    def request(self, config: Config, now: datetime) -> Request | None:
        if not self.is_used(config):
            return None
        body = WebApplicationClient(config.get("client_id", "")).prepare_refresh_body(
            refresh_token=config["refresh_token"],
            client_id=config.get("client_id", ""),
            client_secret=config.get("client_secret", ""),
        )
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return Request(method="POST", url=self.token_url, headers=headers, body=body.encode(), items=())

    def read(self, response: Response) -> Token | Outcome:
        status, answer = response.status, _reading.fields_of(response)
        token, seconds, renewed = (answer.get(name) for name in ("access_token", "expires_in", "refresh_token"))
        if 200 <= status < 300 and isinstance(token, str) and token:
            return Token(
                access_token=token,
                expires_in=float(seconds) if isinstance(seconds, int | float) and seconds > 0 else None,
                refresh_token=renewed if isinstance(renewed, str) else "",
            )
        # RFC 6749 §5.2 and, second, what HubSpot calls the same.
        code = answer.get("error") or answer.get("status") or ""
        said = answer.get("error_description") or answer.get("message") or "no reason given"
        detail = masked(f"{self.label} {status} {code}: {said}", cap=300)
        if 400 <= status < 500 and not base.is_transient(status):
            advice = f"{self.label} gave no access token: check client id and secret, and connect the app again."
            return Outcome(result=Result.CONFIG, detail=f"{advice} {detail}")
        return Outcome(result=Result.RETRY, detail=detail, after=base.retry_after(response))


def problems(config: Config, found: dict[str, str], lasting: str) -> dict[str, str]:
    """`found`, the platform's own problems, where three values may stand in for the lasting token.

    lasting: the sentence for when there is neither.
    """
    missing = [name for name in NAMES if not config.get(name)]
    if config.get("access_token"):
        return found
    found = {name: sentence for name, sentence in found.items() if name != "access_token"}
    if len(missing) == len(NAMES):
        return found | {"access_token": lasting}
    return found | dict.fromkeys(missing, _("Client ID, secret and refresh token go together."))
