"""LinkedIn's double refuses what LinkedIn refuses, in LinkedIn's words."""

from __future__ import annotations

from typing import Any

import pytest

from destinations.sandbox.server import Sandbox
from tests.destinations.sandbox.support import EMAIL_HASH, GONE, HASH_OF_NOTHING, Reply, ask, changed, seconds

PATH = "/linkedin/rest/conversionEvents"
TOKEN = "AQX" + "y" * 80
HEADERS = {
    "Authorization": f"Bearer {TOKEN}",
    "LinkedIn-Version": "202609",
    "X-Restli-Protocol-Version": "2.0.0",
    "X-RestLi-Method": "BATCH_CREATE",
    "Content-Type": "application/json",
}


def conversion(**changes: Any) -> dict[str, Any]:
    return changed(
        {
            "conversion": "urn:lla:llaPartnerConversion:104012",
            "conversionHappenedAt": seconds(days_ago=1) * 1000,
            "conversionValue": {"currencyCode": "USD", "amount": "50.00"},
            "eventId": "evt_1",
            "user": {
                "userIds": [
                    {"idType": "SHA256_EMAIL", "idValue": EMAIL_HASH},
                    {"idType": "LINKEDIN_FIRST_PARTY_ADS_TRACKING_UUID", "idValue": "df5gf5-gh6t7-ph4j7h-fgf6n1"},
                ],
                "userInfo": {"firstName": "Mike", "lastName": "Smith", "companyName": "Acme", "countryCode": "US"},
                "externalIds": ["user-17"],
            },
        },
        changes,
    )


def send(sandbox: Sandbox, body: Any, method: str = "POST", path: str = PATH, **changes: Any) -> Reply:
    headers = HEADERS | {name.replace("_", "-"): value for name, value in changes.items()}
    sent = {name: value for name, value in headers.items() if value is not GONE}
    return ask(sandbox.url, method, path, body, sent)


def with_id(kind: str, value: Any) -> dict[str, Any]:
    return {"user.userIds": [{"idType": kind, "idValue": value}]}


GOOD: list[dict[str, Any]] = [
    {},
    {"conversionValue": GONE, "eventId": GONE, "user.userInfo": GONE, "user.externalIds": GONE},
    {"user": {"userIds": [], "userInfo": {"firstName": "A", "lastName": "B"}}},
    {"user": {"userIds": [], "userInfo": {"hashedFirstName": EMAIL_HASH, "hashedLastName": EMAIL_HASH}}},
    {"user": {"userIds": [], "lead": "urn:li:leadGenFormResponse:1-2"}},
    {"user": {"userIds": [], "externalIds": ["x"]}},
    with_id("PLAINTEXT_IP_ADDRESS", "192.0.2.1"),
    with_id("SHA256_IP_ADDRESS", EMAIL_HASH),
    with_id("ACXIOM_ID", "abc"),
    with_id("GOOGLE_AID", "38400000-8cf0-11bd-b23e-10b96e40000d"),
    {"conversionHappenedAt": seconds(days_ago=89) * 1000},
]


def test_good_batch(sandbox: Sandbox) -> None:
    reply = send(sandbox, {"elements": [conversion(**one) for one in GOOD]})
    assert reply.status == 200, reply.body
    assert reply.json == {"elements": [{"status": 201}] * len(GOOD)}


@pytest.mark.parametrize("method", [GONE, "CREATE"])
def test_good_single(sandbox: Sandbox, method: Any) -> None:
    reply = send(sandbox, conversion(), X_RestLi_Method=method)
    assert (reply.status, reply.body) == (201, b"")


BAD: list[tuple[dict[str, Any], str]] = [
    ({"conversion": GONE}, "/conversion"),
    ({"conversion": "104012"}, "/conversion"),
    ({"conversion": "urn:lla:llaPartnerConversion:x"}, "/conversion"),
    ({"conversionHappenedAt": str(seconds() * 1000)}, "/conversionHappenedAt"),
    ({"conversionHappenedAt": 10**400}, "/conversionHappenedAt"),
    ({"conversionHappenedAt": GONE}, "/conversionHappenedAt"),
    ({"conversionValue.amount": 50}, "/conversionValue/amount"),
    ({"conversionValue.amount": "50,00"}, "/conversionValue/amount"),
    ({"conversionValue.amount": GONE}, "/conversionValue/amount"),
    ({"conversionValue.currencyCode": "usd"}, "/conversionValue/currencyCode"),
    ({"conversionValue.currencyCode": GONE}, "/conversionValue/currencyCode"),
    ({"eventId": ""}, "/eventId"),
    ({"eventID": "x"}, "/eventID"),
    ({"user": GONE}, "/user"),
    ({"user.userIds": GONE}, "/user/userIds"),
    ({"user.userIds": {}}, "/user/userIds"),
    ({"user": {"userIds": []}}, "/user"),
    ({"user.phone": "1"}, "/user/phone"),
    ({"user.userInfo.lastName": GONE}, "/user/userInfo/lastName"),
    ({"user.userInfo.city": "x"}, "/user/userInfo/city"),
    ({"user.userInfo.countryCode": "us"}, "/user/userInfo/countryCode"),
    ({"user.userInfo": {}}, "/user/userInfo/firstName"),
    ({"user.externalIds": ["a", "b"]}, "/user/externalIds"),
    ({"user.externalIds": []}, "/user/externalIds"),
    ({"user.externalIds": ["a@example.com"]}, "/user/externalIds"),
    ({"user.lead": "123"}, "/user/lead"),
    (with_id("SHA256_EMAIL", "john@example.com"), "/user/userIds/0/idValue"),
    (with_id("SHA256_EMAIL", EMAIL_HASH.upper()), "/user/userIds/0/idValue"),
    (with_id("SHA256_EMAIL", HASH_OF_NOTHING), "/user/userIds/0/idValue"),
    (with_id("LINKEDIN_FIRST_PARTY_ADS_TRACKING_UUID", EMAIL_HASH), "/user/userIds/0/idValue"),
    (with_id("AXCIOM_ID", "abc"), "/user/userIds/0/idType"),
    (with_id("ORACLE_MOAT_ID", "abc"), "/user/userIds/0/idType"),
    (with_id("PLAINTEXT_IP_ADDRESS", "2001:db8::1"), "/user/userIds/0/idValue"),
    (with_id("GOOGLE_AID", "00000000-0000-0000-0000-000000000000"), "/user/userIds/0/idValue"),
    ({"user.userIds": [{"idType": "ACXIOM_ID", "idValue": v} for v in "ab"]}, "/user/userIds/1/idType"),
    ({"user.userIds.0.surprise": 1}, "/user/userIds/0/surprise"),
]


@pytest.mark.parametrize(("changes", "path"), BAD, ids=[str(one[0])[:60] for one in BAD])
def test_faults_are_told_by_index_and_path(sandbox: Sandbox, changes: dict[str, Any], path: str) -> None:
    reply = send(sandbox, {"elements": [conversion(), conversion(**changes)]})
    assert (reply.status, reply.json["status"]) == (422, 422)
    assert reply.json["message"].startswith(f"Index: 1, ERROR :: {path} :: ")
    assert reply.json["message"].endswith("\n")


@pytest.mark.parametrize(
    "at", [seconds(), seconds(days_ago=91) * 1000, seconds(days_ago=-1) * 1000], ids=["seconds", "old", "future"]
)
def test_times_are_refused_by_index(sandbox: Sandbox, at: int) -> None:
    reply = send(sandbox, {"elements": [conversion(conversionHappenedAt=at), conversion()]})
    assert reply.status == 400
    assert "within 90 days and not exceed current time, indices [0] (0-indexed)" in reply.json["message"]


def test_several_faults(sandbox: Sandbox) -> None:
    both = conversion(**{"conversionValue.amount": GONE, "user.userInfo": {"city": "x"}})
    reply = send(sandbox, {"elements": [both, conversion(), conversion(eventId=1), "x"]})
    text = "field is required but not found and has no default value"
    assert reply.json["message"].splitlines() == [
        f"Index: 0, ERROR :: /conversionValue/amount :: {text}",
        f"ERROR :: /user/userInfo/firstName :: {text}",
        f"ERROR :: /user/userInfo/lastName :: {text}",
        "ERROR :: /user/userInfo/city :: unrecognized field found but not allowed",
        "Index: 2, ERROR :: /eventId :: must be a string",
        "Index: 3, ERROR :: / :: must be an object",
    ]


@pytest.mark.parametrize(
    ("version", "changes"),
    [
        ("202604", with_id("PLAINTEXT_IP_ADDRESS", "192.0.2.1")),
        ("202606", with_id("SHA256_IP_ADDRESS", EMAIL_HASH)),
        ("202604", {"user": {"userIds": [], "lead": "urn:li:leadGenFormResponse:1"}}),
        ("202608", {"user.userInfo": {"hashedFirstName": EMAIL_HASH, "hashedLastName": EMAIL_HASH}}),
    ],
)
def test_older_versions_know_less(sandbox: Sandbox, version: str, changes: dict[str, Any]) -> None:
    body = {"elements": [conversion(**changes)]}
    assert send(sandbox, body, LinkedIn_Version=version).status == 422
    assert send(sandbox, body).status == 200


def test_moat_id_ended(sandbox: Sandbox) -> None:
    body = {"elements": [conversion(**with_id("ORACLE_MOAT_ID", "abc"))]}
    assert send(sandbox, body, LinkedIn_Version="202608").status == 200


def test_batch_limit(sandbox: Sandbox) -> None:
    event = conversion()
    assert len(send(sandbox, {"elements": [event] * 5000}).json["elements"]) == 5000
    assert send(sandbox, {"elements": [event] * 5001}).status == 400


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"LinkedIn_Version": GONE}, 400, "VERSION_MISSING"),
        ({"LinkedIn_Version": "202511"}, 426, "NONEXISTENT_VERSION"),
        ({"LinkedIn_Version": "209901"}, 426, "NONEXISTENT_VERSION"),
        ({"LinkedIn_Version": "2026-09"}, 426, "NONEXISTENT_VERSION"),
        ({"X_Restli_Protocol_Version": GONE}, 400, None),
        ({"X_Restli_Protocol_Version": "1.0.0"}, 400, None),
        ({"X_RestLi_Method": GONE}, 400, None),
        ({"X_RestLi_Method": "BATCH_UPDATE"}, 400, None),
        ({"Content_Type": "text/plain"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
        ({"Authorization": GONE}, 401, "INVALID_ACCESS_TOKEN"),
        ({"Authorization": f"Basic {TOKEN}"}, 401, "INVALID_ACCESS_TOKEN"),
        ({"Authorization": "Bearer short"}, 401, "INVALID_ACCESS_TOKEN"),
        ({"Authorization": f"Bearer {TOKEN}expired"}, 401, "EXPIRED_ACCESS_TOKEN"),
        ({"Authorization": f"Bearer {TOKEN}revoked"}, 401, "REVOKED_ACCESS_TOKEN"),
        ({"Authorization": f"Bearer {TOKEN}forbidden"}, 403, "ACCESS_DENIED"),
        ({"method": "GET"}, 405, "METHOD_NOT_ALLOWED"),
        ({"path": "/linkedin/conversionEvents"}, 404, "RESOURCE_NOT_FOUND"),
    ],
)
def test_requests(sandbox: Sandbox, headers: dict[str, Any], status: int, code: str | None) -> None:
    reply = send(sandbox, {"elements": [conversion()]}, **headers)
    assert (reply.status, reply.json["status"], reply.json.get("code")) == (status, status, code)


@pytest.mark.parametrize(
    "body", [b"{", [], {}, {"elements": []}, {"elements": {}}, {"elements": [{}], "x": 1}], ids=repr
)
def test_bad_roots(sandbox: Sandbox, body: Any) -> None:
    assert send(sandbox, body).status == 400


def test_rules(sandbox: Sandbox) -> None:
    wrong = conversion(conversion="urn:lla:llaPartnerConversion:999123")
    reply = send(sandbox, {"elements": [wrong, conversion(), wrong]})
    assert reply.status == 400
    assert "CONVERSIONS_API, indices [0, 2] (0-indexed)" in reply.json["message"]
    unknown = conversion(conversion="urn:lla:llaPartnerConversion:404123")
    assert send(sandbox, {"elements": [conversion(), unknown]}).status == 404
