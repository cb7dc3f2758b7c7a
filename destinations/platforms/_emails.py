"""E-mail addresses as the platforms match them. Pure; import it from `identity`, whose rules hold here."""

from __future__ import annotations

import re

from destinations.platforms._text import is_hashed, lower

_EMAIL = re.compile(r"[^\s@]+@[^\s@]+")
_GMAIL = ("gmail.com", "googlemail.com")


def email(text: str) -> str:
    """Trimmed, lower case, nothing else. "" for what is no address: its hash matches nobody but passes for identity.

    Source: Meta, Customer Information Parameters, `em`; the same at TikTok, X, Pinterest and Snapchat.
    """
    normal = lower(text)
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
