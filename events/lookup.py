"""Finding events by what product code knows them by: transaction, order, person.

An ordinary index on each of these would cost ingest more than everything else it does. Here they are in one BRIN index
of Bloom filters (PostgreSQL documentation, "BRIN: bloom operator classes"): three kilobytes for each 256 kB of
events, written by beat for what is new and not by ingest. A look reads the filters, and of the table only what they let
through.

An e-mail address is hashed before it gets anywhere near a query, as the index has it hashed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import NamedTuple

from django.db import OperationalError, connection, transaction
from psycopg.errors import QueryCanceled

from events.models import Event

MOST_FOUND = 50
MILLISECONDS = 5000
INDEX = "event_lookup"


class Key(NamedTuple):
    label: str
    expression: str
    """As the index has it (migration 0003)."""
    clean: Callable[[str], str]


def _trimmed(text: str) -> str:
    return text.strip().replace("\x00", "")


def _email(text: str) -> str:
    return hashlib.md5(_trimmed(text).lower().encode(), usedforsecurity=False).hexdigest()


KEYS: dict[str, Key] = {
    "transaction": Key("Transaction id", "payload->>'transactionId'", _trimmed),
    "order": Key("Order id", "payload->>'orderId'", _trimmed),
    "email": Key("E-mail address", "md5(lower(payload->>'email'))", _email),
    "external": Key("External id", "payload->>'externalId'", _trimmed),
}


class TooSlow(Exception):
    """The look was broken off; the message is for the person who asked."""


def find(by: str, text: str) -> list[Event]:
    """Events with that key, newest first. Raises KeyError for an unknown `by`, TooSlow."""
    key = KEYS[by]
    value = key.clean(text)
    if not value:
        return []
    # MATERIALIZED: with the order and the limit inside, the planner would rather walk the whole table by its key.
    sql = (
        f"WITH hit AS MATERIALIZED (SELECT id FROM events_event WHERE ({key.expression}) = %s)"
        " SELECT id FROM hit ORDER BY id DESC LIMIT %s"
    )
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            # Statistics know little of expressions, and a guess that is off leads to a walk through everything.
            cursor.execute(f"SET LOCAL statement_timeout = {MILLISECONDS}; SET LOCAL enable_seqscan = off")
            cursor.execute(sql, [value, MOST_FOUND])
            found = [row[0] for row in cursor.fetchall()]
            cursor.execute("SET LOCAL statement_timeout = DEFAULT; SET LOCAL enable_seqscan = DEFAULT")
    except OperationalError as error:
        if isinstance(error.__cause__, QueryCanceled):
            raise TooSlow("Looking it up takes too long just now. The event id finds it at once.") from None
        raise
    return list(Event.objects.filter(pk__in=found).select_related("source").order_by("-pk"))


def summarize() -> int:
    """Write the filters of what is new; returns how many. Cheap, idempotent; beat calls it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT brin_summarize_new_values(%s::regclass)", [INDEX])
        count: int = cursor.fetchone()[0]
    return count
