"""The wording of everything that `check` says, in one place.

In: the facts of a finding. Out: a `Diagnostic`. Guarantee: each function has one code; every code stands in
`codes.toml` and has a page in docs/errors/.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from mobench_lang.check import units
from mobench_lang.check.library import declared
from mobench_lang.check.units import Dimension, Qty
from mobench_lang.check.values import Ent, Val, Word, is_list, kind_of, text
from mobench_lang.diagnostics import Diagnostic, Edit, Fix, Label, suggest
from mobench_lang.syntax import ast

if TYPE_CHECKING:
    from mobench_lang.packs import Attribute, Conflict
    from mobench_lang.source import Span

UNKNOWN_NAME = "E0301"


def _near(word: str, known: Iterable[str], span: Span) -> tuple[tuple[str, ...], tuple[Fix, ...]]:
    """Help and fixes for a misspelt word; a fix is safe only if one name is meant."""
    close = suggest(word, known)
    if not close:
        return (), ()
    fixes = tuple(Fix(f"write `{c}`", (Edit(span, c),), safe=len(close) == 1) for c in close)
    return (f"did you mean {' or '.join(f'`{c}`' for c in close)}?",), fixes


def _listing(words: Sequence[str], limit: int = 12) -> str:
    shown = ", ".join(words[:limit])
    return shown + (f" and {len(words) - limit} more" if len(words) > limit else "")


def _an(word: str) -> str:
    return ("an " if word[:1].lower() in "aeiou" else "a ") + word


# ---------------------------------------------------------------- 02xx imports


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
    helps, fixes = _near(name.text, known, name.span)
    helps = helps or ((f"it declares {_listing(known)}",) if known else ("it declares nothing",))
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


# ---------------------------------------------------------------- 030x names


THINGS = ("model", "engine", "device", "workload", "meter", "task")
_AXES = ("model", "quant", "engine", "device", "workload")


def unknown_name(span: Span, name: str, known: Iterable[str], want: Attribute | None) -> Diagnostic:
    """E0301."""
    helps, fixes = _near(name, known, span)
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
    helps, fixes = _near(word, [*words, *names], span)
    kind = {"quant": "weight format that an installed engine runs", "target": "installed target"}.get(
        want.type.removeprefix("list of ")
    )
    message = f"`{word}` is not {_an(kind)}" if kind else f"`{word}` is not one of the words that can stand here"
    return Diagnostic(
        "E0305", message, span, "unknown word", helps=(*helps, f"known: {_listing(words, 40)}"), fixes=fixes
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


# ---------------------------------------------------------------- 031x units and types


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
        "enum": "one of the words " + _listing(words, 20),
        "quant": "a weight format",
        "target": "a target",
        "cpus": "all, big_cores, little_cores or a list of CPU numbers",
        "source": "a source: hf(…), path(…) or bundled(…)",
        "conversation": 'a string or {"id", "turns": [text, …]}',
        "record": "a record",
        "capacity": "an energy or a charge",
    }.get(kind) or (("a list of " + kind.removeprefix("list of ") + "s") if kind.startswith("list of ") else _an(kind))
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
        helps = (f"{_an(kind)} is named without quotes",)
        fixes = (Fix(f"write `{value}`", (Edit(span, value),)),) if value.isidentifier() else ()
    if isinstance(value, Ent) and kind != value.kind:
        helps = (f"`{value.name}` is {_an(value.kind)}",)
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
    helps, fixes = _near(name.text, known, name.span)
    return Diagnostic(
        "E0324",
        f"{owner} has no `{name.text}`",
        name.span,
        "unknown",
        helps=helps or (f"it has {_listing(known)}",),
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


# ---------------------------------------------------------------- 034x functions


def unknown_function(span: Span, name: str, known: Sequence[str]) -> Diagnostic:
    """E0341."""
    helps, fixes = _near(name, known, span)
    return Diagnostic(
        "E0341",
        f"there is no function `{name}`",
        span,
        "unknown function",
        helps=helps or (f"there are {_listing(sorted(known), 20)}",),
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
        "E0344", f"`{function}` takes {_listing(order)} and no more", span, "one too many", helps=("remove it",)
    )


def unknown_argument(name: ast.Name, function: str, order: Sequence[str]) -> Diagnostic:
    """E0345."""
    helps, fixes = _near(name.text, order, name.span)
    return Diagnostic(
        "E0345",
        f"`{function}` has no argument `{name.text}`",
        name.span,
        "unknown",
        helps=helps or (f"it takes {_listing(order)}",),
        fixes=fixes,
    )


def missing_argument(span: Span, function: str, name: str, order: Sequence[str]) -> Diagnostic:
    """E0346."""
    return Diagnostic(
        "E0346", f"`{function}` needs `{name}`", span, f"no `{name}`", helps=(f"it takes {_listing(order)}",)
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


# ---------------------------------------------------------------- 04xx attributes and declarations


def _at_home(name: str, homes: Sequence[str]) -> tuple[str, ...]:
    """Which blocks have what was written into another one."""
    if not homes:
        return ()
    return (f"`{name}` belongs to {_listing([f'`{h}`' for h in homes])}: `{homes[0]} {{ {name} = … }}`",)


def unknown_attribute(
    name: ast.Name, kind: str, pack: str, known: Sequence[str], homes: Sequence[str] = ()
) -> Diagnostic:
    """E0401; `homes` are the blocks that have such an attribute."""
    helps, fixes = (_at_home(name.text, homes), ()) if homes else _near(name.text, known, name.span)
    where = f"`{kind}`" if not pack else f"{_an(kind)} of `{pack}`"
    return Diagnostic(
        "E0401",
        f"{where} has no attribute `{name.text}`",
        name.span,
        "unknown attribute",
        helps=helps or (f"it has {_listing(known)}",),
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
    helps, fixes = ((belongs,), ()) if belongs else _near(kind.text, known, kind.span)
    return Diagnostic(
        "E0406",
        f"there is no block `{kind.text}` {inside}",
        kind.span,
        "unknown block" if not belongs else "not here",
        helps=helps or (f"there are {_listing(known)}",),
        fixes=fixes,
    )


def wrong_parent(span: Span, kind: str, value: Val) -> Diagnostic:
    """E0407."""
    return Diagnostic(
        "E0407",
        f"{_an(kind)} extends {_an(kind)}, found {kind_of(value)}",
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
        helps=(f"write `engine {name.text} extends NAME {{ … }}`; engines: {_listing(engines)}",),
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


# ---------------------------------------------------------------- 05xx matrix


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


def unbound_axis(span: Span, name: str, near: Sequence[str], homes: Sequence[str] = ()) -> Diagnostic:
    """E0505; `homes` are the blocks that have an attribute of the name."""
    helps, fixes = (_at_home(name, homes), ()) if homes else _near(name, near, span)
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
    helps, fixes = _near(name.text, axes, name.span)
    return Diagnostic(
        "E0513",
        f"the matrix has no axis `{name.text}`",
        name.span,
        "unknown axis",
        helps=helps or (f"it has {_listing(axes)}",),
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


# ---------------------------------------------------------------- 06xx capabilities and sizes


def quant_not_run(span: Span, engine: str, quant: str, known: Sequence[str]) -> Diagnostic:
    """E0601."""
    return Diagnostic(
        "E0601",
        f"engine `{engine}` cannot run {quant}",
        span,
        "no kernel for it",
        helps=(f"it runs {_listing(known, 30)}", f"or `exclude where engine == {engine} and quant == {quant}`"),
    )


def engine_not_on_target(span: Span, engine: str, target: str, targets: Sequence[str]) -> Diagnostic:
    """E0602."""
    return Diagnostic(
        "E0602", f"engine `{engine}` does not run on `{target}`", span, helps=(f"it runs on {_listing(targets)}",)
    )


def metric_not_delivered(span: Span, metric: str, device: str, target: str, able: Sequence[str]) -> Diagnostic:
    """E0603."""
    helps = (f"targets that can: {_listing(able)}",) if able else ("no installed target can",)
    return Diagnostic(
        "E0603",
        f"`{metric}` cannot be measured on `{device}` (target `{target}`)",
        span,
        "not delivered",
        helps=(*helps, f"`measure? {metric}` takes it where it can be had"),
    )


def instrument_cannot(span: Span, title: str, what: str, helps: Sequence[str], chosen: Span | None) -> Diagnostic:
    """E0615. `what` ends the sentence: `cannot …`."""
    return Diagnostic("E0615", f"{title} cannot {what}", span, labels=_chosen(title, chosen, span), helps=tuple(helps))


def _chosen(title: str, where: Span | None, span: Span) -> tuple[Label, ...]:
    return () if where is None or where == span else (Label(where, f"{title} is chosen here"),)


def parameter_without_instrument(span: Span, key: str, setting: str, title: str) -> Diagnostic:
    """E0616."""
    return Diagnostic(
        "E0616",
        f"`{key}` is for {title}, which is not chosen here",
        span,
        helps=(f"choose it by `{setting}`, or remove `{key}`",),
    )


def condition_not_settable(span: Span, condition: str, device: str, target: str, able: Sequence[str]) -> Diagnostic:
    """E0604."""
    helps = (f"targets that can: {_listing(able)}",) if able else ()
    return Diagnostic(
        "E0604",
        f"`{condition}` cannot be set on `{device}` (target `{target}`)",
        span,
        "not settable",
        helps=(*helps, f"`{condition}? = …` sets it where it can be set"),
    )


def context_too_small(  # noqa: PLR0917 - the facts of one sentence
    span: Span, model: str, context: int, workload: str, need: int, detail: str
) -> Diagnostic:
    """E0605."""
    return Diagnostic(
        "E0605",
        f"workload `{workload}` needs {need} tokens of context; `{model}` has {context}",
        span,
        detail,
        helps=("shorten the prompt or the output, or exclude the combination",),
        facts=(("need", need), ("context", context)),
    )


def ram_too_small(  # noqa: PLR0917 - the facts of one sentence
    span: Span, model: str, quant: str, size: str, device: str, ram: str
) -> Diagnostic:
    """E0606."""
    return Diagnostic(
        "E0606",
        f"`{model}`{f' in {quant}' if quant else ''} takes {size}; `{device}` has {ram} of RAM",
        span,
        "does not fit",
        helps=('leave it out: `exclude where model.size(quant) > device.ram * 60%  because "would not load"`',),
    )


def airplane_conflict(span: Span, conflict: Conflict, device: str, where: Span | None) -> Diagnostic:
    """E0607."""
    labels = (Label(where, "reached this way"),) if where else ()
    return Diagnostic(
        "E0607",
        f"`{conflict.condition} = {conflict.value}` cuts off `{device}`",
        span,
        conflict.message,
        labels,
        (f"reach it another way, such as by cable, or remove `{conflict.condition}`",),
    )


def missing_model_file(span: Span, file: str, source: Span | None) -> Diagnostic:
    """W0608."""
    labels = (Label(source, "its source"),) if source else ()
    return Diagnostic("W0608", f"there is no file `{file}` yet", span, "not found", labels, ("`exec` will need it",))


def unpinned(span: Span, model: str, source: Span | None) -> Diagnostic:
    """W0609."""
    labels = (Label(source, "its source"),) if source else ()
    return Diagnostic(
        "W0609",
        f"the source of `{model}` is not pinned to a revision",
        span,
        "may change",
        labels,
        helps=('pin it with `mobench lock`, or add `rev = "commit"`; `compile --locked` refuses it',),
    )


def changed_model_file(span: Span, file: str, source: Span | None) -> Diagnostic:
    """W0613."""
    labels = (Label(source, "its source"),) if source else ()
    return Diagnostic(
        "W0613",
        f"`{file}` is not the file that mobench.lock knows",
        span,
        "has changed",
        labels,
        ("bring the file back, or take the new one with `mobench lock --update`; `exec` refuses it as it is",),
    )


def unusable_lock(span: Span, why: str, help_: str) -> Diagnostic:
    """E0614."""
    return Diagnostic("E0614", f"the lock file cannot be used: {why}", span, helps=(help_,))


def storage_too_small(span: Span, device: str, need: str, storage: str) -> Diagnostic:
    """E0610."""
    return Diagnostic(
        "E0610",
        f"the models for `{device}` take {need}; it has {storage} for them",
        span,
        "does not fit",
        helps=("exclude some models or quants on this device, or free storage on it and raise `storage`",),
    )


def meter_too_slow(span: Span, meter: str, interval: str, window: str, workload: str) -> Diagnostic:
    """W0611."""
    return Diagnostic(
        "W0611",
        f"meter `{meter}` reads every {interval}; 30 readings do not fit into the {window} of `{workload}`",
        span,
        "no energy will be reported",
        helps=("lengthen the `duration` of the workload, or use a faster meter",),
    )


def meter_not_on_target(span: Span, meter: str, target: str, targets: Sequence[str]) -> Diagnostic:
    """E0612."""
    return Diagnostic(
        "E0612", f"meter `{meter}` cannot be used with `{target}`", span, helps=(f"it goes with {_listing(targets)}",)
    )


# ---------------------------------------------------------------- 07xx measure, expect, warn


def unknown_metric(name: ast.Name, known: Sequence[str]) -> Diagnostic:
    """E0701."""
    helps, fixes = _near(name.text, known, name.span)
    return Diagnostic(
        "E0701",
        f"there is no metric `{name.text}`",
        name.span,
        "unknown metric",
        helps=helps or (f"there are {_listing(known, 40)}",),
        fixes=fixes,
    )


def unmeasured(name: ast.Name, measured: Sequence[str]) -> Diagnostic:
    """E0702."""
    return Diagnostic(
        "E0702",
        f"`{name.text}` is not measured",
        name.span,
        "not measured",
        helps=(f"add it to `measure` (measured: {_listing(measured)})",),
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
    helps, fixes = _near(name, known, span)
    return Diagnostic(
        "E0706",
        f"`{name}` is not an aggregate",
        span,
        "unknown",
        helps=helps or (f"there are {_listing(known)}",),
        fixes=fixes,
    )


def aggregate_argument(span: Span, name: str) -> Diagnostic:
    """E0707."""
    return Diagnostic("E0707", f"`{name}` takes one metric", span, helps=(f"such as `{name}(decode_rate)`",))


def per_not_axis(name: ast.Name, axes: Sequence[str], place: Literal["per", "baseline"] = "per") -> Diagnostic:
    """E0708."""
    does = "groups by" if place == "per" else "replaces"
    helps, fixes = _near(name.text, axes, name.span)
    return Diagnostic(
        "E0708",
        f"`{place}` {does} axes, and `{name.text}` is none of this bench",
        name.span,
        "not an axis",
        helps=helps or (f"there are {_listing(axes)}",),
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


# ---------------------------------------------------------------- 08xx protocol


def timeout_too_short(span: Span, timeout: str, need: str, workload: str) -> Diagnostic:
    """E0801."""
    return Diagnostic(
        "E0801",
        f"the time-out of {timeout} is shorter than the pauses and durations of `{workload}` ({need})",
        span,
        "cannot be met",
        helps=(f"raise it well above {need}: a launch also loads the model and makes its warm-up passes",),
    )


def isolation_needs_sequential(span: Span) -> Diagnostic:
    """E0802."""
    return Diagnostic(
        "E0802",
        "`isolation = cell` needs `order = sequential`",
        span,
        helps=("one process per cell runs its repetitions one after the other",),
    )


def gate_order(span: Span) -> Diagnostic:
    """E0803."""
    return Diagnostic(
        "E0803", "`start_below` is not below `abort_above`", span, helps=("a launch would start too hot",)
    )


def no_gate_sensor(span: Span, device: str, target: str) -> Diagnostic:
    """E0804."""
    return Diagnostic(
        "E0804",
        f"target `{target}` of `{device}` has no temperature to wait for",
        span,
        "no sensor",
        helps=("remove it, or pause between launches with `cooldown`",),
    )


# ---------------------------------------------------------------- 09xx plan


def battery_too_small(charger: Span, device: str, least: float, floor: float, declared: Span | None) -> Diagnostic:
    """W0901."""
    room = f"{1 - floor:.0%} of it lie above the floor of {floor:.0%}" if floor else "there is no more than one"
    return Diagnostic(
        "W0901",
        f"`{device}` needs at least {least:.0%} of a full battery off its charger; {room}",
        charger,
        "it has to be charged in between",
        labels=(Label(declared, "the battery"),) if declared is not None else (),
        helps=(
            "measure fewer cells at a time (`mobench exec --only`), shorten durations and cool-downs, or leave it on "
            "its charger",
        ),
        facts=(("least", round(least, 4)), ("floor", floor)),
    )
