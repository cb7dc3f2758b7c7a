"""The routing policy: one pure function, the only place where routing is decided.

The screens, the ingest answer, the CSV export, the dry run and the Celery tasks all call `decide`. No ORM, no clock.
The rules are checked in the order of the comments; the first that applies is the reason.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

import msgspec
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from destinations import reasons
from destinations.platforms.base import Kind

CATEGORY_OF_KIND = {
    Kind.ADS: "marketing",
    Kind.CRM: "marketing",
    Kind.ANALYTICS: "analytics",
    Kind.WAREHOUSE: "analytics",
    Kind.WEBHOOK: "analytics",
}
"""Which consent a destination needs, by its platform's kind."""


class Mode(enum.StrEnum):
    RECOMMENDED = "recommended"
    CUSTOM = "custom"
    EVERYTHING = "everything"


_MODE_LABELS = {
    Mode.RECOMMENDED: gettext_lazy("Recommended"),
    Mode.CUSTOM: gettext_lazy("Custom"),
    Mode.EVERYTHING: gettext_lazy("Everything"),
}


def mode_label(mode: str) -> str:
    return str(_MODE_LABELS[Mode(mode)])


class EventRule(msgspec.Struct, frozen=True):
    """What the taxonomy knows of a registered event."""

    name: str
    routing_class: str = "standard"
    stage: str = ""


class SourceRule(msgspec.Struct, frozen=True):
    id: int
    name: str = ""
    marketing: bool = True
    """What holds when an event says nothing about marketing consent."""
    analytics: bool = True


class DestinationRule(msgspec.Struct, frozen=True, kw_only=True):
    """One destination as the policy sees it. `native_names` is resolved: override, else the platform's own, else ''."""

    id: int
    name: str
    platform: str
    label: str
    kind: Kind
    mode: Mode = Mode.RECOMMENDED
    is_enabled: bool = True
    is_builtin: bool = False
    is_closing: bool = False
    """To be deleted when what waits is sent: what is routed from now on is skipped, what waits is not."""
    is_held: bool = False
    """Paused or failing: deliveries are written and wait. Does not change a decision."""
    hold: str = ""
    """Why it is held: a code of `destinations.models.Hold`."""
    hold_detail: str = ""
    """What the platform said, or who paused it did."""
    is_sandbox: bool = False
    source_ids: frozenset[int] | None = None
    """None: every source."""
    ticked: frozenset[str] = frozenset()
    recommended: frozenset[str] = frozenset()
    native_names: Mapping[str, str] = {}
    """Canonical name → what it is called there; a name that is absent and not `takes_custom_events` is unmapped."""
    fills: Mapping[str, str] = {}
    """What stands for a {placeholder} of a native name on screens; the adapter fills it in by itself."""
    takes_custom_events: bool = False
    native_ids: Mapping[str, str] = {}
    needs_native_id: bool = False
    max_age_ms: int | None = None

    def native_name(self, event: str) -> str:
        name = self.native_names.get(event)
        if name is None:
            return event if self.takes_custom_events else ""
        return name

    def shown_name(self, name: str) -> str:
        """A native name as people read it, its placeholders filled in; `…` stands for what is not set yet."""
        for field, value in self.fills.items():
            name = name.replace(f"{{{field}}}", value or "…")
        return name

    @property
    def mode_label(self) -> str:
        return mode_label(self.mode)


class Decision(msgspec.Struct, frozen=True):
    """Send, or skip with a reason code."""

    send: bool
    reason: str = ""

    def sentence(self, event: str, rule: DestinationRule) -> str:
        if self.send:
            said: str = _("%(event)s is sent to %(destination)s.") % {"event": event, "destination": rule.name}
            return said
        return reasons.explain(self.reason, event=event, destination=rule.name, platform=rule.label)


_SEND = Decision(True)
_SKIP = {code: Decision(False, code) for code in reasons.REASONS}


def selects(rule: DestinationRule, event: str, event_rule: EventRule | None) -> Decision:
    """Rows 4-9 of the policy: what the toggles say of an event, whoever sent it and whenever."""
    is_warehouse_only = event_rule is not None and event_rule.routing_class == "warehouse_only"
    is_ad_or_analytics = rule.kind in (Kind.ADS, Kind.ANALYTICS)
    if rule.mode == Mode.CUSTOM and event in rule.ticked:  # 4
        return _SEND
    if rule.mode == Mode.RECOMMENDED and event in rule.recommended:  # 5
        return _SEND
    if rule.mode == Mode.EVERYTHING and event_rule is not None and not (is_ad_or_analytics and is_warehouse_only):  # 6
        return _SEND
    if is_warehouse_only and is_ad_or_analytics:  # 7
        return _SKIP["warehouse_only"]
    if event_rule is None:  # 8
        return _SKIP["not_registered"]
    return _SKIP["not_selected"]  # 9


def carries(rule: DestinationRule, event: str) -> Decision:
    """Whether the platform can carry a selected event at all: it has a name for it, and an id where it needs one."""
    if not rule.native_name(event):
        return _SKIP["unmapped"]
    if rule.needs_native_id and not rule.native_ids.get(event):
        return _SKIP["missing_native_id"]
    return _SEND


def has_consent(rule: DestinationRule, source: SourceRule, consent: Mapping[str, bool]) -> bool:
    category = CATEGORY_OF_KIND[rule.kind]
    said = consent.get(category)
    if said is not None:
        return said
    return source.marketing if category == "marketing" else source.analytics


def stands(
    rule: DestinationRule,
    source: SourceRule,
    event: str,
    event_rule: EventRule | None,
    consent: Mapping[str, bool],
) -> Decision:
    """The decision but for the event's age, so it holds for every event of that name, source and consent.

    event_rule: the taxonomy's entry, None for an unregistered (or retired) name.
    consent: what the event said, by category; a missing category takes the source's default.
    """
    if rule.is_builtin:
        # The built-in warehouse is the event table itself: what was accepted is there, whatever is switched.
        return _SEND
    if not rule.is_enabled:  # 1
        return _SKIP["destination_disabled"]
    if rule.source_ids is not None and source.id not in rule.source_ids:  # 2
        return _SKIP["source_not_enabled"]
    if not has_consent(rule, source, consent):  # 3
        return _SKIP["consent_denied"]
    decision = selects(rule, event, event_rule)
    return carries(rule, event) if decision.send else decision


def is_too_old(rule: DestinationRule, occurred_ms: int, now_ms: int) -> bool:
    return rule.max_age_ms is not None and now_ms - occurred_ms > rule.max_age_ms


TOO_OLD = _SKIP["too_old"]
CLOSED = _SKIP["destination_disabled"]


def decide(
    rule: DestinationRule,
    source: SourceRule,
    event: str,
    event_rule: EventRule | None,
    consent: Mapping[str, bool],
    occurred_ms: int,
    now_ms: int,
) -> Decision:
    """Whether an event goes to a destination; see `stands`. Times are Unix milliseconds."""
    decision = stands(rule, source, event, event_rule, consent)
    if decision.send and is_too_old(rule, occurred_ms, now_ms):
        return TOO_OLD
    return decision
