"""What TikTok's answers mean. Pure.

Source: business-api.tiktok.com/portal/docs, "Report App, Web, Offline, or CRM Events" and "Appendix - Return Codes".
"""

from __future__ import annotations

import re

from destinations.masking import masked
from destinations.platforms import _reading, base
from destinations.platforms.base import Outcome, Response, Result

BUSY_SECONDS = 300.0  # what to wait when the limit of a minute is used up: "Rate limits"

# TikTok decides by `code`; the HTTP status says little: 40100, a throttle, is documented with 401.
# Source: "Appendix - Return Codes" (portal/docs?id=1737172488964097).
OK_CODE, PARTIAL, BAD_PARAMETER = 0, 20001, 40002
CODES: dict[int, tuple[Result, str]] = {
    40001: (Result.CONFIG, "Generate a token in the settings of this very pixel: this one may not write to it."),
    40007: (Result.CONFIG, "Check the pixel ID in Events Manager: TikTok does not know it."),
    40100: (Result.RETRY, "TikTok throttles; it is tried again."),
    40101: (Result.CONFIG, "Generate a new access token in Events Manager."),
    40102: (Result.CONFIG, "The access token has expired: generate a new one in Events Manager."),
    40104: (Result.CONFIG, "The access token is missing: enter one from Events Manager."),
    40105: (Result.CONFIG, "The access token is wrong or revoked: generate a new one in Events Manager."),
    40700: (Result.RETRY, "TikTok has an internal problem; it is tried again."),
}

_BATCH_INDEX = re.compile(r"\b(?:Batch|data)[.\[](\d{1,4})\b", re.IGNORECASE)
_SOURCE = re.compile(r"event_source|pixel_?code|access.token", re.IGNORECASE)


def outcomes(count: int, response: Response) -> list[Outcome] | None:
    """One outcome per event; None when only the HTTP status says something."""
    answer = response.json()
    code = answer.get("code") if isinstance(answer, dict) else None
    is_fine = 200 <= response.status < 300
    if not isinstance(code, int) or isinstance(code, bool):
        if not (is_fine or response.status == 401 or base.is_transient(response.status)):
            return None
        detail = f"TikTok answered {response.status} without a result; it is tried again."
        return [Outcome(result=Result.RETRY, detail=detail, after=base.retry_after(response))] * count
    said = str(answer.get("message") or "no reason given")
    if code == OK_CODE and is_fine:
        return [base.OK] * count
    if code == PARTIAL and is_fine:
        # The form of a partial answer is not documented: what it does not name was taken.
        return _by_index(code, f"{said} {answer.get('data') or ''}", count, base.OK)
    if code == BAD_PARAMETER:
        return _bad_parameter(said, count)
    return [_whole(code, said, response)] * count


def _by_index(code: int, said: str, count: int, others: Outcome) -> list[Outcome]:
    bad = {int(index) for index in _BATCH_INDEX.findall(said)}
    refused = Outcome(result=Result.PERMANENT, detail=masked(f"Correct the event. TikTok {code}: {said}", cap=300))
    return [refused if index in bad else others for index in range(count)]


def _bad_parameter(said: str, count: int) -> list[Outcome]:
    named = [index for index in map(int, _BATCH_INDEX.findall(said)) if index < count]
    if named and count > 1:
        again = _reading.again("TikTok")
        return _by_index(BAD_PARAMETER, said, count, again)
    if not named and _SOURCE.search(said):
        detail = masked(f"Check pixel ID, source and token in Events Manager. TikTok {BAD_PARAMETER}: {said}", cap=300)
        return [Outcome(result=Result.CONFIG, detail=detail)] * count
    detail = masked(f"Correct the event. TikTok {BAD_PARAMETER}: {said}", cap=300)
    return [Outcome(result=Result.SPLIT if count > 1 else Result.PERMANENT, detail=detail)] * count


def _whole(code: int, said: str, response: Response) -> Outcome:
    """What a code means that is about the request. An unknown one is tried again, unless it is of the family of 401."""
    family = Result.CONFIG if 40101 <= code < 40200 else Result.RETRY
    advice = "Generate a new access token." if family == Result.CONFIG else "It is tried again."
    result, advice = CODES.get(code, (family, advice))
    detail = masked(f"{advice} TikTok {code}: {said}", cap=300)
    if result != Result.RETRY:
        return Outcome(result=result, detail=detail)
    after = base.retry_after(response)
    if after is None and code == 40100:
        after = BUSY_SECONDS
    return Outcome(result=result, detail=detail, after=after)
