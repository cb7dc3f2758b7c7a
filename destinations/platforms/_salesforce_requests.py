"""The requests of `salesforce`: runs of items of one object, and the people to be written before them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from destinations.platforms import _salesforce_records as records
from destinations.platforms import base
from destinations.platforms._salesforce_records import PEOPLE, Choice, Person, Plan
from destinations.platforms.base import Config, Item, Outcome, Request, Result, Skip

VERSION = "66.0"


class Run:
    """The items of one request to come, and the people to be written before it."""

    def __init__(self, sobject: str, config: Config, choice: Choice) -> None:
        self.sobject = sobject
        self.config = config
        self.choice = choice
        self.items: list[Item] = []
        self.bodies: list[bytes] = []
        self.people: dict[tuple[str, str], tuple[list[Item], Person, dict[str, Any]]] = {}
        """Object and id → the items of a person, and what they say of them, the last one winning."""

    def add(self, item: Item, record: dict[str, Any], person: Person | None, fields: dict[str, Any]) -> None:
        self.items.append(item)
        self.bodies.append(msgspec.json.encode(record))
        if person is not None:
            carried, _, known = self.people.setdefault((person.sobject, person.id or person.key), ([], person, {}))
            carried.append(item)
            known.update(fields)

    def close(self, requests: list[Request]) -> None:
        if not self.items:
            return
        path, method = f"/{self.sobject}/{records.EVENT_ID}", "PATCH"
        if self.sobject.endswith("__e") or (self.sobject == "Task" and not self.choice.task_id):
            path, method = "", "POST"
        elif self.sobject == "Task":
            path = f"/Task/{self.choice.task_id}"
        body = _body(self.bodies)
        before = tuple(self._before()) if self.people else ()
        requests.append(self._request(method, path, body, self.items, {}, before))

    def _before(self) -> list[Request]:
        """Update who is known by record id, create who is missing, upsert the rest.

        The placeholders go with a step of their own that only creates, else every event without a name would write
        "n/a" over the name of somebody known.
        """
        field, rules = self.choice.key_field, self.config.get("assignment_rules")
        headers = {"Sforce-Duplicate-Rule-Header": "allowSave=true"} if self.config.get("duplicates") == "allow" else {}
        made: list[Request] = []
        for sobject in PEOPLE:
            is_quiet = sobject == "Lead" and rules in ("off", "new")
            quiet = headers | ({"Sforce-Auto-Assign": "FALSE"} if is_quiet else {})
            updates, creates, upserts = _Step(), _Step(), _Step()
            for (kind, _), (items, person, fields) in self.people.items():
                if kind != sobject:
                    continue
                head: dict[str, Any] = {"attributes": {"type": sobject}}
                if person.id:
                    linked = {field: person.key} if person.key else {}
                    updates.add(items, head | {"id": person.id} | linked | fields)
                    continue
                head[field] = person.key
                gaps = records.missing(fields, sobject)
                if gaps or (rules == "new" and sobject == "Lead"):
                    creates.add(items, head | fields | gaps)
                upserts.add(items, head | fields)
            for step, method, path, extra in (
                (updates, "PATCH", "", quiet),
                (creates, "POST", "", headers if rules == "new" else quiet),
                (upserts, "PATCH", f"/{sobject}/{field}", quiet),
            ):
                if step.bodies:
                    made.append(self._request(method, path, _body(step.bodies), step.items, extra, ()))
        return made

    def _request(
        self, method: str, path: str, body: bytes, items: list[Item], extra: dict[str, str], before: tuple[Request, ...]
    ) -> Request:
        config = self.config
        instance = config.get("oauth.instance_url") or config.get("instance_url", "").rstrip("/")
        url = f"{instance}/services/data/v{config.get('api_version') or VERSION}/composite/sobjects{path}"
        headers = {"Authorization": f"Bearer {config.get(base.ACCESS_TOKEN, '')}", "Content-Type": "application/json"}
        return Request(method=method, url=url, headers=headers | extra, body=body, items=tuple(items), before=before)


class _Step:
    """One request of people: their records, and the items that spoke of them."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.items: list[Item] = []

    def add(self, items: list[Item], record: dict[str, Any]) -> None:
        self.bodies.append(msgspec.json.encode(record))
        self.items += items


_OF_PEOPLE = tuple(b'{"allOrNone":false,"records":[{"attributes":{"type":"%b"}' % name.encode() for name in PEOPLE)


def _body(bodies: list[bytes]) -> bytes:
    return b'{"allOrNone":false,"records":[' + b",".join(bodies) + b"]}"


def part(
    item: Item, plan: Plan | None, choice: Choice, now_ms: int
) -> tuple[dict[str, Any], Person | None, dict[str, Any]] | Skip:
    """The record of an item, and the person to write before it with what is to be written."""
    if plan is None:
        name = records.cut(item.native_name, 60)
        detail = (
            f"{name!r} is no name for Salesforce: Task:…, Lead+Task:…, Contact+Task:… or an object such as My__c:…."
        )
        return Skip(item=item, reason="invalid", detail=detail)
    payload = item.payload
    person = None
    fields: dict[str, Any] = {}
    if plan.sobject == "Task":
        person = records.person_of(payload, plan.person, choice)
        if person is None:
            needed = "Salesforce needs an e-mail address, an external id, or a record id as leadId or crmId"
            return Skip(item=item, reason="no_identity", detail=f"{needed}; the event carries none of them.")
        record = records.task(item, plan.name, person, choice, now_ms)
        if plan.person == person.sobject:
            fields = records.person_fields(payload, person.sobject, choice.codes)
    else:
        record = records.event(item, plan, now_ms)
    if payload.platform_params.get("salesforce"):
        whole = base.with_overrides(record | {name: {} for name in PEOPLE}, item, "salesforce")
        overrides = {name: whole.pop(name) for name in PEOPLE}
        if not all(isinstance(extra, dict) for extra in overrides.values()):
            return Skip(item=item, reason="invalid", detail="platformParams.salesforce replaces an object.")
        # What the records are and what they are known by is not the sender's to change.
        whole.pop("id", None), whole.pop("Id", None)
        kept = ("attributes", choice.task_id if plan.sobject == "Task" else records.EVENT_ID)
        record = whole | {name: record[name] for name in kept if name in record}
        if record.get("WhoId") and "Who" in record:
            del record["Who"]
        if person is not None and plan.person == person.sobject:
            own = ("attributes", "id", "Id", choice.key_field)
            fields |= {name: value for name, value in overrides[person.sobject].items() if name not in own}
    is_written = person is not None and bool(fields) and (bool(person.id) or records.can_be_created(fields))
    return record, person if is_written else None, fields


def sent(request: Request) -> dict[str, int] | None:
    """Of a request of people: id or external id → place of the record; it stands right after the attributes."""
    if not request.body.startswith(_OF_PEOPLE):
        return None
    try:
        found = msgspec.json.decode(request.body)["records"]
        return {str(list(record.values())[1]): place for place, record in enumerate(found)}
    except (msgspec.DecodeError, ValueError, LookupError, TypeError, AttributeError):
        return None


def shared(items: Sequence[Item], places_sent: dict[str, int], found: list[Outcome]) -> list[Outcome]:
    """Several events of one person share a record. When it is refused, they are halved until the bad one is alone."""
    places: list[int | None] = []
    for item in items:
        payload = item.payload
        names = (payload.lead_id, payload.crm_id, *records.person_keys(payload))
        places.append(next((places_sent[name] for name in names if name in places_sent), None))
    sharing = Counter(places)
    outcomes = []
    for place in places:
        outcome = (
            found[place] if place is not None else Outcome(result=Result.RETRY, detail="Its person was not named.")
        )
        if outcome.result == Result.PERMANENT and sharing[place] > 1:
            outcome = Outcome(result=Result.SPLIT, detail=outcome.detail)
        outcomes.append(outcome)
    return outcomes
