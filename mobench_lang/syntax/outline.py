"""The outline of a faulty text: its statements and brackets, as they were probably meant.

In: tokens. Out: a tree of `Statement`s, each with at most one fault of its brackets. Guarantee: every token that is
no comment and no line end belongs to exactly one innermost statement; a lost or extra bracket disturbs one statement.

While all brackets of the file match they are believed. Otherwise indentation decides which one is to blame: a line
that begins a statement, not deeper than the line of an open bracket, shows that this bracket was never closed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from mobench_lang.diagnostics import Diagnostic
from mobench_lang.source import Source, Span
from mobench_lang.syntax import messages
from mobench_lang.syntax.scan import KEYWORDS, Kind, Token

PAIRS = {"(": ")", "[": "]", "{": "}"}
OPENERS = {v: k for k, v in PAIRS.items()}
STATEMENT_WORDS = frozenset(
    ["use", "let", "exclude", "include", "sample", "pairwise", "measure", "expect", "warn", "mobench"]
)
_OPEN_ENDED_WORDS = frozenset(
    ["and", "or", "not", "in", "if", "then", "else", "for", "where", "per", "because", "extends"]
)
_OPEN_ENDED = frozenset(["+", "-", "*", "/", "..", ":", "==", "!=", "<", "<=", ">", ">=", "=", ",", "&&", "||", ":="])


MOST_BLAMED = 200


@dataclass(slots=True, eq=False)
class Group:
    """What stands in one pair of braces. `closer` is None where the brace was lost, `opener` likewise."""

    opener: Token | None
    statements: list[Statement] = field(default_factory=list)
    closer: Token | None = None


@dataclass(slots=True, eq=False)
class Statement:
    """The tokens [begin, end) of one statement.

    `block` is its last pair of braces, if that looks like a block's. `fault` makes it useless; with `loose` a fault
    of the block's braces was found, and head and body are still good.
    """

    begin: int
    indent: int
    line: int
    end: int = -1
    fault: Diagnostic | None = None
    loose: Diagnostic | None = None
    groups: list[Group] = field(default_factory=list)
    block: Group | None = None


@dataclass(slots=True)
class _Frame:
    """An open bracket: its token (None for a brace that was never written) and the indentation of its line."""

    char: str
    token: Token | None
    at: int
    indent: int
    line: int
    statement: Statement | None  # the statement that holds the bracket
    group: Group | None = None
    one_line: bool = False


class Outliner:
    """One run over the tokens of a text; `statements` holds the top level afterwards."""

    def __init__(self, source: Source, tokens: Sequence[Token]) -> None:
        self.source = source
        self.tokens = [t for t in tokens if t.kind is not Kind.COMMENT]
        self.indents = _indents(source, self.tokens)
        if not _tells(self.tokens, self.indents):
            self.indents = _made_up(self.tokens)
        self.next_code = _next_code(self.tokens)
        self.trusted = _match(self.tokens)
        self.statements: list[Statement] = []
        self.frames: list[_Frame] = []
        self.current: Statement | None = None
        self.blamed = 0

    # ------------------------------------------------------------ helpers

    def span(self, token: Token) -> Span:
        """The place of a token."""
        return Span(self.source, token.start, token.end)

    def _braces(self) -> list[_Frame]:
        return [f for f in self.frames if f.char == "{"]

    def _list(self) -> list[Statement]:
        for frame in reversed(self.frames):
            if frame.group is not None:
                return frame.group.statements
        return self.statements

    def _blame(self, fault: Diagnostic, statement: Statement | None) -> None:
        self.blamed += 1
        if statement is not None and statement.fault is None:
            statement.fault = fault

    def _end(self, at: int) -> None:
        """End the current statement before token `at`."""
        if self.current is not None:
            self.current.end = at
            self.current = None

    def _starts_statement(self, at: int) -> bool:
        """True if the tokens at `at` look like the beginning of a statement."""
        token = self.tokens[at]
        after = self.tokens[at + 1] if at + 1 < len(self.tokens) else None
        if token.kind is Kind.STRING:
            return after is not None and after.text in ("=", ":")
        if token.kind is not Kind.NAME:
            return False
        if token.text in STATEMENT_WORDS:
            return True
        if after is None or after.kind is Kind.NEWLINE:
            return False
        if after.kind is Kind.NAME:
            return token.text not in _OPEN_ENDED_WORDS and after.text not in (
                "and",
                "or",
                "where",
                "per",
                "because",
                "for",
            )
        return after.text in ("=", "?", "{", "==", ":", ":=")

    # ---------------------------------------------------------------- run

    def run(self) -> list[Statement]:
        """The statements of the top level."""
        skip_line = 0
        for at, token in enumerate(self.tokens):
            if self.blamed > MOST_BLAMED:  # no spec, so its rest tells nothing
                break
            if token.line == skip_line and token.kind is not Kind.NEWLINE:
                if self.current is not None:
                    self.current.end = at + 1
                continue
            if token.kind is Kind.NEWLINE:
                self._newline(at)
                continue
            if token.first and self._line_start(at):
                skip_line = token.line
                continue
            if token.kind is Kind.BRACKET:
                if token.text in PAIRS:
                    self._open(at)
                else:
                    self._close(at)
            elif token.text == "," and self._separates(at):
                self._end(at)
            else:
                self._begin(at)
        self._finish()
        return self.statements

    def _begin(self, at: int) -> Statement:
        """The statement that token `at` belongs to."""
        if self.current is None:
            token = self.tokens[at]
            self.current = Statement(at, self.indents[token.line], token.line)
            self._list().append(self.current)
        return self.current

    def _separates(self, at: int) -> bool:
        """True if the comma at `at` ends an entry of a one-line block."""
        frame = self.frames[-1] if self.frames else None
        if frame is None or frame.char != "{" or not frame.one_line or self.current is None:
            return False
        after = self.tokens[at + 1] if at + 1 < len(self.tokens) else None
        if self.tokens[at - 1].text in ("=", "in"):
            return False
        if after is not None and after.kind not in (Kind.NAME, Kind.STRING, Kind.NEWLINE) and after.text != "}":
            return False
        return self.tokens[self.current.begin].text not in ("measure", "expect", "warn")

    def _newline(self, at: int) -> None:
        if self.current is None or (self.frames and self.frames[-1].char != "{"):
            return
        before = self.tokens[at - 1]
        follower = self.next_code[at]
        if follower is not None and self.tokens[follower].text == "{" and self._is_head(self.current.begin, at):
            head = Span(self.source, self.tokens[self.current.begin].start, before.end)
            fault = messages.brace_on_next_line(head, self.span(self.tokens[follower]))
            self.current.loose = self.current.loose or fault
            return  # the statement goes on
        if before.text in _OPEN_ENDED or before.text in _OPEN_ENDED_WORDS:
            if follower is None:
                self._end(at)
                return
            indent = self.indents[self.tokens[follower].line]
            if not (self._starts_statement(follower) or self.tokens[follower].text == "}"):
                return
            if indent > self.current.indent and not self._lost_brace(follower):
                return
        self._end(at)

    def _line_start(self, at: int) -> bool:
        """Look at the first token of a line; True if the rest of the line was dealt with."""
        if self.trusted:
            return False
        token = self.tokens[at]
        indent = self.indents[token.line]
        if token.text in OPENERS:
            return False
        starts = self._starts_statement(at)
        while self.frames:
            frame = self.frames[-1]
            if frame.char != "{":
                limit = frame.statement.indent if frame.statement else frame.indent
                if not (starts and indent <= limit):
                    break
                self._unclosed(at)
            elif starts and indent <= frame.indent:
                self._unclosed(at)
            elif indent == frame.indent and frame.line != token.line and not frame.one_line:
                self._replaced(at)
                return True
            else:
                break
        if starts and self.current is None and self._lost_brace(at):
            self._open_lost(at)
        return False

    def _lost_brace(self, at: int) -> bool:
        """True if the statement before token `at` looks like a head whose `{` is gone and `at` like its body."""
        if self.trusted:
            return False
        statement = self.current or (self._list()[-1] if self._list() else None)
        if statement is None or statement.groups:
            return False
        token = self.tokens[at]
        if self.indents[token.line] <= statement.indent:
            return False
        end = statement.end if statement.end >= 0 else at
        words = [t for t in self.tokens[statement.begin : end] if t.kind is not Kind.NEWLINE]
        if not words or words[0].kind is not Kind.NAME or words[0].text in STATEMENT_WORDS - {"include"}:
            return False
        if words[-1].line != self.tokens[at].line and any(
            t.line > words[-1].line for t in self.tokens[end:at] if t.kind is not Kind.NEWLINE
        ):
            return False
        if len(words) == 1:
            return True
        if words[1].kind is Kind.NAME and words[1].text != "in":
            return True
        return len(words) == 2 and words[1].kind is not Kind.STRING

    def _open_lost(self, at: int) -> None:
        statement = self._list()[-1]
        last = self.tokens[statement.end - 1]
        words = self.tokens[statement.begin : statement.end]
        whole = all(t.kind is Kind.NAME or t.text == "." for t in words)
        fault = messages.missing_brace(self.span(last), None if whole else last.text)
        if whole:
            statement.loose = statement.loose or fault
        elif statement.fault is None:
            statement.fault = fault
        group = Group(None)
        statement.groups.append(group)
        statement.block = group
        self.frames.append(_Frame("{", None, at, statement.indent, statement.line, statement, group))

    def _open(self, at: int) -> None:
        token = self.tokens[at]
        statement = self._begin(at)
        frame = _Frame(token.text, token, at, self.indents[token.line], token.line, statement)
        if token.text == "{":
            frame.group = Group(token)
            statement.groups.append(frame.group)
            statement.block = frame.group if self._is_head(statement.begin, at) else None
            following = self.tokens[at + 1] if at + 1 < len(self.tokens) else None
            frame.one_line = following is not None and following.kind is not Kind.NEWLINE
            self.current = None
        self.frames.append(frame)

    def _is_head(self, begin: int, end: int) -> bool:
        words = self.tokens[begin:end]
        if not words or words[0].kind is not Kind.NAME or words[0].text in STATEMENT_WORDS:
            return False
        return not any(t.text in ("=", "in", "(", "[", "{", ",", "==", ":") or t.text in STATEMENT_WORDS for t in words)

    # -------------------------------------------------------------- closing

    def _pop(self, at: int) -> _Frame:
        """Take the innermost bracket off; its statement goes on behind it."""
        frame = self.frames.pop()
        if frame.char == "{":
            self._end(at)
            self.current = frame.statement
        return frame

    def _unclosed(self, at: int) -> None:
        """The innermost bracket was never closed; `at` is the first token that cannot belong to it."""
        frame = self._pop(at)
        statement = frame.statement
        if frame.token is not None and statement is not None:
            before = self._last_code(at)
            fault = messages.unclosed(self.span(frame.token), self.span(before) if before else None)
            if frame.group is not None and statement.block is frame.group and statement.fault is None:
                statement.loose = statement.loose or fault
            else:
                self._blame(fault, statement)
        if frame.char == "{" or not any(f.statement is statement for f in self.frames):
            self._end(at)

    def _last_code(self, at: int) -> Token | None:
        for token in reversed(self.tokens[max(0, at - 50) : at]):
            if token.kind is not Kind.NEWLINE:
                return token
        return None

    def _replaced(self, at: int) -> None:
        """A line that is nothing, where `}` is due: taken for a `}` that was written wrongly."""
        frame = self._pop(at)
        statement = frame.statement
        last = at
        while last + 1 < len(self.tokens) and self.tokens[last + 1].kind is not Kind.NEWLINE:
            last += 1
        span = Span(self.source, self.tokens[at].start, self.tokens[last].end)
        fault = messages.expected_closer(span, self.span(frame.token) if frame.token else None)
        if statement is not None:
            if statement.block is frame.group and statement.fault is None:
                statement.loose = statement.loose or fault
            else:
                self._blame(fault, statement)
            statement.end = last + 1

    def _close(self, at: int) -> None:
        token = self.tokens[at]
        opener = OPENERS[token.text]
        if token.text == "}":
            self._close_brace(at)
            return
        for depth, frame in enumerate(reversed(self.frames)):
            if frame.char == opener:
                for _ in range(depth):
                    self._unclosed_inside(at)
                self.frames.pop()
                self._begin(at)
                return
            if frame.char == "{" and (frame.line != token.line or not frame.one_line):
                break
        if token.first and self.frames and not self.trusted:
            frame = self.frames[-1]
            if frame.char == "{" and not frame.one_line and frame.indent == self.indents[token.line]:
                self._replaced(at)
                return
        if self.frames and self.frames[-1].char != "{":
            frame = self.frames.pop()
            self._blame(messages.wrong_closer(self.span(token), self.span(frame.token or token)), self._begin(at))
            return
        self._blame(messages.stray(self.span(token)), self._begin(at))

    def _unclosed_inside(self, at: int) -> None:
        """The innermost bracket is not closed, and an outer one of the same statement is."""
        frame = self._pop(at)
        if frame.token is not None:
            before = self._last_code(at)
            self._blame(
                messages.unclosed(self.span(frame.token), self.span(before) if before else None), frame.statement
            )

    def _close_brace(self, at: int) -> None:
        token = self.tokens[at]
        braces = self._braces()
        target = self._brace_closed_by(at, braces)
        if target is None:
            if token.first:
                self._end(at)
            self._blame(messages.stray(self.span(token)), self._begin(at))
            if token.first:
                self._end(at + 1)
            return
        while self.frames[-1] is not target:
            self._unclosed(at)
        self._pop(at)
        if target.group is not None:
            target.group.closer = token
        if target.statement is not None:
            target.statement.end = at + 1
        self.current = target.statement

    def _brace_closed_by(self, at: int, braces: list[_Frame]) -> _Frame | None:
        if not braces:
            return None
        if self.trusted:
            return braces[-1]
        token = self.tokens[at]
        indent = self.indents[token.line]
        top = braces[-1]
        if token.first:
            for frame in reversed(braces):
                if frame.indent == indent:
                    return frame
            return None if indent > top.indent else braces[-1]
        if top.line == token.line:
            return top
        follower = self.next_code[at]
        if follower is None:
            return top
        if self.tokens[follower].line == token.line:
            return None if not top.one_line else top
        inside = self.indents[self.tokens[follower].line] > top.indent
        due = self.tokens[follower].text == "}" and self.indents[self.tokens[follower].line] == top.indent
        return None if inside or due else top

    def _finish(self) -> None:
        at = len(self.tokens)
        self._end(at)
        while self.frames:
            self._unclosed(at)
        self._end(at)
        _settle(self.statements, at)


def _settle(statements: list[Statement], end: int) -> None:
    """Give an end to statements that were cut off."""
    todo = [(s, end) for s in statements]
    while todo:
        statement, limit = todo.pop()
        if statement.end < 0:
            statement.end = limit
        todo += [(s, statement.end) for g in statement.groups for s in g.statements]


def _indents(source: Source, tokens: Sequence[Token]) -> dict[int, int]:
    """The indentation of each line that holds a token, tabs counted as four."""
    found: dict[int, int] = {}
    for token in tokens:
        if token.first and token.kind is not Kind.NEWLINE:
            begin = source.text.rfind("\n", 0, token.start) + 1
            found[token.line] = len(source.text[begin : token.start].expandtabs(4))
        else:
            found.setdefault(token.line, 0)
    return found


def _lines(tokens: Sequence[Token]) -> list[list[Token]]:
    """The tokens of each line that holds any."""
    lines: list[list[Token]] = []
    for token in tokens:
        if token.kind is not Kind.NEWLINE:
            if not lines or lines[-1][0].line != token.line:
                lines.append([])
            lines[-1].append(token)
    return lines


def _tells(tokens: Sequence[Token], indents: dict[int, int]) -> bool:
    """True if most lines below an opened brace are indented, so that indentation says something."""
    told, total = 0, 0
    lines = _lines(tokens)
    for line, below in pairwise(lines):
        if line[-1].text == "{" and below[0].text not in ("}", "let") and not _at_the_top(below):
            total += 1
            told += indents[below[0].line] > indents[line[0].line]
    return told * 2 >= total


def _at_the_top(line: list[Token]) -> bool:
    """True for lines that stand at the top of a file only: `kind name …` and `use`."""
    return line[0].text == "use" or [t.kind is Kind.NAME and t.text not in KEYWORDS for t in line[:2]] == [True, True]


def _made_up(tokens: Sequence[Token]) -> dict[int, int]:
    """The indentation that a text without any would have: named blocks and `use` stand at the margin."""
    found: dict[int, int] = {}
    depth = 0
    for line in _lines(tokens):
        headed = _at_the_top(line)
        if headed:
            depth = 0
        elif line[0].text == "}":
            depth = max(0, depth - 1)
        found[line[0].line] = 2 * depth
        if line[-1].text == "{" or (headed and line[0].text != "use" and "{" not in [t.text for t in line]):
            depth += 1
    return found


def _next_code(tokens: Sequence[Token]) -> list[int | None]:
    """For each token, the next one behind it that is no line end."""
    following: list[int | None] = [None] * len(tokens)
    seen: int | None = None
    for at in range(len(tokens) - 1, -1, -1):
        following[at] = seen
        if tokens[at].kind is not Kind.NEWLINE:
            seen = at
    return following


def _match(tokens: Sequence[Token]) -> bool:
    """True if every bracket of the text has its partner."""
    stack: list[str] = []
    for token in tokens:
        if token.kind is Kind.BRACKET:
            if token.text in PAIRS:
                stack.append(PAIRS[token.text])
            elif not stack or stack.pop() != token.text:
                return False
    return not stack
