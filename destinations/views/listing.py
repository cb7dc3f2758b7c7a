"""Configure → Destinations: the list as a page and as a file, its table while it is open, and single rows of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from destinations import exports, health, queries
from destinations.models import Destination
from routing import drafts
from trackstack_site.csv_lines import download, is_asked
from trackstack_site.guard import needs

VIEW = "destinations.view_destination"
CHANGE = "destinations.change_destination"
TOGGLE = "routing.toggle_route"


@require_GET
@needs(VIEW)
def index(request: HttpRequest) -> HttpResponseBase:
    """The open page asks for its table every few seconds, and gets an empty answer while nothing in it is different."""
    rows = rows_of(Destination.objects.present().defer("secrets"))
    if is_asked(request):
        return download("destinations", exports.DESTINATIONS, exports.destinations(rows))
    context = {"rows": rows, "token": _token(rows), "may_switch": may_switch(request)}
    if request.htmx:  # type: ignore[attr-defined]
        if request.GET.get("seen") == context["token"]:
            return HttpResponse(status=204)
        return render(request, "destinations/list.html#rows", context)
    return render(request, "destinations/list.html", context | {"is_collecting": drafts.collects(request.user)})


def rows_of(destinations: Iterable[Destination]) -> list[dict[str, Any]]:
    now = timezone.now()
    counts, tokens = queries.counts_of(now.date()), health.ending_tokens()
    return [
        {
            "destination": destination,
            "platform": destination.platform,
            "status": queries.status_of(destination),
            "counts": counts.get(destination.pk, queries.Counts()),
            "ends": [
                end
                for end in health.ends_of(destination, tokens.get(destination.pk), now)
                if end.days < health.SOON or end.tone != "quiet"
            ],
        }
        for destination in destinations
    ]


def may_switch(request: HttpRequest) -> bool:
    """Who may switch events may also stop a destination: it takes no credentials to stop sending."""
    return any(request.user.has_perm(permission) for permission in (CHANGE, TOGGLE))


def _token(rows: list[dict[str, Any]]) -> str:
    """Differs when anything that the table shows does."""
    shown = [
        (
            (row["destination"].pk, row["destination"].name, row["destination"].is_enabled, row["destination"].hold),
            (row["destination"].is_sandbox, row["destination"].event_mode, row["destination"].breaker_since),
            *(row["status"], row["counts"], row["ends"]),
        )
        for row in rows
    ]
    return hashlib.blake2b(repr(shown).encode(), digest_size=8).hexdigest()
