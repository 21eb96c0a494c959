"""From the parser's reductions to the syntax tree.

In: the children of one grammar rule (tokens and nodes already built). Out: the node, with the span of its own text.
Guarantee: faults found here (an escape, a number too long, a block without its name) are recorded in `faults` and
the node is built all the same. Knows the rule names of `bench.lark` and nothing of Lark.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from decimal import Decimal
from typing import Any, TypeAlias, cast

from mobench_lang.diagnostics import Diagnostic
from mobench_lang.source import Source, Span
from mobench_lang.syntax import ast, messages
from mobench_lang.syntax.lalr import Tok
from mobench_lang.syntax.scan import RESERVED

LONGEST_NUMBER = 40  # characters; beyond it a number is a mistake, and converting it can take minutes
LARGEST_EXPONENT = 30
DEEPEST = 100  # levels of a tree; later stages walk it recursively, some frames a level


Children: TypeAlias = Sequence[Any]  # tokens and nodes, as the rule has them
ParseExpression: TypeAlias = Callable[["Builder", int, int], ast.Expr]

SECTIONS = ("matrix", "zip", "run", "thermal", "conditions")
"""Blocks that stand inside a bench."""


class Builder:
    """One method per grammar rule, called with the rule's children."""

    def __init__(self, source: Source, parse_expression: ParseExpression) -> None:
        self.source = source
        self.faults: list[Diagnostic] = []
        self.wide = False  # a chain was met that is long enough to be too deep
        self._parse_expression = parse_expression

    # ------------------------------------------------------------ helpers

    def _span(self, first: Tok, last: Tok | None = None) -> Span:
        return Span(self.source, first.start, (last or first).end)

    def _name(self, token: Tok) -> ast.Name:
        return ast.Name(self._span(token), token.text)

    def _chain(self, first: Span, last: Span) -> Span:
        """The span of something that nests to any depth without brackets."""
        self.wide = self.wide or last.end - first.start > DEEPEST
        return first.to(last)

    def _bounded(self, node: Any, instead: Callable[[Span], Any]) -> Any:
        """The node, or something flat instead if walking it could exhaust the stack."""
        if not self.wide:
            return node
        deep = deepest(node, DEEPEST)
        if deep is None:
            return node
        self.faults.append(messages.too_deep(deep.span, DEEPEST))
        return instead(node.span)

    def _declared(self, token: Tok) -> ast.Name:
        """A name that expressions can refer to, so no word of the language."""
        name = self._name(token)
        if name.text in UNSPEAKABLE:
            self.faults.append(messages.keyword_as_name(name.span, name.text))
        return name

    def _from(self, first: Tok, last: Span) -> Span:
        return Span(self.source, first.start, last.end)

    def _number(self, text: str, span: Span) -> Decimal:
        digits = text.replace("_", "")
        mantissa, _, exponent = digits.lower().partition("e")
        if len(mantissa) > LONGEST_NUMBER or (exponent and abs(int(exponent[:9])) > LARGEST_EXPONENT):
            self.faults.append(messages.number_too_long(span))
            return Decimal(0)
        return Decimal(digits)

    # -------------------------------------------------------------- files

    def file(self, children: Children) -> tuple[ast.Edition | None, tuple[ast.Item, ...]]:
        """The edition and the items of a file."""
        edition = children[0] if children and isinstance(children[0], ast.Edition) else None
        items = tuple(
            self._bounded(c, lambda span: ast.Broken(span, None)) for c in children if not isinstance(c, ast.Edition)
        )
        for item in items:
            self.check_top(item)
        return edition, items

    def top(self, children: Children) -> ast.Item:
        """One item of a file, parsed alone."""
        self.check_top(children[0])
        return cast(ast.Item, self._bounded(children[0], lambda span: ast.Broken(span, None)))

    def statement(self, children: Children) -> ast.Stmt:
        """One statement of a body, parsed alone."""
        if isinstance(children[0], ast.Block):
            self.check_nested(children[0])
        return cast(ast.Stmt, self._bounded(children[0], lambda span: ast.Broken(span, None)))

    def check_top(self, item: ast.Item) -> None:
        """A block at the top has a name; one that belongs inside a bench is reported as such by the checker."""
        if isinstance(item, ast.Block) and item.name is None and item.kind.text not in SECTIONS:
            self.faults.append(messages.block_without_name(item.kind))

    def check_nested(self, block: ast.Block) -> None:
        """A block inside a block has neither name nor parent."""
        if block.name is not None:
            self.faults.append(messages.nested_block_named(block.kind, block.name))
        elif block.parent is not None:
            self.faults.append(messages.nested_block_extends(block.kind, block.parent.span))

    def edition(self, children: Children) -> ast.Edition:
        """`mobench 1`."""
        word, number = children
        return ast.Edition(self._span(word, number), int(number.text.replace("_", "")[:9]))

    def use_as(self, children: Children) -> ast.Use:
        """`use "path" as alias`."""
        use, path, _, alias = children
        return ast.Use(self._span(use, alias), self.string([path]), self._declared(alias), ())

    def use_names(self, children: Children) -> ast.Use:
        """`use "path" { a, b }`."""
        use, path, _, *names, close = children
        return ast.Use(self._span(use, close), self.string([path]), None, tuple(self._name(n) for n in names))

    # --------------------------------------------------------- statements

    def let(self, children: Children) -> ast.Let:
        """`let name = value`."""
        let, name, value = children
        return ast.Let(self._from(let, value.span), self._declared(name), value)

    def ref(self, children: Children) -> ast.Expr:
        """`name` or `file.name`."""
        value: ast.Expr = self._name(children[0])
        for token in children[1:]:
            value = ast.Member(self._chain(value.span, self._span(token)), value, self._name(token))
        return value

    def header(self, children: Children) -> tuple[ast.Name, ast.Name | None, ast.Expr | None, Span]:
        """Everything of a block before its brace."""
        kind = self._name(children[0])
        name = self._declared(children[1]) if len(children) in (2, 4) else None
        parent: ast.Expr | None = children[-1] if len(children) >= 3 else None
        last = parent or name or kind
        return kind, name, parent, kind.span.to(last.span)

    def block(self, children: Children) -> ast.Block:
        """`kind name extends parent { … }`."""
        (kind, name, parent, head), _, *body, close = children
        for statement in body:
            if isinstance(statement, ast.Block):
                self.check_nested(statement)
        return ast.Block(Span(self.source, head.start, close.end), kind, name, parent, tuple(body), head)

    def attr(self, children: Children) -> ast.Attr:
        """`key = value`."""
        key, value = children
        if isinstance(value, ast.Index) and isinstance(value.value, ast.Name) and value.value.text == "in":
            self.faults.pop()  # `model = in [a]`: said better here than as a word that is no value
            sign = Span(self.source, key.end, value.value.span.end)
            self.faults.append(messages.in_with_equals(sign, key.text))
        return ast.Attr(self._from(key, value.span), self._name(key), False, value)

    def attr_optional(self, children: Children) -> ast.Attr:
        """`key? = value`."""
        key, _, value = children
        return ast.Attr(self._from(key, value.span), self._name(key), True, value)

    def axis(self, children: Children) -> ast.Axis:
        """`name in values`."""
        key, _, values = children
        if (
            isinstance(values, ast.Binary)
            and values.op == "-"
            and isinstance(values.left, ast.Int)
            and isinstance(values.right, ast.Int)
        ):
            start, stop = values.left, values.right
            self.faults.append(messages.dash_range(values.span, start.span.text, stop.span.text))
            values = ast.Range(values.span, start, stop, None, False)
        return ast.Axis(self._from(key, values.span), self._name(key), values)

    def exclude(self, children: Children) -> ast.Exclude:
        """`exclude where condition because "…"`."""
        exclude, _, condition, *rest = children
        because = self.string(rest[1:]) if rest else None
        return ast.Exclude(self._from(exclude, (because or condition).span), condition, because)

    def include(self, children: Children) -> ast.Include:
        """`include { axis = value }`."""
        include, (entries, span) = children
        return ast.Include(self._from(include, span), entries)

    def sample(self, children: Children) -> ast.Sample:
        """`sample count seed number`."""
        sample, count, *rest = children
        seed = rest[1] if rest else None
        return ast.Sample(self._from(sample, (seed or count).span), count, seed)

    def pairwise(self, children: Children) -> ast.Pairwise:
        """`pairwise seed number`."""
        pairwise, *rest = children
        seed = rest[1] if rest else None
        return ast.Pairwise(self._from(pairwise, seed.span) if seed else self._span(pairwise), seed)

    def measure(self, children: Children) -> ast.Measure:
        """`measure a, b`."""
        word, *names = children
        return ast.Measure(self._span(word, names[-1]), tuple(self._name(n) for n in names), False)

    def measure_optional(self, children: Children) -> ast.Measure:
        """`measure? a, b`."""
        word, _, *names = children
        return ast.Measure(self._span(word, names[-1]), tuple(self._name(n) for n in names), True)

    def expect(self, children: Children) -> ast.Expect:
        """`expect claim where condition per axes`, or `warn …`."""
        word, claim, *rest = children
        end: Span = claim.span
        condition: ast.Expr | None = None
        per: tuple[ast.Name, ...] = ()
        if rest and rest[0].kind == "WHERE":
            condition, rest = rest[1], rest[2:]
            end = condition.span
        if rest:
            per = tuple(self._name(n) for n in rest[1:])
            end = per[-1].span
        severity = "warn" if word.text == "warn" else "expect"
        return ast.Expect(self._from(word, end), severity, claim, condition, per)  # type: ignore[arg-type]

    # -------------------------------------------------------- expressions

    def expression(self, children: Children) -> ast.Expr:
        """An expression alone."""
        return cast(ast.Expr, self._bounded(children[0], ast.Null))

    def cond(self, children: Children) -> ast.Cond:
        """`if test then yes else no`."""
        first, test, _, yes, _, no = children
        return ast.Cond(self._chain(self._span(first), no.span), test, yes, no)

    def binary(self, children: Children) -> ast.Binary:
        """`a op b`."""
        left, op, right = children
        return ast.Binary(self._chain(left.span, right.span), cast(Any, op.text), left, right, self._span(op))

    def unary(self, children: Children) -> ast.Unary:
        """`-x` or `not x`."""
        op, operand = children
        return ast.Unary(self._chain(self._span(op), operand.span), "not" if op.text == "not" else "-", operand)

    def range_of(self, children: Children) -> ast.Range:
        """`a..b`."""
        start, _, stop = children
        return ast.Range(start.span.to(stop.span), start, stop, None, False)

    def range_step(self, children: Children) -> ast.Range:
        """`a..b:step`."""
        start, _, stop, _, step = children
        return ast.Range(start.span.to(step.span), start, stop, step, False)

    def range_factor(self, children: Children) -> ast.Range:
        """`a..b:2x`."""
        start, _, stop, _, factor = children
        span = self._span(factor)
        number = self._number(factor.text[:-1], span)
        step = ast.Int(span, int(number)) if "." not in factor.text else ast.Float(span, number)
        return ast.Range(start.span.to(span), start, stop, step, True)

    def member(self, children: Children) -> ast.Member:
        """`value.name`."""
        value, name = children
        return ast.Member(self._chain(value.span, self._span(name)), value, self._name(name))

    def call(self, children: Children) -> ast.Call:
        """`function(args, key = value)`."""
        function, _, *args, close = children
        named = tuple(a for a in args if isinstance(a, ast.Arg))
        plain = tuple(a for a in args if not isinstance(a, ast.Arg))
        late = next(
            (b for a, b in itertools.pairwise(args) if isinstance(a, ast.Arg) and not isinstance(b, ast.Arg)), None
        )
        if late is not None:
            self.faults.append(messages.argument_after_named(late.span))
        return ast.Call(self._chain(function.span, self._span(close)), function, plain, named)

    def index(self, children: Children) -> ast.Index:
        """`value[index]`."""
        value, _, index, close = children
        return ast.Index(self._chain(value.span, self._span(close)), value, index)

    def refine(self, children: Children) -> ast.Refine:
        """`base { key = value }`."""
        base, (entries, span) = children
        return ast.Refine(self._chain(base.span, span), base, entries)

    def record(self, children: Children) -> tuple[tuple[ast.Arg, ...], Span]:
        """The entries between braces, and the place of both."""
        opening, *entries, close = children
        return tuple(entries), self._span(opening, close)

    def arg(self, children: Children) -> ast.Arg:
        """`key = value`."""
        name, value = children
        return ast.Arg(self._from(name, value.span), self._name(name), value)

    def name(self, children: Children) -> ast.Name | ast.Bool | ast.Null:
        """An identifier, or a literal of another language, which is put right."""
        token = children[0]
        text, span = token.text, self._span(token)
        right = FOREIGN_LITERALS.get(text)
        if right is None:
            if text in RESERVED:
                self.faults.append(messages.keyword_as_value(span, text))
            return ast.Name(span, text)
        self.faults.append(messages.foreign_literal(span, right))
        return ast.Null(span) if right == "null" else ast.Bool(span, right == "true")

    def integer(self, children: Children) -> ast.Int:
        """A whole number."""
        span = self._span(children[0])
        return ast.Int(span, int(self._number(children[0].text, span)))

    def decimal(self, children: Children) -> ast.Float:
        """A number with a fraction or an exponent."""
        span = self._span(children[0])
        return ast.Float(span, self._number(children[0].text, span))

    def quantity(self, children: Children) -> ast.Quantity:
        """A number with its unit."""
        span, text = self._span(children[0]), children[0].text
        digits = len(text) - len(text.lstrip("0123456789_."))
        if text[digits] in "eE" and text[digits + 1 : digits + 2] and text[digits + 1] in "+-0123456789":
            digits += 2
            digits += len(text[digits:]) - len(text[digits:].lstrip("0123456789"))
        return ast.Quantity(span, self._number(text[:digits], span), text[digits:].replace("\u03bc", "\u00b5"))

    def true(self, children: Children) -> ast.Bool:
        """`true`."""
        return ast.Bool(self._span(children[0]), True)

    def false(self, children: Children) -> ast.Bool:
        """`false`."""
        return ast.Bool(self._span(children[0]), False)

    def null(self, children: Children) -> ast.Null:
        """`null`."""
        return ast.Null(self._span(children[0]))

    def parens(self, children: Children) -> ast.Expr:
        """`(expr)`: the expression itself, with the brackets in its span."""
        opening, value, close = children
        return cast(ast.Expr, replace(value, span=self._span(opening, close)))

    def list_of(self, children: Children) -> ast.ListOf:
        """`[a, b]`."""
        opening, *items, close = children
        return ast.ListOf(self._span(opening, close), tuple(items))

    def comprehension(self, children: Children) -> ast.Comprehension:
        """`[result for name in source where condition]`."""
        opening, result, _, name, _, source, *rest, close = children
        condition = rest[1] if rest else None
        return ast.Comprehension(self._span(opening, close), result, self._declared(name), source, condition)

    # ------------------------------------------------------------ strings

    def string(self, children: Children) -> ast.String:
        """A string token taken apart into text and interpolated expressions."""
        token: Tok = children[0]
        span, text = self._span(token), token.text
        if "\\" not in text and "${" not in text:
            return ast.String(span, (text[1:-1],) if len(text) > 2 else ())
        return ast.String(span, tuple(self._parts(text, token.start)))

    def _parts(self, text: str, offset: int) -> list[str | ast.Expr]:
        parts: list[str | ast.Expr] = []
        piece, at, end = "", 1, len(text) - 1
        while at < end:
            if text[at] == "\\":
                length, meaning = _escape(text, at)
                if meaning is None:
                    self.faults.append(messages.unknown_escape(Span(self.source, offset + at, offset + at + length)))
                piece += text[at + 1 : at + length] if meaning is None else meaning
                at += length
            elif text.startswith("${", at):
                close = closing_brace(text, at + 2)
                if piece:
                    parts.append(piece)
                if text[at + 2 : close].strip():
                    parts.append(self._parse_expression(self, offset + at + 2, offset + close))
                else:
                    self.faults.append(messages.empty_interpolation(Span(self.source, offset + at, offset + close + 1)))
                piece, at = "", close + 1
            else:
                piece += text[at]
                at += 1
        return [*parts, piece] if piece else parts


UNSPEAKABLE = RESERVED | {"true", "false", "null"}
FOREIGN_LITERALS = {
    "True": "true", "TRUE": "true", "False": "false", "FALSE": "false",
    "None": "null", "Null": "null", "NULL": "null", "nil": "null",
}  # fmt: skip
ESCAPES = {"n": "\n", "t": "\t", '"': '"', "\\": "\\", "$": "$"}


def deepest(node: ast.Node, limit: int) -> ast.Node | None:
    """A node more than `limit` levels below another, if there is one; needs no stack."""
    todo: list[tuple[Any, int]] = [(node, 0)]
    while todo:
        here, depth = todo.pop()
        if isinstance(here, tuple):
            todo += [(inner, depth) for inner in here]
        elif isinstance(here, ast.Node):
            if depth > limit:
                return here
            todo += [(getattr(here, f.name), depth + 1) for f in fields(here) if f.name != "span"]
    return None


def _escape(text: str, at: int) -> tuple[int, str | None]:
    """How long the escape at `at` is, and what it means; None if it means nothing."""
    if text[at + 1] != "u":
        return 2, ESCAPES.get(text[at + 1])
    match = re.compile(r"\\u\{([0-9A-Fa-f]{1,6})\}").match(text, at)
    if match is None:
        return 2, None
    code = int(match[1], 16)
    valid = code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF
    return match.end() - at, chr(code) if valid else None


def closing_brace(text: str, at: int) -> int:
    """The offset of the `}` that closes the `${` whose inside begins at `at`; -1 if none does."""
    depth, quoted = 0, False
    while at < len(text):
        char = text[at]
        if quoted:
            if char == "\\":
                at += 1
            elif char == '"':
                quoted = False
        elif char == '"':
            quoted = True
        elif char == "{":
            depth += 1
        elif char == "}":
            if not depth:
                return at
            depth -= 1
        at += 1
    return -1
