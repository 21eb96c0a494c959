"""Claims: from `median(decode_rate) >= 12tok/s` to the tree that the judge turns into SQL.

In: the expression of an `expect` or `warn`, the metrics that are measured, the axes. Out: `ir.Claim`, or None after a
report. Guarantee: metrics exist and are measured, both sides have one unit, numbers are in base units.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, cast

from mobench_lang import ir
from mobench_lang.check import messages
from mobench_lang.check.axes import Axes
from mobench_lang.check.evaluate import Evaluator
from mobench_lang.check.names import Env
from mobench_lang.check.units import DIMENSIONS, Qty
from mobench_lang.check.values import Hidden, Poison, Word, exact, label
from mobench_lang.frozen import frozen
from mobench_lang.metrics import MetricInfo
from mobench_lang.source import Span
from mobench_lang.syntax import ast

AGGREGATES = ("median", "mean", "min", "max", "p50", "p95", "p99", "cv")
_FEW = {"p95": 20, "p99": 100, "cv": 2}
Function = Literal["median", "mean", "min", "max", "p50", "p95", "p99", "cv"]


@dataclass
class Claims:
    """Builds the claims of one bench."""

    ev: Evaluator
    env: Env
    axes: Axes
    known: Mapping[str, MetricInfo]
    measured: tuple[str, ...]
    repeat: int
    words: frozenset[str] = field(default_factory=frozenset)

    def claim(self, expr: ast.Expr) -> ir.Claim | None:
        """The claim of an expression."""
        match expr:
            case ast.Binary(op="and" | "or"):
                left, right = self.claim(expr.left), self.claim(expr.right)
                if left is None or right is None:
                    return None
                return ir.Both(op=cast(Literal["and", "or"], expr.op), parts=(left, right))
            case ast.Unary(op="not"):
                inner = self.claim(expr.operand)
                return None if inner is None else ir.Both(op="not", parts=(inner,))
            case ast.Binary(op="<" | "<=" | ">" | ">=" | "==" | "!="):
                return self._comparison(expr)
        self.ev.tell(messages.claims.not_a_claim(expr.span))
        return None

    def _comparison(self, expr: ast.Binary) -> ir.Claim | None:
        inherited = _function_in(expr)
        left, right = self._term(expr.left, inherited), self._term(expr.right, inherited)
        if left is None or right is None:
            return None
        left, right = _lift(left, right), _lift(right, left)
        if left.base != right.base:
            if "" in (left.base, right.base) and isinstance((left if left.base == "" else right).term, ir.Const):
                bare, other = (left, right) if left.base == "" else (right, left)
                assert isinstance(bare.term, ir.Const)  # noqa: S101 - tested above
                self.ev.tell(messages.values.needs_unit(bare.span, bare.term.value, DIMENSIONS[other.base]))
            else:
                self.ev.tell(messages.claims.claim_units(expr, left.spoken, right.spoken, DIMENSIONS.get(left.base)))
            return None
        if not (_is_measured(left.term) or _is_measured(right.term)):
            self.ev.tell(messages.claims.not_a_claim(expr.span))
            return None
        op = cast(Literal["<", "<=", ">", ">=", "==", "!="], expr.op)
        return ir.Comparison(op=op, left=left.term, right=right.term)

    # ------------------------------------------------------------ terms

    def _term(self, expr: ast.Expr, inherited: Function | None) -> Typed | None:
        match expr:
            case ast.Call(function=ast.Name(text="baseline")):
                return self._baseline(expr, inherited)
            case ast.Call(function=ast.Name(text=name)) if name in AGGREGATES and self._about_metric(expr):
                return self._aggregate(expr, cast(Function, name), ())
            case ast.Name(text=name) if name in self.known and self.env.find(name) is None:
                self.ev.tell(messages.claims.needs_aggregate(name, expr.span))
                return None
            case ast.Member(value=ast.Name(text=name)) | ast.Call(function=ast.Member(value=ast.Name(text=name))) if (
                name in self.known and self.env.find(name) is None
            ):  # `ttft.median`
                member = expr if isinstance(expr, ast.Member) else expr.function
                asked = member.name.text if isinstance(member, ast.Member) else ""
                self.ev.tell(
                    messages.claims.needs_aggregate(name, expr.span, asked if asked in AGGREGATES else "median")
                )
                return None
            case ast.Binary(op="+" | "-" | "*" | "/") if _has_metric(expr, self.known):
                return self._arithmetic(expr, inherited)
            case ast.Call(function=ast.Name(text=name)) if self._about_metric(expr) and name not in self.ev.functions:
                assert isinstance(expr.function, ast.Name)  # noqa: S101 - matched
                self.ev.tell(messages.claims.bad_aggregate(expr.function.span, name, AGGREGATES))
                return None
        value = self.ev.value(expr, self.env)
        if isinstance(value, Poison):
            return None
        if isinstance(value, Qty):
            return Typed(ir.Const(value=exact(value.value), unit=value.base), value.base, expr.span)
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            return Typed(ir.Const(value=exact(Decimal(value)), unit=""), "", expr.span)
        if isinstance(value, Hidden | Word):
            self.ev.tell(messages.claims.not_a_claim(expr.span))
            return None
        self.ev.tell(messages.claims.not_a_claim(expr.span))
        return None

    def _about_metric(self, call: ast.Call) -> bool:
        """True for aggregates; `min` and `max` are also functions of lists, which are about no metric."""
        name = call.function.text if isinstance(call.function, ast.Name) else ""
        if name in AGGREGATES and name not in self.ev.functions:
            return True
        return any(
            self.env.find(a.text) is None
            if isinstance(a, ast.Name)
            else isinstance(a, ast.Call) and isinstance(a.function, ast.Name) and a.function.text == "baseline"
            for a in call.args
        )

    def _aggregate(self, call: ast.Call, function: Function, replace: tuple[tuple[int, int], ...]) -> Typed | None:
        if len(call.args) != 1 or call.named:
            self.ev.tell(messages.claims.aggregate_argument(call.span, function))
            return None
        argument = call.args[0]
        if isinstance(argument, ast.Call):
            return self._baseline(argument, function)
        if not isinstance(argument, ast.Name):
            self.ev.tell(messages.claims.aggregate_argument(call.span, function))
            return None
        return self._of(function, argument, replace, call.span)

    def _of(self, function: Function, name: ast.Name, replace: tuple[tuple[int, int], ...], span: Span) -> Typed | None:
        info = self.known.get(name.text)
        if info is None:
            self.ev.tell(messages.claims.unknown_metric(name, tuple(self.known)))
            return None
        if name.text not in self.measured:
            self.ev.tell(messages.claims.unmeasured(name, self.measured))
            return None
        if function in _FEW and not info.series and self.repeat < _FEW[function]:
            self.ev.tell(messages.claims.few_values(span, function, self.repeat, _FEW[function]))
        base = "1" if function == "cv" else info.base
        return Typed(ir.Aggregate(function=function, metric=name.text, replace=replace), base, span)

    def _baseline(self, call: ast.Call, inherited: Function | None) -> Typed | None:
        """`baseline(metric, axis = value)`: the aggregate of the claim, of the cell with those axes replaced."""
        if len(call.args) != 1:
            self.ev.tell(messages.claims.bad_baseline(call.span, "takes one metric and the axes to replace"))
            return None
        argument, function = call.args[0], inherited
        if isinstance(argument, ast.Call) and isinstance(argument.function, ast.Name) and len(argument.args) == 1:
            if argument.function.text not in AGGREGATES:
                self.ev.tell(messages.claims.bad_aggregate(argument.function.span, argument.function.text, AGGREGATES))
                return None
            function, argument = cast(Function, argument.function.text), argument.args[0]
        if not isinstance(argument, ast.Name):
            self.ev.tell(messages.claims.bad_baseline(argument.span, "is of a metric"))
            return None
        if function is None:
            self.ev.tell(messages.claims.needs_aggregate(argument.text, argument.span))
            return None
        names = [arg.name for arg in call.named]
        for name in names:
            first = next(n for n in names if n.text == name.text)
            if first is not name:
                self.ev.tell(messages.declarations.repeated(name, first.span))
                return None
        if not call.named:
            self.ev.tell(messages.claims.bad_baseline(call.span, "names no axis to replace"))
            return None
        replace = [self._replacement(arg.name, arg.value) for arg in call.named]
        if any(r is None for r in replace):
            return None
        return self._of(function, argument, tuple(r for r in replace if r is not None), call.span)

    def _replacement(self, name: ast.Name, expr: ast.Expr) -> tuple[int, int] | None:
        table = self.axes.tables.get(name.text)
        if table is None:
            self.ev.tell(messages.claims.per_not_axis(name, self.axes.order, "baseline"))
            return None
        if table.broken:
            return None
        value = self.ev.value(expr, self.env, table.want)
        value = self.axes.typed(table, value, expr.span)
        if isinstance(value, Poison):
            return None
        number = table.index.get(label(value))
        if number is None:
            self.ev.tell(
                messages.claims.bad_baseline(expr.span, f"replaces `{name.text}` by a value that is not on that axis")
            )
            return None
        return self.axes.order.index(name.text), number

    def _arithmetic(self, expr: ast.Binary, inherited: Function | None) -> Typed | None:
        left, right = self._term(expr.left, inherited), self._term(expr.right, inherited)
        if left is None or right is None:
            return None
        op = cast(Literal["+", "-", "*", "/"], expr.op)
        base = _result(op, left, right)
        if base is None:
            self.ev.tell(messages.claims.claim_arithmetic(expr.op_span, op, left.spoken, right.spoken))
            return None
        left_term, right_term = left.term, right.term
        if op in "+-" and (left.base, right.base) == ("1", "pp"):
            right_term = ir.Arithmetic(op="/", left=right.term, right=ir.Const(value=Decimal(100), unit=""))
        if op in "+-" and isinstance(right_term, ir.Const) and right.base == "" and left.base == "1":
            right_term = ir.Const(value=right_term.value, unit="1")
        return Typed(ir.Arithmetic(op=op, left=left_term, right=right_term), base, expr.span)


@frozen
class Typed:
    """A term with its base unit (empty for plain numbers) and place."""

    term: ir.Term
    base: str
    span: Span

    @property
    def spoken(self) -> str:
        """What it is, for people."""
        return DIMENSIONS[self.base].spoken if self.base else "a bare number"


def _is_measured(term: ir.Term) -> bool:
    """True if a term depends on what is measured."""
    match term:
        case ir.Aggregate():
            return True
        case ir.Arithmetic():
            return _is_measured(term.left) or _is_measured(term.right)
    return False


def _lift(one: Typed, other: Typed) -> Typed:
    """A bare fraction beside a ratio is a ratio, a ratio beside a plain number a number, a count of tokens a number."""
    if isinstance(one.term, ir.Const):
        fraction = 0 <= one.term.value <= 1 or not isinstance(other.term, ir.Aggregate)
        if one.base == "" and other.base == "1" and fraction:  # `cpu_util < 50` is not 5000 %
            return Typed(ir.Const(value=one.term.value, unit="1"), "1", one.span)
        if one.base in ("1", "tok") and other.base == "":
            return Typed(ir.Const(value=one.term.value, unit=""), "", one.span)
    return one


def _result(op: str, left: Typed, right: Typed) -> str | None:
    plain = ("", "1")
    if op in "+-":
        if left.base == right.base == "m°C":
            return "mK" if op == "-" else None
        if left.base == right.base or (left.base, right.base) in (("1", "pp"), ("1", "")):
            return left.base
        if (left.base, right.base) == ("m°C", "mK"):
            return "m°C"
        return None
    if "m°C" in (left.base, right.base):
        return None  # a point on a scale has no double
    if op == "*":
        if left.base in plain:
            return right.base if right.base else left.base
        return left.base if right.base in plain else None
    if left.base == right.base:
        return "1" if left.base == "1" else ""
    return left.base if right.base in plain else None


def _function_in(expr: ast.Expr) -> Function | None:
    """The one aggregate that a comparison names outside `baseline`; median where `baseline` stands alone."""
    found: list[str] = []
    waiting: list[ast.Expr] = [expr]
    while waiting:
        one = waiting.pop()
        match one:
            case ast.Binary():
                waiting += [one.left, one.right]
            case ast.Call(function=ast.Name(text=name)) if name in AGGREGATES:
                found.append(name)
            case _:
                pass
    return cast(Function, found[0]) if len(set(found)) == 1 else None


def _has_metric(expr: ast.Expr, known: Mapping[str, MetricInfo]) -> bool:
    waiting: list[ast.Expr] = [expr]
    while waiting:
        one = waiting.pop()
        match one:
            case ast.Binary():
                waiting += [one.left, one.right]
            case ast.Call():
                if isinstance(one.function, ast.Name) and one.function.text in (*AGGREGATES, "baseline"):
                    return True
            case ast.Name():
                if one.text in known:
                    return True
            case _:
                pass
    return False
