"""The runner beside llama.cpp's own tool and beside the worker: the same work, model, threads and objects of llama.cpp.

Usage: python benchmarks/runner.py [--pairs 40] [--threads 1] [--seed 1]. Writes benchmarks/results/runner.json.

Against `llama-bench` it is the programs that `mobench runner build host` makes, both linked from one tree of objects;
against the worker the runner is linked with the shared objects that the worker loads. A round is one launch of each, in
random order inside a pair, as in parity.py. The figures are the medians over rounds of ln(runner / other) of tokens per
second with exact 90 % intervals. Goal: within ±3 %. Beside it: the time that the
runner's loop adds per token, measured with `llama_decode`, `llama_synchronize` and the sampler replaced by functions
that do nothing (goal: at most 5 µs; with one thread that computes nothing, time is CPU time).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import parity  # noqa: E402
from benchmarks.peers import llama_bench  # noqa: E402
from mobench_lang.engines.llama_cpp import engine, gguf_file  # noqa: E402
from mobench_lang.engines.llama_cpp.runner.build import STOCK, find  # noqa: E402
from tests.support.gguf_maker import LARGE, TINY, make  # noqa: E402
from tests.support.runner_program import compile_runner  # noqa: E402

GOAL_NS = 5_000
RESULT = ROOT / "benchmarks" / "results" / "runner.json"
INERT = """
#include "llama.h"
int32_t llama_decode(struct llama_context *c, struct llama_batch b) { (void)c; (void)b; return 0; }
void llama_synchronize(struct llama_context *c) { (void)c; }
llama_token llama_sampler_sample(struct llama_sampler *s, struct llama_context *c, int32_t i) {
    (void)s; (void)c; (void)i;
    return 5;
}
"""


def main() -> int:
    """Measure, write the result, and say whether the goals are met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    bench, static = find("host", STOCK), find("host")
    if bench is None or static is None or bench.stale or static.stale:
        bench = None
        sys.stderr.write(
            "runner: llama-bench is left out: mobench runner build host, and again with --tool llama_bench\n"
        )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = compile_runner(folder, "-O2")
        model = make(folder / "model.gguf", LARGE, quant="Q8_0")
        before = parity.busy()
        pairs = {"worker": program} | ({"llama-bench": static.path} if bench and static else {})
        peer = bench.path if bench else None
        rows = rounds(pairs, peer, model, given.pairs, given.threads, random.Random(given.seed))
        noise = parity.noise(before)
        loop = added_per_token(program, make(folder / "tiny.gguf", TINY), folder)
        parameters = gguf_file.read(model).parameters
    tests = {
        f"{test} against {other}": parity.summary(
            [
                {"mobench": r["runner"], "llama-bench": r[other]}
                for r in rows
                if (r["test"], r["against"]) == (test, other)
            ]
        )
        for test in parity.TESTS
        for other in pairs
    }
    result = {
        "benchmark": "runner", "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": {"cpu": parity.cpu_name(), "cores": os.cpu_count(), "load": os.getloadavg()[0],
                    "nice": os.nice(0), **noise},
        "builds": [engine.build("host"), *(b.build for b in (bench, static) if b)],
        "model": {"parameters": parameters, "quant": "Q8_0", "random_weights": True},
        "threads": given.threads, "goal": {"ratio": f"within ±{parity.GOAL:.0%}", "added_ns_per_token": GOAL_NS},
        "tests": tests, "loop": loop, "rounds": rows,
    }  # fmt: skip
    RESULT.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for title, found in tests.items():
        print(f"{title:28} {found['ratio']:.4f}  90 % {found['low']:.4f} to {found['high']:.4f}  n={found['n']}")
    print(f"loop {loop}; others kept {noise['others_busy_cores']} cores busy")
    good = all(f["low"] >= 1 - parity.GOAL and f["high"] <= 1 + parity.GOAL for f in tests.values())
    return 0 if good and max(loop.values()) <= GOAL_NS else 1


def rounds(
    pairs: Mapping[str, Path], bench: Path | None, model: Path, count: int, threads: int, rng: random.Random
) -> list[dict[str, Any]]:
    """Measure all rounds: tests and pairs alternate, the order inside a pair and the pages that a process gets are
    random. `pairs` has the runner that is held against each other instrument."""
    rows = []
    pages = parity.Pages(rng)
    for number in range(count):
        for test, (prompt, output) in parity.TESTS.items():
            for other, program in pairs.items():
                tools = ["runner", other]
                rng.shuffle(tools)
                row: dict[str, Any] = {"round": number, "test": test, "against": other, "first": tools[0]}
                for tool in tools:
                    pages.shuffle()
                    if tool == "runner":
                        ns = launch(program, model, prompt, output, threads)
                    elif tool == "worker":
                        ns = parity.worker(model, prompt, output, threads)
                    else:
                        assert bench is not None
                        ns = llama_bench.samples(
                            bench, model, prompt=prompt, output=output, threads=threads, repeats=2
                        )[-1]
                    row[tool] = round((prompt + output) * 1e9 / ns, 3)
                rows.append(row)
    return rows


def requests(program: Path, workload: dict[str, Any], model: Path, threads: int, **env: str) -> list[dict[str, Any]]:
    """The requests of one launch of the runner: a warm-up pass and a measured one."""
    with tempfile.TemporaryDirectory() as name:
        job, events = Path(name) / "job.json", Path(name) / "events.jsonl"
        asked = {
            "version": 1, "job_id": "runner", "model": {"path": str(model)}, "workload": workload,
            "engine": {"name": "llama_cpp", "threads": threads, "n_ctx": 32768 if env else None},
        }  # fmt: skip
        job.write_text(json.dumps(asked))
        subprocess.run([program, job, events], check=True, capture_output=True, timeout=600, env=os.environ | env)
        return [e for e in map(json.loads, events.read_text().splitlines()) if e["e"] == "request"]


def launch(program: Path, model: Path, prompt: int, output: int, threads: int) -> int:
    """ns from the first call into the library to the last token."""
    last = requests(program, {"prompt_tokens": prompt, "output_tokens": output}, model, threads)[-1]
    return int((last["stamps"][-1] if output else last["prefill_end"]) - last["prefill_start"])


def added_per_token(program: Path, model: Path, folder: Path) -> dict[str, int]:
    """ns per token of the loops themselves, as medians of nine launches."""
    source, inert, count = folder / "inert.c", folder / "inert.so", 20_000
    source.write_text(INERT)
    headers = Path(engine_headers())
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", f"-I{headers}", source, "-o", inert], check=True)
    text = [{"id": "t", "turns": ["a"]}]
    found = {}
    for name, workload in {
        "random_ns": {"prompt_tokens": 1, "output_tokens": count},
        "text_ns": {"conversations": text, "raw": True, "output_tokens": count},
    }.items():
        spans = []
        for _ in range(9):
            stamps = requests(program, workload, model, 1, LD_PRELOAD=str(inert))[-1]["stamps"]
            spans.append((stamps[-1] - stamps[0]) // (count - 1))
        found[name] = int(median(spans))
    return found


def engine_headers() -> Path:
    """Where the installed binding keeps llama.h."""
    from mobench_lang.engines.llama_cpp import library

    return library.package().parent / "include"


if __name__ == "__main__":
    sys.exit(main())
