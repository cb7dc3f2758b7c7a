"""Forms of destinations, grown from the fields that the platform declares, and of the delivery filter."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import TextChoices
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from destinations.forms_layout import Layout, laid_out
from destinations.models import Destination, State
from destinations.platforms.base import Field, Platform, Result
from destinations.queries import RECEIVED
from events import lookup
from events.forms import OneSource
from events.models import Source
from trackstack_site.moment_field import MomentField
from trackstack_site.overtaken import SparesOthers
from trackstack_site.wording import NameCheckboxes, NameSelect

PREFIX = "field_"
CLEAR = "clear_"


class WriteOnlyTextarea(forms.Textarea):
    """A textarea that never shows what it was given: several lines of secret."""

    def format_value(self, value: Any) -> str | None:
        return None


class SourceChoice(TextChoices):
    ALL = "all", _("Every source, also those added later")
    CHOSEN = "chosen", _("Only these")


class Start(TextChoices):
    LATER = "later", _("Set up first")
    NOW = "now", _("Send from now on")


class DestinationForm(SparesOthers, forms.Form):
    """Name, sandbox and sources, and one form field for each of the platform's fields.

    Secrets are write-only: never rendered back, kept when left empty. `config()` is what to store.

    Of a destination that exists it posts what it showed beside what was entered, secrets apart: only what its reader
    changed is written, and what somebody else changed meanwhile is shown before it is replaced.
    """

    name = forms.CharField(
        label=_("Name"), max_length=64, help_text=_("As it is called in columns and history, such as “Meta EU”.")
    )
    is_sandbox = forms.BooleanField(
        label=_("Sandbox"),
        required=False,
        help_text=_(
            "Send to the built-in sandbox, which checks and answers as the platform does. "
            "It takes any credentials of the right shape."
        ),
    )
    source_choice = forms.ChoiceField(
        label=_("Takes events from"),
        choices=SourceChoice,
        widget=forms.RadioSelect,
        initial=SourceChoice.ALL,
    )
    sources = forms.ModelMultipleChoiceField(
        label=_("Sources"),
        queryset=Source.objects.all(),
        required=False,
        widget=NameCheckboxes,
    )
    credentials_end = forms.DateField(
        label=_("Credentials end on"),
        required=False,
        widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"),
        help_text=_("The last day of the token or key, where it has one: this page, Health and an alert remind of it."),
    )
    shown_sources = forms.CharField(required=False, widget=forms.HiddenInput)
    """Which ones the form showed, as `_sources_text`."""
    start = forms.ChoiceField(
        label=_("When does it start?"),
        choices=Start,
        widget=forms.RadioSelect,
        initial=Start.LATER,
        required=False,
        help_text=_("Set up first: it is off until you switch it on, and its page shows the steps to there."),
    )

    def __init__(self, platform: Platform, destination: Destination | None = None, **kwargs: Any) -> None:
        self.platform, self.destination = platform, destination
        self.stored = destination.config if destination else {}
        if destination is not None:
            kwargs["initial"] = {
                "name": destination.name,
                "is_sandbox": destination.is_sandbox,
                "source_choice": SourceChoice.ALL if destination.all_sources else SourceChoice.CHOSEN,
                "sources": (held := list(destination.sources.all())),
                "shown_sources": _sources_text(None if destination.all_sources else held),
                "credentials_end": destination.credentials_end,
            } | kwargs.get("initial", {})
        super().__init__(**kwargs)
        del self.fields["shown_sources" if destination is None else "start"]
        for field in platform.fields:
            is_set = field.secret and bool(self.stored.get(field.name))
            self.fields[PREFIX + field.name] = watched(
                platform, field, grown(field, self.stored.get(field.name), is_set=is_set)
            )
            if is_set and field.name not in platform.problems({**self.stored, field.name: ""}):
                self.fields[CLEAR + field.name] = forms.BooleanField(
                    label=gettext("Remove the stored %(field)s") % {"field": str(field.label).lower()}, required=False
                )
        if destination is not None:
            plain = [PREFIX + field.name for field in platform.fields if not field.secret]
            self.show_what_was_shown(["name", "is_sandbox", "credentials_end", *plain])

    def layout(self) -> Layout:
        return laid_out(self, self.platform.fields, self.stored, (PREFIX, CLEAR))

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        others = Destination.objects.filter(name__iexact=name)
        if self.destination is not None:
            others = others.exclude(pk=self.destination.pk)
        if others.exists():
            raise forms.ValidationError(gettext("There is a destination of that name already."))
        return name

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if data.get("source_choice") == SourceChoice.CHOSEN and not data.get("sources"):
            self.add_error("sources", gettext("Choose at least one, or take every source."))
        if self.destination is not None and "source_choice" in data and "sources" in data:
            self._spare_sources(data)
        for name, sentence in self.platform.problems(self.config()).items():
            if PREFIX + name not in self.errors:
                self.add_error(PREFIX + name, sentence)
        return data

    def _spare_sources(self, data: dict[str, Any]) -> None:
        """As other fields are spared: two fields are one choice here."""
        now = self.initial["shown_sources"]
        shown, entered = self.data.get("shown_sources", now), _sources_text(self.chosen_sources())
        if entered == shown:
            data |= {name: self.initial[name] for name in ("source_choice", "sources")}
        elif now not in (shown, entered):
            is_every = self.initial["source_choice"] == SourceChoice.ALL
            names = ", ".join(source.name for source in self.initial["sources"])
            self.tell("source_choice", gettext("every source") if is_every else names, {"shown_sources": now})

    def config(self) -> dict[str, str]:
        """The platform's values as they are to be: what was entered, and of the secrets left empty what is stored."""
        values = {}
        for field in self.platform.fields:
            entered = str(self.cleaned_data.get(PREFIX + field.name) or "").replace("\r\n", "\n").strip()
            if field.secret and not entered and not self.cleaned_data.get(CLEAR + field.name):
                entered = self.stored.get(field.name, "")
            values[field.name] = entered
        return values

    def is_started(self) -> bool:
        """Whether a new destination is on at once."""
        return self.cleaned_data.get("start") == Start.NOW

    def chosen_sources(self) -> list[Source] | None:
        """None: every source."""
        if self.cleaned_data["source_choice"] == SourceChoice.ALL:
            return None
        return list(self.cleaned_data["sources"])


def _sources_text(sources: list[Source] | None) -> str:
    return "all" if sources is None else ",".join(map(str, sorted(source.pk for source in sources)))


def grown(field: Field, stored: str | None, *, is_set: bool) -> forms.Field:
    """The form field of a platform's field. Its checks are the platform's own sentences, not the widget's."""
    help_texts = [field.help] if field.help else []
    if field.example and not field.secret and not field.choices:
        help_texts.append(format_html(gettext("Example: {example}"), example=field.example))
    if is_set:
        help_texts.append(gettext("Set: leave empty to keep it."))
    common: dict[str, Any] = {
        "label": field.label,
        "help_text": format_html_join(". ", "{}", ((one,) for one in help_texts)),
        # Whether it may be empty is for the platform to say, which may take other credentials in its place.
        "required": False,
    }
    if not field.secret:
        common["initial"] = field.default if stored is None else stored
    made: forms.Field
    if field.choices:
        # What has a default is set from the start; only a destination that was made without it may stay so.
        is_settled = field.required or (field.default and stored != "")
        empty = [] if is_settled else [("", gettext("Not set"))]
        made = forms.ChoiceField(
            widget=NameSelect(ours=("", *(value for value, label in field.choices if not _is_name(value, label)))),
            choices=[*empty, *field.choices],
            error_messages={"invalid_choice": gettext("%(field)s must be one of the list.") % {"field": field.label}},
            **common,
        )
    else:
        made = forms.CharField(widget=_widget(field, is_set=is_set), max_length=20_000, **common)
    made.is_expected = field.required and not field.way and not is_set  # type: ignore[attr-defined]  # for the mark beside the label
    return made


def _is_name(value: str, label: str | Promise) -> bool:
    """Whether a choice has no words of ours, only the vendor's."""
    return not isinstance(label, Promise) and label == value


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
        attrs["placeholder"] = gettext("Set")
    if field.multiline:
        return WriteOnlyTextarea(attrs) if field.secret else forms.Textarea(attrs)
    if field.secret:
        # new-password: browsers do not offer the user's own password here.
        return forms.PasswordInput(attrs | {"autocomplete": "new-password"}, render_value=False)
    return forms.TextInput(attrs)


class OneDestination(forms.ModelChoiceField):
    """Of a filter: one destination, or every."""

    def __init__(self) -> None:
        super().__init__(
            Destination.objects.defer("secrets"),
            label=_("Destination"),
            required=False,
            empty_label=_("Every destination"),
            widget=NameSelect(),
        )


class DeliveryFilter(forms.Form):
    """Everything is optional. What makes no sense matches nothing; see `values`."""

    event_id = forms.CharField(label=_("Event id"), required=False, max_length=128)
    destination = OneDestination()
    state = forms.TypedChoiceField(
        label=_("State"),
        choices=[("", _("All that was to be sent")), *State.choices, (RECEIVED, _("All that was received"))],
        coerce=int,
        empty_value=None,
        required=False,
    )
    event = forms.CharField(label=_("Event name"), required=False, max_length=64)
    source = OneSource()
    since = MomentField(_("From ({zone})"))
    until = MomentField(_("To ({zone})"))
    reason = forms.CharField(required=False, max_length=32, widget=forms.HiddenInput)
    detail = forms.CharField(required=False, max_length=400, strip=False, widget=forms.HiddenInput)

    def values(self) -> dict[str, Any] | None:
        """None when a filter makes no sense: then nothing matches, rather than everything."""
        return self.cleaned_data if self.is_valid() else None


class AttemptFilter(forms.Form):
    destination = OneDestination()
    outcome = forms.ChoiceField(
        label=_("Outcome"),
        required=False,
        widget=NameSelect(ours=("", "failed")),
        choices=[("", _("Every outcome")), ("failed", _("Not taken")), *((one.value, one.value) for one in Result)],
    )
    status = forms.IntegerField(label=_("HTTP status"), required=False, min_value=100, max_value=599)
    since = MomentField(_("From ({zone})"))
    until = MomentField(_("To ({zone})"))


class LiveFilter(forms.Form):
    event = forms.CharField(label=_("Event name"), required=False, max_length=64)
    source = OneSource()
    destination = OneDestination()
    state = forms.TypedChoiceField(
        label=_("State"), choices=[("", _("Every state")), *State.choices], coerce=int, empty_value=None, required=False
    )


class TraceForm(forms.Form):
    by = forms.ChoiceField(
        label=_("By"),
        required=False,
        choices=[("event", _("Event id")), *((name, key.label) for name, key in lookup.KEYS.items())],
    )
    id = forms.CharField(label=_("What to look for"), max_length=256, required=False)
    source = forms.CharField(max_length=64, required=False, widget=forms.HiddenInput)
