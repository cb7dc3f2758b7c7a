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
from typing import Any

from destinations.platforms._countries import COUNTRIES, OTHER_NAMES, US_STATES
from destinations.platforms._emails import (
    email,
    email_alphanumeric,
    email_without_dots_and_tag,
    email_without_gmail_dots,
    email_without_gmail_dots_and_tag,
    email_without_spaces,
)
from destinations.platforms._phones import phone_digits, phone_e164
from destinations.platforms._text import (
    LARGE,
    LETTERS_ONLY,
    NO_PUNCTUATION,
    NO_PUNCTUATION_NO_SPACE,
    SMALL,
    Without,
    drop,
    hashed,
    identifier,
    is_hashed,
    lower,
    nfc,
    sha256_hex,
)
from events.payload import Payload

__all__ = [
    "SHORT_KEYS",
    "as_list",
    "city",
    "country",
    "email",
    "email_alphanumeric",
    "email_without_dots_and_tag",
    "email_without_gmail_dots",
    "email_without_gmail_dots_and_tag",
    "email_without_spaces",
    "family_name",
    "given_name",
    "hashed",
    "identifier",
    "ipv4",
    "is_hashed",
    "letters_and_spaces",
    "name",
    "name_compact",
    "name_lower",
    "phone_digits",
    "phone_e164",
    "postal_code",
    "postal_code_compact",
    "postal_code_digits",
    "protected",
    "sha256_hex",
    "short_keys",
    "state",
]


# --- Names and places -----------------------------------------------------------------------------
@lru_cache(maxsize=LARGE)
def name(text: str) -> str:
    """Lower case without punctuation; accents and other scripts stay. Source: Meta `fn`, `ln`."""
    return drop(lower(text), NO_PUNCTUATION).strip()


@lru_cache(maxsize=LARGE)
def name_compact(text: str) -> str:
    """As `name`, without white space. Source: TikTok's Segment destination, `first_name`; Snapchat `fn`."""
    return drop(lower(text), NO_PUNCTUATION_NO_SPACE)


_TITLES = re.compile(r"(?:(?:mr|mrs|ms|dr)\.(?:\s+|$))+")
_SUFFIXES = re.compile(r"(?:(?:,\s*|\s+)(?:[js]r\.?|2nd|3rd|ii|iii|iv|v|vi|cpa|dc|dds|vm|jd|md|phd))+$")


def given_name(text: str) -> str:
    """As `name`, without "Mrs." and the like; inner spaces stay.

    Source: Google, Data Manager API, AddressInfo ("no punctuation, no leading or trailing whitespace") and "Format user
    data" ("Don't include prefixes such as Mrs."); its Java library for the list. Older ones took inner spaces out.
    """
    normal = lower(text)
    return name(normal[found.end() :] if (found := _TITLES.match(normal)) else normal)


def family_name(text: str) -> str:
    """As `name`, without "Jr." and the like; inner spaces stay. Source: as `given_name`."""
    return name(_SUFFIXES.sub("", lower(text)))


@lru_cache(maxsize=SMALL)
def city(text: str) -> str:
    """Lower case letters only: no punctuation, digits or spaces ("New York" is `newyork`).

    Source: Meta `ct`, and its business SDK for the digits; Pinterest `ct`; Snapchat `ct`.
    """
    normal = lower(text)
    return normal if is_hashed(normal) else drop(normal, LETTERS_ONLY)


@lru_cache(maxsize=SMALL)
def state(text: str, country_code: str = "") -> str:
    """US: two letters, also from the full name or `US-CA`. Elsewhere: lower case, no punctuation or spaces.

    country_code: ISO alpha-2 in lower case; "" when unknown, then a US name is still taken for one.
    Source: Meta `st`; Pinterest `st`; Snapchat `st`.
    """
    normal = lower(text)
    if is_hashed(normal):
        return normal
    if country_code not in ("", "us"):
        return drop(normal, NO_PUNCTUATION_NO_SPACE)
    normal = drop(normal.removeprefix("us-"), NO_PUNCTUATION_NO_SPACE)
    return _states().get(normal, normal)


@lru_cache(maxsize=SMALL)
def postal_code(text: str, country_code: str = "") -> str:
    """Lower case, no spaces, cut at the first dash; US: the first five digits.

    The UK's "area, district and sector" is not cut further: the vendor's own example, `m11ae`, is a whole postcode.
    Source: Meta `zp`, and its business SDK for the dash.
    """
    normal = nfc("".join(lower(text).split()))
    if is_hashed(normal):
        return normal
    normal = normal.split("-", 1)[0]
    return normal[:5] if country_code == "us" else normal


def postal_code_compact(text: str) -> str:
    """Lower case, no spaces, no dashes. Source: TikTok `zip_code`."""
    return nfc("".join(lower(text).split()).replace("-", ""))


@lru_cache(maxsize=SMALL)
def country(text: str) -> str:
    """ISO 3166-1 alpha-2 in lower case, from alpha-2, alpha-3 or an English name; "" when it is none.

    Source: Meta `country` ("United States" is `us`); the same at Pinterest and Snapchat, in upper case elsewhere.
    """
    normal = lower(text)
    return normal if is_hashed(normal) else _countries().get(_key(normal), "")


def _key(text: str) -> str:
    """Letters without accents, so that "Côte d'Ivoire" and "cote divoire" meet."""
    return unicodedata.normalize("NFKD", text.lower()).encode("ascii", "ignore").decode().translate(LETTERS_ONLY)


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
    if len(_persons) >= SMALL:
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
    return lower(text)


_NO_DIGIT = re.compile(r"[^0-9]+")


@lru_cache(maxsize=SMALL)
def postal_code_digits(text: str, country_code: str = "") -> str:
    """Digits only; US: the first five. Source: Pinterest, API v5 `zp`: "only digits"; its guide: "five-digit"."""
    normal = text.strip().lower()
    if is_hashed(normal):
        return normal
    normal = _NO_DIGIT.sub("", normal)
    return normal[:5] if country_code == "us" else normal


LETTERS_AND_SPACES = Without("PSCN")


@lru_cache(maxsize=LARGE)
def letters_and_spaces(text: str) -> str:
    """Lower case without digits, punctuation and symbols; inner spaces, accents and other scripts stay.

    Source: Google Analytics, "Send user-provided data with the Measurement Protocol": "Remove digits and symbol
    characters", "Lower case", "Remove leading and trailing spaces", for names and for the city.
    """
    normal = lower(text)
    return normal if is_hashed(normal) else drop(normal, LETTERS_AND_SPACES).strip()
