"""Forms of alert channels and rules."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.core.validators import validate_email
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from destinations.alert_models import AlertChannel, AlertRule, ChannelKind
from destinations.alerts import KINDS
from destinations.signing import keys_of
from trackstack_site.wording import NameCheckboxes

_URL = re.compile(r"https://[^\s/?#@]+([/?#]\S*)?|http://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?([/?#]\S*)?")


class ChannelForm(forms.Form):
    """The address is write-only: it is never shown again, and kept when left empty."""

    name = forms.CharField(label=_("Name"), max_length=64)
    kind = forms.ChoiceField(label=_("Kind"), choices=ChannelKind.choices)
    to = forms.CharField(
        label=_("E-mail addresses"),
        required=False,
        max_length=1000,
        help_text=_("For e-mail; several with commas between."),
    )
    url = forms.CharField(
        label=_("Address of the hook"),
        required=False,
        max_length=2000,
        widget=forms.PasswordInput({"autocomplete": "off"}, render_value=False),
        help_text=_("For Slack (Apps → Incoming webhooks) or a webhook of your own; https."),
    )
    secret = forms.CharField(
        label=_("Signing secret"),
        required=False,
        max_length=200,
        widget=forms.PasswordInput({"autocomplete": "new-password"}, render_value=False),
        help_text=_("For a signed webhook: whsec_ and 24 to 64 random bytes in base64."),
    )
    is_enabled = forms.BooleanField(label=_("On"), required=False, initial=True)

    def __init__(self, *args: Any, channel: AlertChannel | None = None, **kwargs: Any) -> None:
        self.channel = channel
        if channel is not None:
            kwargs["initial"] = {
                "name": channel.name, "kind": channel.kind, "to": channel.values.get("to", ""),
                "is_enabled": channel.is_enabled,
            }  # fmt: skip
        super().__init__(*args, **kwargs)

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        others = AlertChannel.objects.filter(name__iexact=name).exclude(pk=self.channel.pk if self.channel else None)
        if others.exists():
            raise forms.ValidationError(gettext("There is a channel of that name already."))
        return name

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        values = self.values()
        if data.get("kind") == ChannelKind.EMAIL:
            for address in values.get("to", "").split(",") or [""]:
                try:
                    validate_email(address.strip())
                except forms.ValidationError:
                    said = (
                        gettext("%(address)s is no e-mail address.")
                        if address.strip()
                        else gettext("This is no e-mail address.")
                    )
                    self.add_error("to", said % {"address": address.strip()})
            return data
        if not _URL.fullmatch(values.get("url", "")):
            self.add_error("url", gettext("Enter the whole address, beginning with https://."))
        if data.get("kind") == ChannelKind.WEBHOOK and not keys_of(values.get("secret", "")):
            self.add_error("secret", gettext("Enter whsec_ and a base64 text, or no receiver can trust the message."))
        return data

    def values(self) -> dict[str, str]:
        """What to store: what was entered, and of the secrets left empty what is stored."""
        kept = self.channel.values if self.channel else {}
        wanted = ("to",) if self.cleaned_data.get("kind") == ChannelKind.EMAIL else ("url", "secret")
        found = {name: str(self.cleaned_data.get(name) or kept.get(name, "")).strip() for name in wanted}
        return {name: value for name, value in found.items() if value}


class RuleForm(forms.Form):
    threshold = forms.FloatField(label=_("Threshold"), required=False)
    is_enabled = forms.BooleanField(label=_("Watched"), required=False)
    channels = forms.ModelMultipleChoiceField(
        label=_("Told to"), queryset=AlertChannel.objects.none(), required=False, widget=NameCheckboxes
    )

    def __init__(self, *args: Any, rule: AlertRule, **kwargs: Any) -> None:
        kind = KINDS[rule.kind]
        kwargs["initial"] = {
            "threshold": f"{rule.threshold:g}", "is_enabled": rule.is_enabled, "channels": rule.channels.all(),
        }  # fmt: skip
        super().__init__(*args, **kwargs)
        self.fields["channels"].queryset = AlertChannel.objects.all()  # type: ignore[attr-defined]
        if kind.most:
            usual = {"question": kind.question, "usual": f"{kind.default:g}"}
            bounds = {"min": f"{kind.least:g}", "max": f"{kind.most:g}", "step": "any"}
            self.fields["threshold"] = forms.FloatField(
                label=gettext("Threshold (%(unit)s)") % {"unit": kind.unit}, min_value=kind.least, max_value=kind.most,
                widget=forms.NumberInput(bounds), help_text=gettext("%(question)s. Usual: %(usual)s.") % usual,
            )  # fmt: skip
        else:
            del self.fields["threshold"]
