"""One launch, from the gate to its record in the journal.

In: an opened device, a cell and its weights. Out: `start` and `end` in the journal, and between them every raw file in
the trial's folder. Guarantee: `end` is written only when the files that it speaks of are on the disk; a launch that is
interrupted has no `end`, and its trial is measured again by the next `exec`.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mobench_lang.execute import gate
from mobench_lang.execute.devices import Device
from mobench_lang.execute.errors import StoreFullError, storing
from mobench_lang.execute.files import sync_files, write_atomic
from mobench_lang.execute.outcome import Result, judge
from mobench_lang.execute.run import Run
from mobench_lang.plan.model import PlanProtocol
from mobench_lang.plugins import OUTPUT, Detached, DeviceError, Launch, Limits, Outcome, StockTool
from mobench_lang.protocol import Event, Job

BUSY_SHARE = 0.05
"""Others used more than this share of all cores during a launch: `busy_host`."""
STOLEN_SHARE = 0.02
"""The hypervisor withheld more than this share: `cpu_stolen`."""
CLOCK_JUMP_NS = 2_000_000_000
"""The wall clock moved by this much more or less than the device's own: the machine slept, or its time was set. Some
devices tell whole seconds only."""
SHORTEST_NS = 500_000_000
"""Below this, the system's 10 ms ticks are too coarse for a share."""
COLLECT_S = 60.0
"""So long after its time is over a launch of a device that comes and goes may still be collected."""
ROOM = 16 << 20
"""Bytes that must be free before a launch begins: its events, samples and log."""


@dataclass(frozen=True, slots=True)
class Step:
    """Which launch: the trial, the attempt, and where it stands in the schedule."""

    cell: str
    rep: int
    measured: int
    attempt: int
    block: int
    order: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is the same for all attempts of a trial: the job (its id without the attempt), the command, the protocol,
    the labels of the cell's axes, and the tool of others that is started, if it is one."""

    base: Job
    command: Launch
    protocol: PlanProtocol
    labels: tuple[tuple[str, str], ...]
    tool: StockTool | None = None

    def job(self, attempt: int) -> Job:
        """The job of one attempt."""
        return self.base.model_copy(update={"job_id": f"{self.base.job_id}a{attempt}"})


@dataclass(frozen=True, slots=True)
class Launched:
    """A recorded launch: its result and how long it took, gate excluded."""

    result: Result
    wall_ns: int
    temperature: int | None


Again = Callable[[float], Awaitable[Device]]
"""Opens a lost device again, looking for it until a time (time.monotonic). Raises DeviceError."""


async def launch(
    run: Run, device: Device, step: Step, prepared: Prepared, opened: gate.Gate, *, again: Again
) -> Launched:
    """Make one launch and record it. Raises StoreError; a device that fails becomes the trial's reason.

    A device that is lost and found `again` while its launch goes on is no failure: its launch is waited for.
    """
    begin = time.monotonic_ns()
    _require_room(run.folder)
    folder = run.trial_folder(device.name, step.cell, step.rep, step.attempt)
    job, protocol = prepared.job(step.attempt), prepared.protocol
    write_atomic(folder / "job.json", job.model_dump_json().encode() + b"\n", durable=False)
    trial = {"device": device.name, "cell": step.cell, "rep": step.rep, "attempt": step.attempt}
    run.append(
        "start",
        **trial,
        measured=step.measured,
        block=step.block,
        order=step.order,
        folder=str(folder.relative_to(run.folder)),
        gate=opened.record(),
    )
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    meter = device.meter
    try:
        before = await device.session.state()
        limits = Limits(protocol.timeout_ns, protocol.abort_above)
        if meter is not None:
            await meter.start(folder)
        outcome, device = await _outcome(device, job, prepared.command, folder, limits=limits, again=again)
        after = await device.session.state()
    except DeviceError as error:
        outcome = Outcome("failed", "lost_device" if error.code == "lost" else error.code, str(error))
    finally:
        if meter is not None:
            await meter.stop()
    if prepared.tool is not None:
        with storing(folder):
            _write_events(folder, prepared.tool.read(job, folder / OUTPUT, outcome))
    result = judge(job, outcome, folder / "events.jsonl")
    if result.status == "failed" and shutil.disk_usage(run.folder).free < ROOM // 4:
        raise StoreFullError(
            f"no space left in {run.folder}; the launch is not recorded. Make room and run the same command again"
        )
    around = {"before": before, "after": after, "spawned": outcome.spawned, "slept_ns": outcome.slept_ns}
    write_atomic(folder / "state.json", json.dumps(around).encode() + b"\n", durable=False)
    await sync_files(folder)
    wall = time.monotonic_ns() - begin
    run.append(
        "end",
        **trial,
        status=result.status,
        reason=result.reason,
        detail=result.detail,
        flags=[
            *_gate_flags(opened),
            *(["by_shell"] if prepared.command.by_shell else []),
            *_host_flags(before, after, outcome),
            *_sample_flags(folder),
            *result.flags,
        ],
        engine_start_ns=result.engine_start_ns,
        overhead_ns=_overhead(wall, result),
    )
    return Launched(result, wall, after.get("temperature"))


async def _outcome(
    device: Device, job: Job, command: Launch, folder: Path, *, limits: Limits, again: Again
) -> tuple[Outcome, Device]:
    """How the launch ended, and the device as it is open then. Raises DeviceError."""
    until = time.monotonic() + limits.timeout_ns / 1e9
    try:
        await device.session.start(job, command, folder, limits)
        return await device.session.wait(), device
    except DeviceError as error:
        if error.code != "lost":
            raise
        lost = error
    while isinstance(device.session, Detached) and time.monotonic() < until + COLLECT_S:
        device = await again(until)
        try:
            if not (isinstance(device.session, Detached) and await device.session.attach(job, folder, limits)):
                break
            return await device.session.wait(), device
        except DeviceError as error:
            if error.code != "lost":
                raise
            lost = error
    raise lost


def _write_events(folder: Path, events: list[Event]) -> None:
    """The events of a tool that writes none."""
    lines = (event.model_dump_json(by_alias=True).encode() + b"\n" for event in events)
    write_atomic(folder / "events.jsonl", b"".join(lines), durable=False)


def _require_room(folder: Path) -> None:
    with storing(folder):
        free = shutil.disk_usage(folder).free
    if free < ROOM:
        raise StoreFullError(
            f"only {free >> 20} MiB are free for {folder}, a launch needs {ROOM >> 20} MiB; make room and run the same "
            "command again"
        )


def _overhead(wall: int, result: Result) -> int | None:
    """What the launch cost beyond engine start, load and windows; None where the events do not say."""
    if result.engine_start_ns is None or result.active_ns is None:
        return None
    return max(0, wall - result.engine_start_ns - result.active_ns)


def _gate_flags(opened: gate.Gate) -> list[str]:
    if opened.timed_out:
        return ["gate_timeout"]
    return [] if opened.passed else ["gate_unknown"]


def _host_flags(before: dict[str, Any], after: dict[str, Any], outcome: Outcome) -> list[str]:
    """A busy host is marked, not waited for; so is a device that stood still, or was slowed, or whose clock was set."""
    flags = []
    first, last = _drift(before), _drift(after)
    began_anew = after.get("t", 0) < before.get("t", 0)  # the device, and its clock with it
    if first is not None and last is not None and not began_anew and abs(last - first) > CLOCK_JUMP_NS:
        flags.append("clock_jumped")
    if outcome.slept_ns:
        flags.append("slept")
    if before.get("throttled") or after.get("throttled"):
        flags.append("throttled")
    if after.get("t", 0) - before.get("t", 0) < SHORTEST_NS:
        return flags
    if (gate.busy_share(before, after, own_ns=outcome.cpu_ns) or 0) > BUSY_SHARE:
        flags.append("busy_host")
    if (gate.busy_share(before, after, "steal_ns") or 0) > STOLEN_SHARE:
        flags.append("cpu_stolen")
    return flags


def _drift(state: dict[str, Any]) -> int | None:
    """The wall clock less the device's own; None where it does not tell both, or is gone."""
    return int(state["wall_ns"] - state["t"]) if "wall_ns" in state and "t" in state else None


def _sample_flags(folder: Path) -> list[str]:
    """A sampler that died early leaves its last line out."""
    try:
        with (folder / "samples.jsonl").open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 512))
            lines = file.read().splitlines(keepends=True)
    except OSError:
        return []
    return [] if lines and b'"cost"' in lines[-1] and lines[-1].endswith(b"\n") else ["samples_incomplete"]
