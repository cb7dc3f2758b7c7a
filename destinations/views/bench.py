"""Preview payload and Send as test on a destination's page, and the test bench for several at once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from destinations import dry_run, trial
from destinations.choosing import Chosen, Pick, shown_event
from destinations.dry_run import Step, Verdict
from destinations.forms_bench import BenchForm, TryForm
from destinations.models import Destination
from events.masked_json import pretty
from events.models import Event
from routing import snapshot
from routing.snapshot import Snapshot
from trackstack_site.guard import key_of, needs

VIEW = "destinations.view_destination"
CHANGE = "destinations.change_destination"
SEE_EVENTS = "destinations.view_delivery"
"""Who may see what was received, may also try it out."""
MAP = "routing.change_route"


@require_http_methods(["GET", "POST"])
@needs(VIEW)
def bench(request: HttpRequest) -> HttpResponse:
    """One event and several destinations: each step's verdict.

    A dry run stands in the address, so it can be reloaded and sent to a colleague; what was pasted does not.
    """
    data = request.POST or (request.GET if "to" in request.GET else None)
    form = BenchForm(snapshot.current(), data, initial=_asked(request), may_see_events=_may_see_events(request))
    context: dict[str, Any] = {"form": form, "action": request.path, "may_send": request.user.has_perm(CHANGE)}
    template = "destinations/test_bench.html"
    if not form.is_bound:
        return render(request, template, context)
    wanted = form.cleaned_data.get("to", []) if form.is_valid() else []
    is_dry = request.method == "POST" and not form.errors and not request.POST.get("send")
    query = form.address if is_dry else ""
    if query and not request.htmx:  # type: ignore[attr-defined]
        return redirect(f"{request.path}{query}")
    rows = Destination.objects.in_bulk(wanted)
    answer = _answer(request, template, form, [rows[pk] for pk in wanted if pk in rows], context)
    if is_dry:
        answer["HX-Replace-Url"] = f"{request.path}{query}"
    return answer


@require_http_methods(["GET", "POST"])
@needs(VIEW)
def try_one(request: HttpRequest, pk: int) -> HttpResponse:
    """One event and one destination."""
    destination = get_object_or_404(Destination, pk=pk)
    form = try_form(request, request.POST or None)
    context = {"form": form} | try_context(request, destination)
    template = "destinations/try.html"
    if not form.is_bound:
        return render(request, template, context)
    form.is_valid()
    return _answer(request, template, form, [destination], context)


def try_form(request: HttpRequest, data: Any = None) -> TryForm:
    state = snapshot.current()
    return TryForm(state, data, initial=_asked(request), may_see_events=_may_see_events(request))


def try_context(request: HttpRequest, destination: Destination) -> dict[str, Any]:
    """What the form on a destination's page needs."""
    return {
        "destination": destination,
        "action": reverse("destinations:try", args=[destination.pk]),
        "obstacle": trial.obstacle(destination),
        "whereabouts": trial.whereabouts(destination),
        "may_send": request.user.has_perm(CHANGE),
    }


def _asked(request: HttpRequest) -> dict[str, Any]:
    """What a link to the page chose beforehand."""
    asked: dict[str, Any] = {name: request.GET[name] for name in ("event", "pick", "key") if name in request.GET}
    if (to := key_of(request.GET.get("to", ""))) is not None:
        asked["to"] = [to]
    return asked


def event_url(event: Event, destination_id: int | None = None) -> str:
    """The test bench with one event that was received, for all destinations or one."""
    query = {"event": event.name, "pick": Pick.REAL.value, "key": event.pk}
    return f"{reverse('destinations:bench')}?{urlencode(query | ({'to': destination_id} if destination_id else {}))}"


def _may_see_events(request: HttpRequest) -> bool:
    return bool(request.user.has_perm(SEE_EVENTS))


def _answer(
    request: HttpRequest, template: str, form: TryForm, destinations: Sequence[Destination], context: dict[str, Any]
) -> HttpResponse:
    """The verdicts, and of one of the destinations what it answered if a test was to be sent."""
    now = datetime.now(UTC)
    chosen = form.chosen(now) if not form.errors else None
    part = "#results" if request.htmx else ""  # type: ignore[attr-defined]
    if chosen is None:
        return render(request, f"{template}{part}", context, status=422)
    sending = request.POST.get("send")
    sent = _send(request, form.state, destinations, chosen, sending) if sending else {}
    verdicts = dry_run.run(destinations, chosen, form.state, now)
    lanes = [_lane(request, verdict, chosen, sent) for verdict in verdicts]
    context |= {
        "lanes": lanes,
        "chosen": chosen,
        "event_shown": _shown(chosen),
        "is_tried": True,
        "is_alone": len(lanes) == 1,
        "sent_count": sum(verdict.is_sent for verdict in verdicts),
    }
    if sending and part and request.htmx.target == f"lane-{sending}":  # type: ignore[attr-defined]
        lane = next(lane for lane in lanes if str(lane["destination"].pk) == sending)
        return render(request, "destinations/_lane.html", context | {"lane": lane})
    return render(request, f"{template}{part}", context)


def _sent(
    request: HttpRequest, state: Snapshot, destinations: Sequence[Destination], chosen: Chosen, sending: str
) -> dict[str, Any]:
    """What came of the test: `trial`, or `not_sent` with the reason."""
    destination = next((row for row in destinations if row.pk == key_of(sending)), None)
    rule = state.rules.get(destination.pk) if destination else None
    if destination is None or rule is None:
        raise Http404
    try:
        return {"to": destination.pk, "trial": trial.send_as_test(destination, rule, chosen, user=request.user)}
    except trial.NotSent as error:
        return {"to": destination.pk, "not_sent": str(error)}


_send: Any = needs(CHANGE)(_sent)


def _lane(request: HttpRequest, verdict: Verdict, chosen: Chosen, sent: dict[str, Any]) -> dict[str, Any]:
    destination = verdict.destination
    return {
        "destination": destination,
        "verdict": verdict,
        "steps": [(step, _mend(request, step, destination, chosen)) for step in verdict.steps],
        "obstacle": trial.obstacle(destination),
        "whereabouts": trial.whereabouts(destination),
        "may_send": request.user.has_perm(CHANGE),
        "is_sendable": chosen.accepted is not None and bool(verdict.requests),
        **(sent if sent.get("to") == destination.pk else {}),
    }


def _mend(request: HttpRequest, step: Step, destination: Destination, chosen: Chosen) -> dict[str, str]:
    """The link that mends what stopped a step, where there is one."""
    if step.code in ("destination_disabled", "source_not_enabled"):
        return {"url": reverse("destinations:edit", args=[destination.pk]), "label": _("Open the destination")}
    if step.code in ("unmapped", "missing_native_id") and request.user.has_perm(MAP):
        return {"url": reverse("routing:mapping", args=[destination.pk, chosen.name]), "label": _("Map it")}
    if step.code in ("not_selected", "warehouse_only") and request.user.has_perm("routing.view_route"):
        return {"url": reverse("routing:matrix"), "label": _("Open Configure → Events")}
    return {}


def _shown(chosen: Chosen) -> str:
    event = shown_event(chosen)
    if not event:
        return ""
    return pretty(event) if chosen.pick is Pick.REAL else json.dumps(event, ensure_ascii=False, indent=2)
