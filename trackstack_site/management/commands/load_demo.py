"""Load the demo (see trackstack_site.demo); prints what `make run` shows."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from trackstack_site import demo


class Command(BaseCommand):
    help = "Load the demo: sources, keys, sandbox destinations and users. Does nothing when it is loaded."

    def handle(self, **options: Any) -> None:
        made = demo.load()
        self.stdout.write(f"password={made['password']}")
        self.stdout.write(f"key={made['keys'][demo.CURL_SOURCE]}")
