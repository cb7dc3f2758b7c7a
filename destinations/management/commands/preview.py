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
from base64 import b64encode
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError, CommandParser

from destinations import platforms
from destinations.platforms.base import ACCESS_TOKEN, Config, Item, Platform, Request
from events import contract
from routing.policy import DestinationRule, EventRule, Mode, SourceRule, decide

SOURCE = SourceRule(id=0, name="preview")
"""Grants what an event says nothing about."""
SHORT = 8


class Settings(msgspec.Struct, forbid_unknown_fields=True):
    config: dict[str, str] = {}
    native_ids: dict[str, str] = {}
    native_names: dict[str, str] = {}


class Command(BaseCommand):
    help = "Print what a platform would be sent for the events on standard input."
    requires_system_checks: list[str] = []  # they may need a database

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--platform", required=True, choices=sorted(platforms.known_keys()))
        parser.add_argument("--config", type=Path, help="JSON file: config, native_ids, native_names")
        parser.add_argument("--now", type=moment, help="Time of sending, ISO 8601; default: now")

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


def preview(platform: Platform, settings: Settings, body: bytes, now: datetime) -> dict[str, Any]:
    """The document to print. Pure. Raises contract.ContractError when the body is no batch of events."""
    now_ms = int(now.timestamp() * 1000)
    parsed = contract.parse_body(body, now_ms=now_ms, names=frozenset(platform.events))
    rule = rule_of(platform, settings)
    items: list[Item] = []
    skipped = [
        {"event_id": event.event_id, "reason": "rejected", "detail": event.sentence} for event in parsed.rejected
    ]
    for event in parsed.accepted:
        ticked = msgspec.structs.replace(rule, ticked=frozenset({event.name}))
        decision = decide(ticked, SOURCE, event.name, EventRule(event.name), event.consent, event.occurred_ms, now_ms)
        if not decision.send:
            sentence = decision.sentence(event.name, rule)
            skipped.append({"event_id": event.event_id, "reason": decision.reason, "detail": sentence})
            continue
        items.append(
            Item(
                key=event.index,
                event_id=event.event_id,
                event=event.name,
                occurred_ms=event.occurred_ms,
                payload=event.payload,
                native_name=rule.native_name(event.name),
                native_id=rule.native_ids.get(event.name, ""),
            )
        )
    config = dict(settings.config)
    if platform.oauth is not None:
        config.setdefault(ACCESS_TOKEN, "***")  # a real one would be fetched, and hidden here
    built = platform.build(items, config, now)
    skipped += [
        {"event_id": skip.item.event_id, "reason": skip.reason, "detail": skip.detail} for skip in built.skipped
    ]
    hidden = secret_texts(platform, settings.config)
    return {
        "requests": [shown(part, hidden) for whole in built.requests for part in (*whole.before, whole)],
        "skipped": skipped,
    }


def rule_of(platform: Platform, settings: Settings) -> DestinationRule:
    age = platform.max_age
    return DestinationRule(
        id=0,
        name=platform.label,
        platform=platform.key,
        label=platform.label,
        kind=platform.kind,
        mode=Mode.CUSTOM,
        is_builtin=platform.is_builtin,
        native_names={event: platform.native_name(event) for event in platform.events} | settings.native_names,
        takes_custom_events=platform.takes_custom_events,
        native_ids=settings.native_ids,
        needs_native_id=platform.native_id is not None and platform.native_id.required,
        max_age_ms=None if age is None else int(age.total_seconds() * 1000),
    )


def secret_texts(platform: Platform, config: Config) -> list[str]:
    """Every secret value and, as one field may hold several, its lines, words and header values; longest first.

    Also the `user:password` forms of HTTP Basic (RFC 7617) that a secret can be half of.
    """
    found: set[str] = set()
    for name in platform.secret_names:
        value = config.get(name, "").strip()
        lines = [line.strip() for line in value.splitlines()]
        found.update({value, *lines, *value.split(), *(line.partition(":")[2].strip() for line in lines)})
    values = ["", *filter(None, config.values())]
    pairs = [f"{user}:{word}" for user in values for word in values if len(user + word) < 400]
    found |= {b64encode(pair.encode()).decode() for pair in pairs if any(one and one in pair for one in found)}
    return sorted(filter(None, found), key=len, reverse=True)


def shown(request: Request, hidden: Iterable[str]) -> dict[str, Any]:
    """A request for people: the body as JSON when it is one document of it, else as text."""
    text = request.body.decode("utf-8", "replace")
    try:
        body: Any = json.loads(text)
    except ValueError:
        body = text
    return {
        "method": request.method,
        "url": _masked(request.url, hidden),
        "headers": _masked(request.headers, hidden),
        "body": _masked(body, hidden),
        "event_ids": [item.event_id for item in request.items],
    }


def _masked(value: Any, hidden: Iterable[str]) -> Any:
    if isinstance(value, str):
        for secret in hidden:
            # A short word ("on", say) is hidden where it is all there is; elsewhere it would hide half the payload.
            if len(secret) >= SHORT or value == secret:
                value = value.replace(secret, "***")
        return value
    if isinstance(value, Mapping):
        return {key: _masked(entry, hidden) for key, entry in value.items()}
    if isinstance(value, list):
        return [_masked(entry, hidden) for entry in value]
    return value
