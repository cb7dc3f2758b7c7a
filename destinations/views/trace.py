"""Observe → Trace: why it did not arrive, and the button that mends it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods

from destinations import trace as tracing
from destinations import trace_page
from destinations.forms import TraceForm
from destinations.models import Destination
from destinations.views.bench import event_url
from destinations.views.observe import VIEW, trace_url
from events import lookup
from events.models import Event
from routing import snapshot
from trackstack_site.guard import needs


@sensitive_post_parameters("id")
@require_http_methods(["GET", "POST"])
@needs(VIEW)
def trace(request: HttpRequest) -> HttpResponse:
    """One box; every destination's answer to what became of an event.

    By anything but an event id it is POST: an address or a customer's id must not stand in URLs and logs.
    """
    form = TraceForm(request.POST if request.method == "POST" else request.GET or None)
    wanted = form.cleaned_data if form.is_bound and form.is_valid() else {}
    by, text = wanted.get("by") or "event", wanted.get("id", "")
    if request.method == "POST":
        return redirect(trace_url(text)) if by == "event" else _looked_up(request, form, by, text)
    found = tracing.trace(text, wanted["source"] or None) if text else []
    context = {"form": form, "wanted": text, "by": "event", "found": _entries(request, found)}
    return render(request, "destinations/trace.html", context)


def _entries(request: HttpRequest, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if not found:
        return []
    events = Event.objects.in_bulk([one["id"] for one in found if "id" in one])
    state, answers = snapshot.current(), trace_page.answers_of(found)
    here, may = request.get_full_path(), request.user.has_perm
    shown = []
    for one in found:
        event = events.get(one.get("id", 0))
        entry = trace_page.entry(one, event, state, answers, may, here)
        shown.append(entry | {"test_url": event_url(event) if event else ""})
    return shown


def _looked_up(request: HttpRequest, form: TraceForm, by: str, text: str) -> HttpResponse:
    """The events of a transaction, an order or a person. The text is not shown again."""
    context: dict[str, Any] = {"form": form, "by": by, "label": lookup.KEYS[by].label, "is_looked_up": True}
    try:
        hits = lookup.find(by, text)
    except lookup.TooSlow as error:
        hits, context["problem"] = [], str(error)
    context["hits"] = [(event, trace_url(event.event_id, event.source.name)) for event in hits]
    return render(request, "destinations/trace.html", context | {"most": lookup.MOST_FOUND})


@require_GET
@needs(VIEW)
def payload(request: HttpRequest, event_pk: int, destination_pk: int) -> HttpResponse:
    """What left for one destination: for htmx into the lane, else a page."""
    event = get_object_or_404(Event, pk=event_pk)
    destination = get_object_or_404(Destination, pk=destination_pk)
    context = {
        "event": event,
        "destination": destination,
        "sent": trace_page.payload(event, destination, snapshot.current()),
        "back": trace_url(event.event_id),
    }
    part = "#panel" if request.htmx else ""  # type: ignore[attr-defined]
    return render(request, f"destinations/trace_payload.html{part}", context)
