"""Virtual phones from outside: which there are, starting one, asking it for faults.

In: a profile, perhaps with options (`pixel:level=14`), and a folder of the host. Out: a `VirtualPhone`: the attributes
by which the target opens it, and what tests ask of it. Guarantee: a phone that is still on from an earlier process is
taken over: same serial, same files, same processes.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mobench_targets.android.virtual import hub, jail, profile

from mobench_lang.names import slug
from mobench_lang.plugins import DeviceError

START_S = 30.0


class VirtualPhone:
    """A virtual phone that is on."""

    def __init__(self, folder: Path, about: Mapping[str, Any]) -> None:
        self.folder, self._about = folder, dict(about)
        self._address: dict[str, str | int] = {"serial": str(about["serial"]), "adb_port": int(about["adb_server"])}
        self._address["meter_serial"] = f"virtual:{folder}"  # read only where a spec asks for a meter

    @property
    def attributes(self) -> Mapping[str, str | int]:
        """By what the target opens it. A virtual phone never hangs on a port of a real hub, whatever a spec says."""
        found: dict[str, str | int] = {**self._address, "hub_port": ""}
        if hub.read(self.folder):
            found |= {"hub_port": f"{hub.LOCATION}:{hub.PORT}", "virtual_hub": str(self.folder)}
        return MappingProxyType(found)

    async def ask(self, do: str, **more: Any) -> dict[str, Any]:
        """One request of the control port (`set`, `cut`, `reboot`, `hang`, `frames`, `snapshot`, `off`…); its answer.

        Raises DeviceError where the phone is off or refuses.
        """
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(self._about["control"]), limit=64 << 20)
            try:
                request = json.dumps({"do": do, **more})
                writer.write(f"{self._about['token']} {request}\n".encode())
                await writer.drain()
                line = await reader.readline()
            finally:
                writer.close()
        except OSError as error:
            raise DeviceError("lost", f"the virtual phone in {self.folder} is off") from error
        answer: dict[str, Any] = json.loads(line) if line else {}
        if "error" in answer:
            raise DeviceError("refused", str(answer["error"]))
        return answer

    async def end(self) -> None:
        """Switch it off; its files stay."""
        pid, began = int(self._about["pid"]), int(self._about["pid_began"])
        try:
            await self.ask("off")
        except DeviceError:
            return  # it is off
        while jail.started(pid) == began:
            await asyncio.sleep(0.02)


def profiles() -> list[dict[str, Any]]:
    """The phones that can be simulated."""
    return [
        {"name": name, "target": "android", "summary": profile.load(name).summary, "virtual": True}
        for name in profile.names()
    ]


async def simulate(wanted: str, scratch: Path) -> VirtualPhone:
    """Start a virtual phone, or take over the one that an earlier process left on. Raises DeviceError."""
    name, _, chosen = wanted.partition(":")
    profile.load(name), profile.options(chosen)  # what is wrong with them is said here, not by another process
    folder = (scratch / f"phone-{slug(name)}").absolute()
    phone = await _left(folder, name) or await _started(folder, name, chosen)
    await phone.ask("own", pid=os.getpid())
    if chosen:
        options = profile.options(chosen).model_dump(exclude_unset=True)
        await phone.ask("set", **options)
    return phone


async def _left(folder: Path, name: str) -> VirtualPhone | None:
    """The phone that is on already."""
    try:
        about = json.loads((folder / "phone.json").read_text("utf-8"))
        is_on = jail.started(int(about["pid"])) == int(about["pid_began"]) != 0 and about["profile"] == name
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return VirtualPhone(folder, about) if is_on else None


async def _started(folder: Path, name: str, chosen: str) -> VirtualPhone:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "daemon.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "mobench_targets.android.virtual.daemon", str(folder), name, chosen, adb(),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=log, start_new_session=True,
        )  # fmt: skip
    if process.stdout is None:
        raise DeviceError("not_started", "the virtual phone has no output")
    try:
        async with asyncio.timeout(START_S):
            line = await process.stdout.readline()
        said = json.loads(line)
    except (TimeoutError, ValueError) as error:
        if process.returncode is None:
            process.kill()
        raise DeviceError("not_started", f"the virtual phone did not start; {folder}/daemon.log says why") from error
    if "error" in said:
        raise DeviceError(str(said["error"]), str(said["text"]))
    return VirtualPhone(folder, said)


def adb() -> str:
    """The program `adb`: the one that adbutils brings. Raises DeviceError."""
    try:
        from adbutils import adb_path
    except ImportError as error:
        raise DeviceError("no_adbutils", "virtual phones need adbutils: pip install 'mobench[android]'") from error
    return str(adb_path())
