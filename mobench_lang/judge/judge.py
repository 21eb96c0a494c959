"""Expectations of a run → verdicts.

In: a database with a loaded run. Out: `Verdict`s, which are also rows of the table `verdict`. Guarantee: the
verdicts of a run are replaced in one transaction, so judging twice is judging once; nothing but the database is
read.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mobench_lang.judge.compile import Query, compile_claim
from mobench_lang.judge.verdict import Outcome, Verdict
from mobench_lang.plan.model import Plan, PlanExpectation
from mobench_lang.store.database import run, transaction
from mobench_lang.store.load import insert

if TYPE_CHECKING:
    from mobench_lang.store.database import Connection


class NoRunError(LookupError):
    """The database does not hold the run."""


def judge(connection: Connection, run_id: str) -> list[Verdict]:
    """Judge a run and keep the verdicts. Raises NoRunError."""
    verdicts = verdicts_of(connection, run_id)
    with transaction(connection):
        run(connection, "DELETE FROM verdict WHERE run_id = ?", [run_id])
        insert(connection, "verdict", [asdict(v) for v in verdicts])
    return verdicts


def verdicts_of(connection: Connection, run_id: str) -> list[Verdict]:
    """What the verdicts are; writes nothing. Raises NoRunError."""
    found = run(connection, "SELECT plan FROM run WHERE run_id = ?", [run_id])
    if not found:
        raise NoRunError(f"the database has no run {run_id}")
    plan = Plan.model_validate_json(found[0][0])
    return [
        verdict
        for number, expectation in enumerate(plan.expectations)
        for verdict in _judged(connection, run_id, number, expectation, axes=len(plan.axes))
    ]


def _judged(
    connection: Connection, run_id: str, number: int, expectation: PlanExpectation, *, axes: int
) -> list[Verdict]:
    query = compile_claim(run_id, expectation, axes)
    common: dict[str, Any] = {
        "run_id": run_id,
        "expectation": number,
        "severity": expectation.severity,
        "text": _text(expectation),
    }
    rows = run(connection, _grouped(query), query.values)
    if not rows:
        return [Verdict(**common, **_NOTHING, reason="the run has no cell that is meant")]
    return [_verdict(common, query.unit, row) for row in rows]


def _text(expectation: PlanExpectation) -> str:
    where = f" where {expectation.where}" if expectation.where else ""
    per = f" per {', '.join(expectation.per)}" if expectation.per else ""
    return f"{expectation.text}{where}{per}" if where not in expectation.text else expectation.text


_NOTHING: dict[str, Any] = {
    "groups": {}, "status": "inconclusive", "cells": 0, "failing": 0, "unsure": 0, "worst_cell": None, "worst": {},
    "value": None, "lo": None, "hi": None, "bound": None, "unit": "", "n": None, "failed": 0, "few": False,
}  # fmt: skip


def _grouped(query: Query) -> str:
    """One row per group, with the cell that decides: a failing one before an inconclusive one, then by margin."""
    return f"""WITH judged AS ({query.text})
SELECT groups, count(*), count(*) FILTER (ok = false), count(*) FILTER (ok IS NULL),
  first({{cell: cell_id, axes: axes, detail: detail, reason: reason}} ORDER BY
    CASE WHEN ok THEN 2 WHEN ok IS NULL THEN 1 ELSE 0 END, detail.margin NULLS FIRST, seq),
  sum(failed)::BIGINT, string_agg(DISTINCT why, ', ' ORDER BY why), min(seq) AS place
FROM judged GROUP BY groups ORDER BY place"""  # noqa: S608 - built by compile_claim


def _verdict(common: dict[str, Any], unit: str, row: tuple[Any, ...]) -> Verdict:
    groups, cells, failing, unsure, worst, failed, why, _ = row
    status: Outcome = "fails" if failing else "inconclusive" if unsure else "holds"
    detail = worst["detail"] or {}
    return Verdict(
        **common,
        groups=groups,
        status=status,
        cells=cells,
        failing=failing,
        unsure=unsure,
        worst_cell=worst["cell"],
        worst=worst["axes"],
        value=detail.get("value"),
        lo=detail.get("lo"),
        hi=detail.get("hi"),
        bound=detail.get("bound"),
        unit=unit,
        n=detail.get("n"),
        failed=failed,
        few=bool(detail.get("few")),
        reason=_reason(status, worst["reason"], detail, failed, why),
    )


def _reason(status: Outcome, missing: str | None, detail: dict[str, Any], failed: int, why: str | None) -> str | None:
    parts: list[str] = []
    if status == "inconclusive":
        n = detail.get("n")
        if missing is not None:
            parts.append(missing)
        elif n is not None and n < 8:
            parts.append(f"the {n} values lie on both sides of the bound")
        else:
            parts.append("the interval holds the bound")
    if failed:
        parts.append(f"{failed} {'trial' if failed == 1 else 'trials'} failed ({why})")
    return "; ".join(parts) or None
