"""The run folder: which one an `exec` works on, and its files (docs/run-folder.md).

In: the build, what the devices and engines are, and the options. Out: an open, locked run. Guarantee: a run holds
trials of one bench, one physical device per name, one build per engine and one set of labels; what does not match
begins a new run, and the reason is said.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mobench_lang import __version__
from mobench_lang.execute.errors import BuildError, StoreError, storing
from mobench_lang.execute.files import sync_folder, write_atomic
from mobench_lang.execute.history import History
from mobench_lang.execute.journal import Journal, Record, read_journal
from mobench_lang.execute.load import Build
from mobench_lang.execute.lock import FileLock
from mobench_lang.names import slug

RUN_VERSION = 1
PLAN_FILES = ("plan.json", "cells.jsonl", "origins.json")


@dataclass(frozen=True, slots=True)
class Header:
    """What a run pins. `devices` are `{name: {target, identity, facts}}`, `engines` `{"engine@platform": build}`."""

    bench: str
    devices: dict[str, dict[str, Any]]
    engines: dict[str, str]
    weights: dict[str, str]
    labels: dict[str, str]
    simulated: bool


@dataclass(slots=True)
class Run:
    """An open run under its lock."""

    run_id: str
    folder: Path
    journal: Journal
    history: History
    lock: FileLock
    resumed: bool
    notes: list[str] = field(default_factory=list)

    def append(self, kind: str, **fields: Any) -> None:
        """Write a record to the disk and take it into the history. Raises StoreFullError, StoreError."""
        self.history.take(self.journal.append(kind, **fields))

    def append_all(self, records: list[Record]) -> None:
        """Write records with one flush."""
        for record in self.journal.append_all(records):
            self.history.take(record)

    def trial_folder(self, device: str, cell: str, rep: int, attempt: int) -> Path:
        """Make the folder of a launch. What a crash left there before its `start` was recorded is removed."""
        folder = self.folder / "trials" / slug(device) / cell / f"r{rep}a{attempt}"
        with storing(folder):
            if folder.exists():
                shutil.rmtree(folder)
            folder.mkdir(parents=True)
        return folder

    def close(self) -> None:
        """Close the journal and drop the lock."""
        self.journal.close()
        self.lock.release()


@dataclass(frozen=True, slots=True)
class Known:
    """A run on the disk: its header and its journal, folded."""

    run_id: str
    folder: Path
    header: dict[str, Any]
    history: History


def find(runs: Path, build: Build, header: Header) -> tuple[Known | None, list[str]]:
    """The newest run that may be resumed, and why newer ones of this bench may not."""
    reasons: list[str] = []
    for created, folder in sorted(_runs(runs, build.plan.bench), reverse=True):
        known = _known(folder)
        del created
        mismatch = _mismatch(known, build, header)
        if mismatch is None:
            return known, reasons
        reasons.append(f"{known.run_id} is not resumed: {mismatch}")
    return None, reasons[:1]


def _runs(runs: Path, bench: str) -> list[tuple[int, Path]]:
    found = []
    for path in runs.glob("*/run.json") if runs.is_dir() else ():
        try:
            header = _header(path)
        except StoreError:
            # A damaged run of this bench might be the one to resume; that of another is no concern of this exec.
            if path.parent.name.startswith(f"{slug(bench)}-"):
                raise
            continue
        if header.get("bench") == bench:
            found.append((header["created_ns"], path.parent))
    return found


def _header(path: Path) -> dict[str, Any]:
    try:
        header = json.loads(path.read_bytes())
        if not isinstance(header, dict) or not isinstance(header.get("created_ns"), int):
            raise ValueError("fields are missing")
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read ({error}); restore it from a copy or move the folder away") from None
    return header


def _known(folder: Path) -> Known:
    header = _header(folder / "run.json")
    if header.get("version") != RUN_VERSION:
        raise StoreError(
            f"{folder} was written in version {header.get('version')!r} of the run folder, this mobench writes version "
            f"{RUN_VERSION}; use the mobench that wrote it, or another --runs folder"
        )
    history = History(engines=dict(header["engines"]), identities=_identities(header))
    for record in read_journal(folder / "journal.jsonl"):
        history.take(record)
    return Known(str(header["run_id"]), folder, header, history)


def _identities(header: dict[str, Any]) -> dict[str, str]:
    return {name: device["identity"] for name, device in header["devices"].items()}


def _mismatch(known: Known, build: Build, header: Header) -> str | None:
    """Why a run may not be resumed with what is here now; None if it may."""
    history = known.history
    for name, device in header.devices.items():
        if history.identities.get(name, device["identity"]) != device["identity"]:
            return f"{name} is another physical device than the one it was measured on"
    for name, text in header.engines.items():
        if history.engines.get(name, text) != text:
            return f"{name} is another build now ({text}; it was {history.engines[name]})"
    for key, digest in header.weights.items():
        if history.weights.get(key, digest) != digest:
            return f"the weights {key} have changed"
    if known.header["simulated"] != header.simulated:
        return "simulated and real trials do not mix"
    if header.labels and known.header["labels"] != header.labels:
        return "its labels are others"
    if not _related(known, build):
        return "it has no cell in common with this plan"
    return None


def _related(known: Known, build: Build) -> bool:
    if known.header["plan"] == build.plan.digest:
        return True
    ids = set(build.ids)
    if any(cell in ids for _, cell, _ in known.history.trials):
        return True
    path = known.folder / "plan" / "cells.jsonl"
    if not path.exists():
        return False
    with storing(path), path.open("rb") as file:
        return any(json.loads(line)["id"] in ids for line in file)


def resume(known: Known) -> Run:
    """Open a known run under its lock; what a crash left half-written is cleared. Raises BusyError, StoreError."""
    lock = FileLock(known.folder / "lock")
    lock.acquire(f"the run {known.run_id}")
    try:
        journal = Journal(known.folder / "journal.jsonl")
        # The file was read before the lock was held: another exec may have worked on it in between.
        history = _known(known.folder).history
    except BaseException:
        lock.release()
        raise
    run = Run(known.run_id, known.folder, journal, history, lock, resumed=True)
    if journal.cut:
        run.notes.append(
            f"a record that was cut off when its exec ended ({journal.cut} bytes) was removed from the journal"
        )
    return run


def create(runs: Path, build: Build, header: Header) -> Run:
    """Make a new run folder, whole or not at all, and open it. Raises StoreError."""
    now = time.time_ns()
    stamp = datetime.fromtimestamp(now // 1_000_000_000, UTC)
    digest = build.plan.digest.removeprefix("sha256:")[:8]
    base = f"{slug(build.plan.bench)}-{stamp:%Y%m%dT%H%M%SZ}-{slug(digest)}"
    number, run_id = 1, base
    while (runs / run_id).exists():
        number += 1
        run_id = f"{base}-{number}"
    # Built under a hidden name, so that a run folder is whole from its first moment on. What a crash left of an earlier
    # attempt goes; nobody else is making one, because the folder of runs is locked.
    hidden = runs / f".{run_id}.new"
    with storing(hidden):
        for left in runs.glob(".*.new"):
            shutil.rmtree(left, ignore_errors=True)
        (hidden / "plan").mkdir(parents=True)
        (hidden / "trials").mkdir()
        _copy_plan(build, hidden / "plan")
    document = {
        "version": RUN_VERSION,
        "run_id": run_id,
        "bench": build.plan.bench,
        "plan": build.plan.digest,
        "created": f"{stamp:%Y-%m-%dT%H:%M:%SZ}",
        "created_ns": now,
        "labels": header.labels,
        "mobench": __version__,
        "seed": build.plan.protocol.seed,
        "simulated": header.simulated,
        "devices": header.devices,
        "engines": header.engines,
    }
    write_atomic(hidden / "run.json", json.dumps(document, indent=1).encode("ascii") + b"\n")
    lock = FileLock(hidden / "lock")
    lock.acquire(f"the run {run_id}")
    try:
        with storing(runs / run_id):
            hidden.rename(runs / run_id)
            sync_folder(runs)
        folder = runs / run_id
        history = History(engines=dict(header.engines), identities=_identities(document))
        return Run(run_id, folder, Journal(folder / "journal.jsonl"), history, lock, resumed=False)
    except BaseException:
        lock.release()
        raise


def planned(folder: Path) -> str | None:
    """The digest of the plan that a run was last executed with, None before there is one. Raises StoreError."""
    plan = folder / "plan" / "plan.json"
    with storing(plan):
        return str(json.loads(plan.read_bytes())["digest"]) if plan.exists() else None


def keep_plan(run: Run, build: Build) -> None:
    """Make `plan/` the plan that is executed now; an earlier one moves to `plans/<digest>`."""
    current = run.folder / "plan"
    with storing(current):
        old = planned(run.folder)
        if old == build.plan.digest:
            return
        if old is not None:
            kept = run.folder / "plans" / slug(old.removeprefix("sha256:")[:16])
            kept.parent.mkdir(exist_ok=True)
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(current, kept)
        fresh = run.folder / ".plan.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        _copy_plan(build, fresh)
        if current.exists():
            shutil.rmtree(current)  # a copy is in plans/, and the new one is whole beside it
        fresh.rename(current)
        sync_folder(run.folder)


def _copy_plan(build: Build, folder: Path) -> None:
    """Copy the plan as it was loaded. Raises BuildError if it was compiled anew in between."""
    for name in (*PLAN_FILES, *(name for name, _ in build.plan.files)):
        source = build.folder / name
        if source.exists():
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(source, folder / name)
            with (folder / name).open("rb") as file:
                os.fsync(file.fileno())
    for name, digest in build.plan.files:
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
            raise BuildError(f"{build.folder} was changed while exec read it; compile the spec again")
    same = json.loads((folder / "plan.json").read_bytes()).get("digest") == build.plan.digest
    if not same or (folder / "cells.jsonl").stat().st_size != build.size:
        raise BuildError(f"{build.folder} was compiled anew while exec read it; run exec again")


def began(build: Build, engines: dict[str, str]) -> dict[str, Any]:
    """The fields of an `exec` record."""
    return {
        "pid": os.getpid(),
        "argv": [argument.encode("utf-8", "replace").decode("utf-8") for argument in sys.argv],
        "host": os.uname().nodename,
        "plan": build.plan.digest,
        "engines": engines,
    }
