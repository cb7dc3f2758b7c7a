"""The marks of platforms in templates."""

from __future__ import annotations

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from destinations.marks import mark_of

register = template.Library()


@register.simple_tag
def mark(key: str, label: str) -> SafeString:
    """The name always stands beside it, so that a screen reader is told nothing twice."""
    letters, hue = mark_of(key, label)
    return format_html('<span class="mark is-hue-{}" aria-hidden="true" translate="no">{}</span>', hue, letters)
