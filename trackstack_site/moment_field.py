"""A time typed into a form: in the reader's zone where times.js runs, else in UTC, as its label says.

An address keeps it as UTC with a Z, which is the same time for everybody who follows the link.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.utils.dateparse import parse_datetime
from django.utils.functional import Promise, lazy
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from trackstack_site.templatetags.times import zone

STAMP = "%Y-%m-%dT%H:%M:%SZ"
"""Of a time in an address."""


EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
"""What is beyond is taken as these: further out no zone is left to show a time in, nor a year that a database keeps."""


class MomentInput(forms.DateTimeInput):
    """Shows UTC, which times.js turns into the reader's zone, and sends back with a Z."""

    input_type = "datetime-local"

    def __init__(self) -> None:
        super().__init__({"data-utc": True})

    def format_value(self, value: Any) -> str | None:
        try:
            at = value if isinstance(value, datetime) else parse_datetime(str(value or ""))
        except ValueError:  # the right shape, but no such day
            at = None
        if at is None:
            return None
        try:
            at = at.astimezone(UTC) if at.tzinfo else at
        except OverflowError:  # the first or the last day there is, in another zone
            return None
        return at.strftime("%Y-%m-%dT%H:%M:%S" if at.second else "%Y-%m-%dT%H:%M")


class MomentField(forms.DateTimeField):
    default_error_messages = {"invalid": _("This is not a time.")}

    def __init__(self, label: str | Promise) -> None:
        """label: with {zone} where the zone is named."""
        super().__init__(label=_in_zone(label), required=False, widget=MomentInput())

    def clean(self, value: Any) -> datetime | None:
        at: datetime | None = super().clean(value)
        return None if at is None else min(max(at, EARLIEST), LATEST)


def _labelled(label: str | Promise) -> SafeString:
    return format_html(str(label), zone=zone())


_in_zone = lazy(_labelled, str)
