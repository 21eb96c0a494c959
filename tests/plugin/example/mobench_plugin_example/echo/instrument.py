"""The instrument of `echo`: `job.json` in, `events.jsonl` out, nothing but the standard library in between.

A prompt token costs `rounds` rounds of SHA-256, an output token as many over all that came before. So the work is real,
its times are real, and the same job gives the same text. Anything that can write these lines can be an engine: a C
program, a phone app, a wrapper around a server.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

VERSION = "1.0"
DEFAULT_ROUNDS = 2000

now = time.monotonic_ns


class RefusedError(Exception):
    """The job asks for what this engine cannot do; a code and a sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def build() -> str:
    """The build line of this engine on this machine."""
    return f"echo {VERSION}, {platform.python_implementation()} {platform.python_version()}, {platform.machine()}"


def digest(token: bytes, rounds: int) -> bytes:
    """The unit of work."""
    for _ in range(rounds):
        token = hashlib.sha256(token).digest()
    return token


def read_model(model: dict[str, Any]) -> str:
    """The digest of the weights, which must be what the job says they are."""
    path = Path(model["path"])
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RefusedError("model_missing", f"{path}: {error.strerror}") from error
    sha256 = hashlib.sha256(content).hexdigest()
    if model.get("sha256") not in (None, sha256):
        raise RefusedError("model_changed", f"{path} has the digest {sha256}, the job says {model['sha256']}")
    return sha256


def prompts(workload: dict[str, Any], seed: int) -> Iterator[tuple[str | None, int, list[bytes], str | None]]:
    """Conversation, turn, prompt tokens and text of each request of one pass."""
    if workload.get("conversations"):
        for conversation in workload["conversations"]:
            for turn, text in enumerate(conversation["turns"]):
                yield conversation["id"], turn, [word.encode() for word in text.split()], text
    else:
        count = max(1, workload.get("prompt_tokens") or 0)
        yield None, 0, [f"{seed}:{i}".encode() for i in range(count)], None


def one_pass(job: dict[str, Any], number: int, rounds: int, write: Callable[[dict[str, Any]], None]) -> None:
    """Answer every request of the workload once; events are written after the window they are about."""
    workload = job["workload"]
    begun, cpu = now(), time.process_time_ns()
    for request, (conversation, turn, prompt, text) in enumerate(prompts(workload, job["seed"])):
        accepted = now()
        state = b""
        for token in prompt:
            state = digest(state + token, rounds)
        answer, stamps = [], []
        for _ in range(workload["output_tokens"]):
            state = digest(state, rounds)
            answer.append(state[0])
            stamps.append(now())
        prefill_end = stamps[0] if stamps else now()
        reply = " ".join(f"{token:02x}" for token in answer)
        window = {"pass": number, "request": request}
        write({"e": "phase", **window, "name": "prefill", "start": accepted, "end": prefill_end})
        if len(stamps) > 1:
            write({"e": "phase", **window, "name": "decode", "start": prefill_end, "end": stamps[-1]})
        write(
            {
                "e": "request",
                **window,
                "conversation": conversation,
                "turn": turn,
                "accepted": accepted,
                "prefill_start": accepted,
                "prefill_end": prefill_end,
                "prompt_tokens": len(prompt),
                "cached_tokens": 0,
                "output_tokens": len(answer),
                "prompt_chars": None if text is None else len(text),
                "output_chars": len(reply),
                "stamps": stamps,
                "tokens": answer,
                "text": reply if job["keep_text"] else None,
                "finish": "length" if answer else "none",
            }
        )
    end, used = now(), time.process_time_ns() - cpu
    write({"e": "pass", "pass": number, "warmup": number < job["warmup"], "start": begun, "end": end, "cpu_ns": used})


def measure(job: dict[str, Any], write: Callable[[dict[str, Any]], None]) -> None:
    """Load, then every pass of the job."""
    rounds = job["engine"]["extra"].get("rounds", DEFAULT_ROUNDS)
    unknown = sorted(set(job["engine"]["extra"]) - {"rounds"})
    if unknown or job["workload"] is None or job["scores"]:
        raise RefusedError("unsupported", f"echo knows neither tasks nor the parameters {unknown}")
    begun = now()
    sha256 = read_model(job["model"])
    write({"e": "phase", "pass": -1, "request": 0, "name": "load", "start": begun, "end": now()})
    one_thread = {"n_threads": 1, "n_threads_batch": 1, "n_batch": 1, "n_ubatch": 1, "n_gpu_layers": 0}
    write(
        {
            **{"e": "used", "t": now(), "engine": "echo", "build": build(), "backend": "cpu", "devices": ["cpu"]},
            **{"model_desc": f"{rounds} rounds of SHA-256 a token", "model_type": "none", "model_params": 0},
            **{"model_size": Path(job["model"]["path"]).stat().st_size, "model_sha256": sha256},
            **{"n_ctx": 0, "n_ctx_train": 0, **one_thread, "flash_attention": "off", "type_k": "none"},
            **{"type_v": "none", "mmap": False, "affinity": None},
        }
    )
    for number in range(job["warmup"] + job["measured"]):
        one_pass(job, number, rounds, write)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    write({"e": "memory", "t": now(), "pass": -1, "phase": "end", "method": "VmHWM", "bytes": peak})


def main(job_path: str, events_path: str) -> int:
    """Run a job; 0 if it could be done."""
    job = json.loads(Path(job_path).read_text("utf-8"))
    with Path(events_path).open("w", encoding="utf-8") as events:

        def write(event: dict[str, Any]) -> None:
            events.write(json.dumps(event) + "\n")
            events.flush()

        head = {"pid": os.getpid(), "job_id": job["job_id"], "instrument": "echo", "build": build()}
        write({"e": "start", "version": 1, "t": now(), "wall_ns": time.time_ns(), **head})
        try:
            measure(job, write)
        except RefusedError as refusal:
            write({"e": "error", "t": now(), "code": refusal.code, "message": str(refusal)})
            write({"e": "end", "t": now(), "status": "failed"})
            return 1
        write({"e": "end", "t": now(), "status": "ok"})
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
