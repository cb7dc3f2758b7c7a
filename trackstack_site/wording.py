"""Texts for people: what is said, what is kept, and names among them that nobody must translate."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils import translation
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _


def in_english() -> translation.override:
    """For what is kept and read later by whoever: within it every text is as it stands in the code."""
    return translation.override(None)  # type: ignore[arg-type]


def followed(first: str, second: str) -> str:
    """Two sentences, the second after the first; either may be empty."""
    if not (first and second):
        return str(first or second)
    # Translators: two whole sentences, one after the other.
    return _("%(first)s %(second)s") % {"first": first, "second": second}


def quoted(text: str | Promise) -> SafeString:
    """A name, or words of a vendor, for HTML: marked so that no translation touches it."""
    return format_html('<span translate="no">{}</span>', text)


class NameSelect(forms.Select):
    """Options that are names; `ours` are the values whose words are ours, such as "Every source"."""

    def __init__(self, *args: Any, ours: tuple[str, ...] = ("",), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ours = ours

    def create_option(self, name: str, value: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        option = super().create_option(name, value, *args, **kwargs)
        if str(value) not in self.ours:
            option["attrs"]["translate"] = "no"
        return option


class NameCheckboxes(forms.CheckboxSelectMultiple):
    """Boxes whose labels are names."""

    def create_option(self, name: str, value: Any, label: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return super().create_option(name, value, quoted(label), *args, **kwargs)
