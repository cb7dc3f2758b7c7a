"""The forms of PostgreSQL's COPY: binary for the many rows, which costs half of the text form on both sides, and text.

Source: PostgreSQL documentation, COPY, "File Formats". Binary is big-endian, each value behind its length.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from events.contract import Accepted

COPY_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
COPY_TRAILER = b"\xff\xff"
_START = struct.Struct(">hiqiqi").pack  # seven values: id, source_id, and the length of event_id
_TIMES = struct.Struct(">iqiqiB").pack  # occurred_at, received_at, length of the payload, version of jsonb's form
_UNIX_EPOCH_US = 946_684_800_000_000
"""Microseconds from 1970 to 2000, where PostgreSQL's count begins."""


def packed(first_pk: int, source_id: int, received_us: int, events: Sequence[Accepted]) -> list[tuple[str, bytes]]:
    """(event id, row in COPY's binary form) of each event. received_us: microseconds since 2000."""
    rows = []
    pk = first_pk
    for event in events:
        event_id = event.event_id.encode()
        text = event.payload_json
        occurred_us = event.occurred_ms * 1000 - _UNIX_EPOCH_US
        rows.append((
            event.event_id,
            _START(7, 8, pk, 8, source_id, len(event_id)) + event_id + _named(event.name)
            + _TIMES(8, occurred_us, 8, received_us, len(text) + 1, 1) + text,
        ))  # fmt: skip
        pk += 1
    return rows


@lru_cache(maxsize=4096)
def _named(name: str) -> bytes:
    text = name.encode()
    return struct.pack(">i", len(text)) + text


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def pg_microseconds(moment: datetime) -> int:
    """A time as COPY's binary form has it: microseconds since 2000."""
    return (moment - EPOCH) // MICROSECOND - _UNIX_EPOCH_US


ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
"""For `str.translate`: what the text form cannot have in a value as it is."""
