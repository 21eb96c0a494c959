"""Energy and charge of a pass, from counters or by integrating power.

In: sampled channels `energy` (a counter: RAPL, rails), `power` (a gauge) or `charge`, and the windows of the pass.
Out: one `MetricValue`. Guarantee: the source is in `method`; a counter that went backwards, a window without
readings around it or too few distinct readings give None with a reason instead of a number that looks good.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobench_lang.collect.channels import Channel
from mobench_lang.collect.records import MISSING, Ints, MetricValue, Samples, Window
from mobench_lang.metrics import MetricInfo
from mobench_lang.protocol import Request

# A gauge that moved fewer times than this inside the windows says nothing about a token.
LEAST_UPDATES = 30

_PHASES = {"energy": ("prefill", "decode"), "energy_prefill": ("prefill",), "energy_decode": ("decode",)}

# Numerator and which tokens it is divided by.
PER_TOKEN = {
    "energy_per_token": ("energy", "output"),
    "energy_per_prompt_token": ("energy_prefill", "prompt"),
    "energy_per_output_token": ("energy_decode", "output"),
}

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Integral:
    """A quantity over windows: its value, its uncertainty, and how many distinct readings lay in the windows."""

    value: float
    uncertainty: float
    updates: int


def counted(info: MetricInfo, samples: Samples, windows: Sequence[Window], bounds: tuple[int, int]) -> MetricValue:
    """`energy…` over its phases, `battery_drain` over the pass."""
    spans = [(w.start, w.end) for w in windows if w.name in _PHASES.get(info.name, ())]
    if info.name == "battery_drain":
        spans = [bounds]
    if not spans:
        return MetricValue(info.name, None, info.unit, reason="not_applicable")
    columns = _columns(info, samples)
    if not columns:
        return MetricValue(info.name, None, info.unit, reason="not_delivered")
    parts: list[Integral] = []
    for i in columns:
        part = _integrate(samples, i, spans)
        if isinstance(part, str):
            return MetricValue(info.name, None, info.unit, _method(samples.channels[i]), reason=part)
        parts.append(part)
    value = sum(p.value for p in parts)
    if info.name == "battery_drain":
        value = -value  # a gauge counts what is left
    method = ", ".join(dict.fromkeys(_method(samples.channels[i]) for i in columns))
    uncertainty = float(np.sqrt(sum(p.uncertainty**2 for p in parts)))
    return MetricValue(info.name, value, info.unit, f"{method}; idle baseline not subtracted", uncertainty)


def per_token(
    info: MetricInfo,
    samples: Samples,
    windows: Sequence[Window],
    requests: Iterable[Request],
    found: Mapping[str, MetricValue],
) -> MetricValue:
    """Energy per token; None where the energy is, or where the source moved fewer than 30 times in the windows."""
    energy, kind = PER_TOKEN[info.name]
    known = found.get(energy)
    if known is None or known.value is None:
        return MetricValue(info.name, None, info.unit, reason=known.reason if known else "not_delivered")
    tokens = sum(r.prompt_tokens if kind == "prompt" else len(r.stamps) for r in requests)
    if not tokens:
        return MetricValue(info.name, None, info.unit, reason="not_applicable")
    spans = [(w.start, w.end) for w in windows if w.name in _PHASES[energy]]
    parts = [_integrate(samples, i, spans) for i in _columns(info, samples)]
    updates = min((p.updates for p in parts if isinstance(p, Integral)), default=0)
    if updates < LEAST_UPDATES:
        return MetricValue(info.name, None, info.unit, known.method, reason="too_few_updates")
    uncertainty = None if known.uncertainty is None else known.uncertainty / tokens
    return MetricValue(info.name, known.value / tokens, info.unit, f"{known.method}; {updates} updates", uncertainty)


def _columns(info: MetricInfo, samples: Samples) -> list[int]:
    """The columns of the best source: counters before gauges."""
    wanted = ("charge",) if info.name == "battery_drain" else ("energy", "power")
    for base in wanted:
        columns = [i for i, c in enumerate(samples.channels) if c.base == base and c.unit in ("J", "W", "mAh")]
        if columns:
            return columns
    return []


def _method(channel: Channel) -> str:
    how = "counter difference" if channel.unit in ("J", "mAh") else "∫P dt by trapezoid"
    return f"{channel.source}: {how}"


def mean_of(samples: Samples, column: int, start: int, end: int) -> tuple[float | None, bool]:
    """The mean of a gauge in a window. A window between two readings has the value of the line between them, and the
    second result is True; without readings on both sides there is none."""
    t, values = _read(samples, column)
    inside = values[int(np.searchsorted(t, start, "left")) : int(np.searchsorted(t, end, "right"))]
    if inside.size:
        return float(inside.mean()), False
    if t.size < 2 or start < t[0] or end > t[-1]:
        return None, False
    return float(np.interp([start, end], t, values).mean()), True


def difference(samples: Samples, base: str, bounds: tuple[int, int]) -> float | None:
    """How far a counter moved in a window, in the store's unit; None where it was not read around it."""
    column = next((i for i, c in enumerate(samples.channels) if c.base == base), None)
    if column is None:
        return None
    t, values = _read(samples, column)
    if t.size < 2 or bounds[0] < t[0] or bounds[1] > t[-1]:
        return None
    ends = np.interp(list(bounds), t, values)
    return float(ends[1] - ends[0])


def mean_power(info: MetricInfo, samples: Samples, bounds: tuple[int, int], missing: MetricValue) -> MetricValue:
    """Mean power of a pass from energy counters; `missing` where there are none."""
    columns = [i for i in _columns(info, samples) if samples.channels[i].unit == "J"]
    parts = [_integrate(samples, i, [bounds]) for i in columns]
    if not parts:
        return missing
    bad = next((p for p in parts if isinstance(p, str)), None)
    if bad is not None:
        return MetricValue(info.name, None, info.unit, reason=bad)
    seconds = (bounds[1] - bounds[0]) * 1e-9
    good = [p for p in parts if isinstance(p, Integral)]
    method = ", ".join(dict.fromkeys(_method(samples.channels[i]) for i in columns))
    uncertainty = float(np.sqrt(sum(p.uncertainty**2 for p in good))) / seconds
    return MetricValue(info.name, sum(p.value for p in good) / seconds, info.unit, f"{method} / time", uncertainty)


def _read(samples: Samples, column: int) -> tuple[Ints, Floats]:
    """Times and values of the readings of one channel; a counter that began anew goes on."""
    channel = samples.channels[column]
    read = samples.raw[:, column] != MISSING
    raw = samples.raw[read, column]
    if channel.wraps and raw.size:
        raw = raw + np.concatenate(([0], np.cumsum(np.diff(raw) < 0))) * channel.wraps
    return samples.t[read], (raw * (channel.times / channel.over)).astype(np.float64)


def _integrate(samples: Samples, column: int, spans: Sequence[tuple[int, int]]) -> Integral | str:
    """The channel over the spans; a reason where it cannot be had."""
    t, values = _read(samples, column)
    if t.size < 2 or any(start < t[0] or end > t[-1] for start, end in spans):
        return "window_not_covered"
    unit = samples.channels[column].unit
    if unit == "J" and np.any(np.diff(values) < 0):
        return "counter_went_back"
    total = sum(_over(t, values, span, gauge=unit == "W") for span in spans)
    updates = _updates(t, values, spans)
    # Each edge of a window lies somewhere between two updates of the source, so it is known to half an update.
    return Integral(total, abs(total) / max(updates, 1) * float(np.sqrt(len(spans) / 2)), updates)


def _over(t: Ints, values: Floats, span: tuple[int, int], *, gauge: bool) -> float:
    """A counter's difference over a span, or the integral of a gauge over it by trapezoid, in value × s."""
    at_edges = np.interp(list(span), t, values)
    if not gauge:
        return float(at_edges[1] - at_edges[0])
    inside = slice(int(np.searchsorted(t, span[0], "right")), int(np.searchsorted(t, span[1], "left")))
    times = np.concatenate(([span[0]], t[inside], [span[1]])).astype(np.float64) * 1e-9
    level = np.concatenate(([at_edges[0]], values[inside], [at_edges[1]]))
    return float(np.sum((level[1:] + level[:-1]) / 2 * np.diff(times)))


def _updates(t: Ints, values: Floats, spans: Sequence[tuple[int, int]]) -> int:
    moved = t[1:][np.diff(values) != 0]
    return sum(int(np.count_nonzero((moved >= start) & (moved <= end))) for start, end in spans)
