"""The routing as one JSON document, for those who keep it in git: out, compared, and in again.

    {"version": 12, "destinations": {"Meta": {"platform": "meta", "mode": "custom", "on": ["SignUp"],
     "native_names": {"Purchase": "Paid"}, "native_ids": {}}}}

`on` is there in Custom mode only; names and ids that are the platform's own are left out. Coming in, a destination or
a part of one that is absent stays as it is; `native_names` and `native_ids` replace what there was. `version`, when it
is given, is the one that the document was written for: it changes nothing of a routing that was changed since. `note`
is kept in the history. Destinations are made on the screens, not here: their credentials belong in no repository.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
from django.db import transaction
from django.utils.translation import gettext as _

from destinations import platforms
from destinations.models import Destination
from routing import drafts, native_names, snapshot, toggles
from routing import net as nets
from routing import sentences as said
from routing.models import Route, RoutingChange
from routing.net import Net, of_change, own_names
from routing.policy import DestinationRule, Mode
from routing.snapshot import Snapshot
from trackstack_site.wording import in_english

LONGEST_ID = Route._meta.get_field("native_id").max_length or 0
LONGEST_NOTE = RoutingChange._meta.get_field("note").max_length or 0


class ConfigError(ValueError):
    """The document cannot be applied; `errors` are (path, sentence)."""

    def __init__(self, errors: list[tuple[str, str]]) -> None:
        super().__init__("\n".join(f"{path}: {sentence}" for path, sentence in errors))
        self.errors = errors


class ConfirmationError(ConfigError):
    """The document switches on what only a confirmation sends to an ad or analytics platform: money going back."""


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
    note: str = ""


class Change(msgspec.Struct, frozen=True):
    """What is to be done to one destination."""

    destination_id: int
    name: str
    mode: str | None
    on: dict[str, bool]
    native_names: dict[str, str]
    native_ids: dict[str, str]
    net: Net
    confirmations: list[str] = []
    """Sentences on events that would newly go where they normally should not."""

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
    if len(wanted.note) > LONGEST_NOTE or "\x00" in wanted.note:
        errors.append(("$.note", f"At most {LONGEST_NOTE} characters, none of them NUL."))
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
    return found + _native_problems(one, rule)


def _native_problems(one: Wanted, rule: DestinationRule) -> list[tuple[str, str]]:
    found = []
    for event, value in one.native_ids.items() if one.native_ids is not msgspec.UNSET else ():
        if len(value) > LONGEST_ID or "\x00" in value:
            found.append(("native_ids", f"{event}: at most {LONGEST_ID} characters, none of them NUL."))
    # Only names that change: what comes out goes in again, also what was entered by an older rule.
    for event, name in _differences(own_names(rule), one.native_names).items():
        if problem := native_names.problem_of(name):
            found.append(("native_names", f"{event}: {problem}"))
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
    added = [event for event, (_was_on, is_on) in net.switched.items() if is_on]
    asked = toggles.needs_confirmation(rule, added, state.events)
    confirmations = [said.money_back(rule.name, event, rule.label) for event in asked]
    return Change(rule.id, rule.name, mode, on, names, ids, net, confirmations)


def _differences(now: dict[str, str], wanted: dict[str, str] | msgspec.UnsetType) -> dict[str, str]:
    if wanted is msgspec.UNSET:
        return {}
    gone = {event: "" for event in now if event not in wanted}
    return gone | {event: value for event, value in wanted.items() if now.get(event, "") != value}


def plan_for(wanted: Document, state: Snapshot, seen: int | None = None) -> list[Change]:
    """`plan` of a document that may have been written for another version of the routing.

    seen: the version that the request names. The document's own may be an old one only when all is as it says: the same
    file again changes nothing. Raises ConfigError, toggles.StaleError.
    """
    changes = [] if seen not in (None, state.version) else plan(wanted, state)
    is_old = wanted.version is not msgspec.UNSET and wanted.version != state.version
    if seen not in (None, state.version) or (is_old and changes):
        raise toggles.StaleError(_("The routing was changed meanwhile."))
    return changes


def effect(changes: Iterable[Change]) -> list[str]:
    """What the changes would have meant over the last days, as sentences: of all together, then of single ones."""
    shown = nets.preview(change.net for change in changes)
    lines = [line for part in shown.parts for line in part.lines if line.impact]
    return [*filter(None, [shown.impact]), *(f"{line.text}: {line.impact}" for line in lines)]


def apply(
    wanted: Document,
    *,
    seen: int | None = None,
    is_confirmed: bool = False,
    user: Any = None,
    actor: str = "",
    note: str = "",
) -> list[RoutingChange]:
    """Make the document so, as one version: all of it or nothing. Idempotent.

    seen: the version that the document was written for. note: unless the document has one of its own.
    Raises ConfigError, toggles.StaleError, toggles.ToggleError; ConfirmationError when something needs a confirmation
    and `is_confirmed` is not set.
    """
    with transaction.atomic():
        held = {row.pk: row for row in Destination.objects.select_for_update().order_by("pk")}
        state = snapshot.load()
        made, group = [], toggles.Group()
        with in_english():
            note = wanted.note or note or _("Configuration file")
        changes = plan_for(wanted, state, seen)
        asked = [(f"$.destinations[{one.name!r}].on", sentence) for one in changes for sentence in one.confirmations]
        if asked and not is_confirmed:
            raise ConfirmationError(asked)
        for change in changes:
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


def to_collect(changes: Iterable[Change]) -> dict[int, drafts.Wanted]:
    """For a draft, by destination."""
    return {one.destination_id: drafts.Wanted(one.mode, one.on, one.native_names, one.native_ids) for one in changes}


class Copied(NamedTuple):
    document: Document
    left_off: list[str]
    """Events that are off at the target, and that only a switch of their own sends there: money going back."""


def copied(source: DestinationRule, target: DestinationRule, state: Snapshot) -> Copied:
    """The document that gives one destination the events of another, as far as its platform knows them.

    Native names and ids are each platform's own: they are taken along between two accounts of one platform only.
    """
    platform = platforms.get(target.platform)
    known = {name for name in toggles.selected(source, state.events) if platform.native_name(name)}
    missing = known - toggles.selected(target, state.events)
    left_off = toggles.needs_confirmation(target, [name for name in state.events if name in missing], state.events)
    known -= set(left_off)
    wanted = Wanted(mode=Mode.CUSTOM.value, on=sorted(known))
    if source.platform == target.platform:
        wanted.native_names = {event: name for event, name in own_names(source).items() if event in state.events}
        wanted.native_ids = {event: text for event, text in source.native_ids.items() if event in state.events}
    return Copied(Document(destinations={target.name: wanted}), left_off)
