"""Which phones there are.

In: an adb server. Out: serials, states and, of those that can be used, facts. Where adbutils is not installed or no
server runs there are none, which is said where somebody asks for one.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

from mobench_targets.android.kind import PhoneKind
from mobench_targets.android.link import Server, losses, unusable
from mobench_targets.android.power import PortPower
from mobench_targets.android.transport import AdbTransport, connect, ready
from mobench_targets.android.uhubctl import Hub, HubPort, find, hangs

from mobench_lang.ir import Value
from mobench_lang.plugins import DeviceError

PASSING = ("connecting", "authorizing", "offline")
SETTLING_S = 3.0
"""States that a phone passes through, and how long it may."""


def server(port: Value) -> Server:
    """The adb server of the user, or the one on a port. Raises DeviceError where adbutils is not installed."""
    try:
        import adbutils
    except ImportError as error:
        raise DeviceError(
            "no_adbutils", "the Android target needs adbutils: pip install 'mobench[android]' (it brings adb)"
        ) from error
    del adbutils
    return Server(port if isinstance(port, int) else None)


def only_one(found: Server, name: str) -> str:
    """The serial of the one phone that is attached. Raises DeviceError."""
    with losses("the adb server"):
        states = found.states()
    usable = sorted(serial for serial, state in states.items() if state == "device")
    if len(usable) == 1:
        return usable[0]
    if usable:
        raise DeviceError(
            "several", f"{name} has no serial, and several phones are attached; choose one: "
            + " or ".join(f"--device {name}={serial}" for serial in usable)
        )  # fmt: skip
    if states:
        serial, state = sorted(states.items())[0]
        raise unusable(serial, state)
    raise DeviceError(
        "not_found",
        "no phone is attached; switch USB debugging on, plug it in, and see `adb devices`; for a virtual one: "
        f"--simulate {name}=pixel",
    )


async def settled(found: Server) -> dict[str, str]:
    """Serial -> state of every phone, once those that a server has only just met had time to answer it.

    Raises DeviceError where there is no server.
    """
    with losses("the adb server"):
        states = found.states()
    for serial in (serial for serial, state in states.items() if state in PASSING):
        with suppress(DeviceError):  # what it stayed is what counts
            await ready(found, serial, SETTLING_S)
    with losses("the adb server"):
        return found.states()


async def port_power(found: Server, serial: str, place: HubPort, scratch: Path, stand_in: str) -> PortPower:
    """The power of the port that a phone hangs on. A phone with a network's serial is not asked how it is reached."""
    path = None
    if not over_network(serial):
        with losses("the adb server"):
            path = (await asyncio.to_thread(found.usb_paths)).get(serial, "")
    return PortPower(place, find(stand_in) if stand_in else None, scratch, usb_path=path)


def over_network(serial: str) -> bool:
    """Whether a serial is that of a phone on the network: host:port, or as wireless debugging announces it."""
    return ":" in serial or "._adb-tls-connect._tcp" in serial or "._adb._tcp" in serial


async def attached(found: Server) -> list[dict[str, Any]]:
    """Every phone, with its facts where it can be used."""
    try:
        states = await settled(found)
    except DeviceError:
        return []
    hubs: list[Hub] = []
    with suppress(DeviceError):  # without it phones can be used, too; `doctor` says what it lacks
        hubs = await find().hubs()
    return [await _one(found, serial, state, hubs) for serial, state in sorted(states.items())]


async def hung(found: Server, serial: str, link: AdbTransport, hubs: list[Hub]) -> HubPort | None:
    """The port of these hubs that a phone hangs on, if that can be told."""
    path = ""
    if hubs and not over_network(serial):
        with losses("the adb server"):
            path = (await asyncio.to_thread(found.usb_paths)).get(serial, "")
    own = (await link.run("getprop ro.serialno")).text.strip() if hubs else ""
    return hangs(hubs, own, path)


async def _one(found: Server, serial: str, state: str, hubs: list[Hub]) -> dict[str, Any]:
    about: dict[str, Any] = {"name": serial, "target": "android", "identity": serial, "state": state}
    if state != "device":
        return about | {"help": str(unusable(serial, state))}
    try:
        link = await connect(found, serial)
        try:
            kind = PhoneKind()
            facts = await kind.facts(link)
            sampled = kind.sampling()
            place = await hung(found, serial, link, hubs)
        finally:
            await link.close()
    except DeviceError as error:
        return about | {"state": error.code, "help": str(error)}
    channels = [] if sampled is None else [channel.name for channel in sampled.channels]
    about |= {"identity": facts["identity"], "state": "ready", "facts": facts, "measures": channels}
    return about | (
        {} if place is None else {"hub_port": str(place), "where": f"USB hub {place.location}, port {place.port}"}
    )
