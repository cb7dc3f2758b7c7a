"""The circuit breaker: what a destination that fails as a whole is spared, and what its rows are.

Each failed request makes the destination wait a little longer before the next. After OPEN_AFTER of them in a row the
breaker is open: one row at a time probes the platform, any of the first, and the rows lose no tries while it does not
answer. They wait in their order, like those of a paused destination. The first request that is taken closes it, and
what waited drains.

Its state stands in the destination's row, so it is the same for all workers and survives them.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import DateTimeField, ExpressionWrapper, F
from django.db.models.functions import Greatest, Least, Now
from django.utils import timezone

from destinations import retry
from destinations.models import Destination
from destinations.platforms.base import Outcome, Result
from routing import toggles

logger = logging.getLogger(__name__)

OPEN_AFTER = 5
"""Failed requests in a row."""
LONGEST_BACKOFF = 120.0
LONGEST_PAUSE = 3600.0
"""However long a platform asks a destination to wait, it is tried once an hour; each row keeps its own Retry-After."""
MOST_FAILURES = 1000

PROBE_SQL = """
UPDATE destinations_destination SET backoff_until = statement_timestamp() + make_interval(secs => %s)
WHERE id = %s AND breaker_since IS NOT NULL AND (backoff_until IS NULL OR backoff_until <= statement_timestamp())
"""


def may_probe(destination: Destination) -> bool:
    """Whether the caller is the one to probe; it holds the right for as long as a request may take."""
    with connection.cursor() as cursor:
        cursor.execute(PROBE_SQL, [settings.HTTP_TIMEOUT_SECONDS + 5, destination.pk])
        return bool(cursor.rowcount)


def give_back(destination: Destination) -> None:
    """The right to probe was not used: the next row may have it at once."""
    Destination.objects.filter(pk=destination.pk).exclude(breaker_since=None).update(backoff_until=None)


def note(destination: Destination, outcomes: Sequence[Outcome]) -> bool:
    """Take notice of a request's outcomes; True when it failed as a whole, and what is behind it had better wait.

    Their details are kept and shown: without secrets and persons, please.
    """
    if all(outcome.result == Result.RETRY for outcome in outcomes):
        if all(outcome.is_again for outcome in outcomes):
            return False
        asked = max((outcome.after or 0.0 for outcome in outcomes), default=0.0)
        _failed(destination, asked, outcomes[0].detail)
        return True
    if (destination.failures or destination.breaker_since) and any(o.result == Result.OK for o in outcomes):
        _succeeded(destination)
    return False


def put_off(destination: Destination, seconds: float) -> None:
    """Nothing is sent before these seconds are over."""
    Destination.objects.filter(pk=destination.pk).update(backoff_until=_pushed(destination, seconds))


def _pushed(destination: Destination, seconds: float) -> Any:
    """The new end of backing off. Another worker may just have been told to wait for longer: that stands. Only a probe
    knows better, for what stands there is its own right to probe.
    """
    until = ExpressionWrapper(Now() + timedelta(seconds=seconds), output_field=DateTimeField())
    return Greatest("backoff_until", until) if destination.breaker_since is None else until


def _failed(destination: Destination, asked: float, detail: str) -> None:
    failures = destination.failures + 1
    pause = min(asked, LONGEST_PAUSE) or retry.backoff_seconds(
        failures, 0.5 + random.random() / 2, first=1, longest=LONGEST_BACKOFF
    )
    Destination.objects.filter(pk=destination.pk).update(
        failures=Least(F("failures") + 1, MOST_FAILURES), backoff_until=_pushed(destination, pause)
    )
    destination.failures = failures
    if failures >= OPEN_AFTER and destination.breaker_since is None:
        _open(destination, failures, detail)


def _open(destination: Destination, failures: int, detail: str) -> None:
    destination.breaker_since = timezone.now()
    with transaction.atomic():
        is_first = Destination.objects.filter(pk=destination.pk, breaker_since=None).update(
            breaker_since=destination.breaker_since, breaker_detail=detail[:400]
        )
        if is_first:
            said = f"{destination.name} does not answer as it should: {failures} requests failed in a row. {detail}"
            toggles.record_destination_change(destination, "breaker", [said.strip()], actor="delivery")
    if is_first:
        logger.warning("breaker open", extra={"destination": destination.name, "failures": failures})


def _succeeded(destination: Destination) -> None:
    with transaction.atomic():
        was_open = Destination.objects.filter(pk=destination.pk).exclude(breaker_since=None).update(breaker_since=None)
        Destination.objects.filter(pk=destination.pk).update(failures=0, backoff_until=None, breaker_detail="")
        if was_open and destination.breaker_since is not None:
            minutes = max(1, round((timezone.now() - destination.breaker_since).total_seconds() / 60))
            noun = "minute" if minutes == 1 else "minutes"
            said = f"{destination.name} takes requests again after {minutes} {noun}"
            toggles.record_destination_change(destination, "breaker", [said], actor="delivery")
    destination.failures, destination.breaker_since = 0, None


def closed() -> dict[str, object]:
    """Values of a destination with a clean record: it was mended, or somebody wants it tried now."""
    return {"backoff_until": None, "failures": 0, "breaker_since": None, "breaker_detail": ""}
