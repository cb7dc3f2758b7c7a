"""Memory of the servers: how often Python looks for cycles, and how many heaps the C library keeps.

A server keeps thousands of events at hand that hold no cycles, and makes as many more every second. With the default
thresholds the collector walks all of them again and again: a third of a worker's time, measured with `bench delivery`.
Reference counts free them all the same; what the collector is for, cycles, are few here and can wait.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc

NEW_OBJECTS = 20_000
"""Containers made and not freed before the collector looks (Python's default: 700)."""


def collect_seldom() -> None:
    """For a process that has imported what it needs: that stays for good, so the collector need not look at it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, 20, 20)


M_ARENA_MAX = -8
ARENAS = 2


def few_arenas() -> None:
    """For a process that is about to start many threads. glibc gives nearly each of them a heap of its own, and what
    one has freed the others cannot use: a fifth of a worker's memory. Source: mallopt(3); other C libraries differ.
    """
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, ARENAS)
