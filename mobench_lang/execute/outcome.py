"""What a launch came to: the process's end and the events together.

In: the job, the process's outcome and `events.jsonl`. Out: status, reason, detail and flags of the trial, and where the
time went. Guarantee: `ok` means that every pass is there and that what was used is what was asked for.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mobench_lang.plugins import Outcome
from mobench_lang.protocol import Job

RETRIED = frozenset({"crashed", "lost_device"})
"""Reasons that a new attempt may mend; a slow or refused result never is."""

_REQUEST = re.compile(rb'\{"e": ?"request"')


@dataclass(frozen=True, slots=True)
class Result:
    """A trial's end as the journal keeps it. `engine_start_ns` is process start to the beginning of loading,
    `active_ns` from there to the end of the last window; None where the events do not say."""

    status: Literal["ok", "failed", "invalid"]
    reason: str = ""
    detail: str = ""
    flags: tuple[str, ...] = ()
    engine_start_ns: int | None = None
    active_ns: int | None = None


@dataclass(slots=True)
class _Read:
    used: dict[str, Any] | None = None
    fault: dict[str, Any] | None = None
    end: str | None = None
    warmups: int = 0
    measured: int = 0
    load_start: int | None = None
    last_end: int | None = None


def judge(job: Job, outcome: Outcome, events: Path) -> Result:
    """The result of a launch."""
    read = _read(events)
    start = active = None
    if outcome.spawned is not None and read.load_start is not None:
        start = read.load_start - outcome.spawned
        active = (read.last_end or read.load_start) - read.load_start
    status, reason, detail = _status(job, outcome, read)
    flags: tuple[str, ...] = ()
    if status == "ok" and read.used is not None:
        differences = list(_differences(job, read.used))
        if differences:
            status, (reason, detail) = "invalid", differences[0]
            detail = "; ".join(text for _, text in differences)
        flags = tuple(_flags(job, read.used))
    return Result(status, reason, detail, flags, start, active)


def _status(job: Job, outcome: Outcome, read: _Read) -> tuple[Literal["ok", "failed", "invalid"], str, str]:
    fault = read.fault
    # A device that is lost, too slow, too hot or cancelled says more than the error its end may have caused.
    if outcome.status == "failed" and outcome.reason not in ("crashed", "engine_error"):
        return "failed", outcome.reason, outcome.detail
    if fault is not None:
        code, text = str(fault.get("code", "")), str(fault.get("message", ""))
        if code == "out_of_memory":
            return "failed", "out_of_memory", text
        return "failed", "engine_error", f"{code}: {text}"
    if outcome.status == "failed":
        return "failed", outcome.reason, outcome.detail
    if read.end != "ok":
        return "failed", "crashed", "the engine stopped before its events were complete"
    if read.used is None or (read.warmups, read.measured) != (job.warmup, job.measured):
        wanted = f"{job.warmup} + {job.measured} passes wanted, {read.warmups} + {read.measured} in the events"
        return "failed", "incomplete", wanted if read.used is not None else "the events do not say what was used"
    return "ok", "", ""


def _read(path: Path) -> _Read:
    """The few events that decide about a trial; the rest of the file is the collector's."""
    read = _Read()
    try:
        file = path.open("rb")
    except OSError:
        return read
    with file:
        for line in file:
            # Requests carry all stamps and texts; they need not be parsed to know that they are not wanted.
            if not line.endswith(b"\n") or _REQUEST.match(line):
                continue
            try:
                event = json.loads(line)
                _take(read, event)
            except (ValueError, KeyError, TypeError, AttributeError):
                read.fault = {
                    "code": "bad_events",
                    "message": f"{line[:120].decode('utf-8', 'replace')!r} is not an event",
                }
                return read
    return read


def _take(read: _Read, event: dict[str, Any]) -> None:
    kind = event["e"]
    if kind in ("used", "told"):
        read.used = event
    elif kind == "error":
        read.fault = event
    elif kind == "end":
        read.end = event["status"]
    elif kind == "phase":
        if event["name"] == "load" and read.load_start is None:
            read.load_start = int(event["start"])
        read.last_end = max(read.last_end or 0, int(event["end"]))
    elif kind == "timed":
        read.warmups += bool(event["warmup"])
        read.measured += not event["warmup"]
    elif kind == "pass":
        if event["warmup"]:
            read.warmups += 1
        else:
            read.measured += 1
        read.last_end = max(read.last_end or 0, int(event["end"]))


def _differences(job: Job, used: dict[str, Any]) -> list[tuple[str, str]]:
    """Where what was used is not what was asked for: (stable reason, text). What a tool of others does not say cannot
    be compared; `check` refuses to ask such a tool for what it never says."""
    engine, found = job.engine, []
    told = used.get("e") == "told"

    def compare(reason: str, what: str, asked: Any, got: Any) -> None:
        if asked is not None and asked != got and not (told and got is None):
            found.append((reason, f"asked for {what} {_show(asked)}, used {_show(got)}"))

    compare("wrong_weights", "weights", job.model.sha256, used.get("model_sha256"))
    compare("wrong_threads", "threads", engine.threads, used.get("n_threads"))
    compare("wrong_threads", "threads_batch", engine.threads_batch, used.get("n_threads_batch"))
    backend = None if engine.backend is None else engine.backend.lower()
    compare("wrong_backend", "backend", backend, _lower(used.get("backend")))
    affinity = used.get("affinity")
    compare(
        "wrong_affinity",
        "CPUs",
        sorted(job.affinity) if isinstance(job.affinity, tuple) else None,
        None if affinity is None else sorted(affinity),
    )
    layers = used.get("n_gpu_layers")
    if engine.gpu_layers is not None and layers is not None and (engine.gpu_layers == 0) != (layers == 0):
        # -1 means all layers, and an engine may report their number: only "some" and "none" can be told apart surely.
        compare("wrong_backend", "gpu_layers", engine.gpu_layers, layers)
    if engine.flash_attention in ("on", "off"):
        compare("wrong_flash_attention", "flash attention", engine.flash_attention, used.get("flash_attention"))
    for key in ("type_k", "type_v"):
        asked = getattr(engine, key)
        compare("wrong_kv_type", key, None if asked is None else asked.lower(), _lower(used.get(key)))
    compare("wrong_mmap", "mmap", engine.mmap, used.get("mmap"))
    return found


def _flags(job: Job, used: dict[str, Any]) -> list[str]:
    """Differences that an engine makes for good reason (llama.cpp cuts batches to the context, pads the context)."""
    pairs = (("batch", "n_batch"), ("ubatch", "n_ubatch"), ("n_ctx", "n_ctx"))
    return [
        f"{key}_adjusted"
        for key, name in pairs
        if getattr(job.engine, key) is not None and used.get(name) not in (None, getattr(job.engine, key))
    ]


def _lower(value: Any) -> str | None:
    return None if value is None else str(value).lower()


def _show(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
