"""The metrics of one trial, from what the instrument and the sampler said about one pass.

In: the requests, phases, memory marks and samples of a pass. Out: one `MetricValue` per metric. Guarantee: pure and
repeatable; a metric without its ingredients is None with a reason (`not_applicable`: this workload has none;
`not_delivered`: the target gave nothing; `denied`, `gone`: it has a file that could not be read), never 0 and never
absent if it was asked for. Definitions: `mobench_lang/metrics.toml`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import exp, fsum
from statistics import fmean, median

from mobench_lang.collect import energy, sustained
from mobench_lang.collect.records import MetricValue, Samples, Window
from mobench_lang.collect.series import difference, mean, series
from mobench_lang.metrics import MetricInfo, metrics
from mobench_lang.protocol import Memory, Request, Scored

NOT_APPLICABLE = "not_applicable"
NOT_DELIVERED = "not_delivered"

# What every trial has, asked for or not: it costs nothing more than the stamps that are there anyway.
ALWAYS = (
    "load_time", "ttft", "prefill_rate", "decode_rate", "prefill_char_rate", "decode_char_rate", "itl", "e2e_latency",
    "peak_memory",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PassData:
    """What is known of one pass, on a device with so many `cores`. `load` is the load of the launch where this trial
    carries it; `launched` is when the instrument's process began, None where that is not known; `prompted` is False
    where the workload has no prompt (it starts from the beginning-of-sequence token); `thermal_levels` are the system's
    before and after the launch; `start` and `end` bound the pass."""

    start: int
    end: int
    cpu_ns: int
    load: Window | None
    windows: Sequence[Window]
    requests: Sequence[Request]
    marks: Sequence[Memory]
    samples: Samples
    scores: Sequence[Scored]
    prompted: bool
    cores: int | None = None
    launched: int | None = None
    thermal_levels: Sequence[int] = ()


def measure(data: PassData, wanted: Iterable[str]) -> tuple[MetricValue, ...]:
    """The wanted metrics, those that every trial has, and those that the target delivered unasked."""
    asked = set(wanted)
    found: dict[str, MetricValue] = {}
    for name, info in metrics().items():
        value = _one(info, data, found)
        if value.value is not None or name in asked or name in ALWAYS:
            found[name] = value
    return tuple(found.values())


def unmeasured(wanted: Iterable[str], reason: str) -> tuple[MetricValue, ...]:
    """The metrics of a trial that has none: a failure is a row."""
    known = metrics()
    names = dict.fromkeys([*ALWAYS, *(n for n in wanted if n in known)])
    return tuple(MetricValue(n, None, known[n].unit, reason=reason) for n in names)


def _one(info: MetricInfo, data: PassData, found: Mapping[str, MetricValue]) -> MetricValue:
    if info.name in _TIMING:
        value, reason = _TIMING[info.name](data)
        return MetricValue(info.name, value, info.unit, "stamps" if value is not None else "", None, reason)
    if info.kind == "memory":
        return _memory(info, data)
    if info.kind == "counter":
        return energy.counted(info, data.samples, data.windows, (data.start, data.end), data.launched)
    if info.name in energy.PER_TOKEN:
        return energy.per_token(info, data.samples, data.windows, data.requests, found)
    if info.name == "power":
        return energy.mean_power(info, data.samples, (data.start, data.end))
    if info.name == "idle_power":
        return energy.idle_power(info, data.samples, (data.start, data.end), data.launched)
    if info.kind == "sampled":
        sampled = _sampled(info, data)
        return sampled if sampled.value is not None else _derived(info, data, sampled)
    if info.kind == "quality":
        return _quality(info, data)
    return sustained.measured(info, data.requests)


# ---------------------------------------------------------------- from the stamps

Number = tuple[float | None, str]


def _ratio(pairs: Iterable[tuple[int, int]]) -> Number:
    """Σ count / Σ ns as a rate per second; `not_applicable` without ingredients."""
    counts, times = 0, 0
    for count, ns in pairs:
        counts += count
        times += ns
    return (counts * 1e9 / times, "") if counts > 0 and times > 0 else (None, NOT_APPLICABLE)


def _load_time(data: PassData) -> Number:
    return (None, NOT_APPLICABLE) if data.load is None else (float(data.load.end - data.load.start), "")


def _began(request: Request) -> int:
    """Where latency starts: the prompt in hand; random tokens have no text to be in hand, so the first decode call."""
    return request.prefill_start if request.conversation is None else request.accepted


def _over_requests(latency: Callable[[Request], int], data: PassData) -> Number:
    values = [latency(r) for r in data.requests if r.stamps]
    return (float(median(values)), "") if values else (None, NOT_APPLICABLE)


def _ttft(data: PassData) -> Number:
    return _over_requests(lambda r: r.stamps[0] - _began(r), data)


def _e2e_latency(data: PassData) -> Number:
    return _over_requests(lambda r: r.stamps[-1] - _began(r), data)


def _prefill_rate(data: PassData) -> Number:
    if not data.prompted:
        return None, NOT_APPLICABLE
    return _ratio((r.prompt_tokens, r.prefill_end - r.prefill_start) for r in data.requests)


def _prefill_char_rate(data: PassData) -> Number:
    # `prompt_chars` are those of the text that was evaluated, so a kept cache does not matter.
    texts = ((r.prompt_chars, r.prefill_end - r.prefill_start) for r in data.requests)
    return _ratio((chars, ns) for chars, ns in texts if chars is not None)


def _decoded(requests: Iterable[Request]) -> list[Request]:
    return [r for r in requests if len(r.stamps) > 1]


def _decode_rate(data: PassData) -> Number:
    return _ratio((len(r.stamps) - 1, r.stamps[-1] - r.stamps[0]) for r in _decoded(data.requests))


def _decode_char_rate(data: PassData) -> Number:
    # The first token's characters were there when the window began; characters per token are not known one by one.
    chars, ns = 0.0, 0
    for r in _decoded(data.requests):
        if r.output_chars is not None:
            chars += r.output_chars * (len(r.stamps) - 1) / len(r.stamps)
            ns += r.stamps[-1] - r.stamps[0]
    return (chars * 1e9 / ns, "") if chars > 0 and ns > 0 else (None, NOT_APPLICABLE)


def _itl(data: PassData) -> Number:
    gaps = [b - a for r in data.requests for a, b in pairwise(r.stamps)]
    return (float(median(gaps)), "") if gaps else (None, NOT_APPLICABLE)


_TIMING: Mapping[str, Callable[[PassData], Number]] = {
    "load_time": _load_time,
    "ttft": _ttft,
    "e2e_latency": _e2e_latency,
    "prefill_rate": _prefill_rate,
    "prefill_char_rate": _prefill_char_rate,
    "decode_rate": _decode_rate,
    "decode_char_rate": _decode_char_rate,
    "itl": _itl,
}


# ---------------------------------------------------------------- from marks, samples and scores


def _memory(info: MetricInfo, data: PassData) -> MetricValue:
    for method in info.channels:
        values = [m.bytes for m in data.marks if m.method == method]
        if values:
            return MetricValue(info.name, float(max(values)), info.unit, method)
    return MetricValue(info.name, None, info.unit, reason=NOT_DELIVERED)


def _sampled(info: MetricInfo, data: PassData) -> MetricValue:
    parts: list[tuple[float, str]] = []
    between = False
    for i, channel in enumerate(data.samples.channels):
        if channel.base in info.channels and channel.unit == info.unit:
            level, outside = mean(series(data.samples, i, gauge=True), (data.start, data.end))
            if level is not None:
                parts.append((level, channel.source))
                between = between or outside
    if not parts:
        return MetricValue(info.name, None, info.unit, reason=data.samples.why_not(info.channels) or NOT_DELIVERED)
    method = ", ".join(dict.fromkeys(s for _, s in parts))
    value = _JOIN[info.join]([m for m, _ in parts])
    return MetricValue(info.name, value, info.unit, f"{method}; interpolated" if between else method)


def _derived(info: MetricInfo, data: PassData, missing: MetricValue) -> MetricValue:
    """CPU load from counters of CPU time, the thermal level from the states around the launch; what was missing where
    there are none either."""
    if info.name == "thermal_status" and data.thermal_levels:
        return MetricValue(info.name, float(max(data.thermal_levels)), info.unit, "the higher of before and after")
    wall = data.end - data.start
    if wall <= 0:
        return missing
    if info.name == "cpu_util":
        busy = _counter(data.samples, "cpu_busy", (data.start, data.end))
        if busy is not None and data.cores:
            share = 100.0 * busy / (wall * data.cores)
            return MetricValue(info.name, share, info.unit, f"busy time of {data.cores} CPUs / wall time")
        if data.cpu_ns > 0:
            share = 100.0 * data.cpu_ns / wall
            return MetricValue(info.name, share, info.unit, "CPU time of the process / wall time; 100 % is one CPU")
    return missing


def _counter(samples: Samples, base: str, span: tuple[int, int]) -> float | None:
    """How far a counter moved in a window; None where it was not read around it."""
    column = next((i for i, c in enumerate(samples.channels) if c.base == base), None)
    return None if column is None else difference(series(samples, column, gauge=False), span)


_JOIN: Mapping[str, Callable[[list[float]], float]] = {"mean": fmean, "sum": fsum, "max": max}


def _quality(info: MetricInfo, data: PassData) -> MetricValue:
    tokens = sum(s.tokens for s in data.scores)
    if not tokens:
        return MetricValue(info.name, None, info.unit, reason=NOT_APPLICABLE)
    if info.name == "perplexity":
        value = exp(-fsum(s.logprob for s in data.scores) / tokens)
    else:
        value = sum(s.greedy for s in data.scores) / len(data.scores)
    return MetricValue(info.name, value, info.unit, "log-likelihood")
