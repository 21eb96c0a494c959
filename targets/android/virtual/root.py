"""The root folder of a virtual phone: shell, tools, the phone's own commands, its state.

In: a profile, a folder. Out: the folder filled; what is there of an earlier time stays. Guarantee: nothing comes from
the host but mksh, toybox, the libraries that those load, and an emulator for aarch64 programs.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from mobench_targets.android.virtual import values
from mobench_targets.android.virtual.profile import Profile

from mobench_lang.plugins import DeviceError

PACKAGES = {
    "mksh": "mksh",
    "toybox": "toybox",
    "bwrap": "bubblewrap",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "qemu-aarch64-static": "qemu-user-static",
}
"""Programs of the host that a virtual phone is made of, and the Debian packages that bring them."""

EMULATOR = "/system/bin/qemu-aarch64"
STATE = ".phone"
SETTINGS = {
    "global": {"airplane_mode_on": "0", "low_power": "0", "stay_on_while_plugged_in": "0", "wifi_on": "1"},
    "system": {"screen_brightness": "102", "screen_brightness_mode": "1", "screen_off_timeout": "60000"},
    "secure": {"android_id": "5fd3a7c0e1b24986"},
}


@dataclass(frozen=True, slots=True)
class Host:
    """The host's programs by name."""

    programs: dict[str, str]

    def __getitem__(self, name: str) -> str:
        return self.programs[name]


def missing() -> list[str]:
    """The Debian packages that virtual phones need and that are not installed."""
    return sorted({package for program, package in PACKAGES.items() if shutil.which(program) is None})


def host() -> Host:
    """The host's programs. Raises DeviceError('host_lacks') that names the packages to install."""
    lacking = missing()
    if lacking:
        raise DeviceError(
            "host_lacks",
            f"virtual phones need {', '.join(lacking)}; on Debian or Ubuntu: sudo apt-get install {' '.join(lacking)}",
        )
    return Host({program: shutil.which(program) or program for program in PACKAGES})


@cache
def _libraries(program: str) -> tuple[str, ...]:
    """The shared libraries that a program of the host loads, and its loader."""
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    return tuple(re.findall(r"(/\S+) \(0x", listed))


def build(profile: Profile, root: Path, tools: Host, serial: str, cores: int) -> None:
    """Make the root, or bring an older one up to date."""
    binaries = root / "system" / "bin"
    for folder in (
        "system/bin",
        "system/etc",
        "data/local/tmp",
        "dev",
        "proc",
        "sys",
        "etc",
        "sdcard",
        f"{STATE}/proc/pressure",
    ):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for name, source in (
        ("sh", tools["mksh"]),
        ("toybox", tools["toybox"]),
        ("qemu-aarch64", tools["qemu-aarch64-static"]),
    ):
        _copy(source, binaries / name)
        for library in _libraries(source):
            _copy(library, root / library.lstrip("/"))
    _link_tools(profile, binaries, tools)
    (root / "etc" / "passwd").write_text("root:x:0:0::/:/system/bin/sh\nshell:x:2000:2000::/:/system/bin/sh\n", "utf-8")
    (root / "etc" / "group").write_text("root:x:0:\nshell:x:2000:\n", "utf-8")
    for script in files(f"{__package__}.system").iterdir():
        if script.name == "lib.sh":
            (root / "system" / "etc" / "phone.sh").write_text(script.read_text("utf-8"), "utf-8")
        elif script.name.endswith(".sh"):
            path = binaries / script.name.removesuffix(".sh")
            path.unlink(missing_ok=True)  # a link to toybox, or the script of an earlier version
            path.write_text(script.read_text("utf-8"), "utf-8")
            path.chmod(0o755)
    _state(profile, root / STATE, serial)
    for name, text in values.fixed(profile, values.cpus(profile, cores)).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, "utf-8")
    (root / STATE / "proc" / "cpuinfo").write_text(_cpuinfo(profile, cores), "utf-8")
    version = f"Linux version {profile.kernel} (build-user@build-host) (clang version 17.0.2) #1 SMP PREEMPT\n"
    (root / STATE / "proc" / "version").write_text(version, "utf-8")


def _copy(source: str, goal: Path) -> None:
    if goal.exists() and goal.stat().st_size == Path(source).stat().st_size:
        return
    goal.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, goal)
    goal.chmod(0o755)


def _link_tools(profile: Profile, binaries: Path, tools: Host) -> None:
    document = tomllib.loads((files(f"{__package__}.system") / "tools.toml").read_text("utf-8"))["from"]
    offered = {name for api, names in document.items() if int(api) <= profile.api for name in names.split()}
    there = set(subprocess.run([tools["toybox"]], capture_output=True, text=True, check=True).stdout.split())
    for name in sorted(offered & there):
        path = binaries / name
        if not path.is_symlink() and not path.exists():
            path.symlink_to("toybox")


def _state(profile: Profile, state: Path, serial: str) -> None:
    """Properties and settings; those that were changed stay as they are, but properties last until the next start."""
    shutil.rmtree(state / "props", ignore_errors=True)
    for folder in ("props", "battery", "deviceidle", *(f"settings/{space}" for space in SETTINGS)):
        (state / folder).mkdir(parents=True, exist_ok=True)
    for name, value in properties(profile, serial).items():
        (state / "props" / name).write_text(f"{value}\n", "utf-8")
    for space, pairs in SETTINGS.items():
        for key, value in pairs.items():
            path = state / "settings" / space / key
            if not path.exists():
                path.write_text(f"{value}\n", "utf-8")
    for name, value in {
        "screen": "Awake",
        "kernel": profile.kernel,
        "supply": profile.battery.node,
        "storage_kib": str(profile.storage_kib),
        **({"samsung": "1"} if profile.battery.unit == "mA" else {}),
    }.items():
        if name != "screen" or not (state / name).exists():
            (state / name).write_text(f"{value}\n", "utf-8")


def properties(profile: Profile, serial: str) -> dict[str, str]:
    """What getprop says after a start."""
    return {
        "ro.build.version.sdk": str(profile.api),
        "ro.product.cpu.abi": "arm64-v8a",
        "ro.product.cpu.abilist": "arm64-v8a,armeabi-v7a,armeabi",
        "ro.build.type": "user",
        "ro.debuggable": "0",
        "ro.serialno": serial,
        "ro.mobench.simulated": "1",
        "sys.boot_completed": "1",
        **profile.props,
    }


def _cpuinfo(profile: Profile, cores: int) -> str:
    blocks = [
        f"processor\t: {n}\nBogoMIPS\t: 49.15\nFeatures\t: {profile.cpu_features}\nCPU implementer\t: 0x41\n"
        f"CPU architecture: 8\nCPU variant\t: 0x1\nCPU part\t: {cluster.part}\nCPU revision\t: 0\n"
        for n, cluster in enumerate(values.cpus(profile, cores))
    ]
    return "\n".join(blocks) + "\n"


def thermalservice(status: int, degrees: dict[str, float]) -> str:
    """What `dumpsys thermalservice` prints."""
    kinds = {"soc": (0, "CPU0"), "skin": (3, "VIRTUAL-SKIN"), "battery": (2, "battery")}
    lines = [
        f"\tTemperature{{mValue={degrees[follows]:.1f}, mType={number}, mName={name}, "
        f"mStatus={status if follows == 'skin' else 0}}}"
        for follows, (number, name) in kinds.items()
    ]
    joined = "\n".join(lines)
    return (
        f"IsStatusOverride: false\nThermalEventListeners:\n\tcallbacks: 1\nThermal Status: {status}\n"
        f"Cached temperatures:\n{joined}\nHAL Ready: true\nHAL connection:\n\tThermalHAL AIDL 1  connected: yes\n"
        f"Current temperatures from HAL:\n{joined}\nCurrent cooling devices from HAL:\n"
    )


def snapshot(root: Path) -> dict[str, str]:
    """Everything of the phone that its user could notice: settings, changeable properties, screen, overrides.

    Relative path -> content. What only moves (values of sensors) is no part of it.
    """
    state = root / STATE
    skipped = {"kernel", "supply", "storage_kib", "samsung", "thermalservice", "alive", "clock_ahead"}
    found = {}
    for path in sorted(p for p in state.rglob("*") if p.is_file() and not p.name.endswith(".new")):
        name = str(path.relative_to(state))
        if name not in skipped and not name.startswith(("proc/", "props/ro.")):
            found[name] = path.read_text("utf-8").rstrip("\n")
    return found
