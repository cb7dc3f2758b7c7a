"""Microsoft's offline conversions: rows for `OfflineConversions/Apply`, its answers, and its OAuth 2 tokens. Pure.

Source: learn.microsoft.com/advertising/campaign-management-service/applyofflineconversions and …/offlineconversion
(v13, REST), …/guides/authentication-oauth-get-tokens, …/guides/operation-error-codes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext
from oauthlib.oauth2 import WebApplicationClient

from destinations.masking import masked
from destinations.platforms import _reading, base, identity
from destinations.platforms.base import Config, IdChoice, Item, OAuth, Outcome, Request, Response, Result, Skip, Token
from events.payload import Payload

HOST = "https://campaign.api.bingads.microsoft.com/"
URL = HOST + "CampaignManagement/v13/OfflineConversions/Apply"
GOALS_URL = HOST + "CampaignManagement/v13/ConversionGoals/QueryByIds"
"""Source: …/campaign-management-service/getconversiongoalsbyids; without ids it gives all of the account."""
TOKEN_URL = "https://login.microsoftonline.com/common/oauth2/v2.0/token"  # noqa: S105
SCOPE = "https://ads.microsoft.com/msads.manage offline_access"
MAX_AGE_DAYS = 90
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - UTC throughout
RULES: dict[str, Callable[[str], str]] = {
    "HashedEmailAddress": identity.email_without_dots_and_tag,
    "HashedPhoneNumber": identity.phone_e164,
}
MATCHED_BY = ("MicrosoftClickId", *RULES)

# Symbolic code → result, seconds to wait, what to do. The numbers of the same codes stand below.
CODES: dict[str, tuple[Result, float | None, str]] = {
    "InternalError": (Result.RETRY, None, ""),
    "CallRateExceeded": (Result.RETRY, 60.0, "Too many calls in a minute."),
    "ConcurrentRequestOverLimit": (Result.RETRY, 60.0, "Too many calls at once."),
    "AuthenticationTokenExpired": (Result.CONFIG, None, "Enter a new refresh token if this stays."),
    "InvalidCredentials": (Result.CONFIG, None, "Check the developer token and the OAuth app."),
    "UserIsNotAuthorized": (Result.CONFIG, None, "Check customer id and account id, and that the user may edit them."),
}
NUMBERS = {
    0: "InternalError",
    105: "InvalidCredentials",
    106: "UserIsNotAuthorized",
    109: "AuthenticationTokenExpired",
    117: "CallRateExceeded",
    207: "ConcurrentRequestOverLimit",
}
# Part of the symbolic code of a refused row → result, reason code, what to do.
ROW_CODES: tuple[tuple[str, Result, str, str], ...] = (
    ("ClickId", Result.PERMANENT, "invalid", "The msclkid is none that Microsoft gave."),
    ("GoalNotFound", Result.CONFIG, "", "Enter the exact name of an offline conversion goal; a new one needs 2 hours."),
    ("ConversionName", Result.CONFIG, "", "Enter the exact name of an offline conversion goal."),
    ("TooOld", Result.TOO_OLD, "too_old", f"Microsoft takes conversions of the last {MAX_AGE_DAYS} days."),
    ("Expired", Result.TOO_OLD, "too_old", f"Microsoft takes conversions of the last {MAX_AGE_DAYS} days."),
)

_MSCLKID_IN_URL = re.compile(r"[?&]msclkid=([^&#]+)")
_MSCLKID = re.compile(r"[0-9a-fA-F-]{28,36}")


# --- Identity, of both APIs ------------------------------------------------------------------------
def click_id(payload: Payload) -> str:
    """A GUID, in 32 hexadecimal digits with or without dashes (leading zeros may be missing); anything else would sink
    the event and is left out. The cookie `_uetmsclkid` holds it with a prefix.
    """
    page = payload.page_url or ""
    found = payload.click_ids.get("msclkid", "")
    if not found and "msclkid=" in page and (match := _MSCLKID_IN_URL.search(page)):
        found = match[1]
    found = found.removeprefix("_uet")
    return found if _MSCLKID.fullmatch(found) else ""


def hashed_email(payload: Payload) -> str:
    return identity.hashed(identity.email_without_dots_and_tag(payload.email)) if payload.email else ""


def hashed_phone(payload: Payload) -> str:
    """E.164 with "+". The guide says "hashed phone number" and no more; Microsoft's help on enhanced conversions has
    the plus, as have most integrations.
    """
    if not payload.phone:
        return ""
    country = identity.country(payload.country) if payload.country else ""
    return identity.hashed(identity.phone_e164(payload.phone, country.upper() if len(country) == 2 else ""))


# --- Building --------------------------------------------------------------------------------------
def row(item: Item, now_ms: int) -> dict[str, Any] | Skip:
    payload, goal = item.payload, item.native_name or item.event
    if now_ms - item.occurred_ms > MAX_AGE_DAYS * 86_400_000:
        detail = f"Microsoft takes offline conversions of the last {MAX_AGE_DAYS} days only."
        return Skip(item=item, reason="too_old", detail=detail)
    if goal == "pageLoad":
        detail = "An offline conversion goes to a goal by its name, and none was entered for the event."
        return Skip(item=item, reason="unmapped", detail=detail)
    if item.event in base.MONEY_BACK:
        # Without a value the goal's own would be counted, as revenue.
        detail = "An offline conversion cannot take money back: retract the conversion in Microsoft Advertising."
        return Skip(item=item, reason="invalid", detail=detail)
    found: dict[str, Any] = {
        "ConversionName": goal,
        "ConversionTime": _time(min(item.occurred_ms, now_ms)),
        "MicrosoftClickId": click_id(payload),
        "HashedEmailAddress": hashed_email(payload),
        "HashedPhoneNumber": hashed_phone(payload),
    }
    if amount := base.value_of(item):
        found["ConversionValue"], found["ConversionCurrencyCode"] = amount
    found = {name: value for name, value in found.items() if value != ""}
    if payload.platform_params:
        found = identity.protected(base.with_overrides(found, item, "microsoft"), RULES)
    if not any(found.get(name) for name in MATCHED_BY):
        needed = "Microsoft needs a click id (msclkid), an e-mail address or a phone number with country code"
        return Skip(item=item, reason="no_identity", detail=f"{needed}; the event carries none of them.")
    return found


def _time(ms: int) -> str:
    """UTC as xs:dateTime. Milliseconds where there are any: same click, goal and time is a repetition and ignored."""
    happened = EPOCH + timedelta(milliseconds=max(0, ms))
    return happened.isoformat(timespec="milliseconds" if ms % 1000 else "seconds") + "Z"


def headers(config: Config) -> dict[str, str]:
    return {
        "Authorization": f"Bearer {config.get(base.ACCESS_TOKEN, '')}",
        "DeveloperToken": config.get("developer_token", ""),
        "CustomerId": config.get("customer_id", ""),
        "CustomerAccountId": config.get("account_id", ""),
        "Content-Type": "application/json",
    }


# --- Reading ---------------------------------------------------------------------------------------
def parse(request: Request, response: Response) -> list[Outcome]:
    """200 with a list of the refused rows by index, empty when all were taken; otherwise errors about the request."""
    count, status, answer = len(request.items), response.status, _reading.fields_of(response)
    if 200 <= status < 300 and isinstance(answer.get("PartialErrors"), list):
        return _by_row(answer["PartialErrors"], count, base.OK)
    errors = [
        error
        for name in ("Errors", "OperationErrors", "BatchErrors")
        if isinstance(answer.get(name), list)
        for error in answer[name]
        if isinstance(error, dict)
    ]
    if not errors and (base.is_transient(status) or 200 <= status < 300):
        detail = f"Microsoft answered {status} and did not say which conversions it took."
        return [Outcome(result=Result.RETRY, detail=detail, after=base.retry_after(response))] * count
    code, said = _said(errors[0]) if errors else ("", "no reason given")
    said = f"Microsoft {status} {said}"
    if code not in CODES and status == 401:
        code = "AuthenticationTokenExpired"
    if code in CODES or base.is_transient(status):
        result, wait, advice = CODES.get(code, (Result.RETRY, None, ""))
        after = base.retry_after(response) if result == Result.RETRY else None
        reason = base.TOKEN_EXPIRED if code == "AuthenticationTokenExpired" else ""
        detail = masked(f"{said} {advice}".rstrip(), cap=300)
        return [Outcome(result=result, reason=reason, detail=detail, after=wait if after is None else after)] * count
    if status in (403, 404):
        return [Outcome(result=Result.CONFIG, detail=masked(said, cap=300))] * count
    if any(isinstance(error.get("Index"), int) for error in errors):
        again = Outcome(result=Result.RETRY, after=0.0, detail="Microsoft refused the batch for another conversion.")
        return _by_row(errors, count, again)
    return [Outcome(result=Result.SPLIT if count > 1 else Result.PERMANENT, detail=masked(said, cap=300))] * count


def _by_row(errors: list[Any], count: int, others: Outcome) -> list[Outcome]:
    """The list of errors does not align with the rows; an error without an index is of nobody knows which."""
    outcomes = [others] * count
    for error in errors:
        if not isinstance(error, dict):
            continue
        code, said = _said(error)
        _, result, reason, advice = next(
            (known for known in ROW_CODES if known[0] in code), ("", Result.PERMANENT, "", "")
        )
        if code in CODES:
            result, _, advice = CODES[code]
        refused = Outcome(result=result, reason=reason, detail=masked(f"Microsoft: {said} {advice}".rstrip(), cap=300))
        index = error.get("Index")
        if isinstance(index, int) and 0 <= index < count:
            outcomes[index] = refused
        elif count == 1:
            outcomes = [refused]
        else:
            return [Outcome(result=Result.SPLIT, detail=refused.detail)] * count
    return outcomes


def _said(error: dict[str, Any]) -> tuple[str, str]:
    number = error.get("Code")
    code = str(error.get("ErrorCode") or (NUMBERS.get(number, "") if isinstance(number, int) else ""))[:80]
    return code, f"{code or number}: {error.get('Message') or 'no reason given'}"


# --- Asking ----------------------------------------------------------------------------------------
def goals(config: Config) -> Request | None:
    """The account's offline conversion goals: a read by POST, as all of this API's."""
    if config.get("api") != "offline":
        return None
    body = b'{"ConversionGoalTypes":"OfflineConversion"}'
    return Request(method="POST", url=GOALS_URL, headers=headers(config), body=body, items=())


def goal_names(response: Response) -> list[IdChoice]:
    found = []
    for goal in _reading.objects(_reading.fields_of(response).get("ConversionGoals")):
        name = _reading.text(goal.get("Name"))
        if goal.get("Type", "OfflineConversion") == "OfflineConversion":
            label = gettext("%(name)s (paused)") % {"name": name} if goal.get("Status") == "Paused" else name
            found.append(IdChoice(name, label))
    return found


# --- Tokens ----------------------------------------------------------------------------------------
class MicrosoftOAuth(OAuth):
    """OAuth 2 with a refresh token, which Microsoft may replace with every access token."""

    def request(self, config: Config, now: datetime) -> Request | None:
        if config.get("api") != "offline":
            return None  # the Conversions API has a lasting token of its own
        credentials = {"client_id": config.get("client_id", "")}
        if config.get("client_secret"):  # a public app has none
            credentials["client_secret"] = config["client_secret"]
        body = WebApplicationClient(credentials["client_id"]).prepare_refresh_body(
            refresh_token=config.get("refresh_token", ""), scope=SCOPE, **credentials
        )
        sent = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        return Request(method="POST", url=TOKEN_URL, headers=sent, body=str(body).encode(), items=())

    def read(self, response: Response) -> Token | Outcome:
        answer = _reading.fields_of(response)
        token, lasts, rotated = answer.get("access_token"), answer.get("expires_in"), answer.get("refresh_token")
        if 200 <= response.status < 300 and isinstance(token, str) and token:
            return Token(
                access_token=token,
                expires_in=float(lasts) if isinstance(lasts, int | float) else None,
                refresh_token=rotated if isinstance(rotated, str) else "",
            )
        code = str(answer.get("error") or "")
        said = f"Microsoft {response.status} {code}: {answer.get('error_description') or 'no reason given'}"
        is_passing = code in ("temporarily_unavailable", "server_error") or base.is_transient(response.status)
        if is_passing or 200 <= response.status < 300:
            return Outcome(result=Result.RETRY, detail=masked(said, cap=300), after=base.retry_after(response))
        advice = (
            "Sign in again for a new refresh token." if code == "invalid_grant" else "Check the OAuth app's values."
        )
        return Outcome(result=Result.CONFIG, detail=masked(f"{advice} {said}", cap=300))
