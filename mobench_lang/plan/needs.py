"""Which weights the cells of a bench need.

In: `ir.Bench`. Out: each (model, quant) that some cell has, with the engines that are to run it. Guarantee: in the
order of the axes; nothing is opened, so that weights can be asked for before they are there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mobench_lang.ir import Bench, Entity, Record
from mobench_lang.lockfile import HubSource, Lock
from mobench_lang.matrix import expand, picker
from mobench_lang.plan.artifacts import hub_source


@dataclass(frozen=True, slots=True)
class Need:
    """Weights that are needed. `engines` are the packs that run them, `folder` is where a relative path starts."""

    model: Entity
    quant: str | None
    engines: tuple[str, ...]
    folder: Path | None

    @property
    def source(self) -> Record:
        """Where the weights come from."""
        return _source(self.model)


def needs(bench: Bench, folders: Mapping[str, Path | None]) -> tuple[Need, ...]:
    """The weights of all cells; `folders` says for each model where the paths of its source start."""
    axes = {a.name: a for a in bench.axes}
    order = [a.name for a in bench.axes]
    names = ["model", "engine", *(["quant"] if "quant" in axes else [])]
    pairs: dict[tuple[int, ...], set[int]] = {}
    for model, engine, *quant in map(picker(tuple(order.index(n) for n in names)), expand(bench)):
        pairs.setdefault((model, *quant), set()).add(engine)
    found = []
    for (number, *chosen), engines in sorted(pairs.items()):
        value = _entity(axes["model"].values[number])
        packs = dict.fromkeys(_entity(axes["engine"].values[e]).pack for e in sorted(engines))
        form = str(axes["quant"].values[chosen[0]]) if chosen else None
        found.append(Need(value, form, tuple(packs), folders.get(value.name)))
    return tuple(found)


def mentioned(bench: Bench, folders: Mapping[str, Path | None], lock: Lock) -> tuple[set[HubSource], set[str]]:
    """The names in the lock of everything on the axes, whether a cell needs it today or not: which cells there are may
    hang on the sizes that the lock tells."""
    quants = next((a.values for a in bench.axes if a.name == "quant"), (None,))
    hub: set[HubSource] = set()
    files: set[str] = set()
    for model in (_entity(v) for a in bench.axes if a.name == "model" for v in a.values):
        source = _source(model)
        if source.get("kind") == "hf":
            hub |= {hub_source(source, None if q is None else str(q)) for q in quants}
        elif source.get("kind") == "path":
            name = lock.name_of(folders.get(model.name), str(source.get("file")))
            files |= set() if name is None else {name}
    return hub, files


def _source(model: Entity) -> Record:
    source = model.get("source")
    assert isinstance(source, Record)  # noqa: S101 - the checker requires a source
    return source


def _entity(value: object) -> Entity:
    assert isinstance(value, Entity)  # noqa: S101 - the checker has typed the axes
    return value
