"""Lowering: the folder of each device that is driven by scripts.

In: a plan without files, its cells, the manifests of targets. Out: `<device>/` in the build folder: what the target's
manifest lists under `templates`, rendered, and beside it the work as data. Guarantee: nothing of a pack is imported;
the same plan gives the same bytes; cells are streamed.

`jobs.jsonl` has a job per cell of the device, in declared order: the weights under `models/`, CPUs by name, the
digest of the weights where the plan knows it. `order.tsv` has a line per launch, in the order of the schedule: block,
place in the block, line of the job (from 1), cell id, repetition, measured passes. With both, the scripts and the
weights a person can run everything by hand.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from mobench_lang import packs
from mobench_lang.ir import Entity, Value
from mobench_lang.names import slug
from mobench_lang.packs import Manifest
from mobench_lang.plan.cell import artifact_of, resolve
from mobench_lang.plan.digest import canonical_json
from mobench_lang.plan.jobs import make_job, named_cpus
from mobench_lang.plan.model import Plan, PlanArtifact
from mobench_lang.plan.schedule import schedule, token_seed
from mobench_lang.protocol import JobModel

JOBS, ORDER = "jobs.jsonl", "order.tsv"


@dataclass(slots=True)
class _Device:
    """One device with scripts: its entity, its folder, and what was seen of its cells."""

    entity: Entity
    manifest: Manifest
    folder: Path
    jobs: BinaryIO
    cells: list[int] = field(default_factory=list)
    artifacts: dict[str, PlanArtifact] = field(default_factory=dict)


def lower(plan: Plan, folder: Path) -> tuple[tuple[str, str], ...]:
    """Write the device folders of a build whose `cells.jsonl` is there; the paths of their files and the sha256 of
    each. Raises OSError, JobError, RenderError."""
    index = next(i for i, axis in enumerate(plan.axes) if axis.name == "device")
    devices = _open(plan.axes[index].values, folder)
    if not devices:
        return ()
    ids: list[str] = []
    try:
        for number, (cell_id, vector) in enumerate(_cells(folder)):
            ids.append(cell_id)
            device = devices.get(vector[index])
            if device is not None:
                device.cells.append(number)
                device.jobs.write(_job(plan, cell_id, vector, device))
    finally:
        for device in devices.values():
            device.jobs.close()
    for device in devices.values():
        with (device.folder / ORDER).open("w", encoding="ascii", newline="\n") as file:
            lines = {cell: line for line, cell in enumerate(device.cells, 1)}
            for slot in schedule(ids, device.cells, plan.protocol):
                row = (slot.block, slot.order, lines[slot.cell], ids[slot.cell], slot.rep, slot.measured)
                file.write("\t".join(map(str, row)) + "\n")
        _render(plan, device)
    paths = sorted(path for device in devices.values() for path in device.folder.iterdir())
    return tuple((path.relative_to(folder).as_posix(), _sha256(path)) for path in paths)


def _open(values: tuple[Value, ...], folder: Path) -> dict[int, _Device]:
    """The devices that have scripts, by their index on the axis, each with its folder and open file of jobs."""
    found: dict[int, _Device] = {}
    for number, value in enumerate(values):
        manifest = packs.manifests("target").get(value.pack) if isinstance(value, Entity) else None
        if isinstance(value, Entity) and manifest is not None and manifest.templates:
            place = folder / slug(value.name)
            place.mkdir()
            found[number] = _Device(value, manifest, place, (place / JOBS).open("wb"))
    return found


def _cells(folder: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    with (folder / "cells.jsonl").open("rb") as file:
        for line in file:
            cell = json.loads(line)
            yield cell["id"], tuple(cell["v"])


def _job(plan: Plan, cell_id: str, vector: tuple[int, ...], device: _Device) -> bytes:
    cell = resolve(plan, vector)
    artifact = artifact_of(plan, cell)
    device.artifacts.setdefault(artifact.key, artifact)
    template = cell.model.get("chat_template")
    known = artifact.quant is None
    job = make_job(
        cell,
        job_id=f"{plan.bench}/{cell_id}",
        model=JobModel(
            path=f"models/{artifact.key}.gguf",
            sha256=artifact.sha256 if known else None,
            size=artifact.size if known else None,
            chat_template=template if isinstance(template, str) else None,
        ),
        affinity=named_cpus(cell.device.get("affinity")),
        protocol=plan.protocol,
        measured=plan.protocol.repeat if plan.protocol.isolation == "cell" else 1,
        seed=token_seed(plan.protocol.seed, cell_id),
    )
    return job.model_dump_json().encode() + b"\n"


def _render(plan: Plan, device: _Device) -> None:
    from mobench_lang.plan.render import render, renderer

    values = _values(plan, device)
    environment = renderer(packs.package("target", device.manifest.name), device.manifest.templates_from)
    for name in device.manifest.templates:
        path = device.folder / name
        path.write_text(render(environment, f"{name}.j2", values), "utf-8", newline="\n")
        if path.suffix == ".sh":
            path.chmod(path.stat().st_mode | 0o111)


def _values(plan: Plan, device: _Device) -> Mapping[str, Any]:
    """What templates may use."""
    protocol = plan.protocol
    return {
        "bench": plan.bench,
        "device": {"name": device.entity.name, "target": device.entity.pack, **dict(device.entity.attrs)},
        "protocol": protocol.model_dump(mode="json") | {"order": protocol.order.value},
        "conditions": [{"name": c.name, "value": _simple(c.value), "optional": c.optional} for c in plan.conditions],
        "models": [
            {"key": a.key, "model": a.model, "quant": a.quant or "as published", "file": f"models/{a.key}.gguf"}
            for a in device.artifacts.values()
        ],
        "cells": len(device.cells),
    }


def _simple(value: Value) -> str | int:
    """A condition as a word or an integer in its base unit."""
    plain = json.loads(canonical_json(value))
    if isinstance(plain, dict):
        plain = plain.get("value", plain)
    return plain if isinstance(plain, str | int) and not isinstance(plain, bool) else json.dumps(plain)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
