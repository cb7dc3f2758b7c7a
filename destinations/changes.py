"""Changing destinations: each change is one transaction with its history entry and a new routing version."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from destinations import breaker, platforms, queries, tokens
from destinations.delivery import DELIVER_TASK
from destinations.models import Destination, EventMode, Hold, LedgerEntry, Replay, ReplayState
from destinations.platforms.base import Kind, Platform
from events.models import Source
from routing import dispatch, toggles
from routing.models import DraftChange
from trackstack_site.nudge import nudge
from trackstack_site.wording import in_english

MENDABLE = (Hold.CREDENTIALS, Hold.CONFIGURATION)
"""Holds that the platform's refusal caused: new credentials or settings are worth a new try."""


CLOSING_GRACE = timedelta(seconds=10)
"""Routing that began before the closing has written its deliveries by then."""


class KeptError(ValueError):
    """A destination that cannot be deleted; the message is for the person who asked for it."""


def starting_mode(platform: Platform) -> EventMode:
    """Ads and analytics start with what they make use of; everything else with everything."""
    return EventMode.RECOMMENDED if platform.kind in (Kind.ADS, Kind.ANALYTICS) else EventMode.EVERYTHING


def wake(destination_id: int) -> None:
    """Have its due rows looked at as soon as the transaction is committed."""
    transaction.on_commit(partial(nudge, DELIVER_TASK, destination_id))


def create(
    platform: Platform,
    *,
    name: str,
    config: dict[str, str],
    is_sandbox: bool,
    sources: list[Source] | None,
    user: Any,
    is_enabled: bool = True,
    credentials_end: date | None = None,
) -> Destination:
    """sources: None for every source. credentials_end: None when they are not known to end.

    is_enabled: False to set it up before anything is sent to it.
    """
    with transaction.atomic():
        destination = Destination.objects.create(
            name=name,
            platform_key=platform.key,
            is_enabled=is_enabled,
            is_sandbox=is_sandbox,
            event_mode=starting_mode(platform),
            all_sources=sources is None,
            credentials_end=credentials_end,
            **_split(platform, config),
        )
        destination.sources.set(sources or [])
        with in_english():
            sentence = f"{name} is created for {platform.label} in {destination.get_event_mode_display()} mode"
            sentence += "" if is_enabled else ", switched off"
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
    credentials_end: date | None = None,
) -> list[str]:
    """Change what differs; returns it in sentences, without any secret. A mended hold is released.

    The sentences are for who asked; the history keeps them in English.
    """
    platform = destination.platform
    with transaction.atomic():
        row = Destination.objects.select_for_update().get(pk=destination.pk)
        if row.removed_at is not None:
            return []  # deleted while its form was open
        old_sources = None if row.all_sources else sorted(source.name for source in row.sources.all())
        new_sources = None if sources is None else sorted(source.name for source in sources)
        old_config, new_config = _in_force(platform, row.config), _in_force(platform, config)
        is_changed = old_config != new_config
        is_mended = (is_changed or row.is_sandbox != is_sandbox) and row.hold in MENDABLE

        def worded() -> list[str]:
            said = [_("%(old)s is renamed %(new)s") % {"old": row.name, "new": name}] if row.name != name else []
            said += _config_sentences(platform, name, old_config, new_config)
            if row.is_sandbox != is_sandbox:
                switched = _("%(destination)s: sandbox on") if is_sandbox else _("%(destination)s: sandbox off")
                said.append(switched % {"destination": name})
            if row.credentials_end != credentials_end:
                ends = {"old": row.credentials_end or _("unknown"), "new": credentials_end or _("unknown")}
                said.append(
                    _("%(destination)s: end of the credentials %(old)s → %(new)s") % {**ends, "destination": name}
                )
            if old_sources != new_sources:
                words = {"destination": name, "new": _listed(new_sources), "old": _listed(old_sources)}
                said.append(_("%(destination)s takes events from %(new)s, before from %(old)s") % words)
            return said

        sentences = worded()
        if not sentences:
            return []
        with in_english():
            kept = worded()
        row.name, row.is_sandbox, row.all_sources = name, is_sandbox, sources is None
        row.credentials_end = credentials_end
        for column, values in _split(platform, config).items():
            setattr(row, column, values)
        row.is_check_good = None  # of what was there before
        row.save(
            update_fields=[
                "name",
                "is_sandbox",
                "all_sources",
                "settings",
                "secrets",
                "is_check_good",
                "credentials_end",
            ]
        )
        row.sources.set(sources or [])
        tokens.forget(row.pk)
        toggles.record_destination_change(row, "edited", kept, user=user)
        if is_mended:
            resume(row, user=user)
            sentences.append(_("It is resumed with the new settings"))
    return sentences


def note_check(destination: Destination, is_good: bool, said: str) -> Destination:
    """Keep what the platform said when asked; nothing when other credentials were saved meanwhile. Returns the row."""
    with transaction.atomic():
        row = Destination.objects.select_for_update().get(pk=destination.pk)
        if row.config == destination.config and row.is_sandbox == destination.is_sandbox:
            row.is_check_good, row.check_said, row.checked_at = is_good, said[:400], timezone.now()
            row.save(update_fields=["is_check_good", "check_said", "checked_at"])
    return row


def resume(destination: Destination, *, user: Any) -> bool:
    """End a hold and any backing off, and send what waited. False when it was not held."""
    with transaction.atomic():
        change = toggles.set_hold(destination, Hold.NONE, user=user)
        Destination.objects.filter(pk=destination.pk).update(**breaker.closed())
        wake(destination.pk)
    return change is not None


def switch(destination: Destination, is_enabled: bool, *, user: Any, is_finished_first: bool = False) -> bool:
    """Switch it on or off; False when it was so already.

    Off: what waits becomes skipped `destination_disabled`, or, with `is_finished_first`, is sent before
    (`finish_closing`).
    On: also takes back a switching off that waits for the last deliveries.
    """
    with transaction.atomic():
        row = Destination.objects.select_for_update().get(pk=destination.pk)
        if not is_enabled and is_finished_first and row.is_enabled and queries.is_awaited(row):
            return _close(row, user, is_kept=True)
        is_reopened = row.is_kept_when_closed and stay(row, user=user)
        change = toggles.set_enabled(row, is_enabled, user=user)
        wake(row.pk)  # on: send what waits; off: account for it as skipped
    return is_reopened or change is not None


def delete(destination: Destination, *, user: Any, is_finished_first: bool = False) -> None:
    """Delete a destination. Idempotent.

    One to which nothing was ever owed or sent goes with all that was said of it. Of any other the past stays, and the
    name it had: its credentials and choices are forgotten, and what waits becomes skipped `destination_disabled`, or,
    with `is_finished_first`, is sent before it goes (`finish_closing`). Raises KeptError for the built-in one.
    """
    if destination.platform.is_builtin:
        raise KeptError(_("%(destination)s is built in.") % {"destination": destination.name})
    with transaction.atomic():
        row = Destination.objects.select_for_update().get(pk=destination.pk)
        if row.removed_at is not None:
            return
        is_unused = not queries.has_history(row)
        if is_unused:
            # Routing that runs just now may be about to owe it something: look again when that is there.
            dispatch.wait_for_steps()
            is_unused = not queries.has_history(row)
        if is_unused:
            toggles.record_destination_change(row, "deleted", [f"{row.name} is deleted"], user=user)
            LedgerEntry.objects.filter(destination=row).delete()
            row.delete()
        elif is_finished_first and queries.is_awaited(row):
            _close(row, user)
        else:
            _remove(row, user=user)


def _close(row: Destination, user: Any, *, is_kept: bool = False) -> bool:
    """Route nothing more to it; what waits is sent, and then it goes, or is switched off when it is to be kept.

    False when it is closing already. Who deletes what was to be switched off means it.
    """
    if row.closing_at is not None and (is_kept or not row.is_kept_when_closed):
        return False
    values = {"closing_at": row.closing_at or timezone.now(), "is_kept_when_closed": is_kept}
    Destination.objects.filter(pk=row.pk).update(**values)
    end = "switched off" if is_kept else "deleted"
    sentence = f"{row.name} gets nothing new, and is {end} when what waits for it is sent"
    toggles.record_destination_change(row, "closing", [sentence], user=user)
    _end_replays(row)
    wake(row.pk)
    return True


def stay(destination: Destination, *, user: Any) -> bool:
    """Take an end back that waits for the last deliveries. False when there was none."""
    with transaction.atomic():
        row = Destination.objects.select_for_update().get(pk=destination.pk)
        if row.closing_at is None or row.removed_at is not None:
            return False
        Destination.objects.filter(pk=row.pk).update(closing_at=None, is_kept_when_closed=False)
        toggles.record_destination_change(row, "kept", [f"{row.name} is kept, and gets events again"], user=user)
    return True


def _remove(row: Destination, **who: Any) -> None:
    """Forget all of it but its name, with the day, so that the name is free again."""
    now = timezone.now()
    toggles.record_destination_change(row, "deleted", [f"{row.name} is deleted"], **who)
    tokens.forget(row.pk)
    _end_replays(row)
    row.routes.all().delete()
    DraftChange.objects.filter(destination=row).delete()
    row.name = _past_name(row, now)
    row.is_enabled, row.hold, row.settings, row.secrets, row.removed_at = False, Hold.NONE, {}, {}, now
    row.save(update_fields=["name", "is_enabled", "hold", "settings", "secrets", "removed_at"])
    Destination.objects.filter(pk=row.pk).update(**breaker.closed())
    wake(row.pk)  # what waits is accounted for as skipped


def _end_replays(row: Destination) -> None:
    running = Replay.objects.filter(destination=row, state__in=(ReplayState.RUNNING, ReplayState.PAUSED))
    running.update(state=ReplayState.CANCELLED, finished_at=timezone.now())


def _past_name(row: Destination, now: datetime) -> str:
    base = f"{row.name[:36]} (deleted {now:%Y-%m-%d})"
    names = [base, *(f"{base} {number}" for number in range(2, 100))]
    taken = set(Destination.objects.filter(name__startswith=base).values_list("name", flat=True))
    return next((name for name in names if name not in taken), f"{base} {row.pk}")


def finish_closing() -> int:
    """End the closing destinations for which nothing waits any more; returns how many. Beat calls it."""
    done = 0
    for destination in Destination.objects.present().filter(closing_at__lt=timezone.now() - CLOSING_GRACE):
        with transaction.atomic():
            row = Destination.objects.select_for_update().get(pk=destination.pk)
            if row.closing_at is None or row.removed_at is not None or queries.is_awaited(row):
                continue
            if row.is_kept_when_closed:
                Destination.objects.filter(pk=row.pk).update(closing_at=None, is_kept_when_closed=False)
                toggles.set_enabled(row, False, actor="delivery")
            else:
                _remove(row, actor="delivery")
            done += 1
    return done


def _split(platform: Platform, config: dict[str, str]) -> dict[str, dict[str, str]]:
    secret = platform.secret_names
    filled = {name: value for name, value in config.items() if value}
    return {
        "settings": {name: value for name, value in filled.items() if name not in secret},
        "secrets": {name: value for name, value in filled.items() if name in secret},
    }


def _in_force(platform: Platform, config: Mapping[str, str]) -> dict[str, str]:
    """What counts for the platform: a field left empty means its default, whether that is stored or not."""
    return {field.name: config.get(field.name) or field.default for field in platform.fields}


def _config_sentences(platform: Platform, name: str, old: dict[str, str], new: dict[str, str]) -> list[str]:
    sentences = []
    for field in platform.fields:
        before, after = old.get(field.name, ""), new.get(field.name, "")
        if before == after:
            continue
        words = {
            "destination": name,
            "field": field.label,
            "before": before or _("empty"),
            "after": after or _("empty"),
        }
        if not field.secret:
            said = _("%(destination)s: %(field)s %(before)s → %(after)s")
        elif after:
            said = _("%(destination)s: %(field)s replaced")
        else:
            said = _("%(destination)s: %(field)s removed")
        sentences.append(said % words)
    return sentences


def _listed(names: list[str] | None) -> str:
    return _("every source") if names is None else ", ".join(names) or _("no source")


def choices() -> list[Platform]:
    """The platforms a destination can be made for, by label."""
    return sorted((p for p in platforms.every() if not p.is_builtin), key=lambda platform: platform.label.lower())
