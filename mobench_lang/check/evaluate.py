"""Expressions to values: pure, total, and typed as it goes.

In: an expression of the syntax tree, an `Env` of names and, where one is known, the attribute that is expected. Out: a
value of `check.values`. Guarantee: no clock, no environment, no network, no recursion of its own making; the work is
bounded by a budget; a fault is reported once and poisons what is made from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal, DecimalException
from itertools import chain, islice
from typing import Any

from mobench_lang.check import messages, units
from mobench_lang.check.arithmetic import MAX_INT, arithmetic, comparable, compare
from mobench_lang.check.names import Bound, Env, Local
from mobench_lang.check.schema import Schema
from mobench_lang.check.units import ARITHMETIC, Qty
from mobench_lang.check.values import (
    POISON,
    Ent,
    Hidden,
    Poison,
    Rec,
    Val,
    Word,
    is_list,
    kind_of,
    label,
    same,
)  # fmt: skip
from mobench_lang.diagnostics import Diagnostic
from mobench_lang.lockfile import NO_LOCK, Lock
from mobench_lang.packs import Attribute
from mobench_lang.source import Span
from mobench_lang.syntax import ast

MAX_VALUES = 10_000_000  # a spec with all that it uses may build at most so many values …
MAX_STEPS = 1_000_000  # … in so many steps of about 1 µs, so that whatever is written ends within two seconds
MAX_COMBINATIONS = 1_000_000  # of axes that lists and clauses of a matrix may be evaluated for
MAX_TEXT = 1_000_000  # characters of one string
_ROWS = 4  # of a product, that are walked in the time of about one step
MAX_NAMES = 100_000  # that may be looked through for one that was meant; then faults come without a suggestion


@dataclass
class Budget:
    """What one spec, with all files that it uses, may still do."""

    values: int = MAX_VALUES
    steps: int = MAX_STEPS
    combinations: int = MAX_COMBINATIONS
    names: int = MAX_NAMES
    told: bool = False

    def near(self, names: Iterable[str]) -> list[str]:
        """The names that may be looked through for one that was meant."""
        found = list(islice(names, self.names))
        self.names -= len(found)
        return found


@dataclass
class Evaluator:
    """Evaluates expressions of one file; `report` takes what it finds, `lock` knows the sizes of files."""

    schema: Schema
    report: Callable[[Diagnostic], None]
    functions: Mapping[str, Callable[..., Val]]
    budget: Budget = field(default_factory=Budget)
    quiet: int = 0
    lock: Lock = NO_LOCK

    # ------------------------------------------------------------ entry

    def value(self, expr: ast.Expr, env: Env, want: Attribute | None = None) -> Val:
        """The value of an expression; POISON after a fault that has been reported."""
        self.budget.steps -= 1
        if self.budget.steps < 0:
            return self._exhausted(expr.span)
        return _HOW[type(expr)](self, expr, env, want)

    def tell(self, found: Diagnostic) -> Poison:
        """Report a fault and give the value that keeps quiet about what follows."""
        if not self.quiet or found.code == messages.names.UNKNOWN_NAME:
            self.report(found)
        return POISON

    # ------------------------------------------------------------ leaves

    def _name(self, expr: ast.Name, env: Env, want: Attribute | None) -> Val:
        bound = env.find(expr.text)
        if bound is not None:
            if bound.namespace is not None:
                return self.tell(messages.names.namespace_as_value(expr, self.budget.near(sorted(bound.namespace))))
            if bound.outside:
                return self.tell(messages.names.axis_without_value(expr, bound.span))
            if isinstance(bound.value, Ent) and expr.text in self.words(want):
                return Word(
                    expr.text
                )  # `target = local`: where only a word can stand, a thing of that name is not meant
            return bound.value
        words = self.words(want)
        if expr.text in words:
            return Word(expr.text)
        if words and want is not None:
            return self.tell(
                messages.names.unknown_word(expr.span, expr.text, want, words, self.budget.near(env.names()))
            )
        if want is None and expr.text in self.schema.words:
            return Word(expr.text)
        known = self.budget.near(chain(env.names(), self.functions))
        return self.tell(messages.names.unknown_name(expr.span, expr.text, known, want))

    def words(self, want: Attribute | None) -> tuple[str, ...]:
        """The words that an attribute accepts."""
        match want.type.removeprefix("list of ") if want else None:
            case "enum":
                return want.values if want else ()
            case "quant":
                return self.schema.quants
            case "target":
                return tuple(self.schema.targets)
            case "cpus":
                return ("all", "big_cores", "little_cores")
        return ()

    def _int(self, value: int, span: Span) -> Val:
        return value if -MAX_INT < value < MAX_INT else self.tell(messages.limits.too_large(span))

    def _string(self, expr: ast.String, env: Env) -> Val:
        pieces: list[str] = []
        for part in expr.parts:
            if isinstance(part, str):
                pieces.append(part)
                continue
            value = self.value(part, env)
            if isinstance(value, Poison | Hidden):
                return value
            if is_list(value) or isinstance(value, Rec):
                return self.tell(messages.values.not_printable(part.span, kind_of(value)))
            pieces.append(label(value))
        joined = "".join(pieces)
        if len(joined) > MAX_TEXT:
            return self.tell(messages.limits.too_large(expr.span))
        return joined if self.work(len(joined) // 100, expr.span) else POISON

    # ------------------------------------------------------------ lists

    def _list(self, expr: ast.ListOf, env: Env, want: Attribute | None) -> Val:
        items = tuple(self.value(item, env, element(want)) for item in expr.items)
        if not self.charge(len(items), expr.span):
            return POISON
        return POISON if any(isinstance(i, Poison) for i in items) else items

    def _comprehension(self, expr: ast.Comprehension, env: Env, want: Attribute | None) -> Val:
        shadowed = env.find(expr.name.text)
        if shadowed is not None:
            self.tell(messages.names.shadows(expr.name, shadowed.span))
        source = self.value(expr.source, env)
        if isinstance(source, Poison | Hidden):
            return source
        if not is_list(source):
            return self.tell(messages.values.not_a_list(expr.source.span, kind_of(source)))
        assert isinstance(source, Sequence)  # noqa: S101 - is_list said so
        if not source:
            return self._unvisited(expr.result, Local(env, expr.name.text, Bound(Hidden("no element"), None)), ())
        found: list[Val] = []
        for item in source:
            inner = Local(env, expr.name.text, Bound(item, expr.name.span))
            if expr.condition is not None:
                keep = self.truth(expr.condition, inner)
                if isinstance(keep, Poison | Hidden):
                    return keep
                if not keep:
                    continue
            value = self.value(expr.result, inner, element(want))
            if isinstance(value, Poison) or not self.charge(1, expr.span):
                return POISON
            found.append(value)
        return tuple(found)

    def charge(self, count: int, span: Span) -> bool:
        """Take `count` values off the budget; False (after one report) when it is used up."""
        self.budget.values -= count
        if self.budget.values < 0:
            self._exhausted(span)
            return False
        return True

    def work(self, steps: int, span: Span) -> bool:
        """Take so many steps off the budget; False (after one report) when it is used up."""
        self.budget.steps -= steps
        if self.budget.steps < 0:
            self._exhausted(span)
            return False
        return True

    def combinations(self, count: int, span: Span) -> bool:
        """Take so many combinations of axes off the budget; False (after one report) when it is used up."""
        self.budget.combinations -= count
        if self.budget.combinations < 0:
            self._exhausted(span)
            return False
        return True

    @property
    def exhausted(self) -> bool:
        """True if the budget has been used up, which has been reported."""
        return self.budget.told

    def rows(self, count: int, span: Span) -> bool:
        """Take so many rows of a product, walked for their combinations, off the budget of work."""
        return self.work(count // _ROWS, span)

    def _exhausted(self, span: Span) -> Poison:
        if not self.budget.told:
            self.budget.told = True
            if self.budget.combinations < 0:
                self.report(messages.limits.over_combinations(span, MAX_COMBINATIONS))
            elif self.budget.values < 0:
                self.report(messages.limits.over_budget(span, MAX_VALUES))
            else:
                self.report(messages.limits.over_steps(span, MAX_STEPS))
        return POISON

    def _range(self, expr: ast.Range, env: Env) -> Val:
        start, stop = self.value(expr.start, env), self.value(expr.stop, env)
        step = None if expr.step is None else self.value(expr.step, env)
        for value in (start, stop, step):
            if isinstance(value, Poison | Hidden):
                return value
        if _whole(start) and _whole(stop):
            assert isinstance(start, int)  # noqa: S101 - _whole said so
            assert isinstance(stop, int)  # noqa: S101 - _whole said so
            return self._int_range(expr, start, stop, step)
        if isinstance(start, Qty) and isinstance(stop, Qty) and start.base == stop.base:
            return self._qty_range(expr, start, stop, step)
        return self.tell(messages.values.bad_range(expr.span, kind_of(start), kind_of(stop)))

    def _int_range(self, expr: ast.Range, start: int, stop: int, step: Val) -> Val:
        if start > stop:
            return self.tell(messages.values.empty_range(expr, str(start), str(stop)))
        if expr.geometric:
            return self._geometric(expr, Decimal(start), Decimal(stop), step, int)
        if step is None:
            step = 1
        if not isinstance(step, int) or isinstance(step, bool) or step < 1:
            return self.tell(messages.values.bad_step(expr.step.span if expr.step else expr.span))
        made = range(start, stop + 1, step)
        return made if self.charge(len(made), expr.span) else POISON

    def _qty_range(self, expr: ast.Range, start: Qty, stop: Qty, step: Val) -> Val:
        if start.value > stop.value:
            return self.tell(messages.values.empty_range(expr, units.show(start), units.show(stop)))
        if expr.geometric:
            return self._geometric(expr, start.value, stop.value, step, lambda d: Qty(d, start.base))
        difference = "mK" if start.base == "m°C" else start.base
        if not isinstance(step, Qty) or step.base != difference or step.value <= 0:
            return self.tell(messages.values.range_needs_step(expr, units.show(start)))
        count = int((stop.value - start.value) / step.value) + 1
        if not self.charge(count, expr.span):
            return POISON
        return tuple(Qty(start.value + i * step.value, start.base) for i in range(count))

    def _geometric(
        self, expr: ast.Range, start: Decimal, stop: Decimal, factor: Val, make: Callable[[Decimal], Val]
    ) -> Val:
        if not isinstance(factor, int | Decimal) or isinstance(factor, bool) or factor <= 1 or start <= 0:
            return self.tell(messages.values.bad_factor(expr.step.span if expr.step else expr.span))
        found: list[Val] = []
        value = start
        while value <= stop:
            made = make(value)
            if (found and same(found[-1], made)) or not self.charge(1, expr.span):
                return self.tell(messages.values.bad_factor(expr.step.span if expr.step else expr.span))
            found.append(made)
            value = ARITHMETIC.multiply(value, Decimal(factor))
        return tuple(found)

    # ------------------------------------------------------------ operators

    def _unary(self, expr: ast.Unary, env: Env) -> Val:
        if expr.op == "not":
            truth = self.truth(expr.operand, env)
            return truth if isinstance(truth, Poison | Hidden) else not truth
        value = self.value(expr.operand, env)
        match value:
            case Poison() | Hidden():
                return value
            case bool():
                pass
            case int():
                return -value
            case Decimal():
                return -value
            case Qty():
                return Qty(-value.value, value.base)
        return self.tell(messages.values.bad_operand(expr.span, "-", kind_of(value)))

    def truth(self, expr: ast.Expr, env: Env) -> bool | Hidden | Poison:
        """The value of a condition."""
        value = self.value(expr, env)
        if isinstance(value, bool | Hidden | Poison):
            return value
        return self.tell(messages.values.not_a_condition(expr.span, kind_of(value)))

    def _binary(self, expr: ast.Binary, env: Env) -> Val:
        if expr.op in ("and", "or"):
            return self._logic(expr, env)
        if expr.op in ("==", "!=", "<", "<=", ">", ">=", "in"):
            return self._compare(expr, env)
        left, right = self.value(expr.left, env), self.value(expr.right, env)
        for value in (left, right):
            if isinstance(value, Poison):
                return POISON
        for value in (left, right):
            if isinstance(value, Hidden):
                return value
        if expr.op == "+" and is_list(left) and is_list(right):
            assert isinstance(left, Sequence)  # noqa: S101 - is_list said so
            assert isinstance(right, Sequence)  # noqa: S101 - is_list said so
            return (*left, *right) if self.charge(len(left) + len(right), expr.span) else POISON
        return self._guard(expr.span, lambda: self._arithmetic(expr, left, right))

    def _guard(self, span: Span, compute: Callable[[], Val]) -> Val:
        try:
            value = compute()
        except ZeroDivisionError:
            return self.tell(messages.values.division_by_zero(span))
        except DecimalException:
            return self.tell(messages.limits.too_large(span))
        return self._int(value, span) if isinstance(value, int) and not isinstance(value, bool) else value

    def _arithmetic(self, expr: ast.Binary, left: Val, right: Val) -> Val:
        made = arithmetic(expr.op, left, right)
        if made is None:
            return self.tell(messages.values.bad_operands(expr.op_span, expr.op, kind_of(left), kind_of(right)))
        return made

    def _logic(self, expr: ast.Binary, env: Env) -> Val:
        """Three-valued: `false and unknown` is false, `true or unknown` is true."""
        decides = expr.op == "or"
        left = self.truth(expr.left, env)
        if isinstance(left, bool) and left is decides:
            self._unvisited(expr.right, env, None)
            return decides
        right = self.truth(expr.right, env)
        if isinstance(left, Poison) or isinstance(right, Poison):
            return POISON
        if isinstance(right, bool) and right is decides:
            return decides
        return left if isinstance(left, Hidden) else right

    def _compare(self, expr: ast.Binary, env: Env) -> Val:
        left, right = self._sides(expr, env)
        if isinstance(left, Poison) or isinstance(right, Poison):
            return POISON
        if isinstance(left, Hidden) or isinstance(right, Hidden):
            return left if isinstance(left, Hidden) else right
        if expr.op == "in":
            if not is_list(right):
                return self.tell(messages.values.not_a_list(expr.right.span, kind_of(right)))
            assert isinstance(right, Sequence)  # noqa: S101 - is_list said so
            return self._within(left, right, expr.span)
        if not comparable(left, right, ordered=expr.op not in ("==", "!=")):
            return self.tell(messages.values.not_comparable(expr, kind_of(left), kind_of(right)))
        if is_list(left) and not self.work(weight(left, self.budget.steps), expr.span):
            return POISON
        return compare(expr.op, left, right)

    def _within(self, item: Val, items: Sequence[Val], span: Span) -> Val:
        """Whether a list has an element; a range of whole numbers need not be walked."""
        if isinstance(items, range) and _whole(item):
            return item in items
        cost = len(items) * (weight(item, self.budget.steps) if is_list(item) else 1)
        return any(same(item, one) for one in items) if self.work(cost, span) else POISON

    def _sides(self, expr: ast.Binary, env: Env) -> tuple[Val, Val]:
        """Both sides; a bare word on one side is read by the type of the other."""
        if _is_word(expr.left, env) and not _is_word(expr.right, env):
            want = self.want_of(expr.right, env)
            return self.value(expr.left, env, want), self.value(expr.right, env)
        want = self.want_of(expr.left, env)
        if want is not None and expr.op == "in":
            want = Attribute(type="list of " + want.type, doc=want.doc, values=want.values)
        return self.value(expr.left, env), self.value(expr.right, env, want)

    def want_of(self, expr: ast.Expr, env: Env) -> Attribute | None:
        """The attribute that an expression reads, if it is one or an axis with a type of words."""
        if isinstance(expr, ast.Name):
            bound = env.find(expr.text)
            return bound.want if bound else None
        if isinstance(expr, ast.Member):
            self.quiet += 1
            owner = self.value(expr.value, env)
            self.quiet -= 1
            if isinstance(owner, Ent):
                return self.schema.attributes(owner.kind, owner.pack).get(expr.name.text)
        return None

    def _cond(self, expr: ast.Cond, env: Env, want: Attribute | None) -> Val:
        test = self.truth(expr.test, env)
        if isinstance(test, Poison | Hidden):
            self._unvisited(expr.yes, env, None, want)
            self._unvisited(expr.no, env, None, want)
            return test
        self._unvisited(expr.no if test else expr.yes, env, None, want)
        return self.value(expr.yes if test else expr.no, env, want)

    def _unvisited(self, expr: ast.Expr, env: Env, value: Val, want: Attribute | None = None) -> Val:
        """Look an expression over that is not evaluated here: unknown names in it are still reported."""
        self.quiet += 1
        self.value(expr, env, want)
        self.quiet -= 1
        return value

    # ------------------------------------------------------------ access

    def _member(self, expr: ast.Member, env: Env) -> Val:
        if isinstance(expr.value, ast.Name):
            bound = env.find(expr.value.text)
            if bound is not None and bound.namespace is not None:
                inner = bound.namespace.get(expr.name.text)
                if inner is None:
                    near = self.budget.near(sorted(bound.namespace))
                    return self.tell(messages.imports.not_exported(expr.name, expr.value.text, near))
                return inner.value
        owner = self.value(expr.value, env)
        if isinstance(owner, Poison | Hidden):
            return owner
        if isinstance(owner, Rec):
            if expr.name.text in owner.fields:
                return owner.fields[expr.name.text]
            return self.tell(messages.values.no_field(expr.name, "this record", sorted(owner.fields)))
        if not isinstance(owner, Ent):
            return self.tell(messages.values.no_members(expr.span, kind_of(owner)))
        if expr.name.text == "name":
            return owner.name
        if expr.name.text in owner.attrs:
            return owner.attrs[expr.name.text]
        known = self.schema.attributes(owner.kind, owner.pack)
        if expr.name.text in known:
            return POISON if owner.damaged else Hidden(f"{owner.kind} `{owner.name}` does not set `{expr.name.text}`")
        if owner.kind in ("device", "engine") and expr.name.text in self.schema.attributes(owner.kind):
            return Hidden(f"{owner.kind} `{owner.name}` has no `{expr.name.text}`")
        return self.tell(messages.values.no_field(expr.name, f"{owner.kind} `{owner.name}`", sorted([*known, "name"])))

    def _index(self, expr: ast.Index, env: Env) -> Val:
        owner, index = self.value(expr.value, env), self.value(expr.index, env)
        for value in (owner, index):
            if isinstance(value, Poison | Hidden):
                return value
        if not is_list(owner):
            return self.tell(messages.values.not_a_list(expr.value.span, kind_of(owner)))
        assert isinstance(owner, Sequence)  # noqa: S101 - is_list said so
        if not _whole(index):
            return self.tell(messages.values.bad_index(expr.index.span, kind_of(index)))
        assert isinstance(index, int)  # noqa: S101 - _whole said so
        if not 0 <= index < len(owner):
            return self.tell(messages.values.index_out_of_range(expr.index.span, index, len(owner)))
        return owner[index]

    def _call(self, expr: ast.Call, env: Env) -> Val:
        if isinstance(expr.function, ast.Member):
            owner = self.value(expr.function.value, env)
            if isinstance(owner, Poison | Hidden):
                return owner
            name = f".{expr.function.name.text}"
            if name not in self.functions or not isinstance(owner, Ent):
                return self.tell(messages.functions.no_method(expr.function.name, kind_of(owner)))
            return self.functions[name](self, expr, env, owner)
        if not isinstance(expr.function, ast.Name):
            return self.tell(messages.functions.not_callable(expr.function.span))
        function = self.functions.get(expr.function.text)
        if function is not None:
            return function(self, expr, env)
        if env.find(expr.function.text) is not None:
            return self.tell(messages.functions.not_callable(expr.function.span))
        known = [f for f in self.functions if not f.startswith(".")]
        return self.tell(messages.functions.unknown_function(expr.function.span, expr.function.text, known))

    def _refine(self, expr: ast.Refine, env: Env) -> Val:
        from mobench_lang.check.entities import refine

        base = self.value(expr.base, env)
        if isinstance(base, Poison | Hidden):
            for entry in expr.entries:
                self._unvisited(entry.value, env, None)
            return base
        if not isinstance(base, Ent):
            return self.tell(messages.functions.cannot_refine(expr.base.span, kind_of(base)))
        return refine(self, base, expr.entries, env, expr.span)


# How each kind of expression is evaluated. Any: the expression is of the kind that it stands beside.
_HOW: dict[type[ast.Expr], Callable[[Evaluator, Any, Env, Attribute | None], Val]] = {
    ast.Name: Evaluator._name,
    ast.Int: lambda ev, expr, _env, _want: ev._int(expr.value, expr.span),
    ast.Float: lambda _ev, expr, _env, _want: expr.value,
    ast.Quantity: lambda ev, expr, _env, _want: ev._guard(expr.span, lambda: units.read(expr.value, expr.unit)),
    ast.Bool: lambda _ev, expr, _env, _want: expr.value,
    ast.Null: lambda _ev, _expr, _env, _want: None,
    ast.String: lambda ev, expr, env, _want: ev._string(expr, env),
    ast.ListOf: Evaluator._list,
    ast.Comprehension: Evaluator._comprehension,
    ast.Range: lambda ev, expr, env, _want: ev._range(expr, env),
    ast.Unary: lambda ev, expr, env, _want: ev._unary(expr, env),
    ast.Binary: lambda ev, expr, env, _want: ev._binary(expr, env),
    ast.Cond: Evaluator._cond,
    ast.Member: lambda ev, expr, env, _want: ev._member(expr, env),
    ast.Index: lambda ev, expr, env, _want: ev._index(expr, env),
    ast.Call: lambda ev, expr, env, _want: ev._call(expr, env),
    ast.Refine: lambda ev, expr, env, _want: ev._refine(expr, env),
}  # a table, as this is asked a million times


# ---------------------------------------------------------------- pure helpers


def element(want: Attribute | None) -> Attribute | None:
    """What the elements of an expected list are."""
    if want is None or not want.type.startswith("list of "):
        return want if want is not None and want.type == "cpus" else None
    return replace(want, type=want.type.removeprefix("list of "))


def _is_word(expr: ast.Expr, env: Env) -> bool:
    return isinstance(expr, ast.Name) and env.find(expr.text) is None


def weight(value: Val, enough: int) -> int:
    """How many values a value holds, itself included; counting ends at `enough`."""
    count, waiting = 0, [value]
    while waiting and count <= enough:
        one = waiting.pop()
        count += 1
        if isinstance(one, tuple):
            if count + len(one) > enough:
                return count + len(one)
            waiting.extend(one)
        elif isinstance(one, range):
            count += len(one)
    return count


def _whole(value: Val) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
