"""Phone numbers as the platforms match them. Pure; import it from `identity`, whose rules hold here."""

from __future__ import annotations

import re
from functools import cache, lru_cache

import phonenumbers

from destinations.platforms._text import LARGE, is_hashed

_SEPARATORS = dict.fromkeys(map(ord, " \t-.()\u00a0"))
_INTERNATIONAL = re.compile(r"\+[1-9][0-9]{6,14}")


@lru_cache(maxsize=LARGE)
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
