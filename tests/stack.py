"""The whole product as real processes on engines of their own, for tests that kill parts of it."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg

from trackstack_site.embedded import Engines

ROOT = Path(__file__).resolve().parent.parent
PLATFORMS = ("meta", "linkedin", "webhook")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Stack:
    """One installation under `home`. Everything is asked from outside: HTTP, SQL, signals, manage.py."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.engines = Engines(home)
        self.port = free_port()
        self.sandbox_port = free_port()
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = {
            **{k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "BROKER_URL", "DEBUG")},
            "TRACKSTACK_HOME": str(home),
            "SANDBOX_URL": f"http://127.0.0.1:{self.sandbox_port}",
            "DEMO_TRICKLE": "0",
            "DEBUG": "1",
            "DELIVERY_LEASE_SECONDS": "10",
            "HTTP_TIMEOUT_SECONDS": "4",
            "WEB_WORKERS": "1",
            "PYTHONWARNINGS": "ignore",
        }
        self.keys: dict[str, str] = {}

    # --- life ----------------------------------------------------------------------------------------
    def start(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self.engines.acquire_postgres()
        self.engines.acquire_valkey()
        self.manage("migrate", "-v", "0")
        self.manage("load_demo")
        self.keys = json.loads((self.home / "demo.json").read_text())["keys"]
        for name in ("web", "worker", "beat", "sandbox"):
            self.run(name)
        self.until(lambda: self.get("/readyz") == 200, "the web server is ready")
        self.until(lambda: self.sandbox("GET", "/healthz") is not None, "the sandbox is ready")

    def stop(self) -> None:
        for name in list(self.running):
            self.kill(name, signal.SIGTERM)
        self.engines.release()

    def run(self, name: str) -> None:
        from django.test import override_settings

        from trackstack_site import processes

        with override_settings(WEB_WORKERS=1, DEMO_TRICKLE=False, WEB_HOST="127.0.0.1"):
            command = processes.commands(self.port, self.sandbox_port)[name].replace("%%", "%")
        log = self.home / "log"
        log.mkdir(exist_ok=True)
        with (log / f"{name}.log").open("ab") as output:
            self.running[name] = subprocess.Popen(
                shlex.split(command),
                cwd=ROOT,
                env=self.environment,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        process = self.running.pop(name)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def manage(self, *arguments: str, check: bool = True) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout

    # --- asking ----------------------------------------------------------------------------------------
    def get(self, path: str) -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except OSError:
            return 0

    def send(self, events: list[dict[str, Any]], source: str = "Backend") -> tuple[int, dict[str, Any]]:
        """POST /events; (0, {}) when nobody answered."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/events",
            data=json.dumps({"events": events}).encode(),
            headers={"x-ts-key": self.keys[source], "content-type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                body = error.read()
                try:
                    return error.code, json.loads(body)
                except ValueError:
                    return error.code, {"no JSON": body.decode(errors="replace")}
        except OSError:
            return 0, {}

    def sandbox(self, method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.sandbox_port}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"content-type": "application/json"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return json.loads(answer.read() or b"{}")
        except OSError:
            return None

    def sql(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.engines.database_url, autocommit=True, connect_timeout=5) as connection:
            return connection.execute(statement, parameters).fetchall()

    def until(self, is_true: Callable[[], bool], what: str, *, seconds: float = 45) -> float:
        """Wait for a condition; returns how long it took. Fails with `what` and the processes' last words."""
        started = time.monotonic()
        while time.monotonic() - started < seconds:
            if is_true():
                return time.monotonic() - started
            time.sleep(0.05)
        logs = "\n".join(
            f"== {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-8:])
            for path in sorted((self.home / "log").glob("*.log"))
        )
        raise AssertionError(f"not within {seconds} s: {what}\n{logs}")

    # --- books -------------------------------------------------------------------------------------
    def states(self, prefix: str) -> dict[str, Counter[str]]:
        """Destination → how many deliveries of events whose id starts with `prefix` are in which state (and reason)."""
        found: dict[str, Counter[str]] = {}
        for name, state, reason, count in self.sql(
            "SELECT t.name, d.state, d.reason, count(*) FROM destinations_delivery d"
            " JOIN events_event e ON e.id = d.event_id JOIN destinations_destination t ON t.id = d.destination_id"
            " WHERE e.event_id LIKE %s GROUP BY 1, 2, 3",
            f"{prefix}%",
        ):
            label = {1: "waiting", 2: "delivered", 3: "skipped", 4: "dead"}[state]
            found.setdefault(name, Counter())[f"{label}:{reason}" if reason else label] += count
        return found

    def is_settled(self) -> bool:
        unrouted = self.sql("SELECT count(*) FROM events_ingestbatch WHERE routed_at IS NULL")[0][0]
        waiting = self.sql("SELECT count(*) FROM destinations_delivery WHERE state = 1")[0][0]
        return bool(unrouted == 0 and waiting == 0)

    def check_books(self) -> None:
        """The ledger equals a recount from events, deliveries and skips: nothing missing, nothing twice."""
        ledger = {
            (destination, state): int(count)
            for destination, state, count in self.sql(
                "SELECT destination_id, state, sum(count) FROM destinations_ledgerentry GROUP BY 1, 2"
            )
            if count
        }
        events = self.sql("SELECT count(*) FROM events_event")[0][0]
        recount: Counter[tuple[int, str]] = Counter()
        for destination, state, count in self.sql(
            "SELECT destination_id, state, count(*) FROM destinations_delivery GROUP BY 1, 2"
        ):
            recount[destination, {1: "waiting", 2: "delivered", 3: "skipped", 4: "dead"}[state]] += count
        for (skips,) in self.sql("SELECT skips FROM events_ingestbatch"):
            for destination, reasons in skips.items():
                recount[int(destination), "skipped"] += sum(len(positions) for positions in reasons.values())
        for (destination,) in self.sql("SELECT id FROM destinations_destination WHERE removed_at IS NULL"):
            states = {s: recount[destination, s] for s in ("waiting", "delivered", "skipped", "dead")}
            assert sum(states.values()) == events, (destination, states, events)
            assert ledger.get((destination, "received"), 0) == events
            for state in ("delivered", "skipped", "dead"):
                assert ledger.get((destination, state), 0) == states[state], (destination, state)


@contextlib.contextmanager
def running(home: Path) -> Iterator[Stack]:
    stack = Stack(home)
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()
