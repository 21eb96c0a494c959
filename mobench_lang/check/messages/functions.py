"""What `check` says of functions and methods (034x)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mobench_lang.check.messages.wording import listing, near
from mobench_lang.diagnostics import Diagnostic
from mobench_lang.syntax import ast

if TYPE_CHECKING:
    from mobench_lang.source import Span


def unknown_function(span: Span, name: str, known: Sequence[str]) -> Diagnostic:
    """E0341."""
    helps, fixes = near(name, known, span)
    return Diagnostic(
        "E0341",
        f"there is no function `{name}`",
        span,
        "unknown function",
        helps=helps or (f"there are {listing(sorted(known), 20)}",),
        fixes=fixes,
    )


def not_callable(span: Span) -> Diagnostic:
    """E0342."""
    return Diagnostic(
        "E0342",
        "this is not a function",
        span,
        helps=("attributes are set anew with braces: `llama_cpp { threads = 4 }`",),
    )


def no_method(name: ast.Name, owner: str) -> Diagnostic:
    """E0343."""
    return Diagnostic(
        "E0343", f"{owner} has no function `{name.text}`", name.span, helps=("a model has `size(quant)`",)
    )


def too_many_arguments(span: Span, function: str, order: Sequence[str]) -> Diagnostic:
    """E0344."""
    return Diagnostic(
        "E0344", f"`{function}` takes {listing(order)} and no more", span, "one too many", helps=("remove it",)
    )


def unknown_argument(name: ast.Name, function: str, order: Sequence[str]) -> Diagnostic:
    """E0345."""
    helps, fixes = near(name.text, order, name.span)
    return Diagnostic(
        "E0345",
        f"`{function}` has no argument `{name.text}`",
        name.span,
        "unknown",
        helps=helps or (f"it takes {listing(order)}",),
        fixes=fixes,
    )


def missing_argument(span: Span, function: str, name: str, order: Sequence[str]) -> Diagnostic:
    """E0346."""
    return Diagnostic(
        "E0346", f"`{function}` needs `{name}`", span, f"no `{name}`", helps=(f"it takes {listing(order)}",)
    )


def bad_repo(span: Span, repo: str) -> Diagnostic:
    """E0347."""
    return Diagnostic("E0347", f"`{repo}` is not a repository of the hub", span, helps=('write "owner/name"',))


def bad_path(span: Span) -> Diagnostic:
    """E0348."""
    return Diagnostic(
        "E0348", "this is not a path", span, label="no path", helps=("write the path of a file, relative to this one",)
    )


def absolute_path(span: Span, file: str) -> Diagnostic:
    """W0349."""
    return Diagnostic(
        "W0349",
        "an absolute path makes the spec depend on this machine",
        span,
        "absolute",
        helps=("write it relative to this file",),
        facts=(("file", file),),
    )


def not_bundled(span: Span, name: str) -> Diagnostic:
    """E0350."""
    return Diagnostic(
        "E0350",
        f"nothing named `{name}` is shipped with mobench",
        span,
        label="not shipped",
        helps=('`std/tiny/tiny-f16.gguf` is; a file of your own is `path("…")`',),
    )


def missing_file(span: Span, file: str) -> Diagnostic:
    """E0351."""
    return Diagnostic(
        "E0351",
        f"there is no file `{file}`",
        span,
        "not found",
        helps=("paths are relative to the file that writes them",),
    )


def bad_jsonl(span: Span, file: str, line: int, why: str) -> Diagnostic:
    """E0352."""
    return Diagnostic(
        "E0352",
        f"line {line} of `{file}` is not a JSON object: {why}",
        span,
        facts=(("line", line),),
        label="read here",
        helps=('write one JSON object a line, such as {"id": "a", "turns": ["Hello."]}',),
    )


def empty_list(span: Span, name: str) -> Diagnostic:
    """E0353."""
    return Diagnostic(
        "E0353", f"`{name}` of an empty list", span, label="empty", helps=("give it at least one element",)
    )


def not_summable(span: Span, name: str) -> Diagnostic:
    """E0354."""
    return Diagnostic(
        "E0354",
        f"`{name}` needs numbers, or quantities of one kind",
        span,
        label="mixed",
        helps=("give all elements one unit",),
    )


def cannot_refine(span: Span, found: str) -> Diagnostic:
    """E0355."""
    return Diagnostic(
        "E0355",
        f"braces set attributes of a declared thing, found {found}",
        span,
        label="no attributes",
        helps=("such as `llama_cpp { threads = 4 }`",),
    )


def not_representable(span: Span) -> Diagnostic:
    """E0356."""
    return Diagnostic(
        "E0356",
        "a record cannot be the value of an axis",
        span,
        label="a record",
        helps=("open the axis over one of its fields: `[row.n for row in rows]`",),
    )
