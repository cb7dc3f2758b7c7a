"""`manage.py export_mappings`: what goes where, as CSV on standard output or into a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from routing import snapshot
from routing.csv_exchange import export_lines


class Command(BaseCommand):
    help = "Write the mappings as CSV: one row per event and destination."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--destination", metavar="NAME", help="Only this destination; default: all.")
        parser.add_argument("--output", type=Path, help="File to write; default: standard output.")
        parser.add_argument("--bom", action="store_true", help="Begin with a byte order mark, for spreadsheets.")

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["destination"]
        known = [rule.name for rule in snapshot.current().rules.values()]
        if name is not None and name not in known:
            raise CommandError(f"There is no destination {name!r}; there are: {', '.join(known)}.")
        lines = export_lines(destination=name, with_bom=options["bom"])
        if options["output"] is None:
            for line in lines:
                self.stdout.write(line, ending="")
            return
        with options["output"].open("w", encoding="utf-8", newline="") as file:
            file.writelines(lines)
