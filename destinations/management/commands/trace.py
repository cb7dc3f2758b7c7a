"""`manage.py trace`: what became of an event, for people and for scripts.

    manage.py trace EVENT_ID [--by transaction|order|email|external] [--source NAME] [--json]

With --json one document: the first event's fields, `found`, and every match under `events` (several sources may have
sent the same id). Exit code 1 when no event of that id was ever received.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from destinations.trace import document
from events import lookup


class Command(BaseCommand):
    help = "Say for every destination what became of an event."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("event_id", help="The eventId it was sent with")
        parser.add_argument("--by", choices=sorted(lookup.KEYS), help="What EVENT_ID is instead")
        parser.add_argument("--source", help="Only events of this source")
        parser.add_argument("--json", action="store_true", help="Print one JSON document")

    def handle(self, *args: Any, **options: Any) -> None:
        event_id = options["event_id"]
        if options["by"]:
            found_ids = [event.event_id for event in lookup.find(options["by"], event_id)]
            if not found_ids:
                self.stdout.write("No such event was received.")
                sys.exit(1)
            if len(found_ids) > 1:
                self.stdout.write("\n".join(found_ids))
                return
            (event_id,) = found_ids
        found = document(event_id, options["source"])
        if options["json"]:
            self.stdout.write(json.dumps(found, ensure_ascii=False, indent=2))
        elif found["found"]:
            self.stdout.write("\n\n".join(as_text(event) for event in found["events"]))
        else:
            of_source = f" of source {options['source']}" if options["source"] else ""
            self.stdout.write(f"No event {event_id}{of_source} was received.")
        if not found["found"]:
            sys.exit(1)


def as_text(event: dict[str, Any]) -> str:
    """One event of `trace` for a terminal."""
    lines = [f"{event['event'] or '(no name)'} {event['event_id']} from {event['source']}, {event['received_at']}"]
    if event["state"] == "rejected":
        again = f" Re-submitted {event['resubmitted_at']}." if event["resubmitted_at"] else ""
        return "\n".join([*lines, f"  rejected     {event['sentence']}{again}"])
    batch = event["batch"] or {}
    if batch.get("routed_at"):
        lines.append(f"  routed {batch['routed_at']} by version {batch['routing_version']}, trace {batch['trace_id']}")
    for lane in event["destinations"]:
        code = f" [{lane['reason']}]" if lane["reason"] else ""
        lines.append(f"  {lane['state']:<10} {lane['destination']}: {lane['sentence']}{code}")
        if lane["next_try_at"]:
            lines.append(f"  {'':<10} next try {lane['next_try_at']}")
        for attempt in lane["attempts"]:
            answer = attempt["status"] or "no answer"
            detail = f": {attempt['detail']}" if attempt["detail"] else ""
            lines.append(f"  {'':<10} {attempt['at']} {answer} in {attempt['latency_ms']} ms{detail}")
    return "\n".join(lines)
