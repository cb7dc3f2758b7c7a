"""`manage.py import_config FILE [--dry-run] [--confirm]`: make the routing what a JSON document says, all or nothing.

Prints what changes, one sentence a line; the same file again changes nothing. Exit code 2: the document cannot be
applied; each error is named by its path.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from routing import config, snapshot, toggles


class Command(BaseCommand):
    help = "Apply a routing document."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--dry-run", action="store_true", help="Only print what would change")
        parser.add_argument(
            "--confirm",
            action="store_true",
            help="Yes, send refunds, chargebacks or churn to ad and analytics platforms where the file says so.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            wanted = config.read(options["file"].read_bytes())
            if options["dry_run"]:
                planned = config.plan_for(wanted, snapshot.current())
                changes = [s for change in planned for s in change.sentences]
                changes += [*config.effect(planned), *(s for change in planned for s in change.confirmations)]
            else:
                made = config.apply(wanted, is_confirmed=options["confirm"], actor="import_config")
                changes = [s for entry in made for s in entry.sentences]
        except OSError as error:
            raise CommandError(f"{options['file']}: {error.strerror}", returncode=2) from None
        except config.ConfirmationError as error:
            raise CommandError(f"{error}\nIf it is, repeat with --confirm.", returncode=2) from None
        except toggles.StaleError:
            sentence = "The routing is not of the version in the file any more: export it anew, or leave version out."
            raise CommandError(sentence, returncode=2) from None
        except (config.ConfigError, toggles.ToggleError) as error:
            raise CommandError(str(error), returncode=2) from None
        self.stdout.write("\n".join(changes) if changes else "Nothing to change.")
