"""Changing destinations: each change is one transaction with its history entry and a new routing version."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db import transaction

from destinations import breaker, platforms, queries, tokens
from destinations.delivery import DELIVER_TASK
from destinations.models import Destination, EventMode, Hold, LedgerEntry
from destinations.platforms.base import Kind, Platform
from events.models import Source
from routing import toggles
from trackstack_site.nudge import nudge

MENDABLE = (Hold.CREDENTIALS, Hold.CONFIGURATION)
"""Holds that the platform's refusal caused: new credentials or settings are worth a new try."""


class KeptError(ValueError):
    """A destination that cannot be deleted; the message is for the person who asked for it."""


def starting_mode(platform: Platform) -> EventMode:
    """Ads and analytics start with what they make use of; everything else with everything."""
    return EventMode.RECOMMENDED if platform.kind in (Kind.ADS, Kind.ANALYTICS) else EventMode.EVERYTHING


def wake(destination_id: int) -> None:
    """Have its due rows looked at as soon as the transaction is committed."""
    transaction.on_commit(partial(nudge, DELIVER_TASK, destination_id))


def create(
    platform: Platform, *, name: str, config: dict[str, str], is_sandbox: bool, sources: list[Source] | None, user: Any
) -> Destination:
    """sources: None for every source."""
    with transaction.atomic():
        destination = Destination.objects.create(
            name=name,
            platform_key=platform.key,
            is_sandbox=is_sandbox,
            event_mode=starting_mode(platform),
            all_sources=sources is None,
            **_split(platform, config),
        )
        destination.sources.set(sources or [])
        sentence = f"{name} is created for {platform.label} in {destination.get_event_mode_display()} mode"
        toggles.record_destination_change(destination, "created", [sentence], user=user)
    return destination


def update(
    destination: Destination,
    *,
    name: str,
    config: dict[str, str],
    is_sandbox: bool,
    sources: list[Source] | None,
    user: Any,
) -> list[str]:
    """Change what differs; returns it in sentences, without any secret. A mended hold is released."""
    platform = destination.platform
    with transaction.atomic():
        row = Destination.objects.select_for_update().get(pk=destination.pk)
        old_sources = None if row.all_sources else sorted(source.name for source in row.sources.all())
        new_sources = None if sources is None else sorted(source.name for source in sources)
        sentences = _config_sentences(platform, name, row.config, config)
        is_mended = bool(sentences or row.is_sandbox != is_sandbox) and row.hold in MENDABLE
        if row.name != name:
            sentences.insert(0, f"{row.name} is renamed {name}")
        if row.is_sandbox != is_sandbox:
            sentences.append(f"{name}: sandbox {'on' if is_sandbox else 'off'}")
        if old_sources != new_sources:
            sentences.append(f"{name} takes events from {_listed(new_sources)}, before from {_listed(old_sources)}")
        if not sentences:
            return []
        row.name, row.is_sandbox, row.all_sources = name, is_sandbox, sources is None
        for column, values in _split(platform, config).items():
            setattr(row, column, values)
        row.save(update_fields=["name", "is_sandbox", "all_sources", "settings", "secrets"])
        row.sources.set(sources or [])
        tokens.forget(row.pk)
        toggles.record_destination_change(row, "edited", sentences, user=user)
        if is_mended:
            resume(row, user=user)
            sentences.append("It is resumed with the new settings")
    return sentences


def resume(destination: Destination, *, user: Any) -> bool:
    """End a hold and any backing off, and send what waited. False when it was not held."""
    with transaction.atomic():
        change = toggles.set_hold(destination, Hold.NONE, user=user)
        Destination.objects.filter(pk=destination.pk).update(**breaker.closed())
        wake(destination.pk)
    return change is not None


def switch(destination: Destination, is_enabled: bool, *, user: Any) -> bool:
    with transaction.atomic():
        change = toggles.set_enabled(destination, is_enabled, user=user)
        wake(destination.pk)  # on: send what waits; off: account for it as skipped
    return change is not None


def delete(destination: Destination, *, user: Any) -> None:
    """Delete a destination to which nothing was ever owed or sent, with its counts of skipped events.

    Anything else is kept: its deliveries, attempts and counts would lose the name they belong to. Switching it off
    stops it just as well, and what waits then becomes skipped `destination_disabled` in the ledger.
    Raises KeptError.
    """
    if destination.platform.is_builtin:
        raise KeptError(f"{destination.name} is built in.")
    with transaction.atomic():
        # Routing that runs just now must get its ledger rows in before the look, or fail on them after it and start
        # again with the new version: the lock makes it one or the other.
        row = Destination.objects.select_for_update().get(pk=destination.pk)
        if queries.has_history(row):
            raise KeptError(f"{row.name} has deliveries: switch it off instead, so that its past stays readable.")
        toggles.record_destination_change(row, "deleted", [f"{row.name} is deleted"], user=user)
        LedgerEntry.objects.filter(destination=row).delete()
        row.delete()


def _split(platform: Platform, config: dict[str, str]) -> dict[str, dict[str, str]]:
    secret = platform.secret_names
    filled = {name: value for name, value in config.items() if value}
    return {
        "settings": {name: value for name, value in filled.items() if name not in secret},
        "secrets": {name: value for name, value in filled.items() if name in secret},
    }


def _config_sentences(platform: Platform, name: str, old: dict[str, str], new: dict[str, str]) -> list[str]:
    sentences = []
    for field in platform.fields:
        before, after = old.get(field.name, ""), new.get(field.name, "")
        if before == after:
            continue
        if field.secret:
            sentences.append(f"{name}: {field.label} {'replaced' if after else 'removed'}")
        else:
            sentences.append(f"{name}: {field.label} {before or 'empty'} → {after or 'empty'}")
    return sentences


def _listed(names: list[str] | None) -> str:
    return "every source" if names is None else ", ".join(names) or "no source"


def choices() -> list[Platform]:
    """The platforms a destination can be made for, by label."""
    return sorted((p for p in platforms.every() if not p.is_builtin), key=lambda platform: platform.label.lower())
