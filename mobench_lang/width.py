"""How wide a text is on a terminal or in an editor's fixed-width font.

In: a text. Out: columns. Guarantee: East Asian wide characters and emoji count two, combining and other zero-width
characters none, everything else one; tabs are the caller's affair.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache


@lru_cache(maxsize=4096)
def char_width(char: str) -> int:
    """The columns of one character."""
    if char < "\u0300":
        return 1
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1


def text_width(text: str) -> int:
    """The columns of a text without tabs and line ends."""
    return len(text) if text.isascii() else sum(map(char_width, text))


def pad(text: str, columns: int) -> str:
    """The text with spaces behind it up to some width."""
    return text + " " * (columns - text_width(text))
