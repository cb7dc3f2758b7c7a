"""The toast after a change: what happened, the way back, and what may be wanted next."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from destinations import platforms
from destinations.replay_plan import backfill_query
from routing import sentences, snapshot, toggles
from routing.models import RoutingChange
from routing.policy import DestinationRule, carries
from trackstack_site.guard import key_of


def last_change(request: HttpRequest) -> dict[str, Any] | None:
    """The change this page was redirected from, for the toast with its Undo."""
    pk = key_of(request.GET.get("changed", ""))
    entry = RoutingChange.objects.filter(pk=pk, user_id=request.user.pk).first() if pk else None
    return toast_of(entry) if entry is not None else None


def toast_of(entry: RoutingChange) -> dict[str, Any]:
    facts = facts_of(entry)
    if len(facts) == 1:
        text = _("%(sentence)s.") % {"sentence": facts[0]}
    else:
        values = {"destination": entry.destination_name, "count": len(facts)}
        text = ngettext(
            "%(destination)s: %(count)d change made.", "%(destination)s: %(count)d changes made.", len(facts)
        )
        text %= values
    return {
        "text": text,
        "undo": entry.pk if entry.after else None,
        "backfill": backfill_of(entry),
        "ids": ids_of(entry),
    }


def facts_of(entry: RoutingChange) -> list[str]:
    """What was changed, in the reader's language; as it is kept where the entry's values do not tell."""
    rule, added = _switched_on(entry)
    removed = entry.before.get("selected") or []
    if added or removed:
        # A switch says what happened to the event; that the mode became Custom is said by the column.
        name_of = entry.destination_name
        started = [toggles.switched_on(rule, name) if rule else sentences.starts(name_of, name) for name in added]
        return started + [sentences.stops(entry.destination_name, name) for name in removed]
    said = []
    if "mode" in entry.after:
        said.append(sentences.mode(entry.destination_name, entry.before["mode"], entry.after["mode"]))
    said += [
        sentences.native(column, entry.destination_name, event, entry.before[column][event], value)
        for column in ("native_name", "native_id")
        for event, value in (entry.after.get(column) or {}).items()
    ]
    return said or entry.sentences


def backfill_of(entry: RoutingChange) -> str:
    """Where the last days of what was just switched on can be sent; empty when nothing was."""
    rule, added = _switched_on(entry)
    added = [name for name in added if rule is not None and carries(rule, name).send]
    if not added or rule is None or rule.is_builtin:
        return ""
    query = backfill_query(rule.id, platforms.get(rule.platform), added[0] if len(added) == 1 else "")
    return f"{reverse('destinations:replay_new')}?{query}"


def ids_of(entry: RoutingChange) -> str:
    """Where the native ids are entered without which nothing of what was just switched on is sent; empty when none
    lacks one.
    """
    rule, added = _switched_on(entry)
    if rule is None or not any(carries(rule, name).reason == "missing_native_id" for name in added):
        return ""
    return reverse("destinations:ids", args=[rule.id])


def _switched_on(entry: RoutingChange) -> tuple[DestinationRule | None, list[str]]:
    return snapshot.held().rules.get(entry.destination_pk or 0), entry.after.get("selected") or []
