"""What `check` says of units, types and ranges (031x to 033x)."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from mobench_lang.check import units
from mobench_lang.check.messages.wording import THINGS, an, listing, near
from mobench_lang.check.units import Dimension, Qty
from mobench_lang.check.values import Ent, Val, Word, is_list, kind_of, text
from mobench_lang.diagnostics import Diagnostic, Edit, Fix, Label
from mobench_lang.syntax import ast

if TYPE_CHECKING:
    from mobench_lang.packs import Attribute
    from mobench_lang.source import Span


def needs_unit(span: Span, value: Decimal, dimension: Dimension) -> Diagnostic:
    """E0312."""
    shown = units.examples(dimension, value)
    accepted = " ".join(u for u, _ in dimension.units)
    return Diagnostic(
        "E0312",
        f"expected {dimension.spoken}, found a bare number",
        span,
        "needs a unit",
        helps=(f"units of {dimension.spoken}: {accepted}",),
        facts=(("expected", dimension.name), ("value", units.number(value))),
        fixes=tuple(Fix(f"write `{s}`", (Edit(span, s),)) for s in shown),
    )


def wrong_dimension(span: Span, key: str, value: Qty, want: Dimension) -> Diagnostic:
    """E0313."""
    accepted = " ".join(u for u, _ in want.units)
    return Diagnostic(
        "E0313",
        f"`{key}` is {want.spoken}, found {value.dimension.spoken}",
        span,
        f"{units.show(value)} is {value.dimension.spoken}",
        helps=(f"units of {want.spoken}: {accepted}",),
        facts=(("expected", want.name), ("found", value.dimension.name)),
    )


def wrong_type(span: Span, key: str, want: Attribute, value: Val, words: Sequence[str]) -> Diagnostic:
    """E0314."""
    kind = want.type
    spoken = {
        "int": "a whole number",
        "bool": "`true` or `false`",
        "number": "a number",
        "string": "a string in quotes",
        "enum": "one of the words " + listing(words, 20),
        "quant": "a weight format",
        "target": "a target",
        "cpus": "all, big_cores, little_cores or a list of CPU numbers",
        "source": "a source: hf(…), path(…) or bundled(…)",
        "conversation": 'a string or {"id", "turns": [text, …]}',
        "record": "a record",
        "capacity": "an energy or a charge",
    }.get(kind) or (("a list of " + kind.removeprefix("list of ") + "s") if kind.startswith("list of ") else an(kind))
    helps: tuple[str, ...] = ()
    fixes: tuple[Fix, ...] = ()
    if kind == "string" and isinstance(value, Word):
        fixes = (Fix(f'write `"{value.text}"`', (Edit(span, f'"{value.text}"'),), safe=True),)
    if kind in ("enum", "bool") and isinstance(value, str):
        helps = ("words stand without quotes",)
        fixes = (Fix(f"write `{value}`", (Edit(span, value),), safe=True),) if value in words else ()
    if kind.startswith("list of ") and not isinstance(value, Ent):
        helps = (f"write [{text(value)}]",)
    if is_list(value) and not kind.startswith("list of "):
        helps = (f"several values are an axis: `{key} in {span.text}` inside `matrix`",) if len(span.text) < 60 else ()
    if kind in ("int", "number") and isinstance(value, str):
        helps = ("numbers stand without quotes",)
    if kind == "source" and isinstance(value, str):
        fixes = (Fix(f"write `path({span.text})`", (Edit(span, f"path({span.text})"),)),)
    if kind in THINGS and isinstance(value, str):
        helps = (f"{an(kind)} is named without quotes",)
        fixes = (Fix(f"write `{value}`", (Edit(span, value),)),) if value.isidentifier() else ()
    if isinstance(value, Ent) and kind != value.kind:
        helps = (f"`{value.name}` is {an(value.kind)}",)
    if not helps and not fixes:
        helps = (f"write {spoken}",)
    found = (
        f"`{text(value)}`" if isinstance(value, int | str | Decimal) and not isinstance(value, bool) else kind_of(value)
    )
    return Diagnostic(
        "E0314",
        f"`{key}` is {spoken}, found {found}",
        span,
        "wrong type",
        helps=helps,
        facts=(("expected", kind),),
        fixes=fixes,
    )


def out_of_range(span: Span, key: str, value: int, want: Attribute) -> Diagnostic:
    """E0315."""
    low, high = want.min, want.max
    allowed = (
        f"between {low} and {high}"
        if None not in (low, high)
        else f"at least {low}"
        if low is not None
        else f"at most {high}"
    )
    return Diagnostic(
        "E0315", f"`{key}` is {allowed}, found {value}", span, "out of range", helps=("choose a number within",)
    )


def outside(span: Span, key: str, allowed: str, found: str) -> Diagnostic:
    """E0315, of what is no count."""
    return Diagnostic(
        "E0315", f"`{key}` is {allowed}, found {found}", span, "out of range", helps=("choose a number within",)
    )


def other_form(span: Span, key: str, value: str, want: Attribute) -> Diagnostic:
    """E0335."""
    shown = value if len(value) <= 40 else f"{value[:39]}…"
    return Diagnostic("E0335", f"`{key}` is {want.form}, found {shown!r}", span, "of another form", helps=(want.doc,))


def negative(span: Span, key: str, value: Qty) -> Diagnostic:
    """E0316."""
    return Diagnostic(
        "E0316",
        f"`{key}` cannot be negative",
        span,
        units.show(value),
        helps=("durations, sizes and the like start at 0",),
    )


def bad_operands(span: Span, op: str, left: str, right: str) -> Diagnostic:
    """E0317."""
    helps: tuple[str, ...] = ()
    if op == "+" and left == right == "a string":
        helps = ('join strings inside one: "${a}${b}"',)
    elif left == right == "a temperature":
        helps = ("a temperature may be raised by a difference: `40°C + 5K`",)
    elif "a bare number" in (left, right):
        helps = ("give the number a unit",)
    return Diagnostic("E0317", f"`{op}` does not go between {left} and {right}", span, "does not fit", helps=helps)


def bad_operand(span: Span, op: str, found: str) -> Diagnostic:
    """E0318."""
    return Diagnostic(
        "E0318",
        f"`{op}` needs a number, found {found}",
        span,
        label="no number",
        helps=("a number stands without quotes",),
    )


def not_comparable(expr: ast.Binary, left: str, right: str) -> Diagnostic:
    """E0319."""
    helps: tuple[str, ...] = ()
    if left == right:
        helps = ("these have no order; `==` and `!=` work",)
    elif "a string" in (left, right) and "the word" in left + right:
        helps = ("words stand without quotes",)
    elif "a bare number" in (left, right):
        helps = ("give the number a unit",)
    return Diagnostic(
        "E0319",
        f"{left} cannot be compared with {right}",
        expr.op_span,
        "cannot be compared",
        (Label(expr.left.span, left), Label(expr.right.span, right)),
        helps,
    )


def not_a_condition(span: Span, found: str) -> Diagnostic:
    """E0320."""
    return Diagnostic(
        "E0320",
        f"expected a condition, found {found}",
        span,
        "neither true nor false",
        helps=("compare it with something: `==`, `<`, `in` …",),
    )


def not_a_list(span: Span, found: str) -> Diagnostic:
    """E0321."""
    return Diagnostic(
        "E0321",
        f"expected a list, found {found}",
        span,
        "not a list",
        helps=(f"write `[{span.text}]`",) if len(span.text) < 60 else (),
    )


def not_printable(span: Span, found: str) -> Diagnostic:
    """E0322."""
    return Diagnostic(
        "E0322",
        f"{found} cannot stand inside a string",
        span,
        label="no single text",
        helps=("name one of its elements or fields",),
    )


def no_members(span: Span, found: str) -> Diagnostic:
    """E0323."""
    return Diagnostic(
        "E0323",
        f"{found} has no parts",
        span,
        label="no parts",
        helps=("a dot reads an attribute of a declared thing or a field of a record",),
    )


def no_field(name: ast.Name, owner: str, known: Sequence[str]) -> Diagnostic:
    """E0324."""
    helps, fixes = near(name.text, known, name.span)
    return Diagnostic(
        "E0324",
        f"{owner} has no `{name.text}`",
        name.span,
        "unknown",
        helps=helps or (f"it has {listing(known)}",),
        fixes=fixes,
    )


def bad_index(span: Span, found: str) -> Diagnostic:
    """E0325."""
    return Diagnostic(
        "E0325",
        f"an index is a whole number, found {found}",
        span,
        label="not a whole number",
        helps=("elements are counted from 0: `[0]` is the first",),
    )


def index_out_of_range(span: Span, index: int, length: int) -> Diagnostic:
    """E0326."""
    return Diagnostic(
        "E0326",
        f"the list has {length} elements, numbered from 0; there is no {index}",
        span,
        label="out of range",
        helps=("choose an index below the length",),
    )


def bad_range(span: Span, left: str, right: str) -> Diagnostic:
    """E0327."""
    return Diagnostic(
        "E0327",
        f"a range goes between two whole numbers or two quantities of one kind, found {left} and {right}",
        span,
        label="does not fit",
        helps=("write `1..8`, `0..512:64`, `1..64:2x`, or quantities with a step: `1s..5s:1s`",),
    )


def empty_range(expr: ast.Range, start: str, stop: str) -> Diagnostic:
    """E0328."""
    fix = f"{stop}..{start}"
    return Diagnostic(
        "E0328",
        f"the range from {start} to {stop} is empty",
        expr.span,
        "starts above its end",
        helps=(f"write `{fix}`",),
    )


def bad_step(span: Span) -> Diagnostic:
    """E0329."""
    return Diagnostic(
        "E0329",
        "the step of a range is a whole number above 0",
        span,
        label="not a step",
        helps=("such as `0..512:64`",),
    )


def range_needs_step(expr: ast.Range, start: str) -> Diagnostic:
    """E0330."""
    return Diagnostic(
        "E0330",
        "a range of quantities needs a step with a unit",
        expr.span,
        "which steps?",
        helps=(f"write `{expr.span.text.split(':')[0]}:{start}`",),
    )


def bad_factor(span: Span) -> Diagnostic:
    """E0331."""
    return Diagnostic(
        "E0331", "a range by factor starts above 0 and grows by a factor above 1", span, helps=("such as `1..64:2x`",)
    )


def division_by_zero(span: Span) -> Diagnostic:
    """E0332."""
    return Diagnostic("E0332", "this divides by zero", span, label="0 below", helps=("check the divisor",))
