"""Configure → Events keeps its look for each person."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.views.decorators.http import require_POST

from routing import looks
from routing.views import may


@may("routing.view_route")
@require_POST
def keep(request: HttpRequest) -> HttpResponse:
    """The whole look, each time; the page sends it a moment after something was folded or chosen."""
    try:
        looks.keep(request.user, request.POST.getlist("folded"), request.POST.get("show", ""))
    except ValueError as error:
        return HttpResponseBadRequest(str(error))
    return HttpResponse(status=204)
