"""Settings → Taxonomy: the names product code may send, and what the team made of them."""

from __future__ import annotations

from django.contrib import messages
from django.db import transaction
from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from events import exports, taxonomy
from events.forms import EventForm, RegisterForm
from events.models import CanonicalEvent, SeenName, Stage
from routing import retiring, snapshot
from trackstack_site.csv_lines import download, is_asked
from trackstack_site.guard import needs

VIEW = "events.view_canonicalevent"
ADD = "events.add_canonicalevent"
CHANGE = "events.change_canonicalevent"
SEEN_SHOWN = 50
LIKELY_STAGE = "product"
"""Where a name nobody registered most probably belongs; the person registering may choose another."""


@require_GET
@needs(VIEW)
def index(request: HttpRequest) -> HttpResponseBase:
    if is_asked(request):
        return download("taxonomy", exports.TAXONOMY, exports.taxonomy())
    events = CanonicalEvent.objects.order_by("position", "name")
    stages = Stage.objects.prefetch_related(Prefetch("events", events))
    context = {"stages": stages, "seen": SeenName.objects.all()[:SEEN_SHOWN], "likely_stage": LIKELY_STAGE}
    return render(request, "events/taxonomy.html", context)


@require_http_methods(["GET", "POST"])
@needs(ADD)
def register(request: HttpRequest) -> HttpResponse:
    """The form, and the one click beside a seen name: that posts name and stage only."""
    data = request.POST.copy() if request.method == "POST" else None
    if data is not None:
        data.setdefault("routing_class", "standard")
    initial = {"name": request.GET.get("name", "")[:80], "stage": LIKELY_STAGE}
    form = RegisterForm(data, initial=initial)
    if form.is_valid():
        values = form.cleaned_data
        try:
            event = taxonomy.register(
                values["name"],
                values["stage"],
                values["description"],
                when_to_fire=values["when_to_fire"],
                avoid=values["avoid"],
                routing_class=values["routing_class"],
            )
        except taxonomy.TaxonomyError as error:
            form.add_error("name", str(error))
        else:
            sentence = _("%(name)s is registered and routed like any other from now on.")
            messages.success(request, sentence % {"name": event.name})
            return redirect("events:taxonomy")
    return render(request, "events/event_form.html", {"form": form})


@require_http_methods(["GET", "POST"])
@needs(CHANGE)
def edit(request: HttpRequest, name: str) -> HttpResponse:
    event = get_object_or_404(CanonicalEvent, name=name)
    form = EventForm(request.POST or None, instance=event)
    if form.is_valid():
        if form.touched:
            save_edited(form)
            messages.success(request, _("%(name)s is saved.") % {"name": event.name})
        return redirect("events:taxonomy")
    return render(request, "events/event_form.html", {"form": form, "event": event, "shipped": _shipped(name)})


def save_edited(form: EventForm) -> None:
    """Save with the list of what now differs from what is shipped: a sync leaves exactly that alone."""
    event: CanonicalEvent = form.instance
    row = _shipped(event.name)
    with transaction.atomic():
        if row is not None and not event.is_extension:
            differs = {
                field
                for field in EventForm.Meta.fields
                if getattr(event, "stage_id" if field == "stage" else field) != getattr(row, field)
            }
            kept = set(event.edited_fields) - set(EventForm.Meta.fields)
            event.edited_fields = sorted(differs | kept)
        form.save()
        snapshot.bump()


def _shipped(name: str) -> taxonomy.EventRow | None:
    return next((row for row in taxonomy.shipped() if row.name == name), None)


@require_http_methods(["GET", "POST"])
@needs(CHANGE)
def retire(request: HttpRequest, name: str) -> HttpResponse:
    """GET: what it would stop. POST: does it."""
    event = get_object_or_404(CanonicalEvent, name=name)
    if request.method == "GET" and event.retired_at is None:
        effect = retiring.effect(name, snapshot.current(), timezone.now().date())
        return render(request, "events/event_retire.html", {"event": event, "effect": effect})
    if request.method == "POST" and taxonomy.retire(event):
        messages.success(
            request, _("%(name)s is retired: still accepted, sent only where it is ticked.") % {"name": name}
        )
    return redirect("events:taxonomy")


@require_POST
@needs(CHANGE)
def restore(request: HttpRequest, name: str) -> HttpResponse:
    event = get_object_or_404(CanonicalEvent, name=name)
    if taxonomy.restore(event):
        messages.success(request, _("%(name)s is in use again.") % {"name": name})
    return redirect("events:taxonomy")
