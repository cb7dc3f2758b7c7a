"""History: what was changed, comparing two versions, and going back."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_http_methods

from destinations.models import Destination
from routing import history, impact, snapshot, toggles
from routing.models import Draft, RoutingChange
from routing.views import may
from trackstack_site.csv_lines import download, is_asked
from trackstack_site.guard import key_of
from trackstack_site.wording import NameSelect


class HistoryFilter(forms.Form):
    destination = forms.ModelChoiceField(
        label=_("Destination"),
        queryset=Destination.objects.defer("settings", "secrets"),
        required=False,
        empty_label=_("Every destination"),
        widget=NameSelect(),
    )
    actor = forms.CharField(label=_("Who"), required=False, max_length=150)
    event = forms.CharField(label=_("Event"), required=False, max_length=64)
    what = forms.ChoiceField(
        label=_("What"), required=False, choices=[("", _("Everything")), ("routing", _("Routing only"))]
    )


@may("routing.view_routingchange")
@require_GET
def index(request: HttpRequest) -> HttpResponseBase:
    form = HistoryFilter(request.GET or None)
    is_nonsense = form.is_bound and not form.is_valid()
    filters = form.cleaned_data if form.is_bound and form.is_valid() else {}
    if is_asked(request):
        return download("history", history.EXPORTED, () if is_nonsense else history.exported(filters))
    rows, older = ([], None) if is_nonsense else history.entries(filters, key_of(request.GET.get("before", "")))
    kept = request.GET.copy()
    kept.pop("before", None)
    older_query = kept.copy()
    older_query["before"] = str(older or "")
    context = {
        "form": form,
        "rows": history.versions(rows),
        "older": f"?{older_query.urlencode()}" if older else "",
        "newest": f"?{kept.urlencode()}" if request.GET.get("before") else "",
        "is_filtered": any(kept.values()),
        "version": snapshot.stored_version(),
    }
    return render(request, "routing/history.html", context)


@may("routing.view_routingchange")
@require_GET
def entry(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(RoutingChange, pk=pk)
    context = {
        "entry": found,
        "effect": history.effect(found),
        "is_effect_open": found.at + history.EFFECT > timezone.now(),
        "siblings": RoutingChange.objects.filter(version=found.version).exclude(pk=pk).order_by("pk"),
        "draft": Draft.objects.filter(version=found.version).first(),
        "is_routing": found.action in history.ROUTING,
        "may_roll_back": request.user.has_perms(("routing.toggle_route", "routing.change_route")),
    }
    return render(request, "routing/history_entry.html", context)


@may("routing.view_routingchange")
@require_GET
def compare(request: HttpRequest) -> HttpResponse:
    """Two versions, in either order; empty ones mean the first and the one in force."""
    current = snapshot.stored_version()
    versions = [key_of(request.GET.get(name, "")) for name in ("from", "to")]
    low, high = sorted((versions[0] or 0, versions[1] if versions[1] is not None else current))
    context: dict[str, Any] = {"low": low, "high": high, "current": current}
    try:
        context["nets"] = history.between(low, high)
    except ValueError as error:
        context["problem"] = str(error)
    return render(request, "routing/history_compare.html", context)


@may("routing.view_routingchange", "routing.toggle_route", "routing.change_route")
@require_http_methods(["GET", "POST"])
def roll_back(request: HttpRequest, version: int) -> HttpResponse:
    """GET: what going back would change. POST: go back, when the routing is still what was shown."""
    only = key_of(request.GET.get("destination", "") or request.POST.get("destination", ""))
    state = snapshot.current()
    context: dict[str, Any] = {"version": version, "seen": state.version, "only": only}
    try:
        if request.method == "POST" and request.POST.get("seen") == str(state.version):
            note = request.POST.get("note", "").strip()[:400]
            made = history.roll_back(version, user=request.user, seen=state.version, destination_pk=only, note=note)
            text = ngettext(
                "Back at version %(version)d: %(count)d destination changed.",
                "Back at version %(version)d: %(count)d destinations changed.",
                len(made),
            )
            messages.success(request, text % {"version": version, "count": len(made)})
            return redirect("routing:history")
        context["is_stale"] = request.method == "POST"
        context["nets"] = history.way_back(version, only)
        context["impact"] = _impact(context["nets"])
    except toggles.StaleError:
        context |= {"is_stale": True, "nets": history.way_back(version, only)}
    except (toggles.ToggleError, ValueError) as error:
        context["problem"] = str(error)
    return render(request, "routing/roll_back.html", context)


def _impact(nets: list[history.Net]) -> str:
    changed = [(net.destination_pk, event, is_on) for net in nets for event, (_was, is_on) in net.switched.items()]
    return impact.sentence(
        [(pk, event) for pk, event, is_on in changed if is_on],
        [(pk, event) for pk, event, is_on in changed if not is_on],
    )
