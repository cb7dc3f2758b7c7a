"""Reading single values of an event: what is taken, how it is normalised, and the sentence when it is not.

Pure. Readers take (value, name for the sentence, cap) and raise RefusedError; None or an empty list: as good as absent.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from events.fields import MAX_AMOUNT, MAX_COUNT, MAX_ITEMS

EARLIEST_MS = 946_684_800_000  # 2000-01-01: what is before is a mix-up of units, most often seconds divided by 1000
FUTURE_MS = 86_400_000
SECONDS_BELOW = 1e11  # as seconds the year 5138, as milliseconds 1973: no accepted time can be meant both ways

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_NUMBER = re.compile(r"[-+]?[0-9]{1,100}(?:\.[0-9]{1,100})?(?:[eE][-+]?[0-9]{1,3})?")
_UNIX_TIME = re.compile(r"-?[0-9]{9,30}(?:\.[0-9]{1,30})?")
_CONSENT_WORDS = {"granted": True, "denied": False, "true": True, "false": False}


class RefusedError(Exception):
    """Internal to the contract: why the event at hand is rejected."""

    def __init__(self, field: str, code: str, text: str) -> None:
        super().__init__(text)
        self.field = field.replace("\0", "")[:64]  # the depth is checked before NULs are removed
        self.code = code
        self.sentence = f"{self.field}: {text}"[:400] if field else text[:400]


# --- Values --------------------------------------------------------------------------------------


def read_text(value: Any, name: str, cap: int) -> str:
    """A trimmed string, possibly empty. Numbers become strings: ids are numbers in many databases."""
    if type(value) is str:
        text: str = value.strip()
    elif type(value) is int:
        text = str(value)
    elif type(value) is float:
        text = str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    else:
        raise RefusedError(name, "wrong_type", f"must be a string, not {kind_of(value)}")
    if len(text) > cap:
        raise RefusedError(name, "too_long", f"has {len(text)} characters, at most {cap} are taken")
    return text


_KINDS: Mapping[type, str] = {bool: "a boolean", dict: "an object", list: "an array", str: "a string"}


def kind_of(value: Any) -> str:
    if value is None:
        return "null"
    return _KINDS.get(type(value), "a number")


def read_number(value: Any, name: str, cap: int) -> float | None:
    if type(value) is str:
        text = value.strip()
        if not text:
            return None
        if not _NUMBER.fullmatch(text):
            raise RefusedError(
                name, "wrong_type", "must be a number such as 49 or 49.90, without currency or separators"
            )
        value = float(text)
    elif type(value) is not float and type(value) is not int:
        raise RefusedError(name, "wrong_type", f"must be a number, not {kind_of(value)}")
    if not -MAX_AMOUNT <= value <= MAX_AMOUNT:
        raise RefusedError(name, "out_of_range", "is beyond what any platform takes")
    return float(value)


def read_integer(value: Any, name: str, cap: int) -> int | None:
    number = read_number(value, name, cap)
    if number is None:
        return None
    if not number.is_integer():
        raise RefusedError(name, "wrong_type", "must be a whole number")
    if not 0 <= number <= MAX_COUNT:
        raise RefusedError(name, "out_of_range", f"must be between 0 and {MAX_COUNT}")
    return int(number)


def read_currency(value: Any, name: str, cap: int) -> str | None:
    if type(value) is not str:
        raise RefusedError(name, "wrong_type", f"must be a string such as USD, not {kind_of(value)}")
    text = value.strip()
    if not text:
        return None
    if len(text) != 3 or not text.isascii() or not text.isalpha():
        raise RefusedError(name, "currency_shape", "must be the three letters of ISO 4217, such as USD")
    return text.upper()


def read_texts(value: Any, name: str, cap: int) -> list[str]:
    entries = value if type(value) is list else [value]
    if len(entries) > MAX_ITEMS:
        raise RefusedError(name, "too_long", f"has {len(entries)} entries, at most {MAX_ITEMS} are taken")
    texts = [read_text(entry, name, cap) for entry in entries if entry is not None]
    return [text for text in texts if text]


@lru_cache(maxsize=4096)
def is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def read_object(value: Any, name: str) -> dict[str, Any]:
    if value == []:
        return {}  # how PHP writes an empty object
    if type(value) is not dict:
        raise RefusedError(name, "wrong_type", f"must be an object, not {kind_of(value)}")
    return value


def read_consent(value: Any, name: str) -> bool:
    said = _CONSENT_WORDS.get(value.strip().lower()) if type(value) is str else value
    if said is not True and said is not False:
        # Never guess what a person agreed to.
        raise RefusedError(name, "wrong_type", 'must be true, false, "granted" or "denied"')
    return said


Reader = Callable[[Any, str, int], Any]
READERS: Mapping[str, Reader] = {
    "number": read_number,
    "integer": read_integer,
    "currency": read_currency,
    "list": read_texts,
}

# --- Time ----------------------------------------------------------------------------------------


def read_time(value: Any, name: str, now_ms: int) -> int | None:
    """Unix milliseconds, or None for an empty string."""
    if type(value) is str:
        text = value.strip()
        if not text:
            return None
        if _UNIX_TIME.fullmatch(text):
            value = float(text)
        else:
            try:
                moment = datetime.fromisoformat(text.upper())
            except ValueError:
                raise RefusedError(name, "ts_shape", "must be Unix seconds or milliseconds, or ISO 8601") from None
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=UTC)
            value = (moment - _EPOCH) // _MILLISECOND
            return _plausible(value, name, now_ms, "")
    elif type(value) is not int and type(value) is not float:
        raise RefusedError(name, "wrong_type", f"must be a number or an ISO 8601 string, not {kind_of(value)}")
    if value >= 1e14:  # as milliseconds the year 5138
        return _plausible(1 << 62, name, now_ms, "; it looks like microseconds or nanoseconds, send milliseconds")
    ms = round(value * 1000) if -SECONDS_BELOW < value < SECONDS_BELOW else round(value)
    return _plausible(ms, name, now_ms, "; it was read as " + ("seconds" if value < SECONDS_BELOW else "milliseconds"))


def _plausible(ms: int, name: str, now_ms: int, hint: str) -> int:
    if ms > now_ms + FUTURE_MS:
        raise RefusedError(name, "ts_in_future", f"is more than a day in the future{hint}")
    if ms < EARLIEST_MS:
        raise RefusedError(name, "ts_too_early", f"is before the year 2000{hint}")
    return ms


# --- Free objects ---------------------------------------------------------------------------------


def without_nul(value: Any) -> Any:
    """`value` without NUL characters, in keys too: jsonb cannot hold them. The depth was checked before."""
    if type(value) is str:
        return value.replace("\0", "")
    if type(value) is dict:
        return {key.replace("\0", ""): without_nul(entry) for key, entry in value.items()}
    if type(value) is list:
        return [without_nul(entry) for entry in value]
    return value


def depth(value: Any) -> int:
    """Levels of nesting, level by level: recursion would be at the mercy of the input."""
    levels = 0
    level = [value]
    while level := [entry for entry in level if type(entry) is dict or type(entry) is list]:
        levels += 1
        level = [child for entry in level for child in (entry.values() if type(entry) is dict else entry)]
    return levels
