"""`manage.py trace`: what became of an event, for people and for scripts.

    manage.py trace EVENT_ID [--by transaction|order|email|external] [--source NAME] [--json]
    manage.py trace - --by email    reads it from standard input, so that it stands in no history and no process list

With --json one document: the first event's fields, `found`, and every match under `events`, newest first (several
sources may have sent the same id, several events may be one order's). Exit code 1 when there was never such an event.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser, no_translations

from destinations.trace import as_document, document, trace_of
from events import lookup


class Command(BaseCommand):
    help = "Say for every destination what became of an event."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("event_id", help="The eventId it was sent with; - reads it from standard input")
        parser.add_argument("--by", choices=sorted(lookup.KEYS), help="What EVENT_ID is instead")
        parser.add_argument("--source", help="Only events of this source")
        parser.add_argument("--json", action="store_true", help="Print one JSON document")

    @no_translations
    def handle(self, *args: Any, **options: Any) -> None:
        text = sys.stdin.readline().strip() if options["event_id"] == "-" else options["event_id"]
        found = (
            looked_up(options["by"], text, options["source"]) if options["by"] else document(text, options["source"])
        )
        events = found["events"]
        if options["json"]:
            self.stdout.write(json.dumps(found, ensure_ascii=False, indent=2))
        elif options["by"] and len(events) > 1:
            self.stdout.write("\n".join(event["event_id"] for event in events))
        elif events:
            self.stdout.write("\n\n".join(as_text(event) for event in events))
        else:
            of_source = f" of source {options['source']}" if options["source"] else ""
            what = "such event" if options["by"] else f"event {text}"
            self.stdout.write(f"No {what}{of_source} was received.")
        if not events:
            sys.exit(1)


def looked_up(by: str, text: str, source: str | None) -> dict[str, Any]:
    """As `destinations.trace.document`; what was looked by is not repeated, for it may be an address."""
    try:
        events = lookup.find(by, text)
    except lookup.TooSlow as error:
        raise CommandError(str(error)) from None
    return as_document(trace_of([event for event in events if source in (None, event.source.name)]))


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
