"""Parity with llama.cpp's own tool: the same work, model, threads and shared objects under two loops.

Usage: python benchmarks/parity.py [--pairs 60] [--threads 1] [--seed 1]. Writes benchmarks/results/parity.json.

A pair is one launch of `llama-bench` and one of mobench's worker, in random order, each a fresh process with one
whole unmeasured repetition first (`llama-bench -r 2`, of which the second counts; warm-up 1). The figure is the
median over pairs of ln(mobench / llama-bench) of tokens per second, with its exact 90 % interval from order
statistics. Goal: within ±3 %. Beside it: the CPU time that mobench's loop adds per token, measured with the library's
work left out (goal: at most 50 µs), and how noisy the machine was.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from math import comb, exp, log
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.peers import llama_bench  # noqa: E402
from mobench_lang.engines.llama_cpp import engine, gguf_file  # noqa: E402
from mobench_lang.ir import Entity  # noqa: E402
from tests.support.gguf_maker import LARGE, make  # noqa: E402

TESTS = {"prefill": (512, 0), "decode": (0, 128)}
GOAL, GOAL_NS = 0.03, 50_000
RESULT = ROOT / "benchmarks" / "results" / "parity.json"


def main() -> int:
    """Measure, write the result, and say whether the goals are met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=60)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    try:
        binary = llama_bench.program()
    except llama_bench.CannotBuildError as error:
        sys.stderr.write(f"parity: left out: {error}\n")
        return 0
    with tempfile.TemporaryDirectory() as name:
        model = make(Path(name) / "model.gguf", LARGE, quant="Q8_0")
        before = busy()
        rows = pairs(binary, model, given.pairs, given.threads, random.Random(given.seed))
        overhead = added_per_token(model)
        result = {
            "benchmark": "parity",
            "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "machine": {
                "cpu": cpu_name(),
                "cores": os.cpu_count(),
                "kernel": platform.release(),
                "nice": os.nice(0),
                **noise(before),
            },
            "build": engine.build("host"),
            "llama_bench_runs_on": "the installed package"
            if "llama_cpp/lib" in llama_bench.loaded_from(binary)
            else "its own",
            "model": {"parameters": gguf_file.read(model).parameters, "quant": "Q8_0", "random_weights": True},
            "threads": given.threads,
            "goal": {"ratio": f"within ±{GOAL:.0%}", "added_ns_per_token": GOAL_NS},
            "tests": {test: summary([r for r in rows if r["test"] == test]) for test in TESTS},
            "loop": overhead,
            "pairs": rows,
        }
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for test, found in result["tests"].items():
        print(f"{test:8} ratio {found['ratio']:.4f}  90 % {found['low']:.4f} to {found['high']:.4f}  n={found['n']}")
    print(f"loop     {overhead['random_ns']} ns per token (random tokens), {overhead['text_ns']} ns (text)")
    good = all(f["low"] >= 1 - GOAL and f["high"] <= 1 + GOAL for f in result["tests"].values())
    return 0 if good and max(overhead["random_ns"], overhead["text_ns"]) <= GOAL_NS else 1


# ---------------------------------------------------------------- pairs


def pairs(binary: Path, model: Path, count: int, threads: int, rng: random.Random) -> list[dict[str, Any]]:
    """Measure all pairs: tests alternate, the order inside a pair and the pages that a process gets are random."""
    rows = []
    pages = Pages(rng)
    for number in range(count):
        for test, (prompt, output) in TESTS.items():
            tools = ["llama-bench", "mobench"]
            rng.shuffle(tools)
            rates = {}
            for tool in tools:
                pages.shuffle()
                if tool == "mobench":
                    ns = worker(model, prompt, output, threads)
                else:
                    ns = llama_bench.samples(binary, model, prompt=prompt, output=output, threads=threads, repeats=2)[
                        -1
                    ]
                rates[tool] = (prompt + output) * 1e9 / ns
            rows.append({"pair": number, "test": test, "first": tools[0], **{k: round(v, 3) for k, v in rates.items()}})
    return rows


LLAMA_CPP = Entity(kind="engine", name="llama_cpp", base="llama_cpp", pack="llama_cpp")


def worker(model: Path, prompt: int, output: int, threads: int) -> int:
    """One launch of mobench's worker: ns from the first call into the library to the last token."""
    with tempfile.TemporaryDirectory() as name:
        job, events = Path(name) / "job.json", Path(name) / "events.jsonl"
        job.write_text(
            json.dumps(
                {
                    "version": 1, "job_id": "parity", "model": {"path": str(model)},
                    "engine": {"name": "llama_cpp", "threads": threads}, "warmup": 1, "measured": 1,
                    "workload": {"prompt_tokens": prompt, "output_tokens": output},
                }
            )
        )  # fmt: skip
        files = {"{job}": str(job), "{events}": str(events)}
        argv = [files.get(word, word) for word in engine.launch("host", LLAMA_CPP).argv]
        path = os.pathsep.join(p for p in (str(ROOT), os.environ.get("PYTHONPATH")) if p)
        subprocess.run(argv, check=True, capture_output=True, timeout=600, env=os.environ | {"PYTHONPATH": path})
        requests = [e for e in map(json.loads, events.read_text().splitlines()) if e["e"] == "request"]
    last = requests[-1]
    return int((last["stamps"][-1] if output else last["prefill_end"]) - last["prefill_start"])


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Median ratio with its exact 90 % interval, and the scatter of each tool by itself."""
    logs = sorted(log(r["mobench"] / r["llama-bench"]) for r in rows)
    low, high, covered = interval(logs)
    scatter = {}
    for tool in ("llama-bench", "mobench"):
        rates = [r[tool] for r in rows]
        middle = median(rates)
        scatter[tool] = {
            "median_tok_s": round(middle, 3),
            "mad_percent": round(100 * median(abs(r / middle - 1) for r in rates), 3),
        }
    return {
        "n": len(rows), "ratio": round(exp(median(logs)), 5), "low": round(exp(low), 5), "high": round(exp(high), 5),
        "coverage": round(covered, 4), **scatter,
    }  # fmt: skip


def interval(values: Sequence[float], level: float = 0.9) -> tuple[float, float, float]:
    """The narrowest symmetric order-statistic interval of the median with at least `level` coverage, and its
    coverage."""
    n = len(values)
    tail = 0.0
    rank = 0
    while rank < n // 2:
        more = tail + comb(n, rank) / 2**n
        if 1 - 2 * more < level:
            break
        tail = more
        rank += 1
    rank = max(rank, 1)
    covered = 1 - 2 * sum(comb(n, k) for k in range(rank)) / 2**n
    return values[rank - 1], values[n - rank], covered


class Pages:
    """Shuffles the pages that the next process gets.

    A processor's caches go by physical addresses, and a kernel hands the pages of an ended process to the next one:
    without this, a tool may have good or bad luck with its pages all along a comparison. Half of a region's pages are
    given back in random order, so that a process that needs less than that gets scattered ones.
    """

    def __init__(self, rng: random.Random, pages: int = 1 << 17) -> None:
        self._rng, self._all = rng, range(pages)
        self._region = mmap.mmap(-1, pages * mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._free = list(self._all)

    def shuffle(self) -> None:
        """Give other pages back than the last time; 0.2 s."""
        for page in self._free:
            self._region[page * mmap.PAGESIZE] = 1
        self._free = self._rng.sample(self._all, len(self._all) // 2)
        for page in self._free:
            self._region.madvise(mmap.MADV_DONTNEED, page * mmap.PAGESIZE, mmap.PAGESIZE)


# ---------------------------------------------------------------- the loop by itself


def added_per_token(model: Path) -> dict[str, Any]:
    """CPU time per token of the loop itself: `llama_decode`, `llama_synchronize` and the sampler replaced by a
    function of the same library that does nothing, called the same way (through ctypes, with the same arguments)."""
    import ctypes

    from mobench_lang.engines.llama_cpp.binding import Context, Model, api
    from mobench_lang.engines.llama_cpp.loop import Loop
    from mobench_lang.engines.llama_cpp.memory import Marks
    from mobench_lang.protocol import JobEngine

    quiet = os.dup(2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    try:
        settings = JobEngine(name="llama_cpp", threads=1)
        loaded = Model(str(model), settings)
        context = Context(loaded, settings, n_ctx=256, threads=1, threads_batch=1)
    finally:
        os.dup2(quiet, 2)
    lib, count = api(), 20_000
    loop = Loop(context, count, Marks())
    # Reads one field, which is 0 for a language model.
    idle = ctypes.cast(lib._lib.llama_pooling_type, ctypes.c_void_p).value or 0
    nothing = {
        name: ctypes.CFUNCTYPE(ctypes.c_int32, *getattr(lib, name).argtypes)(idle)
        for name in ("llama_decode", "llama_synchronize")
    }
    assert nothing["llama_decode"](context.handle, lib.llama_batch_get_one(loop._cell, 1)) == 0
    loop._decode, loop._sync = nothing["llama_decode"], nothing["llama_synchronize"]
    sampled = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32)
    inert = sampled(idle)
    # There is no chain here; the context stands in for it.
    loop._sample = lambda _chain, handle, _index: inert(handle, handle, -1)
    found: dict[str, list[int]] = {"random_ns": [], "text_ns": []}
    for _ in range(9):
        outputs = [1] * count
        start = time.process_time_ns()
        loop.drawn([1], outputs, None)
        found["random_ns"].append((time.process_time_ns() - start) // count)
        start = time.process_time_ns()
        loop.sampled([1], count, None, frozenset({2}))
        found["text_ns"].append((time.process_time_ns() - start) // count)
    return {name: int(median(values)) for name, values in found.items()} | {"tokens": count, "repetitions": 9}


# ---------------------------------------------------------------- the machine


def cpu_name() -> str:
    """The processor's name."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def busy() -> tuple[float, float, float]:
    """CPU seconds of the machine that were not idle, those of this process and its ended children, and the time."""
    fields = [int(f) for f in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    times = os.times()
    return (sum(fields[:8]) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK"), sum(times[:4]), time.monotonic()


def noise(before: tuple[float, float, float]) -> dict[str, Any]:
    """How many cores others kept busy since `before`, on average."""
    after = busy()
    all_, own, passed = (b - a for a, b in zip(before, after, strict=True))
    return {"others_busy_cores": round(max(all_ - own, 0) / passed, 3), "seconds": round(passed, 1)}


if __name__ == "__main__":
    sys.exit(main())
