"""Ingest keys: `tsk_<8 character prefix>_<40 character secret>`. Pure.

The prefix finds the row, the secret proves the key. Only a keyed digest is stored: without the pepper, which is not in
the database, a stolen table tells nothing. The secret has 238 bits, so one HMAC is enough and costs microseconds; a
slow password hash would only slow ingest down.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
from collections.abc import Sequence
from typing import NamedTuple

ALPHABET = string.ascii_letters + string.digits  # no separators: a double click selects each part whole
PREFIX_LENGTH = 8
SECRET_LENGTH = 40

_KEY = re.compile(r"tsk_([A-Za-z0-9]{8})_([A-Za-z0-9]{32,128})")


class NewKey(NamedTuple):
    text: str
    """The whole key, to be shown once and never stored."""
    prefix: str


def make_key() -> NewKey:
    """A new random key. Two are never the same, but the prefix alone may be (1 in 2·10¹⁴)."""
    prefix, secret = (
        "".join(secrets.choice(ALPHABET) for _ in range(length)) for length in (PREFIX_LENGTH, SECRET_LENGTH)
    )
    return NewKey(f"tsk_{prefix}_{secret}", prefix)


def split_key(text: str) -> tuple[str, str] | None:
    """Prefix and secret, or None for what is no key of ours. White space around it is forgiven."""
    match = _KEY.fullmatch(text.strip())
    return (match[1], match[2]) if match else None


def digest(key: str, pepper: str) -> str:
    """The hex HMAC-SHA256 of a whole key, 64 characters: what is stored."""
    return hmac.new(pepper.encode(), key.strip().encode(), hashlib.sha256).hexdigest()


def matches(key: str, stored: str, peppers: Sequence[str]) -> bool:
    """Whether `stored` is the digest of `key` under any pepper of the ring.

    Takes the same time wherever in the ring, and however nearly, it matches.
    """
    expected = stored.encode()  # compare_digest takes only ASCII strings
    found = False
    for pepper in peppers:
        found |= hmac.compare_digest(digest(key, pepper).encode(), expected)
    return found
