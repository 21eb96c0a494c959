"""Sampled channels: what a channel's name and unit mean in the store.

In: names such as `soc_temp` or `cpu_freq.3`, and units such as `m°C`, `uJ`, `kHz`. Out: the metric a channel
belongs to, the unit in the store, and the exact factor as a fraction. A unit may carry a minus (`-µA`): the device
counts the other way round. Guarantee: an unknown unit is kept as it is, never guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from math import gcd

_PREFIXES = {"": (1, 1), "n": (1, 10**9), "u": (1, 10**6), "µ": (1, 10**6), "μ": (1, 10**6), "m": (1, 1000),
             "c": (1, 100), "d": (1, 10), "k": (1000, 1), "M": (10**6, 1), "G": (10**9, 1)}  # fmt: skip
# Unit without prefix → unit in the store and its factor. Charge is kept in mAh, time in ns.
_UNITS = {"W": ("W", 1, 1), "J": ("J", 1, 1), "Wh": ("J", 3600, 1), "Ws": ("J", 1, 1), "A": ("A", 1, 1),
          "V": ("V", 1, 1),
          "Hz": ("Hz", 1, 1), "°C": ("°C", 1, 1), "C": ("°C", 1, 1), "degC": ("°C", 1, 1), "Ah": ("mAh", 1000, 1),
          "s": ("ns", 10**9, 1), "%": ("%", 1, 1), "B": ("bytes", 1, 1)}  # fmt: skip
_WHOLE = {"bytes": ("bytes", 1, 1), "KiB": ("bytes", 1024, 1), "MiB": ("bytes", 1024**2, 1), "permille": ("%", 1, 10),
          "min": ("ns", 60 * 10**9, 1), "level": ("level", 1, 1), "1": ("1", 1, 1)}  # fmt: skip
_UNIT = re.compile(r"(-?)([nuµμmcdkMG]?)(" + "|".join(sorted(map(re.escape, _UNITS), key=len, reverse=True)) + ")")


@dataclass(frozen=True, slots=True)
class Channel:
    """One column of samples: value in `unit` = raw × `times` / `over`; raw values are in `raw_unit`, and
    begin anew at `wraps` if that is known."""

    name: str
    raw_unit: str
    source: str
    unit: str
    times: int
    over: int
    wraps: int | None = None

    @property
    def base(self) -> str:
        """The name without its part: `cpu_freq` of `cpu_freq.3`."""
        return _base(self.name)


@cache
def _base(name: str) -> str:
    return re.split(r"[.:/\[]", name, maxsplit=1)[0]


def channel(name: str, unit: str, source: str) -> Channel:
    """The channel of a column of `samples.jsonl`."""
    if unit in _WHOLE:
        return Channel(name, unit, source, *_WHOLE[unit])
    found = _UNIT.fullmatch(unit)
    if found is None:
        return Channel(name, unit, source, unit, 1, 1)
    times, over = _PREFIXES[found[2]]
    stored, factor, divisor = _UNITS[found[3]]
    times, over = times * factor, over * divisor
    common = gcd(times, over)
    sign = -1 if found[1] else 1
    return Channel(name, unit, source, stored, sign * (times // common), over // common)
