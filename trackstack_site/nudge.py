"""Wake workers without making anybody wait.

Sending a Celery message costs a round trip to the broker, and a dead broker costs a timeout. So callers only note what
to wake; one thread per process sends, each wake-up once per tick however often it was asked for. What is lost (a dead
broker, a killed process) the sweep in beat makes good within seconds.
"""

from __future__ import annotations

import logging
import os
import threading
import time

from trackstack_site.celery import app

TICK_SECONDS = 0.1
"""A message costs a millisecond of a process that has events to take in."""
EXPIRES_SECONDS = 30

logger = logging.getLogger(__name__)

Wake = tuple[str, tuple[int, ...]]

_pending: dict[Wake, None] = {}
_lock = threading.Lock()
_asked = threading.Event()
_thread: threading.Thread | None = None
_owner = 0


def nudge(task: str, *args: int) -> None:
    """Ask for a run of `task`; returns at once, never raises. Repeats within a tick are one message."""
    wake = (task, args)
    # Under load it is asked for already, nine times of ten. Whoever sends takes the wakes out before anything else, so
    # one that is still there is yet to be sent.
    if wake in _pending and _owner == os.getpid():
        return
    with _lock:
        _pending[wake] = None
        _ensure_thread()
    _asked.set()


def _ensure_thread() -> None:
    """Start the sender in this process (a fork inherits the variable, not the thread)."""
    global _thread, _owner
    if _thread is None or not _thread.is_alive() or _owner != os.getpid():
        _owner = os.getpid()
        _thread = threading.Thread(target=_send_forever, name="nudge", daemon=True)
        _thread.start()


def _send_forever() -> None:
    is_down = False
    while True:
        _asked.wait()
        _asked.clear()
        with _lock:
            wakes = list(_pending)
            _pending.clear()
        for task, args in wakes:
            try:
                app.send_task(
                    task,
                    args=args,
                    expires=EXPIRES_SECONDS,
                    retry=False,
                    ignore_result=True,
                )
                is_down = False
            except Exception as error:  # noqa: BLE001  (any transport has its own errors; the sweep repairs all)
                if not is_down:
                    logger.warning("broker away, the sweep takes over: %s", type(error).__name__)
                is_down = True
                break
        time.sleep(1.0 if is_down else TICK_SECONDS)
