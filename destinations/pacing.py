"""Keeping to a platform's rate limit: so many requests or events a minute for a credential, over all workers together.

The count stands in Valkey (a sliding window, `limits`), under a name that tells nothing of the credential. While Valkey
is away, or where the broker is one that cannot count (RabbitMQ), each process keeps to its share by itself, so that a
limit holds then too.
"""

from __future__ import annotations

import hashlib
import logging
import time
from functools import cache
from typing import TYPE_CHECKING

from django.conf import settings
from limits import RateLimitItemPerMinute
from limits.errors import StorageError
from limits.storage import MemoryStorage, storage_from_string
from limits.strategies import SlidingWindowCounterRateLimiter

if TYPE_CHECKING:
    from destinations.models import Destination

logger = logging.getLogger(__name__)

LONGEST_NAP = 2.0
"""Seconds that a worker waits for its turn; for longer it gives the rows back, and its thread to others."""
AWAY_SECONDS = 10.0
"""How long Valkey is left alone after it did not answer."""
COUNTING = ("redis://", "rediss://", "redis+unix://")
"""How addresses of brokers begin that hold counts as well."""
_away_until = 0.0


@cache
def _shared() -> SlidingWindowCounterRateLimiter | None:
    """None: the broker cannot count. Celery and `limits` write the address of a socket differently."""
    url = settings.CELERY_BROKER_URL.replace("redis+socket://", "redis+unix://")
    if not url.startswith(COUNTING):
        return None
    options = {"socket_timeout": 1, "socket_connect_timeout": 1}
    return SlidingWindowCounterRateLimiter(storage_from_string(url, wrap_exceptions=True, **options))


@cache
def _own() -> SlidingWindowCounterRateLimiter:
    return SlidingWindowCounterRateLimiter(MemoryStorage())


def credential(destination: Destination) -> str:
    """A name for the credential of a destination: the same for all destinations that use it, and no secret."""
    secrets = sorted(f"{name}={value}" for name, value in destination.secrets.items())
    text = "\n".join([destination.platform_key, *(secrets or [str(destination.pk)])])
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def turn(destination: Destination, events: int = 1) -> float:
    """Seconds until one more request with so many events may be made; 0: it may be made now, and is counted."""
    platform = destination.platform
    limit, cost = platform.requests_per_minute, 1
    if limit is None:
        limit, cost = platform.events_per_minute, events
    if limit is None:
        return 0.0
    who = credential(destination)
    global _away_until
    shared = _shared()
    if shared is not None and time.monotonic() >= _away_until:
        try:
            return _ask(shared, limit, cost, who)
        except StorageError as error:
            _away_until = time.monotonic() + AWAY_SECONDS
            logger.warning("rate limits are kept by each process alone: %s", type(error.storage_error).__name__)
    return _ask(_own(), max(1, limit // max(1, settings.WORKERS_EXPECTED)), cost, who)


def _ask(limiter: SlidingWindowCounterRateLimiter, limit: int, cost: int, who: str) -> float:
    item = RateLimitItemPerMinute(limit)
    cost = min(cost, limit)  # a process's share may be smaller than a batch
    if limiter.hit(item, "trackstack", who, cost=cost):
        return 0.0
    # The window slides: a part of the minute after which so many places are free again.
    return max(
        0.05, min(60.0 * cost / limit, limiter.get_window_stats(item, "trackstack", who).reset_time - time.time())
    )


def wait(destination: Destination, events: int = 1) -> float:
    """Wait for a turn, as long as that is short. 0: go ahead; otherwise the seconds that are still to wait."""
    deadline = time.monotonic() + LONGEST_NAP
    while seconds := turn(destination, events):
        if time.monotonic() + seconds > deadline:
            return seconds
        time.sleep(seconds)
    return 0.0
