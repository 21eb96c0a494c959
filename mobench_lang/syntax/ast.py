"""The syntax tree of a `.bench` file.

In: nothing. Out: frozen, slotted dataclasses, each with the span of its own text (without the newline behind it).
Guarantee: the tree says what was written and nothing about what it means; names are not resolved, units are not
checked, `${…}` inside strings is parsed. Comments are kept beside the tree, for the formatter.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, TypeAlias

from mobench_lang.frozen import frozen
from mobench_lang.source import Source, Span


@frozen
class Node:
    """Anything with a place."""

    span: Span


# ---------------------------------------------------------------- expressions


@frozen
class Name(Node):
    """An identifier as written; as an expression it is looked up, elsewhere it declares or names a key."""

    text: str


@frozen
class Int(Node):
    """A bare whole number (underscores removed)."""

    value: int


@frozen
class Float(Node):
    """A bare number with a fraction or an exponent, exact."""

    value: Decimal


@frozen
class Quantity(Node):
    """A number with a unit, such as `800ms`: exact number and the unit's text."""

    value: Decimal
    unit: str


@frozen
class Bool(Node):
    """`true` or `false`."""

    value: bool


@frozen
class Null(Node):
    """`null`."""


@frozen
class String(Node):
    """A string: literal pieces (escapes resolved) and the expressions of `${…}`, in order."""

    parts: tuple[str | Expr, ...]

    @property
    def plain(self) -> str | None:
        """The text if nothing is interpolated, else None."""
        if all(isinstance(p, str) for p in self.parts):
            return "".join(p for p in self.parts if isinstance(p, str))
        return None


@frozen
class ListOf(Node):
    """`[a, b]`."""

    items: tuple[Expr, ...]


@frozen
class Comprehension(Node):
    """`[result for name in source where condition]`."""

    result: Expr
    name: Name
    source: Expr
    condition: Expr | None


@frozen
class Range(Node):
    """`start..stop`, `start..stop:step` or, with `geometric`, `start..stop:2x`. Both ends are included."""

    start: Expr
    stop: Expr
    step: Expr | None
    geometric: bool


@frozen
class Unary(Node):
    """`-x` or `not x`."""

    op: Literal["-", "not"]
    operand: Expr


@frozen
class Binary(Node):
    """`a op b`; `op_span` is the operator's own place."""

    op: Literal["or", "and", "in", "+", "-", "*", "/", "==", "!=", "<", "<=", ">", ">="]
    left: Expr
    right: Expr
    op_span: Span


@frozen
class Cond(Node):
    """`if test then yes else no`."""

    test: Expr
    yes: Expr
    no: Expr


@frozen
class Member(Node):
    """`value.name`."""

    value: Expr
    name: Name


@frozen
class Index(Node):
    """`value[index]`."""

    value: Expr
    index: Expr


@frozen
class Arg(Node):
    """`key = value` in a call or a record."""

    name: Name
    value: Expr


@frozen
class Call(Node):
    """`function(args…, key = value…)`."""

    function: Expr
    args: tuple[Expr, ...]
    named: tuple[Arg, ...]


@frozen
class Refine(Node):
    """`base { key = value, … }`: a declaration with some attributes set anew, such as `llama_cpp { threads = 4 }`."""

    base: Expr
    entries: tuple[Arg, ...]


Expr: TypeAlias = (
    Name | Int | Float | Quantity | Bool | Null | String | ListOf | Comprehension | Range
    | Unary | Binary | Cond | Member | Index | Call | Refine
)  # fmt: skip


# ---------------------------------------------------------------- statements


@frozen
class Let(Node):
    """`let name = value`."""

    name: Name
    value: Expr


@frozen
class Attr(Node):
    """`key = value` in a body; `optional` for `key? = value`."""

    name: Name
    optional: bool
    value: Expr


@frozen
class Axis(Node):
    """`name in values` inside `matrix` or `zip`."""

    name: Name
    values: Expr


@frozen
class Exclude(Node):
    """`exclude where condition because "…"`."""

    condition: Expr
    because: String | None


@frozen
class Include(Node):
    """`include { axis = value, … }`."""

    entries: tuple[Arg, ...]


@frozen
class Sample(Node):
    """`sample count seed number`; the seed may be left out."""

    count: Expr
    seed: Expr | None


@frozen
class Pairwise(Node):
    """`pairwise`, with an optional `seed number`."""

    seed: Expr | None


@frozen
class Measure(Node):
    """`measure a, b` or `measure? a, b`."""

    metrics: tuple[Name, ...]
    optional: bool


@frozen
class Expect(Node):
    """`expect claim where condition per axis, …`, or `warn …`."""

    severity: Literal["expect", "warn"]
    claim: Expr
    condition: Expr | None
    per: tuple[Name, ...]


@frozen
class Block(Node):
    """`kind name extends parent { … }`. Nested blocks (`matrix`, `zip`, `run`, …) have no name and no parent.

    `head` is the span of everything before the opening brace.
    """

    kind: Name
    name: Name | None
    parent: Expr | None
    body: tuple[Stmt, ...]
    head: Span


@frozen
class Broken(Node):
    """A statement or item that could not be parsed; its fault has been reported.

    `name` is the key or name it would have set, where that can be told (`let a =` → a, `source == x` → source), so
    that later stages treat it as set to something unknown and stay silent about what follows from the fault.
    """

    name: Name | None


Stmt: TypeAlias = Let | Attr | Axis | Exclude | Include | Sample | Pairwise | Measure | Expect | Block | Broken


# ---------------------------------------------------------------- files


@frozen
class Edition(Node):
    """`mobench 1`."""

    number: int


@frozen
class Use(Node):
    """`use "path" as alias`, or `use "path" { a, b }`: exactly one of `alias` and `names` is set."""

    path: String
    alias: Name | None
    names: tuple[Name, ...]


Item: TypeAlias = Use | Let | Block | Broken


@frozen
class Comment(Node):
    """`# …` up to the end of the line; `own_line` if nothing stands before it."""

    text: str
    own_line: bool


@frozen
class File:
    """One parsed file. `edition` is None where the first line is missing (a diagnostic was given)."""

    source: Source
    edition: Edition | None
    items: tuple[Item, ...]
    comments: tuple[Comment, ...]
