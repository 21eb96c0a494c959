"""What mobench says about texts and syntax: every sentence of E01xx stands here and nowhere else.

In: places and the values involved. Out: `Diagnostic` records. Guarantee: one function per finding; a fix is marked
safe only if it cannot change what a correct text means.
"""

from __future__ import annotations

from mobench_lang.diagnostics import Diagnostic, Edit, Fix
from mobench_lang.source import Span
from mobench_lang.syntax import ast

EDITION = 1


def _fix(message: str, span: Span, text: str, safe: bool = True) -> Fix:
    return Fix(message, (Edit(span, text),), safe)


def _before(span: Span) -> Span:
    return Span(span.source, span.start, span.start)


def _after(span: Span) -> Span:
    return Span(span.source, span.end, span.end)


# -------------------------------------------------------------------- editions


def missing_edition(first: Span) -> Diagnostic:
    """The file does not begin with `mobench 1`."""
    return Diagnostic(
        "E0110", "the file does not begin with the edition of the language", first,
        label=f"`mobench {EDITION}` belongs before this", helps=(f"write `mobench {EDITION}` as the first line",),
        fixes=(_fix(f"begin with `mobench {EDITION}`", Span(first.source, 0, 0), f"mobench {EDITION}\n\n"),),
    )  # fmt: skip


def unknown_edition(number: int, span: Span) -> Diagnostic:
    """An edition this version does not know."""
    newer = number > EDITION
    help_ = (
        f"update mobench (`pip install --upgrade mobench`): this version reads edition {EDITION}"
        if newer else f"editions begin at 1; this version reads edition {EDITION}"
    )  # fmt: skip
    return Diagnostic(
        "E0111", f"edition {number} is {'newer than this version of mobench' if newer else 'not an edition'}", span,
        label=f"edition {EDITION} is known here", helps=(help_,), facts=(("edition", number), ("known", EDITION)),
    )  # fmt: skip


# ---------------------------------------------------------------------- generic


def unexpected(span: Span, found: str) -> Diagnostic:
    """Something that fits nowhere and has no story of its own."""
    return Diagnostic("E0120", f"unexpected {found}", span, label="cannot stand here", facts=(("found", found),))


# ------------------------------------------------------------------------ blocks


def block_without_name(kind: ast.Name) -> Diagnostic:
    """`model { … }` at the top of a file."""
    return Diagnostic(
        "E0144", f"this `{kind.text}` has no name", kind.span, label="needs a name behind it",
        helps=(f"write `{kind.text} NAME {{ … }}`: other statements refer to it by that name",),
        facts=(("kind", kind.text),),
    )  # fmt: skip


def nested_block_named(kind: ast.Name, name: ast.Name) -> Diagnostic:
    """`run fast { … }` inside another block."""
    return Diagnostic(
        "E0145", "a block inside a block has no name", name.span, label="remove this name",
        helps=(f"write `{kind.text} {{ … }}`; named blocks stand at the top of the file",),
        facts=(("kind", kind.text), ("name", name.text)),
    )  # fmt: skip


def nested_block_extends(kind: ast.Name, parent: Span) -> Diagnostic:
    """`run extends other { … }` inside another block."""
    return Diagnostic(
        "E0145", "a block inside a block has no parent", parent, label="cannot be inherited from here",
        helps=(f"write `{kind.text} {{ … }}`; only named blocks at the top of the file inherit",),
        facts=(("kind", kind.text),),
    )  # fmt: skip


# ------------------------------------------------------------------------ values


def number_too_long(span: Span) -> Diagnostic:
    """More digits than any quantity needs."""
    return Diagnostic("E0148", "this number is too long", span, label="at most 40 digits, exponents up to 30")


def unknown_escape(span: Span) -> Diagnostic:
    """`\\d` in a string."""
    return Diagnostic(
        "E0146", f"unknown escape `{span.text}` in a string", span, label="not an escape",
        helps=('the escapes are \\" \\\\ \\n \\t \\$; write `\\\\` for a backslash',),
        fixes=(_fix("write a backslash", span, "\\" + span.text, safe=False),),
    )  # fmt: skip


def argument_after_named(span: Span) -> Diagnostic:
    """`f(a = 1, 2)`."""
    return Diagnostic(
        "E0149", "an argument without a name stands after one with a name", span, label="move it to the front",
        helps=("arguments without a name come first: `f(value, key = other)`",),
    )  # fmt: skip


def empty_interpolation(span: Span) -> Diagnostic:
    """`${}`."""
    return Diagnostic(
        "E0147", "nothing stands inside `${}`", span, label="needs an expression",
        helps=("write `${name}`, or `\\${` for these characters themselves",),
    )  # fmt: skip
