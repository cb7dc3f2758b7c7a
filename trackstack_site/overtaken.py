"""Forms that two people may have open: a stale tab overwrites nothing unseen."""

from __future__ import annotations

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

    def show_what_was_shown(self) -> None:
        """Call it when the fields are there."""
        for field in self.fields.values():
            field.show_hidden_initial = True

    def clean(self) -> dict[str, Any]:
        super().clean()
        self.touched = {}
        instance = getattr(self, "instance", None)
        now = {name: self._text(name, self.get_initial_for_field(field, name)) for name, field in self.fields.items()}
        for name in [name for name in self.fields if name in self.cleaned_data]:
            shown = self._normal(self.data.get(self.add_initial_prefix(name), now[name]))
            entered = self._text(name, self.cleaned_data[name])
            if entered == shown:
                if instance is not None and entered != now[name]:
                    self.cleaned_data[name] = getattr(instance, name)
                continue
            self.touched[name] = self.cleaned_data[name]
            if now[name] not in (shown, entered):
                self._tell(name, now[name])
        return self.cleaned_data

    def _tell(self, name: str, now: str) -> None:
        values = {"value": now or _("empty")}
        self.touched.pop(name)
        self.add_error(name, _("Somebody made it “%(value)s” meanwhile. Save again to replace that.") % values)
        # What is shown now is what the next answer is decided on.
        self.data = self.data.copy()  # type: ignore[union-attr]
        self.data[self.add_initial_prefix(name)] = now  # type: ignore[index]

    def _text(self, name: str, value: Any) -> str:
        """As a hidden field posts it."""
        field = self.fields[name]
        return self._normal(field.hidden_widget().format_value(field.prepare_value(value)))

    @staticmethod
    def _normal(text: Any) -> str:
        return str("" if text is None else text).replace("\r\n", "\n")
