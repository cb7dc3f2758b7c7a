"""Where an event went, as a picture with its words: sources, the event, destinations, and what became of it there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from routing import charts
from routing.charts import Flow, Group, Node
from routing.event_page import Line
from trackstack_site.templatetags.figures import thousands


class Told(NamedTuple):
    """A group of destinations in words."""

    group: Group
    head: str
    is_name: bool
    tail: str
    names: str


class Picture(NamedTuple):
    flow: Flow
    destinations: list[tuple[Node, Told]]
    outcomes: list[tuple[Node, str]]
    sources: list[tuple[Node, str]]
    told: list[Told]
    bars: list[tuple[Told, list[tuple[str, float, float]]]]
    """The small form: of each group a bar of (tone, where it begins, how long) in percent."""
    received: int


def picture(name: str, lines: Sequence[Line], sources: Mapping[str, int]) -> Picture:
    """sources: name → events among the newest; where they are not all, their shares are told."""
    received = max((line.counts["received"] for line in lines), default=0)
    seen = sum(sources.values())
    left = list(sources.items()) if seen else [("", received)]
    flow = charts.flow(
        name, received, left, [(line.rule.name, line.counts) for line in lines if not line.rule.is_builtin]
    )
    told = [_told(group) for group in flow.groups]
    return Picture(
        flow,
        list(zip(flow.destinations, told, strict=True)),
        [(node, _outcome(node.code, node.count)) for node in flow.outcomes],
        [(node, _source(node.count, seen, received)) for node in flow.sources],
        told,
        [(one, _bar(one.group)) for one in told],
        received,
    )


def _told(group: Group) -> Told:
    names = group.names
    tail = ", ".join(_outcome(code, count) for code, count in group.each)
    if len(names) == 1:
        return Told(group, names[0], True, tail, names[0])
    if group.is_alike:
        tail = _("%(what)s each") % {"what": tail}
    head = ngettext("%(count)d destination", "%(count)d destinations", len(names)) % {"count": len(names)}
    return Told(group, head, False, tail, ", ".join(names))


def _outcome(code: str, count: int) -> str:
    words = {
        "delivered": _("%(count)s delivered"),
        "waiting": _("%(count)s waiting"),
        "skipped": _("%(count)s skipped"),
        "dead": _("%(count)s dead"),
    }
    return words[code] % {"count": thousands(count)}


def _source(count: int, seen: int, received: int) -> str:
    if seen in (0, received):
        return thousands(count)
    return _("about %(share)d %%") % {"share": round(100 * count / seen)}


def _bar(group: Group) -> list[tuple[str, float, float]]:
    at, parts = 0.0, []
    for code, tone in charts.OUTCOMES:
        long = 100 * group.counts[code] / group.received
        if long:
            parts.append((tone, at, long))
            at += long
    return parts
