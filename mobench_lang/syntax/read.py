"""One text to one tree with all its faults.

In: a `Source`. Out: `ast.File` and diagnostics in order. Guarantee: a text without faults is parsed once, as a whole.
"""

from __future__ import annotations

import re

from mobench_lang.diagnostics import Diagnostic, Diagnostics, in_order
from mobench_lang.source import Source, Span
from mobench_lang.syntax import ast, messages
from mobench_lang.syntax.build import Builder
from mobench_lang.syntax.lalr import Stuck
from mobench_lang.syntax.parser import parse_range
from mobench_lang.syntax.scan import STRING_OR_COMMENT, Kind, scan
from mobench_lang.syntax.text import check_text


def parse(source: Source) -> tuple[ast.File, Diagnostics]:
    """The tree of a file, whatever is wrong with it, and everything that is wrong with its text."""
    found, worth_parsing = check_text(source)
    if not worth_parsing:
        return ast.File(source, None, (), ()), in_order(found)
    builder = Builder(source, _interpolation)
    try:
        edition, items = parse_range(source, builder, "file", 0, len(source.text))
        found += builder.faults
    except Stuck as e:
        from mobench_lang.syntax.recover import Recovery  # a text without faults has no use for it

        recovery = Recovery(source, lambda: Builder(source, _interpolation), e)
        edition, items = recovery.edition, recovery.items
        at = source.span(e.start, e.end)
        found += recovery.faults or ([] if found else [messages.unexpected(at, f"`{at.text}`")])
    if edition is not None and edition.number > messages.EDITION:
        found = []  # what is wrong today may be right in a newer edition
    if "E0110" not in {d.code for d in found}:
        found += _edition(source, edition)
    return ast.File(source, edition, items, comments(source)), in_order(found)


def parse_expression(text: str, name: str = "<expression>") -> tuple[ast.Expr | None, Diagnostics]:
    """The tree of one expression, or what is wrong with it."""
    source = Source(name, text)
    found, worth_parsing = check_text(source)
    if not worth_parsing:
        return None, in_order(found)
    builder = Builder(source, _interpolation)
    try:
        value = parse_range(source, builder, "expression", 0, len(text))
    except Stuck as e:
        from mobench_lang.syntax.classify import Fault, classify

        tokens = [t for t in scan(text) if t.kind not in (Kind.COMMENT, Kind.NEWLINE)]
        if not tokens:
            return None, (messages.empty_expression(source.span(0, len(text))),)
        at = next((i for i, t in enumerate(tokens) if t.end > e.start), len(tokens))
        return None, in_order([*found, classify(Fault(source, tokens, at, False, e))])
    return value, in_order([*found, *builder.faults])


def comments(source: Source) -> tuple[ast.Comment, ...]:
    """Every comment of a text, in order."""
    found = []
    for match in STRING_OR_COMMENT.finditer(source.text):
        if match[1]:
            line = source.text[source.line_span(source.position(match.start())[0]).start : match.start()]
            found.append(ast.Comment(source.span(*match.span()), match[1], not line.strip()))
    return tuple(found)


def _interpolation(builder: Builder, begin: int, end: int) -> ast.Expr:
    value: ast.Expr = parse_range(builder.source, builder, "expression", begin, end)
    return value


def _edition(source: Source, edition: ast.Edition | None) -> list[Diagnostic]:
    if edition is None:
        first = re.search(r"[^\s#][^\n\r]*", re.sub(r"#[^\n\r]*", lambda m: " " * len(m[0]), source.text))
        return [messages.missing_edition(source.span(*first.span()) if first else Span(source, 0, 0))]
    if edition.number != messages.EDITION:
        return [messages.unknown_edition(edition.number, edition.span)]
    return []
