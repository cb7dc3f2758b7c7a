"""The page of one event: what it means, how to send it, where it went, and what came lately."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from events import calls, recent, samples, usable_keys
from events import needs as needs_of
from events.masked_json import pretty
from events.models import CanonicalEvent, SeenName
from routing import event_fields, event_flow, event_page, snapshot
from routing.event_page import Line
from routing.snapshot import Snapshot
from trackstack_site.guard import needs

SEE_EVENTS = "destinations.view_delivery"
BACKFILL = "destinations.add_replay"
SEE_KEYS = "events.view_apikey"


@require_GET
@needs("routing.view_route", "events.view_canonicalevent")
def event(request: HttpRequest, name: str) -> HttpResponse:
    """A registered event, or a name that was seen and nobody registered yet."""
    found = CanonicalEvent.objects.select_related("stage").filter(name=name).first()
    if found is None and not SeenName.objects.filter(pk=name).exists():
        raise Http404
    stage = found.stage_id if found else ""
    lines = event_page.lines(name, state := snapshot.current(), timezone.now().date())
    context = {
        "name": name,
        "event": found,
        "needed": needs_of.needed(name),
        "lines": lines,
        "days": event_page.DAYS,
        "may_backfill": request.user.has_perm(BACKFILL) and any(line.backfill_url for line in lines),
        **_calls(request, name, stage),
        **_received(request, name, stage, lines, state),
    }
    return render(request, "routing/event.html", context)


def _calls(request: HttpRequest, name: str, stage: str) -> dict[str, Any]:
    """How to send it, with the key that was chosen by its prefix; without a choice, the first that works."""
    keys = usable_keys.usable() if request.user.has_perm(SEE_KEYS) else []
    wanted = request.GET.get("key", "")
    key = next((key for key in keys if key.prefix == wanted), keys[0] if keys else None)
    url, sample = request.build_absolute_uri(reverse("ingest")), samples.sample(name, stage=stage)
    variable = key.variable if key else calls.KEY
    return {
        "calls": calls.calls(url, sample, variable, key.comment if key else ""),
        "variable": variable,
        "keys": keys,
        "key": key,
        "may_see_keys": request.user.has_perm(SEE_KEYS),
    }


def _received(request: HttpRequest, name: str, stage: str, lines: list[Line], state: Snapshot) -> dict[str, Any]:
    """The picture, and what the newest carry; of single events nothing to those who may not see them."""
    parts = event_fields.asked(name, stage, lines)
    if not request.user.has_perm(SEE_EVENTS):
        return {
            "picture": event_flow.picture(name, lines, {}),
            "fields": event_fields.of(parts, name, lines, None),
        }
    coverage = recent.coverage(name, [fields for part in parts for fields in part])
    since = datetime.combine(event_page.days_to(timezone.now().date())[0], time(), UTC)
    names = {source.id: source.name for source in state.sources.values()}
    by_source = {names.get(pk, ""): count for pk, count in recent.by_source(name, since).items() if pk in names}
    return {
        "picture": event_flow.picture(name, lines, by_source),
        "fields": event_fields.of(parts, name, lines, coverage),
        "coverage": coverage,
        "look_back": recent.LOOK_BACK,
        "payload": pretty(coverage.last.payload) if coverage.last else "",
    }
