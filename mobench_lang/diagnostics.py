"""Diagnostics: what mobench says about a text, as data.

In: facts found by a stage. Out: immutable `Diagnostic` records, returned in tuples and never raised; renderers in
`report/` turn one record into text, JSON, SARIF or GitHub annotations. Every code is registered in `CODES` with the
sentence that names its family; `docs/errors/<code>.md` explains it.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from functools import cache
from typing import TypeAlias

from mobench_lang.frozen import frozen
from mobench_lang.source import Span


class Severity(Enum):
    """How bad it is: an error stops the compiler, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@frozen
class Label:
    """A place that belongs to the story, with what to say there."""

    span: Span
    message: str


@frozen
class Edit:
    """Replace the text of `span` by `text`; an empty span inserts."""

    span: Span
    text: str


@frozen
class Fix:
    """A way out, as edits that may be applied together. `safe` ones are applied by `check --fix`."""

    message: str
    edits: tuple[Edit, ...] = ()
    safe: bool = False


MANY_NAMES = 300  # from so many on, only those are suggested that begin alike

Fact: TypeAlias = str | int | float | bool | tuple[str, ...] | None


@frozen
class Diagnostic:
    """One finding.

    `code` is stable (`E0312`), `message` one sentence, `span` the tight place, `label` what to write under the
    carets there. `labels` are further places (cause, context), `helps` say what to do, `facts` are the values
    involved as typed data (for machines), `fixes` are edits.
    """

    code: str
    message: str
    span: Span
    label: str = ""
    labels: tuple[Label, ...] = ()
    helps: tuple[str, ...] = ()
    facts: tuple[tuple[str, Fact], ...] = ()
    fixes: tuple[Fix, ...] = ()

    @property
    def severity(self) -> Severity:
        """From the first letter of the code: E is an error, W a warning."""
        return Severity.ERROR if self.code.startswith("E") else Severity.WARNING

    @property
    def is_error(self) -> bool:
        """True if the finding stops the compiler."""
        return self.severity is Severity.ERROR


Diagnostics: TypeAlias = tuple[Diagnostic, ...]


@cache
def codes() -> dict[str, str]:
    """Every code with the title of its page, from `codes.toml` beside this module."""
    import tomllib
    from pathlib import Path

    text = Path(__file__).with_name("codes.toml").read_text("utf-8")
    return {str(k): str(v) for k, v in tomllib.loads(text).items()}


def has_errors(found: Iterable[Diagnostic]) -> bool:
    """True if any of the findings is an error."""
    return any(d.is_error for d in found)


def in_order(found: Iterable[Diagnostic]) -> Diagnostics:
    """The findings by file, place and code, each once."""
    unique = {(d.span.source.name, d.span.start, d.span.end, d.code, d.message): d for d in found}
    return tuple(unique[k] for k in sorted(unique))


def suggest(word: str, known: Iterable[str], limit: int = 2) -> tuple[str, ...]:
    """Up to `limit` known names that are close to `word`, nearest first; none if nothing is close."""
    from difflib import SequenceMatcher, get_close_matches

    names = sorted(set(known))
    if len(names) > MANY_NAMES:  # comparing costs 10 µs a name
        first = word[:1].lower()
        names = [n for n in names if abs(len(n) - len(word)) <= 2 and n[:1].lower() == first][:MANY_NAMES]
    folded = {n.lower(): n for n in reversed(names)}
    exact = [folded[word.lower()]] if word.lower() in folded else []
    swapped = [n for n in names if len(n) > 2 and sorted(n) == sorted(word)]  # `tyni`
    near = [(SequenceMatcher(None, word, n).ratio(), n) for n in get_close_matches(word, names, n=limit, cutoff=0.72)]
    close = [n for ratio, n in near if ratio > near[0][0] - 0.1]  # one that is far nearer is meant alone
    return tuple(dict.fromkeys([*exact, *swapped, *close]))[:limit]
