"""This machine, opened: one engine process at a time, with a sampler beside it.

In: jobs and launches. Out: raw files in the trial's folder and how the process ended. Guarantee: whatever ends the
wait, nothing that the launch started is left running, and `samples.jsonl` and `stderr.log` are complete.

The sampler starts before the engine and stops after it, so that nothing is started inside a window. Both carry a
token in their environment, by which the next host finds them should this one die.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
import time
from pathlib import Path
from typing import Any

from mobench_targets.local import facts as machine
from mobench_targets.local import leftovers, sensors
from mobench_targets.local.child import Child
from mobench_targets.local.sensors import read_text

from mobench_lang.plan.model import PlanSetting
from mobench_lang.plugins import OUTPUT, DeviceError, Launch, Limits, Outcome, Weights
from mobench_lang.protocol import Job

HZ = 10
SLOW_EVERY = 10
GRACE_S = 5.0
HEAT_POLL_S = 1.0
SAMPLER = Path(__file__).with_name("sampler.py")
_OUT_OF_MEMORY = (b"std::bad_alloc", b"MemoryError", b"Cannot allocate memory", b"failed to allocate")


class LocalSession:
    """The session of one `device` entity of this machine."""

    platform = "host"

    def __init__(self, scratch: Path, root: Path = machine.ROOT) -> None:
        self._root = root
        self._state_file = scratch / f"{machine.identity(root)}.json"
        self._engine: Child | None = None
        self._sampler: Child | None = None
        self._folder = Path()
        self._limits = Limits(0)
        self._spawned = 0
        self._oom_kills = 0

    async def facts(self) -> dict[str, Any]:
        """What the machine is."""
        return machine.facts(self._root)

    async def state(self) -> dict[str, Any]:
        """How it stands now."""
        return machine.state(self._root)

    async def prepare(self, conditions: tuple[PlanSetting, ...]) -> list[dict[str, Any]]:
        """No condition can be set here; each is answered so."""
        reason = "the local target sets no conditions"
        return [
            {"name": c.name, "requested": c.value, "applied": False, "verified": False, "reason": reason}
            for c in conditions
        ]

    async def restore(self) -> None:
        """End what a dead host left running; there are no settings to put back."""
        if self._engine is None:
            await asyncio.to_thread(leftovers.end_leftovers, self._state_file)

    async def push(self, weights: Weights) -> str:
        """The weights are here already."""
        if not weights.path.is_file():
            raise DeviceError("artefact_missing", f"{weights.path} is gone; run exec again to obtain it")
        return str(weights.path.resolve())

    async def start(self, job: Job, launch: Launch, folder: Path, limits: Limits) -> None:
        """Start the sampler, then the engine in a session of its own on the job's CPUs."""
        self._folder, self._limits = folder.resolve(), limits
        token = secrets.token_hex(16)
        environment = {**os.environ, **launch.env, leftovers.TOKEN: token}
        places = {"{job}": str(self._folder / "job.json"), "{events}": str(self._folder / "events.jsonl")}
        places |= {f"{{{name}}}": str(file.path) for name, file in launch.files.items()}
        argv = [places.get(word, word) for word in launch.argv]
        argv[0] = os.path.expanduser(argv[0])  # noqa: PTH111 - a name to be found on the PATH stays a name
        self._oom_kills = oom_kills(self._root)
        try:
            leftovers.remember(self._state_file, token)
            # There from the first moment on: a sampler that dies before it has written anything is seen, too.
            (self._folder / "samples.jsonl").touch()
            self._sampler = Child(self._sampler_argv(), environment, self._folder, feed=True)
            self._spawned = time.monotonic_ns()
            kept = self._folder / OUTPUT if launch.keeps_output else None
            self._engine = Child(argv, environment, self._folder, output=True, stdout=kept)
            if isinstance(job.affinity, tuple):
                os.sched_setaffinity(self._engine.pid, job.affinity)
                rest = os.sched_getaffinity(0) - set(job.affinity)
                os.sched_setaffinity(self._sampler.pid, rest or os.sched_getaffinity(0))
            self._sampler.tell(f"{self._engine.pid}\n")
            leftovers.remember(self._state_file, token, (self._engine.pid, self._sampler.pid))
        except OSError as error:
            await self.cancel()
            if isinstance(error, FileNotFoundError | PermissionError) and error.filename in (argv[0], None):
                raise DeviceError("engine_missing", f"{argv[0]} cannot be started: {error.strerror}") from error
            if job.affinity is not None and error.filename is None:
                raise DeviceError(
                    "no_such_cpus", f"the CPUs {list(job.affinity)} cannot be used: {error.strerror}"
                ) from error
            raise DeviceError("start_failed", f"the engine cannot be started: {error}") from error

    def _sampler_argv(self) -> list[str]:
        found = [*sensors.energies(self._root), *sensors.temperatures(self._root), *sensors.frequencies(self._root)]
        words = [word for s in found for word in (s.name, s.unit, str(s.scale), s.path)]
        out = str(self._folder / "samples.jsonl")
        return [sys.executable, "-I", "-S", str(SAMPLER), out, str(HZ), str(SLOW_EVERY), *words]

    async def wait(self) -> Outcome:
        """Wait for the engine to end, or end it."""
        engine = self._engine
        assert engine is not None  # noqa: S101 - called between start and the next start
        timeout_ns, abort_above = self._limits.timeout_ns, self._limits.abort_above
        deadline = self._spawned / 1e9 + timeout_ns / 1e9
        reason, detail = "", ""
        while not await engine.gone(self._pause(deadline, abort_above)):
            if time.monotonic() >= deadline:
                reason, detail = "timeout", f"ended after {timeout_ns / 1e9:g} s"
                break
            heat = machine.state(self._root)["temperature"] if abort_above is not None else None
            if heat is not None and abort_above is not None and heat > abort_above:
                reason, detail = "too_hot", f"{heat / 1000:.1f} °C, ended above {abort_above / 1000:g} °C"
                break
        if reason:
            await engine.end(GRACE_S)
        exited = engine.exited or time.monotonic_ns()
        status, output = await self._finish()
        if not reason and status != 0:
            reason, detail = self._why(status, output)
        return Outcome("failed" if reason else "ok", reason, detail, self._spawned, exited, exit=status)

    @staticmethod
    def _pause(deadline: float, abort_above: int | None) -> float:
        left = max(0.0, deadline - time.monotonic())
        return left if abort_above is None else min(left, HEAT_POLL_S)

    def _why(self, status: int, output: bytes) -> tuple[str, str]:
        """Reason and detail of a process that did not end well; what its events say is judged by the core."""
        last = output.strip().rsplit(b"\n", 1)[-1][-300:].decode("utf-8", "replace")
        if status == -signal.SIGKILL and oom_kills(self._root) > self._oom_kills:
            return "out_of_memory", "killed by the kernel: out of memory"
        if any(mark in output[-8192:] for mark in _OUT_OF_MEMORY):
            return "out_of_memory", last
        if status < 0:
            try:
                name = signal.Signals(-status).name
            except ValueError:
                name = f"signal {-status}"
            return "crashed", f"{name}: {last}" if last else name
        return "crashed", f"exit status {status}: {last}" if last else f"exit status {status}"

    async def _finish(self) -> tuple[int, bytes]:
        """Reap both processes, keep the engine's output, forget the launch."""
        engine, sampler = self._engine, self._sampler
        status, output = 0, b""
        if engine is not None:
            status, output = engine.reap()
            (self._folder / "stderr.log").write_bytes(output)
        if sampler is not None:
            sampler.hang_up()
            if not await sampler.gone(GRACE_S):
                await sampler.end(0)
            sampler.reap()
        self._engine = self._sampler = None
        self._state_file.unlink(missing_ok=True)
        return status, output

    async def cancel(self) -> None:
        """End a running launch."""
        if self._engine is not None:
            await self._engine.end(GRACE_S)
        if self._engine is not None or self._sampler is not None:
            await self._finish()

    async def close(self) -> None:
        """Nothing is held beyond a launch."""
        await self.cancel()


def oom_kills(root: Path) -> int:
    """How many processes the kernel has killed for want of memory since boot, in control groups or not."""
    for line in (read_text(root / "proc/vmstat") or "").splitlines():
        if line.startswith("oom_kill "):
            return int(line.split()[1])
    return 0
