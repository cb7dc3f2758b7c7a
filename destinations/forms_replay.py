"""The form of a replay: what, of which events, since when, how fast."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.text import format_lazy
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from destinations import reasons
from destinations.models import MAX_DESTINATION_ID, Destination, ReplayKind
from destinations.replay_plan import Plan
from destinations.replays import MOST_CHOSEN, RATES
from events.forms import OneSource
from trackstack_site.guard import key_of
from trackstack_site.moment_field import MomentField
from trackstack_site.wording import NameSelect


class ReplayForm(forms.Form):
    """Filled from the address, so that a plan can be shared; started by POST of the same fields."""

    kind = forms.ChoiceField(
        label=_("What"),
        choices=[
            (ReplayKind.DEAD, _("Dead deliveries, once more")),
            (ReplayKind.MISSED, _("Events that were not sent there (backfill)")),
        ],
        initial=ReplayKind.DEAD,
    )
    destination = forms.ModelChoiceField(
        label=_("Destination"), queryset=Destination.objects.none(), empty_label=_("Choose…"), widget=NameSelect
    )
    event = forms.CharField(label=_("Event name"), required=False, max_length=64, help_text=_("Empty: every event."))
    source = OneSource()
    since = MomentField(_("Received from ({zone})"))
    until = MomentField(_("Received before ({zone})"))
    rate = forms.TypedChoiceField(
        label=_("Speed"),
        coerce=int,
        choices=[(rate, format_lazy(_("{rate} a second at most"), rate=rate)) for rate in RATES],
        initial=50,
        help_text=_("Live events always go first, whatever the speed."),
    )
    reason = forms.CharField(required=False, max_length=32, widget=forms.HiddenInput)
    detail = forms.CharField(required=False, max_length=400, strip=False, widget=forms.HiddenInput)
    only = forms.CharField(required=False, max_length=21 * MOST_CHOSEN, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = Destination.objects.present().defer("settings", "secrets").order_by("name")
        builtin = [one.pk for one in choices if one.platform.is_builtin]
        self.fields["destination"].queryset = choices.exclude(pk__in=builtin)  # type: ignore[attr-defined]

    @property
    def reason_label(self) -> str:
        return reasons.label(self["reason"].value() or "")

    def clean_only(self) -> tuple[int, ...]:
        keys = [key_of(text) for text in self.cleaned_data["only"].replace(",", " ").split()]
        if None in keys:
            raise forms.ValidationError(gettext("The chosen deliveries are no keys."))
        return tuple(key for key in keys if key is not None)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        since, until = data.get("since"), data.get("until")
        if since and until and since >= until:
            self.add_error("until", gettext("This must be later than the beginning."))
        destination = data.get("destination")
        others = [key for key in data.get("only", ()) if destination and key & MAX_DESTINATION_ID != destination.pk]
        if others:
            said = ngettext(
                "%(count)d of the chosen deliveries is of another destination: choose those of one at a time.",
                "%(count)d of the chosen deliveries are of another destination: choose those of one at a time.",
                len(others),
            )
            self.add_error(None, said % {"count": len(others)})
        return data

    def plan(self) -> Plan:
        data = self.cleaned_data
        is_dead = data["kind"] == ReplayKind.DEAD
        return Plan(
            ReplayKind(data["kind"]), data["destination"], data["event"], data["source"],
            data["reason"] if is_dead else "", data["detail"] if is_dead else "", data["only"] if is_dead else (),
            data["since"], data["until"],
        )  # fmt: skip
