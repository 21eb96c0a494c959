"""The Monsoon pack: a High Voltage Power Monitor in a phone's supply line.

In: the `meter` of a device, the unit's serial number. Out: recordings in the folders of launches. What it is is in
`manifest.toml`; the unit is read by a process of its own (`recorder`), so that 5 kHz disturb nothing and a stuck bus
stops nobody.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from mobench_lang.ir import Entity
from mobench_lang.plugins import RECORDING, DeviceError, Finding

ANSWER_S = 30.0
END_S = 5.0


class MonsoonMeter:
    """The meter plug-in; the package monsoon is imported by the recorder alone."""

    name = "monsoon"

    async def open(self, meter: Entity, device: Entity) -> Unit:
        """Look at the unit. Raises DeviceError."""
        usb, serial = meter.get("usb"), device.get("meter_serial")
        config = {"serial": None if serial is None else str(serial), "usb": None if usb is None else str(usb)}
        process, facts = await _start(config)
        await process.wait()
        return Unit(config, facts)

    def diagnose(self, where: Path) -> list[Finding]:  # noqa: ARG002
        """Whether a unit can be read on this host."""
        try:
            opened = asyncio.run(self.open(Entity("meter", "monsoon", "monsoon"), Entity("device", "", "")))
        except DeviceError as error:
            if error.code == "no_meter":  # nobody needs one
                return [Finding("Monsoon", "ok", str(error))]
            return [Finding("Monsoon", "warn", error.code, str(error))]
        facts = opened.facts
        return [Finding("Monsoon", "ok", f"HVPM {facts['unit']}, firmware {facts['firmware']}, USB {facts['usb']}")]


class Unit:
    """One HVPM; a `Meter` that is open."""

    def __init__(self, config: dict[str, Any], facts: dict[str, Any]) -> None:
        self._config, self.facts = config, facts
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """The recorder's process, while one runs."""
        return None if self._process is None else self._process.pid

    async def start(self, folder: Path) -> None:
        """Begin a recording in a launch's folder; returns when it runs. Raises DeviceError."""
        await self.stop()
        self._process, _ = await _start({**self._config, "out": str(folder.absolute() / RECORDING)})

    async def stop(self) -> None:
        """End the recording, if one runs; its file says how it went."""
        process, self._process = self._process, None
        if process is not None:
            await _end(process)


async def _start(config: dict[str, Any]) -> tuple[asyncio.subprocess.Process, dict[str, Any]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "mobench_targets.monsoon.recorder", json.dumps(config),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None  # noqa: S101 - asked for above
    try:
        async with asyncio.timeout(ANSWER_S):
            said = json.loads(await process.stdout.readline() or b"{}")
    except (TimeoutError, ValueError) as error:
        await _end(process)
        raise DeviceError("meter_lost", f"the Monsoon's recorder said nothing for {ANSWER_S:.0f} s") from error
    except BaseException:
        await _end(process)
        raise
    if "ready" not in said:
        await _end(process)
        raise DeviceError(said.get("error", "meter_lost"), said.get("text", "the Monsoon's recorder ended at once"))
    return process, said["ready"]


async def _end(process: asyncio.subprocess.Process) -> None:
    """Close its stdin; it stops the unit and ends. One that hangs is ended."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(END_S):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


meter = MonsoonMeter()
