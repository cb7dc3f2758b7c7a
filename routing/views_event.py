"""The page of one event: what it means, where it went, what came lately, and how to send it."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from events import calls, recent, samples
from events.masked_json import pretty
from events.models import CanonicalEvent, SeenName
from routing import charts, event_page, snapshot
from trackstack_site.guard import needs

SEE_EVENTS = "destinations.view_delivery"


@require_GET
@needs("routing.view_route", "events.view_canonicalevent")
def event(request: HttpRequest, name: str) -> HttpResponse:
    """A registered event, or a name that was seen and nobody registered yet."""
    found = CanonicalEvent.objects.select_related("stage").filter(name=name).first()
    if found is None and not SeenName.objects.filter(pk=name).exists():
        raise Http404
    sample = samples.sample(name, stage=found.stage_id if found else "")
    lines = event_page.lines(name, snapshot.current(), timezone.now().date())
    context = {
        "name": name,
        "event": found,
        "lines": lines,
        "flow": charts.flow([(line.rule.name, line.delivered, "good") for line in lines if not line.rule.is_builtin]),
        "days": event_page.DAYS,
        "calls": calls.calls(request.build_absolute_uri(reverse("ingest")), sample),
        "key": calls.KEY,
        **(_received(name) if request.user.has_perm(SEE_EVENTS) else {}),
    }
    return render(request, "routing/event.html", context)


def _received(name: str) -> dict[str, Any]:
    coverage = recent.coverage(name)
    return {
        "coverage": coverage,
        "look_back": recent.LOOK_BACK,
        "payload": pretty(coverage.last.payload) if coverage.last else "",
    }
