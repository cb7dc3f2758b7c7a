"""Did you mean …? For event names and field names. Pure, cached, and bounded: its input is hostile."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher
from functools import lru_cache

from events.fields import CLICK_IDS, CONSENT, FIELDS, STRUCTURAL

LONGEST = 40
"""A longer text is near no name, and comparing it would cost time."""

_HINTS = {
    # The words of other trackers, where spelling alone does not lead to ours.
    "eventname": "event",
    "name": "event",
    "type": "event",
    "id": "eventId",
    "messageid": "eventId",
    "insertid": "eventId",
    "dedupid": "eventId",
    "userid": "externalId",
    "traits": "userData",
    "context": "userData",
    "url": "pageUrl",
    "eventsourceurl": "pageUrl",
    "ip": "clientIp",
    "ipaddress": "clientIp",
    "clientipaddress": "clientIp",
    "clientuseragent": "userAgent",
    "amount": "value",
    "revenue": "value",
    "price": "value",
    "quantity": "numItems",
    "postalcode": "zip",
    "zipcode": "zip",
    "domain": "companyDomain",
    "company": "companyName",
    "title": "pageTitle",
    "adstorage": "marketing",
    "analyticsstorage": "analytics",
}


def _plain(text: str) -> str:
    return "".join(letter for letter in text.lower() if letter.isalnum())


def _nearest(plain: str, candidates: Iterable[tuple[str, str]], cutoff: float) -> str:
    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(plain)
    best, found = cutoff, ""
    for candidate, name in candidates:
        matcher.set_seq1(candidate)
        # Cheapest bound first, as difflib.get_close_matches does.
        if matcher.real_quick_ratio() > best and matcher.quick_ratio() > best:
            ratio = matcher.ratio()
            if ratio > best:
                best, found = ratio, name
    return found


@lru_cache(maxsize=2048)
def near_name(text: str, names: frozenset[str]) -> str:
    """The name of `names` that `text` most likely means, or an empty string. `signup`, `sign_up` → `SignUp`."""
    if len(text) > LONGEST:
        return ""
    plain = _plain(text)
    candidates = sorted((_plain(name), name) for name in names)
    return dict(candidates).get(plain) or _nearest(plain, candidates, 0.75)


_FIELD_NAMES = sorted(
    (_plain(name), name) for name in (*(field.name for field in FIELDS), *CLICK_IDS, *CONSENT, *STRUCTURAL)
)
_FIELD_BY_PLAIN = {**_HINTS, **dict(_FIELD_NAMES)}


@lru_cache(maxsize=4096)
def near_field(key: str) -> str:
    """The contract's field that an unknown key most likely means, or an empty string. `event_id` → `eventId`."""
    if len(key) > LONGEST:
        return ""
    plain = _plain(key)
    return _FIELD_BY_PLAIN.get(plain) or _nearest(plain, _FIELD_NAMES, 0.75)


def meant_as(field: str, keys: list[str]) -> str:
    """Which of the unknown `keys` was probably meant as `field`, or an empty string."""
    plain = [(_plain(key), key) for key in keys[:100] if len(key) <= LONGEST]
    for spelled, key in plain:
        if _FIELD_BY_PLAIN.get(spelled) == field:
            return key
    return _nearest(_plain(field), plain, 0.8)
