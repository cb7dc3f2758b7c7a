"""What request bodies have in common: cut to size, amounts, the sender's overrides. Pure; import it from `base`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from destinations.platforms._exchange import Item, Request


def chunks(
    parts: Sequence[tuple[Item, bytes]],
    limit: int,
    max_bytes: int | None = None,
    overhead: int = 64,
) -> Iterator[list[tuple[Item, bytes]]]:
    """Encoded items in runs of at most `limit` items and `max_bytes` bytes, order kept."""
    run: list[tuple[Item, bytes]] = []
    size = overhead
    for part in parts:
        length = len(part[1]) + 1
        if run and (len(run) >= limit or (max_bytes is not None and size + length > max_bytes)):
            yield run
            run, size = [], overhead
        run.append(part)
        size += length
    if run:
        yield run


def posts(
    runs: Iterable[list[tuple[Item, bytes]]], url: str, headers: dict[str, str], start: bytes, end: bytes
) -> list[Request]:
    """A POST for each of the `chunks`: its encoded items with commas between `start` and `end`."""
    return [
        Request(method="POST", url=url, headers=headers, items=tuple(item for item, _ in run),
                body=start + b",".join(part for _, part in run) + end)
        for run in runs
    ]  # fmt: skip


MONEY_BACK = frozenset({"Refund", "Chargeback"})


def value_of(item: Item) -> tuple[float, str] | None:
    """Amount and currency, or None: they are sent both or neither, and no ad platform takes a negative amount.

    Money that goes back is never a value: the bidding would read it as earned.
    """
    payload = item.payload
    if (
        item.event in MONEY_BACK
        or payload.value is None
        or payload.currency is None
        or not 0 <= payload.value < math.inf
    ):
        return None
    return payload.value, payload.currency


def decimal_text(value: float) -> str:
    """An amount as a decimal string: "50.00", with more digits only where they count, never an exponent."""
    text = f"{value:.2f}"
    return text if float(text) == value else format(Decimal(repr(value)), "f")


def with_overrides(body: dict[str, Any], item: Item, platform_key: str) -> dict[str, Any]:
    """The event's `platformParams.<platform>` over what the adapter built: a nested dict merges, the rest replaces."""
    extra = item.payload.platform_params.get(platform_key)
    return _merge(body, extra) if extra else body


def _merge(base: dict[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in extra.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, Mapping) else value
    return merged
