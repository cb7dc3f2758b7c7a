"""Configure → Events: which event goes where, and under which name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec
from django.contrib.auth.decorators import login_required, permission_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from destinations.models import Destination, LedgerState
from routing import charts, drafts, history, looks, net, snapshot, toggles
from routing import matrix as model
from routing import matrix_html as html
from routing.forms import Asked, MappingForm, parse_set
from routing.models import RoutingChange
from routing.policy import DestinationRule, Mode, mode_label
from routing.snapshot import Snapshot
from routing.swaps import column_swaps, gather, in_dialog, outcomes, refused, rights, seven_days, stage_infos
from routing.toasts import last_change, toast_of, toast_of_all
from trackstack_site.guard import key_of

View = Callable[..., HttpResponse]


def may(*permissions: str) -> Callable[[View], View]:
    """A stranger is sent to log in; who lacks a permission gets 403."""

    def wrap(view: View) -> View:
        return login_required(permission_required(permissions, raise_exception=True)(view))

    return wrap


# --- The page ---------------------------------------------------------------------------------------


@may("routing.view_route")
@require_GET
def matrix(request: HttpRequest) -> HttpResponse:
    live = snapshot.current()
    mine = drafts.view_of(request.user)
    state = mine.state(live)
    columns = {pk: mine.shown(live.rules[pk], live.events) for pk in mine.wanted if pk in live.rules}
    shown = model.build(
        state,
        stage_infos(state),
        *outcomes(),
        {pk: column.drafted for pk, column in columns.items()},
        {pk for pk, column in columns.items() if column.is_mode_drafted},
    )
    may_do = rights(request)
    look = looks.of(request.user)
    warehouse = next((rule.id for rule in state.rules.values() if rule.is_builtin), 0)
    received = seven_days(LedgerState.RECEIVED, destination_id=warehouse)
    by_stage = [
        (stage.info.label, sum(received.get((warehouse, row.event), 0) for row in stage.rows)) for stage in shown.stages
    ]
    words = html.Words()
    stages = [
        {
            "info": stage.info,
            "count": len(stage.rows),
            "is_folded": stage.info.key in look.folded,
            "cells": [html.stage_cell_html(cell, words, may_toggle=may_do["may_toggle"]) for cell in stage.cells],
            "rows": [(row, html.breakable(row.event), html.row_cells(row, words, **may_do)) for row in stage.rows],
        }
        for stage in shown.stages
    ]
    context = {"matrix": shown, "stages": stages, **may_do, "toast": last_change(request), "version": state.version}
    context["mine"] = mine
    context["funnel"] = charts.funnel(by_stage)
    context["shows"] = {key: label for key, label in looks.SHOWS.items() if key != looks.DRAFT or mine.is_collecting}
    context["show"] = request.GET.get("show", look.show)
    return render(request, "routing/matrix.html", context)


# --- Switching ----------------------------------------------------------------------------------------


def asked_of(request: HttpRequest, state: Snapshot) -> tuple[Asked, DestinationRule] | None:
    asked = parse_set((request.POST if request.method == "POST" else request.GET).get("set", ""), state.events)
    rule = state.rules.get(asked.destination_id) if asked else None
    if asked is None or rule is None or rule.is_builtin:
        return None
    return without_money_back(asked, rule, state), rule


def without_money_back(asked: Asked, rule: DestinationRule, state: Snapshot) -> Asked:
    """A stage or column switched on leaves out what only a switch of its own, with its warning, may send there."""
    if not asked.is_bulk or not any(asked.on.values()):
        return asked
    left_off = money_back(asked.on, rule, state)
    on = {name: is_on for name, is_on in asked.on.items() if name not in left_off}
    return msgspec.structs.replace(asked, on=on, left_off=left_off)


def money_back(names: Iterable[str], rule: DestinationRule, state: Snapshot) -> list[str]:
    """Of events that are off there, those that only a switch of its own sends to an ad platform."""
    chosen = toggles.selected(rule, state.events)
    return [name for name in toggles.needs_confirmation(rule, names, state.events) if name not in chosen]


@may("routing.view_route", "routing.toggle_route")
@require_POST
def toggle(request: HttpRequest) -> HttpResponse:
    """One switch: done at once. A stage or a column, or money going back to an ad platform: asked first."""
    if drafts.collects(request.user):
        return switch(request, seen(request))
    try:
        return switch(request, snapshot.held())
    except toggles.StaleError:
        return switch(request, snapshot.current())


def seen(request: HttpRequest) -> Snapshot:
    """The rules as this user sees them: those in force, with the own draft on top while switches are collected."""
    return drafts.view_of(request.user).state(snapshot.current())


def switch(request: HttpRequest, state: Snapshot) -> HttpResponse:
    """Raises toggles.StaleError when the routing is no longer `state`."""
    found = asked_of(request, state)
    if found is None:
        if state.version != snapshot.stored_version():
            raise toggles.StaleError
        return HttpResponseBadRequest(_("There is no such switch."))
    asked, rule = found
    diff = toggles.diff(rule, mode=asked.mode, on=asked.on, events=state.events)
    if asked.is_bulk or toggles.needs_confirmation(rule, diff.added, state.events):
        return ask(request, snapshot.current(), asked, rule)
    return make(request, state, asked, rule)


@may("routing.view_route", "routing.toggle_route")
@require_http_methods(["GET", "POST"])
def change(request: HttpRequest) -> HttpResponse:
    """GET: what a change would do. POST: do it, when the routing is still what was shown."""
    state = seen(request)
    found = asked_of(request, state)
    if found is None:
        return HttpResponseBadRequest(_("There is no such change."))
    asked, rule = found
    if request.method == "GET":
        return ask(request, state, asked, rule)
    if request.POST.get("seen") != str(state.version):
        return ask(request, state, asked, rule, is_stale=True)
    try:
        return make(request, state, asked, rule)
    except toggles.StaleError:
        return ask(request, seen(request), asked, rule, is_stale=True)


def ask(
    request: HttpRequest, state: Snapshot, asked: Asked, rule: DestinationRule, *, is_stale: bool = False
) -> HttpResponse:
    """The diff in sentences and a button: in the dialog, or as a page of its own."""
    found = net.of_change(rule, state, mode=asked.mode, on=asked.on)
    added = [event for event, (_was_on, is_on) in found.switched.items() if is_on]
    warned = toggles.needs_confirmation(rule, added, state.events)
    preview = net.preview([found])
    part = preview.parts[0]
    all_of_it = len(asked.on) + len(asked.left_off) if asked.on else len(state.events)
    shown = key_of((request.POST or request.GET).get("shown", ""))
    context = {
        "rule": rule,
        "asked": asked,
        "version": state.version,
        "is_stale": is_stale,
        "all_of_it": all_of_it,
        # The page says how many of them its filter shows, when that is not all.
        "shown": shown if (asked.is_bulk or asked.mode) and shown is not None and shown < all_of_it else None,
        "part": part.without(warned),
        "warned": [line for line in part.switches if line.event in warned],
        "impact": preview.impact,
        "mode_before": rule.mode_label,
        "mode_after": mode_label(found.mode[1]) if found.mode else rule.mode_label,
        "is_nothing": not found.lines,
        "title": title_of(asked, rule),
        "is_collecting": drafts.collects(request.user),
    }
    return in_dialog(request, "routing/change.html", context)


def title_of(asked: Asked, rule: DestinationRule) -> str:
    values: dict[str, object] = {"destination": rule.name}
    if asked.mode:
        return _("%(destination)s: %(mode)s") % (values | {"mode": mode_label(asked.mode)})
    if not asked.is_bulk:
        return _("%(event)s to %(destination)s") % (values | {"event": next(iter(asked.on))})
    is_on = any(asked.on.values())
    stage = next((info.label for info in stage_infos(snapshot.held()) if f":@{info.key}:" in asked.text), "")
    if stage:
        sentence = (
            _("Switch all of %(stage)s on for %(destination)s")
            if is_on
            else _("Switch all of %(stage)s off for %(destination)s")
        )
        return sentence % (values | {"stage": stage})
    return (
        _("Switch every event on for %(destination)s") if is_on else _("Switch every event off for %(destination)s")
    ) % values


def make(request: HttpRequest, state: Snapshot, asked: Asked, rule: DestinationRule) -> HttpResponse:
    if drafts.collects(request.user):
        return gather(request, {rule.id: drafts.Wanted(mode=asked.mode, on=asked.on)})
    # `apply` reads and locks the row itself; it only has to be told which one.
    destination = Destination(pk=rule.id, name=rule.name, platform_key=rule.platform)
    try:
        entry = toggles.apply(
            destination,
            mode=asked.mode,
            on=asked.on,
            user=request.user,
            seen=state.version,  # type: ignore[arg-type]
        )
    except toggles.ToggleError as error:
        return refused(request, str(error))
    except Destination.DoesNotExist:
        raise Http404 from None
    return done(request, state, rule.id, entry, asked=asked)


def done(
    request: HttpRequest,
    state: Snapshot,
    destination_id: int,
    entry: RoutingChange | None,
    *,
    asked: Asked | None = None,
) -> HttpResponse:
    """Back to the matrix, or what changed of it: cells, stage switches, column header and the toast."""
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect(reverse("routing:matrix") + (f"?changed={entry.pk}" if entry else ""))
    before = state.rules[destination_id]
    if entry is not None and entry.version == state.version + 1 and asked is not None:
        # Nobody else changed anything: the policy says what the column is now, nothing needs to be read.
        rule = toggles.changed_rule(before, mode=asked.mode, on=asked.on, events=state.events)
    else:
        state = snapshot.current()
        rule = state.rules[destination_id]
    context = {"toast": toast_of(entry) if entry else {"text": unchanged(asked)}, "oob": True}
    mine = drafts.view_of(request.user)
    swaps = column_swaps(request, state, mine.shown(before, state.events), mine.shown(rule, state.events))
    return render(request, "routing/_swaps.html", context | {"columns": [swaps]})


def done_together(request: HttpRequest, before: Snapshot, made: Sequence[RoutingChange]) -> HttpResponse:
    """`done` for what was changed of several destinations as one version."""
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect(reverse("routing:matrix") + (f"?changed={made[0].pk}" if made else ""))
    state, mine = snapshot.current(), drafts.view_of(request.user)
    context = {"toast": toast_of_all(made) if made else {"text": unchanged(None)}, "oob": True}
    columns = [
        column_swaps(request, state, mine.shown(was, before.events), mine.shown(now, state.events))
        for entry in made
        if (was := before.rules.get(entry.destination_pk or 0)) and (now := state.rules.get(was.id))
    ]
    return render(request, "routing/_swaps.html", context | {"columns": columns})


def unchanged(asked: Asked | None) -> str:
    """What is said where a change changes nothing."""
    if asked is None or len(asked.on) != 1:
        return _("Nothing to change.")
    return _("Already on.") if all(asked.on.values()) else _("Already off.")


@may("routing.view_route", "routing.toggle_route")
@require_POST
def undo(request: HttpRequest) -> HttpResponse:
    """Take back changes that were made together, when nothing that they changed was touched since."""
    entry = get_object_or_404(RoutingChange, pk=key_of(request.POST.get("change", "")) or 0)
    made = list(history.siblings(entry))
    if any("native_name" in one.before or "native_id" in one.before for one in made) and not request.user.has_perm(
        "routing.change_route"
    ):
        raise PermissionDenied
    state = snapshot.current()
    try:
        undone = history.take_back(made, user=request.user)
    except toggles.ToggleError as error:
        return refused(request, str(error))
    if len(made) > 1:
        return done_together(request, state, undone)
    before = entry.before
    on = dict.fromkeys(entry.after.get("selected", ()), False) | dict.fromkeys(before.get("selected", ()), True)
    asked = Asked(destination_id=entry.destination_pk or 0, mode=before.get("mode"), on=on, text="")
    has_mapping = "native_name" in before or "native_id" in before
    last = undone[0] if undone else None
    return done(request, state, asked.destination_id, last, asked=None if has_mapping else asked)


@may("routing.view_route", "routing.toggle_route")
@require_GET
def modes(request: HttpRequest, destination_id: int) -> HttpResponse:
    """What can be done to a whole column, each with how much it would change."""
    state = seen(request)
    rule = rule_or_404(state, destination_id)
    options = []
    for value, label, text in (
        (
            f"{rule.id}:={Mode.RECOMMENDED}",
            _("Reset to recommended"),
            _("What suits %(platform)s by default.") % {"platform": rule.label},
        ),
        (
            f"{rule.id}:={Mode.EVERYTHING}",
            _("Reset to everything"),
            _("Every registered event, new ones too. Money going back to CRM and warehouse only."),
        ),
        (f"{rule.id}:*:0", _("Switch everything off"), _("An empty list; switch on what you want, one by one.")),
    ):
        asked = parse_set(value, state.events)
        if asked is not None:
            diff = toggles.diff(rule, mode=asked.mode, on=asked.on, events=state.events)
            is_so = toggles.changed_rule(rule, mode=asked.mode, on=asked.on, events=state.events) == rule
            options.append({"value": value, "label": label, "text": text, "diff": diff, "is_so": is_so})
    context = {"rule": rule, "options": options, "on": len(toggles.selected(rule, state.events))}
    return in_dialog(request, "routing/modes.html", context)


def rule_or_404(state: Snapshot, destination_id: int) -> DestinationRule:
    rule = state.rules.get(destination_id)
    if rule is None or rule.is_builtin:
        raise Http404
    return rule


# --- Mapping --------------------------------------------------------------------------------------------


@may("routing.view_route", "routing.change_route")
@require_http_methods(["GET", "POST"])
def mapping(request: HttpRequest, destination_id: int, event: str) -> HttpResponse:
    """What one event is called at one destination, and the id it needs there."""
    mine = drafts.view_of(request.user)
    state = mine.state(snapshot.current())
    rule = rule_or_404(state, destination_id)
    if event not in state.events:
        raise Http404
    destination = get_object_or_404(Destination, pk=rule.id)
    own = destination.routes.filter(event_name=event).values("native_name", "native_id").first()
    own = (own or {}) | (mine.wanted[rule.id].natives(event) if rule.id in mine.wanted else {})
    form = MappingForm(request.POST or None, initial=own, platform=destination.platform, rule=rule, event=event)
    if request.method == "POST" and form.is_valid() and (answer := save(request, state, destination, event, form)):
        return answer
    cell = model.cells_of(rule, state.events, {}, {})[event]
    context = {"form": form, "rule": rule, "event": event, "cell": cell, "action": request.path, "mine": mine}
    return in_dialog(request, "routing/mapping.html", context, status=422 if form.errors else 200)


def save(
    request: HttpRequest, state: Snapshot, destination: Destination, event: str, form: MappingForm
) -> HttpResponse | None:
    """None when the platform does not take what was entered; the form says why."""
    names, ids = (
        {event: form.touched[field]} if field in form.touched else {} for field in ("native_name", "native_id")
    )
    try:
        if drafts.collects(request.user):
            wanted = drafts.Wanted(native_names=names, native_ids=ids)
            return gather(request, {destination.pk: wanted}, is_refusal_raised=True)
        entry = toggles.apply(destination, native_names=names, native_ids=ids, user=request.user)  # type: ignore[arg-type]
    except toggles.ToggleError as error:
        form.add_error("native_id" if "native_id" in form.fields else None, str(error))
        return None
    return done(request, state, destination.pk, entry)
