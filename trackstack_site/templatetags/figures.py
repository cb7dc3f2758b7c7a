"""Figures for people."""

from __future__ import annotations

from django import template

register = template.Library()


@register.filter
def thousands(number: int) -> str:
    """`12 345`: with thin no-break spaces, which no language reads as a decimal sign."""
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


@register.filter
def duration(seconds: float) -> str:
    """How long, in one unit: `0.4 s`, `42 s`, `14 min`, `3 h`, `12 d`."""
    if seconds < 9.95:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    for unit, size, following in (("s", 1, 90), ("min", 60, 90 * 60), ("h", 3600, 36 * 3600)):
        if seconds < following:
            return f"{seconds / size:.0f} {unit}"
    return thousands(int(seconds / 86_400)) + " d"


@register.filter
def latency(milliseconds: float | None) -> str:
    """`120 ms` or as `duration`; a dash for none."""
    if milliseconds is None:
        return "–"
    return f"{milliseconds:.0f} ms" if milliseconds < 950 else duration(milliseconds / 1000)


@register.filter
def percent(share: float | None) -> str:
    """`99.9 %` on one line, never rounded up to all; a dash for none."""
    if share is None:
        return "–"
    tenths = int(share * 1000)
    figure = f"{tenths // 10}" if tenths % 10 == 0 or tenths < 900 else f"{tenths / 10:.1f}"
    return f"{figure}\N{NO-BREAK SPACE}%"
