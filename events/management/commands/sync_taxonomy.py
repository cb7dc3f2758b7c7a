"""`manage.py sync_taxonomy`: bring the shipped stages and events up to date. Keeps what the team edited."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from events.taxonomy import shipped, stages, sync_taxonomy


class Command(BaseCommand):
    help = "Create missing stages and events and update the shipped ones; what the team edited or retired stays."

    def handle(self, *args: Any, **options: Any) -> None:
        result = sync_taxonomy()
        for word, names in (("created", result.created), ("updated", result.updated), ("kept as edited", result.kept)):
            for name in names:
                self.stdout.write(f"{name}: {word}")
        if not (result.created or result.updated):
            self.stdout.write(f"{len(shipped())} events in {len(stages())} stages are up to date.")
        else:
            self.stdout.write(f"{len(result.created)} created, {len(result.updated)} updated, {len(result.kept)} kept.")
