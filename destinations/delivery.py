"""Delivering: claim → build → send → parse → record, per destination, until nothing is due.

A claim is a lease: it pushes `due_at` forward and counts the try, so a killed worker's rows become due again by
themselves. No transaction is open while a request is under way. What was sent but not recorded when a worker dies is
sent again with the same dedup id, and nothing else is.
"""

from __future__ import annotations

import time

from django.utils import timezone

from destinations import breaker
from destinations.lanes import Lane
from destinations.models import Destination
from destinations.platforms.base import Platform
from destinations.queue import claim, claim_probe, has_due
from destinations.sending import Run
from trackstack_site.nudge import nudge

MAX_CLAIM = 2000
MIN_CLAIM = 50
"""Platforms that take one event a request are claimed in handfuls, or every event would cost three statements."""
TASK_SECONDS = 20.0
"""After this long a task gives its thread to others and asks to be woken again."""
DELIVER_TASK = "destinations.deliver"


def deliver_due(destination_id: int) -> int:
    """Deliver what is due for one destination; returns how many rows were handled.

    Idempotent and safe to run in any number of workers at once: lanes bound how many work at a destination, and a
    claimed row is nobody else's until its lease ends.
    """
    lane = Lane(destination_id)
    handled = 0
    deadline = time.monotonic() + TASK_SECONDS
    while lane.acquire():
        try:
            is_dry = False
            while not is_dry and time.monotonic() < deadline:
                count = deliver_once(destination_id)
                handled += count
                is_dry = count == 0
                lane.extend()
        finally:
            lane.release()
        if not is_dry:
            nudge(DELIVER_TASK, destination_id)
            break
        # A wake-up that came while we held the last lane found no place: look once more now that it is free.
        if not has_due(destination_id):
            break
    return handled


def deliver_once(destination_id: int) -> int:
    """One claim, delivered and recorded. 0 when there was nothing to do, or the destination is held or backing off."""
    destination = Destination.objects.filter(pk=destination_id).first()
    if destination is None:
        return 0
    if destination.is_enabled and (
        destination.hold or (destination.backoff_until and destination.backoff_until > timezone.now())
    ):
        return 0
    platform = destination.platform
    if destination.breaker_since is not None and destination.is_enabled:
        return _probe(destination, platform)
    rows = claim(destination_id, max(MIN_CLAIM, min(platform.batch_limit, MAX_CLAIM)))
    if rows:
        Run(destination, platform, rows).go()
    return len(rows)


def _probe(destination: Destination, platform: Platform) -> int:
    """One row, when it is time for one. A row that needed no request (it is skipped, or too old) told us nothing."""
    if not breaker.may_probe(destination):
        return 0
    rows = claim_probe(destination.pk)
    if rows:
        run = Run(destination, platform, rows)
        run.go()
        if not run.has_asked and not run.is_stopped:
            breaker.give_back(destination)
    return len(rows)
