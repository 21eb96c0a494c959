"""What on this machine stands in the way of numbers that can be trusted and repeated.

In: facts and state of the machine. Out: findings, each with what was found and how to mend it. Guarantee: read only.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from mobench_targets.local import facts

from mobench_lang.plugins import Finding


def findings(where: Path, known: dict[str, Any] | None = None, now: dict[str, Any] | None = None) -> list[Finding]:
    """The findings of this machine; `where` is the folder whose disk will hold runs."""
    known, now = known or facts.facts(), now or facts.state()
    return [
        _virtual(known), _governor(known), _load(known, now), _heat(known), _energy(known), _swap(now), _memory(now),
        _disk(where),
    ]  # fmt: skip


def _virtual(known: dict[str, Any]) -> Finding:
    if known["virtualised"]:
        return Finding(
            "machine", "warn", "a virtual machine", "other guests share its cores; compare within one run only"
        )
    return Finding("machine", "ok", str(known["cpu"] or "unknown CPU"))


def _governor(known: dict[str, Any]) -> Finding:
    governor = known["governor"]
    if governor is None:
        return Finding(
            "clock", "warn", "the kernel shows no CPU frequency governor", "clocks can neither be read nor fixed here"
        )
    if governor != "performance":
        return Finding("clock", "warn", f"governor {governor}", "sudo cpupower frequency-set -g performance")
    return Finding("clock", "ok", "governor performance")


def _load(known: dict[str, Any], now: dict[str, Any]) -> Finding:
    load, cores = now["load_1min"], known["cores"] or 1
    if load is None:
        return Finding("load", "warn", "the load cannot be read")
    if load / cores > 0.3:
        return Finding(
            "load", "warn", f"load {load:.2f} on {cores} cores", "end other programs, or `run { max_load = 0.3 }`"
        )
    return Finding("load", "ok", f"load {load:.2f} on {cores} cores")


def _heat(known: dict[str, Any]) -> Finding:
    sensors = known["temperature_sensors"]
    if not sensors:
        return Finding("temperature", "warn", "no readable sensor", "soc_temp stays empty and `thermal` cannot wait")
    return Finding("temperature", "ok", ", ".join(sensors))


def _energy(known: dict[str, Any]) -> Finding:
    if known["rapl"] == "readable":
        return Finding("energy", "ok", ", ".join(known["energy_counters"]))
    help_ = "sudo chmod a+r /sys/class/powercap/*/energy_uj" if known["rapl"] != "absent" else "energy stays empty"
    return Finding("energy", "warn", f"RAPL {known['rapl']}", help_)


def _swap(now: dict[str, Any]) -> Finding:
    if now["swap_used"] > 64 << 20:
        return Finding("swap", "warn", f"{now['swap_used'] >> 20} MiB in use", "free memory, then swapoff and swapon")
    return Finding("swap", "ok", "not in use")


def _memory(now: dict[str, Any]) -> Finding:
    free = now["memory_available"]
    return Finding("memory", "ok", "unknown" if free is None else f"{free / 2**30:.1f} GiB available")


def _disk(where: Path) -> Finding:
    free = shutil.disk_usage(where).free
    if free < 2 << 30:
        return Finding("disk", "bad", f"{free >> 20} MiB free", "runs and derived weights need room")
    return Finding("disk", "ok", f"{free >> 30} GiB free")
