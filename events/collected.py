"""One event's keys, read into a draft: one pass over them with a dispatch table. Pure; `events.contract` decides.

Raises RefusedError for what refuses the event. What the contract does not know is kept aside, not lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from events.fields import CLICK_IDS, CONSENT, CONTAINERS, FIELDS, MAX_CLICK_ID, STRUCTURAL, TS_ALIASES
from events.suggest import meant_as, near_field
from events.values import READERS, Reader, RefusedError, read_consent, read_object, read_text, read_time

MAX_WARNINGS = 10
"""Per event: a thousand unknown keys make one long answer no better."""

_TIMES = ("ts", *TS_ALIASES)

# key → (attribute, cap, reader); reader None: text. An attribute of "" is a click id, one of None a structural field,
# which the loop passes over: those are read by name.
Entry = tuple[str | None, int, Reader | None]

_NESTED: dict[str, Entry] = {field.name: (field.attribute, field.cap, READERS.get(field.kind)) for field in FIELDS}
_CLICKS: dict[str, Entry] = dict.fromkeys(CLICK_IDS, ("", MAX_CLICK_ID, None))
_NESTED |= _CLICKS
_NESTED |= dict.fromkeys(("clickIds", "consent"), (None, 0, None))
TOP: dict[str, Entry] = {**_NESTED, **dict.fromkeys((*STRUCTURAL, *TS_ALIASES), (None, 0, None))}


class Warning_(msgspec.Struct, frozen=True):  # noqa: N801 - Warning is a builtin
    """Something about an accepted event that its sender should know. Nothing was lost."""

    index: int
    field: str
    code: str
    sentence: str


class Draft:
    """What has been read of one event so far."""

    __slots__ = ("clicks", "found", "index", "unknown", "warnings")

    def __init__(self, index: int) -> None:
        self.index = index
        self.found: dict[str, Any] = {}
        """By attribute of Payload."""
        self.clicks: dict[str, str] = {}
        self.unknown: list[tuple[str, str, Any]] = []
        """Where it stood (empty, or ending in a dot), key and value: kept under properties in the end."""
        self.warnings: list[Warning_] = []
        """At most MAX_WARNINGS of them."""

    def warn(self, field: str, code: str, text: str) -> None:
        if len(self.warnings) < MAX_WARNINGS:
            self.warnings.append(Warning_(self.index, field[:64], code, f"{field[:64]}: {text}"))


def collect(data: dict[str, Any], where: str, table: Mapping[str, Entry], draft: Draft) -> None:  # noqa: C901
    """Read the known keys of `data`; what was read before stays. `where` is empty or ends in a dot.

    One loop with everything in place: it is the hottest of the service.
    """
    found = draft.found
    for key, value in data.items():
        if value is None:
            continue
        entry = table.get(key)
        if entry is None:
            draft.unknown.append((where, key, value))
            continue
        attribute, cap, reader = entry
        if attribute is None:
            continue
        if reader is not None:
            value = reader(value, where + key, cap)
            if value is None or value == []:
                continue
        else:
            # As read_text does, without the call.
            if type(value) is str:
                value = value.strip()
                if len(value) > cap:
                    raise RefusedError(where + key, "too_long", f"has {len(value)} characters, at most {cap} are taken")
            else:
                value = read_text(value, where + key, cap)
            if not value:
                continue
            if not attribute:
                if draft.clicks.setdefault(key, value) != value:
                    draft.warn(
                        where + key, "conflict", f"differs from the {key} that stands further out, which is kept"
                    )
                continue
        if not where:
            found[attribute] = value
        elif found.setdefault(attribute, value) != value:
            draft.warn(where + key, "conflict", f"differs from the {key} that was read before it, which is kept")


def collect_nested(data: dict[str, Any], draft: Draft) -> None:
    """Read userData and customData, then click ids and consent, which may stand at the top or in either of them."""
    boxes = [("", data)]
    for container in CONTAINERS:
        nested = data.get(container)
        if nested is not None:
            where = container + "."
            nested = read_object(nested, container)
            collect(nested, where, _NESTED, draft)
            boxes.append((where, nested))
    consent: dict[str, bool] = {}
    for where, box in boxes:
        nested = box.get("clickIds")
        if nested is not None:
            where_ids = where + "clickIds"
            collect(read_object(nested, where_ids), where_ids + ".", _CLICKS, draft)
        nested = box.get("consent")
        if nested is not None:
            _collect_consent(read_object(nested, where + "consent"), where + "consent.", consent, draft)
    if consent:
        draft.found["consent"] = consent


def _collect_consent(data: dict[str, Any], where: str, consent: dict[str, bool], draft: Draft) -> None:
    for category, value in data.items():
        if value is None:
            continue
        if category in CONSENT:
            # Said twice and not the same: the denial holds.
            consent[category] = read_consent(value, where + category) and consent.get(category, True)
        else:
            draft.unknown.append((where, category, value))


def occurred_at_ms(data: dict[str, Any], now_ms: int, draft: Draft) -> int:
    """The first of ts and its aliases that is given; what the others say becomes a property unless it is the same."""
    taken: Any = None
    occurred_ms: int | None = None
    for name in _TIMES:
        value = data.get(name)
        if value is None:
            continue
        if occurred_ms is None:
            occurred_ms = read_time(value, name, now_ms)
            taken = value
        elif value != taken:
            draft.unknown.append(("", name, value))
    return now_ms if occurred_ms is None else occurred_ms


def required(data: dict[str, Any], field: str, cap: int) -> str:
    """A text that must be there; when it is not, the refusal names the key that may have meant it."""
    value = data.get(field)
    text = "" if value is None else read_text(value, field, cap)
    if not text:
        meant = meant_as(field, [key for key in data if key not in TOP])
        hint = f'; you sent "{meant}", did you mean "{field}"?' if meant else ""
        raise RefusedError(field, "missing", f"is missing{hint}")
    return text


def with_unknown(properties: dict[str, Any], draft: Draft) -> dict[str, Any]:
    """The properties with what stood elsewhere under a key the contract does not know; their own keys win."""
    merged = dict(properties)
    for where, key, value in draft.unknown:
        path = where + key
        if merged.setdefault(key, value) != value:
            draft.warn(path, "conflict", f"differs from properties.{key[:64]}, which is kept")
        elif key == "clientIp" and not where:
            draft.warn(path, "ip_shape", "is not an IP address; kept under properties")
        elif key in _TIMES and not where:
            draft.warn(path, "conflict", "differs from the time that was read before it; kept under properties")
        elif len(draft.warnings) < MAX_WARNINGS:
            near = near_field(key)
            mean = f', did you mean "{near}"?' if near and near != key else ""
            if near == key:
                mean = "; it is read at the top level only" if key in STRUCTURAL else ""
            draft.warn(path, "unknown_field", f"unknown field, kept under properties{mean}")
    return merged
