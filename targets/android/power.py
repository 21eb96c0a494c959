"""Power of a phone by the USB port that it hangs on: switched off for a run, and back on whatever happens.

In: a hub's port, the phone that hangs there, the host's folder of device state. Out: a port without power, and with it
again. Guarantee: what is switched off is written down on this host before; it is switched on by `back`, and after a
crash by `sweep` of any later process, the phone reachable or not. A port is held by one process for one phone: a lock
that the kernel drops with its holder says whether that is alive. A port that had no power before gets none.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mobench_targets.android.uhubctl import Hub, HubPort, Uhubctl, find, hub_port

from mobench_lang.plugins import DeviceError

POLL_S = 0.05
TCPIP = '`adb tcpip 5555`, `adb connect ADDRESS:5555`, and serial = "ADDRESS:5555"'


@dataclass(slots=True)
class _Held:
    """A port that this process holds: for which phone, by which open lock."""

    phone: str
    lock: int


_HELD: dict[Path, _Held] = {}
"""By the port's file of state. Of the process, not of a session: a phone that was lost and found again has a new
session, and its port is to stay off meanwhile."""
_BACK: dict[Path, float] = {}
"""When a port got its power back."""


class PortPower:
    """The power of one phone's port."""

    def __init__(self, place: HubPort, program: Uhubctl | None, scratch: Path, *, usb_path: str | None) -> None:
        """`usb_path` is where adb itself reaches the phone by USB (`1-1.4.2`, empty: not told), None: by network."""
        self.place, self.scratch, self.phone = place, scratch, ""
        self._program, self._usb_path = program, usb_path
        virtual = program.virtual if program is not None else ""
        self._state = _state(scratch, place, virtual)

    def claim(self) -> None:
        """Hold the port for this phone. Raises DeviceError('hub_port_taken')."""
        held = _HELD.get(self._state)
        if held is None:
            for _ in range(10):
                if (lock := _lock(self._state)) is not None:
                    break
                time.sleep(0.02)  # `doctor` holds it for a moment, to see whether it is free
            else:
                raise DeviceError("hub_port_taken", f"the USB port {self.place} is in use by another mobench exec")
            _HELD[self._state] = _Held(self.phone, lock)
        elif held.phone != self.phone:
            raise DeviceError(
                "hub_port_taken",
                f"another device of this run has hub_port = {self.place}, too; two phones cannot hang on one port",
            )

    def fresh(self, seconds: float) -> bool:
        """Whether the power came back so short ago that the phone may not have noticed."""
        return time.monotonic() - _BACK.get(self._state, -seconds) < seconds

    async def off(self, serial: str) -> str:
        """Take the power away from the phone of a USB serial; how that was done. Raises DeviceError with what stands in
        the way; the port then has its power again."""
        if self._usb_path is not None:
            raise DeviceError(
                "hub_port_is_link",
                f"adb reaches this phone by USB, which goes with the port's power; reach it over the network: {TCPIP}",
            )
        program = self._program or find()
        self.claim()
        async with _alone(self.scratch):
            await _put_back(self._state)  # what a crash left, if nobody did so yet
            before = await self._hub(program)
            self._look(before, serial)
            _write(self._state, {"port": str(self.place), "virtual": program.virtual, "phone": self.phone})
            try:
                self._obeyed(await program.switch(self.place, on=False), before, await self._hub(program))
            except DeviceError as error:
                try:
                    await _put_back(self._state)
                    await self._others_back(program, before)
                except DeviceError as also:
                    raise DeviceError(error.code, f"{error}; {also}") from error
                raise
        return f"USB hub {self.place.location}, port {self.place.port} switched off by uhubctl"

    async def still_off(self) -> bool:
        """Whether the port has no power, some time after it was switched off: some kernels switch it on again."""
        return not any(hub.ports[self.place.port].on for hub in await self._hub(self._program or find()))

    async def back(self) -> None:
        """Give the power back that this process took, and let the port go. Raises DeviceError('not_restored')."""
        held = _HELD.get(self._state)
        if held is None or held.phone != self.phone:
            return
        async with _alone(self.scratch):
            await _put_back(self._state)
        os.close(_HELD.pop(self._state).lock)

    # ------------------------------------------------------------ looking

    async def _hub(self, program: Uhubctl) -> list[Hub]:
        """The hub with all its ports, and its other half. Raises DeviceError."""
        location, port = self.place.location, self.place.port
        hubs = await program.hubs(location)
        if not hubs:
            forced = await program.hubs(location, any_kind=True)
            switching = next((hub.switching for hub in forced if hub.location == location), None)
            if switching is not None:
                how = {"ganged": "all its ports at once only"}.get(switching, "no power")
                raise DeviceError("hub_cannot", f"the USB hub at {location} switches {how}; use one that uhubctl lists")
            known = ", ".join(sorted(hub.location for hub in await program.hubs())) or "none"
            raise DeviceError(
                "no_hub", f"no USB hub that switches single ports is at {location}; uhubctl finds {known} on this host"
            )
        for hub in hubs:
            if port not in hub.ports:
                raise DeviceError("no_hub_port", f"the USB hub {hub.location} has no port {port}: {_listed(hub.ports)}")
        return hubs

    def _look(self, hubs: list[Hub], serial: str) -> None:
        """Whether this port may be switched. Raises DeviceError."""
        ports = [hub.ports[self.place.port] for hub in hubs]
        if not any(port.on for port in ports):
            raise DeviceError(
                "hub_port_off",
                f"its USB port {self.place} has no power as it is; is it that port?",
            )
        for port in ports:
            if port.is_hub:
                raise DeviceError(
                    "hub_port_is_hub",
                    f"on the USB port {self.place} hangs another hub: {port.device}",
                )
            _, _, told = port.device.partition(" ")
            if told and serial and serial not in told:
                raise DeviceError(
                    "hub_port_other",
                    f"on the USB port {self.place} hangs another device: {port.device}",
                )

    def _obeyed(self, said: list[Hub], before: list[Hub], after: list[Hub]) -> None:
        """Whether this port, and no other, has lost its power. Raises DeviceError."""
        port = self.place.port
        if any(port not in hub.ports or hub.ports[port].on for hub in (*said, *after)):
            raise DeviceError(
                "hub_disobeyed", f"its USB port {self.place} has power after `{self.place.command('off')}`"
            )
        others = self._changed(before, after)
        if others:
            raise DeviceError(
                "hub_ganged",
                f"with its USB port {self.place} the hub switched {_listed(others)}, too; use one that does not",
            )

    async def _others_back(self, program: Uhubctl, before: list[Hub]) -> None:
        """Give the ports their power back that a hub took with ours. Raises DeviceError."""
        after = await self._hub(program)
        for number in self._changed(before, after):
            if not any(hub.ports[number].on for hub in after if number in hub.ports):
                await program.switch(HubPort(self.place.location, number), on=True)

    def _changed(self, before: list[Hub], after: list[Hub]) -> list[int]:
        """The other ports of the hub that are switched otherwise than before."""
        stood = {(hub.location, number): port.on for hub in before for number, port in hub.ports.items()}
        now = {(hub.location, number): port.on for hub in after for number, port in hub.ports.items()}
        changed = {number for (location, number), on in now.items() if stood.get((location, number), on) != on}
        return sorted(changed - {self.place.port})


async def sweep(scratch: Path) -> list[str]:
    """Give the power back that processes that are gone took: the ports. Raises DeviceError('not_restored')."""
    put: list[str] = []
    failed: list[str] = []
    for state in sorted(scratch.absolute().glob("usb-*.json")):
        if state in _HELD or (lock := _lock(state)) is None:
            continue
        _HELD[state] = _Held("", lock)  # another session of this process lets it be meanwhile
        try:
            async with _alone(scratch):
                put += await _put_back(state)
        except DeviceError as error:
            failed.append(str(error))
        finally:
            os.close(_HELD.pop(state).lock)
    if failed:
        raise DeviceError("not_restored", "; ".join(failed))
    return put


def left(scratch: Path) -> list[HubPort]:
    """The ports of this host that have no power because a process died that took it."""
    found = []
    for state in sorted(scratch.absolute().glob("usb-*.json")):
        if state in _HELD or (lock := _lock(state)) is None:
            continue
        os.close(lock)
        with suppress(DeviceError):
            found.append(hub_port(str(_read(state).get("port"))))
    return found


async def _put_back(state: Path) -> list[str]:
    """Switch on what a file says was switched off, and remove it. Raises DeviceError('not_restored')."""
    if not state.exists():
        return []
    about = _read(state)
    try:
        place = hub_port(str(about.get("port")))
    except DeviceError:
        raise DeviceError("not_restored", f"{state} does not name a USB port: see to its power and delete it") from None
    try:
        hubs = await find(str(about.get("virtual") or "")).switch(place, on=True)
        if not hubs:
            raise DeviceError("no_hub", "the hub is not there")
        if not all(place.port in hub.ports and hub.ports[place.port].on for hub in hubs):
            raise DeviceError("hub_disobeyed", "it stays without")
    except DeviceError as error:
        raise DeviceError(
            "not_restored",
            f"the USB port {place} did not get its power back ({error}): `{place.command('on')}`, then delete {state}",
        ) from error
    with _kept(state):
        state.unlink(missing_ok=True)
    _BACK[state] = time.monotonic()
    return [str(place)]


# ---------------------------------------------------------------- on this host


def _state(scratch: Path, place: HubPort, virtual: str) -> Path:
    name = hashlib.sha256(f"{virtual}\n{place}".encode()).hexdigest()[:16]
    return scratch.absolute() / f"usb-{name}.json"


def _lock(state: Path) -> int | None:
    """The lock of a port, open; None where another process has it."""
    import fcntl  # not there on Windows, where phones can be listed but not measured

    with _kept(state):
        state.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(state.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


@contextmanager
def _kept(path: Path) -> Iterator[None]:
    """What this host cannot write down is not done. Raises DeviceError."""
    try:
        yield
    except OSError as error:
        raise DeviceError(
            "hub_state", f"{path} cannot be written ({error.strerror}); USB ports are left alone"
        ) from error


@asynccontextmanager
async def _alone(scratch: Path) -> AsyncIterator[None]:
    """Nobody else switches ports meanwhile, so what changes on a hub changed with ours: several phones hang on one hub,
    and are prepared beside each other."""
    while (lock := _lock(scratch.absolute() / "usb")) is None:
        await asyncio.sleep(POLL_S)
    try:
        yield
    finally:
        os.close(lock)


def _write(path: Path, about: dict[str, Any]) -> None:
    """Write a file that is whole and on the disk, or not there."""
    part = path.with_suffix(".part")
    with _kept(path):
        with part.open("w", encoding="utf-8") as file:
            file.write(json.dumps(about) + "\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _listed(ports: Any) -> str:
    numbers = sorted(ports)
    return f"port{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
