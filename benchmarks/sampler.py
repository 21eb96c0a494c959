"""What the samplers cost beside a busy process: the local target's (Python) and the runner's (C, of every device).

Usage: python benchmarks/sampler.py [SECONDS [HZ…]]. Writes benchmarks/results/sampler.json. The cost is measured
twice: by the sampler itself (its last line) and from outside (rusage of the process, its start included). The
engine's place is taken by a process that keeps one core busy. `extra` adds made-up sensor files, as a machine with
hwmon, cpufreq and RAPL has them: ten slow ones and two energy counters. The runner reads six files in every row.
Goals: Python at 10 Hz at most 0.5 % of a core; the runner at 10 Hz at most 0.2 %, at 100 Hz at most 2 %, and there
at least 99 rows a second.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from mobench_targets.local import facts
from mobench_targets.local.session import SAMPLER, SLOW_EVERY

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import parity
from mobench_lang.engines.llama_cpp.runner import build

BUSY = "while True: pass"
LIMITS = {("Python", 10): (0.5, 0.0), ("runner", 10): (0.2, 0.0), ("runner", 100): (2.0, 99.0)}
"""Sampler and rows per second -> per cent of a core at most, rows per second at least."""


def extra(folder: Path) -> list[str]:
    """The words of made-up sensors on the sampler's command line."""
    words: list[str] = []
    for number in range(12):
        path = folder / f"sensor{number}"
        path.write_text("45000\n")
        unit = "µJ" if number < 2 else "m°C"
        words += [f"made_up.{number}", unit, "1", str(path)]
    return words


def python_sampler(folder: Path, out: Path, hz: int, sensors: bool) -> list[str]:
    """The command of the local target's sampler."""
    words = extra(folder) if sensors else []
    return [sys.executable, "-I", "-S", str(SAMPLER), str(out), str(hz), str(SLOW_EVERY), *words]


def runner_sampler(program: Path, folder: Path, out: Path, hz: int, sensors: bool) -> list[str]:
    """The command of the runner's sampler: with `sensors`, files of the system and of a made-up rail, all fast."""
    (folder / "rail").write_text("".join(f"CH{n}(T=349894)[RAIL{n}], {n}0203502\n" for n in range(20)))
    files = [("/proc/meminfo", "MemAvailable:"), ("/proc/loadavg", None), ("/proc/vmstat", "\npgfault ")]
    files += [("/proc/uptime", None), ("/proc/pressure/cpu", "total="), (str(folder / "rail"), "[RAIL7],")]
    channels = [
        {"name": f"c{i}", "unit": "1", "path": path, "tier": "fast"} | ({} if after is None else {"after": after})
        for i, (path, after) in enumerate(files)
    ]
    told = {"version": 1, "out": str(out), "hz": hz, "slow_every": 10, "channels": channels if sensors else []}
    (folder / "sample.json").write_text(json.dumps(told))
    return [str(program), "--sample", str(folder / "sample.json")]


def measure(seconds: float, hz: int, sensors: bool, command: Callable[..., list[str]]) -> dict[str, Any]:
    """Run a sampler beside a busy process."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        out = folder / "samples.jsonl"
        argv = command(folder, out, hz, sensors)
        busy = subprocess.Popen([sys.executable, "-c", BUSY])
        sampler = subprocess.Popen(argv, stdin=subprocess.PIPE)
        try:
            assert sampler.stdin is not None
            sampler.stdin.write(f"{busy.pid}\n".encode())
            sampler.stdin.flush()
            time.sleep(seconds)
            sampler.stdin.close()
            _, _, usage = os.wait4(sampler.pid, 0)
            sampler.returncode = 0
        finally:
            busy.kill()
            busy.wait()
        head, *_, tail = (json.loads(line) for line in out.read_text().splitlines())
    total = usage.ru_utime + usage.ru_stime
    return {
        "hz": hz,
        "channels": len(head["channels"]),
        "rows": tail["rows"],
        "rate_hz": round((tail["rows"] - 1) / tail["wall_ns"] * 1e9, 3),
        "core_percent": round(100 * tail["cpu_ns"] / tail["wall_ns"], 4),
        "core_percent_with_start": round(100 * total / seconds, 4),
        "us_per_row": round(tail["cpu_ns"] / tail["rows"] / 1000, 1),
        "start_cpu_ms": round(total * 1000 - tail["cpu_ns"] / 1e6, 2),
    }


def main(arguments: list[str]) -> int:
    """Measure, write, and say whether the limits hold."""
    seconds = float(arguments[0]) if arguments else 20.0
    rates = [int(word) for word in arguments[1:]] or [10, 50, 100]
    runner = build.find("host")
    if runner is None or runner.stale:
        sys.exit("sampler: the runner is not built from these sources: make runners")
    before = parity.busy()
    found = [
        {"sampler": name, "sensors": sensors, **measure(seconds, hz, sensors, command)}
        for hz in rates
        for name, command in (("Python", python_sampler), ("runner", partial(runner_sampler, runner.path)))
        for sensors in (False, True)
    ]
    machine = facts.facts()
    result = {
        "limits": [{"sampler": s, "hz": hz, "core_percent": p, "rate_hz": r} for (s, hz), (p, r) in LIMITS.items()],
        "seconds": seconds,
        "machine": {key: machine[key] for key in ("cpu", "cores", "kernel", "virtualised")}
        | {"load": os.getloadavg()[0], **parity.noise(before)},
        "python": platform.python_version(),
        "results": found,
    }
    path = Path(__file__).parent / "results" / "sampler.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")
    missed = False
    for row in found:
        most, least = LIMITS.get((row["sampler"], row["hz"]), (100.0, 0.0))
        bad = row["core_percent"] > most or row["rate_hz"] < least
        missed = missed or bad
        print(row, f"MISSED: at most {most} %, at least {least} Hz" if bad else "")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
