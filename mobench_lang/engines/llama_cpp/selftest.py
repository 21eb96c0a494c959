"""Whether the installed llama.cpp computes on this processor: `python -m mobench_lang.engines.llama_cpp.selftest`.

In: the bundled model. Out: exit status 0, or 1 and a sentence on stderr. It is quantized and measured once, each in a
process of its own as in a launch, because a library that was compiled wrongly ends its process: it may load, answer
with its version and run F16 for all that. About half a second.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from importlib import resources
from pathlib import Path

from mobench_lang.engines.llama_cpp.runner.recipes import NO_AMX

PACKAGE = "mobench_lang.engines.llama_cpp"
MODEL = "std/tiny/tiny-f16.gguf"
QUANT = "Q8_0"
HELP = (
    f"reinstall it: CFLAGS={NO_AMX} CXXFLAGS={NO_AMX} pip install --force-reinstall --no-cache-dir "
    "--no-binary llama-cpp-python llama-cpp-python"
)
"""GCC compiles the AMX part of some versions wrongly (ggml-org/llama.cpp#20824)."""


def fault() -> str:
    """What went wrong; empty where the library computes."""
    try:
        return _computed()
    except OSError as error:
        return f"it cannot be tried: {error}"


def _computed() -> str:
    with tempfile.TemporaryDirectory() as name, resources.as_file(resources.files("mobench_specs")) as specs:
        model, job, events = (Path(name) / part for part in ("model.gguf", "job.json", "events.jsonl"))
        ended = _run("quantize", str(specs.joinpath(*MODEL.split("/"))), str(model), QUANT)
        if ended:
            return f"a model cannot be quantized: {ended}"
        work = {"prompt_tokens": 32, "output_tokens": 2}
        engine = {"name": "llama_cpp", "threads": 1}
        asked = {"version": 1, "job_id": "selftest", "model": {"path": str(model)}, "engine": engine, "workload": work}
        job.write_text(json.dumps(asked), "utf-8")
        ended = _run("worker", str(job), str(events))
        return f"a {QUANT} model cannot be run: {ended}" if ended else ""


def _run(module: str, *arguments: str) -> str:
    """How a module of this package ended; empty where all is well."""
    argv = [sys.executable, "-P", "-m", f"{PACKAGE}.{module}", *arguments]
    done = subprocess.run(argv, capture_output=True, check=False)
    if done.returncode < 0:
        return f"llama.cpp ended with {signal.Signals(-done.returncode).name}"
    if done.returncode > 0:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else f"exit status {done.returncode}"
    return ""


if __name__ == "__main__":
    sys.exit(fault() or 0)
