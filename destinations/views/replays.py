"""Replays: the list, a plan with its estimate, and one under way."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from destinations import exports, replay_plan, replayed, replays
from destinations.forms_replay import ReplayForm
from destinations.models import MAX_DESTINATION_ID, Delivery, Destination, Replay, ReplayKind, ReplayState, State
from trackstack_site.csv_lines import download, is_asked
from trackstack_site.guard import key_of, needs
from trackstack_site.moment_field import STAMP

VIEW = "destinations.view_replay"
START = "destinations.add_replay"
STEER = "destinations.change_replay"
PAGE_SIZE = 50


@require_GET
@needs(VIEW)
def index(request: HttpRequest) -> HttpResponseBase:
    if is_asked(request):
        return download("replays", exports.REPLAYS, exports.replay_rows())
    rows = Replay.objects.select_related("destination", "source")[:PAGE_SIZE]
    context = {"rows": [replays.progress(row) for row in rows], "may_start": request.user.has_perm(START)}
    return render(request, "destinations/replays.html", context)


@require_http_methods(["GET", "POST"])
@needs(START)
def new(request: HttpRequest) -> HttpResponse:
    """GET: the plan of the address and what it would do. POST: start it."""
    if request.method == "POST":
        return _start(request)
    chosen = request.GET.getlist("only")
    data = request.GET.copy()
    data.setdefault("kind", ReplayKind.DEAD)
    data.setdefault("rate", "50")
    data["only"] = " ".join(chosen)
    is_asked = "destination" in data or bool(chosen)
    if chosen and not data.get("destination"):
        data["destination"] = str((key_of(chosen[0]) or 0) & MAX_DESTINATION_ID or "")
    form = ReplayForm(data if is_asked else None)
    return _plan_page(request, form)


def _plan_page(request: HttpRequest, form: ReplayForm) -> HttpResponse:
    context: dict[str, Any] = {"form": form}
    if form.is_bound and form.is_valid():
        plan = form.plan()
        found = replay_plan.estimate(plan)
        context |= {
            "plan": plan,
            "sentence": replay_plan.sentence(plan, form.cleaned_data["rate"]),
            "estimate": found,
            "left": [(replay_plan.label(verdict), count) for verdict, count in found.left.items()],
            "minutes": -(-found.sendable // (form.cleaned_data["rate"] * 60)),
        }
    return render(request, "destinations/replay_new.html", context)


def _start(request: HttpRequest) -> HttpResponse:
    form = ReplayForm(request.POST)
    if not form.is_valid():
        return _plan_page(request, form)
    plan = form.plan()
    try:
        replay = replays.start(
            plan, rate=form.cleaned_data["rate"], user=request.user, expected=replay_plan.estimate(plan).sendable
        )
    except replay_plan.ReplayError as error:
        form.add_error(None, str(error))
        return _plan_page(request, form)
    messages.success(request, _("It is started. Live events go first."))
    return redirect("destinations:replay", replay.pk)


@require_POST
@needs(START)
def one(request: HttpRequest) -> HttpResponse:
    """Send one dead delivery again, at once."""
    row = get_object_or_404(Delivery.objects.select_related("event"), pk=key_of(request.POST.get("delivery", "")) or 0)
    back = f"{reverse('destinations:trace')}?{urlencode({'id': row.event.event_id})}"
    if row.state != State.DEAD:
        messages.info(request, _("It is not dead any more."))
        return redirect(back)
    destination = get_object_or_404(Destination, pk=row.destination_id)
    plan = replay_plan.Plan(ReplayKind.DEAD, destination, only=(row.pk,))
    found = replay_plan.estimate(plan)
    if not found.sendable:
        why = ", ".join(replay_plan.label(verdict) for verdict in found.left) or _("it is gone")
        messages.error(request, _("It cannot be sent again: %(why)s.") % {"why": why})
        return redirect(back)
    try:
        replays.start(plan, rate=replays.RATES[1], user=request.user, expected=1)
    except replay_plan.ReplayError as error:
        messages.error(request, str(error))
    else:
        said = _("%(event)s is sent to %(destination)s again.")
        messages.success(request, said % {"event": row.event.name, "destination": destination.name})
    return redirect(back)


@require_GET
@needs(VIEW)
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One replay. Asked by htmx, only the part that changes; 286 tells it to stop asking (htmx.org/docs, Polling)."""
    replay = get_object_or_404(Replay.objects.select_related("destination", "source"), pk=pk)
    is_open = replay.state in (ReplayState.RUNNING, ReplayState.PAUSED)
    listed = reverse("destinations:deliveries")
    # Once it took too long it would take so again in two seconds.
    outcomes = None if "slow" in request.GET else replayed.outcomes(replay)
    # What was handed over last is sent after the replay has ended.
    is_awaited = is_open or any(state == State.WAITING for state, _count in outcomes or ())
    context = {
        "progress": replays.progress(replay),
        "is_open": is_open,
        "ask_every": (2 if is_open else 5) if is_awaited else None,
        "may_steer": request.user.has_perm(STEER),
        "deliveries_url": f"{listed}?{urlencode(_filter(replay))}",
        "is_slow": outcomes is None,
        "outcomes": [
            (state, count, f"{listed}?{urlencode(_filter(replay) | {'state': state.value})}")
            for state, count in outcomes or ()
        ],
        "is_capped": sum(count for _state, count in outcomes or ()) >= replayed.MOST,
        "most": replayed.MOST,
    }
    if getattr(request, "htmx", False):
        return render(request, "destinations/_replay.html", context, status=200 if is_awaited else 286)
    return render(request, "destinations/replay.html", context)


def _filter(replay: Replay) -> dict[str, Any]:
    values = {
        "destination": replay.destination_id,
        "event": replay.event,
        "source": replay.source_id,
        "since": replay.since.strftime(STAMP) if replay.since else "",
        "until": replay.until.strftime(STAMP) if replay.until else "",
    }
    return {name: value for name, value in values.items() if value}


@require_POST
@needs(STEER)
def steer(request: HttpRequest, pk: int) -> HttpResponse:
    replay = get_object_or_404(Replay.objects.select_related("destination"), pk=pk)
    action = request.POST.get("action", "")
    if action not in replays.STEERED:
        return HttpResponseBadRequest("action: one of pause, resume, cancel")
    if not replays.steer(replay, action, user=request.user):
        messages.info(request, _("It is past that."))
    return redirect("destinations:replay", pk)
