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

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from destinations import masking, people, preview
from destinations.choosing import Chosen
from destinations.models import AccessToken, Destination
from destinations.platforms.base import ACCESS_TOKEN, Built, Config, Item, Platform, Request
from events.contract import Accepted
from events.payload import Payload
from routing import policy
from routing.policy import Decision, DestinationRule, SourceRule
from routing.snapshot import Snapshot
from trackstack_site.wording import followed

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
    is_name: bool = False
    """Whether the word is the platform's name for the event."""
    is_quoted: bool = False
    """Whether the sentence is the contract's or the adapter's, which speak English to every sender."""


class Verdict(NamedTuple):
    """What would become of the event at one destination."""

    destination: Destination
    steps: list[Step]
    requests: list[dict[str, Any]]
    is_sent: bool
    """Whether the event would go there as things stand."""

    @property
    def sentence(self) -> str:
        return self.deciding.sentence

    @property
    def deciding(self) -> Step:
        """The first step that stops the event, else the one that sends it."""
        return next((step for step in self.steps if step.is_stop), self.steps[-1])

    @property
    def headline(self) -> Step:
        """What tells most of it in a line: as what it is sent, or what stops it."""
        if not self.is_sent:
            return self.deciding
        return next((step for step in self.steps if step.is_name), self.deciding)


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
    if chosen.is_real:
        steps = [_discreet(step, event.payload) if step.is_quoted else step for step in steps]
    return Verdict(destination, steps, requests, is_sent=decision.send and is_built)


def _discreet(step: Step, payload: Payload) -> Step:
    return step._replace(sentence=people.unnamed(masking.masked(step.sentence), [payload]))


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
        document["body"] = _("(%(count)d bytes that are no text)") % {"count": len(request.body)}
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
    label = _("Contract")
    if chosen.rejected is not None:
        sentence, code = chosen.rejected.sentence, chosen.rejected.code
        return Step(label, "bad", _("Rejected"), sentence, code, is_stop=True, is_quoted=True)
    if chosen.warnings:
        text = " ".join(_ended(warning.sentence) for warning in chosen.warnings)
        return Step(label, "warn", _("Accepted"), _("Accepted with a warning: %(text)s") % {"text": text})
    return Step(label, "good", _("Accepted"), _("The event keeps the contract."))


def consent_step(rule: DestinationRule, source: SourceRule, event: Accepted) -> Step:
    label = _("Consent")
    if rule.is_builtin:
        why = _("What was accepted is kept here, whoever may have it elsewhere.")
        return Step(label, "good", _("Not asked"), why)
    category = policy.CATEGORY_OF_KIND[rule.kind]
    said = event.consent.get(category)
    words = {"category": category, "source": source.name, "destination": rule.name}
    if policy.has_consent(rule, source, event.consent):
        if said:
            why = _("The event gives %(category)s consent.")
        elif source.name:
            why = _("The default of %(source)s gives %(category)s consent; the event is silent.")
        else:
            why = _("The default gives %(category)s consent; the event is silent.")
        return Step(label, "good", _("Given"), why % words)
    if said is False:
        why = _("The event denies %(category)s consent, which %(destination)s needs.")
    elif source.name:
        why = _("The default of %(source)s denies %(category)s consent, which %(destination)s needs.")
    else:
        why = _("The default denies %(category)s consent, which %(destination)s needs.")
    return Step(label, "warn", _("Denied"), why % words, "consent_denied", is_stop=True)


def route_step(rule: DestinationRule, event: Accepted, decision: Decision) -> Step:
    label, sentence = _("Route"), decision.sentence(event.name, rule)
    if not decision.send:
        return Step(label, "warn", _("Skipped"), sentence, decision.reason, is_stop=True)
    if rule.is_held:
        waits = _("It waits there: the destination is held just now.")
        return Step(label, "warn", _("Sent, but held"), followed(sentence, waits))
    return Step(label, "good", _("Sent"), sentence)


def mapped_step(rule: DestinationRule, event: Accepted) -> Step:
    label = _("Mapped name")
    name, native_id = rule.shown_name(rule.native_name(event.name)), rule.native_ids.get(event.name, "")
    carried = policy.carries(rule, event.name)
    if rule.is_builtin:
        return Step(label, "good", _("Same name"), _("It is kept as %(event)s.") % {"event": event.name})
    if not carried.send:
        word = _("None") if carried.reason == "unmapped" else _("Id missing")
        return Step(label, "warn", word, carried.sentence(event.name, rule), carried.reason, is_stop=True)
    words = {"destination": rule.name, "name": name, "id": native_id}
    if native_id:
        sentence = _("%(destination)s gets it as %(name)s, with the id %(id)s.") % words
    else:
        sentence = _("%(destination)s gets it as %(name)s.") % words
    return Step(label, "good", name, sentence, is_name=True)


def identity_step(platform: Platform, item: Item, config: Config, now: datetime) -> Step:
    try:
        found = preview.used_identity(platform, item, config, now)
    except Exception:
        logger.exception("%s could not build a payload", platform.key)
        found = dict.fromkeys(preview.identity_of(item.payload), False)
    label = _("Identity")
    if not found:
        return Step(label, "warn", _("None"), _("The event carries nothing that tells whom it is about."))
    used = [name for name, is_used in found.items() if is_used]
    idle = [name for name, is_used in found.items() if not is_used]
    words = {"platform": platform.label, "used": ", ".join(used), "idle": ", ".join(idle)}
    if not used:
        return Step(label, "warn", _("None used"), _("%(platform)s makes no use of %(idle)s.") % words)
    word = ngettext("%(count)d used", "%(count)d used", len(used)) % {"count": len(used)}
    rest = _("Not used: %(idle)s.") % words if idle else ""
    return Step(label, "good", word, followed(_("%(platform)s gets %(used)s.") % words, rest))


def request_step(platform: Platform, built: Built | None, *, is_routed: bool) -> Step:
    label = _("Request")
    if built is None:
        bug = _("It could not be built: this is a bug in TrackStack.")
        return Step(label, "bad", _("Failed"), bug, "build_failed", is_stop=True)
    if built.skipped:
        skip = built.skipped[0]
        said = _ended(skip.detail or skip.reason)
        return Step(label, "warn", _("Skipped"), said, skip.reason, is_stop=True, is_quoted=True)
    if not is_routed:
        said = _("This is what would be sent if the steps above let it pass.")
        return Step(label, "quiet", _("If it were"), said)
    if platform.is_builtin:
        return Step(label, "good", _("Stored"), _("The row below is kept; nothing leaves this machine."))
    return Step(label, "good", _("Ready"), _("This is what would be sent."))


def _ended(text: str) -> str:
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."
