"""What a platform says of itself: its kind, its settings, its ids, its versions. Pure; import it from `base`."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from datetime import date
from typing import NamedTuple

import msgspec


class Kind(enum.StrEnum):
    ADS = "ads"
    ANALYTICS = "analytics"
    CRM = "crm"
    WAREHOUSE = "warehouse"
    WEBHOOK = "webhook"


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One credential or setting of a platform; the destination form, its checks and the docs are grown from it."""

    name: str
    label: str
    secret: bool = False
    required: bool = False
    pattern: str = ""
    """Regular expression the whole value must match; empty: anything."""
    help: str = ""
    """Where the user finds the value."""
    example: str = ""
    """A made-up value of the right shape: shown in the form, and what the demo's sandbox destinations use."""
    choices: tuple[tuple[str, str], ...] = ()
    default: str = ""
    multiline: bool = False
    way: str = ""
    """Where one of several credentials will do: which of them this belongs to, in a word or two for the form."""
    is_advanced: bool | None = None
    """Whether the form folds it away as seldom needed; None: when it is optional and has a default."""

    @property
    def is_seldom(self) -> bool:
        if self.is_advanced is None:
            return bool(self.default) and not self.required
        return self.is_advanced

    def problem(self, value: str) -> str:
        """A sentence that says what is wrong with `value`, or an empty string."""
        if not value:
            return f"{self.label} is required." if self.required else ""
        if self.choices and value not in {choice for choice, _ in self.choices}:
            return f"{self.label} must be one of {', '.join(choice for choice, _ in self.choices)}."
        if self.pattern and not re.fullmatch(self.pattern, value):
            # The example opens the sandbox: whoever has no account yet can go on with it.
            shape = f" It looks like “{self.example}”." if self.example and not self.multiline else ""
            return f"{self.label} does not look right: {self.help or 'check it against the platform'}.{shape}"
        return ""


class NativeId(msgspec.Struct, frozen=True, kw_only=True):
    """The id a platform wants per event (conversion rule, conversion action, goal …)."""

    label: str
    pattern: str
    help: str
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

    how: str
    """One sentence for the marketer: where the event shows up, and whether it counts."""
    needs: str = ""
    """Name of the field that must be filled for it (a test code); empty: none."""


TEST = "send_as_test"
"""Key of the configuration that is set while *Send as test* builds; not a field."""
