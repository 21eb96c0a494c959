"""Conditions over axes: tried on every combination that can be reached, at the cost of what differs.

In: a condition, the axes of a bench. Out: the combinations for which it is true, and those for which that is unknown.
Guarantee: the truth of each combination is what the evaluator says. A part of a condition is evaluated once for each
combination of the axes that it reads itself; comparisons of whole numbers run as closures; all work is counted.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import TypeAlias

from mobench_lang.check.arithmetic import MAX_INT
from mobench_lang.check.axes import Axes
from mobench_lang.check.evaluate import Evaluator
from mobench_lang.check.values import POISON, Hidden, Poison
from mobench_lang.frozen import frozen
from mobench_lang.matrix import picker
from mobench_lang.syntax import ast

Key: TypeAlias = tuple[int, ...]
Truth: TypeAlias = "bool | Hidden | Poison"
_AT_ONCE = 4096  # combinations between two looks at the budget
_CHEAP = 16  # operations of closures that take about one step

_COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_OPERATORS: dict[str, Callable[[int, int], int]] = {"+": operator.add, "-": operator.sub, "*": operator.mul}


@frozen
class Tried:
    """For which combinations of the axes `reads` a condition is true, and for which unknown, with a reason."""

    reads: Key
    true: tuple[Key, ...]
    unknown: tuple[Key, ...]
    why: str


def try_out(ev: Evaluator, axes: Axes, condition: ast.Expr, reads: Key, keys: Iterable[Key]) -> Tried | None:
    """The truth of a condition for each of the combinations; None after a report."""
    if ev.exhausted:
        return None
    compiled = _Compiler(ev, axes, reads)
    holds: Callable[[Key], Truth] | None = None
    true: list[Key] = []
    unknown: list[Key] = []
    why = ""
    number = 0
    for number, key in enumerate(keys, 1):
        if holds is None:  # the first is evaluated as a whole: what is said of a part that decides nothing is said once
            truth: Truth = ev.truth(condition, axes.at(reads, key))
            holds = compiled.truth(condition)
        else:
            truth = holds(key)
        if truth is True:
            true.append(key)
        elif isinstance(truth, Poison):
            return None
        elif isinstance(truth, Hidden):
            why = why or truth.why
            unknown.append(key)
        if number % _AT_ONCE == 0 and not _paid(ev, compiled, condition, _AT_ONCE):
            return None
    if ev.exhausted or not _paid(ev, compiled, condition, number % _AT_ONCE):
        return None
    return Tried(reads, tuple(true), tuple(unknown), why)


def _paid(ev: Evaluator, compiled: _Compiler, condition: ast.Expr, count: int) -> bool:
    combinations = ev.combinations(count, condition.span)
    return combinations and ev.work(count * compiled.operations // _CHEAP, condition.span)


class _Compiler:
    """Closures over combinations of the axes `reads`; `operations` is what calling one takes at most."""

    def __init__(self, ev: Evaluator, axes: Axes, reads: Key) -> None:
        self.ev, self.axes, self.reads = ev, axes, reads
        self.place = {axes.order[axis]: at for at, axis in enumerate(reads)}
        self.operations = 4

    def truth(self, expr: ast.Expr) -> Callable[[Key], Truth]:
        """The truth of a condition; three-valued as in `Evaluator`."""
        self.operations += 1
        if isinstance(expr, ast.Binary) and expr.op in ("and", "or"):
            return _logic(self.truth(expr.left), self.truth(expr.right), expr.op == "or")
        if isinstance(expr, ast.Unary) and expr.op == "not":
            inner = self.truth(expr.operand)

            def negated(key: Key) -> Truth:
                truth = inner(key)
                return truth if isinstance(truth, Poison | Hidden) else not truth

            return negated
        return self._comparison(expr) or self._remembered(expr)

    def _remembered(self, expr: ast.Expr) -> Callable[[Key], Truth]:
        """Evaluated once for each combination of the axes that the part reads."""
        reads = self.axes.reads(expr)
        pick = picker(tuple(self.reads.index(r) for r in reads))
        memo: dict[Key, Truth] = {}

        def known(key: Key) -> Truth:
            own = pick(key)
            found = memo.get(own)
            if found is None:
                found = memo[own] = self.ev.truth(expr, self.axes.at(reads, own))
            return found

        return known

    # ------------------------------------------------------------ whole numbers

    def _comparison(self, expr: ast.Expr) -> Callable[[Key], Truth] | None:
        """A comparison of whole numbers that cannot overflow; None for any other expression."""
        if not isinstance(expr, ast.Binary) or expr.op not in _COMPARISONS:
            return None
        left, right = self._number(expr.left), self._number(expr.right)
        if left is None or right is None:
            return None
        first, second, compare = left[0], right[0], _COMPARISONS[expr.op]
        return lambda key: compare(first(key), second(key))

    def _number(self, expr: ast.Expr) -> tuple[Callable[[Key], int], int, int] | None:
        """A whole number as a closure, with its bounds."""
        self.operations += 1
        match expr:
            case ast.Int(value=value) if abs(value) < MAX_INT:
                return (lambda _key: value), value, value
            case ast.Name(text=text) if text in self.place:
                values = self.axes.tables[text].values
                if not all(type(v) is int for v in values):
                    return None
                whole = [v for v in values if type(v) is int]
                at = self.place[text]
                return (lambda key: whole[key[at]]), min(whole), max(whole)
            case ast.Binary(op="+" | "-" | "*" as op):
                left, right = self._number(expr.left), self._number(expr.right)
                if left is None or right is None:
                    return None
                do = _OPERATORS[op]
                ends = [do(a, b) for a in left[1:] for b in right[1:]]
                if max(map(abs, ends)) >= MAX_INT:
                    return None
                first, second = left[0], right[0]
                return (lambda key: do(first(key), second(key))), min(ends), max(ends)
        return None


def _logic(first: Callable[[Key], Truth], second: Callable[[Key], Truth], decides: bool) -> Callable[[Key], Truth]:
    def either(key: Key) -> Truth:
        left = first(key)
        if left is decides:
            return decides
        right = second(key)
        if isinstance(left, Poison) or isinstance(right, Poison):
            return POISON
        if right is decides:
            return decides
        return left if isinstance(left, Hidden) else right

    return either
