"""`manage.py check_destination NAME [--ids]`: whether the platform takes the credentials; with --ids, what it lists.

Nothing is sent that counts. Exit code 1 when the platform refuses or cannot be reached.
"""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser, no_translations

from destinations import checking
from destinations.models import Destination


class Command(BaseCommand):
    help = "Ask a destination's platform whether it takes the credentials and settings."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="The destination's name")
        parser.add_argument("--ids", action="store_true", help="List the native ids of the account instead")

    @no_translations
    def handle(self, *args: Any, **options: Any) -> None:
        destination = Destination.objects.filter(name=options["name"]).first()
        if destination is None:
            raise CommandError(f"There is no destination {options['name']!r}.")
        is_good = self.list_ids(destination) if options["ids"] else self.ask(destination)
        if not is_good:
            sys.exit(1)

    def ask(self, destination: Destination) -> bool:
        verdict = checking.check(destination)
        if verdict is None:
            self.stdout.write(f"{destination.platform.label} has no way to check these settings without an event.")
            return True
        took = "" if verdict.latency_ms is None else f" ({verdict.latency_ms} ms)"
        self.stdout.write(f"{'Good' if verdict.is_good else 'Bad'}: {verdict.sentence}{took}")
        return verdict.is_good

    def list_ids(self, destination: Destination) -> bool:
        listing = checking.native_ids(destination)
        if listing is None:
            self.stdout.write(f"{destination.platform.label} lists no ids for these settings.")
            return True
        for choice in listing.choices:
            self.stdout.write(f"{choice.id}\t{choice.label}")
        if listing.problem:
            self.stderr.write(listing.problem)
        return bool(listing.choices)
