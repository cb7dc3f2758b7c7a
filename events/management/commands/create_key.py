"""`manage.py create_key`: an ingest key from the command line, for the first start and for scripts.

    manage.py create_key --source NAME [--label TEXT] [--expires DAYS]

Creates the source when there is none of that name. The last line of standard output is the key alone, so that
`KEY=$(manage.py create_key --source Backend | tail -n 1)` works. Nothing else ever shows it again.
"""

from __future__ import annotations

from argparse import ArgumentTypeError
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from events.issuing import issue_key
from events.models import ApiKey, Source

LONGEST_DAYS = 3650
MAX_SOURCE = Source._meta.get_field("name").max_length or 64
MAX_LABEL = ApiKey._meta.get_field("label").max_length or 64


class Command(BaseCommand):
    help = "Create an ingest key of a source (and the source, if it is new); the key is the last line of the output."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--source", required=True, help="Name of the source; created when it does not exist")
        parser.add_argument("--label", default="", help="What the key is for")
        parser.add_argument("--expires", type=days, metavar="DAYS", help="Days until it expires; default: never")

    def handle(self, *args: Any, **options: Any) -> None:
        name, label = options["source"].strip(), options["label"].strip()
        if not name or len(name) > MAX_SOURCE:
            raise CommandError(f"--source must have 1 to {MAX_SOURCE} characters.")
        if len(label) > MAX_LABEL:
            raise CommandError(f"--label must have at most {MAX_LABEL} characters.")
        expires_at = None if options["expires"] is None else timezone.now() + timedelta(days=options["expires"])
        with transaction.atomic():
            source, is_new = Source.objects.get_or_create(name=name)
            _, text = issue_key(source, label, expires_at=expires_at)
        self.stdout.write(f"Source {source.name} {'was created' if is_new else 'existed already'}.")
        if is_new:
            self.stdout.write("It takes events from servers only; allow browser origins in Configure → Sources.")
        if not source.is_active:
            self.stdout.write("The source is switched off: it accepts nothing until it is switched on.")
        ends = f"expires on {expires_at:%Y-%m-%d}" if expires_at else "does not expire"
        self.stdout.write(f"The new key {ends}. Keep it now: only a digest is stored, it cannot be shown again.")
        self.stdout.write(text)


def days(text: str) -> int:
    if text.isascii() and text.isdigit() and 1 <= int(text) <= LONGEST_DAYS:
        return int(text)
    raise ArgumentTypeError(f"{text!r} is not a number of days from 1 to {LONGEST_DAYS}")
