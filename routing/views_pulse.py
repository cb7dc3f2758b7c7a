"""What others changed while the matrix is open: asked every few seconds, answered with what differs."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from routing import drafts, history, snapshot, toggles
from routing.models import RoutingChange
from routing.swaps import whole_column
from routing.views import may
from trackstack_site.guard import key_of

MOST_COLUMNS = 4
MOST_CHANGES = 200
"""When more than this changed, the page is read anew."""


@may("routing.view_route")
@require_GET
def pulse(request: HttpRequest) -> HttpResponse:
    """Nothing new costs one small query. Otherwise the columns that changed, as out-of-band swaps."""
    seen = key_of(request.GET.get("seen", ""))
    version = snapshot.stored_version()
    mine = drafts.view_of(request.user)
    is_drafted_anew = request.GET.get("draft", mine.token) != mine.token
    if seen is None or (seen == version and not is_drafted_anew):
        return HttpResponse(status=204)
    state = snapshot.current(version)
    newer = RoutingChange.objects.filter(version__gt=seen, version__lte=version).order_by("pk")
    changes = list(newer[: MOST_CHANGES + 1])
    found = [change for change in changes if change.action != toggles.TEST]
    columns = {change.destination_pk for change in found}
    if is_drafted_anew:
        # Another window of the same person: what either shows as drafted.
        columns |= mine.wanted.keys() | {key_of(pk) for pk in request.GET.get("drafted", "").split(",") if pk}
    is_other_mode = is_drafted_anew and mine.is_collecting != bool(request.GET.get("draft"))
    is_large = (
        is_other_mode
        or len(columns) > MOST_COLUMNS
        or len(changes) > MOST_CHANGES
        or any(
            change.action not in history.ROUTING and change.action not in ("hold", "resume", "breaker", "replay")
            for change in found
        )
    )
    if is_large or not columns <= state.rules.keys() | {None}:
        return HttpResponse(status=204, headers={"HX-Refresh": "true"})
    others = [change for change in found if change.user_id != request.user.pk]
    context: dict[str, Any] = {
        "version": version,
        "mine": mine if is_drafted_anew else None,
        "oob": True,
        "columns": [
            whole_column(request, state, mine.shown(state.rules[pk], state.events))
            for pk in sorted(pk for pk in columns if pk is not None)
        ],
        "told": [sentence for change in others for sentence in change.sentences][:3],
        "who": ", ".join(dict.fromkeys(change.actor for change in others)),
    }
    return render(request, "routing/_pulse.html", context)
