"""Virtual boards: a real sshd on loopback, in front of files and tools that look like those of a board.

In: the name of a profile, and a folder that belongs to this board. Out: a running `VirtualBoard`: the attributes by
which its target opens it, and faults on demand. Guarantee: everything is in that folder; sshd runs as the current user
with keys, configuration and known hosts of its own on a free port of 127.0.0.1; a board that is begun again has the
same identity and the same files.

Processes, memory and the processor are those of this machine: /proc is the real one. /sys and /etc are stood for by
MB_SYS and MB_ETC, which the scripts of a device honour.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from mobench_targets.linux.virtual.profiles import PROFILES, Profile, Rail

from mobench_lang.plugins import DeviceError

__all__ = ["PROFILES", "VirtualBoard"]

HERE = Path(__file__).parent
ALIAS = "board"
SWING_NS = 1_000_000_000
"""How long a rail's swing takes."""
BEGIN_S = 10.0


class VirtualBoard:
    """One virtual board, running until `end`."""

    def __init__(self, profile: str, folder: Path) -> None:
        self.folder, self.sys, self.etc = folder, folder / "sys", folder / "etc"
        self.profile: Profile = PROFILES[profile]
        self.port = 0
        self.settings = {"AllowTcpForwarding": "no"}
        self._sshd: subprocess.Popen[bytes] | None = None
        self._replay: subprocess.Popen[bytes] | None = None

    @property
    def attributes(self) -> Mapping[str, str | int]:
        """By what the target opens it."""
        return {"host": ALIAS, "ssh_config": str(self.folder / "ssh_config")}

    @classmethod
    async def begin(cls, profile: str, scratch: Path) -> VirtualBoard:
        """Start the board of a profile in `scratch/virtual`. Behind a colon stand faults that it has from the
        beginning: `orin-nano:no_sudo,hot=97000,clock_off=86400`. Raises DeviceError with what the host lacks."""
        name, _, faults = profile.partition(":")
        told = dict(_fault(word) for word in faults.split(",") if word)
        board = cls(name, (scratch / "virtual" / name).resolve())
        try:
            await asyncio.to_thread(board._furnish)
            board.refuse_sudo(refuse="no_sudo" in told)
            board.clock_off(told.get("clock_off", 0))
            if "hot" in told:
                board.hot(told["hot"])
            await board.power_on()
        except OSError as error:
            await board.end()
            raise DeviceError("no_simulation", f"the virtual board cannot be made: {error}") from error
        return board

    async def end(self) -> None:
        """End sshd, its connections, and what moves the sensors; files stay. May be called twice."""
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

    async def new_host_key(self) -> None:
        """Show another host key from now on, as a board that was set up anew does."""
        await self.end()
        self._key("host_key", fresh=True)
        await self.power_on()

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
        self._configure()
        log = (self.folder / "sshd.log").open("ab")
        with log:
            self._sshd = subprocess.Popen(
                [sshd, "-D", "-e", "-f", str(self.folder / "sshd_config")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
            self._replay = subprocess.Popen(
                [sys.executable, "-I", "-S", str(HERE / "replay.py"), str(self.folder / "trace.json")],
                stdin=subprocess.PIPE, stdout=log, stderr=log,
            )  # fmt: skip
        (self.folder / "sshd.pid").write_text(f"{self._sshd.pid}\n")
        await self._answering()

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

    # ------------------------------------------------------------ files

    def _furnish(self) -> None:
        """Make what is not there yet."""
        self.folder.mkdir(parents=True, exist_ok=True)
        tools = self.folder / "bin"
        for folder in (tools, self.folder / "home"):
            folder.mkdir(exist_ok=True)
        jetson = self.profile.release is not None
        for source in (HERE / "tools").glob("*.sh"):
            if jetson or source.stem in ("id", "sudo", "date"):
                (tools / source.stem).write_text(source.read_text("utf-8"))
                (tools / source.stem).chmod(0o755)
        for name in ("host_key", "user_key"):
            self._key(name)
        (self.folder / "authorized_keys").write_text((self.folder / "user_key.pub").read_text())
        self._write_etc()
        self._write_sys()

    def _key(self, name: str, *, fresh: bool = False) -> None:
        import asyncssh

        path = self.folder / name
        if fresh or not path.exists():
            key = asyncssh.generate_private_key("ssh-ed25519", comment="mobench virtual board")
            key.write_public_key(str(path) + ".pub")
            path.touch(0o600)
            path.chmod(0o600)
            path.write_bytes(key.export_private_key())
            if name == "host_key" and not fresh:
                (self.folder / "known_key").write_text((self.folder / "host_key.pub").read_text())

    def _configure(self) -> None:
        """sshd_config, and for the host ssh_config and known_hosts."""
        at = self.folder
        environment = {
            "MB_SYS": self.sys, "MB_ETC": self.etc, "MB_ROOT": at / "mobench", "MB_VIRTUAL": at,
            "MB_CUDA": at / "cuda", "PATH": f"{at / 'bin'}:/usr/bin:/bin", "HOME": at / "home",
        }  # fmt: skip
        settings = " ".join(f'"{name}={value}"' for name, value in environment.items())
        (at / "sshd_config").write_text(
            f"""# A virtual board of mobench.
Port {self.port}
ListenAddress 127.0.0.1
HostKey "{at}/host_key"
AuthorizedKeysFile "{at}/authorized_keys"
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
{chr(10).join(f"{name} {value}" for name, value in self.settings.items())}
X11Forwarding no
PrintMotd no
MaxSessions 64
Subsystem sftp internal-sftp
SetEnv {settings}
"""
        )
        (at / "ssh_config").write_text(
            f"""Host {ALIAS}
    HostName 127.0.0.1
    Port {self.port}
    IdentityFile "{at}/user_key"
    IdentitiesOnly yes
    UserKnownHostsFile "{at}/known_hosts"
    StrictHostKeyChecking yes
"""
        )
        (at / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {(at / 'known_key').read_text()}")

    def _write_etc(self) -> None:
        self.etc.mkdir(exist_ok=True)
        (self.etc / "os-release").write_text('PRETTY_NAME="Linux of a virtual board"\n')
        if not (self.etc / "machine-id").exists():
            (self.etc / "machine-id").write_text(f"{secrets.token_hex(16)}\n")
        if self.profile.release is None:
            return
        (self.etc / "nv_tegra_release").write_text(f"{self.profile.release}\n")
        modes = "".join(f"< POWER_MODEL ID={i} NAME={name} >\n" for i, name in enumerate(self.profile.modes))
        (self.etc / "nvpmodel.conf").write_text(f"{modes}< PM_CONFIG DEFAULT=1 >\n")
        if not (self.folder / "mode").exists():
            (self.folder / "mode").write_text("1\n")
        (self.folder / "reboot_modes").write_text(" ".join(map(str, self.profile.reboot)) + "\n")
        (self.folder / "tegrastats").write_text(f"{self.profile.tegrastats}\n")
        if self.profile.cuda:
            (self.folder / "cuda").mkdir(exist_ok=True)
            version = {"cuda": {"name": "CUDA SDK", "version": self.profile.cuda}}
            (self.folder / "cuda" / "version.json").write_text(json.dumps(version, indent=3))

    def _write_sys(self) -> None:
        self._put("firmware/devicetree/base/model", f"{self.profile.model}\0", line="")
        serial = self.sys / "firmware/devicetree/base/serial-number"
        if not serial.exists():
            self._put("firmware/devicetree/base/serial-number", f"virtual-{secrets.token_hex(8)}\0", line="")
        for i, (name, value) in enumerate(self.profile.zones):
            self._put(f"class/thermal/thermal_zone{i}/type", name)
            self._put(f"class/thermal/thermal_zone{i}/temp", value)
        here = sorted(os.sched_getaffinity(0))
        share = -(-len(here) // len(self.profile.clocks))
        for i, most in enumerate(self.profile.clocks):
            # The processors are this machine's: a launch can be bound to them.
            cpus = " ".join(map(str, here[i * share : (i + 1) * share]))
            policy = f"devices/system/cpu/cpufreq/policy{i}"
            files: dict[str, str | int] = {
                "related_cpus": cpus, "cpuinfo_max_freq": most, "scaling_cur_freq": most, "scaling_max_freq": most,
                "scaling_min_freq": 115_200, "scaling_governor": self.profile.governors.split()[0],
                "scaling_available_governors": self.profile.governors,
            }  # fmt: skip
            for name, text in files.items():
                # What was set on the board stays set, as it does until a reboot.
                if not (self.sys / policy / name).exists():
                    self._put(f"{policy}/{name}", text)
        if self.profile.release is not None:
            self._put("devices/platform/gpu.0/load", 40)
            self._put("class/devfreq/17000000.gpu/cur_freq", 305_000_000)
        if self.profile.fan is not None and not (self.sys / self.profile.fan).exists():
            self._put(self.profile.fan, 80)
            (self.folder / "nvfancontrol").touch()
        moving = []
        for chip, (where, rails) in enumerate(self.profile.rails):
            for i, rail in enumerate(rails):
                moving += self._put_rail(chip, where, i, rail)
        (self.folder / "trace.json").write_text(json.dumps(moving))

    def _put_rail(self, chip: int, where: str, i: int, rail: Rail) -> list[tuple[str, int, int, int]]:
        """The files of a rail; those that move."""
        if self.profile.iio:
            folder = f"bus/i2c/drivers/ina3221x/{where}/iio:device{chip}"
            self._put(f"{folder}/rail_name_{i}", rail.label)
            mean, swing = (rail.millivolts * ma // 1000 for ma in (rail.milliamps, rail.swing))
            path = self._put(f"{folder}/in_power{i}_input", f"{mean:<11d}")
            return [(path, mean, swing, SWING_NS)]
        folder = f"bus/i2c/drivers/ina3221/{where}/hwmon/hwmon{chip + 3}"
        self._put(f"{folder}/in{i + 1}_label", rail.label)
        self._put(f"{folder}/in{i + 1}_input", rail.millivolts)
        path = self._put(f"{folder}/curr{i + 1}_input", f"{rail.milliamps:<11d}")
        return [(path, rail.milliamps, rail.swing, SWING_NS)]

    def _put(self, name: str, value: str | int, line: str = "\n") -> str:
        path = self.sys / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}{line}")
        return str(path)


def _fault(word: str) -> tuple[str, int]:
    """A fault of a profile's options. Raises DeviceError."""
    name, equals, number = word.partition("=")
    wants = {"no_sudo": False, "hot": True, "clock_off": True}
    if name not in wants or wants[name] != bool(equals) or (equals and not number.lstrip("-").isdigit()):
        raise DeviceError(
            "bad_profile",
            f"{word!r} is no fault of a virtual board: no_sudo, hot=M°C, clock_off=SECONDS, with commas between",
        )
    return name, int(number or "1")
