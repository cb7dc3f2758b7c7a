"""Configure → Sources: who may send, with which keys."""

from __future__ import annotations

from django.contrib import messages
from django.db import transaction
from django.db.models import Count, Max, Q
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from events import exports
from events.forms import KeyForm, SourceForm
from events.issuing import issue_key, revoke_key
from events.models import ApiKey, Source
from routing import snapshot
from trackstack_site.csv_lines import download, is_asked
from trackstack_site.guard import needs

SAMPLE = '{"event": "SignUp", "eventId": "signup-1", "email": "ada@example.com"}'


@require_GET
@needs("events.view_source")
def index(request: HttpRequest) -> HttpResponseBase:
    now = timezone.now()
    usable = Q(api_keys__revoked_at=None) & (Q(api_keys__expires_at=None) | Q(api_keys__expires_at__gt=now))
    rows = Source.objects.annotate(
        keys=Count("api_keys", filter=usable), last_used_at=Max("api_keys__last_used_at")
    ).order_by("name")
    if is_asked(request):
        return download("sources", exports.SOURCES, exports.sources(rows))
    return render(request, "events/sources.html", {"rows": rows})


@require_http_methods(["GET", "POST"])
@needs("events.add_source")
def add(request: HttpRequest) -> HttpResponse:
    form = SourceForm(request.POST or None)
    if form.is_valid():
        source = _save(form)
        messages.success(request, _("%(name)s is created. It needs a key to send with.") % {"name": source.name})
        return redirect("events:source", source.pk)
    return render(request, "events/source.html", {"form": form})


@require_http_methods(["GET", "POST"])
@needs("events.view_source")
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    """A source with its keys; its form for those who may change it."""
    source = get_object_or_404(Source, pk=pk)
    if request.method == "POST":
        return _edited(request, source)
    return _page(request, source, SourceForm(instance=source))


@needs("events.change_source")
def _edited(request: HttpRequest, source: Source) -> HttpResponse:
    form = SourceForm(request.POST, instance=Source.objects.get(pk=source.pk))
    if not form.is_valid():
        return _page(request, source, form)
    if form.touched:
        _save(form)
        messages.success(request, _("%(name)s is saved.") % {"name": form.instance.name})
    return redirect("events:source", source.pk)


def _page(request: HttpRequest, source: Source, form: SourceForm) -> HttpResponse:
    may_see_keys = request.user.has_perm("events.view_apikey")
    context = {
        "source": source,
        "form": form if request.user.has_perm("events.change_source") else None,
        "keys": source.api_keys.select_related("created_by") if may_see_keys else None,
        "now": timezone.now(),
    }
    return render(request, "events/source.html", context)


def _save(form: SourceForm) -> Source:
    with transaction.atomic():
        source: Source = form.save()
        snapshot.bump()
    return source


@never_cache
@require_http_methods(["GET", "POST"])
@needs("events.add_apikey")
def add_key(request: HttpRequest, pk: int) -> HttpResponse:
    """Answers the new key itself: this page is the only one that ever shows it, so there is no redirect to see it."""
    source = get_object_or_404(Source, pk=pk)
    form = KeyForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        key, text = issue_key(source, form.cleaned_data["label"], expires_at=form.expires_at(), user=request.user)
        curl = curl_line(request.build_absolute_uri("/events"), text)
        return render(request, "events/key_shown.html", {"source": source, "key": key, "text": text, "curl": curl})
    return render(request, "events/key_form.html", {"source": source, "form": form})


def curl_line(url: str, key: str) -> str:
    """A first event, ready to paste into a shell."""
    parts = (f"curl -X POST {url}", f"-H 'x-ts-key: {key}'", "-H 'content-type: application/json'", f"-d '{SAMPLE}'")
    return " \\\n  ".join(parts)


@require_http_methods(["GET", "POST"])
@needs("events.change_apikey")
def revoke(request: HttpRequest, pk: int) -> HttpResponse:
    key = get_object_or_404(ApiKey.objects.select_related("source"), pk=pk)
    if request.method == "POST":
        if revoke_key(key):
            messages.success(request, _("The key %(key)s is revoked.") % {"key": key})
        return redirect("events:source", key.source_id)
    return render(request, "events/key_revoke.html", {"key": key})
