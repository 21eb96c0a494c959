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


def _integrate(samples: Samples, column: int, spans: Sequence[tuple[int, int]]) -> Integral | str:
    """The channel over the spans; a reason where it cannot be had."""
    channel = samples.channels[column]
    read = samples.raw[:, column] != MISSING
    t: Ints = samples.t[read]
    values: Floats = samples.raw[read, column] * (channel.times / channel.over)
    if t.size < 2 or any(start < t[0] or end > t[-1] for start, end in spans):
        return "window_not_covered"
    counter = channel.unit in ("J", "mAh")
    if channel.unit == "J" and np.any(np.diff(values) < 0):
        return "counter_went_back"
    total = 0.0
    for start, end in spans:
        inside = slice(int(np.searchsorted(t, start, "right")), int(np.searchsorted(t, end, "left")))
        at_edges = np.interp([start, end], t, values)
        if counter:
            total += float(at_edges[1] - at_edges[0])
        else:
            times = np.concatenate(([start], t[inside], [end])).astype(np.float64) * 1e-9
            watts = np.concatenate(([at_edges[0]], values[inside], [at_edges[1]]))
            total += float(np.sum((watts[1:] + watts[:-1]) / 2 * np.diff(times)))
    updates = _updates(t, values, spans)
    # Each edge of a window lies somewhere between two updates of the source, so it is known to half an update.
    return Integral(total, abs(total) / max(updates, 1) * np.sqrt(len(spans) / 2), updates)


def _updates(t: Ints, values: Floats, spans: Sequence[tuple[int, int]]) -> int:
    moved = t[1:][np.diff(values) != 0]
    return sum(int(np.count_nonzero((moved >= start) & (moved <= end))) for start, end in spans)
