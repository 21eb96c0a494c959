"""The files of /sys and /proc that a virtual phone shows: what stands in them for a state of the model.

In: a profile, the number of CPUs, a state. Out: path in the root -> text. Written in place (`Writer`), since an
instrument opens a file once and reads it again and again: so a file keeps its inode and its size, a shorter value is
filled up with newlines, which every reader of a number skips.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path

from mobench_targets.android.virtual.model import State, level
from mobench_targets.android.virtual.profile import Cluster, Profile, Zone

WIDTH = 24
"""Bytes of a file that holds one number."""


def cpus(profile: Profile, host: int) -> list[Cluster]:
    """The cluster of each CPU: as many CPUs as the host can give, each cluster keeping its first as long as it can.

    The phone's processes run on the host's CPUs, so a CPU that the host lacks could not be chosen by an affinity.
    """
    wanted = [cluster for cluster in profile.clusters for _ in range(cluster.cores)]
    if len(wanted) <= host:
        return wanted
    if host < len(profile.clusters):
        return (
            [profile.clusters[0], *profile.clusters[len(profile.clusters) - host + 1 :]] if host > 1 else [wanted[-1]]
        )
    counts = [1] * len(profile.clusters)
    while sum(counts) < host:
        index = max(range(len(counts)), key=lambda i: (profile.clusters[i].cores - counts[i], -i))
        counts[index] += 1
    return [cluster for cluster, count in zip(profile.clusters, counts, strict=True) for _ in range(count)]


def fixed(profile: Profile, cores: list[Cluster]) -> dict[str, str]:
    """The files that never change."""
    names: dict[str, str] = {}
    listed = f"0-{len(cores) - 1}" if len(cores) > 1 else "0"
    for name in ("online", "possible", "present"):
        names[f"sys/devices/system/cpu/{name}"] = listed
    for first, members in _policies(cores):
        policy = f"sys/devices/system/cpu/cpufreq/policy{first}"
        cluster = cores[first]
        joined = " ".join(map(str, members))
        names |= {f"{policy}/{name}": joined for name in ("related_cpus", "affected_cpus")}
        names |= {
            f"{policy}/cpuinfo_min_freq": str(cluster.min_khz),
            f"{policy}/cpuinfo_max_freq": str(cluster.max_khz),
            f"{policy}/scaling_min_freq": str(cluster.min_khz),
            f"{policy}/scaling_governor": "sched_pixel"
            if "Google" in profile.props.get("ro.soc.manufacturer", "")
            else "schedutil",
        }
        names |= {f"sys/devices/system/cpu/cpu{n}/cpu_capacity": str(cluster.capacity) for n in members}
    supply = f"sys/class/power_supply/{profile.battery.node}"
    names |= {
        f"{supply}/type": "Battery",
        f"{supply}/present": "1",
        f"{supply}/health": "Good",
        f"{supply}/technology": "Li-ion",
        f"{supply}/charge_full": str(profile.battery.capacity_mah * 1000),
        f"{supply}/cycle_count": "121",
        "sys/class/power_supply/usb/type": "USB",
    }
    for index, zone in enumerate(profile.zones):
        names[f"sys/class/thermal/thermal_zone{index}/type"] = zone.type
    for device in sorted({rail.device for rail in profile.rails}):
        names[f"sys/bus/iio/devices/iio:device{device}/name"] = "s2mpg14-odpm" if device == 0 else "s2mpg15-odpm"
        names[f"sys/bus/iio/devices/iio:device{device}/sampling_rate"] = "125.000000"
    return {path: f"{text}\n" for path, text in names.items()}


def denied(profile: Profile) -> list[str]:
    """Paths in the root that the shell may not read."""
    paths = [".phone/proc/stat"] if profile.stat_denied else []
    paths += [f"sys/class/thermal/thermal_zone{i}/temp" for i, zone in enumerate(profile.zones) if zone.denied]
    if profile.rails_denied:
        paths += [f"sys/bus/iio/devices/iio:device{d}/energy_value" for d in sorted({r.device for r in profile.rails})]
    if profile.cpufreq_denied:
        paths += [f"sys/devices/system/cpu/cpufreq/policy{c}/scaling_cur_freq" for c in range(8)]
    return paths


def _policies(cores: list[Cluster]) -> list[tuple[int, list[int]]]:
    groups: dict[int, list[int]] = {}
    for number, cluster in enumerate(cores):
        groups.setdefault(next(i for i, other in enumerate(cores) if other is cluster), []).append(number)
    return sorted(groups.items())


def battery(profile: Profile, state: State, *, plugged: bool, suspended: bool) -> dict[str, str]:
    """What the gauge says; it updates at its own pace."""
    gauge = profile.battery
    supply = f"sys/class/power_supply/{gauge.node}"
    charging = plugged and not suspended
    full = state.charge >= gauge.capacity_mah
    status = "Full" if charging and full else "Charging" if charging else "Not charging" if plugged else "Discharging"
    if suspended:
        status = "Discharging"
    current = state.current * gauge.discharging * (1000 if gauge.unit == "uA" else 1)
    found = {
        f"{supply}/current_now": str(round(current)),
        f"{supply}/voltage_now": str(round(state.voltage * 1000)),
        f"{supply}/temp": str(round(state.battery * 10)),
        f"{supply}/capacity": str(round(level(profile, state))),
        f"{supply}/status": status,
        "sys/class/power_supply/usb/online": str(int(charging)),
    }
    if gauge.charge_counter:
        found[f"{supply}/charge_counter"] = str(round(state.charge * 1000))
    return found


def moving(profile: Profile, cores: list[Cluster], state: State, uptime: float, used_kib: int) -> dict[str, str]:
    """What moves all the time: frequencies, thermal zones, rails, memory."""
    found: dict[str, str] = {}
    for first, _ in _policies(cores):
        policy, cluster = f"sys/devices/system/cpu/cpufreq/policy{first}", cores[first]
        top = int(cluster.max_khz * state.limit)
        share = min(state.busy / max(len(cores), 1) * 2, 1.0)
        found[f"{policy}/scaling_max_freq"] = str(top)
        found[f"{policy}/scaling_cur_freq"] = str(int(cluster.min_khz + (top - cluster.min_khz) * share))
    for index, zone in enumerate(profile.zones):
        found[f"sys/class/thermal/thermal_zone{index}/temp"] = str(_degrees(zone, state))
    for device in sorted({rail.device for rail in profile.rails}):
        found[f"sys/bus/iio/devices/iio:device{device}/energy_value"] = _rails(profile, state, device, uptime)
    found[".phone/proc/meminfo"] = _meminfo(profile.memory_kib, used_kib)
    return found


def _degrees(zone: Zone, state: State) -> int:
    value = {"soc": state.soc, "skin": state.skin, "battery": state.battery, "ambient": 25.0}[zone.follows]
    return round((value + zone.offset) * zone.per_degree)


def _rails(profile: Profile, state: State, device: int, uptime: float) -> str:
    """As the driver prints: the time in ms, then for each channel that time and the energy in µW·s."""
    ms = round(uptime * 1000)
    lines = [f"t={ms}"]
    ours = [(r, e) for r, e in zip(profile.rails, state.rails, strict=True) if r.device == device]
    lines += [f"CH{number}(T={ms})[{rail.name}], {round(energy)}" for number, (rail, energy) in enumerate(ours)]
    return "\n".join(lines)


def _meminfo(total: int, used: int) -> str:
    system = total * 45 // 100
    available = max(total - system - used, 0)
    rows = {
        "MemTotal": total, "MemFree": available // 4, "MemAvailable": available, "Buffers": 4096,
        "Cached": available // 2, "SwapCached": 0, "Active": system // 2, "Inactive": system // 3,
        "SwapTotal": total // 2, "SwapFree": total // 2 - total // 64, "Dirty": 128, "AnonPages": system // 2 + used,
        "Mapped": system // 4, "Shmem": 8192, "Slab": system // 10, "CmaTotal": 0, "CmaFree": 0,
    }  # fmt: skip
    return "\n".join(f"{name + ':':<15}{value:>9} kB" for name, value in rows.items())


class Ticks:
    """What /proc/stat says of the phone's CPUs since it started, in ticks of 10 ms; all of them share alike."""

    def __init__(self, cpus: int) -> None:
        self._cpus, self._busy, self._idle, self._waited = cpus, 0.0, 0.0, 0.0

    def step(self, seconds: float, busy: float) -> None:
        """Some seconds in which so many CPUs were busy."""
        self._busy += min(busy, self._cpus) * seconds
        self._idle += max(self._cpus - busy, 0.0) * seconds
        self._waited += min(max(busy - self._cpus, 0.0), 1.0) * seconds  # more want a CPU than there are

    def text(self) -> str:
        """As the kernel prints it."""
        each = f"{int(self._busy * 100 / self._cpus)} 0 0 {int(self._idle * 100 / self._cpus)} 0 0 0 0 0 0"
        lines = [f"cpu  {int(self._busy * 100)} 0 0 {int(self._idle * 100)} 0 0 0 0 0 0"]
        return "\n".join(lines + [f"cpu{number} {each}" for number in range(self._cpus)])

    def pressure(self, name: str) -> str:
        """What /proc/pressure says: here nobody ever waits for memory or storage."""
        waited = round(self._waited * 1e6) if name == "cpu" else 0
        averages = "avg10=0.00 avg60=0.00 avg300=0.00"
        return f"some {averages} total={waited}\nfull {averages} total=0"


class Writer:
    """Writes values into the files of a root, in place and only where they changed."""

    def __init__(self, root: Path, denied: Collection[str] = ()) -> None:
        self._root, self._denied = root, denied
        self._open: dict[str, int] = {}
        self._last: dict[str, bytes] = {}

    def write(self, found: Mapping[str, str]) -> None:
        """Write the texts; a file is made where there is none, and never shrinks."""
        for path, text in found.items():
            descriptor = self._descriptor(path)
            before = self._last[path]
            padded = (text.encode() + b"\n").ljust(max(WIDTH, len(before)), b"\n")
            if padded != before:
                os.pwrite(descriptor, padded, 0)
                self._last[path] = padded

    def _descriptor(self, path: str) -> int:
        if path not in self._open:
            full = self._root / path
            full.parent.mkdir(parents=True, exist_ok=True)
            full.touch()
            full.chmod(0o600)
            descriptor = self._open[path] = os.open(full, os.O_RDWR | os.O_CLOEXEC)
            full.chmod(0 if path in self._denied else 0o444)
            self._last[path] = os.pread(descriptor, 1 << 20, 0)
        return self._open[path]

    def close(self) -> None:
        """Let the files go."""
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()
