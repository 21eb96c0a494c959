"""What mobench says about texts and syntax: every sentence of E01xx stands here and nowhere else.

In: places and the values involved. Out: `Diagnostic` records. Guarantee: one function per finding; a fix is marked
safe only if it cannot change what a correct text means.
"""

from __future__ import annotations

from mobench_lang.diagnostics import Diagnostic, Edit, Fix, Label
from mobench_lang.source import Span
from mobench_lang.syntax import ast
from mobench_lang.syntax.scan import UNITS, Kind

EDITION = 1
_UNITS_HELP = "the units: " + " ".join(u for u in UNITS if u != "\u03bcs")  # shown once, with the micro sign

FORMS = {
    "use": '`use "path" as name`, or `use "path" { a, b }`',
    "let": "`let name = value`",
    "exclude": '`exclude where condition`, and perhaps `because "reason"` behind it',
    "include": "`include { axis = value, … }`",
    "sample": "`sample 200 seed 7`",
    "pairwise": "`pairwise`, or `pairwise seed 7`",
    "measure": "`measure a, b`, or `measure? a, b` for what a target may lack",
    "expect": "`expect claim where condition per axis, …`",
    "warn": "`warn claim where condition per axis, …`",
}


def _edit(message: str, span: Span, text: str, safe: bool = True) -> Fix:
    return Fix(message, (Edit(span, text),), safe)


def _after(span: Span) -> Span:
    return Span(span.source, span.end, span.end)


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "…"


# ------------------------------------------------------------------------- texts


def unreadable(span: Span, reason: str) -> Diagnostic:
    """The file cannot be read at all."""
    return Diagnostic("E0101", f"cannot read {span.source.name}: {reason}", span, facts=(("reason", reason),))


def not_utf8(span: Span, offset: int, encoding: str | None) -> Diagnostic:
    """Bytes that are not UTF-8; `encoding` is what they look like, if that can be told."""
    looks = f"; it looks like {encoding}" if encoding else ""
    return Diagnostic(
        "E0102",
        f"{span.source.name} is not UTF-8 text{looks}",
        span,
        label=f"byte {offset} fits nowhere",
        helps=("save the file as UTF-8 (`iconv -t UTF-8`, or the editor's encoding menu)",),
        facts=(("offset", offset), ("encoding", encoding)),
    )


def control_character(span: Span, code: int) -> Diagnostic:
    """A control character such as NUL."""
    name = {0: "a NUL character", 0x1B: "an escape character", 0x7F: "a delete character"}.get(
        code, "a control character"
    )
    return Diagnostic(
        "E0103",
        f"{name} (U+{code:04X}) stands in the text",
        span,
        label="cannot be seen and does not belong here",
        helps=("is this a text file? A spec holds lines of text, spaces and tabs",),
        facts=(("character", f"U+{code:04X}"),),
        fixes=(_edit("remove it", span, "", safe=False),),
    )


def carriage_return(span: Span, count: int, edits: tuple[Edit, ...]) -> Diagnostic:
    """A carriage return that is not followed by a line feed."""
    return Diagnostic(
        "E0103",
        "a lone carriage return stands in the text",
        span,
        label="some programs end the line here, others do not",
        helps=("end lines with a line feed (LF) or with CR LF",),
        facts=(("count", count),),
        fixes=(Fix("make it a line feed", edits, True),),
    )


def invisible(span: Span, name: str, edits: tuple[Edit, ...], in_text: bool) -> Diagnostic:
    """A character that cannot be seen, or that changes the order in which others are shown."""
    return Diagnostic(
        "E0104",
        f"an invisible character ({name}) stands in the text",
        span,
        label="what you see here is not what mobench reads",
        helps=(("inside a string, write it as an escape: `\\u{200b}`" if in_text else "remove it"),),
        facts=(("character", name),),
        fixes=(Fix("write it as an escape" if in_text else "remove it", edits, True),),
    )


def too_large(span: Span, size: int, limit: int) -> Diagnostic:
    """The file is too large for a spec."""
    return Diagnostic(
        "E0105",
        f"{span.source.name} has {size:,} bytes; a spec has at most {limit:,}",
        span,
        helps=('keep data in files of its own and name them with `jsonl("…")` or `path("…")`',),
        facts=(("bytes", size), ("limit", limit)),
    )


def line_too_long(span: Span, length: int, limit: int) -> Diagnostic:
    """One line that no person wrote."""
    return Diagnostic(
        "E0105",
        f"this line has {length:,} characters; a line has at most {limit:,}",
        span,
        label="begins here",
        helps=('keep data in files of its own and name them with `jsonl("…")` or `path("…")`',),
        facts=(("characters", length), ("limit", limit)),
    )


def too_deep(span: Span, limit: int) -> Diagnostic:
    """Brackets in brackets in brackets."""
    return Diagnostic(
        "E0106",
        f"this is nested more than {limit} levels deep",
        span,
        label="one level too many",
        helps=("give parts of it a name with `let`",),
        facts=(("limit", limit),),
    )


# -------------------------------------------------------------------- editions


def missing_edition(first: Span) -> Diagnostic:
    """The file does not begin with `mobench 1`."""
    return Diagnostic(
        "E0110",
        "the file does not begin with the edition of the language",
        first,
        label=f"`mobench {EDITION}` belongs before this",
        helps=(f"write `mobench {EDITION}` as the first line",),
        fixes=(_edit(f"begin with `mobench {EDITION}`", Span(first.source, 0, 0), f"mobench {EDITION}\n\n"),),
    )


def malformed_edition(span: Span) -> Diagnostic:
    """A first line that was meant for the edition."""
    return Diagnostic(
        "E0110",
        "the first line does not say the edition of the language",
        span,
        label=f"should be `mobench {EDITION}`",
        helps=(f"write `mobench {EDITION}` as the first line",),
        fixes=(_edit(f"write `mobench {EDITION}`", span, f"mobench {EDITION}", safe=False),),
    )


def unknown_edition(number: int, span: Span) -> Diagnostic:
    """An edition this version does not know."""
    newer = number > EDITION
    help_ = (
        f"update mobench: this version reads edition {EDITION}"
        if newer
        else f"editions begin at 1; this version reads edition {EDITION}"
    )
    return Diagnostic(
        "E0111",
        f"edition {number} is {'newer than this version of mobench' if newer else 'not an edition'}",
        span,
        label=f"edition {EDITION} is known here",
        helps=(help_,),
        facts=(("edition", number), ("known", EDITION)),
    )


def edition_not_first(span: Span) -> Diagnostic:
    """`mobench 1` somewhere else than on the first line."""
    return Diagnostic(
        "E0112",
        "the edition stands only once, on the first line",
        span,
        label="remove this line, or move it up",
        fixes=(_edit("remove it", span, "", safe=False),),
    )


# ---------------------------------------------------------------------- generic


def unexpected(span: Span, found: str, wanted: tuple[str, ...] = ()) -> Diagnostic:
    """Something that fits nowhere and has no story of its own."""
    helps = (f"expected {' or '.join(wanted)}",) if wanted else ()
    return Diagnostic(
        "E0120",
        f"unexpected {_short(found)}",
        span,
        label="cannot stand here",
        helps=helps,
        facts=(("found", found), ("expected", wanted)),
    )


def unfinished(span: Span, last: str) -> Diagnostic:
    """The statement ends too early."""
    return Diagnostic(
        "E0120",
        f"the statement ends too early, behind `{_short(last)}`",
        span,
        label="something is missing here",
        facts=(("last", last),),
    )


def empty_expression(span: Span) -> Diagnostic:
    """Nothing where an expression is due."""
    return Diagnostic("E0126", "a value is missing", span, label="nothing stands here")


# -------------------------------------------------------------- keys and values


def missing_value_of(key: Span) -> Diagnostic:
    """A key alone on its line."""
    return Diagnostic(
        "E0121",
        f"`{key.text}` has no value",
        _after(key),
        label="` = value` is missing here",
        helps=(f"write `{key.text} = …`, or `{key.text} {{ … }}` if it is a block",),
        facts=(("key", key.text),),
    )


def missing_equals(key: Span, value: Span, rest: Span) -> Diagnostic:
    """`repeat 5`: the key, the first token of the value and all of it."""
    return Diagnostic(
        "E0121",
        f"`=` is missing between `{key.text}` and its value",
        value,
        label="expected `=` before this",
        helps=(f"write `{key.text} = {_short(rest.text)}`",),
        facts=(("key", key.text),),
        fixes=(_edit("insert `=`", Span(key.source, key.end, value.start), " = "),),
    )


def double_equals(span: Span) -> Diagnostic:
    """`source == x`."""
    return Diagnostic(
        "E0122",
        "`==` compares; a value is set with `=`",
        span,
        label="should be `=`",
        fixes=(_edit("write `=`", span, "="),),
    )


def single_equals(span: Span) -> Diagnostic:
    """`where a = b`."""
    return Diagnostic(
        "E0122",
        "`=` sets a value; values are compared with `==`",
        span,
        label="should be `==`",
        fixes=(_edit("write `==`", span, "=="),),
    )


def wrong_assignment(span: Span) -> Diagnostic:
    """`:=`, `=>`, `->`, `===`."""
    return Diagnostic(
        "E0122",
        f"`{span.text}` is not an operator of this language",
        span,
        label="`=` sets, `==` compares",
        facts=(("found", span.text),),
    )


def colon(span: Span) -> Diagnostic:
    """`model: tiny`."""
    return Diagnostic(
        "E0123",
        "a value is set with `=`, not with `:`",
        span,
        label="should be `=`",
        fixes=(_edit("write `=`", Span(span.source, span.start, span.end), " ="),),
    )


def yaml(span: Span, help_: str) -> Diagnostic:
    """Text that looks like YAML."""
    return Diagnostic("E0141", "this looks like YAML", span, label="has no meaning here", helps=(help_,))


def missing_value(before: Span, found: Span | None) -> Diagnostic:
    """`let a =`, `a + * b`."""
    behind = f"a value is missing behind `{_short(before.text)}`"
    if found is None:
        return Diagnostic(
            "E0126",
            behind,
            before,
            label="nothing follows",
            facts=(("before", before.text),),
        )
    return Diagnostic(
        "E0126",
        behind,
        found,
        label="expected a value here",
        labels=(Label(before, "belongs to this"),),
        facts=(("before", before.text), ("found", found.text)),
    )


def value_on_next_line(sign: Span, value: Span) -> Diagnostic:
    """`key =` and the value one line below."""
    return Diagnostic(
        "E0126",
        f"a value is missing behind `{sign.text}` on this line",
        sign,
        label="the line ends here",
        labels=(Label(value, "is this the value?"),),
        helps=("begin the value on this line; inside ( ) and [ ] it may go on",),
        fixes=(_edit("join the lines", Span(sign.source, sign.end, value.start), " ", safe=False),),
    )


_CLAUSES = frozenset(["where", "per", "because", "then", "else", "extends"])


def leading_operator(span: Span, operator: str) -> Diagnostic:
    """A line that begins with an operator."""
    return Diagnostic(
        "E0132",
        f"a line cannot begin with `{operator}`",
        span,
        label="the line before has already ended",
        helps=(
            f"end the line before with `{operator}`"
            + ("" if operator in _CLAUSES else ", or put the whole value in ( )"),
        ),
        facts=(("operator", operator),),
    )


def quoted_key(span: Span) -> Diagnostic:
    """`"model" = tiny`."""
    inside = span.text[1:-1]
    fixes = (_edit("remove the quotes", span, inside),) if inside.isidentifier() and inside.isascii() else ()
    return Diagnostic(
        "E0136", "the name of an attribute is written without quotes", span, label="remove the quotes", fixes=fixes
    )


def in_with_equals(span: Span, key: str) -> Diagnostic:
    """`model in = [a]`."""
    return Diagnostic(
        "E0137",
        "`in` and `=` stand together; one of them is right",
        span,
        label="keep one of the two",
        helps=(f"`{key} in [a, b]` opens an axis (in `matrix`), `{key} = a` sets one value",),
        facts=(("key", key),),
    )


def list_without_brackets(values: Span) -> Diagnostic:
    """`quant in Q8_0, Q4_0`."""
    return Diagnostic(
        "E0150",
        "several values are a list, which stands in brackets",
        values,
        label="write `[…]` around them",
        fixes=(_edit(f"write `[{_short(values.text)}]`", values, f"[{values.text}]", safe=False),),
    )


def needless_comma(span: Span, last: bool) -> Diagnostic:
    """A comma at the end of a line in a block."""
    fixes = (_edit("remove it", span, ""),) if last else ()
    return Diagnostic(
        "E0150",
        "the end of the line separates statements, no comma is needed" if last else "a comma separates nothing here",
        span,
        label="remove this comma" if last else "put what follows on a line of its own",
        helps=("commas stand in lists, in calls and in blocks on one line: `run { warmup = 1, repeat = 5 }`",),
        fixes=fixes,
    )


def two_statements(span: Span, before: Span) -> Diagnostic:
    """`a = 1 b = 2`."""
    return Diagnostic(
        "E0133",
        "two statements stand on one line",
        span,
        label="the second one begins here",
        helps=("put it on a line of its own; in a block on one line, write a comma between them",),
        fixes=(_edit("put a comma between them", _after(before), ",", safe=False),),
    )


def missing_comma(before: Span, span: Span) -> Diagnostic:
    """`[a b]`."""
    return Diagnostic(
        "E0133",
        f"`,` is missing between `{_short(before.text)}` and `{_short(span.text)}`",
        span,
        label="expected `,` before this",
        fixes=(_edit("insert `,`", _after(before), ",", safe=False),),
    )


# ---------------------------------------------------------------------- brackets


def unclosed(opener: Span, last: Span | None) -> Diagnostic:
    """A bracket without its partner, reported where it opens."""
    closer = {"(": ")", "[": "]", "{": "}"}[opener.text]
    labels = (Label(last, f"`{closer}` is missing here at the latest"),) if last is not None else ()
    return Diagnostic(
        "E0124",
        f"this `{opener.text}` is never closed",
        opener,
        label=f"needs a `{closer}`",
        labels=labels,
        facts=(("missing", closer),),
    )


def expected_closer(span: Span, opener: Span | None) -> Diagnostic:
    """Something else where a `}` is due."""
    labels = (Label(opener, "opened here"),) if opener is not None else ()
    return Diagnostic(
        "E0124", f"expected `}}`, found `{_short(span.text)}`", span, label="should be `}`", labels=labels
    )


def wrong_closer(span: Span, opener: Span) -> Diagnostic:
    """`(a]`."""
    closer = {"(": ")", "[": "]", "{": "}"}.get(opener.text, ")")
    return Diagnostic(
        "E0124",
        f"`{span.text}` does not close `{opener.text}`",
        span,
        label=f"should be `{closer}`",
        labels=(Label(opener, "opened here"),),
        fixes=(_edit(f"write `{closer}`", span, closer, safe=False),),
    )


def stray(span: Span) -> Diagnostic:
    """A closing bracket without its partner."""
    return Diagnostic(
        "E0125",
        f"this `{span.text}` closes nothing",
        span,
        label="has no partner",
        fixes=(_edit("remove it", span, "", safe=False),),
        facts=(("found", span.text),),
    )


def missing_brace(last: Span, found: str | None) -> Diagnostic:
    """`bench b` with its body below and no `{`."""
    if found is not None:
        return Diagnostic("E0151", f"expected `{{`, found `{_short(found)}`", last, label="the block opens here")
    return Diagnostic(
        "E0151",
        "`{` is missing: a block begins here",
        last,
        label="expected `{` behind this",
        fixes=(_edit("insert `{`", _after(last), " {", safe=False),),
    )


def brace_on_next_line(head: Span, brace: Span) -> Diagnostic:
    """A block's head on one line and its `{` on the next."""
    between = Span(head.source, head.end, brace.end)
    plain = not between.text[:-1].strip()  # a comment between them would be lost
    return Diagnostic(
        "E0151",
        "the `{` of a block stands on the line of its head",
        brace,
        labels=(Label(head, "its head"),),
        label="move it up",
        fixes=(_edit("move it up", between, " {"),) if plain else (),
    )


# ------------------------------------------------------------------------ blocks


def attribute_outside(span: Span, key: str) -> Diagnostic:
    """`model = tiny` at the top of a file."""
    return Diagnostic(
        "E0143",
        f"`{key}` is set outside of a block",
        span,
        label="belongs to no block",
        helps=(f"move it into a block, or write `let {key} = …` to name a value",),
        facts=(("key", key),),
    )


def outside_bench(span: Span, word: str) -> Diagnostic:
    """`measure a` at the top of a file."""
    return Diagnostic(
        "E0143",
        f"`{word}` stands outside of a `bench`",
        span,
        label="belongs into a bench",
        helps=(f"write `bench NAME {{ … {word} … }}`",),
        facts=(("word", word),),
    )


def block_without_name(kind: ast.Name) -> Diagnostic:
    """`model { … }` at the top of a file."""
    return Diagnostic(
        "E0144",
        f"this `{kind.text}` has no name",
        kind.span,
        label="needs a name behind it",
        helps=(f"write `{kind.text} NAME {{ … }}`: other statements refer to it by that name",),
        facts=(("kind", kind.text),),
    )


def nested_block_named(kind: ast.Name, name: ast.Name) -> Diagnostic:
    """`run fast { … }` inside another block."""
    return Diagnostic(
        "E0145",
        "a block inside a block has no name",
        name.span,
        label="remove this name",
        helps=(f"write `{kind.text} {{ … }}`; named blocks stand at the top of the file",),
        facts=(("kind", kind.text), ("name", name.text)),
    )


def nested_block_extends(kind: ast.Name, parent: Span) -> Diagnostic:
    """`run extends other { … }` inside another block."""
    return Diagnostic(
        "E0145",
        "a block inside a block has no parent",
        parent,
        label="cannot be inherited from here",
        helps=(f"write `{kind.text} {{ … }}`; only named blocks at the top of the file inherit",),
        facts=(("kind", kind.text),),
    )


def form(word: str, span: Span) -> Diagnostic:
    """A statement whose word is right and whose form is not."""
    found = f"found `{_short(span.text)}`" if span.text else "the line ends"
    fixes: tuple[Fix, ...] = ()
    if word == "exclude" and span.text:
        fixes = (_edit("write `where` before it", Span(span.source, span.start, span.start), "where ", safe=False),)
    return Diagnostic(
        "E0153",
        f"this is not how `{word}` is written: {found}",
        span,
        label="does not fit",
        helps=(f"write {FORMS[word]}",),
        facts=(("word", word), ("found", span.text)),
        fixes=fixes,
    )


def keyword_as_name(span: Span, word: str) -> Diagnostic:
    """`let if = 3`."""
    return Diagnostic(
        "E0152",
        f"`{word}` is a word of the language and cannot be a name",
        span,
        label="choose another name",
        facts=(("word", word),),
        fixes=(_edit(f"write `{word}_`", span, f"{word}_", safe=False),),
    )


def keyword_as_value(span: Span, word: str) -> Diagnostic:
    """`model = then`."""
    return Diagnostic(
        "E0126",
        f"expected a value, found the word `{word}`",
        span,
        label="is a word of the language",
        facts=(("word", word),),
    )


# ------------------------------------------------------------------------ values


def number_too_long(span: Span) -> Diagnostic:
    """More digits than any quantity needs."""
    return Diagnostic("E0148", "this number is too long", span, label="at most 40 digits, exponents up to 30")


def units_like(unit: str) -> tuple[str, ...]:
    """The units that a wrong one may stand for, none if it is nothing like a unit."""
    if unit in UNITS:
        return (unit,)
    known = {
        "m": ("min", "ms"),
        "sec": ("s",),
        "secs": ("s",),
        "second": ("s",),
        "seconds": ("s",),
        "S": ("s",),
        "mins": ("min",),
        "minute": ("min",),
        "minutes": ("min",),
        "hr": ("h",),
        "hrs": ("h",),
        "hour": ("h",),
        "hours": ("h",),
        "H": ("h",),
        "d": ("h",),
        "k": ("kB", "KiB"),
        "M": ("MB", "MiB"),
        "G": ("GB", "GiB"),
        "g": ("GB", "GiB"),
        "gb": ("GB", "GiB"),
        "mb": ("MB", "MiB"),
        "kb": ("kB", "KiB"),
        "KB": ("kB", "KiB"),
        "Gi": ("GiB",),
        "Mi": ("MiB",),
        "Ki": ("KiB",),
        "u": ("us",),
        "msec": ("ms",),
        "millis": ("ms",),
        "°": ("°C",),
        "°F": ("°C",),
        "degC": ("°C",),
        "c": ("°C",),
        "F": ("°C",),
        "tokens": ("tok",),
        "token": ("tok",),
        "tps": ("tok/s",),
        "t/s": ("tok/s",),
        "tok/sec": ("tok/s",),
        "tokens/s": ("tok/s",),
        "w": ("W",),
        "mw": ("mW",),
        "j": ("J",),
        "hz": ("Hz",),
        "mhz": ("MHz",),
        "ghz": ("GHz",),
        "wh": ("Wh",),
        "mah": ("mAh",),
        "percent": ("%",),
        "b": ("B",),
    }.get(unit)
    if known is not None:
        return known
    from difflib import get_close_matches

    return tuple(get_close_matches(unit, UNITS, n=2, cutoff=0.6))


def unknown_unit(span: Span) -> Diagnostic:
    """`5m`."""
    text = span.text
    digits = next((i for i, c in enumerate(text) if c not in "0123456789._"), len(text))
    number, unit = text[:digits], text[digits:]
    near = units_like(unit)
    ways = " or ".join(f"`{number}{u}`" for u in near)
    fixes = tuple(_edit(f"write `{number}{u}`", span, number + u, safe=False) for u in near)
    if not near and unit.isidentifier():
        return Diagnostic(
            "E0138",
            f"`{_short(unit)}` is not a unit",
            span,
            label="a name cannot begin with a digit, a number ends in a unit",
            helps=(_UNITS_HELP,),
            facts=(("number", number), ("unit", unit)),
        )
    return Diagnostic(
        "E0138",
        f"`{_short(unit)}` is not a unit",
        span,
        label=f"did you mean {ways}?" if near else "unknown unit",
        helps=(_UNITS_HELP,),
        facts=(("number", number), ("unit", unit)),
        fixes=fixes,
    )


def detached_unit(span: Span, number: str, unit: str) -> Diagnostic:
    """`30 s`."""
    right = units_like(unit)
    if not right:
        return Diagnostic(
            "E0120",
            f"unexpected `{_short(unit)}` behind the number {number}",
            span,
            label="one of the two is too many",
            facts=(("number", number), ("found", unit)),
        )
    fixes = tuple(
        _edit(f"write `{number}{u}`", span, number + u, safe=len(right) == 1 and unit in UNITS) for u in right
    )
    return Diagnostic(
        "E0138",
        "a number and its unit are written without a space",
        span,
        label="did you mean " + " or ".join(f"`{number}{u}`" for u in right) + "?",
        facts=(("number", number), ("unit", unit)),
        fixes=fixes,
    )


def unknown_escape(span: Span) -> Diagnostic:
    """`\\d` in a string."""
    return Diagnostic(
        "E0146",
        f"unknown escape `{_short(span.text)}` in a string",
        span,
        label="not an escape",
        helps=('the escapes are \\" \\\\ \\n \\t \\$ \\u{…}; write `\\\\` for a backslash',),
        fixes=(_edit("write a backslash", span, "\\" + span.text, safe=False),),
    )


def argument_after_named(span: Span) -> Diagnostic:
    """`f(a = 1, 2)`."""
    return Diagnostic(
        "E0149",
        "an argument without a name stands after one with a name",
        span,
        label="move it to the front",
        helps=("arguments without a name come first: `f(value, key = other)`",),
    )


def empty_interpolation(span: Span) -> Diagnostic:
    """`${}`."""
    return Diagnostic(
        "E0147",
        "nothing stands inside `${}`",
        span,
        label="needs an expression",
        helps=("write `${name}`, or `\\${` for these characters themselves",),
    )


def foreign_literal(span: Span, right: str) -> Diagnostic:
    """`True`, `None`."""
    return Diagnostic(
        "E0131",
        f"`{span.text}` is written `{right}`",
        span,
        label=f"should be `{right}`",
        fixes=(_edit(f"write `{right}`", span, right),),
        facts=(("found", span.text), ("right", right)),
    )


def dash_range(span: Span, start: str, stop: str) -> Diagnostic:
    """`threads in 1-8`."""
    return Diagnostic(
        "E0134",
        "a range is written with `..`",
        span,
        label=f"should be `{start}..{stop}`",
        helps=(f"`{start}-{stop}` is a subtraction; `{start}..{stop}` holds both ends",),
        fixes=(_edit(f"write `{start}..{stop}`", span, f"{start}..{stop}", safe=False),),
    )


def dotted_range(span: Span) -> Diagnostic:
    """`1...8`."""
    return Diagnostic(
        "E0134",
        "a range is written with two dots",
        span,
        label="should be `..`",
        helps=("`1..8` holds both ends",),
        fixes=(_edit("write `..`", span, ".."),),
    )


def comprehension_if(span: Span) -> Diagnostic:
    """`[x for x in xs if x > 1]`."""
    return Diagnostic(
        "E0135",
        "a list is filtered with `where`, not with `if`",
        span,
        label="should be `where`",
        helps=("`[x for x in xs where x > 1]`; `where` filters everywhere",),
        fixes=(_edit("write `where`", span, "where"),),
    )


def chained(span: Span, first: Span) -> Diagnostic:
    """`a < b < c`."""
    return Diagnostic(
        "E0142",
        "comparisons cannot be chained",
        span,
        label="a second comparison",
        labels=(Label(first, "the first one"),),
        helps=("write `a < b and b < c`",),
    )


# -------------------------------------------------------------------- characters


def bad_token(kind: Kind, span: Span) -> Diagnostic:
    """A token that is no part of the language."""
    text = span.text
    if kind is Kind.BAD_STRING:
        return _bad_string(span)
    if kind in (Kind.SINGLE_QUOTED, Kind.CURLY_QUOTED):
        inside = text.strip("'`\u201c\u201d\u201e\u00ab\u00bb\u2018\u2019\"")
        fixes = (
            (_edit("write double quotes", span, f'"{inside}"'),)
            if '"' not in inside and "\\" not in inside and "${" not in inside
            else ()
        )
        return Diagnostic(
            "E0128", 'a text stands in straight double quotes: "…"', span, label="other quotes", fixes=fixes
        )
    if kind is Kind.BAD_NUMBER:
        return unknown_unit(span)
    if kind is Kind.BAD_NAME:
        return Diagnostic(
            "E0154",
            f"`{_short(text)}` is not a name: names hold the letters a to z, digits and `_`",
            span,
            label="holds other characters",
            facts=(("found", text),),
        )
    if kind is Kind.BAD_COMMENT:
        fixes = (
            (_edit("write `#`", Span(span.source, span.start, span.start + 2), "#"),) if text.startswith("//") else ()
        )
        return Diagnostic("E0155", "a comment begins with `#`", span, label="not a comment", fixes=fixes)
    if kind is Kind.BAD_OPERATOR:
        return _bad_operator(span)
    if kind is Kind.BAD_SPACE:
        code = " ".join(f"U+{ord(c):04X}" for c in sorted(set(text)))
        return Diagnostic(
            "E0140",
            f"this looks like a space and is none ({code})",
            span,
            label="write a space",
            facts=(("found", code),),
            fixes=(_edit("write a space", span, " "),),
        )
    return Diagnostic(
        "E0140",
        f"the character `{text}` has no meaning here",
        span,
        label="not part of the language",
        facts=(("found", f"U+{ord(text[0]):04X}"),),
    )


def _bad_string(span: Span) -> Diagnostic:
    text = span.text
    opened = text.find("${")
    if opened > 0 and text.count('"') > 1:
        return Diagnostic(
            "E0147",
            "this `${` is never closed",
            Span(span.source, span.start + opened, span.start + opened + 2),
            label="needs a `}` in the same string",
            helps=("write `\\${` for these characters themselves",),
        )
    return Diagnostic(
        "E0129",
        "this text is never closed",
        Span(span.source, span.start, span.start + 1),
        label='needs a closing `"`',
        labels=(Label(_after(span), "the line ends here"),),
        helps=("a text ends on the line it begins on; `\\n` is a line end",),
    )


def _bad_operator(span: Span) -> Diagnostic:
    text = span.text
    words = {"&&": "and", "||": "or", "!": "not", "&": "and", "|": "or"}
    if text == ";":
        return Diagnostic(
            "E0127",
            "statements are separated by line ends, not by `;`",
            span,
            label="remove it, or go to the next line",
            fixes=(_edit("remove it", span, "", safe=False),),
        )
    if text in words:
        right = words[text]
        spaced = right + (" " if text == "!" else "")
        return Diagnostic(
            "E0130",
            f"`{text}` is written `{right}`",
            span,
            label=f"should be `{right}`",
            fixes=(_edit(f"write `{right}`", span, spaced),),
            facts=(("found", text), ("right", right)),
        )
    if text.startswith("..."):
        return dotted_range(span)
    return Diagnostic(
        "E0140",
        f"`{text}` is not an operator of this language",
        span,
        label="has no meaning here",
        facts=(("found", text),),
    )
