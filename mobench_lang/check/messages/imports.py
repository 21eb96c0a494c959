"""What `check` says of imports (02xx)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mobench_lang.check.messages.wording import listing, near
from mobench_lang.diagnostics import Diagnostic
from mobench_lang.syntax import ast

if TYPE_CHECKING:
    from mobench_lang.source import Span


def missing_import(span: Span, shown: str, near: Sequence[str]) -> Diagnostic:
    """E0201."""
    helps = (
        (f"there is {' and '.join(f'`{n}`' for n in near)}",)
        if near
        else ("paths are relative to this file; the shipped library is `std/…`",)
    )
    return Diagnostic("E0201", f"there is no file `{shown}`", span, "not found", helps=helps)


def import_cycle(span: Span, chain: Sequence[str]) -> Diagnostic:
    """E0202."""
    return Diagnostic(
        "E0202",
        "these files use each other",
        span,
        "closes the circle",
        helps=(" → ".join(chain), "move what both need into a third file"),
    )


def import_escapes(span: Span, shown: str, root: str) -> Diagnostic:
    """E0203."""
    return Diagnostic(
        "E0203",
        f"`{shown}` lies outside the project",
        span,
        "outside",
        helps=(f"the project is `{root}`, the nearest folder with mobench.lock, pyproject.toml or .git",),
    )


def not_exported(name: ast.Name, module: str, known: Sequence[str]) -> Diagnostic:
    """E0204."""
    helps, fixes = near(name.text, known, name.span)
    helps = helps or ((f"it declares {listing(known)}",) if known else ("it declares nothing",))
    return Diagnostic(
        "E0204", f"`{module}` declares no `{name.text}`", name.span, "not declared there", helps=helps, fixes=fixes
    )


def too_many_files(span: Span, limit: int) -> Diagnostic:
    """E0205."""
    return Diagnostic(
        "E0205",
        f"a spec may be made of at most {limit} files",
        span,
        "one too many",
        helps=("put declarations that belong together into one file",),
    )


def unreadable_import(span: Span, shown: str, why: str) -> Diagnostic:
    """E0206."""
    return Diagnostic(
        "E0206",
        f"`{shown}` cannot be read: {why}",
        span,
        label="cannot be read",
        helps=("is it a text file that you may read?",),
    )


def import_of_bench(name: ast.Name, module: str) -> Diagnostic:
    """E0207."""
    return Diagnostic(
        "E0207",
        f"`{name.text}` is a bench of `{module}`, and a bench cannot be used by another file",
        name.span,
        helps=("models, engines, devices, workloads, meters and `let`s can",),
    )


def use_is_not_plain(span: Span) -> Diagnostic:
    """E0208."""
    return Diagnostic(
        "E0208", "the path of a `use` is a plain string", span, "has `${…}` in it", helps=("write the path out",)
    )
