"""Forms of destinations, grown from the fields that the platform declares, and of the delivery filter."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import TextChoices
from django.urls import reverse

from destinations.models import Destination, State
from destinations.platforms.base import Field, Platform, Result
from events import lookup
from events.models import Source

PREFIX = "field_"
CLEAR = "clear_"


class WriteOnlyTextarea(forms.Textarea):
    """A textarea that never shows what it was given: several lines of secret."""

    def format_value(self, value: Any) -> str | None:
        return None


class SourceChoice(TextChoices):
    ALL = "all", "Every source, also those added later"
    CHOSEN = "chosen", "Only these"


class DestinationForm(forms.Form):
    """Name, sandbox and sources, and one form field for each of the platform's fields.

    Secrets are write-only: never rendered back, kept when left empty. `config()` is what to store.
    """

    name = forms.CharField(max_length=64, help_text="As it is called in columns and history, such as “Meta EU”.")
    is_sandbox = forms.BooleanField(
        label="Sandbox",
        required=False,
        help_text="Send to the built-in sandbox, which checks and answers as the platform does. "
        "It takes any credentials of the right shape.",
    )
    source_choice = forms.ChoiceField(
        label="Takes events from",
        choices=SourceChoice,
        widget=forms.RadioSelect,
        initial=SourceChoice.ALL,
    )
    sources = forms.ModelMultipleChoiceField(
        label="Sources",
        queryset=Source.objects.all(),
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )

    def __init__(self, platform: Platform, destination: Destination | None = None, **kwargs: Any) -> None:
        self.platform, self.destination = platform, destination
        self.stored = destination.config if destination else {}
        if destination is not None:
            kwargs["initial"] = {
                "name": destination.name,
                "is_sandbox": destination.is_sandbox,
                "source_choice": SourceChoice.ALL if destination.all_sources else SourceChoice.CHOSEN,
                "sources": list(destination.sources.all()),
            } | kwargs.get("initial", {})
        super().__init__(**kwargs)
        for field in platform.fields:
            is_set = field.secret and bool(self.stored.get(field.name))
            self.fields[PREFIX + field.name] = watched(
                platform, field, grown(field, self.stored.get(field.name), is_set=is_set)
            )
            if is_set and field.name not in platform.problems({**self.stored, field.name: ""}):
                self.fields[CLEAR + field.name] = forms.BooleanField(
                    label=f"Remove the stored {field.label.lower()}", required=False
                )

    def platform_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.fields if name.startswith((PREFIX, CLEAR))]

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        others = Destination.objects.filter(name__iexact=name)
        if self.destination is not None:
            others = others.exclude(pk=self.destination.pk)
        if others.exists():
            raise forms.ValidationError("There is a destination of that name already.")
        return name

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if data.get("source_choice") == SourceChoice.CHOSEN and not data.get("sources"):
            self.add_error("sources", "Choose at least one, or take every source.")
        for name, sentence in self.platform.problems(self.config()).items():
            if PREFIX + name not in self.errors:
                self.add_error(PREFIX + name, sentence)
        return data

    def config(self) -> dict[str, str]:
        """The platform's values as they are to be: what was entered, and of the secrets left empty what is stored."""
        values = {}
        for field in self.platform.fields:
            entered = str(self.cleaned_data.get(PREFIX + field.name) or "").replace("\r\n", "\n").strip()
            if field.secret and not entered and not self.cleaned_data.get(CLEAR + field.name):
                entered = self.stored.get(field.name, "")
            values[field.name] = entered
        return values

    def chosen_sources(self) -> list[Source] | None:
        """None: every source."""
        if self.cleaned_data["source_choice"] == SourceChoice.ALL:
            return None
        return list(self.cleaned_data["sources"])


def grown(field: Field, stored: str | None, *, is_set: bool) -> forms.Field:
    """The form field of a platform's field. Its checks are the platform's own sentences, not the widget's."""
    help_text = field.help
    if field.example and not field.secret and not field.choices:
        help_text = f"{help_text}{'. ' if help_text else ''}Example: {field.example}"
    if is_set:
        help_text = f"{help_text}{'. ' if help_text else ''}Set: leave empty to keep it."
    common: dict[str, Any] = {
        "label": field.label,
        "help_text": help_text,
        # Whether it may be empty is for the platform to say, which may take other credentials in its place.
        "required": False,
    }
    if not field.secret:
        common["initial"] = field.default if stored is None else stored
    made: forms.Field
    if field.choices:
        # What has a default is set from the start; only a destination that was made without it may stay so.
        is_settled = field.required or (field.default and stored != "")
        empty = [] if is_settled else [("", "Not set")]
        made = forms.ChoiceField(
            choices=[*empty, *field.choices],
            error_messages={"invalid_choice": f"{field.label} must be one of the list."},
            **common,
        )
    else:
        made = forms.CharField(widget=_widget(field, is_set=is_set), max_length=20_000, **common)
    made.is_expected = field.required and not is_set  # type: ignore[attr-defined]  # for the mark beside the label
    return made


def watched(platform: Platform, field: Field, made: forms.Field) -> forms.Field:
    """Have its shape looked at as soon as it was typed. Without JavaScript saving says the same."""
    if field.pattern and not field.choices:
        made.is_watched = True  # type: ignore[attr-defined]  # there is a place for what is said
        name = PREFIX + field.name
        made.widget.attrs |= {
            "hx-post": reverse("destinations:look_at_field", args=[platform.key, field.name]),
            "hx-trigger": "change",
            "hx-target": f"#id_{name}_said",
            "hx-params": f"{name},csrfmiddlewaretoken",
        }
    return made


def _widget(field: Field, *, is_set: bool) -> forms.Widget:
    attrs = {"autocomplete": "off", "spellcheck": "false"}
    if is_set:
        attrs["placeholder"] = "Set"
    if field.multiline:
        return WriteOnlyTextarea(attrs) if field.secret else forms.Textarea(attrs)
    if field.secret:
        # new-password: browsers do not offer the user's own password here.
        return forms.PasswordInput(attrs | {"autocomplete": "new-password"}, render_value=False)
    return forms.TextInput(attrs)


class DeliveryFilter(forms.Form):
    """Everything is optional. What makes no sense matches nothing; see `values`."""

    event_id = forms.CharField(label="Event id", required=False, max_length=128)
    destination = forms.ModelChoiceField(
        queryset=Destination.objects.defer("secrets"), required=False, empty_label="Every destination"
    )
    state = forms.TypedChoiceField(
        choices=[("", "Every state"), *State.choices], coerce=int, empty_value=None, required=False
    )
    event = forms.CharField(label="Event name", required=False, max_length=64)
    source = forms.ModelChoiceField(queryset=Source.objects.all(), required=False, empty_label="Every source")
    since = forms.DateTimeField(
        label="From (UTC)", required=False, widget=forms.DateTimeInput({"type": "datetime-local"}, "%Y-%m-%dT%H:%M")
    )
    until = forms.DateTimeField(
        label="To (UTC)", required=False, widget=forms.DateTimeInput({"type": "datetime-local"}, "%Y-%m-%dT%H:%M")
    )
    reason = forms.CharField(required=False, max_length=32, widget=forms.HiddenInput)
    detail = forms.CharField(required=False, max_length=400, strip=False, widget=forms.HiddenInput)

    def values(self) -> dict[str, Any] | None:
        """None when a filter makes no sense: then nothing matches, rather than everything."""
        return self.cleaned_data if self.is_valid() else None


class AttemptFilter(forms.Form):
    destination = forms.ModelChoiceField(
        queryset=Destination.objects.defer("settings", "secrets"), required=False, empty_label="Every destination"
    )
    outcome = forms.ChoiceField(
        required=False,
        choices=[("", "Every outcome"), ("failed", "Not taken"), *((one.value, one.value) for one in Result)],
    )
    status = forms.IntegerField(label="HTTP status", required=False, min_value=100, max_value=599)
    since = forms.DateTimeField(
        label="From (UTC)", required=False, widget=forms.DateTimeInput({"type": "datetime-local"}, "%Y-%m-%dT%H:%M")
    )
    until = forms.DateTimeField(
        label="To (UTC)", required=False, widget=forms.DateTimeInput({"type": "datetime-local"}, "%Y-%m-%dT%H:%M")
    )


class LiveFilter(forms.Form):
    event = forms.CharField(label="Event name", required=False, max_length=64)
    source = forms.ModelChoiceField(queryset=Source.objects.all(), required=False, empty_label="Every source")
    destination = forms.ModelChoiceField(
        queryset=Destination.objects.defer("settings", "secrets"), required=False, empty_label="Every destination"
    )
    state = forms.TypedChoiceField(
        choices=[("", "Every state"), *State.choices], coerce=int, empty_value=None, required=False
    )


class TraceForm(forms.Form):
    by = forms.ChoiceField(
        label="By",
        required=False,
        choices=[("event", "Event id"), *((name, key.label) for name, key in lookup.KEYS.items())],
    )
    id = forms.CharField(label="What to look for", max_length=256, required=False)
    source = forms.CharField(max_length=64, required=False, widget=forms.HiddenInput)
