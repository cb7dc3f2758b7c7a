"""The lists of this app as rows of CSV files: what their screens show, for all pages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from events import quality, rejections
from events.models import CanonicalEvent, SeenName, Source
from trackstack_site.csv_lines import all_pages

Row = tuple[Any, ...]
REJECTED = ("received_at", "event", "event_id", "source", "field", "code", "why", "resubmitted_at")
SOURCES = ("source", "active", "allowed_origins", "keys", "last_used_at")
TAXONOMY = (
    "event", "registered", "stage", "class", "description", "fire_when", "avoid", "extension", "edited_fields",
    "retired_at", "events", "first_seen_at", "last_seen_at",
)  # fmt: skip
QUALITY = ("what", "event", "found", "percent", "sentence", "mend", "evidence")


def rejected(filters: Mapping[str, Any]) -> Iterator[Row]:
    for row in all_pages(partial(rejections.page, filters)):
        yield (
            row.received_at, row.event_name, row.event_id, row.source.name, row.field, row.code, row.sentence,
            row.resubmitted_at,
        )  # fmt: skip


def sources(rows: Iterable[Source]) -> Iterator[Row]:
    """rows: with their usable keys counted, as the screen has them. No key is among it."""
    for row in rows:
        yield row.name, row.is_active, row.allowed_origins, row.keys, row.last_used_at  # type: ignore[attr-defined]


def taxonomy() -> Iterator[Row]:
    """Names that nobody registered come first, as on the screen."""
    for name in SeenName.objects.all():
        yield (name.name, False, *[""] * 8, name.count, name.first_seen_at, name.last_seen_at)
    for event in CanonicalEvent.objects.select_related("stage").order_by("stage__position", "position", "name"):
        yield (
            event.name, True, event.stage.label, event.routing_class, event.description, event.when_to_fire,
            event.avoid, event.is_extension, event.edited_fields, event.retired_at, "", "", "",
        )  # fmt: skip


def troubles() -> Iterator[Row]:
    for one in quality.troubles():
        yield (
            one.check.title, one.event, one.found, f"{one.share:.1f}", one.sentence, one.check.mend, one.samples,
        )  # fmt: skip
