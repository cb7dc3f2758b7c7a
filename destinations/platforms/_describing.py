"""What a platform says of itself: its kind, its settings, its ids, its versions. Pure; import it from `base`.

Its texts are lazy (`gettext_lazy`): nothing may evaluate one on import, and what is kept is worded in English.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from datetime import date
from typing import NamedTuple

import msgspec
from django.utils.functional import Promise
from django.utils.translation import gettext as _


class Kind(enum.StrEnum):
    ADS = "ads"
    ANALYTICS = "analytics"
    CRM = "crm"
    WAREHOUSE = "warehouse"
    WEBHOOK = "webhook"


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One credential or setting of a platform; the destination form, its checks and the docs are grown from it."""

    name: str
    label: str | Promise
    secret: bool = False
    required: bool = False
    pattern: str = ""
    """Regular expression the whole value must match; empty: anything."""
    help: str | Promise = ""
    """Where the user finds the value."""
    example: str = ""
    """A made-up value of the right shape: shown in the form, and what the demo's sandbox destinations use."""
    choices: tuple[tuple[str, str | Promise], ...] = ()
    """Value and label. A plain label that is its value is the vendor's word, which no translation touches."""
    default: str = ""
    multiline: bool = False
    way: str | Promise = ""
    """Where one of several credentials will do: which of them this belongs to, in a word or two for the form."""
    is_advanced: bool | None = None
    """Whether the form folds it away as seldom needed; None: when it is optional and has a default."""

    @property
    def is_seldom(self) -> bool:
        if self.is_advanced is None:
            return bool(self.default) and not self.required
        return self.is_advanced

    def problem(self, value: str) -> str:
        """A sentence that says what is wrong with `value`, in the language of the moment, or an empty string."""
        if not value:
            return str(_("%(field)s is required.") % {"field": self.label}) if self.required else ""
        values = [choice for choice, _label in self.choices]
        if values and value not in values:
            return str(_("%(field)s must be one of %(values)s.") % {"field": self.label, "values": ", ".join(values)})
        if self.pattern and not re.fullmatch(self.pattern, value):
            where = self.help or _("check it against the platform")
            said = _("%(field)s does not look right: %(help)s.")
            if self.example and not self.multiline:
                # The example opens the sandbox: whoever has no account yet can go on with it.
                said = _("%(field)s does not look right: %(help)s. It looks like “%(example)s”.")
            return str(said % {"field": self.label, "help": where, "example": self.example})
        return ""


class NativeId(msgspec.Struct, frozen=True, kw_only=True):
    """The id a platform wants per event (conversion rule, conversion action, goal …)."""

    label: str | Promise
    pattern: str
    help: str | Promise
    required: bool = True
    example: str = ""


class IdChoice(NamedTuple):
    """One native id that the account has, for a person to pick."""

    id: str
    """As it is entered in a route."""
    label: str
    """As the vendor names it."""


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """The API version a platform is spoken to in: one setting, with the vendor's end dates beside it."""

    default: str
    sunsets: Mapping[str, date] = {}
    """Version → the day on which the vendor switches it off (or announced to); a version not listed has none known."""
    source: str = ""
    """Where the vendor announces these dates."""


class TestMode(msgspec.Struct, frozen=True, kw_only=True):
    """How the platform takes a test event. `build` acts on it when `config[TEST]` is set."""

    how: str | Promise
    """One sentence for the marketer: where the event shows up, and whether it counts."""
    needs: str = ""
    """Name of the field that must be filled for it (a test code); empty: none."""


TEST = "send_as_test"
"""Key of the configuration that is set while *Send as test* builds; not a field."""
