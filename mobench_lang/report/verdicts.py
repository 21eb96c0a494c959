"""Verdicts for people and for programs.

In: verdicts of a run. Out: a table with one line per group, or plain data. Values are in the units of the store, as
docs/metrics.md lists them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from mobench_lang.judge.verdict import COLUMNS, Verdict, line
from mobench_lang.report.tables import render as render_table


def render(verdicts: Iterable[Verdict], width: int | None = None) -> str:
    """The table of verdicts; columns that nothing stands in are left out."""
    rows = [line(v) for v in verdicts]
    used = [i for i in range(len(COLUMNS)) if any(row[i] for row in rows)]
    return render_table(
        tuple(COLUMNS[i] for i in used), [tuple(row[i] for i in used) for row in rows], "table", width=width
    )


def as_data(verdict: Verdict) -> dict[str, Any]:
    """A verdict as JSON data."""
    return asdict(verdict)
