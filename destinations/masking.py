"""What a person may see of a request or an answer: identity as ***, secrets as ***, and not too much of it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

CAP = 4000

# Names under which the platforms and our own normal form carry identity, hashed or plain. A hash of an e-mail address
# still finds its person in anybody's list, so hashes are masked like the address itself.
_IDENTITY_KEYS = (
    "em|ph|fn|ln|ct|st|zp|db|ge|country|external_id|email|phone|phone_number|first_name|last_name|firstName|lastName"
    "|city|state|zip|postal_code|street|externalId|external_ids|externalIds|anonymousId|anonymous_id|client_ip_address"
    "|client_user_agent|clientIp|userAgent|ip|ip_address|user_agent|idValue|hashed_email|hashed_phone_number|sha256_email"
    "|fbp|fbc|client_id|user_id|companyDomain|hashedFirstName|hashedLastName|salesOwner"
)
_PAIR = re.compile(rf'("(?:{_IDENTITY_KEYS})"\s*:\s*)("(?:[^"\\]|\\.)*"?|\[[^\]]*\]?)')
_EMAIL = re.compile(r"[\w.+%-]+(?:@|%40)[\w-]+(?:\.[\w-]+)+")
_HASH = re.compile(r"\b[0-9a-fA-F]{64}\b")
_IP = re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b")


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        if len(secret) >= 4:
            text = text.replace(secret, "***")
    return text


def masked(raw: bytes | str, secrets: Iterable[str] = (), *, cap: int = CAP) -> str:
    """Text of a body or URL, at most `cap` characters, without identity and secrets."""
    if not raw:
        return ""
    # Cut first (a batch may be a megabyte), with room for what masking shortens.
    cut = raw[: cap * 2]
    text = cut.decode("utf-8", "replace") if isinstance(cut, bytes) else cut
    text = without_secrets(text, secrets)
    text = _PAIR.sub(r'\1"***"', text)
    text = _EMAIL.sub("***", text)
    text = _HASH.sub("***", text)
    text = _IP.sub("***", text).replace("\x00", "")
    if len(text) > cap or len(raw) > cap * 2:
        text = f"{text[:cap]}… ({len(raw)} bytes in all)"
    return text


def email(text: str) -> str:
    """`ada@example.com` as `a***@example.com`: enough to recognise one's own test, too little to write to."""
    name, at, domain = text.partition("@")
    return f"{name[:1]}***@{domain}" if at else "***"
