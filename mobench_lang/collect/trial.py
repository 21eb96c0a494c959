"""A trial folder → the trials of one launch.

In: the folder of one launch and what the journal says about it. Out: one `Trial` per pass, warm-ups included, and
one for every measured pass that should have been there. Guarantee: a failure is a row with NULL metrics and a
reason; raw stamps and samples are kept whatever the status; a launch whose events cannot be read whole is
`invalid`, never silently shorter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mobench_lang.collect.events import Events, read_events
from mobench_lang.collect.lines import read_object
from mobench_lang.collect.meter import joined, read_meter
from mobench_lang.collect.metrics import PassData, measure, unmeasured
from mobench_lang.collect.records import Ints, Samples, Status, Trial, Window
from mobench_lang.collect.samples import read_samples
from mobench_lang.collect.timed import timed_metrics
from mobench_lang.protocol import Phase, Scored, Timed, Told


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the journal judged a launch."""

    status: Status
    reason: str
    detail: str
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Folder:
    """What a trial folder holds, read."""

    events: Events
    samples: Samples
    state: dict[str, Any]
    job: dict[str, Any]
    cores: int | None = None


@dataclass(frozen=True, slots=True)
class _Window:
    """A pass by number: whether it is a warm-up, its bounds and CPU time."""

    number: int
    warmup: bool
    start: int
    end: int
    cpu_ns: int


@dataclass(frozen=True, slots=True)
class _Planned:
    """A pass that has to become a trial; `carries`: it holds what belongs to the launch as a whole."""

    number: int
    warmup: bool
    rep: int
    carries: bool


def read_folder(folder: Path, facts: Mapping[str, Any]) -> Folder:
    """The raw files of one launch on a device with such facts; missing files are empty ones."""
    wraps = facts.get("energy_ranges_uj")
    cores = facts.get("cores")
    return Folder(
        events=read_events(folder / "events.jsonl"),
        samples=joined(
            read_samples(folder / "samples.jsonl", wraps if isinstance(wraps, Mapping) else {}), read_meter(folder)
        ),
        state=read_object(folder / "state.json") or {},
        job=read_object(folder / "job.json") or {},
        cores=cores if isinstance(cores, int) and cores > 0 else None,
    )


def trials(read: Folder, verdict: Verdict, rep: int, per_cell: bool, wanted: Sequence[str]) -> tuple[Trial, ...]:
    """The passes of a launch as trials. With `per_cell`, measured pass i is repetition `rep` + i; else all
    are `rep`."""
    verdict = _checked(read, verdict)
    passes = {p.number: p for p in _passes(read)}
    timed = {t.pass_: t for t in read.events.timed}
    planned = _planned(
        read, {n: p.warmup for n, p in passes.items()} | {n: t.warmup for n, t in timed.items()}, rep, per_cell
    )
    carrier = next((p.number for p in planned if p.carries), None)
    rows = _rows(read.samples, passes, carrier)
    none: Ints = np.empty(0, np.int64)
    return tuple(
        _timed(read, verdict, p, timed[p.number], rows.get(p.number, none), wanted=wanted)
        if p.number in timed
        else _trial(read, verdict, p, passes.get(p.number), rows.get(p.number, none), wanted=wanted)
        for p in planned
    )


def _checked(read: Folder, verdict: Verdict) -> Verdict:
    """The journal's verdict, corrected where the raw files do not bear out an `ok`."""
    flags = list(verdict.flags)
    if read.samples.damaged:
        flags.append("samples_damaged")
    if read.events.problems:
        flags.extend(p for p in read.events.problems if p not in flags)
        if verdict.status == "ok":
            detail = "events.jsonl: " + ", ".join(read.events.problems)
            return Verdict("invalid", "unreadable_events", detail, tuple(flags))
    return Verdict(verdict.status, verdict.reason, verdict.detail, tuple(flags))


def _passes(read: Folder) -> list[_Window]:
    """Every pass the events know: the finished ones, and those that left phases or requests before the end came."""
    done = [_Window(p.pass_, p.warmup, p.start, p.end, p.cpu_ns) for p in read.events.passes]
    known = {p.number for p in done}
    times: dict[int, list[int]] = {}
    for phase in read.events.phases:
        if phase.pass_ >= 0 and phase.pass_ not in known:
            times.setdefault(phase.pass_, []).extend((phase.start, phase.end))
    for request in read.events.requests:
        if request.pass_ >= 0 and request.pass_ not in known:
            times.setdefault(request.pass_, []).extend((request.accepted, *request.stamps[-1:]))
    warmups = _number(read.job, "warmup", 0)
    partial = [_Window(n, n < warmups, min(t), max(t), 0) for n, t in times.items()]
    return sorted(done + partial, key=lambda p: p.number)


def _planned(read: Folder, warm: dict[int, bool], rep: int, per_cell: bool) -> list[_Planned]:
    """Every pass that ran (by number, whether it is a warm-up), and every measured pass that the job asked for; one
    measured pass at least."""
    warmups, measured = _number(read.job, "warmup", 0), _number(read.job, "measured", 1)
    for number in range(warmups, warmups + measured):
        warm.setdefault(number, False)
    found: list[_Planned] = []
    done = 0
    for number, warmup in sorted(warm.items()):
        carries = not warmup and done == 0
        found.append(_Planned(number, warmup, rep + done if per_cell and not warmup else rep, carries))
        done += not warmup
    return found


def _number(job: dict[str, Any], key: str, default: int) -> int:
    value = job.get(key)
    return value if isinstance(value, int) and 0 <= value < 1_000_000 else default


def _rows(samples: Samples, passes: dict[int, _Window], carrier: int | None) -> dict[int, Ints]:
    """Which rows of the samples belong to which pass; those outside every pass belong to the carrier."""
    owner = np.full(samples.t.size, -1 if carrier is None else carrier, np.int64)
    for number, window in passes.items():
        owner[samples.between(window.start, window.end)] = number
    return {int(n): np.flatnonzero(owner == n) for n in np.unique(owner)}


def _trial(
    read: Folder,
    verdict: Verdict,
    planned: _Planned,
    window: _Window | None,
    rows: Ints,
    *,
    wanted: Sequence[str],
) -> Trial:
    number, carries = planned.number, planned.carries
    events = read.events
    phases = [p for p in events.phases if p.pass_ == number or (carries and p.pass_ < 0)]
    requests = tuple(r for r in events.requests if r.pass_ == number)
    marks = tuple(m for m in events.marks if m.pass_ == number or (carries and m.pass_ < 0))
    status, reason, detail = verdict.status, verdict.reason, verdict.detail
    if status == "ok" and window is None:
        status, reason, detail = "failed", "pass_missing", f"the events have no pass {number}"
    windows = tuple(Window(p.request, p.name, p.start, p.end) for p in phases)
    if status == "ok" and window is not None:
        data = PassData(
            start=window.start,
            end=window.end,
            cpu_ns=window.cpu_ns,
            load=_load(phases),
            windows=windows,
            requests=requests,
            marks=[m for m in events.marks if m.pass_ in (number, -1)],
            samples=read.samples,
            scores=_scores(events, carries),
            prompted=_prompted(read.job),
            cores=read.cores,
            launched=_launched(read),
            thermal_levels=_thermal_levels(read.state),
        )
        metrics = measure(data, wanted)
    else:
        metrics = unmeasured(wanted, reason or status)
    return Trial(
        rep=planned.rep,
        number=number,
        warmup=planned.warmup,
        status=status,
        reason=reason,
        detail=detail,
        flags=verdict.flags,
        start=window.start if window else None,
        end=window.end if window else None,
        cpu_ns=window.cpu_ns if window else None,
        windows=windows,
        requests=requests,
        marks=marks,
        rows=rows,
        metrics=metrics,
    )


def _timed(
    read: Folder, verdict: Verdict, planned: _Planned, timed: Timed, rows: Ints, *, wanted: Sequence[str]
) -> Trial:
    """A pass that a tool of others timed: it has a duration, and no place on the device's clock."""
    good = verdict.status == "ok"
    tool = read.events.used.tool if isinstance(read.events.used, Told) else "its tool"
    return Trial(
        rep=planned.rep,
        number=planned.number,
        warmup=planned.warmup,
        status=verdict.status,
        reason=verdict.reason,
        detail=verdict.detail,
        flags=verdict.flags,
        start=None,
        end=None,
        cpu_ns=None,
        windows=(),
        requests=(),
        marks=(),
        rows=rows,
        metrics=timed_metrics(timed, tool, wanted) if good else unmeasured(wanted, verdict.reason or verdict.status),
        timed=timed,
    )


def _launched(read: Folder) -> int | None:
    """When the instrument's process began, on the device's clock; else when it said so itself."""
    spawned = read.state.get("spawned")
    if isinstance(spawned, int):
        return spawned
    return None if read.events.start is None else read.events.start.t


def _thermal_levels(state: Mapping[str, Any]) -> tuple[int, ...]:
    around = [state.get(name) for name in ("before", "after")]
    levels = [one.get("thermal_status") for one in around if isinstance(one, dict)]
    return tuple(level for level in levels if isinstance(level, int))


def _load(phases: Sequence[Phase]) -> Window | None:
    load = next((p for p in phases if p.name == "load"), None)
    return None if load is None else Window(load.request, load.name, load.start, load.end)


def _scores(events: Events, carries: bool) -> tuple[Scored, ...]:
    """Scores have no pass: they are the launch's."""
    return tuple(events.scores) if carries else ()


def _prompted(job: dict[str, Any]) -> bool:
    workload = job.get("workload")
    return not (isinstance(workload, dict) and workload.get("prompt_tokens") == 0)
