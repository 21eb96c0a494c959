"""One quantization in a process of its own: `python -m mobench_lang.engines.llama_cpp.quantize SOURCE TARGET QUANT`.

In: a GGUF file and the name of a weight type. Out: the quantized file and exit status 0; else a sentence as the last
line of stderr. `--requantize` allows a source that is quantized already. Called by `artifacts`, which owns names and
locks; a crash of the library ends this process only.
"""

from __future__ import annotations

import ctypes
import os
import sys

from mobench_lang.engines.llama_cpp.binding import LOG, api
from mobench_lang.engines.llama_cpp.faults import WorkerError, from_log


def quantize(source: str, target: str, quant: str, *, requantize: bool) -> None:
    """Write `target`; raises WorkerError quantize_failed."""
    lib = api()
    params = lib.llama_model_quantize_default_params()
    name = "LLAMA_FTYPE_ALL_F32" if quant == "F32" else f"LLAMA_FTYPE_MOSTLY_{quant}"
    if not hasattr(lib, name):
        raise WorkerError("quantize_failed", f"this llama.cpp has no weight type {quant}")
    params.ftype = getattr(lib, name)
    params.nthread = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    params.allow_requantize = requantize
    if lib.llama_model_quantize(os.fsencode(source), os.fsencode(target), ctypes.byref(params)):
        raise from_log("quantize_failed", f"llama.cpp cannot make {quant} from {source}", LOG.lines)


def main(arguments: list[str]) -> int:
    """Run one quantization; the exit status."""
    requantize = "--requantize" in arguments
    names = [a for a in arguments if a != "--requantize"]
    if len(names) != 3:
        sys.stderr.write("usage: … quantize SOURCE TARGET QUANT [--requantize]\n")
        return 2
    try:
        quantize(names[0], names[1], names[2], requantize=requantize)
    except WorkerError as error:
        sys.stderr.write(f"\n{' '.join(str(error).split())}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
