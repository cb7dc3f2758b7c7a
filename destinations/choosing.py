"""Which event is tried out: a shipped sample, the last real one of its name, or pasted JSON. All pass the contract."""

from __future__ import annotations

import enum
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from destinations import people, preview
from events import contract, recent, samples
from events.contract import Accepted, Rejected, Warning_
from events.models import Event
from events.payload import Payload
from routing.snapshot import Snapshot

MAX_PASTED = 64 * 1024
"""Characters: far more than an event has, and little enough to stand in a page."""


class Pick(enum.StrEnum):
    SAMPLE = "sample"
    REAL = "real"
    PASTED = "pasted"


class NothingChosen(ValueError):
    """There is no event to try out; the message is for the person who chose."""


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """One event on its way through the contract."""

    pick: Pick
    accepted: Accepted | None = None
    rejected: Rejected | None = None
    warnings: Sequence[Warning_] = ()
    source_id: int
    note: str = ""
    """What a person should know about the choice."""

    @property
    def name(self) -> str:
        found = self.accepted.name if self.accepted else self.rejected.event_name if self.rejected else ""
        return found or _("The event")

    @property
    def is_real(self) -> bool:
        return self.pick is Pick.REAL


def choose(
    pick: Pick, name: str, *, text: str = "", source_id: int = 0, key: int = 0, state: Snapshot, now: datetime
) -> Chosen:
    """name: of the sample or of the last real event; text: what was pasted; key: of a real event, which is taken
    instead of the last one when it is of that name. Raises NothingChosen."""
    if pick is Pick.REAL:
        return _real(name, key)
    if pick is Pick.PASTED:
        return _pasted(text, source_id, state, now)
    rule = state.events.get(name)
    body = json.dumps(samples.sample(name, stage=rule.stage if rule else "")).encode()
    return _parsed(Pick.SAMPLE, body, source_id, state, now)


def _real(name: str, key: int) -> Chosen:
    event = Event.objects.filter(pk=key).first() if key else None
    if key and event is None:
        raise NothingChosen(
            _("The event you came from is no longer kept. Open the test bench anew for the last one received.")
        )
    if event is None or event.name != name:  # another name was chosen since
        event = recent.last_of(name)
    if event is None:
        raise NothingChosen(
            _("None of the newest %(count)s events is a %(event)s. Take the sample, or paste one.")
            % {"count": f"{recent.LOOK_BACK:,}", "event": name}
        )
    note = _("The %(event)s received %(at)s. Whom it is about is masked.")
    return Chosen(
        pick=Pick.REAL,
        accepted=accepted_of(event),
        source_id=event.source_id,
        note=note % {"event": name, "at": f"{event.received_at:%Y-%m-%d %H:%M:%S} UTC"},
    )


def accepted_of(event: Event) -> Accepted:
    """A stored event as the contract accepted it."""
    raw = msgspec.json.encode(event.payload)
    occurred_ms = int(event.occurred_at.timestamp() * 1000)
    return Accepted(0, event.name, event.event_id, occurred_ms, event.payload.get("consent", {}), raw)


def _pasted(text: str, source_id: int, state: Snapshot, now: datetime) -> Chosen:
    try:
        return _parsed(Pick.PASTED, text.encode("utf-8", "replace"), source_id, state, now)
    except contract.ContractError as error:
        raise NothingChosen(error.detail) from None


def _parsed(pick: Pick, body: bytes, source_id: int, state: Snapshot, now: datetime) -> Chosen:
    """The first event of a body. Raises contract.ContractError."""
    parsed = contract.parse_body(
        body, now_ms=int(now.timestamp() * 1000), names=frozenset(state.events), retired=state.retired
    )
    accepted = next((event for event in parsed.accepted if event.index == 0), None)
    rejected = next((event for event in parsed.rejected if event.index == 0), None)
    total = len(parsed.accepted) + len(parsed.rejected)
    note = ngettext(
        "The first of the %(count)d event that was pasted.",
        "The first of the %(count)d events that were pasted.",
        total,
    ) % {"count": total}
    return Chosen(
        pick=pick,
        accepted=accepted,
        rejected=rejected,
        warnings=[warning for warning in parsed.warnings if warning.index == 0],
        source_id=source_id,
        note=note if total > 1 else "",
    )


def for_test(chosen: Chosen, event_id: str, now: datetime) -> Accepted | None:
    """The event as it is sent as a test: an id of its own, so that no dedup drops it or its original, happening now,
    and about nobody real. None when the contract refused it.
    """
    event = chosen.accepted
    if event is None:
        return None
    payload = preview.stand_in(event.payload) if chosen.is_real else event.payload
    return msgspec.structs.replace(
        event,
        event_id=event_id,
        occurred_ms=int(now.timestamp() * 1000),
        payload_json=msgspec.json.encode(payload),
    )


def shown_event(chosen: Chosen) -> dict[str, Any]:
    """The event as it was chosen, in the words of the contract; a real one without whom it is about."""
    event = chosen.accepted
    if event is None:
        return {}
    payload: Payload = event.payload
    said = msgspec.to_builtins(payload)
    if chosen.is_real:
        said = people.within(said, people.identity(payload))
    return {"event": event.name, "eventId": event.event_id, **said}
