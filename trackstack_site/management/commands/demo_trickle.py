"""Send made-up customers' events to the ingest API, gently and for ever (DEMO_TRICKLE=0 turns it off)."""

from __future__ import annotations

import itertools
import json
import random
import time
import urllib.request
from typing import Any

from django.core.management.base import BaseCommand

from trackstack_site import demo

FIRST_REQUESTS = 40
"""Sent at once, so that the screens live from the first minute."""


class Command(BaseCommand):
    help = __doc__ or ""
    requires_system_checks: list[Any] = []

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--url", required=True)
        parser.add_argument("--seconds", type=float, default=2.0, help="Mean pause between requests.")

    def handle(self, *, url: str, seconds: float, **options: Any) -> None:
        keys = demo.load()["keys"]
        dice = random.Random()
        for number, (source, events) in zip(itertools.count(), demo.customers(dice), strict=False):
            body = json.dumps({"events": events}).encode()
            headers = {"x-ts-key": keys[source], "content-type": "application/json", "x-ts-sdk": "demo"}
            request = urllib.request.Request(f"{url}/events", data=body, headers=headers)
            try:
                urllib.request.urlopen(request, timeout=10).close()
            except OSError as error:
                self.stderr.write(f"not sent: {error}")
                time.sleep(2)
            if number >= FIRST_REQUESTS:
                time.sleep(dice.expovariate(1 / seconds))
