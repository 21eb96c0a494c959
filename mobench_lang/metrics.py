"""The vocabulary of metrics.

In: `metrics.toml`. Out: `MetricInfo` by name, in the file's order, and what converts a number of the language into the
unit of the store. Guarantee: no heavy import; the checker, the collector, the judge and the documentation read the same
data, so a metric means one thing everywhere.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Literal, cast, get_args

from mobench_lang.frozen import frozen

Kind = Literal["timing", "memory", "sampled", "counter", "derived", "quality"]
Join = Literal["mean", "sum", "max"]

# Per dimension: the base unit of the language, and what one base unit is in the unit of the store.
_DIMENSIONS: Mapping[str, tuple[str, str]] = {
    "duration": ("ns", "1"),
    "size": ("B", "1"),
    "temperature": ("m°C", "0.001"),
    "power": ("µW", "0.000001"),
    "energy": ("µJ", "0.000001"),
    "energy per token": ("µJ/tok", "0.000001"),
    "charge": ("µAh", "0.001"),
    "frequency": ("Hz", "1"),
    "rate": ("tok/s", "1"),
    "ratio": ("1", "1"),
    "number": ("", "1"),
}


@frozen
class MetricInfo:
    """One metric: what it is, its unit in the store, and how the language writes numbers of it.

    `base` is the language's base unit (`ns`, `µJ`, `1` for ratios, empty for plain numbers); a number in it times
    `scale` is the number in `unit`. `series` metrics have many values per trial. `channels` are the memory methods or
    sampled channels it is read from; `join` says how the parts of a channel become one number. `trial` says in words
    what the one number of a trial is.
    """

    name: str
    unit: str
    dimension: str
    base: str
    scale: Decimal
    kind: Kind
    doc: str
    trial: str
    series: bool = False
    channels: tuple[str, ...] = ()
    join: Join = "mean"


@cache
def metrics() -> Mapping[str, MetricInfo]:
    """Every metric by name, in the order of `metrics.toml`."""
    text = Path(__file__).with_name("metrics.toml").read_text("utf-8")
    return MappingProxyType({name: _info(name, entry) for name, entry in tomllib.loads(text).items()})


def _info(name: str, entry: Mapping[str, object]) -> MetricInfo:
    dimension, unit, kind, join = (str(entry.get(k, d)) for k, d in _DEFAULTS)
    if kind not in get_args(Kind) or join not in get_args(Join):
        raise ValueError(f"metrics.toml: {name} has an unknown kind or join: {kind}, {join}")
    base, scale = _DIMENSIONS[dimension]
    return MetricInfo(
        name=name,
        unit=unit,
        dimension=dimension,
        base=base,
        # The language holds a ratio as 0.6, the store a percentage as 60.
        scale=Decimal(100) if unit == "%" else Decimal(scale),
        kind=cast(Kind, kind),
        doc=str(entry["doc"]),
        trial=str(entry["trial"]),
        series=bool(entry.get("series", False)),
        channels=tuple(cast("list[str]", entry.get("channels", []))),
        join=cast(Join, join),
    )


_DEFAULTS = (("dimension", "number"), ("unit", ""), ("kind", ""), ("join", "mean"))

# What is measured where a spec does not say.
DEFAULT_METRICS = ("load_time", "ttft", "prefill_rate", "decode_rate", "peak_memory")

# The columns of the view `results` that are neither axes nor metrics: no axis may bear one of these names.
RESULT_COLUMNS = ("run_id", "bench", "simulated", "trial_id", "cell_id", "rep", "attempt", "started", "flags")
