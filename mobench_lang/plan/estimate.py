"""What a plan will take: launches, time, bytes.

In: a plan with its cells' index vectors. Out: numbers per device. Guarantee: what is not known is None and said, never
guessed: the least time is what the spec declares (pauses, durations, cool-downs), the most is what its time-outs allow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from mobench_lang.lockfile import names_quant
from mobench_lang.pauses import pauses
from mobench_lang.plan.model import Plan, PlanArtifact


@dataclass(frozen=True, slots=True)
class Estimate:
    """One device's share: cells, launches, least and most time in ns, bytes of weights (None: not all are known), and
    whether it has to run off its charger."""

    device: str
    cells: int
    launches: int
    least_ns: int
    most_ns: int
    bytes: int | None
    on_battery: bool


def estimate(plan: Plan, vectors: Iterable[tuple[int, ...]]) -> tuple[Estimate, ...]:
    """The share of each device, in the order of the axis."""
    names = [a.name for a in plan.axes]
    device, workload, model = (names.index(n) for n in ("device", "workload", "model"))
    quant = names.index("quant") if "quant" in names else None
    work: Counter[tuple[int, int]] = Counter()
    weights: dict[int, set[tuple[str, str | None]]] = {}
    for v in vectors:
        work[v[device], v[workload]] += 1
        pair = (plan.axes[model].labels[v[model]], None if quant is None else plan.axes[quant].labels[v[quant]])
        weights.setdefault(v[device], set()).add(pair)
    return tuple(_share(plan, number, work, weights[number]) for number in sorted(weights))


def _share(plan: Plan, number: int, work: Counter[tuple[int, int]], pairs: set[tuple[str, str | None]]) -> Estimate:
    protocol = plan.protocol
    names = [a.name for a in plan.axes]
    axis = plan.axes[names.index("workload")]
    per_cell = 1 if protocol.isolation == "cell" else protocol.repeat
    passes = protocol.warmup + (protocol.repeat if protocol.isolation == "cell" else 1)
    cells = sum(n for (d, _), n in work.items() if d == number)
    launches = cells * per_cell
    declared = sum(n * per_cell * passes * pauses(axis.values[w]) for (d, w), n in work.items() if d == number)
    sizes = {(a.model, a.quant): a.size if _as_published(a) else None for a in plan.artifacts}
    known = [sizes.get(p) for p in pairs]
    total = sum(s for s in known if s is not None) if all(s is not None for s in known) else None
    charger = next((c.value for c in plan.conditions if c.name == "charger"), None)
    return Estimate(
        device=plan.axes[names.index("device")].labels[number],
        cells=cells,
        launches=launches,
        least_ns=declared + max(launches - 1, 0) * protocol.cooldown_ns,
        most_ns=launches * (protocol.timeout_ns + protocol.gate_timeout_ns * _gated(plan))
        + max(launches - 1, 0) * protocol.cooldown_ns,
        bytes=total,
        on_battery=charger == "off",
    )


def _as_published(artifact: PlanArtifact) -> bool:
    """Whether the file is used as it is, so that its size is that of the weights."""
    return artifact.quant is None or (artifact.source == "hf" and names_quant(artifact.location, artifact.quant))


def _gated(plan: Plan) -> int:
    return int(plan.protocol.start_below is not None or plan.protocol.max_load is not None)
