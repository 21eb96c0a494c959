"""What differs between two plans.

In: two plans with the ids of their cells. Out: differences as data: cells, axes, protocol, conditions, metrics,
expectations, artefacts. Guarantee: cells are compared by content; a plan that was only reformatted does not differ.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import to_jsonable_python

from mobench_lang.plan.model import Plan


@dataclass
class Difference:
    """From one plan to another: what went, what came, what changed (before, after)."""

    cells_removed: list[str] = field(default_factory=list)
    cells_added: list[str] = field(default_factory=list)
    cells_kept: int = 0
    removed: dict[str, list[str]] = field(default_factory=dict)
    added: dict[str, list[str]] = field(default_factory=dict)
    changed: dict[str, tuple[Any, Any]] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """True if the two mean the same."""
        return not (self.cells_removed or self.cells_added or self.removed or self.added or self.changed)


def difference(before: Plan, ids_before: Iterable[str], after: Plan, ids_after: Iterable[str]) -> Difference:
    """The difference of two plans."""
    found = Difference()
    old, new = list(ids_before), list(ids_after)
    in_old, in_new = set(old), set(new)
    found.cells_removed = [i for i in old if i not in in_new]
    found.cells_added = [i for i in new if i not in in_old]
    found.cells_kept = len(in_old & in_new)
    axes_before, axes_after = ({a.name: a.labels for a in p.axes} for p in (before, after))
    for name in dict.fromkeys([*axes_before, *axes_after]):
        _lists(found, name, axes_before.get(name, ()), axes_after.get(name, ()))
    _lists(found, "measure", [m.name for m in before.metrics], [m.name for m in after.metrics])
    _lists(found, "expectations", _claims(before), _claims(after))
    _lists(found, "conditions", _conditions(before), _conditions(after))
    _values(found, "run", before.protocol.model_dump(mode="json"), after.protocol.model_dump(mode="json"))
    _values(found, "artifact", _artifacts(before), _artifacts(after))
    _values(found, "pack", dict(before.packs), dict(after.packs))
    if before.bench != after.bench:
        found.changed["bench"] = (before.bench, after.bench)
    return found


def _claims(plan: Plan) -> list[str]:
    texts = []
    for e in plan.expectations:
        where = f" where {e.where}" if e.where else ""
        per = f" per {', '.join(e.per)}" if e.per else ""
        texts.append(f"{e.severity} {e.text}{where}{per}")
    return texts


def _conditions(plan: Plan) -> list[str]:
    return [f"{c.name}{'?' if c.optional else ''} = {to_jsonable_python(c.value)}" for c in plan.conditions]


def _artifacts(plan: Plan) -> dict[str, str]:
    return {f"{a.model} {a.quant or 'as published'}": a.sha256 or a.location or a.repo or "" for a in plan.artifacts}


def _lists(found: Difference, name: str, before: Iterable[str], after: Iterable[str]) -> None:
    old, new = list(before), list(after)
    gone, come = [x for x in old if x not in new], [x for x in new if x not in old]
    if gone:
        found.removed[name] = gone
    if come:
        found.added[name] = come


def _values(found: Difference, name: str, before: dict[str, Any], after: dict[str, Any]) -> None:
    for key in dict.fromkeys([*before, *after]):
        if key in before and key in after and before[key] != after[key]:
            found.changed[f"{name}.{key}"] = (before[key], after[key])
