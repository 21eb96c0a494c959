"""What `check` says of names (030x)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from mobench_lang.check.library import declared
from mobench_lang.check.messages.wording import an, listing, near
from mobench_lang.diagnostics import Diagnostic, Edit, Fix, Label
from mobench_lang.syntax import ast

if TYPE_CHECKING:
    from mobench_lang.packs import Attribute
    from mobench_lang.source import Span


UNKNOWN_NAME = "E0301"


_AXES = ("model", "quant", "engine", "device", "workload")


def unknown_name(span: Span, name: str, known: Iterable[str], want: Attribute | None) -> Diagnostic:
    """E0301."""
    helps, fixes = near(name, known, span)
    shelf = declared().get(name)
    if shelf is not None:
        helps = (f'the library has one: write `use "{shelf}" {{ {name} }}` below the first line',)
        fixes = ()
    elif want is not None and want.type == "string":
        helps = (*helps, f'a text stands in quotes: "{name}"')
        fixes = (*fixes, Fix(f'write `"{name}"`', (Edit(span, f'"{name}"'),)))
    elif name in _AXES:
        helps = (f"open it as an axis: `{name} in [ … ]` inside `matrix`, or `{name} = …` in the bench",)
        fixes = ()
    elif not helps:
        helps = ("declare it, or import it with `use`; a text stands in quotes",)
    return Diagnostic(
        UNKNOWN_NAME,
        f"nothing is called `{name}` here",
        span,
        "unknown name",
        helps=helps,
        fixes=fixes,
        facts=(("name", name),),
    )


def declared_twice(name: ast.Name, first: Span | None) -> Diagnostic:
    """E0302."""
    labels = (Label(first, "first declared here"),) if first else ()
    return Diagnostic(
        "E0302", f"`{name.text}` is declared twice", name.span, "again", labels=labels, helps=("rename one of them",)
    )


def shadows(name: ast.Name, outer: Span | None) -> Diagnostic:
    """E0303."""
    labels = (Label(outer, "the other one"),) if outer else ()
    what = "already means something here" if outer else "is a name of the language"
    return Diagnostic(
        "E0303",
        f"`{name.text}` {what}",
        name.span,
        "hides it",
        labels=labels,
        helps=("choose another name: nothing is hidden in a spec",),
    )


def recursion(name: ast.Name, chain: Sequence[str]) -> Diagnostic:
    """E0304."""
    return Diagnostic(
        "E0304", f"`{name.text}` is made from itself", name.span, "in a circle", helps=(" → ".join(chain),)
    )


def unknown_word(span: Span, word: str, want: Attribute, words: Sequence[str], names: Iterable[str]) -> Diagnostic:
    """E0305."""
    helps, fixes = near(word, [*words, *names], span)
    kind = {"quant": "weight format that an installed engine runs", "target": "installed target"}.get(
        want.type.removeprefix("list of ")
    )
    message = f"`{word}` is not {an(kind)}" if kind else f"`{word}` is not one of the words that can stand here"
    return Diagnostic(
        "E0305", message, span, "unknown word", helps=(*helps, f"known: {listing(words, 40)}"), fixes=fixes
    )


def namespace_as_value(name: ast.Name, inside: Sequence[str]) -> Diagnostic:
    """E0306."""
    return Diagnostic(
        "E0306",
        f"`{name.text}` is a file, not a value",
        name.span,
        "name something in it",
        helps=(f"such as {', '.join(f'`{name.text}.{n}`' for n in inside[:3])}",) if inside else (),
    )


def used_before_opened(span: Span, name: str, axis: Span) -> Diagnostic:
    """E0307."""
    return Diagnostic(
        "E0307",
        f"the axis `{name}` is opened only later",
        span,
        "not yet known here",
        (Label(axis, "opened here"),),
        helps=(f"move the line of `{name}` up: an axis may read the ones before it",),
    )


def axis_without_value(name: ast.Name, axis: Span | None) -> Diagnostic:
    """E0308."""
    return Diagnostic(
        "E0308",
        f"`{name.text}` is an axis: it has a value in each cell, and none here",
        name.span,
        "which cell?",
        (Label(axis, "opened here"),) if axis else (),
        ("axes are read by later axes, by `exclude where` and by the `where` of a claim",),
    )
