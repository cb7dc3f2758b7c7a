"""The menu as data: what there is to do, by job, and the permission each entry needs.

An entry whose URL does not exist, or whose permission the user lacks, is not shown.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse


class Entry(NamedTuple):
    label: str
    url_name: str
    permission: str
    icon: str
    """Id of a symbol in static/trackstack/icons.svg."""


class Group(NamedTuple):
    label: str
    entries: tuple[Entry, ...]


class Link(NamedTuple):
    label: str
    url: str
    icon: str
    is_current: bool


class LinkGroup(NamedTuple):
    label: str
    links: list[Link]


MENU = (
    Group("Home", (Entry("Health", "destinations:health", "destinations.view_delivery", "health"),)),
    Group(
        "Configure",
        (
            Entry("Events", "routing:matrix", "routing.view_route", "events"),
            Entry("Destinations", "destinations:list", "destinations.view_destination", "destinations"),
            Entry("Sources", "events:sources", "events.view_source", "sources"),
            Entry("Drafts", "routing:drafts", "routing.view_draft", "draft"),
            Entry("History", "routing:history", "routing.view_routingchange", "history"),
            Entry("Test bench", "destinations:bench", "destinations.view_destination", "bench"),
        ),
    ),
    Group(
        "Observe",
        (
            Entry("Live", "destinations:live", "destinations.view_delivery", "play"),
            Entry("Deliveries", "destinations:deliveries", "destinations.view_delivery", "deliveries"),
            Entry("Attempts", "destinations:attempts", "destinations.view_delivery", "upload"),
            Entry("Dead letters", "destinations:dead_letters", "destinations.view_delivery", "dead-letters"),
            Entry("Replays", "destinations:replays", "destinations.view_replay", "refresh"),
            Entry("Rejected", "events:rejected", "events.view_rejectedevent", "rejected"),
            Entry("Quality", "events:quality", "events.view_event", "check"),
            Entry("Trace", "destinations:trace", "destinations.view_delivery", "trace"),
            Entry("Alerts", "destinations:alerts", "destinations.view_alertrule", "warning"),
        ),
    ),
    Group(
        "Settings",
        (
            Entry("Taxonomy", "events:taxonomy", "events.view_canonicalevent", "taxonomy"),
            Entry("Config tokens", "routing:config_tokens", "routing.view_configtoken", "reference"),
            Entry("Users", "admin:auth_user_changelist", "auth.view_user", "users"),
            Entry("Groups", "admin:auth_group_changelist", "auth.view_group", "groups"),
            Entry("API reference", "api-reference", "", "reference"),
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
        (group.label, entry, url)
        for group in MENU
        for entry in group.entries
        if (not entry.permission or user.has_perm(entry.permission)) and (url := url_of(entry))
    ]
    current = max((url for _, _, url in found if request.path.startswith(url)), key=len, default="")
    shown: dict[str, list[Link]] = {}
    for label, entry, url in found:
        shown.setdefault(label, []).append(Link(entry.label, url, entry.icon, url == current))
    return [LinkGroup(label, entries) for label, entries in shown.items()]


def menu(request: HttpRequest) -> dict[str, Any]:
    """Context processor. Computed only where a template shows it: fragments do not."""
    return {"menu": partial(links, request)}
