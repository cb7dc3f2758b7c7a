"""The two pictures of Configure as shapes: the funnel by stage, and where an event flows. Pure; templates draw them.

Sizes are in the units of an SVG's viewBox, and for the flow in pixels downwards and percent across, so that its words
stay readable at any width. Each picture has its numbers as text beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

WIDTH = 1000
OUTCOMES: tuple[tuple[str, str], ...] = (
    ("delivered", "good"), ("waiting", "info"), ("skipped", "quiet"), ("dead", "bad"),
)  # fmt: skip
"""What becomes of what a destination received, with the tone it is drawn in."""
MOST_GROUPS = 7
LEAST_NODE = 22.0
"""Pixels: a line of text beside it."""
LEAST_BAND = 1.5
GAP = 10.0
LEAST_HEIGHT = 170.0


class Step(NamedTuple):
    label: str
    count: int
    width: float
    """Of its bar, up to WIDTH."""
    share: int
    """Percent of the largest stage."""


def funnel(stages: Iterable[tuple[str, int]]) -> list[Step]:
    """Stages in their order; nothing when there is nothing to show."""
    known = list(stages)
    largest = max((count for _, count in known), default=0)
    if not largest:
        return []
    return [
        Step(label, count, round(WIDTH * count / largest, 1), round(100 * count / largest)) for label, count in known
    ]


class Group(NamedTuple):
    """Destinations with the same outcome; the last may hold several of different ones."""

    names: tuple[str, ...]
    counts: Mapping[str, int]
    """Outcome → events, of all of them together."""
    is_alike: bool = True

    @property
    def received(self) -> int:
        return sum(self.counts.values())

    @property
    def each(self) -> list[tuple[str, int]]:
        """Outcomes that there are, with the events of one destination; of several unlike ones, of all."""
        share = len(self.names) if self.is_alike else 1
        return [(code, self.counts[code] // share) for code, _ in OUTCOMES if self.counts[code]]


def groups(lanes: Iterable[tuple[str, Mapping[str, int]]]) -> list[Group]:
    """lanes: destination and what became of its events. Those with the most delivered first; idle ones are left out."""
    alike: dict[tuple[int, ...], list[str]] = {}
    for name, counts in lanes:
        key = tuple(counts.get(code, 0) for code, _ in OUTCOMES)
        if any(key):
            alike.setdefault(key, []).append(name)
    found = [
        Group(tuple(names), {code: n * len(names) for (code, _), n in zip(OUTCOMES, key, strict=True)})
        for key, names in sorted(alike.items(), key=lambda item: [-n for n in item[0]])
    ]
    if len(found) <= MOST_GROUPS:
        return found
    rest = found[MOST_GROUPS - 1 :]
    names = tuple(name for group in rest for name in group.names)
    together = {code: sum(group.counts[code] for group in rest) for code, _ in OUTCOMES}
    return [*found[: MOST_GROUPS - 1], Group(names, together, is_alike=False)]


class Node(NamedTuple):
    code: str
    """Of an outcome."""
    label: str
    count: int
    top: float
    height: float
    group: Group | None = None

    @property
    def middle(self) -> float:
        return self.top + self.height / 2


class Band(NamedTuple):
    tone: str
    path: str
    """SVG path data; 100 units across."""


class Flow(NamedTuple):
    """Sources → the event → destinations → what became of it there."""

    groups: list[Group]
    sources: list[Node]
    event: Node | None
    destinations: list[Node]
    outcomes: list[Node]
    from_sources: list[Band]
    to_destinations: list[Band]
    to_outcomes: list[Band]
    height: float


def flow(
    name: str, received: int, sources: Sequence[tuple[str, int]], lanes: Iterable[tuple[str, Mapping[str, int]]]
) -> Flow:
    """received: events, as against the deliveries of them; sources: name and events of each, or of a part of them."""
    found = groups(lanes)
    if not found:
        return Flow([], [], None, [], [], [], [], [], 0)
    height = max(LEAST_HEIGHT, len(found) * (LEAST_NODE + GAP) - GAP, len(sources) * (LEAST_NODE + GAP) - GAP)
    destinations = _column([("", "", group.received, group) for group in found], height)
    sums = [(code, "", sum(group.counts[code] for group in found), None) for code, _ in OUTCOMES]
    outcomes = _column([one for one in sums if one[2]], height)
    left = _column([("", label, count, None) for label, count in sources if count], height)
    event = Node("", name, received, 0, height)
    return Flow(
        found, left, event, destinations, outcomes,
        _into(left, event), [Band("ink", band.path) for band in _out_of(event, destinations)],
        _between(destinations, outcomes), height,
    )  # fmt: skip


def _column(rows: Sequence[tuple[str, str, int, Group | None]], height: float) -> list[Node]:
    """One below the other: as high as the count, but never too low for its words."""
    room = height - GAP * (len(rows) - 1)
    low: set[int] = set()
    total = sum(count for _, _, count, _ in rows)
    while True:  # each turn sets one more of them low, so it ends
        scale = (room - LEAST_NODE * len(low)) / max(1, total - sum(rows[n][2] for n in low))
        fallen = {n for n, row in enumerate(rows) if n not in low and row[2] * scale < LEAST_NODE}
        if not fallen:
            break
        low |= fallen
    nodes, top = [], 0.0
    for n, (code, label, count, group) in enumerate(rows):
        tall = LEAST_NODE if n in low else count * scale
        nodes.append(Node(code, label, count, top, tall, group))
        top += tall + GAP
    return nodes


def _into(nodes: Sequence[Node], end: Node) -> list[Band]:
    total, at, bands = sum(node.count for node in nodes) or 1, end.top, []
    for node in nodes:
        thick = end.height * node.count / total
        bands.append(Band("ink", _band(node.top, node.top + node.height, at, at + thick)))
        at += thick
    return bands


def _out_of(start: Node, nodes: Sequence[Node]) -> list[Band]:
    total, at, bands = sum(node.count for node in nodes) or 1, start.top, []
    for node in nodes:
        thick = start.height * node.count / total
        bands.append(Band("ink", _band(at, at + thick, node.top, node.top + node.height)))
        at += thick
    return bands


def _between(starts: Sequence[Node], ends: Sequence[Node]) -> list[Band]:
    tones = dict(OUTCOMES)
    reached = {end.code: end.top for end in ends}
    bands = []
    for start in starts:
        at = start.top
        for end in ends:
            count = start.group.counts[end.code] if start.group else 0
            if not count:
                continue
            out = max(LEAST_BAND, start.height * count / start.count)
            into = max(LEAST_BAND, end.height * count / end.count)
            bands.append(Band(tones[end.code], _band(at, at + out, reached[end.code], reached[end.code] + into)))
            at += out
            reached[end.code] += into
    return bands


def _band(y1: float, y2: float, y3: float, y4: float) -> str:
    """From the span y1 to y2 on the left to the span y3 to y4 on the right."""
    return f"M0 {y1:.1f}C50 {y1:.1f} 50 {y3:.1f} 100 {y3:.1f}V{y4:.1f}C50 {y4:.1f} 50 {y2:.1f} 0 {y2:.1f}Z"
