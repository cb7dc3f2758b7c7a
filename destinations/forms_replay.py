"""The form of a replay: what, of which events, since when, how fast."""

from __future__ import annotations

from typing import Any

from django import forms

from destinations import reasons
from destinations.models import MAX_DESTINATION_ID, Destination, ReplayKind
from destinations.replay_plan import TIME, Plan
from destinations.replays import MOST_CHOSEN, RATES
from events.models import Source
from trackstack_site.guard import key_of


class ReplayForm(forms.Form):
    """Filled from the address, so that a plan can be shared; started by POST of the same fields."""

    kind = forms.ChoiceField(
        label="What",
        choices=[
            (ReplayKind.DEAD, "Dead deliveries, once more"),
            (ReplayKind.MISSED, "Events that were not sent there (backfill)"),
        ],
        initial=ReplayKind.DEAD,
    )
    destination = forms.ModelChoiceField(queryset=Destination.objects.none(), empty_label="Choose…")
    event = forms.CharField(label="Event name", required=False, max_length=64, help_text="Empty: every event.")
    source = forms.ModelChoiceField(queryset=Source.objects.none(), required=False, empty_label="Every source")
    since = forms.DateTimeField(
        label="Received from (UTC)", required=False, widget=forms.DateTimeInput({"type": "datetime-local"}, TIME)
    )
    until = forms.DateTimeField(
        label="Received before (UTC)", required=False, widget=forms.DateTimeInput({"type": "datetime-local"}, TIME)
    )
    rate = forms.TypedChoiceField(
        label="Speed",
        coerce=int,
        choices=[(rate, f"{rate} a second at most") for rate in RATES],
        initial=50,
        help_text="Live events always go first, whatever the speed.",
    )
    reason = forms.CharField(required=False, max_length=32, widget=forms.HiddenInput)
    detail = forms.CharField(required=False, max_length=400, strip=False, widget=forms.HiddenInput)
    only = forms.CharField(required=False, max_length=21 * MOST_CHOSEN, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = Destination.objects.present().defer("settings", "secrets").order_by("name")
        builtin = [one.pk for one in choices if one.platform.is_builtin]
        self.fields["destination"].queryset = choices.exclude(pk__in=builtin)  # type: ignore[attr-defined]
        self.fields["source"].queryset = Source.objects.all()  # type: ignore[attr-defined]

    @property
    def reason_label(self) -> str:
        return reasons.label(self["reason"].value() or "")

    def clean_only(self) -> tuple[int, ...]:
        keys = [key_of(text) for text in self.cleaned_data["only"].replace(",", " ").split()]
        if None in keys:
            raise forms.ValidationError("The chosen deliveries are no keys.")
        return tuple(key for key in keys if key is not None)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        since, until = data.get("since"), data.get("until")
        if since and until and since >= until:
            self.add_error("until", "This must be later than the beginning.")
        destination = data.get("destination")
        others = [key for key in data.get("only", ()) if destination and key & MAX_DESTINATION_ID != destination.pk]
        if others:
            said = f"{len(others)} of the chosen deliveries are of another destination: choose those of one at a time."
            self.add_error(None, said)
        return data

    def plan(self) -> Plan:
        data = self.cleaned_data
        is_dead = data["kind"] == ReplayKind.DEAD
        return Plan(
            ReplayKind(data["kind"]), data["destination"], data["event"], data["source"],
            data["reason"] if is_dead else "", data["detail"] if is_dead else "", data["only"] if is_dead else (),
            data["since"], data["until"],
        )  # fmt: skip
