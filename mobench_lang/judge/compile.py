"""A claim → one SQL query.

In: a `PlanExpectation`. Out: the text of a query and its parameters; it gives one row per cell the claim is about.
Guarantee: every name and number of the spec is a parameter; SQL's three-valued logic is the claim's: TRUE holds,
FALSE fails, NULL is inconclusive. Each node of the claim is one step of the query, so the text grows with the claim
and not faster.

Intervals (docs/adr/0010-intervals.md): with fewer than 8 launches the range of the values, for the median and p50 the
Hettmansperger–Sheather interval, for the mean Student's t, for cv Vangel's, for all else the value itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from mobench_lang.ir import Aggregate, Arithmetic, Both, Claim, Comparison, Const, Term
from mobench_lang.metrics import metrics
from mobench_lang.plan.model import PlanExpectation

# Fewer values than this and the figure is marked `few`.
_FEW = {"p50": 8, "p95": 20, "p99": 100, "cv": 8}
_FUNCTIONS = {
    "median": "median(x)",
    "mean": "avg(x)",
    "min": "min(x)",
    "max": "max(x)",
    "p50": "quantile_cont(x, 0.5)",
    "p95": "quantile_cont(x, 0.95)",
    "p99": "quantile_cont(x, 0.99)",
    "cv": "stddev_samp(x) / nullif(abs(avg(x)), 0)",
}
_SCALES = {"µW": "0.000001", "µJ": "0.000001", "µJ/tok": "0.000001", "m°C": "0.001", "mK": "0.001", "µAh": "0.001"}


@dataclass(frozen=True, slots=True)
class Query:
    """A query with named parameters. Its rows: cell_id, seq, axes, groups, ok, detail (margin, value, lo, hi,
    bound, n, few), reason, failed, why_failed. `unit` is that of the value."""

    text: str
    values: dict[str, Any]
    unit: str


def compile_claim(run_id: str, expectation: PlanExpectation, axes: int) -> Query:
    """The query of an expectation in a plan with so many axes."""
    return _Compiler(run_id, axes).query(expectation)


@dataclass(slots=True)
class _Node:
    """A step of the query: the prefix of its columns, and the unit of its value (None: a bare number)."""

    name: str
    unit: str | None


@dataclass(slots=True)
class _Compiler:
    run_id: str
    axes: int
    values: dict[str, Any] = field(default_factory=dict)
    aggregates: dict[Aggregate, int] = field(default_factory=dict)
    sources: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)

    def query(self, expectation: PlanExpectation) -> Query:
        run = self.put(self.run_id)
        root, unit = self.claim(expectation.claim)
        groups = ", ".join(
            f"{n}: coalesce(c.axes[{n}], c.attributes[replace({n}, '.', '_')], '')"
            for n in (self.put(p) for p in expectation.per)
        )
        where = ""
        if expectation.true is not None and not expectation.true:
            where = " AND false"
        elif expectation.true is not None and expectation.reads:
            chosen = self.put([list(t) for t in expectation.true])
            vector = ", ".join(f"c.v[{r + 1}]" for r in expectation.reads)
            where = f" AND [{vector}]::INTEGER[] IN (SELECT unnest({chosen}::INTEGER[][]))"
        joins = "\n".join(self.join(i, a) for a, i in self.aggregates.items())
        columns = ",\n  ".join(self.columns(i, a) for a, i in self.aggregates.items()) or "NULL::VARCHAR AS r0"
        reasons = ", ".join(f"r{i}" for i in self.aggregates.values()) or "NULL"
        # Names are generated here, values are parameters.
        text = f"""WITH launch AS (
  SELECT * FROM trial WHERE run_id = {run} AND NOT warmup
), tally AS (
  SELECT cell_id, count(*) FILTER (status = 'ok') AS good, count(*) FILTER (final AND status <> 'ok') AS failed,
    string_agg(DISTINCT coalesce(reason, status), ', ' ORDER BY coalesce(reason, status))
      FILTER (final AND status <> 'ok') AS why
  FROM launch GROUP BY cell_id
), {", ".join(self.sources) + "," if self.sources else ""}
step0 AS (
  SELECT c.cell_id, c.seq, c.axes, MAP {{{groups}}}::MAP(VARCHAR, VARCHAR) AS groups,
  coalesce(y.failed, 0) AS failed, y.why,
  {columns}
  FROM cell c LEFT JOIN tally y ON y.cell_id = c.cell_id
  {joins}
  WHERE c.run_id = {run} AND c.current{where}
), {", ".join(self.steps)}
SELECT cell_id, seq, axes, groups, {root}_ok AS ok, {root}_d AS detail, coalesce({reasons}) AS reason, failed, why
FROM step{len(self.steps)}"""  # noqa: S608
        return Query(text, self.values, unit)

    def put(self, value: Any) -> str:
        """A parameter; its place in the text."""
        name = f"p{len(self.values)}"
        self.values[name] = value
        return f"${name}"

    def step(self, columns: str) -> str:
        """One more step, which adds columns; the prefix of their names."""
        number = len(self.steps) + 1
        name = f"n{number}"
        columns = columns.replace("@", name)
        self.steps.append(f"step{number} AS (SELECT *, {columns} FROM step{number - 1})")  # noqa: S608 - generated
        return name

    # ------------------------------------------------------------ claims

    def claim(self, claim: Claim) -> tuple[str, str]:
        """The prefix of the step with `_ok` and `_d`, and the unit of the first comparison."""
        if isinstance(claim, Comparison):
            return self.comparison(claim)
        parts = [self.claim(p) for p in claim.parts]
        return self.both(claim, [p for p, _ in parts]), parts[0][1]

    def both(self, claim: Both, parts: list[str]) -> str:
        """`not` turns the margin; `and` shows its worst part, `or` its best one."""
        if claim.op == "not":
            inner = parts[0]
            return self.step(f"NOT {inner}_ok AS @_ok, struct_update({inner}_d, margin := -{inner}_d.margin) AS @_d")
        joined = f" {claim.op.upper()} ".join(f"{p}_ok" for p in parts)
        ranked = ", ".join(
            f"{{rank: CASE WHEN {p}_ok THEN 2 WHEN {p}_ok IS NULL THEN 1 ELSE 0 END, "
            f"margin: coalesce({p}_d.margin, 0), d: {p}_d}}"
            for p in parts
        )
        which = "1" if claim.op == "and" else "-1"
        return self.step(f"({joined}) AS @_ok, list_sort([{ranked}])[{which}].d AS @_d")

    def comparison(self, claim: Comparison) -> tuple[str, str]:
        left, right = self.pair(claim.left, claim.right)
        a, b = left.name, right.name
        less = f"CASE WHEN {a}_hi < {b}_lo THEN true WHEN {a}_lo >= {b}_hi THEN false END"
        more = f"CASE WHEN {a}_lo > {b}_hi THEN true WHEN {a}_hi <= {b}_lo THEN false END"
        same = (
            f"CASE WHEN {a}_lo = {b}_hi AND {a}_hi = {b}_lo THEN true "
            f"WHEN {a}_hi < {b}_lo OR {a}_lo > {b}_hi THEN false END"
        )
        ok = {"<": less, ">": more, "<=": f"NOT ({more})", ">=": f"NOT ({less})", "==": same, "!=": f"NOT ({same})"}
        scale = f"coalesce(nullif(abs({b}_p), 0), 1)"
        margin = {
            "<": f"({b}_p - {a}_p) / {scale}",
            ">": f"({a}_p - {b}_p) / {scale}",
            "==": f"-abs({a}_p - {b}_p) / {scale}",
            "!=": f"abs({a}_p - {b}_p) / {scale}",
        }
        distance = margin[claim.op if claim.op in margin else claim.op[0]]
        detail = (
            f"{{margin: {distance}, value: {a}_p, lo: {a}_lo, hi: {a}_hi, "
            f"bound: {b}_p, n: least({a}_n, {b}_n), few: {a}_few OR {b}_few}}"
        )
        return self.step(f"{ok[claim.op]} AS @_ok, {detail} AS @_d"), left.unit or right.unit or ""

    # ------------------------------------------------------------ terms

    def pair(self, left: Term, right: Term) -> tuple[_Node, _Node]:
        """Two sides that have one unit; a ratio of the language is a percentage where the store has one."""
        hint = _unit(left) or _unit(right)
        return self.term(left, hint), self.term(right, hint)

    def term(self, term: Term, hint: str | None) -> _Node:
        if isinstance(term, Const):
            scale = Decimal(100) if hint == "%" and term.unit == "1" else Decimal(_SCALES.get(term.unit, "1"))
            number = f"{self.put(float(term.value * scale))}::DOUBLE"
            columns = f"{number} AS @_p, {number} AS @_lo, {number} AS @_hi, NULL::BIGINT AS @_n, false AS @_few"
            return _Node(self.step(f"{columns}, false AS @_range"), None)
        if isinstance(term, Aggregate):
            number = str(self.aggregates.setdefault(term, len(self.aggregates)))
            if int(number) == len(self.sources) // 3:
                self.sources += self.source(int(number), term)
            columns = ", ".join(f"a{number}_{c} AS @_{c}" for c in ("p", "lo", "hi", "n", "few", "range"))
            return _Node(self.step(columns), _unit(term))
        return self.arithmetic(term)

    def arithmetic(self, term: Arithmetic) -> _Node:
        if term.op in ("+", "-"):
            left, right = self.pair(term.left, term.right)
        else:
            left, right = self.term(term.left, None), self.term(term.right, None)
        a, b = left.name, right.name
        divisor = f"nullif({b}_p, 0)" if term.op == "/" else f"{b}_p"
        first = self.step(
            f"{a}_p {term.op} {divisor} AS @_p, {_end(term.op, 'least', a, b)} AS @_down, "
            f"{_end(term.op, 'greatest', a, b)} AS @_up, least({a}_n, {b}_n) AS @_n, {a}_few OR {b}_few AS @_few, "
            f"{a}_range OR {b}_range AS @_range"
        )
        low, high = _added(term.op, first, a, b)
        return _Node(
            self.step(
                f"{first}_p AS @_p, CASE WHEN {first}_range THEN {first}_down ELSE {low} END AS @_lo, "
                f"CASE WHEN {first}_range THEN {first}_up ELSE {high} END AS @_hi, "
                f"{first}_n AS @_n, {first}_few AS @_few, {first}_range AS @_range"
            ),
            _unit(term),
        )

    # ------------------------------------------------------------ aggregates

    def source(self, number: int, aggregate: Aggregate) -> list[str]:
        """Three tables: values `x` per launch, their summary per cell, and the interval."""
        name = self.put(aggregate.metric)
        info = metrics().get(aggregate.metric)
        function = _FUNCTIONS[aggregate.function]
        if info is not None and info.series:
            values = f"""gaps{number} AS (
  SELECT l.cell_id, k.trial_id,
    k.t_ns - lag(k.t_ns) OVER (PARTITION BY k.trial_id, k.request ORDER BY k.idx) AS x
  FROM token k JOIN launch l ON l.run_id = k.run_id AND l.trial_id = k.trial_id
  WHERE k.run_id = $p0 AND l.status = 'ok' AND {name} = {name}
)"""  # noqa: S608
            summary = f"""sum{number} AS (
  SELECT e.cell_id, list_sort(list(e.x)) AS xs, count(*) AS n, avg(e.x) AS mean, stddev_samp(e.x) AS sd,
    any_value(w.p) AS p, any_value(w.size) AS size
  FROM (SELECT cell_id, trial_id, {function} AS x FROM gaps{number} WHERE x IS NOT NULL GROUP BY ALL) e
  JOIN (SELECT cell_id, {function} AS p, count(x) AS size FROM gaps{number} GROUP BY cell_id) w
    ON w.cell_id = e.cell_id
  WHERE e.x IS NOT NULL GROUP BY e.cell_id
)"""  # noqa: S608
        else:
            values = f"""gaps{number} AS (
  SELECT l.cell_id, m.value AS x
  FROM metric m JOIN launch l ON l.run_id = m.run_id AND l.trial_id = m.trial_id
  WHERE m.run_id = $p0 AND m.name = {name} AND l.status = 'ok' AND m.value IS NOT NULL
)"""  # noqa: S608
            summary = f"""sum{number} AS (
  SELECT cell_id, list_sort(list(x)) AS xs, count(*) AS n, avg(x) AS mean, stddev_samp(x) AS sd,
    {function} AS p, count(*) AS size
  FROM gaps{number} GROUP BY cell_id
)"""  # noqa: S608
        low, high = _interval(aggregate.function)
        few = f"s.size < {_FEW[aggregate.function]}" if aggregate.function in _FEW else "false"
        interval = f"""agg{number} AS (
  SELECT s.cell_id, s.n, s.p, {low} AS lo, {high} AS hi, {few} AS few, s.n < 8 AS range
  FROM (SELECT s.*, i.t, i.chi_low, i.chi_high, coalesce(i.weight, 0) AS weight,
          coalesce(i.depth, greatest(floor((s.n + 1) / 2 - 0.98 * sqrt(s.n)), 1))::INTEGER AS depth
        FROM sum{number} s LEFT JOIN ci95 i ON i.n = s.n) s
)"""  # noqa: S608
        return [values, summary, interval]

    def join(self, number: int, aggregate: Aggregate) -> str:
        """The aggregate of the cell, or of the cell with axes replaced."""
        if not aggregate.replace:
            return f"LEFT JOIN agg{number} g{number} ON g{number}.cell_id = c.cell_id"
        replaced = dict(aggregate.replace)
        vector = ", ".join(str(int(replaced[i])) if i in replaced else f"c.v[{i + 1}]" for i in range(self.axes))
        return (
            f"LEFT JOIN cell b{number} ON b{number}.run_id = $p0 AND b{number}.v = [{vector}]::INTEGER[] "
            f"LEFT JOIN tally z{number} ON z{number}.cell_id = b{number}.cell_id "
            f"LEFT JOIN agg{number} g{number} ON g{number}.cell_id = b{number}.cell_id"
        )

    def columns(self, number: int, aggregate: Aggregate) -> str:
        """The columns of an aggregate, and why there is no value where there is none."""
        values = ", ".join(f"g{number}.{c} AS a{number}_{c}" for c in ("p", "lo", "hi", "n", "few", "range"))
        metric = self.put(aggregate.metric)
        what, tally, missing = "", "y", ""
        if aggregate.replace:
            what, tally = "of the baseline ", f"z{number}"
            missing = f"WHEN b{number}.cell_id IS NULL THEN 'the plan has no baseline cell' "
        reason = (
            f"CASE WHEN g{number}.p IS NOT NULL THEN NULL {missing}"
            f"WHEN coalesce({tally}.good, 0) = 0 AND {tally}.why IS NULL THEN 'no trial {what}was made' "
            f"WHEN coalesce({tally}.good, 0) = 0 THEN 'no trial {what}is ok: ' || {tally}.why "
            f"WHEN g{number}.n IS NOT NULL THEN 'too few values for a {aggregate.function}' "
            f"ELSE 'the trials {what}have no ' || {metric}::VARCHAR END AS r{number}"
        )
        return f"{values}, {reason}"


def _interval(function: str) -> tuple[str, str]:
    """Low and high end as SQL over xs, n, p, mean, sd and the constants of `ci95`."""
    if function in ("median", "p50"):
        low = "(1 - s.weight) * s.xs[s.depth] + s.weight * s.xs[s.depth + 1]"
        high = "(1 - s.weight) * s.xs[-s.depth] + s.weight * s.xs[-s.depth - 1]"
    elif function == "mean":
        half = "coalesce(s.t, 1.96) * s.sd / sqrt(s.n)"
        low, high = f"s.mean - {half}", f"s.mean + {half}"
    elif function == "cv":
        # Vangel's modified McKay interval; for a large cv it has no upper end.
        low, high = (
            f"s.p / sqrt(nullif(greatest((({u} + 2) / s.n - 1) * s.p ** 2 + {u} / (s.n - 1), 0), 0))"
            for u in ("s.chi_high", "s.chi_low")
        )
        high = f"coalesce({high}, 'Infinity'::DOUBLE)"
    else:
        low = high = "s.p"
    if function in _FEW:
        return f"CASE WHEN s.n < 8 THEN s.p ELSE least(s.p, {low}) END", (
            f"CASE WHEN s.n < 8 THEN s.p ELSE greatest(s.p, {high}) END"
        )
    return (
        f"CASE WHEN s.n < 8 THEN least(s.p, s.xs[1]) ELSE least(s.p, {low}) END",
        f"CASE WHEN s.n < 8 THEN greatest(s.p, s.xs[-1]) ELSE greatest(s.p, {high}) END",
    )


def _end(op: str, function: str, a: str, b: str) -> str:
    """The least or greatest of what the ends of two intervals can give; unknown where a divisor can be zero."""
    ends = ", ".join(f"{a}_{i} {op} {b}_{j}" for i in ("lo", "hi") for j in ("lo", "hi"))
    if op == "/":
        return f"CASE WHEN {b}_lo <= 0 AND {b}_hi >= 0 THEN NULL ELSE {function}({ends}) END"
    return f"{function}({ends})"


def _added(op: str, node: str, a: str, b: str) -> tuple[str, str]:
    """The ends of a 95 % interval of two: how far each side moves the value, as the root of the sum of squares."""
    by_a = f"{a}_lo {op} {b}_p, {a}_hi {op} {b}_p"
    by_b = f"{a}_p {op} {b}_lo, {a}_p {op} {b}_hi"
    p = f"{node}_p"
    low = f"{p} - sqrt(({p} - least({by_a})) ** 2 + ({p} - least({by_b})) ** 2)"
    high = f"{p} + sqrt((greatest({by_a}) - {p}) ** 2 + (greatest({by_b}) - {p}) ** 2)"
    # Without ends (a divisor that can be zero) there is no interval either.
    return f"{low} + 0 * {node}_down", f"{high} + 0 * {node}_up"


def _unit(term: Term) -> str | None:
    """The unit of a term in the store; None for bare numbers."""
    if isinstance(term, Const):
        return None
    if isinstance(term, Aggregate):
        info = metrics().get(term.metric)
        return "1" if term.function == "cv" else (info.unit if info else "")
    left, right = _unit(term.left), _unit(term.right)
    if term.op == "/" and left == right and left is not None:
        return "1"
    if term.op == "/" and right not in (None, "1"):
        return f"{left or 1}/{right}"
    return left if right in (None, "1") else right
