"""Celery tasks of this app. Coarse: one call goes on until nothing is left."""

from __future__ import annotations

from celery import shared_task

from routing.dispatch import route_due
from routing.publishing import publish_due
from routing.telling import tell_due


@shared_task(name="routing.route_batches")
def route_batches() -> int:
    """Route every accepted batch that is not routed yet. Idempotent; overlapping calls share the work."""
    return route_due()


@shared_task(name="routing.publish_drafts")
def publish_drafts() -> int:
    """Publish the drafts whose time has come, and mail what people are to know of drafts. Idempotent; overlapping calls
    leave each other's alone.
    """
    count = publish_due()
    tell_due()
    return count
