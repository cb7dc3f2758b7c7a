"""The index of waiting deliveries, as its readers write it in SQL: `delivery_due` holds what was never tried apart from
what is tried again, each in the order of its turn.

A query must name both halves (`least(tries, 1)` is 0 or 1), or PostgreSQL cannot walk the index in order.
"""

from __future__ import annotations

_HALF = """
    (SELECT greatest(w.due_at, w.created_at) AS at, w.due_at FROM destinations_delivery w
     WHERE w.destination_id = d.id AND w.state = 1 AND least(w.tries, 1) = {half}
     ORDER BY w.due_at LIMIT 1)"""
# `due_at` is a turn, which fairness between sources may put before the row's own time: nobody waited before there was
# something to wait.
FIRST_DUE = f"""LATERAL (
    SELECT min(heads.at) AS at FROM ({_HALF.format(half=0)}
    UNION ALL {_HALF.format(half=1)}
    ) heads
) due"""
"""To join to `destinations_destination d`: `due.at` is when the first of its rows came, or comes, due; or null."""

_DUE = """SELECT 1 FROM destinations_delivery w WHERE w.destination_id = {of} AND w.state = 1
    AND least(w.tries, 1) = {half} AND w.due_at <= statement_timestamp() - make_interval(secs => {late})"""


def has_fresh(of: str) -> str:
    """A condition: a row of the destination `of` that was never tried is due."""
    return f"EXISTS ({_DUE.format(of=of, half=0, late=0)})"


def has_due(of: str, late: str = "0") -> str:
    """A condition: a row of the destination `of` (an expression) has been due for `late` seconds."""
    halves = (_DUE.format(of=of, half=half, late=late) for half in (0, 1))
    return "(" + " OR ".join(f"EXISTS ({half})" for half in halves) + ")"


def some(of: str, most: int) -> str:
    """A query with a row for each that waits at the destination `of`, up to `most`.

    In order, though nobody looks at it: without, a plan by statistics from before a long queue drained reads the whole
    table for the rows that it expects to meet soon.
    """
    return f"""SELECT 1 FROM destinations_delivery w WHERE w.destination_id = {of} AND w.state = 1
    ORDER BY least(w.tries, 1), w.due_at LIMIT {most}"""
