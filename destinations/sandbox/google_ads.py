"""Google Ads: the Data Manager API's `POST /v1/events:ingest`, the Google Ads API's
`POST /{version}/customers/{id}:uploadClickConversions`, the reads
`GET /v1/accountTypes/GOOGLE_ADS/accounts/{id}/userLists` and
`POST /{version}/customers/{id}/googleAds:search`, and Google's token endpoint.

Sources: google/ads/datamanager/v1/*.proto and developers.google.com/data-manager/api/devguides/concepts/
{formatting,understand-errors}; google/ads/googleads/v25/{services/conversion_upload_service,errors/*}.proto and
developers.google.com/google-ads/api/docs/best-practices/partial-failures; developers.google.com/identity/protocols.

Conventions of this double: an access token, refresh token or service account's address that contains `expired`,
`revoked` or `forbidden` is answered as such. A customer id that starts with 404 cannot be reached, one that starts with
403 may not upload by the Google Ads API, one that starts with 402 has not accepted the customer data terms. A
conversion action that starts with 404 is unknown, one that starts with 999 is of another type. A click id that contains
`fresh` is too recent, one that contains `unknown` belongs to no ad; an order id that contains `known` was used before.
"""

from __future__ import annotations

import re
import time
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from destinations.sandbox import bigquery, checks
from destinations.sandbox.base import Answer, NotJson, Refused, Request, Vendor, read_json
from destinations.sandbox.bigquery import no_token
from destinations.sandbox.checks import Check, Fault

TOKEN_PATH = "/token"  # noqa: S105
INGEST_PATH = "/v1/events:ingest"
UPLOAD_PATH = re.compile(r"/(v\d{2})/customers/(\d{10}):uploadClickConversions")
OLDEST_VERSION = 23  # v22 was sunset on 2026-10-07
NEWEST_VERSION = 26
LISTS_PATH = re.compile(r"/v1/accountTypes/GOOGLE_ADS/accounts/(\d{10})/userLists")
SEARCH_PATH = re.compile(r"/(v\d{2})/customers/(\d{10})/googleAds:search")
SCOPES = {f"https://www.googleapis.com/auth/{name}" for name in ("datamanager", "adwords", "cloud-platform")}
MOST_EVENTS = 2000
MOST_DESTINATIONS = 10
DAYS = 90
SKEW = 300


def fine(value: Any) -> str | None:
    return None


ACCOUNT_ID = checks.matching(r"\d{10}", "a customer id of ten digits")
CURRENCY = checks.matching(r"[A-Z]{3}", "an ISO 4217 currency code")
REGION = checks.matching(r"[A-Z]{2}", "an ISO 3166 region code of two capitals")

# --- Data Manager API -----------------------------------------------------------------------------
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

# --- Google Ads API -------------------------------------------------------------------------------
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

STATUSES = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
            429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED"}  # fmt: skip
TYPE = "type.googleapis.com/google.rpc."


def fail(status: int, message: str, details: list[dict[str, Any]] | None = None) -> Answer:
    error: dict[str, Any] = {"code": status, "message": message, "status": STATUSES.get(status, "UNKNOWN")}
    return Answer.of(status, {"error": error | ({"details": details} if details else {})})


def info(reason: str, domain: str = "googleapis.com") -> dict[str, Any]:
    return {"@type": f"{TYPE}ErrorInfo", "reason": reason, "domain": domain}


class GoogleAds(Vendor):
    def answer(self, request: Request, now: float) -> Answer:
        if request.path == TOKEN_PATH:
            return _token(request, now)
        if request.path == INGEST_PATH:
            return _ingest(request, now)
        found = UPLOAD_PATH.fullmatch(request.path)
        if found is None:
            raise Refused(fail(404, f"The requested URL {request.path} was not found on this server."))
        return _upload(request, int(found[1][1:]), found[2], now)

    def look(self, request: Request, now: float) -> Answer | None:
        """The user lists of an account, and GoogleAdsService.Search."""
        if found := LISTS_PATH.fullmatch(request.path):
            return _user_lists(request, found[1])
        if found := SEARCH_PATH.fullmatch(request.path):
            return _search(request, int(found[1][1:]), found[2])
        return None

    def ids(self, request: Request) -> list[tuple[str, ...]]:
        """Conversion action and transaction or order id; () for a refused row, and for what is only checked."""
        if request.path == TOKEN_PATH:
            return []
        root = read_json(request.body)
        if root.get("validateOnly"):
            return [()] * len(root["events" if request.path == INGEST_PATH else "conversions"])
        if request.path == INGEST_PATH:
            targets = {one.get("reference", ""): one["productDestinationId"] for one in root["destinations"]}
            return [
                (targets[next(iter(one.get("destinationReferences", [])), next(iter(targets)))], one["transactionId"])
                if "transactionId" in one
                else ()
                for one in root["events"]
            ]
        customer = request.path.partition("/customers/")[2][:10]
        return [
            (row["conversionAction"], row["orderId"])
            if "orderId" in row and look_at_row(row, customer, time.time()) is None
            else ()
            for row in root["conversions"]
        ]

    def error(self, status: int) -> Answer:
        if status == 401:
            return fail(401, "Request had invalid authentication credentials. Expected OAuth 2 access token.",
                        [info("ACCESS_TOKEN_EXPIRED")])  # fmt: skip
        if status == 429:
            delay = {"@type": f"{TYPE}RetryInfo", "retryDelay": "1s"}
            return fail(429, "Too many requests.", [info("RESOURCE_EXHAUSTED", "datamanager.googleapis.com"), delay])
        return fail(status, {403: "The user does not have permission or the resource is not found."}.get(
            status, "An internal error has occurred." if status >= 500 else "There was a problem with the request."
        ))  # fmt: skip


def _check_request(request: Request) -> Any:
    if request.method != "POST":
        raise Refused(fail(404, f"The requested URL {request.path} was not found on this server."))
    _check_token(request)
    if request.content_type != "application/json":
        raise Refused(fail(400, f"Invalid content type {request.content_type!r}."))
    if request.query:
        raise Refused(_unreadable([Fault("/", f"Unknown name in the query: {request.query}")]))
    try:
        return read_json(request.body)
    except NotJson as error:
        raise Refused(fail(400, f"Invalid JSON payload received. {error}")) from None


def _check_token(request: Request) -> None:
    token = request.bearer or ""
    if not re.fullmatch(r"ya29\.[A-Za-z0-9._-]{10,2048}", token):
        text = "Request had invalid authentication credentials. Expected OAuth 2 access token."
        raise Refused(fail(401, text, [info("CREDENTIALS_MISSING" if not token else "ACCESS_TOKEN_TYPE_UNSUPPORTED")]))
    if "expired" in token or "revoked" in token:
        text = "Request had invalid authentication credentials. Expected OAuth 2 access token."
        raise Refused(fail(401, text, [info("ACCESS_TOKEN_EXPIRED")]))
    if "forbidden" in token:
        text = "Request had insufficient authentication scopes."
        raise Refused(fail(403, text, [info("ACCESS_TOKEN_SCOPE_INSUFFICIENT")]))


def _unreadable(faults: list[Fault]) -> Answer:
    """What Google's front end says of a name or a type that the API does not have."""
    said = [
        {"field": _path(fault.path), "description": f"Invalid JSON payload received. {fault.path}: {fault.text}"}
        for fault in faults
    ]
    return fail(400, said[0]["description"], [{"@type": f"{TYPE}BadRequest", "fieldViolations": said}])


def _path(path: str) -> str:
    """`/events/0/userData` as `events[0].user_data`, which is how Google writes it."""
    snake = re.sub(r"(?<=[a-z])([A-Z])", lambda found: f"_{found[1].lower()}", path)
    return re.sub(r"/(\d+)(?=/|$)", r"[\1]", snake).strip("/").replace("/", ".")


# --- Data Manager API -----------------------------------------------------------------------------
def _ingest(request: Request, now: float) -> Answer:
    root = _check_request(request)
    faults = checks.look_over(root, ROOT, ["destinations", "events"])
    if unknown := [fault for fault in faults if fault.kind == "unknown" or fault.path == "/"]:
        raise Refused(_unreadable(unknown))
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
        raise Refused(_unreadable(unknown))
    if faults:
        raise Refused(_invalid(faults))
    prefix = "v" if root.get("validateOnly") else "t"
    return Answer.of(200, {"requestId": f"{prefix}-6bc8fb83-d648-4942-9c49-2604276638d8"})


def _invalid(faults: list[Fault]) -> Answer:
    """A fast-fail: nothing is taken, every bad field is named. The list's name stands twice in the path of an event."""
    kinds = {"invalid": "INVALID_FORMAT", "missing": "REQUIRED_FIELD_MISSING"}
    violations = [
        {"field": _path(one.path), "description": one.text,
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
    for number, item in enumerate(_listed(one, "cartData", "items")):
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


def _listed(one: dict[str, Any], *names: str) -> list[Any]:
    found: Any = one
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, list) else []


def _look_at_time(value: Any, path: str, now: float) -> list[Fault]:
    if not isinstance(value, str) or not re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3}|\.\d{6}|\.\d{9})?(Z|[+-]\d\d:\d\d)", value, re.ASCII
    ):
        return [Fault(path, "Format is invalid: an RFC 3339 time is expected.", "INVALID_FORMAT")]
    return _within(datetime.fromisoformat(value), path, now)


def _within(moment: datetime, path: str, now: float) -> list[Fault]:
    if now - DAYS * checks.DAY - SKEW <= moment.timestamp() <= now + SKEW:
        return []
    return [Fault(path, "Event did not occur within the acceptable time window.", "EVENT_TIME_INVALID")]


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


# --- Google Ads API -------------------------------------------------------------------------------
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


def _upload(request: Request, version: int, customer: str, now: float) -> Answer:
    root = _check_request(request)
    _check_customer(request, version, customer)
    if customer.startswith("403"):
        text = "The customer is not allowlisted for accessing this feature."
        code = "CUSTOMER_NOT_ALLOWLISTED_FOR_THIS_FEATURE"
        details = [ads_failure([ads_error("notAllowlistedError", code, text)])]
        raise Refused(fail(403, "The caller does not have permission", details))
    faults = checks.look_over(root, UPLOAD, ["conversions", "partialFailure"])
    rows = root.get("conversions") if isinstance(root, dict) else None
    if faults or not isinstance(rows, list) or not rows:
        raise Refused(_unreadable(faults or [Fault("/conversions", "must be a non-empty list")]))
    if len(rows) > MOST_EVENTS:
        error = ads_error("conversionUploadError", "TOO_MANY_CONVERSIONS_IN_REQUEST", "More than 2000 conversions.")
        raise Refused(fail(400, "Request contains an invalid argument.", [ads_failure([error])]))
    unknown = [
        fault for i, row in enumerate(rows) for fault in _structure(row, f"/conversions/{i}")
        if fault.kind == "unknown" or fault.text == "must be an object"
    ]  # fmt: skip
    if unknown:
        raise Refused(_unreadable(unknown))
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


def _check_customer(request: Request, version: int, customer: str) -> None:
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
    for number, one in enumerate(_listed(row, "cartData", "items")):
        faults += checks.look_over(one, ROW_CART_ITEM, ["productId"], path=f"{path}/cartData/items/{number}")
    for number, one in enumerate(_listed(row, "userIdentifiers")):
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
        (bool(_within(datetime.fromisoformat(row["conversionDateTime"]), "", now)), "EXPIRED_EVENT", "Too long ago."),
    ]  # fmt: skip
    for is_wrong, code, message in rules:
        if is_wrong:
            allow = code == "CUSTOMER_NOT_ALLOWLISTED_FOR_THIS_FEATURE"
            return "notAllowlistedError" if allow else group, code, message
    return None


# --- Reads ----------------------------------------------------------------------------------------
ACTIONS = [
    ("7012345678", "Sign-up", "UPLOAD_CLICKS", "ENABLED"),
    ("7012345679", "Purchase", "UPLOAD_CLICKS", "HIDDEN"),
    ("7012345680", "Page view", "WEBPAGE", "ENABLED"),
    ("7012345681", "Old", "UPLOAD_CLICKS", "REMOVED"),
]
QUERY = re.compile(
    r"SELECT ([a-z_., ]+) FROM (customer|conversion_action)( WHERE .+?)?( ORDER BY [a-z_.]+)?( LIMIT \d+)?"
)
FIELDS = {
    "customer": {"customer.id", "customer.descriptive_name"},
    "conversion_action": {f"conversion_action.{name}" for name in ("id", "name", "type", "status", "resource_name")},
}


def _user_lists(request: Request, account: str) -> Answer:
    if request.method != "GET":
        return fail(404, f"The requested URL {request.path} was not found on this server.")
    _check_token(request)
    login = request.headers.get("login-account", "accountTypes/GOOGLE_ADS/accounts/1112223333")
    if request.parameters.keys() - {"pageSize", "pageToken", "filter"} or not re.fullmatch(
        r"accountTypes/GOOGLE_ADS/accounts/\d{10}", login
    ):
        return fail(400, "Request contains an invalid argument.", [info("INVALID_ARGUMENT")])
    if account.startswith("404"):
        return fail(403, "The caller does not have permission.", [info("PERMISSION_DENIED")])
    return Answer.of(200, {"userLists": []})


def _search(request: Request, version: int, customer: str) -> Answer:
    root = _check_request(request)
    _check_customer(request, version, customer)
    query = root.get("query") if isinstance(root, dict) else None
    found = QUERY.fullmatch(query) if isinstance(query, str) else None
    fields = set(found[1].split(", ")) if found else set()
    if found is None or root.keys() - {"query", "pageToken"} or not fields <= FIELDS[found[2]]:
        error = ads_error("queryError", "UNEXPECTED_INPUT", "Error in query: unexpected input.")
        return fail(400, "Request contains an invalid argument.", [ads_failure([error])])
    mask = ",".join(_camel(field) for field in found[1].split(", "))
    if found[2] == "customer":
        rows: list[dict[str, Any]] = [
            {
                "customer": {
                    "resourceName": f"customers/{customer}",
                    "id": customer,
                    "descriptiveName": "Example account",
                }
            }
        ]
    else:
        rows = [
            {"conversionAction": {"resourceName": f"customers/{customer}/conversionActions/{key}", "id": key,
                                  "name": name, "status": status}}
            for key, name, kind, status in ACTIONS
            if "type = 'UPLOAD_CLICKS'" not in found[0] or (kind == "UPLOAD_CLICKS" and status != "REMOVED")
        ]  # fmt: skip
    return Answer.of(200, {"results": rows, "fieldMask": mask, "queryResourceConsumption": "232"})


def _camel(field: str) -> str:
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), field)


# --- Tokens ---------------------------------------------------------------------------------------
def _token(request: Request, now: float) -> Answer:
    if request.method != "POST" or request.content_type != "application/x-www-form-urlencoded":
        raise Refused(no_token(400, "invalid_request", "Only a POST of a form is taken here"))
    form = dict(parse_qsl(request.body.decode("latin-1")))
    if form.get("grant_type") == bigquery.GRANT:
        subject = _account_of(form, now)
    elif form.get("grant_type") == "refresh_token":
        subject = _refresh_token_of(form)
    else:
        raise Refused(no_token(400, "unsupported_grant_type", f"Invalid grant_type: {form.get('grant_type')}"))
    mark = "-forbidden" if "forbidden" in subject else ""
    token = {"access_token": f"ya29.sandbox-access-token{mark}", "expires_in": 3599, "token_type": "Bearer"}
    return Answer.of(200, token)


def _refresh_token_of(form: dict[str, str]) -> str:
    if set(form) != {"grant_type", "client_id", "client_secret", "refresh_token"}:
        raise Refused(no_token(400, "invalid_request", "Missing or superfluous parameter"))
    if not re.fullmatch(r"\d+-[a-z0-9]+\.apps\.googleusercontent\.com", form["client_id"]):
        raise Refused(no_token(401, "invalid_client", "The OAuth client was not found."))
    if not re.fullmatch(r"\S{16,128}", form["client_secret"]):
        raise Refused(no_token(401, "invalid_client", "Unauthorized"))
    token = form["refresh_token"]
    if not re.fullmatch(r"1//\S{20,512}", token) or "expired" in token or "revoked" in token:
        raise Refused(no_token(400, "invalid_grant", "Token has been expired or revoked."))
    return token


def _account_of(form: dict[str, str], now: float) -> str:
    if set(form) != {"grant_type", "assertion"}:
        raise Refused(no_token(400, "invalid_request", "Missing or superfluous parameter"))
    claims = bigquery._claims(form["assertion"])
    issuer: Any = claims.get("iss")
    issued: Any = claims.get("iat")
    ends: Any = claims.get("exp")
    if not isinstance(issuer, str) or not issuer.endswith(".iam.gserviceaccount.com") or "revoked" in issuer:
        raise Refused(no_token(400, "invalid_grant", "Invalid grant: account not found"))
    if claims.get("aud") != bigquery.TOKEN_URL:
        raise Refused(no_token(400, "invalid_grant", "Invalid JWT: Failed audience check."))
    are_times = all(isinstance(at, int) and not isinstance(at, bool) for at in (issued, ends))
    if not are_times or not issued - SKEW <= now <= ends or not 0 < ends - issued <= 3600:
        text = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."
        raise Refused(no_token(400, "invalid_grant", text))
    scopes = str(claims.get("scope", "")).split()
    if not scopes or not SCOPES.issuperset(scopes):
        raise Refused(no_token(400, "invalid_scope", "Invalid OAuth scope or ID token audience provided."))
    return issuer
