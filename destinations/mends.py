"""What mends it: for each reason code and each hold one plain sentence and one step. The Trace page shows both.

A step is a link or, where nothing more needs to be asked, a form of one button. The sentence is for everybody; the step
for whoever has one of the permissions it needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from destinations import platforms, replay_plan
from destinations.models import Hold
from destinations.trace import BREAKER_OPEN

CHANGE, TOGGLE, MAP = "destinations.change_destination", "routing.toggle_route", "routing.change_route"
REPLAY = "destinations.add_replay"
LOOK = ("routing.view_route", "events.view_canonicalevent")


class Case(NamedTuple):
    """One event at one destination."""

    event: str
    source_id: int
    destination_id: int
    destination: str
    platform: str
    """Its label."""
    platform_key: str
    delivery_id: int | None
    here: str
    """Where a form leads back to."""


class Step(NamedTuple):
    url: str
    fields: Mapping[str, str | int] = {}
    """Posted when there are any; else it is a link."""


class Mend(NamedTuple):
    sentence: str | Promise
    """{event}, {destination} and {platform} are filled in."""
    label: str | Promise
    permissions: tuple[str, ...]
    """Any one of them."""
    step: Callable[[Case], Step]


def _destination(case: Case) -> Step:
    return Step(reverse("destinations:edit", args=[case.destination_id]))


def _switch_on(case: Case) -> Step:
    return Step(reverse("destinations:switch", args=[case.destination_id]), {"on": 1, "next": case.here})


def _resume(case: Case) -> Step:
    return Step(reverse("destinations:resume", args=[case.destination_id]), {"next": case.here})


def _tick(case: Case) -> Step:
    return Step(reverse("routing:toggle"), {"set": f"{case.destination_id}:{case.event}:1"})


def _mapping(case: Case) -> Step:
    return Step(reverse("routing:mapping", args=[case.destination_id, case.event]))


def _register(case: Case) -> Step:
    return Step(f"{reverse('events:register')}?{urlencode({'name': case.event})}")


def _source(case: Case) -> Step:
    return Step(reverse("events:source", args=[case.source_id]))


def _event(case: Case) -> Step:
    return Step(reverse("routing:event", args=[case.event]))


def _bench(case: Case) -> Step:
    return Step(f"{reverse('destinations:bench')}?{urlencode({'event': case.event})}")


def _again(case: Case) -> Step:
    if case.delivery_id is None:  # routing skipped it: there is no delivery to send again
        return _missed(case)
    return Step(reverse("destinations:replay_one"), {"delivery": case.delivery_id})


def _missed(case: Case) -> Step:
    query = replay_plan.backfill_query(case.destination_id, platforms.get(case.platform_key), case.event)
    return Step(f"{reverse('destinations:replay_new')}?{query}")


MENDS: dict[str, Mend] = {
    # routing
    "destination_disabled": Mend(
        _("Switch {destination} on, and events are sent to it from then on."),
        _("Switch it on"),
        (CHANGE, TOGGLE),
        _switch_on,
    ),
    "source_not_enabled": Mend(
        _("Let {destination} take events from this source."), _("Choose its sources"), (CHANGE,), _destination
    ),
    "consent_denied": Mend(
        _(
            "Nothing is sent against consent: send it with the event once it is given, or change what its source"
            " assumes of events that say nothing."
        ),
        _("Open the source"),
        ("events.view_source",),
        _source,
    ),
    "warehouse_only": Mend(
        _("Tick {event} for {destination} if it shall have money that goes back, too."), _("Tick it"), (TOGGLE,), _tick
    ),
    "not_registered": Mend(
        _("Register {event}, so that it can be routed."), _("Register it"), ("events.add_canonicalevent",), _register
    ),
    "not_selected": Mend(_("Switch {event} on for {destination}."), _("Switch it on"), (TOGGLE,), _tick),
    "unmapped": Mend(_("Enter what {platform} shall call {event}."), _("Enter a name"), (MAP,), _mapping),
    "missing_native_id": Mend(_("Enter the id that {platform} has for {event}."), _("Enter the id"), (MAP,), _mapping),
    "too_old": Mend(
        _("This one stays unsent: see that {event} comes sooner, and that its ts is when it happened."),
        _("See how it is sent"),
        LOOK,
        _event,
    ),
    # build
    "no_identity": Mend(
        _("Send {event} with something that {platform} knows a person by."), _("See what it carries"), LOOK, _event
    ),
    "missing_value": Mend(_("Send value and currency with {event}."), _("See what it carries"), LOOK, _event),
    "invalid": Mend(
        _("Try {event} in the test bench, which names what {platform} would not take."),
        _("Try it out"),
        ("destinations.view_destination",),
        _bench,
    ),
    # delivery
    "refused": Mend(_("Mend what {platform} complains of, then send it again."), _("Send it again"), (REPLAY,), _again),
    "exhausted": Mend(_("Send it again once {platform} takes events."), _("Send it again"), (REPLAY,), _again),
    "build_failed": Mend(
        _("Tell whoever runs TrackStack, whose log has the error, and send it again after the update."),
        _("Send it again"),
        (REPLAY,),
        _again,
    ),
    # holds
    Hold.PAUSED.value: Mend(
        _("Resume {destination}, and what waits is sent in order."), _("Resume"), (CHANGE, TOGGLE), _resume
    ),
    Hold.CREDENTIALS.value: Mend(
        _("Enter credentials that {platform} takes, and what waits is sent."),
        _("Fix the credentials"),
        (CHANGE,),
        _destination,
    ),
    Hold.CONFIGURATION.value: Mend(
        _("Correct the settings that {platform} refuses, and what waits is sent."),
        _("Fix the settings"),
        (CHANGE,),
        _destination,
    ),
    BREAKER_OPEN: Mend(
        _("Nothing needs doing: {destination} is probed by itself, and what waits is sent when it answers."),
        _("Try now"),
        (CHANGE, TOGGLE),
        _resume,
    ),
}

UNKNOWN = MENDS["invalid"]
"""An adapter's own reason: the test bench tells more."""


def mend_of(reason: str) -> Mend:
    return MENDS.get(reason, UNKNOWN)


AGAIN = Mend("", _("Send it again"), (REPLAY,), _again)
MISSED = Mend("", _("Then send what was missed"), (REPLAY,), _missed)
