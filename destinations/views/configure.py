"""Configure → Destinations: create, edit."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.contrib import messages
from django.db import IntegrityError, transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods

from destinations import changes, health, platforms, queries, replay_plan
from destinations.forms import DestinationForm
from destinations.models import Destination
from destinations.platforms.base import Kind
from destinations.views import bench, setup
from routing import drafts
from trackstack_site.guard import needs

VIEW = "destinations.view_destination"
ADD = "destinations.add_destination"
CHANGE = "destinations.change_destination"
DELETE = "destinations.delete_destination"
TOGGLE = "routing.toggle_route"
"""Who may switch events may also stop a destination: it takes no credentials to stop sending."""


@require_GET
@needs(ADD)
def choose(request: HttpRequest) -> HttpResponse:
    """First step of creating: the platform."""
    return render(request, "destinations/choose.html", {"kinds": gallery()})


@require_http_methods(["GET", "POST"])
@needs(ADD)
def create(request: HttpRequest, platform_key: str) -> HttpResponse:
    if platform_key not in platforms.known_keys() or platforms.get(platform_key).is_builtin:
        raise Http404
    platform = platforms.get(platform_key)
    form = DestinationForm(platform, data=request.POST or None, initial={"name": _free_name(platform.label)})
    if form.is_valid():
        try:
            destination = changes.create(
                platform, config=form.config(), user=request.user, is_enabled=form.is_started(), **_common(form)
            )
        except IntegrityError:  # two people, one name, the same second
            form.add_error("name", _("There is a destination of that name already."))
        else:
            if destination.is_enabled:
                said = _("%(name)s is created and on. These steps lead to its first live event.")
            else:
                said = _("%(name)s is created, and off until you switch it on. These steps lead there.")
            messages.success(request, said % {"name": destination.name})
            return redirect("destinations:edit", destination.pk)
    mode = changes.starting_mode(platform).label
    return render(request, "destinations/form.html", {"form": form, "platform": platform, "starting_mode": mode})


@require_http_methods(["GET", "POST"])
@needs(VIEW)
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    """The destination's page: its state for all who may look, its form for those who may change it."""
    destination = get_object_or_404(Destination, pk=pk)
    if destination.removed_at is not None:
        return render(request, "destinations/deleted.html", {"destination": destination})
    platform = destination.platform
    may_change = request.user.has_perm(CHANGE) and not platform.is_builtin
    if request.method == "POST" and not may_change:
        return HttpResponse(status=405) if platform.is_builtin else _forbidden()
    form = None
    if may_change:
        form, sentences = (
            _edited(request, destination) if request.POST else (DestinationForm(platform, destination), None)
        )
        if sentences is not None:
            messages.success(request, f"{'. '.join(sentences)}." if sentences else _("Nothing was changed."))
            return redirect("destinations:edit", pk)
    return render(
        request,
        "destinations/form.html",
        {
            "form": form,
            "destination": destination,
            "platform": platform,
            "status": queries.status_of(destination),
            "counts": queries.counts_of(timezone.now().date()).get(pk, queries.Counts()),
            "readable": _readable(destination),
            "ends": health.ends_of(destination, health.ending_tokens(pk).get(pk), timezone.now()),
            "too_old_at": queries.first_too_old(destination) if destination.hold or destination.breaker_since else None,
            "backfill_url": f"{reverse('destinations:replay_new')}?{replay_plan.backfill_query(pk, platform)}",
            "may_switch": not platform.is_builtin and (may_change or request.user.has_perm(TOGGLE)),
            "is_collecting": drafts.collects(request.user),
            "has_ids": platform.native_id is not None or platform.lists_names,
            **setup.context_of(destination),
            "try": {"form": bench.try_form(request)} | bench.try_context(request, destination),
        },
    )


def _edited(request: HttpRequest, destination: Destination) -> tuple[DestinationForm, list[str] | None]:
    """The form that was posted, and what it changed; None when it has errors."""
    with transaction.atomic():
        # What it is compared with stays so until it is written.
        row = get_object_or_404(Destination.objects.select_for_update(), pk=destination.pk)
        form = DestinationForm(destination.platform, row, data=request.POST)
        if form.is_valid():
            try:
                return form, changes.update(row, config=form.config(), user=request.user, **_common(form))
            except IntegrityError:
                form.add_error("name", _("There is a destination of that name already."))
    return form, None


KINDS = {
    Kind.ADS: (gettext_lazy("Ads"), gettext_lazy("Conversions that teach a campaign whom to look for.")),
    Kind.ANALYTICS: (gettext_lazy("Analytics"), gettext_lazy("What people did, for those who count it.")),
    Kind.CRM: (gettext_lazy("CRM"), gettext_lazy("Who did it, on the record that sales and success look at.")),
    Kind.WAREHOUSE: (gettext_lazy("Warehouse"), gettext_lazy("Every event as a row, for your own questions.")),
    Kind.WEBHOOK: (gettext_lazy("Webhook"), gettext_lazy("Every event to an address of your own, signed.")),
}


def gallery() -> list[dict[str, Any]]:
    """The platforms to choose from by kind, each with the accounts it has already."""
    held = Counter(Destination.objects.present().values_list("platform_key", flat=True))
    found = []
    for kind, (label, purpose) in KINDS.items():
        of = [(platform, held[platform.key]) for platform in changes.choices() if platform.kind == kind]
        if of:
            found.append({"key": kind.value, "label": label, "purpose": purpose, "platforms": of})
    return found


def _common(form: DestinationForm) -> dict[str, Any]:
    return {
        "name": form.cleaned_data["name"],
        "is_sandbox": form.cleaned_data["is_sandbox"],
        "sources": form.chosen_sources(),
        "credentials_end": form.cleaned_data.get("credentials_end"),
    }


def _readable(destination: Destination) -> list[tuple[str | Promise, str | bool]]:
    """The stored fields for those who may look only. Of secrets no more than that they are set."""
    config = destination.config
    return [
        (field.label, bool(config.get(field.name)) if field.secret else config.get(field.name) or field.default)
        for field in destination.platform.fields
    ]


def _free_name(label: str) -> str:
    """The platform's label, with a number when it is taken."""
    taken = {name.lower() for name in Destination.objects.values_list("name", flat=True)}
    names = [label, *(f"{label} {number}" for number in range(2, len(taken) + 3))]
    return next(name for name in names if name.lower() not in taken)


def _forbidden() -> HttpResponse:
    from django.core.exceptions import PermissionDenied

    raise PermissionDenied
