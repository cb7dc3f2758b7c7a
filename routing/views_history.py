"""History: what was changed, comparing two versions, and going back."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_GET, require_http_methods

from destinations.forms import OneDestination
from routing import history, net, snapshot, toasts, toggles
from routing.models import Draft, RoutingChange
from routing.views import may
from trackstack_site.csv_lines import download, is_asked
from trackstack_site.guard import key_of


class HistoryFilter(forms.Form):
    destination = OneDestination()
    actor = forms.CharField(label=gettext_lazy("Who"), required=False, max_length=150)
    event = forms.CharField(label=gettext_lazy("Event"), required=False, max_length=64)
    what = forms.ChoiceField(
        label=gettext_lazy("What"),
        required=False,
        choices=[
            ("", gettext_lazy("Every change")),
            ("routing", gettext_lazy("Routing only")),
            (history.TESTS, gettext_lazy("Test events")),
        ],
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
    made = list(history.siblings(found))
    context = {
        "entry": found,
        "lines": history.toned(found),
        "before": max(found.version - 1, 0),
        "effect": history.effect(found) if found.action != toggles.TEST else None,
        "is_effect_open": found.at + history.EFFECT > timezone.now(),
        "siblings": [one for one in made if one.pk != pk],
        "is_test": found.action == toggles.TEST,
        "backfills": toasts.backfills_of(made) if request.user.has_perm("destinations.add_replay") else [],
        "draft": Draft.objects.filter(version=found.version).first() if found.action in history.ROUTING else None,
        "is_routing": found.action in history.ROUTING,
        "may_roll_back": request.user.has_perms(("routing.toggle_route", "routing.change_route")),
    }
    return render(request, "routing/history_entry.html", context)


@may("routing.view_routingchange")
@require_GET
def compare(request: HttpRequest) -> HttpResponse:
    """Two versions, in either order: `from` and `to`, or two `version`s that were ticked. Empty ones mean the first and
    the one in force."""
    current = snapshot.stored_version()
    context: dict[str, Any] = {"current": current}
    try:
        low, high = context["low"], context["high"] = _two_versions(request.GET, current)
        context["nets"] = history.between(low, high)
    except ValueError as error:
        context["problem"] = str(error)
    return render(request, "routing/history_compare.html", context)


def _two_versions(query: QueryDict, current: int) -> tuple[int, int]:
    """Raises ValueError with a sentence for what names no two versions."""
    if unknown := sorted(set(query) - {"from", "to", "version"}):
        raise ValueError(
            _("“%(name)s” is not known here: two versions are named by from and to.") % {"name": unknown[0]}
        )
    ticked = query.getlist("version")
    if len(ticked) > 2:
        raise ValueError(_("Tick one version, to compare it with the one in force, or two."))
    texts = [*ticked, "", ""][:2] if ticked else [query.get("from", "") or "0", query.get("to", "")]
    found = []
    for text in texts:
        version = key_of(text) if text else current
        if version is None or version > current:
            values = {"text": text[:20], "current": current}
            raise ValueError(_("There is no version %(text)s: they go from 0 to %(current)d.") % values)
        found.append(version)
    return min(found), max(found)


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
        context["shown"] = net.preview(history.way_back(version, only))
    except toggles.StaleError:
        context |= {"is_stale": True, "shown": net.preview(history.way_back(version, only))}
    except (toggles.ToggleError, ValueError) as error:
        context["problem"] = str(error)
    return render(request, "routing/roll_back.html", context)
