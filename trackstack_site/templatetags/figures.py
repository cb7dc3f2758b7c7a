"""Figures for people."""

from __future__ import annotations

from django import template
from django.utils.translation import gettext as _

register = template.Library()


@register.filter
def thousands(number: int) -> str:
    """`12 345`: with thin no-break spaces, which no language reads as a decimal sign."""
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


@register.filter
def duration(seconds: float) -> str:
    """How long, in one unit: `0.4 s`, `42 s`, `14 min`, `3 h`, `12 d`."""
    if seconds < 9.95:
        return _("%(number)s s") % {"number": f"{seconds:.1f}".removesuffix(".0")}
    if seconds < 90:
        return _("%(number)s s") % {"number": f"{seconds:.0f}"}
    if seconds < 90 * 60:
        return _("%(number)s min") % {"number": f"{seconds / 60:.0f}"}
    if seconds < 36 * 3600:
        return _("%(number)s h") % {"number": f"{seconds / 3600:.0f}"}
    return _("%(number)s d") % {"number": thousands(int(seconds / 86_400))}


@register.filter
def latency(milliseconds: float | None) -> str:
    """`120 ms` or as `duration`; a dash for none."""
    if milliseconds is None:
        return "–"
    if milliseconds >= 950:
        return duration(milliseconds / 1000)
    return _("%(number)s ms") % {"number": f"{milliseconds:.0f}"}


@register.filter
def percent(share: float | None) -> str:
    """`99.9 %` on one line, never rounded up to all; a dash for none."""
    if share is None:
        return "–"
    tenths = int(share * 1000)
    figure = f"{tenths // 10}" if tenths % 10 == 0 or tenths < 900 else f"{tenths / 10:.1f}"
    return f"{figure}\N{NO-BREAK SPACE}%"
