"""The toast after a change: what happened, the way back, and what may be wanted next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from destinations import platforms, reasons
from destinations.replay_plan import backfill_query
from routing import history, sentences, snapshot, toggles
from routing.models import RoutingChange
from routing.policy import DestinationRule, carries
from trackstack_site.guard import key_of


def last_change(request: HttpRequest, *, is_matrix: bool = True) -> dict[str, Any] | None:
    """The change this page was redirected from, for the toast with its Undo.

    is_matrix: whether the page has the cells that an Undo swaps; elsewhere it leads to them.
    """
    pk = key_of(request.GET.get("changed", ""))
    entry = RoutingChange.objects.filter(pk=pk, user_id=request.user.pk).first() if pk else None
    if entry is None:
        return None
    return toast_of_all(list(history.siblings(entry))) | {"leaves": not is_matrix}


def toast_of(entry: RoutingChange) -> dict[str, Any]:
    return {
        "text": _("%(sentence)s.") % {"sentence": ". ".join(facts_of(entry))},
        "undo": entry.pk if entry.after else None,
        "backfill": backfill_of(entry),
        "ids": ids_of(entry),
    }


def toast_of_all(made: Sequence[RoutingChange]) -> dict[str, Any]:
    """Of destinations that were changed together: one way back for all of them."""
    if len(made) == 1:
        return toast_of(made[0])
    count = sum(len(entry.sentences) for entry in made)
    values = {
        "changes": ngettext("%(count)d change", "%(count)d changes", count) % {"count": count},
        "destinations": sentences.listed([entry.destination_name for entry in made]),
    }
    backfills = [url for entry in made if (url := backfill_of(entry))]
    several = f"{reverse('routing:history_entry', args=[made[0].pk])}#backfill"
    return {
        "text": _("%(changes)s made: %(destinations)s.") % values,
        "undo": made[0].pk,
        "backfill": several if len(backfills) > 1 else "".join(backfills),
    }


def facts_of(entry: RoutingChange) -> list[str]:
    """What was changed, in the reader's language; as it is kept where the entry's values do not tell."""
    rule, added = _switched_on(entry)
    removed = entry.before.get("selected") or []
    if added or removed:
        # A switch says what happened to the event; that the mode became Custom is said by the column.
        return [*_started(entry, rule, added), *_stopped(entry, removed)]
    said = []
    if "mode" in entry.after:
        said.append(sentences.mode(entry.destination_name, entry.before["mode"], entry.after["mode"]))
    said += [
        sentences.native(column, entry.destination_name, event, entry.before[column][event], value)
        for column in ("native_name", "native_id")
        for event, value in (entry.after.get(column) or {}).items()
    ]
    if len(said) > sentences.MOST_NAMED:
        values = {"destination": entry.destination_name, "count": len(said)}
        return [_("%(destination)s: %(count)d changes made") % values]
    return said or entry.sentences


def _started(entry: RoutingChange, rule: DestinationRule | None, added: Sequence[str]) -> list[str]:
    """One sentence for what is sent from now on, and one for each reason why something is not."""
    by_reason: dict[str, list[str]] = {}
    for name in added:
        by_reason.setdefault(carries(rule, name).reason if rule is not None else "", []).append(name)
    said = []
    for reason, names in sorted(by_reason.items()):
        if len(names) == 1:
            said.append(toggles.switched_on(rule, entry.destination_name, names[0]))
            continue
        if not reason:
            said.append(sentences.starts(entry.destination_name, sentences.listed(names)))
            continue
        values = {
            "events": sentences.listed(names),
            "destination": entry.destination_name,
            "reason": str(reasons.label(reason)).lower(),
        }
        said.append(_("%(events)s are switched on for %(destination)s, but nothing is sent: %(reason)s") % values)
    return said


def _stopped(entry: RoutingChange, removed: Sequence[str]) -> list[str]:
    return [sentences.stops(entry.destination_name, sentences.listed(removed))] if removed else []


def backfills_of(made: Iterable[RoutingChange]) -> list[tuple[str, str]]:
    """Destinations at which entries switched something on, and where the last days of that can be sent."""
    return [(entry.destination_name, url) for entry in made if (url := backfill_of(entry))]


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
