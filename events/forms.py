"""Forms of sources, keys, the taxonomy and rejected events."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from events.models import CanonicalEvent, RejectedEvent, Source, Stage
from trackstack_site.overtaken import SparesOthers
from trackstack_site.wording import NameSelect

ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:\d{1,5})?")
"""scheme://host[:port], as browsers send it: no path, no trailing slash."""
MAX_ORIGINS = 100


class OriginsField(forms.CharField):
    """One origin per line; the value is a list."""

    widget = forms.Textarea

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.clean(data) != (initial or []))
        except forms.ValidationError:
            return True

    def clean(self, value: Any) -> list[str]:
        lines = (line.strip().rstrip("/").lower() for line in super().clean(value).splitlines())
        origins = list(dict.fromkeys(line for line in lines if line))
        if len(origins) > MAX_ORIGINS:
            sentence = ngettext("At most %(count)d origin.", "At most %(count)d origins.", MAX_ORIGINS)
            raise forms.ValidationError(sentence % {"count": MAX_ORIGINS})
        for origin in origins:
            if origin != "*" and (len(origin) > 200 or not ORIGIN.fullmatch(origin)):
                sentence = _(
                    "%(origin)s is no origin: write scheme://host or scheme://host:port, such as"
                    " https://app.example.com, or * for any."
                )
                raise forms.ValidationError(sentence % {"origin": origin[:80]})
        return origins


class SourceForm(SparesOthers, forms.ModelForm):
    allowed_origins = OriginsField(
        label=gettext_lazy("Allowed origins"),
        required=False,
        widget=forms.Textarea({"rows": 3, "placeholder": "https://app.example.com", "spellcheck": "false"}),
        help_text=gettext_lazy(
            "Browser origins that may send with this source's keys, one per line. Empty: servers only."
        ),
    )

    class Meta:
        model = Source
        fields = (
            "name",
            "allowed_origins",
            "default_marketing_consent",
            "default_analytics_consent",
            "is_active",
        )
        labels = {
            "name": gettext_lazy("Name"),
            "default_marketing_consent": gettext_lazy("Marketing consent unless said otherwise"),
            "default_analytics_consent": gettext_lazy("Analytics consent unless said otherwise"),
            "is_active": gettext_lazy("Active"),
        }
        help_texts = {
            "name": gettext_lazy("The app or site that sends, such as “Web app”."),
            "is_active": gettext_lazy("Switched off, its keys are refused."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.show_what_was_shown()


class KeyForm(forms.Form):
    label = forms.CharField(
        label=gettext_lazy("Label"),
        max_length=64,
        required=False,
        help_text=gettext_lazy("What the key is for, such as “Production”."),
    )
    expires = forms.TypedChoiceField(
        label=gettext_lazy("Expires"),
        choices=[
            ("", gettext_lazy("Never")),
            ("30", gettext_lazy("In 30 days")),
            ("90", gettext_lazy("In 90 days")),
            ("365", gettext_lazy("In a year")),
        ],
        coerce=int,
        empty_value=None,
        required=False,
    )

    def expires_at(self) -> datetime | None:
        days = self.cleaned_data["expires"]
        return None if days is None else timezone.now() + timedelta(days=days)


class EventForm(SparesOthers, forms.ModelForm):
    """What a team may change of an event. Its name is what product code sends, so that stays."""

    class Meta:
        model = CanonicalEvent
        fields = ("stage", "description", "routing_class", "when_to_fire", "avoid")
        labels = {
            "stage": gettext_lazy("Stage"),
            "description": gettext_lazy("Description"),
            "routing_class": gettext_lazy("Class"),
            "when_to_fire": gettext_lazy("Fire when"),
            "avoid": gettext_lazy("Avoid"),
        }
        help_texts = {
            "routing_class": gettext_lazy(
                "Warehouse only: never to an ad or analytics platform unless it is ticked there."
            ),
        }
        widgets = {
            "stage": NameSelect(),
            **{name: forms.Textarea({"rows": 2}) for name in ("description", "when_to_fire", "avoid")},
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.show_what_was_shown()


class RegisterForm(EventForm):
    """A new extension event; the name is checked by `taxonomy.register`, which has the sentences."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=80,
        help_text=gettext_lazy("PascalCase, exactly as product code sends it: WebinarAttended."),
    )
    stage = forms.ModelChoiceField(
        label=gettext_lazy("Stage"),
        queryset=Stage.objects.all(),
        empty_label=None,
        widget=NameSelect(),
    )
    field_order = ("name", "stage", "description", "routing_class", "when_to_fire", "avoid")


class OneSource(forms.ModelChoiceField):
    """Of a filter: one source, or every."""

    def __init__(self) -> None:
        super().__init__(
            Source.objects.all(),
            label=gettext_lazy("Source"),
            required=False,
            empty_label=gettext_lazy("Every source"),
            widget=NameSelect(),
        )


class RejectedFilter(forms.Form):
    code = forms.CharField(required=False, max_length=32)
    source = OneSource()
    event = forms.CharField(label=gettext_lazy("Event name"), required=False, max_length=128)
    status = forms.ChoiceField(
        label=gettext_lazy("Show"),
        required=False,
        choices=[
            ("", gettext_lazy("Not yet re-submitted")),
            ("again", gettext_lazy("Re-submitted")),
            ("all", gettext_lazy("All")),
        ],
    )

    def values(self) -> dict[str, Any]:
        self.is_valid()
        return self.cleaned_data


class ResubmitForm(forms.Form):
    payload = forms.CharField(
        label=gettext_lazy("Event as JSON"),
        widget=forms.Textarea({"rows": 16, "spellcheck": "false", "autocomplete": "off"}),
        max_length=1_000_000,
        help_text=gettext_lazy("Personal values show as ***: leave them so and they go back in as they were sent."),
    )

    def __init__(self, rejected: RejectedEvent, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rejected = rejected

    def clean_payload(self) -> dict[str, Any]:
        try:
            value = json.loads(self.cleaned_data["payload"])
        except (ValueError, RecursionError) as error:
            raise forms.ValidationError(_("This is not JSON: %(error)s.") % {"error": error}) from None
        if not isinstance(value, dict):
            raise forms.ValidationError(_("Write one event: a JSON object in braces."))
        return value
