"""A forgiving scanner: any text to tokens, right ones and wrong ones.

In: a text. Out: every token in order, comments and line ends included, spaces left out. Guarantee: never fails, and
every character that is not a space or a tab belongs to exactly one token. Correct texts get the same tokens as from
the grammar (tested); the recovery and the formatter work on these.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import cache
from typing import NamedTuple


class Kind(Enum):
    """What a token is; those from `BAD_STRING` on are not part of the language."""

    NEWLINE = "line end"
    COMMENT = "comment"
    NAME = "name"
    NUMBER = "number"
    STRING = "string"
    OPERATOR = "operator"
    BRACKET = "bracket"
    BAD_STRING = "unterminated string"
    SINGLE_QUOTED = "single quotes"
    CURLY_QUOTED = "typographic quotes"
    BAD_NUMBER = "number with an unknown unit"
    BAD_NAME = "name with other letters than a to z"
    BAD_COMMENT = "foreign comment"
    BAD_OPERATOR = "foreign operator"
    BAD_SPACE = "space that is not a space"
    BAD_CHARACTER = "foreign character"

    @property
    def is_bad(self) -> bool:
        """True for what no correct text holds."""
        return self in _BAD


_BAD = frozenset(k for k in Kind if k.name.startswith("BAD") or k.name.endswith("QUOTED"))


class Token(NamedTuple):
    """A piece of text with its kind; `line` counts from 1, `first` is True for the first token of a line."""

    kind: Kind
    text: str
    start: int
    end: int
    line: int
    first: bool


UNITS = [
    "tok/s",
    "J/tok",
    "tok",
    "°C",
    "C",
    "KiB",
    "MiB",
    "GiB",
    "kB",
    "MB",
    "GB",
    "B",
    "ns",
    "us",
    "µs",
    "μs",
    "ms",
    "s",
    "min",
    "h",
    "mWh",
    "Wh",
    "mW",
    "W",
    "mAh",
    "mJ",
    "J",
    "kHz",
    "MHz",
    "GHz",
    "Hz",
    "K",
    "pp",
    "%",
]
KEYWORDS = frozenset(
    [
        "mobench",
        "use",
        "let",
        "extends",
        "exclude",
        "include",
        "sample",
        "pairwise",
        "seed",
        "measure",
        "expect",
        "warn",
        "where",
        "because",
        "per",
        "if",
        "then",
        "else",
        "for",
        "in",
        "and",
        "or",
        "not",
        "true",
        "false",
        "null",
    ]
)
# Words that cannot be a value, whatever stands around them.
RESERVED = frozenset(["if", "then", "else", "for", "in", "and", "or", "not", "where", "because", "per", "extends"])

_UNIT = "|".join(re.escape(u) for u in UNITS[:-1])
_INSIDE = r'[^{}"\n\r]|"(?:[^"\\\n\r]|\\[^\n\r])*"'
_CURLY = "\u201c\u201d\u201e\u00ab\u00bb\u2018\u2019"
_PATTERNS = {
    Kind.NEWLINE: r"\r\n|\n|\r",
    Kind.COMMENT: r"\#[^\n\r]*",
    Kind.NAME: r"[A-Za-z_][A-Za-z0-9_]*(?![^\W_])",
    Kind.STRING: r'"(?:[^"\\\n\r$]|\\[^\n\r]|\$(?!\{)|\$\{(?:' + _INSIDE + r"|\{(?:" + _INSIDE + r')*\})*\})*"',
    Kind.NUMBER: r"[0-9][0-9_]*(?:\.[0-9][0-9_]*)?(?:[eE][+-]?[0-9]+)?(?:%|(?:(?:" + _UNIT + r")|x)?(?!\w)(?!°))",
    Kind.BRACKET: r"[(){}\[\]]",
    Kind.BAD_COMMENT: r"//[^\n\r]*|/\*(?:[^*]|\*(?!/))*+(?:\*/)?",
    Kind.BAD_OPERATOR: r"\.\.\.+|&&|\|\||\*\*|===|=>|->|[-+*/:]=|<>|[!&|^~@;](?!=)|!==",
    Kind.OPERATOR: r"==|!=|<=|>=|\.\.|[-+*/<>=.,:?]",
    Kind.BAD_STRING: r'"[^\n\r]*',
    Kind.SINGLE_QUOTED: r"'(?:[^'\\\n\r]|\\[^\n\r])*'?|`[^`\n\r]*`?",
    Kind.CURLY_QUOTED: f'[{_CURLY}][^"\n\r{_CURLY}]*["{_CURLY}]?',
    Kind.BAD_NUMBER: r"[0-9][0-9_]*(?:\.[0-9][0-9_]*)?(?:[^\W_]|°)(?:[\w°]|/(?=[^\W\d]))*",
    Kind.BAD_NAME: r"[^\W\d]\w*",
    Kind.BAD_SPACE: r"[^\S\n\r\t ]+",
    Kind.BAD_CHARACTER: r"°[A-Za-z]*|[^ \t]",
}
# An unterminated string takes the rest of its line: to look again from each quote in it would be quadratic.
STRING_OR_COMMENT = re.compile(f"{_PATTERNS[Kind.STRING]}|({_PATTERNS[Kind.COMMENT]})|{_PATTERNS[Kind.BAD_STRING]}")
_KINDS = {k.name: k for k in Kind}


@cache
def _scanner() -> re.Pattern[str]:
    """Any one token, named by its group; a correct text never asks for it."""
    return re.compile("|".join(f"(?P<{kind.name}>{pattern})" for kind, pattern in _PATTERNS.items()))


def scan(text: str, enough: int | None = None, beyond: int = 0) -> list[Token]:
    """The tokens of a text; with `enough`, about that many of those behind offset `beyond`."""
    tokens: list[Token] = []
    line, first = 1, True
    newline = Kind.NEWLINE
    for match in _scanner().finditer(text):
        kind = _KINDS[match.lastgroup or ""]
        piece = match[0]
        tokens.append(Token(kind, piece, match.start(), match.end(), line, first))
        if kind is newline:
            line, first = line + 1, True
        else:
            first = False
            if kind is Kind.BAD_COMMENT:
                line += piece.count("\n")
        if enough is not None and match.start() >= beyond:
            enough -= 1
            if enough <= 0:
                break
    return tokens
