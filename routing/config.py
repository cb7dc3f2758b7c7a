"""The routing as one JSON document, for those who keep it in git: out, compared, and in again.

    {"version": 12, "destinations": {"Meta": {"platform": "meta", "mode": "custom", "on": ["SignUp"],
     "native_names": {"Purchase": "Paid"}, "native_ids": {}}}}

`on` is there in Custom mode only; names and ids that are the platform's own are left out. Coming in, a destination or
a part of one that is absent stays as it is; `native_names` and `native_ids` replace what there was. Destinations are
made on the screens, not here: their credentials belong in no repository.
"""

from __future__ import annotations

from typing import Any

import msgspec
from django.db import transaction
from django.utils.translation import gettext as _

from destinations import platforms
from destinations.models import Destination
from routing import snapshot, toggles
from routing.models import Route, RoutingChange
from routing.net import Net, of_change, own_names
from routing.policy import DestinationRule, Mode
from routing.snapshot import Snapshot
from trackstack_site.wording import in_english

LONGEST = {
    "native_names": Route._meta.get_field("native_name").max_length or 0,
    "native_ids": Route._meta.get_field("native_id").max_length or 0,
}


class ConfigError(ValueError):
    """The document cannot be applied; `errors` are (path, sentence)."""

    def __init__(self, errors: list[tuple[str, str]]) -> None:
        super().__init__("\n".join(f"{path}: {sentence}" for path, sentence in errors))
        self.errors = errors


class Wanted(msgspec.Struct, forbid_unknown_fields=True):
    """What a document says of one destination."""

    platform: str | msgspec.UnsetType = msgspec.UNSET
    mode: str | msgspec.UnsetType = msgspec.UNSET
    on: list[str] | msgspec.UnsetType = msgspec.UNSET
    native_names: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
    native_ids: dict[str, str] | msgspec.UnsetType = msgspec.UNSET


class Document(msgspec.Struct, forbid_unknown_fields=True):
    destinations: dict[str, Wanted]
    version: int | msgspec.UnsetType = msgspec.UNSET


class Change(msgspec.Struct, frozen=True):
    """What is to be done to one destination."""

    destination_id: int
    name: str
    mode: str | None
    on: dict[str, bool]
    native_names: dict[str, str]
    native_ids: dict[str, str]
    net: Net

    @property
    def sentences(self) -> list[str]:
        return self.net.sentences


def document(state: Snapshot | None = None) -> dict[str, Any]:
    """The routing in force, in column order."""
    state = state or snapshot.current()
    rules = [rule for rule in state.rules.values() if not rule.is_builtin]
    return {"version": state.version, "destinations": {rule.name: _shown(rule, state) for rule in rules}}


def _shown(rule: DestinationRule, state: Snapshot) -> dict[str, Any]:
    shown: dict[str, Any] = {"platform": rule.platform, "mode": rule.mode.value}
    if rule.mode == Mode.CUSTOM:
        chosen = toggles.selected(rule, state.events)
        shown["on"] = [name for name in (*state.events, *sorted(chosen - set(state.events))) if name in chosen]
    return shown | {"native_names": own_names(rule), "native_ids": dict(sorted(rule.native_ids.items()))}


def read(raw: bytes) -> Document:
    """Raises ConfigError."""
    try:
        return msgspec.json.decode(raw, type=Document)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        said, _at, path = str(error).partition(" - at ")
        raise ConfigError([(path.strip("`") or "$", said)]) from None


def plan(wanted: Document, state: Snapshot) -> list[Change]:
    """What applying the document would change; nothing when it says what is in force. Raises ConfigError."""
    errors: list[tuple[str, str]] = []
    changes = []
    by_name = {rule.name: rule for rule in state.rules.values() if not rule.is_builtin}
    for name, one in wanted.destinations.items():
        path, rule = f"$.destinations[{name!r}]", by_name.get(name)
        if rule is None:
            errors.append((path, f"There is no destination {name!r}. There are: {', '.join(by_name) or 'none'}."))
            continue
        if problems := _problems(one, rule, state):
            errors += [(f"{path}.{part}", sentence) for part, sentence in problems]
            continue
        change = _change(one, rule, state)
        if change.mode or change.on or change.native_names or change.native_ids:
            changes.append(change)
    if errors:
        raise ConfigError(errors)
    return changes


def _problems(one: Wanted, rule: DestinationRule, state: Snapshot) -> list[tuple[str, str]]:
    found = []
    if one.platform is not msgspec.UNSET and one.platform != rule.platform:
        found.append(("platform", f"{rule.name} is a {rule.platform} destination, and stays one."))
    if one.mode is not msgspec.UNSET and one.mode not in set(Mode):
        found.append(("mode", f"One of {', '.join(mode.value for mode in Mode)}; it is {one.mode!r}."))
    if one.on is not msgspec.UNSET and one.mode is not msgspec.UNSET and one.mode != Mode.CUSTOM:
        found.append(("on", f"Only Custom mode has a list of its own; the mode is {one.mode}."))
    # A retired event may have a name or an id from before: what comes out goes in again.
    known = set(state.events) | rule.ticked | set(own_names(rule)) | set(rule.native_ids)
    for part in ("on", "native_names", "native_ids"):
        values = getattr(one, part)
        for event in values if values is not msgspec.UNSET else ():
            if event not in known:
                found.append((part, f"There is no event {event!r}: register it in Settings → Taxonomy."))
    for part, longest in LONGEST.items():
        values = getattr(one, part)
        for event, value in values.items() if values is not msgspec.UNSET else ():
            if len(value) > longest or "\x00" in value:
                found.append((part, f"{event}: at most {longest} characters, none of them NUL."))
    shape = platforms.get(rule.platform).native_id
    if one.native_ids is not msgspec.UNSET:
        try:
            toggles.check_native_ids(shape, one.native_ids)
        except toggles.ToggleError as error:
            found.append(("native_ids", str(error)))
    return found


def _change(one: Wanted, rule: DestinationRule, state: Snapshot) -> Change:
    mode = one.mode if one.mode is not msgspec.UNSET else (Mode.CUSTOM.value if one.on is not msgspec.UNSET else None)
    on: dict[str, bool] = {}
    if one.on is not msgspec.UNSET:
        after_mode = toggles.changed_rule(rule, mode=mode, events=state.events)
        chosen = toggles.selected(after_mode, state.events)
        on = dict.fromkeys(set(one.on) - chosen, True) | dict.fromkeys(chosen - set(one.on), False)
    names = _differences(own_names(rule), one.native_names)
    ids = _differences(dict(rule.native_ids), one.native_ids)
    mode = None if mode == rule.mode else mode
    net = of_change(rule, state, mode=mode, on=on, native_names=names, native_ids=ids)
    return Change(rule.id, rule.name, mode, on, names, ids, net)


def _differences(now: dict[str, str], wanted: dict[str, str] | msgspec.UnsetType) -> dict[str, str]:
    if wanted is msgspec.UNSET:
        return {}
    gone = {event: "" for event in now if event not in wanted}
    return gone | {event: value for event, value in wanted.items() if now.get(event, "") != value}


def apply(wanted: Document, *, seen: int | None = None, user: Any = None, actor: str = "") -> list[RoutingChange]:
    """Make the document so, as one version: all of it or nothing. Idempotent.

    seen: the version that the document was written for. Raises ConfigError, toggles.StaleError, toggles.ToggleError.
    """
    with transaction.atomic():
        held = {row.pk: row for row in Destination.objects.select_for_update().order_by("pk")}
        state = snapshot.load()
        if seen is not None and seen != state.version:
            raise toggles.StaleError(_("The routing was changed meanwhile."))
        made, group = [], toggles.Group()
        with in_english():
            note = _("Configuration file")
        for change in plan(wanted, state):
            entry = toggles.apply(
                held[change.destination_id],
                mode=change.mode,
                on=change.on,
                native_names=change.native_names,
                native_ids=change.native_ids,
                user=user,
                actor=actor,
                note=note,
                group=group,
            )
            if entry is not None:
                made.append(entry)
    return made


def copied(source: DestinationRule, target: DestinationRule, state: Snapshot) -> Document:
    """The document that gives one destination the events of another, as far as its platform knows them.

    Native names and ids are each platform's own: they are taken along between two accounts of one platform only.
    """
    platform = platforms.get(target.platform)
    known = {name for name in toggles.selected(source, state.events) if platform.native_name(name)}
    wanted = Wanted(mode=Mode.CUSTOM.value, on=sorted(known))
    if source.platform == target.platform:
        wanted.native_names = {event: name for event, name in own_names(source).items() if event in state.events}
        wanted.native_ids = {event: text for event, text in source.native_ids.items() if event in state.events}
    return Document(destinations={target.name: wanted})
