"""Virtual boards: a real sshd on loopback, in front of files and tools that look like those of a board.

In: the name of a profile, and a folder that belongs to this board. Out: a running `VirtualBoard`: the attributes by
which its target opens it, and faults on demand. Guarantee: everything is in that folder; sshd runs as the current user
with keys, configuration and known hosts of its own on a free port of 127.0.0.1; a board that is begun again has the
same identity and the same files.

Processes and memory are those of this machine: /proc is the real one. The rest is stood for by MB_SYS, MB_ETC,
MB_CPUINFO and MB_BOOT_ID, which the scripts of a device honour. Programs of aarch64 run under qemu.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from mobench_targets.linux.virtual.faults import Faults, read_faults
from mobench_targets.linux.virtual.files import ALIAS, Folder
from mobench_targets.linux.virtual.profiles import PROFILES, Profile

from mobench_lang.plugins import DeviceError

__all__ = ["PROFILES", "VirtualBoard"]

HERE = Path(__file__).parent
BEGIN_S = 10.0
OFF_S = 1.0
"""How long a board that starts anew is off."""


class VirtualBoard:
    """One virtual board, running until `end`."""

    def __init__(self, profile: str, folder: Path) -> None:
        self.folder, self.sys, self.etc = folder, folder / "sys", folder / "etc"
        self.profile: Profile = PROFILES[profile]
        self.port = 0
        self.settings = {"AllowTcpForwarding": "no"}
        self._files = Folder(folder, self.profile)
        self._faults = Faults()
        self._sshd: subprocess.Popen[bytes] | None = None
        self._replay: subprocess.Popen[bytes] | None = None
        self._later: list[asyncio.Task[None]] = []

    @property
    def attributes(self) -> Mapping[str, str | int]:
        """By what the target opens it: in the place of every address that a spec may have."""
        user = pwd.getpwuid(os.geteuid()).pw_name
        return {"host": ALIAS, "user": user, "port": self.port, "ssh_config": str(self.folder / "ssh_config")}

    @classmethod
    async def begin(cls, profile: str, scratch: Path) -> VirtualBoard:
        """Start the board of a profile in `scratch/virtual`. Behind a colon stand faults that it has from the
        beginning: `orin-nano:no_sudo,hot=97000,reboot=20`. Raises DeviceError with what the host lacks."""
        name, _, faults = profile.partition(":")
        told = read_faults(faults)
        board = cls(name, (scratch / "virtual" / name).resolve())
        board._faults = told
        try:
            await asyncio.to_thread(board._files.furnish)
            board.refuse_sudo(refuse=told.no_sudo)
            board.clock_off(told.clock_off)
            if told.hot is not None:
                board.hot(told.hot)
            if told.other_key:
                board._files.key("host_key", fresh=True)
            if told.no_key:
                board.refuse_key()
            await board.power_on()
        except OSError as error:
            await board.end()
            raise DeviceError("no_simulation", f"the virtual board cannot be made: {error}") from error
        board._later = [asyncio.create_task(board._after(seconds, fault)) for fault, seconds in told.later()]
        return board

    async def end(self) -> None:
        """End sshd, its connections, and what moves the sensors; files stay. May be called twice."""
        for task in self._later:
            task.cancel()
        self._later = []
        await self._power_off()

    async def _power_off(self) -> None:
        for process in (self._sshd, self._replay):
            if process is not None:
                if process.stdin is not None:
                    process.stdin.close()
                self._signal(process.pid, signal.SIGCONT)
                self._signal(process.pid, signal.SIGKILL)
                await asyncio.to_thread(process.wait)
        self._sshd = self._replay = None
        (self.folder / "sshd.pid").unlink(missing_ok=True)

    # ------------------------------------------------------------ faults

    async def _after(self, seconds: float, fault: str) -> None:
        await asyncio.sleep(seconds)
        if fault == "cut":
            self.cut()
        elif fault == "silent":
            self.freeze()
        elif fault == "reboot":
            await self.reboot()
        else:
            await self.gone()

    def cut(self) -> None:
        """Tear every connection down: the peer is reset; what was started detached goes on."""
        for pid in self._connections():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def freeze(self, *, frozen: bool = True) -> None:
        """Fall silent: connections stay open and nobody answers; or speak again."""
        assert self._sshd is not None  # noqa: S101 - begun
        for pid in (self._sshd.pid, *self._connections()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP if frozen else signal.SIGCONT)

    async def gone(self) -> None:
        """Go off: connections end, everything that ran ends, and nobody answers any more."""
        await self._power_off()
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    async def reboot(self) -> None:
        """Go off and start anew: another start by the kernel's word; clocks and fan are as they are after one."""
        await self.gone()
        self._files.boot()
        await asyncio.sleep(OFF_S)
        await self.power_on()

    def processes(self) -> list[int]:
        """The processes that were started on the board, by their environment."""
        mark = f"\0MB_VIRTUAL={self.folder}\0".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if mark in b"\0" + (entry / "environ").read_bytes():
                        found.append(int(entry.name))
        return found

    async def new_host_key(self) -> None:
        """Show another host key from now on, as a board that was set up anew does."""
        await self._power_off()
        self._files.key("host_key", fresh=True)
        await self.power_on()

    def refuse_key(self) -> None:
        """Let nobody in."""
        (self.folder / "authorized_keys").write_text("")

    def refuse_sudo(self, *, refuse: bool = True) -> None:
        """Let sudo want a password."""
        self._flag("no_sudo", "" if refuse else None)

    def clock_off(self, seconds: int) -> None:
        """Let the board's wall clock be wrong."""
        self._flag("clock_off", str(seconds))

    def hot(self, millidegrees: int) -> None:
        """Let the processor be so hot, and slow down to half its clock."""
        for zone in self.sys.glob("class/thermal/thermal_zone*/temp"):
            zone.write_text(f"{millidegrees}\n")
        for policy in self.sys.glob("devices/system/cpu/cpufreq/policy*"):
            most = int((policy / "cpuinfo_max_freq").read_text())
            (policy / "scaling_cur_freq").write_text(f"{most // 2}\n")

    def _flag(self, name: str, text: str | None) -> None:
        path = self.folder / name
        if text is None:
            path.unlink(missing_ok=True)
        else:
            path.write_text(text + "\n")

    # ------------------------------------------------------------ processes

    async def power_on(self) -> None:
        """Start sshd and the sensors."""
        sshd = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
        if sshd is None:
            raise DeviceError("no_sshd", "virtual boards need an SSH server; install the package openssh-server")
        self._end_former()
        if os.geteuid() == 0:
            # What the service of Debian makes at boot: an empty folder that sshd confines itself to as root.
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        with socket.socket() as free:
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            free.bind(("127.0.0.1", self.port))
            self.port = free.getsockname()[1]
        self._files.configure(self.port, self.settings)
        log = (self.folder / "sshd.log").open("ab")
        with log:
            self._sshd = subprocess.Popen(
                [*self._small_storage(), sshd, "-D", "-e", "-f", str(self.folder / "sshd_config")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
            self._replay = subprocess.Popen(
                [sys.executable, "-I", "-S", str(HERE / "replay.py"), str(self.folder / "trace.json")],
                stdin=subprocess.PIPE, stdout=log, stderr=log,
            )  # fmt: skip
        (self.folder / "sshd.pid").write_text(f"{self._sshd.pid}\n")
        await self._answering()

    def _small_storage(self) -> list[str]:
        """The words before sshd that give mobench's folder on the board a file system of its own, which is full soon.
        Only the board's processes see it; with the last of them it is gone."""
        if self._faults.storage is None:
            return []
        root = self.folder / "mobench"
        root.mkdir(exist_ok=True)
        mount = f'mount -t tmpfs -o size={self._faults.storage}k tmpfs "$0" && exec "$@"'
        words = ["unshare", "--mount", "sh", "-c", mount, str(root)]
        tried = subprocess.run([*words, "true"], capture_output=True, text=True, check=False)
        if tried.returncode != 0:
            raise DeviceError(
                "no_simulation", f"a small storage has to be mounted, which only root may: {tried.stderr.strip()}"
            )
        return words

    async def _answering(self) -> None:
        """Until sshd greets."""
        assert self._sshd is not None  # noqa: S101 - just started
        loop = asyncio.get_running_loop()
        last = loop.time() + BEGIN_S
        while self._sshd.poll() is None and loop.time() < last:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                greeting = await reader.read(4)
                writer.close()
                if greeting == b"SSH-":
                    return
            await asyncio.sleep(0.02)
        said = (self.folder / "sshd.log").read_text("utf-8", "replace").strip().rsplit("\n", 1)[-1]
        raise DeviceError("no_simulation", f"sshd does not start: {said or 'no reason given'}")

    def _end_former(self) -> None:
        """End an sshd of this board that an earlier process left."""
        try:
            pid = int((self.folder / "sshd.pid").read_text())
            if str(self.folder).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
        except (OSError, ValueError):
            return

    def _connections(self) -> list[int]:
        """The processes of sshd behind open connections: children, and theirs that are sshd again."""
        assert self._sshd is not None  # noqa: S101 - begun
        parents: dict[int, list[tuple[int, str]]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError, ValueError):
                    name, _, rest = (entry / "stat").read_text("utf-8", "replace").rpartition(")")
                    parents.setdefault(int(rest.split()[1]), []).append((int(entry.name), name.partition("(")[2]))
        found, queue = [], [self._sshd.pid]
        while queue:
            for pid, name in parents.get(queue.pop(), ()):
                if name.startswith("sshd"):
                    found.append(pid)
                    queue.append(pid)
        return found

    def _signal(self, pid: int, number: int) -> None:
        """To a process and, for sshd, to its connections."""
        pids = [*self._connections(), pid] if self._sshd is not None and pid == self._sshd.pid else [pid]
        for one in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, number)
