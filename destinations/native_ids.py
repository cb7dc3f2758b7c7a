"""The shape of the ids that a platform wants per event: said while typing and on saving, in the same words."""

from __future__ import annotations

import re

from django import forms
from django.urls import reverse
from django.utils.translation import gettext as _

from destinations.platforms.base import NativeId, Platform
from trackstack_site.wording import followed


def problem_of(shape: NativeId, value: str) -> str:
    """A sentence that says what is wrong with `value`, or an empty string. Empty is right: it may come later."""
    if not value or re.fullmatch(shape.pattern, value):
        return ""
    said = _("This is no %(label)s: %(help)s.") % {"label": shape.label, "help": str(shape.help).rstrip(".")}
    return followed(said, _("It looks like “%(example)s”.") % {"example": shape.example} if shape.example else "")


def watch(field: forms.Field, platform: Platform, name: str, html_id: str) -> None:
    """Have its shape looked at as soon as it was typed. Without JavaScript saving says the same."""
    field.is_watched = True  # type: ignore[attr-defined]  # there is a place for what is said
    field.widget.attrs |= {
        "hx-post": reverse("destinations:look_at_id", args=[platform.key]),
        "hx-trigger": "change",
        "hx-target": f"#{html_id}_said",
        "hx-swap": "innerHTML",
        "hx-params": f"{name},csrfmiddlewaretoken",
    }
