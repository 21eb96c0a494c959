"""Diagnostics for people, on a terminal.

In: diagnostics. Out: text with the source lines, the places marked, and the ways out. Guarantee: marks stand under
what they mean whatever the line holds (tabs, wide, combining and invisible characters), a source line is cut to
`columns`, nothing of the source reaches the terminal as a control sequence, and colours come only when asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mobench_lang.diagnostics import Diagnostic, Severity
from mobench_lang.source import Span
from mobench_lang.width import char_width, text_width

TAB = 4
COLUMNS = 120
_ELLIPSIS = "…"


@dataclass(frozen=True, slots=True)
class _Mark:
    """A place on one line and what is written under it."""

    span: Span
    message: str
    primary: bool


@dataclass(frozen=True, slots=True)
class _Paint:
    """The colours of a report; empty strings for none."""

    error: str = ""
    warning: str = ""
    quiet: str = ""
    strong: str = ""
    reset: str = ""

    def severity(self, severity: Severity) -> str:
        """The colour of errors or of warnings."""
        return self.error if severity is Severity.ERROR else self.warning


_COLOURS = _Paint("\x1b[1;31m", "\x1b[1;33m", "\x1b[34m", "\x1b[1m", "\x1b[0m")


def render_text(found: Iterable[Diagnostic], *, color: bool = False, columns: int = COLUMNS) -> str:
    """The diagnostics one below the other, an empty line between them; ends in a line end unless there are none."""
    paint = _COLOURS if color else _Paint()
    return "\n".join(_diagnostic(d, paint, max(40, columns)) for d in found)


def summary(found: Sequence[Diagnostic]) -> str:
    """How many there are: `2 errors, 1 warning`, or `no errors`."""
    errors = sum(d.is_error for d in found)
    warnings = len(found) - errors
    parts = [f"{n} {what}{'' if n == 1 else 's'}" for n, what in ((errors, "error"), (warnings, "warning")) if n]
    return ", ".join(parts) or "no errors"


def _diagnostic(d: Diagnostic, paint: _Paint, columns: int) -> str:
    strong = paint.severity(d.severity)
    lines = [f"{strong}{d.severity.value}[{d.code}]{paint.reset}{paint.strong}: {_shown(d.message)}{paint.reset}"]
    marks = [_Mark(d.span, d.label, True), *(_Mark(label.span, label.message, False) for label in d.labels)]
    gutter = len(str(max(m.span.line for m in marks)))
    for source in dict.fromkeys(m.span.source for m in marks):
        lines += _snippet([m for m in marks if m.span.source is source], gutter, d.severity, paint, columns)
    margin = " " * gutter
    notes = [("help", text) for text in d.helps]
    notes += [("fix", fix.message + (" (`mobench check --fix` does it)" if fix.safe else "")) for fix in d.fixes]
    for kind, text in notes:
        first, *more = _shown(text, keep_lines=True).split("\n")
        lines.append(f"{margin}{paint.quiet}={paint.reset} {kind}: {first}")
        lines += [f"{margin}  {' ' * len(kind)}  {line}" for line in more]
    return "\n".join(lines) + "\n"


def _snippet(marks: list[_Mark], gutter: int, severity: Severity, paint: _Paint, columns: int) -> list[str]:
    """The lines of one source with their marks."""
    margin, quiet, reset = " " * gutter, paint.quiet, paint.reset
    first = marks[0].span
    source = first.source
    lines = [f"{margin}{quiet}┌{reset} {_shown(source.name)}:{first.line}:{first.column}"]
    if not source.text:
        return lines
    before = 0
    for number in sorted({m.span.line for m in marks}):
        if before and number > before + 1:
            lines.append(f"{margin}{quiet}·{reset}")
        before = number
        here = sorted((m for m in marks if m.span.line == number), key=lambda m: (not m.primary, -m.span.start))
        shown = _Shown(source.line(number), here[0].span.column - 1, columns - gutter - 2)
        lines.append(f"{quiet}{number:>{gutter}}│{reset} {shown.text}".rstrip())
        for mark in here:
            begin, end = shown.columns(mark.span)
            color = paint.severity(severity) if mark.primary else quiet
            sign = ("^" if mark.primary else "-") * (end - begin)
            message = f" {_shown(mark.message)}" if mark.message else ""
            lines.append(f"{margin}{quiet}│{reset} {' ' * begin}{color}{sign}{message}{reset}")
    return lines


class _Shown:
    """A source line as it is shown: every character with its columns, cut to a width around a place."""

    def __init__(self, line: str, focus: int, width: int) -> None:
        pieces, starts, at = [], [0], 0
        for char in line:
            piece = " " * (TAB - at % TAB) if char == "\t" else _visible(char)
            pieces.append(piece)
            at += text_width(piece) if len(piece) > 1 else char_width(piece)
            starts.append(at)
        self.length = len(pieces)
        self.starts = starts
        self.offset, self.text, self.limit = 0, "".join(pieces), at
        if at > width:
            self._cut(pieces, min(focus, self.length), width)

    def _cut(self, pieces: list[str], focus: int, width: int) -> None:
        """Keep `width` columns, a third of them before the focus where there are as many."""
        first = 0
        while first < focus and self.starts[focus] - self.starts[first] > width // 3:
            first += 1
        while first > 0 and self.starts[-1] - self.starts[first - 1] < width - 1:
            first -= 1
        room = width - (1 if first else 0)
        last = first
        while last < self.length and self.starts[last + 1] - self.starts[first] <= room - (last + 1 < self.length):
            last += 1
        self.offset = self.starts[first] - (1 if first else 0)
        self.limit = self.starts[last] - self.offset
        self.text = (
            (_ELLIPSIS if first else "") + "".join(pieces[first:last]) + (_ELLIPSIS if last < self.length else "")
        )

    def columns(self, span: Span) -> tuple[int, int]:
        """Where a span begins and ends on the shown line; at least one column wide."""
        begin = min(span.column - 1, self.length)
        end = min(begin + span.end - span.start, self.length)
        shown = max(0, min(self.starts[begin] - self.offset, self.limit))
        return shown, max(shown + 1, min(self.starts[end] - self.offset, self.limit))


def _visible(char: str) -> str:
    """A character that can be seen and cannot command a terminal."""
    code = ord(char)
    if 0x20 <= code < 0x7F:
        return char
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    if code < 0xA0 or 0xD800 <= code < 0xE000 or code in _HIDDEN or 0xE0000 <= code <= 0xE0FFF:
        return f"<U+{code:04X}>"
    return char


_HIDDEN = frozenset(
    [
        0xAD,
        0x061C,
        0x180E,
        *range(0x200B, 0x2010),
        *range(0x2028, 0x202F),
        *range(0x2060, 0x2070),
        0xFEFF,
        0xFFF9,
        0xFFFA,
        0xFFFB,
    ]
)


def _shown(text: str, keep_lines: bool = False) -> str:
    return "".join(c if keep_lines and c == "\n" else _visible(c) for c in text)
