"""Columns over adjacent lines.

In: the lines of a layout. Out: the text of each, without indentation and comment. Guarantee: only spaces between
tokens differ from one line to another; lines with a comment alone do not end a run, blank lines do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, TypeAlias

from mobench_lang.syntax import ast
from mobench_lang.syntax.layout import Line, Spacing
from mobench_lang.width import pad, text_width

Family: TypeAlias = Literal["key", "let", "named", "claim", "measure", "exclude"]


@dataclass(slots=True, eq=False)
class _Row:
    """A line cut into cells; `cells[i]` is followed by what stands in column i + 1."""

    at: int
    family: Family
    cells: list[str]
    kinds: list[str]  # what each cell is, so that only like cells share a column


def align(lines: Sequence[Line], spacing: Spacing) -> list[str]:
    """The text of every line."""
    texts = [line.text(spacing) for line in lines]
    for run in _runs(lines, spacing):
        family = run[0].family
        joined = _claims(run) if family == "claim" else _reasons(run) if family == "exclude" else _heads(run)
        for row, text in zip(run, joined, strict=True):
            texts[row.at] = text
    return texts


def _runs(lines: Sequence[Line], spacing: Spacing) -> list[list[_Row]]:
    runs: list[list[_Row]] = []
    open_run: list[_Row] = []
    for at, line in enumerate(lines):
        if not line.tokens and not line.blank_before:
            continue
        row = _row(at, line, spacing)
        first = open_run[0] if open_run else None
        if (
            first is None
            or row is None
            or line.blank_before
            or first.family != row.family
            or lines[first.at].indent != line.indent
        ):
            if open_run:
                runs.append(open_run)
            open_run = []
        if row is not None:
            open_run.append(row)
            if not _whole(line):
                runs.append(open_run)
                open_run = []
    return [*runs, open_run] if open_run else runs


def _whole(line: Line) -> bool:
    """True if the statement that begins on a line also ends there."""
    return line.statement is not None and line.tokens[-1].end >= line.statement.span.end


def _row(at: int, line: Line, spacing: Spacing) -> _Row | None:
    """The cells of a line; None for one that has no part in any alignment."""
    node = line.statement
    if node is None:
        return None

    def cut(*offsets: int) -> list[str]:
        marks = [next((i for i, t in enumerate(line.tokens) if t.start >= o), len(line.tokens)) for o in offsets]
        return [line.text(spacing, a, b) for a, b in zip([0, *marks], [*marks, len(line.tokens)], strict=True)]

    if isinstance(node, ast.Attr | ast.Axis | ast.Let | ast.Arg):
        if isinstance(node, ast.Arg) and [t.text for t in line.tokens if t.start >= node.span.end] not in ([], [","]):
            return None
        key = node.name.span.end
        sign = next(t.start for t in line.tokens if t.start >= key and t.text in ("=", "in"))
        return _Row(at, "let" if isinstance(node, ast.Let) else "key", cut(sign), [])
    if not _whole(line):
        return None
    if isinstance(node, ast.Block):
        starts = [s.span.start for s in node.body]
        brace = next(t.start for t in line.tokens if t.start >= node.head.end and t.text == "{")
        family: Family = "named" if node.name else "key"
        return _Row(at, family, cut(brace, *starts[1:]), [node.kind.text, *map(_label, node.body)])
    if isinstance(node, ast.Expect):
        behind = [n.span.end for n in (node.claim, node.condition) if n is not None]
        words = {t.text: t.start for t in line.tokens if t.start >= behind[0] and t.text in ("where", "per")}
        if node.condition is None:
            words.pop("where", None)
        elif node.per:
            words["per"] = next(t.start for t in line.tokens if t.start >= behind[1] and t.text == "per")
        marks = [node.claim.span.start, words.get("where", words.get("per", line.tokens[-1].end + 1))]
        if "where" in words and "per" in words:
            marks.append(words["per"])
        kinds = ["word", "claim", *(w for w in ("where", "per") if w in words)]
        return _Row(at, "claim", cut(*marks)[: len(kinds)], kinds)
    if isinstance(node, ast.Measure):
        return _Row(at, "measure", cut(node.metrics[0].span.start), ["word", "names"])
    if isinstance(node, ast.Exclude):
        because = next(
            (t.start for t in line.tokens if t.start >= node.condition.span.end and t.text == "because"), None
        )
        if because is None:
            return _Row(at, "exclude", cut(), ["condition"])
        return _Row(at, "exclude", cut(because), ["condition", "because"])
    return None


def _heads(run: list[_Row]) -> list[str]:
    """`key = value`, `kind name { … }` and `measure a`: one column behind the heads."""
    if run[0].family == "named":
        _columns(run)
    width = max(text_width(row.cells[0]) for row in run)
    if run[0].family == "named" and len(run) > 1:
        width += 1  # a table of blocks: set the columns off from the names
    return [" ".join([pad(row.cells[0], width), *row.cells[1:]]) for row in run]


def _columns(run: list[_Row]) -> None:
    """Pad the entries of blocks of one kind, as long as neighbours have the same keys."""
    for column in range(1, max(len(row.cells) for row in run) - 1):
        groups = groupby(run, key=lambda row: tuple(row.kinds[: column + 2]) if len(row.cells) > column + 1 else None)
        for shared, rows in groups:
            if shared is not None:
                alike = list(rows)
                width = max(text_width(row.cells[column]) for row in alike)
                for row in alike:
                    row.cells[column] = pad(row.cells[column], width)


def _claims(run: list[_Row]) -> list[str]:
    """`expect claim  where condition  per axes` in up to four columns."""
    word = max(text_width(row.cells[0]) for row in run)
    texts = [f"{pad(row.cells[0], word)} {row.cells[1]}" for row in run]
    for part in ("where", "per"):
        width = max((text_width(t) for t, row in zip(texts, run, strict=True) if part in row.kinds), default=0)
        for i, row in enumerate(run):
            if part in row.kinds:
                texts[i] = f"{pad(texts[i], width)}  {row.cells[row.kinds.index(part)]}"
    return texts


def _reasons(run: list[_Row]) -> list[str]:
    """`exclude where condition  because "reason"` in two columns."""
    width = max((text_width(row.cells[0]) for row in run if len(row.cells) > 1), default=0)
    return [row.cells[0] if len(row.cells) == 1 else f"{pad(row.cells[0], width)}  {row.cells[1]}" for row in run]


def _label(statement: ast.Stmt) -> str:
    return statement.name.text if isinstance(statement, ast.Attr | ast.Axis) else type(statement).__name__
