"""The devices of a plan, opened.

In: device entities and the project's folder of runs. Out: opened devices with their facts, under a lock per physical
device, or the reason why one cannot be used. One device that cannot be opened never stops the others.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mobench_lang import packs, plugins
from mobench_lang.execute.errors import UsageError, storing
from mobench_lang.execute.load import Build, axis_index
from mobench_lang.execute.lock import FileLock
from mobench_lang.ir import Entity
from mobench_lang.packs import PluginError
from mobench_lang.plan.cell import with_attribute, without_attribute
from mobench_lang.plugins import DeviceError, OpenMeter, Session, Simulated, Simulator, Target

STATE = ".devices"
"""Folder beside the runs: locks of physical devices, and what targets must remember across a crash of the host."""


@dataclass(slots=True)
class Device:
    """One opened device under its name in results."""

    name: str
    entity: Entity
    target: Target
    session: Session
    facts: dict[str, Any]
    scratch: Path
    scripts: Path
    meter: OpenMeter | None = None

    @property
    def identity(self) -> str:
        """What stays the same for the physical device."""
        return str(self.facts["identity"])

    def about(self) -> dict[str, Any]:
        """As a run's header keeps it."""
        return {"target": self.target.name, "identity": self.identity, "facts": self.facts}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a device cannot be used: stable reason and text."""

    reason: str
    message: str


@dataclass(slots=True)
class Fleet:
    """The devices of an `exec`, and what stands for those that are simulated."""

    devices: dict[str, Device] = field(default_factory=dict)
    refused: dict[str, Refusal] = field(default_factory=dict)
    simulated: list[Simulated] = field(default_factory=list)
    _locks: dict[str, FileLock] = field(default_factory=dict)

    def lanes(self) -> list[list[Device]]:
        """Devices by physical device: two names for one machine never measure at the same time."""
        lanes: dict[str, list[Device]] = {}
        for device in self.devices.values():
            lanes.setdefault(device.identity, []).append(device)
        return list(lanes.values())

    def lock(self, runs: Path) -> None:
        """Take every physical device for this `exec`. Raises BusyError, StoreError."""
        with storing(runs / STATE):
            (runs / STATE).mkdir(parents=True, exist_ok=True)
        for identity in sorted({device.identity for device in self.devices.values()} - self._locks.keys()):
            names = ", ".join(d.name for d in self.devices.values() if d.identity == identity)
            lock = FileLock(runs / STATE / f"{hashlib.sha256(identity.encode()).hexdigest()[:16]}.lock")
            lock.acquire(f"the device {names}")
            self._locks[identity] = lock

    async def close(self) -> None:
        """Let all devices go, whatever one of them says, and drop the locks."""
        for device in self.devices.values():
            try:
                await device.session.close()
            except (DeviceError, OSError):
                continue  # it is gone already, which is what was wanted
        for simulated in self.simulated:
            await simulated.end()
        self.simulated.clear()
        for lock in self._locks.values():
            lock.release()
        self._locks.clear()


async def open_fleet(
    build: Build, wanted: set[str], runs: Path, serials: Mapping[str, str], profiles: Mapping[str, str]
) -> Fleet:
    """Open the wanted devices of a plan, under other addresses or as virtual devices where that is asked for: `serials`
    has a device's name, or `NAME.ATTRIBUTE` for another address than its serial.

    Raises UsageError for names that the plan does not have and profiles that nobody knows.
    """
    axis = build.plan.axes[axis_index(build.plan, "device")]
    addresses = _addresses(serials, axis.labels)
    unknown = sorted((set(addresses) | set(profiles)) - set(axis.labels))
    if unknown:
        raise UsageError(f"the plan has no device {', '.join(unknown)}; it has {', '.join(axis.labels)}")
    if both := sorted(set(addresses) & set(profiles)):
        raise UsageError(f"{', '.join(both)} is to be simulated and to be another device; choose one of them")
    scratch = runs / STATE
    fleet = Fleet()
    entities: dict[str, Entity] = {}
    for name, value in zip(axis.labels, axis.values, strict=True):
        if name not in wanted or not isinstance(value, Entity):
            continue
        entity: Entity | Refusal = _moved(value, addresses[name]) if name in addresses else value
        if name in profiles:
            entity = await _simulate(fleet, value, profiles[name], scratch)
        if isinstance(entity, Refusal):
            fleet.refused[name] = entity
        else:
            entities[name] = entity
    # Beside each other: a phone takes seconds to say what it is.
    found = await asyncio.gather(*(open_device(n, e, scratch, build.scripts(n)) for n, e in entities.items()))
    for name, opened in zip(entities, found, strict=True):
        if isinstance(opened, Refusal):
            fleet.refused[name] = opened
        else:
            fleet.devices[name] = opened
            opened.facts["simulated"] = bool(opened.facts.get("simulated")) or name in profiles
    return fleet


def _addresses(given: Mapping[str, str], names: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """Device -> attribute -> value."""
    found: dict[str, dict[str, str]] = {}
    for key, value in given.items():
        name, dot, attribute = key.rpartition(".")
        if not dot or key in names:
            name, attribute = key, "serial"
        found.setdefault(name, {})[attribute] = value
    return found


def _moved(entity: Entity, given: Mapping[str, str]) -> Entity:
    """The device at another address. Raises UsageError for what is no address of it."""
    manifest = packs.manifests("target").get(entity.pack)
    known = {} if manifest is None else {k: a for k, a in manifest.parameters.items() if a.address}
    for key, text in given.items():
        about = known.get(key)
        if about is None and key != "serial":  # every target may have a serial, or say why not
            has = f"it has {', '.join(known)}" if known else "it has none"
            raise UsageError(f"{entity.name} has no address {key!r} that --device could give; {has}")
        if about is not None and about.pattern and not re.fullmatch(about.pattern, text):
            raise UsageError(f"--device {entity.name}.{key} takes {about.form}, found {text[:80]!r}")
        value: str | int = text
        if about is not None and about.type == "int":
            least, most = about.min or 0, about.max or sys.maxsize
            if not (text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most):
                raise UsageError(f"--device {entity.name}.{key} takes a number from {least} to {most}, found {text!r}")
            value = int(text)
        for other, attribute in known.items():
            if attribute.beside == key and other not in given:
                entity = without_attribute(entity, other)
        entity = with_attribute(entity, key, value)
    return entity


async def _simulate(fleet: Fleet, entity: Entity, profile: str, scratch: Path) -> Entity | Refusal:
    """Start what stands for a device; the device with its address. Raises UsageError for an unknown profile."""
    target = _target(entity)
    if isinstance(target, Refusal):
        return target
    if not isinstance(target, Simulator):
        raise UsageError(
            f"devices of the target {entity.pack} cannot be simulated; `mobench devices --profiles` lists all that can"
        )
    names = [str(known["name"]) for known in target.profiles()]
    if profile.partition(":")[0] not in names:  # options may follow: `pixel:level=14`
        raise UsageError(f"the target {entity.pack} has no profile {profile!r}; it has {', '.join(names)}")
    try:
        simulated = await target.simulate(profile, scratch)
    except DeviceError as error:
        return Refusal(error.code, str(error))
    fleet.simulated.append(simulated)
    for key, value in simulated.attributes.items():
        entity = with_attribute(entity, key, value)
    return entity


def _target(entity: Entity) -> Target | Refusal:
    if entity.pack not in packs.manifests("target"):
        return Refusal("no_target", f"no pack for the target {entity.pack!r} is installed")
    try:
        return plugins.target(entity.pack)
    except PluginError as error:
        return Refusal("no_target", str(error))


async def open_device(
    name: str, entity: Entity, scratch: Path, scripts: Path, meter: OpenMeter | None = None
) -> Device | Refusal:
    """Open one device and read its facts; with the `meter` that is open for it already, which may be recording."""
    target = _target(entity)
    if isinstance(target, Refusal):
        return target
    try:
        session = await target.open(entity, scratch, scripts)
        try:
            facts = await session.facts()
            meter = meter or await _meter(entity)
        except BaseException:
            await session.close()
            raise
    except DeviceError as error:
        return Refusal(error.code, str(error))
    if meter is not None:
        facts["meter"] = meter.facts
    return Device(name, entity, target, session, facts, scratch, scripts, meter)


async def _meter(device: Entity) -> OpenMeter | None:
    """The meter outside of the device that its spec names, opened. Raises DeviceError."""
    meter = device.get("meter")
    kind = str(meter.get("kind")) if isinstance(meter, Entity) else ""
    if not isinstance(meter, Entity) or kind not in packs.manifests("meter"):
        return None  # one of the target's own
    try:
        return await plugins.meter(kind).open(meter, device)
    except PluginError as error:
        raise DeviceError("no_meter", str(error)) from error
