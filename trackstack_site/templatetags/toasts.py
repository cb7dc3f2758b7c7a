"""The button of a toast."""

from __future__ import annotations

from django import template

from trackstack_site.toasts import button_of

register = template.Library()
register.filter("button", button_of)
