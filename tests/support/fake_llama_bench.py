#!/usr/bin/env python3
"""Stands for `llama-bench`: takes its options, computes nothing, prints what it would print.

Further arguments choose how it fails: `--fake crash`, `exit`, `cut`, `noise`, `mute`, `other`, `fewer`; `--fake gpu`
claims a build with CUDA. Options that it does not know end it as the real one ends.
"""

from __future__ import annotations

import json
import os
import signal
import sys

VALUES = {"-m", "-o", "-r", "-p", "-n", "-d", "-t", "-b", "-ub", "-ngl", "-fa", "-ctk", "-ctv", "--fake"}


def options(words: list[str]) -> dict[str, str]:
    found = {"-p": "512", "-n": "128", "-d": "0", "-t": "4", "-b": "2048", "-ub": "512", "-ngl": "-1", "-r": "5"}
    rest = iter(words)
    for word in rest:
        if word in VALUES:
            found[word] = next(rest)
        elif word == "--no-warmup":
            found[word] = "1"
        else:
            sys.stderr.write(f"error: invalid parameter for argument: {word}\n")
            print(f"usage: {sys.argv[0]} [options]")
            raise SystemExit(1)
    return found


def main() -> int:
    asked = options(sys.argv[1:])
    how = asked.get("--fake", "")
    if how == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if how == "exit":
        sys.stderr.write(f"main: error: failed to load model '{asked['-m']}'\n")
        return 1
    prompt, output, depth, count = (int(asked[k]) for k in ("-p", "-n", "-d", "-r"))
    # So many ns that the rate of repetition i is 1000 · (i + 1) tokens per second.
    samples = [(prompt + output) * 1_000_000 // (i + 1) for i in range(count - (how == "fewer"))]
    rates = [(prompt + output) * 1e9 / ns for ns in samples]
    flash = {"0": 0, "1": 1}.get(asked.get("-fa", "auto"), -1)
    row = {
        "build_commit": "0c0ffee1", "build_number": 9123, "cpu_info": "Fake CPU", "gpu_info": "",
        "backends": "CUDA" if how == "gpu" else "CPU", "model_filename": asked["-m"], "model_type": "llama tiny F16",
        "model_size": 1000, "model_n_params": 500, "n_batch": int(asked["-b"]), "n_ubatch": int(asked["-ub"]),
        "n_threads": int(asked["-t"]), "cpu_mask": "0x0", "cpu_strict": False, "poll": 50,
        "type_k": asked.get("-ctk", "f16"), "type_v": asked.get("-ctv", "f16"), "n_gpu_layers": int(asked["-ngl"]),
        "flash_attn": flash, "use_mmap": True, "n_prompt": prompt + (how == "other"), "n_gen": output,
        "n_depth": depth, "test_time": "2026-11-26T02:45:18Z", "avg_ns": sum(samples) // len(samples), "stddev_ns": 0,
        "avg_ts": sum(rates) / len(rates), "stddev_ts": 0.0, "warmed_up": "--no-warmup" not in asked,
        "samples_ns": samples, "samples_ts": rates,
    }  # fmt: skip
    text = "[\n  " + json.dumps(row, indent=4) + "\n]\n"
    if how == "noise":
        text = "[WARN] a library speaks\n" + text
    sys.stdout.write({"mute": "", "cut": text[: len(text) // 2]}.get(how, text))
    sys.stderr.write("fake: done\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
