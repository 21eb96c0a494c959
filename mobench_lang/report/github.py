"""Diagnostics as workflow commands, which GitHub shows beside the lines of a change.

In: diagnostics. Out: one `::error …::` or `::warning …::` line each. Guarantee: no text of a spec can break out of
its command, whatever it holds.
"""

from __future__ import annotations

from collections.abc import Iterable

from mobench_lang.diagnostics import Diagnostic


def render_github(found: Iterable[Diagnostic]) -> str:
    """One command a line."""
    return "".join(_command(d) + "\n" for d in found)


def _command(d: Diagnostic) -> str:
    end_line, end_column = d.span.end_position
    properties = {
        "file": d.span.source.name,
        "line": d.span.line,
        "endLine": end_line,
        "title": f"{d.code} {d.label}".strip(),
    }
    if end_line == d.span.line:  # GitHub takes columns only within one line
        properties |= {"col": d.span.column, "endColumn": max(end_column - 1, d.span.column)}
    told = ",".join(f"{key}={_property(str(value))}" for key, value in properties.items())
    said = "\n".join([d.message, *(f"help: {text}" for text in d.helps)])
    return f"::{d.severity.value} {told}::{_data(said)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
