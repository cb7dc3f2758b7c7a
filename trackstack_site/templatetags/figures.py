"""Figures for people."""

from __future__ import annotations

from datetime import datetime

from django import template

register = template.Library()


@register.filter
def thousands(number: int) -> str:
    """`12 345`: with thin no-break spaces, which no language reads as a decimal sign."""
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


@register.filter
def utc(text: str | None) -> str:
    """An ISO 8601 time in UTC as people read it: `2026-01-31 12:00:05`."""
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S}" if text else ""
