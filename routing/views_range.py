"""A range of switches, over events and destinations: asked about, then made as one version with one Undo."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBadRequest
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from destinations.models import Destination
from routing import drafts, net, toggles
from routing import sentences as said
from routing.forms import Range, parse_range
from routing.models import RoutingChange
from routing.policy import DestinationRule
from routing.snapshot import Snapshot
from routing.swaps import gather, in_dialog, refused
from routing.views import done_together, may, money_back, seen


class One(NamedTuple):
    """What a range asks of one destination."""

    rule: DestinationRule
    on: dict[str, bool]
    left_off: list[str]


@may("routing.view_route", "routing.toggle_route")
@require_http_methods(["GET", "POST"])
def set_range(request: HttpRequest) -> HttpResponse:
    """GET: what a range would do. POST: do it, when the routing is still what was shown."""
    is_post = request.method == "POST"
    state = seen(request)
    asked = parse_range((request.POST if is_post else request.GET).get("set", ""), state.events)
    rules = [state.rules.get(pk) for pk in asked.destination_ids] if asked is not None else []
    if asked is None or any(rule is None or rule.is_builtin for rule in rules):
        return HttpResponseBadRequest(_("There is no such switch."))
    wanted = [_of(asked, rule, state) for rule in rules if rule is not None]
    if is_post and request.POST.get("seen") == str(state.version):
        try:
            return _make(request, state, wanted)
        except toggles.StaleError:
            state = seen(request)
            wanted = [_of(asked, state.rules[one.rule.id], state) for one in wanted if one.rule.id in state.rules]
    return _ask(request, state, asked, wanted, is_stale=is_post)


def _of(asked: Range, rule: DestinationRule, state: Snapshot) -> One:
    left_off = money_back(asked.names, rule, state) if asked.is_on else []
    return One(rule, {name: asked.is_on for name in asked.names if name not in left_off}, left_off)


def _ask(request: HttpRequest, state: Snapshot, asked: Range, wanted: list[One], *, is_stale: bool) -> HttpResponse:
    nets = [found for one in wanted if (found := net.of_change(one.rule, state, mode=None, on=one.on)).lines]
    context: dict[str, Any] = {
        "asked": asked,
        "version": state.version,
        "is_stale": is_stale,
        "shown": net.preview(nets),
        "title": _title(asked, wanted),
        "left_off": list(dict.fromkeys(name for one in wanted for name in one.left_off)),
        "is_collecting": drafts.collects(request.user),
    }
    return in_dialog(request, "routing/range.html", context)


def _title(asked: Range, wanted: list[One]) -> str:
    values = {"count": len(asked.names), "destinations": said.listed([one.rule.name for one in wanted])}
    if asked.is_on:
        sentence = ngettext(
            "Switch %(count)d event on for %(destinations)s", "Switch %(count)d events on for %(destinations)s",
            values["count"],
        )  # fmt: skip
    else:
        sentence = ngettext(
            "Switch %(count)d event off for %(destinations)s", "Switch %(count)d events off for %(destinations)s",
            values["count"],
        )  # fmt: skip
    return sentence % values


def _make(request: HttpRequest, state: Snapshot, wanted: list[One]) -> HttpResponse:
    if drafts.collects(request.user):
        return gather(request, {one.rule.id: drafts.Wanted(on=one.on) for one in wanted if one.on})
    made: list[RoutingChange] = []
    group = toggles.Group()
    try:
        with transaction.atomic():
            # Locked together and in order, so that two ranges cannot wait for each other.
            rows = Destination.objects.select_for_update(of=("self",)).order_by("pk")
            held = rows.in_bulk([one.rule.id for one in wanted])
            for one in wanted:
                if one.rule.id not in held:
                    raise Http404
                seen = state.version if group.version is None else None
                user: Any = request.user
                change = toggles.apply(held[one.rule.id], on=one.on, user=user, seen=seen, group=group)
                if change is not None:
                    made.append(change)
    except toggles.ToggleError as error:
        return refused(request, str(error))
    return done_together(request, state, made)
