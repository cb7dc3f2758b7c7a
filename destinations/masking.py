"""What a person may see of a request or an answer: identity as ***, secrets as ***, and not too much of it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

CAP = 4000

# Names under which the platforms and our own normal form carry identity, hashed or plain. A hash of an e-mail address
# still finds its person in anybody's list, so hashes are masked like the address itself.
_IDENTITY_KEYS = (
    "em|ph|fn|ln|ct|st|zp|db|ge|country|external_?ids?|e_?mail(?:_?address)?|phone(?:_?number)?|mobile(?:_?number)?"
    "|tele?phone|fax|first_?name|last_?name|full_?name|user_?name|birth_?day|date_?of_?birth|dob|gender|ssn|city|state"
    "|zip(?:_?code)?|postal_?code|street(?:_?address)?|address|anonymous_?id|client_ip_address|client_user_agent|client_?ip"
    "|user_?agent|ip|ip_?address|idvalue|hashed_\\w{1,40}|sha256_\\w{1,40}|fbp|fbc|client_id|user_?id|company_?domain"
    "|hashedfirstname|hashedlastname|sales_?owner"
)
_PAIR = re.compile(rf'("(?:{_IDENTITY_KEYS})"\s*:\s*)("(?:[^"\\]|\\.)*"?|\[[^\]]*\]?|-?\d[\d.eE+-]*)', re.IGNORECASE)
# In a query of an address, or a form.
_PARAMETER = re.compile(rf'((?:^|[?&])(?:{_IDENTITY_KEYS})=)[^&#\s"\'\\<>]+', re.IGNORECASE)
# Bounded, and never begun within a word: on a long run of letters an open pattern takes quadratic time.
_EMAIL = re.compile(r"(?<![\w.+%-])[\w.+%-]{1,254}(?:@|%40)[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
_HASH = re.compile(r"\b[0-9a-fA-F]{64}\b")
_IP = re.compile(
    r"\b(?:\d{1,3}\.){3}\d{1,3}\b"
    r"|(?<![\w:])(?:[0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}(?![\w:])"
    r"|(?<![\w:])(?:[0-9a-fA-F]{1,4}:){1,6}(?::[0-9a-fA-F]{1,4}){1,6}(?![\w:])"
)


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
    if "=" in text:
        text = _PARAMETER.sub(r"\1***", text)
    if "@" in text or "%40" in text:
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
