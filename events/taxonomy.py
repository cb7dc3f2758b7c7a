"""The taxonomy: the 66 shipped events in 6 stages, and the extension events a team registers beside them.

The shipped rows live in `events/data/*.csv`. What a team edited stays edited on sync (`CanonicalEvent.edited_fields`),
what it registered or retired is left alone. Every change raises the routing version in its own transaction.
"""

from __future__ import annotations

import csv
import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from events.fields import NAME_PATTERN
from events.models import CanonicalEvent, RoutingClass, SeenName, Stage
from events.suggest import near_name

DATA = Path(__file__).resolve().parent / "data"

SHIPPED_FIELDS = ("stage", "position", "description", "routing_class", "when_to_fire", "avoid")
"""What a sync updates in a shipped event, unless the team edited it."""


class StageRow(msgspec.Struct, frozen=True):
    key: str
    label: str
    position: int
    purpose: str


class EventRow(msgspec.Struct, frozen=True):
    name: str
    stage: str
    position: int
    description: str
    routing_class: str
    when_to_fire: str
    avoid: str


class SyncResult(NamedTuple):
    """Names, stages as `stage:<key>`."""

    created: list[str]
    updated: list[str]
    kept: list[str]
    """Events that differ from what is shipped because the team edited them, or registered the name first."""


class TaxonomyError(ValueError):
    """A change of the taxonomy that cannot be made; the message is for the person who asked for it."""


def _rows(file: str) -> list[dict[str, str]]:
    with (DATA / file).open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


@cache
def stages() -> tuple[StageRow, ...]:
    """The shipped stages in funnel order."""
    return tuple(
        StageRow(row["stage"], row["label"], int(row["position"]), row["purpose"]) for row in _rows("stages.csv")
    )


@cache
def shipped() -> tuple[EventRow, ...]:
    """The 66 shipped events, by stage and position."""
    return tuple(msgspec.convert(_rows("taxonomy.csv"), list[EventRow], strict=False))


def sync_taxonomy(apps: Any = None) -> SyncResult:
    """Bring stages and shipped events up to what is shipped. Idempotent.

    apps: the historical registry inside a migration, which raises no routing version: there is nobody to tell yet.
    """
    stage_model: Any = Stage if apps is None else apps.get_model("events", "Stage")
    event_model: Any = CanonicalEvent if apps is None else apps.get_model("events", "CanonicalEvent")
    result = SyncResult([], [], [])
    with transaction.atomic():
        _sync_stages(stage_model, result)
        held = {event.name: event for event in event_model.objects.select_for_update()}
        # A migration of today must run on tomorrow's code, which may ship a column that its model does not have yet.
        columns = {field.attname for field in event_model._meta.concrete_fields}
        for row in shipped():
            values = {_column(name): getattr(row, name) for name in SHIPPED_FIELDS if _column(name) in columns}
            event = held.get(row.name)
            if event is None:
                event_model.objects.create(name=row.name, **values)
                result.created.append(row.name)
                continue
            edited = {_column(name) for name in event.edited_fields}
            stale = [name for name, value in values.items() if getattr(event, name) != value]
            changed = [] if event.is_extension else [name for name in stale if name not in edited]
            if changed:
                for name in changed:
                    setattr(event, name, values[name])
                event.save(update_fields=changed)
                result.updated.append(row.name)
            if len(changed) < len(stale):
                result.kept.append(row.name)
        if apps is None and (result.created or result.updated):
            _bump()
    return result


def _column(field: str) -> str:
    return "stage_id" if field == "stage" else field


def _sync_stages(model: Any, result: SyncResult) -> None:
    held = {stage.key: stage for stage in model.objects.all()}
    for row in stages():
        values = {"label": row.label, "position": row.position, "purpose": row.purpose}
        stage = held.get(row.key)
        if stage is None:
            model.objects.create(key=row.key, **values)
            result.created.append(f"stage:{row.key}")
        elif any(getattr(stage, name) != value for name, value in values.items()):
            model.objects.filter(pk=row.key).update(**values)
            result.updated.append(f"stage:{row.key}")


def register(
    name: str,
    stage: Stage | str,
    description: str = "",
    *,
    when_to_fire: str = "",
    avoid: str = "",
    routing_class: str = "standard",
) -> CanonicalEvent:
    """Make a name of the team's own a registered one; its events are routed like any other from now on.

    Raises TaxonomyError when the name is no PascalCase, taken, or the stage is unknown.
    """
    name = name.strip()
    if not re.fullmatch(NAME_PATTERN.strip("^$"), name):
        near = near_name(name, frozenset(row.name for row in shipped()))
        sentence = (
            _('"%(name)s" is no event name: write it in PascalCase, such as WebinarAttended. Did you mean "%(near)s"?')
            if near
            else _('"%(name)s" is no event name: write it in PascalCase, such as WebinarAttended.')
        )
        raise TaxonomyError(sentence % {"name": name[:80], "near": near})
    key = stage if isinstance(stage, str) else stage.pk
    if routing_class not in RoutingClass.values:
        raise TaxonomyError(_('"%(name)s" is no routing class.') % {"name": routing_class})
    with transaction.atomic():
        if not Stage.objects.filter(pk=key).exists():
            raise TaxonomyError(_('There is no stage "%(key)s".') % {"key": key})
        event: CanonicalEvent
        event, is_new = CanonicalEvent.objects.get_or_create(
            name=name,
            defaults={
                "stage_id": key,
                "description": description.strip(),
                "when_to_fire": when_to_fire.strip(),
                "avoid": avoid.strip(),
                "routing_class": routing_class,
                "is_extension": True,
            },
        )
        if not is_new:
            sentence = (
                _("%(name)s is registered already; it is retired, restore it instead.")
                if event.retired_at
                else _("%(name)s is registered already.")
            )
            raise TaxonomyError(sentence % {"name": name})
        SeenName.objects.filter(name=name).delete()
        _bump()
    return event


def retire(event: CanonicalEvent) -> bool:
    """Take an event out of use: it is still accepted, with a warning, and sent only where it is ticked.

    False when it was retired already.
    """
    return _set_retired(event, is_retired=True)


def restore(event: CanonicalEvent) -> bool:
    """Undo `retire`. False when it was in use."""
    return _set_retired(event, is_retired=False)


def _set_retired(event: CanonicalEvent, *, is_retired: bool) -> bool:
    retired_at = timezone.now() if is_retired else None
    with transaction.atomic():
        changed = CanonicalEvent.objects.filter(pk=event.pk, retired_at__isnull=is_retired).update(
            retired_at=retired_at
        )
        if not changed:
            return False
        _bump()
    event.retired_at = retired_at
    return True


def _bump() -> None:
    # Imported late: routing.snapshot reads the models of this app.
    from routing import snapshot

    snapshot.bump()
