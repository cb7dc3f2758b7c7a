"""Calling a platform's adapter so that a bug in it, or an answer nobody foresaw, costs one event at most."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

from destinations.platforms.base import Built, Config, Item, Outcome, Platform, Request, Response, Result, Skip

logger = logging.getLogger(__name__)

BUILD_FAILED = "build_failed"
"""Reason of an item whose payload the adapter could not build: a bug of ours, so it is dead, not skipped."""


def build(platform: Platform, items: Sequence[Item], config: Config, now: datetime) -> Built:
    """As the platform's `build`; an item at which that raises is a skip with BUILD_FAILED."""
    try:
        return platform.build(items, config, now)
    except Exception:
        if len(items) == 1:
            logger.exception("%s could not build a payload", platform.key)
            skip = Skip(item=items[0], reason=BUILD_FAILED, detail="The payload could not be built.")
            return Built(requests=[], skipped=[skip])
    # A bug met one event: find it, and send the others.
    half = len(items) // 2
    left, right = build(platform, items[:half], config, now), build(platform, items[half:], config, now)
    return Built(requests=left.requests + right.requests, skipped=left.skipped + right.skipped)


def parse(platform: Platform, request: Request, answer: Response) -> list[Outcome]:
    """As the platform's `parse`: an outcome for each item, RETRY for all where it could not read the answer."""
    try:
        outcomes = platform.parse(request, answer)
        if len(outcomes) == len(request.items):
            return outcomes
        logger.error("%s gave %d outcomes for %d items", platform.key, len(outcomes), len(request.items))
    except Exception:
        logger.exception("%s could not read an answer", platform.key)
    outcome = Outcome(result=Result.RETRY, detail=f"The answer ({answer.status}) could not be read.")
    return [outcome] * len(request.items)


def alone(platform: Platform, request: Request, config: Config, now: datetime) -> Request | None:
    """The request that the first event of a batch alone would have made."""
    # It has just been built among others, so it builds alone as well.
    built = platform.build(request.items[:1], config, now).requests
    parts = [part for whole in built for part in (*whole.before, whole)]
    return next((part for part in parts if part.url == request.url), None)
