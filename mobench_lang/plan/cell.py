"""One cell of a plan, resolved: what its axes say, with bound parameters applied.

In: a plan and an index vector. Out: the entities and values a launch is made from. Guarantee: pure and cheap enough to
be called once per launch; nothing is looked up anywhere else.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from mobench_lang.ir import Entity, Value
from mobench_lang.plan.model import Plan, PlanArtifact


@dataclass(frozen=True, slots=True)
class Cell:
    """The resolved content of one cell. `quant` is None where the model is used as published."""

    model: Entity
    quant: str | None
    engine: Entity
    device: Entity
    workload: Entity
    labels: dict[str, str]


def resolve(plan: Plan, vector: tuple[int, ...]) -> Cell:
    """The cell of an index vector; parameters that free axes bind are set in its engine, device or workload."""
    values: dict[str, Value] = {}
    for axis, index in zip(plan.axes, vector, strict=True):
        values[axis.name] = axis.values[index]
    for axis in plan.axes:
        if axis.binds:
            role, key = axis.binds.split(".")
            values[role] = with_attribute(_entity(values[role]), key, values[axis.name])
    quant = values.get("quant")
    return Cell(
        model=_entity(values["model"]),
        quant=None if quant is None else str(quant),
        engine=_entity(values["engine"]),
        device=_entity(values["device"]),
        workload=_entity(values["workload"]),
        labels={axis.name: axis.labels[index] for axis, index in zip(plan.axes, vector, strict=True)},
    )


def artifact_of(plan: Plan, cell: Cell) -> PlanArtifact:
    """The weights a cell runs."""
    return next(a for a in plan.artifacts if (a.model, a.quant) == (cell.model.name, cell.quant))


def without_attribute(entity: Entity, key: str) -> Entity:
    """The entity without one attribute."""
    return replace(entity, attrs=tuple((k, v) for k, v in entity.attrs if k != key))


def with_attribute(entity: Entity, key: str, value: Value) -> Entity:
    """The entity with one attribute set; attributes stay sorted."""
    attrs = {**dict(entity.attrs), key: value}
    return replace(entity, attrs=tuple(sorted(attrs.items())))


def _entity(value: Value) -> Entity:
    assert isinstance(value, Entity)  # noqa: S101 - the checker has typed the axes
    return value
