"""The menu as data: what there is to do, by job, and the permission each entry needs.

An entry whose URL does not exist, or whose permission the user lacks, is not shown.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from routing.publishing import awaiting


class Entry(NamedTuple):
    label: str | Promise
    url_name: str
    permission: str
    icon: str
    """Id of a symbol in static/trackstack/icons.svg."""
    waiting: Callable[[Any], int] | None = None
    """How much waits there for a user."""
    beneath: tuple[str, ...] = ()
    """Pages that belong to it and have an address elsewhere."""


class Group(NamedTuple):
    label: str | Promise
    entries: tuple[Entry, ...]


class Link(NamedTuple):
    label: str
    url: str
    icon: str
    is_current: bool
    waiting: Callable[[], int] | None = None
    """Asked only where the menu is shown."""


class LinkGroup(NamedTuple):
    label: str
    links: list[Link]


class Crumb(NamedTuple):
    label: str
    url: str
    """Empty for the page itself."""


MENU = (
    Group(_("Home"), (Entry(_("Health"), "destinations:health", "destinations.view_delivery", "health"),)),
    Group(
        _("Configure"),
        (
            Entry(_("Events"), "routing:matrix", "routing.view_route", "events", beneath=("routing:copy",)),
            Entry(_("Destinations"), "destinations:list", "destinations.view_destination", "destinations"),
            Entry(_("Sources"), "events:sources", "events.view_source", "sources"),
            Entry(_("Drafts"), "routing:drafts", "routing.view_draft", "draft", awaiting),
            Entry(_("History"), "routing:history", "routing.view_routingchange", "history"),
            Entry(_("Test bench"), "destinations:bench", "destinations.view_destination", "bench"),
        ),
    ),
    Group(
        _("Observe"),
        (
            Entry(_("Live"), "destinations:live", "destinations.view_delivery", "play"),
            Entry(_("Deliveries"), "destinations:deliveries", "destinations.view_delivery", "deliveries"),
            Entry(_("Attempts"), "destinations:attempts", "destinations.view_delivery", "upload"),
            Entry(_("Dead letters"), "destinations:dead_letters", "destinations.view_delivery", "dead-letters"),
            Entry(_("Replays"), "destinations:replays", "destinations.view_replay", "refresh"),
            Entry(_("Rejected"), "events:rejected", "events.view_rejectedevent", "rejected"),
            Entry(_("Quality"), "events:quality", "events.view_event", "check"),
            Entry(_("Trace"), "destinations:trace", "destinations.view_delivery", "trace"),
            Entry(_("Alerts"), "destinations:alerts", "destinations.view_alertrule", "warning"),
        ),
    ),
    Group(
        _("Settings"),
        (
            Entry(_("Taxonomy"), "events:taxonomy", "events.view_canonicalevent", "taxonomy"),
            Entry(_("Config tokens"), "routing:config_tokens", "routing.view_configtoken", "reference"),
            Entry(_("Users"), "admin:auth_user_changelist", "auth.view_user", "users"),
            Entry(_("Groups"), "admin:auth_group_changelist", "auth.view_group", "groups"),
            Entry(_("API reference"), "api-reference", "", "reference"),
        ),
    ),
)


def url_of(entry: Entry) -> str:
    """Where an entry leads, or an empty string while there is no such page."""
    try:
        return reverse(entry.url_name)
    except NoReverseMatch:
        return ""


def links(request: HttpRequest) -> list[LinkGroup]:
    """The groups this user may see. The current entry is the one with the longest address the path begins with."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated or not user.is_staff:
        return []
    found = [
        (str(group.label), entry, url)
        for group in MENU
        for entry in group.entries
        if (not entry.permission or user.has_perm(entry.permission)) and (url := url_of(entry))
    ]
    places = [(place, url) for _label, entry, url in found for place in (url, *map(reverse, entry.beneath))]
    current = max((place for place in places if request.path.startswith(place[0])), key=_length, default=("", ""))[1]
    shown: dict[str, list[Link]] = {}
    for label, entry, url in found:
        waiting = partial(entry.waiting, user) if entry.waiting else None
        shown.setdefault(label, []).append(Link(str(entry.label), url, entry.icon, url == current, waiting))
    return [LinkGroup(label, entries) for label, entries in shown.items()]


def _length(place: tuple[str, str]) -> int:
    return len(place[0])


def trail(request: HttpRequest) -> list[Crumb]:
    """The way to the page: its group, which has no page of its own and so leads to its first one, and its entry."""
    for group in links(request):
        for link in group.links:
            if link.is_current:
                first, here = group.links[0].url, request.path
                way = (Crumb(group.label, first), Crumb(link.label, link.url))
                return [crumb._replace(url="" if crumb.url == here else crumb.url) for crumb in way]
    return []


def menu(request: HttpRequest) -> dict[str, Any]:
    """Context processor. Computed only where a template shows it: fragments do not."""
    return {"menu": partial(links, request), "trail": partial(trail, request)}
