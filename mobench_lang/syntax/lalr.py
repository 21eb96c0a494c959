"""Runs the tables of the grammar over a text: lexer, newline pass and LALR(1) automaton in one loop.

In: `Tables` (plain data, made by parser.py), a range of a text, a builder. Out: what the builder made of it, or
`Stuck`. Guarantee: the same tree as Lark's own parser (tested), without importing Lark and in half the time; memory
grows with the text and nothing recurses, however deep the text nests.

The lexer is contextual in the one place where this grammar needs it: a word is a keyword only where one may stand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

END = "$END"
NEWLINE = "_NL"
# A newline behind one of these does not end the statement. `=` and `in` are not among them: a forgotten value must
# not swallow the block on the next line.
OPEN_ENDED = frozenset(
    [
        "PLUS",
        "MINUS",
        "STAR",
        "SLASH",
        "DOTDOT",
        "COLON",
        "EQ",
        "NE",
        "LT",
        "LE",
        "GT",
        "GE",
        "AND",
        "OR",
        "NOT",
        "IF",
        "THEN",
        "ELSE",
        "FOR",
        "WHERE",
        "PER",
        "BECAUSE",
        "EXTENDS",
        "COMMA",
    ]
)


class Tok(NamedTuple):
    """A token of a correct text."""

    kind: str
    text: str
    start: int
    end: int


class Stuck(Exception):  # noqa: N818 - a place in a text, no error of ours
    """The token [start, end) fits nowhere; `wanted` are the terminals that would have. At the end, start == end."""

    def __init__(self, start: int, end: int, wanted: frozenset[str]) -> None:
        super().__init__(start, end, wanted)
        self.start, self.end, self.wanted = start, end, wanted


Builder: TypeAlias = Any  # has one method per rule; this module knows no rule by name
Callback: TypeAlias = Callable[[Builder, list[Any]], Any]


Step: TypeAlias = tuple[str, int, tuple[tuple[int, bool], ...], Callback | None, bool]


class Part(NamedTuple):
    """The characters [begin, end) of a text."""

    text: str
    begin: int
    end: int


class Rule(NamedTuple):
    """One production: how many symbols it takes off, which of them the callback gets, and its name.

    `keep` lists (index, inline): an inlined symbol is a helper rule whose children take its place. A rule without a
    callback is such a helper; with `single`, one child alone stands for the whole.
    """

    origin: str
    size: int
    keep: tuple[tuple[int, bool], ...]
    callback: str | None
    single: bool


@dataclass(frozen=True, eq=False)
class Tables:
    """The automaton and the terminals of a grammar.

    `actions[state][terminal]` is the next state, or `~rule` to reduce; `gotos[state][nonterminal]` is a state.
    `patterns` are the terminals that are not keywords, in order of precedence.
    """

    actions: list[dict[str, int]]
    gotos: list[dict[str, int]]
    rules: list[Rule]
    starts: Mapping[str, int]
    ends: Mapping[str, int]
    keywords: Mapping[str, str]
    patterns: list[tuple[str, str]]
    ignored: str

    @cached_property
    def token(self) -> re.Pattern[str]:
        """Any one token, named by its group."""
        return re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in self.patterns))

    @cached_property
    def space(self) -> re.Pattern[str]:
        """What stands between tokens and means nothing."""
        return re.compile(f"(?:{self.ignored})*+")

    @cached_property
    def units(self) -> frozenset[int]:
        """The reductions (as actions) that pass their only child on."""
        return frozenset(~i for i, r in enumerate(self.rules) if r.single and r.size == 1 and r.keep == ((0, False),))

    @cached_property
    def memo(self) -> dict[tuple[int, str, str], int]:
        """Where a nonterminal leads in a state before a terminal, with the chain of unit reductions behind it done."""
        return {}

    def wanted(self, state: int) -> frozenset[str]:
        """The terminals that fit in a state."""
        return frozenset(self.actions[state])

    def lead(self, state: int, origin: str, kind: str) -> int:
        """The value of `memo` for a key it lacks: an atom climbs ten levels of operators in one step."""
        key = (state, origin, kind)
        following = self.gotos[state][origin]
        while (action := self.actions[following].get(kind)) in self.units:
            assert action is not None  # noqa: S101 - for mypy: None is no unit
            following = self.gotos[state][self.rules[~action].origin]
        self.memo[key] = following
        return following


def steps_of(tables: Tables, callbacks: Mapping[str, Callback]) -> list[Step]:
    """The rules with their callbacks; a rule that only passes its child on needs none."""
    return [(r.origin, r.size, r.keep, callbacks.get(r.callback or ""), r.single) for r in tables.rules]


def run(tables: Tables, steps: list[Step], builder: Builder, part: Part, start: str) -> Any:  # Any: as `start` has it
    """What `builder` makes of a part of a text; raises `Stuck`."""
    text, at, end = part
    actions, memo, keywords = tables.actions, tables.memo, tables.keywords
    match_space, match_token = tables.space.match, tables.token.match
    last = tables.ends[start]
    states: list[int] = [tables.starts[start]]
    values: list[Any] = []
    brackets: list[str] = []
    before = ""
    while True:
        space = match_space(text, at, end)
        here = space.end() if space else at
        found = match_token(text, here, end)
        if here >= end:
            kind, at = END, end
        elif found is None:
            raise Stuck(here, here + 1, tables.wanted(states[-1]))
        else:
            kind, at = found.lastgroup or "", found.end()
            if kind == "NAME":
                word = keywords.get(found[0])
                if word is not None and (word in actions[states[-1]] or "NAME" not in actions[states[-1]]):
                    kind = word
            elif kind == NEWLINE:
                if before in OPEN_ENDED or (brackets and brackets[-1] != "LBRACE"):
                    continue
            elif kind in ("LPAR", "LSQB", "LBRACE"):
                brackets.append(kind)
            elif kind in ("RPAR", "RSQB", "RBRACE") and brackets:
                brackets.pop()
        before = kind
        while True:
            state = states[-1]
            action = actions[state].get(kind)
            if action is None:
                raise Stuck(here, at, tables.wanted(state))
            if action >= 0:
                states.append(action)
                values.append(Tok(kind, text[here:at], here, at))
                break
            origin, size, keep, callback, single = steps[~action]
            children: list[Any] = []
            if size:
                taken = values[-size:]
                del values[-size:], states[-size:]
                for index, inline in keep:
                    if not inline:
                        children.append(taken[index])
                    elif children:
                        children += taken[index]
                    else:  # helpers are left-recursive: copying would make long lists quadratic
                        children = taken[index]
            if single and len(children) == 1:
                value: Any = children[0]
            elif callback is None:
                value = children
            else:
                value = callback(builder, children)
            state = states[-1]
            following = memo.get((state, origin, kind))
            if following is None:
                following = tables.lead(state, origin, kind)
            states.append(following)
            values.append(value)
            if following == last and kind == END:
                return value
