"""The fake target: this machine under another identity, doing what files in its script folder say.

`serial` is the identity. In the folder `script`: `absent` (cannot be opened), `temperatures` (m°C, one per reading,
the last one stays), `lose` (the launches, counted from 0, in which the device is lost), `set` (conditions that can be
set). The folder's `log` gets a line per `prepare`, `restore` and `start`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from mobench_targets.local.session import LocalSession

from mobench_lang.ir import Entity
from mobench_lang.plan.model import PlanSetting
from mobench_lang.plugins import DeviceError, Launch, Limits, Outcome
from mobench_lang.protocol import Job


class FakeSession(LocalSession):
    def __init__(self, device: Entity, scratch: Path) -> None:
        super().__init__(scratch)
        self.serial = str(device.get("serial") or device.name)
        self.script = Path(str(device.get("script") or "/nonexistent"))
        self._state_file = scratch / f"fake-{self.serial}.json"

    def _read(self, name: str) -> list[str]:
        path = self.script / name
        return path.read_text().split() if path.exists() else []

    def log(self, text: str) -> None:
        if self.script.is_dir():
            with (self.script / "log").open("a") as file:
                file.write(text + "\n")

    async def facts(self) -> dict[str, Any]:
        return {**await super().facts(), "identity": self.serial}

    async def state(self) -> dict[str, Any]:
        state = await super().state()
        heat = self._read("temperatures")
        if heat:
            state["temperature"] = int(heat[0])
            (self.script / "temperatures").write_text(" ".join(heat[1:] or heat))
        return state

    async def prepare(self, conditions: tuple[PlanSetting, ...]) -> list[dict[str, Any]]:
        self.log("prepare")
        can = self._read("set")
        return [
            {"name": c.name, "requested": c.value, "applied": c.name in can, "verified": c.name in can, "reason": "no"}
            for c in conditions
        ]

    async def restore(self) -> None:
        self.log("restore")
        await super().restore()

    async def start(self, job: Job, launch: Launch, folder: Path, limits: Limits) -> None:
        self.log("start " + job.job_id.split("/", 1)[1])
        await super().start(job, launch, folder, limits)

    async def wait(self) -> Outcome:
        number = (
            len([line for line in (self.script / "log").read_text().split("\n") if line.startswith("start")]) - 1
            if (self.script.is_dir())
            else -1
        )
        if str(number) in self._read("lose"):
            await self.cancel()
            raise DeviceError("lost", "the cable was pulled")
        if "broken" in self._read("lose"):
            await asyncio.sleep(0)
            raise RuntimeError("a bug in the pack")
        return await super().wait()


class FakeSimulated:
    """A virtual device: a serial, and a file that is there while it runs."""

    def __init__(self, profile: str, scratch: Path) -> None:
        self.attributes = {"serial": f"virtual-{profile}"}
        self._running = scratch / f"virtual-{profile}.running"
        scratch.mkdir(parents=True, exist_ok=True)
        self._running.touch()

    async def end(self) -> None:
        self._running.unlink()


class FakeTarget:
    name = "fake"

    def profiles(self) -> list[dict[str, Any]]:
        return [{"name": name, "target": self.name, "summary": f"a {name} device"} for name in ("fast", "absent")]

    async def simulate(self, profile: str, scratch: Path) -> FakeSimulated:
        if profile == "absent":
            raise DeviceError("simulator_missing", "the host lacks the package fake-emulator; install it")
        return FakeSimulated(profile, scratch)

    async def open(self, device: Entity, scratch: Path, scripts: Path) -> FakeSession:
        session = FakeSession(device, scratch)
        if (session.script / "absent").exists():
            raise DeviceError("not_found", "no such device; plug it in")
        return session

    def discover(self) -> list[dict[str, Any]]:
        return []


target = FakeTarget()
