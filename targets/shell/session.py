"""A device with a POSIX shell, opened: pushed to, started, waited for, found again, collected from, restored.

In: a link, what is particular to the kind of device, and the scripts that `compile` rendered. Out: raw files in the
trial's folder and how the launch ended. Guarantee: the device works detached and on its own; between `start` and the
end of a launch nothing crosses the link; a launch that a lost link left running is taken up again by `attach` and never
made twice; whatever a dead host left running or changed, `restore` ends and puts back.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import Any

from mobench_targets.shell.ended import outcome, read_state
from mobench_targets.shell.platform import Container, Platform, Sampling
from mobench_targets.shell.store import QUOTA, Store
from mobench_targets.shell.transport import Ran, Transport

from mobench_lang.plan.model import PlanSetting
from mobench_lang.plugins import OUTPUT, DeviceError, Launch, Limits, Outcome, Weights
from mobench_lang.protocol import Job

RUNNER = "runner"
"""The name under which a launch brings the measuring runner: it then watches its limits and samples."""
LATE_S = 60.0
"""A device that has not ended a launch so long after its time is told to."""
LOG_BYTES = 1 << 20
"""How much of a long log is kept: its end."""
RAW = ("events.jsonl", "samples.jsonl", "pulses.jsonl", OUTPUT)
SCRIPTS = ("run.sh", "restore.sh")

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NO_ROOT, _NO_SCRIPTS, _NO_LAUNCH, _NOT_WRITTEN, _NOT_PUT_BACK = 3, 4, 66, 74, 75
_BAR = "----mobench----"


class ShellSession:
    """The session of one device; a `Session` that can also `attach`."""

    platform = ""

    def __init__(
        self, link: Transport, kind: Platform, scripts: Path, *, quota: int = QUOTA, container: Container | None = None
    ) -> None:
        self._link, self._kind, self._quota, self._container = link, kind, quota, container
        self._files = {name: (scripts / name).read_text("utf-8") for name in SCRIPTS}
        self._version = hashlib.sha256("".join(self._files.values()).encode()).hexdigest()[:16]
        self._root = ""
        self._installed = False
        self._needed = _digests(scripts)
        self._launch = ""
        self._folder = Path()
        self._limits = Limits(0)

    # ------------------------------------------------------------ what it is

    async def facts(self) -> dict[str, Any]:
        """What the device is; afterwards `platform` is known."""
        facts = await self._kind.facts(self._link)
        self.platform = str(facts["platform"])
        return facts

    async def state(self) -> dict[str, Any]:
        """How it stands now."""
        return await self._kind.state(self._link)

    # ------------------------------------------------------------ what is changed, and put back

    async def prepare(self, conditions: tuple[PlanSetting, ...]) -> list[dict[str, Any]]:
        """Set and verify conditions."""
        await self._install()
        return await self._kind.prepare(self._link, self, conditions)

    async def change(self, do: str, undo: str) -> None:
        """Write `undo` down on the device, then run `do`."""
        await self._install()
        ran = await self._script("change", undo, do)
        if ran.rc != 0:
            raise DeviceError("change_failed", ran.fault)

    async def put_back_ago(self) -> float | None:
        """Seconds since changes were last put back here; None where that was before the device started, or never."""
        ran = await self._link.run(f"cat {quote(await self._where())}/put_back /proc/uptime 2>/dev/null")
        match [float(line.split()[0]) for line in ran.text.splitlines() if line[:1].isdigit()]:
            case [then, now] if then <= now:
                return now - then
            case _:
                return None

    async def restore(self) -> None:
        """End every launch of a host that the device still has, and undo the changes that are written down there."""
        root = await self._where()
        script = f"{root}/scripts/{self._version}/run.sh"
        command = (
            f"[ -d {quote(root)} ] || exit {_NO_ROOT}; [ -f {quote(script)} ] || exit {_NO_SCRIPTS}; "
            f"MB_ROOT={quote(root)} exec sh {quote(script)} restore"
        )
        ran = await self._link.run(command, timeout=300.0)
        if ran.rc == _NO_SCRIPTS:
            await self._install()
            ran = await self._link.run(command, timeout=300.0)
        if ran.rc == _NOT_PUT_BACK:
            raise DeviceError("not_restored", ran.fault)
        if ran.rc not in (0, _NO_ROOT):
            raise DeviceError("restore_failed", ran.fault)

    # ------------------------------------------------------------ files

    async def push(self, weights: Weights) -> str:
        """The path of the weights on the device."""
        return await self._put(weights, program=False)

    async def _put(self, file: Weights, *, program: bool) -> str:
        store = Store(self._link, await self._where(), self._quota)
        path = await store.put(file, self._needed, program=program)
        self._needed.add(file.sha256)
        return path

    async def _where(self) -> str:
        """The folder of everything on the device."""
        if not self._root:
            plain = self._kind.root
            home = f'"$HOME"/{quote(plain[2:])}' if plain.startswith("~/") else quote(plain)
            ran = await self._link.run(f'if [ -n "${{MB_ROOT-}}" ]; then echo "$MB_ROOT"; else echo {home}; fi')
            if ran.rc != 0 or not ran.text.startswith("/"):
                raise DeviceError("no_root", f"the device does not say where its folder {plain} is: {ran.fault}")
            self._root = ran.text
        return self._root

    async def _install(self) -> None:
        """Bring the scripts, unless they are there; they are named by their content."""
        if self._installed:
            return
        folder = f"{await self._where()}/scripts/{self._version}"
        part = f"{folder}.part"
        lines = [
            f"[ ! -f {quote(folder)}/run.sh ] || exit 0",
            f"rm -rf {quote(part)}",
            f"mkdir -p {quote(part)} || exit 73",
        ]
        lines += [_here(f"{part}/{name}", text) for name, text in self._files.items()]
        lines.append(f"mv {quote(part)} {quote(folder)}")
        await self._sh("\n".join(lines), "the scripts cannot be brought to the device")
        self._installed = True

    async def _sh(self, script: str, what: str) -> None:
        """Run a script of many lines. Raises DeviceError."""
        ran = await self._link.run("sh", stdin=script.encode() + b"\n")
        if ran.rc != 0:
            full = b"No space left" in ran.stderr
            raise DeviceError("no_space" if full else "start_failed", f"{what}: {ran.fault}")

    async def _script(self, verb: str, *words: str, timeout: float | None = 120.0) -> Ran:
        return await self._link.run(await self._command(verb, *words), timeout=timeout)

    async def _command(self, verb: str, *words: str) -> str:
        root = await self._where()
        line = " ".join(quote(word) for word in (f"{root}/scripts/{self._version}/run.sh", verb, *words))
        return f"MB_ROOT={quote(root)} sh {line}"

    # ------------------------------------------------------------ a launch

    async def start(self, job: Job, launch: Launch, folder: Path, limits: Limits) -> None:
        """Write the launch's folder on the device and start it there, in one command."""
        await self._install()
        await self._aim(job, folder, limits)
        files = {name: await self._put(file, program=True) for name, file in launch.files.items()}
        there = self._launch
        parts = {
            "job.json": job.model_dump_json() + "\n",
            "command.sh": _command_file(there, launch, files, self._before(launch)),
            "limits.sh": self._limits_file(),
        }
        if self._container is not None:
            parts["after.sh"] = self._container.after(self._name())
        sampling = self._kind.sampling()
        if RUNNER in files:
            parts["guard.json"] = self._guard_file(sampling)
        if sampling is not None and RUNNER in files:
            parts["sample.json"] = _sampling_file(sampling)
            if sampling.pulses:
                parts["pulse"] = "1\n"
        elif sampling is not None and (taken := _shell_sampling(sampling)):
            parts["sample.sh"] = taken
        lines = [f"rm -rf {quote(there)}", f"mkdir -p {quote(there)} || exit 73"]
        lines += [_here(f"{there}/{name}", text) for name, text in parts.items()]
        lines.append(f"MB_RUNNER={quote(files.get(RUNNER, '/none'))}; export MB_RUNNER")
        lines.append(f"{await self._command('start', there)} </dev/null")
        await self._sh("\n".join(lines), "the launch cannot be started")

    def _name(self) -> str:
        """The container of the launch."""
        return f"mobench-{self._launch.rpartition('/')[2]}"

    def _before(self, launch: Launch) -> list[str]:
        return [] if self._container is None else self._container.words(self._name(), self._root, launch.env)

    async def attach(self, job: Job, folder: Path, limits: Limits) -> bool:
        """Whether the device knows the launch of a job, running or over: then `wait` goes on with it."""
        await self._install()
        await self._aim(job, folder, limits)
        if (await self._script("state", self._launch)).rc == 0:
            return True
        self._launch = ""
        return False

    async def _aim(self, job: Job, folder: Path, limits: Limits) -> None:
        name = hashlib.sha256(job.job_id.encode()).hexdigest()[:24]
        self._launch = f"{await self._where()}/hosted/{name}"
        self._folder, self._limits = folder.resolve(), limits

    def _limits_file(self) -> str:
        heat = self._kind.heat()
        seconds = -(-self._limits.timeout_ns // 1_000_000_000)
        path = heat.path if heat is not None and heat.after is None else ""
        scale = heat.scale if heat is not None else 1
        above = self._limits.abort_above or 0
        return f"timeout_s={seconds}\nheat_path={quote(path)} heat_scale={scale} heat_above={above}\n"

    def _guard_file(self, sampling: Sampling | None) -> str:
        guard: dict[str, Any] = {"version": 1, "timeout_ns": self._limits.timeout_ns, "poll_ns": 1_000_000_000}
        guard |= {"out": "guard.out", "log": "stderr.log"}
        if sampling is not None:
            guard |= {"sample": "sample.json", "lead_ns": round(sampling.lead_s * 1e9)}
        heat = self._kind.heat()
        if heat is not None and self._limits.abort_above is not None:
            limit = {"reason": "too_hot", "path": heat.path, "after": heat.after, "scale": heat.scale}
            guard["limits"] = [limit | {"above": self._limits.abort_above}]
        return json.dumps(guard) + "\n"

    async def wait(self) -> Outcome:
        """Wait for the end without a word on the link, then fetch every raw file and clear the device's folder."""
        assert self._launch  # noqa: S101 - called between start or attach and the end
        command = await self._command("wait", self._launch)
        try:
            async with asyncio.timeout(self._limits.timeout_ns / 1e9 + LATE_S):
                while await self._link.hold(command) not in (0, _NO_LAUNCH, _NOT_WRITTEN) and await self._running():
                    await asyncio.sleep(1.0)  # whoever waited there was ended, not the launch
        except TimeoutError:
            await self._script("cancel", self._launch)
        return await self._collect()

    async def _running(self) -> bool:
        return read_state((await self._script("state", self._launch)).text).get("state") == "running"

    async def cancel(self) -> None:
        """End a running launch and everything it started; what it wrote is fetched."""
        if self._launch:
            await self._script("cancel", self._launch)
            await self._collect()

    async def close(self) -> None:
        """Let the device go; a launch that runs goes on."""
        await self._link.close()

    # ------------------------------------------------------------ collecting

    async def _collect(self) -> Outcome:
        there = quote(self._launch)
        names = " ".join((*RAW, "stderr.log"))
        ran = await self._link.run(
            f"cd {there} || exit {_NO_LAUNCH}; cat state; echo; echo {_BAR}; "
            f"cat guard.out 2>/dev/null; echo; echo {_BAR}; "
            f"for f in {names}; do [ ! -f $f ] || echo $f $(wc -c <$f); done"
        )
        parts = ran.stdout.decode("utf-8", "replace").split(f"{_BAR}\n")
        if ran.rc != 0 or len(parts) != 3:
            raise DeviceError("no_launch", f"the device has lost the launch's folder {self._launch}: {ran.fault}")
        state, guard = read_state(parts[0]), parts[1]
        sizes = {words[0]: int(words[1]) for words in map(str.split, parts[2].splitlines()) if len(words) == 2}
        for name in RAW:
            if name in sizes:
                await self._fetch(name, sizes[name])
        log = await self._log(sizes)
        result = outcome(state, guard, log)
        await self._link.run(f"rm -rf {there}")
        self._launch = ""
        return result

    async def _fetch(self, name: str, size: int) -> None:
        part = self._folder / f"{name}.part"
        for last in (False, True):
            await self._link.pull(f"{self._launch}/{name}", part)
            if part.stat().st_size == size:
                part.replace(self._folder / name)
                return
            if last:
                raise DeviceError("pull_failed", f"{name} has {size} bytes on the device, {part.stat().st_size} came")

    async def _log(self, sizes: Mapping[str, int]) -> str:
        size = sizes.get("stderr.log", 0)
        data = b""
        if size:
            ran = await self._link.run(f"tail -c {LOG_BYTES} {quote(self._launch)}/stderr.log")
            data = ran.stdout
        note = f"[{size - len(data)} bytes before this were not kept]\n".encode() if size > len(data) else b""
        (self._folder / "stderr.log").write_bytes(note + data)
        return data[-8192:].decode("utf-8", "replace")


def _sampling_file(sampling: Sampling) -> str:
    channels = [
        {"name": c.name, "unit": c.unit, "path": c.path, "source": c.source, "tier": c.tier, "scale": c.scale}
        | ({} if c.after is None else {"after": c.after})
        for c in sampling.channels
    ]
    told: dict[str, Any] = {"version": 1, "out": "samples.jsonl", "hz": sampling.hz}
    told |= {"slow_every": sampling.slow_every, "until": "stdin", "channels": channels}
    return json.dumps(told | ({} if sampling.cpu is None else {"cpu": sampling.cpu})) + "\n"


def _shell_sampling(sampling: Sampling) -> str:
    """sample.sh: the channels as the shell takes them where there is no runner; empty without any. It can scale
    by powers of ten only."""
    taken = [(c, str(c.scale)[1:]) for c in sampling.channels if str(c.scale).rstrip("0") == "1"]
    if not taken:
        return ""
    told = {
        "channels": [c.name for c, _ in taken],
        "units": [c.unit for c, _ in taken],
        "sources": [c.source for c, _ in taken],
    }
    lines = [f"channels={quote(json.dumps(told, ensure_ascii=False)[1:-1])}", "sources() {"]
    lines += [
        f"    take {quote(c.path)} {quote(noughts)}{'' if c.after is None else ' ' + quote(c.after)}"
        for c, noughts in taken
    ]
    return "\n".join([*lines, "    :", "}", ""])


def _here(path: str, text: str) -> str:
    """A command that writes a text to a file, for a shell that reads its script from stdin."""
    mark = f"END_{secrets.token_hex(8)}"
    return f"cat >{quote(path)} <<'{mark}' || exit 74\n{text if text.endswith(chr(10)) else text + chr(10)}{mark}"


def _command_file(there: str, launch: Launch, files: Mapping[str, str], before: list[str]) -> str:
    """command.sh: the instrument's environment, its argument vector behind the words `before` it, and where its output
    goes if that is kept. An emulator stands before a pushed program that has no words before it."""
    places = {"{job}": f"{there}/job.json", "{events}": f"{there}/events.jsonl"}
    places |= {f"{{{name}}}": path for name, path in files.items()}
    argv = [places.get(word, word) for word in launch.argv]
    for name in launch.env:
        if not _VARIABLE.fullmatch(name):
            raise DeviceError("start_failed", f"{name!r} is no name of an environment variable")
    prefix = "${MB_EXEC-} " if launch.argv[0] != argv[0] else ""
    if before:
        prefix = "".join(f"{quote(word)} " for word in before)
    lines = ["#!/bin/sh", *(f"export {name}={quote(value)}" for name, value in launch.env.items())]
    first = f'"$HOME"/{quote(argv[0][2:])}' if argv[0].startswith("~/") else quote(argv[0])
    kept = f" >{quote(f'{there}/{OUTPUT}')}" if launch.keeps_output else ""
    return "\n".join([*lines, f"exec {prefix}{' '.join([first, *map(quote, argv[1:])])}{kept}", ""])


def _digests(scripts: Path) -> set[str]:
    """The digests of the weights that the plan of these scripts needs, as far as the plan knows them."""
    path = scripts / "jobs.jsonl"
    if not path.is_file():
        return set()
    with path.open("rb") as file:
        return {digest for line in file if (digest := json.loads(line)["model"]["sha256"])}
