"""The one style of `.bench` files.

In: a `Source`. Out: its text in the style, and the diagnostics of its parse; a text with errors comes back unchanged.
Guarantee: the tree of the result equals the tree of the input, every comment survives, and formatting twice changes
nothing (tested with generated texts).

The style, in short: two spaces a level; line breaks stay where they were, except that braces are either on one line
or have one statement a line; at most one blank line; `=`, `in` and `{` in columns over adjacent lines, likewise
`where`, `per`, `because`; comments behind code at column 50.
"""

from __future__ import annotations

from mobench_lang.diagnostics import Diagnostics, has_errors
from mobench_lang.garbage import uncollected
from mobench_lang.source import Source
from mobench_lang.syntax import ast
from mobench_lang.syntax.align import align
from mobench_lang.syntax.layout import Layout, Line
from mobench_lang.syntax.read import parse
from mobench_lang.width import pad, text_width

COMMENT_COLUMN = 49


def format_source(source: Source) -> tuple[str, Diagnostics]:
    """The text of a source in the one style, and what was found while parsing it."""
    with uncollected():
        file, found = parse(source)
        return (source.text if has_errors(found) else format_file(file)), found


def format_file(file: ast.File) -> str:
    """The text of a parsed file in the one style; the file has no errors."""
    layout = Layout(file)
    lines = layout.run()
    texts = align(lines, layout)
    _comments(lines, texts)
    out: list[str] = []
    for line, text in zip(lines, texts, strict=True):
        if line.blank_before and out:
            out.append("")
        out.append((" " * line.indent + text).rstrip())
    return "\n".join(out) + "\n" if out else ""


def _comments(lines: list[Line], texts: list[str]) -> None:
    """Put comments behind code: at their column, or right of the longest line of their run."""
    run: list[int] = []

    def flush() -> None:
        column = max((lines[i].indent + text_width(texts[i]) + 2 for i in run), default=0)
        for i in run:
            texts[i] = pad(texts[i], max(column, COMMENT_COLUMN) - lines[i].indent) + (lines[i].comment or "")
        run.clear()

    for i, line in enumerate(lines):
        if line.blank_before or not line.comment or not line.tokens:
            flush()
        if line.comment and line.tokens:
            run.append(i)
        elif line.comment:
            texts[i] = line.comment
    flush()
