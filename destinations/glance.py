"""A look that many may ask for and few need take: what one saw is good for some seconds, in this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

_all: list[Glance] = []  # type: ignore[type-arg]


class Glance(Generic[T]):
    """Calls `look` at most once in `seconds`; while one thread looks, the others get what was seen last."""

    def __init__(self, look: Callable[[], T], seconds: float) -> None:
        self.look = look
        self.seconds = seconds
        self._seen: tuple[float, T] | None = None
        self._looking = threading.Lock()
        _all.append(self)

    def __call__(self) -> T:
        seen = self._seen
        if seen is not None and time.monotonic() - seen[0] < self.seconds:
            return seen[1]
        if not self._looking.acquire(blocking=seen is None) and seen is not None:
            return seen[1]
        try:
            found = self.look()
            self._seen = (time.monotonic(), found)
        finally:
            self._looking.release()
        return found

    def forget(self) -> None:
        self._seen = None


def forget() -> None:
    """Everything is looked at anew (tests, whose changes are rolled back)."""
    for glance in _all:
        glance.forget()
