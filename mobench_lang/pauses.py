"""The time that a workload declares: its pauses and durations, which no engine can make shorter.

In: a workload of the IR. Out: ns of one measured pass; a warm-up pass neither pauses nor repeats. Used by the checker
(is the time-out long enough?) and by the estimate of a plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from mobench_lang.frozen import frozen
from mobench_lang.ir import Entity, Quantity, Record, Value


@frozen
class Declared:
    """What one measured pass declares, in ns: time in which the device computes, and time that is part pause."""

    computing: int = 0
    waiting: int = 0

    @property
    def whole(self) -> int:
        """All of it."""
        return self.computing + self.waiting


TIMED = ("workload.duration", "workload.think", "workload.between")  # what an axis may bind that takes time


def declared(workload: Value, bound: Mapping[str, Value] = MappingProxyType({})) -> Declared:
    """The durations and pauses of one measured pass; `bound` are the attributes that axes set on top.

    A duration with pauses in it counts as waiting.
    """
    if not isinstance(workload, Entity):
        return Declared()
    think, between, duration = (_ns(bound.get(k, workload.get(k))) for k in ("think", "between", "duration"))
    if duration:
        return Declared(waiting=duration) if think or between else Declared(computing=duration)
    prompts = workload.get("prompts")
    if not isinstance(prompts, tuple):
        return Declared()
    turns = [len(t) if isinstance(p, Record) and isinstance(t := p.get("turns"), tuple) else 1 for p in prompts]
    return Declared(waiting=think * sum(n - 1 for n in turns) + between * (len(turns) - 1))


def _ns(value: Value) -> int:
    return int(value.value) if isinstance(value, Quantity) else 0
