"""What `check` says of attributes and declarations (04xx)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mobench_lang.check.messages.wording import an, at_home, listing, near
from mobench_lang.check.values import Val, kind_of
from mobench_lang.diagnostics import Diagnostic, Label
from mobench_lang.syntax import ast

if TYPE_CHECKING:
    from mobench_lang.packs import Attribute
    from mobench_lang.source import Span


def unknown_attribute(
    name: ast.Name, kind: str, pack: str, known: Sequence[str], homes: Sequence[str] = ()
) -> Diagnostic:
    """E0401; `homes` are the blocks that have such an attribute."""
    helps, fixes = (at_home(name.text, homes), ()) if homes else near(name.text, known, name.span)
    where = f"`{kind}`" if not pack else f"{an(kind)} of `{pack}`"
    return Diagnostic(
        "E0401",
        f"{where} has no attribute `{name.text}`",
        name.span,
        "unknown attribute",
        helps=helps or (f"it has {listing(known)}",),
        fixes=fixes,
    )


def repeated(name: ast.Name, first: Span) -> Diagnostic:
    """E0402."""
    return Diagnostic(
        "E0402",
        f"`{name.text}` is set twice",
        name.span,
        "again",
        (Label(first, "first set here"),),
        helps=("keep one of them: nothing is overridden silently",),
    )


def missing_attribute(block: ast.Block, key: str, info: Attribute) -> Diagnostic:
    """E0403."""
    name = f" `{block.name.text}`" if block.name else ""
    return Diagnostic("E0403", f"{block.kind.text}{name} needs `{key}`", block.head, f"no `{key}`", helps=(info.doc,))


def not_in_this_block(stmt: ast.Node) -> Diagnostic:
    """E0404."""
    kind = type(stmt).__name__.lower()
    what = (
        f"`{stmt.kind.text} {{ … }}`"
        if isinstance(stmt, ast.Block)
        else f"`{stmt.span.text.split()[0] if stmt.span.text else kind}`"
    )
    return Diagnostic(
        "E0404",
        f"{what} has no place in this block",
        stmt.span if not isinstance(stmt, ast.Block) else stmt.head,
        label="not here",
        helps=("move it to where it belongs",),
    )


def optional_not_here(name: ast.Name) -> Diagnostic:
    """E0405."""
    return Diagnostic(
        "E0405",
        "`?` (where the target can) goes with conditions and `measure` only",
        name.span,
        helps=(f"write `{name.text} = …`",),
    )


def unknown_block(kind: ast.Name, known: Sequence[str], inside: str, belongs: str = "") -> Diagnostic:
    """E0406."""
    helps, fixes = ((belongs,), ()) if belongs else near(kind.text, known, kind.span)
    return Diagnostic(
        "E0406",
        f"there is no block `{kind.text}` {inside}",
        kind.span,
        "unknown block" if not belongs else "not here",
        helps=helps or (f"there are {listing(known)}",),
        fixes=fixes,
    )


def wrong_parent(span: Span, kind: str, value: Val) -> Diagnostic:
    """E0407."""
    return Diagnostic(
        "E0407",
        f"{an(kind)} extends {an(kind)}, found {kind_of(value)}",
        span,
        label="another kind",
        helps=("name a declaration of the same kind",),
    )


def bench_with_parent(span: Span) -> Diagnostic:
    """E0407."""
    return Diagnostic(
        "E0407",
        "a bench extends nothing",
        span,
        "remove it",
        helps=("declare what several benches share in a file of its own, and `use` it",),
    )


def engine_without_parent(name: ast.Name, engines: Sequence[str]) -> Diagnostic:
    """E0408."""
    return Diagnostic(
        "E0408",
        f"engine `{name.text}` does not say which engine it configures",
        name.span,
        helps=(f"write `engine {name.text} extends NAME {{ … }}`; engines: {listing(engines)}",),
    )


def target_is_fixed(name: ast.Name, device: str) -> Diagnostic:
    """E0409."""
    return Diagnostic(
        "E0409", f"the target of `{device}` cannot be changed in braces", name.span, helps=("declare another device",)
    )


def reserved(span: Span, what: str, why: str) -> Diagnostic:
    """E0410."""
    return Diagnostic("E0410", f"{what} cannot be used yet: {why}", span, "reserved", helps=("remove it for now",))


def missing_roles(block: ast.Block, roles: Sequence[str]) -> Diagnostic:
    """E0413."""
    examples = {
        "model": "model = tiny",
        "engine": "engine = llama_cpp",
        "device": "device = local",
        "workload": "workload = generate(prompt = 512, output = 128)",
    }
    name = f"bench `{block.name.text}`" if block.name else "this bench"
    listed = " and ".join(filter(None, (", ".join(roles[:-1]), roles[-1])))
    return Diagnostic(
        "E0413",
        f"{name} says nothing about its {listed}",
        block.head,
        f"no {', '.join(f'`{r}`' for r in roles)}",
        helps=tuple(f"add `{examples[r]}`, or `{r} in [ … ]` in its matrix" for r in roles),
    )


def several_benches(name: ast.Name, first: Span) -> Diagnostic:
    """E0414."""
    return Diagnostic(
        "E0414",
        "a file holds one bench",
        name.span,
        "a second one",
        (Label(first, "the first one"),),
        helps=("move it into a file of its own; what both need can be used with `use`",),
    )


def workload_prompt(span: Span, name: str, both: bool) -> Diagnostic:
    """E0415."""
    message = (
        f"workload `{name}` has both `prompt` and `prompts`"
        if both
        else f"workload `{name}` has neither `prompt` nor `prompts`"
    )
    return Diagnostic(
        "E0415", message, span, helps=("`prompt = 512` sends random tokens, `prompts = [ … ]` sends texts",)
    )


def not_for_random(span: Span, name: str, key: str) -> Diagnostic:
    """E0416."""
    return Diagnostic(
        "E0416",
        f"workload `{name}` sends random tokens, which have no `{key}`",
        span,
        helps=("it goes with `prompts`",),
    )


def no_bench(span: Span) -> Diagnostic:
    """E0417."""
    return Diagnostic(
        "E0417",
        "this file declares no bench",
        span,
        helps=("it can be used by others; `compile` needs a `bench NAME { … }`",),
    )
