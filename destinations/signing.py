"""Signatures of outgoing hooks. Source: Standard Webhooks specification 1.0.0, github.com/standard-webhooks. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac


def signature(key: bytes, signed: bytes) -> str:
    """`v1,` and the base64 of HMAC-SHA256 over `{id}.{timestamp}.{body}`."""
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def keys_of(secrets: str) -> list[bytes]:
    """The signing keys, newest first: while two are entered both sign, so a receiver may change over at leisure.

    secrets: `whsec_…` texts with spaces between; one that is not base64 is left out.
    """
    keys = []
    for secret in secrets.split():
        text = secret.removeprefix("whsec_").rstrip("=")
        try:
            keys.append(base64.b64decode(text + "=" * (-len(text) % 4), validate=True))
        except (binascii.Error, ValueError):
            continue
    return keys
