"""What the pages of Configure → Events take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from destinations import native_ids
from destinations.platforms.base import Platform
from routing import native_names
from routing.models import RoutingChange
from routing.policy import DestinationRule, EventRule, Mode
from trackstack_site.guard import key_of
from trackstack_site.overtaken import SparesOthers

MAX_CSV_BYTES = 2 * 1024 * 1024
MAX_SET_CHARS = 10_000


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A change somebody asks for, as `toggles.apply` takes it."""

    destination_id: int
    mode: str | None = None
    on: dict[str, bool] = {}
    is_bulk: bool = True
    left_off: list[str] = []
    """Names a bulk change leaves out, to be said on its confirmation."""
    text: str
    """As it was posted, so that a confirmation can post it again."""


def parse_set(text: str, events: Mapping[str, EventRule]) -> Asked | None:
    """Read what a switch posts; None when it is nothing we ever render.

    `12:SignUp:1` one event, `12:@acquisition:0` a stage, `12:*:1` the column, `12:=recommended` a mode.
    """
    head, _, rest = text.partition(":")
    destination_id = key_of(head)
    if destination_id is None or not rest or len(text) > MAX_SET_CHARS:
        return None
    if rest.startswith("="):
        mode = rest[1:]
        return Asked(destination_id=destination_id, mode=mode, text=text) if mode in set(Mode) else None
    what, _, wanted = rest.rpartition(":")
    if wanted not in ("0", "1"):
        return None
    if what == "*":
        names = list(events)
    elif what.startswith("@"):
        names = [name for name, rule in events.items() if rule.stage == what[1:]]
    else:
        names = [what] if what in events else []
    if not names:
        return None
    return Asked(
        destination_id=destination_id,
        on=dict.fromkeys(names, wanted == "1"),
        is_bulk=what == "*" or what.startswith("@"),
        text=text,
    )


class Range(msgspec.Struct, frozen=True, kw_only=True):
    """Several switches set alike: these events at these destinations."""

    destination_ids: list[int]
    names: list[str]
    is_on: bool
    text: str
    """As it was posted, so that a confirmation can post it again."""


def parse_range(text: str, events: Mapping[str, EventRule]) -> Range | None:
    """Read what a range of switches posts, `12,14:SignUp,Login:1`; None when it is nothing we ever post."""
    parts = text.split(":")
    if len(parts) != 3 or len(text) > MAX_SET_CHARS or parts[2] not in ("0", "1"):
        return None
    ids, names = [key_of(pk) for pk in parts[0].split(",")], parts[1].split(",")
    found = [pk for pk in ids if pk is not None]
    if len(found) != len(ids) or not all(name in events for name in names):
        return None
    return Range(destination_ids=found, names=names, is_on=parts[2] == "1", text=text)


class MappingForm(SparesOthers, forms.Form):
    """Native name and native id of one event at one destination. Empty: the platform's own. Only `touched` counts."""

    native_name = forms.CharField(max_length=native_names.LONGEST, required=False)
    native_id = forms.CharField(max_length=200, required=False)

    def __init__(self, *args: Any, platform: Platform, rule: DestinationRule, event: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        default = rule.shown_name(platform.native_name(event))
        name, native_id = self.fields["native_name"], self.fields["native_id"]
        name.label = _("What %(platform)s calls it") % {"platform": platform.label}
        name.widget.attrs.update(
            placeholder=default, translate="no", autocomplete="off", spellcheck="false", autofocus=True
        )
        name.help_text = (
            _("Empty: %(name)s, the platform's own name.") % {"name": default}
            if default
            else _("The platform has no name of its own for it.")
        )
        self.shape = shape = platform.native_id
        if shape is None:
            del self.fields["native_id"]
        else:
            native_id.label = shape.label
            native_id.help_text = shape.help
            native_id.widget.attrs.update(placeholder=_("not set"), autocomplete="off", spellcheck="false")
            native_ids.watch(native_id, platform, "native_id", "id_native_id")
            if default and shape.required and not self.initial.get("native_id"):
                # What is missing is what somebody comes for.
                native_id.widget.attrs["autofocus"] = name.widget.attrs.pop("autofocus")
        self.show_what_was_shown()

    def clean_native_name(self) -> str:
        name: str = self.cleaned_data["native_name"]
        if problem := native_names.problem_of(name):
            raise forms.ValidationError(problem)
        return name

    def clean_native_id(self) -> str:
        native_id: str = self.cleaned_data["native_id"]
        if self.shape is not None and (sentence := native_ids.problem_of(self.shape, native_id)):
            raise forms.ValidationError(sentence)
        return native_id


class NoteForm(forms.Form):
    """Of an import; without one, the history says that it was one."""

    note = forms.CharField(
        label=gettext_lazy("Note"),
        required=False,
        max_length=RoutingChange._meta.get_field("note").max_length,
        help_text=gettext_lazy("What it is for. It stands in the history."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


class ImportForm(forms.Form):
    file = forms.FileField(
        label=gettext_lazy("CSV file"),
        help_text=gettext_lazy(
            "With the columns of the export, split by commas, semicolons or tabs; “event” and “destination” are needed."
            " Rows and columns that are not in it stay as they are. In a row, an empty “enabled” or “mode” stays as it"
            " is too; an empty “native_name” goes back to the platform's own, and an empty “native_id” removes the id."
        ),
        widget=forms.FileInput(attrs={"accept": ".csv,text/csv"}),
    )

    def clean_file(self) -> str:
        """The file's text."""
        file = self.cleaned_data["file"]
        if file.size > MAX_CSV_BYTES:
            raise forms.ValidationError(_("The file is larger than 2 MB: this is not an export of the mappings."))
        try:
            return file.read().decode("utf-8-sig")
        except UnicodeDecodeError:
            raise forms.ValidationError(_("The file is not UTF-8. Save it as “CSV UTF-8”.")) from None
