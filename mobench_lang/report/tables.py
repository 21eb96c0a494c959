"""Rows of any query as text.

In: columns and rows of plain Python values. Out: text in one of the formats. Guarantee: what is in a cell never
changes the shape around it: separators, quotes, newlines and terminal codes are escaped in the way of the format.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any, Literal

Format = Literal["table", "csv", "json", "jsonl", "md"]
Rows = Sequence[Sequence[Any]]

READABLE = 12  # characters that a column of a table keeps; where they do not fit, rows stand one below the other


def render(columns: Sequence[str], rows: Rows, form: Format, width: int | None = None) -> str:
    """The whole text, ending in a newline; `width` bounds a table (None: as wide as it needs to be)."""
    match form:
        case "csv":
            return _csv(columns, rows)
        case "json":
            return json.dumps(_records(columns, rows), ensure_ascii=False, indent=1) + "\n"
        case "jsonl":
            return "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in _records(columns, rows))
        case "md":
            return _markdown(columns, rows)
        case "table":
            return _table(columns, rows, width)


def data(value: Any) -> Any:
    """A value as JSON data."""
    match value:
        case float():
            return value if isfinite(value) else None
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case bytes():
            return value.hex()
        case Mapping():
            return {str(k): data(v) for k, v in value.items()}
        case list() | tuple():
            return [data(v) for v in value]
        case None | bool() | int() | str():
            return value
        case _:
            return str(value)


def text(value: Any) -> str:
    """A value as a person reads it: 4 significant digits at least, NULL empty, no control characters."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float():
            return _number(value)
        case str():
            return _visible(value)
        case int() | datetime() | date() | time():
            return str(value)
        case Mapping():
            return ", ".join(f"{_visible(str(k))}={text(v)}" for k, v in value.items())
        case list() | tuple():
            return ", ".join(text(v) for v in value)
        case _:
            return _visible(json.dumps(data(value), ensure_ascii=False))


def _number(value: float) -> str:
    if not isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return f"{value:.2f}" if abs(value) >= 1000 else f"{value:.4g}"


def _visible(value: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in value)


def _records(columns: Sequence[str], rows: Rows) -> list[dict[str, Any]]:
    names = _unique(columns)
    return [dict(zip(names, map(data, row), strict=True)) for row in rows]


def _unique(columns: Sequence[str]) -> list[str]:
    """Columns of one name would hide each other in an object."""
    seen: dict[str, int] = {}
    names = []
    for name in columns:
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return names


def _csv(columns: Sequence[str], rows: Rows) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow(_field(v) for v in row)
    return out.getvalue()


def _field(value: Any) -> str:
    plain = data(value)
    if plain is None:
        return ""
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)


def _markdown(columns: Sequence[str], rows: Rows) -> str:
    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(c.replace("\\", "\\\\").replace("|", "\\|") for c in cells) + " |\n"

    right = [_is_number(rows, i) for i in range(len(columns))]
    rule = "|" + "|".join("---:" if r else "---" for r in right) + "|\n"
    return line(map(_visible, columns)) + rule + "".join(line(map(text, row)) for row in rows)


def _table(columns: Sequence[str], rows: Rows, width: int | None) -> str:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if width is not None and not _fits(columns, rows, width):
        return _blocks(columns, rows)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for i, name in enumerate(columns):
        justify: Literal["left", "right"] = "right" if _is_number(rows, i) else "left"
        table.add_column(Text(_visible(name)), justify=justify, overflow="fold")
    for row in rows:
        table.add_row(*(Text(text(v)) for v in row))
    out = io.StringIO()
    console = Console(file=out, width=width or 100_000, color_system=None, legacy_windows=False)
    console.print(table)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines() if line.strip()) + "\n"


def _fits(columns: Sequence[str], rows: Rows, width: int) -> bool:
    """Whether a table of this width can be read: each column as wide as it needs to be, or `READABLE`."""
    from rich.cells import cell_len

    needed = 0
    for i, name in enumerate(columns):
        needed += 3 + min(READABLE, max(map(cell_len, (_visible(name), *(text(row[i]) for row in rows)))))
    return needed <= width


def _blocks(columns: Sequence[str], rows: Rows) -> str:
    """A line per value that is not empty, row by row."""
    from rich.cells import cell_len, set_cell_size

    names = [_visible(name) for name in columns]
    place = max(map(cell_len, names))
    lines = []
    for number, row in enumerate(rows, start=1):
        lines.append(f"── {number} of {len(rows)}")
        shown = zip(names, map(text, row), strict=True)
        lines += [f" {set_cell_size(name, place)}  {value}".rstrip() for name, value in shown if value]
    return "\n".join(lines) + "\n" if lines else "no rows\n"


def _is_number(rows: Rows, column: int) -> bool:
    values = [row[column] for row in rows if row[column] is not None]
    return bool(values) and all(isinstance(v, int | float | Decimal) and not isinstance(v, bool) for v in values)
