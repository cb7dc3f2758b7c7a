"""What the matrix shows of one cell, or of one event, when somebody rests on it."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_GET

from events.models import CanonicalEvent
from routing import cell_days, drafts, marks, snapshot
from routing import matrix as model
from routing.views import may


@may("routing.view_route")
@require_GET
def days(request: HttpRequest, destination_id: int, event: str) -> HttpResponse:
    """What one cell's marks mean, and its last seven days as a small picture with its figures."""
    live = snapshot.current()
    if destination_id not in live.rules or event not in live.events:
        raise Http404
    shown = drafts.view_of(request.user).shown(live.rules[destination_id], live.events)
    rule, key = shown.rule, (destination_id, event)
    week = cell_days.week(event, destination_id, timezone.now().date())
    column = model.cells_of(rule, live.events, {key: week.delivered}, {key: week.dead}, shown.drafted)
    context = {
        "cell": column[event],
        "marks": marks.of(event, column, rule, live.events[event]),
        "week": week,
        "height": cell_days.BAR_HEIGHT,
    }
    return render(request, "routing/_cell_days.html", context)


@may("routing.view_route")
@require_GET
def meaning(request: HttpRequest, name: str) -> HttpResponse:
    """What one event means, when to fire it and when not."""
    event = get_object_or_404(CanonicalEvent, name=name, retired_at=None)
    return render(request, "routing/_meaning.html", {"event": event})
