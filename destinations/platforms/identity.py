"""Identity as the platforms match it: normalisers, and SHA-256 over what they return. Pure.

Every vendor hashes the same way (SHA-256 of the UTF-8 text, lower-case hex, no salt) and normalises its own way, so the
functions are named by rule, and an adapter picks the ones its vendor documents. All of them

- take the text as the contract left it and return the normal form, or "" when nothing usable is left;
- pass a value that is hashed already (64 hex digits) through, lower-cased, so nothing is ever hashed twice;
- lower-case with `str.lower` as the vendors' SDKs do (`casefold` would turn "ß" into "ss"), after Unicode NFC, so that
  "é" typed as one character and as two give one hash.

One hash never serves two platforms: a phone number is hashed with "+" here and without it there.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from hashlib import sha256
from typing import Any

import phonenumbers

from destinations.platforms._countries import COUNTRIES, OTHER_NAMES, US_STATES
from events.payload import Payload

_HEX = re.compile(r"[0-9a-fA-F]{64}")
_SMALL = 4096
_LARGE = 16384
"""Entries of the memos: names and places repeat; addresses and numbers repeat while one event fans out."""


# --- Hashing --------------------------------------------------------------------------------------
def sha256_hex(text: str) -> str:
    """Lower-case hex SHA-256 of the UTF-8 text."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def is_hashed(text: str) -> bool:
    """Whether the whole of `text` is a SHA-256 in hex (an e-mail address may well contain one)."""
    return len(text) == 64 and _HEX.fullmatch(text) is not None


def hashed(normal: str) -> str:
    """The hash of a normalised value; a hash is passed through in lower case, "" stays "" and is never hashed."""
    text = normal.strip()
    if not text:
        return ""
    return text.lower() if is_hashed(text) else sha256_hex(text)


# --- Text -----------------------------------------------------------------------------------------
class _Without(dict[int, int | None]):
    """A table for `str.translate` that drops the characters of some Unicode categories and learns as it is used."""

    def __init__(self, categories: str) -> None:
        super().__init__()
        self.categories = categories

    def __missing__(self, point: int) -> int | None:
        kept = None if unicodedata.category(chr(point))[0] in self.categories else point
        self[point] = kept
        return kept


# Letters (L), marks (M: the vowel signs of many scripts), digits (N) stay; punctuation, symbols, controls, spaces go.
_NO_PUNCTUATION = _Without("PSC")
_NO_PUNCTUATION_NO_SPACE = _Without("PSCZ")
_LETTERS_ONLY = _Without("PSCZN")


def _lower(text: str) -> str:
    text = text.strip()
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    return text.lower()


def _nfc(text: str) -> str:
    """NFC again after characters were dropped: what stood apart may compose once what was between is gone."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _drop(text: str, table: _Without) -> str:
    return _nfc(text.translate(table))


def identifier(text: str) -> str:
    """An id of the sender's own: trimmed, its case kept. Source: Meta "external_id", TikTok "external_id"."""
    return text.strip().lower() if is_hashed(text.strip()) else text.strip()


# --- E-mail ---------------------------------------------------------------------------------------
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+")
_GMAIL = ("gmail.com", "googlemail.com")


def email(text: str) -> str:
    """Trimmed, lower case, nothing else. "" for what is no address: its hash matches nobody but passes for identity.

    Source: Meta, Customer Information Parameters, `em`; the same at TikTok, X, Pinterest and Snapchat.
    """
    normal = _lower(text)
    return normal if _EMAIL.fullmatch(normal) or is_hashed(normal) else ""


def email_without_spaces(text: str) -> str:
    """Lower case, all white space removed. Source: LinkedIn, Conversions API schema, SHA256_EMAIL."""
    return email("".join(text.split()))


def email_without_gmail_dots(text: str) -> str:
    """As `email`; gmail.com and googlemail.com lose the dots of the local part, a plus suffix stays.

    Source: Google Analytics, "Send user-provided data with the Measurement Protocol".
    """
    normal = email(text)
    local, _, domain = normal.partition("@")
    return f"{local.replace('.', '')}@{domain}" if domain in _GMAIL else normal


def email_without_gmail_dots_and_tag(text: str) -> str:
    """As `email`; gmail.com and googlemail.com lose the dots and the plus suffix of the local part.

    Source: Google, Data Manager API, "Format user data" (2026): `cloudy.sanfrancisco+shopping@gmail.com` is
    `cloudysanfrancisco@gmail.com`, and no other domain is touched; its client libraries since 2026.
    """
    normal = email(text)
    local, _, domain = normal.partition("@")
    if domain not in _GMAIL:
        return normal
    local = local.split("+", 1)[0].replace(".", "")
    return f"{local}@{domain}" if local else ""


def email_without_dots_and_tag(text: str) -> str:
    """As `email`, without dots and without a plus suffix in the local part, for every domain.

    Source: Microsoft Advertising, UET Conversions API, `em`.
    """
    normal = email(text)
    local, at, domain = normal.partition("@")
    local = local.split("+", 1)[0].replace(".", "")
    return f"{local}@{domain}" if at and local else (normal if not at else "")


def email_alphanumeric(text: str) -> str:
    """As `email`, cut at the first plus, then only letters and digits in the local part, for every domain.

    Source: Reddit, Conversions API, "match keys".
    """
    normal = email(text)
    local, at, domain = normal.partition("@")
    local = "".join(filter(str.isalnum, local.split("+", 1)[0]))
    return f"{local}@{domain}" if at and local else (normal if not at else "")


# --- Phone ----------------------------------------------------------------------------------------
_SEPARATORS = dict.fromkeys(map(ord, " \t-.()\u00a0"))
_INTERNATIONAL = re.compile(r"\+[1-9][0-9]{6,14}")


@lru_cache(maxsize=_LARGE)
def phone_e164(text: str, region: str = "") -> str:
    """E.164 with "+". A national number is read by `region` (ISO alpha-2); without it only + or 00 numbers parse.

    A country code is never guessed: the hash of a wrong number matches a stranger or nobody. Numbers of a length
    that the country does not have are dropped. Source: Google "Format user data", TikTok `phone`, Reddit, X.
    """
    if is_hashed(text.strip()):
        return text.strip().lower()
    compact = text.translate(_SEPARATORS)
    if compact.startswith("00"):
        # The international prefix of most of the world (ITU-T E.164); no national number begins with two zeros.
        compact = text = "+" + compact[2:]
    if _INTERNATIONAL.fullmatch(compact):
        code, national = _split(compact)
        lengths, trunk = _plan(code)
        if trunk is None or not trunk.match(national):
            # Nothing for the library to strip, so it would return the number as it stands; this is 20 times faster.
            return compact if len(national) in lengths else ""
    try:
        number = phonenumbers.parse(text, region or None)
    except phonenumbers.NumberParseException:
        return ""
    possible = phonenumbers.is_possible_number_with_reason(number) == phonenumbers.ValidationResult.IS_POSSIBLE
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164) if possible else ""


def phone_digits(text: str, region: str = "") -> str:
    """As `phone_e164`, without the "+". Source: Meta `ph`, Pinterest `ph`, Snapchat `ph`."""
    return phone_e164(text, region).removeprefix("+")


def _split(number: str) -> tuple[int, str]:
    """Country calling code (0 when there is none such) and the digits after it."""
    for end in (2, 3, 4):
        code = int(number[1:end])
        if code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
            return code, number[end:]
    return 0, number[1:]


@cache
def _plan(code: int) -> tuple[frozenset[int], re.Pattern[str] | None]:
    """Of a country calling code: possible lengths of a national number, and what it strips from the front of one."""
    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(code)
    if not regions:
        return frozenset(), None
    plan = phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(code, regions[0])
    if plan is None or plan.general_desc is None:
        return frozenset(), None
    trunk = plan.national_prefix_for_parsing
    return frozenset(plan.general_desc.possible_length), re.compile(trunk) if trunk else None


# --- Names and places -----------------------------------------------------------------------------
@lru_cache(maxsize=_LARGE)
def name(text: str) -> str:
    """Lower case without punctuation; accents and other scripts stay. Source: Meta `fn`, `ln`."""
    return _drop(_lower(text), _NO_PUNCTUATION).strip()


@lru_cache(maxsize=_LARGE)
def name_compact(text: str) -> str:
    """As `name`, without white space. Source: TikTok's Segment destination, `first_name`; Snapchat `fn`."""
    return _drop(_lower(text), _NO_PUNCTUATION_NO_SPACE)


_TITLES = re.compile(r"(?:(?:mr|mrs|ms|dr)\.(?:\s+|$))+")
_SUFFIXES = re.compile(r"(?:(?:,\s*|\s+)(?:[js]r\.?|2nd|3rd|ii|iii|iv|v|vi|cpa|dc|dds|vm|jd|md|phd))+$")


def given_name(text: str) -> str:
    """As `name`, without "Mrs." and the like; inner spaces stay.

    Source: Google, Data Manager API, AddressInfo ("no punctuation, no leading or trailing whitespace") and "Format user
    data" ("Don't include prefixes such as Mrs."); its Java library for the list. Older ones took inner spaces out.
    """
    normal = _lower(text)
    return name(normal[found.end() :] if (found := _TITLES.match(normal)) else normal)


def family_name(text: str) -> str:
    """As `name`, without "Jr." and the like; inner spaces stay. Source: as `given_name`."""
    return name(_SUFFIXES.sub("", _lower(text)))


@lru_cache(maxsize=_SMALL)
def city(text: str) -> str:
    """Lower case letters only: no punctuation, digits or spaces ("New York" is `newyork`).

    Source: Meta `ct`, and its business SDK for the digits; Pinterest `ct`; Snapchat `ct`.
    """
    normal = _lower(text)
    return normal if is_hashed(normal) else _drop(normal, _LETTERS_ONLY)


@lru_cache(maxsize=_SMALL)
def state(text: str, country_code: str = "") -> str:
    """US: two letters, also from the full name or `US-CA`. Elsewhere: lower case, no punctuation or spaces.

    country_code: ISO alpha-2 in lower case; "" when unknown, then a US name is still taken for one.
    Source: Meta `st`; Pinterest `st`; Snapchat `st`.
    """
    normal = _lower(text)
    if is_hashed(normal):
        return normal
    if country_code not in ("", "us"):
        return _drop(normal, _NO_PUNCTUATION_NO_SPACE)
    normal = _drop(normal.removeprefix("us-"), _NO_PUNCTUATION_NO_SPACE)
    return _states().get(normal, normal)


@lru_cache(maxsize=_SMALL)
def postal_code(text: str, country_code: str = "") -> str:
    """Lower case, no spaces, cut at the first dash; US: the first five digits.

    The UK's "area, district and sector" is not cut further: the vendor's own example, `m11ae`, is a whole postcode.
    Source: Meta `zp`, and its business SDK for the dash.
    """
    normal = _nfc("".join(_lower(text).split()))
    if is_hashed(normal):
        return normal
    normal = normal.split("-", 1)[0]
    return normal[:5] if country_code == "us" else normal


def postal_code_compact(text: str) -> str:
    """Lower case, no spaces, no dashes. Source: TikTok `zip_code`."""
    return _nfc("".join(_lower(text).split()).replace("-", ""))


@lru_cache(maxsize=_SMALL)
def country(text: str) -> str:
    """ISO 3166-1 alpha-2 in lower case, from alpha-2, alpha-3 or an English name; "" when it is none.

    Source: Meta `country` ("United States" is `us`); the same at Pinterest and Snapchat, in upper case elsewhere.
    """
    normal = _lower(text)
    return normal if is_hashed(normal) else _countries().get(_key(normal), "")


def _key(text: str) -> str:
    """Letters without accents, so that "Côte d'Ivoire" and "cote divoire" meet."""
    return unicodedata.normalize("NFKD", text.lower()).encode("ascii", "ignore").decode().translate(_LETTERS_ONLY)


@cache
def _countries() -> dict[str, str]:
    known: dict[str, str] = {}
    for row in COUNTRIES.replace("\n", " ").split(" | "):
        alpha2, alpha3, full_name = row.strip().split(" ", 2)
        known[_key(full_name)] = known[alpha3.lower()] = known[alpha2.lower()] = alpha2.lower()
    return known | {_key(other): alpha2.lower() for other, alpha2 in OTHER_NAMES.items()}


@cache
def _states() -> dict[str, str]:
    rows = [row.strip().split(" ", 1) for row in US_STATES.replace("\n", " ").split(" | ")]
    return {full_name.lower().replace(" ", ""): code.lower() for code, full_name in rows}


def ipv4(text: str) -> str:
    """The address if it is IPv4, else "": some platforms know no other. Source: LinkedIn, `SHA256_IP_ADDRESS`."""
    try:
        return text if ipaddress.ip_address(text).version == 4 else ""
    except ValueError:
        return ""


# --- The short keys -------------------------------------------------------------------------------
SHORT_KEYS: Mapping[str, Callable[[str], str]] = {
    "em": email,
    "ph": phone_digits,
    "fn": name,
    "ln": name,
    "ct": city,
    "st": state,
    "zp": postal_code,
    "country": country,
    "external_id": identifier,
}
"""The hashed `user_data` keys that Meta introduced and Pinterest and Snapchat took over, with their normalisers."""


_persons: dict[int, tuple[Payload, dict[str, Any]]] = {}


def short_keys(payload: Payload) -> dict[str, Any]:
    """The person as `em ph fn ln ct st zp country external_id`, each a list of hashes; what is unusable is left out.

    Worked out once for each payload object: a worker hands the same one to every destination that it serves.
    """
    known = _persons.get(id(payload))
    if known is not None and known[0] is payload:
        return dict(known[1])
    found = _short_keys(payload)
    if len(_persons) >= _SMALL:
        _persons.clear()
    _persons[id(payload)] = (payload, found)  # holding the payload keeps its id from being given to another
    return dict(found)


def _short_keys(payload: Payload) -> dict[str, Any]:
    normal: dict[str, str] = {}
    country_code = country(payload.country) if payload.country else ""
    if payload.email:
        normal["em"] = email(payload.email)
    if payload.phone:
        normal["ph"] = phone_digits(payload.phone, country_code.upper() if len(country_code) == 2 else "")
    if payload.first_name:
        normal["fn"] = name(payload.first_name)
    if payload.last_name:
        normal["ln"] = name(payload.last_name)
    if payload.city:
        normal["ct"] = city(payload.city)
    if payload.state:
        normal["st"] = state(payload.state, country_code)
    if payload.zip:
        normal["zp"] = postal_code(payload.zip, country_code)
    normal["country"] = country_code
    found: dict[str, Any] = {key: [hashed(text)] for key, text in normal.items() if text}
    # Visitor ids count as external ids and several may be sent: that ties the visitor to the later user.
    ids = [hashed(identifier(text)) for text in (payload.external_id, payload.anonymous_id) if text]
    if any(ids):
        found["external_id"] = list(dict.fromkeys(filter(None, ids)))
    return found


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def protected(user: Mapping[str, Any], rules: Mapping[str, Callable[[str], str]] = SHORT_KEYS) -> dict[str, Any]:
    """`user` as it may leave after the sender's overrides: plain values under the keys of `rules` are hashed.

    A value that is neither text nor number is dropped, as are empty ones.
    """
    safe = dict(user)
    for key in rules.keys() & safe.keys():
        given = safe[key]
        texts = (rules[key](str(value)) for value in as_list(given) if isinstance(value, str | int))
        hashes = [hashed(text) for text in texts if text]
        safe[key] = hashes if isinstance(given, list) else "".join(hashes)
    return {key: value for key, value in safe.items() if value not in (None, "", [], {})}


# --- Rules of single vendors ----------------------------------------------------------------------
def name_lower(text: str) -> str:
    """Trimmed and lower case, punctuation and inner spaces kept.

    Source: Pinterest, API v5 `fn` and `ln`: "in lowercase", where `ct` adds "without spaces or punctuation".
    """
    return _lower(text)


_NO_DIGIT = re.compile(r"[^0-9]+")


@lru_cache(maxsize=_SMALL)
def postal_code_digits(text: str, country_code: str = "") -> str:
    """Digits only; US: the first five. Source: Pinterest, API v5 `zp`: "only digits"; its guide: "five-digit"."""
    normal = text.strip().lower()
    if is_hashed(normal):
        return normal
    normal = _NO_DIGIT.sub("", normal)
    return normal[:5] if country_code == "us" else normal


_LETTERS_AND_SPACES = _Without("PSCN")


@lru_cache(maxsize=_LARGE)
def letters_and_spaces(text: str) -> str:
    """Lower case without digits, punctuation and symbols; inner spaces, accents and other scripts stay.

    Source: Google Analytics, "Send user-provided data with the Measurement Protocol": "Remove digits and symbol
    characters", "Lower case", "Remove leading and trailing spaces", for names and for the city.
    """
    normal = _lower(text)
    return normal if is_hashed(normal) else _drop(normal, _LETTERS_AND_SPACES).strip()
