"""The mappings as a CSV file, out and back in."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from routing import csv_exchange, impact
from routing.forms import ImportForm
from routing.views import may


@may("routing.export_route")
@require_GET
def export(request: HttpRequest) -> StreamingHttpResponse:
    name = f"trackstack-mappings-{timezone.now():%Y-%m-%d}.csv"
    return StreamingHttpResponse(
        csv_exchange.export_lines(with_bom=True),
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
        return render(request, "routing/import.html", {"form": form}, status=422 if form.is_bound else 200)
    return _show(request, form.cleaned_data["file"])


def _show(request: HttpRequest, text: str) -> HttpResponse:
    try:
        plan = csv_exchange.plan_import(text)
    except csv_exchange.CsvError as error:
        return _failed(request, error)
    context = {"form": ImportForm(), "plan": plan, "text": text, "impact": impact.of_changes(plan.changes)}
    return render(request, "routing/import.html", context)


def _import(request: HttpRequest, text: str) -> HttpResponse:
    try:
        changes = csv_exchange.import_csv(
            text,
            user=request.user,  # type: ignore[arg-type]
            note="CSV import",
            is_confirmed=request.POST.get("confirmed") == "1",
        )
    except csv_exchange.CsvError as error:
        return _failed(request, error)
    count = sum(len(entry.sentences) for entry in changes)
    messages.success(request, f"Imported: {count} changes at {len(changes)} destinations." if count else "No change.")
    return redirect("routing:matrix")


def _failed(request: HttpRequest, error: csv_exchange.CsvError) -> HttpResponse:
    return render(request, "routing/import.html", {"form": ImportForm(), "errors": error.errors}, status=422)
