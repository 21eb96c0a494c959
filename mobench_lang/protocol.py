"""The protocol between host and instrument: `job.json` in, `events.jsonl` out.

In: nothing. Out: pydantic models of both files; their JSON Schemas are published in `mobench_lang/schemas/` and kept in
step by a test. The Python worker of the local target and the C runner of the devices speak it alike.

Clock: every `t`, `start`, `end`, `accepted` and stamp is CLOCK_MONOTONIC of the measuring device in ns (int).
Files: JSON Lines, UTF-8, whole lines only; a reader ignores a torn last line. Events are written outside measured
windows: the stamps of a request's tokens come in one `request` event when the request is over.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

JOB_VERSION = 1
EVENTS_VERSION = 1
SAMPLES_VERSION = 1


class Message(BaseModel):
    """Base of everything that crosses the border: immutable, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True)


# ---------------------------------------------------------------- job.json


Seed: TypeAlias = Annotated[int, Field(ge=-(1 << 63), le=(1 << 63) - 1)]
Tokens: TypeAlias = Annotated[int, Field(ge=0, le=1 << 24)]
Span: TypeAlias = Annotated[int, Field(ge=0, le=(1 << 62) - 1)]
"""ns; added to a clock it is no overflow."""


class JobModel(Message):
    """The weights: path on the measuring device, and what the file must be (checked before loading).

    `chat_template` replaces the one in the file.
    """

    path: str
    sha256: str | None = None
    size: int | None = None
    chat_template: str | None = None


class JobEngine(Message):
    """Engine and parameters, all resolved; None leaves a parameter to the engine's default, which is then reported.

    `gpu_layers` −1 means all; `backend` names where the engine may compute (`cpu`, `cuda`, …; None: wherever its build
    can). `seed` goes before the job's. An instrument refuses a job with an `extra` that it does not know.
    """

    name: str
    backend: str | None = None
    threads: int | None = Field(default=None, ge=1, le=512)
    threads_batch: int | None = Field(default=None, ge=1, le=512)
    batch: int | None = Field(default=None, ge=1, le=1 << 20)
    ubatch: int | None = Field(default=None, ge=1, le=1 << 20)
    n_ctx: int | None = Field(default=None, ge=1, le=1 << 24)
    gpu_layers: int | None = Field(default=None, ge=-1, le=100_000)
    flash_attention: Literal["auto", "on", "off"] | None = None
    type_k: str | None = None
    type_v: str | None = None
    mmap: bool | None = None
    seed: Seed | None = None
    extra: dict[str, str | int | float | bool] = Field(default_factory=dict)


class Conversation(Message):
    """One conversation: user turns, sent one after the other with the KV cache kept.

    For an instrument that has no template engine the host renders it with the model's chat template: `rendered` is the
    text that each turn adds to the context. Where the template rewrites replies, `pieces` has the whole text up to each
    turn instead, as one piece before, between and after the replies so far, whose outer blanks go if `strip`. None
    leaves it to the instrument.
    """

    id: str
    turns: tuple[str, ...]
    rendered: tuple[str, ...] | None = None
    pieces: tuple[tuple[str, ...], ...] | None = None
    strip: bool = False


class Sampling(Message):
    """How the next token is chosen; the default is greedy. Seeded by the job's seed."""

    temperature: float = 0.0
    top_k: int = Field(default=0, ge=0, le=(1 << 31) - 1)
    top_p: float = 1.0


class JobWorkload(Message):
    """What is asked of the model, as tokens or text.

    Exactly one of `prompt_tokens` (random token ids, seeded; 0 starts from the beginning-of-sequence token) and
    `conversations` (text through the chat template unless `raw`) is set. `output_tokens` is generated per request, with
    end of sequence ignored if `ignore_eos`; 0 measures the prefill alone. `depth` random tokens are in the context
    before the request, outside every window. `duration_ns` repeats the requests until it has passed (sustained load).
    """

    prompt_tokens: Tokens | None = None
    conversations: tuple[Conversation, ...] | None = None
    raw: bool = False
    output_tokens: Tokens
    ignore_eos: bool = True
    depth: Tokens = 0
    think_ns: Span = 0
    between_ns: Span = 0
    duration_ns: Span | None = None
    sampling: Sampling = Sampling()


class Score(Message):
    """A text and a continuation whose log-likelihood is wanted (accuracy tasks)."""

    id: str
    prompt: str
    continuation: str


class Job(Message):
    """`job.json`: one launch of the instrument. `passes` are run in order in one process after one load.

    `affinity` are the CPUs to run on. A name instead of numbers stands for a cluster that the instrument finds itself
    (jobs of a build folder, made before the device is known); one that cannot answers `affinity_failed`.
    """

    version: Literal[1] = 1
    job_id: str
    model: JobModel
    engine: JobEngine
    workload: JobWorkload | None = None
    scores: tuple[Score, ...] = ()
    warmup: int = Field(default=1, ge=0, le=1_000_000)
    measured: int = Field(default=1, ge=0, le=1_000_000)
    seed: Seed = 0
    affinity: tuple[int, ...] | Literal["big_cores", "little_cores"] | None = None
    keep_text: bool = True


# ---------------------------------------------------------------- events.jsonl


class Start(Message):
    """First line: who writes, in which process; `wall_ns` is the wall clock at `t`."""

    e: Literal["start"] = "start"
    version: Literal[1] = 1
    t: int
    wall_ns: int
    pid: int
    job_id: str
    instrument: str
    build: str


class Used(Message):
    """What was really used, as the engine reports it after loading. `buffers` are bytes by device and use
    (`CPU_Mapped model`, `CPU KV`, `CPU compute`)."""

    e: Literal["used"] = "used"
    t: int
    engine: str
    build: str
    backend: str
    devices: tuple[str, ...]
    model_desc: str
    model_type: str
    model_params: int
    model_size: int
    model_sha256: str
    n_ctx: int
    n_ctx_train: int
    n_batch: int
    n_ubatch: int
    n_threads: int
    n_threads_batch: int
    n_gpu_layers: int
    flash_attention: str
    type_k: str
    type_v: str
    mmap: bool
    affinity: tuple[int, ...] | None
    buffers: dict[str, int] = Field(default_factory=dict)


class Phase(Message):
    """A window: `load` (pass −1), or `prefill`/`decode` of one request, or `depth`, `think`, `score`."""

    e: Literal["phase"] = "phase"
    pass_: int = Field(validation_alias="pass", serialization_alias="pass")
    request: int
    name: str
    start: int
    end: int


class Request(Message):
    """One finished request.

    `accepted` is when the prompt was in hand; `stamps[i]` when output token i was available (the first one ends the
    prefill). `prompt_tokens` were evaluated, `cached_tokens` taken from the kept KV cache. `prompt_chars` and
    `output_chars` count Unicode code points of the text, None for random tokens.
    """

    e: Literal["request"] = "request"
    pass_: int = Field(validation_alias="pass", serialization_alias="pass")
    request: int
    conversation: str | None
    turn: int
    accepted: int
    prefill_start: int
    prefill_end: int
    prompt_tokens: int
    cached_tokens: int
    output_tokens: int
    prompt_chars: int | None
    output_chars: int | None
    stamps: tuple[int, ...]
    tokens: tuple[int, ...]
    text: str | None
    finish: Literal["length", "eos", "context", "none"]


class Memory(Message):
    """A memory mark of the process: high-water or level at the end of a phase, by one method."""

    e: Literal["memory"] = "memory"
    t: int
    pass_: int = Field(validation_alias="pass", serialization_alias="pass")
    phase: str
    method: Literal["VmHWM", "VmRSS", "Pss", "phys_footprint"]
    bytes: int


class Pass(Message):
    """One pass over the workload is over; `cpu_ns` is the process's CPU time in it."""

    e: Literal["pass"] = "pass"
    pass_: int = Field(validation_alias="pass", serialization_alias="pass")
    warmup: bool
    start: int
    end: int
    cpu_ns: int


class Scored(Message):
    """The log-likelihood of one continuation (natural log, summed over its tokens)."""

    e: Literal["score"] = "score"
    id: str
    logprob: float
    tokens: int
    greedy: bool


class Told(Message):
    """What a tool of others said of a launch, in place of `start` and `used`; the host writes it after the launch.

    The tool writes no events. Fields mean what they mean in `used`; None: this version of the tool does not say.
    `columns` is everything that it said, by its own names.
    """

    e: Literal["told"] = "told"
    engine: str
    tool: str
    build: str | None
    backend: str | None = None
    devices: tuple[str, ...] | None = None
    model_type: str | None = None
    model_params: int | None = None
    model_size: int | None = None
    n_batch: int | None = None
    n_ubatch: int | None = None
    n_threads: int | None = None
    n_gpu_layers: int | None = None
    flash_attention: str | None = None
    type_k: str | None = None
    type_v: str | None = None
    mmap: bool | None = None
    columns: dict[str, Any] = Field(default_factory=dict)


class Timed(Message):
    """One pass that a tool of others timed itself: how long it took, not when, in place of `request` and `pass`.

    `tokens` were computed in `ns`, after `depth` others that were in the context.
    """

    e: Literal["timed"] = "timed"
    pass_: int = Field(validation_alias="pass", serialization_alias="pass")
    warmup: bool
    name: Literal["prefill", "decode"]
    tokens: int
    depth: int
    ns: int


class Fault(Message):
    """Something failed; `code` is stable (`model_not_gguf`, `model_changed`, `out_of_memory`, `context_too_small`…).

    `t` is None where the host says it of a tool of others, and nobody stamped its end.
    """

    e: Literal["error"] = "error"
    t: int | None
    code: str
    message: str


class End(Message):
    """Last line of a complete file; `t` as in `error`."""

    e: Literal["end"] = "end"
    t: int | None
    status: Literal["ok", "failed"]


Event: TypeAlias = Annotated[
    Start | Used | Phase | Request | Memory | Pass | Scored | Told | Timed | Fault | End, Field(discriminator="e")
]


# ---------------------------------------------------------------- samples.jsonl


State: TypeAlias = Literal["ok", "denied", "missing", "gone", "no_number"]
"""How a channel's file answers: it may not be read, was never there, its device is no more, it holds something else."""


class SampleHead(Message):
    """First line of `samples.jsonl`: the channels of the columns, with unit and source, and the wanted rate.

    `states` is how each channel's file answered at the beginning, `cpu` the CPU that the sampler is bound to; a sampler
    that does not say leaves them out.
    """

    e: Literal["channels"] = "channels"
    version: Literal[1] = 1
    t: int
    hz: float
    channels: tuple[str, ...]
    units: tuple[str, ...]
    sources: tuple[str, ...]
    states: tuple[State, ...] = ()
    cpu: int | None = None


class SampleRow(Message):
    """One reading: `v[i]` is the raw integer of channel i, None where it could not be read."""

    e: Literal["s"] = "s"
    t: int
    v: tuple[int | None, ...]


class SampleTail(Message):
    """Last line: what the sampler itself cost, and how each channel's file answered at the end."""

    e: Literal["cost"] = "cost"
    t: int
    cpu_ns: int
    wall_ns: int
    rows: int
    states: tuple[State, ...] = ()


Sample: TypeAlias = Annotated[SampleHead | SampleRow | SampleTail, Field(discriminator="e")]
