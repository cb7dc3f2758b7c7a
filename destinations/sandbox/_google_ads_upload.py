"""The Google Ads API's `uploadClickConversions`, as Google documents it."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from destinations.sandbox import checks
from destinations.sandbox._google_ads_common import (
    CURRENCY,
    MOST_EVENTS,
    check_request,
    fail,
    fine,
    listed,
    unreadable,
    within,
)
from destinations.sandbox.base import Answer, Refused, Request
from destinations.sandbox.checks import Check, Fault

OLDEST_VERSION = 23  # v22 was sunset on 2026-10-07
NEWEST_VERSION = 26

UPLOAD: dict[str, Check] = {
    "conversions": fine,
    "partialFailure": checks.one_of(True),
    "validateOnly": checks.boolean,
    "jobId": checks.integer,
    "debugEnabled": checks.boolean,
}
ROW: dict[str, Check] = {
    "conversionAction": checks.matching(r"customers/\d{10}/conversionActions/\d+", "a resource name"),
    "conversionDateTime": checks.matching(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d", "a time as yyyy-mm-dd hh:mm:ss+hh:mm"
    ),
    **dict.fromkeys(("gclid", "gbraid", "wbraid"), checks.plain),
    "userIdentifiers": checks.list_of(checks.not_empty, most=5),
    "conversionValue": checks.amount,
    "currencyCode": CURRENCY,
    "orderId": checks.not_email,
    "conversionEnvironment": checks.one_of("WEB", "APP"),
    "consent": fine,
    "customerType": checks.one_of("NEW", "RETURNING"),
    "cartData": fine,
    "customVariables": checks.list_of(checks.not_empty),
    "externalAttributionData": checks.not_empty,
    "userIpAddress": checks.ip_address(4, 6),
    "sessionAttributesEncoded": checks.text,
}
ROW_IDENTIFIER: dict[str, Check] = {
    "hashedEmail": checks.sha256,
    "hashedPhoneNumber": checks.sha256,
    "userIdentifierSource": checks.one_of("FIRST_PARTY", "THIRD_PARTY"),
}
ROW_CONSENT: dict[str, Check] = dict.fromkeys(
    ("adUserData", "adPersonalization"), checks.one_of("GRANTED", "DENIED", "UNSPECIFIED")
)
ROW_CART: dict[str, Check] = {
    **dict.fromkeys(("feedCountryCode", "feedLanguageCode"), checks.text),
    "merchantId": checks.not_empty,
    "localTransactionCost": checks.amount,
    "items": checks.list_of(checks.not_empty),
}
ROW_CART_ITEM: dict[str, Check] = {"productId": checks.text, "quantity": checks.integer, "unitPrice": checks.amount}
ALLOWLISTED = ("conversionEnvironment", "userIpAddress", "sessionAttributesEncoded")


def ads_error(group: str, code: str, message: str, index: int | None = None) -> dict[str, Any]:
    error: dict[str, Any] = {"errorCode": {group: code}, "message": message}
    if index is not None:
        element = {"fieldName": "conversions"} | ({"index": index} if index else {})  # a 0 is left out of the JSON
        error["location"] = {"fieldPathElements": [element]}
    return error


def ads_failure(errors: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "@type": "type.googleapis.com/google.ads.googleads.v25.errors.GoogleAdsFailure",
        "errors": errors,
        "requestId": "b2c3d4e5f6a7",
    }


def upload(request: Request, version: int, customer: str, now: float) -> Answer:
    root = check_request(request)
    check_customer(request, version, customer)
    if customer.startswith("403"):
        text = "The customer is not allowlisted for accessing this feature."
        code = "CUSTOMER_NOT_ALLOWLISTED_FOR_THIS_FEATURE"
        details = [ads_failure([ads_error("notAllowlistedError", code, text)])]
        raise Refused(fail(403, "The caller does not have permission", details))
    faults = checks.look_over(root, UPLOAD, ["conversions", "partialFailure"])
    rows = root.get("conversions") if isinstance(root, dict) else None
    if faults or not isinstance(rows, list) or not rows:
        raise Refused(unreadable(faults or [Fault("/conversions", "must be a non-empty list")]))
    if len(rows) > MOST_EVENTS:
        error = ads_error("conversionUploadError", "TOO_MANY_CONVERSIONS_IN_REQUEST", "More than 2000 conversions.")
        raise Refused(fail(400, "Request contains an invalid argument.", [ads_failure([error])]))
    unknown = [
        fault for i, row in enumerate(rows) for fault in _structure(row, f"/conversions/{i}")
        if fault.kind == "unknown" or fault.text == "must be an object"
    ]  # fmt: skip
    if unknown:
        raise Refused(unreadable(unknown))
    errors = [
        ads_error(*wrong, index=i)
        for i, row in enumerate(rows)
        if (wrong := look_at_row(row, customer, now)) is not None
    ]
    if root.get("validateOnly"):
        return Answer.of(200, {"partialFailureError": _partial(errors)} if errors else {})
    bad = {error["location"]["fieldPathElements"][0].get("index", 0) for error in errors}
    results = [
        {}
        if i in bad
        else {name: row[name] for name in ("gclid", "conversionAction", "conversionDateTime") if name in row}
        for i, row in enumerate(rows)
    ]
    partial = {"partialFailureError": _partial(errors)} if errors else {}
    return Answer.of(200, partial | {"results": results, "jobId": "4711"})


def check_customer(request: Request, version: int, customer: str) -> None:
    if not OLDEST_VERSION <= version <= NEWEST_VERSION:
        error = ads_error(
            "requestError", "UNSUPPORTED_VERSION", f"Version v{version} is deprecated. Requests to it fail."
        )
        raise Refused(fail(400, "Request contains an invalid argument.", [ads_failure([error])]))
    for name, pattern in (("login-customer-id", r"\d{10}"), ("developer-token", r"[A-Za-z0-9_-]{22}")):
        if name in request.headers and not re.fullmatch(pattern, request.headers[name], re.ASCII):
            error = ads_error("headerError", "INVALID_LOGIN_CUSTOMER_ID", f"The header {name} could not be validated.")
            raise Refused(fail(400, "Request contains an invalid argument.", [ads_failure([error])]))
    if customer.startswith("404"):
        text = "User doesn't have permission to access customer."
        details = [ads_failure([ads_error("authorizationError", "USER_PERMISSION_DENIED", text)])]
        raise Refused(fail(403, "The caller does not have permission", details))


def _partial(errors: list[dict[str, Any]]) -> dict[str, Any]:
    text = f"Multiple errors in ‘details’. First error: {errors[0]['message']}, at conversions"
    return {"code": 3, "message": text, "details": [ads_failure(errors)]}


def _structure(row: Any, path: str) -> list[Fault]:
    faults = checks.look_over(row, ROW, ["conversionAction", "conversionDateTime"], path=path)
    if not isinstance(row, dict):
        return faults
    for name, fields in (("consent", ROW_CONSENT), ("cartData", ROW_CART)):
        if name in row:
            faults += checks.look_over(row[name], fields, path=f"{path}/{name}")
    for number, one in enumerate(listed(row, "cartData", "items")):
        faults += checks.look_over(one, ROW_CART_ITEM, ["productId"], path=f"{path}/cartData/items/{number}")
    for number, one in enumerate(listed(row, "userIdentifiers")):
        faults += checks.look_over(one, ROW_IDENTIFIER, path=f"{path}/userIdentifiers/{number}")
    return faults


def look_at_row(row: dict[str, Any], customer: str, now: float) -> tuple[str, str, str] | None:
    """Group, code and message of the first fault of a row."""
    group = "conversionUploadError"
    for fault in _structure(row, ""):
        if "userIdentifiers" in fault.path:
            return group, "INVALID_USER_IDENTIFIER", f"The user identifier is invalid: {fault.text}."
        if fault.path == "/orderId":
            return group, "ORDER_ID_CONTAINS_PII", "The order id contains personal data."
        return "fieldError", "INVALID_VALUE", f"{fault.path} {fault.text}."
    clicks = [row[name] for name in ("gclid", "gbraid", "wbraid") if name in row]
    action = row["conversionAction"].rpartition("/")[2]
    identifiers = row.get("userIdentifiers", [])
    needs_terms = bool(identifiers) and customer.startswith("402")
    rules: list[tuple[bool, str, str]] = [
        (len(clicks) == 0 and not identifiers, "INVALID_CONVERSION_FOR_CLICK", "No click id and no user identifier."),
        ("gbraid" in row and "wbraid" in row, "GBRAID_WBRAID_BOTH_SET", "Both gbraid and wbraid are set."),
        (any(len(one.keys() - {"userIdentifierSource"}) != 1 for one in identifiers), "INVALID_USER_IDENTIFIER",
         "Exactly one identifier must be set."),
        ("conversionValue" in row and "currencyCode" not in row, "INVALID_CURRENCY_CODE", "The currency is missing."),
        (action.startswith("404"), "NO_CONVERSION_ACTION_FOUND", "The conversion action cannot be found."),
        (action.startswith("999"), "INVALID_CONVERSION_ACTION_TYPE", "The conversion action is of another type."),
        (needs_terms, "CUSTOMER_NOT_ACCEPTED_CUSTOMER_DATA_TERMS", "The customer data terms are not accepted."),
        (any(name in row for name in ALLOWLISTED), "CUSTOMER_NOT_ALLOWLISTED_FOR_THIS_FEATURE", "Not allowlisted."),
        (any("fresh" in click for click in clicks), "TOO_RECENT_EVENT", "The click is too recent."),
        (any("unknown" in click for click in clicks), "CLICK_NOT_FOUND", "The click could not be found."),
        ("known" in row.get("orderId", ""), "ORDER_ID_ALREADY_IN_USE", "The order id was used before."),
        (bool(within(datetime.fromisoformat(row["conversionDateTime"]), "", now)), "EXPIRED_EVENT", "Too long ago."),
    ]  # fmt: skip
    for is_wrong, code, message in rules:
        if is_wrong:
            allow = code == "CUSTOMER_NOT_ALLOWLISTED_FOR_THIS_FEATURE"
            return "notAllowlistedError" if allow else group, code, message
    return None
