"""What `check` says of `measure`, `expect` and `warn` (07xx)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from mobench_lang.check.messages.wording import listing, near
from mobench_lang.check.units import Dimension
from mobench_lang.diagnostics import Diagnostic, Edit, Fix, Label
from mobench_lang.syntax import ast

if TYPE_CHECKING:
    from mobench_lang.source import Span


def unknown_metric(name: ast.Name, known: Sequence[str]) -> Diagnostic:
    """E0701."""
    helps, fixes = near(name.text, known, name.span)
    return Diagnostic(
        "E0701",
        f"there is no metric `{name.text}`",
        name.span,
        "unknown metric",
        helps=helps or (f"there are {listing(known, 40)}",),
        fixes=fixes,
    )


def unmeasured(name: ast.Name, measured: Sequence[str]) -> Diagnostic:
    """E0702."""
    return Diagnostic(
        "E0702",
        f"`{name.text}` is not measured",
        name.span,
        "not measured",
        helps=(f"add it to `measure` (measured: {listing(measured)})",),
    )


def needs_aggregate(metric: str, span: Span, function: str = "median") -> Diagnostic:
    """E0703; `function` is what should stand around the metric."""
    fix = f"{function}({metric})"
    return Diagnostic(
        "E0703",
        f"`{metric}` has many values; a claim is about one number",
        span,
        "of which launch?",
        helps=("aggregates: median, mean, min, max, p50, p95, p99, cv",),
        fixes=(Fix(f"write `{fix}`", (Edit(span, fix),)),),
    )


def claim_units(expr: ast.Binary, left: str, right: str, want: Dimension | None) -> Diagnostic:
    """E0704."""
    helps = (f"units of {want.spoken}: {' '.join(u for u, _ in want.units)}",) if want else ()
    return Diagnostic(
        "E0704",
        f"{left} cannot be compared with {right}",
        expr.right.span,
        right,
        (Label(expr.left.span, left),),
        helps or ("compare it with a number of its own kind",),
    )


def not_a_claim(span: Span) -> Diagnostic:
    """E0705."""
    return Diagnostic(
        "E0705",
        "a claim compares something: it holds or fails",
        span,
        "nothing is compared",
        helps=("such as `median(decode_rate) >= 12tok/s`",),
    )


def bad_aggregate(span: Span, name: str, known: Sequence[str]) -> Diagnostic:
    """E0706."""
    helps, fixes = near(name, known, span)
    return Diagnostic(
        "E0706",
        f"`{name}` is not an aggregate",
        span,
        "unknown",
        helps=helps or (f"there are {listing(known)}",),
        fixes=fixes,
    )


def aggregate_argument(span: Span, name: str) -> Diagnostic:
    """E0707."""
    return Diagnostic("E0707", f"`{name}` takes one metric", span, helps=(f"such as `{name}(decode_rate)`",))


def per_not_axis(name: ast.Name, axes: Sequence[str], place: Literal["per", "baseline"] = "per") -> Diagnostic:
    """E0708."""
    does = "groups by" if place == "per" else "replaces"
    helps, fixes = near(name.text, axes, name.span)
    return Diagnostic(
        "E0708",
        f"`{place}` {does} axes, and `{name.text}` is none of this bench",
        name.span,
        "not an axis",
        helps=helps or (f"there are {listing(axes)}",),
        fixes=fixes,
    )


def few_values(span: Span, function: str, count: int, least: int) -> Diagnostic:
    """W0709."""
    if function == "cv":
        return Diagnostic(
            "W0709",
            "`cv` needs at least two values, and `repeat` is 1",
            span,
            "cannot be decided",
            helps=("raise `repeat`",),
        )
    return Diagnostic(
        "W0709",
        f"`{function}` over {count} values is little more than their maximum",
        span,
        "few values",
        helps=(f"raise `repeat` to {least} or more, or claim something about `median` or `max`",),
    )


def bad_baseline(span: Span, why: str) -> Diagnostic:
    """E0710."""
    return Diagnostic(
        "E0710",
        f"`baseline` {why}",
        span,
        helps=("write `baseline(decode_rate, quant = F16)`: the same cell with an axis replaced",),
    )


def repeated_metric(name: ast.Name, first: Span) -> Diagnostic:
    """E0711."""
    return Diagnostic(
        "E0711",
        f"`{name.text}` is measured twice",
        name.span,
        "again",
        (Label(first, "first here"),),
        helps=("keep one of them",),
    )


def claim_arithmetic(span: Span, op: str, left: str, right: str) -> Diagnostic:
    """E0712."""
    return Diagnostic(
        "E0712",
        f"`{op}` does not go between {left} and {right} in a claim",
        span,
        label="does not fit",
        helps=("keep one unit on both sides of `+` and `-`",),
    )


def where_matches_nothing(span: Span) -> Diagnostic:
    """W0714."""
    return Diagnostic(
        "W0714",
        "no cell is meant by this `where`",
        span,
        "never true",
        helps=("remove it, or check the names and numbers in it",),
    )


def repeated_per(name: ast.Name) -> Diagnostic:
    """E0715."""
    return Diagnostic(
        "E0715", f"`{name.text}` stands twice in `per`", name.span, label="again", helps=("keep one of them",)
    )
