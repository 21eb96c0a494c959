"""The tree of a text with faults: what is right is kept, what is wrong is reported once and left out.

In: a text that the parser refused. Out: the items of the file, with `ast.Broken` for each statement that was dropped,
and one diagnostic per fault. Guarantee: a right statement between faulty ones is parsed exactly as in a right file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mobench_lang.diagnostics import Diagnostic
from mobench_lang.source import Source, Span
from mobench_lang.syntax import ast, messages
from mobench_lang.syntax.build import Builder, closing_brace
from mobench_lang.syntax.classify import Fault, classify
from mobench_lang.syntax.lalr import Stuck
from mobench_lang.syntax.outline import Group, Outliner, Statement
from mobench_lang.syntax.parser import Start, parse_range
from mobench_lang.syntax.scan import KEYWORDS, Kind, Token, scan
from mobench_lang.syntax.text import deceives

BRACKETS = frozenset(["E0124", "E0125", "E0151"])
OUTSIDE = "E0143"
MOST_TOKENS = 40_000
MOST_FAULTS = 100  # after these a text is no spec, and more of them help nobody


class Recovery:
    """One run over a faulty text; `edition`, `items` and `faults` hold what came of it."""

    def __init__(self, source: Source, builder: Callable[[], Builder], stuck: Stuck) -> None:
        self.source = source
        self.faults: list[Diagnostic] = []
        self.edition: ast.Edition | None = None
        self._builder = builder
        # Where a large text is wrong, what comes long after its first fault would cost seconds and help nobody.
        outliner = Outliner(source, scan(source.text, MOST_TOKENS, stuck.start))
        self.tokens = outliner.tokens
        statements = self._edition(outliner.run())
        items: list[ast.Item] = []
        for statement in statements:
            items += self._convert(statement, top=True)  # type: ignore[arg-type]
        self.items = tuple(items)
        self.faults = _first_of_a_lost_block(_one_bracket_a_line(self.faults))

    # ------------------------------------------------------------- edition

    def _edition(self, statements: list[Statement]) -> list[Statement]:
        """Take the edition off the front; a broken first line that was meant for one is reported as such."""
        if not statements:
            return statements
        words = self._tokens(statements[0])
        if not words or statements[0].groups:
            return statements
        if len(words) == 2 and words[0].text == "mobench" and words[1].text.isdecimal() and words[1].text.isascii():
            self.edition = ast.Edition(self._span(words), int(words[1].text[:9]))
            return statements[1:]
        texts = [t.text for t in words]
        few = len(words) <= 3
        meant = texts[0] == "mobench" or (few and ("mobench" in texts or words[-1].kind is Kind.NUMBER))
        if meant and "=" not in texts[:2]:
            self.faults.append(messages.malformed_edition(self._span(words)))
            self.edition = ast.Edition(self._span(words), messages.EDITION)
            return statements[1:]
        return statements

    # ---------------------------------------------------------- statements

    def _tokens(self, statement: Statement) -> list[Token]:
        return [t for t in self.tokens[statement.begin : statement.end] if t.kind is not Kind.NEWLINE]

    def _span(self, tokens: Sequence[Token]) -> Span:
        return Span(self.source, tokens[0].start, tokens[-1].end)

    def _parse(self, start: Start, tokens: Sequence[Token]) -> Any:  # Any: one type a start
        """The node of some tokens and the faults met on the way, or `Stuck`."""
        builder = self._builder()
        node = parse_range(self.source, builder, start, tokens[0].start, tokens[-1].end)
        self.faults += builder.faults
        return node

    def _convert(self, statement: Statement, top: bool) -> list[ast.Stmt | ast.Use]:
        """The node of a statement; `Broken` ones, with the fault noted, if there is none."""
        if len(self.faults) >= MOST_FAULTS:
            return self._broken(self.tokens[statement.begin : min(statement.end, statement.begin + 40)])
        tokens = self._tokens(statement)
        if not tokens:
            return []
        if any(t.kind.is_bad and deceives(t.text[0]) for t in tokens):
            return self._broken(tokens)  # the character was reported with the text
        if statement.fault is None and statement.loose is None:
            try:
                return [self._parse("top" if top else "statement", tokens)]
            except Stuck as e:
                stuck: Stuck | None = e
        else:
            stuck = None
        if statement.fault is None and statement.block is not None:
            block = self._block(statement, statement.block, top)
            if block is not None:
                return [block]
        self.faults.append(statement.fault or statement.loose or self._classify(tokens, stuck, top))
        for inner in statement.block.statements if statement.block else ():
            if inner.line != statement.line:
                self._convert(inner, top=False)
        return self._broken(tokens)

    def _broken(self, tokens: list[Token]) -> list[ast.Stmt | ast.Use]:
        span = self._span(tokens)
        return [ast.Broken(span, name) for name in self._names(tokens)] or [ast.Broken(span, None)]

    def _classify(self, tokens: list[Token], stuck: Stuck | None, top: bool) -> Diagnostic:
        at = len(tokens)
        if stuck is not None:
            at = next((i for i, t in enumerate(tokens) if t.end > stuck.start), len(tokens))
            if at < len(tokens) and tokens[at].kind is Kind.STRING and tokens[at].start < stuck.start:
                return self._inside(tokens[at], stuck)
        return classify(Fault(self.source, tokens, at, top, stuck))

    def _inside(self, string: Token, stuck: Stuck) -> Diagnostic:
        """The fault of an expression in a string."""
        opened = string.text.rfind("${", 0, stuck.start - string.start) + 2
        inside = string.text[opened : closing_brace(string.text, opened)]
        shift = string.start + opened
        tokens = [t._replace(start=t.start + shift, end=t.end + shift, line=string.line) for t in scan(inside)]
        at = next((i for i, t in enumerate(tokens) if t.end > stuck.start), len(tokens))
        return classify(Fault(self.source, tokens, at, False, stuck))

    def _block(self, statement: Statement, group: Group, top: bool) -> ast.Block | None:
        """The block whose body, head or braces are at fault; None if its head is no head."""
        tokens = self._tokens(statement)
        if group.opener is not None:
            head = [t for t in tokens if t.start < group.opener.start]
        else:
            limit = group.statements[0].begin if group.statements else statement.end
            head = [t for t in self.tokens[statement.begin : limit] if t.kind is not Kind.NEWLINE]
        behind = [t for t in tokens if group.closer is not None and t.start > group.closer.start]
        if behind:
            return None
        before = len(self.faults)
        try:
            kind, name, parent, span = self._parse("header", head)
        except Stuck:
            return None
        if statement.loose is not None:
            self.faults.append(statement.loose)
        body: list[ast.Stmt] = []
        for inner in group.statements:
            body += self._convert(inner, top=False)  # type: ignore[arg-type]
        block = ast.Block(self._span(tokens), kind, name, parent, tuple(body), span)
        if statement.loose is None:
            builder = self._builder()
            (builder.check_top if top else builder.check_nested)(block)
            if builder.faults:  # what follows on the line of a wrong head follows from it
                met = [f for f in self.faults[before:] if f.span.line != span.line]
                self.faults = self.faults[:before] + met + builder.faults
        if len(self.faults) == before:  # the parts are right and the whole is not
            return None
        return block

    def _names(self, tokens: list[Token]) -> list[ast.Name]:
        """The names that a faulty statement would have set."""

        def name(token: Token) -> ast.Name:
            return ast.Name(Span(self.source, token.start, token.end), token.text)

        words = [t for t in tokens[:3] if t.kind is Kind.NAME]
        if tokens[0].text == "use":
            return [name(t) for t in tokens[1:] if t.kind is Kind.NAME and t.text not in ("as", "use", "std")]
        if tokens[0].text == "let":
            return [name(t) for t in words[1:2]]
        if (
            tokens[0].kind is Kind.NAME
            and len(tokens) > 1
            and tokens[0].text not in ("expect", "warn", "exclude", "measure")
        ):
            if (
                tokens[1].kind is Kind.NAME
                and tokens[1].text not in KEYWORDS
                and any(t.text == "{" for t in tokens[2:])
            ):
                return [name(tokens[1])]
            return [name(tokens[0])]
        if tokens[0].kind is Kind.STRING and len(tokens) > 1 and tokens[1].text in ("=", ":"):
            inside = tokens[0].text.strip('"')
            if inside.isidentifier():
                return [ast.Name(Span(self.source, tokens[0].start, tokens[0].end), inside)]
        return []


def _one_bracket_a_line(faults: list[Diagnostic]) -> list[Diagnostic]:
    """The faults without those that share a line with a bracket out of place: that spoils the whole line."""
    spoiled: dict[int, Diagnostic] = {}
    for fault in faults:
        if fault.code in BRACKETS:
            spoiled.setdefault(fault.span.line, fault)
    return [f for f in faults if spoiled.get(f.span.line, f) is f]


def _first_of_a_lost_block(faults: list[Diagnostic]) -> list[Diagnostic]:
    """The faults with one statement outside of its block for each run of lines: the whole block lost its head."""
    kept: list[Diagnostic] = []
    last = -1
    for fault in faults:
        if fault.code == OUTSIDE:
            if fault.span.line != last + 1:
                kept.append(fault)
            last = fault.span.line
        else:
            kept.append(fault)
    return kept
