"""Celery tasks of this app."""

from __future__ import annotations

import time

from celery import shared_task

from events import quality

SECONDS_PER_RUN = 10.0


@shared_task(name=quality.QUALITY_TASK)
def look_at_quality() -> None:
    """Look at what came in since the last time, a bounded time a run. Idempotent; one process at a time."""
    deadline = time.monotonic() + SECONDS_PER_RUN
    while time.monotonic() < deadline and quality.step():
        pass
