"""Plans by hand, for tests of what comes after `compile`: `build(tmp_path, engines=(fake("ok"),), repeat=2)`."""

from __future__ import annotations

import hashlib
import itertools
from decimal import Decimal
from pathlib import Path
from typing import Any

from mobench_lang.ir import Entity, Metric, Order, Quantity, Value
from mobench_lang.plan.digest import canonical_json, plan_digest
from mobench_lang.plan.model import Plan, PlanArtifact, PlanAxis, PlanProtocol, PlanSetting

SECOND = 1_000_000_000


def entity(kind: str, name: str, pack: str = "", **attrs: Value) -> Entity:
    """An entity with its attributes sorted, as the checker makes them."""
    return Entity(kind=kind, name=name, base=pack or name, pack=pack, attrs=tuple(sorted(attrs.items())))


def fake(behave: str = "ok", **attrs: Value) -> Entity:
    """A configured fake engine."""
    return entity("engine", f"fake {{ behave = {behave} }}", "fake", behave=behave, **attrs)


def device(name: str, script: Path | None = None, **attrs: Value) -> Entity:
    """A fake device; `script` is the folder with what it does."""
    if script is not None:
        attrs["script"] = str(script)
    return entity("device", name, "fake", **attrs)


LOCAL = entity("device", "local", "local")


def workload(name: str = "w", prompt: int = 8, output: int = 4, **attrs: Value) -> Entity:
    """A workload of random tokens."""
    return entity("workload", name, prompt=prompt, output=output, **attrs)


def protocol(**changes: Any) -> PlanProtocol:
    """The protocol: one warm-up, one repetition, a time-out of a minute."""
    values: dict[str, Any] = {
        "warmup": 1,
        "repeat": 1,
        "timeout_ns": 60 * SECOND,
        "retries": 1,
        "order": Order.RANDOMIZED,
        "isolation": "trial",
        "seed": 7,
        "start_below": None,
        "abort_above": None,
        "cooldown_ns": 0,
        "gate_timeout_ns": 300 * SECOND,
        "max_load": None,
    }
    return PlanProtocol(**(values | changes))


def axis(name: str, values: tuple[Value, ...], binds: str = "", kind: str = "") -> PlanAxis:
    """An axis whose labels are the names of its values."""
    labels = tuple(value.name if isinstance(value, Entity) else str(value) for value in values)
    return PlanAxis(name=name, type=kind or name, values=values, labels=labels, binds=binds)


def build(
    folder: Path,
    *,
    engines: tuple[Entity, ...] = (fake(),),
    devices: tuple[Entity, ...] = (LOCAL,),
    workloads: tuple[Entity, ...] = (workload(),),
    axes: tuple[PlanAxis, ...] = (),
    conditions: tuple[PlanSetting, ...] = (),
    bench: str = "hello",
    model: str = "weights.gguf",
    packs_version: str = "1",
    chat_template: str | None = None,
    metrics: tuple[str, ...] = ("load_time",),
    **run: Any,
) -> Path:
    """Write a build folder: the full product of the axes, ids by content as `compile` makes them. Returns the
    folder."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = folder.parent / model
    if not weights.exists() and weights.parent.is_dir():
        weights.write_bytes(b"GGUF, as far as a fake engine is concerned")
    model_entity = entity("model", "tiny", **({} if chat_template is None else {"chat_template": chat_template}))
    all_axes = (
        axis("model", (model_entity,)),
        axis("engine", engines),
        axis("device", devices),
        axis("workload", workloads),
        *axes,
    )
    rules = protocol(**run)
    lines = b""
    count = 0
    for vector in itertools.product(*(range(len(a.values)) for a in all_axes)):
        content = {a.name: a.values[i] for a, i in zip(all_axes, vector, strict=True)} | {"warmup": rules.warmup}
        identity = hashlib.sha256(canonical_json(content)).hexdigest()[:16]
        lines += canonical_json({"id": identity, "v": vector}) + b"\n"
        count += 1
    plan = Plan(
        edition=1,
        bench=bench,
        axes=all_axes,
        protocol=rules,
        conditions=conditions,
        metrics=tuple(Metric(name=name, optional=False) for name in metrics),
        expectations=(),
        artifacts=(
            PlanArtifact(key="tiny-key", model="tiny", quant=None, source="path", location=str(weights), sha256=None),
        ),
        skipped=(),
        cells=count,
        cells_sha256=hashlib.sha256(lines).hexdigest(),
        packs=(("engine:fake", packs_version),),
        files=(),
        digest="",
    )
    plan = plan.model_copy(update={"digest": plan_digest(plan)})
    (folder / "cells.jsonl").write_bytes(lines)
    (folder / "plan.json").write_bytes(canonical_json(plan) + b"\n")
    return folder


def ns(seconds: float) -> Quantity:
    """A duration as the plan has it."""
    return Quantity(value=Decimal(int(seconds * SECOND)), unit="ns")
