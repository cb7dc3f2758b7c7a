"""A whole installation for measuring: production settings, embedded engines, a home folder that is removed at the end.

The processes are those of `trackstack_site.processes`; the machinery that starts and stops them is the tests'
(`tests.stack.Stack`). Where the tests shorten leases and timeouts, a measurement uses what is delivered.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from tests.stack import ROOT, Stack, free_port

HOME = ROOT / "var" / "bench" / "home"
RESULTS = ROOT / "var" / "bench" / "results.json"

HOT_TABLES = (
    "events_event, events_ingestbatch, events_rejectedevent, events_seenname, destinations_delivery,"
    " destinations_attempt, destinations_ledgerentry"
)


def prepare_environment() -> None:
    """Set before Django reads its settings: this process shares the installation's home, so its ORM and pages too."""
    for name in ("DATABASE_URL", "BROKER_URL", "WEB_WORKERS", "WEB_THREADS", "DELIVER_THREADS"):
        os.environ.pop(name, None)
    os.environ |= {
        "TRACKSTACK_HOME": str(HOME),
        "SANDBOX_URL": f"http://127.0.0.1:{free_port()}",
        "DEBUG": "0",
        "DEMO_TRICKLE": "0",
        "LOG_LEVEL": "WARNING",
        "DJANGO_SETTINGS_MODULE": "trackstack_site.settings",
    }


class Installation(Stack):
    """Everything is off until asked for: each figure runs only the processes that it is about."""

    def __init__(self) -> None:
        from django.conf import settings

        super().__init__(HOME)
        self.engines = settings.EMBEDDED
        self.sandbox_port = int(settings.SANDBOX_URL.rpartition(":")[2])
        for name in ("DELIVERY_LEASE_SECONDS", "HTTP_TIMEOUT_SECONDS", "WEB_WORKERS"):
            self.environment.pop(name)
        self.environment |= {"DEBUG": "0", "SANDBOX_URL": settings.SANDBOX_URL, "LOG_LEVEL": "WARNING"}
        self.key = ""
        self.source_id = 0

    def start(self) -> None:
        from django.core.management import call_command

        from events.models import ApiKey
        from tests.factories import make_key, make_source

        self.home.mkdir(parents=True, exist_ok=True)
        self.engines.acquire_postgres()
        self.engines.acquire_valkey()
        call_command("migrate", verbosity=0)
        self.key = make_key(make_source("Bench"))
        self.source_id = ApiKey.objects.get().source_id

    # --- processes -----------------------------------------------------------------------------------
    def run(self, name: str, command: str = "", **environment: str) -> None:
        """Start a process: one of the product's by its name (`worker2` is one more worker), or another command."""
        from trackstack_site import processes

        if not command:
            kind = name.rstrip("0123456789")
            command = processes.commands(self.port)[kind].replace("%%", "%").replace("worker@", f"{name}@")
        log = self.home / "log"
        log.mkdir(exist_ok=True)
        with (log / f"{name}.log").open("ab") as output:
            self.running[name] = subprocess.Popen(
                shlex.split(command),
                cwd=ROOT,
                env={**self.environment, **environment},
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def run_web(self) -> None:
        """The production server and its empty view (`bench.web`), ready to answer."""
        from trackstack_site import processes

        command = processes.commands(self.port)["web"]
        self.run("web", command.replace("trackstack_site.wsgi:application", "bench.web:application"))
        self.until(lambda: self.get("/readyz") == 200, "the web server is ready")

    def run_sink(self, latency_ms: float = 0, hang: str = "") -> None:
        options = f"--port {self.sandbox_port} --latency {latency_ms}" + (f" --hang {hang}" if hang else "")
        self.run("sink", f"{sys.executable} -m bench.sink {options}")
        self.until(lambda: self.sink() is not None, "the sink answers")

    def run_workers(self, count: int) -> None:
        """Worker processes with the product's options, and beat; they have their pools and imports behind them."""
        for number in range(1, count + 1):
            self.run(f"worker{number}")
        self.run("beat")

    def stop_processes(self, *names: str) -> None:
        """These, or all. Workers are idle or killed: what they hold is leased."""
        for name in names or tuple(self.running):
            if name in self.running:
                self.kill(name, signal.SIGTERM if name in ("web", "beat", "sink") else signal.SIGKILL)

    def freeze(self, prefix: str) -> None:
        self._signal(prefix, signal.SIGSTOP)

    def thaw(self, prefix: str) -> None:
        self._signal(prefix, signal.SIGCONT)

    def _signal(self, prefix: str, number: int) -> None:
        for name, process in self.running.items():
            if name.startswith(prefix):
                os.killpg(process.pid, number)

    def members(self, prefix: str) -> list[psutil.Process]:
        """The processes of everything started under names with this prefix; `postgres` for the database's."""
        found: list[psutil.Process] = []
        pids = [process.pid for name, process in self.running.items() if name.startswith(prefix)]
        if prefix == "postgres":
            pids = [int((self.engines.data / "postmaster.pid").read_text().splitlines()[0])]
        for pid in pids:
            with contextlib.suppress(psutil.Error):
                parent = psutil.Process(pid)
                found += [parent, *parent.children(recursive=True)]
        return found

    def cpu_seconds(self, prefix: str) -> float:
        """CPU time so far, with that of children that ended."""
        total = 0.0
        for number, process in enumerate(self.members(prefix)):
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                total += times.user + times.system
                if number == 0:
                    total += times.children_user + times.children_system
        return total

    def memory(self, prefix: str) -> list[float]:
        """Resident megabytes of each process."""
        found = []
        for process in self.members(prefix):
            with contextlib.suppress(psutil.Error):
                found.append(process.memory_info().rss / 1e6)
        return found

    # --- state -------------------------------------------------------------------------------------
    def sink(self) -> dict[str, Any] | None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.sandbox_port}/_stats", timeout=5) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except OSError:
            return None

    def sunk(self) -> int:
        """Events that the sink has answered for so far."""
        return sum((self.sink() or {"events": {}})["events"].values())

    def empty(self) -> None:
        """No events, no deliveries; destinations as if nothing had ever failed; the disk at rest."""
        self.execute(f"TRUNCATE {HOT_TABLES}")
        self.execute("UPDATE destinations_destination SET hold = '', backoff_until = NULL, failures = 0")
        # Lanes of workers that were killed in a measure free themselves, but only after two leases.
        self.execute("UPDATE destinations_laneslot SET leased_until = '-infinity'")
        self.execute("CHECKPOINT")

    def execute(self, statement: str, *parameters: Any) -> None:
        import psycopg

        with psycopg.connect(self.engines.database_url, autocommit=True) as connection:
            connection.execute("SET lock_timeout = '30s'")
            connection.execute(statement, parameters or None)  # type: ignore[arg-type]

    def make_destinations(self, *platforms: str, **values: Any) -> list[int]:
        """Replace all destinations by sandbox ones of these platforms; returns their ids."""
        from destinations.models import Destination
        from routing import snapshot
        from tests.factories import make_destination

        self.empty()
        Destination.objects.exclude(platform_key="warehouse").delete()
        made = [make_destination(key, f"{key} {number}", **values).pk for number, key in enumerate(platforms, 1)]
        snapshot.forget()
        return made

    def accept(self, events: int, *, size: int = 100, prefix: int = 255) -> int:
        """Accept events through the product's write path, in this process; returns how many."""
        from bench import samples
        from events.ingest import Sender, accept_batch

        sender = Sender(source_id=self.source_id, trace_id="0" * 32, client_ip="203.0.113.1")
        receipts = [
            accept_batch(body, sender) for body in samples.requests(events // size, size, seed=prefix, prefix=prefix)
        ]
        return sum(receipt.accepted for receipt in receipts)

    def waiting(self) -> int:
        """Deliveries to go, those of unrouted events not counted."""
        return int(self.sql("SELECT count(*) FROM destinations_delivery WHERE state = 1")[0][0])

    def stop(self) -> None:
        from django.db import connection

        with contextlib.suppress(Exception):
            self.thaw("")
        self.stop_processes()
        connection.close()
        connection.close_pool()
        super().stop()


@contextlib.contextmanager
def installation() -> Iterator[Installation]:
    """A fresh installation that leaves nothing behind, however it ends. `sweep` first, before Django is set up."""
    made = Installation()

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        made.start()
        yield made
    finally:
        signal.signal(signal.SIGTERM, before)
        made.stop()
        sweep()


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """One run at a time in a checkout: a second one would remove the first one's home, and measure its noise."""
    HOME.parent.mkdir(parents=True, exist_ok=True)
    with (HOME.parent / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit("another benchmark is running in this checkout") from None
        yield


def sweep() -> None:
    """Stop the engines that a killed run left in the home, and remove it."""
    from trackstack_site.embedded import Engines

    if HOME.exists():
        engines = Engines(HOME)
        engines.stop_valkey()
        engines.stop_postgres()
        time.sleep(0.1)
        shutil.rmtree(HOME, ignore_errors=True)


def folder_size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
