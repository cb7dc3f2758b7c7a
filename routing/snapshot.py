"""The routing rules of this moment, frozen: read from the database once per version, shared by all threads.

Every change of a toggle, destination, source or taxonomy entry raises the version in its own transaction (`bump`).
Whoever decides compares versions first (one cheap row, or piggybacked on a query that runs anyway), so a switch is in
force everywhere with the next batch, without a restart.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

from django.db import connection, transaction

from destinations import platforms
from destinations.models import Destination, Hold
from events.models import CanonicalEvent, Source, Stage
from routing.models import Route
from routing.policy import (
    CLOSED,
    TOO_OLD,
    Decision,
    DestinationRule,
    EventRule,
    Mode,
    SourceRule,
    is_too_old,
    stands,
)

VERSION_SQL = "SELECT version FROM routing_routingversion WHERE id = 1"


MEMO_LIMIT = 20_000
LOAD_TRIES = 5

Standing = tuple[tuple[DestinationRule, Decision], ...]


class Snapshot:
    """Frozen rules with a memo of standing decisions: traffic repeats few combinations of name, source and consent."""

    def __init__(
        self,
        *,
        version: int,
        rules: dict[int, DestinationRule],
        sources: dict[int, SourceRule],
        events: dict[str, EventRule],
        retired: frozenset[str] = frozenset(),
        stages: Sequence[tuple[str, str, str]] = (),
    ) -> None:
        self.version = version
        self.stages = stages
        """Key, label and purpose of each, in order."""
        self.rules = rules
        """By destination id, in the order of the columns."""
        self.sources = sources
        self.events = events
        """Registered names (not retired), in the order of the taxonomy."""
        self.retired = retired
        self.shortest_age_ms = min(
            (rule.max_age_ms for rule in rules.values() if rule.max_age_ms is not None), default=1 << 62
        )
        """No event younger than this is too old for anybody."""
        self._memo: dict[tuple[int, str, bool | None, bool | None], Standing] = {}

    def decide(
        self,
        rule: DestinationRule,
        source_id: int,
        event: str,
        consent: Mapping[str, bool],
        occurred_ms: int,
        now_ms: int,
    ) -> Decision:
        """As `fan_out`, for one of its rules."""
        decision = next(made for one, made in self._standing(source_id, event, consent) if one is rule)
        return TOO_OLD if decision.send and is_too_old(rule, occurred_ms, now_ms) else decision

    def fan_out(
        self,
        source_id: int,
        event: str,
        consent: Mapping[str, bool],
        occurred_ms: int,
        now_ms: int,
    ) -> list[tuple[DestinationRule, Decision]]:
        """The decision for every destination, in column order, of an event that was not routed yet."""
        return [
            (
                rule,
                CLOSED
                if rule.is_closing
                else TOO_OLD
                if decision.send and is_too_old(rule, occurred_ms, now_ms)
                else decision,
            )
            for rule, decision in self._standing(source_id, event, consent)
        ]

    def planned(self, source_id: int, event: str, marketing: bool | None, analytics: bool | None) -> list[str]:
        """The platform of each destination that takes such an event, as long as it is younger than all of them ask."""
        said = {"marketing": marketing, "analytics": analytics}
        consent = {category: value for category, value in said.items() if value is not None}
        return [
            rule.platform
            for rule, decision in self._standing(source_id, event, consent)
            if decision.send and not rule.is_closing
        ]

    def _standing(self, source_id: int, event: str, consent: Mapping[str, bool]) -> Standing:
        key = (source_id, event, consent.get("marketing"), consent.get("analytics"))
        found = self._memo.get(key)
        if found is None:
            if len(self._memo) >= MEMO_LIMIT:  # extension names are the senders' choice: keep the memo bounded
                self._memo.clear()
            source = self.sources.get(source_id) or SourceRule(id=source_id)
            event_rule = self.events.get(event)
            found = self._memo[key] = tuple(
                (rule, stands(rule, source, event, event_rule, consent)) for rule in self.rules.values()
            )
        return found


_lock = threading.Lock()
_current: Snapshot | None = None
_bumped = threading.local()


def stored_version() -> int:
    with connection.cursor() as cursor:
        cursor.execute(VERSION_SQL)
        row = cursor.fetchone()
    return row[0] if row else 0


def current(version: int | None = None) -> Snapshot:
    """The snapshot in force. `version`: what the database says, when the caller has just read it anyway."""
    global _current
    wanted = stored_version() if version is None else version
    held = _current
    if held is not None and held.version == wanted:
        return held
    if connection.in_atomic_block and wanted in getattr(_bumped, "versions", ()):
        # Our own change, not committed yet: right for this transaction, wrong for everyone if it rolls back.
        return load()
    with _lock:
        if _current is None or _current.version != wanted:
            _current = load()
        return _current


def held() -> Snapshot:
    """The snapshot this process last saw, without asking whether it still holds: for a caller that compares versions
    with a statement it makes anyway."""
    return _current or current()


def note_change(version: int, changed: Iterable[DestinationRule]) -> None:
    """A committed change of destinations made this version: the process that made it need not read everything again.

    Only when the snapshot is the one before; whoever missed a change reads.
    """
    global _current
    with _lock:
        if _current is not None and _current.version == version - 1:
            _current = Snapshot(
                version=version,
                rules=_current.rules | {rule.id: rule for rule in changed},
                sources=_current.sources,
                events=_current.events,
                retired=_current.retired,
                stages=_current.stages,
            )


def forget() -> None:
    """Drop the cached snapshot (tests roll versions back)."""
    global _current
    _current = None
    _bumped.versions = set()


def load() -> Snapshot:
    """Read everything in one repeatable-read view, so that the rules belong to the version they carry.

    Within somebody's transaction the view cannot be chosen; then a change meanwhile is seen by its version, and the
    reading begins again.
    """
    for _ in range(LOAD_TRIES):
        found = _load()
        if not connection.in_atomic_block or found.version == stored_version():
            break
    return found


def _load() -> Snapshot:
    with transaction.atomic():
        if connection.in_atomic_block and not connection.savepoint_ids:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        version = stored_version()
        events = {
            name: EventRule(name, routing_class, stage)
            for name, routing_class, stage in CanonicalEvent.objects.filter(retired_at=None).values_list(
                "name", "routing_class", "stage_id"
            )
        }
        retired = frozenset(CanonicalEvent.objects.exclude(retired_at=None).values_list("name", flat=True))
        stages = list(Stage.objects.values_list("key", "label", "purpose"))
        sources = {
            source.pk: SourceRule(
                source.pk,
                source.name,
                source.default_marketing_consent,
                source.default_analytics_consent,
            )
            for source in Source.objects.all()
        }
        routes: dict[int, list[Route]] = {}
        for route in Route.objects.all():
            routes.setdefault(route.destination_id, []).append(route)
        rules = {
            destination.pk: rule_of(destination, routes.get(destination.pk, ()))
            for destination in Destination.objects.present().prefetch_related("sources")
        }
    return Snapshot(version=version, rules=rules, sources=sources, events=events, retired=retired, stages=stages)


@cache
def _platform_names(key: str) -> dict[str, str]:
    platform = platforms.get(key)
    return {event: platform.native_name(event) for event in platform.events}


def rule_of(destination: Destination, routes: Iterable[Route]) -> DestinationRule:
    """The policy's view of one destination with its routes."""
    platform = destination.platform
    names = dict(_platform_names(platform.key))
    native_ids: dict[str, str] = {}
    ticked: set[str] = set()
    for route in routes:
        if route.native_name:
            names[route.event_name] = route.native_name
        if route.native_id:
            native_ids[route.event_name] = route.native_id
        if route.is_on:
            ticked.add(route.event_name)
    age = platform.max_age
    return DestinationRule(
        id=destination.pk,
        name=destination.name,
        platform=platform.key,
        label=platform.label,
        kind=platform.kind,
        mode=Mode(destination.event_mode),
        is_enabled=destination.is_enabled,
        is_builtin=platform.is_builtin,
        is_closing=destination.closing_at is not None,
        is_held=destination.hold != Hold.NONE,
        hold=destination.hold,
        hold_detail=destination.hold_detail,
        is_sandbox=destination.is_sandbox,
        source_ids=None if destination.all_sources else frozenset(s.pk for s in destination.sources.all()),
        ticked=frozenset(ticked),
        recommended=platform.recommended,
        native_names=names,
        fills=platform.fills(destination.settings),
        takes_custom_events=platform.takes_custom_events,
        native_ids=native_ids,
        needs_native_id=platform.native_id is not None and platform.native_id.required,
        max_age_ms=None if age is None else int(age.total_seconds() * 1000),
    )


def bump() -> int:
    """Raise the routing version; call inside the transaction of the change. Serialises concurrent changes."""
    with connection.cursor() as cursor:
        cursor.execute(BUMP_SQL)
        version: int = cursor.fetchone()[0]
    note_bump(version)
    return version


def note_bump(version: int) -> None:
    """This transaction has raised the version to this."""
    _bumped.versions = {version}
    transaction.on_commit(_forget_bump)


def _forget_bump() -> None:
    """It is everybody's now: the rules of this version may be remembered."""
    _bumped.versions = set()


BUMP_SQL = (
    "INSERT INTO routing_routingversion AS held (id, version) VALUES (1, 1)"
    " ON CONFLICT (id) DO UPDATE SET version = held.version + 1 RETURNING version"
)
