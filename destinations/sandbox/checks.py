"""Strict checks of single values and whole objects.

A check takes a value and says what is wrong with it, or None. `look_over` applies checks to an object and collects
faults, because vendors differ in how many of them they tell.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

Check = Callable[[Any], str | None]

SHA256 = re.compile(r"[0-9a-f]{64}")
SHA256_OF_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
DAY = 86_400
FIRST_MILLISECONDS = 100_000_000_000
"""No plausible time in seconds has twelve digits (it would be the year 5138); every recent one in ms has thirteen."""


class Fault(NamedTuple):
    """What is wrong, where (`/user/userIds/0`), and for vendors with error codes, of which kind."""

    path: str
    text: str
    kind: str = "invalid"


def text(value: Any) -> str | None:
    if not isinstance(value, str):
        return "must be a string"
    return None if value.strip() else "must not be empty"


def short_text(longest: int) -> Check:
    def check(value: Any) -> str | None:
        return text(value) or (f"must not be longer than {longest} characters" if len(value) > longest else None)

    return check


def integer(value: Any) -> str | None:
    # bool is an int in Python and not in JSON.
    is_integer = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
    return None if is_integer else "must be an integer"


def amount(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "must be a number"
    return None if 0 <= value < math.inf else "must be a number of zero or more"


def boolean(value: Any) -> str | None:
    return None if isinstance(value, bool) else "must be true or false"


def one_of(*allowed: Any) -> Check:
    def check(value: Any) -> str | None:
        # The types too, because 1 == True == 1.0 in Python.
        known = any(type(value) is type(one) and value == one for one in allowed)
        return None if known else f"must be one of: {', '.join(map(str, allowed))}"

    return check


def matching(pattern: str, description: str) -> Check:
    compiled = re.compile(pattern, re.ASCII)

    def check(value: Any) -> str | None:
        return text(value) or (None if compiled.fullmatch(value) else f"must be {description}")

    return check


def sha256(value: Any) -> str | None:
    """Lower-case hexadecimal SHA-256 of something."""
    if not isinstance(value, str):
        return "must be a string"
    if SHA256.fullmatch(value):
        return "is the hash of an empty value" if value == SHA256_OF_NOTHING else None
    if EMAIL.fullmatch(value.strip()):
        return "is a plain e-mail address and must be hashed"
    if SHA256.fullmatch(value.strip().lower()):
        return "must be lower-case hexadecimal without spaces"
    return "must be a SHA-256 hash of 64 hexadecimal digits"


def plain(value: Any) -> str | None:
    """Text that is sent as it is: neither hashed nor an e-mail address."""
    if fault := text(value):
        return fault
    if EMAIL.fullmatch(value.strip()):
        return "is a plain e-mail address"
    return "must not be hashed" if SHA256.fullmatch(value.lower()) else None


def not_email(value: Any) -> str | None:
    """Text that the vendor takes plain or hashed."""
    if fault := text(value):
        return fault
    if value == SHA256_OF_NOTHING:
        return "is the hash of an empty value"
    return "is a plain e-mail address and must be hashed" if EMAIL.fullmatch(value.strip()) else None


def ip_address(*versions: int) -> Check:
    def check(value: Any) -> str | None:
        if fault := text(value):
            return fault
        try:
            found = ipaddress.ip_address(value).version
        except ValueError:
            return "must be an IP address"
        return None if found in versions else f"must be an IPv{versions[0]} address"

    return check


def web_url(value: Any) -> str | None:
    if fault := text(value):
        return fault
    try:
        parts = urlsplit(value)
    except ValueError:
        return "must be a URL"
    is_complete = parts.scheme in ("http", "https") and bool(parts.hostname) and not re.search(r"\s", value)
    return None if is_complete else "must be a full http or https URL"


def list_of(check: Check, most: int | None = None, least: int = 1) -> Check:
    def checked(value: Any) -> str | None:
        if not isinstance(value, list):
            return "must be a list"
        if len(value) < least:
            return "must not be empty"
        if most is not None and len(value) > most:
            return f"must not have more than {most} values"
        return next((fault for one in value if (fault := check(one))), None)

    return checked


def one_or_list(check: Check) -> Check:
    several = list_of(check)

    def checked(value: Any) -> str | None:
        return several(value) if isinstance(value, list) else check(value)

    return checked


def not_empty(value: Any) -> str | None:
    """For free keys: any JSON value, but none that says nothing."""
    is_empty = value is None or (isinstance(value, str | list | dict) and not value)
    return "must not be empty" if is_empty else None


def time_in_seconds(value: Any, now: float, oldest: float, skew: float) -> tuple[str, str] | None:
    """(text, kind) of what is wrong with a time in seconds, or None."""
    if fault := integer(value):
        return fault, "invalid"
    if value >= FIRST_MILLISECONDS:
        return "must be in seconds, not in milliseconds", "unit"
    return _within(value, now, oldest, skew)


def time_in_milliseconds(value: Any, now: float, oldest: float, skew: float) -> tuple[str, str] | None:
    if fault := integer(value):
        return fault, "invalid"
    if 0 < value < FIRST_MILLISECONDS:
        return f"must be in milliseconds; taken as such it is older than {oldest / DAY:.0f} days", "unit"
    return _within(value / 1000, now, oldest, skew)


def _within(seconds: float, now: float, oldest: float, skew: float) -> tuple[str, str] | None:
    if seconds < now - oldest:
        return f"is older than {oldest / DAY:.0f} days", "old"
    if seconds > now + skew:
        return "is in the future", "future"
    return None


def look_over(
    value: Any,
    fields: Mapping[str, Check],
    required: Iterable[str] = (),
    *,
    path: str = "",
    free: Check | None = None,
) -> list[Fault]:
    """The faults of an object. Fields not in `fields` are faults, unless `free` says how to check them."""
    if not isinstance(value, dict):
        return [Fault(path or "/", "must be an object")]
    faults = [
        Fault(f"{path}/{name}", "field is required but not found", "missing") for name in required if name not in value
    ]
    for name, one in value.items():
        check = fields.get(name, free)
        if check is None:
            faults.append(Fault(f"{path}/{name}", "unrecognized field found but not allowed", "unknown"))
        elif fault := check(one):
            faults.append(Fault(f"{path}/{name}", fault))
    return faults
