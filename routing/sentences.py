"""What is said of a change of the routing, wherever it is said: history, drafts, imports and comparisons."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.translation import gettext as _

from routing.policy import mode_label


def mode(destination: str, before: str, after: str) -> str:
    values = {"destination": destination, "before": mode_label(before), "after": mode_label(after)}
    return _("%(destination)s: %(before)s → %(after)s") % values


def starts(destination: str, event: str) -> str:
    return _("%(destination)s starts receiving %(event)s") % {"destination": destination, "event": event}


def stops(destination: str, event: str) -> str:
    return _("%(destination)s stops receiving %(event)s") % {"destination": destination, "event": event}


def money_back(destination: str, event: str, platform: str) -> str:
    """That somebody has to confirm it."""
    sentence = _(
        "%(destination)s: %(event)s is meant for CRM and warehouse only; confirm that it is to go to %(platform)s."
    )
    return sentence % {"destination": destination, "event": event, "platform": platform}


MOST_NAMED = 3


def listed(names: Sequence[str]) -> str:
    """ "A", "A, B and C", "A, B, C and 4 more"."""
    if len(names) > MOST_NAMED:
        values = {"names": ", ".join(names[:MOST_NAMED]), "count": len(names) - MOST_NAMED}
        return _("%(names)s and %(count)d more") % values
    if len(names) > 1:
        return _("%(names)s and %(last)s") % {"names": ", ".join(names[:-1]), "last": names[-1]}
    return "".join(names)


def native(column: str, destination: str, event: str, before: str, after: str) -> str:
    """column: `native_name`, where empty is the platform's own, or `native_id`."""
    if column == "native_name":
        sentence, unset = _("%(destination)s: native name of %(event)s: %(before)s → %(after)s"), _("default")
    else:
        sentence, unset = _("%(destination)s: native id of %(event)s: %(before)s → %(after)s"), _("none")
    values = {"destination": destination, "event": event, "before": before or unset, "after": after or unset}
    return sentence % values
