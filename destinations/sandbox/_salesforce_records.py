"""The records of an org: its fields, what refuses a request for one of them, and what refuses that one alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from destinations.sandbox.base import Answer, Refused

RECORD_ID = re.compile(r"[A-Za-z0-9]{15}(?:[A-Z0-5]{3})?")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?(Z|[+-]\d\d:?\d\d)")
DAY = re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])")
EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")

PREFIXES = {"Lead": "00Q", "Contact": "003", "Task": "00T"}
ADDRESS = {"Street": 255, "City": 40, "State": 80, "PostalCode": 20, "Country": 80, "StateCode": 10, "CountryCode": 10}
PERSON = {"FirstName": 40, "LastName": 80, "Email": 80, "Phone": 40, "MobilePhone": 40, "Title": 128, "LeadSource": 255}
TEXTS: dict[str, dict[str, int]] = {
    "Lead": PERSON | ADDRESS | {"Company": 255, "Website": 255, "Status": 255, "Industry": 255, "Description": 32_000},
    "Contact": PERSON
    | {f"Mailing{name}": size for name, size in ADDRESS.items()}
    | {"Department": 80, "Description": 32_000},
    "Task": {
        "Subject": 255, "Status": 255, "Priority": 255, "ActivityDate": 10, "Description": 32_000, "TaskSubtype": 40,
        "WhoId": 18, "WhatId": 18, "OwnerId": 18, "Type": 255,
    },
    "TrackStack_Event__c": {
        "Event_Id__c": 255, "Event_Name__c": 255, "Occurred_At__c": 40, "Email__c": 80, "Currency__c": 3,
        "Payload__c": 32_768,
    },
}  # fmt: skip
TEXTS["TrackStack_Event__e"] = TEXTS["TrackStack_Event__c"]
REQUIRED = {"Lead": ("LastName", "Company"), "Contact": ("LastName",)}
CUSTOM_FIELD = re.compile(r"[A-Za-z]\w*__c", re.ASCII)


def fail(status: int, code: str, message: str) -> Answer:
    return Answer.of(status, [{"message": message, "errorCode": code}])


def check_shape(record: dict[str, Any], operation: str, sobject: str | None, field: str | None) -> None:
    """What refuses the whole request: types and columns the org does not have, and values of another type."""
    kind = record["attributes"]["type"]
    if kind not in TEXTS and not re.fullmatch(r"[A-Za-z]\w*__[ce]", kind, re.ASCII):
        raise Refused(fail(400, "INVALID_TYPE", f"sObject type '{kind}' is not supported."))
    if sobject is not None and kind != sobject:
        raise Refused(fail(400, "INVALID_TYPE", f"The type {kind} is not that of the URL, {sobject}"))
    if kind.endswith("__e") and operation != "create":
        raise Refused(fail(400, "INVALID_OPERATION", "Event messages can only be created"))
    if field is not None and (not CUSTOM_FIELD.fullmatch(field) or "Missing" in field):
        raise Refused(
            fail(404, "NOT_FOUND", "Provided external ID field does not exist or is not accessible: " + field)
        )
    has_id = "id" in record
    if has_id != (operation == "update") or "Id" in record or not isinstance(record.get("id", ""), str):
        raise Refused(fail(400, "INVALID_FIELD", f"The field id goes with an update only, and this is an {operation}"))
    if field is not None and not isinstance(record.get(field), str):
        raise Refused(fail(400, "MISSING_ARGUMENT", f"{field} not specified"))
    for name, value in record.items():
        if name in ("attributes", "id"):
            continue
        if fault := _column(kind, name, value):
            raise Refused(fail(400, *fault))


def _column(kind: str, name: str, value: Any) -> tuple[str, str] | None:
    if kind == "Task" and name == "Who":
        return _reference(value)
    is_number = name.endswith("__c") and "Value" in name
    is_ours = kind.startswith("TrackStack_Event__")
    is_known = name in TEXTS.get(kind, {}) or (is_ours and name == "Value__c")
    if not is_known and (is_ours or not CUSTOM_FIELD.fullmatch(name) or "Missing" in name):
        return "INVALID_FIELD", f"No such column '{name}' on sobject of type {kind}"
    if value is None or (not is_known and isinstance(value, str | bool | int | float)):
        return None
    if is_number:
        is_fine = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e18
    else:
        is_fine = isinstance(value, str)
    return None if is_fine else ("JSON_PARSER_ERROR", f"Cannot deserialize {name} from {type(value).__name__}")


def _reference(value: Any) -> tuple[str, str] | None:
    """Who, named by an external id: the type, because it may be a Lead or a Contact, and one indexed field."""
    if not isinstance(value, dict):
        return "INVALID_FIELD", "The value provided for foreign key reference Who is not a nested SObject"
    attributes = value.get("attributes")
    if not isinstance(attributes, dict) or attributes.get("type") not in ("Lead", "Contact") or len(attributes) > 1:
        return "INVALID_FIELD", "The foreign key reference Who is polymorphic: its attributes must say the type"
    keys = [name for name in value if name != "attributes"]
    if len(keys) != 1 or not CUSTOM_FIELD.fullmatch(keys[0]) or "Missing" in keys[0]:
        return "INVALID_FIELD", "More than 1 field provided in an external foreign key reference in entity: Who"
    return None if isinstance(value[keys[0]], str) else ("JSON_PARSER_ERROR", "The external id must be a string")


Complaint = tuple[str, str, tuple[str, ...]]
"""Code, message and fields."""


def look_at(record: Mapping[str, Any], operation: str, field: str | None, is_saved: bool) -> Complaint | None:
    """What is wrong with one record; the others are written nevertheless."""
    kind = record["attributes"]["type"]
    fault = _look_at_values(record, operation) or _look_at_existing(record, str(record.get(field or "", "")))
    if fault:
        return fault
    if kind in REQUIRED and str(record.get("Email", "")).startswith("duplicate") and not is_saved:
        return "DUPLICATES_DETECTED", "Use one of these records?", ()
    if kind == "Task":
        return _look_at_task(record, operation)
    return _look_at_event(record) if kind.startswith("TrackStack_Event__") else None


def _look_at_values(record: Mapping[str, Any], operation: str) -> Complaint | None:
    kind = record["attributes"]["type"]
    for name, size in TEXTS.get(kind, {}).items():
        value = record.get(name)
        if isinstance(value, str) and len(value.encode("utf-16-le")) > 2 * size:
            return "STRING_TOO_LONG", f"{name}: data value too large: (max length={size})", (name,)
    required = REQUIRED.get(kind, ())
    # An update may leave a required field as it is, but not clear it.
    gaps = tuple(name for name in required if not record.get(name) and (operation == "create" or name in record))
    if gaps:
        return "REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(gaps)}]", gaps
    for name in ("Email", "Email__c"):
        if record.get(name) and not EMAIL.fullmatch(record[name]):
            return "INVALID_EMAIL_ADDRESS", f"{name}: invalid email address: {record[name]}", (name,)
    if "id" in record and (not RECORD_ID.fullmatch(record["id"]) or record["id"][:3] != PREFIXES.get(kind)):
        return "MALFORMED_ID", f"{kind} ID: id value of incorrect type: {record['id']}", ("Id",)
    return None


def _look_at_existing(record: Mapping[str, Any], key: str) -> Complaint | None:
    """What the org has under this external id already."""
    if key.startswith("converted") and record["attributes"]["type"] == "Lead":
        return "CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead", ()
    if key.startswith("twice"):
        return "DUPLICATE_EXTERNAL_ID", f"more than one record found for external id field: [{key}]", ()
    if key.startswith("locked"):
        return "UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record", ()
    return None


def _look_at_event(record: Mapping[str, Any]) -> Complaint | None:
    if gaps := tuple(name for name in ("Event_Id__c", "Event_Name__c", "Occurred_At__c") if not record.get(name)):
        return "REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(gaps)}]", gaps
    if not MOMENT.fullmatch(record["Occurred_At__c"]):
        return "INVALID_TYPE_ON_FIELD_IN_RECORD", "Occurred At: value not of required type", ("Occurred_At__c",)
    if ("Value__c" in record) != ("Currency__c" in record):
        return "FIELD_CUSTOM_VALIDATION_EXCEPTION", "A value needs its currency", ("Value__c",)
    return None


def _look_at_task(record: Mapping[str, Any], operation: str) -> Complaint | None:
    if "ActivityDate" in record and not DAY.fullmatch(record["ActivityDate"]):
        return "INVALID_TYPE_ON_FIELD_IN_RECORD", "Due Date Only: value not of required type", ("ActivityDate",)
    if "TaskSubtype" in record and operation != "create":
        text = "Unable to create/update fields: TaskSubtype. Please check the security settings of this field"
        return "INVALID_FIELD_FOR_INSERT_UPDATE", text, ("TaskSubtype",)
    if "Who" in record and "WhoId" in record:
        return (
            "INVALID_FIELD",
            "cannot specify both an external ID reference Who and a salesforce id, WhoId",
            ("WhoId",),
        )
    for name, prefixes in (("WhoId", ("00Q", "003")), ("WhatId", ("006", "001", "500", "701"))):
        value = record.get(name)
        if value and (not RECORD_ID.fullmatch(value) or value[:3] not in prefixes):
            return "MALFORMED_ID", f"{name}: id value of incorrect type: {value}", (name,)
    person = record.get("Who") or {}
    key = next((value for name, value in person.items() if name != "attributes"), "")
    if key.startswith("404"):
        field = next(name for name in person if name != "attributes")
        kind = person["attributes"]["type"]
        return "INVALID_FIELD", f"Foreign key external ID: {key} not found for field {field} in entity {kind}", ()
    is_lead = str(record.get("WhoId", "")).startswith("00Q") or person.get("attributes", {}).get("type") == "Lead"
    if is_lead and record.get("WhatId"):
        return "FIELD_INTEGRITY_EXCEPTION", "Related To ID: cannot be set when the name is a lead", ("WhatId",)
    if not (record.get("Subject") or "").strip():
        return "REQUIRED_FIELD_MISSING", "Required fields are missing: [Subject]", ("Subject",)
    return None
