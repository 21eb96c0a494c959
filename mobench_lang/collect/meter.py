"""The recording of an external meter, in the device's time.

In: `meter.jsonl` (values by the meter's own count, pairs of that count and the host's clock) and `pulses.jsonl` (when
the device kept itself busy, on its own clock) of one launch. Out: `Metered`: power with times on the device's clock,
how sure they are; or why there are none. Guarantee: the two clocks are brought together by the pulses before *and*
after the instrument; a pattern that is not found, found twice, or found with a drift that no clock has, gives a reason
and no times. The raw files stay what they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobench_lang.collect.channels import channel
from mobench_lang.collect.lines import read_objects
from mobench_lang.collect.records import MISSING, Ints, Samples

Floats = NDArray[np.float64]
Pulse = tuple[int, int]

STEP_S = 0.002
"""The grid on which the pattern is looked for."""
MARGIN_S = 0.3
"""What belongs to the pattern before its first and after its last burst."""
LEAST_SCORE = 0.7
"""Correlation of the meter's power with the pattern, from which on the pattern may be there."""
RIVAL = 0.1
"""Another place that fits nearly as well makes the pattern ambiguous."""
APART_S = 0.2
MOST_DRIFT = 1e-3
"""More than 1000 ppm between two quartz clocks is no drift."""
SLACK_S = 0.05
MOST_UNCERTAIN_S = 0.1
LEAST_BURSTS = 3
MOST_DROPPED = 0.01
TRIPPED_A, TRIPPED_S = 1e-3, 0.2
"""No phone that is on draws less than 1 mA for so long: the meter switched it off."""
LEAST_PAIRS = 10
REST_NS = 1_000_000_000
"""So long after the last burst a device draws again what it draws at rest."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """device time = `device` + (meter time − `meter`) × `rate`, in s on each clock. `score` is the worse correlation of
    the two patterns, `uncertainty` how far the edges of the bursts lie from where it puts them (standard deviation,
    s)."""

    device: float
    meter: float
    rate: float
    score: float
    uncertainty: float

    @property
    def drift_ppm(self) -> float:
        """How much faster the device's clock goes."""
        return (self.rate - 1) * 1e6


@dataclass(frozen=True, slots=True)
class Metered:
    """Power in µW at times on the device's clock in ns. With a `reason` there are neither."""

    source: str
    t: Ints
    power: Ints
    hz: float
    alignment: Alignment | None
    reason: str = ""
    detail: str = ""
    quiet_from: int | None = None


def read_meter(folder: Path) -> Metered | None:
    """The recording of a launch's folder; None where no meter was asked for one."""
    path = folder / "meter.jsonl"
    if not path.exists():
        return None
    lines, _ = read_objects(path)
    head = next((o for o in lines if o.get("e") == "meter"), {})
    source = str(head.get("source", "meter"))
    if head.get("usb") == "on":
        source += " (USB passthrough on: what comes in by USB is not measured)"
    end = next((o for o in reversed(lines) if o.get("e") == "end"), None)
    rows = [o for o in lines if o.get("e") == "s" and _is_row(o)]
    pairs = np.array([(o["n"], o["t"]) for o in lines if o.get("e") == "sync"], np.float64)
    if end is None:
        return _without(source, "meter_lost", "the recording has no end: its process was ended")
    if end.get("reason"):
        return _without(source, str(end["reason"]), str(end.get("detail", "")))
    samples, dropped = int(end.get("samples", 0)), int(end.get("dropped", 0))
    if dropped > MOST_DROPPED * samples:
        return _without(source, "meter_dropped", f"{dropped} of {samples} samples did not arrive")
    if len(rows) < LEAST_PAIRS or len(pairs) < LEAST_PAIRS:
        return _without(source, "meter_not_aligned", "the recording is too short")
    count = np.array([o["n"] for o in rows], np.float64)
    values = np.array([o["v"] for o in rows], np.float64)
    seconds = host_times(count + float(head.get("block", 1)) / 2, pairs)
    hz = 1 / float(np.median(np.diff(seconds)))
    if _tripped(values[:, 0] * 1e-6, hz):
        return _without(source, "meter_tripped", "the meter gave no current: its limit, or the phone went off")
    told, _ = read_objects(folder / "pulses.jsonl") if (folder / "pulses.jsonl").exists() else ([], False)
    before, after = pulses(told, "before"), pulses(told, "after")
    found = align(seconds, values[:, 2] * 1e-6, before, after)
    if isinstance(found, str):
        return _without(source, "meter_not_aligned", found)
    t = np.round((found.device + (seconds - found.meter) * found.rate) * 1e9).astype(np.int64)
    return Metered(source, t, values[:, 2].astype(np.int64), hz, found, quiet_from=before[-1][1] + REST_NS)


def joined(samples: Samples, metered: Metered | None) -> Samples:
    """The samples of a launch with the meter's power as one more channel, `power.meter`, in rows of its own."""
    if metered is None:
        return samples
    if metered.alignment is None:
        return replace(samples, unmetered=metered.reason)
    found = metered.alignment
    source = (
        f"{metered.source}, aligned by pulses of load to {found.uncertainty * 1e3:.2g} ms (correlation "
        f"{found.score:.2f}, drift {found.drift_ppm:+.0f} ppm)"
    )
    old, new = samples.t.size, metered.t.size
    raw = np.full((old + new, len(samples.channels) + 1), MISSING, np.int64)
    raw[:old, :-1] = samples.raw
    raw[old:, -1] = metered.power
    t = np.concatenate((samples.t, metered.t))
    order = np.argsort(t, kind="stable")
    return replace(
        samples,
        channels=(*samples.channels, channel("power.meter", "µW", source)),
        hz=samples.hz or metered.hz,
        t=t[order],
        raw=raw[order],
        states=(*samples.states, "ok") if samples.states else (),
        skew_ns=found.uncertainty * 1e9,
        quiet_from=metered.quiet_from,
    )


def _without(source: str, reason: str, detail: str) -> Metered:
    return Metered(source, np.empty(0, np.int64), np.empty(0, np.int64), 0.0, None, reason, detail)


def _is_row(row: dict[str, Any]) -> bool:
    values = row.get("v")
    return isinstance(row.get("n"), int) and isinstance(values, list) and [type(v) for v in values] == [int] * 3


def pulses(lines: Sequence[dict[str, Any]], at: str) -> list[Pulse]:
    """The bursts before or after the instrument: begin and end on the device's clock in ns."""
    found: list[Pulse] = []
    here = ""
    for line in lines:
        if line.get("e") == "pulses":
            here = str(line.get("at"))
        begin, end = line.get("spawned"), line.get("exited")
        if here == at and isinstance(begin, int) and isinstance(end, int) and begin < end:
            found.append((begin, end))
    return found


def host_times(count: Floats, pairs: Floats) -> Floats:
    """Times on the host's clock in s of the meter's counts.

    A count arrives some time after it was taken, never before: the line that fits is the lower edge of the pairs, found
    as the least delays of the first and the last third.
    """
    n, t = pairs[:, 0], pairs[:, 1] * 1e-9
    slope, base = np.polyfit(n - n[0], t - t[0], 1)
    late = (t - t[0]) - (slope * (n - n[0]) + base)
    third = max(n.size // 3, 1)
    first, last = int(np.argmin(late[:third])), n.size - third + int(np.argmin(late[-third:]))
    if n[last] > n[first]:
        slope = (t[last] - t[first]) / (n[last] - n[first])
    return np.asarray(t[first] + (count - n[first]) * slope, np.float64)


def _tripped(amperes: Floats, hz: float) -> bool:
    need = max(int(TRIPPED_S * hz), 1)
    off = np.convolve(np.abs(amperes) < TRIPPED_A, np.ones(need), "valid") if amperes.size >= need else np.zeros(1)
    return bool((off > need - 0.5).any())


# ---------------------------------------------------------------- the clocks


def align(seconds: Floats, watts: Floats, before: Sequence[Pulse], after: Sequence[Pulse]) -> Alignment | str:
    """The device's clock over the meter's; why not where the bursts are not found beyond doubt."""
    if min(len(before), len(after)) < LEAST_BURSTS:
        return "the device made no pulses before and after the instrument"
    grid = np.arange(seconds[0], seconds[-1], STEP_S)
    level = np.interp(grid, seconds, watts)
    places = [_places(level, group) for group in (before, after)]
    if not all(places):
        return f"the meter does not show the pulses {'after' if places[0] else 'before'} the instrument"
    apart = (after[0][0] - before[0][0]) * 1e-9
    pairs = [
        (one[1] + other[1], one[0], other[0], min(one[1], other[1]))
        for one in places[0]
        for other in places[1]
        if abs((other[0] - one[0]) * STEP_S - apart) <= SLACK_S + MOST_DRIFT * apart
    ]
    if not pairs:
        return "the pulses before and after the instrument are not as far apart on the meter as on the device"
    best = max(pairs)
    if any(abs(p[1] - best[1]) * STEP_S > APART_S and best[0] - p[0] < 2 * RIVAL for p in pairs):
        return "the pulses are found at more than one place"
    starts = [grid[0] + best[1 + i] * STEP_S + MARGIN_S for i in range(2)]
    edges = [_edges(grid, level, group, start) for group, start in zip((before, after), starts, strict=True)]
    if any(e.size < len(group) for e, group in zip(edges, (before, after), strict=True)):
        return "the edges of the pulses are not found"
    starts = [start + float(e.mean()) for start, e in zip(starts, edges, strict=True)]
    rate = apart / (starts[1] - starts[0])
    if abs(rate - 1) > MOST_DRIFT:
        return f"the clocks would drift by {(rate - 1) * 1e6:.0f} ppm"
    spread = np.concatenate([e - e.mean() for e in edges])
    uncertainty = float(np.hypot(spread.std(), STEP_S))
    if uncertainty > MOST_UNCERTAIN_S:
        return f"the edges of the pulses lie {uncertainty * 1e3:.0f} ms from where they should"
    return Alignment(before[0][0] * 1e-9, starts[0], rate, best[3], uncertainty)


def _pattern(group: Sequence[Pulse]) -> Floats:
    """1 during a burst, 0 else, from MARGIN_S before the first."""
    zero = group[0][0]
    at = np.arange(-MARGIN_S, (group[-1][1] - zero) * 1e-9 + MARGIN_S, STEP_S)
    found = np.zeros(at.size)
    for begin, end in group:
        found[(at >= (begin - zero) * 1e-9) & (at < (end - zero) * 1e-9)] = 1.0
    return found


def _places(level: Floats, group: Sequence[Pulse]) -> list[tuple[int, float]]:
    """Where the pattern may begin (an index), and how well it fits there: the peaks of the correlation."""
    pattern = _pattern(group)
    if level.size < pattern.size:
        return []
    weights = pattern - pattern.mean()
    length = level.size + pattern.size
    product = np.fft.irfft(np.fft.rfft(level - level.mean(), length) * np.conj(np.fft.rfft(weights, length)), length)
    sums = np.concatenate(([0.0], np.cumsum(level - level.mean())))
    squares = np.concatenate(([0.0], np.cumsum((level - level.mean()) ** 2)))
    size, many = pattern.size, level.size - pattern.size + 1
    mean = (sums[size:] - sums[:-size]) / size
    spread = np.sqrt(np.maximum((squares[size:] - squares[:-size]) / size - mean**2, 0) * size)
    with np.errstate(divide="ignore", invalid="ignore"):
        score = np.nan_to_num(product[:many] / (spread * np.linalg.norm(weights)), posinf=0.0, neginf=0.0)
    score[spread < 1e-6 * np.sqrt(size)] = 0.0
    found: list[tuple[int, float]] = []
    reach = int(APART_S / STEP_S)
    left = score.copy()
    while len(found) < 8 and (at := int(np.argmax(left))) >= 0 and left[at] >= LEAST_SCORE:
        found.append((at, float(score[at])))
        left[max(at - reach, 0) : at + reach + 1] = -1.0
    return found


def _edges(grid: Floats, level: Floats, group: Sequence[Pulse], start: float) -> Floats:
    """How much later than expected each edge of the bursts is seen, in s: where the power crosses the middle."""
    smooth = np.convolve(level, np.ones(5) / 5, "same")
    found = []
    for number, (begin, end) in enumerate(group):
        b, e = (start + (x - group[0][0]) * 1e-9 for x in (begin, end))
        gap_before = (begin - group[number - 1][1]) * 1e-9 if number else MARGIN_S * 2
        gap_after = (group[number + 1][0] - end) * 1e-9 if number + 1 < len(group) else MARGIN_S * 2
        for at, rising, quiet in ((b, True, gap_before), (e, False, gap_after)):
            reach = min(e - b, quiet) / 2
            here = (grid >= at - reach) & (grid <= at + reach)
            if here.sum() < 4:
                continue
            part, when = smooth[here], grid[here]
            middle = (part.max() + part.min()) / 2
            above = part >= middle
            crossing = np.flatnonzero((~above[:-1] & above[1:]) if rising else (above[:-1] & ~above[1:]))
            if crossing.size:
                found.append(float(when[crossing[np.argmin(np.abs(when[crossing] - at))]] - at))
    return np.array(found)
