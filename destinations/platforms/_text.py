"""Hashes, and the text that goes into them: what every normaliser is made of. Pure; see `identity`."""

from __future__ import annotations

import re
import unicodedata
from hashlib import sha256

_HEX = re.compile(r"[0-9a-fA-F]{64}")
SMALL = 4096
LARGE = 16384
"""Entries of the memos: names and places repeat; addresses and numbers repeat while one event fans out."""


# --- Hashing --------------------------------------------------------------------------------------
def sha256_hex(text: str) -> str:
    """Lower-case hex SHA-256 of the UTF-8 text."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def is_hashed(text: str) -> bool:
    """Whether the whole of `text` is a SHA-256 in hex (an e-mail address may well contain one)."""
    return len(text) == 64 and _HEX.fullmatch(text) is not None


def hashed(normal: str) -> str:
    """The hash of a normalised value; a hash is passed through in lower case, "" stays "" and is never hashed."""
    text = normal.strip()
    if not text:
        return ""
    return text.lower() if is_hashed(text) else sha256_hex(text)


# --- Text -----------------------------------------------------------------------------------------
class Without(dict[int, int | None]):
    """A table for `str.translate` that drops the characters of some Unicode categories and learns as it is used."""

    def __init__(self, categories: str) -> None:
        super().__init__()
        self.categories = categories

    def __missing__(self, point: int) -> int | None:
        kept = None if unicodedata.category(chr(point))[0] in self.categories else point
        self[point] = kept
        return kept


# Letters (L), marks (M: the vowel signs of many scripts), digits (N) stay; punctuation, symbols, controls, spaces go.
NO_PUNCTUATION = Without("PSC")
NO_PUNCTUATION_NO_SPACE = Without("PSCZ")
LETTERS_ONLY = Without("PSCZN")


def lower(text: str) -> str:
    """Trimmed, composed (NFC), in lower case."""
    text = text.strip()
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    return text.lower()


def nfc(text: str) -> str:
    """NFC again after characters were dropped: what stood apart may compose once what was between is gone."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def drop(text: str, table: Without) -> str:
    return nfc(text.translate(table))


def identifier(text: str) -> str:
    """An id of the sender's own: trimmed, its case kept. Source: Meta "external_id", TikTok "external_id"."""
    return text.strip().lower() if is_hashed(text.strip()) else text.strip()
