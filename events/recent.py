"""The newest events of one name, in bounded reads: the hottest table there is has no index on names.

Looked at are the newest LOOK_BACK events of all names, backwards along the primary key. A name that is rarer than that
is said to be so on screen, rather than searched for through millions of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import connection

from events.fields import FIELDS
from events.models import Event

LOOK_BACK = 20_000
MOST = 500
"""Events of the name that are counted."""

MEASURED: tuple[str, ...] = (
    *(field.name for field in FIELDS if field.group == "identity"),
    "clientIp",
    "userAgent",
    "clickIds",
)
"""What is measured: what platforms match people by, as named in the contract."""

# Ordered outside as well, so that the order does not rest on how PostgreSQL happens to run the inside.
_NEWEST_SQL = f"""
SELECT id, received_at, payload FROM (
    SELECT id, name, received_at, payload FROM events_event ORDER BY id DESC LIMIT {LOOK_BACK}
) newest WHERE name = %s ORDER BY id DESC LIMIT {MOST}
"""
_CARRYING = ", ".join(f"count(*) FILTER (WHERE payload ? '{name}')" for name in MEASURED)
_COVERAGE_SQL = f"""
SELECT count(*), max(id), min(received_at), {_CARRYING}
FROM ({_NEWEST_SQL}) counted
"""
_LAST_SQL = f"""
SELECT id FROM (SELECT id, name FROM events_event ORDER BY id DESC LIMIT {LOOK_BACK}) newest
WHERE name = %s ORDER BY id DESC LIMIT 1
"""


class Share(NamedTuple):
    field: str
    carrying: int
    """Events that carry it."""
    percent: int


class Coverage(NamedTuple):
    """How many of the newest events of a name carry each identity field."""

    events: int
    """How many were looked at; 0 when the name is not among the newest of all."""
    since: datetime | None
    shares: list[Share]
    last: Event | None


def coverage(name: str) -> Coverage:
    with connection.cursor() as cursor:
        cursor.execute(_COVERAGE_SQL, [name])
        total, last, since, *counts = cursor.fetchone()
    shares = [
        Share(field, count, round(100 * count / total) if total else 0)
        for field, count in zip(MEASURED, counts, strict=True)
    ]
    return Coverage(total, since, shares, Event.objects.filter(pk=last).first() if total else None)


_EMAIL_SQL = f"""
SELECT name, round(100.0 * count(*) FILTER (WHERE payload ? 'email') / count(*))::int FROM (
    SELECT name, payload FROM events_event ORDER BY id DESC LIMIT {LOOK_BACK}
) newest WHERE name = ANY(%s) GROUP BY name
"""


def with_email(names: Sequence[str]) -> dict[str, int]:
    """Percent of the newest events that carry an e-mail address, by name; rare names are left out."""
    with connection.cursor() as cursor:
        cursor.execute(_EMAIL_SQL, [list(names)])
        return dict(cursor.fetchall())


def last_of(name: str) -> Event | None:
    """The newest event of that name, when it is among the newest of all."""
    with connection.cursor() as cursor:
        cursor.execute(_LAST_SQL, [name])
        row = cursor.fetchone()
    return Event.objects.filter(pk=row[0]).first() if row else None
