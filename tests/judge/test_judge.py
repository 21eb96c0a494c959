"""Verdicts: what holds, fails or cannot be said, and why."""

from __future__ import annotations

import random
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from mobench_lang.ir import Aggregate, Arithmetic, Both, Comparison, Const
from mobench_lang.judge.judge import NoRunError, judge
from mobench_lang.judge.verdict import Verdict, exit_status, line
from mobench_lang.plan.model import PlanExpectation
from mobench_lang.store.database import run, writing
from mobench_lang.store.load import load_run
from tests.support.folders import MS, Passes, RunFolder, above, default_axes, expectation


def of(function: Any, metric: str = "decode_rate", replace: tuple[tuple[int, int], ...] = ()) -> Aggregate:
    return Aggregate(function=function, metric=metric, replace=replace)


def const(value: float, unit: str = "tok/s") -> Const:
    return Const(value=Decimal(str(value)), unit=unit)


def judged(made: RunFolder) -> list[Verdict]:
    db = made.path.parent / "judge.duckdb"
    with writing(db) as connection:
        load_run(connection, made.path)
        first = judge(connection, made.path.name)
        rows = run(connection, "SELECT status, value, lo, hi, n FROM verdict ORDER BY expectation, groups")
        assert judge(connection, made.path.name) == first
        assert run(connection, "SELECT status, value, lo, hi, n FROM verdict ORDER BY expectation, groups") == rows
        assert len(rows) == len(first)
    return first


def one_cell(root: Path, gaps: list[float], *claims: PlanExpectation | Any, **options: Any) -> list[Verdict]:
    """Verdicts about one cell with a launch per gap (ms)."""
    given = [c if isinstance(c, PlanExpectation) else expectation(c) for c in claims]
    made = RunFolder(root, axes=default_axes(["Q8_0"]), expectations=given, **options)
    made.rates("c000", gaps)
    return judged(made.done())


FEW = [10, 11, 12]  # decode_rate 100, 90.9, 83.3; median 90.9, mean 91.4


@pytest.mark.parametrize(
    ("function", "op", "bound", "status"),
    [
        ("median", ">=", 83, "holds"), ("median", ">=", 101, "fails"), ("median", ">=", 90, "inconclusive"),
        ("median", "<", 101, "holds"), ("median", "<", 83, "fails"), ("median", "<=", 100, "holds"),
        ("median", ">", 100, "fails"), ("median", ">=", 100, "inconclusive"), ("median", "==", 200, "fails"),
        ("median", "!=", 200, "holds"), ("median", "==", 90, "inconclusive"),
        ("mean", ">=", 83, "holds"), ("mean", ">=", 91, "inconclusive"), ("mean", "<", 80, "fails"),
        ("min", ">=", 83, "holds"), ("min", "<", 90, "inconclusive"), ("max", ">", 90, "inconclusive"),
        ("max", "<=", 100, "holds"), ("p95", ">", 90, "holds"), ("p50", ">", 90, "holds"), ("p99", ">", 100, "fails"),
    ],
)  # fmt: skip
def test_fewer_than_eight_values(tmp_path: Path, function: str, op: str, bound: float, status: str) -> None:
    (verdict,) = one_cell(tmp_path, FEW, above(of(function), bound, op))
    assert (verdict.status, verdict.n, verdict.unit) == (status, 3, "tok/s")
    assert verdict.few == function.startswith("p")
    if status == "inconclusive":
        assert verdict.reason == "the 3 values lie on both sides of the bound"


def test_cv_is_a_point_marked_few(tmp_path: Path) -> None:
    (verdict,) = one_cell(tmp_path, FEW, above(of("cv"), 0.05, ">", "1"))
    assert (verdict.status, verdict.few, verdict.unit) == ("holds", True, "1")
    assert verdict.value == pytest.approx(0.0913, abs=1e-3)
    assert verdict.lo == verdict.hi == verdict.value


def test_a_cv_without_an_upper_end(tmp_path: Path) -> None:
    wild, steady = one_cell(tmp_path, [*[10] * 7, 0.1], above(of("cv"), 9, "<", "1"), above(of("cv"), 0.5, ">", "1"))
    assert (wild.status, wild.hi) == ("inconclusive", float("inf"))
    assert "∞" in line(wild)[6]
    assert steady.status == "holds"


def test_a_cv_of_one_value(tmp_path: Path) -> None:
    (verdict,) = one_cell(tmp_path, [10], above(of("cv"), 0.1, "<", "1"))
    assert (verdict.status, verdict.reason) == ("inconclusive", "too few values for a cv")


def test_one_value_holds_or_fails(tmp_path: Path) -> None:
    found = one_cell(tmp_path, [10], above(of("median"), 99), above(of("mean"), 101), above(of("median"), 100, "=="))
    assert [v.status for v in found] == ["holds", "fails", "holds"]


def test_from_eight_values_on_there_is_an_interval(tmp_path: Path) -> None:
    noise = random.Random(3)
    gaps = [10 + noise.random() for _ in range(12)]
    rates = sorted(1000 * MS / round(g * MS) for g in gaps)
    middle = median(rates)
    found = one_cell(
        tmp_path, gaps, above(of("median"), rates[0]), above(of("median"), middle), above(of("mean"), rates[0]),
        above(of("min"), middle, "<"), above(of("cv"), 0.5, "<", "1"), above(of("p50"), middle),
    )  # fmt: skip
    assert [v.status for v in found] == ["holds", "inconclusive", "holds", "holds", "holds", "inconclusive"]
    assert found[1].reason == "the interval holds the bound"
    low, high = found[0].lo, found[0].hi
    assert low is not None
    assert high is not None
    assert rates[2] < low < rates[3] < middle < rates[8] < high < rates[9]  # Hettmansperger–Sheather at n = 12
    from scipy import stats

    mean = stats.t.interval(0.95, 11, loc=sum(rates) / 12, scale=stats.sem(rates))
    assert (found[2].lo, found[2].hi) == (pytest.approx(mean[0]), pytest.approx(mean[1]))
    assert found[4].lo is not None
    assert found[4].hi is not None
    assert found[4].lo < found[4].value < found[4].hi  # type: ignore[operator]


def test_itl_is_over_all_gaps_of_the_cell(tmp_path: Path) -> None:
    made = RunFolder(
        tmp_path,
        axes=default_axes(["Q8_0"]),
        expectations=[
            expectation(above(of("p95", "itl"), 30 * MS, "<", "ns")),
            expectation(above(of("max", "itl"), 50 * MS, "==", "ns")),
            expectation(above(of("median", "itl"), 11 * MS, "<", "ns")),
        ],
    )
    made.launch(passes=Passes(output=30))
    made.launch(rep=1, passes=Passes(output=31, jitter=[0] * 30 + [40 * MS]))  # one gap of 50 ms among 59
    found = judged(made.done())
    assert [v.status for v in found] == ["holds", "inconclusive", "holds"]
    assert (found[0].value, found[0].few, found[0].n) == (10 * MS, False, 2)
    assert (found[1].value, found[1].lo, found[1].hi) == (50 * MS, 10 * MS, 50 * MS)


def test_groups_and_their_worst_cell(tmp_path: Path) -> None:
    made = RunFolder(
        tmp_path,
        axes=default_axes(threads=[1, 2]),
        expectations=[expectation(above(of("median"), 50), per=("quant",)), expectation(above(of("median"), 50))],
    )
    made.rates("c000", [10])
    made.rates("c001", [12])
    made.rates("c002", [10])
    made.rates("c003", [25])
    first, second, whole = judged(made.done())
    assert (dict(first.groups), first.status, first.cells, first.worst_cell) == ({"quant": "Q8_0"}, "holds", 2, "c001")
    assert (dict(second.groups), second.status, second.failing, second.worst_cell) == (
        {"quant": "Q4_0"},
        "fails",
        1,
        "c003",
    )
    assert (dict(whole.groups), whole.status, whole.cells, whole.worst_cell, whole.value) == (
        {},
        "fails",
        4,
        "c003",
        40.0,
    )
    assert whole.worst["threads"] == "2"


def test_where_chooses_cells(tmp_path: Path) -> None:
    claim = above(of("median"), 50)
    made = RunFolder(
        tmp_path,
        expectations=[
            expectation(claim, where="quant == Q8_0", reads=(1,), true=((0,),)),
            expectation(claim, reads=(1,), true=((1,),)),
            expectation(claim, reads=(1,), true=()),
        ],
    )
    made.rates("c000", [10])
    made.rates("c001", [25])
    held, failed, none = judged(made.done())
    assert [v.status for v in (held, failed, none)] == ["holds", "fails", "inconclusive"]
    assert (held.cells, failed.cells, none.cells) == (1, 1, 0)
    assert none.reason == "the run has no cell that is meant"
    assert held.text == "claim where quant == Q8_0"


def test_a_baseline_is_the_same_cell_with_axes_replaced(tmp_path: Path) -> None:
    share = Arithmetic(op="*", left=const(0.9, "1"), right=of("median", replace=((1, 0),)))
    claim = Comparison(op=">=", left=of("median"), right=share)
    made = RunFolder(
        tmp_path, axes=default_axes(threads=[1, 2]), expectations=[expectation(claim, per=("quant", "threads"))]
    )
    made.rates("c000", [10])  # Q8_0, 1 thread
    made.rates("c002", [12])  # Q4_0, 1 thread: 83 % of it
    made.rates("c003", [5])  # Q4_0, 2 threads: its baseline was not measured
    made.launch("c001", status="failed", reason="timeout")
    found = {tuple(v.groups.values()): v for v in judged(made.done())}
    assert found["Q8_0", "1"].status == "holds"
    assert (found["Q4_0", "1"].status, found["Q4_0", "1"].bound) == ("fails", 90.0)
    assert (found["Q4_0", "2"].status, found["Q4_0", "2"].reason) == (
        "inconclusive",
        "no trial of the baseline is ok: timeout",
    )
    assert found["Q8_0", "2"].reason == "no trial is ok: timeout; 1 trial failed (timeout)"


def test_a_ratio_of_two_intervals(tmp_path: Path) -> None:
    ratio = Arithmetic(op="/", left=of("median"), right=of("median", replace=((1, 0),)))
    made = RunFolder(tmp_path, expectations=[expectation(above(ratio, 1.5, ">=", "1"), reads=(1,), true=((1,),))])
    noise = random.Random(5)
    made.rates("c000", [10 + noise.random() for _ in range(10)])
    made.rates("c001", [5 + noise.random() / 2 for _ in range(10)])
    (verdict,) = judged(made.done())
    assert (verdict.status, verdict.unit, verdict.n) == ("holds", "1", 10)
    assert verdict.value == pytest.approx(2, rel=0.05)
    assert verdict.lo is not None
    assert verdict.hi is not None
    assert 1.5 < verdict.lo < verdict.value < verdict.hi < 2.5


def test_a_divisor_that_can_be_zero_leaves_it_open(tmp_path: Path) -> None:
    difference = Arithmetic(op="-", left=of("median"), right=const(90))
    claim = above(Arithmetic(op="/", left=const(1, "1"), right=difference), 0, ">", "1")
    (verdict,) = one_cell(tmp_path, FEW, claim)
    assert verdict.status == "inconclusive"


def test_baseline_outside_the_plan(tmp_path: Path) -> None:
    claim = Comparison(op=">=", left=of("median"), right=of("median", replace=((1, 7),)))
    (verdict,) = one_cell(tmp_path, FEW, claim)
    assert (verdict.status, verdict.reason) == ("inconclusive", "the plan has no baseline cell")


HOLDS, FAILS, OPEN = (above(of("median"), b) for b in (80, 120, 90))


@pytest.mark.parametrize(
    ("claim", "status"),
    [
        (Both(op="and", parts=(HOLDS, HOLDS)), "holds"),
        (Both(op="and", parts=(HOLDS, FAILS)), "fails"),
        (Both(op="and", parts=(HOLDS, OPEN)), "inconclusive"),
        (Both(op="and", parts=(FAILS, OPEN)), "fails"),
        (Both(op="or", parts=(FAILS, HOLDS)), "holds"),
        (Both(op="or", parts=(OPEN, HOLDS)), "holds"),
        (Both(op="or", parts=(FAILS, OPEN)), "inconclusive"),
        (Both(op="or", parts=(FAILS, FAILS)), "fails"),
        (Both(op="not", parts=(HOLDS,)), "fails"),
        (Both(op="not", parts=(FAILS,)), "holds"),
        (Both(op="not", parts=(OPEN,)), "inconclusive"),
        (Both(op="and", parts=(HOLDS, Both(op="not", parts=(Both(op="or", parts=(FAILS, FAILS)),)))), "holds"),
    ],
)
def test_three_valued_logic(tmp_path: Path, claim: Both, status: str) -> None:
    (verdict,) = one_cell(tmp_path, FEW, claim)
    assert verdict.status == status


def test_the_deciding_part_is_shown(tmp_path: Path) -> None:
    both, either = one_cell(
        tmp_path, FEW, Both(op="and", parts=(HOLDS, FAILS, OPEN)), Both(op="or", parts=(FAILS, HOLDS, OPEN))
    )
    assert (both.bound, either.bound) == (120.0, 80.0)


def test_units_of_the_language_become_those_of_the_store(tmp_path: Path) -> None:
    from tests.support.folders import samples_text

    rows: list[tuple[int, list[int | None]]] = [(t * MS, [45_000, 2_000_000, 50]) for t in range(900, 2000)]
    channels = {"soc_temp": ("m°C", "z"), "power": ("µW", "p"), "cpu_util": ("%", "c")}
    made = RunFolder(
        tmp_path,
        axes=default_axes(["Q8_0"]),
        metrics=("soc_temp", "power", "cpu_util"),
        expectations=[
            expectation(above(of("max", "soc_temp"), 45_000, "<=", "m°C")),
            expectation(above(of("max", "power"), 2_100_000, "<", "µW")),
            expectation(above(of("median", "cpu_util"), 0.5, "==", "1")),
            expectation(above(of("cv", "cpu_util"), 0.5, "<", "1")),
        ],
    )
    made.launch(samples=samples_text(channels, rows))
    made.launch(rep=1, samples=samples_text(channels, rows))
    found = judged(made.done())
    assert [v.status for v in found] == ["holds"] * 4
    assert [(v.bound, v.unit) for v in found] == [(45.0, "°C"), (2.1, "W"), (50.0, "%"), (0.5, "1")]


def test_nothing_measured_is_inconclusive_with_the_reason(tmp_path: Path) -> None:
    made = RunFolder(
        tmp_path,
        axes=default_axes(["Q8_0"]),
        expectations=[expectation(HOLDS), expectation(above(of("median", "energy"), 5, "<", "µJ"))],
    )
    (never, _) = judged(made)
    assert (never.status, never.reason) == ("inconclusive", "no trial was made")
    made.launch()
    assert judged(made)[1].reason == "the trials have no energy"


def test_failed_trials_are_counted_and_named(tmp_path: Path) -> None:
    made = RunFolder(tmp_path, axes=default_axes(["Q8_0"]), expectations=[expectation(HOLDS)])
    made.rates("c000", [10, 10])
    made.launch(rep=2, status="failed", reason="crashed")
    made.launch(rep=2, attempt=1, status="failed", reason="out_of_memory")
    made.launch(rep=3, status="failed", reason="crashed")
    made.launch(rep=3, attempt=1)
    (verdict,) = judged(made.done())
    assert (verdict.status, verdict.n, verdict.failed) == ("holds", 3, 1)
    assert verdict.reason == "1 trial failed (out_of_memory)"


def test_warm_ups_are_not_judged(tmp_path: Path) -> None:
    (verdict,) = one_cell(tmp_path, [10], above(of("max", "peak_memory"), 2001, "==", "B"))
    assert (verdict.status, verdict.n, verdict.unit) == ("holds", 1, "bytes")


def test_names_in_claims_are_parameters(tmp_path: Path) -> None:
    evil = "x' OR '1'='1"
    made = RunFolder(
        tmp_path,
        axes=default_axes(["Q8_0"], **{evil: [1]}),
        expectations=[expectation(above(of("median", evil), 0)), expectation(HOLDS, per=(evil,))],
    )
    made.rates("c000", [10])
    first, second = judged(made.done())
    assert (first.status, first.reason) == ("inconclusive", f"the trials have no {evil}")
    assert (second.status, dict(second.groups)) == ("holds", {evil: "1"})


def test_a_deep_claim_compiles_in_proportion(tmp_path: Path) -> None:
    term: Any = of("median")
    for _ in range(30):
        term = Arithmetic(op="*", left=Arithmetic(op="/", left=term, right=const(2, "1")), right=const(2, "1"))
    (verdict,) = one_cell(tmp_path, [10], above(term, 99))
    assert (verdict.status, verdict.value) == ("holds", 100.0)


def test_exit_status() -> None:
    def verdict(severity: Any, status: Any) -> Verdict:
        return Verdict(
            "r", 0, severity, "c", {}, status, 1, 0, 0, None, {}, None, None, None, None, "", None, 0, False, None
        )

    assert exit_status([verdict("expect", "holds"), verdict("warn", "fails"), verdict("expect", "inconclusive")]) == 0
    assert exit_status([verdict("expect", "inconclusive")], strict=True) == 1
    assert exit_status([verdict("expect", "fails")]) == 1
    assert exit_status([]) == 0


def test_a_verdict_as_a_line(tmp_path: Path) -> None:
    (verdict,) = one_cell(
        tmp_path, FEW, expectation(above(of("median"), 90), severity="warn", text="median(decode_rate) >= 90")
    )
    assert line(verdict) == (
        "inconclusive (warn)", "median(decode_rate) >= 90", "", "0 of 1", "",
        "90.91 tok/s", "83.33 … 100", "90", "3", "the 3 values lie on both sides of the bound",
    )  # fmt: skip


def test_an_unknown_run(tmp_path: Path) -> None:
    with writing(tmp_path / "db.duckdb") as connection, pytest.raises(NoRunError):
        judge(connection, "nope")
