"""Throttling of a sustained load, from the stamps alone.

In: the requests of one pass. Out: `throttle_onset` and `sustained_ratio`. Guarantee: only gaps inside a decode
window count, so pauses between requests and prefills of other lengths are no throttling; short passes give None
with a reason.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mobench_lang.collect.records import MetricValue
from mobench_lang.metrics import MetricInfo
from mobench_lang.protocol import Request

WINDOW_NS = 1_000_000_000
LEAST_WINDOWS = 20
LEAST_DROP = 0.05
# A split counts if the means differ by this many standard errors: far above what a search over all splits finds in
# noise.
LEAST_T = 5.0

Floats = NDArray[np.float64]


def measured(info: MetricInfo, requests: Sequence[Request]) -> MetricValue:
    """`throttle_onset` or `sustained_ratio` of a pass."""
    times, rates = rates_per_window(requests)
    if rates.size < LEAST_WINDOWS:
        return MetricValue(info.name, None, info.unit, reason="not_applicable")
    method = f"{rates.size} windows of 1 s"
    if info.name == "sustained_ratio":
        return MetricValue(info.name, sustained_ratio(rates), info.unit, method)
    at = first_drop(rates)
    if at is None:
        return MetricValue(info.name, None, info.unit, method, reason="no_throttling")
    return MetricValue(info.name, float(times[at]), info.unit, method, float(WINDOW_NS))


def rates_per_window(requests: Sequence[Request]) -> tuple[Floats, Floats]:
    """Start (ns after the first request) and decode rate (tok/s) of every window of one second that has gaps."""
    stamps = [np.asarray(r.stamps, np.int64) for r in requests if len(r.stamps) > 1]
    if not stamps:
        return np.empty(0), np.empty(0)
    begin = min(r.prefill_start for r in requests)
    ends = np.concatenate([s[1:] for s in stamps]) - begin
    gaps = np.concatenate([np.diff(s) for s in stamps])
    window = ends // WINDOW_NS
    count = np.bincount(window)
    time = np.bincount(window, weights=gaps)
    used = np.flatnonzero((count > 0) & (time > 0))
    rates = (count[used] * 1e9 / time[used]).astype(np.float64)
    return (used * float(WINDOW_NS)).astype(np.float64), rates


def sustained_ratio(rates: Floats) -> float:
    """Median of the last quarter / highest median of five neighbouring windows."""
    peak = np.median(np.lib.stride_tricks.sliding_window_view(rates, 5), axis=1).max()
    return float(np.median(rates[-max(rates.size // 4, 1) :]) / peak)


def first_drop(rates: Floats) -> int | None:
    """The first window after the earliest lasting drop of at least 5 %, by binary segmentation; None if there is
    none."""
    at = _split(rates)
    if at is None:
        return None
    earlier = first_drop(rates[:at])
    if earlier is not None:
        return earlier
    if rates[at:].mean() < rates[:at].mean() * (1 - LEAST_DROP):
        return at
    later = first_drop(rates[at:])
    return None if later is None else at + later


def _split(rates: Floats) -> int | None:
    """The split with the largest t statistic, if it is large enough; three windows at least on each side."""
    n = rates.size
    if n < 6:
        return None
    k = np.arange(3, n - 2)
    left, left2 = np.cumsum(rates), np.cumsum(rates**2)
    mean_a, mean_b = left[k - 1] / k, (left[-1] - left[k - 1]) / (n - k)
    squares = left2[-1] - k * mean_a**2 - (n - k) * mean_b**2
    error = np.sqrt(np.maximum(squares / (n - 2), 1e-18) * (1 / k + 1 / (n - k)))
    t = np.abs(mean_a - mean_b) / error
    best = int(np.argmax(t))
    return int(k[best]) if t[best] >= LEAST_T else None
