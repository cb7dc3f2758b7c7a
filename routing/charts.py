"""The two pictures of Configure as shapes: the funnel by stage, and where an event flows. Pure; templates draw them.

Sizes are in the units of an SVG's viewBox. Each picture has its numbers as text beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from trackstack_site.templatetags.figures import thousands

WIDTH = 1000
BAND_GAP = 6
LEAST_BAND = 2.0
ROW, TIGHT_ROW, FEW_LANES = 34.0, 21.0, 8
"""Height of a lane; many of them stand closer, so that the table below is not pushed off the screen."""


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


class Band(NamedTuple):
    label: str
    count: int
    path: str
    """SVG path data, from the event on the left to the destination on the right."""
    middle: float
    """Where the label stands."""
    tone: str


class Flow(NamedTuple):
    bands: list[Band]
    height: float
    right: float

    @property
    def spoken(self) -> str:
        """The picture for those who do not see it."""
        return ", ".join(f"{band.label}: {thousands(band.count)}" for band in self.bands)


def flow(lanes: Sequence[tuple[str, int, str]], *, width: float = 560) -> Flow:
    """lanes: (label, deliveries, tone). Thickness follows the count; a lane without any is left out."""
    shown = [lane for lane in lanes if lane[1]]
    if not shown:
        return Flow([], 0, width)
    row = ROW if len(shown) <= FEW_LANES else TIGHT_ROW
    height = row * len(shown)
    largest = max(count for _, count, _ in shown)
    total = sum(count for _, count, _ in shown)
    bands = []
    top = 0.0
    for number, (label, count, tone) in enumerate(shown):
        left = height * count / total
        thick = max(LEAST_BAND, (row - BAND_GAP) * count / largest)
        middle = row * number + row / 2
        bands.append(
            Band(label, count, _band(top, top + left, middle - thick / 2, middle + thick / 2, width), middle, tone)
        )
        top += left
    return Flow(bands, height, width)


def _band(y1: float, y2: float, y3: float, y4: float, width: float) -> str:
    half = width / 2
    return (
        f"M0 {y1:.1f}C{half:g} {y1:.1f} {half:g} {y3:.1f} {width:g} {y3:.1f}"
        f"V{y4:.1f}C{half:g} {y4:.1f} {half:g} {y2:.1f} 0 {y2:.1f}Z"
    )
