"""A mark for each platform: initials on a colour of its own, so that it is found again everywhere. No vendor's logo."""

from __future__ import annotations

import re
from typing import NamedTuple
from zlib import crc32

HUES = 12
"""As many as the style sheet has colours for marks."""
_PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")


class Mark(NamedTuple):
    letters: str
    hue: int


def mark_of(key: str, label: str) -> Mark:
    """The beginnings of the first and the last word, or hump, of the label; the colour comes of the key."""
    parts = _PART.findall(label)
    letters = (parts[0][0] + parts[-1][0]).upper() if len(parts) > 1 else label[:2].capitalize()
    return Mark(letters, crc32(key.encode()) % HUES)
