"""Health, the home page: how each destination does, what changed, and figures over time."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from destinations import exports, health, silence
from destinations.changed import sentences
from destinations.health import Bin, Chart, Row
from destinations.models import Delivery, State
from destinations.views.observe import VIEW, trace_url
from trackstack_site.csv_lines import download, is_asked
from trackstack_site.guard import key_of, needs
from trackstack_site.moment_field import STAMP


@require_GET
@needs(VIEW)
def index(request: HttpRequest) -> HttpResponseBase:
    now = timezone.now()
    rows = health.rows(now)
    if is_asked(request):
        return download("health", exports.HEALTH, exports.health(rows))
    names = {row.destination.pk: row.destination.name for row in rows if not row.destination.platform.is_builtin}
    only = key_of(request.GET.get("destination", ""))
    only = only if only in names else None
    chosen = health.RANGES.get(request.GET.get("range", ""), health.RANGES["1h"])
    chart = health.chart(chosen, only, now)
    context = {
        "now": now,
        "rows": _told(rows, now),
        "sentences": sentences(rows, silence.current(), now),
        "chart": chart,
        "steps": _steps(chart, only),
        "ranges": [(r.label, _query(r, only), r == chosen) for r in health.RANGES.values()],
        "here": _query(chosen, only),
        "names": names,
        "only": only,
        "only_name": names.get(only, ""),
    }
    return render(request, "destinations/health.html", context)


def _query(chosen: health.Range, only: int | None) -> str:
    return f"?{urlencode({'range': chosen.key} | ({'destination': only} if only else {}))}"


def _told(rows: list[Row], now: Any) -> list[dict[str, Any]]:
    """Rows with the addresses their numbers lead to."""
    oldest = [row.standing.oldest_id for row in rows if row.standing.oldest_id is not None]
    events = {d.pk: d.event.event_id for d in Delivery.objects.select_related("event").filter(pk__in=oldest)}
    return [
        {
            "row": row,
            "waiting_url": deliveries_url(destination=row.destination.pk, state=State.WAITING.value),
            "hour_url": deliveries_url(destination=row.destination.pk, since=health.hour_ago(now)),
            "day_url": deliveries_url(destination=row.destination.pk, since=health.day_ago(now)),
            "oldest": (now - row.standing.oldest_at).total_seconds() if row.standing.oldest_at else None,
            "oldest_url": trace_url(events[row.standing.oldest_id]) if row.standing.oldest_id in events else "",
        }
        for row in rows
    ]


def _steps(chart: Chart, only: int | None) -> list[dict[str, Any]]:
    """The table beside the charts, each number with the deliveries of what was received in that step."""

    def url(step: Bin, state: State) -> str:
        return deliveries_url(destination=only, state=state.value, since=step.at, until=step.until)

    return [
        {
            "step": step,
            "delivered_url": url(step, State.DELIVERED),
            "failed_url": url(step, State.WAITING),
            "dead_url": url(step, State.DEAD),
        }
        for step in chart.told
    ]


def deliveries_url(**filters: Any) -> str:
    query = {
        name: value.strftime(STAMP) if hasattr(value, "strftime") else value
        for name, value in filters.items()
        if value is not None
    }
    return f"{reverse('destinations:deliveries')}?{urlencode(query)}"
