"""Reddit's logins and answers. Pure.

Source: ads-api.reddit.com/docs/v3, "Authenticate your developer application" and "Post Conversion Events";
github.com/reddit-archive/reddit/wiki/OAuth2, "Refreshing the token".
"""

from __future__ import annotations

import base64
import re
from datetime import datetime
from typing import Any

from oauthlib.oauth2.rfc6749.parameters import prepare_token_request

from destinations.masking import masked
from destinations.platforms import _reading, base
from destinations.platforms.base import Config, Outcome, Request, Response, Result, Token

TOKEN_URL = "https://www.reddit.com/api/v1/access_token"  # noqa: S105
OAUTH_FIELDS = ("client_id", "client_secret", "refresh_token")

# Status → what it means and what to do. Everything else that is no success is a fault of an event.
STATUSES: dict[int, tuple[Result, str]] = {
    401: (Result.CONFIG, "Generate a new conversion access token in Events Manager."),
    403: (Result.CONFIG, "Generate the token in the business that owns this pixel: it may not write to it."),
    404: (Result.CONFIG, "Check the pixel ID in Events Manager: Reddit does not know it."),
    405: (Result.CONFIG, "Check the API version."),
    410: (Result.CONFIG, "Choose a newer API version: Reddit has switched this one off."),
}
LOGIN_STATUSES = {
    400: "Authorize the app again: Reddit refuses the refresh token.",
    401: "Check the OAuth client ID and secret.",
    403: "Check the app: Reddit does not let it in.",
}

_TOOK = re.compile(r"processed (\d{1,6}) conversion", re.IGNORECASE)
_PIXEL = re.compile(
    r"\bpixel[ _]?id\b|(invalid|unknown|no such) pixel|pixel\b.{0,60}\bnot (found|exist)", re.IGNORECASE
)
_OLD = re.compile(r"event_at\b.*\b(old|past|days|hours|168)", re.IGNORECASE)


def uses_oauth(config: Config) -> bool:
    return all(config.get(name) for name in OAUTH_FIELDS)


def user_agent(config: Config) -> str:
    """Reddit turns away clients that do not say who they are and for whom; its own Tag Manager template says it so."""
    return f"TrackStack:conversions:v1 (by {config.get('pixel_id', '')})"


class Login(base.OAuth):
    """The refresh flow; a token lives for a day. With a conversion access token, which does not end, there is none."""

    def request(self, config: Config, now: datetime) -> Request | None:
        if not uses_oauth(config):
            return None
        pair = base64.b64encode(f"{config['client_id']}:{config['client_secret']}".encode()).decode()
        body: str = prepare_token_request("refresh_token", refresh_token=config["refresh_token"])
        headers = {
            "Authorization": f"Basic {pair}",
            "Content-Type": "application/x-www-form-urlencoded",
            "User-Agent": user_agent(config),
        }
        return Request(method="POST", url=TOKEN_URL, headers=headers, body=body.encode(), items=())

    def read(self, response: Response) -> Token | Outcome:
        answer = _reading.fields_of(response)
        token, renewed = answer.get("access_token"), answer.get("refresh_token")
        status = response.status
        if 200 <= status < 300 and isinstance(token, str) and token:
            return Token(
                access_token=token,
                expires_in=_lifetime(answer.get("expires_in")),
                refresh_token=renewed if isinstance(renewed, str) else "",
            )
        if 200 <= status < 300 and answer.get("error"):
            status = 400  # how Reddit also says it: 200 with invalid_grant
        if status in LOGIN_STATUSES:
            detail = masked(f"{LOGIN_STATUSES[status]} Reddit {status}: {_message(answer)}", cap=300)
            return Outcome(result=Result.CONFIG, detail=detail)
        detail = f"Reddit gave no access token ({response.status}); it is asked again."
        return Outcome(result=Result.RETRY, detail=detail, after=base.retry_after(response))


def _lifetime(seconds: Any) -> float | None:
    is_usable = isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 < seconds < 1e9
    return float(seconds) if is_usable else None


def outcomes(request: Request, response: Response) -> Outcome:
    """What became of every event of a request."""
    status, count, answer = response.status, len(request.items), response.json()
    known: dict[str, Any] = answer if isinstance(answer, dict) else {}
    if 200 <= status < 300:
        if not isinstance(answer, dict):
            # Sending again what was taken is harmless: the conversion id is recognised.
            detail = f"Reddit answered {status} without a result; it is tried again."
            return Outcome(result=Result.RETRY, detail=detail, after=base.retry_after(response))
        if not known.get("error"):
            return _taken(_message(known), count)
        error = known["error"]
        code = error.get("code") if isinstance(error, dict) else error
        status = code if isinstance(code, int) and code >= 400 else 400
    said = f"Reddit {status}: {_message(known)}"
    if base.is_transient(status):
        return Outcome(result=Result.RETRY, detail=masked(said, cap=300), after=base.retry_after(response))
    if status in STATUSES:
        result, advice = STATUSES[status]
        # Of a lasting token none can be fetched; then it is held at once.
        reason = base.TOKEN_EXPIRED if status == 401 and "Authorization" in request.headers else ""
        return Outcome(result=result, detail=masked(f"{advice} {said}", cap=300), reason=reason)
    if _PIXEL.search(said):
        return Outcome(result=Result.CONFIG, detail=masked(f"Check the pixel ID in Events Manager. {said}", cap=300))
    detail = masked(f"Correct the event. {said}", cap=300)
    if count > 1:
        return Outcome(result=Result.SPLIT, detail=detail)
    return Outcome(result=Result.TOO_OLD if _OLD.search(said) else Result.PERMANENT, detail=detail)


def _taken(said: str, count: int) -> Outcome:
    took = _TOOK.search(said)
    if took is None or int(took[1]) >= count:
        return base.OK
    result = Result.SPLIT if count > 1 else Result.PERMANENT
    return Outcome(result=result, detail=f"Reddit took {took[1]} of {count} events. Correct what it left out.")


def _message(answer: dict[str, Any]) -> str:
    """`{"data": {"message": …}}`, `{"error": {"message": …}}`, `{"message": …}` or `{"error": "invalid_grant"}`."""
    for part in (answer.get("error"), answer.get("data"), answer):
        if isinstance(part, dict) and isinstance(part.get("message"), str):
            reason = part.get("reason")
            return f"{part['message']} ({reason})" if isinstance(reason, str) and reason else part["message"]
    error = answer.get("error")
    return error if isinstance(error, str) else "no reason given"
