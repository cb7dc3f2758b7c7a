"""Python's cyclic collector in the servers.

A server keeps thousands of events at hand that hold no cycles, and makes as many more every second. With the default
thresholds the collector walks all of them again and again: a third of a worker's time, measured with `bench delivery`.
Reference counts free them all the same; what the collector is for, cycles, are few here and can wait.
"""

from __future__ import annotations

import gc

NEW_OBJECTS = 50_000
"""Containers made and not freed before the collector looks (Python's default: 700)."""


def collect_seldom() -> None:
    """For a process that has imported what it needs: that stays for good, so the collector need not look at it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, 20, 20)
