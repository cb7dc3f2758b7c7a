"""Tokens of the configuration API, and copying routes from one destination to another."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from destinations.models import Destination
from routing import api, config, drafts, net, toggles
from routing.models import ConfigToken
from routing.swaps import gather
from routing.views import may
from routing.views_csv import as_seen
from trackstack_site.guard import needs
from trackstack_site.wording import NameSelect, in_english


class TokenForm(forms.Form):
    name = forms.CharField(
        label=gettext_lazy("Name"), max_length=64, help_text=gettext_lazy("Who uses it, such as “CI of the shop”.")
    )
    may_write = forms.BooleanField(label=gettext_lazy("May change the routing, not only read it"), required=False)


class CopyForm(forms.Form):
    source = forms.ModelChoiceField(
        label=gettext_lazy("From"),
        queryset=Destination.objects.none(),
        empty_label=gettext_lazy("Choose…"),
        widget=NameSelect(),
    )
    target = forms.ModelChoiceField(
        label=gettext_lazy("To"),
        queryset=Destination.objects.none(),
        empty_label=gettext_lazy("Choose…"),
        widget=NameSelect(),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = Destination.objects.present().defer("settings", "secrets").order_by("name")
        sent = rows.exclude(pk__in=[row.pk for row in rows if row.platform.is_builtin])
        for name in ("source", "target"):
            self.fields[name].queryset = sent  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if data.get("source") and data.get("source") == data.get("target"):
            self.add_error("target", _("Choose another destination."))
        return data


@require_GET
@needs("routing.view_configtoken")
def tokens(request: HttpRequest) -> HttpResponse:
    return render(request, "routing/config_tokens.html", {"tokens": ConfigToken.objects.select_related("created_by")})


@never_cache
@require_http_methods(["GET", "POST"])
@needs("routing.add_configtoken")
def add_token(request: HttpRequest) -> HttpResponse:
    """Answers the new token itself: this page is the only one that ever shows it."""
    form = TokenForm(request.POST or None)
    if form.is_valid():
        token, text = api.make_token(
            form.cleaned_data["name"], may_write=form.cleaned_data["may_write"], user=request.user
        )
        address = request.build_absolute_uri("/api/config/")
        return render(request, "routing/config_token_shown.html", {"token": token, "text": text, "address": address})
    return render(request, "routing/config_token_form.html", {"form": form})


@require_POST
@needs("routing.change_configtoken")
def revoke_token(request: HttpRequest, pk: int) -> HttpResponse:
    token = get_object_or_404(ConfigToken, pk=pk)
    ConfigToken.objects.filter(pk=pk, revoked_at=None).update(revoked_at=timezone.now())
    messages.success(request, _("%(name)s is revoked: it opens nothing any more.") % {"name": token.name})
    return redirect("routing:config_tokens")


@may("routing.view_route", "routing.toggle_route", "routing.change_route")
@require_http_methods(["GET", "POST"])
def copy(request: HttpRequest) -> HttpResponse:
    """GET: choose, and see what it would change. POST: copy, when the routing is still what was shown."""
    form = CopyForm(request.POST or request.GET or None)
    context: dict[str, Any] = {"form": form, "is_collecting": drafts.collects(request.user)}
    if form.is_bound and form.is_valid():
        source, target = form.cleaned_data["source"], form.cleaned_data["target"]
        try:
            if request.method == "POST" and (answer := _copy(request, source, target)):
                return answer
            state, mark = as_seen(request)
            found = config.copied(state.rules[source.pk], state.rules[target.pk], state)
            shown = net.preview(change.net for change in config.plan(found.document, state))
            context |= {"source": source, "target": target, "left_off": found.left_off, "shown": shown, "seen": mark}
            context["is_stale"] = request.method == "POST"
        except (config.ConfigError, toggles.ToggleError) as error:
            form.add_error(None, str(error))
    return render(request, "routing/copy.html", context)


def _copy(request: HttpRequest, source: Destination, target: Destination) -> HttpResponse | None:
    """Copy, at once or into the draft; None when the routing, or the draft, is not what was shown."""
    state, mark = as_seen(request)
    if request.POST.get("seen") != mark:
        return None
    wanted = config.copied(state.rules[source.pk], state.rules[target.pk], state).document
    if drafts.collects(request.user):
        changes = config.plan(wanted, state)
        if not changes:
            return redirect("routing:matrix")
        return gather(request, config.to_collect(changes), is_refusal_raised=True)
    with in_english():
        note = _("Copied from %(destination)s") % {"destination": source.name}
    try:
        made = config.apply(wanted, seen=state.version, user=request.user, note=note)
    except toggles.StaleError:
        return None
    return redirect(reverse("routing:matrix") + (f"?changed={made[0].pk}" if made else ""))
