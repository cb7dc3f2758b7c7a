"""Lanes: how many workers may deliver to one destination at once. Leased, so a killed worker's lane frees itself."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import connection

# No longer than the lease of the rows, which a claim never outlasts: a killed worker must not bar the way for longer
# than its rows do.
LANE_SECONDS = settings.DELIVERY_LEASE.total_seconds()


class Lane:
    """Bounds how many workers deliver to one destination at once, so that a slow one cannot hold every thread."""

    def __init__(self, destination_id: int) -> None:
        self.destination_id = destination_id
        self.lane_id: int | None = None
        self.leased_until: datetime | None = None
        """Names the lease: once it ran out and another worker took the lane, ours is worth nothing."""

    def acquire(self) -> bool:
        with connection.cursor() as cursor:
            for _ in range(2):
                cursor.execute(
                    "UPDATE destinations_laneslot SET leased_until = statement_timestamp() + make_interval(secs => %s)"
                    " WHERE id = (SELECT id FROM destinations_laneslot"
                    " WHERE destination_id = %s AND leased_until <= statement_timestamp()"
                    " ORDER BY slot LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id, leased_until",
                    [LANE_SECONDS, self.destination_id],
                )
                row = cursor.fetchone()
                if row:
                    self.lane_id, self.leased_until = row
                    return True
                cursor.execute(
                    "INSERT INTO destinations_laneslot (destination_id, slot, leased_until)"
                    " SELECT d.id, slot, '-infinity' FROM destinations_destination d, generate_series(1, %s) AS slot"
                    " WHERE d.id = %s ON CONFLICT DO NOTHING",
                    [settings.LANES_PER_DESTINATION, self.destination_id],
                )
                if not cursor.rowcount:
                    return False
        return False

    def extend(self) -> None:
        self._set(LANE_SECONDS)

    def release(self) -> None:
        self._set(0)
        self.lane_id = None

    def _set(self, seconds: float) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE destinations_laneslot SET leased_until = statement_timestamp() + make_interval(secs => %s)"
                " WHERE id = %s AND leased_until = %s RETURNING leased_until",
                [seconds, self.lane_id, self.leased_until],
            )
            row = cursor.fetchone()
            self.leased_until = row[0] if row else None
