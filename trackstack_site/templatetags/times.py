"""Times for people: UTC as they are served, the reader's own zone once `times.js` has seen them.

A time stands in the page as UTC and says so, by itself (`moment`) or in the head of its column (`bare_moment` and
`zone`), so that the page is right without JavaScript as well.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html import escape

from django import template
from django.utils.safestring import SafeString, mark_safe

register = template.Library()

FORMATS = {"second": "%Y-%m-%d %H:%M:%S", "minute": "%Y-%m-%d %H:%M", "day": "%Y-%m-%d", "clock": "%H:%M:%S"}

_SAID = re.compile(r"\b(\d{4}-\d\d-\d\d) (\d\d:\d\d)(:\d\d)? UTC\b")


@register.filter
def moment(at: datetime | str | None, precision: str = "second") -> SafeString:
    """A `<time>` that says its zone, for sentences. `at` is aware, or ISO 8601; nothing for None."""
    return _time(at, precision, is_bare=False)


@register.filter
def bare_moment(at: datetime | str | None, precision: str = "second") -> SafeString:
    """A `<time>` without its zone, where the head of the column or the sentence above it has `zone`."""
    return _time(at, precision, is_bare=True)


@register.filter
def moments(text: str) -> SafeString:
    """A sentence in which each `2026-01-31 12:00 UTC` is a `<time>`; all else is escaped."""
    return mark_safe(_SAID.sub(_found, escape(str(text))))  # noqa: S308


@register.simple_tag
def zone() -> SafeString:
    """The name of the zone that the page's times are in."""
    return mark_safe('<span data-zone translate="no">UTC</span>')


def _found(match: re.Match[str]) -> str:
    day, minute, second = match.groups()
    try:
        at = datetime.fromisoformat(f"{day}T{minute}{second or ''}+00:00")
    except ValueError:
        return match[0]
    return _time(at, "second" if second else "minute", is_bare=False)


def _time(at: datetime | str | None, precision: str, *, is_bare: bool) -> SafeString:
    if not at:
        return SafeString("")
    known = (datetime.fromisoformat(at) if isinstance(at, str) else at).astimezone(UTC)
    said = f"{known:{FORMATS[precision]}}" + ("" if is_bare else " UTC")
    stamp = f"{known:%Y-%m-%dT%H:%M:%SZ}"
    mark = f"{precision} bare" if is_bare else precision
    return mark_safe(f'<time datetime="{stamp}" data-at="{mark}">{said}</time>')  # noqa: S308
