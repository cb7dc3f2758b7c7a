"""Objects that many tests need. Real ones: nothing here is a mock."""

from __future__ import annotations

import itertools
from typing import Any

from django.conf import settings
from django.utils import timezone

from destinations.models import Destination, EventMode, LedgerEntry, LedgerState
from events import keys
from events.models import ApiKey, Source
from routing import snapshot
from routing.models import Route

_numbers = itertools.count(1)


def make_source(name: str = "", **values: Any) -> Source:
    source = Source.objects.create(name=name or f"Source {next(_numbers)}", **values)
    snapshot.bump()
    return source


def make_key(source: Source | None = None, **values: Any) -> str:
    """A new key's text; its source is `ApiKey.objects.get(prefix=…).source`."""
    made = keys.make_key()
    ApiKey.objects.create(
        source=source or make_source(),
        prefix=made.prefix,
        digest=keys.digest(made.text, settings.API_KEY_PEPPERS[0]),
        **values,
    )
    return made.text


def make_destination(platform: str = "meta", name: str = "", **values: Any) -> Destination:
    """A destination in sandbox mode with the platform's example credentials and a native id for each default event."""
    from destinations import platforms

    adapter = platforms.get(platform)
    examples = adapter.example_config()
    values.setdefault("is_sandbox", True)
    values.setdefault("event_mode", EventMode.RECOMMENDED)
    values.setdefault("settings", {k: v for k, v in examples.items() if k not in adapter.secret_names})
    values.setdefault("secrets", {k: v for k, v in examples.items() if k in adapter.secret_names})
    destination = Destination.objects.create(
        name=name or f"{adapter.label} {next(_numbers)}", platform_key=platform, **values
    )
    if adapter.native_id is not None:
        Route.objects.bulk_create(
            Route(destination=destination, event_name=event, native_id=adapter.native_id.example)
            for event in adapter.recommended
        )
    snapshot.bump()
    return destination


def make_received(event: str, count: int) -> None:
    """So many came today, by the books of the built-in warehouse, which gets every event."""
    warehouse = Destination.objects.get(platform_key="warehouse")
    LedgerEntry.objects.create(
        day=timezone.now().date(), destination=warehouse, event_name=event, state=LedgerState.RECEIVED, count=count
    )


def event(name: str = "SignUp", event_id: str = "", **fields: Any) -> dict[str, Any]:
    """One event as product code sends it."""
    return {
        "event": name,
        "eventId": event_id or f"event-{next(_numbers)}",
        "email": "ada@example.com",
        "externalId": "user-1",
        "clientIp": "203.0.113.7",
        "userAgent": "Mozilla/5.0",
        "pageUrl": "https://app.example.com/welcome",
        **fields,
    }
