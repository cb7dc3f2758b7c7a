"""Storing batches: concurrent requests of a process share one transaction.

One thread a process writes, over one connection: what arrives while it stores is stored together next. So a commit is
paid once for all that waited for it, and nobody waits for a timer.

How a group gets into its tables is in `events.writing`.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from queue import Empty, SimpleQueue

from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    connection,
)
from psycopg.errors import DeadlockDetected

from events.contract import Accepted, Rejected
from events.writing import sort_out, write

RACE_TRIES = 4
GATHER_SECONDS = 0.0005
MOST_BATCHES = 32
MOST_EVENTS = 1600
"""Of one transaction: enough to share its cost, few enough that nobody waits long for the others."""


class Batch:
    """One request's events on their way to disk, and what became of them."""

    __slots__ = (
        "accepted", "client_ip", "error", "fresh", "is_settled", "received_at", "rejected", "sdk", "settled",
        "source_id", "trace_id", "user_agent", "version",
    )  # fmt: skip

    def __init__(
        self,
        *,
        source_id: int,
        received_at: datetime,
        client_ip: str | None,
        user_agent: str,
        sdk: str,
        trace_id: str,
        accepted: list[Accepted],
        rejected: list[Rejected],
    ) -> None:
        self.source_id = source_id
        self.received_at = received_at
        self.client_ip = client_ip
        self.user_agent = user_agent
        self.sdk = sdk
        self.trace_id = trace_id
        self.accepted = accepted
        self.rejected = rejected
        self.fresh: list[Accepted] = []
        """The events that were new, once it is stored."""
        self.version = 0
        """The routing version of that moment."""
        self.error: Exception | None = None
        self.is_settled = False
        self.settled = threading.Lock()
        """Held until it is settled; a lock is the cheapest thing to wait for."""
        self.settled.acquire()


_waiting: SimpleQueue[Batch | None] = SimpleQueue()
"""None: the writer is to end."""
_mutex = threading.Lock()
_writer: threading.Thread | None = None
_owner = 0


def store(batch: Batch) -> None:
    """Commit a batch, alone or with others; fills in `fresh` and `version`. The same events again store nothing twice.

    Raises what the database raises, when nothing of the batch is known to be kept.
    """
    if connection.in_atomic_block:  # somebody's own transaction: nobody else's events belong into it
        _settle([batch])
    else:
        _waiting.put(batch)
        if _writer is None or not _writer.is_alive() or _owner != os.getpid():
            _start_writer()
        batch.settled.acquire()
    if batch.error is not None:
        raise batch.error


def _start_writer() -> None:
    """The writer of this process (a fork inherits the variable, not the thread)."""
    global _writer, _owner
    with _mutex:
        if _writer is None or not _writer.is_alive() or _owner != os.getpid():
            _owner = os.getpid()
            _writer = threading.Thread(target=_write_forever, name="storing", daemon=True)
            _writer.start()


def _write_forever() -> None:
    """Store what waits, group by group, over a connection of our own that stays."""
    is_busy = False
    while group := _gather(is_busy):
        is_busy = len(group) > 1
        try:
            _settle(group)
        except BaseException as error:  # noqa: BLE001  (the writer must outlive whatever happens to a group)
            for batch in group:
                batch.error = batch.error or NotSettledError(type(error).__name__)
        finally:
            for batch in group:
                batch.settled.release()
        if connection.errors_occurred:
            connection.close()
    connection.close()


def _gather(is_busy: bool) -> list[Batch]:
    """Wait for a batch; take with it what else is there, up to the size of a group. Nothing: the end.

    is_busy: requests came together just now, so those of the others are on their way and worth a moment.
    """
    group: list[Batch] = []
    events = 0
    batch = _waiting.get()
    if is_busy:
        time.sleep(GATHER_SECONDS)
    while batch is not None:
        group.append(batch)
        events += len(batch.accepted)
        if events >= MOST_EVENTS or len(group) == MOST_BATCHES:
            break
        try:
            batch = _waiting.get_nowait()
        except Empty:
            break
    return group


def stop() -> None:
    """End the writer and its connection, when nothing is being stored (tests drop their database)."""
    writer = _writer
    if writer is not None and writer.is_alive() and _owner == os.getpid():
        _waiting.put(None)
        writer.join()


class NotSettledError(DatabaseError):
    """Storing broke off in a way nobody foresaw."""


def _settle(group: list[Batch]) -> None:
    """Store a group; never raises but for an interruption. What goes wrong with one batch is that batch's error."""
    try:
        try:
            _store_patiently(group)
        except (OperationalError, InterfaceError):
            # A connection that the database closed meanwhile (a restart, a fail-over) is noticed by using it. Should
            # the first try have been stored after all, the second finds its events there.
            if connection.in_atomic_block or connection.connection is None or connection.is_usable():
                raise
            connection.close()
            # The pool would find its other connections broken one at a time, and wait longer before each.
            connection.pool.check()
            _store_patiently(group)
    except (IntegrityError, DataError, OperationalError) as error:
        if len(group) == 1 or not _is_of_the_data(error):
            for batch in group:
                batch.error = error
        else:  # one of them cannot be stored: the others must not suffer for it
            for batch in group:
                _settle([batch])
            return
    except Exception as error:  # noqa: BLE001  (each waiting request must hear of it)
        for batch in group:
            batch.error = error
    for batch in group:
        batch.is_settled = True


def _is_of_the_data(error: Exception) -> bool:
    return not isinstance(error, OperationalError) or isinstance(error.__cause__, DeadlockDetected)


def _store_patiently(group: Sequence[Batch]) -> None:
    for attempt in range(RACE_TRIES):
        try:
            write(group)
            return
        except (IntegrityError, OperationalError) as error:
            # Another process stored one of these ids between our look-up and our COPY, or waits for one of ours as we
            # wait for one of its: look again.
            if not _is_of_the_data(error) or attempt == RACE_TRIES - 1:
                raise
        except DataError:
            # The contract promises storable JSON; should PostgreSQL disagree, find the events it means.
            if len(group) > 1:
                raise
            (batch,) = group
            batch.accepted, refused = sort_out(batch.accepted)
            if not refused:
                raise
            batch.rejected = [*batch.rejected, *refused]
