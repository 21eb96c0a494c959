"""Compile: from a checked bench to a build folder.

In: `ir.Bench`, the lock. Out: `plan.json`, `cells.jsonl`, `origins.json`, a folder for each device that is driven by
scripts (`lower.py`) and, where local files or device addresses are needed, `places.json`. Guarantee: the same bench and
lock give the same bytes in any folder, on any machine, under any hash seed; a folder is replaced whole or not at all;
cells are streamed, never held.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python

from mobench_lang import packs
from mobench_lang.ir import Bench, Entity, Value
from mobench_lang.lockfile import NO_LOCK, Lock
from mobench_lang.matrix import Count, Vector, expand
from mobench_lang.plan.artifacts import Located, locate
from mobench_lang.plan.digest import canonical_json, plan_digest
from mobench_lang.plan.errors import JobError, RenderError
from mobench_lang.plan.lower import lower
from mobench_lang.plan.model import (
    Plan,
    PlanAxis,
    PlanExpectation,
    PlanProtocol,
    PlanSetting,
    PlanSkip,
)  # fmt: skip

BUILD_FILES = frozenset({"plan.json", "cells.jsonl", "origins.json", "places.json"})


class BuildFolderError(Exception):
    """The build folder cannot be written; the text says why and what to do."""


@dataclass(frozen=True)
class Build:
    """What was compiled: the plan, and where its local files and devices are."""

    plan: Plan
    folder: Path


def compile_bench(bench: Bench, out: Path, folders: Mapping[str, Path | None], lock: Lock = NO_LOCK) -> Build:
    """Write the build folder of a bench; `folders` says for each model where the paths of its source start, `lock` what
    its file is.

    Raises BuildFolderError if `out` is something else or cannot be written.
    """
    _check_folder(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as error:
        raise BuildFolderError(f"cannot write beside {out}: {error.strerror}") from error
    try:
        scratch.chmod(0o777 & ~_umask())
        plan, _ = _write(bench, scratch, out, Identity(bench, folders, lock))
        _replace(scratch, out)
    except OSError as error:
        raise BuildFolderError(f"cannot write {out}: {error.strerror}; the build folder is as it was") from error
    except (JobError, RenderError) as error:
        raise BuildFolderError(str(error)) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return Build(plan, out)


def plan_only(bench: Bench, folders: Mapping[str, Path | None], lock: Lock = NO_LOCK) -> Plan:
    """The plan of a bench without a build folder."""
    with tempfile.TemporaryDirectory(prefix="mobench-plan-") as scratch:
        return _write(bench, Path(scratch), Path(scratch), Identity(bench, folders, lock))[0]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _check_folder(out: Path) -> None:
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise BuildFolderError(f"{out} is not a folder; choose another with -o")
    if out.is_dir():
        strangers = sorted(p.name for p in out.iterdir() if p.name not in BUILD_FILES)
        if strangers and not (out / "plan.json").is_file():
            raise BuildFolderError(f"{out} holds other files ({strangers[0]!r}); choose an empty folder with -o")


def _replace(scratch: Path, out: Path) -> None:
    """Put the new folder where the old one was; the old one is away only for the time of two renames."""
    if not out.exists():
        scratch.rename(out)
        return
    old = scratch.with_name(scratch.name + ".old")
    out.rename(old)
    try:
        scratch.rename(out)
    except OSError:
        old.rename(out)
        raise
    shutil.rmtree(old, ignore_errors=True)


# ---------------------------------------------------------------- content


def _write(bench: Bench, folder: Path, out: Path, identity: Identity) -> tuple[Plan, dict[str, Any]]:
    count = Count()
    digest = hashlib.sha256()
    with (folder / "cells.jsonl").open("wb") as file:
        for chunk in _lines(bench, count, identity):
            digest.update(chunk)
            file.write(chunk)
    plan = _plan(bench, count, identity, digest.hexdigest())
    plan = plan.model_copy(update={"files": lower(plan, folder)})
    plan = plan.model_copy(update={"digest": plan_digest(plan)})
    (folder / "plan.json").write_bytes(canonical_json(plan) + b"\n")
    origins = to_jsonable_python(bench.origins)
    (folder / "origins.json").write_text(json.dumps(origins, ensure_ascii=False, indent=1) + "\n", "utf-8")
    places = _places(bench, identity, out)
    if places:
        (folder / "places.json").write_text(
            json.dumps(places, ensure_ascii=False, indent=1, sort_keys=True) + "\n", "utf-8"
        )
    return plan, places


def _lines(bench: Bench, count: Count, identity: Identity) -> Iterator[bytes]:
    lines: list[str] = []
    for vector in expand(bench, count):
        lines.append(f'{{"id":"{identity.of(vector)}","v":[{",".join(map(str, vector))}]}}\n')
        if len(lines) == 4096:
            yield "".join(lines).encode()
            lines.clear()
    yield "".join(lines).encode()


class Identity:
    """Cell ids: the hash of what a cell is, not of where it stands.

    Hashed: how a cell is measured (warm-up, isolation, thermal limits, conditions) and the content of its axis values,
    a model by its artefact. Not hashed: repetitions, order, time-outs, retries, the seed, the addresses of devices.
    """

    def __init__(self, bench: Bench, folders: Mapping[str, Path | None], lock: Lock = NO_LOCK) -> None:
        protocol = bench.protocol
        common = {
            "warmup": protocol.warmup, "isolation": protocol.isolation, "start_below": protocol.start_below,
            "abort_above": protocol.abort_above, "cooldown": protocol.cooldown_ns,
            "conditions": bench.conditions,
        }  # fmt: skip
        names = [a.name for a in bench.axes]
        self.model, self.quant = names.index("model"), names.index("quant") if "quant" in names else None
        self.folders, self.lock = folders, lock
        self.bench = bench
        self.artifacts: dict[tuple[int, int | None], Located] = {}
        self._keys: dict[tuple[int, int | None], bytes] = {}
        self._common = hashlib.sha256(canonical_json(common)).digest()
        self._values = [
            [hashlib.sha256(canonical_json([axis.name, axis.binds, _content(v)])).digest() for v in axis.values]
            for axis in bench.axes
        ]

    def of(self, vector: Vector) -> str:
        """The id of a cell: 16 hex digits."""
        pair = (vector[self.model], None if self.quant is None else vector[self.quant])
        key = self._keys.get(pair) or self._artifact(pair)
        return hashlib.sha256(
            self._common + key + b"".join(v[i] for v, i in zip(self._values, vector, strict=True))
        ).hexdigest()[:16]

    def _artifact(self, pair: tuple[int, int | None]) -> bytes:
        model = self.bench.axes[self.model].values[pair[0]]
        assert isinstance(model, Entity)  # noqa: S101 - the checker has typed the axis
        quant = None if pair[1] is None or self.quant is None else str(self.bench.axes[self.quant].values[pair[1]])
        located = locate(model, quant, self.folders.get(model.name), self.lock)
        self.artifacts[pair] = located
        self._keys[pair] = bytes.fromhex(located.artifact.key)
        return self._keys[pair]

    def located(self) -> list[Located]:
        """Every artefact that some cell needs, by model and quant."""
        return [self.artifacts[k] for k in sorted(self.artifacts, key=lambda k: (k[0], -1 if k[1] is None else k[1]))]


def _content(value: Value) -> Value:
    """What of a value is hashed: not a model's source, which its artefact stands for, nor a device's address."""
    if not isinstance(value, Entity):
        return value
    hidden = {"source"} if value.kind == "model" else _addresses(value)
    return replace(value, attrs=tuple((k, _content(v)) for k, v in value.attrs if k not in hidden))


def _addresses(entity: Entity) -> set[str]:
    if entity.kind != "device":
        return set()
    return {k for k, a in packs.manifests("target")[entity.pack].parameters.items() if a.address}


def _public(value: Value) -> Value:
    """A value as the plan shows it: without addresses."""
    if not isinstance(value, Entity):
        return value
    addresses = _addresses(value)
    return replace(value, attrs=tuple((k, v) for k, v in value.attrs if k not in addresses))


def _plan(bench: Bench, count: Count, identity: Identity, cells: str) -> Plan:
    p = bench.protocol
    axes = tuple(
        PlanAxis(name=a.name, type=a.type, values=tuple(_public(v) for v in a.values), labels=a.labels, binds=a.binds)
        for a in bench.axes
    )
    plan = Plan(
        edition=bench.edition,
        bench=bench.name,
        axes=axes,
        protocol=PlanProtocol(
            warmup=p.warmup, repeat=p.repeat, timeout_ns=p.timeout_ns, retries=p.retries, order=p.order,
            isolation=p.isolation, seed=p.seed or 0, start_below=p.start_below, abort_above=p.abort_above,
            cooldown_ns=p.cooldown_ns, gate_timeout_ns=p.gate_timeout_ns,
            max_load=None if p.max_load is None else str(p.max_load),
        ),
        conditions=tuple(PlanSetting(name=c.name, value=c.value, optional=c.optional) for c in bench.conditions),
        metrics=bench.metrics,
        expectations=tuple(
            PlanExpectation(
                severity=e.severity, text=e.text, claim=e.claim, where=e.where, reads=e.reads, true=e.true, per=e.per
            )
            for e in bench.expectations
        ),
        artifacts=tuple(x.artifact for x in identity.located()),
        skipped=_skipped(bench, count),
        cells=count.cells,
        cells_sha256=cells,
        packs=_packs(bench),
        files=(),
        digest="",
    )  # fmt: skip
    if p.seed is None:
        content = hashlib.sha256(canonical_json(plan)).digest()
        protocol = plan.protocol.model_copy(update={"seed": int.from_bytes(content[:4], "big")})
        plan = plan.model_copy(update={"protocol": protocol})
    return plan


def _skipped(bench: Bench, count: Count) -> tuple[PlanSkip, ...]:
    found = [
        PlanSkip(clause=c.text, because=c.because, count=n) for c, n in zip(bench.excludes, count.excluded, strict=True)
    ]
    if bench.design is not None:
        clause = "pairwise" if bench.design.kind == "pairwise" else f"sample {bench.design.size}"
        found.append(
            PlanSkip(
                clause=f"{clause} seed {bench.design.seed}",
                because="not in the designed fraction",
                count=count.not_sampled,
            )
        )
    return tuple(found)


def _packs(bench: Bench) -> tuple[tuple[str, str], ...]:
    used = {(v.kind, v.pack) for a in bench.axes for v in a.values if isinstance(v, Entity) and v.pack}
    kinds = {"device": "target", "engine": "engine"}
    return tuple(sorted((f"{kinds[k]}:{p}", packs.manifests(kinds[k])[p].version) for k, p in used))


def _places(bench: Bench, identity: Identity, out: Path) -> dict[str, Any]:
    """Where this host finds what the plan names: model files relative to the build folder, and device addresses."""
    files: dict[str, str] = {}
    for located in identity.located():
        if located.path is not None:
            absolute = Path(located.artifact.location).is_absolute()
            place = str(located.path) if absolute else os.path.relpath(located.path, out.resolve())
            files[located.artifact.model] = place
    devices: dict[str, dict[str, Any]] = {}
    for value in (v for a in bench.axes if a.name == "device" for v in a.values):
        if isinstance(value, Entity):
            known = {k: v for k, v in value.attrs if k in _addresses(value)}
            if known:
                devices[value.name] = known
    return {k: v for k, v in (("files", files), ("devices", devices)) if v}
