"""Finding events by what product code knows them by: transaction, order, person.

An ordinary index on each of these would cost ingest more than everything else it does. Here they are in one BRIN index
of Bloom filters (PostgreSQL documentation, "BRIN: bloom operator classes"): three kilobytes for each 256 kB of
events, written by beat for what is new and not by ingest. A look reads the filters, and of the table only what they let
through. Beat also makes old filters anew in turn: a filter never forgets by itself, so once retention has let new
events take the place of old ones, it would hold both and let nearly everything through.

An e-mail address is hashed before it gets anywhere near a query, as the index has it hashed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from django.db import OperationalError, connection, transaction
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from psycopg.errors import QueryCanceled

from events.models import Event

MOST_FOUND = 50
MILLISECONDS = 5000
INDEX = "event_lookup"
PAGES_PER_RANGE = 32
"""As migration 0003 has it."""
RANGES_PER_TURN = 4
TURN_SECONDS = 30
"""Four filters made anew twice a minute: those of ten million events within three days, for 4 ms a turn."""


class Key(NamedTuple):
    label: str | Promise
    expression: str
    """As the index has it (migration 0003)."""
    wanted: Callable[[str], list[str]]
    """What the expression may be for what was entered; nothing for nothing."""


_SHA256 = re.compile(r"[0-9a-f]{64}")


def _as_it_is(text: str) -> list[str]:
    return list(filter(None, [text.strip().replace("\x00", "")]))


def _email(text: str) -> list[str]:
    """Senders may give an address plain or as SHA-256 already; either is found by the plain one."""
    address = text.strip().replace("\x00", "").lower()
    if not address:
        return []
    forms = [address] if _SHA256.fullmatch(address) else [address, hashlib.sha256(address.encode()).hexdigest()]
    return [hashlib.md5(form.encode(), usedforsecurity=False).hexdigest() for form in forms]


KEYS: dict[str, Key] = {
    "transaction": Key(_("Transaction id"), "payload->>'transactionId'", _as_it_is),
    "order": Key(_("Order id"), "payload->>'orderId'", _as_it_is),
    "email": Key(_("E-mail address"), "md5(lower(payload->>'email'))", _email),
    "external": Key(_("External id"), "payload->>'externalId'", _as_it_is),
}


class TooSlow(Exception):
    """The look was broken off; the message is for the person who asked."""


def find(by: str, text: str) -> list[Event]:
    """Events with that key, newest first. Raises KeyError for an unknown `by`, TooSlow."""
    key = KEYS[by]
    values = key.wanted(text)
    if not values:
        return []
    # OR, not ANY: only so the index answers for each of them.
    is_one = " OR ".join([f"({key.expression}) = %s"] * len(values))
    # MATERIALIZED: with the order and the limit inside, the planner would rather walk the whole table by its key.
    sql = (
        f"WITH hit AS MATERIALIZED (SELECT id FROM events_event WHERE {is_one})"
        " SELECT id FROM hit ORDER BY id DESC LIMIT %s"
    )
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            # Statistics know little of expressions, and a guess that is off leads to a walk through everything.
            cursor.execute(f"SET LOCAL statement_timeout = {MILLISECONDS}; SET LOCAL enable_seqscan = off")
            cursor.execute(sql, [*values, MOST_FOUND])
            found = [row[0] for row in cursor.fetchall()]
            cursor.execute("SET LOCAL statement_timeout = DEFAULT; SET LOCAL enable_seqscan = DEFAULT")
    except OperationalError as error:
        if isinstance(error.__cause__, QueryCanceled):
            said = gettext("Looking it up takes too long just now. The event id finds it at once.")
            raise TooSlow(said) from None
        raise
    return list(Event.objects.filter(pk__in=found).select_related("source").order_by("-pk"))


def summarize() -> int:
    """Write the filters of what is new; returns how many. Cheap, idempotent; beat calls it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT brin_summarize_new_values(%s::regclass)", [INDEX])
        count: int = cursor.fetchone()[0]
    return count


def refresh(now: datetime | None = None) -> int:
    """Make a few filters anew from what is there now, in turn; returns how many. Beat calls it.

    Which ones goes by the clock, so nothing needs to be remembered. A range without its filter, between the two
    calls or after a kill, is read by every look until the next `summarize`: slower, never wrong.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_relation_size('events_event') / current_setting('block_size')::int")
        ranges = -(-cursor.fetchone()[0] // PAGES_PER_RANGE)
        turn = int((now or timezone.now()).timestamp() // TURN_SECONDS)
        due = {(turn * RANGES_PER_TURN + number) % ranges for number in range(RANGES_PER_TURN)} if ranges else set()
        for number in sorted(due):
            block = number * PAGES_PER_RANGE
            cursor.execute("SELECT brin_desummarize_range(%s::regclass, %s)", [INDEX, block])
            cursor.execute("SELECT brin_summarize_range(%s::regclass, %s)", [INDEX, block])
    return len(due)
