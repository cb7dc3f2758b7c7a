"""What of an open matrix is different after a change, as out-of-band pieces; and a change that goes into a draft."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from django.contrib import messages
from django.db.models import QuerySet, Sum
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _

from destinations.models import LedgerEntry, LedgerState
from routing import drafts, snapshot, toggles
from routing import matrix as model
from routing import matrix_html as html
from routing.snapshot import Snapshot

SENT_DAYS = 7


def rights(request: HttpRequest) -> dict[str, bool]:
    user = request.user
    return {"may_toggle": user.has_perm("routing.toggle_route"), "may_map": user.has_perm("routing.change_route")}


def stage_infos(state: Snapshot) -> list[model.StageInfo]:
    return [model.StageInfo(*row) for row in state.stages]


def seven_days(ledger_state: LedgerState, **where: Any) -> dict[tuple[int, str], int]:
    """(destination id, event) → count of the last seven days, in one query."""
    rows = _seven_days_of(state=ledger_state, **where)
    totals = rows.values_list("destination_id", "event_name").annotate(total=Sum("count"))
    return {(destination_id, event): total for destination_id, event, total in totals}


class Outcomes(NamedTuple):
    """(destination id, event) → count of the last seven days."""

    delivered: dict[tuple[int, str], int]
    dead: dict[tuple[int, str], int]


def outcomes(**where: Any) -> Outcomes:
    """What was delivered and what died, in one query."""
    found = Outcomes({}, {})
    counts = {LedgerState.DELIVERED.value: found.delivered, LedgerState.DEAD.value: found.dead}
    rows = _seven_days_of(state__in=list(counts), **where)
    totals = rows.values_list("destination_id", "event_name", "state").annotate(total=Sum("count"))
    for destination_id, event, state, total in totals:
        counts[state][destination_id, event] = total
    return found


def _seven_days_of(**where: Any) -> QuerySet[LedgerEntry]:
    since = timezone.now().date() - timedelta(days=SENT_DAYS - 1)
    return LedgerEntry.objects.filter(day__gte=since, **where)


def in_dialog(request: HttpRequest, template: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
    """The template's partial `panel` for htmx, wherever it was asked from; else the whole page.

    A page (`is_page`) has its title in its header, and its forms and links lead to pages, not into a dialog over it.
    """
    if not request.htmx:  # type: ignore[attr-defined]
        return render(request, template, context | {"is_page": True}, status=status)
    response = render(request, f"{template}#panel", context, status=status)
    response["HX-Retarget"], response["HX-Reswap"] = "#dialog-body", "innerHTML"
    return response


def refused(request: HttpRequest, sentence: str) -> HttpResponse:
    messages.error(request, sentence)
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect("routing:matrix")
    response = render(request, "includes/_toasts.html", {"oob": True})
    response["HX-Reswap"] = "none"
    return response


def column_swaps(request: HttpRequest, state: Snapshot, before: drafts.Shown, after: drafts.Shown) -> dict[str, Any]:
    """What of a column is different now, as out-of-band pieces."""
    may_do, rule, words = rights(request), after.rule, html.Words()
    counts = outcomes(destination_id=rule.id)
    was = model.cells_of(before.rule, state.events, *counts, before.drafted)
    now = model.cells_of(rule, state.events, *counts, after.drafted)
    changed = [cell for name, cell in now.items() if cell != was.get(name)]
    touched = {state.events[cell.event].stage for cell in changed}
    stages = [
        model.stage_cell(rule, info, (now[n] for n, found in state.events.items() if found.stage == info.key))
        for info in stage_infos(state)
        if info.key in touched
    ]
    return {
        **may_do,
        "column": model.column_of(rule, now, model.status_of(rule), is_mode_drafted=after.is_mode_drafted),
        "cells": [html.cell_swap(cell, words, **may_do) for cell in changed],
        "stage_cells": [
            html.stage_cell_html(cell, words, may_toggle=may_do["may_toggle"], is_swap=True) for cell in stages
        ],
    }


def whole_column(request: HttpRequest, state: Snapshot, shown: drafts.Shown) -> dict[str, Any]:
    """A whole column: what exactly the page shows of it is not known here."""
    may_do, rule, words = rights(request), shown.rule, html.Words()
    cells = model.cells_of(rule, state.events, *outcomes(destination_id=rule.id), shown.drafted)
    stages = [
        model.stage_cell(rule, info, (cells[n] for n, found in state.events.items() if found.stage == info.key))
        for info in stage_infos(state)
    ]
    return {
        **may_do,
        "column": model.column_of(rule, cells, model.status_of(rule), is_mode_drafted=shown.is_mode_drafted),
        "cells": [] if rule.is_builtin else [html.cell_swap(cell, words, **may_do) for cell in cells.values()],
        "stage_cells": [
            html.stage_cell_html(cell, words, may_toggle=may_do["may_toggle"], is_swap=True)
            for cell in stages
            if cell.total and not rule.is_builtin
        ],
    }


# --- Into the draft -----------------------------------------------------------------------------------------


def gather(
    request: HttpRequest, wanted: Mapping[int, drafts.Wanted], *, is_refusal_raised: bool = False
) -> HttpResponse:
    """Collect changes, by destination, in the user's draft instead of making them, and show them so in the matrix."""
    live = snapshot.current()
    if not wanted.keys() <= live.rules.keys():
        raise Http404
    was = drafts.view_of(request.user)
    try:
        drafts.collect_all(request.user, wanted, live)
    except toggles.ToggleError as error:
        if is_refusal_raised:
            raise
        return refused(request, str(error))
    mine = drafts.view_of(request.user)
    # The bar shows it, with its Undo; a toast for each would stand before the bar.
    said = _("In your draft, not in force yet.") if mine.total else _("Your draft is empty again: all is as in force.")
    return _collected(request, live, wanted.keys(), was, mine, said)


def take_back(request: HttpRequest, revision: int) -> HttpResponse:
    """Undo what the user collected last."""
    was = drafts.view_of(request.user)
    touched = drafts.take_back(request.user, revision)
    if touched is None:
        return refused(request, _("Your draft was changed since, so this cannot be undone by itself."))
    return _collected(
        request, snapshot.current(), touched, was, drafts.view_of(request.user), _("Taken back.")
    )  # fmt: skip


def _collected(
    request: HttpRequest, live: Snapshot, touched: Iterable[int], was: drafts.View, mine: drafts.View, said: str
) -> HttpResponse:
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect("routing:matrix")
    rules = [live.rules[pk] for pk in touched if pk in live.rules]
    columns = [
        column_swaps(request, live, was.shown(rule, live.events), mine.shown(rule, live.events)) for rule in rules
    ]
    context = {"said": said, "oob": True, "mine": mine, "columns": columns}
    return render(request, "routing/_swaps.html", context)
