"""What a figure is, and how rounds are turned into one."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

import msgspec


class Row(msgspec.Struct, kw_only=True):
    """One figure of the table."""

    name: str
    value: float
    unit: str
    limit: float | None = None
    """What the value is held against, measured in the same run: a limit of the machine or the product without load."""
    limit_name: str = ""
    ratio: float | None = None
    """value ÷ limit, unless a figure says otherwise in `limit_name`."""
    target: str = ""
    met: bool | None = None
    """None: a figure for the reader, without a target of its own."""
    rounds: list[float] = []
    note: str = ""


def at_least(name: str, value: float, unit: str, target: float, **more: object) -> Row:
    """A figure that must reach `target` in its own unit."""
    return Row(name=name, value=value, unit=unit, target=f"≥ {target:,g}", met=value >= target, **more)  # type: ignore[arg-type]


def below(name: str, value: float, unit: str, target: float, **more: object) -> Row:
    """A figure that must stay under `target` in its own unit."""
    return Row(name=name, value=value, unit=unit, target=f"< {target:,g}", met=value < target, **more)  # type: ignore[arg-type]


def against(
    name: str,
    values: Sequence[float],
    unit: str,
    limits: Sequence[float],
    limit_name: str,
    *,
    at_least: float,
    note: str = "",
) -> Row:
    """A rate beside its limit; the ratio is the median of the rounds' own ratios, so that a slow moment hits both."""
    ratio = median([value / limit for value, limit in zip(values, limits, strict=True) if limit])
    return Row(
        name=name,
        value=median(values),
        unit=unit,
        limit=median(limits),
        limit_name=limit_name,
        ratio=ratio,
        target=f"ratio ≥ {at_least:g}",
        met=ratio >= at_least,
        rounds=list(values),
        note=note,
    )


def median(values: Sequence[float]) -> float:
    return statistics.median(values) if values else 0.0


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all stay at or under."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def interleaved(rounds: int, *measures: Callable[[int], float]) -> list[list[float]]:
    """Each measure once per round, in turn, so that all of them see the same minutes of the machine."""
    found: list[list[float]] = [[] for _ in measures]
    for number in range(rounds):
        for results, measure in zip(found, measures, strict=True):
            results.append(measure(number))
    return found
