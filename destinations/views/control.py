"""Switching a destination on and off, pausing and deleting it. It asks first where waiting rows would be lost."""

from __future__ import annotations

from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from destinations import changes, queries
from destinations.models import Destination, Hold
from destinations.views import listing
from destinations.views.setup import own
from routing import drafts, toggles
from trackstack_site.guard import needs
from trackstack_site.toasts import Way, tell

CHANGE = "destinations.change_destination"
DELETE = "destinations.delete_destination"
TOGGLE = "routing.toggle_route"
"""Who may switch events may also stop a destination: it takes no credentials to stop sending."""
WAYS_OFF = ("send", "skip", "pause")
"""What may become of the rows that wait when it is switched off."""


@require_POST
@needs(CHANGE, TOGGLE)
def switch(request: HttpRequest, pk: int) -> HttpResponse:
    destination = own(pk)
    if request.POST.get("on") == "1":
        if changes.switch(destination, True, user=request.user):
            _tell_on(request, destination)
        return _back(request, pk)
    way = request.POST.get("waiting")
    if way not in WAYS_OFF and destination.is_enabled and queries.is_awaited(destination):
        if request.htmx:  # type: ignore[attr-defined]
            return _ask(request, destination, request.POST.get("next", ""))
        query = urlencode({"next": request.POST.get("next", "")})
        return redirect(f"{reverse('destinations:switch_off', args=[pk])}?{query}")
    if way == "pause":
        _pause(request, destination)
    elif changes.switch(destination, False, user=request.user, is_finished_first=way == "send"):
        _tell_off(request, destination, has_skipped=way == "skip")
    return _back(request, pk)


@require_GET
@needs(CHANGE, TOGGLE)
def switch_off(request: HttpRequest, pk: int) -> HttpResponse:
    """Asked before waiting rows are thrown away: what becomes of them?"""
    destination = own(pk)
    return _ask(request, destination, request.GET.get("next", ""))


@require_POST
@needs(CHANGE, TOGGLE)
def pause(request: HttpRequest, pk: int) -> HttpResponse:
    _pause(request, own(pk))
    return _back(request, pk)


@require_POST
@needs(CHANGE, TOGGLE)
def resume(request: HttpRequest, pk: int) -> HttpResponse:
    destination = own(pk)
    changes.resume(destination, user=request.user)
    messages.success(request, _("%(name)s is resumed. What waited is being sent.") % {"name": destination.name})
    return _back(request, pk)


@require_http_methods(["GET", "POST"])
@needs(DELETE)
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    destination = own(pk)
    if request.method == "POST":
        is_finished_first = request.POST.get("waiting") == "send"
        changes.delete(destination, user=request.user, is_finished_first=is_finished_first)
        is_closing = Destination.objects.present().filter(pk=pk).exists()
        if is_closing:
            said = _("%(name)s gets nothing new, and goes when what waits for it is sent.")
        else:
            said = _("%(name)s is deleted.")
        messages.success(request, said % {"name": destination.name})
        return redirect("destinations:list")
    context = _waiting(destination) | {
        "has_history": queries.has_history(destination),
        "is_collecting": drafts.collects(request.user),
    }
    return render(request, "destinations/delete.html", context)


@require_POST
@needs(DELETE)
def keep(request: HttpRequest, pk: int) -> HttpResponse:
    """Take back a deletion that waits for the last deliveries."""
    destination = own(pk)
    if changes.stay(destination, user=request.user):
        messages.success(request, _("%(name)s is kept, and gets events again.") % {"name": destination.name})
    return redirect("destinations:edit", pk)


def _waiting(destination: Destination) -> dict[str, object]:
    waiting = queries.waiting_count(destination)
    return {"destination": destination, "waiting": waiting, "is_capped": waiting >= queries.COUNT_CAP}


def _ask(request: HttpRequest, destination: Destination, address: str) -> HttpResponse:
    """What becomes of what waits: as a page, or in the dialog of the page whose switch it was."""
    is_here = bool(request.htmx)  # type: ignore[attr-defined]
    context = _waiting(destination) | {
        "next": _target(address, request),
        "is_collecting": drafts.collects(request.user),
        "is_asked_here": is_here,
    }
    response = render(request, f"destinations/switch_off.html{'#question' if is_here else ''}", context)
    if is_here:  # a switch that sees another swap than its own goes back
        response["HX-Retarget"], response["HX-Reswap"] = "#dialog-body", "innerHTML"
    return response


def _pause(request: HttpRequest, destination: Destination) -> None:
    if toggles.set_hold(destination, Hold.PAUSED, user=request.user):
        said = _("%(name)s is paused. Its events wait and nothing is lost.") % {"name": destination.name}
        tell(request, said, Way.RESUME, reverse("destinations:resume", args=[destination.pk]))


def _tell_on(request: HttpRequest, destination: Destination) -> None:
    destination.refresh_from_db()
    words = {"name": destination.name, "state": Hold(destination.hold).label}
    if destination.hold == Hold.PAUSED:
        said = _("%(name)s is switched on, and still paused: events wait until you resume it.") % words
    elif destination.hold:
        said = _("%(name)s is switched on, and still held (%(state)s): events wait until you resume it.") % words
    else:
        messages.success(request, _("%(name)s is switched on. Events are sent to it from now on.") % words)
        return
    tell(request, said, Way.RESUME, reverse("destinations:resume", args=[destination.pk]))


def _tell_off(request: HttpRequest, destination: Destination, *, has_skipped: bool) -> None:
    destination.refresh_from_db()
    if destination.is_enabled:
        said = _("%(name)s gets nothing new, and is switched off when what waits for it is sent.")
    elif has_skipped:
        said = _("%(name)s is switched off. What waited for it is skipped.")
    else:
        said = _("%(name)s is switched off. Events for it are skipped.")
    tell(
        request,
        said % {"name": destination.name},
        Way.UNDO,
        reverse("destinations:switch", args=[destination.pk]),
        "on",
    )


def _target(address: str, request: HttpRequest) -> str:
    # A path only: Django would look for a page of any other name.
    is_ours = url_has_allowed_host_and_scheme(address, {request.get_host()}, require_https=request.is_secure())
    return address if is_ours and address.startswith("/") else reverse("destinations:list")


def _back(request: HttpRequest, pk: int) -> HttpResponse:
    """To the page the button was on. For htmx what is different there: the row of the list, else a word to ask anew."""
    page = _target(request.POST.get("next", ""), request)
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect(page)
    is_listed = page == reverse("destinations:list")
    rows = listing.rows_of(Destination.objects.present().filter(pk=pk)) if is_listed else []
    context = {"rows": rows, "may_switch": listing.may_switch(request), "asked_from": page, "oob": True}
    response = render(request, "destinations/_switched.html", context)
    response["HX-Trigger"] = "trackstack:switched"
    return response
