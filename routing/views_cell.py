"""What the matrix shows of one cell when somebody rests on it."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from routing import cell_days, snapshot
from routing.views import may


@may("routing.view_route")
@require_GET
def days(request: HttpRequest, destination_id: int, event: str) -> HttpResponse:
    """The last seven days of one event at one destination, as a small picture with its figures."""
    state = snapshot.current()
    rule = state.rules.get(destination_id)
    if rule is None or event not in state.events:
        raise Http404
    shown = cell_days.delivered(event, rule.id, timezone.now().date())
    context = {
        "event": event,
        "rule": rule,
        "days": shown,
        "total": sum(day.count for day in shown),
        "most": max(shown, key=lambda day: day.count),
        "height": cell_days.BAR_HEIGHT,
    }
    answer = render(request, "routing/_cell_days.html", context)
    answer["Cache-Control"] = "private, max-age=30"
    return answer
