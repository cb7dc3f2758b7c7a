"""The strip on every page while we are behind."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext as _

from destinations import standing

NAMED = 2
"""Of what is late, the worst is named and the rest counted."""


def strip(request: HttpRequest) -> dict[str, Any]:
    """Context processor. Looks only where a template shows it: fragments do not."""
    return {"strip": partial(sentence, request)}


def sentence(request: HttpRequest) -> dict[str, Any] | None:
    """How far behind we are and with what; None when we keep up, or for those who may not see deliveries."""
    user = getattr(request, "user", None)
    if user is None or not user.is_staff or not user.has_perm("destinations.view_delivery"):
        return None
    behind = standing.behind()
    if behind is None:
        return None
    named, more = behind.late[:NAMED], len(behind.late) - NAMED
    if more > 0:
        what = _("%(names)s and %(more)d more") % {"names": ", ".join(named), "more": more}
    elif len(named) > 1:
        what = _("%(first)s and %(second)s") % {"first": named[0], "second": named[1]}
    else:
        what = named[0]
    return {"seconds": behind.seconds, "what": what}
