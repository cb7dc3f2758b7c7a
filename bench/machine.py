"""The machine under a table of figures, without which they say little."""

from __future__ import annotations

import os
import platform
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil


def describe(sql: Any) -> dict[str, str]:
    """What the figures depend on; `sql` runs a statement on the database that was measured."""
    shown = {name: sql(f"SHOW {name}")[0][0] for name in ("server_version", "fsync", "synchronous_commit")}
    return {
        "cpu": _cpu(),
        "cores": str(os.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "postgresql": shown["server_version"],
        "fsync": shown["fsync"],
        "synchronous_commit": shown["synchronous_commit"],
        "shared_buffers": sql("SHOW shared_buffers")[0][0],
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "load_before": f"{os.getloadavg()[0]:.2f}",
    }


def _cpu() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()
