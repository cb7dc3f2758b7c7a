"""`manage.py import_mappings FILE`: change the toggles from CSV, all or nothing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from routing.csv_exchange import CsvError, import_csv, plan_import


class Command(BaseCommand):
    help = "Change mappings from a CSV file as export_mappings writes it; rows that are not in it stay as they are."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", help="CSV file in UTF-8, or - for standard input.")
        parser.add_argument("--dry-run", action="store_true", help="Say what would change, and change nothing.")
        parser.add_argument("--note", default="", help="Kept in the change history.")
        parser.add_argument(
            "--confirm-warehouse-only",
            action="store_true",
            help="Yes, send refunds, chargebacks or churn to ad and analytics platforms where the file says so.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            text = self._read(options["file"])
            plan = plan_import(text)
            if options["dry_run"]:
                self._say([f"The column {name} is ignored." for name in plan.ignored])
                self._say([*plan.sentences, *plan.confirmations])
                self.stdout.write("Nothing was changed." if plan.changes else "The file changes nothing.")
                return
            changes = import_csv(
                text, actor="import_mappings", note=options["note"], is_confirmed=options["confirm_warehouse_only"]
            )
        except CsvError as error:
            raise CommandError("\n".join([*error.errors, "Nothing was changed."])) from error
        self._say([sentence for change in changes for sentence in change.sentences])
        count = f"{len(changes)} destination{'s' if len(changes) > 1 else ''}"
        self.stdout.write(f"{count} changed." if changes else "The file changes nothing.")

    def _read(self, name: str) -> str:
        try:
            raw = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        except OSError as error:
            raise CommandError(f"{name} cannot be read: {error.strerror}.") from error
        try:
            return raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise CommandError(f"{name} is not UTF-8: save it as CSV UTF-8.") from error

    def _say(self, sentences: list[str]) -> None:
        for sentence in sentences:
            self.stdout.write(sentence)
