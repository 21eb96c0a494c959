"""What this machine is and how it stands, from /proc and /sys.

In: a root (`/`, or a copy in tests). Out: JSON data. Guarantee: nothing is run, nothing needs rights, and what cannot
be read is None, never a guess.
"""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import Any

from mobench_targets.local import sensors
from mobench_targets.local.sensors import TICK_NS, read_int, read_text

ROOT = Path("/")
_CPU = "sys/devices/system/cpu"
_DMI = "sys/class/dmi/id"


def facts(root: Path = ROOT) -> dict[str, Any]:
    """What the machine is."""
    cores = clusters(root)
    energy = sensors.energies(root)
    return {
        "identity": identity(root),
        "cpu": cpu_model(root),
        "cores": sum(len(cluster) for cluster in cores),
        "clusters": cores,
        "max_freq_hz": [_max_freq(root, cluster[0]) for cluster in cores],
        "ram_bytes": memory(root).get("MemTotal"),
        "os": _os(root),
        "kernel": read_text(root / "proc/sys/kernel/osrelease"),
        "governor": governor(root),
        "virtualised": virtualised(root),
        "machine": machine(root),
        "temperature_sensors": [sensor.name for sensor in sensors.temperatures(root)],
        "energy_counters": [sensor.name for sensor in energy],
        "energy_ranges_uj": sensors.energy_ranges(root),
        "rapl": "readable" if energy else "present, not readable" if _has_rapl(root) else "absent",
        "simulated": False,
    }


def state(root: Path = ROOT) -> dict[str, Any]:
    """How the machine stands now; temperatures in m°C, clocks in Hz, memory in bytes, counters in ns."""
    heat = {sensor.name: read_int(Path(sensor.path)) for sensor in sensors.temperatures(root)}
    busy, steal = cpu_time(root)
    own = os.times()
    mine = int((own.user + own.system + own.children_user + own.children_system) * 1e9)
    free = memory(root)
    load = (read_text(root / "proc/loadavg") or "").split()
    return {
        "t": time.monotonic_ns(),
        "wall_ns": time.time_ns(),
        "temperature": heat.get("soc_temp"),
        "temperatures": heat,
        "load_1min": float(load[0]) if load else None,
        "governor": governor(root),
        "freq_hz": {s.name: (read_int(Path(s.path)) or 0) * s.scale for s in sensors.frequencies(root)},
        "memory_available": free.get("MemAvailable"),
        "swap_used": free.get("SwapTotal", 0) - free.get("SwapFree", 0),
        "cores": sum(len(cluster) for cluster in clusters(root)),
        "others_busy_ns": None if busy is None else busy - mine,
        "steal_ns": steal,
    }


def identity(root: Path) -> str:
    """A name of the physical (or virtual) machine that survives reboots and says nothing about it."""
    parts = [
        read_text(root / "etc/machine-id"),
        *(read_text(root / _DMI / n) for n in ("product_uuid", "board_serial")),
    ]
    if not parts[0]:
        # Containers may have none: the model, the memory and the name are the best that is left.
        parts += [cpu_model(root), str(memory(root).get("MemTotal")), read_text(root / "proc/sys/kernel/hostname")]
    text = "\n".join("" if part is None else part for part in parts)
    return "local-" + hashlib.sha256(text.encode()).hexdigest()[:16]


def cpu_model(root: Path) -> str | None:
    """The processor's name."""
    names = ("model name", "Model", "Hardware", "cpu model", "uarch")
    fields: dict[str, str] = {}
    for line in (read_text(root / "proc/cpuinfo") or "").splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    named = next((fields[name] for name in names if fields.get(name)), None)
    return named or read_text(root / "sys/firmware/devicetree/base/model")


def memory(root: Path) -> dict[str, int]:
    """/proc/meminfo in bytes."""
    found = {}
    for line in (read_text(root / "proc/meminfo") or "").splitlines():
        key, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdigit():
            found[key] = int(words[0]) * (1024 if words[-1] == "kB" else 1)
    return found


def cpu_time(root: Path) -> tuple[int | None, int | None]:
    """Time that all cores together were busy, and that the hypervisor withheld, in ns since boot."""
    words = (read_text(root / "proc/stat") or "").split("\n", 1)[0].split()
    if len(words) < 9 or words[0] != "cpu":
        return None, None
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, words[1:9])
    return (user + nice + system + irq + softirq) * TICK_NS, steal * TICK_NS


def clusters(root: Path) -> list[list[int]]:
    """The CPUs that this process may use, by kind, fastest kind first.

    Kinds are told apart by what the kernel says of them: Intel's hybrid lists, else capacity, else maximum frequency.
    """
    cpus = sorted(_online(root) & (os.sched_getaffinity(0) if root == ROOT else _online(root)))
    core, atom = (_parse_list(read_text(root / f"sys/devices/{kind}/cpus")) for kind in ("cpu_core", "cpu_atom"))
    # Favoured cores of one kind differ a little in maximum frequency, so the hybrid lists come first.
    groups: dict[int, list[int]] = {}
    for cpu in cpus:
        if core and atom:
            speed = 1 if cpu in core else 0
        else:
            speed = _max_freq(root, cpu) or read_int(root / _CPU / f"cpu{cpu}/cpu_capacity") or 0
        groups.setdefault(speed, []).append(cpu)
    return [groups[speed] for speed in sorted(groups, reverse=True)]


def _online(root: Path) -> set[int]:
    online = _parse_list(read_text(root / _CPU / "online"))
    return online or set(range(os.cpu_count() or 1))


def _parse_list(text: str | None) -> set[int]:
    found: set[int] = set()
    for part in (text or "").split(","):
        first, _, last = part.strip().partition("-")
        if first.isdigit():
            found.update(range(int(first), int(last or first) + 1))
    return found


def _max_freq(root: Path, cpu: int) -> int | None:
    khz = read_int(root / _CPU / f"cpu{cpu}/cpufreq/cpuinfo_max_freq")
    return None if khz is None else khz * 1000


def governor(root: Path) -> str | None:
    """The frequency governors in use, `performance` or `powersave,schedutil`; None without cpufreq."""
    found = {read_text(p) for p in root.glob(f"{_CPU}/cpufreq/policy*/scaling_governor")} - {None}
    return ",".join(sorted(text for text in found if text)) or None


def machine(root: Path) -> str | None:
    """Vendor and product as the firmware tells them."""
    words = [read_text(root / _DMI / name) for name in ("sys_vendor", "product_name")]
    return " ".join(word for word in words if word) or read_text(root / "sys/firmware/devicetree/base/model")


def virtualised(root: Path) -> bool:
    """Whether a hypervisor is underneath: frequencies, temperatures and stolen time are then not this machine's to
    tell."""
    flags = next((s for s in (read_text(root / "proc/cpuinfo") or "").splitlines() if s.startswith("flags")), "")
    return " hypervisor" in flags or read_text(root / "sys/hypervisor/type") is not None


def _has_rapl(root: Path) -> bool:
    return any(root.glob("sys/class/powercap/*rapl*"))


def _os(root: Path) -> str:
    for line in (read_text(root / "etc/os-release") or "").splitlines():
        key, _, value = line.partition("=")
        if key == "PRETTY_NAME":
            return value.strip('"')
    return "Linux"
