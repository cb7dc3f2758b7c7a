"""What goes between delivery and a platform: items in, requests out, answers in, outcomes out. Pure; import it from
`base`.
"""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any

import msgspec

from events.body import DECODE_ERRORS
from events.payload import Payload


class Item(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One delivery as an adapter sees it."""

    key: int
    """Names the delivery in outcomes; means nothing to the platform."""
    event_id: str
    """The dedup id: the same on every try."""
    event: str
    """Canonical or extension name."""
    occurred_ms: int
    """Unix time in milliseconds."""
    payload: Payload
    native_name: str = ""
    """Resolved: the route's override, else the platform's own name for the event."""
    native_id: str = ""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request, ready to send. `items` are in the order of the body."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes
    items: tuple[Item, ...]
    before: tuple[Request, ...] = ()
    """Requests that must succeed first, in order (upsert the contact, then send its event). Each carries items of this
    one. An item that one of them fails takes that outcome; the others are built and sent again without it."""


class Skip(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An item the platform cannot carry, refused aloud: a code of `destinations.reasons` and what was missing."""

    item: Item
    reason: str
    detail: str


class Built(msgspec.Struct, frozen=True, kw_only=True):
    requests: list[Request]
    skipped: list[Skip]


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP answer. `headers` has lower-case names; `body` may be cut (see `destinations.http`)."""

    status: int
    headers: dict[str, str] = {}
    body: bytes = b""

    def json(self) -> Any:
        """The decoded body, or None when it is not JSON (vendors answer HTML, nothing or half a document)."""
        try:
            return msgspec.json.decode(self.body)
        except DECODE_ERRORS:
            return None


class Result(enum.StrEnum):
    OK = "ok"
    RETRY = "retry"
    """Try again later; `after` is what the platform asked for, in seconds."""
    PERMANENT = "permanent"
    """This event will never be taken: dead."""
    CONFIG = "config"
    """Credentials or settings are refused: the destination is held, its rows wait."""
    SKIPPED = "skipped"
    """The platform took the request but not this event, for a reason that is no failure."""
    TOO_OLD = "too_old"
    SPLIT = "split"
    """The batch was refused as a whole and the bad event is not named: send in halves until it is alone."""


class Outcome(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What became of one item."""

    result: Result
    detail: str = ""
    """The platform's message in plain words, without identity."""
    reason: str = ""
    """A reason code when it is more precise than the result."""
    after: float | None = None
    """Seconds until the next try, of a RETRY that the platform put a time to. 0: see `is_again`."""

    @property
    def is_again(self) -> bool:
        """Refused only because of another event in the request: it goes out again at once, without that one."""
        return self.result == Result.RETRY and self.after == 0.0


OK = Outcome(result=Result.OK)

TOKEN_EXPIRED = "token_expired"  # noqa: S105
"""Reason of a CONFIG outcome that a fresh access token may mend: one is fetched before the destination is held."""

LONGEST_RETRY_AFTER = 86_400.0
"""Seconds. What asks for more is a mistake or means never; both are better asked again tomorrow."""
RETRY_STATUSES = frozenset({408, 425, 429})


def is_transient(status: int) -> bool:
    """RFC 9110 and the vendors agree: these may succeed when simply tried again."""
    return status in RETRY_STATUSES or status >= 500


def retry_after(response: Response, now: datetime | None = None) -> float | None:
    """Seconds of a Retry-After header (RFC 9110 §10.2.3), a day at most. The date form needs `now`, else is ignored."""
    raw = response.headers.get("retry-after", "").strip()
    if raw.isascii() and raw.isdigit():
        return min(float(raw[:12]), LONGEST_RETRY_AFTER)
    if raw and now is not None:
        from email.utils import parsedate_to_datetime

        try:
            return min(max(0.0, (parsedate_to_datetime(raw) - now).total_seconds()), LONGEST_RETRY_AFTER)
        except (TypeError, ValueError):
            return None
    return None
