"""History: what was changed, comparing two versions, and going back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods

from destinations.forms import OneDestination
from routing import effect, history, net, snapshot, toasts, toggles
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
    is_routing, is_test = found.action in history.ROUTING, found.action == toggles.TEST
    may_take_back = is_routing and _may_take_back(request.user, made)
    context = {
        "entry": found,
        "parts": _parts(made),
        "before": max(found.version - 1, 0),
        "is_effect_kept": effect.is_kept(found.at),
        "is_test": is_test,
        "backfills": toasts.backfills_of(made) if request.user.has_perm("destinations.add_replay") else [],
        "draft": Draft.objects.filter(version=found.version).first() if is_routing else None,
        "is_routing": is_routing,
        "may_roll_back": is_routing and request.user.has_perms(("routing.toggle_route", "routing.change_route")),
        "may_take_back": may_take_back,
        "why_kept": history.why_kept(made) if may_take_back else "",
        "toast": toasts.last_change(request, is_matrix=False),
    }
    return render(request, "routing/history_entry.html", context)


class Part(NamedTuple):
    """What a version did to one destination."""

    destination_pk: int | None
    name: str
    lines: list[tuple[str, str]]
    effect: effect.Effect | None


def _parts(made: Sequence[RoutingChange]) -> list[Part]:
    effects = effect.of(made) if made[0].action != toggles.TEST else {}
    of_destination: dict[tuple[int | None, str], list[tuple[str, str]]] = {}
    for one in made:
        of_destination.setdefault((one.destination_pk, one.destination_name), []).extend(history.toned(one))
    return [Part(pk, name, lines, effects.get(pk or 0)) for (pk, name), lines in of_destination.items()]


def _may_take_back(user: Any, made: Sequence[RoutingChange]) -> bool:
    has_natives = any("native_name" in one.before or "native_id" in one.before for one in made)
    wanted = ("routing.view_route", "routing.toggle_route", *(("routing.change_route",) if has_natives else ()))
    return bool(user.has_perms(wanted))


@may("routing.view_routingchange")
@require_http_methods(["GET", "POST"])
def take_back(request: HttpRequest, pk: int) -> HttpResponse:
    """GET: what taking a version back by itself would change. POST: take it back, as Undo does."""
    found = get_object_or_404(RoutingChange, pk=pk, action__in=history.ROUTING)
    made = list(history.siblings(found))
    if not _may_take_back(request.user, made):
        raise PermissionDenied
    context: dict[str, Any] = {"taken": found}
    try:
        if request.method == "POST" and (undone := history.take_back(made, user=request.user)):
            return redirect(_page_of(undone))
        context["problem"] = history.why_kept(made)
    except toggles.ToggleError as error:
        context["problem"] = str(error)
    context["shown"] = net.preview(history.reverse_of(made))
    return render(request, "routing/take_back.html", context)


def _page_of(made: Sequence[RoutingChange]) -> str:
    """The page of a version that was just made: its toast has the way back, and offers the last days."""
    return f"{reverse('routing:history_entry', args=[made[0].pk])}?changed={made[0].pk}"


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
    chosen = request.GET.get("destination", "") or request.POST.get("destination", "")
    only, state = key_of(chosen), snapshot.current()
    if version > state.version or (chosen and only is None):
        raise Http404
    context: dict[str, Any] = {"version": version, "seen": state.version, "only": only}
    try:
        if request.method == "POST" and request.POST.get("seen") == str(state.version):
            note = request.POST.get("note", "").replace("\0", "").strip()[:400]
            made = history.roll_back(version, user=request.user, seen=state.version, destination_pk=only, note=note)
            return redirect(_page_of(made) if made else "routing:history")
        context["is_stale"] = request.method == "POST"
        context["shown"] = net.preview(history.way_back(version, only))
    except toggles.StaleError:
        context |= {"is_stale": True, "shown": net.preview(history.way_back(version, only))}
    except (toggles.ToggleError, ValueError) as error:
        context["problem"] = str(error)
    return render(request, "routing/roll_back.html", context)
