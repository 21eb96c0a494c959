"""What `check` says of matrices (05xx)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mobench_lang.check.messages.wording import at_home, listing, near
from mobench_lang.diagnostics import Diagnostic, Edit, Fix, Label
from mobench_lang.syntax import ast

if TYPE_CHECKING:
    from mobench_lang.source import Span


def duplicate_axis(name: ast.Name, first: Span) -> Diagnostic:
    """E0501."""
    return Diagnostic(
        "E0501",
        f"the axis `{name.text}` is opened twice",
        name.span,
        "again",
        (Label(first, "first opened here"),),
        helps=("put all values into one list",),
    )


def empty_axis(span: Span, name: str) -> Diagnostic:
    """E0502."""
    return Diagnostic(
        "E0502",
        f"the axis `{name}` has no values",
        span,
        "empty",
        helps=("give it at least one value, or remove the axis",),
    )


def duplicate_value(span: Span, name: str, value: str) -> Diagnostic:
    """E0503."""
    return Diagnostic(
        "E0503",
        f"the axis `{name}` holds `{value}` twice",
        span,
        "twice",
        helps=("each cell is measured `repeat` times; a value stands once",),
    )


def axis_is_column(name: ast.Name) -> Diagnostic:
    """E0504."""
    return Diagnostic(
        "E0504",
        f"`{name.text}` is a column of `results` and cannot be an axis",
        name.span,
        helps=("choose another name",),
    )


def unbound_axis(span: Span, name: str, known: Sequence[str], homes: Sequence[str] = ()) -> Diagnostic:
    """E0505; `homes` are the blocks that have an attribute of the name."""
    helps, fixes = (at_home(name, homes), ()) if homes else near(name, known, span)
    return Diagnostic(
        "E0505",
        f"nothing reads the axis `{name}`, and no workload, engine or device here has such a parameter",
        span,
        "has no effect",
        helps=helps or ("read it in a later axis: `engine in [llama_cpp { threads = n }]`",),
        fixes=fixes,
    )


def ambiguous_axis(span: Span, name: str, roles: Sequence[str]) -> Diagnostic:
    """E0506."""
    return Diagnostic(
        "E0506",
        f"`{name}` is a parameter of the {' and of the '.join(roles)}",
        span,
        "which one?",
        helps=(f"say it: `{roles[0]} in [x {{ {name} = {name} }}]`",),
    )


def already_set(span: Span, name: str, role: str, value: str, where: Span | None) -> Diagnostic:
    """E0507."""
    labels = (Label(where, "set here"),) if where else ()
    return Diagnostic(
        "E0507",
        f"{role} `{value}` already sets `{name}`",
        span,
        "this axis sets it too",
        labels,
        helps=("remove one of the two",),
    )


def no_effect_exclude(span: Span) -> Diagnostic:
    """W0508."""
    return Diagnostic(
        "W0508",
        "this clause matches no cell",
        span,
        "never true",
        helps=("remove it, or check the names and numbers in it",),
    )


def unknown_truth(span: Span, why: str, clause: bool) -> Diagnostic:
    """W0509."""
    then = "its cells are kept" if clause else "the claim is not judged there"
    return Diagnostic(
        "W0509",
        f"whether this holds is not known before the run; {then}",
        span,
        "not known",
        helps=(f"{why}: declare it if you know it",),
    )


def no_cells(span: Span, clause: bool) -> Diagnostic:
    """E0510."""
    message = "this clause excludes every cell" if clause else "the clauses of this matrix exclude every cell"
    return Diagnostic("E0510", message, span, "no cell is left", helps=("narrow what is excluded",))


def too_many_cells(span: Span, count: int, limit: int) -> Diagnostic:
    """E0511."""
    return Diagnostic(
        "E0511",
        f"the matrix has at least {count:,} cells; at most {limit:,} can be planned",
        span,
        helps=("take a designed fraction: `sample 1000 seed 1` or `pairwise`, of fewer values",),
    )


def zip_lengths(span: Span, lengths: Sequence[tuple[str, int]]) -> Diagnostic:
    """E0512."""
    shown = ", ".join(f"`{n}` has {c}" for n, c in lengths)
    return Diagnostic(
        "E0512",
        f"axes in `zip` walk in step and need equally many values: {shown}",
        span,
        label="not in step",
        helps=("give them equally many values",),
    )


def include_unknown_axis(name: ast.Name, axes: Sequence[str]) -> Diagnostic:
    """E0513."""
    helps, fixes = near(name.text, axes, name.span)
    return Diagnostic(
        "E0513",
        f"the matrix has no axis `{name.text}`",
        name.span,
        "unknown axis",
        helps=helps or (f"it has {listing(axes)}",),
        fixes=fixes,
    )


def duplicate_cells(span: Span, count: int) -> Diagnostic:
    """W0514."""
    cells = "cell is" if count == 1 else "cells are"
    return Diagnostic(
        "W0514",
        f"{count} included {cells} in the matrix already, and measured once",
        span,
        label="there already",
        helps=("remove the `include`, or name other values",),
    )


def two_declarations(span: Span, kind: str, name: str, first: Span | None, second: Span | None) -> Diagnostic:
    """E0515."""
    labels = tuple(Label(s, "one of them") for s in (first, second) if s is not None)
    return Diagnostic(
        "E0515",
        f"two {kind}s of this bench are called `{name}`",
        span,
        labels=labels,
        helps=("results could not tell them apart; rename one",),
    )


def axis_not_list(span: Span, name: str, found: str) -> Diagnostic:
    """E0516."""
    if "not known" in found:
        helps: tuple[str, ...] = ("declare it: the cells are to be known before the run",)
    elif len(span.text) < 60:
        helps = (f"write `{name} in [{span.text}]`, or `{name} = {span.text}` outside the matrix",)
    else:
        helps = ("put it into brackets",)
    return Diagnostic("E0516", f"`{name} in …` takes a list, found {found}", span, "not a list", helps=helps)


def assignment_in_matrix(attr: ast.Attr) -> Diagnostic:
    """E0517."""
    key, value = attr.name.text, attr.value
    listed = isinstance(value, ast.ListOf | ast.Comprehension | ast.Range)
    shown = value.span.text if listed else f"[{value.span.text}]"
    fix = f"{key} in {shown}"
    return Diagnostic(
        "E0517",
        "inside `matrix`, an axis is opened with `in`",
        attr.span,
        "opened with `=`",
        helps=() if listed else (f"or move `{key} = …` out of the matrix",),
        fixes=(Fix(f"write `{fix}`" if len(fix) < 80 else "write `in`", (Edit(attr.span, fix),)),),
    )


def axis_outside_matrix(axis: ast.Axis) -> Diagnostic:
    """E0518."""
    key, short = axis.name.text, len(axis.span.text) < 60
    return Diagnostic(
        "E0518",
        "an axis is opened inside `matrix { … }`",
        axis.span,
        "outside of it",
        helps=(
            f"write `matrix {{ {axis.span.text} }}`" if short else "move it into `matrix { … }`",
            f"for one value, `{key} = value` stands outside of it",
        ),
    )


def sample_too_large(span: Span, size: int, cells: int) -> Diagnostic:
    """W0520."""
    return Diagnostic(
        "W0520",
        f"the sample of {size} is not smaller than the {cells} cells there are",
        span,
        "no effect",
        helps=("remove it, or take a smaller sample",),
    )


def two_designs(span: Span, first: Span) -> Diagnostic:
    """E0521."""
    return Diagnostic(
        "E0521",
        "a matrix takes one designed fraction",
        span,
        "a second one",
        (Label(first, "the first one"),),
        helps=("keep one of them",),
    )


def overlapping_axis(name: ast.Name, axis: Span | None) -> Diagnostic:
    """E0522."""
    return Diagnostic(
        "E0522",
        f"`{name.text}` cannot be an axis: it is declared already",
        name.span,
        "hides it",
        (Label(axis, "declared here"),) if axis else (),
        helps=("choose another name for one of the two",),
    )
