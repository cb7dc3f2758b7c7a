"""Google Ads' own rules, beyond what the contract suite and the golden files say of every platform."""

from __future__ import annotations

import hashlib
import json
from typing import Any
from urllib.parse import parse_qs

import jwt
import msgspec
import pytest

from destinations.platforms._bigquery_example import SERVICE_ACCOUNT
from destinations.platforms.base import TEST, Outcome, Response, Result, Token
from destinations.platforms.google_ads import GoogleAds
from tests.destinations.platforms.making import CONFIG, HOUR_MS, NOW, NOW_MS, body, item, only

ADS = GoogleAds()
UPLOAD = {"api": "google_ads"}
PERSON = {
    "email": "ada@example.com", "phone": "+14155552671", "first_name": "Ada", "last_name": "Lovelace", "country": "US",
    "zip": "94103",
}  # fmt: skip


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def sent(event: str = "SignUp", config: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    made = body(only(ADS.build([item(event, ADS, **fields)], CONFIG["google_ads"] | (config or {}), NOW)))
    (found,) = made.get("events") or made["conversions"]
    return found  # type: ignore[no-any-return]


def skipped(config: dict[str, str] | None = None, **fields: Any) -> str:
    built = ADS.build([item("SignUp", ADS, **fields)], CONFIG["google_ads"] | (config or {}), NOW)
    assert built.requests == []
    assert built.skipped[0].detail.endswith(".")
    return built.skipped[0].reason


# --- Configuration ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("config", "wrong"),
    [
        ({"customer_id": "1234567890"}, {"oauth_client_id", "oauth_client_secret", "refresh_token"}),
        ({"customer_id": "123-4567890", "service_account_json": SERVICE_ACCOUNT}, set()),
        ({"customer_id": "1234567890", "service_account_json": "{}"}, {"service_account_json"}),
        ({"customer_id": "1234567890", "service_account_json": "x"}, {"service_account_json"}),
        (CONFIG["google_ads"] | {"refresh_token": ""}, {"refresh_token"}),
        (CONFIG["google_ads"] | {"customer_id": "123"}, {"customer_id"}),
        (CONFIG["google_ads"] | {"api": "x"}, {"api"}),
        (CONFIG["google_ads"] | {"ad_user_data_default": "yes"}, {"ad_user_data_default"}),
    ],
)
def test_credentials_are_a_refresh_token_or_a_service_account(config: dict[str, str], wrong: set[str]) -> None:
    assert ADS.problems(config).keys() == wrong


def test_the_examples_of_the_fields_are_valid() -> None:
    assert ADS.problems({field.name: field.example for field in ADS.fields if field.example}) == {}


def test_only_the_google_ads_api_has_versions_that_end() -> None:
    assert ADS.sunset({"api_version": "v22"}) is None
    assert str(ADS.sunset(UPLOAD | {"api_version": "v22"})) == "2026-10-07"
    assert ADS.sunset(UPLOAD) is None


@pytest.mark.parametrize("native_id", ["7012345678", "customers/1234567890/conversionActions/7012345678"])
def test_an_action_is_named_by_number_or_resource_name(native_id: str) -> None:
    items = [item(platform=ADS, email="a@b.co", native_id=native_id)]
    (destination,) = body(only(ADS.build(items, CONFIG["google_ads"], NOW)))["destinations"]
    assert destination["productDestinationId"] == "7012345678"
    action = sent(config=UPLOAD, email="a@b.co", native_id=native_id)["conversionAction"]
    assert action == "customers/1234567890/conversionActions/7012345678"


# --- Requests -----------------------------------------------------------------------------------------
def test_an_account_without_manager() -> None:
    config = CONFIG["google_ads"] | {"login_customer_id": ""}
    assert body(only(ADS.build([item(platform=ADS, email="a@b.co")], config, NOW)))["destinations"] == [
        {
            "operatingAccount": {"accountType": "GOOGLE_ADS", "accountId": "1234567890"},
            "productDestinationId": "7012345678",
        }
    ]
    headers = only(ADS.build([item(platform=ADS, email="a@b.co")], config | UPLOAD, NOW)).headers
    assert "login-customer-id" not in headers


def test_the_developer_token_is_sent_to_the_google_ads_api_only_and_only_when_there_is_one() -> None:
    items = [item(platform=ADS, email="a@b.co")]
    assert "developer-token" not in only(ADS.build(items, CONFIG["google_ads"], NOW)).headers
    config = CONFIG["google_ads"] | UPLOAD
    assert only(ADS.build(items, config, NOW)).headers["developer-token"] == config["developer_token"]
    assert "developer-token" not in only(ADS.build(items, config | {"developer_token": ""}, NOW)).headers


def test_ten_actions_share_a_request_and_the_eleventh_begins_another() -> None:
    items = [item(platform=ADS, key=n, email="a@b.co", native_id=f"70000000{n % 11:02}") for n in range(22)]
    built = ADS.build(items, CONFIG["google_ads"], NOW)
    assert [len(request.items) for request in built.requests] == [10, 10, 2]
    for request in built.requests:
        made = body(request)
        references = [one["reference"] for one in made["destinations"]]
        assert len(references) == len(set(references)) <= 10
        for one, carried in zip(made["events"], request.items, strict=True):
            assert one["destinationReferences"] == [carried.native_id]


def test_a_test_is_only_validated() -> None:
    items = [item(platform=ADS, email="a@b.co")]
    for extra in ({}, UPLOAD):
        config = CONFIG["google_ads"] | extra
        assert "validateOnly" not in body(only(ADS.build(items, config, NOW)))
        assert body(only(ADS.build(items, config | {TEST: "1"}, NOW)))["validateOnly"] is True


# --- Events -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("occurred_ms", "rfc3339", "ads"),
    [
        (NOW_MS - HOUR_MS, "2026-11-23T11:00:00Z", "2026-11-23 11:00:00+00:00"),
        (NOW_MS - 1, "2026-11-23T11:59:59.999Z", "2026-11-23 11:59:59+00:00"),
        (NOW_MS + HOUR_MS, "2026-11-23T12:00:00Z", "2026-11-23 12:00:00+00:00"),
        (4_102_444_800_000, "2026-11-23T12:00:00Z", "2026-11-23 12:00:00+00:00"),
    ],
)
def test_times(occurred_ms: int, rfc3339: str, ads: str) -> None:
    assert sent(email="a@b.co", occurred_ms=occurred_ms)["eventTimestamp"] == rfc3339
    assert sent(config=UPLOAD, email="a@b.co", occurred_ms=occurred_ms)["conversionDateTime"] == ads


@pytest.mark.parametrize("occurred_ms", [0, NOW_MS - 90 * 24 * HOUR_MS - 1])
@pytest.mark.parametrize("config", [{}, UPLOAD], ids=str)
def test_after_ninety_days_no_click_counts(occurred_ms: int, config: dict[str, str]) -> None:
    assert skipped(config, email="a@b.co", occurred_ms=occurred_ms) == "too_old"


def test_an_event_without_an_action_is_refused_aloud() -> None:
    assert skipped(email="a@b.co", native_id="") == "missing_native_id"


@pytest.mark.parametrize("event", ["Refund", "Chargeback", "Churned"])
def test_money_back_is_no_conversion_unless_a_route_says_so(event: str) -> None:
    built = ADS.build([item(event, ADS, email="a@b.co")], CONFIG["google_ads"], NOW)
    assert [skip.reason for skip in built.skipped] == ["unmapped"]
    made = sent(event, email="a@b.co", native_name="DEFAULT", value=5.0, currency="USD")
    assert ("conversionValue" in made) is (event == "Churned")


# Google's own test vectors, of its client library's formatter and of "Format user data". Until 2026 the tag stayed.
@pytest.mark.parametrize(
    ("email", "normal"),
    [
        ("QuinnY@example.com", "quinny@example.com"),
        (" Jefferson.Loves.hiking@gmail.com ", "jeffersonloveshiking@gmail.com"),
        ("j.e.f.ferson.Loves.hiking+trips@googlemail.com", "jeffersonloveshiking@googlemail.com"),
        ("cloudy.sanfrancisco+shopping@gmail.com", "cloudysanfrancisco@gmail.com"),
        ("user.name+NYC@Example.com", "user.name+nyc@example.com"),
        ("cloudysanfrancisco@gmail.com", "cloudysanfrancisco@gmail.com"),
        (sha("x").upper(), None),
    ],
)
@pytest.mark.parametrize(("config", "name"), [({}, "emailAddress"), (UPLOAD, "hashedEmail")])
def test_emails(email: str, normal: str | None, config: dict[str, str], name: str) -> None:
    made = sent(config=config, email=email)
    (found,) = made.get("userIdentifiers") or made["userData"]["userIdentifiers"]
    assert found[name] == (sha("x") if normal is None else sha(normal))


def test_names_keep_inner_spaces_and_lose_titles() -> None:
    made = sent(first_name="Dr. Ana María", last_name="García-López Jr.", zip="28001", country="es")
    assert made["userData"]["userIdentifiers"] == [
        {"address": {"givenName": sha("ana maría"), "familyName": sha("garcíalópez"), "regionCode": "ES",
                     "postalCode": "28001"}},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("phone", "country", "normal"),
    [("(650) 555-1212", "US", "+16505551212"), ("+44 20 7946 0958", None, "+442079460958"),
     ("030 901820", "de", "+4930901820"), ("0049 30 901820", None, "+4930901820")],
)  # fmt: skip
def test_phones(phone: str, country: str | None, normal: str) -> None:
    (found,) = sent(phone=phone, country=country)["userData"]["userIdentifiers"]
    assert found == {"phoneNumber": sha(normal)}


def test_a_country_code_is_never_guessed() -> None:
    assert skipped(phone="(650) 555-1212") == "no_identity"


def test_an_address_needs_all_four_parts() -> None:
    address: dict[str, Any] = {"first_name": "Mary Ann", "last_name": "O'Byron", "country": "Germany", "zip": " 10115 "}
    (found,) = sent(**address)["userData"]["userIdentifiers"]
    assert found == {
        "address": {
            "givenName": sha("mary ann"), "familyName": sha("obyron"), "regionCode": "DE", "postalCode": "10115",
        }
    }  # fmt: skip
    for name in address:
        assert skipped(**{key: value for key, value in address.items() if key != name}) == "no_identity"
    assert skipped(UPLOAD, **address) == "no_identity", "a conversion takes no addresses there"


@pytest.mark.parametrize(
    ("click_ids", "page_url", "found", "uploaded"),
    [
        ({"gclid": "Ab-C"}, None, {"gclid": "Ab-C"}, {"gclid": "Ab-C"}),
        ({}, "https://x.example/?a=1&gclid=EAI_q#x", {"gclid": "EAI_q"}, {"gclid": "EAI_q"}),
        ({"gclid": "one"}, "https://x.example/?gclid=two", {"gclid": "one"}, {"gclid": "one"}),
        ({"gbraid": "g", "wbraid": "w"}, None, {"gbraid": "g", "wbraid": "w"}, {"wbraid": "w"}),
        ({"gclid": "c", "gbraid": "g"}, None, {"gclid": "c", "gbraid": "g"}, {"gclid": "c"}),
        ({}, "https://x.example/?gbraid=g", {"gbraid": "g"}, {"gbraid": "g"}),
    ],
)
def test_click_ids(click_ids: Any, page_url: str | None, found: Any, uploaded: Any) -> None:
    assert sent(click_ids=click_ids, page_url=page_url)["adIdentifiers"] == found
    made = sent(config=UPLOAD, click_ids=click_ids, page_url=page_url)
    assert {name: made[name] for name in ("gclid", "gbraid", "wbraid") if name in made} == uploaded


@pytest.mark.parametrize(
    "fields",
    [{}, {"external_id": "u"}, {"anonymous_id": "a"}, {"email": "none"}, {"email": "a b@c.co"}, {"first_name": "Ada"},
     {"client_ip": "203.0.113.7", "user_agent": "x"}, {"page_url": "https://x.example/?utm_source=google"}],
)  # fmt: skip
@pytest.mark.parametrize("config", [{}, UPLOAD], ids=str)
def test_too_little_identity_is_refused_aloud(fields: dict[str, Any], config: dict[str, str]) -> None:
    assert skipped(config, **fields) == "no_identity"


@pytest.mark.parametrize(
    ("value", "currency", "found"),
    [(49.0, "USD", (49.0, "USD")), (0.0, "EUR", (0.0, "EUR")), (-1.0, "USD", None), (5.0, None, None),
     (None, "USD", None), (float("inf"), "USD", None), (float("nan"), "USD", None)],
)  # fmt: skip
def test_value_and_currency_both_or_neither(value: Any, currency: Any, found: Any) -> None:
    made = sent("Purchase", email="a@b.co", value=value, currency=currency)
    assert (made.get("conversionValue"), made.get("currency")) == (found or (None, None))
    made = sent("Purchase", UPLOAD, email="a@b.co", value=value, currency=currency)
    assert (made.get("conversionValue"), made.get("currencyCode")) == (found or (None, None))


@pytest.mark.parametrize(
    ("fields", "transaction", "order"),
    [
        ({"transaction_id": "t", "order_id": "o"}, "t", "o"), ({"order_id": "o"}, "o", "o"),
        ({"transaction_id": "t"}, "t", "t"), ({}, "evt-1", "evt-1"),
        ({"order_id": "ada@example.com"}, sha("ada@example.com"), sha("ada@example.com")),
        ({"order_id": "é" * 600}, sha("é" * 600), sha("é" * 600)),
    ],
)  # fmt: skip
def test_what_a_repetition_is_known_by(fields: dict[str, Any], transaction: str, order: str) -> None:
    assert sent(email="a@b.co", **fields)["transactionId"] == transaction
    assert sent(config=UPLOAD, email="a@b.co", **fields)["orderId"] == order


@pytest.mark.parametrize(
    ("consent", "defaults", "found", "uploaded"),
    [
        ({}, ("unspecified", "unspecified"), None, None),
        ({}, ("granted", "denied"), ("CONSENT_GRANTED", "CONSENT_DENIED"), "GRANTED"),
        ({}, ("", "granted"), (None, "CONSENT_GRANTED"), None),
        ({"marketing": True}, ("denied", "denied"), ("CONSENT_GRANTED", "CONSENT_GRANTED"), "GRANTED"),
        ({"marketing": False}, ("granted", "granted"), ("CONSENT_DENIED", "CONSENT_DENIED"), "DENIED"),
        ({"analytics": False}, ("granted", ""), ("CONSENT_GRANTED", None), "GRANTED"),
    ],
)
def test_consent(consent: Any, defaults: tuple[str, str], found: Any, uploaded: Any) -> None:
    config = dict(zip(("ad_user_data_default", "ad_personalization_default"), defaults, strict=True))
    made = sent(config=config, email="a@b.co", consent=consent).get("consent")
    assert (made and (made.get("adUserData"), made.get("adPersonalization"))) == found
    # Personalization is for other services of the Google Ads API.
    made = sent(config=config | UPLOAD, email="a@b.co", consent=consent).get("consent")
    assert made == (uploaded and {"adUserData": uploaded})


@pytest.mark.parametrize(
    ("country", "setting", "is_sent"),
    [("US", "known", True), ("Germany", "known", False), ("GB", "unknown", False), ("ch", "unknown", False),
     (None, "known", False), (None, "unknown", True), ("US", "never", False), ("", "", False)],
)  # fmt: skip
def test_addresses_of_europe_stay_at_home(country: str | None, setting: str, is_sent: bool) -> None:
    fields: dict[str, Any] = {
        "email": "a@b.co",
        "client_ip": "2001:db8::1",
        "user_agent": "Mozilla/5.0",
        "country": country,
    }
    device = sent(config={"ip_addresses": setting}, **fields)["eventDeviceInfo"]
    assert device == {"userAgent": "Mozilla/5.0"} | ({"ipAddress": "2001:db8::1"} if is_sent else {})
    assert "2001:db8" not in json.dumps(sent(config=UPLOAD, **fields)), "allow-listed accounts only"


def test_the_event_source() -> None:
    assert sent(email="a@b.co")["eventSource"] == "WEB"
    assert sent(config={"default_event_source": "PHONE"}, email="a@b.co")["eventSource"] == "PHONE"
    made = sent(config={"default_event_source": "PHONE"}, email="a@b.co", page_url="https://x.example/")
    assert made["eventSource"] == "WEB"


@pytest.mark.parametrize(
    ("fields", "cart", "uploaded"),
    [
        ({"content_ids": ["a", "b"]},
         [{"merchantProductId": "a", "itemId": "a"}, {"merchantProductId": "b", "itemId": "b"}],
         [{"productId": "a"}, {"productId": "b"}]),
        ({"content_id": "a", "num_items": 3}, [{"merchantProductId": "a", "itemId": "a", "quantity": "3"}],
         [{"productId": "a", "quantity": 3}]),
        ({"content_ids": ["x"], "properties": {"items": [
            {"item_id": "a", "price": 9.5, "quantity": 2, "email": "a@b.co"}, {"name": "b"}, None]}},
         [{"merchantProductId": "a", "itemId": "a", "quantity": "2", "unitPrice": 9.5}],
         [{"productId": "a", "quantity": 2, "unitPrice": 9.5}]),
        ({"properties": {"products": [{"product_id": 7, "price": -1, "quantity": True}]}},
         [{"merchantProductId": "7", "itemId": "7"}], [{"productId": "7"}]),
        ({"content_ids": ["a"], "click_ids": {"wbraid": "w"}}, None, None),
        ({"properties": {"items": "x"}}, None, None),
    ],
)  # fmt: skip
def test_the_cart(fields: dict[str, Any], cart: Any, uploaded: Any) -> None:
    assert sent("Purchase", email="a@b.co", **fields).get("cartData") == (cart and {"items": cart})
    assert sent("Purchase", UPLOAD, email="a@b.co", **fields).get("cartData") == (uploaded and {"items": uploaded})
    assert "cartData" not in sent("PageView", email="a@b.co", **fields)


# --- Overrides ----------------------------------------------------------------------------------------
def overridden(config: dict[str, str] | None = None, **params: Any) -> dict[str, Any]:
    return sent(config=config, email="a@b.co", country="US", platform_params={"google_ads": params})


def test_overrides_merge_and_are_hashed() -> None:
    identifiers = [
        {"emailAddress": " Ada.L@Gmail.com"}, {"phoneNumber": "(415) 555-2671"}, {"emailAddress": ""}, "x",
        {"address": {"givenName": "Ada", "familyName": sha("b").upper(), "regionCode": "US", "postalCode": "94103"}},
    ]  # fmt: skip
    made = overridden(
        userData={"userIdentifiers": identifiers}, adIdentifiers={"sessionAttributes": "abc"}, conversionCount=2,
        destinationReferences=["other"],
    )  # fmt: skip
    assert made["userData"]["userIdentifiers"] == [
        {"emailAddress": sha("adal@gmail.com")}, {"phoneNumber": sha("+14155552671")},
        {"address": {"givenName": sha("ada"), "familyName": sha("b"), "regionCode": "US", "postalCode": "94103"}},
    ]  # fmt: skip
    assert made["adIdentifiers"] == {"sessionAttributes": "abc"}
    assert made["conversionCount"] == 2
    assert "destinationReferences" not in made


def test_overrides_of_an_upload() -> None:
    made = overridden(
        UPLOAD, userIdentifiers=[{"hashedEmail": "Ada@Example.com", "userIdentifierSource": "FIRST_PARTY"}],
        customerType="NEW",
    )  # fmt: skip
    assert made["userIdentifiers"] == [{"hashedEmail": sha("ada@example.com"), "userIdentifierSource": "FIRST_PARTY"}]
    assert made["customerType"] == "NEW"


@pytest.mark.parametrize(
    ("config", "params", "reason"),
    [
        ({}, {"userData": "x"}, "invalid"), ({}, {"userData": {"userIdentifiers": {}}}, "invalid"),
        ({}, {"adIdentifiers": []}, "invalid"), (UPLOAD, {"userIdentifiers": "x"}, "invalid"),
        ({}, {"userData": {"userIdentifiers": [{"emailAddress": None}]}}, "no_identity"),
        (UPLOAD, {"userIdentifiers": []}, "no_identity"),
    ],
)  # fmt: skip
def test_overrides_that_break_the_shape_are_refused_aloud(config: Any, params: Any, reason: str) -> None:
    assert skipped(config, email="a@b.co", platform_params={"google_ads": params}) == reason


NASTY = ["", " ", "😀" * 40, "a" * 10_000, "\u0000", "'; --", "<b>", "é́", "\u202e", "@", "a@", "1e309"]


@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
@pytest.mark.parametrize("config", [{}, UPLOAD], ids=str)
def test_nasty_texts_are_carried_or_refused(text: str, config: dict[str, str]) -> None:
    names = ("email", "phone", "first_name", "last_name", "country", "zip", "order_id", "page_url", "user_agent",
             "client_ip", "content_id", "currency")  # fmt: skip
    fields: dict[str, Any] = dict.fromkeys(names, text) | {"value": 1e308 * 10, "click_ids": {"gclid": text}}
    one = item("Purchase", ADS, **fields)
    built = ADS.build([one, item("SignUp", ADS, key=2, **PERSON)], CONFIG["google_ads"] | config, NOW)
    assert len(built.requests) == 1
    assert len(built.requests[0].items) + len(built.skipped) == 2
    body(built.requests[0])


# --- Tokens -------------------------------------------------------------------------------------------
def test_a_refresh_token_is_exchanged() -> None:
    request = ADS.oauth.request(CONFIG["google_ads"], NOW)
    assert request is not None
    assert (request.method, request.url) == ("POST", "https://oauth2.googleapis.com/token")
    assert request.headers == {"Content-Type": "application/x-www-form-urlencoded"}
    assert {name: value[0] for name, value in parse_qs(request.body.decode()).items()} == {
        "grant_type": "refresh_token",
        "client_id": CONFIG["google_ads"]["oauth_client_id"],
        "client_secret": CONFIG["google_ads"]["oauth_client_secret"],
        "refresh_token": CONFIG["google_ads"]["refresh_token"],
    }


@pytest.mark.parametrize(("api", "scope"), [("data_manager", "datamanager adwords"), ("google_ads", "adwords"),
                                            ("", "datamanager adwords")])  # fmt: skip
def test_a_service_account_signs_for_its_token(api: str, scope: str) -> None:
    config = CONFIG["google_ads"] | {"service_account_json": SERVICE_ACCOUNT, "api": api}
    request = ADS.oauth.request(config, NOW)
    assert request is not None
    assert request == ADS.oauth.request(config, NOW), "the same on every call"
    form = {name: value[0] for name, value in parse_qs(request.body.decode()).items()}
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    claims = jwt.decode(form["assertion"], options={"verify_signature": False})
    issued = NOW_MS // 1000
    assert claims == {
        "iss": "trackstack@acme-analytics-1042.iam.gserviceaccount.com",
        "scope": " ".join(f"https://www.googleapis.com/auth/{name}" for name in scope.split()),
        "aud": "https://oauth2.googleapis.com/token",
        "iat": issued,
        "exp": issued + 3600,
    }


def test_no_credentials_are_no_request_and_a_broken_key_does_not_raise() -> None:
    assert ADS.oauth.request({}, NOW) is None
    request = ADS.oauth.request({"service_account_json": "{}"}, NOW)
    assert request is not None
    assert parse_qs(request.body.decode(), keep_blank_values=True)["assertion"] == [""]


@pytest.mark.parametrize(
    ("status", "answer", "expected"),
    [
        (200, {"access_token": "ya29.x", "expires_in": 3599}, Token(access_token="ya29.x", expires_in=3599.0)),
        (200, {"access_token": "ya29.x"}, Token(access_token="ya29.x")),
        (200, b"<html>", Result.RETRY), (200, {"access_token": ""}, Result.RETRY), (302, b"", Result.RETRY),
        (400, {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}, Result.CONFIG),
        (401, {"error": "invalid_client"}, Result.CONFIG), (400, b"x", Result.CONFIG),
        (500, b"", Result.RETRY), (503, {"error": "x"}, Result.RETRY), (429, b"", Result.RETRY),
    ],
)  # fmt: skip
def test_what_the_token_endpoint_says(status: int, answer: Any, expected: Any) -> None:
    raw = answer if isinstance(answer, bytes) else msgspec.json.encode(answer)
    found = ADS.oauth.read(Response(status=status, headers={"retry-after": "7"}, body=raw))
    if isinstance(expected, Token):
        assert found == expected
        return
    assert isinstance(found, Outcome)
    assert found.result == expected
    assert found.after == (7.0 if expected == Result.RETRY else None)
    if expected == Result.CONFIG:
        assert found.detail.endswith(".")
