"""What it costs to start mobench, beside a bare `python -c pass`, interleaved in one run.

In: nothing. Out: a table on stdout and `benchmarks/results/startup.json`: medians of the wall time of whole
processes in ms and of their difference to the bare interpreter, and the load of the machine. Everything is warm: files
in memory, the tables of the grammar in their cache, and byte code beside the modules, as any installation has it (a
checkout has it from its first run on, unless `PYTHONDONTWRITEBYTECODE` forbids that: here it does not). Repeat with:
python benchmarks/startup.py
"""

from __future__ import annotations

import json
import os
import platform
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROUNDS = 25
SPEC = HERE.parent / "specs" / "examples" / "quickstart.bench"
MAIN = [sys.executable, "-m", "mobench_lang.cli.main"]
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "mobench --help": [*MAIN, "--help"],
    "mobench check quickstart.bench": [*MAIN, "check", str(SPEC)],
}
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
GOALS = {"mobench --help": 100, "mobench check quickstart.bench": 150}


def once(command: list[str]) -> float:
    """The wall time of one process, in ms."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=ENVIRONMENT)
    return (time.perf_counter() - start) * 1e3


def main() -> None:
    """Measure every command once per round, in random order."""
    load = os.getloadavg()[0]
    for command in COMMANDS.values():
        once(command)  # warm: page cache, byte code, grammar tables
    order = random.Random(1)
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name in order.sample(list(COMMANDS), len(COMMANDS)):
            times[name].append(once(COMMANDS[name]))
    bare = times["python -c pass"]
    found = {}
    for name, values in times.items():
        above = statistics.median(v - b for v, b in zip(values, bare, strict=True))
        found[name] = {"median_ms": round(statistics.median(values), 1), "above_bare_ms": round(above, 1)}
        goal = f"  (goal: {GOALS[name]} ms above)" if name in GOALS else ""
        print(f"{name:<34} {found[name]['median_ms']:>7} ms  {found[name]['above_bare_ms']:>+7} ms{goal}")
    result = {"rounds": ROUNDS, "load_1min": round(load, 2), "python": platform.python_version(), "commands": found}
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / "startup.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
