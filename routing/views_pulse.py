"""What others changed while the matrix is open: asked every few seconds, answered with what differs."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from destinations.models import LedgerState
from routing import history, matrix, matrix_html, snapshot
from routing.models import RoutingChange
from routing.policy import DestinationRule
from routing.snapshot import Snapshot
from routing.views import may, rights, seven_days, stage_infos
from trackstack_site.guard import key_of

MOST_COLUMNS = 4
"""When more than this changed, the page is read anew."""


@may("routing.view_route")
@require_GET
def pulse(request: HttpRequest) -> HttpResponse:
    """Nothing new costs one small query. Otherwise the columns that changed, as out-of-band swaps."""
    seen = key_of(request.GET.get("seen", ""))
    version = snapshot.stored_version()
    if seen is None or seen == version:
        return HttpResponse(status=204)
    state = snapshot.current(version)
    changes = RoutingChange.objects.filter(version__gt=seen, version__lte=version).order_by("pk")[:200]
    found = [change for change in changes if change.action != "test"]
    columns = {change.destination_pk for change in found}
    is_large = len(columns) > MOST_COLUMNS or any(
        change.action not in history.ROUTING and change.action not in ("hold", "resume", "breaker", "replay")
        for change in found
    )
    if is_large or not columns <= state.rules.keys() | {None}:
        return HttpResponse(status=204, headers={"HX-Refresh": "true"})
    others = [change for change in found if change.user_id != request.user.pk]
    context: dict[str, Any] = {
        "version": version,
        "columns": [_column(request, state, state.rules[pk]) for pk in sorted(pk for pk in columns if pk is not None)],
        "told": [sentence for change in others for sentence in change.sentences][:3],
        "who": ", ".join(dict.fromkeys(change.actor for change in others)),
    }
    return render(request, "routing/_pulse.html", context)


def _column(request: HttpRequest, state: Snapshot, rule: DestinationRule) -> dict[str, Any]:
    """A whole column: what exactly the page shows of it is not known here."""
    may_do = rights(request)
    cells = matrix.cells_of(rule, state.events, seven_days(LedgerState.DELIVERED, destination_id=rule.id))
    stages = [
        matrix.stage_cell(rule, info, (cells[n] for n, found in state.events.items() if found.stage == info.key))
        for info in stage_infos(state)
    ]
    return {
        **may_do,
        "column": matrix.column_of(rule, cells, matrix.status_of(rule)),
        "cells": [] if rule.is_builtin else [matrix_html.cell_swap(cell, **may_do) for cell in cells.values()],
        "stage_cells": [
            matrix_html.stage_cell_html(cell, may_toggle=may_do["may_toggle"], is_swap=True)
            for cell in stages
            if cell.total and not rule.is_builtin
        ],
    }
