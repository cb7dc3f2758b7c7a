"""Celery tasks of this app. Coarse: one call moves many rows. None carries data; PostgreSQL has it all."""

from __future__ import annotations

from celery import shared_task
from django.db import connection

from destinations import alerts, changes, ledger, minutes, notices, replays, retention
from destinations.delivery import DELIVER_TASK, deliver_due
from destinations.queue import due_destinations
from events import lookup, rejections, unrouted
from trackstack_site.nudge import nudge

ROUTE_TASK = "routing.route_batches"
FOLDS_PER_RUN = 50


@shared_task(name="destinations.deliver")
def deliver(destination_id: int) -> int:
    """Send what is due at one destination. Idempotent; overlapping calls share the work."""
    return deliver_due(destination_id)


@shared_task(name="destinations.sweep")
def sweep() -> None:
    """Wake whatever has work: retries that came due, rows of killed workers, and wake-ups that a broker lost."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {unrouted.ANY}")
        if cursor.fetchone()[0]:
            nudge(ROUTE_TASK)
    for destination_id in due_destinations():
        nudge(DELIVER_TASK, destination_id)
    changes.finish_closing()


@shared_task(name="destinations.fold_ledger")
def fold_ledger() -> None:
    """Fold the small entries of ledger and minutes into totals, count rejections, note the lag, index what is new."""
    for _ in range(FOLDS_PER_RUN):
        if not ledger.fold():
            break
    rejections.count_totals()
    lookup.summarize()
    lookup.refresh()
    minutes.note_lag()
    for _ in range(FOLDS_PER_RUN):
        if not minutes.fold():
            break


@shared_task(name="destinations.forget_old")
def forget_old() -> None:
    """Forget rows past their retention, a bounded amount a run."""
    retention.forget_old()


@shared_task(name=replays.REPLAY_TASK)
def replay() -> int:
    """One turn of every running replay. Idempotent; overlapping calls find the replays taken."""
    return replays.run_all()


@shared_task(name=alerts.EVALUATE_TASK)
def watch() -> None:
    """Look at every alert rule, and send the notices that are due. Idempotent; overlapping calls share the work."""
    alerts.evaluate()
    notices.send_due()
