"""Normalisation and hashing against the vendors' own examples, and against `phonenumbers` where we take a short cut."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from destinations.platforms import identity
from destinations.platforms._names import NAMES, snake
from events.payload import Payload

HASHER = {
    "email": identity.email,
    "digits": identity.phone_digits,
    "e164": identity.phone_e164,
    "name": identity.name,
    "city": identity.city,
    "state": identity.state,
    "country": identity.country,
}

# (rule, what was sent, region or country, hash as the vendor prints it)
VENDOR_VECTORS = [
    ("email", "John_Smith@gmail.com", "", "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"),
    ("digits", "(650)555-1212", "US", "e323ec626319ca94ee8bff2e4c87cf613be6ea19919ed1364124e16807ab3176"),
    ("e164", "(650) 555-1212", "US", "1e231c66011e7a2d867a9cfae267a6aff103cf4913640b6e71a99850fc0ffbc8"),
    ("name", "Mary", "", "6915771be1c5aa0c886870b6951b03d7eafc121fea0e80a5ea83beb7c449f4ec"),
    ("name", "정", "", "8fa8cd9c440be61d0151429310034083132b35975c4bea67fdd74158eb51db14"),
    ("name", "Valéry", "", "08e1996b5dd49e62a4b4c010d44e4345592a863bb9f8e3976219bac29417149c"),
    ("country", "United States", "", "79adb2a2fce5c6ba215fe5f27f532d4e7edbac4b6a5e09e1ef3a08084a904621"),
    ("email", " test-email@test.com ", "", "e586883b2b4faf78d48300a79e0e15138d664cdf796ffb86e533170a9893eda8"),
    ("email", "test@x.com", "", "5806dc6b2f04fb728708a8f7b81c14edcd4fba36f77914cf0c9368d9a3a25f76"),
    ("email", "Person@Example.com", "", "542d240129883c019e106e3b1b2d3f3cb3537c43c425364de8e951d5a3083345"),
    ("digits", "+44 844 412 4653", "", "dc008fda46e2e64002cf2f82a4906236282d431c4f75e5b60bfe79fc48546383"),
    ("email", "jane@example.com", "", "8c87b489ce35cf2e2f39f80e282cb2e804932a56a213983eeeb428407d43b52d"),
    ("digits", "+1 (415) 555-2671", "", "758fbf68945f21c416814c539ab578876c8d98fb69e6da692def92cd52417fe0"),
    ("e164", "+1 (415) 555-2671", "", "cb6880e416769253645cb9c6b8989154bf66a56a77fc14c81fb1019663cbb928"),
    ("state", "California", "us", "6959097001d10501ac7d54c0bdb8db61420f658f2922cc26e46d536119a31126"),
    ("name", "John", "", "96d9632f363564cc3032521409cf22a852f2032eec099ed5967c0d000cec607a"),
    ("city", "Menlo Park", "", "0007a3d64c01e23d5075203c5977c14e4f7e01a3fc570686fcc50b5e1dd42685"),
]


@pytest.mark.parametrize(("rule", "sent", "where", "expected"), VENDOR_VECTORS)
def test_vendor_vectors(rule: str, sent: str, where: str, expected: str) -> None:
    normalise = HASHER[rule]
    normal = normalise(sent, where) if rule in ("digits", "e164", "state") else normalise(sent)
    assert identity.hashed(normal) == expected


def test_plus_number_as_a_plain_hash_vector() -> None:
    expected = "1fa6b8d986d9b9cd01bf36951815158bbde9f520c0567c835dfe34783d0a4231"
    assert identity.hashed("+11234567890") == expected


def test_email_variants_differ_by_vendor() -> None:
    sent = " Jane.Doe+promo@Example.COM "
    assert identity.email(sent) == "jane.doe+promo@example.com"
    assert identity.email_without_gmail_dots(sent) == "jane.doe+promo@example.com"
    assert identity.email_without_gmail_dots("Jane.D.Oe+x@GoogleMail.com") == "janedoe+x@googlemail.com"
    assert identity.email_without_gmail_dots_and_tag(sent) == "jane.doe+promo@example.com"
    assert identity.email_without_gmail_dots_and_tag("+@gmail.com") == ""
    assert identity.email_without_dots_and_tag(sent) == "janedoe@example.com"
    assert (
        identity.hashed(identity.email_without_dots_and_tag(sent))
        == "c4d25e9c90ff23e9145397bc6fbd5385ca5fbe78211222ccbecd0b369ebb19a6"
    )
    assert identity.email_alphanumeric("Al.ice$+Apple@Example.Com") == "alice@example.com"
    assert identity.hashed("alice@example.com") == "ff8d9819fc0e12bf0d24892e45987e249a28dce836a85cad60e28eaaa8c6d976"
    assert identity.email_without_spaces(" ada @ exam ple.com") == "ada@example.com"


def test_google_drops_the_tag_of_gmail_addresses() -> None:
    """The two examples of "Format user data" of the Data Manager API."""
    normalise = identity.email_without_gmail_dots_and_tag
    assert normalise("cloudy.sanfrancisco+shopping@gmail.com") == "cloudysanfrancisco@gmail.com"
    assert normalise("user.name+NYC@Example.com") == "user.name+nyc@example.com"


def test_google_takes_names_without_titles_and_with_inner_spaces() -> None:
    assert identity.given_name("Mrs. Ada María") == "ada maría"
    assert identity.given_name("Drew") == "drew"
    assert identity.family_name("García Márquez") == "garcía márquez"
    assert identity.family_name("O'Neill, Jr., DDS") == "oneill"
    assert identity.family_name("King III") == "king"


@pytest.mark.parametrize("sent", ["", "   ", "n/a", "none", "a b@c.d", "@example.com", "ada@", "a@b@c"])
def test_what_is_no_address_is_dropped(sent: str) -> None:
    assert identity.email(sent) == ""


@pytest.mark.parametrize("length", [63, 65])
def test_only_a_whole_hash_counts_as_hashed(length: int) -> None:
    assert not identity.is_hashed("a" * length)
    assert not identity.is_hashed("a" * 64 + "\n")
    assert identity.hashed("a" * length) != "a" * length


@pytest.mark.parametrize(
    "normalise",
    [
        identity.email,
        identity.email_without_spaces,
        identity.email_without_gmail_dots,
        identity.email_without_gmail_dots_and_tag,
        identity.email_without_dots_and_tag,
        identity.email_alphanumeric,
        identity.phone_e164,
        identity.phone_digits,
        identity.name,
        identity.name_compact,
        identity.given_name,
        identity.family_name,
        identity.city,
        identity.state,
        identity.postal_code,
        identity.postal_code_compact,
        identity.country,
        identity.identifier,
    ],
)
def test_a_hash_passes_every_normaliser_in_lower_case(normalise: object) -> None:
    sent = hashlib.sha256(b"ada@example.com").hexdigest()
    assert callable(normalise)
    assert identity.hashed(normalise(f" {sent.upper()} ")) == sent


def test_nothing_empty_is_hashed() -> None:
    assert identity.hashed("") == identity.hashed("  ") == ""
    assert identity.name("!?") == identity.city("12 345") == identity.country("Atlantis") == ""


@pytest.mark.parametrize(
    ("sent", "region", "expected"),
    [
        ("+16505551212", "", "+16505551212"),
        ("16505551212", "US", "+16505551212"),
        ("16505551212", "", ""),
        ("650-555-1212", "", ""),
        ("+44 (0)7911 123456", "", "+447911123456"),
        ("07911 123456", "GB", "+447911123456"),
        ("0044 7911 123456", "", "+447911123456"),
        ("0044 7911 123456", "US", "+447911123456"),
        ("06 12 34 56 78", "FR", "+33612345678"),
        ("+39 06 1234567", "", "+39061234567"),
        ("+1 415 555 2671 ext. 5", "", "+14155552671"),
        ("＋１４１５５５５２６７１", "", "+14155552671"),
        ("+999 12345678", "", ""),
        ("+1 555", "", ""),
        ("call me", "US", ""),
        ("5" * 10_000, "US", ""),
    ],
)
def test_phone(sent: str, region: str, expected: str) -> None:
    assert identity.phone_e164(sent, region) == expected
    assert identity.phone_digits(sent, region) == expected.removeprefix("+")


@given(st.from_regex(r"\+[0-9]{7,15}", fullmatch=True))
def test_the_short_cut_for_international_numbers_says_what_the_library_says(sent: str) -> None:
    try:
        number = phonenumbers.parse(sent, None)
        reason = phonenumbers.is_possible_number_with_reason(number)
        is_possible = reason == phonenumbers.ValidationResult.IS_POSSIBLE
        expected = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164) if is_possible else ""
    except phonenumbers.NumberParseException:
        expected = ""
    if not sent.startswith("+00"):
        assert identity.phone_e164(sent) == expected


@pytest.mark.parametrize(
    ("sent", "country", "expected"),
    [
        ("New York", "us", "ny"),
        ("ny", "us", "ny"),
        ("US-TX", "us", "tx"),
        ("georgia", "", "ga"),
        ("Georgia", "ge", "georgia"),
        ("Île-de-France", "fr", "îledefrance"),
        ("N.S.W.", "au", "nsw"),
    ],
)
def test_state(sent: str, country: str, expected: str) -> None:
    assert identity.state(sent, country) == expected


@pytest.mark.parametrize(
    ("sent", "country", "expected"),
    [
        ("94035-1234", "us", "94035"),
        ("940351234", "us", "94035"),
        (" M1 1AE ", "gb", "m11ae"),
        ("75018", "fr", "75018"),
        ("1987", "au", "1987"),
    ],
)
def test_postal_code(sent: str, country: str, expected: str) -> None:
    assert identity.postal_code(sent, country) == expected


def test_postal_code_compact_keeps_what_is_after_the_dash() -> None:
    assert identity.postal_code_compact("00-950") == "00950"


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("US", "us"), ("usa", "us"), ("U.S.A.", "us"), ("United States of America", "us"), ("uk", "gb"),
        ("Great Britain", "gb"), ("DEU", "de"), ("Germany", "de"), ("Côte d'Ivoire", "ci"), ("ivory coast", "ci"),
        ("Türkiye", "tr"), ("South Korea", "kr"), ("xx", ""), ("", ""),
    ],
)  # fmt: skip
def test_country(sent: str, expected: str) -> None:
    assert identity.country(sent) == expected


def test_every_country_and_state_is_known_by_code_and_name() -> None:
    assert len({identity.country(code) for code in identity._countries()}) == 249
    assert all(len(code) == 2 for code in identity._countries().values())
    assert len(set(identity._states().values())) == 56  # 50 states, DC, 5 territories


@pytest.mark.parametrize(
    ("sent", "expected"),
    [("O'Brien-Smith ", "obriensmith"), ("Mary  Ann", "mary  ann"), ("नरेन्द्र", "नरेन्द्र"), ("Ada 😀", "ada")],
)
def test_name_keeps_letters_of_every_script(sent: str, expected: str) -> None:
    assert identity.name(sent) == expected


def test_composed_and_decomposed_accents_give_one_hash() -> None:
    assert identity.hashed(identity.name("Jos\u00e9")) == identity.hashed(identity.name("Jose\u0301"))


def test_lower_not_casefold() -> None:
    assert identity.name("Strauß") == "strauß"


def test_short_keys_leaves_out_what_is_unusable() -> None:
    found = identity.short_keys(Payload(email="none", phone="555", country="Atlantis", city="!", first_name="Ada"))
    assert found == {"fn": [identity.hashed("ada")]}


def test_short_keys_reads_a_national_number_by_the_country_of_the_event() -> None:
    found = identity.short_keys(Payload(phone="06 12 34 56 78", country="France"))
    assert found["ph"] == [identity.hashed("33612345678")]


def test_short_keys_sends_both_ids_once() -> None:
    assert len(identity.short_keys(Payload(external_id="u1", anonymous_id="a1"))["external_id"]) == 2
    assert len(identity.short_keys(Payload(external_id="u1", anonymous_id="u1"))["external_id"]) == 1


def test_protected_hashes_what_an_override_wrote_in_plain() -> None:
    hashed = identity.hashed("ada@example.com")
    safe = identity.protected({"em": " Ada@Example.com", "ph": ["+14155552671", hashed], "fbp": "fb.1.2.3", "ct": {}})
    assert safe == {"em": hashed, "ph": [identity.hashed("14155552671"), hashed], "fbp": "fb.1.2.3"}


@given(st.text())
def test_no_text_breaks_a_normaliser(text: str) -> None:
    for normalise in identity.SHORT_KEYS.values():
        normal = normalise(text)
        assert normalise(normal) in (normal, "") or normalise is identity.state
        assert len(identity.hashed(normal)) in (0, 64)


def test_the_names_are_those_of_the_taxonomy() -> None:
    path = Path(__file__).resolve().parents[3] / "events" / "data" / "taxonomy.csv"
    with path.open(encoding="utf-8", newline="") as lines:
        assert tuple(row["name"] for row in csv.DictReader(lines)) == NAMES


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("SignUp", "sign_up"), ("SSOLogin", "sso_login"), ("TopUpPurchased", "top_up_purchased"),
        ("HubSpotConnected", "hubspot_connected"), ("ApiKeyCreated", "api_key_created"),
    ],
)  # fmt: skip
def test_snake(name: str, expected: str) -> None:
    assert snake(name) == expected
