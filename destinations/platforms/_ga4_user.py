"""`user_data`: the person as Google Analytics matches it.

Source: developers.google.com/analytics/devguides/collection/ga4/uid-data (2026-09).
"""

from __future__ import annotations

from typing import Any

from destinations.platforms import identity
from events.payload import Payload

USER_RULES = {"sha256_email_address": identity.email_without_gmail_dots}
ADDRESS_RULES = {
    "sha256_first_name": identity.letters_and_spaces,
    "sha256_last_name": identity.letters_and_spaces,
    "sha256_street": identity.name,
}


def user_data(payload: Payload) -> dict[str, Any]:
    user: dict[str, Any] = {}
    country = identity.country(payload.country) if payload.country else ""
    region = country.upper() if len(country) == 2 else ""
    if payload.email and (email := identity.email_without_gmail_dots(payload.email)):
        user["sha256_email_address"] = [identity.hashed(email)]
    if payload.phone and (phone := identity.phone_e164(payload.phone, region)):
        user["sha256_phone_number"] = [identity.hashed(phone)]
    address: dict[str, str] = {}
    for key, text in (("sha256_first_name", payload.first_name), ("sha256_last_name", payload.last_name)):
        if text and (normal := identity.letters_and_spaces(text)):
            address[key] = identity.hashed(normal)
    if address:  # a place alone names nobody
        for key, text in (("city", payload.city), ("region", payload.state)):
            if text and not identity.is_hashed(text) and (normal := identity.letters_and_spaces(text)):
                address[key] = normal
        if payload.zip and not identity.is_hashed(payload.zip):
            address["postal_code"] = _postal_code(payload.zip)
        if region:
            address["country"] = region
        user["address"] = [{key: text for key, text in address.items() if text}]
    return user


def _postal_code(text: str) -> str:
    """ "Remove . and ~ characters", "Remove leading and trailing spaces"."""
    return text.replace(".", "").replace("~", "").strip()


def protected(user: dict[str, Any], payload: Payload) -> dict[str, Any]:
    """`user` after the sender's overrides: what Google takes hashed leaves hashed."""
    country = identity.country(payload.country) if payload.country else ""

    def phone(text: str) -> str:
        return identity.phone_e164(text, country.upper() if len(country) == 2 else "")

    safe = identity.protected(user, USER_RULES | {"sha256_phone_number": phone})
    if "address" in safe:
        given = [one for one in identity.as_list(safe["address"]) if isinstance(one, dict)]
        safe["address"] = [kept for one in given if (kept := identity.protected(one, ADDRESS_RULES))]
    return {key: value for key, value in safe.items() if value}
