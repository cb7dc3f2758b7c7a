"""`manage.py replay`: send dead deliveries again, or events that were not sent, as the Replays screen does.

    manage.py replay --destination NAME [--missed] [--event NAME] [--source NAME] [--reason CODE]
                     [--from TIME] [--to TIME] [--rate N] [--dry-run]

Prints the estimate; without --dry-run it starts, and running workers do the rest. Times are ISO 8601, UTC unless said
otherwise. Exit code 2: the destination, the source or a time is not known.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser, no_translations

from destinations import replay_plan, replays
from destinations.models import Destination, ReplayKind
from events.models import Source


class Command(BaseCommand):
    help = "Send the past to a destination: dead deliveries again, or with --missed what was not sent."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--destination", required=True, help="Its name")
        parser.add_argument("--missed", action="store_true", help="Backfill: events that got no delivery there")
        parser.add_argument("--event", default="", help="Only this event name")
        parser.add_argument("--source", help="Only events of this source")
        parser.add_argument("--reason", default="", help="Only deliveries that died of this reason code")
        parser.add_argument("--from", dest="since", help="Only events received at or after this time")
        parser.add_argument("--to", dest="until", help="Only events received before this time")
        parser.add_argument("--rate", type=int, default=50, help="Deliveries a second, at most (50)")
        parser.add_argument("--dry-run", action="store_true", help="Only say what would be sent")

    @no_translations
    def handle(self, *args: Any, **options: Any) -> None:
        plan = replay_plan.Plan(
            ReplayKind.MISSED if options["missed"] else ReplayKind.DEAD,
            _named(Destination, options["destination"]),
            event=options["event"],
            source=_named(Source, options["source"]) if options["source"] else None,
            reason=options["reason"],
            since=_time(options["since"]),
            until=_time(options["until"]),
        )
        try:
            replay_plan.check(plan)
        except replay_plan.ReplayError as error:
            raise CommandError(str(error), returncode=2) from None
        found = replay_plan.estimate(plan)
        least = "at least " if found.is_partial else ""
        self.stdout.write(f"{replay_plan.sentence(plan, options['rate'])}.")
        self.stdout.write(f"  match     {least}{found.matching}")
        for verdict, count in found.left.items():
            self.stdout.write(f"  not sent  {count}  {replay_plan.label(verdict)}")
        self.stdout.write(f"  are sent  {least}{found.sendable}")
        if options["dry_run"]:
            return
        if not found.sendable and not found.is_partial:
            self.stdout.write("Nothing to start.")
            return
        try:
            replay = replays.start(plan, rate=options["rate"], user=None, expected=found.sendable)
        except replay_plan.ReplayError as error:
            raise CommandError(str(error), returncode=2) from None
        self.stdout.write(f"Replay {replay.pk} is started.")


def _named(model: Any, name: str) -> Any:
    found = model.objects.filter(name=name).first()
    if found is None:
        known = ", ".join(model.objects.order_by("name").values_list("name", flat=True))
        raise CommandError(f"There is no {model._meta.verbose_name} {name!r}. There are: {known}", returncode=2)
    return found


def _time(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(f"{text!r} is no time such as 2026-01-31T12:00", returncode=2) from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
