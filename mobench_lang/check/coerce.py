"""A value against the type of an attribute.

In: a value, the attribute it is for, and its place. Out: the value in the attribute's form, or POISON after one report.
Guarantee: nothing is converted silently but whole numbers of `tok` to counts and bare fractions to ratios.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal

from mobench_lang.check import messages, units
from mobench_lang.check.evaluate import Evaluator, element
from mobench_lang.check.units import Qty
from mobench_lang.check.values import POISON, Ent, Hidden, Poison, Rec, Val, Word, is_list
from mobench_lang.packs import Attribute
from mobench_lang.source import Span
from mobench_lang.syntax import ast

DIMENSION_OF = {
    "duration": units.DURATION,
    "size": units.SIZE,
    "temperature": units.TEMPERATURE,
    "difference": units.DIFFERENCE,
    "power": units.POWER,
    "energy": units.ENERGY,
    "charge": units.CHARGE,
    "frequency": units.FREQUENCY,
    "rate": units.RATE,
    "ratio": units.RATIO,
}
REFERENCES = ("model", "engine", "device", "workload", "meter", "task")


def coerce(  # noqa: PLR0917 - a value with its whole context
    ev: Evaluator, value: Val, want: Attribute, key: str, span: Span, expr: ast.Expr | None = None
) -> Val:
    """The value as the attribute wants it; `expr` lets the elements of a list be pointed at."""
    if isinstance(value, Poison | Hidden):
        return value
    made = _typed(ev, value, want, key, span, expr)
    return ev.tell(messages.values.wrong_type(span, key, want, value, ev.words(want))) if made is None else made


def _typed(  # noqa: PLR0917 - a value with its whole context
    ev: Evaluator, value: Val, want: Attribute, key: str, span: Span, expr: ast.Expr | None
) -> Val:
    kind = want.type
    if kind.startswith("list of "):
        return _list(ev, value, want, key, span, expr)
    if kind in DIMENSION_OF:
        return _quantity(ev, value, kind, key, span)
    match kind:
        case "capacity":
            energy = isinstance(value, Qty) and value.base != units.CHARGE.base
            return _quantity(ev, value, "energy" if energy else "charge", key, span)
        case "int":
            return _int(ev, value, want, key, span)
        case "bool":
            return value if isinstance(value, bool) else None
        case "number":
            return Decimal(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else None
        case "string":
            if isinstance(value, str) and want.pattern and not re.fullmatch(want.pattern, value):
                return ev.tell(messages.values.other_form(span, key, value, want))
            return value if isinstance(value, str) else None
        case "enum" | "quant" | "target":
            if isinstance(value, Word) and value.text not in ev.words(want):
                return ev.tell(messages.names.unknown_word(span, value.text, want, ev.words(want), []))
            return value if isinstance(value, Word) else None
        case "cpus":
            return _cpus(value)
        case "source":
            return value if isinstance(value, Rec) and "kind" in value.fields else None
        case "conversation":
            return value if isinstance(value, str) or _is_conversation(value) else None
        case "record":
            return value if isinstance(value, Rec) else None
        case "any":
            return value
    if kind in REFERENCES:
        return value if isinstance(value, Ent) and value.kind == kind else None
    raise AssertionError(f"the schema names the type {kind!r} of `{key}`, which nothing checks")


def _int(ev: Evaluator, value: Val, want: Attribute, key: str, span: Span) -> Val:
    if isinstance(value, Qty) and value.base == "tok" and value.value == value.value.to_integral_value():
        value = int(value.value)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    if (want.min is not None and value < want.min) or (want.max is not None and value > want.max):
        return ev.tell(messages.values.out_of_range(span, key, value, want))
    return value


def _quantity(ev: Evaluator, value: Val, kind: str, key: str, span: Span) -> Val:
    dimension = DIMENSION_OF[kind]
    if isinstance(value, Qty):
        if value.base != dimension.base:
            return ev.tell(messages.values.wrong_dimension(span, key, value, dimension))
        if value.value < 0 and kind not in ("temperature", "difference"):
            return ev.tell(messages.values.negative(span, key, value))
        return value
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        if kind == "ratio" and isinstance(value, Decimal | int) and 0 <= value <= 1:
            return Qty(Decimal(value), "1")
        return ev.tell(messages.values.needs_unit(span, Decimal(value), dimension))
    return None


def _cpus(value: Val) -> Val:
    if isinstance(value, Word):
        return value if value.text in ("all", "big_cores", "little_cores") else None
    if not is_list(value):
        return None
    assert isinstance(value, Sequence)  # noqa: S101 - is_list said so
    cpus = [v for v in value if isinstance(v, int) and not isinstance(v, bool) and 0 <= v < 4096]
    return tuple(sorted(set(cpus))) if value and len(cpus) == len(value) else None


def _is_conversation(value: Val) -> bool:
    if not isinstance(value, Rec):
        return False
    turns = value.fields.get("turns")
    if not isinstance(turns, tuple) or not turns or not all(isinstance(t, str) for t in turns):
        return False
    return isinstance(value.fields.get("id"), str)


def _list(  # noqa: PLR0917 - a value with its whole context
    ev: Evaluator, value: Val, want: Attribute, key: str, span: Span, expr: ast.Expr | None
) -> Val:
    if not is_list(value):
        return None
    assert isinstance(value, Sequence)  # noqa: S101 - is_list said so
    inner = element(want)
    assert inner is not None  # noqa: S101 - the type begins with "list of"
    items = expr.items if isinstance(expr, ast.ListOf) else ()
    spans = [i.span for i in items] if len(items) == len(value) else [span] * len(value)
    made = tuple(coerce(ev, v, inner, key, s) for v, s in zip(value, spans, strict=True))
    return POISON if any(isinstance(m, Poison) for m in made) else made
