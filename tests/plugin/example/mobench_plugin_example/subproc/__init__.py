"""The target `subproc`: a plain process on this machine whose storage is a temporary folder.

In: jobs and launches. Out: the raw files of each launch in the folder that the core names. It samples nothing, sets no
condition and measures no temperature: its manifest says so by leaving them out.
"""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from mobench_lang.ir import Entity
from mobench_lang.plan.model import PlanSetting
from mobench_lang.plugins import DeviceError, Launch, Limits, Outcome, Weights
from mobench_lang.protocol import Job


class Process:
    """One opened device; implements `mobench_lang.plugins.Session`."""

    platform = "host"

    def __init__(self, storage: Path, is_ours: bool) -> None:
        self._storage = storage
        self._is_ours = is_ours
        self._process: asyncio.subprocess.Process | None = None
        self._folder = storage
        self._limits = Limits(0)
        self._spawned = 0

    async def facts(self) -> dict[str, Any]:
        """What this machine is; its name stands for its identity."""
        return {
            "identity": f"subproc:{platform.node()}",
            "cpu": platform.processor() or platform.machine(),
            "cores": os.cpu_count() or 1,
            "ram_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "os": platform.system(),
            "kernel": platform.release(),
            "simulated": False,
            "clusters": [list(range(os.cpu_count() or 1))],
        }

    async def state(self) -> dict[str, Any]:
        """Only the clock: this target reads no sensor."""
        return {"t": time.monotonic_ns(), "cores": os.cpu_count() or 1}

    async def prepare(self, conditions: tuple[PlanSetting, ...]) -> list[dict[str, Any]]:
        """No condition can be set; each gets a record that says so."""
        reason = "the target subproc sets no conditions"
        return [
            {"name": c.name, "requested": c.value, "applied": False, "verified": False, "reason": reason}
            for c in conditions
        ]

    async def restore(self) -> None:
        """Nothing was changed."""

    async def push(self, weights: Weights) -> str:
        """Copy the weights to the storage, as a device with storage of its own would."""
        path = self._storage / weights.sha256
        if not path.exists():
            part = path.with_suffix(".part")
            shutil.copyfile(weights.path, part)
            part.rename(path)
        return str(path)

    async def start(self, job: Job, launch: Launch, folder: Path, limits: Limits) -> None:
        """Write the job and start the instrument in a process group of its own."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._limits = folder, limits
        work = Path(tempfile.mkdtemp(dir=self._storage, prefix="job-"))
        self._work = work
        (work / "job.json").write_text(job.model_dump_json(), "utf-8")
        places = {"{job}": str(work / "job.json"), "{events}": str(work / "events.jsonl")}
        places |= {f"{{{name}}}": str(file.path) for name, file in launch.files.items()}
        argv = [places.get(argument, argument) for argument in launch.argv]
        with (work / "stderr.log").open("wb") as log:
            self._spawned = time.monotonic_ns()
            self._process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **launch.env},
                start_new_session=True,
            )

    async def wait(self) -> Outcome:
        """Wait for the end or make one; then move the raw files. There is no sensor to abort by."""
        if self._process is None:
            raise DeviceError("not_started", "nothing was started on this device")
        timeout_ns, is_late = self._limits.timeout_ns, False
        try:
            status = await asyncio.wait_for(self._process.wait(), timeout_ns / 1e9)
        except TimeoutError:
            is_late = True
            await self.cancel()
            status = -signal.SIGKILL
        exited = time.monotonic_ns()
        for name in ("job.json", "events.jsonl", "stderr.log"):
            if (self._work / name).exists():
                shutil.move(self._work / name, self._folder / name)
        shutil.rmtree(self._work)
        self._process = None
        if is_late:
            return Outcome("failed", "timeout", f"ended after {timeout_ns / 1e9:g} s", self._spawned, exited)
        if status < 0:
            return Outcome("failed", "crashed", signal.Signals(-status).name, self._spawned, exited)
        if status > 0:
            return Outcome("failed", "engine_error", f"exit status {status}", self._spawned, exited)
        return Outcome("ok", spawned=self._spawned, exited=exited)

    async def cancel(self) -> None:
        """End the launch with everything it started."""
        if self._process is not None and self._process.returncode is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()

    async def close(self) -> None:
        """Remove the storage if it was made for this session."""
        await self.cancel()
        if self._is_ours:
            shutil.rmtree(self._storage, ignore_errors=True)


class Subproc:
    """Implements `mobench_lang.plugins.Target`."""

    name = "subproc"

    async def open(self, device: Entity, scratch: Path, scripts: Path) -> Process:
        """A folder and nothing else; DeviceError where it cannot be written."""
        if sys.platform == "win32":
            raise DeviceError("unsupported", "the target subproc needs process groups")
        storage = device.get("storage")
        if storage is None:
            return Process(Path(tempfile.mkdtemp(prefix="mobench-subproc-")), is_ours=True)
        folder = Path(str(storage))
        if not os.access(folder, os.W_OK):
            raise DeviceError("not_found", f"the storage {folder} is not a folder that can be written")
        return Process(folder, is_ours=False)

    def discover(self) -> list[dict[str, Any]]:
        """This machine, always."""
        return [{"name": "subproc", "target": "subproc", "identity": f"subproc:{platform.node()}", "state": "ready"}]


target = Subproc()
