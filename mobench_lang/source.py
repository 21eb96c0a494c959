"""Source texts and places in them.

In: the text of one file. Out: `Source` (offset to line and column) and `Span` (a half-open range of offsets).
Guarantee: offsets count Unicode code points of the text as decoded; lines and columns are 1-based; `Span`s are
immutable, hashable and cheap. This module imports nothing of mobench but
`frozen`.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from mobench_lang.frozen import frozen

_LINE_END = re.compile("\r\n?|\n")


@dataclass(frozen=True, eq=False)
class Source:
    """One text with the name it is shown under.

    `name` is what a person sees (a relative path, `<stdin>`, or `std/models`); `path` is where it was read from,
    None for text that has no file. Two sources are equal only if they are the same object.
    """

    name: str
    text: str
    path: Path | None = None

    @cached_property
    def _starts(self) -> list[int]:
        """Offsets at which lines begin. `\\n`, `\\r\\n` and a lone `\\r` each end a line."""
        return [0, *(m.end() for m in _LINE_END.finditer(self.text))]

    def position(self, offset: int) -> tuple[int, int]:
        """The 1-based (line, column) of an offset; the end of the text is a valid offset."""
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    @property
    def line_count(self) -> int:
        """The number of lines; a text that ends in a newline has an empty last line."""
        return len(self._starts)

    def line_span(self, line: int) -> Span:
        """The span of a 1-based line, without its line ending."""
        start = self._starts[line - 1]
        end = self._starts[line] if line < len(self._starts) else len(self.text)
        while end > start and self.text[end - 1] in "\r\n":
            end -= 1
        return Span(self, start, end)

    def line(self, line: int) -> str:
        """The text of a 1-based line, without its line ending."""
        span = self.line_span(line)
        return self.text[span.start : span.end]

    def span(self, start: int, end: int) -> Span:
        """A span of this source."""
        return Span(self, start, end)


@frozen
class Span:
    """The half-open range [start, end) of one source."""

    source: Source = field(repr=False)
    start: int
    end: int

    @property
    def text(self) -> str:
        """The characters inside the span."""
        return self.source.text[self.start : self.end]

    @property
    def line(self) -> int:
        """The 1-based line of the start."""
        return self.source.position(self.start)[0]

    @property
    def column(self) -> int:
        """The 1-based column of the start."""
        return self.source.position(self.start)[1]

    @property
    def end_position(self) -> tuple[int, int]:
        """The 1-based (line, column) just behind the last character."""
        return self.source.position(self.end)

    def to(self, other: Span) -> Span:
        """The span from the start of this one to the end of the other, in the same source."""
        return Span(self.source, self.start, max(self.end, other.end))

    def __str__(self) -> str:
        return f"{self.source.name}:{self.line}:{self.column}"
