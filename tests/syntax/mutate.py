"""Small accidents in specs: a token deleted, inserted, replaced, written twice or exchanged with its neighbour.

In: a correct text and a seed. Out: `Mutant`s with the line of the accident. Guarantee: the same seed gives the same
mutants. Whether a mutant is still correct is for the caller to find out.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from mobench_lang.source import Source
from mobench_lang.syntax.scan import KEYWORDS, Kind, Token, scan


@dataclass(frozen=True)
class Mutant:
    """A text with one accident: what was done, to which class of token, on which lines it may be reported."""

    text: str
    deed: str
    token_class: str
    lines: range


def token_class(token: Token) -> str:
    """The class that a report counts a token under."""
    if token.kind is Kind.NAME:
        return "keyword" if token.text in KEYWORDS else "name"
    if token.kind is Kind.OPERATOR:
        return "sign" if token.text in ("=", "?", ",", ":", ".") else "operator"
    if token.kind is Kind.BRACKET:
        return "delimiter"
    return token.kind.value


# What people write who come from elsewhere; no text of the language holds one of these in this place.
FOREIGN = [
    *";@!$\\é?",
    "&&",
    "||",
    "'x'",
    "5m",
    "=>",
    "==",
    "===",
    "...",
    "..",
    ":",
    "“x”",
    "if",
    "for",
    "in",
    "not",
    '"x',
]


def mutants(source: Source, seed: int) -> Iterator[Mutant]:
    """Every token of the text takes part in each of the six accidents once."""
    # A seeded choice of examples, no secret.
    rng = random.Random(f"{seed} {source.name.rsplit('/', 1)[-1]}")
    tokens = [t for t in scan(source.text) if t.kind not in (Kind.NEWLINE, Kind.COMMENT)]
    pool = sorted({t.text for t in tokens})
    text = source.text
    for token, after in zip(tokens, [*tokens[1:], None], strict=True):
        stranger = rng.choice([p for p in pool if p != token.text])
        edits = {
            "delete": text[: token.start] + text[token.end :],
            "insert": f"{text[: token.start]}{stranger} {text[token.start :]}",
            "replace": text[: token.start] + stranger + text[token.end :],
            "duplicate": f"{text[: token.end]} {token.text}{text[token.end :]}",
        }
        brackets = dict.fromkeys(edits, token.kind is Kind.BRACKET)
        brackets["insert"] |= stranger in "(){}[]"
        brackets["replace"] |= stranger in "(){}[]"
        edits["foreign"] = f"{text[: token.start]}{rng.choice(FOREIGN)} {text[token.start :]}"
        if after is not None and after.line == token.line:
            between = text[token.end : after.start]
            edits["exchange"] = text[: token.start] + after.text + between + token.text + text[after.end :]
            brackets["exchange"] = Kind.BRACKET in (token.kind, after.kind)
        for deed, mutated in edits.items():
            delimiter = brackets.get(deed, False)
            slack = 2 if delimiter else 0
            kind = "delimiter" if delimiter else token_class(token)
            lines = range(token.line - slack, token.line + slack + 1)
            yield Mutant(mutated, f"{deed} {token.text} {stranger}", kind, lines)
