"""The time that a workload declares: its pauses and durations, which no engine can make shorter.

In: a workload of the IR. Out: ns. Used by the checker (is the time-out long enough?) and by the estimate of a plan.
"""

from __future__ import annotations

from mobench_lang.ir import Entity, Quantity, Record, Value


def pauses(workload: Value) -> int:
    """The pauses and durations that one pass over a workload declares, in ns."""
    if not isinstance(workload, Entity):
        return 0
    duration = workload.get("duration")
    if isinstance(duration, Quantity):
        return int(duration.value)
    prompts = workload.get("prompts")
    if not isinstance(prompts, tuple):
        return 0
    turns = [len(t) if isinstance(p, Record) and isinstance(t := p.get("turns"), tuple) else 1 for p in prompts]
    think, between = workload.get("think"), workload.get("between")
    total = 0
    if isinstance(think, Quantity):
        total += int(think.value) * sum(n - 1 for n in turns)
    if isinstance(between, Quantity):
        total += int(between.value) * (len(turns) - 1)
    return total
