"""HubSpot: batches of custom events, batch upserts of contacts, and the token endpoint.

Source: developers.hubspot.com/docs ("Send custom event occurrences" with its limits, "Define custom events",
"Contacts", "Error handling", "Working with OAuth"), and HubSpot's OpenAPI files for the fields.

Conventions of this double: a token that contains `expired`, `revoked` or `forbidden` is answered as such, a refresh
token or client secret that does is refused; any other of the right shape is accepted. An event or a property whose
name contains `undefined` is not defined in the account. The hub may call itself by any number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import parse_qsl

from destinations.sandbox import checks
from destinations.sandbox.base import Answer, NotJson, Refused, Request, Vendor, is_well_shaped_token, read_json
from destinations.sandbox.checks import Check, Fault

EVENTS_PATH = re.compile(r"/events/(v3|20\d\d-(03|09))/send/batch")
CONTACTS_PATH = re.compile(r"/crm/(v3/objects|objects/20\d\d-(03|09))/contacts/batch/upsert")
DETAILS_PATH = re.compile(r"/account-info/(v3|20\d\d-(03|09))/details")
TOKEN_PATH = "/oauth/v1/token"  # noqa: S105
MOST_EVENTS = 500
MOST_CONTACTS = 100
MOST_PROPERTIES = 50
SKEW = 60
CORRELATION_ID = "aeb5f871-7f07-4993-9211-075dc63e7cbf"

PROPERTY = re.compile(r"[a-z][a-z0-9_]{0,49}")
URL_PROPERTIES = ("hs_page_url", "hs_referrer", "hs_link_href", "page_url", "referrer")
MOST_CHARACTERS, MOST_CHARACTERS_OF_URL = 256, 1024
_DEFAULT_PROPERTIES = """
    hs_asset_description hs_asset_type hs_browser hs_campaign_id hs_city hs_country hs_device_name hs_device_type
    hs_element_class hs_element_id hs_element_text hs_language hs_link_href hs_operating_system hs_operating_version
    hs_page_content_type hs_page_id hs_page_title hs_page_url hs_parent_module_id hs_referrer hs_region
    hs_screen_height hs_screen_width hs_touchpoint_source hs_tracking_name hs_user_agent hs_utm_campaign
    hs_utm_content hs_utm_medium hs_utm_source hs_utm_term
"""
DEFAULT_PROPERTIES = frozenset(_DEFAULT_PROPERTIES.split())


def _email(value: Any) -> str | None:
    if fault := checks.text(value):
        return fault
    return None if checks.EMAIL.fullmatch(value) and len(value) <= 320 else f"Email address {value} is invalid"


def _moment(value: Any) -> str | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    return None if moment and moment.tzinfo else "must be an ISO 8601 date-time"


EVENT: dict[str, Check] = {
    "eventName": checks.matching(r"pe\d+_[a-z0-9_-]+", "a fully qualified event name, such as pe1234567_login"),
    "objectId": checks.matching(r"\d{1,20}", "a record id"),
    "email": _email,
    "utk": checks.matching(r"[0-9a-f]{32}", "a usertoken"),
    "occurredAt": _moment,
    "uuid": checks.text,
    "properties": lambda value: None if isinstance(value, dict) else "must be an object",
}
CONTACT: dict[str, Check] = {
    "id": checks.text,
    "idProperty": checks.one_of("email"),
    "objectWriteTraceId": checks.text,
    "properties": lambda value: None if isinstance(value, dict) and value else "must be an object with properties",
}
_CONTACT_PROPERTIES = """
    email firstname lastname phone mobilephone company website jobtitle address city state zip country lifecyclestage
    hs_legal_basis hs_lead_status
"""
CONTACT_PROPERTIES = frozenset(_CONTACT_PROPERTIES.split())
LIFECYCLE_STAGES = (
    "", "subscriber", "lead", "marketingqualifiedlead", "salesqualifiedlead", "opportunity", "customer", "evangelist",
    "other",
)  # fmt: skip


def fail(status: int, message: str, category: str = "VALIDATION_ERROR", **more: Any) -> Answer:
    body = {"status": "error", "message": message, "correlationId": CORRELATION_ID, "category": category} | more
    return Answer.of(status, body)


class HubSpot(Vendor):
    partial_note: ClassVar[str] = "207: the last contact of an upsert is refused (events have no partial answers)"
    dedup_seconds: ClassVar[float] = 365 * checks.DAY

    def answer(self, request: Request, now: float) -> Answer:
        path = request.path
        is_events, is_contacts = EVENTS_PATH.fullmatch(path), CONTACTS_PATH.fullmatch(path)
        if not (is_events or is_contacts or path == TOKEN_PATH):
            raise Refused(fail(404, f"No endpoint found for {path}", "OBJECT_NOT_FOUND"))
        if request.method != "POST":
            raise Refused(fail(405, f"Method {request.method} is not allowed", "INVALID_METHOD"))
        if path == TOKEN_PATH:
            return _token(request)
        _check_token(request)
        if request.content_type != "application/json":
            raise Refused(fail(415, f"Unsupported media type {request.content_type!r}"))
        if is_events:
            _refuse_events(_read_inputs(request, MOST_EVENTS), now)
            return Answer(204)
        return _upserted(_read_inputs(request, MOST_CONTACTS), now)

    def look(self, request: Request, now: float) -> Answer | None:
        """The details of the account, which is always the one of the form's example."""
        if not DETAILS_PATH.fullmatch(request.path) or request.method != "GET":
            return None
        _check_token(request)
        details = {
            "portalId": 12345678, "accountType": "STANDARD", "timeZone": "Europe/Berlin", "companyCurrency": "EUR",
            "utcOffset": "+01:00", "uiDomain": "app.hubspot.com", "dataHostingLocation": "eu1",
        }  # fmt: skip
        return Answer.of(200, details)

    def ids(self, request: Request) -> list[tuple[str, ...]]:
        if request.path == TOKEN_PATH:
            return [()]
        inputs = read_json(request.body)["inputs"]
        if CONTACTS_PATH.fullmatch(request.path):
            return [()] * len(inputs)  # writing a contact again is no repetition
        return [(one["eventName"], one["uuid"]) if "uuid" in one else () for one in inputs]

    def error(self, status: int) -> Answer:
        if status == 401:
            return fail(401, "The OAuth token used to make this call expired", "EXPIRED_AUTHENTICATION")
        if status == 403:
            return _no_scopes()
        if status == 429:
            text = "You have reached your ten_secondly_rolling limit."
            return fail(429, text, "RATE_LIMITS", errorType="RATE_LIMIT", policyName="TEN_SECONDLY_ROLLING")
        if status == 404:
            return fail(404, "resource not found", "OBJECT_NOT_FOUND")
        if status >= 500:
            return fail(status, "internal error", "INTERNAL_ERROR")
        return fail(status, "Invalid input JSON")

    def partial(self, good: Answer) -> Answer:
        body = read_json(good.body) if good.body else {}
        if "results" not in body:
            return good
        last = body["results"].pop()
        body["errors"] = [_row_error("Property values were not valid", last.get("objectWriteTraceId", ""))]
        body["numErrors"] = 1
        return Answer.of(207, body)


def _no_scopes() -> Answer:
    text = "This app hasn't been granted all required scopes to make this call."
    context = {"requiredGranularScopes": ["analytics.behavioral_events.send"]}
    return fail(403, text, "MISSING_SCOPES", errors=[{"message": "One or more scopes are missing", "context": context}])


def _check_token(request: Request) -> None:
    token = request.bearer or ""
    if not is_well_shaped_token(token, 20, 512) or "revoked" in token:
        text = "Authentication credentials not found. This API supports OAuth 2.0 authentication"
        raise Refused(fail(401, text, "INVALID_AUTHENTICATION"))
    if "expired" in token:
        raise Refused(fail(401, "The OAuth token used to make this call expired", "EXPIRED_AUTHENTICATION"))
    if "forbidden" in token:
        raise Refused(_no_scopes())


def _token(request: Request) -> Answer:
    if request.content_type != "application/x-www-form-urlencoded":
        raise Refused(fail(415, f"Unsupported media type {request.content_type!r}"))
    form = dict(parse_qsl(request.body.decode(errors="replace"), keep_blank_values=True))
    unknown = form.keys() - {"grant_type", "client_id", "client_secret", "refresh_token"}
    if unknown or form.get("grant_type") != "refresh_token":
        raise Refused(_no_token("BAD_GRANT_TYPE", "missing or unknown grant type"))
    if not form.get("client_id"):
        raise Refused(_no_token("BAD_CLIENT_ID", "missing or unknown client id"))
    if not form.get("client_secret") or "forbidden" in form["client_secret"]:
        raise Refused(_no_token("BAD_CLIENT_SECRET", "missing or invalid client secret"))
    if not form.get("refresh_token") or re.search("expired|revoked|forbidden", form["refresh_token"]):
        raise Refused(_no_token("BAD_REFRESH_TOKEN", "missing or invalid refresh token"))
    answer = {"token_type": "bearer", "refresh_token": form["refresh_token"], "expires_in": 1800}
    return Answer.of(200, answer | {"access_token": "CNye-made-up-access-token-of-the-sandbox"})


def _no_token(status: str, message: str) -> Answer:
    return Answer.of(400, {"status": status, "message": message, "correlationId": CORRELATION_ID})


def _read_inputs(request: Request, most: int) -> list[Any]:
    try:
        root = read_json(request.body)
    except NotJson as error:
        raise Refused(fail(400, f"Invalid input JSON: {error}")) from None
    inputs = root.get("inputs") if isinstance(root, dict) else None
    if not isinstance(inputs, list) or root.keys() != {"inputs"}:
        raise Refused(fail(400, "Invalid input JSON: a list of inputs and nothing else is wanted"))
    if not 1 <= len(inputs) <= most:
        raise Refused(fail(400, f"Batch size must be between 1 and {most}, got {len(inputs)}"))
    return inputs


# --- Events ---------------------------------------------------------------------------------------
def _refuse_events(events: list[Any], now: float) -> None:
    """One bad event refuses the batch, and which it was is not said."""
    for event in events:
        if faults := look_at_event(event, now):
            errors = [{"message": f"{fault.path} {fault.text}", "in": fault.path} for fault in faults]
            raise Refused(fail(400, errors[0]["message"], errors=errors))


def look_at_event(event: Any, now: float) -> list[Fault]:
    faults = checks.look_over(event, EVENT, ["eventName", "properties"])
    if faults:
        return faults
    if not event.keys() & {"objectId", "email", "utk"}:
        faults.append(Fault("/", "one of objectId, email and utk is required"))
    if "occurredAt" in event and datetime.fromisoformat(event["occurredAt"]).timestamp() > now + SKEW:
        faults.append(Fault("/occurredAt", "is in the future"))
    if "undefined" in event["eventName"]:
        faults.append(Fault("/eventName", f"Event type {event['eventName']} does not exist"))
    return faults + _look_at_properties(event["properties"])


def _look_at_properties(properties: Mapping[str, Any]) -> list[Fault]:
    faults = []
    if len(properties) > MOST_PROPERTIES:
        faults.append(Fault("/properties", f"has more than {MOST_PROPERTIES} properties"))
    for name, value in properties.items():
        most = MOST_CHARACTERS_OF_URL if name in URL_PROPERTIES else MOST_CHARACTERS
        if not PROPERTY.fullmatch(name):
            faults.append(Fault(f"/properties/{name}", "is no name of a property"))
        elif "undefined" in name or (name.startswith("hs_") and name not in DEFAULT_PROPERTIES):
            faults.append(Fault(f"/properties/{name}", f"Property {name} does not exist"))
        elif not isinstance(value, str) or not value:
            faults.append(Fault(f"/properties/{name}", "must be a string that is not empty"))
        elif len(value.encode("utf-16-le")) // 2 > most:
            faults.append(Fault(f"/properties/{name}", f"must not be longer than {most} characters"))
    return faults


# --- Contacts -------------------------------------------------------------------------------------
def _upserted(contacts: list[Any], now: float) -> Answer:
    for contact in contacts:
        if faults := checks.look_over(contact, CONTACT, ["id", "idProperty", "properties"]):
            raise Refused(fail(400, f"Invalid input JSON: {faults[0].path} {faults[0].text}"))
    seen = [contact["id"].lower() for contact in contacts]
    if len(set(seen)) < len(seen):
        raise Refused(fail(400, "Duplicate IDs found in batch input. IDs must be unique"))
    traces = [contact.get("objectWriteTraceId") for contact in contacts]
    moment = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    results, errors = [], []
    for number, (contact, trace) in enumerate(zip(contacts, traces, strict=True)):
        if faults := _look_at_contact(contact):
            text = f'Property values were not valid: [{{"isValid":false,"message":"{faults[0].text}"'
            text += f',"error":"{faults[0].kind}","name":"{faults[0].path}"}}]'
            # "Error handling": the answer is a mixed one only where every input has a trace id of its own.
            if None in traces or len(set(traces)) < len(traces):
                raise Refused(fail(400, text))
            errors.append(_row_error(text, str(trace)))
        else:
            results.append(
                {"id": str(1000 + number), "properties": contact["properties"], "createdAt": moment}
                | {"updatedAt": moment, "archived": False, "new": False}
                | ({"objectWriteTraceId": trace} if trace is not None else {})
            )
    body: dict[str, Any] = {"status": "COMPLETE", "results": results, "startedAt": moment, "completedAt": moment}
    if not errors:
        return Answer.of(200, body)
    return Answer.of(207, body | {"numErrors": len(errors), "errors": errors})


def _row_error(message: str, trace: str) -> dict[str, Any]:
    context = {"objectWriteTraceId": [trace]}
    return {"status": "error", "category": "VALIDATION_ERROR", "message": message, "context": context}


def _look_at_contact(contact: dict[str, Any]) -> list[Fault]:
    properties = contact["properties"]
    faults = [
        Fault(name, f"Property {name} does not exist", "PROPERTY_DOESNT_EXIST")
        for name in properties
        if not PROPERTY.fullmatch(name) or "undefined" in name
    ]
    for email in (contact["id"], properties.get("email", contact["id"])):
        if fault := _email(email):
            faults.append(Fault("email", fault, "INVALID_EMAIL"))
    for name, value in properties.items():
        if not isinstance(value, str):
            faults.append(Fault(name, f"{value} was not a valid text", "INVALID_TEXT"))
        elif name in CONTACT_PROPERTIES and checks.SHA256.fullmatch(value.lower()):
            faults.append(Fault(name, "is a hash", "INVALID_TEXT"))
    if properties.get("lifecyclestage", "") not in LIFECYCLE_STAGES:
        text = f"{properties['lifecyclestage']} was not one of the allowed options"
        faults.append(Fault("lifecyclestage", text, "INVALID_OPTION"))
    return faults
