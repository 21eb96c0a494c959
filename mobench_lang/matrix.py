"""The matrix: from the steps of a bench to its cells.

In: `ir.Bench` (data; nothing is evaluated here). Out: index vectors, one value index per axis, streamed in a stable
order, with counts of what each clause leaves out. Guarantee: no object per cell but its vector; the same bench gives
the same cells in the same order.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from operator import itemgetter
from typing import TypeAlias, cast

from mobench_lang import design
from mobench_lang.ir import Bench, Clause, Step, Walk

Vector: TypeAlias = tuple[int, ...]
BATCH = 4096  # rows between two looks at who pays for them


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
    if bench.design.kind == "pairwise":
        columns = _columns(left, len(bench.axes))
        total, chosen = len(columns[0]), design.pairwise(columns, bench.design.seed)
    else:
        total = sum(1 for _ in left)
        chosen = design.sample(total, bench.design.size or 0, bench.design.seed)
    count.cells, count.not_sampled = len(chosen), total - len(chosen)
    again = Count(excluded=[0] * len(bench.excludes))  # walked twice: millions need not be held for a few
    yield from _at(_kept(_product(bench.walks, again), bench.excludes, again), chosen)


def _columns(vectors: Iterator[Vector], axes: int) -> list[array[int]]:
    """The vectors by axis, in little memory."""
    columns = [array("L") for _ in range(axes)]
    while batch := tuple(islice(vectors, BATCH)):
        for column, part in zip(columns, zip(*batch, strict=True), strict=True):
            column.extend(part)
    return columns


def _at(vectors: Iterator[Vector], places: Iterable[int]) -> Iterator[Vector]:
    """The vectors at some places, which ascend."""
    start = 0
    for place in places:
        yield from islice(vectors, place - start, place - start + 1)
        start = place + 1


def _product(walks: tuple[Walk, ...], count: Count) -> Iterator[Vector]:
    if len(walks) == 1:
        for vector in walk(walks[0].steps):
            count.total += 1
            yield vector
        return
    for vector in walk(walks[0].steps):
        count.total += 1
        yield vector
    known = _reached_by(walks[0])
    seen: set[Vector] = set()
    for one in walks[1:]:
        for vector in walk(one.steps):
            if vector in seen or known(vector):
                count.repeated += 1
                continue
            seen.add(vector)
            count.total += 1
            yield vector


def _reached_by(one: Walk) -> Callable[[Vector], bool]:
    """Whether a vector is a row of a walk, without a set of all of them."""
    longest = sorted(one.steps, key=lambda s: sum(len(c.rows) for c in s.choices), reverse=True)  # likeliest to lack it
    steps = [(picker(s.reads), picker(s.sets), {c.key: frozenset(c.rows) for c in s.choices}) for s in longest]
    return lambda vector: all(sets(vector) in rows.get(reads(vector), ()) for reads, sets, rows in steps)


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


def size(walk: Walk, limit: int | None = None) -> int:
    """The number of rows of a walk, without walking it where its steps allow; counting may end above `limit`."""
    total = 1
    for group in _independent(walk.steps):
        total *= _count(group, limit)
    return total


def _independent(steps: tuple[Step, ...]) -> list[list[Step]]:
    """Groups of steps that do not depend on each other; the product of their row counts is the size."""
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
    return [sorted(group, key=lambda s: order[id(s)]) for group in members if group]


def _count(steps: list[Step], limit: int | None) -> int:
    if len(steps) == 1 and not steps[0].reads:
        return sum(len(c.rows) for c in steps[0].choices)
    rows = projections(steps, tuple(a for s in steps for a in s.sets))
    return sum(1 for _ in (rows if limit is None else islice(rows, limit + 1)))


def projections(
    steps: Iterable[Step], reads: tuple[int, ...], pay: Callable[[int], bool] | None = None
) -> Iterator[Vector]:
    """The combinations of the axes `reads` that the steps reach, each once, in order of appearance.

    `pay` is asked for each batch of rows that are walked to find them; once it refuses, that is all.
    """
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
    for number, row in enumerate(walk(local), 1):
        if number % BATCH == 0 and pay is not None and not pay(BATCH):
            return
        key = pick(row)
        if key not in seen:
            seen.add(key)
            yield key
