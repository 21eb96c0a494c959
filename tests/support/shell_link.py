"""A device without a link: commands run on this machine under a chosen shell, with the tools of a kind of device.

`Tools` makes a folder of programs: those of this system under dash, toybox alone under mksh (as on a phone), busybox
alone under its ash. `LocalLink` is a Transport over them; `cut` loses it, as a cable does: whatever waits gets
DeviceError("lost"), commands in the foreground die, what was detached goes on.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from mobench_targets.shell.platform import Changes, Channel, Sampling, Sensor
from mobench_targets.shell.transport import Progress, Ran, Transport

from mobench_lang.plan.model import PlanSetting
from mobench_lang.plugins import DeviceError

SHELLS = ("dash", "mksh", "busybox")


def tools(kind: str, folder: Path) -> str:
    """The PATH of a kind of device, made in a folder. Fails the test that wants it where the packages are missing."""
    needed = {"dash": ["dash"], "mksh": ["mksh", "toybox"], "busybox": ["busybox"]}[kind]
    for program in needed:
        if shutil.which(program) is None:
            pytest.fail(f"{program} is missing: python3 .ci/setup.py tools installs the packages of the tests")
    folder.mkdir(parents=True, exist_ok=True)
    box = {"mksh": "toybox", "busybox": "busybox"}.get(kind)
    if box is not None:
        program = str(shutil.which(box))
        listed = subprocess.check_output([program, *(["--list"] if box == "busybox" else [])], text=True)
        for name in listed.split():
            if not (folder / name).exists() and "/" not in name:
                (folder / name).symlink_to(program)
    shell = folder / "sh"
    shell.unlink(missing_ok=True)
    shell.symlink_to(str(shutil.which("busybox" if kind == "busybox" else kind)))
    return str(folder) if box is not None else f"{folder}:/usr/bin:/bin"


@dataclass
class LocalLink:
    """The link; `log` has what was sent, in order, and `moved` the bytes that files took."""

    home: Path
    path: str
    env: dict[str, str] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    moved: int = 0
    full_after: int | None = None

    def __post_init__(self) -> None:
        self._lost = asyncio.Event()
        self._shell = f"{self.path.split(':')[0]}/sh"
        self.holding = asyncio.Event()

    def cut(self) -> None:
        """Lose the link for good; a new one stands for the device that is back."""
        self._lost.set()

    async def _while_there(self, command: str, stdin: bytes, timeout: float | None) -> Ran:
        if self._lost.is_set():
            raise DeviceError("lost", "the cable is pulled")
        environment = {"PATH": self.path, "HOME": str(self.home), **self.env}
        process = await asyncio.create_subprocess_exec(
            self._shell, "-c", command, env=environment, cwd=self.home, start_new_session=True,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        talk = asyncio.ensure_future(process.communicate(stdin))
        lost = asyncio.ensure_future(self._lost.wait())
        try:
            await asyncio.wait({talk, lost}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if not talk.done():
                raise DeviceError("lost", "the cable is pulled") if lost.done() else DeviceError("slow", command)
            out, err = talk.result()
            return Ran(process.returncode or 0, out, err)
        finally:
            lost.cancel()
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)  # mksh puts a hangup off while a command runs
                talk.cancel()
                await process.wait()

    async def run(self, command: str, *, stdin: bytes = b"", timeout: float | None = 60.0) -> Ran:
        self.log.append(f"run {command}")
        return await self._while_there(command, stdin, timeout)

    async def hold(self, command: str) -> int:
        self.log.append(f"hold {command}")
        self.holding.set()
        ran = await self._while_there(command, b"", None)
        assert not ran.stdout, "a held command must be silent"
        return ran.rc

    async def push(self, local: Path, remote: str, *, mode: int = 0o644, progress: Progress | None = None) -> None:
        self.log.append(f"push {remote}")
        if self._lost.is_set():
            raise DeviceError("lost", "the cable is pulled")
        data = local.read_bytes()
        if self.full_after is not None and len(data) > self.full_after:
            Path(remote).write_bytes(data[: self.full_after])
            raise DeviceError("no_space", "No space left on device")
        Path(remote).write_bytes(data)
        Path(remote).chmod(mode)
        self.moved += len(data)
        if progress is not None:
            progress(len(data))

    async def pull(self, remote: str, local: Path) -> None:
        self.log.append(f"pull {remote}")
        if self._lost.is_set():
            raise DeviceError("lost", "the cable is pulled")
        try:
            data = Path(remote).read_bytes()
        except OSError as error:
            raise DeviceError("pull_failed", str(error)) from error
        local.write_bytes(data)
        self.moved += len(data)

    async def close(self) -> None:
        self.log.append("close")
        self.cut()


@dataclass
class FakeKind:
    """A Platform whose one condition is a file, `airplane`, in the folder of the device."""

    root: str
    identity: str = "shell-1"
    sensor: Sensor | None = None
    channels: tuple[Channel, ...] = ()
    platform: str = "linux-test"

    async def facts(self, link: Transport) -> dict[str, Any]:
        cores = int((await link.run("grep -c ^processor /proc/cpuinfo")).text)
        return {
            "identity": self.identity, "platform": self.platform, "cpu": "test", "cores": cores, "ram_bytes": 1 << 30,
            "os": "test", "kernel": (await link.run("uname -r")).text, "simulated": False, "clusters": [],
        }  # fmt: skip

    async def state(self, link: Transport) -> dict[str, Any]:
        await link.run(":")
        return {}

    async def prepare(
        self, link: Transport, changes: Changes, conditions: tuple[PlanSetting, ...]
    ) -> list[dict[str, Any]]:
        records = []
        for condition in conditions:
            old = (await link.run("cat airplane 2>/dev/null")).text or "off"
            await changes.change(f"echo {condition.value} >airplane", f"echo {old} >airplane")
            now = (await link.run("cat airplane")).text
            records.append(
                {"name": condition.name, "requested": condition.value, "applied": True,
                 "verified": now == condition.value, "reason": ""}
            )  # fmt: skip
        return records

    def heat(self) -> Sensor | None:
        return self.sensor

    def sampling(self) -> Sampling | None:
        return Sampling(self.channels) if self.channels else None
