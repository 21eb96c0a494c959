"""One `exec` from opened devices to the closed run.

In: a verified build and the options. Out: `RunResult`. The order of its steps is what resume rests on: devices are
opened and locked, what a dead host left is cleared, the run that matches is found, weights are obtained for what is
pending, the run is opened under its lock, conditions are set, the loops work, everything is restored, the run is
closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import traceback
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from mobench_lang import packs
from mobench_lang.execute.artifacts import Artifacts
from mobench_lang.execute.devices import STATE, Device, Fleet, Refusal, open_fleet
from mobench_lang.execute.errors import StoreError, UsageError
from mobench_lang.execute.history import History
from mobench_lang.execute.instruments import Instruments, instruments
from mobench_lang.execute.load import Build
from mobench_lang.execute.lock import FileLock
from mobench_lang.execute.loop import Context, DeviceLoop, skip_fields
from mobench_lang.execute.options import Options, Report, RunResult
from mobench_lang.execute.pending import Work, select, work
from mobench_lang.execute.progress import Closed, DeviceGone, DeviceReady, Notice, Opened, Preparing
from mobench_lang.execute.run import Header, Known, Run, began, create, find, keep_plan, planned, resume
from mobench_lang.plan.cell import artifact_of, resolve
from mobench_lang.plugins import DeviceError

T = TypeVar("T")


class Execution:
    """One `exec`, step by step."""

    def __init__(self, build: Build, runs: Path, options: Options, report: Report, stop: asyncio.Event) -> None:
        self.build = build
        self.runs = runs
        self.options = options
        self.report = report
        self.stop = stop
        self.chosen = select(build, options.only)
        self.fleet = Fleet()
        self.instruments = Instruments()
        self.artifacts = Artifacts(options.cache, lambda what: report(Preparing(what)))

    async def run(self) -> RunResult:
        """Do it. Raises ExecError."""
        if not self.chosen:
            raise UsageError("no cell of the plan is chosen by --only")
        self._warn_of_other_packs()
        self.fleet = await open_fleet(
            self.build, set(self.chosen), self.runs, self.options.devices, self.options.simulate
        )
        for name, refusal in self.fleet.refused.items():
            self.report(DeviceGone(name, refusal.reason, refusal.message))
        if not self.fleet.devices and {r.reason for r in self.fleet.refused.values()} == {"no_target"}:
            raise UsageError("no device of this plan can be executed by this version; nothing was started")
        try:
            return await (self._dry_run() if self.options.dry_run else self._locked())
        finally:
            await self.fleet.close()

    async def _locked(self) -> RunResult:
        self.fleet.lock(self.runs)
        # A dead host may have left engines running and settings changed.
        await self._restore()
        self._find_engines()
        known, _ = self._find({})
        history = known.history if known else History()
        if known and not any(lane.slots for lane in self._works(history).values()) and not self._missing(history):
            self._renew_plan(known)
            self.report(Notice("info", f"{known.run_id} is complete; --fresh to repeat"))
            return RunResult(known.run_id, known.folder, history.counts(), 0, interrupted=False, resumed=True)
        weights = await self._obtain(history)
        if self.stop.is_set():
            return RunResult("", None, {}, 0, interrupted=True, resumed=False)
        run = self._open(weights)
        try:
            return await self._execute(run)
        finally:
            run.close()

    def _renew_plan(self, known: Known) -> None:
        """Give a complete run the plan that was asked for: its claims may be new, though no trial is."""
        if planned(known.folder) == self.build.plan.digest:
            return
        run = self._open({})
        try:
            keep_plan(run, self.build)
            run.append("exec", **began(self.build, self.instruments.builds))
            run.append("done", status="complete", counts=run.history.counts())
        finally:
            run.close()

    async def _dry_run(self) -> RunResult:
        self._find_engines()
        known, notes = self._find({})
        history = known.history if known else History()
        works = self._works(history)
        pending = sum(slot.measured for lane in works.values() for slot in lane.slots) + len(self._missing(history))
        return RunResult(
            known.run_id if known else "",
            known.folder if known else None,
            history.counts(),
            pending,
            interrupted=False,
            resumed=known is not None,
            notes=tuple(notes),
        )

    # ------------------------------------------------------------ what is there

    def _find_engines(self) -> None:
        """The engines that the plan names, on the platforms of the devices that were opened."""
        platforms = {device.session.platform for device in self.fleet.devices.values()}
        self.instruments = instruments(self.build.plan, platforms)

    def _header(self, weights: dict[str, str]) -> Header:
        devices = {name: device.about() for name, device in self.fleet.devices.items()}
        simulated = any(device.facts.get("simulated") for device in self.fleet.devices.values())
        builds = self.instruments.builds
        return Header(self.build.plan.bench, devices, builds, weights, dict(self.options.labels), simulated)

    def _find(self, weights: dict[str, str]) -> tuple[Known | None, list[str]]:
        if self.options.fresh:
            return None, []
        return find(self.runs, self.build, self._header(weights))

    def _works(self, history: History) -> dict[str, Work]:
        """The work of each physical device, by identity."""
        works = {}
        for lane in self.fleet.lanes():
            names = {device.name for device in lane}
            cells = sorted(cell for name, cells in self.chosen.items() if name in names for cell in cells)
            works[lane[0].identity] = work(self.build, cells, history, retry_failed=self.options.retry_failed)
        return works

    def _missing(self, history: History) -> list[tuple[str, str, int, Refusal]]:
        """The unfinished trials of devices that could not be opened."""
        missing = []
        for name, refusal in self.fleet.refused.items():
            todo = work(self.build, self.chosen[name], history, retry_failed=self.options.retry_failed)
            missing += [(name, self.build.ids[slot.cell], slot.rep, refusal) for slot in todo.slots]
        return missing

    async def _obtain(self, history: History) -> dict[str, str]:
        """Find the weights of all pending trials; their digests by artefact key."""
        digests: dict[str, str] = {}
        for lane, todo in zip(self.fleet.lanes(), self._works(history).values(), strict=True):
            for slot in todo.slots:
                if self.stop.is_set():
                    return digests
                cell = resolve(self.build.plan, self.build.vector(slot.cell))
                engine = self.instruments.get(cell.engine, lane[0].session.platform)
                if isinstance(engine, Refusal):
                    continue
                artifact = artifact_of(self.build.plan, cell)
                weights = await self._unless_stopped(self.artifacts.get(artifact, engine))
                if weights is not None and not isinstance(weights, Refusal):
                    digests[artifact.key] = weights.sha256
        return digests

    async def _unless_stopped(self, work: Coroutine[Any, Any, T]) -> T | None:
        """The result of some work; None if the exec is stopped before it is there."""
        task, stopping = asyncio.create_task(work), asyncio.create_task(self.stop.wait())
        await asyncio.wait((task, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if task.done():
            return task.result()
        task.cancel()
        return None

    # ------------------------------------------------------------ the run

    def _open(self, weights: dict[str, str]) -> Run:
        """Resume the newest matching run or begin one; two execs that begin at once do it one after the other."""
        choosing = FileLock(self.runs / STATE / "choosing.lock")
        choosing.acquire("the folder of runs", wait=True)
        try:
            known, notes = self._find(weights)
            run = resume(known) if known else create(self.runs, self.build, self._header(weights))
        finally:
            choosing.release()
        run.notes += notes
        return run

    async def _execute(self, run: Run) -> RunResult:
        keep_plan(run, self.build)
        run.append("exec", **began(self.build, self.instruments.builds))
        for level, message in [("info", note) for note in run.notes]:
            self.report(Notice(level, message))
            run.append("note", level=level, message=message)
        try:
            await asyncio.gather(*(self._prepare_lane(run, lane) for lane in self.fleet.lanes()))
            self._record_weights(run)
            run.append_all([{"kind": "skip", **skip_fields(*trial)} for trial in self._missing(run.history)
                            if not _said(run.history, trial)])  # fmt: skip
            works = self._works(run.history)
            self._opened(run, works)
            await self._loops(run, works)
        except StoreError:
            with contextlib.suppress(StoreError):  # the disk may well be full for this, too
                run.append("done", status="interrupted", counts=run.history.counts())
            raise
        finally:
            await self._restore()
        return self._close(run)

    def _warn_of_other_packs(self) -> None:
        """A plan says which packs it was checked against."""
        for pack, version in self.build.plan.packs:
            kind, _, name = pack.partition(":")
            manifest = packs.manifests(kind).get(name) if kind in packs.GROUPS else None
            if manifest is not None and manifest.version != version:
                text = f"the plan was compiled with {name} {version}, {manifest.version} is installed; compile it again"
                self.report(Notice("warning", text))

    async def _prepare_lane(self, run: Run, lane: list[Device]) -> None:
        for device in lane:
            await self._prepare(run, device.name, device)

    async def _prepare(self, run: Run, name: str, device: Device) -> None:
        """Set the conditions of a device; one that a required condition cannot be set on is refused."""
        try:
            conditions = await device.session.prepare(self.build.plan.conditions)
        except DeviceError as error:
            await self._refuse(name, Refusal(error.code, str(error)))
            return
        run.append("device", device=name, identity=device.identity, facts=device.facts, conditions=conditions)
        optional = {setting.name for setting in self.build.plan.conditions if setting.optional}
        for condition in conditions:
            if not condition["applied"] and condition["name"] not in optional:
                text = f"the condition {condition['name']} cannot be set: {condition['reason']}"
                await self._refuse(name, Refusal("condition", text))
                return

    async def _refuse(self, name: str, refusal: Refusal) -> None:
        device = self.fleet.devices.pop(name)
        self.fleet.refused[name] = refusal
        self.report(DeviceGone(name, refusal.reason, refusal.message))
        with contextlib.suppress(DeviceError):
            await device.session.restore()
            await device.session.close()

    def _record_weights(self, run: Run) -> None:
        for artifact, weights in self.artifacts.obtained(self.build.plan.artifacts):
            if run.history.weights.get(artifact.key) != weights.sha256:
                run.append(
                    "artifact",
                    key=artifact.key,
                    model=artifact.model,
                    quant=artifact.quant,
                    path=str(weights.path),
                    sha256=weights.sha256,
                    size=weights.size,
                    note=weights.note,
                )

    def _opened(self, run: Run, works: dict[str, Work]) -> None:
        missing = len(self._missing(run.history))
        done, total = (sum(getattr(lane, key) for lane in works.values()) for key in ("done", "total"))
        self.report(Opened(run.run_id, run.folder, run.resumed, done, total + missing))
        for lane in self.fleet.lanes():
            todo = works[lane[0].identity]
            for device in lane:
                self.report(DeviceReady(device.name, str(device.facts.get("cpu", "")), todo.done, todo.total))

    async def _loops(self, run: Run, works: dict[str, Work]) -> None:
        """One task per physical device; none ends another, except that a store that fails ends all."""
        context = Context(self.build, run, self.artifacts, self.instruments, self.options.retry_failed, self.report)
        tasks: dict[asyncio.Task[None], list[Device]] = {
            asyncio.create_task(DeviceLoop(context, lane, works[lane[0].identity]).run()): lane
            for lane in self.fleet.lanes()
        }
        stopping = asyncio.create_task(self.stop.wait())
        failure: StoreError | None = None
        running = set(tasks)
        while running and failure is None and not self.stop.is_set():
            await asyncio.wait({*running, stopping}, return_when=asyncio.FIRST_COMPLETED)
            for task in [task for task in running if task.done()]:
                failure = self._loop_ended(run, tasks[task], task) or failure
                running.remove(task)
        for task in running:
            task.cancel()
        stopping.cancel()
        await asyncio.gather(*running, stopping, return_exceptions=True)
        if failure is not None:
            raise failure

    def _loop_ended(self, run: Run, lane: list[Device], task: asyncio.Task[None]) -> StoreError | None:
        error = task.exception()
        if error is None or isinstance(error, StoreError):
            return error
        # A broken plug-in must not take the other devices with it.
        text = "".join(traceback.format_exception_only(error)).strip()
        for device in lane:
            self.report(DeviceGone(device.name, "internal", text))
        run.append("note", level="error", message="".join(traceback.format_exception(error)))
        return None

    async def _restore(self) -> None:
        await asyncio.gather(*map(self._restore_lane, self.fleet.lanes()))

    async def _restore_lane(self, lane: list[Device]) -> None:
        for device in lane:
            try:
                await device.session.restore()
            except DeviceError as error:
                self.report(
                    Notice("warning", f"{device.name} could not be restored: {error}; the next exec tries again")
                )

    def _close(self, run: Run) -> RunResult:
        works = self._works(run.history)
        left = sum(slot.measured for lane in works.values() for slot in lane.slots) + len(self._missing(run.history))
        interrupted = self.stop.is_set()
        # `--only` and devices that could not be used leave trials for later.
        status = "interrupted" if interrupted else "partial" if left or self._unchosen(run.history) else "complete"
        counts = run.history.counts()
        run.append("done", status=status, counts=counts)
        self.report(Closed(run.run_id, status, tuple(counts.items())))
        return RunResult(run.run_id, run.folder, counts, left, interrupted, run.resumed, tuple(run.notes))

    def _unchosen(self, history: History) -> bool:
        """Whether `--only` left out trials that are not finished."""
        if self.options.only is None:
            return False
        return any(
            work(self.build, cells, history, retry_failed=False).slots for cells in select(self.build, None).values()
        )


def _said(history: History, trial: tuple[str, str, int, Refusal]) -> bool:
    """Whether the journal already ends with this very skip."""
    device, cell, rep, refusal = trial
    known = history.trials.get((device, cell, rep))
    return known is not None and (known.status, known.reason) == ("skipped", refusal.reason)
