"""What became of what a replay handed over, where that is cheap to say: its page asks every two seconds."""

from __future__ import annotations

from django.db import OperationalError, connection, transaction
from psycopg.errors import QueryCanceled

from destinations.models import Replay, State, delivery_pk

MOST = 5_000
"""Deliveries that are counted, the first ones of the replay."""
MILLISECONDS = 250
"""Few deliveries of a replay among millions of others take long to find: then there is only the link to the list."""

# Handing over makes a delivery anew, or sets its `created_at` again.
STATES_SQL = """
SELECT state, count(*) FROM (
    SELECT state FROM destinations_delivery
    WHERE id >= %(low)s AND id < %(high)s AND destination_id = %(destination)s
        AND created_at >= %(since)s AND created_at <= %(until)s
        AND (%(only)s::bigint[] = '{}' OR id = ANY(%(only)s::bigint[]))
    ORDER BY id LIMIT %(most)s
) AS those GROUP BY state ORDER BY state
"""


def outcomes(replay: Replay) -> list[tuple[State, int]] | None:
    """Deliveries by state, at most MOST of them; None when looking takes too long."""
    if not replay.moved:
        return []
    values = {
        "low": delivery_pk(replay.lowest, 0), "high": delivery_pk(replay.cursor, 0), "most": MOST,
        "destination": replay.destination_id, "only": list(replay.only),
        "since": replay.created_at, "until": replay.stepped_at,
    }  # fmt: skip
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = {MILLISECONDS}")
            cursor.execute(STATES_SQL, values)
            found = [(State(state), count) for state, count in cursor.fetchall()]
            cursor.execute("SET LOCAL statement_timeout = DEFAULT")
    except OperationalError as error:
        if not isinstance(error.__cause__, QueryCanceled):
            raise
        return None
    return found
