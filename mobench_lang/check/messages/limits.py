"""What `check` says of specs that ask for more work than any file may (033x)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mobench_lang.diagnostics import Diagnostic

if TYPE_CHECKING:
    from mobench_lang.source import Span


def too_large(span: Span) -> Diagnostic:
    """E0333."""
    return Diagnostic(
        "E0333",
        "this is larger than a spec can hold",
        span,
        helps=("whole numbers go up to 2^63, strings up to a million characters",),
    )


def over_combinations(span: Span, limit: int) -> Diagnostic:
    """E0334, of a matrix."""
    return Diagnostic(
        "E0334",
        f"the lists and clauses of this matrix are needed for more than {limit:,} combinations of axes",
        span,
        "stopped here",
        helps=("let a clause read fewer axes, or shorten an axis that it reads",),
    )


def over_steps(span: Span, limit: int) -> Diagnostic:
    """E0334, of the work that it takes."""
    return Diagnostic(
        "E0334",
        f"working this spec out takes more than {limit:,} steps",
        span,
        "stopped here",
        helps=("shorten a range or a comprehension, or let it do less for each element",),
    )


def too_many_axes(span: Span, limit: int) -> Diagnostic:
    """E0334, of the axes of a bench."""
    return Diagnostic(
        "E0334",
        f"this bench has more than {limit} axes, the four roles included",
        span,
        "one too many",
        helps=("write what does not vary into the declarations, and axes that vary together into one list of things",),
    )


def too_many_pairs(span: Span, cells: int, axes: int, limit: int) -> Diagnostic:
    """E0334, of a pairwise design."""
    return Diagnostic(
        "E0334",
        f"a pairwise design of {cells:,} cells over {axes} axes looks at more than {limit:,} pairs of values",
        span,
        "stopped here",
        helps=("shorten the axes, or take `sample` with a number of cells",),
    )


def too_many_faults(span: Span, limit: int) -> Diagnostic:
    """E0107."""
    return Diagnostic(
        "E0107",
        f"{limit:,} faults were found, and the rest of the spec was not looked at",
        span,
        "stopped here",
        helps=("mend the first ones: they may be the cause of others",),
    )


def over_budget(span: Span, limit: int) -> Diagnostic:
    """E0334."""
    return Diagnostic(
        "E0334",
        f"this file builds more values than a spec may ({limit:,})",
        span,
        "stopped here",
        helps=("shorten a range or a comprehension",),
    )
