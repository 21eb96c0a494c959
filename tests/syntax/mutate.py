"""Small accidents in specs: one token deleted, inserted, replaced or written twice.

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


def mutants(source: Source, seed: int) -> Iterator[Mutant]:
    """Every token of the text takes part in each of the four accidents once."""
    # A seeded choice of examples, no secret.
    rng = random.Random(f"{seed} {source.name.rsplit('/', 1)[-1]}")
    tokens = [t for t in scan(source.text) if t.kind not in (Kind.NEWLINE, Kind.COMMENT)]
    pool = sorted({t.text for t in tokens})
    text = source.text
    for token in tokens:
        stranger = rng.choice([p for p in pool if p != token.text])
        edits = {
            "delete": text[: token.start] + text[token.end :],
            "insert": f"{text[: token.start]}{stranger} {text[token.start :]}",
            "replace": text[: token.start] + stranger + text[token.end :],
            "duplicate": f"{text[: token.end]} {token.text}{text[token.end :]}",
        }
        other = stranger in "(){}[]"
        for deed, mutated in edits.items():
            delimiter = token.kind is Kind.BRACKET or (other and deed in ("insert", "replace"))
            slack = 2 if delimiter else 0
            kind = "delimiter" if delimiter else token_class(token)
            yield Mutant(
                mutated, f"{deed} {token.text} {stranger}", kind, range(token.line - slack, token.line + slack + 1)
            )
