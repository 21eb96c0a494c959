"""What a plan will take: launches, time, bytes, battery.

In: a plan with its cells' index vectors. Out: numbers per device. Guarantee: what is not known is None and said, never
guessed: the least time is what the spec declares (pauses, durations, cool-downs), the most is what its time-outs allow
if nothing has to be repeated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from mobench_lang.battery import Battery, battery
from mobench_lang.lockfile import names_quant
from mobench_lang.pauses import TIMED, Declared, declared
from mobench_lang.plan.model import Plan, PlanArtifact


@dataclass(frozen=True, slots=True)
class Estimate:
    """One device's share: cells, launches, least and most time in ns, bytes of weights (None: not all are known), and
    what it takes out of the battery (None: it need not run off its charger)."""

    device: str
    cells: int
    launches: int
    least_ns: int
    most_ns: int
    bytes: int | None
    battery: Battery | None


def estimate(plan: Plan, vectors: Iterable[tuple[int, ...]]) -> tuple[Estimate, ...]:
    """The share of each device, in the order of the axis."""
    names = [a.name for a in plan.axes]
    device, workload, model = (names.index(n) for n in ("device", "workload", "model"))
    quant = names.index("quant") if "quant" in names else None
    timed = [(i, a) for i, a in enumerate(plan.axes) if a.binds in TIMED]
    work: dict[int, Counter[tuple[int, ...]]] = {}
    weights: dict[int, set[tuple[str, str | None]]] = {}
    for v in vectors:
        work.setdefault(v[device], Counter())[v[workload], *(v[i] for i, _ in timed)] += 1
        pair = (plan.axes[model].labels[v[model]], None if quant is None else plan.axes[quant].labels[v[quant]])
        weights.setdefault(v[device], set()).add(pair)
    loads = plan.axes[workload].values

    def passes(key: tuple[int, ...]) -> Declared:
        bound = {a.binds.split(".")[1]: a.values[k] for (_, a), k in zip(timed, key[1:], strict=True)}
        return declared(loads[key[0]], bound)

    return tuple(
        _share(plan, number, [(passes(k), n) for k, n in work[number].items()], weights[number])
        for number in sorted(weights)
    )


def _share(plan: Plan, number: int, work: list[tuple[Declared, int]], pairs: set[tuple[str, str | None]]) -> Estimate:
    protocol = plan.protocol
    device = next(a for a in plan.axes if a.name == "device")
    cells = sum(n for _, n in work)
    launches = cells * (1 if protocol.isolation == "cell" else protocol.repeat)
    cooling = max(launches - 1, 0) * protocol.cooldown_ns
    computing = sum(n * protocol.repeat * d.computing for d, n in work)
    waiting = sum(n * protocol.repeat * d.waiting for d, n in work) + cooling
    most = launches * (protocol.timeout_ns + protocol.gate_timeout_ns * _gated(plan)) + cooling
    sizes = {(a.model, a.quant): a.size if _as_published(a) else None for a in plan.artifacts}
    known = [sizes.get(p) for p in pairs]
    total = sum(s for s in known if s is not None) if all(s is not None for s in known) else None
    conditions = {c.name: c.value for c in plan.conditions}
    off = conditions.get("charger") == "off"
    return Estimate(
        device=device.labels[number],
        cells=cells,
        launches=launches,
        least_ns=computing + waiting,
        most_ns=most,
        bytes=total,
        battery=battery(device.values[number], computing, waiting, most, conditions.get("battery_floor"))
        if off
        else None,
    )


def _as_published(artifact: PlanArtifact) -> bool:
    """Whether the file is used as it is, so that its size is that of the weights."""
    return artifact.quant is None or (artifact.source == "hf" and names_quant(artifact.location, artifact.quant))


def _gated(plan: Plan) -> int:
    return int(plan.protocol.start_below is not None or plan.protocol.max_load is not None)
