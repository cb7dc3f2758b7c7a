"""HubSpot's answers read: error categories, and which contact of a batch was refused. Pure.

Source: developers.hubspot.com/docs, "Error handling" and "API usage guidelines and limits"; the categories are those
that the answers of the CRM and events APIs carry.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from destinations.masking import masked
from destinations.platforms import base, identity
from destinations.platforms._hubspot_values import address
from destinations.platforms.base import Outcome, Request, Response, Result

UPSERT = "/contacts/batch/upsert"

# Category of an error → what to do. Source: "Error handling", and the categories the answers carry.
CATEGORIES: dict[str, tuple[Result, str]] = {
    "EXPIRED_AUTHENTICATION": (Result.CONFIG, "The access token has expired: connect HubSpot again."),
    "INVALID_AUTHENTICATION": (Result.CONFIG, "HubSpot does not know the access token: copy it from the app again."),
    "MISSING_SCOPES": (
        Result.CONFIG,
        "Give the app the scopes analytics.behavioral_events.send and crm.objects.contacts.write.",
    ),
    "RATE_LIMITS": (Result.RETRY, "HubSpot's request limit is used up."),
    "CONFLICT": (Result.RETRY, "The contact was being written by somebody else."),
    "OBJECT_NOT_FOUND": (Result.PERMANENT, "HubSpot has no such record: check the crmId of the event."),
    "VALIDATION_ERROR": (
        Result.PERMANENT,
        "Check that the event and its properties are defined (Data management → Custom events), or switch it off.",
    ),
}
STATUSES: dict[int, tuple[Result, str]] = {
    401: (Result.CONFIG, "HubSpot refused the access token: enter a new one."),
    402: (Result.CONFIG, "The HubSpot subscription does not include this: custom events need an Enterprise hub."),
    403: (Result.CONFIG, "The app may not do this: check its scopes, and that the account is an Enterprise hub."),
    404: (Result.CONFIG, "HubSpot does not know this address: check the API version."),
    409: (Result.RETRY, "The contact was being written by somebody else."),
    423: (Result.RETRY, "HubSpot has locked the records for a moment."),
    477: (Result.RETRY, "The account is being moved between data centres."),
}
WAITS = {"SECONDLY": 1.0, "TEN_SECONDLY_ROLLING": 10.0, "DAILY": 3600.0}
"""`policyName` of a 429 without Retry-After → seconds. The daily limit ends at midnight of the account's time zone."""
LOCKED_SECONDS = 2.0  # "Locks will last for 2 seconds"

CONTACT_ADVICE = "HubSpot refused the values of the contact: check them, and platformParams.hubspot.contact."
_UNKNOWN_PROPERTY = re.compile(
    r"PROPERTY_DOESNT_EXIST|propert\w*\b.{0,120}?\b(?:not exist|n't exist|not defined)", re.I
)


def refused(request: Request, response: Response, answer: dict[str, Any]) -> Outcome:
    status, category, said = response.status, str(answer.get("category") or ""), _said(answer)
    detail = masked(f"HubSpot {status} {category}: {said}".replace(" :", ":"), cap=300)
    after = base.retry_after(response)
    if after is None:
        after = LOCKED_SECONDS if status == 423 else WAITS.get(str(answer.get("policyName")))
    if base.is_transient(status) or status < 400:
        return Outcome(result=Result.RETRY, detail=detail, after=after)
    result, advice = CATEGORIES.get(category) or STATUSES.get(status) or (Result.PERMANENT, "")
    is_contact = request.url.endswith(UPSERT)
    detail = f"{CONTACT_ADVICE if is_contact and result is Result.PERMANENT else advice} {detail}".strip()
    if result is Result.RETRY:
        return Outcome(result=result, detail=detail, after=after)
    if result is Result.CONFIG:
        # A private app's token lasts until it is withdrawn; any other may have run out.
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        reason = base.TOKEN_EXPIRED if status == 401 and token and not token.startswith("pat-") else ""
        return Outcome(result=result, detail=detail, reason=reason)
    if len(request.items) > 1:
        return Outcome(result=Result.SPLIT, detail=detail)
    is_ours = not any("hubspot" in item.payload.platform_params for item in request.items)
    if is_ours and not is_contact and _UNKNOWN_PROPERTY.search(said):
        # The setting promises a property that HubSpot does not have: every such event would be lost.
        advice = "Define the property in HubSpot (Data management → Custom events), or take it out of Event properties."
        return Outcome(result=Result.CONFIG, detail=masked(f"{advice} HubSpot {status}: {said}", cap=380))
    return Outcome(result=Result.PERMANENT, detail=detail)


def _said(answer: Mapping[str, Any]) -> str:
    first = next(iter(errors), None) if isinstance(errors := answer.get("errors"), list) else None
    more = first.get("message") if isinstance(first, dict) else None
    message = str(answer.get("message") or "no reason given")
    return f"{message} ({more})" if more and str(more) not in message else message


def contact_errors(request: Request, errors: list[Any]) -> list[Outcome]:
    """The outcome of each event whose contact was refused. Several events share a contact: it is told by address."""
    refused: dict[str, Outcome] = {}
    stray: Outcome | None = None
    addresses = _addresses_of(request.body)
    for error in errors:
        error = error if isinstance(error, dict) else {}
        category = str(error.get("category") or "")
        result, advice = CATEGORIES.get(category, (Result.PERMANENT, ""))
        advice = CONTACT_ADVICE if result is Result.PERMANENT else advice
        detail = masked(f"{advice} HubSpot {category}: {_said(error)}", cap=300)
        outcome = Outcome(result=result, detail=detail)
        context = error.get("context")
        traces = context.get("objectWriteTraceId") if isinstance(context, dict) else None
        named = [
            addresses[trace] for trace in identity.as_list(traces) if isinstance(trace, str) and trace in addresses
        ]
        refused.update(dict.fromkeys(named, outcome))
        stray = stray if named else outcome
    rest = base.OK
    if stray is not None:
        rest = Outcome(result=Result.SPLIT, detail=stray.detail) if len(request.items) > 1 else stray
    return [refused.get(address(item), rest) for item in request.items]


def _addresses_of(body: bytes) -> dict[str, str]:
    """Trace id → e-mail address of each contact in the body of an upsert."""
    try:
        inputs = msgspec.json.decode(body)["inputs"]
        return {one["objectWriteTraceId"]: one["id"] for one in inputs}
    except (msgspec.DecodeError, KeyError, TypeError):
        return {}
