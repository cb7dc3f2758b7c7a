"""`make run`: the whole product on one machine, in one command, until Ctrl-C."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from io import StringIO
from typing import IO, Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from trackstack_site import env, processes
from trackstack_site.embedded import EmbeddedError

READY_SECONDS = 60
WATCH_SECONDS = 2.0


class Command(BaseCommand):
    help = "Bring up web, worker, beat, the embedded engines, the sandbox and the demo; Ctrl-C stops them all."
    requires_system_checks: list[Any] = []

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--port", type=int, default=None, help="Default: the environment variable PORT, or 8000.")
        parser.add_argument("--no-demo", action="store_true", help="No demo data and no sandbox.")

    def handle(self, *, port: int | None, no_demo: bool, **options: Any) -> None:
        try:
            port = env.read_int("PORT", 8000, minimum=1) if port is None else port
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from None
        lock = self.lock(port)  # kept open for the life of this process: two beats would do everything twice
        try:
            self.bring_up(port, no_demo=no_demo)
        except KeyboardInterrupt:
            settings.EMBEDDED.release()
            raise CommandError("Stopped before it was up.", returncode=130) from None
        finally:
            lock.close()

    def lock(self, port: int) -> IO[str]:
        """One `make run` a home folder. Raises CommandError that says where the other one is."""
        folder = settings.TRACKSTACK_HOME / "run"
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "up.lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise CommandError(f"TrackStack runs already from {settings.TRACKSTACK_HOME}: {lock.read()}") from None
        lock.truncate(0)
        lock.write(f"http://localhost:{port}/ (process {os.getpid()})")
        lock.flush()
        return lock

    def bring_up(self, port: int, *, no_demo: bool) -> None:
        if not _is_free(settings.WEB_HOST, port):
            raise CommandError(f"Port {port} is in use. Choose another one: make run PORT={port + 1}")
        self.say("Starting PostgreSQL and Valkey …")
        if settings.IS_EMBEDDED:
            settings.EMBEDDED.acquire_postgres()
        if not settings.BROKER_URL:
            settings.EMBEDDED.acquire_valkey()
        call_command("migrate", verbosity=0, interactive=False)
        call_command("collectstatic", verbosity=0, interactive=False)
        sandbox_port = None
        key = password = ""
        if not no_demo and settings.IS_EMBEDDED:
            sandbox_port = _free_port()
            printed = StringIO()
            call_command("load_demo", stdout=printed)
            key, password = _read(printed.getvalue(), "key"), _read(printed.getvalue(), "password")
        self.supervise(port, sandbox_port, key, password)

    def supervise(self, port: int, sandbox_port: int | None, key: str, password: str) -> None:
        environment = {"TRACKSTACK_HOME": str(settings.TRACKSTACK_HOME), "PYTHONUNBUFFERED": "1"}
        note = settings.EMBEDDED.sandbox_note
        note.unlink(missing_ok=True)
        if sandbox_port is not None:
            environment["SANDBOX_URL"] = f"http://127.0.0.1:{sandbox_port}"
            note.write_text(environment["SANDBOX_URL"])
        config = settings.TRACKSTACK_HOME / "run" / "supervisord.conf"
        config.parent.mkdir(parents=True, exist_ok=True)
        processes.write_supervisor_config(config, processes.commands(port, sandbox_port), environment)
        # A session of its own: Ctrl-C reaches this command, which then stops the others in order.
        supervisor = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "supervisor.supervisord", "-c", str(config)],
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        stopping = False

        def stop(*_: Any) -> None:
            nonlocal stopping
            if not stopping:
                stopping = True
                self.say("\nStopping …")
                with contextlib.suppress(ProcessLookupError):
                    supervisor.terminate()

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, stop)
        try:
            urls = [f"http://127.0.0.1:{port}/readyz"]
            if sandbox_port is not None:
                urls.append(f"http://127.0.0.1:{sandbox_port}/healthz")
            if all(self.wait_until_ready(url, supervisor) for url in urls):
                self.banner(port, key, password)
            elif not stopping:
                stop()
                raise CommandError(f"It did not come up; see {settings.TRACKSTACK_HOME}/log/web.log")
            self.watch(supervisor)
        finally:
            stop()
            supervisor.wait()
            note.unlink(missing_ok=True)
            settings.EMBEDDED.release()
            self.say("Stopped. The data stays in " + str(settings.TRACKSTACK_HOME))
        if supervisor.returncode and not stopping:
            raise CommandError(f"The supervisor ended; see {settings.TRACKSTACK_HOME}/log/supervisord.log")

    def watch(self, supervisor: subprocess.Popen[bytes]) -> None:
        """Until the supervisor ends. It restarts what it started; the engines are not its own, and are kept up here."""
        while True:
            try:
                supervisor.wait(WATCH_SECONDS)
                return
            except subprocess.TimeoutExpired:
                pass
            try:
                if settings.IS_EMBEDDED:
                    settings.EMBEDDED.acquire_postgres()
                if not settings.BROKER_URL:
                    settings.EMBEDDED.acquire_valkey()
            except EmbeddedError as error:
                self.say(f"An engine is down and does not come up again yet: {error}")

    def wait_until_ready(self, url: str, supervisor: subprocess.Popen[bytes]) -> bool:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and supervisor.poll() is None:
            try:
                with urllib.request.urlopen(url, timeout=2):
                    return True
            except OSError:
                time.sleep(0.1)
        return False

    def banner(self, port: int, key: str, password: str) -> None:
        url = f"http://localhost:{port}"
        lines = ["", f"  TrackStack is up:  {url}/", ""]
        if password:
            lines += [f"  Log in as          demo / {password}   (also: marketer, engineer, viewer; same password)", ""]
        if key:
            body = '{"events":[{"event":"SignUp","eventId":"hello-\'$(date +%s)\'","email":"ada@example.com"}]}'
            lines += [
                "  Send an event:",
                "",
                f"    curl -sS {url}/events -H 'x-ts-key: {key}' -H 'content-type: application/json' \\",
                f"      -d '{body}'",
                "",
            ]
        lines += [f"  Logs: {settings.TRACKSTACK_HOME}/log/   Stop: Ctrl-C", ""]
        self.say("\n".join(lines))

    def say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _read(text: str, name: str) -> str:
    for line in text.splitlines():
        if line.startswith(f"{name}="):
            return line.partition("=")[2]
    return ""
