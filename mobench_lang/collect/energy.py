"""Energy and charge of a pass, from the best source that was sampled.

In: sampled channels, the windows of the pass, when the instrument's process began. Out: one `MetricValue`. Guarantee:
the source is in `method`; a counter that went backwards, a window without readings around it, a battery that was being
charged or too few distinct readings give None with a reason instead of a number that looks good.

Sources, best first: an external meter (`energy.meter`, `power.meter`), counters (`energy.…`: RAPL, rails), gauges of
power (`power.…`: rails), current times voltage of rails (`current.VDD_IN` and `voltage.VDD_IN`), the charge counter of
a battery times its voltage where it moved often enough, its current times its voltage (`current` and `voltage`). What
the device drew before the launch is subtracted where it was sampled for long enough.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mobench_lang.collect.records import MetricValue, Samples, Window
from mobench_lang.collect.series import (
    Integral,
    Series,
    Span,
    before,
    count_updates,
    difference,
    integral,
    mean,
    series,
    times,
)
from mobench_lang.metrics import MetricInfo
from mobench_lang.protocol import Request

LEAST_UPDATES = 30
"""A gauge that moved fewer times than this inside the windows says nothing about a token."""
IDLE_LEAST_NS = 1_000_000_000
"""A shorter time before the launch says nothing about what the device draws without it."""
IDLE_LEAST_READINGS = 3

_PHASES = {"energy": ("prefill", "decode"), "energy_prefill": ("prefill",), "energy_decode": ("decode",)}

# Numerator and which tokens it is divided by.
PER_TOKEN = {
    "energy_per_token": ("energy", "output"),
    "energy_per_prompt_token": ("energy_prefill", "prompt"),
    "energy_per_output_token": ("energy_decode", "output"),
}

Unit = Literal["J", "W", "A", "V", "mAh"]


@dataclass(frozen=True, slots=True)
class Source:
    """What energy is known from: `parts` are added up, `how` is for the method, a `battery` must be discharging; its
    times are known to `skew_ns` on the device's clock."""

    parts: tuple[Series, ...]
    how: str
    battery: bool = False
    skew_ns: float = 0.0

    @property
    def method(self) -> str:
        """The source's words."""
        return f"{', '.join(dict.fromkeys(p.source for p in self.parts))}: {self.how}"


@dataclass(frozen=True, slots=True)
class Idle:
    """What a source showed before the launch: mean power in W, its uncertainty, over how many ns."""

    power: float
    uncertainty: float
    ns: int


def counted(
    info: MetricInfo, samples: Samples, windows: Sequence[Window], bounds: Span, launched: int | None
) -> MetricValue:
    """`energy…` over its phases, `battery_drain` over the pass."""
    if info.name == "battery_drain":
        return _drain(info, samples, bounds)
    spans = [(w.start, w.end) for w in windows if w.name in _PHASES.get(info.name, ())]
    if not spans:
        return MetricValue(info.name, None, info.unit, reason="not_applicable")
    source = _source(samples, spans)
    if source is None:
        why = samples.unmetered or samples.why_not(info.channels) or "not_delivered"
        return MetricValue(info.name, None, info.unit, reason=why)
    total = _total(source, samples, spans)
    if isinstance(total, str):
        return MetricValue(info.name, None, info.unit, source.method, reason=total)
    idle = _idle(source, samples, launched)
    if idle is None:
        return MetricValue(
            info.name, total.value, info.unit, f"{source.method}; idle baseline not subtracted", total.uncertainty
        )
    seconds = sum(end - start for start, end in spans) * 1e-9
    return MetricValue(
        info.name,
        total.value - idle.power * seconds,
        info.unit,
        f"{source.method}; {idle.power:.4g} W idle subtracted, {idle.ns * 1e-9:.3g} s before the launch",
        float(np.hypot(total.uncertainty, idle.uncertainty * seconds)),
    )


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
    source = _source(samples, spans)
    updates = min((count_updates(p, spans) for p in source.parts), default=0) if source else 0
    if updates < LEAST_UPDATES:
        return MetricValue(info.name, None, info.unit, known.method, reason="too_few_updates")
    uncertainty = None if known.uncertainty is None else known.uncertainty / tokens
    return MetricValue(info.name, known.value / tokens, info.unit, f"{known.method}; {updates} updates", uncertainty)


def mean_power(info: MetricInfo, samples: Samples, bounds: Span) -> MetricValue:
    """Mean power of a pass from what its energy is known from, idle included."""
    source = _source(samples, [bounds])
    if source is None:
        return MetricValue(info.name, None, info.unit, reason=samples.unmetered or "not_delivered")
    total = _total(source, samples, [bounds])
    if isinstance(total, str):
        return MetricValue(info.name, None, info.unit, source.method, reason=total)
    seconds = (bounds[1] - bounds[0]) * 1e-9
    return MetricValue(
        info.name, total.value / seconds, info.unit, f"{source.method} / time", total.uncertainty / seconds
    )


def idle_power(info: MetricInfo, samples: Samples, bounds: Span, launched: int | None) -> MetricValue:
    """Mean power before the launch, which energies are reduced by."""
    source = _source(samples, [bounds])
    idle = _idle(source, samples, launched) if source else None
    if source is None or idle is None:
        return MetricValue(info.name, None, info.unit, reason=samples.unmetered or "not_delivered")
    method = f"{source.method}, {idle.ns * 1e-9:.3g} s before the launch"
    return MetricValue(info.name, idle.power, info.unit, method, idle.uncertainty)


# ---------------------------------------------------------------- sources


def _source(samples: Samples, spans: Sequence[Span]) -> Source | None:
    """The best source that was sampled; none in place of a meter whose recording cannot be used."""
    if samples.unmetered:
        return None
    for base, unit, gauge, how in (
        ("energy", "J", False, "counter difference"),
        ("power", "W", True, "∫P dt by trapezoid"),
    ):
        meter = _columns(samples, base, unit, meter=True)
        if meter:
            return Source(tuple(series(samples, i, gauge=gauge) for i in meter), how, skew_ns=samples.skew_ns)
    for base, unit, gauge, how in (
        ("energy", "J", False, "counter difference"),
        ("power", "W", True, "∫P dt by trapezoid"),
    ):
        rails = _columns(samples, base, unit)
        if rails:
            return Source(tuple(series(samples, i, gauge=gauge) for i in rails), how)
    pairs = _pairs(samples)
    if pairs:
        return Source(tuple(pairs), "∫I·V dt by trapezoid")
    return _battery(samples, spans)


def _pairs(samples: Samples) -> list[Series]:
    """The power of every rail whose current and voltage were both sampled."""
    found = []
    for i in _columns(samples, "current", "A"):
        name = samples.channels[i].name
        other = [j for j, c in enumerate(samples.channels) if c.name == name.replace("current.", "voltage.", 1)]
        if name != "current" and other:
            current, voltage = series(samples, i, gauge=True), series(samples, other[0], gauge=True)
            found.append(times(current, voltage, samples.channels[i].source))
    return found


def _battery(samples: Samples, spans: Sequence[Span]) -> Source | None:
    volts = _columns(samples, "voltage", "V", whole=True)
    if not volts:
        return None
    voltage = series(samples, volts[0], gauge=True)
    charge, current = (
        _columns(samples, base, unit, whole=True) for base, unit in (("charge", "mAh"), ("current", "A"))
    )
    if charge and voltage.t.size:
        gauge = series(samples, charge[0], gauge=False)
        if count_updates(gauge, spans) >= LEAST_UPDATES:
            # What is left goes down while it is used: 1 mAh at the mean voltage is 3.6 J per volt.
            taken = Series(gauge.t, -gauge.values * 3.6 * float(voltage.values.mean()), False, gauge.source)
            return Source((taken,), "charge difference × mean voltage", battery=True)
    if current:
        product = times(series(samples, current[0], gauge=True), voltage, samples.channels[current[0]].source)
        return Source((product,), "∫I·V dt by trapezoid", battery=True)
    return None


def _columns(samples: Samples, base: str, unit: str, *, meter: bool = False, whole: bool = False) -> list[int]:
    """The columns of a base, all of them, only its `meter`, or only the one without a part (the battery's)."""
    return [
        i
        for i, c in enumerate(samples.channels)
        if c.base == base
        and c.unit == unit
        and (not meter or c.name == f"{base}.meter")
        and (not whole or c.name == base)
    ]


def _total(source: Source, samples: Samples, spans: Sequence[Span]) -> Integral | str:
    if source.battery and _charging(samples, spans):
        return "charging"
    parts = [integral(part, spans) for part in source.parts]
    bad = next((p for p in parts if isinstance(p, str)), None)
    if bad is not None:
        return bad
    good = [p for p in parts if isinstance(p, Integral)]
    return Integral(
        sum(p.value for p in good),
        float(np.sqrt(sum(p.uncertainty**2 for p in good) + _skewed(source, spans) ** 2)),
        min((p.updates for p in good), default=0),
    )


def _skewed(source: Source, spans: Sequence[Span]) -> float:
    """What an error of `skew_ns` in the times does to an energy, in J: at each edge at most the skew times what the
    power spans in the window."""
    if not source.skew_ns:
        return 0.0
    total = 0.0
    for part in source.parts:
        for start, end in spans:
            near = slice(*np.searchsorted(part.t, (start - source.skew_ns, end + source.skew_ns)))
            values = part.values[near]
            total += 2 * (float(np.ptp(values)) * source.skew_ns * 1e-9) ** 2 if values.size else 0.0
    return float(np.sqrt(total))


def _charging(samples: Samples, spans: Sequence[Span]) -> bool:
    """Whether the battery took in charge during the spans; without a current its charge must not have risen."""
    current = _columns(samples, "current", "A", whole=True)
    if current:
        found = series(samples, current[0], gauge=True)
        means = [m for m, _ in (mean(found, span) for span in spans) if m is not None]
        return bool(means) and sum(means) <= 0
    charge = series(samples, _columns(samples, "charge", "mAh")[0], gauge=False)
    moved = [d for d in (difference(charge, span) for span in spans) if d is not None]
    return sum(moved) > 0


def _idle(source: Source, samples: Samples, launched: int | None) -> Idle | None:
    """What the source showed before the launch, if it was read for long enough."""
    if launched is None:
        return None
    power, variance, shortest = 0.0, 0.0, launched
    for part in source.parts:
        found = before(part, launched, samples.quiet_from)
        if found.t.size < IDLE_LEAST_READINGS or (length := int(found.t[-1] - found.t[0])) < IDLE_LEAST_NS:
            return None
        span = (int(found.t[0]), int(found.t[-1]))
        if source.battery and _charging(samples, [span]):
            return None
        whole = integral(found, [span])
        if isinstance(whole, str):
            return None
        power += whole.value / (length * 1e-9)
        spread = float(found.values.std()) if found.gauge else whole.uncertainty / (length * 1e-9)
        variance += spread**2
        shortest = min(shortest, length)
    return Idle(power, float(np.sqrt(variance)), shortest)


def _drain(info: MetricInfo, samples: Samples, bounds: Span) -> MetricValue:
    """How far the gauge of the battery's charge went down in the pass."""
    columns = _columns(samples, "charge", "mAh")
    if not columns:
        return MetricValue(info.name, None, info.unit, reason="not_delivered")
    gauge = series(samples, columns[0], gauge=False)
    moved = difference(gauge, bounds)
    if moved is None:
        return MetricValue(info.name, None, info.unit, gauge.source, reason="window_not_covered")
    updates = count_updates(gauge, [bounds])
    uncertainty = abs(moved) / max(updates, 1) * float(np.sqrt(0.5))
    # A gauge counts what is left.
    return MetricValue(info.name, -moved, info.unit, f"{gauge.source}: gauge difference", uncertainty)
