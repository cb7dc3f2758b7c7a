"""Observe: requests made, what happens just now, and lists as CSV files."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from destinations import exports, live, queries
from destinations import trace as tracing
from destinations.forms import AttemptFilter, DeliveryFilter, LiveFilter
from destinations.models import Destination
from destinations.views.observe import VIEW, trace_url
from trackstack_site.csv_lines import download
from trackstack_site.guard import key_of, needs


@require_GET
@needs(VIEW)
def attempts(request: HttpRequest) -> HttpResponse:
    form = AttemptFilter(request.GET or None)
    is_nonsense = form.is_bound and not form.is_valid()
    filters = form.cleaned_data if form.is_bound and form.is_valid() else {}
    before = request.GET.get("before", "")
    page = queries.AttemptPage([], None) if is_nonsense else queries.attempt_page(filters, key_of(before))
    kept = request.GET.copy()
    kept.pop("before", None)
    older = kept.copy()
    older["before"] = str(page.older or "")
    names = dict(Destination.objects.values_list("pk", "name"))
    context = {
        "form": form,
        "page": page,
        "rows": [
            (row, names.get(row.destination_id) or tracing.name_of(row.destination_id, None)) for row in page.rows
        ],
        "older": f"?{older.urlencode()}" if page.older else "",
        "newest": f"?{kept.urlencode()}" if before else "",
        "query": kept.urlencode(),
        "is_filtered": any(kept.values()),
        "is_lost": bool(before) and key_of(before) is None,
    }
    return render(request, "destinations/attempts.html", context)


@require_GET
@needs(VIEW)
def live_page(request: HttpRequest) -> HttpResponse:
    form = LiveFilter(request.GET or None)
    filters = form.cleaned_data if form.is_bound and form.is_valid() else {}
    lines = [] if form.is_bound and not form.is_valid() else live.lines(filters)
    context = {
        "form": form,
        "now": timezone.now(),
        "lines": [(line, trace_url(line.event_id)) for line in lines],
        "here": f"?{request.GET.urlencode()}",
        "is_filtered": any(request.GET.values()),
        "look_back": live.LOOK_BACK,
    }
    part = "#live" if request.htmx else ""  # type: ignore[attr-defined]
    return render(request, f"destinations/live.html{part}", context)


@require_GET
@needs(VIEW)
def deliveries_csv(request: HttpRequest) -> HttpResponse:
    form = DeliveryFilter(request.GET or None)
    filters: Any = form.values() if form.is_bound else {}
    return download("deliveries", exports.DELIVERIES, exports.deliveries(filters) if filters is not None else ())


@require_GET
@needs(VIEW)
def attempts_csv(request: HttpRequest) -> HttpResponse:
    form = AttemptFilter(request.GET or None)
    is_nonsense = form.is_bound and not form.is_valid()
    filters = form.cleaned_data if form.is_bound and form.is_valid() else {}
    return download("attempts", exports.ATTEMPTS, () if is_nonsense else exports.attempts(filters))


@require_GET
@needs(VIEW)
def dead_csv(request: HttpRequest) -> HttpResponse:
    return download("dead-letters", exports.DEAD, exports.dead())
