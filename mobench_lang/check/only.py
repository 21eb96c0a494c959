"""`--only EXPR`: which cells of a plan are meant, in the language of `where`.

In: the text of a condition and a plan. Out: a predicate over the labels and values of a cell's axes, or diagnostics.
Guarantee: the condition means what it would mean in the spec that the plan was made from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TypeAlias

from mobench_lang import ir
from mobench_lang.check.evaluate import Evaluator
from mobench_lang.check.names import Bound
from mobench_lang.check.schema import ROLES, schema
from mobench_lang.check.units import Qty
from mobench_lang.check.values import Ent, Hidden, Rec, Val, Word
from mobench_lang.diagnostics import Diagnostic, Diagnostics, has_errors
from mobench_lang.packs import Attribute
from mobench_lang.plan.model import Plan
from mobench_lang.syntax import parse_expression

Only: TypeAlias = Callable[[Mapping[str, str], Mapping[str, ir.Value]], bool]


@dataclass
class CellEnv:
    """The names of a plan: its axes with the values of one cell, and the things on them."""

    axes: dict[str, Bound]
    things: dict[str, Bound]

    def find(self, name: str) -> Bound | None:
        """An axis, else a thing on one."""
        return self.axes.get(name) or self.things.get(name)

    def names(self) -> Iterator[str]:
        """Every axis and every thing."""
        yield from self.axes
        yield from self.things


def only(text: str, plan: Plan) -> tuple[Only | None, Diagnostics]:
    """The predicate of a condition. It is tried on each value of the plan first, so that faults show at once."""
    expr, found = parse_expression(text, "--only")
    if expr is None:
        return None, found
    told: list[Diagnostic] = []
    evaluator = Evaluator(schema(), told.append, {})
    wants = {a.name: Attribute(type=a.name, doc="") if a.name in ROLES else None for a in plan.axes}
    things = {
        v.base: Bound(from_ir(replace(v, name=v.base)), None)
        for a in plan.axes for v in a.values if isinstance(v, ir.Entity)
    }  # fmt: skip

    def holds(_labels: Mapping[str, str], values: Mapping[str, ir.Value]) -> bool:
        env = CellEnv({k: Bound(_typed(k, from_ir(v)), None, wants.get(k)) for k, v in values.items()}, things)
        evaluator.budget.steps = 1_000_000
        return evaluator.truth(expr, env) is True

    holds({}, {a.name: a.values[0] for a in plan.axes})
    return (None if has_errors(told) else holds), tuple(told)


def _typed(axis: str, value: Val) -> Val:
    return Word(value) if axis == "quant" and isinstance(value, str) else value


def from_ir(value: ir.Value) -> Val:
    """A value of the IR as the evaluator knows it."""
    match value:
        case ir.Quantity():
            return Qty(value.value, value.unit)
        case ir.Unknown():
            return Hidden(value.unknown)
        case ir.Record():
            return Rec({k: from_ir(v) for k, v in value.fields})
        case ir.Entity():
            known = schema().attributes(value.kind, value.pack)
            attrs = {k: _word(known.get(k), from_ir(v)) for k, v in value.attrs}
            return Ent(value.kind, value.name, value.base, value.pack, attrs, {}, None)
        case tuple():
            return tuple(from_ir(v) for v in value)
    assert value is None or isinstance(value, bool | int | str | Decimal)  # noqa: S101 - what is left
    return value


def _word(want: Attribute | None, value: Val) -> Val:
    words = want is not None and want.type in ("enum", "target", "cpus")
    return Word(value) if words and isinstance(value, str) else value
