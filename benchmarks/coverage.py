"""How often does a 95 % interval hold the true value at the sizes a bench has? Chooses the intervals of `judge`.

In: nothing. Out: a table per statistic on stdout and `benchmarks/results/coverage.json`. Each figure is the share of
simulated benches (8 to 20 launches) whose interval held the true median, mean or cv; the mean width stands beside it.
Distributions: normal with 2 % noise, lognormal (σ 0.5), two modes (70 % at 100, 30 % at 80: a device that throttles
now and then), and a linear drift of 10 % over the bench. Repeat with: python benchmarks/coverage.py
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
Interval = tuple[Floats, Floats]
SIZES = (8, 10, 12, 15, 20)
DATASETS = 4000
RESAMPLES = 1000
SEED = 20261121


def normal(rng: np.random.Generator, rows: int, n: int) -> Floats:
    return rng.normal(100, 2, (rows, n))


def lognormal(rng: np.random.Generator, rows: int, n: int) -> Floats:
    return rng.lognormal(np.log(100), 0.5, (rows, n))


def bimodal(rng: np.random.Generator, rows: int, n: int) -> Floats:
    return np.where(rng.random((rows, n)) < 0.7, 100.0, 80.0) + rng.normal(0, 2, (rows, n))


def drift(rng: np.random.Generator, rows: int, n: int) -> Floats:
    return 100 * (1 - 0.1 * np.linspace(0, 1, n)) + rng.normal(0, 2, (rows, n))


SHAPES = {"normal": normal, "lognormal": lognormal, "bimodal": bimodal, "drift": drift}


def cv(x: Floats, axis: int = -1) -> Floats:
    return np.std(x, axis=axis, ddof=1) / np.mean(x, axis=axis)


def resampled(statistic: Callable[..., Floats], method: str) -> Callable[[Floats], Interval]:
    def interval(x: Floats) -> Interval:
        low, high = [], []
        for part in np.array_split(x, max(x.shape[0] // 200, 1)):
            with np.errstate(all="ignore"):
                found = stats.bootstrap(
                    (part,), statistic, n_resamples=RESAMPLES, axis=1, vectorized=True, method=method,
                    rng=np.random.default_rng(SEED),
                ).confidence_interval  # fmt: skip
            low.append(found.low)
            high.append(found.high)
        return np.concatenate(low), np.concatenate(high)

    return interval


def order_statistic(x: Floats) -> Interval:
    """The widest pair of order statistics with at least 95 %: exact, conservative."""
    n = x.shape[1]
    d = int(stats.binom.ppf(0.025, n, 0.5))
    s = np.sort(x, axis=1)
    return s[:, d - 1], s[:, n - d]


def hettmansperger_sheather(x: Floats) -> Interval:
    """Interpolated between two pairs of order statistics, so that the coverage is near 95 % and not above it."""
    n = x.shape[1]
    d = int(stats.binom.ppf(0.025, n, 0.5))
    outer, inner = (1 - 2 * stats.binom.cdf(k - 1, n, 0.5) for k in (d, d + 1))
    share = (outer - 0.95) / (outer - inner)
    weight = (n - d) * share / (d + (n - 2 * d) * share)
    s = np.sort(x, axis=1)
    low = (1 - weight) * s[:, d - 1] + weight * s[:, d]
    return low, (1 - weight) * s[:, n - d] + weight * s[:, n - d - 1]


def student(x: Floats) -> Interval:
    n = x.shape[1]
    half = stats.t.ppf(0.975, n - 1) * x.std(axis=1, ddof=1) / np.sqrt(n)
    return x.mean(axis=1) - half, x.mean(axis=1) + half


def vangel(x: Floats) -> Interval:
    """The modified McKay interval of a coefficient of variation, for normal values."""
    n, k = x.shape[1], cv(x, 1)
    low, high = stats.chi2.ppf(0.975, n - 1), stats.chi2.ppf(0.025, n - 1)
    return tuple(  # type: ignore[return-value]
        k / np.sqrt(np.maximum(((u + 2) / n - 1) * k**2 + u / (n - 1), 1e-12)) for u in (low, high)
    )


CANDIDATES: dict[str, dict[str, Callable[[Floats], Interval]]] = {
    "median": {
        "percentile bootstrap": resampled(np.median, "percentile"),
        "BCa": resampled(np.median, "BCa"),
        "order statistics": order_statistic,
        "Hettmansperger–Sheather": hettmansperger_sheather,
    },
    "mean": {
        "percentile bootstrap": resampled(np.mean, "percentile"),
        "BCa": resampled(np.mean, "BCa"),
        "Student t": student,
    },
    "cv": {
        "percentile bootstrap": resampled(cv, "percentile"),
        "BCa": resampled(cv, "BCa"),
        "Vangel": vangel,
    },
}
STATISTICS: dict[str, Callable[..., Floats]] = {"median": np.median, "mean": np.mean, "cv": cv}


def truth(statistic: str, shape: str, n: int) -> float:
    """The value that the interval is about, from two million draws (for a drift: over the whole bench)."""
    values = SHAPES[shape](np.random.default_rng(SEED + 1), 2_000_000 // n, n).ravel()
    return float(STATISTICS[statistic](values))


def measure() -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for statistic, candidates in CANDIDATES.items():
        for shape, draw in SHAPES.items():
            for n in SIZES:
                x = draw(np.random.default_rng(SEED + n), DATASETS, n)
                true = truth(statistic, shape, n)
                for name, interval in candidates.items():
                    low, high = interval(x)
                    # A degenerate BCa interval is no interval.
                    held = np.where(np.isnan(low) | np.isnan(high), False, (low <= true) & (true <= high))
                    found.append({"statistic": statistic, "shape": shape, "n": n, "interval": name,
                                  "coverage": round(float(held.mean()), 4),
                                  "width": round(float(np.nanmean(high - low)), 5)})  # fmt: skip
    return found


def ratio_coverage() -> list[dict[str, object]]:
    """Combining two intervals for a ratio of medians (a claim with a baseline): corners, or square-and-add."""
    found: list[dict[str, object]] = []
    for shape, draw in SHAPES.items():
        for n in SIZES:
            rng = np.random.default_rng(SEED + 7 * n)
            a, b = draw(rng, DATASETS, n), draw(rng, DATASETS, n)
            (la, ua), (lb, ub) = hettmansperger_sheather(a), hettmansperger_sheather(b)
            ma, mb = np.median(a, axis=1), np.median(b, axis=1)
            ratio = ma / mb
            added = (
                ratio - np.hypot(ratio - la / mb, ratio - ma / ub),
                ratio + np.hypot(ua / mb - ratio, ma / lb - ratio),
            )
            for name, (low, high) in {"corners": (la / ub, ua / lb), "square and add": added}.items():
                found.append({"statistic": "ratio of medians", "shape": shape, "n": n, "interval": name,
                              "coverage": round(float(((low <= 1) & (high >= 1)).mean()), 4),
                              "width": round(float((high - low).mean()), 5)})  # fmt: skip
    return found


def main() -> None:
    found = measure() + ratio_coverage()
    out = Path(__file__).parent / "results" / "coverage.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(
        json.dumps({"datasets": DATASETS, "resamples": RESAMPLES, "seed": SEED, "rows": found}, indent=0) + "\n"
    )
    names = list(dict.fromkeys((r["statistic"], r["interval"]) for r in found))
    for statistic, name in names:
        cells = [r for r in found if (r["statistic"], r["interval"]) == (statistic, name)]
        for shape in SHAPES:
            row = "  ".join(f"{float(str(r['coverage'])):.3f}" for r in cells if r["shape"] == shape)
            print(f"{statistic:16} {name:24} {shape:10} {row}")


if __name__ == "__main__":
    main()
