"""A run folder → its records.

In: `runs/<run-id>/` in any state: finished, running, or left by a host that died. Out: `Run`, and its launches one
by one. Guarantee: the same folder gives the same records; nothing is asked of a device; a launch that is still
running is no record yet, one whose host died is a failed one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from mobench_lang.collect.events import Events
from mobench_lang.collect.holder import RunError, holder
from mobench_lang.collect.lines import read_object, read_objects
from mobench_lang.collect.records import NO_SAMPLES, Launch, Run, Status
from mobench_lang.collect.trial import Folder, Verdict, read_folder, trials
from mobench_lang.plan.model import Plan, PlanAxis

RUN_VERSION = 1


Key = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class _Entry:
    """One launch in the journal: its records, of which the end or the start may be missing. `interrupted`: with
    the whole `exec`, by whoever ran it."""

    start: Mapping[str, Any] | None
    end: Mapping[str, Any] | None
    skip: Mapping[str, Any] | None
    interrupted: bool


def read_run(folder: Path) -> Run:
    """The header, the plan and the journal of a run folder. Raises RunError."""
    header = read_object(folder / "run.json")
    if header is None:
        raise RunError(f"{folder} is not a run folder: it has no readable run.json")
    if header.get("version") != RUN_VERSION:
        raise RunError(
            f"{folder}/run.json has version {header.get('version')!r}, this mobench reads {RUN_VERSION}; "
            "use the mobench that made the run, or a newer one"
        )
    run_id = header.get("run_id")
    if not isinstance(run_id, str) or not run_id:
        raise RunError(f"{folder}/run.json has no run_id")
    try:
        plan = Plan.model_validate_json((folder / "plan" / "plan.json").read_bytes())
    except OSError as error:
        raise RunError(f"{folder}/plan/plan.json cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise RunError(f"{folder}/plan/plan.json is not a plan of this version: {where}: {first['msg']}") from error
    journal, damaged = read_objects(folder / "journal.jsonl")
    return Run(folder, run_id, header, plan, tuple(journal), damaged)


def cells(run: Run) -> tuple[list[str], list[list[int]]]:
    """Ids and index vectors of the plan's cells, in their order."""
    return _cells(run.folder / "plan")


def former_cells(run: Run) -> dict[str, list[tuple[PlanAxis, int]]]:
    """Cells with launches that the plan no longer has, and their axes, from the plans that the run had before."""
    if not (run.folder / "plans").is_dir():
        return {}
    ids = set(cells(run)[0])
    gone = {str(r["cell"]) for r in run.journal if r.get("kind") in ("start", "end", "skip") and "cell" in r} - ids
    found: dict[str, list[tuple[PlanAxis, int]]] = {}
    for folder in sorted((run.folder / "plans").glob("*")):
        try:
            plan = Plan.model_validate_json((folder / "plan.json").read_bytes())
        except (OSError, ValidationError):
            continue  # of another version, or torn: the trials stay, without axes
        for name, vector in zip(*_cells(folder), strict=True):
            if name in gone:
                found[name] = list(zip(plan.axes, vector, strict=True))
    return found


def _cells(folder: Path) -> tuple[list[str], list[list[int]]]:
    found, _ = read_objects(folder / "cells.jsonl")
    return [str(c["id"]) for c in found], [list(c["v"]) for c in found]


def launches(run: Run) -> Iterator[Launch]:
    """Every launch of the journal that is over, and every decision not to launch, in the order of the journal."""
    entries = _entries(run)
    last: dict[tuple[str, int], int] = {}
    for cell, rep, attempt in entries:
        last[cell, rep] = max(last.get((cell, rep), 0), attempt)
    wanted = [m.name for m in run.plan.metrics]
    facts = device_facts(run)
    for key, entry in entries.items():
        cell, rep, attempt = key
        final = last[cell, rep] == attempt
        if entry.skip is not None:
            yield _skipped(entry.skip, key, wanted, final)
        else:
            yield _launched(run, entry, key, wanted, final=final, facts=facts)


def device_facts(run: Run) -> dict[str, Mapping[str, Any]]:
    """What each device said of itself: the header's facts, or those of a later `exec`."""
    devices = run.header.get("devices")
    told = devices.items() if isinstance(devices, Mapping) else ()
    facts = {str(k): v.get("facts") for k, v in told if isinstance(v, Mapping)}
    facts |= {str(r.get("device")): r.get("facts") for r in run.journal if r.get("kind") == "device"}
    return {k: v for k, v in facts.items() if isinstance(v, Mapping)}


def _entries(run: Run) -> dict[Key, _Entry]:
    starts: dict[Key, Mapping[str, Any]] = {}
    ends: dict[Key, Mapping[str, Any]] = {}
    skips: dict[Key, Mapping[str, Any]] = {}
    began: dict[Key, int] = {}  # how many `exec` records stood before the start
    execs, closed = 0, False
    stopped: set[int] = set()  # the `exec`s that were interrupted
    for record in run.journal:
        kind = record.get("kind")
        if kind in ("exec", "done"):
            execs += kind == "exec"
            closed = kind == "done"
            if closed and record.get("status") == "interrupted":
                stopped.add(execs)
            continue
        key = _key(record)
        if key is None:
            continue
        if kind == "start":
            starts[key], began[key] = record, execs
        elif kind == "end":
            ends[key] = record
        elif kind == "skip":
            skips[key] = record
    alive = not closed and holder(run.folder) is not None
    found: dict[Key, _Entry] = {}
    for key in sorted({*starts, *ends}, key=lambda k: int((starts.get(k) or ends[k]).get("seq", 0))):
        if key not in ends and alive and began[key] == execs:
            continue  # still running
        found[key] = _Entry(starts.get(key), ends.get(key), None, key not in ends and began[key] in stopped)
    launched = {(cell, rep) for cell, rep, _ in found}
    for key, record in skips.items():
        if key[:2] not in launched:  # a later exec could run it after all
            found[key] = _Entry(None, None, record, False)
    return found


def _key(record: Mapping[str, Any]) -> Key | None:
    cell, rep, attempt = record.get("cell"), record.get("rep"), record.get("attempt", 0)
    if isinstance(cell, str) and isinstance(rep, int) and isinstance(attempt, int):
        return cell, rep, attempt
    return None


def _skipped(record: Mapping[str, Any], key: Key, wanted: list[str], final: bool) -> Launch:
    verdict = Verdict("skipped", str(record.get("reason") or "skipped"), str(record.get("detail") or ""), ())
    found = trials(Folder(Events(), NO_SAMPLES, {}, {}), verdict, key[1], False, wanted)
    return _launch(record, key, found, {"wall_start": int(record.get("t", 0)), "final": final})


def _launched(
    run: Run, entry: _Entry, key: Key, wanted: list[str], *, final: bool, facts: Mapping[str, Mapping[str, Any]]
) -> Launch:
    record: dict[str, Any] = {**(entry.end or {}), **(entry.start or {})}
    folder = _folder(run, record, key)
    read = read_folder(folder, facts.get(str(record.get("device")), {}))
    found = trials(read, _verdict(entry), key[1], run.plan.protocol.isolation == "cell", wanted)
    end = entry.end or {}
    launch = _launch(
        record,
        key,
        found,
        {
            "folder": folder.relative_to(run.folder).as_posix(),
            "wall_start": int((entry.start or end).get("t", 0)),
            "wall_end": end.get("t"),
            "engine_start_ns": end.get("engine_start_ns"),
            "overhead_ns": end.get("overhead_ns"),
            "final": final,
        },
    )
    events = read.events
    return replace(
        launch,
        started=events.start,
        used=events.used,
        faults=tuple(events.faults),
        scores=tuple(events.scores),
        state=read.state,
        samples=read.samples,
    )


def _verdict(entry: _Entry) -> Verdict:
    if entry.end is None and entry.interrupted:
        return Verdict("failed", "interrupted", "mobench exec was interrupted; the next one measures it again", ())
    if entry.end is None:
        return Verdict("failed", "host_died", "the host ended before the launch did", ())
    status = str(entry.end.get("status"))
    flags = entry.end.get("flags") or []
    known = status if status in ("ok", "failed", "invalid") else "failed"
    return Verdict(
        cast(Status, known),
        str(entry.end.get("reason") or ""),
        str(entry.end.get("detail") or ""),
        tuple(str(f) for f in flags),
    )


def _folder(run: Run, record: Mapping[str, Any], key: Key) -> Path:
    """Where the raw files are; a folder in the journal that leaves the run is not followed."""
    cell, rep, attempt = key
    named = record.get("folder")
    if isinstance(named, str) and named:
        folder = run.folder / named
        if folder.resolve().is_relative_to(run.folder.resolve()):
            return folder
    return run.folder / "trials" / str(record.get("device", "")) / cell / f"r{rep}a{attempt}"


def _launch(record: Mapping[str, Any], key: Key, found: tuple[Any, ...], further: Mapping[str, Any]) -> Launch:
    cell, rep, attempt = key
    blank: dict[str, Any] = {
        "folder": "",
        "wall_end": None,
        "engine_start_ns": None,
        "overhead_ns": None,
        "started": None,
        "used": None,
        "faults": (),
        "scores": (),
        "state": {},
        "samples": NO_SAMPLES,
    }
    return Launch(
        device=str(record.get("device", "")),
        cell=cell,
        rep=rep,
        attempt=attempt,
        block=record.get("block"),
        order=record.get("order"),
        gate=record.get("gate"),
        trials=found,
        **{**blank, **further},
    )
