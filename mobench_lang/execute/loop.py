"""The device loop: everything one physical device has to do, one launch after the other.

In: opened devices of one machine, its pending slots, the run. Out: journal records and progress. Guarantee: a device
that fails ends its own loop only; whatever ends the loop, a running launch is ended and changed state is put back.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mobench_lang.execute import gate
from mobench_lang.execute.artifacts import Artifacts
from mobench_lang.execute.devices import Device, Refusal, open_device
from mobench_lang.execute.errors import BuildError
from mobench_lang.execute.history import Trial
from mobench_lang.execute.instruments import Instruments, stock
from mobench_lang.execute.launch import Launched, Prepared, Step, launch
from mobench_lang.execute.load import Build
from mobench_lang.execute.outcome import RETRIED
from mobench_lang.execute.pending import Work
from mobench_lang.execute.progress import DeviceGone, Notice, Progress, TrialEnded, TrialStarted, Waiting
from mobench_lang.execute.run import Run
from mobench_lang.plan.cell import artifact_of, resolve
from mobench_lang.plan.errors import JobError
from mobench_lang.plan.jobs import cpus, make_job
from mobench_lang.plan.schedule import Slot, token_seed
from mobench_lang.plugins import Completer, DeviceError, PlatformError, RefusedError
from mobench_lang.protocol import JobModel

REOPEN_AFTER_S = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Pauses before a lost device is looked for again; then it is given up for this exec."""


@dataclass(frozen=True, slots=True)
class Context:
    """What all loops of an exec share."""

    build: Build
    run: Run
    artifacts: Artifacts
    instruments: Instruments
    retry_failed: bool
    report: Callable[[Progress], None]


class DeviceLoop:
    """The loop of one physical device, which may have several names in the plan."""

    def __init__(self, context: Context, devices: list[Device], work: Work) -> None:
        self.context = context
        self.devices = {device.name: device for device in devices}
        self.work = work
        self._done = work.done
        self._last_end: float | None = None
        self._warned: set[str] = set()
        self._labels = context.build.device_labels()

    async def run(self) -> None:
        """Work off the slots. Raises StoreError; a device that stays lost is reported and ends the loop."""
        try:
            for slot in self.work.slots:
                name = self._labels[self.context.build.device_index[slot.cell]]
                if name in self.devices:
                    await self._trial(self.devices[name], slot)
        except DeviceError as error:
            for name in self.devices:
                self.context.report(DeviceGone(name, error.code, str(error)))
            self.context.run.append("note", level="warning", message=f"{', '.join(self.devices)}: {error}")
        finally:
            # Also on cancellation: a running launch must not outlive its loop.
            for device in self.devices.values():
                with contextlib.suppress(DeviceError):
                    await device.session.cancel()

    async def _trial(self, device: Device, slot: Slot) -> None:
        """Measure one trial: its launch, and new ones where that may help."""
        cell_id, vector = self.context.build.ids[slot.cell], self.context.build.vector(slot.cell)
        history = self.context.run.history
        prepared = await self._prepare(device, slot, cell_id, vector)
        if isinstance(prepared, Refusal):
            self._skip(device, cell_id, slot, prepared)
            return
        retries = self.context.build.plan.protocol.retries
        trial = history.trials.get((device.name, cell_id, slot.rep), Trial())
        left = retries + 1 - (0 if self.context.retry_failed else trial.failures)
        attempt = trial.attempts
        while True:
            left -= 1
            step = Step(cell_id, slot.rep, slot.measured, attempt, slot.block, slot.order)
            result = (await self._launch(device, step, prepared, last=left <= 0)).result
            if result.reason == "lost_device":
                await self._find_again()
            if result.reason not in RETRIED or left <= 0:
                return
            attempt += 1

    async def _prepare(self, device: Device, slot: Slot, cell_id: str, vector: tuple[int, ...]) -> Prepared | Refusal:
        """The launch of a trial, or why this device cannot have it."""
        plan = self.context.build.plan
        cell = resolve(plan, vector)
        engine = self.context.instruments.get(cell.engine, device.session.platform)
        if isinstance(engine, Refusal):
            return engine
        weights = await self.context.artifacts.get(artifact_of(plan, cell), engine)
        if isinstance(weights, Refusal):
            return weights
        try:
            path = await device.session.push(weights)
            template = cell.model.get("chat_template")
            job = make_job(
                cell,
                job_id=f"{self.context.run.run_id}/{cell_id}/r{slot.rep}",
                model=JobModel(
                    path=path,
                    sha256=weights.sha256,
                    size=weights.size,
                    chat_template=template if isinstance(template, str) else None,
                ),
                affinity=cpus(cell.device.get("affinity"), device.facts),
                protocol=plan.protocol,
                measured=slot.measured,
                seed=token_seed(plan.protocol.seed, cell_id),
            )
            tool = stock(engine, cell.engine)
            if tool is None and isinstance(engine, Completer):
                job = engine.complete(job, device.session.platform, cell.engine, weights)
            platform = device.session.platform
            command = engine.launch(platform, cell.engine) if tool is None else tool.launch(platform, job)
            self._warn(command.by_shell)
            return Prepared(job, command, plan.protocol, tuple(cell.labels.items()), tool)
        except JobError as error:
            raise BuildError(str(error)) from error
        except RefusedError as refused:
            return Refusal(refused.reason, refused.detail)
        except PlatformError as error:
            return Refusal("no_engine", str(error))
        except DeviceError as error:
            if error.code == "lost":
                await self._find_again()
            return Refusal(error.code, str(error))

    def _warn(self, text: str) -> None:
        """Say something once."""
        if text and text not in self._warned:
            self._warned.add(text)
            self.context.report(Notice("warning", text))
            self.context.run.append("note", level="warning", message=text)

    def _skip(self, device: Device, cell_id: str, slot: Slot, refusal: Refusal) -> None:
        known = self.context.run.history.trials.get((device.name, cell_id, slot.rep), Trial())
        if (known.status, known.reason) != ("skipped", refusal.reason):
            self.context.run.append("skip", **skip_fields(device.name, cell_id, slot.rep, refusal))
        self._done += slot.measured
        self.context.report(
            TrialEnded(
                device=device.name,
                cell=cell_id,
                rep=slot.rep,
                attempt=0,
                status="skipped",
                reason=refusal.reason,
                detail=refusal.message,
                final=True,
                done=self._done,
                total=self.work.total,
                wall_ns=0,
            )
        )

    async def _launch(self, device: Device, step: Step, prepared: Prepared, *, last: bool) -> Launched:
        try:
            opened = await self._gate(device)
        except DeviceError as error:
            if error.code != "lost":
                raise
            await self._find_again()
            opened = await self._gate(device)
        self.context.report(TrialStarted(device.name, step.cell, step.rep, step.attempt, prepared.labels))
        launched = await launch(
            self.context.run, device, step, prepared, opened, again=lambda until: self._reopen(device.name, until)
        )
        self._last_end = time.monotonic()
        result = launched.result
        final = result.reason not in RETRIED or last
        self._done += step.measured if final else 0
        self.context.report(
            TrialEnded(
                device=device.name,
                cell=step.cell,
                rep=step.rep,
                attempt=step.attempt,
                status=result.status,
                reason=result.reason,
                detail=result.detail,
                final=final,
                done=self._done,
                total=self.work.total,
                wall_ns=launched.wall_ns,
                temperature=launched.temperature,
            )
        )
        return launched

    async def _gate(self, device: Device) -> gate.Gate:
        protocol, report = self.context.build.plan.protocol, self.context.report
        return await gate.wait(
            device.session, protocol, self._last_end, lambda what, heat: report(Waiting(device.name, what, heat))
        )

    async def _find_again(self) -> None:
        """Open a lost device again and begin anew there. Raises DeviceError if it stays away or is another one."""
        for name in self.devices:
            found = await self._reopen(name)
            await found.session.restore()
            await found.session.prepare(self.context.build.plan.conditions)

    async def _reopen(self, name: str, until: float = 0.0) -> Device:
        """Open a lost device again, with pauses, and change nothing there; `until` is how long to try at least.

        Raises DeviceError if it stays away or is another one.
        """
        device = self.devices[name]
        with contextlib.suppress(DeviceError):
            await device.session.close()
        last = Refusal("lost", "the device is gone")
        for pause in _pauses(until):
            self.context.report(Waiting(name, "the lost device", None))
            await asyncio.sleep(pause)
            found = await open_device(name, device.entity, device.scratch, device.scripts, device.meter)
            if isinstance(found, Refusal):
                last = found
                continue
            if found.identity != device.identity:
                await found.session.close()
                raise DeviceError("another_device", f"{name} came back as another physical device")
            # In place: whoever holds the device, to restore it in the end, has the link that works.
            simulated = device.facts.get("simulated")
            device.session, device.facts = found.session, found.facts | {"simulated": simulated}
            return device
        raise DeviceError("lost", f"{name} is lost: {last.message}")


def _pauses(until: float) -> Iterator[float]:
    yield from REOPEN_AFTER_S
    while time.monotonic() < until:
        yield REOPEN_AFTER_S[-1]


def skip_fields(device: str, cell: str, rep: int, refusal: Refusal) -> dict[str, object]:
    """The fields of a `skip` record."""
    return {
        "device": device,
        "cell": cell,
        "rep": rep,
        "status": "skipped",
        "reason": refusal.reason,
        "detail": refusal.message,
    }
