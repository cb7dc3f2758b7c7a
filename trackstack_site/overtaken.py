"""Forms that two people may have open: a stale tab overwrites nothing unseen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext as _


class SparesOthers(forms.BaseForm):
    """A form that posts what it showed beside what was entered (`show_hidden_initial`).

    Of fields that its reader left as they were, what is stored now stays. What the reader changed, and somebody else
    meanwhile too, is an error that shows the other value; the next answer to it counts. A post that does not tell what
    was shown changes what it says.
    """

    touched: dict[str, Any]
    """After cleaning: the fields that the reader changed."""

    def show_what_was_shown(self, names: Iterable[str] | None = None) -> None:
        """Call it when the fields are there. names: of these only, for a secret is never shown."""
        for name in self.fields if names is None else names:
            self.fields[name].show_hidden_initial = True

    def clean(self) -> dict[str, Any]:
        super().clean()
        self.touched = {}
        instance = getattr(self, "instance", None)
        now = {name: self._text(name, self.get_initial_for_field(field, name)) for name, field in self.fields.items()}
        for name in [name for name in self.fields if name in self.cleaned_data]:
            shown = self._normal(self.data.get(self.add_initial_prefix(name), now[name]))
            entered = self._text(name, self.cleaned_data[name])
            if entered == shown:
                if entered != now[name]:
                    stored = self.get_initial_for_field(self.fields[name], name)
                    self.cleaned_data[name] = stored if instance is None else getattr(instance, name)
                continue
            self.touched[name] = self.cleaned_data[name]
            if now[name] not in (shown, entered):
                label = dict(getattr(self.fields[name], "choices", ())).get(now[name], now[name])
                self.tell(name, label, {self.add_initial_prefix(name): now[name]})
        return self.cleaned_data

    def tell(self, name: str, value: Any, shown: Mapping[str, str]) -> None:
        """Somebody else made a field `value` meanwhile; `shown`, as posted, is what the next answer is decided on."""
        self.touched.pop(name, None)
        sentence = _("Somebody made it “%(value)s” meanwhile. Save again to replace that.")
        self.add_error(name, sentence % {"value": value or _("empty")})
        self.data = self.data.copy()  # type: ignore[union-attr]
        for key, text in shown.items():
            self.data[key] = text  # type: ignore[index]

    def _text(self, name: str, value: Any) -> str:
        """As a hidden field posts it."""
        field = self.fields[name]
        return self._normal(field.hidden_widget().format_value(field.prepare_value(value)))

    @staticmethod
    def _normal(text: Any) -> str:
        return str("" if text is None else text).replace("\r\n", "\n")
