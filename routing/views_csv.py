"""The mappings as a CSV file, out and back in."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from routing import csv_exchange, drafts, looks, matrix, net, snapshot, toggles
from routing.csv_table import CsvError
from routing.forms import ImportForm, NoteForm
from routing.snapshot import Snapshot
from routing.swaps import gather
from routing.views import in_dialog, may
from trackstack_site.guard import key_of
from trackstack_site.wording import in_english

LONGEST_FILTER = 200
SEPARATORS = {"comma": ",", "semicolon": ";"}


def as_seen(request: HttpRequest) -> tuple[Snapshot, str]:
    """The rules as this user sees them, and a mark that differs whenever they do or a change would go elsewhere."""
    live, mine = snapshot.current(), drafts.view_of(request.user)
    return mine.state(live), f"{live.version} {mine.token}".strip()


def _filter(request: HttpRequest) -> tuple[str, str]:
    """The words and the view of the matrix's filter; a view that is none shows every event, as the page does."""
    words, show = request.GET.get("q", "").strip()[:LONGEST_FILTER], request.GET.get("show", "")
    return words, show if show in looks.SHOWS else ""


@may("routing.view_route", "routing.export_route")
@require_GET
def choose(request: HttpRequest) -> HttpResponse:
    """What to export: everything, one destination, or what the filter shows."""
    state, (words, show) = snapshot.current(), _filter(request)
    context = {
        "state": state,
        "q": words,
        "show": show,
        "shows": {key: label for key, label in looks.SHOWS.items() if key != looks.DRAFT},
        "is_filtered": bool(words or show),
        "shown": len(matrix.events_shown(state, words, show)),
    }
    return in_dialog(request, "routing/export.html", context)


@may("routing.export_route")
@require_GET
def export(request: HttpRequest) -> StreamingHttpResponse:
    """All, or only `destination` (its id) and what the filter `q` and `show` shows. 404 for an unknown destination."""
    state, (words, show) = snapshot.current(), _filter(request)
    rule = None
    if wanted := request.GET.get("destination", ""):
        rule = state.rules.get(key_of(wanted) or 0)
        if rule is None:
            raise Http404
    events = frozenset(matrix.events_shown(state, words, show)) if words or show else None
    parts = ["mappings", slugify(rule.name) if rule else "", "filtered" if events is not None else ""]
    name = "-".join(["trackstack", *filter(None, parts), f"{timezone.now():%Y-%m-%d}.csv"])
    lines = csv_exchange.export_lines(
        state,
        destination=rule.name if rule else None,
        events=events,
        with_bom=True,
        separator=SEPARATORS.get(request.GET.get("separator", ""), ","),
    )
    return StreamingHttpResponse(
        lines,
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"},
    )


@may("routing.view_route", "routing.toggle_route", "routing.change_route")
@require_http_methods(["GET", "POST"])
def import_mappings(request: HttpRequest) -> HttpResponse:
    """Upload → the diff → confirm. The file travels with the confirmation, nothing is kept in between."""
    text = request.POST.get("text")
    if text is not None:
        return _import(request, text)
    form = ImportForm(request.POST or None, request.FILES or None)
    if not form.is_valid():
        return _page(request, {"form": form}, status=422 if form.is_bound else 200)
    return _show(request, form.cleaned_data["file"])


def _page(request: HttpRequest, context: dict[str, Any], status: int = 200) -> HttpResponse:
    context |= {"is_collecting": drafts.collects(request.user)}
    return render(request, "routing/import.html", context, status=status)


def _show(request: HttpRequest, text: str, note: NoteForm | None = None, *, is_stale: bool = False) -> HttpResponse:
    """What importing it would do, beside what is in force: what a draft holds besides stays there."""
    _state, mark = as_seen(request)
    try:
        plan = csv_exchange.plan_import(text)
    except CsvError as error:
        return _failed(request, error)
    shown = net.preview(one.net for one in plan.changes).numbered({one.net.name: one.lines for one in plan.changes})
    context = {"form": ImportForm(), "note": note or NoteForm(), "plan": plan, "text": text, "shown": shown}
    status = 422 if note is not None and note.errors else 200
    return _page(request, context | {"seen": mark, "is_stale": is_stale}, status)


def _import(request: HttpRequest, text: str) -> HttpResponse:
    """Do it when all is as it was when it was shown: what asks to be looked at twice was shown then, too."""
    state, mark = as_seen(request)
    note = NoteForm(request.POST)
    if request.POST.get("seen") != mark or not note.is_valid():
        return _show(request, text, note, is_stale=request.POST.get("seen") != mark)
    try:
        if drafts.collects(request.user):
            return _collect(request, text)
        with in_english():
            said = note.cleaned_data["note"] or _("CSV import")
        changes = csv_exchange.import_csv(
            text,
            user=request.user,  # type: ignore[arg-type]
            note=said,
            is_confirmed=True,
            seen=state.version,
        )
    except toggles.StaleError:
        return _show(request, text, note, is_stale=True)
    except CsvError as error:
        return _failed(request, error)
    if not changes:
        messages.success(request, _("Nothing to change."))
        return redirect("routing:matrix")
    # The toast there says what was changed, with one Undo for all of it.
    return redirect(f"{reverse('routing:matrix')}?changed={changes[0].pk}")


def _collect(request: HttpRequest, text: str) -> HttpResponse:
    """Raises CsvError."""
    wanted = csv_exchange.plan_import(text).to_collect
    if not wanted:
        messages.success(request, _("Nothing to change."))
        return redirect("routing:matrix")
    try:
        return gather(request, wanted, is_refusal_raised=True)
    except toggles.ToggleError as error:
        raise CsvError([str(error)]) from error


def _failed(request: HttpRequest, error: CsvError) -> HttpResponse:
    return _page(request, {"form": ImportForm(), "errors": error.errors}, status=422)
