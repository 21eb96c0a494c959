"""Designed fractions: which of many cells are measured.

In: the number of cells, or their columns. Out: places among them, ascending. Guarantee: the same cells and seed give
the same places on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

MAX_PAIRS = 5_000_000  # pairs of values, over all cells, that a pairwise design looks at
WINDOW = 64  # cells that are compared at a time


def sample(total: int, size: int, seed: int) -> list[int]:
    """`size` of `total` places at random, all of them if there are no more."""
    return sorted(_random(seed).sample(range(total), min(size, total)))


def pairwise(columns: Sequence[Sequence[int]], seed: int) -> list[int]:
    """The places of few cells in which each pair of values of two axes occurs that occurs among all of them.

    A column has the value of one axis in each cell; no two cells are the same.

    Greedy: of a window over the cells in a seeded order, the one that brings the most pairs is next. What a cell brings
    only ever becomes less, so that the first whose worth is still what it was when last looked at is the best.
    """
    import heapq

    cells = len(columns[0])
    varied = [c for c in columns if len(set(c)) > 1]
    if len(varied) < 3:  # each cell is the only one with its pair
        return list(range(cells))
    missing = [(a, b, set(zip(a, b, strict=True))) for a, b in combinations(varied, 2)]

    def brings(place: int) -> int:
        return sum((a[place], b[place]) in pairs for a, b, pairs in missing)

    order = list(range(cells))
    _random(seed).shuffle(order)
    source = iter(order)
    window: list[tuple[int, int]] = []
    taken: list[int] = []
    while any(pairs for _, _, pairs in missing):
        while len(window) < WINDOW and (place := next(source, None)) is not None:
            if worth := brings(place):
                heapq.heappush(window, (-worth, place))
        was, place = heapq.heappop(window)
        worth = brings(place)
        if worth == -was:
            taken.append(place)
            for a, b, pairs in missing:
                pairs.discard((a[place], b[place]))
        elif worth:
            heapq.heappush(window, (-worth, place))
    return sorted(taken)


def _random(seed: int) -> random.Random:
    import random  # few specs have a design, and it is dear at start-up

    return random.Random(seed)  # noqa: S311 - a design is to be reproducible, not secret
