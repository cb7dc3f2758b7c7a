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
IDENTITY: tuple[tuple[str, ...], ...] = tuple((name,) for name in MEASURED)

# Ordered outside as well, so that the order does not rest on how PostgreSQL happens to run the inside.
_NEWEST_SQL = f"""
SELECT id, received_at, payload FROM (
    SELECT id, name, received_at, payload FROM events_event ORDER BY id DESC LIMIT {LOOK_BACK}
) newest WHERE name = %s ORDER BY id DESC LIMIT {MOST}
"""
_COVERAGE_SQL = f"""
SELECT count(*), max(id), min(received_at), {{carrying}}
FROM ({_NEWEST_SQL}) counted
"""
_SOURCES_SQL = f"""
SELECT source_id, count(*) FROM (
    SELECT name, source_id, received_at FROM events_event ORDER BY id DESC LIMIT {LOOK_BACK}
) newest WHERE name = %s AND received_at >= %s GROUP BY 1 ORDER BY 2 DESC, 1
"""
_LAST_SQL = f"""
SELECT id FROM (SELECT id, name FROM events_event ORDER BY id DESC LIMIT {LOOK_BACK}) newest
WHERE name = %s ORDER BY id DESC LIMIT 1
"""


class Share(NamedTuple):
    fields: tuple[str, ...]
    """Of which one will do."""
    carrying: int
    """Events that carry it."""
    percent: int


class Coverage(NamedTuple):
    """How many of the newest events of a name carry each field that was asked for."""

    events: int
    """How many were looked at; 0 when the name is not among the newest of all."""
    since: datetime | None
    shares: list[Share]
    last: Event | None


def coverage(name: str, asked: Sequence[tuple[str, ...]] = IDENTITY) -> Coverage:
    """asked: names of fields in the contract; of several together, any counts."""
    carrying = ", ".join(["count(*) FILTER (WHERE payload ?| %s)"] * len(asked))
    with connection.cursor() as cursor:
        cursor.execute(_COVERAGE_SQL.format(carrying=carrying), [*map(list, asked), name])
        total, last, since, *counts = cursor.fetchone()
    shares = [
        Share(fields, count, round(100 * count / total) if total else 0)
        for fields, count in zip(asked, counts, strict=True)
    ]
    return Coverage(total, since, shares, Event.objects.filter(pk=last).first() if total else None)


def by_source(name: str, since: datetime) -> dict[int, int]:
    """Source id → events of that name among the newest of all, the most first."""
    with connection.cursor() as cursor:
        cursor.execute(_SOURCES_SQL, [name, since])
        return dict(cursor.fetchall())


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
