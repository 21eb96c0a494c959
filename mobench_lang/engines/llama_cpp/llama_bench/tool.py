"""`tool = llama_bench`: which program, how it is called for a job, and what it said as events.

In: the engine value of a cell, a job, what the program printed. Out: a `Launch`, and events. Guarantee: an option is
passed only where the spec sets what it stands for, so that versions that lack it can do everything else; what was
measured is what was asked for, or the launch has an `error` event with a stable code.

One launch is one test: `-p` or `-n`, at a depth, `-r` for the warm-up and the measured passes. A warm-up pass is a
whole repetition whose time is kept apart: the tool's own warm-up generates one token only. That one runs before the
first repetition, unless the job wants no warm-up at all (`--no-warmup`, which old versions lack).
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mobench_lang.engines.llama_cpp.llama_bench.rows import Output, Row, parse
from mobench_lang.ir import Entity
from mobench_lang.plugins import Launch, Outcome, PlatformError, RefusedError, Weights
from mobench_lang.protocol import End, Event, Fault, Job, JobEngine, Timed, Told

NAME = "llama_bench"
PROGRAM = "llama-bench"
ALL_LAYERS = 999
"""More layers than any model has: versions differ in what a negative number means."""
MOST_OUTPUT = 64 << 20
"""Bytes of output that are read; a row has about 2 kB."""


@dataclass(frozen=True, slots=True)
class LlamaBench:
    """The tool of one engine value; a `StockTool`. `program` is on the measuring device: a path, or a name on its PATH;
    None: the one that `mobench runner build --tool llama_bench` made."""

    program: str | None
    arguments: tuple[str, ...]
    name: str = NAME

    def build(self, platform: str) -> str:
        """The program in one line. On a device nothing but its place is known before it runs. Raises PlatformError."""
        more = f", with {' '.join(self.arguments)}" if self.arguments else ""
        if self.program is None:
            return _built(platform).note + more
        if platform != "host":
            _require_place(self.program)
            return f"{self.program} of the device{more}"
        path = _on_host(self.program)
        try:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise PlatformError(f"{path} cannot be read: {error.strerror}") from error
        return f"{self.program}, sha256:{digest[:16]}{more}"

    def launch(self, platform: str, job: Job) -> Launch:
        """How to call it for a job. Raises PlatformError, RefusedError."""
        words = (*_options(job), *self.arguments)
        files, by_shell = ({}, "") if platform == "host" else _guard(platform)
        if self.program is not None:
            first = str(_on_host(self.program)) if platform == "host" else self.program
        else:
            first, files["llama_bench"] = "{llama_bench}", _built(platform)
        return Launch((first, *words), {}, files, keeps_output=True, by_shell=by_shell)

    def read(self, job: Job, output: Path, outcome: Outcome) -> list[Event]:
        """What it printed as events."""
        try:
            with output.open("rb") as file:
                text = file.read(MOST_OUTPUT).decode("utf-8", "replace")
        except FileNotFoundError:
            text = ""
        return events(job, parse(text), outcome)


def tool(engine: Entity) -> LlamaBench | None:
    """The tool that an engine value asks for; None where it asks for another instrument."""
    if engine.get("tool") != NAME:
        return None
    program, arguments = engine.get("program"), engine.get("arguments")
    words = tuple(str(a) for a in arguments) if isinstance(arguments, tuple) else ()
    return LlamaBench(None if program is None else str(program), words)


# ---------------------------------------------------------------- the program


def _built(platform: str) -> Weights:
    from mobench_lang.engines.llama_cpp import runners

    found = runners.built(platform, PROGRAM)
    return Weights(found.path, found.sha256, found.size, found.build)


def _guard(platform: str) -> tuple[dict[str, Weights], str]:
    """The runner, which watches the launch and samples; where it is not built, why the shell has to."""
    from mobench_lang.engines.llama_cpp import runners

    try:
        found = runners.built(platform)
    except PlatformError as error:
        return {}, f"the shell watches and samples llama-bench, twice a second: {error}"
    return {"runner": Weights(found.path, found.sha256, found.size, found.build)}, ""


def _require_place(program: str) -> None:
    if not program or ("/" in program and not program.startswith(("/", "~/"))):
        raise PlatformError(
            f"the program {program!r} is no place: write an absolute path, one that begins with `~/`, or a name on the "
            "PATH"
        )


def _on_host(program: str) -> Path:
    """Where the program is on this machine. Raises PlatformError."""
    _require_place(program)
    found = shutil.which(os.path.expanduser(program))  # noqa: PTH111 - a plain name stays one
    if found is None:
        where = "is no program that can be started" if "/" in program else "is not on the PATH"
        raise PlatformError(
            f"{program} {where}; leave `program` out to use the one of `mobench runner build host --tool llama_bench`"
        )
    return Path(found)


# ---------------------------------------------------------------- the command


def _options(job: Job) -> tuple[str, ...]:
    """The options of a job. Raises RefusedError for what `check` refuses, too: a plan may come from elsewhere."""
    work, engine = job.workload, job.engine
    if job.scores or work is None or work.prompt_tokens is None:
        raise RefusedError("unsupported", "llama-bench measures random tokens only, no texts and no scores")
    if bool(work.prompt_tokens) == bool(work.output_tokens):
        raise RefusedError("unsupported", "llama-bench times a prompt or an output, not one after the other")
    if work.duration_ns or work.think_ns or work.between_ns:
        raise RefusedError("unsupported", "llama-bench neither pauses nor goes on for a time")
    if job.affinity is not None:
        raise RefusedError("unsupported", "llama-bench does not say on which CPUs it ran")
    for name in ("backend", "threads_batch", "n_ctx", "mmap", "seed"):
        if getattr(engine, name) is not None:
            raise RefusedError("unsupported", f"llama-bench cannot be asked for `{name}`")
    found = ["-m", job.model.path, "-o", "json", "-r", str(job.warmup + job.measured)]
    found += ["-p", str(work.prompt_tokens), "-n", str(work.output_tokens)]
    if work.depth:
        found += ["-d", str(work.depth)]
    if not job.warmup:
        found.append("--no-warmup")
    return (*found, *_engine_options(engine))


def _engine_options(engine: JobEngine) -> Iterator[str]:
    layers = ALL_LAYERS if engine.gpu_layers == -1 else engine.gpu_layers
    flash = {"on": "1", "off": "0", "auto": "auto", None: None}[engine.flash_attention]
    for option, value in (
        ("-t", engine.threads), ("-b", engine.batch), ("-ub", engine.ubatch), ("-ngl", layers), ("-fa", flash),
        ("-ctk", engine.type_k), ("-ctv", engine.type_v),
    ):  # fmt: skip
        if value is not None:
            yield option
            yield str(value)


# ---------------------------------------------------------------- events


def events(job: Job, out: Output, outcome: Outcome) -> list[Event]:
    """What an output says, after the launch that printed it."""
    code, why = _fault(job, out, outcome)
    found: list[Event] = [told(row) for row in out.rows]
    if not code and outcome.status == "ok":
        found += _timed(job, out.rows[0])
    elif code:
        found.append(Fault(t=outcome.exited, code=code, message=why))
    good = not code and outcome.status == "ok"
    return [*found, End(t=outcome.exited, status="ok" if good else "failed")]


def _fault(job: Job, out: Output, outcome: Outcome) -> tuple[str, str]:
    """A stable code and a sentence, empty where all is well or where how the process ended says more."""
    if outcome.status == "failed":
        # An exit status is llama-bench's own word; a crash (a signal) may be mended by a new attempt.
        refused = outcome.reason == "crashed" and outcome.exit is not None and outcome.exit > 0
        return ("tool_failed", f"llama-bench ended with {outcome.detail}") if refused else ("", "")
    if out.fault:
        return out.fault, out.why
    work = job.workload
    asked = (0, 0, 0) if work is None else (work.prompt_tokens or 0, work.output_tokens, work.depth)
    if [row.test for row in out.rows] != [asked]:
        got = ", ".join(map(_shown, (row.test for row in out.rows)))
        return "wrong_test", f"asked for {_shown(asked)}, the output has {got}"
    (row,) = out.rows
    if len(row.samples_ns) != job.warmup + job.measured:
        return "wrong_test", f"asked for {job.warmup + job.measured} repetitions, the row has {len(row.samples_ns)}"
    model = row.text("model_filename")
    if model is not None and model != job.model.path:
        return "wrong_test", f"asked for the model {job.model.path}, the row is of {model}"
    return "", ""


def _shown(test: tuple[int, int, int]) -> str:
    prompt, output, depth = test
    parts = [f"pp{prompt}"] if prompt or not output else []
    parts += [f"tg{output}"] if output else []
    return "+".join(parts) + (f" @ d{depth}" if depth else "")


def _timed(job: Job, row: Row) -> Iterator[Timed]:
    prompt, output, depth = row.test
    for number, ns in enumerate(row.samples_ns):
        yield Timed(
            pass_=number, warmup=number < job.warmup, name="prefill" if prompt else "decode", tokens=prompt or output,
            depth=depth, ns=ns,
        )  # fmt: skip


_FLASH = {-1: "auto", 0: "off", 1: "on", None: None}


def told(row: Row) -> Told:
    """What a row says of the engine, in the words of `used`."""
    backends, asked = row.backends, row.number("n_gpu_layers")
    gpus = None if backends is None else [b for b in backends if b != "BLAS"]
    # `n_gpu_layers` is what was asked for; a build without a GPU has none of them there.
    layers = 0 if gpus == [] else asked
    backend = None if gpus is None or layers is None else gpus[0].lower() if gpus and layers else "cpu"
    return Told(
        engine="llama_cpp", tool=PROGRAM, build=_build(row), backend=backend,
        devices=tuple(n for n in (row.text("cpu_info"), row.text("gpu_info")) if n) or None,
        model_type=row.text("model_type"), model_params=row.number("model_n_params"),
        model_size=row.number("model_size"),
        n_batch=row.number("n_batch"), n_ubatch=row.number("n_ubatch"), n_threads=row.number("n_threads"),
        n_gpu_layers=layers, flash_attention=_FLASH.get(row.number("flash_attn")),
        type_k=_kv_type(row, "type_k"), type_v=_kv_type(row, "type_v"), mmap=_mapped(row), columns=dict(row.columns),
    )  # fmt: skip


def _build(row: Row) -> str | None:
    commit, number = row.text("build_commit"), row.number("build_number")
    if commit is None:
        return None
    return f"llama-bench of llama.cpp {commit}" + (f" (b{number})" if number else "")


def _kv_type(row: Row, name: str) -> str | None:
    half = row.columns.get("f16_kv")
    return row.text(name) or (None if half is None else "f16" if half else "f32")


def _mapped(row: Row) -> bool | None:
    """Whether the weights were mapped; None where it was left to the tool."""
    mode = row.text("load_mode")
    if mode is None:
        mapped = row.columns.get("use_mmap")
        return mapped if isinstance(mapped, bool) else None
    return None if mode == "auto" else "mmap" in mode
