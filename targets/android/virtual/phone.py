"""One virtual phone that is switched on: what adbd asks of it, what moves in it, what can go wrong with it.

In: a profile, options, a folder. Out: a `Device` for the connections of hosts. All happens in one event loop; the
physics advances in `live`, 20 times a second while something runs on the phone and 4 times while nothing does.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import time
import uuid
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from mobench_targets.android.virtual import files, hub, jail, model, root, shell, values
from mobench_targets.android.virtual.profile import Options, Profile, share
from mobench_targets.android.virtual.wire import Connection, Stream

TICK, IDLE_TICK = 0.05, 0.25
QUIET = 3
"""Processes of a phone on which nothing runs: the first one, its shell, that shell's sleep."""

LOADED = 0.3
"""Busy CPUs from which on a curve of throttling counts seconds under load; below, it goes back as fast."""

FRAMES = 500_000
BOOT_SECONDS = 0.6
PSI_API = 29
"""From Android 10 on kernels tell how long somebody waited for a CPU, for memory, for storage."""

OLD_API = 23
"""Up to Android 6 the daemon speaks with checksums and packets of 4096 bytes."""


class Phone:
    """A virtual phone; `folder` holds its `root` and what it remembers."""

    def __init__(
        self, folder: Path, profile: Profile, options: Options, tools: root.Host, memory: dict[str, Any]
    ) -> None:
        self.folder, self.profile, self.options, self._tools = folder, profile, options, tools
        self.root = folder / "root"
        self.serial = str(memory["serial"])
        self.old = profile.api <= OLD_API
        self.stage: Literal["device", "recovery", "sideload"] = "device"
        self.frames: deque[tuple[int, str, str, int]] = deque(maxlen=FRAMES)
        self.connections: set[Connection] = set()
        self._plugged = True
        self._hang(options.hub)
        self._ticks = values.Ticks(len(values.cpus(profile, os.cpu_count() or 1)))
        self._loaded = 0.0
        self._refuse_until = 0.0
        self._pushed = self._pulled = self._received = 0
        self._awake = asyncio.Event()
        self._awake.set()
        self._cores = values.cpus(profile, os.cpu_count() or 1)
        self._jail: jail.Jail | None = None
        level = options.level if options.level is not None else memory.get("level", profile.battery.level)
        self._state = model.first(profile, self._world(), float(level))
        self._writer = values.Writer(self.root, values.denied(profile))

    # ------------------------------------------------------------ on and off

    async def switch_on(self, running: jail.Jail | None = None) -> None:
        """Start the phone's processes, or take over those that an earlier daemon left."""
        if running is not None and running.alive():
            self._jail = running
            self._show(gauge=True)
            return
        root.build(self.profile, self.root, self._tools, self.serial, os.cpu_count() or 1)
        (self.root / root.STATE / "proc" / "boot_id").write_text(f"{uuid.uuid4()}\n", "ascii")
        self._show(gauge=True)
        self._jail = await jail.boot(self.root, self._tools, self.profile.qemu_cpu)

    @property
    def jail(self) -> jail.Jail:
        """Where the phone's processes live; only while it is on."""
        if self._jail is None:
            raise RuntimeError("the phone is off")
        return self._jail

    def memory(self) -> dict[str, Any]:
        """What the next start has to know."""
        return {"serial": self.serial, "profile": self.profile.name, "level": model.level(self.profile, self._state)}

    async def reboot(self) -> None:
        """End everything on the phone, be gone for a while, and start anew."""
        old, self._jail = self.jail, None
        jail.halt(old)
        self.cut(BOOT_SECONDS)
        await asyncio.sleep(BOOT_SECONDS / 2)
        await self.switch_on()

    async def doze(self, seconds: float) -> None:
        """Suspend: every process stands still for a while, and so does the link."""
        self._awake.clear()
        try:
            await self._signal("STOP")
            await asyncio.sleep(seconds)
        finally:
            await self._signal("CONT")
            jail.wake_entrants()
            self._awake.set()

    def set_clock(self, seconds: int) -> None:
        """Set the wall clock ahead of what it shows, or back; the phone's other clocks go on."""
        ahead = int(self._kept("clock_ahead", "0")) + seconds
        self._replace(self.root / root.STATE / "clock_ahead", f"{ahead}\n")

    async def hang(self, seconds: float) -> None:
        """The daemon answers nothing for a while; what runs goes on."""
        self._awake.clear()
        await asyncio.sleep(seconds)
        self._awake.set()

    async def _signal(self, name: str) -> None:
        process = await asyncio.create_subprocess_exec(*jail.signalling(self.jail, self._tools, name))
        await process.wait()

    def switch_off(self) -> None:
        """End everything on the phone; its files stay."""
        if self._jail is not None:
            jail.halt(self._jail)
        self._writer.close()

    # ------------------------------------------------------------ what adbd asks

    def banner(self) -> bytes:
        """As in `adb devices -l`, with the features."""
        props = self.profile.props
        shown = ";".join(
            f"{key}={props.get(key, '')}" for key in ("ro.product.name", "ro.product.model", "ro.product.device")
        )
        features = "" if self.old else f";features={','.join(self.profile.features)}"
        return f"{self.stage}::{shown}{features}".encode()

    def authorized(self) -> bool:
        """Whether somebody tapped on `allow`."""
        return not self.options.unauthorized

    def frame(self, direction: str, command: str, size: int) -> None:
        """Note a packet with the phone's own monotonic clock in ns."""
        self.frames.append((self.clock(), direction, command, size))

    def clock(self) -> int:
        """The phone's CLOCK_MONOTONIC in ns."""
        offset = self._jail.offset if self._jail is not None else 0
        return time.monotonic_ns() + offset * 1_000_000_000

    async def arrived(self, size: int) -> bool:
        """Take the time that the link needs; False when the link is to break now."""
        await self._awake.wait()
        if self.options.rate:
            await asyncio.sleep(size / self.options.rate)
        self._received += size
        limit = self.options.drop_rx
        if limit is not None and self._received > limit:
            self._broken("drop_rx")
            return False
        return True

    def _broken(self, option: str) -> None:
        """A fault that happens once has happened."""
        self.options = self.options.model_copy(update={option: None})
        self._pushed = self._pulled = self._received = 0
        self._refuse_until = time.monotonic() + self.options.refuse

    async def serve(self, stream: Stream, service: bytes) -> bool:
        """Answer a service; False if there is no such thing."""
        if self._jail is None:
            return False
        name, _, argument = service.partition(b":")
        kind = name.decode("ascii", "replace")
        if kind.split(",")[0] in {"shell", "exec"}:
            if ",v2" in kind and "shell_v2" not in self.profile.features:
                return False
            await stream.accept()
            await shell.serve(stream, shell.Kind.of(kind, argument), argument, self._start)
        elif kind == "sync":
            await stream.accept()
            storage = files.Storage(self.jail.root, self._fits, self._took, self._gave, self._shortens)
            await files.serve(stream, storage)
        elif kind == "reboot":
            await stream.accept()
            task = asyncio.create_task(self.reboot())
            self._rebooting = task  # kept, so that it is not collected
        elif kind in {"root", "remount"}:
            await stream.accept()
            await stream.write(b"adbd cannot run as root in production builds\n")
        else:
            return False
        return True

    async def _start(self, command: bytes, **how: Any) -> asyncio.subprocess.Process:
        return await jail.start(self.jail, self._tools, self.profile.qemu_cpu, command, **how)

    def _fits(self, size: int) -> bool:
        if self.options.quota is None:
            return True
        used = sum(f.stat().st_size for f in (self.root / "data").rglob("*") if f.is_file() and not f.is_symlink())
        return used + size <= self.options.quota

    def _gave(self, size: int) -> None:
        self._pulled += size
        if self.options.drop_pull is not None and self._pulled > self.options.drop_pull:
            self._broken("drop_pull")
            self.cut(self.options.refuse)

    def _shortens(self) -> bool:
        left = self.options.short_pulls
        self.options = self.options.model_copy(update={"short_pulls": max(left - 1, 0)})
        return left > 0

    def _took(self, size: int) -> None:
        self._pushed += size
        if self.options.drop_push is not None and self._pushed > self.options.drop_push:
            self._broken("drop_push")
            self.cut(self.options.refuse)

    # ------------------------------------------------------------ the link

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one host; refused while the link is cut."""
        if time.monotonic() < self._refuse_until or self._jail is None:
            writer.transport.abort()
            return
        connection = Connection(self, reader, writer)
        self.connections.add(connection)
        try:
            await connection.run()
        finally:
            self.connections.discard(connection)

    def cut(self, refuse: float = 0.0) -> None:
        """Break every connection; none is accepted for some seconds."""
        self._refuse_until = time.monotonic() + refuse
        for connection in list(self.connections):
            connection.cut()

    def choose(self, changes: dict[str, Any]) -> None:
        """Change options while the phone is on. Raises pydantic's ValidationError."""
        before = self.options
        self.options = Options.model_validate({**before.model_dump(), **changes})
        self._pushed = self._pulled = self._received = 0
        if changes.get("level") is not None:
            charge = self.profile.battery.capacity_mah * float(changes["level"]) / 100
            self._state = dataclasses.replace(self._state, charge=charge)
            self._show(gauge=True)
        self._hang(changes.get("hub"))
        if before.unauthorized != self.options.unauthorized:
            self.cut()

    def _hang(self, kind: str | None) -> None:
        """Hang the phone on a virtual hub, if it is to."""
        if kind is not None:
            props = self.profile.props
            names = f"{props.get('ro.product.manufacturer', '')} {props.get('ro.product.model', '')}"
            hub.build(self.folder, kind, f"18d1:4ee7 {names} {self.serial}")

    def plug(self, on: bool) -> None:
        """Connect or disconnect the charger."""
        self._plugged = on
        self._show(gauge=True)

    # ------------------------------------------------------------ what moves

    def _kept(self, name: str, default: str) -> str:
        """A value that a command on the phone left in the state folder."""
        with suppress(OSError):
            return (self.root / root.STATE / name).read_text("utf-8", "replace").strip()
        return default

    def _world(self) -> model.World:
        ambient = self.options.ambient
        return model.World(
            ambient=self.profile.power.ambient if ambient is None else ambient,
            speed=self.options.speed,
            screen=self._kept("screen", "Awake") == "Awake",
            plugged=self._plugged and hub.feeds(self.folder),
            suspended=self.profile.battery.suspends
            and self._kept("props/power.battery_input.suspended", "false") in {"true", "1"},
            limit=share(self.options.throttle, self._loaded),
        )

    def _show(self, *, gauge: bool) -> None:
        world = self._world()
        used = jail.memory_kib(self._jail) if self._jail is not None else 0
        found = values.moving(self.profile, self._cores, self._state, self.clock() / 1e9, used)
        found[".phone/proc/stat"] = self._ticks.text()
        if self.profile.api >= PSI_API:
            found |= {f".phone/proc/pressure/{name}": self._ticks.pressure(name) for name in ("cpu", "memory", "io")}
        if gauge:
            found |= values.battery(self.profile, self._state, plugged=world.plugged, suspended=world.suspended)
        self._writer.write(found)

    async def live(self) -> None:
        """Let time pass on the phone, until cancelled."""
        last, gauge, slow = time.monotonic(), 0.0, 0.0
        power = (self.folder / "power.bin").open("wb", buffering=0)
        spent: dict[str, float] = {}
        while True:
            running = self._jail
            busy_before = self._state.busy > 0.02
            quiet = running is None or (len(spent) <= QUIET and not busy_before)
            await asyncio.sleep(IDLE_TICK if quiet else TICK)
            now = time.monotonic()
            seconds, last = now - last, now
            used = jail.cpu_seconds(running) if running is not None else {}
            busy = sum(max(cpu - spent.get(pid, 0.0 if spent else cpu), 0.0) for pid, cpu in used.items()) / seconds
            spent = used
            # The kernel counts CPU time in ticks of 10 ms: smooth over a few of ours.
            smooth = self._state.busy + (min(busy, len(self._cores)) - self._state.busy) * min(seconds / 0.15, 1.0)
            self._loaded = max(self._loaded + (seconds if smooth > LOADED else -seconds), 0.0)
            self._state = model.step(self.profile, self._state, self._world(), seconds, smooth)
            power.write(model.DRAWN.pack(self.clock(), self._state.power, self._state.voltage))
            self._ticks.step(seconds, busy + self.options.background * len(self._cores))
            due = now - gauge >= self.profile.battery.update_ms / 1000
            if due:
                gauge = now
            self._show(gauge=due)
            if now - slow >= 1:
                slow = now
                self._slow_values()

    def _slow_values(self) -> None:
        state = self.root / root.STATE
        with suppress(OSError):
            os.utime(state / "alive")
        if self.profile.thermalservice and self.profile.api >= 29:
            degrees = {"soc": self._state.soc, "skin": self._state.skin, "battery": self._state.battery}
            override = self._kept("thermal_override", "")
            status = int(override) if override.isdigit() else model.severity(self.profile, self._state)
            self._replace(state / "thermalservice", root.thermalservice(status, degrees))
        self._replace(self.folder / "memory.json", json.dumps(self.memory()))

    def _replace(self, path: Path, text: str) -> None:
        temporary = path.with_name(path.name + ".new")
        temporary.write_text(text, "utf-8")
        temporary.replace(path)
