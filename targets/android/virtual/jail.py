"""What a virtual phone's processes live in: namespaces of their own for users, files, processes and clocks.

In: a root. Out: the pid of its first process, by which everything else enters. Guarantee: a process of the phone sees
and can end processes of the phone alone; it is user 2000 as on a phone, without capabilities; ending the first process
ends them all. The first process ends by itself when nobody has touched `alive` for ten minutes.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mobench_targets.android.virtual.root import EMULATOR, STATE, Host

from mobench_lang.plugins import DeviceError

OVERLAYS = {
    "meminfo": "meminfo",
    "cpuinfo": "cpuinfo",
    "version": "version",
    "boot_id": "sys/kernel/random/boot_id",
    "stat": "stat",
}
"""Files of /proc that are the phone's own: name under the state folder -> path under /proc."""

UPTIME = 12
"""Seconds that a phone has been up for when its shell can first be reached."""

FIRST = "while find /.phone/alive -mmin -10 | grep -q .; do sleep 20; done"


@dataclass(frozen=True, slots=True)
class Jail:
    """A running phone: its first process as the host counts, when that began (the kernel's ticks), and by how much its
    monotonic clock differs from the host's, in s."""

    init: int
    began: int
    offset: int

    def alive(self) -> bool:
        """Whether that very process is still there."""
        return started(self.init) == self.began

    def root(self) -> str:
        """The root as the phone's processes see it, from outside."""
        return f"/proc/{self.init}/root"

    def pids(self) -> list[str]:
        """The phone's processes, by its own numbers."""
        with suppress(OSError):
            return [name for name in os.listdir(f"{self.root()}/proc") if name.isdigit()]  # noqa: PTH208
        return []


def started(pid: int) -> int:
    """When a process began in the kernel's ticks; 0 if there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in "ZX" else int(fields[19])


def environment(qemu_cpu: str) -> dict[str, str]:
    """The environment of a command on the phone."""
    return {
        "PATH": "/system/bin",
        "ANDROID_ROOT": "/system",
        "ANDROID_DATA": "/data",
        "EXTERNAL_STORAGE": "/sdcard",
        "HOME": "/",
        "SHELL": "/system/bin/sh",
        "USER": "shell",
        "LOGNAME": "shell",
        "HOSTNAME": "localhost",
        "TERM": "dumb",
        "TMPDIR": "/data/local/tmp",
        "MB_EXEC": EMULATOR,
        "QEMU_CPU": qemu_cpu,
    }


async def boot(root: Path, tools: Host, qemu_cpu: str) -> Jail:
    """Start the phone's first process. Raises DeviceError('not_isolated') where the host does not allow it."""
    (root / STATE / "alive").touch()
    clocks = (time.CLOCK_MONOTONIC, time.CLOCK_BOOTTIME)
    offsets = [UPTIME - int(time.clock_gettime(clock)) for clock in clocks] if has_time_namespaces() else [0, 0]
    read, write = os.pipe()
    binds = [
        word
        for name, path in OVERLAYS.items()
        for word in ("--ro-bind", str(root / STATE / "proc" / name), f"/proc/{path}")
    ]
    if Path("/proc/pressure").is_dir():  # only over what the host's kernel has can there be something else
        binds += ["--ro-bind", str(root / STATE / "proc/pressure"), "/proc/pressure"]
    argv = [
        *(_time(tools, offsets) if any(offsets) else []),
        tools["bwrap"], "--unshare-user", "--uid", "2000", "--gid", "2000",
        "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--hostname", "localhost",
        "--bind", str(root), "/", "--dev", "/dev", "--proc", "/proc", *binds,
        "--chdir", "/", "--info-fd", str(write), "/system/bin/sh", "-c", FIRST,
    ]  # fmt: skip
    log = (root.parent / "boot.log").open("wb")
    with log:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(write,),
            env=environment(qemu_cpu),
            start_new_session=True,
        )
    os.close(write)
    info = await asyncio.to_thread(_read_info, read)
    try:
        init = int(json.loads(info)["child-pid"])
    except (ValueError, KeyError) as error:
        await process.wait()
        said = (root.parent / "boot.log").read_text("utf-8", "replace").strip()
        raise DeviceError(
            "not_isolated",
            f"this host does not allow what isolates a virtual phone ({said or 'no reason given'}): user, mount and "
            "process namespaces for bubblewrap. In a container: allow user namespaces; on Ubuntu 24.04: "
            "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0",
        ) from error
    jail = Jail(init, started(init), offsets[0])
    await _ready(jail, process)
    return jail


def _time(tools: Host, offsets: list[int]) -> list[str]:
    clocks = [f"--monotonic={offsets[0]}", f"--boottime={offsets[1]}"]
    return [tools["unshare"], "--user", "--map-root-user", "--time", *clocks, "--fork", "--kill-child"]


def has_time_namespaces() -> bool:
    """Whether a phone can have clocks of its own here, so that its uptime begins anew when it starts."""
    return Path("/proc/self/ns/time").exists()


def _read_info(descriptor: int) -> bytes:
    """What bubblewrap says of itself: one object. The pipe has no end, since what waits for it keeps it open."""
    said = b""
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        while b"}" not in said and (more := file.read(4096)):
            said += more
    return said


async def _ready(jail: Jail, process: asyncio.subprocess.Process) -> None:
    """Wait until the root is in place: the first process then runs the phone's own shell."""
    for _ in range(500):
        if len(jail.pids()) > 1 or process.returncode is not None:
            break
        await asyncio.sleep(0.005)
    if not jail.alive() or process.returncode is not None:
        raise DeviceError(
            "not_isolated", "the virtual phone's first process ended at once; boot.log beside its root says why"
        )


def entering(jail: Jail, tools: Host, argv: list[str]) -> list[str]:
    """The argument vector that runs something on the phone."""
    clocks = ["--time"] if jail.offset else []
    flags = ["--user", "--mount", "--pid", "--ipc", "--uts", *clocks, "--root", "--wd", "--preserve-credentials"]
    return [tools["nsenter"], "--target", str(jail.init), *flags, "--", *argv]


async def start(jail: Jail, tools: Host, qemu_cpu: str, command: bytes, **how: Any) -> asyncio.subprocess.Process:
    """Start a command line under the phone's shell, in a session of its own; an interactive shell if it is empty."""
    argv = ["/system/bin/sh", *(["-c", os.fsdecode(command)] if command else ["-i"])]
    return await asyncio.create_subprocess_exec(
        *entering(jail, tools, argv), env=environment(qemu_cpu), start_new_session=True, **how
    )


def wake_entrants() -> None:
    """Let every nsenter of this process go on. One stops itself when what it runs is stopped (`continue_as_child` of
    util-linux), and stands outside, where no signal to the phone's processes reaches it: it would never see their end.
    """
    for children in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            for pid in children.read_text("ascii").split():
                os.kill(int(pid), signal.SIGCONT)


def halt(jail: Jail) -> None:
    """End everything on the phone."""
    if jail.alive():
        with suppress(ProcessLookupError):
            os.kill(jail.init, signal.SIGKILL)


def cpu_seconds(jail: Jail) -> dict[str, float]:
    """CPU time of each of the phone's processes, by its own numbers."""
    ticks = os.sysconf("SC_CLK_TCK")
    found = {}
    for pid in jail.pids():
        with suppress(OSError, ValueError, IndexError):
            raw = Path(f"{jail.root()}/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
            found[pid] = (int(raw[11]) + int(raw[12])) / ticks
    return found


def memory_kib(jail: Jail) -> int:
    """Memory that the phone's processes hold."""
    pages = 0
    for pid in jail.pids():
        with suppress(OSError, ValueError, IndexError):
            pages += int(Path(f"{jail.root()}/proc/{pid}/statm").read_bytes().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def signalling(jail: Jail, tools: Host, name: str) -> list[str]:
    """The argument vector that sends a signal to every process of the phone but the first."""
    return entering(jail, tools, ["/system/bin/kill", f"-{name}", "-1"])
