"""What a change comes to at one destination: its sentences, the same on every screen, and what it would have meant.

Import, copying, comparing and going back all show a `Net` for each destination they change.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from destinations import platforms, reasons
from routing import drafts, impact, toggles
from routing import sentences as said
from routing.policy import DestinationRule, carries
from routing.snapshot import Snapshot

Change = tuple[str, str]
"""Before and after."""


class Line(NamedTuple):
    text: str
    tone: str = ""
    """`added`, `removed` or neither."""
    event: str = ""
    idle: str = ""
    """Why nothing of what is switched on is sent."""
    count: int = 0
    """Over the last days: what would have come, or what would not have gone."""
    impact: str = ""
    number: int = 0
    """In the file that says it."""


class Net(NamedTuple):
    """What happens to one destination's routing, all in all."""

    destination_pk: int
    name: str
    mode: Change | None
    switched: dict[str, tuple[bool, bool]]
    """Event → (was on, is on)."""
    native_names: dict[str, Change]
    native_ids: dict[str, Change]
    after: DestinationRule | None = None
    """The destination with all of it, by which a line says that nothing is sent; None where it is not known."""

    @property
    def lines(self) -> list[Line]:
        found = [Line(said.mode(self.name, *self.mode))] if self.mode else []
        for event, (_was, is_on) in sorted(self.switched.items(), key=lambda item: not item[1][1]):
            reason = carries(self.after, event).reason if is_on and self.after is not None else ""
            idle = str(reasons.label(reason)).lower() if reason else ""
            text = toggles.switched_on(self.after, self.name, event) if is_on else said.stops(self.name, event)
            found.append(Line(text, "added" if is_on else "removed", event, idle))
        for column, values in (("native_name", self.native_names), ("native_id", self.native_ids)):
            found += [
                Line(said.native(column, self.name, event, old, new), event=event)
                for event, (old, new) in values.items()
            ]
        return found

    @property
    def sentences(self) -> list[str]:
        return [line.text for line in self.lines]

    def reversed(self) -> Net:
        return Net(
            self.destination_pk,
            self.name,
            (self.mode[1], self.mode[0]) if self.mode else None,
            {event: (new, old) for event, (old, new) in self.switched.items()},
            {event: (new, old) for event, (old, new) in self.native_names.items()},
            {event: (new, old) for event, (old, new) in self.native_ids.items()},
        )


def of_change(
    rule: DestinationRule,
    state: Snapshot,
    *,
    mode: str | None,
    on: Mapping[str, bool],
    native_names: Mapping[str, str] | None = None,
    native_ids: Mapping[str, str] | None = None,
) -> Net:
    """Of a change as `toggles.apply` takes it."""
    wanted = drafts.Wanted(mode, dict(on), dict(native_names or {}), dict(native_ids or {}))
    after = drafts.drafted_rule(rule, wanted, state.events)
    diff = toggles.diff(rule, mode=mode, on=on, events=state.events)
    switched = dict.fromkeys(diff.added, (False, True)) | dict.fromkeys(diff.removed, (True, False))
    both = (rule.mode.value, after.mode.value) if after.mode != rule.mode else None
    own = own_names(rule)
    names = {event: (own.get(event, ""), new) for event, new in wanted.native_names.items()}
    ids = {event: (rule.native_ids.get(event, ""), new) for event, new in wanted.native_ids.items()}
    return Net(rule.id, rule.name, both, switched, names, ids, after)


def own_names(rule: DestinationRule) -> dict[str, str]:
    """The native names that are not the platform's own."""
    platform = platforms.get(rule.platform)
    return {
        event: name for event, name in sorted(rule.native_names.items()) if name and name != platform.native_name(event)
    }


class Part(NamedTuple):
    """One destination's part of what is shown before a click: what weighs most stands first."""

    name: str
    lines: list[Line]
    still: list[Line]
    """Switched, but without traffic in the last days."""
    idle: list[Line]

    @property
    def why_idle(self) -> str:
        return ", ".join(dict.fromkeys(line.idle for line in self.idle))

    @property
    def switches(self) -> list[Line]:
        return [line for line in (*self.lines, *self.still, *self.idle) if line.tone]

    def without(self, events: Collection[str]) -> Part:
        """Only its switches, and none of these events: what else there is to say of them stands elsewhere."""
        kept = ([line for line in lines if line.tone and line.event not in events] for lines in self[1:])
        return Part(self.name, *kept)

    def numbered(self, numbers: Mapping[str, int]) -> Part:
        return Part(
            self.name,
            *([line._replace(number=numbers.get(line.event, 0)) for line in lines] for lines in self[1:]),
        )


class Preview(NamedTuple):
    parts: list[Part]
    impact: str
    """All of it, in a sentence; empty when the last days had nothing of it."""

    @property
    def count(self) -> int:
        return sum(len(part.lines) + len(part.still) + len(part.idle) for part in self.parts)

    def numbered(self, numbers: Mapping[str, Mapping[str, int]]) -> Preview:
        """With the lines of the file that say it. numbers: by destination, then event; empty for the mode."""
        return self._replace(parts=[part.numbered(numbers[part.name]) for part in self.parts])


def preview(nets: Iterable[Net]) -> Preview:
    known = [(net, net.lines) for net in nets]
    added = [(net.destination_pk, line.event) for net, lines in known for line in lines if _is_sent(line)]
    removed = [(net.destination_pk, line.event) for net, lines in known for line in lines if line.tone == "removed"]
    received = impact.received(added)
    delivered = impact.delivered(removed)
    words = impact.words_of(received, added) | impact.words_of(delivered, removed, with_email=False)
    counts = received | delivered
    parts = []
    for net, plain in known:
        lines = [
            line._replace(count=counts[pair], impact=words[pair])
            for line in plain
            if line.tone and (pair := (net.destination_pk, line.event)) in words and not line.idle
        ]
        weighed = sorted(lines, key=lambda line: -line.count)
        seen = {line.text for line in weighed}
        rest = [line for line in plain if line.text not in seen]
        parts.append(
            Part(
                net.name,
                [line for line in rest if not line.tone] + weighed,
                [line for line in rest if line.tone and not line.idle],
                [line for line in rest if line.idle],
            )
        )
    return Preview(parts, impact.meant(sum(received.values()), sum(delivered.values())))


def _is_sent(line: Line) -> bool:
    return line.tone == "added" and not line.idle
