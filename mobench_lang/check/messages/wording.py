"""Words that several messages share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from mobench_lang.diagnostics import Edit, Fix, suggest

if TYPE_CHECKING:
    from mobench_lang.source import Span

THINGS = ("model", "engine", "device", "workload", "meter", "task")
"""Kinds of declared things, which are named without quotes."""


def near(word: str, known: Iterable[str], span: Span) -> tuple[tuple[str, ...], tuple[Fix, ...]]:
    """Help and fixes for a misspelt word; a fix is safe only if one name is meant."""
    close = suggest(word, known)
    if not close:
        return (), ()
    fixes = tuple(Fix(f"write `{c}`", (Edit(span, c),), safe=len(close) == 1) for c in close)
    return (f"did you mean {' or '.join(f'`{c}`' for c in close)}?",), fixes


def listing(words: Sequence[str], limit: int = 12) -> str:
    """The words with commas; of many, the first and how many more there are."""
    shown = ", ".join(words[:limit])
    return shown + (f" and {len(words) - limit} more" if len(words) > limit else "")


def an(word: str) -> str:
    """The word with its article."""
    return ("an " if word[:1].lower() in "aeiou" else "a ") + word


def at_home(name: str, homes: Sequence[str]) -> tuple[str, ...]:
    """Which blocks have what was written into another one."""
    if not homes:
        return ()
    return (f"`{name}` belongs to {listing([f'`{h}`' for h in homes])}: `{homes[0]} {{ {name} = … }}`",)
