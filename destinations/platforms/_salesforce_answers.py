"""What Salesforce's error codes mean for an event of `salesforce`, and what to do about them. Pure.

Source: developer.salesforce.com, REST API Developer Guide, "Status Codes and Error Responses"; SOAP API Developer
Guide, "StatusCode"; Platform Events Developer Guide, "Publish Event Messages with Salesforce APIs".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from destinations.masking import masked
from destinations.platforms import base
from destinations.platforms.base import Item, Outcome, Response, Result

BUSY_SECONDS = 900.0
"""Requests and event messages are counted over the last 24 hours and the last hour: asking sooner only costs more."""

RETRY, CONFIG, PERMANENT = Result.RETRY, Result.CONFIG, Result.PERMANENT


class Meaning(NamedTuple):
    result: Result
    advice: str
    after: float | None = None


_PERMISSION = Meaning(CONFIG, "Give the integration user access to the objects and fields (a permission set).")
_SCHEMA = Meaning(CONFIG, "The org lacks an object or field: create it, or correct its name in the settings.")
_RULE = Meaning(
    PERMANENT, "A rule, flow or trigger of the org refused the record: exempt the integration user from it."
)
_DATA = Meaning(PERMANENT, "Correct the value where the event is sent.")
_LIMIT = Meaning(RETRY, "The org's allowance is used up: raise it, or send fewer events.", BUSY_SECONDS)
_PASSING = Meaning(RETRY, "It passes by itself.")

CODES: dict[str, Meaning] = {
    # the session and the org
    "INVALID_SESSION_ID": Meaning(CONFIG, "The session is over: check the client, its secret and its run-as user."),
    "INVALID_AUTH_HEADER": Meaning(CONFIG, "The access token was refused: check the client and its secret."),
    "API_DISABLED_FOR_ORG": Meaning(CONFIG, "The org's edition or the user's profile has no API access."),
    "API_CURRENTLY_DISABLED": Meaning(CONFIG, "API access is switched off for the org."),
    "INVALID_LOGIN": Meaning(CONFIG, "Check the run-as user."),
    "REQUEST_LIMIT_EXCEEDED": _LIMIT,
    "LIMIT_EXCEEDED": _LIMIT,
    "TXN_SECURITY_METERING_ERROR": _LIMIT,
    # Not the events' fault: they wait until there is room.
    "STORAGE_LIMIT_EXCEEDED": Meaning(CONFIG, "The org's data storage is full: free or buy some."),
    # permissions and schema
    "INSUFFICIENT_ACCESS": _PERMISSION,
    "INSUFFICIENT_ACCESS_OR_READONLY": _PERMISSION,
    "FUNCTIONALITY_NOT_ENABLED": _PERMISSION,
    "CANNOT_INSERT_UPDATE": _PERMISSION,
    "INVALID_TYPE": _SCHEMA,
    "INVALID_FIELD": _SCHEMA,
    "INVALID_FIELD_FOR_INSERT_UPDATE": _SCHEMA,
    "NOT_FOUND": _SCHEMA,
    "UNSUPPORTED_API_VERSION": Meaning(CONFIG, "Salesforce has retired this API version: enter a newer one."),
    # passing
    "UNABLE_TO_LOCK_ROW": _PASSING,
    "ENTITY_IS_LOCKED": _PASSING,
    "SERVER_UNAVAILABLE": _PASSING,
    "UNKNOWN_EXCEPTION": _PASSING,
    "QUERY_TIMEOUT": _PASSING,
    "REQUEST_RUNNING_TOO_LONG": _PASSING,
    "PROCESSING_HALTED": _PASSING,
    "ALL_OR_NONE_OPERATION_ROLLED_BACK": _PASSING,
    # the record
    "REQUIRED_FIELD_MISSING": Meaning(PERMANENT, "Send the field, or lift the requirement in Salesforce."),
    "FIELD_CUSTOM_VALIDATION_EXCEPTION": _RULE,
    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY": _RULE,
    "CANNOT_EXECUTE_FLOW_TRIGGER": _RULE,
    "FIELD_FILTER_VALIDATION_EXCEPTION": _RULE,
    "DUPLICATES_DETECTED": Meaning(
        PERMANENT, "A duplicate rule found the person: give the record found its external id, or allow duplicates here."
    ),
    "DUPLICATE_EXTERNAL_ID": Meaning(
        PERMANENT, "Several records have this external id: merge them, and make the field unique."
    ),
    "DUPLICATE_VALUE": Meaning(PERMANENT, "Another record has the value of a unique field."),
    "CANNOT_UPDATE_CONVERTED_LEAD": Meaning(
        PERMANENT, "The lead was converted: map its external id to the contact, and send the event as Contact+Task."
    ),
    "ENTITY_IS_DELETED": Meaning(PERMANENT, "The record was deleted in Salesforce."),
    "INVALID_CROSS_REFERENCE_KEY": Meaning(PERMANENT, "The record id in the event does not exist in this org."),
    "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": Meaning(
        PERMANENT, "The record id in the event does not exist in this org, or the integration user may not see it."
    ),
    "MALFORMED_ID": _DATA,
    "STRING_TOO_LONG": _DATA,
    "INVALID_EMAIL_ADDRESS": _DATA,
    "FIELD_INTEGRITY_EXCEPTION": Meaning(
        PERMANENT, "If it is about country or state: set addresses to codes in the settings."
    ),
    "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST": Meaning(PERMANENT, "Add the value to the picklist, or send another."),
    "NUMBER_OUTSIDE_VALID_RANGE": _DATA,
    "JSON_PARSER_ERROR": _DATA,
}
"""errorCode of a refused request, or statusCode of a refused record."""

# The person may be on their way, in a request that runs beside this one.
_UNRELATED = Meaning(
    RETRY, "Salesforce has no such person (yet): an event that writes one, Lead+Task or Contact+Task, must come first."
)
_LOCKED = ("UNABLE_TO_LOCK_ROW", "Too many SOQL queries")
TOLERATED = frozenset({"DUPLICATE_VALUE", "DUPLICATES_DETECTED"})
"""Answers of the step that creates who is missing (or links a known record) that say: somebody is there already.
Whether that is the right one, the step after it finds out."""


def meaning(code: str, message: str, key_field: str) -> Meaning | None:
    if any(sign in message for sign in _LOCKED):
        return _PASSING  # often wrapped in CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY
    if code == "REQUEST_LIMIT_EXCEEDED" and "oncurrent" in message:
        return _PASSING
    if "oreign key external ID" in message:
        return _UNRELATED
    if code == "DUPLICATE_VALUE" and key_field and key_field in message:
        return _PASSING  # two requests created the same record at once: the next try updates it
    if code.startswith("INSUFFICIENT_ACCESS"):
        return CODES.get(code, _PERMISSION)
    return CODES.get(code)


def first_error(errors: Any) -> tuple[str, str]:
    """Code and message of the first error of a list; the request's are called errorCode, a record's statusCode."""
    error = errors[0] if isinstance(errors, list) and errors else errors
    if not isinstance(error, dict):
        return "", ""
    code = error.get("errorCode") or error.get("statusCode") or error.get("error")
    message = error.get("message") or error.get("error_description")
    return code if isinstance(code, str) else "", message if isinstance(message, str) else ""


def of_record(row: Any, key_field: str, is_tolerant: bool) -> Outcome:
    """A record's own result. `success` decides: an event message that was queued has an entry in `errors` as well."""
    if not isinstance(row, dict):
        return Outcome(result=RETRY, detail="Salesforce gave no result for the record.")
    if row.get("success") is True:
        return base.OK
    code, message = first_error(row.get("errors"))
    if is_tolerant and code in TOLERATED:
        return base.OK
    found = meaning(code, message, key_field)
    if found is None:
        return Outcome(result=PERMANENT, detail=told(code, message, ""))
    is_lone = code.startswith("INSUFFICIENT_ACCESS")  # the rest of the batch went through: it is about this record
    return Outcome(
        result=PERMANENT if is_lone else found.result, detail=told(code, message, found.advice), after=found.after
    )


def of_request(response: Response, items: Sequence[Item], key_field: str) -> Outcome:
    """What a refusal of the whole request means for each of its items."""
    status, count = response.status, len(items)
    code, message = first_error(response.json())
    found = meaning(code, message, key_field)
    after = base.retry_after(response)
    detail = told(code or str(status), message, found.advice if found else "")
    if base.is_transient(status):
        return Outcome(result=RETRY, detail=detail, after=after)
    if status == 401:
        # Of a cut answer the code is all that is needed.
        is_over = code == "INVALID_SESSION_ID" or b"INVALID_SESSION_ID" in response.body
        return Outcome(result=CONFIG, detail=detail, reason=base.TOKEN_EXPIRED if is_over else "")
    if found is not None and found.result == RETRY:
        return Outcome(result=RETRY, detail=detail, after=found.after if after is None else after)
    if status == 413 or (status == 400 and (found is None or found.result == PERMANENT or _is_overridden(items))):
        return Outcome(result=Result.SPLIT if count > 1 else PERMANENT, detail=detail)
    if status in (400, 403, 404, 409, 410) or 300 <= status < 400:
        advice = detail if found else f"{detail} {_BY_STATUS.get(status, 'Check My Domain: the address has moved.')}"
        return Outcome(result=CONFIG, detail=advice)
    if status < 300:
        return Outcome(result=RETRY, detail=f"Salesforce answered {status} without a result per record.")
    return Outcome(result=Result.SPLIT if count > 1 else PERMANENT, detail=detail)


_BY_STATUS = {
    403: "Give the integration user API access.",
    404: "Check the API version and the names of objects and fields.",
    409: "Check the API version.",
    410: "Salesforce has retired this API version: enter a newer one.",
}


def _is_overridden(items: Sequence[Item]) -> bool:
    """Whether the event itself may have brought the field that is refused."""
    return any(item.payload.platform_params.get("salesforce") for item in items)


def told(code: str, message: str, advice: str) -> str:
    said = f"Salesforce {code}: {message}" if message else f"Salesforce answered {code or 'nothing readable'}."
    return masked(f"{advice} {said}".strip(), cap=300)
