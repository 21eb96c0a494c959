"""What the local target's sampler costs beside a busy process: share of a core at 10 Hz (limit 0.5 %).

Usage: python benchmarks/sampler.py [SECONDS [HZ…]]. Writes benchmarks/results/sampler.json. The cost is measured
twice: by the sampler itself (its last line) and from outside (rusage of the process, its start included). The
engine's place is taken by a process that keeps one core busy. `extra` adds made-up sensor files, as a machine with
hwmon, cpufreq and RAPL has them: ten slow ones and two energy counters.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from mobench_targets.local import facts
from mobench_targets.local.session import SAMPLER, SLOW_EVERY

BUSY = "while True: pass"


def extra(folder: Path) -> list[str]:
    """The words of made-up sensors on the sampler's command line."""
    words: list[str] = []
    for number in range(12):
        path = folder / f"sensor{number}"
        path.write_text("45000\n")
        unit = "µJ" if number < 2 else "m°C"
        words += [f"made_up.{number}", unit, "1", str(path)]
    return words


def measure(seconds: float, hz: int, sensors: bool) -> dict[str, Any]:
    """Run the sampler beside a busy process."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        out = folder / "samples.jsonl"
        words = extra(folder) if sensors else []
        argv = [sys.executable, "-I", "-S", str(SAMPLER), str(out), str(hz), str(SLOW_EVERY), *words]
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
    """Measure, write, and say whether the limit holds."""
    seconds = float(arguments[0]) if arguments else 20.0
    rates = [int(word) for word in arguments[1:]] or [10, 50]
    found = [{"sensors": sensors, **measure(seconds, hz, sensors)} for hz in rates for sensors in (False, True)]
    machine = facts.facts()
    result = {
        "limit": {"hz": 10, "core_percent": 0.5},
        "seconds": seconds,
        "machine": {key: machine[key] for key in ("cpu", "cores", "kernel", "virtualised")},
        "python": platform.python_version(),
        "results": found,
    }
    path = Path(__file__).parent / "results" / "sampler.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")
    for row in found:
        print(row)
    worst = max(row["core_percent"] for row in found if row["hz"] == 10)
    print(f"worst at 10 Hz: {worst} % of a core (limit 0.5 %)")
    return 0 if worst <= 0.5 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
