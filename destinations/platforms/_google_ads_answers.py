"""What Google's ads APIs answer, read into outcomes.

Sources: developers.google.com/data-manager/api/devguides/concepts/understand-errors and the ErrorReason enum of
google/ads/datamanager/v1/error.proto; developers.google.com/google-ads/api/docs/best-practices/partial-failures and the
error enums of google/ads/googleads/v25 (2026-08).

The Data Manager API takes or refuses a request as a whole, but names the bad events. The Google Ads API takes the good
rows of a request. What either finds out later (consent, unknown clicks) it tells in reports only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from destinations.masking import masked
from destinations.platforms import base
from destinations.platforms._reading import again, objects
from destinations.platforms.base import TOKEN_EXPIRED, Item, Outcome, Request, Response, Result

HOUR = 3600.0


class Verdict(NamedTuple):
    result: Result
    advice: str = ""
    reason: str = ""
    after: float | None = None


RETRY = Verdict(Result.RETRY)
BAD = Verdict(Result.PERMANENT)
TERMS = Verdict(
    Result.CONFIG, "in Google Ads, Goals → Conversions → Settings, accept the customer data terms and turn enhanced "
    "conversions for leads on; it takes up to an hour to be in force",
)  # fmt: skip
ACTION = Verdict(
    Result.CONFIG, "check the conversion action's id, that the customer id is the account that owns it, and that its "
    "source is Import from clicks",
)  # fmt: skip
ACCOUNT = Verdict(Result.CONFIG, "check the customer id and the manager id, and the access of who connected")
ACCESS = Verdict(
    Result.CONFIG, "give who connected access to the Google Ads account, or enter the manager through which it has it"
)
API_OFF = Verdict(Result.CONFIG, "enable the API in the Google Cloud project of the OAuth client")
SCOPE = Verdict(Result.CONFIG, "connect again and allow the scope of this API")
CREDENTIALS = Verdict(Result.CONFIG, "a new access token is fetched; if that does not help, connect again",
                      TOKEN_EXPIRED)  # fmt: skip
RECONNECT = Verdict(Result.CONFIG, "connect the Google account again")
PROJECT = Verdict(Result.CONFIG, "check the access level of the Google Cloud project, and the developer token")
SWITCH = Verdict(Result.CONFIG, "this account may not upload here any more: set API to Data Manager API")
IDENTITY = Verdict(Result.PERMANENT, "", "no_identity")
OLD = Verdict(Result.TOO_OLD, "it lies before the conversion window", "too_old")
KNOWN = Verdict(Result.OK, "Google has it already")
NO_CLICK = Verdict(Result.SKIPPED, "it does not come from an ad of this account")

DATA_MANAGER: dict[str, Verdict] = {
    "INTERNAL_ERROR": RETRY,
    "DEADLINE_EXCEEDED": RETRY,
    "RESOURCE_EXHAUSTED": RETRY,
    "UNAVAILABLE": RETRY,
    "NOT_FOUND": ACCOUNT,
    "PERMISSION_DENIED": ACCESS,
    "SERVICE_DISABLED": API_OFF,
    "ACCESS_TOKEN_SCOPE_INSUFFICIENT": SCOPE,
    "NOT_ALLOWLISTED": Verdict(Result.CONFIG, "the account is not on Google's list for this feature"),
    "TERMS_AND_CONDITIONS_NOT_SIGNED": TERMS,
    "DESTINATION_ACCOUNT_NOT_ENABLED_ENHANCED_CONVERSIONS_FOR_LEADS": TERMS,
    "DESTINATION_ACCOUNT_ENHANCED_CONVERSIONS_TERMS_NOT_SIGNED": TERMS,
    "DESTINATION_ACCOUNT_DATA_POLICY_PROHIBITS_ENHANCED_CONVERSIONS": Verdict(
        Result.CONFIG, "Google's customer data policies forbid enhanced conversions for this account: ask Google"
    ),
    "INVALID_DESTINATION": ACTION,
    "INVALID_CONVERSION_ACTION_ID": ACTION,
    "INVALID_CONVERSION_ACTION_TYPE": ACTION,
    "DESTINATION_ACCOUNT_TYPE_MISMATCH": ACCOUNT,
    "OPERATING_ACCOUNT_LOGIN_ACCOUNT_MISMATCH": ACCOUNT,
    "LINKED_ACCOUNT_ONLY_ALLOWED_WITH_DATA_PARTNER_LOGIN_ACCOUNT": ACCOUNT,
    "UNSUPPORTED_OPERATING_ACCOUNT_FOR_DATA_PARTNER": ACCOUNT,
    "REQUIRED_FIELD_MISSING": BAD,
    "INVALID_ARGUMENT": BAD,
    "INVALID_FORMAT": BAD,
    "INVALID_NUMBER_FORMAT": BAD,
    "INVALID_ENUM_VALUE": BAD,
    "INVALID_EVENT": BAD,
    "INVALID_SHA256_FORMAT": BAD,
    "INVALID_HEX_ENCODING": BAD,
    "INVALID_POSTAL_CODE": BAD,
    "INVALID_COUNTRY_CODE": BAD,
    "INVALID_CURRENCY_CODE": Verdict(Result.PERMANENT, "Google Ads does not know the currency", "missing_value"),
    "EVENT_TIME_INVALID": OLD,
    "NO_IDENTIFIERS_PROVIDED": IDENTITY,
    "TOO_MANY_USER_IDENTIFIERS": BAD,
    "TOO_MANY_ELEMENTS": BAD,
    "FIELD_VALUE_TOO_LONG": BAD,
    "MULTIPLE_DATA_TYPES_NOT_ALLOWED": BAD,
}
"""ErrorReason, and the reasons of Google's front end → what becomes of the event. Others are judged by the status."""

GOOGLE_ADS: dict[str, Verdict] = {
    "TRANSIENT_ERROR": RETRY,
    "INTERNAL_ERROR": RETRY,
    "DEADLINE_EXCEEDED": RETRY,
    "CONCURRENT_MODIFICATION": RETRY,
    "RESOURCE_EXHAUSTED": RETRY,
    "RESOURCE_TEMPORARILY_EXHAUSTED": RETRY,
    "EXCESSIVE_SHORT_TERM_QUERY_RESOURCE_CONSUMPTION": RETRY,
    "OAUTH_TOKEN_EXPIRED": CREDENTIALS,
    "OAUTH_TOKEN_INVALID": CREDENTIALS,
    "OAUTH_TOKEN_HEADER_INVALID": CREDENTIALS,
    "AUTHENTICATION_ERROR": CREDENTIALS,
    "OAUTH_TOKEN_REVOKED": RECONNECT,
    "OAUTH_TOKEN_DISABLED": RECONNECT,
    "GOOGLE_ACCOUNT_DELETED": RECONNECT,
    "NOT_ADS_USER": Verdict(Result.CONFIG, "connect with a Google account that has access to Google Ads"),
    "TWO_STEP_VERIFICATION_NOT_ENROLLED": Verdict(
        Result.CONFIG, "turn 2-Step Verification on for the Google account that connected"
    ),
    "CUSTOMER_NOT_FOUND": ACCOUNT,
    "CLIENT_CUSTOMER_ID_INVALID": ACCOUNT,
    "USER_PERMISSION_DENIED": ACCESS,
    "CUSTOMER_NOT_ENABLED": Verdict(Result.CONFIG, "the Google Ads account is closed or not yet set up"),
    "ACTION_NOT_PERMITTED": ACCESS,
    "MISSING_TOS": TERMS,
    "CLOUD_PROJECT_NOT_APPROVED_FOR_PRODUCTION": PROJECT,
    "PROJECT_DISABLED": PROJECT,
    "DEVELOPER_TOKEN_NOT_APPROVED": PROJECT,
    "DEVELOPER_TOKEN_PROHIBITED": PROJECT,
    "DEVELOPER_TOKEN_PARAMETER_MISSING": PROJECT,
    "DEVELOPER_TOKEN_NOT_ON_ALLOWLIST": PROJECT,
    "DEVELOPER_TOKEN_INVALID": PROJECT,
    "SERVICE_DISABLED": API_OFF,
    "ACCESS_TOKEN_SCOPE_INSUFFICIENT": SCOPE,
    "CUSTOMER_NOT_ALLOWLISTED_FOR_THIS_FEATURE": SWITCH,
    "UNSUPPORTED_VERSION": Verdict(Result.CONFIG, "Google has switched this API version off: enter a newer one"),
    "NO_CONVERSION_ACTION_FOUND": ACTION,
    "INVALID_CONVERSION_ACTION": ACTION,
    "INVALID_CONVERSION_ACTION_TYPE": ACTION,
    "CUSTOMER_NOT_ACCEPTED_CUSTOMER_DATA_TERMS": TERMS,
    "CUSTOMER_NOT_ENABLED_ENHANCED_CONVERSIONS_FOR_LEADS": TERMS,
    "CONVERSION_TRACKING_NOT_ENABLED_AT_IMPRESSION_TIME": NO_CLICK,
    "TOO_RECENT_EVENT": Verdict(Result.RETRY, "the click is too fresh, Google asks for six hours", after=6 * HOUR),
    "TOO_RECENT_CALL": Verdict(Result.RETRY, "the call is too fresh, Google asks for six hours", after=6 * HOUR),
    "TOO_RECENT_CONVERSION_ACTION": Verdict(
        Result.RETRY, "the conversion action is too new, Google asks for six hours", after=6 * HOUR
    ),
    "TOO_RECENT_CONVERSION": Verdict(Result.RETRY, "Google asks for a day", after=24 * HOUR),
    "CLICK_NOT_FOUND": NO_CLICK,
    "EVENT_NOT_FOUND": NO_CLICK,
    "ORDER_ID_ALREADY_IN_USE": KNOWN,
    "CLICK_CONVERSION_ALREADY_EXISTS": KNOWN,
    "DUPLICATE_ORDER_ID": KNOWN,
    "DUPLICATE_CLICK_CONVERSION_IN_REQUEST": KNOWN,
    "CONVERSION_ALREADY_ENHANCED": KNOWN,
    "EXPIRED_EVENT": OLD,
    "EXPIRED_CALL": OLD,
    "CONVERSION_PRECEDES_EVENT": Verdict(Result.PERMANENT, "it lies before the click: check the clock of the sender"),
    "FUTURE_CONVERSION_TIME": Verdict(Result.PERMANENT, "it lies in the future: check the clock of the sender"),
    "UNPARSEABLE_GCLID": Verdict(Result.PERMANENT, "the click id is not as Google gave it"),
    "UNPARSEABLE_GBRAID": Verdict(Result.PERMANENT, "the click id is not as Google gave it"),
    "UNPARSEABLE_WBRAID": Verdict(Result.PERMANENT, "the click id is not as Google gave it"),
    "INVALID_CUSTOMER_FOR_CLICK": Verdict(Result.PERMANENT, "the click belongs to another Google Ads account"),
    "INVALID_USER_IDENTIFIER": BAD,
    "UNSUPPORTED_USER_IDENTIFIER": BAD,
    "GBRAID_WBRAID_BOTH_SET": BAD,
    "ORDER_ID_CONTAINS_PII": Verdict(Result.PERMANENT, "send an order id that names nobody"),
    "CLICK_MISSING_CONVERSION_LABEL": NO_CLICK,
    "CONVERSION_NOT_COMPLIANT_WITH_ATTRIBUTION_MODEL": BAD,
    "INVALID_CURRENCY_CODE": Verdict(Result.PERMANENT, "Google Ads does not know the currency", "missing_value"),
}
"""Value of an `errorCode` → what becomes of the row, and what to do. `ONE_PER_CLICK…`: the action counts one only."""

_EVENT = re.compile(r"\bevents(?:\.events)?\[(\d{1,6})\]")
_DELAY = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s")


def parse(request: Request, response: Response) -> list[Outcome]:
    if "googleads.googleapis.com" in request.url:
        return _google_ads(request, response)
    return _data_manager(request.items, response)


# --- Data Manager API -----------------------------------------------------------------------------
def _data_manager(items: Sequence[Item], response: Response) -> list[Outcome]:
    status, count = response.status, len(items)
    answer = response.json()
    if 200 <= status < 300 and isinstance(answer, dict) and isinstance(answer.get("requestId"), str):
        return [base.OK] * count  # `fieldWarnings` are about what was taken all the same
    error = _error(answer)
    violations = list(_violations(error))
    config = next((one for one in violations if _verdict(one[1]).result == Result.CONFIG), None)
    if status == 400 and config is None and (bad := _named(violations, count)):
        others = again("Google")
        return [
            _outcome(DATA_MANAGER.get(bad[i][0], BAD), status, bad[i][1]) if i in bad else others for i in range(count)
        ]
    reason = config[1] if config else _reason(error)
    message = _text(config[2] if config else error.get("message"))
    verdict = DATA_MANAGER.get(reason)
    return [_whole(verdict, response, error, message, count)] * count


def _verdict(reason: str) -> Verdict:
    return DATA_MANAGER.get(reason, BAD)


def _violations(error: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(field, reason, description) of every violation."""
    for detail in objects(error.get("details")):
        for one in objects(detail.get("fieldViolations")):
            field, reason = _text(one.get("field")), _text(one.get("reason"))
            yield field, reason, f"{_text(one.get('description')) or reason or 'refused'} ({field})"


def _named(violations: list[tuple[str, str, str]], count: int) -> dict[int, tuple[str, str]]:
    """Index → (reason, description) of each event that is named, its first violation."""
    bad: dict[int, tuple[str, str]] = {}
    for field, reason, description in violations:
        found = _EVENT.search(field)
        if found and int(found[1]) < count:
            bad.setdefault(int(found[1]), (reason, description))
    return bad


def _reason(error: dict[str, Any]) -> str:
    """The reason of ErrorInfo, where it says more than the status does."""
    reasons = [_text(detail.get("reason")) for detail in objects(error.get("details"))]
    return next((reason for reason in reasons if reason in DATA_MANAGER), "")


# --- Google Ads API -------------------------------------------------------------------------------
class Failure(NamedTuple):
    code: str
    message: str
    row: int | None
    after: float | None


def _google_ads(request: Request, response: Response) -> list[Outcome]:
    status, count = response.status, len(request.items)
    answer = response.json()
    if not 200 <= status < 300:
        error = _error(answer)
        failures = list(_failures(error))
        first = (
            failures[0] if failures else Failure(_text(error.get("status")), _text(error.get("message")), None, None)
        )
        verdict = GOOGLE_ADS.get(first.code) or GOOGLE_ADS.get(_ads_reason(error))
        bad = {failure.row for failure in failures if failure.row is not None and failure.row < count}
        if status == 400 and bad and verdict is not None and verdict.result != Result.CONFIG:
            others = again("Google")
            rows = {failure.row: failure for failure in reversed(failures)}
            return [_row(rows[i], status) if i in bad else others for i in range(count)]
        if verdict is not None and first.after is not None:
            verdict = verdict._replace(after=first.after)
        return [_whole(verdict, response, error, first.message, count)] * count
    answer = answer if isinstance(answer, dict) else {}
    results, partial = answer.get("results"), answer.get("partialFailureError")
    if isinstance(partial, dict) and partial:
        return _partial(partial, results, status, count)
    is_confirmed = isinstance(results, list) and len(results) == count
    if is_confirmed or (b'"validateOnly":true' in request.body and response.json() is not None):  # without results
        return [base.OK] * count
    return [Outcome(result=Result.RETRY, detail=f"Google Ads answered {status} and did not confirm the rows.")] * count


def _partial(partial: dict[str, Any], results: Any, status: int, count: int) -> list[Outcome]:
    """A failed row is an empty object in `results`; its error names it by index."""
    failures = list(_failures(partial))
    outcomes: list[Outcome] = [base.OK] * count
    for failure in reversed(failures):
        if failure.row is not None and failure.row < count:
            outcomes[failure.row] = _row(failure, status)
    nameless = [failure for failure in failures if failure.row is None or failure.row >= count]
    if nameless or not failures:
        first = nameless[0] if nameless else Failure("", _text(partial.get("message")), None, None)
        is_list = isinstance(results, list) and len(results) == count
        for i, outcome in enumerate(outcomes):
            if outcome is base.OK and not (is_list and results[i]):
                outcomes[i] = _row(first, status) if first.code else _outcome(RETRY, status, first.message)
    return outcomes


def _row(failure: Failure, status: int) -> Outcome:
    verdict = GOOGLE_ADS.get(failure.code, BAD)
    if verdict.result == Result.OK and not 200 <= status < 300:
        verdict = BAD  # the whole request was refused, so nothing was taken
    if failure.after is not None:
        verdict = verdict._replace(after=failure.after)
    return _outcome(verdict, status, f"{failure.message or 'refused'} ({failure.code})")


def _failures(error: dict[str, Any]) -> Iterator[Failure]:
    for detail in objects(error.get("details")):
        for one in objects(detail.get("errors")):
            code, extra = one.get("errorCode"), one.get("details")
            codes = [value for value in code.values() if isinstance(value, str)] if isinstance(code, dict) else []
            quota = extra.get("quotaErrorDetails") if isinstance(extra, dict) else None
            after = _seconds(quota.get("retryDelay")) if isinstance(quota, dict) else None
            yield Failure(codes[0] if codes else "", _text(one.get("message")), _row_index(one.get("location")), after)


def _row_index(location: Any) -> int | None:
    for element in objects(location.get("fieldPathElements")) if isinstance(location, dict) else []:
        if element.get("fieldName") in ("conversions", "conversion_adjustments", "conversionAdjustments"):
            index = element.get("index", 0)  # JSON of protobuf leaves a 0 out
            if isinstance(index, int) and index >= 0:
                return index
    return None


def _ads_reason(error: dict[str, Any]) -> str:
    reasons = [_text(detail.get("reason")) for detail in objects(error.get("details"))]
    return next((reason for reason in reasons if reason in GOOGLE_ADS), "")


# --- Both -----------------------------------------------------------------------------------------
def _whole(verdict: Verdict | None, response: Response, error: dict[str, Any], message: str, count: int) -> Outcome:
    """The outcome of a request that was refused as a whole."""
    status, message = response.status, message or "no reason given"
    after = base.retry_after(response)
    if after is None:
        delays = (_seconds(one.get("retryDelay")) for one in objects(error.get("details")))
        after = next((seconds for seconds in delays if seconds is not None), None)
    if status == 401:
        verdict = verdict if verdict is not None and verdict.result == Result.CONFIG else CREDENTIALS
    elif base.is_transient(status) or status < 400:
        verdict = RETRY if verdict is None or verdict.result != Result.RETRY else verdict
    elif verdict is None:
        verdict = ACCESS if status == 403 else ACCOUNT if status == 404 else BAD
    if verdict.result == Result.RETRY:
        verdict = verdict._replace(after=verdict.after if after is None else after)
    elif verdict.result != Result.CONFIG:  # about an event, and it is not said about which
        is_refusal = verdict.result in (Result.PERMANENT, Result.TOO_OLD)
        verdict = Verdict(Result.SPLIT) if count > 1 else verdict if is_refusal else BAD
    return _outcome(verdict, status, message)


def _outcome(verdict: Verdict, status: int, message: str) -> Outcome:
    said = masked(f"Google Ads {status}: {message}", cap=200)
    detail = f"{said}; {verdict.advice}." if verdict.advice else said
    return Outcome(result=verdict.result, detail=detail, reason=verdict.reason, after=verdict.after)


def _error(answer: Any) -> dict[str, Any]:
    """The Status object; streaming front ends answer a list of them."""
    if isinstance(answer, list) and answer:
        answer = answer[0]
    error = answer.get("error") if isinstance(answer, dict) else None
    return error if isinstance(error, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _seconds(value: Any) -> float | None:
    """`12.5s`, as protobuf writes a duration."""
    found = _DELAY.fullmatch(value) if isinstance(value, str) else None
    return min(float(found[1]), base.LONGEST_RETRY_AFTER) if found else None
