"""Series of readings: one channel over time, its mean, difference and integral.

In: `Samples`. Out: floats in the store's units. Guarantee: nothing is extrapolated: a window without readings on both
sides has no integral; a counter that is known to wrap goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobench_lang.collect.records import MISSING, Ints, Samples

Floats = NDArray[np.float64]
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Series:
    """Readings of one source: times in ns, values; a `gauge` has levels, else they are the states of a counter."""

    t: Ints
    values: Floats
    gauge: bool
    source: str

    def covers(self, spans: Sequence[Span]) -> bool:
        """Whether there are readings on both sides of every span."""
        return self.t.size >= 2 and all(self.t[0] <= start and end <= self.t[-1] for start, end in spans)


@dataclass(frozen=True, slots=True)
class Integral:
    """A quantity over spans: its value, its uncertainty, and how many distinct readings lay in the spans."""

    value: float
    uncertainty: float
    updates: int


def series(samples: Samples, column: int, *, gauge: bool) -> Series:
    """The readings of one channel in the store's unit; a counter that began anew goes on."""
    channel = samples.channels[column]
    read = samples.raw[:, column] != MISSING
    raw = samples.raw[read, column]
    if channel.wraps and raw.size:
        raw = raw + np.concatenate(([0], np.cumsum(np.diff(raw) < 0))) * channel.wraps
    return Series(samples.t[read], (raw * (channel.times / channel.over)).astype(np.float64), gauge, channel.source)


def times(one: Series, other: Series, source: str) -> Series:
    """A gauge of the product of two: the first one's readings times the second between its readings."""
    inside = (one.t >= other.t[0]) & (one.t <= other.t[-1]) if other.t.size else np.zeros(one.t.size, bool)
    t = one.t[inside]
    values = one.values[inside] * np.interp(t, other.t, other.values) if t.size else np.empty(0)
    return Series(t, values, True, source)


def integral(found: Series, spans: Sequence[Span]) -> Integral | str:
    """A counter's difference, or a gauge in value × s, summed over spans; a reason where it cannot be had."""
    if not found.covers(spans):
        return "window_not_covered"
    if not found.gauge and np.any(np.diff(found.values) < 0):
        return "counter_went_back"
    total = sum(_over(found, span) for span in spans)
    updates = count_updates(found, spans)
    # Each edge of a window lies somewhere between two updates of the source, so it is known to half an update.
    return Integral(total, abs(total) / max(updates, 1) * float(np.sqrt(len(spans) / 2)), updates)


def _over(found: Series, span: Span) -> float:
    at_edges = np.interp(list(span), found.t, found.values)
    if not found.gauge:
        return float(at_edges[1] - at_edges[0])
    inside = slice(int(np.searchsorted(found.t, span[0], "right")), int(np.searchsorted(found.t, span[1], "left")))
    at = np.concatenate(([span[0]], found.t[inside], [span[1]])).astype(np.float64) * 1e-9
    level = np.concatenate(([at_edges[0]], found.values[inside], [at_edges[1]]))
    return float(np.sum((level[1:] + level[:-1]) / 2 * np.diff(at)))


def count_updates(found: Series, spans: Sequence[Span]) -> int:
    """How many times the source moved inside the spans."""
    moved = found.t[1:][np.diff(found.values) != 0]
    return sum(int(np.count_nonzero((moved >= start) & (moved <= end))) for start, end in spans)


def mean(found: Series, span: Span) -> tuple[float | None, bool]:
    """The mean of a gauge in a window. A window between two readings has the value of the line between them, and the
    second result is True; without readings on both sides there is none."""
    start, end = span
    inside = found.values[int(np.searchsorted(found.t, start, "left")) : int(np.searchsorted(found.t, end, "right"))]
    if inside.size:
        return float(inside.mean()), False
    if not found.covers([span]):
        return None, False
    return float(np.interp([start, end], found.t, found.values).mean()), True


def difference(found: Series, span: Span) -> float | None:
    """How far a counter moved in a window; None where it was not read around it."""
    if not found.covers([span]):
        return None
    ends = np.interp(list(span), found.t, found.values)
    return float(ends[1] - ends[0])


def before(found: Series, end: int, begin: int | None = None) -> Series:
    """The readings before a time, and not before another."""
    first = 0 if begin is None else int(np.searchsorted(found.t, begin, "left"))
    here = slice(first, int(np.searchsorted(found.t, end, "left")))
    return Series(found.t[here], found.values[here], found.gauge, found.source)
