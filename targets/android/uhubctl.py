"""The program `uhubctl`, which switches the power of single ports of USB hubs: asked, and its answer understood.

In: a hub's location and a port. Out: hubs with their ports as the program shows them. Guarantee: arguments are a list
that no shell sees, a call ends in `TIMEOUT_S`; nothing is believed but the ports that the answer shows, for the exit
status is 0 also where a hub did not obey.

Versions 2.3 to 2.6 print the same (`print_port_status` of their uhubctl.c); none of them prints JSON.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mobench_lang.plugins import DeviceError

TIMEOUT_S = 60.0
"""A question to a hub takes at most 5 s, by libusb; there are a few dozen of them, of which hardly one takes long."""
REPEAT = 100
"""How often a port is told to be off: kernels before 6.0 switch it on again unless told often, says its README."""
MOST_PORTS = 14
SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Where Debian puts it, outside the PATH of users."""
INSTALL = "install it (Debian: apt-get install uhubctl)"
RULES = "install the udev rules of its README (https://git.io/JIB2Z), or run as root"

_PLACE = re.compile(r"([1-9]\d{0,2}(?:-[1-9]\d?(?:\.[1-9]\d?){0,6})?):([1-9]\d?)", re.ASCII)
_HUB = re.compile(r"(Current|New) status for hub (\d+(?:-[\d.]+)?) \[(.*)\]", re.ASCII)
_PORT = re.compile(r"  Port (\d+): ([0-9a-f]{4,8})((?: [A-Za-z0-9.]+)*)(?: \[(.*)\])?", re.ASCII)
_A_HUB = re.compile(r", USB [0-9a-f]+\.[0-9a-f]+, \d+ ports, (ppps|ganged|nops)$", re.ASCII)


@dataclass(frozen=True, slots=True)
class HubPort:
    """A port of a hub: the hub's location as the kernel and uhubctl write it (`1-1.4`; `1` is a root hub), a number."""

    location: str
    port: int

    def __str__(self) -> str:
        return f"{self.location}:{self.port}"

    def command(self, action: str) -> str:
        """What a person types."""
        return f"uhubctl -l {self.location} -p {self.port} -a {action}"


def hub_port(text: str) -> HubPort:
    """A port written as `1-1.4:2`. Raises DeviceError('bad_hub_port')."""
    found = _PLACE.fullmatch(text)
    if not found or int(found[2]) > MOST_PORTS:
        raise DeviceError(
            "bad_hub_port",
            f"hub_port = {text[:80]!r} names no port of a USB hub: it is LOCATION:PORT as `uhubctl` lists them, "
            f"such as 1-1.4:2, with a port from 1 to {MOST_PORTS}",
        )
    return HubPort(found[1], int(found[2]))


@dataclass(frozen=True, slots=True)
class Port:
    """A port as it stands: whether it has power, whether something is connected, and what (empty: not told)."""

    on: bool
    connected: bool
    device: str = ""

    @property
    def is_hub(self) -> bool:
        """Whether another hub hangs there."""
        return _A_HUB.search(self.device) is not None


@dataclass(frozen=True, slots=True)
class Hub:
    """A hub, or one half of a USB 3 hub: `switching` is `ppps` (single ports), `ganged` (all at once) or `nops`."""

    location: str
    about: str
    ports: dict[int, Port]

    @property
    def switching(self) -> str:
        """How its ports are switched."""
        found = _A_HUB.search(self.about)
        return found[1] if found else ""


def parse(said: str) -> list[Hub]:
    """The hubs of an answer, as they stand at its end. Raises DeviceError for an answer that is none."""
    hubs: dict[str, Hub] = {}
    ports: dict[int, Port] | None = None
    for line in said.splitlines():
        if head := _HUB.fullmatch(line):
            ports = {}
            hubs[head[2]] = Hub(head[2], head[3], ports)  # what is new comes after what was, and takes its place
        elif (row := _PORT.fullmatch(line)) and ports is not None:
            if len(row[2]) > 4:  # a negative number: libusb's error in place of a status
                raise DeviceError("hub_unreadable", f"uhubctl cannot read port {row[1]}: {line.strip()!r}")
            words = row[3].split()
            ports[int(row[1])] = Port("power" in words, "connect" in words, row[4] or "")
    if not hubs:
        raise DeviceError("hub_unreadable", f"uhubctl says nothing of any hub: {said[:200]!r}")
    return list(hubs.values())


def hangs(hubs: Sequence[Hub], serial: str, usb_path: str = "") -> HubPort | None:
    """The port of these hubs that a device of a USB serial hangs on, or the one that is its path (`1-1.4.2`)."""
    for hub in hubs:
        for number, port in hub.ports.items():
            place = HubPort(hub.location, number)
            joint = "." if "-" in hub.location else "-"
            if usb_path == f"{hub.location}{joint}{number}" or (serial and serial in port.device.split()):
                return place
    return None


@dataclass(frozen=True, slots=True)
class Uhubctl:
    """The program: the words before its arguments. `virtual` is the folder of the hub that a stand-in switches."""

    argv: tuple[str, ...]
    virtual: str = ""

    async def hubs(self, location: str = "", *, any_kind: bool = False) -> list[Hub]:
        """The hubs whose single ports can be switched, or the one at a location with its other half; none: an empty
        list. With `any_kind` also those that cannot: `-f` is never given with an action."""
        return await self._ask(*(("-l", location) if location else ()), *(("-f",) if any_kind else ()))

    async def switch(self, place: HubPort, *, on: bool) -> list[Hub]:
        """Switch a port, and the same port of the hub's other half. The hub as it stands then, that port only."""
        words = ("-a", "on") if on else ("-r", str(REPEAT), "-a", "off")
        return await self._ask("-l", place.location, "-p", str(place.port), *words)

    async def _ask(self, *words: str) -> list[Hub]:
        environment = {**os.environ, "LC_ALL": "C"}
        try:
            process = await asyncio.create_subprocess_exec(
                *self.argv, *words, env=environment, stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
        except OSError as error:
            raise DeviceError("no_uhubctl", f"{self.argv[0]} cannot be started: {error.strerror}") from error
        try:
            async with asyncio.timeout(TIMEOUT_S):
                out, err = await process.communicate()
        except TimeoutError as error:
            raise DeviceError("hub_slow", f"uhubctl did not end within {TIMEOUT_S:g} s; is the hub alive?") from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        wrong = err.decode("utf-8", "replace")
        if "permission problems" in wrong:
            raise DeviceError("hub_denied", f"this user may not open every USB hub, says uhubctl: {RULES}")
        if process.returncode != 0 and "No compatible devices detected" in wrong:
            return []
        if process.returncode != 0:
            raise DeviceError("hub_failed", f"uhubctl ended with {process.returncode}: {wrong.strip()[:300]}")
        try:
            return parse(out.decode("utf-8", "replace"))
        except DeviceError as error:
            raise DeviceError(error.code, f"{error}; {wrong.strip()[:300]}" if wrong.strip() else str(error)) from None


def find(virtual: str = "") -> Uhubctl:
    """The program of this host, or what stands for it before a virtual hub. Raises DeviceError('no_uhubctl')."""
    if virtual:
        return Uhubctl((sys.executable, "-P", "-m", "mobench_targets.android.virtual.hub", virtual), virtual)
    places = os.pathsep.join((os.environ.get("PATH", os.defpath), *SBIN))
    path = shutil.which("uhubctl", path=places)
    if path is None:
        raise DeviceError("no_uhubctl", f"uhubctl, which switches ports of USB hubs, is not here: {INSTALL}")
    return Uhubctl((str(Path(path).absolute()),))
