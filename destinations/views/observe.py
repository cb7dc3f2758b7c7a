"""Observe: deliveries, attempts and dead letters. All of it masked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from destinations import causes, queries, reasons, received
from destinations import trace as tracing
from destinations.forms import DeliveryFilter
from destinations.models import Attempt, Delivery, Destination, State
from destinations.views.bench import event_url
from events.masked_json import pretty
from events.models import Source
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
    is_nonsense = filters is None
    filters = filters or {}
    page = queries.Page([], None) if is_nonsense else _page(filters, key_of(before))
    kept = request.GET.copy()
    kept.pop("before", None)
    is_filtered = any(kept.values())
    older = ""
    if page.older is not None:
        query = kept.copy()
        query["before"] = str(page.older)
        older = f"?{query.urlencode()}"
    # A replay knows no event ids: it would send everything that is dead there.
    may_replay_all = bool(filters.get("destination")) and not filters.get("event_id")
    context = {
        "form": form,
        "rows": _rows(page.rows),
        "page": page,
        "older": older,
        "newest": f"?{kept.urlencode()}" if before else "",
        "is_filtered": is_filtered,
        "is_lost": bool(before) and key_of(before) is None,
        "query": kept.urlencode(),
        "reason_label": reasons.label(filters["reason"]) if filters.get("reason") else "",
        "may_replay": request.user.has_perm("destinations.add_replay")
        and any(r.state == State.DEAD for r in page.rows),
        "replay_url": f"{reverse('destinations:replay_new')}?{kept.urlencode()}" if may_replay_all else "",
    }
    return render(request, "destinations/deliveries.html", context)


def _page(filters: Mapping[str, Any], before: int | None) -> queries.Page:
    return (received.page if received.is_asked(filters) else queries.delivery_page)(filters, before)


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
            "word": tracing.WORDS[state],
            "tone": TONES[state],
            "is_under_way": tracing.is_under_way(row),
            "is_due": state == "waiting" and row.due_at is not None and row.due_at <= now,
            "reason": reasons.label(row.reason) if row.reason else "",
            "sentence": tracing.sentence_of(row, row.event.name, destinations.get(row.destination_id)),
            "trace_url": trace_url(row.event.event_id),
            "test_url": event_url(row.event, row.destination_id),
        }
        for row in found
    ]


def trace_url(event_id: str, source: str = "") -> str:
    """source: its name, where the id alone may not tell which event is meant."""
    query = {"id": event_id} | ({"source": source} if source else {})
    return f"{reverse('destinations:trace')}?{urlencode(query)}"


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
        event = sample.event.name if sample else _("The event")
        query = {"state": State.DEAD.value, "destination": group.destination_id, "reason": group.reason}
        if group.detail:
            query["detail"] = group.detail
        rows.append(
            {
                "group": group,
                "destination": tracing.name_of(group.destination_id, destination),
                "label": reasons.label(group.reason),
                "mender": causes.mender(
                    group.reason,
                    group.detail,
                    sample.event.payload if sample else None,
                    destination.platform_key if destination else "",
                ),
                "sentence": tracing.explain(group.reason, event, group.destination_id, destination),
                "sample": sample.event if sample else None,
                "trace_url": trace_url(sample.event.event_id) if sample else "",
                "test_url": event_url(sample.event, group.destination_id) if sample else "",
                "url": f"{reverse('destinations:deliveries')}?{urlencode(query)}",
                "replay_url": f"{reverse('destinations:replay_new')}?{urlencode(query)}",
            }
        )
    return render(request, "destinations/dead_letters.html", {"rows": rows, "cap": queries.DEAD_CAP})
