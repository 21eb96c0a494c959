"""The matrix: from the steps of a bench to its cells.

In: `ir.Bench` (data; nothing is evaluated here). Out: index vectors, one value index per axis, streamed in a stable
order, with counts of what each clause leaves out. Guarantee: no object per cell but its vector; the same bench gives
the same cells in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import combinations
from operator import itemgetter
from typing import TYPE_CHECKING, TypeAlias, cast

from mobench_lang.ir import Bench, Clause, Design, Step, Walk

if TYPE_CHECKING:
    import random

Vector: TypeAlias = tuple[int, ...]


@dataclass
class Count:
    """How many cells were seen, and why some were left out: one number per exclude clause, then for the design."""

    cells: int = 0
    total: int = 0
    excluded: list[int] = field(default_factory=list)
    not_sampled: int = 0
    repeated: int = 0


def expand(bench: Bench, count: Count | None = None) -> Iterator[Vector]:
    """The cells that are to be measured, in order; `count` is filled while they are drawn."""
    count = count if count is not None else Count()
    count.excluded = [0] * len(bench.excludes)
    left = _kept(_product(bench.walks, count), bench.excludes, count)
    if bench.design is None:
        for vector in left:
            count.cells += 1
            yield vector
        return
    every = list(left)
    chosen = choose(every, bench.design)
    count.not_sampled = len(every) - len(chosen)
    count.cells = len(chosen)
    yield from chosen


def _product(walks: tuple[Walk, ...], count: Count) -> Iterator[Vector]:
    if len(walks) == 1:
        for vector in walk(walks[0].steps):
            count.total += 1
            yield vector
        return
    seen: set[Vector] = set()
    for one in walks:
        for vector in walk(one.steps):
            if vector in seen:
                count.repeated += 1
                continue
            seen.add(vector)
            count.total += 1
            yield vector


def walk(steps: Iterable[Step]) -> Iterator[Vector]:
    """Every row of a product of steps."""
    rows: Iterator[Vector] = iter([()])
    for step in steps:
        rows = _level(rows, step)
    return rows


def _level(prefixes: Iterator[Vector], step: Step) -> Iterator[Vector]:
    choices = {c.key: c.rows for c in step.choices}
    if not step.reads:
        rows = choices.get((), ())
        for prefix in prefixes:
            for row in rows:
                yield prefix + row
        return
    pick = picker(step.reads)
    for prefix in prefixes:
        for row in choices.get(pick(prefix), ()):
            yield prefix + row


def picker(reads: tuple[int, ...]) -> Callable[[Vector], Vector]:
    """What takes the key of some axes out of a vector, always as a tuple."""
    if not reads:
        return lambda _vector: ()
    if len(reads) == 1:
        only = reads[0]
        return lambda vector: (vector[only],)  # itemgetter of one index gives no tuple
    return cast("Callable[[Vector], Vector]", itemgetter(*reads))


def _kept(vectors: Iterator[Vector], clauses: tuple[Clause, ...], count: Count) -> Iterator[Vector]:
    """The vectors that no clause takes; each that is taken counts for the first of them."""
    if not clauses:
        yield from vectors
        return
    never = len(clauses)
    tests = [(picker(reads), first.get) for reads, first in _by_axes(clauses).items()]
    if len(tests) == 1:
        pick, first_of = tests[0]
        for vector in vectors:
            number = first_of(pick(vector), never)
            if number == never:
                yield vector
            else:
                count.excluded[number] += 1
        return
    for vector in vectors:
        number = min([first_of(pick(vector), never) for pick, first_of in tests])
        if number == never:
            yield vector
        else:
            count.excluded[number] += 1


def _by_axes(clauses: tuple[Clause, ...]) -> dict[Vector, dict[Vector, int]]:
    """For each set of axes that clauses read: the number of the first clause that is true for a combination."""
    found: dict[Vector, dict[Vector, int]] = {}
    for number, clause in enumerate(clauses):
        first = found.setdefault(clause.reads, {})
        for key in clause.true:
            first.setdefault(key, number)
    return found


def size(walk: Walk) -> int:
    """The number of rows of a walk, without walking it where its steps allow."""
    groups = _independent(walk.steps)
    total = 1
    for group in groups:
        total *= group
    return total


def _independent(steps: tuple[Step, ...]) -> list[int]:
    """Row counts of groups of steps that do not depend on each other; their product is the size."""
    owner: dict[int, int] = {}
    members: list[list[Step]] = []
    for step in steps:
        touched = sorted({owner[axis] for axis in step.reads})
        if not touched:
            members.append([step])
            index = len(members) - 1
        else:
            index = touched[0]
            for other in touched[1:]:
                members[index].extend(members[other])
                members[other] = []
            members[index].append(step)
        for group, contents in enumerate(members):
            for one in contents:
                for axis in one.sets:
                    owner[axis] = group
    order = {id(step): number for number, step in enumerate(steps)}
    return [_count(sorted(group, key=lambda s: order[id(s)])) for group in members if group]


def _count(steps: list[Step]) -> int:
    if len(steps) == 1 and not steps[0].reads:
        return sum(len(c.rows) for c in steps[0].choices)
    return sum(1 for _ in projections(steps, tuple(a for s in steps for a in s.sets)))


def projections(steps: Iterable[Step], reads: tuple[int, ...]) -> Iterator[Vector]:
    """The combinations of the axes `reads` that the steps reach, each once, in order of appearance."""
    by_axis = {axis: step for step in steps for axis in step.sets}
    needed: set[int] = set()
    waiting = list(reads)
    while waiting:
        axis = waiting.pop()
        if axis not in needed:
            needed.update(by_axis[axis].sets)
            waiting.extend(by_axis[axis].reads)
    used = [step for step in steps if set(step.sets) & needed]
    position = {axis: at for at, axis in enumerate(a for s in used for a in s.sets)}
    local = [replace(s, reads=tuple(position[a] for a in s.reads)) for s in used]
    if tuple(position) == reads:  # whole rows, of which no two are the same
        yield from walk(local)
        return
    pick = picker(tuple(position[a] for a in reads))
    seen: set[Vector] = set()
    for row in walk(local):
        key = pick(row)
        if key not in seen:
            seen.add(key)
            yield key


# ---------------------------------------------------------------- designed fractions


def choose(cells: list[Vector], design: Design) -> list[Vector]:
    """The designed fraction of some cells, in their order."""
    if design.kind == "sample":
        wanted = min(design.size or 0, len(cells))
        return [cells[i] for i in sorted(_random(design.seed).sample(range(len(cells)), wanted))]
    return pairwise(cells, design.seed)


def _random(seed: int) -> random.Random:
    import random

    return random.Random(seed)  # noqa: S311 - a design is to be reproducible, not secret


def pairwise(cells: list[Vector], seed: int) -> list[Vector]:
    """A small subset in which every pair of values of two axes that occurs among the cells occurs too.

    Greedy: walk the cells in a seeded random order, take each that covers most of what a look-ahead offers.
    """
    if not cells or len(cells[0]) < 2:
        return cells
    pairs = list(combinations(range(len(cells[0])), 2))
    order = list(range(len(cells)))
    _random(seed).shuffle(order)
    open_pairs = {(p, cells[i][a], cells[i][b]) for i in order for p, (a, b) in enumerate(pairs)}
    taken: list[int] = []
    window: list[int] = []
    source = iter(order)

    def gain(i: int) -> int:
        vector = cells[i]
        return sum((p, vector[a], vector[b]) in open_pairs for p, (a, b) in enumerate(pairs))

    while open_pairs:
        window = [i for i in window if gain(i)]
        while len(window) < 64 and (following := next(source, None)) is not None:
            if gain(following):
                window.append(following)
        best = max(window, key=lambda i: (gain(i), -i))
        taken.append(best)
        vector = cells[best]
        open_pairs.difference_update((p, vector[a], vector[b]) for p, (a, b) in enumerate(pairs))
    return [cells[i] for i in sorted(taken)]
