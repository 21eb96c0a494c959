"""The instrument of the host: `python -m mobench_lang.engines.llama_cpp.worker job.json events.jsonl`.

In: one `job.json`. Out: `events.jsonl` (both in docs/protocol.md), the library's log on stderr, and an exit status:
0 done, 1 failed (the last events say why), 2 the job cannot be understood, 3 the events cannot be written. One
process is one launch: it loads the model once, runs the warm-up and the measured passes, scores, and ends. A crash of
the library ends this process and nothing else.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import json
import os
import re
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mobench_lang import __version__, digests
from mobench_lang.engines.llama_cpp import gguf_file, library
from mobench_lang.engines.llama_cpp.events import WriteError, Writer
from mobench_lang.engines.llama_cpp.faults import EXIT_BAD_JOB, EXIT_CANNOT_WRITE, EXIT_FAILED, EXIT_OK, WorkerError
from mobench_lang.engines.llama_cpp.memory import Marks
from mobench_lang.protocol import JOB_VERSION, End, Fault, Job, JobModel, Memory, Phase, Start, Used

INSTRUMENT = f"mobench-worker-python/{__version__}"
_BAD_JOB = {"bad_job", "unknown_version"}


def main(arguments: list[str]) -> int:
    """Run one launch; the exit status."""
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m mobench_lang.engines.llama_cpp.worker job.json events.jsonl\n")
        return EXIT_BAD_JOB
    faulthandler.enable()  # a crash inside the library leaves a trace on stderr
    try:
        out = Writer(arguments[1])
        try:
            return _launch(Path(arguments[0]), out)
        finally:
            out.close()
    except WriteError as error:
        sys.stderr.write(f"{error.code}: {error}\n")
        return EXIT_CANNOT_WRITE


def _launch(path: Path, out: Writer) -> int:
    code = message = ""
    try:
        _run(path, out)
    except WorkerError as error:
        code, message = error.code, str(error)
    except MemoryError:
        code, message = "out_of_memory", "the worker itself ran out of memory"
    except WriteError:
        raise
    except Exception as error:  # the host must hear of everything
        traceback.print_exc()
        code, message = "internal", f"{type(error).__name__}: {error}"
    if code:
        sys.stderr.write(f"{code}: {message}\n")
        out.emit(Fault(t=time.monotonic_ns(), code=code, message=message))
    out.emit(End(t=time.monotonic_ns(), status="failed" if code else "ok"))
    return EXIT_OK if not code else EXIT_BAD_JOB if code in _BAD_JOB else EXIT_FAILED


def _run(path: Path, out: Writer) -> None:
    marks = Marks()
    try:
        job = read_job(path)
    except WorkerError:
        out.emit(_start(""))
        raise
    out.emit(_start(job.job_id))
    affinity = place(job.affinity)
    sha256 = verify(job.model)
    _measure(job, out, marks, affinity, sha256)


def _start(job_id: str) -> Start:
    try:
        build = library.build()
    except library.LibraryMissingError as error:
        build = f"none: {error}"
    return Start(
        t=time.monotonic_ns(), wall_ns=time.time_ns(), pid=os.getpid(), job_id=job_id,
        instrument=INSTRUMENT, build=build,
    )  # fmt: skip


def read_job(path: Path) -> Job:
    """The job; raises WorkerError bad_job or unknown_version."""
    try:
        data = path.read_bytes()
        raw = json.loads(data)
    except OSError as error:
        raise WorkerError("bad_job", f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise WorkerError("bad_job", f"{path} is not JSON: {error}") from error
    version = raw.get("version") if isinstance(raw, dict) else None
    if version != JOB_VERSION:
        raise WorkerError(
            "unknown_version", f"the job has version {version!r}; this worker speaks version {JOB_VERSION}"
        )
    try:
        job = Job.model_validate_json(data, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place_of = ".".join(str(part) for part in first["loc"])
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise WorkerError("bad_job", f"{place_of}: {first['msg']}{more}") from error
    if job.engine.name != "llama_cpp":
        raise WorkerError("bad_job", f"engine.name is {job.engine.name!r}; this worker is llama_cpp")
    if job.engine.extra:
        raise WorkerError("bad_job", f"engine.extra: unknown parameters {', '.join(sorted(job.engine.extra))}")
    if job.workload is None and not job.scores:
        raise WorkerError("bad_job", "the job has neither a workload nor scores")
    if _has_nul(raw):
        raise WorkerError("bad_job", "a text has a NUL character, which the engine cannot take")
    return job


def _has_nul(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_nul, value.values()))
    return any(map(_has_nul, value)) if isinstance(value, list) else isinstance(value, str) and "\0" in value


def place(wanted: tuple[int, ...] | str | None) -> tuple[int, ...] | None:
    """Bind this process to cpus, before the library starts threads; the cpus it is really bound to."""
    if not hasattr(os, "sched_setaffinity"):
        if wanted is not None:
            raise WorkerError("affinity_failed", "this system cannot bind a process to cpus")
        return None
    if isinstance(wanted, str):
        raise WorkerError("affinity_failed", f"this worker is told cpus by number, not by the name {wanted}")
    if wanted is not None:
        try:
            os.sched_setaffinity(0, wanted)
        except (OSError, ValueError) as error:
            raise WorkerError("affinity_failed", f"cannot bind to cpus {list(wanted)}: {error}") from error
    bound = tuple(sorted(os.sched_getaffinity(0)))
    if wanted is not None and bound != tuple(sorted(set(wanted))):
        raise WorkerError("affinity_failed", f"asked for cpus {sorted(set(wanted))}, bound to {list(bound)}")
    return bound


def physical_cores(cpus: tuple[int, ...]) -> int:
    """How many cores a set of cpus has, two hyper-threads being one core."""
    try:  # numbers of cores begin anew in each cluster of a phone; who shares a core does not
        return len(
            {Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text() for cpu in cpus}
        )
    except OSError:
        return len(cpus)


def verify(model: JobModel) -> str:
    """The sha256 of the weights, after they were found to be what the job says; before the load window."""
    path = Path(model.path)
    try:
        header = gguf_file.read(path)
        if model.size is not None and header.size != model.size:
            raise WorkerError("model_changed", f"{path} has {header.size} bytes, the job says {model.size}")
        found = digests.sha256(path)
    except gguf_file.ModelError as error:
        raise WorkerError(error.code, str(error)) from error
    except OSError as error:
        raise WorkerError("model_missing", f"{path} cannot be read: {error.strerror}") from error
    if model.sha256 is not None and found != model.sha256:
        raise WorkerError("model_changed", f"{path} has sha256 {found}, the job says {model.sha256}")
    return found


def _measure(job: Job, out: Writer, marks: Marks, affinity: tuple[int, ...] | None, sha256: str) -> None:
    from mobench_lang.engines.llama_cpp import passes, scoring, workload
    from mobench_lang.engines.llama_cpp.binding import Context, Model, api, devices, kv_type

    if job.workload is not None:
        workload.check(job.workload)
    api()
    kv_type(job.engine.type_k), kv_type(job.engine.type_v)  # refused before a large model is loaded
    cpus = affinity or tuple(range(os.cpu_count() or 1))
    threads = job.engine.threads or physical_cores(cpus)

    marks.reset()
    start = time.monotonic_ns()
    model = Model(job.model.path, job.engine)
    loaded = time.monotonic_ns()
    wants_text = job.workload is not None and job.workload.conversations is not None
    text = passes.script(model, job.workload, job.model.chat_template) if job.workload and wants_text else None
    texts = [scoring.split(model, s) for s in job.scores]
    needs = [*(passes.needs(model, job.workload, text) if job.workload else ()), *(len(t.ids) for t in texts)]
    size = workload.context_size(model, job.engine.n_ctx, needs)
    resumed = time.monotonic_ns()
    context = Context(model, job.engine, n_ctx=size, threads=threads, threads_batch=job.engine.threads_batch or threads)
    # Rendering and counting prompts is the workload's, not the model's: it is taken out of the load window.
    end = time.monotonic_ns() - (resumed - loaded)
    load = marks.buffer()
    marks.edge(load)
    out.emit(Phase(pass_=-1, request=0, name="load", start=start, end=end))
    for method, count in marks.parse(load).items():
        out.emit(Memory(t=end, pass_=-1, phase="load", method=method, bytes=count))
    pss = marks.pss()
    if pss is not None:
        out.emit(Memory(t=end, pass_=-1, phase="load", method="Pss", bytes=pss))

    description, kind, parameters, bytes_ = model.description()
    there = devices()
    gpus = [d for d in there if not d.is_cpu]
    layers = int(model.offloaded) if model.offloaded.isdigit() else 0
    out.emit(
        Used(
            t=time.monotonic_ns(), engine="llama_cpp", build=library.build(),
            backend=(job.engine.backend or gpus[0].backend) if gpus and layers else "cpu",
            devices=tuple(f"{d.name} ({d.description})" for d in there), model_desc=description, model_type=kind,
            model_params=parameters, model_size=bytes_, model_sha256=sha256, n_ctx=context.n_ctx,
            n_ctx_train=model.n_ctx_train, n_batch=context.n_batch, n_ubatch=context.n_ubatch,
            n_threads=context.n_threads, n_threads_batch=context.n_threads_batch, n_gpu_layers=layers,
            flash_attention=context.flash_attention, type_k=context.type_k, type_v=context.type_v,
            mmap=model.mapped or mapped(job.model.path), affinity=affinity,
            buffers=model.buffers | context.buffers,
        )
    )  # fmt: skip

    gc.collect()
    gc.freeze()
    if job.workload is not None:
        seed = job.seed if job.engine.seed is None else job.engine.seed
        runner = passes.Runner(
            model=model, context=context, workload=job.workload, text=text, seed=seed, keep_text=job.keep_text,
            draw=workload.Draw(seed, model.n_vocab), out=out, marks=marks,
        )  # fmt: skip
        for number in range(job.warmup + job.measured):
            runner.run(number, warmup=number < job.warmup)
    if texts:
        scorer = scoring.Scorer(model, context)
        for index, (asked, split) in enumerate(zip(job.scores, texts, strict=True)):
            scored, start, end = scorer.score(asked.id, split)
            out.emit(Phase(pass_=-1, request=index, name="score", start=start, end=end))
            out.emit(scored)


def mapped(path: str) -> bool:
    """Whether the weights are mapped into this process rather than copied, as the kernel sees it."""
    with contextlib.suppress(OSError):
        real = re.escape(str(Path(path).resolve()))
        return re.search(rf" {real}$", Path("/proc/self/maps").read_text("utf-8", "replace"), re.M) is not None
    return False


if __name__ == "__main__":
    STATUS = main(sys.argv[1:])
    sys.stderr.flush()
    # The events are on the disk. Taking interpreter, library and model apart is the kernel's work, and faster there.
    os._exit(STATUS)
