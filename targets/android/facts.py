"""What a phone is: one script for its shell, and what its answer means.

In: the text that `SCRIPT` printed on the phone. Out: `Phone`: facts, sensors that can be read, those that are denied.
Guarantee: what cannot be read is None or `denied`, never a guess; all arithmetic is done here, since a phone's shell
counts with 32 bits.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any

BAR = "@@mobench@@"

SCRIPT = f"""
bar() {{ print -r -- '{BAR}'; }}
one() {{ read -r REPLY <"$1" || [ -n "$REPLY" ]; }}
getprop; bar
cat /proc/cpuinfo; bar
cat /proc/meminfo; bar
uname -r; bar
for p in /sys/devices/system/cpu/cpufreq/policy*; do
  [ -e "$p/related_cpus" ] || continue
  print -r -- "$(cat $p/related_cpus) : $(cat $p/cpuinfo_max_freq 2>/dev/null) : $p"
done; bar
while read -r line; do
  case $line in Cpus_allowed_list:*) print -r -- "${{line#*:}}" ;; esac
done </proc/self/status; bar
for z in /sys/class/thermal/thermal_zone*; do
  [ -e "$z/type" ] || continue
  type=; value=denied
  {{ one $z/type && type=$REPLY; }} 2>/dev/null
  {{ one $z/temp && value=$REPLY; }} 2>/dev/null
  print -r -- "$z $value $type"
done; bar
for s in /sys/class/power_supply/*; do
  type=
  {{ one $s/type && type=$REPLY; }} 2>/dev/null
  for f in current_now voltage_now charge_counter temp capacity status online; do
    [ -e "$s/$f" ] || continue
    value=denied
    {{ one $s/$f && value=$REPLY; }} 2>/dev/null
    print -r -- "$s $type $f $value"
  done
done; bar
for r in /sys/bus/iio/devices/iio:device*; do
  [ -e "$r/energy_value" ] || continue
  print -r -- "rail $r"
  cat $r/energy_value 2>/dev/null || print denied
done; bar
df -k /data/local/tmp | tail -n 1; bar
id -u; bar
getconf PAGESIZE 2>/dev/null; bar
for f in cpu memory io; do
  [ -e /proc/pressure/$f ] || continue
  value=denied
  {{ one /proc/pressure/$f && value=${{REPLY%% *}}; }} 2>/dev/null
  print -r -- "$f $value"
done; bar
"""

PROPS = {
    "manufacturer": ("ro.product.manufacturer",),
    "model": ("ro.product.model",),
    "soc": ("ro.soc.model", "ro.board.platform", "ro.hardware"),
    "release": ("ro.build.version.release",),
    "api": ("ro.build.version.sdk",),
    "security_patch": ("ro.build.version.security_patch",),
    "fingerprint": ("ro.build.fingerprint",),
    "build_type": ("ro.build.type",),
    "abis": ("ro.product.cpu.abilist", "ro.product.cpu.abi"),
}

# Types of zones that are the processor's, best first; vendors name them as they like.
_SOC = (r"soc.*", r"ap", r"big", r"cpu.*big.*", r"cpuss.*", r"cpu-?\d.*", r"cpu.*", r"tsens_tz_sensor\d+", r"mtktscpu")


@dataclass(frozen=True, slots=True)
class Zone:
    """A thermal zone: its file, the vendor's name, and what makes m°C of its number; None where it cannot be read."""

    path: str
    type: str
    scale: int | None


@dataclass(frozen=True, slots=True)
class Rail:
    """A power rail of the ODPM: the file and the text after which its energy in µJ stands."""

    path: str
    name: str
    after: str


@dataclass(frozen=True, slots=True)
class Phone:
    """What the script found. `supply` is the folder of the battery's gauge, `gauge` its readable values by file,
    `pressure` the resources for which the kernel tells how long somebody waited (PSI)."""

    facts: dict[str, Any]
    zones: tuple[Zone, ...]
    rails: tuple[Rail, ...]
    supply: str | None
    gauge: dict[str, str]
    policies: tuple[str, ...]
    pressure: tuple[str, ...]
    denied: tuple[str, ...]

    @property
    def soc_zone(self) -> Zone | None:
        """The default temperature sensor."""
        for pattern in _SOC:
            for zone in self.zones:
                if zone.scale is not None and re.fullmatch(pattern, zone.type.lower()):
                    return zone
        return None


def parse(text: str) -> Phone:
    """What the answer means. Raises ValueError for a torn one."""
    parts = [part.strip("\n") for part in text.replace("\r\n", "\n").split(f"{BAR}\n")]
    if len(parts) != 14:
        raise ValueError(f"the phone's answer has {len(parts)} parts instead of 14")
    props = dict(re.findall(r"(?m)^\[([^\]]+)\]: \[(.*)\]$", parts[0]))
    zones = tuple(_zones(parts[6]))
    supply, gauge, denied = _gauge(parts[7])
    rails, rails_denied = _rails(parts[8])
    clusters, speeds, policies = _clusters(parts[4], parts[5])
    named = {key: next((props[p] for p in names if props.get(p)), None) for key, names in PROPS.items()}
    api = str(named["api"] or "")
    facts: dict[str, Any] = {
        "identity": _identity(props),
        "cpu": named["soc"],
        "cores": sum(len(c) for c in clusters),
        "clusters": clusters,
        "max_freq_hz": speeds,
        "ram_bytes": _kib(parts[2], "MemTotal"),
        "os": f"Android {named['release']}",
        "kernel": parts[3] or None,
        "simulated": props.get("ro.mobench.simulated") == "1",
        **{key: named[key] for key in ("manufacturer", "model", "security_patch", "fingerprint", "build_type", "abis")},
        "api": int(api) if api.isdigit() else None,
        "root": parts[10] == "0",
        "page_size": int(parts[11]) if parts[11].isdigit() else None,
        "free_kib": _free(parts[9]),
        "platform": platform(parts[1], str(named["abis"] or "")),
        "temperature_sensors": [zone.type for zone in zones if zone.scale is not None],
        "energy_counters": [rail.name for rail in rails],
    }
    pressure = dict(line.split(" ", 1) for line in parts[12].splitlines() if " " in line)
    hidden = [zone.type for zone in zones if zone.scale is None] + denied + (["power rails"] if rails_denied else [])
    hidden += [f"pressure {name}" for name, said in pressure.items() if said == "denied"]
    facts["denied"] = hidden
    readable = tuple(name for name, said in pressure.items() if said == "some")
    return Phone(facts, zones, tuple(rails), supply, gauge, tuple(policies), readable, tuple(hidden))


def platform(cpuinfo: str, abis: str) -> str:
    """What engines call the phone. Raises ValueError for a processor that nothing is built for."""
    if abis and "arm64-v8a" not in abis.split(","):
        raise ValueError(f"the phone runs {abis}; the measuring runner needs arm64-v8a")
    words = {word for line in re.findall(r"(?m)^Features\s*:\s*(.*)$", cpuinfo) for word in line.split()}
    return "android-arm64+dotprod" if {"asimddp", "asimdhp"} <= words else "android-arm64"


def _identity(props: dict[str, str]) -> str:
    """A name of the physical phone that says nothing about it; a factory reset keeps it."""
    serial = props.get("ro.serialno") or props.get("ro.boot.serialno") or ""
    text = "\n".join((serial, props.get("ro.product.manufacturer", ""), props.get("ro.product.model", "")))
    return "android-" + hashlib.sha256(text.encode()).hexdigest()[:16]


def _kib(meminfo: str, key: str) -> int | None:
    found = re.search(rf"(?m)^{key}:\s+(\d+) kB", meminfo)
    return int(found[1]) * 1024 if found else None


def _free(line: str) -> int | None:
    words = line.split()
    at = next((i for i, word in enumerate(words) if word.endswith("%")), 0)
    return int(words[at - 1]) if at and words[at - 1].isdigit() else None


def cpu_list(text: str) -> set[int]:
    """`0-3,7` as numbers."""
    found: set[int] = set()
    for part in text.replace(" ", ",").split(","):
        first, dash, last = part.strip().partition("-")
        if first.isdigit() and (not dash or last.isdigit()):
            found.update(range(int(first), int(last if dash else first) + 1))
    return found


def _clusters(policies: str, allowed: str) -> tuple[list[list[int]], list[int | None], list[str]]:
    """The CPUs that the shell may use, by falling maximum frequency, those frequencies in Hz, and the policies."""
    usable = cpu_list(allowed)
    groups: list[tuple[int, list[int], str]] = []
    for line in policies.splitlines():
        cpus, _, rest = line.partition(" : ")
        khz, _, path = rest.partition(" : ")
        members = sorted(cpu_list(cpus) & usable) if usable else sorted(cpu_list(cpus))
        if members:
            groups.append((int(khz) * 1000 if khz.strip().isdigit() else 0, members, path.strip()))
    if not groups and usable:
        return [sorted(usable)], [None], []
    groups.sort(key=lambda g: (-g[0], g[1]))
    return [g[1] for g in groups], [g[0] or None for g in groups], [g[2] for g in groups]


def _zones(text: str) -> list[Zone]:
    found = []
    for line in text.splitlines():
        path, _, rest = line.partition(" ")
        value, _, kind = rest.partition(" ")
        if kind:
            found.append(Zone(path, kind, heat_scale(value)))
    return found


def heat_scale(value: str) -> int | None:
    """What makes m°C of a zone's number: most vendors give m°C, some °C or tenths; None where it is no temperature."""
    try:
        number = abs(int(value))
    except ValueError:
        return None
    for least, most, scale in ((1, 130, 1000), (131, 1300, 100), (5_000, 130_000, 1)):
        if least <= number <= most:
            return scale
    return None  # 0 and absurd numbers: a sensor that is not there


def _gauge(text: str) -> tuple[str | None, dict[str, str], list[str]]:
    """The battery's gauge: of several the one named `battery`, else the first that tells a current."""
    supplies: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        words = line.split(" ", 3)
        if len(words) == 4 and words[1] == "Battery":
            supplies.setdefault(words[0], {})[words[2]] = words[3]
    ranked = sorted(supplies, key=lambda s: (not s.endswith("/battery"), "current_now" not in supplies[s], s))
    if not ranked:
        return None, {}, []
    values = supplies[ranked[0]]
    denied = [f"battery {name}" for name, value in values.items() if value == "denied"]
    return ranked[0], {name: value for name, value in values.items() if value != "denied"}, denied


def _rails(text: str) -> tuple[list[Rail], bool]:
    """The rails of `CH3(T=349894)[S2M_VDD_CPUCL2], 30203502` lines, and whether there are some that are denied."""
    found: list[Rail] = []
    path, denied = "", False
    for line in text.splitlines():
        if line.startswith("rail "):
            path = line.removeprefix("rail ") + "/energy_value"
        elif line == "denied":
            denied = True
        elif (row := re.search(r"\[([^\]]+)\], *\d+", line)) is not None:
            found.append(Rail(path, row[1], f"[{row[1]}],"))
    return found, denied
