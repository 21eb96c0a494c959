"""The folder of a virtual board: keys, the server's configuration, made-up /sys and /etc, tools.

In: a profile, a folder. Out: the folder furnished; what was changed on the board stays as it is. Nothing is started.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path

from mobench_targets.linux.virtual.profiles import Profile, Rail

from mobench_lang.plugins import DeviceError

HERE = Path(__file__).parent
ALIAS = "board"
SWING_NS = 1_000_000_000
"""How long a rail's swing takes."""
TOOLS_OF_ALL = ("date", "emulate", "id", "sudo", "uname")


class Folder:
    """The files of one board."""

    def __init__(self, folder: Path, profile: Profile) -> None:
        self.folder, self.profile = folder, profile
        self.sys, self.etc = folder / "sys", folder / "etc"

    def furnish(self) -> None:
        """Make what is not there yet. Raises OSError, DeviceError("host_lacks")."""
        self.folder.mkdir(parents=True, exist_ok=True)
        tools = self.folder / "bin"
        for folder in (tools, self.folder / "home"):
            folder.mkdir(exist_ok=True)
        for name in (".bashrc", ".zshenv"):  # a login shell begins where the user's home is
            (self.folder / "home" / name).write_text("cd\n")
        jetson = self.profile.release is not None
        for source in (HERE / "tools").glob("*.sh"):
            if jetson or source.stem in TOOLS_OF_ALL:
                (tools / source.stem).write_text(source.read_text("utf-8"))
                (tools / source.stem).chmod(0o755)
        for name in ("host_key", "user_key"):
            self.key(name)
        (self.folder / "authorized_keys").write_text((self.folder / "user_key.pub").read_text())
        self._write_processor()
        self._write_etc()
        self._write_sys()
        if not (self.folder / "boot_id").exists():
            self.boot()

    def boot(self) -> None:
        """What a start makes anew: the kernel's id of it, and settings that only last until then."""
        (self.folder / "boot_id").write_text(f"{uuid.uuid4()}\n")
        for policy in self.sys.glob("devices/system/cpu/cpufreq/policy*"):
            shutil.rmtree(policy)
        if self.profile.fan is not None:
            (self.sys / self.profile.fan).unlink(missing_ok=True)
        self._write_sys()

    def _write_processor(self) -> None:
        """A processor of ARM: its name, what it can, and the emulator for its programs."""
        if not self.profile.features:
            return
        qemu = shutil.which("qemu-aarch64-static")
        if platform.machine() != "aarch64" and qemu is None:
            raise DeviceError(
                "host_lacks", "programs of a virtual board run under qemu; install the package qemu-user-static"
            )
        (self.folder / "machine").write_text("aarch64\n")
        (self.folder / "emulator").write_text(f"{qemu or ''}\n")
        cores = [
            f"processor\t: {number}\nFeatures\t: {self.profile.features}\nCPU implementer\t: 0x41\n"
            f"CPU architecture: 8\nCPU part\t: {self.profile.part}\n"
            for number in sorted(os.sched_getaffinity(0))
        ]
        (self.folder / "cpuinfo").write_text("\n".join(cores))

    def key(self, name: str, *, fresh: bool = False) -> None:
        """A key pair of sshd or of the user; a `fresh` one of sshd is not the one that the user knows."""
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

    def configure(self, port: int, settings: Mapping[str, str]) -> None:
        """sshd_config, and for the host ssh_config and known_hosts."""
        at = self.folder
        environment: dict[str, str | Path] = {
            "MB_SYS": self.sys, "MB_ETC": self.etc, "MB_ROOT": at / "mobench", "MB_VIRTUAL": at,
            "MB_CUDA": at / "cuda", "MB_BOOT_ID": at / "boot_id", "HOME": at / "home",
            "PATH": f"{at / 'bin'}:/usr/bin:/bin",
        }  # fmt: skip
        if self.profile.features:
            environment |= {"MB_EXEC": "emulate", "MB_CPUINFO": at / "cpuinfo", "QEMU_CPU": self.profile.qemu}
        given = " ".join(f'"{name}={value}"' for name, value in environment.items())
        (at / "sshd_config").write_text(
            f"""# A virtual board of mobench.
Port {port}
ListenAddress 127.0.0.1
HostKey "{at}/host_key"
AuthorizedKeysFile "{at}/authorized_keys"
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
{chr(10).join(f"{name} {value}" for name, value in settings.items())}
X11Forwarding no
PrintMotd no
MaxSessions 64
Subsystem sftp internal-sftp -d "{at}/home"
SetEnv {given}
"""
        )
        (at / "ssh_config").write_text(
            f"""Host {ALIAS}
    HostName 127.0.0.1
    Port {port}
    IdentityFile "{at}/user_key"
    IdentitiesOnly yes
    UserKnownHostsFile "{at}/known_hosts"
    StrictHostKeyChecking yes
"""
        )
        (at / "known_hosts").write_text(f"[127.0.0.1]:{port} {(at / 'known_key').read_text()}")

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
