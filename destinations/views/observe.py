"""Observe: deliveries, attempts, dead letters and the trace of one event. All of it masked."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from destinations import queries, reasons
from destinations import trace as tracing
from destinations.forms import DeliveryFilter, TraceForm
from destinations.models import Attempt, Delivery, Destination, Hold, State
from events import lookup
from events.masked_json import pretty
from events.models import Event, Source
from trackstack_site.guard import key_of, needs

VIEW = "destinations.view_delivery"
MAX_CARRIED = 100
"""Deliveries of one attempt that are listed."""

TONES = {
    "delivered": "good",
    "waiting": "info",
    "held": "warn",
    "skipped": "quiet",
    "dead": "bad",
    "unrouted": "info",
    "rejected": "bad",
}


@require_GET
@needs(VIEW)
def deliveries(request: HttpRequest) -> HttpResponse:
    form = DeliveryFilter(request.GET or None)
    filters = form.values() if form.is_bound else {}
    before = request.GET.get("before", "")
    is_nonsense = filters is None or (before and key_of(before) is None)
    filters = filters or {}
    page = queries.Page([], None) if is_nonsense else queries.delivery_page(filters, key_of(before))
    kept = request.GET.copy()
    kept.pop("before", None)
    is_filtered = any(kept.values())
    older = ""
    if page.older is not None:
        query = kept.copy()
        query["before"] = str(page.older)
        older = f"?{query.urlencode()}"
    context = {
        "form": form,
        "rows": _rows(page.rows),
        "page": page,
        "older": older,
        "newest": f"?{kept.urlencode()}" if before else "",
        "is_filtered": is_filtered,
        "query": kept.urlencode(),
        "reason_label": reasons.label(filters["reason"]) if filters.get("reason") else "",
        "may_replay": request.user.has_perm("destinations.add_replay")
        and any(r.state == State.DEAD for r in page.rows),
        "replay_url": f"{reverse('destinations:replay_new')}?{kept.urlencode()}" if filters.get("destination") else "",
    }
    return render(request, "destinations/deliveries.html", context)


def _rows(found: Iterable[Delivery]) -> list[dict[str, Any]]:
    destinations = Destination.objects.defer("settings", "secrets").in_bulk()
    sources = dict(Source.objects.values_list("pk", "name"))
    now = timezone.now()
    return [
        {
            "delivery": row,
            "event": row.event,
            "source": sources.get(row.event.source_id, ""),
            "destination": tracing.name_of(row.destination_id, destinations.get(row.destination_id)),
            "state": (state := tracing.state_of(row, destinations.get(row.destination_id))),
            "tone": TONES[state],
            "is_under_way": tracing.is_under_way(row),
            "is_due": state == "waiting" and row.due_at is not None and row.due_at <= now,
            "reason": reasons.label(row.reason) if row.reason else "",
            "sentence": tracing.sentence_of(row, row.event.name, destinations.get(row.destination_id)),
            "trace_url": trace_url(row.event.event_id),
        }
        for row in found
    ]


def trace_url(event_id: str) -> str:
    return f"{reverse('destinations:trace')}?{urlencode({'id': event_id})}"


@require_GET
@needs(VIEW)
def attempt(request: HttpRequest, pk: int) -> HttpResponse:
    """One request to a platform, as masked when it was written, with the deliveries it carried."""
    found = get_object_or_404(Attempt, pk=pk)
    carried = Delivery.objects.filter(pk__in=found.delivery_ids[:MAX_CARRIED]).select_related("event").order_by("pk")
    context = {
        "attempt": found,
        "destination": Destination.objects.defer("settings", "secrets").filter(pk=found.destination_id).first(),
        "tone": "good" if found.outcome == "ok" else "warn" if found.outcome in ("retry", "split") else "bad",
        "request_body": pretty(found.request_body),
        "response_body": pretty(found.response_body),
        "rows": _rows(carried),
        "total": len(found.delivery_ids),
        "max_carried": MAX_CARRIED,
    }
    return render(request, "destinations/attempt.html", context)


@require_GET
@needs(VIEW)
def dead_letters(request: HttpRequest) -> HttpResponse:
    """Dead deliveries by cause."""
    groups = queries.dead_groups()
    destinations = Destination.objects.defer("settings", "secrets").in_bulk()
    samples = Delivery.objects.select_related("event").in_bulk([group.sample_id for group in groups])
    rows = []
    for group in groups:
        destination, sample = destinations.get(group.destination_id), samples.get(group.sample_id)
        event = sample.event.name if sample else "The event"
        query = {"state": State.DEAD.value, "destination": group.destination_id, "reason": group.reason}
        if group.detail:
            query["detail"] = group.detail
        rows.append(
            {
                "group": group,
                "destination": tracing.name_of(group.destination_id, destination),
                "label": reasons.label(group.reason),
                "sentence": tracing.explain(group.reason, event, group.destination_id, destination),
                "sample": sample.event if sample else None,
                "trace_url": trace_url(sample.event.event_id) if sample else "",
                "url": f"{reverse('destinations:deliveries')}?{urlencode(query)}",
                "replay_url": f"{reverse('destinations:replay_new')}?{urlencode(query)}",
            }
        )
    return render(request, "destinations/dead_letters.html", {"rows": rows, "cap": queries.DEAD_CAP})


@require_http_methods(["GET", "POST"])
@needs(VIEW)
def trace(request: HttpRequest) -> HttpResponse:
    """One box; every destination's answer to what became of an event.

    By anything but an event id it is POST: an address or a customer's id must not stand in URLs and logs.
    """
    form = TraceForm(request.POST if request.method == "POST" else request.GET or None)
    wanted = form.cleaned_data if form.is_bound and form.is_valid() else {}
    by, text = wanted.get("by") or "event", wanted.get("id", "")
    if by != "event" and request.method == "POST":
        return _looked_up(request, form, by, text)
    if request.method == "POST":
        return redirect(trace_url(text))
    events = tracing.trace(text, wanted["source"] or None) if text else []
    payloads = _payloads(events)
    shown = [
        {
            "event": event,
            "tone": TONES.get(event["state"], "good"),
            "payload": payloads.get(event.get("id", 0), ""),
            "lanes": [_lane(lane, event["event"], request) for lane in event["destinations"]],
        }
        for event in events
    ]
    return render(request, "destinations/trace.html", {"form": form, "wanted": text, "by": "event", "found": shown})


def _looked_up(request: HttpRequest, form: TraceForm, by: str, text: str) -> HttpResponse:
    """The events of a transaction, an order or a person. The text is not shown again."""
    context: dict[str, Any] = {"form": form, "by": by, "label": lookup.KEYS[by].label, "is_looked_up": True}
    try:
        context["hits"] = [(event, trace_url(event.event_id)) for event in lookup.find(by, text)]
    except lookup.TooSlow as error:
        context["problem"] = str(error)
    return render(request, "destinations/trace.html", context | {"most": lookup.MOST_FOUND})


def _lane(lane: dict[str, Any], event: str, request: HttpRequest) -> dict[str, Any]:
    due = lane["next_try_at"]
    is_due = due is not None and datetime.fromisoformat(due) <= timezone.now()
    return {**lane, "tone": TONES[lane["state"]], "mark": _mark(lane, event, request), "is_due": is_due}


def _mark(lane: dict[str, Any], event: str, request: HttpRequest) -> dict[str, str]:
    """The button that mends what stopped a lane, where there is one and the reader may use it."""
    pk, reason = lane["destination_id"], lane["reason"]
    if lane["platform"] is None:
        return {}
    if lane["state"] == "held" or reason in OF_DESTINATION:
        label = "Choose its sources" if reason == "source_not_enabled" else "Open the destination"
        return {"url": reverse("destinations:edit", args=[pk]), "label": label}
    if reason in ("unmapped", "missing_native_id") and request.user.has_perm("routing.change_route"):
        return {"url": reverse("routing:mapping", args=[pk, event]), "label": "Map it"}
    if reason in ("not_selected", "warehouse_only") and request.user.has_perm("routing.view_route"):
        return {"url": f"{reverse('routing:matrix')}?{urlencode({'q': event})}", "label": "Switch it on"}
    if reason == "not_registered" and request.user.has_perm("events.add_canonicalevent"):
        return {"url": f"{reverse('events:register')}?{urlencode({'name': event})}", "label": "Register it"}
    if reason in OF_EVENT:
        return {"url": reverse("routing:event", args=[event]), "label": "See what its events carry"}
    return {}


OF_DESTINATION = (Hold.CREDENTIALS, Hold.CONFIGURATION, "destination_disabled", "source_not_enabled")
OF_EVENT = ("no_identity", "missing_value", "invalid", "refused", "consent_denied", "too_old")
"""What product code sends decides these: the event's page shows what its events carry, and how to send it."""


def _payloads(events: Iterable[dict[str, Any]]) -> dict[int, str]:
    wanted = [event["id"] for event in events if "id" in event]
    found = Event.objects.filter(pk__in=wanted).values_list("pk", "payload")
    return {pk: pretty(payload) for pk, payload in found}
