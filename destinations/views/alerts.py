"""Alerts: what is wrong now, what is watched, who is told, and what was told."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from destinations import alerts, exports, notices
from destinations.alert_models import AlertChannel, AlertIncident, AlertNotice, AlertRule
from destinations.forms_alert import ChannelForm, RuleForm
from trackstack_site.csv_lines import download, is_asked
from trackstack_site.guard import needs

VIEW = "destinations.view_alertrule"
RULE = "destinations.change_alertrule"
CHANNEL = "destinations.change_alertchannel"
PAGE_SIZE = 100


@require_GET
@needs(VIEW)
def index(request: HttpRequest) -> HttpResponse:
    rules = AlertRule.objects.prefetch_related("channels")
    context = {
        "incidents": AlertIncident.objects.filter(closed_at=None).select_related("rule")[:PAGE_SIZE],
        "rules": [(rule, alerts.KINDS[rule.kind]) for rule in rules],
        "channels": AlertChannel.objects.defer("values"),
        "may_rule": request.user.has_perm(RULE),
        "may_channel": request.user.has_perm(CHANNEL),
    }
    return render(request, "destinations/alerts.html", context)


@require_GET
@needs(VIEW)
def history(request: HttpRequest) -> HttpResponseBase:
    if is_asked(request):
        return download("alerts", exports.ALERTS, exports.alerts())
    context = {
        "incidents": AlertIncident.objects.select_related("rule")[:PAGE_SIZE],
        "notices": AlertNotice.objects.select_related("channel")[:PAGE_SIZE],
    }
    return render(request, "destinations/alert_history.html", context)


@require_http_methods(["GET", "POST"])
@needs(RULE)
def rule(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(AlertRule, pk=pk)
    form = RuleForm(request.POST or None, rule=found)
    if form.is_valid():
        found.threshold = form.cleaned_data.get("threshold") or 0
        found.is_enabled = form.cleaned_data["is_enabled"]
        found.save(update_fields=["threshold", "is_enabled"])
        found.channels.set(form.cleaned_data["channels"])
        messages.success(request, _("%(name)s is saved.") % {"name": found.get_kind_display()})
        return redirect("destinations:alerts")
    return render(request, "destinations/alert_rule.html", {"rule": found, "form": form})


@require_POST
@needs(RULE)
def mute(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(AlertRule, pk=pk)
    how = request.POST.get("for", "")
    if how not in alerts.MUTES:
        return HttpResponseBadRequest("for: one of hour, day, good, off")
    alerts.mute(found, how)
    said = {
        "hour": _("%(rule)s is muted for an hour."),
        "day": _("%(rule)s is muted for a day."),
        "good": _("%(rule)s is muted."),
        "off": _("%(rule)s is told again."),
    }
    messages.success(request, said[how] % {"rule": found.get_kind_display()})
    return redirect("destinations:alerts")


@require_http_methods(["GET", "POST"])
@needs(CHANNEL)
def channel(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    found = get_object_or_404(AlertChannel, pk=pk) if pk is not None else None
    form = ChannelForm(request.POST or None, channel=found)
    if form.is_valid():
        made = found or AlertChannel()
        made.name, made.kind = form.cleaned_data["name"], form.cleaned_data["kind"]
        made.values, made.is_enabled = form.values(), form.cleaned_data["is_enabled"]
        made.save()
        if found is None:
            for one in AlertRule.objects.all():
                one.channels.add(made)
            said = _("%(name)s is added, and told of everything that is watched. Send a test now.")
        else:
            said = _("%(name)s is saved.")
        messages.success(request, said % {"name": made.name})
        return redirect("destinations:alerts")
    return render(request, "destinations/alert_channel.html", {"channel": found, "form": form})


@require_POST
@needs(CHANNEL)
def test(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(AlertChannel, pk=pk)
    notice = alerts.trial_notice(found, request.user.get_username())
    if notices.send(notice):
        messages.success(request, _("%(name)s took the test message.") % {"name": found.name})
    else:
        said = _("%(name)s did not take it: %(why)s")
        messages.error(request, said % {"name": found.name, "why": notice.detail})
        AlertNotice.objects.filter(pk=notice.pk).update(state="failed")
    return redirect("destinations:alerts")


@require_POST
@needs(CHANNEL)
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(AlertChannel, pk=pk)
    found.delete()
    messages.success(request, _("%(name)s is removed. Nobody is told by it any more.") % {"name": found.name})
    return redirect("destinations:alerts")
