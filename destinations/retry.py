"""When to try again, and when to stop. Pure: the caller brings the clock and the dice."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

FIRST_SECONDS = 5.0
LONGEST_SECONDS = 2 * 3600.0


class Again(msgspec.Struct, frozen=True):
    at: datetime


class GiveUp(msgspec.Struct, frozen=True):
    reason: str
    """`exhausted` or `too_old`."""


def backoff_seconds(
    tries: int,
    roll: float,
    *,
    first: float = FIRST_SECONDS,
    longest: float = LONGEST_SECONDS,
) -> float:
    """Full jitter: anything between 0 and the doubled ceiling, so that clients never march in step.

    tries: tries made so far, from 1. roll: a random number in [0, 1).
    Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    ceiling = min(longest, first * 2.0 ** min(tries - 1, 30))
    return roll * ceiling


def next_try(
    *,
    tries: int,
    now: datetime,
    roll: float,
    started_at: datetime,
    occurred_at: datetime,
    retry_for: timedelta,
    max_age: timedelta | None,
    after: float | None = None,
) -> Again | GiveUp:
    """The time of the next try, not before `after` seconds (Retry-After) have passed unless time runs out before.

    Ends `retry_for` after the delivery began, or when the event grows older than the platform takes.
    """
    wait = backoff_seconds(tries, roll)
    if after is not None:
        # A little beyond what was asked: all who were told the same moment must not return in the same moment.
        wait = max(wait, after * (1 + 0.1 * roll)) if after > 0 else 0.0
    deadline, reason = started_at + retry_for, "exhausted"
    if max_age is not None and occurred_at + max_age < deadline:
        deadline, reason = occurred_at + max_age, "too_old"
    if now >= deadline:
        return GiveUp(reason)
    # A wait that ends after the deadline is cut to one last try at it, however far away the platform wants us.
    return Again(min(now + timedelta(seconds=min(wait, 30 * 86400)), deadline))
