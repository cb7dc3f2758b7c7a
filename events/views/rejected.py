"""Observe → Rejected: what failed the contract, why, and a way to mend it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from events import exports, rejections
from events.contract import ContractError
from events.forms import RejectedFilter, ResubmitForm
from events.ingest import NotStored
from events.masked_json import pretty
from events.models import RejectedEvent
from trackstack_site.csv_lines import download, is_asked
from trackstack_site.guard import key_of, needs

VIEW = "events.view_rejectedevent"
CHANGE = "events.change_rejectedevent"


@require_GET
@needs(VIEW)
def index(request: HttpRequest) -> HttpResponseBase:
    form = RejectedFilter(request.GET or None)
    filters = form.values() if form.is_bound else {}
    if is_asked(request):
        return download("rejected", exports.REJECTED, exports.rejected(filters))
    before = request.GET.get("before", "")
    rows, older = rejections.page(filters, key_of(before))
    kept = {name: value for name, value in request.GET.items() if value and name != "before"}
    context = {
        "form": form,
        "rows": rows,
        "codes": rejections.codes(),
        "code": filters.get("code", ""),
        "older": f"?{urlencode({**kept, 'before': older})}" if older else "",
        "newest": f"?{urlencode(kept)}" if before else "",
        "is_filtered": bool(kept),
        "is_lost": bool(before) and key_of(before) is None,
    }
    return render(request, "events/rejected.html", context)


@require_http_methods(["GET", "POST"])
@needs(VIEW)
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    rejected = get_object_or_404(RejectedEvent.objects.select_related("source"), pk=pk)
    if request.method == "POST":
        return _resubmit(request, rejected)
    return _page(request, rejected, ResubmitForm(rejected, initial={"payload": pretty(rejected.payload)}))


def _page(request: HttpRequest, rejected: RejectedEvent, form: ResubmitForm) -> HttpResponse:
    context: dict[str, Any] = {
        "rejected": rejected,
        "payload": pretty(rejected.payload),
        "form": form if request.user.has_perm(CHANGE) else None,
    }
    return render(request, "events/rejected_detail.html", context)


@needs(CHANGE)
def _resubmit(request: HttpRequest, rejected: RejectedEvent) -> HttpResponse:
    form = ResubmitForm(rejected, data=request.POST)
    if form.is_valid():
        try:
            receipt, event_id = rejections.resubmit(rejected, form.cleaned_data["payload"], request.trace_id)
        except rejections.Unmended as error:
            form.add_error("payload", str(error))
        except ContractError as error:
            form.add_error("payload", error.detail)
        except NotStored:
            form.add_error(None, _("The event could not be stored just now; try again."))
        else:
            sentence = (
                _("%(id)s is accepted.")
                if receipt.accepted
                else _("%(id)s had been accepted before: a duplicate, nothing was stored.")
            )
            messages.success(request, sentence % {"id": event_id})
            return redirect(f"{reverse('destinations:trace')}?{urlencode({'id': event_id})}")
    return _page(request, rejected, form)
