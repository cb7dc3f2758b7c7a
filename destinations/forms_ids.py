"""The ids that a platform wants per event, entered for all events of a destination at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from destinations import native_ids
from destinations.models import Destination
from routing import native_names
from routing.drafts import Wanted
from trackstack_site.overtaken import SparesOthers

PREFIX = "id_of_"
CHOICES = "id-choices"
"""HTML id of the list to pick from, when the account was asked."""
MOST = {"id": 200, "name": 100}


class IdsForm(SparesOthers, forms.Form):
    """One field for each event that is on or has an id. `changed()` is what its person changed.

    wanted: what their draft wants of the destination, shown instead of what is in force.
    On platforms that list names (`Platform.lists_names`) the field is the event's native name.
    """

    def __init__(
        self, *args: Any, destination: Destination, events: Iterable[str], wanted: Wanted | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.platform = destination.platform
        self.is_name = self.platform.lists_names or self.platform.native_id is None
        own = {
            event: name if self.is_name else native_id
            for event, name, native_id in destination.routes.values_list("event_name", "native_name", "native_id")
        }
        if wanted is not None:
            own |= wanted.native_names if self.is_name else wanted.native_ids
        self.stored = {event: own.get(event, "") for event in events}
        for event, value in self.stored.items():
            field = forms.CharField(
                label=event,
                required=False,
                initial=value,
                max_length=MOST["name" if self.is_name else "id"],
            )
            field.widget.attrs.update(list=CHOICES, autocomplete="off", spellcheck="false")
            if self.is_name:
                field.widget.attrs.update(placeholder=self.platform.native_name(event), translate="no")
            else:
                # No example: it looks like a value, and may be somebody's.
                field.widget.attrs["placeholder"] = _("not set")
                native_ids.watch(field, self.platform, PREFIX + event, f"id_{PREFIX}{event}")
            self.fields[PREFIX + event] = field
        self.show_what_was_shown()

    @property
    def label(self) -> str | Promise:
        shape = self.platform.native_id
        return _("Name there") if self.is_name or shape is None else shape.label

    @property
    def help(self) -> str | Promise:
        shape = self.platform.native_id
        return "" if self.is_name or shape is None else shape.help

    def rows(self) -> list[tuple[str, forms.BoundField]]:
        return [(event, self[PREFIX + event]) for event in self.stored]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        for event in self.stored:
            if sentence := self._problem_of(data.get(PREFIX + event, "")):
                self.add_error(PREFIX + event, sentence)
        return data

    def _problem_of(self, value: str) -> str:
        if self.is_name or self.platform.native_id is None:
            return native_names.problem_of(value)
        return native_ids.problem_of(self.platform.native_id, value)

    def changed(self) -> dict[str, str]:
        """Event → value as it is to be, of those that differ from what the page showed.

        What a colleague entered since stays, unless it was shown.
        """
        entered = {event: self.touched[PREFIX + event] for event in self.stored if PREFIX + event in self.touched}
        return {event: value for event, value in entered.items() if value != self.stored[event]}
