"""`manage.py preview`: what a platform would be sent for a request body, without sending it and without a database.

    manage.py preview --platform KEY [--config FILE.json] [--now ISO8601] < batch.json

Standard input is the body of `POST /events`. The configuration file is
`{"config": {field: value}, "native_ids": {event: id}, "native_names": {event: name}}`, every part optional. Without the
file the required fields stand as `{field}` in what is printed, so that a payload can be looked at before there is an
account. Every event is treated as if it were ticked for the destination, consent not sent as granted.

Prints one JSON document: `requests` as they would go out, secrets as `***`, and `skipped` with reason and sentence.
Exit code 2: the input or the configuration cannot be used; the sentences are on standard error.
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentTypeError
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError, CommandParser, no_translations

from destinations import platforms
from destinations.platforms.base import Platform
from destinations.preview import Settings, preview
from events import contract


class Command(BaseCommand):
    help = "Print what a platform would be sent for the events on standard input."
    requires_system_checks: list[str] = []  # they may need a database

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--platform", required=True, choices=sorted(platforms.known_keys()))
        parser.add_argument("--config", type=Path, help="JSON file: config, native_ids, native_names")
        parser.add_argument("--now", type=moment, help="Time of sending, ISO 8601; default: now")

    @no_translations
    def handle(self, *args: Any, **options: Any) -> None:
        platform = platforms.get(options["platform"])
        settings = read_settings(platform, options["config"])
        now = options["now"] or datetime.now(UTC)
        try:
            document = preview(platform, settings, sys.stdin.buffer.read(), now)
        except contract.ContractError as error:
            raise CommandError(error.detail, returncode=2) from None
        self.stdout.write(json.dumps(document, ensure_ascii=False, indent=2))


def moment(text: str) -> datetime:
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not ISO 8601, such as 2026-01-31T12:00:00Z") from None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def read_settings(platform: Platform, path: Path | None) -> Settings:
    """The configuration file, checked as the destination form checks it. Raises CommandError with exit code 2."""
    if path is None:
        return Settings(config={field.name: f"{{{field.name}}}" for field in platform.fields if field.required})
    try:
        settings = msgspec.json.decode(path.read_bytes(), type=Settings)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}", returncode=2) from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise CommandError(f"{path}: {error}", returncode=2) from None
    unknown = settings.config.keys() - {field.name for field in platform.fields}
    problems = [f"{platform.label} has no field {name}." for name in sorted(unknown)]
    problems += platform.problems(settings.config).values()
    if problems:
        raise CommandError("\n".join(problems), returncode=2)
    return settings
