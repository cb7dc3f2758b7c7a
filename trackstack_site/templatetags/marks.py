"""The marks of platforms in templates."""

from __future__ import annotations

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from destinations.marks import mark_of
from destinations.platforms.base import Platform

register = template.Library()


@register.simple_tag
def mark(platform: Platform) -> SafeString:
    """The name always stands beside it, so that a screen reader is told nothing twice."""
    letters, hue = mark_of(platform.key, platform.label)
    return format_html('<span class="mark is-hue-{}" aria-hidden="true" translate="no">{}</span>', hue, letters)
