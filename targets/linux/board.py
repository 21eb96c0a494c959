"""What is particular to a Linux board: facts, state, what is sampled, conditions, all by its `board.sh`.

In: an open link and the scripts that `compile` rendered. Out: what `mobench_targets.shell.platform.Platform` promises.
`board.sh` finds what there is, on the device and with no more than POSIX sh; this reads what it says. So what the host
measures and what `run.sh all` measures by hand come from one script.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from shlex import quote
from typing import Any

from mobench_targets.linux.docker import Docker
from mobench_targets.shell.platform import Changes, Channel, Sampling, Sensor
from mobench_targets.shell.standing import clocks, processors
from mobench_targets.shell.transport import Transport

from mobench_lang.ir import Quantity, Value
from mobench_lang.plan.model import PlanSetting
from mobench_lang.plugins import DeviceError

ROOT = "~/.mobench"
REFUSED = 3
_ARCH = {"aarch64": "arm64", "arm64": "arm64", "x86_64": "x86_64", "amd64": "x86_64"}


class Board:
    """The platform of one board; `settings` are device attributes that are conditions of this device alone."""

    root = ROOT

    def __init__(self, scripts: Path, settings: tuple[PlanSetting, ...] = (), container: Docker | None = None) -> None:
        self._script = (scripts / "board.sh").read_bytes()
        self._settings = settings
        self._container = container
        self._heat: Sensor | None = None
        self._sampling: Sampling | None = None
        self._cores: int | None = None

    # ------------------------------------------------------------ what it is

    async def facts(self, link: Transport) -> dict[str, Any]:
        """What the board is; its sensors are known afterwards."""
        said = read_pairs(await self._say(link, "facts"))
        one = {key: values[-1] for key, values in said.items()}
        if one.get("arch") not in _ARCH:
            raise DeviceError("unsupported", f"there is no runner for the processor {one.get('arch', 'unknown')!r}")
        self._cores = _whole(one.get("cores"))
        heat = (await self._say(link, "heat")).strip()
        self._heat = Sensor(heat) if heat else None
        hz, every, lead = (await self._say(link, "rate")).split()
        channels = read_channels(await self._say(link, "channels"))
        self._sampling = Sampling(channels, float(hz), int(every), lead_s=float(lead)) if channels else None
        facts = self.described(one, said, channels)
        if self._container is not None:
            facts["image"] = {"name": self._container.image, "id": await self._container.check(link)}
        return facts

    def described(self, one: dict[str, str], said: dict[str, list[str]], channels: Iterable[Channel]) -> dict[str, Any]:
        """The facts from what `board.sh facts` said."""
        return {
            "identity": _identity(one),
            "platform": _platform(one),
            "cpu": one.get("cpu") or one.get("model") or "unknown",
            "model": one.get("model") or None,
            "hostname": one.get("hostname"),
            "cores": self._cores,
            "ram_bytes": _kib(one.get("ram_kib")),
            "swap_bytes": _kib(one.get("swap_kib")),
            "os": one.get("os") or "Linux",
            "kernel": one.get("kernel"),
            "governor": one.get("governor"),
            "clusters": _clusters(said.get("cluster", ())),
            "channels": [channel.name for channel in channels],
            "simulated": False,
        }

    async def state(self, link: Transport) -> dict[str, Any]:
        """How the board stands."""
        said = read_pairs(await self._say(link, "state"))
        return self.standing({key: values[-1] for key, values in said.items()}, said)

    def standing(self, one: dict[str, str], said: dict[str, list[str]]) -> dict[str, Any]:
        """The state from what `board.sh state` said."""
        found: dict[str, Any] = {"temperature": _whole(one.get("temperature"))}
        found |= clocks(one.get("uptime"), one.get("wall")) | processors(one.get("stat"))
        found |= {
            "cores": self._cores,
            "load_1min": float(one["load"]) if "load" in one else None,
            "memory_available": _kib(one.get("memory_kib")),
            "clocks_khz": {name: int(khz) for name, khz in map(str.split, said.get("clock", ())) if khz.isdigit()},
        }
        return found

    # ------------------------------------------------------------ what is set

    async def prepare(
        self, link: Transport, changes: Changes, conditions: tuple[PlanSetting, ...]
    ) -> list[dict[str, Any]]:
        """Set and verify conditions. One that a device attribute asks for, too, is set once: as the plan has it."""
        named = {condition.name for condition in conditions}
        own = tuple(setting for setting in self._settings if setting.name not in named)
        return [await self._set(link, changes, condition) for condition in (*conditions, *own)]

    async def _set(self, link: Transport, changes: Changes, condition: PlanSetting) -> dict[str, Any]:
        wanted = _plain(condition.value)
        record = {"name": condition.name, "requested": wanted, "applied": False, "verified": False}
        words = f"{quote(condition.name)} {quote(wanted)}"
        planned = await link.run(f"sh -s -- plan {words}", stdin=self._script)
        if planned.rc != 0:
            said = " ".join(planned.stderr.decode("utf-8", "replace").split())
            return record | {"reason": said or planned.fault}
        undo, _, do = planned.text.partition("\n")
        try:
            if do.strip() != ":":
                await changes.change(do, undo)
        except DeviceError as error:
            if error.code != "change_failed":
                raise
            return record | {"reason": str(error)}
        verified = await link.run(f"sh -s -- verify {words}", stdin=self._script)
        if verified.rc == 0:
            return record | {"applied": True, "verified": True, "reason": ""}
        found = verified.text.strip() or verified.fault
        return record | {"reason": f"it was set, but the board says {found!r}"}

    # ------------------------------------------------------------ what is sampled

    def heat(self) -> Sensor | None:
        """The default temperature sensor."""
        return self._heat

    def sampling(self) -> Sampling | None:
        """What is sampled during launches."""
        return self._sampling

    async def _say(self, link: Transport, verb: str) -> str:
        """What board.sh says. Raises DeviceError."""
        ran = await link.run(f"sh -s -- {verb}", stdin=self._script)
        if ran.rc not in (0, 1):  # the last file that was looked for need not be there
            raise DeviceError("unsupported", f"the board cannot be looked at: {ran.fault}")
        return ran.stdout.decode("utf-8", "replace")


def _plain(value: Value) -> str:
    """A condition's value as `board.sh` takes it, and as templates have it."""
    return f"{value.value.normalize():f}" if isinstance(value, Quantity) else str(value)


def read_pairs(text: str) -> dict[str, list[str]]:
    """The values of KEY=VALUE lines, by key, in their order."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals and value.strip():
            found.setdefault(key, []).append(value.strip())
    return found


def read_channels(text: str) -> tuple[Channel, ...]:
    """The channels that `board.sh channels` names; a name that two sensors share gets a number."""
    found: list[Channel] = []
    names: dict[str, int] = {}
    for line in text.splitlines():
        words = line.split("\t")
        if len(words) != 6:
            continue
        name, unit, path, source, tier, scale = words
        names[name] = count = names.get(name, 0) + 1
        shown = name if count == 1 else f"{name}.{count}"
        found.append(Channel(shown, unit, path, source, "fast" if tier == "fast" else "slow", int(scale)))
    return tuple(found)


def _identity(one: dict[str, str]) -> str:
    """Stable for the board and telling nothing of it: a digest of its serial number, else of its installation."""
    known = one.get("serial") or one.get("machine_id")
    if not known:
        raise DeviceError("no_identity", "the board has neither a serial number nor /etc/machine-id; a run needs one")
    return f"board-{hashlib.sha256(json.dumps([known, one.get('model')]).encode()).hexdigest()[:24]}"


def _platform(one: dict[str, str]) -> str:
    features = one.get("features", "").split()
    dotprod = one["arch"] in ("aarch64", "arm64") and {"asimddp", "asimdhp"} <= set(features)
    return f"linux-{_ARCH[one['arch']]}" + ("+dotprod" if dotprod else "")


def _clusters(lines: Iterable[str]) -> list[list[int]]:
    by_speed: dict[int, list[int]] = {}
    for line in lines:
        most, *cpus = line.split()
        by_speed.setdefault(int(most), []).extend(int(cpu) for cpu in cpus if cpu.isdigit())
    return [sorted(by_speed[speed]) for speed in sorted(by_speed, reverse=True)]


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and text.lstrip("-").isdigit() else None


def _kib(text: str | None) -> int | None:
    found = _whole(text)
    return None if found is None else found << 10
