"""What the Trace page shows beyond `destinations.trace`: consent, the route decision of now beside that of then, what
the platforms answered, the payload that left, and the step that mends what is wrong. All of it masked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from destinations import causes, dry_run, mends, people, reasons
from destinations.attempts import MORE
from destinations.choosing import Chosen, Pick, accepted_of
from destinations.masking import masked
from destinations.mends import Case, Mend, Step
from destinations.models import Attempt, Delivery, Destination, delivery_pk
from destinations.trace import WORDS
from events.masked_json import pretty
from events.models import Event
from routing.policy import Decision, DestinationRule, SourceRule
from routing.snapshot import Snapshot

TONES = {
    "delivered": "good", "waiting": "info", "held": "warn", "skipped": "quiet", "dead": "bad", "unrouted": "info",
    "rejected": "bad", "not asked": "quiet", "forgotten": "quiet",
}  # fmt: skip
ANSWERS = 3
"""Answers shown of one lane, the newest."""
ANSWER_CAP = 500


class Consent(NamedTuple):
    category: str
    is_given: bool
    sentence: str


class Decided(NamedTuple):
    """Routing then and now. `now` is empty where it can't be said: an unknown destination, the built-in one."""

    then: str
    now: str
    code: str
    """The reason of now."""
    has_changed: bool


class Offer(NamedTuple):
    label: str
    step: Step
    is_form: bool


def consents(event: Event, source: SourceRule) -> list[Consent]:
    """What holds of each category, and who says so. What a source assumes may have been changed since."""
    said: Mapping[str, bool] = event.payload.get("consent", {})
    found = []
    for category, assumed in (("marketing", source.marketing), ("analytics", source.analytics)):
        word = said.get(category)
        is_given = assumed if word is None else word
        found.append(Consent(category, is_given, _consent(category, source, is_given, is_said=word is not None)))
    return found


def _consent(category: str, source: SourceRule, is_given: bool, *, is_said: bool) -> str:
    if category == "marketing":
        what = _("Marketing given: %(who)s") if is_given else _("Marketing denied: %(who)s")
    else:
        what = _("Analytics given: %(who)s") if is_given else _("Analytics denied: %(who)s")
    if is_said:
        who = _("the event says so")
    elif source.name:
        who = _("the event is silent, and %(source)s assumes so") % {"source": source.name}
    else:
        who = _("the event is silent, and its source assumes so")
    return str(what % {"who": who})


def entry(
    found: dict[str, Any],
    event: Event | None,
    state: Snapshot,
    answers: Mapping[int, str],
    may: Callable[[str], bool],
    here: str,
) -> dict[str, Any]:
    """One event of `trace` as the page shows it. event: None for a rejected one."""
    shown: dict[str, Any] = {"event": found, "tone": TONES.get(found["state"], "good")}
    if event is None:
        return shown | {"lanes": []}
    source = state.sources.get(event.source_id) or SourceRule(id=event.source_id)
    now_ms = int(timezone.now().timestamp() * 1000)
    consent = event.payload.get("consent", {})
    occurred_ms = int(event.occurred_at.timestamp() * 1000)
    now = {
        rule.id: (rule, decision)
        for rule, decision in state.fan_out(event.source_id, event.name, consent, occurred_ms, now_ms)
    }
    told = [*found["destinations"], *_not_asked(found, now)]
    lanes = [_lane(lane, event, now.get(lane["destination_id"]), answers, may, here) for lane in told]
    return shown | {
        "elsewhere": [lane for lane in lanes if lane["state"] != "delivered"],
        "arrivals": sum(lane["state"] == "delivered" for lane in lanes),
        "payload": pretty(people.within(event.payload, people.identity(accepted_of(event).payload))),
        "consents": consents(event, source),
        "lanes": lanes,
    }


def _not_asked(found: dict[str, Any], now: Mapping[int, tuple[DestinationRule, Decision]]) -> list[dict[str, Any]]:
    """Lanes of destinations that have neither a delivery nor a skip of the event: they were added after it was routed;
    or what became of it there is no longer kept."""
    if found["batch"] is None or found["batch"]["routed_at"] is None:
        return []
    asked = {lane["destination_id"] for lane in found["destinations"]}
    missing = [rule for pk, (rule, _decision) in now.items() if pk not in asked and not rule.is_builtin]
    if not missing:
        return []
    routed_at = datetime.fromisoformat(found["batch"]["routed_at"])
    older = Destination.objects.filter(pk__in=[rule.id for rule in missing], created_at__lte=routed_at)
    forgotten = set(older.values_list("pk", flat=True))
    return [
        {
            "destination": rule.name, "destination_id": rule.id, "platform": rule.platform, "delivery_id": None,
            "reason": "", "tries": 0, "next_try_at": None, "settled_at": None, "attempts": [],
            **_absence(rule, is_forgotten=rule.id in forgotten),
        }
        for rule in missing
    ]  # fmt: skip


def _absence(rule: DestinationRule, *, is_forgotten: bool) -> dict[str, str]:
    if is_forgotten:
        return {
            "state": "forgotten",
            "sentence": _("What became of it at %(destination)s is no longer kept.") % {"destination": rule.name},
        }
    return {
        "state": "not asked",
        "sentence": _("%(destination)s was added after this event was routed.") % {"destination": rule.name},
    }


def _lane(
    lane: dict[str, Any],
    event: Event,
    now: tuple[DestinationRule, Decision] | None,
    answers: Mapping[int, str],
    may: Callable[[str], bool],
    here: str,
) -> dict[str, Any]:
    due = lane["next_try_at"]
    # What was skipped on being built never left.
    has_left = lane["delivery_id"] is not None and (lane["state"] != "skipped" or bool(lane["attempts"]))
    shown = {
        **lane,
        "tone": TONES[lane["state"]],
        "word": WORDS[lane["state"]],
        "is_due": due is not None and datetime.fromisoformat(due) <= timezone.now(),
        "attempts": [attempt | {"answer": answers.get(attempt["id"], "")} for attempt in lane["attempts"]],
        "decided": _decided(lane, event.name, now),
        "has_payload": has_left and now is not None and not now[0].is_builtin,
    }
    if now is None or now[0].is_builtin:
        return shown
    rule = now[0]
    case = Case(event.name, event.source_id, rule.id, rule.name, rule.label, rule.platform, lane["delivery_id"], here)
    mended = _mended(lane, case, may)
    if mended and (names := causes.brought(event.payload, rule.platform, lane["sentence"])):
        said = _("Product code sends %(names)s in platformParams: correct it there, then send it again.")
        mended["mend"] = said % {"names": ", ".join(names)}
    return shown | mended


def _decided(lane: dict[str, Any], name: str, now: tuple[DestinationRule, Decision] | None) -> Decided | None:
    """A lane with a delivery was routed there, whatever became of it; one without was skipped, for its reason."""
    if now is None or now[0].is_builtin or lane["state"] in ("unrouted", "forgotten"):
        return None
    rule, decision = now
    today = decision.sentence(name, rule)
    if lane["state"] == "not asked":
        return Decided(_("not asked"), today, decision.reason, has_changed=True)
    was_sent = lane["delivery_id"] is not None
    skipped = _("skipped, %(reason)s") % {"reason": reasons.label(lane["reason"]).lower()}
    then = _("to be sent") if was_sent else skipped
    is_same = decision.send if was_sent else decision.reason == lane["reason"]
    return Decided(then, today, decision.reason, has_changed=not is_same)


def _mended(lane: dict[str, Any], case: Case, may: Callable[[str], bool]) -> dict[str, Any]:
    """The mend of what stopped a lane, and what sends the event after all."""
    if lane["state"] not in ("held", "skipped", "dead") or not lane["reason"]:
        return {}
    mend = mends.mend_of(lane["reason"])
    offers = [_offer(mend, case, may)]
    if lane["state"] == "dead":
        offers.append(_offer(mends.AGAIN, case, may))
    elif lane["state"] == "skipped" and lane["reason"] in reasons.BY_ROUTING:
        offers.append(_offer(mends.MISSED, case, may))
    kept = {offer.step.url: offer for offer in reversed(offers) if offer is not None}
    values = {"event": case.event, "destination": case.destination, "platform": case.platform}
    return {"mend": str(mend.sentence).format(**values), "offers": list(reversed(kept.values()))}


def _offer(mend: Mend, case: Case, may: Callable[[str], bool]) -> Offer | None:
    if not any(may(permission) for permission in mend.permissions):
        return None
    step = mend.step(case)
    return Offer(str(mend.label), step, is_form=bool(step.fields))


def answers_of(found: Iterable[dict[str, Any]]) -> dict[int, str]:
    """Attempt id → what was answered, masked and cut, of the newest attempts of each lane. One query."""
    wanted = [attempt["id"] for one in found for lane in one["destinations"] for attempt in lane["attempts"][-ANSWERS:]]
    rows = Attempt.objects.filter(pk__in=wanted).values_list("pk", "response_body") if wanted else ()
    return {pk: masked(pretty(body), cap=ANSWER_CAP) for pk, body in rows if body}


# --- The payload that left -----------------------------------------------------------------------------------
class Sent(NamedTuple):
    note: str
    requests: list[dict[str, Any]]
    attempt: Attempt | None


def payload(event: Event, destination: Destination, state: Snapshot) -> Sent:
    """As it was sent, where it was kept; else as the same event is built today. Identity is masked.

    Of a request that carried many events the first one's part is kept; the others' is built again.
    """
    row = Delivery.objects.filter(pk=delivery_pk(event.pk, destination.pk)).first()
    attempt = Attempt.objects.filter(pk=row.attempts[-1]).first() if row and row.attempts else None
    if row is not None and attempt is not None and attempt.delivery_ids[:1] == [row.pk]:
        body = pretty(attempt.request_body.partition(MORE)[0])
        kept = {"method": attempt.method, "url": attempt.url, "headers": {}, "body": body}
        return Sent(_("As it was sent, masked when it was written down."), [kept], attempt)
    chosen = Chosen(pick=Pick.REAL, accepted=accepted_of(event), source_id=event.source_id)
    built = [
        request
        for verdict in dry_run.run([destination], chosen, state, attempt.started_at if attempt else timezone.now())
        for request in verdict.requests
    ]
    if attempt is not None:
        many = len(attempt.delivery_ids)
        note = ngettext(
            "Its request carried %(count)d event. This is its part, built again with today's settings.",
            "Its request carried %(count)d events. This is its part, built again with today's settings.",
            many,
        ) % {"count": many}
    elif built:
        note = _("Nothing was sent yet, or it is no longer kept. This is what today's settings would send.")
    else:
        note = _("No payload can be built of it with today's settings.")
    return Sent(note, built, attempt)
