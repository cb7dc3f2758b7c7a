"""The Data Manager API's `events:ingest`, as Google documents it."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from destinations.sandbox import checks
from destinations.sandbox._google_ads_common import (
    CURRENCY,
    MOST_EVENTS,
    TYPE,
    check_request,
    fail,
    fine,
    google_path,
    info,
    listed,
    unreadable,
    within,
)
from destinations.sandbox.base import Answer, Refused, Request
from destinations.sandbox.checks import Check, Fault

MOST_DESTINATIONS = 10
ACCOUNT_ID = checks.matching(r"\d{10}", "a customer id of ten digits")
REGION = checks.matching(r"[A-Z]{2}", "an ISO 3166 region code of two capitals")

ROOT: dict[str, Check] = {
    "destinations": fine,
    "events": fine,
    "consent": fine,
    "validateOnly": checks.boolean,
    "encoding": checks.one_of("HEX", "BASE64"),
    "encryptionInfo": checks.not_empty,
}
DESTINATION: dict[str, Check] = {
    "reference": checks.text,
    "operatingAccount": fine,
    "loginAccount": fine,
    "linkedAccount": fine,
    "productDestinationId": checks.text,
}
ACCOUNT: dict[str, Check] = {"accountType": checks.one_of("GOOGLE_ADS"), "accountId": ACCOUNT_ID}
EVENT: dict[str, Check] = {
    "destinationReferences": checks.list_of(checks.text),
    "transactionId": checks.short_text(512),
    "eventTimestamp": fine,
    "lastUpdatedTimestamp": fine,
    "userData": fine,
    "consent": fine,
    "adIdentifiers": fine,
    "currency": CURRENCY,
    "conversionValue": checks.amount,
    "eventSource": checks.one_of("WEB", "APP", "IN_STORE", "PHONE", "MESSAGE", "OTHER"),
    "eventDeviceInfo": fine,
    "cartData": fine,
    "customVariables": checks.list_of(checks.not_empty),
    "experimentalFields": checks.list_of(checks.not_empty),
    "userProperties": checks.not_empty,
    "conversionCount": checks.amount,
    "eventLocation": checks.not_empty,
}
DEVICE: dict[str, Check] = {"userAgent": checks.text, "ipAddress": checks.ip_address(4, 6)}
AD_IDENTIFIERS: dict[str, Check] = {
    **dict.fromkeys(("gclid", "gbraid", "wbraid", "dclid", "sessionAttributes", "mobileDeviceId"), checks.plain),
    "landingPageDeviceInfo": fine,
}
CONSENT: dict[str, Check] = dict.fromkeys(
    ("adUserData", "adPersonalization"), checks.one_of("CONSENT_GRANTED", "CONSENT_DENIED")
)
IDENTIFIER: dict[str, Check] = {"emailAddress": checks.sha256, "phoneNumber": checks.sha256, "address": fine}
ADDRESS: dict[str, Check] = {
    "givenName": checks.sha256,
    "familyName": checks.sha256,
    "regionCode": REGION,
    "postalCode": checks.plain,
}
CART: dict[str, Check] = {
    **dict.fromkeys(("merchantId", "merchantFeedLabel", "merchantFeedLanguageCode"), checks.text),
    "transactionDiscount": checks.amount,
    "couponCodes": checks.list_of(checks.text),
    "items": checks.list_of(checks.not_empty),
}
CART_ITEM: dict[str, Check] = {
    "merchantProductId": checks.text,
    "itemId": checks.text,
    # An int64: a string of digits, or a number.
    "quantity": lambda value: None if re.fullmatch(r"\d+", str(value), re.ASCII) else "must be an integer",
    "unitPrice": checks.amount,
    "additionalItemParameters": checks.list_of(checks.not_empty),
    "conversionValue": checks.amount,
}


def ingest(request: Request, now: float) -> Answer:
    root = check_request(request)
    faults = checks.look_over(root, ROOT, ["destinations", "events"])
    if unknown := [fault for fault in faults if fault.kind == "unknown" or fault.path == "/"]:
        raise Refused(unreadable(unknown))
    destinations, events = root.get("destinations"), root.get("events")
    if faults or not isinstance(destinations, list) or not isinstance(events, list) or not destinations or not events:
        path = faults[0].path if faults else "/events"
        raise Refused(_invalid([Fault(path, "Required field is missing.", "REQUIRED_FIELD_MISSING")]))
    if len(events) > MOST_EVENTS:
        raise Refused(_invalid([Fault("/events", "Too many events in the request.", "TOO_MANY_EVENTS")]))
    if len(destinations) > MOST_DESTINATIONS:
        text = "Maximum number of destinations allowed per request is 10."
        raise Refused(_invalid([Fault("/destinations", text, "TOO_MANY_DESTINATIONS")]))
    faults = [fault for i, one in enumerate(destinations) for fault in _look_at_destination(one, f"/destinations/{i}")]
    names = [one.get("reference") for one in destinations if isinstance(one, dict)]
    if len(set(names)) < len(names):
        faults.append(Fault("/destinations", "Two destinations have one reference.", "DUPLICATE_DESTINATION_REFERENCE"))
    for index, one in enumerate(events):
        faults += look_at_event(one, f"/events/events/{index}", root, names, now)
    if unknown := [fault for fault in faults if fault.kind == "unknown"]:
        raise Refused(unreadable(unknown))
    if faults:
        raise Refused(_invalid(faults))
    prefix = "v" if root.get("validateOnly") else "t"
    return Answer.of(200, {"requestId": f"{prefix}-6bc8fb83-d648-4942-9c49-2604276638d8"})


def _invalid(faults: list[Fault]) -> Answer:
    """A fast-fail: nothing is taken, every bad field is named. The list's name stands twice in the path of an event."""
    kinds = {"invalid": "INVALID_FORMAT", "missing": "REQUIRED_FIELD_MISSING"}
    violations = [
        {"field": google_path(one.path), "description": one.text,
         "reason": kinds.get(one.kind, one.kind)}
        for one in faults
    ]  # fmt: skip
    request_id = "t-a8896317-069f-4198-afed-182a3872a660"
    details = [
        info("INVALID_ARGUMENT", "datamanager.googleapis.com") | {"metadata": {"requestId": request_id}},
        {"@type": f"{TYPE}RequestInfo", "requestId": request_id},
        {"@type": f"{TYPE}BadRequest", "fieldViolations": violations},
    ]
    return fail(400, "There was a problem with the request.", details)


def _look_at_destination(one: Any, path: str) -> list[Fault]:
    faults = checks.look_over(one, DESTINATION, ["operatingAccount", "productDestinationId"], path=path)
    if faults:
        return faults
    for name in ("operatingAccount", "loginAccount", "linkedAccount"):
        if name in one:
            faults += checks.look_over(one[name], ACCOUNT, ACCOUNT, path=f"{path}/{name}")
    if faults:
        return faults
    account, action = one["operatingAccount"]["accountId"], one["productDestinationId"]
    if account.startswith("404"):
        text = "The user does not have permission or the resource is not found."
        raise Refused(fail(403, text, [info("PERMISSION_DENIED", "datamanager.googleapis.com")]))
    where = f"{path}/productDestinationId"
    if not re.fullmatch(r"\d+", action, re.ASCII):
        return [Fault(where, "String is not a valid number.", "INVALID_NUMBER_FORMAT")]
    if action.startswith("404"):
        return [Fault(where, "Conversion action ID is not valid.", "INVALID_CONVERSION_ACTION_ID")]
    if action.startswith("999"):
        return [Fault(where, "The conversion action type is not valid.", "INVALID_CONVERSION_ACTION_TYPE")]
    if account.startswith("402"):
        text = "The destination account hasn't agreed to the terms for enhanced conversions."
        reason = "DESTINATION_ACCOUNT_ENHANCED_CONVERSIONS_TERMS_NOT_SIGNED"
        return [Fault("/events/events/0/destinationReferences/0", text, reason)]
    return []


def look_at_event(one: Any, path: str, root: dict[str, Any], names: list[Any], now: float) -> list[Fault]:
    faults = checks.look_over(one, EVENT, ["eventTimestamp"], path=path)
    if faults:
        return faults
    faults += _look_at_time(one["eventTimestamp"], f"{path}/eventTimestamp", now)
    for name, fields in (("consent", CONSENT), ("eventDeviceInfo", DEVICE), ("adIdentifiers", AD_IDENTIFIERS),
                         ("cartData", CART)):  # fmt: skip
        if name in one:
            faults += checks.look_over(one[name], fields, path=f"{path}/{name}")
    if "conversionValue" in one and "currency" not in one:
        faults.append(Fault(f"{path}/currency", "Required field is missing.", "REQUIRED_FIELD_MISSING"))
    for number, item in enumerate(listed(one, "cartData", "items")):
        faults += checks.look_over(item, CART_ITEM, path=f"{path}/cartData/items/{number}")
    references = one.get("destinationReferences", [])
    if any(name not in names for name in references) or (len(names) > 1 and len(references) != 1):
        faults.append(Fault(f"{path}/destinationReferences", "This Destination is not valid.", "INVALID_DESTINATION"))
    if "userData" in one:
        faults += _look_at_user(one["userData"], f"{path}/userData", root)
    if not one.get("adIdentifiers") and not one.get("userData"):
        text = "Events data contains no user identifiers or ad identifiers."
        faults.append(Fault(path, text, "NO_IDENTIFIERS_PROVIDED"))
    return faults


def _look_at_time(value: Any, path: str, now: float) -> list[Fault]:
    if not isinstance(value, str) or not re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3}|\.\d{6}|\.\d{9})?(Z|[+-]\d\d:\d\d)", value, re.ASCII
    ):
        return [Fault(path, "Format is invalid: an RFC 3339 time is expected.", "INVALID_FORMAT")]
    return within(datetime.fromisoformat(value), path, now)


def _look_at_user(user: Any, path: str, root: dict[str, Any]) -> list[Fault]:
    faults = checks.look_over(user, {"userIdentifiers": checks.list_of(fine)}, ["userIdentifiers"], path=path)
    if faults:
        return faults
    if "encoding" not in root:
        faults.append(Fault("/encoding", "Required field is missing.", "REQUIRED_FIELD_MISSING"))
    if len(user["userIdentifiers"]) > 10:
        faults.append(Fault(f"{path}/userIdentifiers", "More than 10 identifiers.", "TOO_MANY_USER_IDENTIFIERS"))
    for number, one in enumerate(user["userIdentifiers"]):
        where = f"{path}/userIdentifiers/{number}"
        wrong = checks.look_over(one, IDENTIFIER, path=where)
        if not wrong and len(one) != 1:
            wrong = [Fault(where, "Exactly one kind of identifier must be set.", "INVALID_FORMAT")]
        if not wrong and "address" in one:
            wrong = checks.look_over(one["address"], ADDRESS, ADDRESS, path=f"{where}/address")
        faults += [
            fault if fault.kind in ("unknown", "missing") else fault._replace(kind="INVALID_HEX_ENCODING")
            if "hash" in fault.text or "hexadecimal" in fault.text else fault
            for fault in wrong
        ]  # fmt: skip
    return faults
