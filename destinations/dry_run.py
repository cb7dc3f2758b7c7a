"""A dry run: one event, one destination, and the verdict of each step it would take. Nothing is sent or written.

Each step calls what the workers call: `events.contract`, `routing.policy` over the snapshot in force, the adapter's
`build`. What is shown is therefore what would happen.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from destinations import preview
from destinations.choosing import Chosen
from destinations.models import AccessToken, Destination
from destinations.platforms.base import ACCESS_TOKEN, Built, Config, Item, Platform, Request
from events.contract import Accepted
from events.payload import Payload
from routing import policy
from routing.policy import Decision, DestinationRule, SourceRule
from routing.snapshot import Snapshot

logger = logging.getLogger(__name__)


class Step(NamedTuple):
    label: str
    tone: str
    word: str
    """The verdict in a word, for the pill."""
    sentence: str
    code: str = ""
    """A reason code."""
    is_stop: bool = False
    """Whether the event goes no further, or would not."""


class Verdict(NamedTuple):
    """What would become of the event at one destination."""

    destination: Destination
    steps: list[Step]
    requests: list[dict[str, Any]]
    is_sent: bool
    """Whether the event would go there as things stand."""

    @property
    def sentence(self) -> str:
        """What decides: the first step that stops the event, else that it is sent."""
        return next((step.sentence for step in self.steps if step.is_stop), self.steps[-1].sentence)


def run(destinations: Sequence[Destination], chosen: Chosen, state: Snapshot, now: datetime) -> list[Verdict]:
    """One verdict per destination, in the order given. One query, however many they are."""
    speaking = [row.pk for row in destinations if row.platform.oauth is not None]
    held = AccessToken.objects.in_bulk(speaking) if speaking else {}
    found = []
    for destination in destinations:
        rule = state.rules.get(destination.pk)
        if rule is not None:  # else it was deleted meanwhile
            token = (held[destination.pk].values if destination.pk in held else None) or {}
            found.append(_verdict(destination, rule, chosen, state, now, token))
    return found


def _verdict(
    destination: Destination,
    rule: DestinationRule,
    chosen: Chosen,
    state: Snapshot,
    now: datetime,
    token: Mapping[str, str],
) -> Verdict:
    steps = [contract_step(chosen)]
    event = chosen.accepted
    if event is None:
        return Verdict(destination, steps, [], is_sent=False)
    now_ms = int(now.timestamp() * 1000)
    source = state.sources.get(chosen.source_id) or SourceRule(id=chosen.source_id)
    decision = policy.decide(
        rule, source, event.name, state.events.get(event.name), event.consent, event.occurred_ms, now_ms
    )
    steps += [consent_step(rule, source, event), route_step(rule, event, decision), mapped_step(rule, event)]
    requests: list[dict[str, Any]] = []
    is_built = False
    if rule.is_builtin or policy.carries(rule, event.name).send:
        config = config_of(destination, token)
        item = preview.item_of(event, rule)
        built = build(destination.platform, item, config, now)
        is_built = bool(built and built.requests)
        steps += [
            identity_step(destination.platform, item, config, now),
            request_step(destination.platform, built, is_routed=decision.send),
        ]
        if built is not None:
            parts = [part for whole in built.requests for part in (*whole.before, whole)]
            real = event.payload if chosen.is_real else None
            requests = [shown_request(destination.platform, part, config, real) for part in parts]
    return Verdict(destination, steps, requests, is_sent=decision.send and is_built)


def config_of(destination: Destination, token: Mapping[str, str]) -> dict[str, str]:
    """What `build` gets; an access token that is not there yet stands as `***`."""
    config = destination.config | dict(token)
    if destination.platform.oauth is not None:
        config.setdefault(ACCESS_TOKEN, "***")
    return config


def build(platform: Platform, item: Item, config: Config, now: datetime) -> Built | None:
    """None when the adapter has a bug that this event brings out."""
    try:
        return platform.build([item], config, now)
    except Exception:
        logger.exception("%s could not build a payload", platform.key)
        return None


def shown_request(platform: Platform, request: Request, config: Config, real: Payload | None = None) -> dict[str, Any]:
    """For people: without secrets and, when it is about somebody real, without who that is."""
    hidden = [*preview.secret_texts(platform, config), *filter(None, [config.get(ACCESS_TOKEN)])]
    document = preview.shown(request, hidden)
    if is_binary(request.body):
        document["body"] = f"({len(request.body)} bytes that are no text)"
    if real is not None:
        document = preview.without_people(document, real)
    if not isinstance(document["body"], str):
        document["body"] = json.dumps(document["body"], ensure_ascii=False, indent=2)
    return document


def is_binary(body: bytes) -> bool:
    try:
        return "\x00" in body.decode()
    except UnicodeDecodeError:
        return True


# --- Steps ------------------------------------------------------------------------------------------------


def contract_step(chosen: Chosen) -> Step:
    if chosen.rejected is not None:
        return Step("Contract", "bad", "Rejected", chosen.rejected.sentence, chosen.rejected.code, is_stop=True)
    if chosen.warnings:
        text = " ".join(_ended(warning.sentence) for warning in chosen.warnings)
        return Step("Contract", "warn", "Accepted", f"Accepted with a warning: {text}")
    return Step("Contract", "good", "Accepted", "The event keeps the contract.")


def consent_step(rule: DestinationRule, source: SourceRule, event: Accepted) -> Step:
    if rule.is_builtin:
        return Step("Consent", "good", "Not asked", "What was accepted is kept here, whoever may have it elsewhere.")
    category = policy.CATEGORY_OF_KIND[rule.kind]
    said = event.consent.get(category)
    who = f"The default of {source.name}" if source.name else "The default"
    if policy.has_consent(rule, source, event.consent):
        why = (
            f"The event gives {category} consent." if said else f"{who} gives {category} consent; the event is silent."
        )
        return Step("Consent", "good", "Given", why)
    why = f"The event denies {category} consent" if said is False else f"{who} denies {category} consent"
    return Step("Consent", "warn", "Denied", f"{why}, which {rule.name} needs.", "consent_denied", is_stop=True)


def route_step(rule: DestinationRule, event: Accepted, decision: Decision) -> Step:
    sentence = decision.sentence(event.name, rule)
    if not decision.send:
        return Step("Route", "warn", "Skipped", sentence, decision.reason, is_stop=True)
    if rule.is_held:
        return Step("Route", "warn", "Sent, but held", f"{sentence} It waits there: the destination is held just now.")
    return Step("Route", "good", "Sent", sentence)


def mapped_step(rule: DestinationRule, event: Accepted) -> Step:
    name, native_id = rule.native_name(event.name), rule.native_ids.get(event.name, "")
    carried = policy.carries(rule, event.name)
    if rule.is_builtin:
        return Step("Mapped name", "good", "Same name", f"It is kept as {event.name}.")
    if not carried.send:
        word = "None" if carried.reason == "unmapped" else "Id missing"
        return Step("Mapped name", "warn", word, carried.sentence(event.name, rule), carried.reason, is_stop=True)
    with_id = f", with the id {native_id}" if native_id else ""
    return Step("Mapped name", "good", name, f"{rule.label} gets it as {name}{with_id}.")


def identity_step(platform: Platform, item: Item, config: Config, now: datetime) -> Step:
    try:
        found = preview.used_identity(platform, item, config, now)
    except Exception:
        logger.exception("%s could not build a payload", platform.key)
        found = dict.fromkeys(preview.identity_of(item.payload), False)
    if not found:
        return Step("Identity", "warn", "None", "The event carries nothing that tells whom it is about.")
    used = [name for name, is_used in found.items() if is_used]
    idle = [name for name, is_used in found.items() if not is_used]
    rest = f" Not used: {', '.join(idle)}." if idle else ""
    if not used:
        return Step("Identity", "warn", "None used", f"{platform.label} makes no use of {', '.join(idle)}.")
    return Step("Identity", "good", f"{len(used)} used", f"{platform.label} gets {', '.join(used)}.{rest}")


def request_step(platform: Platform, built: Built | None, *, is_routed: bool) -> Step:
    if built is None:
        bug = "It could not be built: this is a bug in TrackStack."
        return Step("Request", "bad", "Failed", bug, "build_failed", is_stop=True)
    if built.skipped:
        skip = built.skipped[0]
        return Step("Request", "warn", "Skipped", _ended(skip.detail or skip.reason), skip.reason, is_stop=True)
    if not is_routed:
        return Step("Request", "quiet", "If it were", "This is what would be sent if the steps above let it pass.")
    if platform.is_builtin:
        return Step("Request", "good", "Stored", "The row below is kept; nothing leaves this machine.")
    return Step("Request", "good", "Ready", "This is what would be sent.")


def _ended(text: str) -> str:
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."
