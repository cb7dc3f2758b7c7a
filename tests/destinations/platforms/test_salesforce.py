"""Salesforce's own rules, beyond what the contract suite and the golden files say of every platform."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import msgspec
import pytest

from destinations.platforms import _salesforce_records as records
from destinations.platforms import base
from destinations.platforms.base import Built, Item, Request
from destinations.platforms.salesforce import Salesforce
from tests.destinations.platforms.making import CONFIG, HOUR_MS, NOW, NOW_MS, body, item, only

SALESFORCE = Salesforce()
ROOT = "https://acme.my.salesforce.com/services/data/v66.0/composite/sobjects"
ADA: dict[str, Any] = {"email": "ada@example.com", "first_name": "Ada", "last_name": "Byron"}


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


ADA_KEY = sha("ada@example.com")


def built(*items: Item, **config: str) -> Built:
    return SALESFORCE.build(items, CONFIG["salesforce"] | config, NOW)


def request_of(event: str = "SignUp", config: dict[str, str] | None = None, **fields: Any) -> Request:
    return only(built(item(event, SALESFORCE, **fields), **(config or {})))


def record_of(event: str = "SignUp", config: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    (found,) = body(request_of(event, config, **fields))["records"]
    return found  # type: ignore[no-any-return]


def people_of(event: str = "SignUp", config: dict[str, str] | None = None, **fields: Any) -> list[tuple[str, Any]]:
    """Method and path of each request that goes before, with its records."""
    return [
        (f"{part.method} {part.url.removeprefix(ROOT)}", body(part)["records"])
        for part in request_of(event, config, **fields).before
    ]


def person_of(event: str = "SignUp", config: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    """The person as the last request before the event's own writes them."""
    return people_of(event, config, **fields)[-1][1][0]  # type: ignore[no-any-return]


def skipped(event: str = "SignUp", **fields: Any) -> tuple[str, str]:
    found = built(item(event, SALESFORCE, **fields))
    assert found.requests == []
    return found.skipped[0].reason, found.skipped[0].detail


# --- Requests -----------------------------------------------------------------------------------------
def test_a_task_is_upserted_by_the_event_id() -> None:
    request = request_of("Purchase", **ADA)
    assert (request.method, request.url) == ("PATCH", f"{ROOT}/Task/TrackStack_Event_Id__c")
    assert request.headers == {
        "Authorization": f"Bearer {CONFIG['salesforce'][base.ACCESS_TOKEN]}",
        "Content-Type": "application/json",
    }
    assert body(request)["allOrNone"] is False
    record = body(request)["records"][0]
    assert list(record)[:2] == ["attributes", "TrackStack_Event_Id__c"]
    assert record["attributes"] == {"type": "Task"}
    assert record["TrackStack_Event_Id__c"] == "evt-1"
    assert {name: record[name] for name in ("Subject", "Status", "Priority", "ActivityDate")} == {
        "Subject": "Purchase",
        "Status": "Completed",
        "Priority": "Normal",
        "ActivityDate": "2026-11-23",
    }
    assert "TaskSubtype" not in record


def test_without_a_field_for_it_a_task_is_created() -> None:
    request = request_of("Purchase", {"task_id_field": "none"}, **ADA)
    assert (request.method, request.url) == ("POST", ROOT)
    record = body(request)["records"][0]
    assert "TrackStack_Event_Id__c" not in record
    assert record["TaskSubtype"] == "Task"


def test_the_instance_of_the_token_wins_over_my_domain() -> None:
    config = {"oauth.instance_url": "https://acme--uat.sandbox.my.salesforce.com", "api_version": "68.0"}
    assert request_of("PageView", config).url == (
        "https://acme--uat.sandbox.my.salesforce.com/services/data/v68.0/composite/sobjects"
        "/TrackStack_Event__c/Event_Id__c"
    )
    assert request_of("PageView", {"oauth.instance_url": ""}).url.startswith("https://acme.my.salesforce.com/")


def test_who_is_named_by_external_id_and_type() -> None:
    """ "You must include the type field for a polymorphic field" (Valid XML and JSON Records): a Lead or a Contact."""
    assert record_of("Purchase", **ADA)["Who"] == {"attributes": {"type": "Contact"}, "TrackStack_Id__c": ADA_KEY}
    assert record_of("SignUp", **ADA)["Who"] == {"attributes": {"type": "Lead"}, "TrackStack_Id__c": ADA_KEY}
    assert record_of("MeetingHeld", **ADA)["Who"]["attributes"] == {"type": "Lead"}
    assert record_of("MeetingHeld", {"object": "Contact"}, **ADA)["Who"]["attributes"] == {"type": "Contact"}


def test_what_writes_no_person_has_nothing_before_it() -> None:
    assert request_of("MeetingHeld", **ADA).before == ()
    assert request_of("PageView", **ADA).before == ()


def test_a_complete_person_is_upserted() -> None:
    assert people_of("Purchase", **ADA) == [
        (
            "PATCH /Contact/TrackStack_Id__c",
            [
                {
                    "attributes": {"type": "Contact"},
                    "TrackStack_Id__c": ADA_KEY,
                    "FirstName": "Ada",
                    "LastName": "Byron",
                    "Email": "ada@example.com",
                }
            ],
        )
    ]


def test_placeholders_create_a_person_and_never_overwrite_one() -> None:
    (create, created), (upsert, upserted) = people_of("SignUp", email="ada@example.com")
    assert (create, upsert) == ("POST ", "PATCH /Lead/TrackStack_Id__c")
    head = {"attributes": {"type": "Lead"}, "TrackStack_Id__c": ADA_KEY, "Email": "ada@example.com"}
    assert created == [head | {"LastName": "n/a", "Company": "n/a"}]
    assert upserted == [head]
    (create, created), (upsert, upserted) = people_of("Purchase", email="ada@example.com")
    assert created[0]["LastName"] == "n/a"
    assert "Company" not in created[0]
    assert "LastName" not in upserted[0]


def test_nobody_is_created_of_whom_nothing_is_known() -> None:
    assert people_of("SignUp", external_id="u1", city="London") == []
    assert record_of("SignUp", external_id="u1")["Who"]["TrackStack_Id__c"] == "u1"
    assert len(people_of("SignUp", external_id="u1", phone="+14155552671")) == 2


LEAD_FIELDS = {
    "FirstName": "Ada", "LastName": "Byron", "Phone": "(415) 555-2671", "City": "London", "State": "England",
    "PostalCode": "W1U 6AB", "Country": "United Kingdom", "LeadSource": "Webinar", "Email": "ada@example.com",
    "Company": "Engines Ltd", "Website": "engines.example",
}  # fmt: skip
FULL: dict[str, Any] = ADA | {
    "phone": "(415) 555-2671", "city": "London", "state": "England", "zip": "W1U 6AB", "country": "United Kingdom",
    "lead_event_source": "Webinar", "company_name": "Engines Ltd", "company_domain": "engines.example",
}  # fmt: skip


def test_the_fields_of_a_lead() -> None:
    head = {"attributes": {"type": "Lead"}, "TrackStack_Id__c": ADA_KEY}
    assert person_of("LeadCaptured", **FULL) == head | LEAD_FIELDS
    assert person_of("LeadCaptured", **ADA, account_name="Engines EU")["Company"] == "Engines EU"


def test_the_fields_of_a_contact() -> None:
    person = person_of("Purchase", **FULL)
    places = {f"Mailing{name}": LEAD_FIELDS[name] for name in ("City", "State", "PostalCode", "Country")}
    assert places.items() <= person.items()
    assert person["LeadSource"] == "Webinar"
    assert not person.keys() & {"City", "Company", "Website"}


@pytest.mark.parametrize(
    ("country", "state", "expected"),
    [
        ("United States", "California", {"CountryCode": "US", "StateCode": "CA"}),
        ("us", "US-NY", {"CountryCode": "US", "StateCode": "NY"}),
        ("GBR", "England", {"CountryCode": "GB"}),
        ("Australia", "NSW", {"CountryCode": "AU", "StateCode": "NSW"}),
        (None, "CA", {}),
        ("Atlantis", "CA", {}),
    ],
)
def test_countries_and_states_as_codes(country: str | None, state: str, expected: dict[str, str]) -> None:
    person = person_of("SignUp", {"address_format": "codes"}, **ADA, country=country, state=state)
    assert {name: value for name, value in person.items() if "Code" in name or name in ("Country", "State")} == expected


def test_whom_a_record_id_names_is_updated_by_it() -> None:
    fields: dict[str, Any] = ADA | {"lead_id": "00Q5e00000AbCdEAAV"}
    assert people_of("SignUp", **fields) == [
        (
            "PATCH ",
            [
                {
                    "attributes": {"type": "Lead"},
                    "id": "00Q5e00000AbCdEAAV",
                    "TrackStack_Id__c": ADA_KEY,
                    "FirstName": "Ada",
                    "LastName": "Byron",
                    "Email": "ada@example.com",
                }
            ],
        )
    ]
    record = record_of("SignUp", **fields)
    assert record["WhoId"] == "00Q5e00000AbCdEAAV"
    assert "Who" not in record


@pytest.mark.parametrize("lead_id", ["12345", "0035e00000AbCdEAAV", "00Q5e00000AbCd", "00Q5e00000AbCdE!", "urn:li:x:1"])
def test_what_is_no_record_id_of_a_lead_is_none(lead_id: str) -> None:
    assert "WhoId" not in record_of("SignUp", **ADA, lead_id=lead_id)


def test_a_task_that_writes_nobody_takes_the_record_id_it_has() -> None:
    record = record_of("MeetingHeld", **ADA, crm_id="0035e00000AbCdE")
    assert record["WhoId"] == "0035e00000AbCdE"
    # But where a lead is to be written, the contact's id does not name it.
    assert record_of("SignUp", **ADA, crm_id="0035e00000AbCdE")["Who"]["attributes"] == {"type": "Lead"}
    assert record_of("SignUp", crm_id="0035e00000AbCdE")["WhoId"] == "0035e00000AbCdE"
    assert people_of("SignUp", crm_id="0035e00000AbCdE", first_name="Ada") == []


def test_an_opportunity_goes_with_contacts_only() -> None:
    opportunity: dict[str, Any] = {"opportunity_id": "0065e00000XyZ12AAB"}
    assert record_of("OpportunityCreated", **ADA, **opportunity)["WhatId"] == "0065e00000XyZ12AAB"
    assert "WhatId" not in record_of("MeetingHeld", **ADA, **opportunity)
    assert "WhatId" not in record_of("OpportunityCreated", **ADA, opportunity_id="deal-7")


@pytest.mark.parametrize(
    ("source", "fields", "expected"),
    [
        ("email", {"email": " Ada@Example.com ", "external_id": "u1"}, ADA_KEY),
        ("email", {"email": ADA_KEY.upper()}, ADA_KEY),
        ("email", {"external_id": "u1"}, "u1"),
        ("email", {"email": "none", "external_id": "u1"}, "u1"),
        ("external_id", {"email": "ada@example.com", "external_id": "u1"}, "u1"),
        ("external_id", {"email": "ada@example.com"}, ADA_KEY),
        ("", {"external_id": "u" * 256}, sha("u" * 256)),
    ],
)
def test_what_a_person_is_known_by(source: str, fields: dict[str, Any], expected: str) -> None:
    assert record_of("MeetingHeld", {"person_key": source}, **fields)["Who"]["TrackStack_Id__c"] == expected


@pytest.mark.parametrize(
    "fields", [{}, {"anonymous_id": "v"}, {"phone": "+14155552671"}, {"email": "x"}, {"lead_id": "L1"}]
)
def test_too_little_identity_is_refused_aloud(fields: dict[str, Any]) -> None:
    assert skipped("SignUp", **fields)[0] == "no_identity"
    assert skipped("MeetingHeld", **fields)[0] == "no_identity"
    assert record_of("PageView", **fields)["Event_Name__c"] == "PageView"


def test_hashes_say_nothing_to_a_salesperson() -> None:
    names: dict[str, Any] = {"first_name": sha("ada"), "phone": sha("1"), "city": sha("london"), "country": sha("gb")}
    person = person_of("Purchase", email=ADA_KEY, last_name="Byron", **names)
    assert person == {"attributes": {"type": "Contact"}, "TrackStack_Id__c": ADA_KEY, "LastName": "Byron"}
    # With nothing in plain nobody is written, but the Task finds whom the hash names.
    assert people_of("SignUp", email=ADA_KEY, last_name=sha("byron"), **names) == []
    assert record_of("SignUp", email=ADA_KEY)["Who"]["TrackStack_Id__c"] == ADA_KEY


def test_the_description_is_a_line_per_field() -> None:
    text = record_of(
        "Refund", **ADA, value=-5.5, currency="EUR", order_id="o1", content_ids=["a", "b"], num_items=0,
        page_url="https://example.com/?q=1", plan="growth",
    )["Description"]  # fmt: skip
    assert text.splitlines() == [
        "Event: Refund", "Event ID: evt-1", "Time: 2026-11-23T11:00:00.000Z", "Value: -5.50 EUR", "Plan: growth",
        "Order: o1", "Items: 0", "Page: https://example.com/?q=1", "Content IDs: a, b",
    ]  # fmt: skip


def test_an_event_record() -> None:
    request = request_of("PageView", **ADA, value=5.0, currency="USD", properties={"a": 1}, event_id="pv 1/2")
    assert (request.method, request.url) == ("PATCH", f"{ROOT}/TrackStack_Event__c/Event_Id__c")
    (record,) = body(request)["records"]
    payload = msgspec.json.decode(record.pop("Payload__c"))
    assert record == {
        "attributes": {"type": "TrackStack_Event__c"},
        "Event_Id__c": "pv 1/2",
        "Event_Name__c": "PageView",
        "Occurred_At__c": "2026-11-23T11:00:00.000Z",
        "Email__c": "ada@example.com",
        "Value__c": 5.0,
        "Currency__c": "USD",
    }
    assert payload == {
        "email": "ada@example.com", "firstName": "Ada", "lastName": "Byron", "value": 5.0, "currency": "USD",
        "properties": {"a": 1},
    }  # fmt: skip


@pytest.mark.parametrize("fields", [{"value": 5.0}, {"currency": "USD"}, {"value": math.inf, "currency": "USD"}])
def test_value_and_currency_both_or_neither(fields: dict[str, Any]) -> None:
    assert not record_of("PageView", **fields).keys() & {"Value__c", "Currency__c"}
    assert "Value:" not in record_of("Purchase", **ADA, **fields)["Description"]


def test_the_future_is_now() -> None:
    assert record_of("PageView", occurred_ms=NOW_MS + HOUR_MS)["Occurred_At__c"] == "2026-11-23T12:00:00.000Z"
    assert record_of("Purchase", **ADA, occurred_ms=4_102_444_800_000)["ActivityDate"] == "2026-11-23"
    assert record_of("Purchase", **ADA, occurred_ms=0)["ActivityDate"] == "1970-01-01"


@pytest.mark.parametrize(
    ("target", "method", "path", "kind"),
    [
        ("custom_object", "PATCH", "/TrackStack_Event__c/Event_Id__c", "TrackStack_Event__c"),
        ("platform_event", "POST", "", "TrackStack_Event__e"),
        ("task", "PATCH", "/Task/TrackStack_Event_Id__c", "Task"),
    ],
)
def test_what_volume_events_become(target: str, method: str, path: str, kind: str) -> None:
    request = request_of("PageView", {"event_target": target}, **ADA)
    assert (request.method, request.url) == (method, ROOT + path)
    assert body(request)["records"][0]["attributes"] == {"type": kind}


@pytest.mark.parametrize(
    ("native", "expected"),
    [
        ("Task:Called back", ("", "Task", "Called back")),
        ("Lead+Task: Price: asked", ("Lead", "Task", "Price: asked")),
        ("Contact+Task:x", ("Contact", "Task", "x")),
        ("TrackStack_Event__c:X", ("", "TrackStack_Event__c", "X")),
        ("Usage__c:Seat added", ("", "Usage__c", "Seat added")),
        ("Usage__e:x", ("", "Usage__e", "x")),
        ("Seat added", ("", "TrackStack_Event__c", "Seat added")),
        ("https://example.com", ("", "TrackStack_Event__c", "https://example.com")),
    ],
)
def test_native_names(native: str, expected: tuple[str, str, str]) -> None:
    assert records.plan(native, "custom_object") == expected


@pytest.mark.parametrize("native", ["Task:", "Campaign+Task:x", "Lead:x", "Opportunity:x", " Lead+Lead:x", "Case:"])
def test_names_that_are_none(native: str) -> None:
    assert records.plan(native, "custom_object") is None
    assert skipped("SignUp", **ADA, native_name=native)[0] == "invalid"


def test_a_custom_event_becomes_an_event_record() -> None:
    assert record_of("SeatAdded")["Event_Name__c"] == "SeatAdded"
    assert SALESFORCE.native_name("SeatAdded") == "TrackStack_Event__c:SeatAdded"


def test_headers_of_the_requests_that_write_people() -> None:
    def headers(**config: str) -> list[dict[str, str]]:
        return [
            {name: value for name, value in part.headers.items() if name.startswith("Sforce")}
            for part in request_of("SignUp", config, email="ada@example.com").before
        ]

    allow = {"Sforce-Duplicate-Rule-Header": "allowSave=true"}
    quiet = {"Sforce-Auto-Assign": "FALSE"}
    assert headers() == [{}, {}]
    assert headers(duplicates="allow") == [allow, allow]
    assert headers(assignment_rules="off") == [quiet, quiet]
    assert headers(assignment_rules="new") == [{}, quiet]
    assert [path for path, _ in people_of("SignUp", {"assignment_rules": "new"}, **FULL)] == [
        "POST ", "PATCH /Lead/TrackStack_Id__c",
    ]  # fmt: skip


def test_one_run_of_tasks_has_one_request_per_kind_of_person() -> None:
    items = [
        item("SignUp", SALESFORCE, key=0, event_id="a", **ADA, company_name="E"),
        item("Purchase", SALESFORCE, key=1, event_id="b", **ADA),
        item("SignUp", SALESFORCE, key=2, event_id="c", **ADA, city="London", company_name="F"),
        item("MeetingHeld", SALESFORCE, key=3, event_id="d", **ADA),
    ]
    request = only(built(*items))
    assert [one.key for one in request.items] == [0, 1, 2, 3]
    lead, contact = request.before
    assert [one.key for one in lead.items] == [0, 2]
    assert [one.key for one in contact.items] == [1]
    (merged,) = body(lead)["records"]
    assert (merged["City"], merged["Company"]) == ("London", "F")


def test_a_run_ends_where_the_object_changes_or_an_id_comes_again() -> None:
    def runs(*events: tuple[str, str]) -> list[list[str]]:
        items = [item(name, SALESFORCE, key=n, event_id=event_id, **ADA) for n, (name, event_id) in enumerate(events)]
        return [[one.event_id for one in request.items] for request in built(*items).requests]

    mixed = runs(("PageView", "a"), ("FeatureUsed", "b"), ("SignUp", "c"), ("PageView", "d"))
    assert mixed == [["a", "b"], ["c"], ["d"]]
    assert runs(("PageView", "a"), ("FeatureUsed", "a"), ("PageView", "b")) == [["a"], ["a", "b"]]


# --- Overrides ----------------------------------------------------------------------------------------
def test_overrides_of_the_task_and_of_the_person() -> None:
    params = {
        "salesforce": {
            "Priority": "High", "Campaign__c": "x", "attributes": {"type": "Case"}, "TrackStack_Event_Id__c": "mine",
            "Lead": {"Industry": "Mills", "LastName": "Lovelace", "TrackStack_Id__c": "other", "attributes": 1},
            "Contact": {"Department": "x"},
        }
    }  # fmt: skip
    fields: dict[str, Any] = ADA | {"company_name": "E", "platform_params": params}
    record = record_of("SignUp", **fields)
    assert record["attributes"] == {"type": "Task"}
    assert record["TrackStack_Event_Id__c"] == "evt-1"
    assert (record["Priority"], record["Campaign__c"]) == ("High", "x")
    assert not record.keys() & {"Lead", "Contact"}
    person = person_of("SignUp", **fields)
    assert (person["Industry"], person["LastName"]) == ("Mills", "Lovelace")
    assert (person["attributes"], person["TrackStack_Id__c"]) == ({"type": "Lead"}, ADA_KEY)
    assert "Department" not in person


def test_an_override_with_a_record_id_replaces_the_reference() -> None:
    params = {"salesforce": {"WhoId": "0035e00000AbCdE"}}
    record = record_of("MeetingHeld", **ADA, platform_params=params)
    assert record["WhoId"] == "0035e00000AbCdE"
    assert "Who" not in record


def test_an_override_that_breaks_the_shape_is_refused_aloud() -> None:
    assert skipped("SignUp", **ADA, platform_params={"salesforce": {"Lead": "x"}})[0] == "invalid"


# --- Nasty input --------------------------------------------------------------------------------------
NASTY = [
    "😀" * 200, "é" * 10_000, "\x00\x1f", "'; DROP TABLE Lead--", "\u202e\u0301", "x" * 10_240, "<b>&amp;</b>", "ß",
]  # fmt: skip


@pytest.mark.parametrize("text", NASTY)
def test_texts_fit_their_fields(text: str) -> None:
    fields: dict[str, Any] = dict.fromkeys(
        ("first_name", "last_name", "phone", "city", "state", "zip", "country", "company_name", "company_domain",
         "lead_event_source", "page_url", "plan"), text,
    )  # fmt: skip
    sizes = {
        "FirstName": 40, "LastName": 80, "Phone": 40, "City": 40, "State": 80, "PostalCode": 20, "Country": 80,
        "LeadSource": 255, "Company": 255, "Website": 255,
    }  # fmt: skip
    person = person_of("LeadCaptured", email="ada@example.com", **fields)
    for name, size in sizes.items():
        assert len(person.get(name, "").encode("utf-16-le")) <= size * 2
    record = record_of("LeadCaptured", email="ada@example.com", **fields, native_name=f"Lead+Task:{text}x")
    assert len(record["Subject"].encode("utf-16-le")) <= 255 * 2
    assert len(record["Description"].encode("utf-16-le")) <= 32_000 * 2


def test_a_long_payload_loses_its_free_form_part_before_all_of_it() -> None:
    record = record_of("PageView", **ADA, properties={"a": "x" * 40_000})
    assert msgspec.json.decode(record["Payload__c"])["email"] == "ada@example.com"
    assert "properties" not in record["Payload__c"]
    assert "Payload__c" not in record_of("PageView", content_ids=["x" * 256] * 200)


@pytest.mark.parametrize("email", ["ada@localhost", "ä@example.com", "a b@example.com", "a" * 80 + "@example.com"])
def test_an_address_that_salesforce_would_refuse_stays_out(email: str) -> None:
    assert "Email__c" not in record_of("PageView", email=email)


@pytest.mark.parametrize("value", [0.0, -1.0, 1e15, 0.1])
def test_amounts(value: float) -> None:
    assert record_of("PageView", value=value, currency="USD")["Value__c"] == value


# --- Configuration ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("field", "value", "is_fine"),
    [
        ("instance_url", "https://acme.my.salesforce.com", True),
        ("instance_url", "https://acme--uat.sandbox.my.salesforce.com", True),
        ("instance_url", "https://acme-dev-ed.develop.my.salesforce.com", True),
        ("instance_url", "https://login.salesforce.com", False),
        ("instance_url", "https://acme.my.salesforce.com/", False),
        ("instance_url", "https://acme.my.salesforce.com.evil.example", False),
        ("client_id", "3MVG9", False),
        ("external_id_field", "TrackStack Id", False),
        ("object", "Account", False),
        ("event_target", "", False),
        ("task_id_field", "none", True),
        ("api_version", "v66.0", False),
    ],
)
def test_the_configuration(field: str, value: str, is_fine: bool) -> None:
    assert (field not in SALESFORCE.problems(CONFIG["salesforce"] | {field: value})) == is_fine


def test_retired_versions() -> None:
    assert SALESFORCE.sunset({}) is None
    old = SALESFORCE.sunset({"api_version": "40.0"})
    assert old is not None
    assert old.year == 2028
