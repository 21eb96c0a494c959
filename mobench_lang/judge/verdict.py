"""What became of an expectation.

In: nothing. Out: `Verdict`, one per group of an `expect` or `warn`, and the words for it. Guarantee: plain data;
the exit status of `exec` follows from it alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Literal

Outcome = Literal["holds", "fails", "inconclusive"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One row of the table `verdict`; its columns are described in docs/schema.md."""

    run_id: str
    expectation: int
    severity: Literal["expect", "warn"]
    text: str
    groups: Mapping[str, str]
    status: Outcome
    cells: int
    failing: int
    unsure: int
    worst_cell: str | None
    worst: Mapping[str, str]
    value: float | None
    lo: float | None
    hi: float | None
    bound: float | None
    unit: str
    n: int | None
    failed: int
    few: bool
    reason: str | None


def exit_status(verdicts: Iterable[Verdict], *, strict: bool = False) -> int:
    """1 where an `expect` fails (strict: or is inconclusive), else 0; a `warn` never fails a run."""
    bad = ("fails", "inconclusive") if strict else ("fails",)
    return int(any(v.severity == "expect" and v.status in bad for v in verdicts))


COLUMNS = ("", "claim", "for", "cells", "worst", "value", "95 % or range", "bound", "n", "why")


def line(verdict: Verdict) -> tuple[str, ...]:
    """A verdict as the cells of a table under `COLUMNS`; the worst cell is named where there are several."""
    v = verdict
    interval = "" if v.lo is None or v.hi is None or v.lo == v.hi else f"{_bare(v.lo, v.unit)} … {_bare(v.hi, v.unit)}"
    few = " (few)" if v.few else ""
    return (
        v.status if v.severity == "expect" else f"{v.status} (warn)",
        v.text,
        ", ".join(v.groups.values()),
        str(v.cells) if not v.failing + v.unsure else f"{v.cells - v.failing - v.unsure} of {v.cells}",
        ", ".join(v.worst.values()) if v.cells > 1 else "",
        "" if v.value is None else _with_unit(v.value, v.unit) + few,
        interval,
        "" if v.bound is None else _bare(v.bound, v.unit),
        "" if v.n is None else str(v.n),
        v.reason or "",
    )


def _with_unit(value: float, unit: str) -> str:
    return _bare(value, unit) if unit == "1" else f"{_number(value)} {unit}".rstrip()


def _bare(value: float, unit: str) -> str:
    """A number without its unit; a ratio is easier to read in percent."""
    return f"{_number(value * 100)} %" if unit == "1" else _number(value)


def _number(value: float) -> str:
    if not isfinite(value):
        return "∞" if value > 0 else "−∞"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else f"{value:.4g}"
