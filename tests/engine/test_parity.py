"""The figures of the parity benchmark: its interval, and what it counts as the loop."""

from __future__ import annotations

import random

import pytest

from benchmarks.parity import interval, summary


@pytest.mark.parametrize(
    ("n", "first", "last", "covered"), [(8, 2, 7, 0.9297), (20, 6, 15, 0.9586), (40, 15, 26, 0.9193)]
)
def test_the_interval_of_the_median_is_the_tables(n: int, first: int, last: int, covered: float) -> None:
    """Ranks and coverage as published tables of the sign interval have them."""
    low, high, coverage = interval(range(1, n + 1))
    assert (low, high) == (first, last)
    assert coverage == pytest.approx(covered, abs=1e-4)


def test_the_interval_covers_as_often_as_it_says() -> None:
    rng = random.Random(5)
    hits = 0
    for _ in range(2000):
        low, high, _ = interval(sorted(rng.gauss(0, 1) for _ in range(40)))
        hits += low <= 0 <= high
    assert 0.90 <= hits / 2000 <= 0.94


def test_the_ratio_is_taken_within_pairs() -> None:
    """A drift that both tools of a pair share does not move the ratio."""
    rows = [{"llama-bench": 100.0 - i, "mobench": 1.01 * (100.0 - i)} for i in range(50)]
    found = summary(rows)
    assert found["ratio"] == found["low"] == found["high"] == pytest.approx(1.01)
