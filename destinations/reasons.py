"""Reason codes and what they say to a person. Pure. The only list of them: policy, delivery and screens share it."""

from __future__ import annotations

from typing import NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _


class Reason(NamedTuple):
    code: str
    label: str | Promise
    sentence: str | Promise
    """{event}, {destination} and {platform} are filled in."""


REASONS: dict[str, Reason] = {
    reason.code: reason
    for reason in (
        # policy
        Reason("destination_disabled", _("Destination off"), _("{destination} is switched off.")),
        Reason(
            "source_not_enabled",
            _("Source not enabled"),
            _("{destination} does not take events from this source."),
        ),
        Reason(
            "consent_denied",
            _("Consent denied"),
            _("The person did not consent to what {destination} is for."),
        ),
        Reason(
            "warehouse_only",
            _("Warehouse only"),
            _("{event} goes to CRM and warehouse only, unless ticked here."),
        ),
        Reason(
            "not_registered",
            _("Not registered"),
            _("{event} is not registered: register it in Settings → Taxonomy."),
        ),
        Reason("not_selected", _("Not selected"), _("{event} is switched off for {destination}.")),
        Reason(
            "unmapped",
            _("No native event"),
            _("{platform} has no event for {event}, and none was entered."),
        ),
        Reason(
            "missing_native_id",
            _("Native id missing"),
            _("{platform} needs an id for {event}, and none was entered."),
        ),
        Reason("too_old", _("Too old"), _("{event} is older than {platform} accepts.")),
        # build
        Reason(
            "no_identity",
            _("Too little identity"),
            _("The event carries nothing {platform} can match a person with."),
        ),
        Reason(
            "missing_value",
            _("Value missing"),
            _("{platform} wants a value and a currency with {event}."),
        ),
        Reason(
            "invalid",
            _("Not acceptable"),
            _("{platform} would refuse the event as it stands."),
        ),
        # delivery
        Reason("refused", _("Refused"), _("{platform} refused the event.")),
        Reason(
            "exhausted",
            _("Gave up"),
            _("{platform} did not take the event in the time allowed for retries."),
        ),
        Reason(
            "build_failed",
            _("Could not be built"),
            _("The payload could not be built: this is a bug in TrackStack."),
        ),
    )
}

BY_ROUTING = (
    "destination_disabled", "source_not_enabled", "consent_denied", "warehouse_only", "not_registered", "not_selected",
    "unmapped", "missing_native_id",
)  # fmt: skip
"""Reasons of a skip that lie in how things are configured: configured otherwise, the same event may be sent."""


def explain(code: str, *, event: str, destination: str, platform: str) -> str:
    """One plain sentence for a reason code; the code itself when it is unknown (an adapter's own)."""
    reason = REASONS.get(code)
    if reason is None:
        return code.replace("_", " ")
    return str(reason.sentence).format(event=event, destination=destination, platform=platform)


MENDERS = {
    "refused": _("An engineer: correct what the product sends, or the mapping, then replay."),
    "exhausted": _("Nobody needs to: replay it once the platform answers again."),
    "too_old": _("Nobody any more: the platform takes nothing of that age. Look why it waited so long."),
    "build_failed": _("The makers of TrackStack: report it, and replay it after the update."),
}


def mender(code: str) -> str:
    """Who can mend what died of this, and how; for a person who looks at dead letters."""
    return (
        str(MENDERS[code]) if code in MENDERS else gettext("An engineer: the platform's own words say what it wants.")
    )


def label(code: str) -> str:
    return str(REASONS[code].label) if code in REASONS else code.replace("_", " ").capitalize()
