"""What the compiler costs: expansion, compilation, checking and formatting, beside jsonnet and python-hcl2.

In: nothing; `make bench` puts the peers (jsonnet, python-hcl2) into `.bench-peers`, and they are named where they are
missing. Out: a
table on stdout and `benchmarks/results/language.json`. Each figure is the median of interleaved rounds in fresh
processes; memory is the peak of that process. Repeat with: python benchmarks/language.py
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
PEERS = HERE.parent / ".bench-peers"
SWEEP = HERE.parent / "specs" / "examples" / "sweep.bench"
ROUNDS = 5

MATRIX = """mobench 1

use "std/models" {{ tiny }}

bench grow {{
  model    = tiny
  engine   = llama_cpp
  device   = local
  matrix {{
    prompt   in 1..{a}
    output   in 1..{b}
    threads  in 1..10
    batch    in 1..10
    workload in [generate(prompt = prompt, output = output)]
    exclude where threads > 4 and batch == 1
  }}
}}
"""

JSONNET = """[
  {{ prompt: p, output: o, threads: t, batch: b }}
  for p in std.range(1, {a}) for o in std.range(1, {b}) for t in std.range(1, 10) for b in std.range(1, 10)
  if !(t > 4 && b == 1)
]
"""


def spec_of(lines: int) -> str:
    """A spec of about so many lines: declarations, lists, comments, and a bench that uses them."""
    parts = ["mobench 1", "", 'use "std/models" { tiny }', ""]
    count = (lines - 24) // 8
    for i in range(count):
        parts += [
            f"# workload number {i}",
            f"workload w{i} {{",
            f"  prompt = {i % 500 + 1}",
            f"  output = {i % 200 + 1}                   # tokens",
            "}",
            "",
            f"let n{i} = [x * 2 for x in [1, 2, {i}] where x != {i % 7 + 100}]",
            "",
        ]
    shown = ", ".join(f"w{i}" for i in range(0, count, 10))
    parts += ["bench big {", "  model = tiny", "  engine = llama_cpp", "  device = local", "  matrix {"]
    parts += [f"    workload in [{shown}]", "  }", "  expect median(decode_rate) > 1tok/s per workload", "}", ""]
    return "\n".join(parts)


def hcl_of(lines: int) -> str:
    """Equivalent text in HCL."""
    parts = []
    for i in range((lines - 24) // 8):
        parts += [
            f"# workload number {i}",
            f'workload "w{i}" {{',
            f"  prompt = {i % 500 + 1}",
            f"  output = {i % 200 + 1}                   # tokens",
            "}",
            "",
            "locals {",
            f"  n{i} = [for x in [1, 2, {i}] : x * 2 if x != {i % 7 + 100}]",
            "}",
            "",
        ]
    return "\n".join(parts) + "\n"


# ---------------------------------------------------------------- what is measured; each runs in a process of its own


def expand(path: str) -> int:
    """Walk every cell of a spec; how many there are."""
    from mobench_lang.check import check_source
    from mobench_lang.matrix import expand as cells
    from mobench_lang.syntax import read

    source = read(Path(path))
    assert not isinstance(source, tuple)
    bench = check_source(source).bench
    assert bench is not None
    start = time.perf_counter()
    count = sum(1 for _ in cells(bench))
    print(json.dumps({"inner_s": time.perf_counter() - start}), file=sys.stderr)
    return count


def compiled(path: str) -> int:
    """Compile a spec as the command does; bytes on disk."""
    from mobench_lang.check import check_source
    from mobench_lang.plan.compile import compile_bench
    from mobench_lang.syntax import read

    source = read(Path(path))
    assert not isinstance(source, tuple)
    checked = check_source(source)
    assert checked.bench is not None
    with tempfile.TemporaryDirectory() as scratch:
        compile_bench(checked.bench, Path(scratch) / "build", checked.folders)
        return sum(f.stat().st_size for f in (Path(scratch) / "build").iterdir())


def checked(path: str) -> int:
    """Check a spec; its number of lines."""
    from mobench_lang.check import check_source
    from mobench_lang.syntax import read

    source = read(Path(path))
    assert not isinstance(source, tuple)
    assert not [d for d in check_source(source).diagnostics if d.is_error]
    return source.line_count


def formatted(path: str) -> int:
    """Format a text; its size."""
    from mobench_lang.syntax import read
    from mobench_lang.syntax.format import format_source

    source = read(Path(path))
    assert not isinstance(source, tuple)
    format_source(source)
    start = time.perf_counter()
    format_source(source)
    print(json.dumps({"inner_s": time.perf_counter() - start}), file=sys.stderr)
    return len(source.text.encode())


def jsonnet(path: str) -> int:
    """The same product in jsonnet; the size of its output."""
    sys.path.insert(0, str(PEERS))
    import _jsonnet

    return len(_jsonnet.evaluate_file(path))


def hcl2(path: str) -> int:
    """Parse equivalent text with python-hcl2; its size."""
    sys.path.insert(0, str(PEERS))
    import hcl2 as parser

    text = Path(path).read_text("utf-8")
    parser.loads(text)
    start = time.perf_counter()
    parser.loads(text)
    print(json.dumps({"inner_s": time.perf_counter() - start}), file=sys.stderr)
    return len(text.encode())


TASKS: dict[str, Callable[[str], int]] = {f.__name__: f for f in (expand, compiled, checked, formatted, jsonnet, hcl2)}


def child(task: str, path: str) -> None:
    """Run one task and say what it took."""
    start = time.perf_counter()
    result = TASKS[task](path)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": time.perf_counter() - start, "peak_bytes": peak, "result": result}))


def measured(task: str, path: Path) -> dict[str, float]:
    """One task in a fresh process."""
    made = subprocess.run(
        [sys.executable, __file__, "--child", task, str(path)], check=True, capture_output=True, text=True
    )
    found: dict[str, float] = json.loads(made.stdout)
    for line in made.stderr.splitlines():
        if line.startswith("{"):
            found.update(json.loads(line))
    return found


def main() -> None:
    """Every task in interleaved rounds."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        jobs: dict[str, tuple[str, Path]] = {
            "expand sweep.bench": ("expand", SWEEP),
            "compile sweep.bench": ("compiled", SWEEP),
        }
        for name, a, b in (("10 k", 10, 10), ("100 k", 25, 40), ("1 M", 100, 100)):
            spec, other = folder / f"grow-{a}-{b}.bench", folder / f"grow-{a}-{b}.jsonnet"
            spec.write_text(MATRIX.format(a=a, b=b))
            other.write_text(JSONNET.format(a=a, b=b))
            jobs[f"expand {name} cells"] = ("expand", spec)
            jobs[f"compile {name} cells"] = ("compiled", spec)
            if list(PEERS.glob("_jsonnet*")) and a * b < 10_000:
                jobs[f"jsonnet {name} cells"] = ("jsonnet", other)
        (folder / "long.bench").write_text(spec_of(2000))
        (folder / "long.hcl").write_text(hcl_of(2000))
        jobs["check 2,000 lines"] = ("checked", folder / "long.bench")
        jobs["fmt 2,000 lines"] = ("formatted", folder / "long.bench")
        if (PEERS / "hcl2").is_dir():
            jobs["python-hcl2 2,000 lines"] = ("hcl2", folder / "long.hcl")
        rounds: dict[str, list[dict[str, float]]] = {name: [] for name in jobs}
        for _ in range(ROUNDS):
            for name, (task, path) in jobs.items():
                rounds[name].append(measured(task, path))
    found = {name: {k: statistics.median(r[k] for r in rows) for k in rows[0]} for name, rows in rounds.items()}
    for name, row in found.items():
        seconds = row.get("inner_s", row["seconds"])
        rate = row["result"] / seconds
        kind = "cells/s" if name.startswith("expand") else "bytes/s" if name.startswith(("fmt", "python")) else ""
        speed = f"{rate:>13,.0f} {kind}" if kind else ""
        print(f"{name:<26} {seconds:8.3f} s  {row['peak_bytes'] / 1e6:7.1f} MB  result {row['result']:>12,.0f} {speed}")
    missing = [p for p, there in (("jsonnet", "_jsonnet*"), ("python-hcl2", "hcl2")) if not list(PEERS.glob(there))]
    if missing:
        print(f"not compared: {', '.join(missing)} not in {PEERS.name} (make bench installs them)")
    (HERE / "results").mkdir(exist_ok=True)
    result = {"rounds": ROUNDS, "tasks": found, "not_compared": missing}
    (HERE / "results" / "language.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], sys.argv[3])
    else:
        main()
