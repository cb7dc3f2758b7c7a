"""The records of `salesforce`: people (Lead, Contact), their Tasks, and event records. Pure.

Field names and lengths: developer.salesforce.com, Object Reference (Lead, Contact, Task).
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from destinations.platforms import base, identity
from destinations.platforms.base import Config, Item
from events.payload import Payload

EVENT_OBJECT = "TrackStack_Event__c"
TARGETS = {"custom_object": EVENT_OBJECT, "platform_event": "TrackStack_Event__e", "task": "Task"}
EVENT_ID = "Event_Id__c"
TASK_ID = "TrackStack_Event_Id__c"
PEOPLE = ("Lead", "Contact")
PLACEHOLDER = "n/a"
"""Salesforce creates no person without a LastName, and no Lead without a Company."""

MAX_SUBJECT = 255
MAX_DESCRIPTION = 32_000
MAX_KEY = 255
MAX_EMAIL = 80
MAX_PAYLOAD = 32_768  # the length that Setup proposes for a Long Text Area

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NATIVE = re.compile(r"(?:(Lead|Contact)\+)?(Task):(.+)|([A-Za-z]\w*__[ce]):(.+)", re.ASCII | re.DOTALL)
_PREFIX = re.compile(r"\s*\w+(\+\w+)?:(?!//)", re.ASCII)
# Salesforce refuses the whole record for an address it finds malformed (INVALID_EMAIL_ADDRESS).
_EMAIL = re.compile(r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-z0-9-]+(\.[a-z0-9-]+)+")
# A record id begins with the key prefix of its object; 15 characters, or 18 with the check letters.
_RECORD_ID = {
    name: re.compile(rf"{prefix}[A-Za-z0-9]{{12}}([A-Z0-5]{{3}})?")
    for name, prefix in (("Lead", "00Q"), ("Contact", "003"), ("Opportunity", "006"))
}


class Choice(NamedTuple):
    """What the configuration says about records, read once per build."""

    key_field: str
    key_source: str
    people: str
    target: str
    task_id: str
    """External id field of Task; empty: Tasks are created without one."""
    codes: bool
    """Country and state as codes."""

    @classmethod
    def of(cls, config: Config) -> Choice:
        task_id = config.get("task_id_field") or TASK_ID
        people = config.get("object", "")
        return cls(
            key_field=config.get("external_id_field", ""),
            key_source=config.get("person_key", ""),
            people=people if people in PEOPLE else "Lead",
            target=config.get("event_target", ""),
            task_id="" if task_id == "none" else task_id,
            codes=config.get("address_format") == "codes",
        )


class Plan(NamedTuple):
    """A native name taken apart."""

    person: str
    """Lead or Contact, to be written first; empty: nobody is."""
    sobject: str
    name: str


@lru_cache(maxsize=4096)
def plan(native: str, target: str) -> Plan | None:
    """`Task:…`, `Lead+Task:…`, `Contact+Task:…`, `Some_Object__c:…`, `Some_Event__e:…` or a name alone; else None."""
    found = _NATIVE.fullmatch(native.strip())
    chosen = TARGETS.get(target, EVENT_OBJECT)
    if found is None:
        name = native.strip()
        return None if not name or _PREFIX.match(native) else Plan("", chosen, name)
    person, task, subject, sobject, name = found.groups()
    if task:
        return Plan(person or "", task, subject.strip())
    return Plan("", chosen if sobject == EVENT_OBJECT else sobject, name.strip())


# --- Text -------------------------------------------------------------------------------------------
def cut(text: str, cap: int) -> str:
    """At most `cap` characters, counted in UTF-16: longer text refuses the record (STRING_TOO_LONG)."""
    if len(text) * 2 <= cap or (text.isascii() and len(text) <= cap):
        return text
    return text.encode("utf-16-le", "replace")[: cap * 2].decode("utf-16-le", "ignore")


def iso(ms: int) -> str:
    return (_EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@lru_cache(maxsize=1024)
def _day(days: int) -> str:
    return (_EPOCH + timedelta(days=days)).date().isoformat()


def plain_email(payload: Payload) -> str:
    """The address as Salesforce takes it; empty when it is none, hashed, or longer than an Email field."""
    email = identity.email(payload.email) if payload.email else ""
    return email if len(email) <= MAX_EMAIL and _EMAIL.fullmatch(email) else ""


# --- People -----------------------------------------------------------------------------------------
def record_id(payload: Payload, sobject: str) -> str:
    given = {"Lead": payload.lead_id, "Contact": payload.crm_id, "Opportunity": payload.opportunity_id}[sobject]
    return given if given and _RECORD_ID[sobject].fullmatch(given) else ""


def person_keys(payload: Payload) -> tuple[str, str]:
    """What a person may be known by in the external id field: hash of the e-mail address, and the sender's user id.

    The hash, because it fits the field whatever the address, and an event that carries only the hash finds it too.
    """
    email = identity.email(payload.email) if payload.email else ""
    user = payload.external_id or ""
    return identity.hashed(email), user if len(user) <= MAX_KEY else identity.sha256_hex(user)


def _key(payload: Payload, source: str) -> str:
    email, user = person_keys(payload)
    return (user or email) if source == "external_id" else (email or user)


class Person(NamedTuple):
    """Whom a Task is about."""

    sobject: str
    id: str
    """Their record id, when the event carries it."""
    key: str
    """Their value of the external id field."""

    def reference(self, key_field: str) -> dict[str, Any]:
        """The person as a field of the Task.

        By external id: the relationship's name with the parent's indexed field ("Relationship Fields in Records");
        Who may be a Lead or a Contact, and of such a polymorphic field the type must be said ("Valid XML and JSON
        Records"), in JSON under `attributes`.
        """
        if self.id:
            return {"WhoId": self.id}
        return {"Who": {"attributes": {"type": self.sobject}, key_field: self.key}}


def person_of(payload: Payload, upserted: str, choice: Choice) -> Person | None:
    """The person: by record id, else by key. Where one is written first, by the other object's id only as a last
    resort: that person is not the one to write."""
    sobject = upserted or choice.people
    if found := record_id(payload, sobject):
        return Person(sobject, found, _key(payload, choice.key_source))
    other = "Contact" if sobject == "Lead" else "Lead"
    other_id, key = record_id(payload, other), _key(payload, choice.key_source)
    if other_id and (not upserted or not key):
        return Person(other, other_id, "")
    return Person(sobject, "", key) if key else None


_FIELDS: tuple[tuple[str, str, int, bool], ...] = (
    # attribute, Lead's field (Contact's begin with Mailing), length, whether a part of it still says something
    ("first_name", "FirstName", 40, True), ("last_name", "LastName", 80, True), ("phone", "Phone", 40, False),
    ("city", "City", 40, True), ("state", "State", 80, True), ("zip", "PostalCode", 20, False),
    ("country", "Country", 80, True), ("lead_event_source", "LeadSource", 255, True),
)  # fmt: skip
_PLACES = frozenset({"City", "State", "PostalCode", "Country"})


def person_fields(payload: Payload, sobject: str, codes: bool) -> dict[str, Any]:
    """What the event says of the person; hashes say nothing to a salesperson and stay at home."""
    fields: dict[str, Any] = {}
    for attribute, name, cap, is_divisible in _FIELDS:
        value = getattr(payload, attribute)
        if value is None or identity.is_hashed(value):
            continue
        text = cut(value, cap)
        if text == value or is_divisible:
            fields[f"Mailing{name}" if sobject == "Contact" and name in _PLACES else name] = text
    if email := plain_email(payload):
        fields["Email"] = email
    if sobject == "Lead":
        if company := payload.company_name or payload.account_name:
            fields["Company"] = cut(company, 255)
        if payload.company_domain and cut(payload.company_domain, 255) == payload.company_domain:
            fields["Website"] = payload.company_domain
    if codes:
        _use_codes(fields, payload, "Mailing" if sobject == "Contact" else "")
    return fields


def _use_codes(fields: dict[str, Any], payload: Payload, prefix: str) -> None:
    """Orgs with state and country picklists take ISO codes; a state needs its country."""
    state = fields.pop(f"{prefix}State", "")
    country = identity.country(fields.pop(f"{prefix}Country", ""))
    if len(country) != 2:
        return
    fields[f"{prefix}CountryCode"] = country.upper()
    code = identity.state(state, country) if state else ""
    if 1 <= len(code) <= 3:
        fields[f"{prefix}StateCode"] = code.upper()


def can_be_created(fields: dict[str, Any]) -> bool:
    """Whether there is anything by which a salesperson would know the person."""
    return not fields.keys().isdisjoint(("Email", "Phone", "LastName"))


def missing(fields: dict[str, Any], sobject: str) -> dict[str, Any]:
    """The placeholders a record needs to be created."""
    required = ("LastName", "Company") if sobject == "Lead" else ("LastName",)
    return {name: PLACEHOLDER for name in required if not fields.get(name)}


# --- Activities and events --------------------------------------------------------------------------
_LINES: tuple[tuple[str, str], ...] = (
    ("Plan", "plan"), ("Previous plan", "previous_plan"), ("Order", "order_id"), ("Transaction", "transaction_id"),
    ("Subscription", "subscription_id"), ("Refund", "refund_id"), ("Payment method", "payment_method"),
    ("Items", "num_items"), ("Company", "company_name"), ("Company domain", "company_domain"),
    ("Company ID", "company_id"), ("Account", "account_name"), ("Opportunity", "opportunity_id"),
    ("Opportunity stage", "opportunity_stage"), ("Pipeline stage", "pipeline_stage"), ("Sales owner", "sales_owner"),
    ("Page", "page_url"), ("Page title", "page_title"), ("Referrer", "referrer"), ("Content type", "content_type"),
    ("Content", "content_name"), ("Content ID", "content_id"), ("Content category", "content_category"),
    ("Feature", "feature"), ("Demo", "demo_type"), ("Action", "action_type"), ("Lead source", "lead_event_source"),
)  # fmt: skip


def description(item: Item, ms: int) -> str:
    """The event as a salesperson reads it: a line per field, the same lines in the same order."""
    payload = item.payload
    lines = [f"Event: {item.event}", f"Event ID: {item.event_id}", f"Time: {iso(ms)}"]
    if amount := money(payload):
        lines.append(f"Value: {base.decimal_text(amount[0])} {amount[1]}")
    for label, attribute in _LINES:
        value = getattr(payload, attribute)
        if value is not None:
            lines.append(f"{label}: {value}")
    if payload.content_ids:
        lines.append(f"Content IDs: {', '.join(payload.content_ids)}")
    return cut("\n".join(lines), MAX_DESCRIPTION)


def money(payload: Payload) -> tuple[float, str] | None:
    """Amount and currency, both or neither; what goes back keeps its amount, a CRM does no bidding."""
    value, currency = payload.value, payload.currency
    return (value, currency) if value is not None and currency is not None and abs(value) < math.inf else None


def task(item: Item, subject: str, person: Person, choice: Choice, now_ms: int) -> dict[str, Any]:
    ms = min(item.occurred_ms, now_ms)  # a sender's clock may run ahead
    record: dict[str, Any] = {"attributes": {"type": "Task"}}
    if choice.task_id:
        record[choice.task_id] = item.event_id
    record["Subject"] = cut(subject, MAX_SUBJECT)
    record["Status"] = "Completed"
    record["Priority"] = "Normal"
    record["ActivityDate"] = _day(ms // 86_400_000)
    record["Description"] = description(item, ms)
    if not choice.task_id:
        record["TaskSubtype"] = "Task"  # its default, and it cannot be updated, as an upsert that comes again would
    record |= person.reference(choice.key_field)
    # "WhatId": not for Leads, says the Object Reference.
    if person.sobject == "Contact" and (opportunity := record_id(item.payload, "Opportunity")):
        record["WhatId"] = opportunity
    return record


def event(item: Item, plan: Plan, now_ms: int) -> dict[str, Any]:
    """The record of a custom object or platform event; their fields are ours, and `Payload__c` has everything."""
    payload = item.payload
    record: dict[str, Any] = {
        "attributes": {"type": plan.sobject},
        EVENT_ID: item.event_id,
        "Event_Name__c": cut(plan.name, MAX_KEY),
        "Occurred_At__c": iso(min(item.occurred_ms, now_ms)),
    }
    if email := plain_email(payload):
        record["Email__c"] = email
    if amount := money(payload):
        record["Value__c"], record["Currency__c"] = amount
    if text := _payload(payload):
        record["Payload__c"] = text
    return record


def _payload(payload: Payload) -> str:
    """The fields as JSON text. Half a document helps nobody: what is too long loses its free-form part, or all."""
    payload = msgspec.structs.replace(payload, platform_params={})
    text = msgspec.json.encode(payload).decode()
    if len(text.encode("utf-16-le")) > MAX_PAYLOAD * 2:
        text = msgspec.json.encode(msgspec.structs.replace(payload, properties={})).decode()
    return text if len(text.encode("utf-16-le")) <= MAX_PAYLOAD * 2 else ""
