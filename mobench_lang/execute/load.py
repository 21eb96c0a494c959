"""A build folder, read and verified.

In: the folder that `compile` wrote. Out: the plan and its cells; of each cell its id, its device and its place in the
file are held (some 100 bytes), the rest is read when it is wanted, from the file that was verified. Guarantee: what is
returned is what was compiled: version, digest, number and hash of the cells, rendered files.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mobench_lang.execute.errors import BuildError
from mobench_lang.execute.places import placed
from mobench_lang.names import slug
from mobench_lang.plan.digest import plan_digest
from mobench_lang.plan.model import PLAN_VERSION, Plan

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}\Z")


@dataclass(slots=True)
class _Cells:
    """What is held of cells.jsonl: the open file, and per cell its id, the index of its device and where it begins."""

    file: int
    ids: list[str]
    devices: array[int]
    offsets: array[int]


class Build:
    """A verified build folder. Cells are numbered from 0 in declared order; closed by `close`."""

    def __init__(self, folder: Path, plan: Plan, cells: _Cells) -> None:
        self.folder = folder
        self.plan = plan
        self.ids = cells.ids
        self.device_index = cells.devices
        self._offsets = cells.offsets
        self._file = cells.file

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def size(self) -> int:
        """Bytes of cells.jsonl."""
        return self._offsets[-1]

    def vector(self, number: int) -> tuple[int, ...]:
        """The index vector of a cell."""
        start, end = self._offsets[number], self._offsets[number + 1]
        return tuple(json.loads(os.pread(self._file, end - start, start))["v"])

    def device_labels(self) -> tuple[str, ...]:
        """The names of the devices, as they stand in results."""
        return self.plan.axes[axis_index(self.plan, "device")].labels

    def scripts(self, device: str) -> Path:
        """The folder that `compile` made for a device; there is none where its target needs no scripts."""
        return self.folder / slug(device)

    def close(self) -> None:
        """Close the file of the cells."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def axis_index(plan: Plan, name: str) -> int:
    """The position of an axis. Raises BuildError if the plan has none of that name."""
    for index, axis in enumerate(plan.axes):
        if axis.name == name:
            return index
    raise BuildError(f"the plan has no axis {name!r}; compile it again")


def load(folder: Path) -> Build:
    """Read and verify a build folder. Raises BuildError with what to do."""
    plan = _plan(folder / "plan.json")
    _files(folder, plan)
    for name in ("model", "engine", "device", "workload"):
        axis_index(plan, name)
    here = placed(plan, folder)
    return Build(folder, here, _cells(folder / "cells.jsonl", plan))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise BuildError(
            f"{path} is missing: {path.parent} is not a build folder; `mobench compile` makes one"
        ) from None
    except OSError as error:
        raise BuildError(f"cannot read {path}: {error.strerror}") from error


def _plan(path: Path) -> Plan:
    data = _read(path)
    try:
        raw: Any = json.loads(data)
    except ValueError as error:
        raise BuildError(f"{path} is not JSON ({error}); compile the spec again") from None
    version = raw.get("plan_version") if isinstance(raw, dict) else None
    if version != PLAN_VERSION:
        newer = isinstance(version, int) and version > PLAN_VERSION
        raise BuildError(
            f"{path} has plan version {version!r}, this mobench reads version {PLAN_VERSION}; "
            + ("upgrade mobench, or compile the spec again with this one" if newer else "compile the spec again")
        )
    try:
        plan = Plan.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BuildError(f"{path} is not a plan: {where}: {first['msg']}; compile the spec again") from None
    if plan_digest(plan) != plan.digest:
        raise BuildError(
            f"{path} was changed after it was compiled (its digest does not match); compile the spec again"
        )
    return plan


def _files(folder: Path, plan: Plan) -> None:
    """The rendered files of a build are part of its digest; those of a changed one may not run."""
    root = folder.resolve()
    for name, digest in plan.files:
        path = (root / name).resolve()
        if not path.is_relative_to(root):
            raise BuildError(f"the plan names a file outside its folder: {name!r}")
        if _strip(digest) != hashlib.sha256(_read(path)).hexdigest():
            raise BuildError(f"{path} was changed after it was compiled; compile the spec again")


def _cells(path: Path, plan: Plan) -> _Cells:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise BuildError(f"{path} is missing; compile the spec again") from None
    except OSError as error:
        raise BuildError(f"cannot read {path}: {error.strerror}") from error
    try:
        return _verified(path, descriptor, plan)
    except BaseException:
        os.close(descriptor)
        raise


def _verified(path: Path, descriptor: int, plan: Plan) -> _Cells:
    sizes = [len(axis.values) for axis in plan.axes]
    device = axis_index(plan, "device")
    cells = _Cells(descriptor, [], array("L"), array("Q", [0]))
    digest, seen = hashlib.sha256(), set[str]()
    try:
        with open(descriptor, "rb", closefd=False) as file:
            for number, line in enumerate(file, 1):
                digest.update(line)
                name, vector = _check_cell(path, number, line, sizes)
                if name in seen:
                    raise BuildError(f"{path} has the cell {name} twice; compile the spec again")
                seen.add(name)
                cells.ids.append(name)
                cells.devices.append(vector[device])
                cells.offsets.append(cells.offsets[-1] + len(line))
    except OSError as error:
        raise BuildError(f"cannot read {path}: {error.strerror}") from error
    if len(cells.ids) != plan.cells or digest.hexdigest() != _strip(plan.cells_sha256):
        raise BuildError(f"{path} is not the file that belongs to the plan beside it; compile the spec again")
    return cells


def _check_cell(path: Path, number: int, line: bytes, sizes: list[int]) -> tuple[str, list[int]]:
    """Id and index vector of a line. Ids become folder names, so their characters are checked."""
    try:
        cell = json.loads(line)
        name, vector = cell["id"], cell["v"]
        good = (
            isinstance(name, str)
            and _ID.match(name) is not None
            and len(vector) == len(sizes)
            and all(type(i) is int and 0 <= i < n for i, n in zip(vector, sizes, strict=True))
        )
    except (ValueError, KeyError, TypeError):
        good = False
    if not good:
        raise BuildError(f"{path} is damaged in line {number}; compile the spec again")
    return name, list(vector)


def _strip(digest: str) -> str:
    return digest.removeprefix("sha256:")
