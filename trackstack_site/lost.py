"""The page for what is not here: it says what was looked for, and where else to look."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import ngettext


class Lost(NamedTuple):
    """What was looked for, in sentences, and the pages that may have it: (label, address, permission)."""

    sentence: str
    links: tuple[tuple[str, str, str], ...] = ()


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """handler404 of urls.py. Strangers are told nothing of what there is or is not."""
    match, user = request.resolver_match, getattr(request, "user", None)
    teller = _TELLERS.get(match.view_name) if match is not None and user is not None and user.is_staff else None
    lost = teller(match.kwargs) if teller and match else None
    context: dict[str, Any] = {"lost": lost}
    if lost and user is not None:
        context["links"] = [(label, url) for label, url, permission in lost.links if user.has_perm(permission)]
    return render(request, "404.html", context, status=404)


def _event(kwargs: Mapping[str, Any]) -> Lost:
    name = str(kwargs.get("name") or kwargs.get("event"))
    said = _("No event of the name %(name)s is registered here, and none came in.") % {"name": name}
    return Lost(
        said,
        (
            (_("All names: Taxonomy"), reverse("events:taxonomy"), "events.view_canonicalevent"),
            (
                _("Rejected events of that name"),
                f"{reverse('events:rejected')}?{urlencode({'event': name, 'status': 'all'})}",
                "events.view_rejectedevent",
            ),
        ),
    )


def _kept(said: str, days: int) -> str:
    kept = ngettext(
        "Such are kept for %(days)d day, so it may have been deleted since.",
        "Such are kept for %(days)d days, so it may have been deleted since.",
        days,
    )
    return f"{said} {kept % {'days': days}}"


def _attempt(kwargs: Mapping[str, Any]) -> Lost:
    said = _("There is no request %(number)s.") % {"number": kwargs["pk"]}
    link = (_("Attempts"), reverse("destinations:attempts"), "destinations.view_delivery")
    return Lost(_kept(said, settings.RETENTION_DAYS["attempts"]), (link,))


def _delivery(_kwargs: Mapping[str, Any]) -> Lost:
    said = _("This event has no delivery to that destination.")
    links = (
        (_("Trace"), reverse("destinations:trace"), "destinations.view_delivery"),
        (_("Deliveries"), reverse("destinations:deliveries"), "destinations.view_delivery"),
    )
    return Lost(_kept(said, settings.RETENTION_DAYS["deliveries"]), links)


def _rejected(kwargs: Mapping[str, Any]) -> Lost:
    said = _("There is no rejected event %(number)s.") % {"number": kwargs["pk"]}
    link = (_("Rejected events"), reverse("events:rejected"), "events.view_rejectedevent")
    return Lost(_kept(said, settings.RETENTION_DAYS["rejected"]), (link,))


def _draft(kwargs: Mapping[str, Any]) -> Lost:
    said = _("There is no draft %(number)s, or it was discarded.") % {"number": kwargs["pk"]}
    links = (
        (_("Drafts"), reverse("routing:drafts"), "routing.view_draft"),
        (_("History"), reverse("routing:history"), "routing.view_routingchange"),
    )
    return Lost(said, links)


def _version(kwargs: Mapping[str, Any]) -> Lost:
    if "version" in kwargs:
        said = _("There is no version %(number)s of the routing.") % {"number": kwargs["version"]}
    else:
        said = _("There is no change %(number)s in the history.") % {"number": kwargs["pk"]}
    return Lost(said, ((_("History"), reverse("routing:history"), "routing.view_routingchange"),))


def _destination(_kwargs: Mapping[str, Any]) -> Lost:
    said = _("There is no such destination, or it was deleted.")
    links = (
        (_("Destinations"), reverse("destinations:list"), "destinations.view_destination"),
        (_("History"), reverse("routing:history"), "routing.view_routingchange"),
    )
    return Lost(said, links)


def _source(_kwargs: Mapping[str, Any]) -> Lost:
    link = (_("Sources"), reverse("events:sources"), "events.view_source")
    return Lost(_("There is no such source, or it was deleted."), (link,))


def _replay(kwargs: Mapping[str, Any]) -> Lost:
    said = _("There is no replay %(number)s.") % {"number": kwargs["pk"]}
    return Lost(said, ((_("Replays"), reverse("destinations:replays"), "destinations.view_replay"),))


_TELLERS: dict[str, Callable[[Mapping[str, Any]], Lost]] = {
    **dict.fromkeys(("routing:event", "events:event_edit", "events:retire"), _event),
    **dict.fromkeys(("routing:draft", "routing:draft_discard"), _draft),
    **dict.fromkeys(("routing:history_entry", "routing:roll_back"), _version),
    **dict.fromkeys(
        ("destinations:edit", "destinations:try", "destinations:ids", "destinations:delete", "routing:modes"),
        _destination,
    ),
    **dict.fromkeys(("events:source", "events:key_add"), _source),
    "destinations:attempt": _attempt,
    "destinations:trace_payload": _delivery,
    "destinations:replay": _replay,
    "events:rejected_detail": _rejected,
}
"""Names of pages that show one thing."""
