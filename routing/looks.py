"""How each person left Configure → Events: what is folded, and which rows are shown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from django.utils.translation import gettext_lazy as _

from routing.models import MatrixLook

SHOWS = {
    "": _("Every event"),
    "on": _("On for an ad platform"),
    "changed": _("Changed from the usual"),
    "problem": _("On, but nothing is sent"),
    "draft": _("In your draft"),
}
"""Which rows the matrix shows; the keys are marks of `routing.matrix.Row`."""

DRAFT = "draft"
"""Of SHOWS, for those who collect their switches in a draft."""
MOST_FOLDED = 50
LONGEST_NAME = 64


class Look(NamedTuple):
    folded: frozenset[str] = frozenset()
    """Keys of stages."""
    show: str = ""


def of(user: Any) -> Look:
    """As this person left it; open and whole for who never folded anything."""
    kept = MatrixLook.objects.filter(user=user.pk).values_list("folded", "show").first()
    return Look(frozenset(kept[0]), kept[1] if kept[1] in SHOWS else "") if kept else Look()


def keep(user: Any, folded: Iterable[str], show: str) -> None:
    """Idempotent. Raises ValueError for what the page cannot have sent."""
    names = sorted(set(folded))
    is_odd = any(len(name) > LONGEST_NAME or not name.isprintable() for name in names)
    if show not in SHOWS or len(names) > MOST_FOLDED or is_odd:
        raise ValueError("There is no such look.")
    MatrixLook.objects.update_or_create(user_id=user.pk, defaults={"folded": names, "show": show})
