"""Lines of a difference for people."""

from __future__ import annotations

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from routing.net import Line

register = template.Library()


@register.filter
def with_event(line: Line) -> SafeString:
    """The sentence with its event in bold: that is what differs from line to line."""
    if not line.tone or line.event not in line.text:
        return format_html("{}", line.text)
    # The destination may be called like the event; a sentence names it before the event, but for what is not sent.
    find = line.text.partition if line.idle else line.text.rpartition
    return format_html("{}<strong>{}</strong>{}", *find(line.event))
