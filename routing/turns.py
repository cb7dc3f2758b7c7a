"""Whose turn it is at a destination: sources share it evenly, however much each of them sends.

Start-time fair queueing (Goyal, Vin and Cheng, 1996): a delivery is stamped with its turn (`due_at`, never in the
future), and workers take the lowest stamp first. A source's turns follow one another by a microsecond an event, but
never lie before the turn that is being served. So a source that sends a million events stands behind itself, and one
that sends three of them meanwhile is served next. Where nothing waits, the turn is now.

Each process keeps its own stamps: they need not agree, since every source's batches come to all of them. A restart
forgets them, which costs a source's own order for a moment, nobody else's.
"""

from __future__ import annotations

from collections.abc import Mapping

MICROSECONDS_AN_EVENT = 1


class Turns:
    """Stamps in microseconds, of any epoch, by destination and source."""

    def __init__(self) -> None:
        self._ends: dict[tuple[int, int], int] = {}

    def forget(self) -> None:
        self._ends.clear()

    def start(self, destination_id: int, source_id: int, heads: Mapping[int, int], now: int) -> int:
        """The turn of what this source sends now.

        heads: destination → the stamp that is served next, where rows wait.
        """
        served = min(heads.get(destination_id, now), now)
        return min(now, max(served, self._ends.get((destination_id, source_id), served)))

    def took(self, destination_id: int, source_id: int, start: int, events: int) -> None:
        """So many events were stamped `start`."""
        self._ends[destination_id, source_id] = start + events * MICROSECONDS_AN_EVENT
