"""Finding the event for which a platform refuses a whole batch: halve until it is alone.

A run halves on the spot. Where the rate limit, a flip of a switch or the end of a worker cuts it short, the next claim
goes on from the refusals on record: were the same batch put together anew each time, none of it would ever be settled.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from destinations.platforms.base import Item


def halves(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """Two of a size; the second of a single item is left out."""
    half = (len(items) + 1) // 2
    yield items[:half]
    if items[half:]:
        yield items[half:]


def pieces(items: Sequence[Item], refused_among: Mapping[int, int]) -> Iterator[Sequence[Item]]:
    """The items in the batches to try: one that was refused among n others goes out in a batch half as large, those
    nearest to being found out first; what was never refused stays together, and is last.
    """
    by_size: dict[int, list[Item]] = defaultdict(list)
    for item in items:
        by_size[refused_among.get(item.key, 0)].append(item)
    fresh = by_size.pop(0, [])
    for refused, members in sorted(by_size.items()):
        size = max(1, (refused + 1) // 2)
        yield from (members[start : start + size] for start in range(0, len(members), size))
    if fresh:
        yield fresh
