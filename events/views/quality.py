"""Observe → Quality: what product code might send better, with evidence and the mend."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET

from events import exports, quality
from trackstack_site.csv_lines import download, is_asked
from trackstack_site.guard import needs


@require_GET
@needs("events.view_event")
def index(request: HttpRequest) -> HttpResponseBase:
    if is_asked(request):
        return download("quality", exports.QUALITY, exports.troubles())
    trace = reverse("destinations:trace")
    troubles = [
        (one, [(event_id, f"{trace}?{urlencode({'id': event_id})}") for event_id in one.samples])
        for one in quality.troubles()
    ]
    context = {
        "troubles": troubles,
        "days": quality.SHOWN_DAYS,
        "fields": quality.COVERED,
        "coverage": quality.coverage(),
        "looked_at": quality.COVERAGE_LOOK,
    }
    return render(request, "events/quality.html", context)
