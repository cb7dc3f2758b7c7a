"""`manage.py sandbox`: the stand-ins for the platforms, until Ctrl-C or SIGTERM. Touches no database."""

from __future__ import annotations

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from destinations.sandbox.server import serving


class Command(BaseCommand):
    help = "Run the sandbox that answers as the platforms do. Its first line is its URL."
    requires_system_checks: list[Any] = []

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=0, help="0 (the default) takes a free one.")

    def handle(self, *, host: str, port: int, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        try:
            with serving(host, port) as server:
                self.stdout.write(server.url)
                self.stdout.flush()
                stop.wait()
        except OSError as error:
            raise CommandError(f"Cannot listen on {host}:{port}: {error.strerror}") from error
