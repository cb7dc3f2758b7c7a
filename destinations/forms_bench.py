"""The form that chooses an event to try out, and for the test bench the destinations."""

from __future__ import annotations

import itertools
from collections.abc import Collection
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import msgspec
from django import forms
from django.forms.boundfield import BoundWidget
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from destinations.choosing import MAX_PASTED, Chosen, NothingChosen, Pick, choose
from events.models import Event
from routing.policy import DestinationRule, SourceRule, stands
from routing.snapshot import Snapshot
from trackstack_site.guard import key_of
from trackstack_site.wording import NameCheckboxes, NameSelect

FIRST_CHOICE = "SignUp"
PICKS = {
    Pick.SAMPLE: _("A sample of it, about a made-up person"),
    Pick.REAL: _("The last one received, its person masked"),
    Pick.PASTED: _("JSON that I paste"),
}

CAME_FROM = _("The one you came from, its person masked")


class TryForm(forms.Form):
    """`chosen()` is the event, once the form is valid; what cannot be chosen is an error of the form."""

    pick = forms.ChoiceField(label=_("Start from"), widget=forms.RadioSelect, initial=Pick.SAMPLE)
    event = forms.ChoiceField(label=_("Event"), required=False, widget=NameSelect)
    text = forms.CharField(
        label=_("Event as JSON"),
        required=False,
        max_length=MAX_PASTED,
        widget=forms.Textarea(
            {
                "rows": 8,
                "spellcheck": "false",
                "placeholder": '{"event": "SignUp", "eventId": "signup-42", "email": "…"}',
            }
        ),
        help_text=_("One event, as product code sends it. It is not stored."),
    )
    source = forms.ChoiceField(label=_("As if sent by"), required=False, widget=NameSelect)
    key = forms.CharField(required=False, max_length=19, widget=forms.HiddenInput)
    """Of the real event that somebody came from, to be tried out instead of the last one of its name."""

    def __init__(self, state: Snapshot, *args: Any, may_see_events: bool, **kwargs: Any) -> None:
        super().__init__(*args, auto_id="id_try_%s", **kwargs)  # it stands beside other forms
        self.state = state
        self.found: Chosen | None = None
        self.fields["pick"].choices = [
            (pick.value, label) for pick, label in PICKS.items() if may_see_events or pick is not Pick.REAL
        ]
        key = key_of(str(self["key"].value() or "")) if may_see_events else None
        self.came_from = Event.objects.only("name").filter(pk=key).first() if key else None
        named = by_stage(state)
        if self.came_from and self.came_from.name not in state.events:
            named.append((gettext("Not registered"), [(self.came_from.name, self.came_from.name)]))
        self.fields["event"].choices = named
        if key and (self.came_from is None or self.came_from.name == self["event"].value()):
            self.fields["pick"].choices = [
                (pick, CAME_FROM if pick == Pick.REAL else label) for pick, label in self.fields["pick"].choices
            ]
        self.fields["event"].initial = FIRST_CHOICE if FIRST_CHOICE in state.events else next(iter(state.events), "")
        sources = [(str(source.id), source.name) for source in state.sources.values()]
        self.fields["source"].choices = sources
        if not sources:
            del self.fields["source"]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        pick = data.get("pick")
        if pick == Pick.PASTED and not data.get("text") and "text" not in self.errors:
            self.add_error("text", gettext("Paste an event."))
        elif pick and pick != Pick.PASTED and not data.get("event") and "event" not in self.errors:
            self.add_error("event", gettext("Choose an event."))
        return data

    def chosen(self, now: datetime) -> Chosen | None:
        """The event; None, with an error on the form, when there is no such. Call it on a valid form."""
        data = self.cleaned_data
        first = next(iter(self.state.sources), 0)
        try:
            return choose(
                Pick(data["pick"]),
                data["event"],
                text=data["text"],
                source_id=int(data.get("source") or first),
                key=key_of(data["key"]) or 0,
                state=self.state,
                now=now,
            )
        except NothingChosen as error:
            self.add_error("text" if data["pick"] == Pick.PASTED else "pick", str(error))
            return None


class BenchForm(TryForm):
    to = forms.TypedMultipleChoiceField(label=_("Destinations"), coerce=int, widget=NameCheckboxes, required=False)

    def __init__(self, state: Snapshot, *args: Any, **kwargs: Any) -> None:
        super().__init__(state, *args, **kwargs)
        self.fields["to"].choices = [(rule.id, rule.name) for rule in state.rules.values()]
        event = self["event"].value() or ""
        self.on = {rule.id for rule in state.rules.values() if _is_on(rule, event, state)}
        self.fields["to"].initial = sorted(self.on)
        # Another event is on elsewhere: the list follows it. Without JavaScript it keeps its ticks.
        self.fields["event"].widget.attrs |= {
            "hx-get": reverse("destinations:bench"),
            "hx-trigger": "change",
            "hx-target": "#bench-to",
            "hx-select": "#bench-to",
            "hx-swap": "outerHTML",
            "hx-disabled-elt": "this",
        }

    @property
    def destinations(self) -> list[tuple[BoundWidget, bool]]:
        """The box of each, and whether the event is on there."""
        return [(box, int(str(box.data["value"])) in self.on) for box in self["to"]]

    @property
    def address(self) -> str:
        """The query that leads to the same dry run, of a valid form; empty for what was pasted."""
        data = self.cleaned_data
        if data["pick"] == Pick.PASTED:
            return ""
        values = {name: data[name] for name in ("event", "pick", "source") if data.get(name)}
        if self.came_from:
            # Also with another choice: the way back to it is still in the form.
            values["key"] = self.came_from.pk
        return f"?{urlencode(values | {'to': list(data['to'])}, doseq=True)}"

    def clean_to(self) -> Collection[int]:
        to: list[int] = self.cleaned_data["to"]
        if not to:
            raise forms.ValidationError(gettext("Choose at least one."))
        return to


def _is_on(rule: DestinationRule, event: str, state: Snapshot) -> bool:
    """What the toggles say, whoever sends it."""
    everybody = msgspec.structs.replace(rule, source_ids=None)
    return stands(everybody, SourceRule(id=0), event, state.events.get(event), {}).send


def by_stage(state: Snapshot) -> list[tuple[str, list[tuple[str, str]]]]:
    """Registered names in groups, in the order of the taxonomy."""
    labels = {key: label for key, label, *_ in state.stages}
    return [
        (labels.get(stage, stage), [(rule.name, rule.name) for rule in rules])
        for stage, rules in itertools.groupby(state.events.values(), key=lambda rule: rule.stage)
    ]
