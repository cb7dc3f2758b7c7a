"""Setting a destination up: fields checked as they are typed, the connection, the ids of events, the way to go live."""

from __future__ import annotations

import hashlib
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from destinations import changes, checking, golive, native_ids, platforms
from destinations.forms import PREFIX
from destinations.forms_ids import PREFIX as ID_PREFIX
from destinations.forms_ids import IdsForm
from destinations.models import Destination
from routing import drafts, history, snapshot, toggles
from routing.models import RoutingChange
from routing.policy import selects
from trackstack_site.guard import key_of, needs
from trackstack_site.wording import in_english

VIEW = "destinations.view_destination"
ADD = "destinations.add_destination"
CHANGE = "destinations.change_destination"
MAP = "routing.change_route"
MOST_TOLD = 5
"""Changes by others that an open page tells of, the last ones."""


@require_POST
@needs(ADD, CHANGE)
def look_at_field(request: HttpRequest, platform_key: str, name: str) -> HttpResponse:
    """What is wrong with the value of one field, as it is typed; nothing is kept of it."""
    if platform_key not in platforms.known_keys():
        raise Http404
    field = next((one for one in platforms.get(platform_key).fields if one.name == name), None)
    if field is None:
        raise Http404
    value = request.POST.get(PREFIX + name, "").replace("\r\n", "\n").strip()
    # Empty is said on saving: another credential may stand in for it, or it is stored and write-only.
    context = {"problem": field.problem(value) if value else "", "is_good": bool(value and field.pattern)}
    return render(request, "destinations/_field_said.html", context)


@require_POST
@needs(MAP, CHANGE)
def look_at_id(request: HttpRequest, platform_key: str) -> HttpResponse:
    """What is wrong with the native id of an event, as it is typed; nothing is kept of it."""
    shape = platforms.get(platform_key).native_id if platform_key in platforms.known_keys() else None
    if shape is None:
        raise Http404
    fields = (name for name in request.POST if name == "native_id" or name.startswith(ID_PREFIX))
    value = request.POST.get(next(fields, ""), "").strip()
    context = {"problem": native_ids.problem_of(shape, value), "is_good": bool(value)}
    return render(request, "destinations/_field_said.html", context)


@require_POST
@needs(CHANGE)
def check(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask the platform whether it takes credentials and settings, and keep what it said."""
    destination = own(pk)
    with in_english():  # it is kept, for whoever looks later
        verdict = checking.check(destination)
        said, is_good = _("%(platform)s has no way to ask: a test event will tell."), True
        said %= {"platform": destination.platform.label}
    if verdict is not None:
        said, is_good = verdict.sentence, verdict.is_good
    destination = changes.note_check(destination, is_good, said)
    if request.headers.get("HX-Request"):
        return render(request, "destinations/_golive.html", context_of(destination) | {"is_fresh": True})
    (messages.success if is_good else messages.error)(request, said)
    return redirect("destinations:edit", pk)


@require_GET
@needs(VIEW)
def progress(request: HttpRequest, pk: int) -> HttpResponse:
    """The steps as they stand now; the page asks while the first live event is awaited. Empty while nothing moved."""
    context = context_of(own(pk))
    if request.GET.get("seen") == context["steps_token"]:
        return HttpResponse(status=204)
    return render(request, "destinations/_golive.html", context)


@require_GET
@needs(VIEW)
def meanwhile(request: HttpRequest, pk: int) -> HttpResponse:
    """What others changed in a destination since its page was opened; empty while that is nothing. One small query."""
    newer = RoutingChange.objects.filter(destination_pk=pk, pk__gt=key_of(request.GET.get("seen", "")) or 0)
    newer = newer.exclude(action__in=(*history.ROUTING, toggles.TEST)).exclude(user=request.user)
    found = list(newer.order_by("-pk")[:MOST_TOLD])[::-1]
    if not found:
        return HttpResponse(status=204)
    context = {
        "destination": get_object_or_404(Destination, pk=pk),
        "seen": found[-1].pk,
        "told": [sentence for change in found for sentence in change.sentences],
        "who": ", ".join(dict.fromkeys(change.actor for change in found)),
    }
    response = render(request, "destinations/_meanwhile.html", context)
    response["HX-Trigger"] = "trackstack:switched"
    return response


@require_http_methods(["GET", "POST"])
@needs(VIEW)
def ids(request: HttpRequest, pk: int) -> HttpResponse:
    """The native ids of all events of a destination on one page, to type or to pick from the account's list.

    As its reader sees them: who collects switches in a draft collects ids there as well.
    """
    destination = own(pk)
    if destination.platform.native_id is None and not destination.platform.lists_names:
        raise Http404
    mine = drafts.view_of(request.user)
    state = mine.state(snapshot.current())
    rule = state.rules[pk]
    on = {name for name, event_rule in state.events.items() if selects(rule, name, event_rule).send}
    shown = [name for name in state.events if name in on or rule.native_ids.get(name)]
    form = IdsForm(request.POST or None, destination=destination, events=shown, wanted=mine.wanted.get(pk))
    if request.method == "POST":
        if not request.user.has_perm(MAP):
            return HttpResponse(status=403)
        if form.is_valid() and _save(request, destination, form):
            return redirect("destinations:edit", pk)
    return render(
        request,
        "destinations/ids.html",
        {
            "destination": destination,
            "platform": destination.platform,
            "form": form,
            "on": on,
            "may_change": request.user.has_perm(MAP),
            "is_collecting": mine.is_collecting,
            "may_ask": request.user.has_perm(CHANGE),
        },
    )


@require_POST
@needs(CHANGE)
def id_choices(request: HttpRequest, pk: int) -> HttpResponse:
    """What the account has to pick from, asked of the platform now."""
    destination = own(pk)
    listing = checking.native_ids(destination)
    context = {"destination": destination, "platform": destination.platform, "listing": listing}
    return render(request, "destinations/_id_choices.html", context)


def _save(request: HttpRequest, destination: Destination, form: IdsForm) -> bool:
    changed = form.changed()
    wanted: dict[str, Any] = {"native_names" if form.is_name else "native_ids": changed}
    said = _("Nothing was changed.")
    try:
        if changed and drafts.collects(request.user):
            live = snapshot.current()
            drafts.collect(request.user, live.rules[destination.pk], live, **wanted)
            said = _("In your draft, not in force yet.")
        elif changed and toggles.apply(destination, user=request.user, **wanted):  # type: ignore[arg-type]
            said = ngettext("%(count)d entry is saved.", "%(count)d entries are saved.", len(changed))
            said %= {"count": len(changed)}
    except toggles.ToggleError as error:
        form.add_error(None, str(error))
        return False
    messages.success(request, said)
    return True


def context_of(destination: Destination) -> dict[str, Any]:
    found = golive.steps(destination)
    return {
        "destination": destination,
        "steps": found,
        "is_live": golive.is_live(found),
        "left_out": sum(not step.is_done for step in found),
        "done": sum(step.is_done for step in found),
        "steps_token": _token(found, destination),
        "seen": RoutingChange.objects.order_by("-pk").values_list("pk", flat=True).first() or 0,
        "is_way_shown": bool(found)
        and (not golive.is_live(found) or golive.is_recent(destination, timezone.now().date())),
    }


def _token(found: list[golive.Step], destination: Destination) -> str:
    """Differs when anything that the steps show does."""
    shown = (found, destination.is_enabled, destination.hold, destination.is_check_good, destination.checked_at)
    return hashlib.blake2b(repr(shown).encode(), digest_size=8).hexdigest()


def own(pk: int) -> Destination:
    """A destination that people set up: not the built-in one, and not a deleted one."""
    destination = get_object_or_404(Destination.objects.present(), pk=pk)
    if destination.platform.is_builtin:
        raise Http404
    return destination
