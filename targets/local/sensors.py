"""The files of /proc and /sys that tell something while an engine runs.

In: a root (`/`, or a copy in tests). Out: channels with name, unit, scale to that unit's integer, and the file; found
once, before anything is measured. The default temperature is that of the processor package, else the hottest-named
zone.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

# Drivers and zone types of processor temperatures, best first.
_CPU_SENSORS = ("coretemp", "k10temp", "zenpower", "x86_pkg_temp", "cpu_thermal", "cpu-thermal", "soc", "cpu", "acpitz")


@dataclass(frozen=True, slots=True)
class Sensor:
    """One file that holds one integer; `scale` brings it to `unit` (m°C, µJ, Hz)."""

    name: str
    unit: str
    path: str
    scale: int = 1


def read_text(path: Path) -> str | None:
    """The stripped text of a small file; None where it cannot be read."""
    try:
        return path.read_text("utf-8", "replace").strip()
    except (OSError, ValueError):
        return None


def read_int(path: Path) -> int | None:
    """The integer in a small file; None where there is none."""
    try:
        return int(read_text(path) or "")
    except ValueError:
        return None


def temperatures(root: Path) -> list[Sensor]:
    """All readable temperature sensors in m°C, the default one first and named `soc_temp`."""
    found: list[tuple[str, Path]] = []
    for path in sorted(root.glob("sys/class/hwmon/hwmon*/temp*_input")):
        chip = read_text(path.parent / "name") or path.parent.name
        label = read_text(path.with_name(path.name.replace("_input", "_label"))) or path.name.removesuffix("_input")
        found.append((f"{chip} {label}", path))
    zones = sorted(root.glob("sys/class/thermal/thermal_zone*/temp"))
    found += [(read_text(path.parent / "type") or path.parent.name, path) for path in zones]
    found = [(name, path) for name, path in found if _plausible(read_int(path))]
    ranked = sorted(range(len(found)), key=lambda i: (_rank(found[i][0]), i))
    names = _distinct([_word(found[i][0]) for i in ranked])
    sensors = [Sensor(f"temp.{name}", "m°C", str(found[i][1])) for name, i in zip(names, ranked, strict=True)]
    if sensors and _rank(found[ranked[0]][0]) < len(_CPU_SENSORS):
        sensors[0] = Sensor("soc_temp", "m°C", sensors[0].path)
    return sensors


def _plausible(value: int | None) -> bool:
    # Absent probes read 0, -273 °C or 255 °C on many boards.
    return value is not None and -40_000 < value < 200_000 and value != 0


def _rank(name: str) -> int:
    low = name.lower()
    return next((i for i, word in enumerate(_CPU_SENSORS) if word in low), len(_CPU_SENSORS))


def frequencies(root: Path) -> list[Sensor]:
    """The clock of the first CPU of each frequency domain, in Hz; reading one may cost an interrupt, so not of all."""
    found = []
    for policy in sorted(root.glob("sys/devices/system/cpu/cpufreq/policy*")):
        path = policy / "scaling_cur_freq"
        if read_int(path) is not None:
            found.append(Sensor(f"cpu_freq.{policy.name}", "Hz", str(path), 1000))
    return found[:8]


def energies(root: Path) -> list[Sensor]:
    """Readable RAPL counters in µJ: whole packages only, since their parts would be counted twice."""
    found = []
    for zone in sorted(root.glob("sys/class/powercap/*:*")):
        path = zone / "energy_uj"
        if zone.name.count(":") == 1 and read_int(path) is not None:
            name = read_text(zone / "name") or zone.name
            if not name.startswith(("psys", "mmio")):
                found.append((name, path))
    names = _distinct([_word(name) for name, _ in found])
    return [Sensor(f"energy.{name}", "µJ", str(path)) for name, (_, path) in zip(names, found, strict=True)]


def energy_ranges(root: Path) -> dict[str, int]:
    """Where each RAPL counter wraps, in µJ by channel name."""
    ranges = {}
    for sensor in energies(root):
        limit = read_int(Path(sensor.path).with_name("max_energy_range_uj"))
        if limit is not None:
            ranges[sensor.name] = limit
    return ranges


def _word(name: str) -> str:
    return "_".join("".join(c if c.isalnum() or c in "-." else " " for c in name.lower()).split()) or "x"


def _distinct(names: list[str]) -> list[str]:
    seen: dict[str, int] = {}
    result = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        result.append(name if seen[name] == 1 else f"{name}.{seen[name]}")
    return result


PAGE = os.sysconf("SC_PAGE_SIZE")
TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
