"""Where lines break and how far they are indented.

In: a parsed file without errors. Out: its tokens as `Line`s. Guarantee: every token is kept except commas that a line
end replaces; commas are added only behind the last item of a list or call whose bracket closes on a line of its own.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields

from mobench_lang.syntax import ast
from mobench_lang.syntax.scan import RESERVED, Kind, Token, scan

STEP = 2
CONTINUED = 4  # a statement that goes on behind an operator or a comma
_VALUE_ENDS = frozenset([")", "]", "}"])
_TIGHT_BEFORE = frozenset([")", "]", ",", ".", "?", "..", ":"])
_TIGHT_AFTER = frozenset(["(", "[", ".", "..", ":"])


@dataclass(slots=True, eq=False)
class Line:
    """One line of the result: its tokens, what stands between them, and the statement that begins on it."""

    indent: int
    blank_before: bool
    tokens: list[Token] = field(default_factory=list)
    comment: str | None = None
    statement: ast.Node | None = None

    def text(self, layout: Spacing, begin: int = 0, end: int | None = None) -> str:
        """The text of some of the tokens."""
        out: list[str] = []
        tokens = self.tokens[begin:end]
        for before, token in zip([None, *tokens], tokens, strict=False):
            if before is not None:
                out.append(layout.gap(before, token))
            out.append(token.text)
        return "".join(out)


@dataclass(slots=True, eq=False)
class _Group:
    """A pair of brackets: `broken` if a line ends directly inside, `separators` are commas between its entries."""

    opener: int
    closer: int = -1
    broken: bool = False
    entries: bool = False  # a body or a record: commas give way to line ends
    items: bool = False  # a list, a call, imported names: a comma stands behind the last one
    separators: set[int] = field(default_factory=set)


class Spacing:
    """What stands between two tokens of a line."""

    def __init__(self) -> None:
        self.tight: set[int] = set()  # offsets of operators inside ranges
        self.unary: set[int] = set()  # offsets of minus signs with one operand
        self.words: set[int] = set()  # offsets of names that are words of a statement

    def gap(self, before: Token, token: Token) -> str:
        """The space between two neighbours: none or one blank."""
        left, right = before.text, token.text
        if (before.kind is not Kind.STRING and left in _TIGHT_AFTER) or (
            token.kind is not Kind.STRING and right in _TIGHT_BEFORE
        ):
            return ""
        if before.start in self.unary or before.start in self.tight or token.start in self.tight:
            return ""
        if right in ("(", "[") and self._ends_value(before):
            return ""
        if left == "{" and right == "}":
            return ""
        return " "

    def _ends_value(self, token: Token) -> bool:
        if token.kind is Kind.NAME:
            return token.text not in RESERVED and token.start not in self.words
        return token.kind in (Kind.STRING, Kind.NUMBER) or token.text in _VALUE_ENDS


class Layout(Spacing):
    """One run over a file."""

    def __init__(self, file: ast.File) -> None:
        super().__init__()
        self.file = file
        self.tokens = scan(file.source.text)
        self.starts = [t.start for t in self.tokens]
        self.groups = self._brackets()
        self.by_closer = {g.closer: g for g in self.groups.values()}
        self.begins: dict[int, ast.Node] = {}
        for node in walk((file.edition, *file.items)):
            self._learn(node)
        self.lines: list[Line] = []

    # ------------------------------------------------------- what the tree says

    def _at(self, offset: int, text: str) -> int:
        """The index of the first token at or behind an offset with a certain text."""
        index = bisect_left(self.starts, offset)
        while self.tokens[index].text != text or self.tokens[index].kind in (Kind.STRING, Kind.COMMENT):
            index += 1
        return index

    def _learn(self, node: ast.Node) -> None:
        if isinstance(node, ast.Block):
            self._entries(self.groups[self._at(node.head.end, "{")], node.body)
        elif isinstance(node, ast.Refine):
            self._entries(self.groups[self._at(node.base.span.end, "{")], node.entries)
        elif isinstance(node, ast.Include):
            self._entries(self.groups[self._at(node.span.start, "{")], node.entries)
        elif isinstance(node, ast.Use) and node.alias is None:
            self.groups[self._at(node.path.span.end, "{")].items = True
        elif isinstance(node, ast.ListOf) and node.items:
            self.groups[self._at(node.span.start, "[")].items = True
        elif isinstance(node, ast.Call) and (node.args or node.named):
            self.groups[self._at(node.function.span.end, "(")].items = True
        elif isinstance(node, ast.Range):
            for part in (node.start, node.stop, node.step):
                self.tight |= set(_operators(part))
        elif isinstance(node, ast.Unary) and node.op == "-":
            self.unary.add(self.tokens[self._at(node.span.start, "-")].start)
        if isinstance(node, ast.Let | ast.Expect | ast.Sample | ast.Exclude | ast.Measure | ast.Use):
            self.words.add(node.span.start)
        if isinstance(node, ast.Sample | ast.Pairwise) and node.seed is not None:
            index = bisect_left(self.starts, node.seed.span.start) - 1
            while self.tokens[index].text != "seed":
                index -= 1
            self.words.add(self.tokens[index].start)
        if isinstance(node, _STATEMENTS):
            self.begins[node.span.start] = node

    def _entries(self, group: _Group, entries: Sequence[ast.Node]) -> None:
        group.entries = True
        if not entries:
            return
        ends = [e.span.end for e in entries]
        limits = [e.span.start for e in entries[1:]] + [self.tokens[group.closer].start]
        for end, limit in zip(ends, limits, strict=True):
            index = bisect_left(self.starts, end)
            while index < len(self.tokens) and self.tokens[index].start < limit:
                if self.tokens[index].text == "," and self.tokens[index].kind is Kind.OPERATOR:
                    group.separators.add(index)
                index += 1

    def _brackets(self) -> dict[int, _Group]:
        groups: dict[int, _Group] = {}
        stack: list[_Group] = []
        for index, token in enumerate(self.tokens):
            if token.kind is Kind.BRACKET:
                if token.text in "([{":
                    stack.append(_Group(index))
                    groups[index] = stack[-1]
                else:
                    stack.pop().closer = index
            elif token.kind in (Kind.NEWLINE, Kind.COMMENT) and stack:
                stack[-1].broken = True
        return groups

    # --------------------------------------------------------------- the lines

    def run(self) -> list[Line]:
        """The lines of the file."""
        stack: list[tuple[_Group, int]] = []  # open brackets with the indentation of their lines
        ends = 0  # line ends since the last token
        before: int | None = None
        for index, token in enumerate(self.tokens):
            if token.kind is Kind.NEWLINE:
                ends += 1
                continue
            if token.kind is Kind.COMMENT:
                self._comment(token, ends, stack, before)
                ends = 0
                continue
            group = stack[-1][0] if stack else None
            if token.text == "," and token.kind is Kind.OPERATOR and self._is_needless(index, group):
                continue
            closes = self.by_closer.get(index)
            if self._breaks(index, before, ends, group, closes):
                if closes is not None and closes.items and self._closes_alone(closes):
                    self._add_comma()
                self._new_line(token, ends, stack, closes, before)
            self.lines[-1].tokens.append(token)
            if index in self.groups:
                stack.append((self.groups[index], self.lines[-1].indent))
            elif closes is not None:
                stack.pop()
            ends, before = 0, index
        self._blank_lines()
        return self.lines

    def _is_needless(self, index: int, group: _Group | None) -> bool:
        """True for a comma that a line end replaces, or that stands behind the last item without a line end."""
        if group is None:
            return False
        if index in group.separators and group.broken:
            return True
        return self._is_last(index, group) and not self._closes_alone(group)

    def _is_last(self, index: int, group: _Group) -> bool:
        """True if nothing but space and comments stands between a comma and the closing bracket."""
        if not (group.items or index in group.separators):
            return False
        index += 1
        while self.tokens[index].kind in (Kind.NEWLINE, Kind.COMMENT):
            index += 1
        return index == group.closer

    def _closes_alone(self, group: _Group) -> bool:
        """True if the closing bracket stands on a line of its own."""
        return group.broken and self.tokens[group.closer - 1].kind in (Kind.NEWLINE, Kind.COMMENT)

    def _breaks(self, index: int, before: int | None, ends: int, group: _Group | None, closes: _Group | None) -> bool:
        if before is None or not self.lines:
            return True
        if self.lines[-1].comment is not None:
            return True
        if closes is not None and closes.opener == before:
            return False  # `{}`
        if ends:
            return True
        if group is None or not group.broken:
            return False
        if group.entries or (group.items and self.tokens[group.opener].text == "{"):
            if closes is group or before == group.opener:
                return True
            return group.entries and any(s in group.separators for s in range(before + 1, index))
        return False

    def _new_line(
        self, token: Token, ends: int, stack: list[tuple[_Group, int]], closes: _Group | None, before: int | None
    ) -> None:
        blank = (
            ends > 1 and closes is None and not (before is not None and before in self.groups and not self._commented())
        )
        statement = self.begins.get(token.start)
        if closes is not None:
            indent = stack[-1][1]
        else:
            indent = stack[-1][1] + STEP if stack else 0
            in_braces = not stack or stack[-1][0].entries
            if in_braces and statement is None and before is not None:
                indent += CONTINUED
        self.lines.append(Line(indent, blank, statement=statement))

    def _commented(self) -> bool:
        return bool(self.lines) and not self.lines[-1].tokens

    def _comment(self, token: Token, ends: int, stack: list[tuple[_Group, int]], before: int | None) -> None:
        text = token.text.rstrip()
        if not ends and self.lines and self.lines[-1].comment is None and before is not None:
            self.lines[-1].comment = text
            return
        opened = before is not None and before in self.groups and bool(self.lines[-1].tokens)
        self.lines.append(Line(stack[-1][1] + STEP if stack else 0, ends > 1 and not opened, comment=text))

    def _add_comma(self) -> None:
        """Put a comma behind the last item, unless there is one."""
        for line in reversed(self.lines):
            if line.tokens:
                last = line.tokens[-1]
                if last.text != ",":
                    line.tokens.append(Token(Kind.OPERATOR, ",", last.end, last.end, last.line, False))
                return

    def _blank_lines(self) -> None:
        """A blank line behind the edition, and around blocks of several lines at the top."""
        after_block = False
        for line, following in zip([None, *self.lines], self.lines, strict=False):
            if line is not None and isinstance(line.statement, ast.Edition):
                following.blank_before = True
            if after_block:
                following.blank_before = True
            after_block = following.indent == 0 and [t.text for t in following.tokens] == ["}"]
        for index in range(len(self.lines) - 1, 0, -1):
            line = self.lines[index]
            if isinstance(line.statement, ast.Block) and line.indent == 0 and line.tokens[-1].text == "{":
                first = index  # the first of the comments right above the block
                while first > 0 and not self.lines[first].blank_before and not self.lines[first - 1].tokens:
                    first -= 1
                self.lines[first].blank_before = first > 0


_STATEMENTS = (
    ast.Edition, ast.Use, ast.Let, ast.Attr, ast.Axis, ast.Exclude, ast.Include, ast.Sample, ast.Pairwise, ast.Measure,
    ast.Expect, ast.Block, ast.Arg,
)  # fmt: skip


def walk(roots: Sequence[ast.Node | None]) -> Iterator[ast.Node]:
    """Every node of some trees, in no certain order."""
    todo: list[object] = list(roots)
    while todo:
        here = todo.pop()
        if isinstance(here, ast.Node):
            yield here
            todo += [getattr(here, name) for name in _children(type(here))]
        elif isinstance(here, tuple):
            todo += here


_FIELDS: dict[type, tuple[str, ...]] = {}


def _children(kind: type) -> tuple[str, ...]:
    """The fields of a node that may hold nodes."""
    if kind not in _FIELDS:
        plain = (
            "span",
            "text",
            "op",
            "op_span",
            "value" if kind in (ast.Int, ast.Float, ast.Quantity, ast.Bool) else "",
        )
        _FIELDS[kind] = tuple(f.name for f in fields(kind) if f.name not in plain)
    return _FIELDS[kind]


def _operators(node: ast.Expr | None) -> Iterator[int]:
    """The offsets of the operators of a range's end that stand outside of brackets."""
    text = node.span.text if node is not None else ""
    if isinstance(node, ast.Binary) and not text.startswith("("):
        yield node.op_span.start
        yield from _operators(node.left)
        yield from _operators(node.right)
