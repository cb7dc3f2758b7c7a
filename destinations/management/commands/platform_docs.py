"""`manage.py platform_docs`: the pages of docs/platforms, written from the adapters by `destinations.platform_pages`.

    manage.py platform_docs [--check] [--output DIRECTORY]

One page per platform of the tree, and a README that compares them. With `--check` nothing is written; the exit code is
1 when a page is missing, out of date or left over.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from destinations.platform_pages import pages


class Command(BaseCommand):
    help = "Write docs/platforms from the adapters, or check that it is up to date."
    requires_system_checks: list[str] = []  # they may need a database

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="Write nothing; fail when a page is out of date")
        parser.add_argument("--output", type=Path, default=Path(settings.BASE_DIR) / "docs" / "platforms")

    def handle(self, *args: Any, **options: Any) -> None:
        directory: Path = options["output"]
        wanted = pages()
        stale = differing(directory, wanted)
        if options["check"]:
            if stale:
                raise CommandError(
                    f"Out of date in {directory}: {', '.join(stale)}. Run manage.py platform_docs.", returncode=1
                )
            self.stdout.write(f"{len(wanted)} pages are up to date.")
            return
        directory.mkdir(parents=True, exist_ok=True)
        for name in stale:
            if name in wanted:
                (directory / name).write_text(wanted[name], encoding="utf-8", newline="\n")
            else:
                (directory / name).unlink()
        self.stdout.write(f"{len(stale)} of {len(wanted)} pages changed in {directory}.")


def differing(directory: Path, wanted: Mapping[str, str]) -> list[str]:
    """Names of the pages that are missing, have another text, or belong to no platform any more."""
    present = {path.name: path.read_text(encoding="utf-8") for path in sorted(directory.glob("*.md"))}
    return sorted(name for name in present.keys() | wanted.keys() if present.get(name) != wanted.get(name))
