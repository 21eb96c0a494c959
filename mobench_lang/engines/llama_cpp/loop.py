"""The measured loop: prefill and decode with one monotonic nanosecond stamp per output token.

In: a `Context`, prompt tokens, and either tokens drawn beforehand (random-token workloads: nothing is sampled,
exactly as `llama-bench` does) or a sampler chain of the library (text workloads). Out: `Timing`. Inside the window
there are only calls into the library and stores into arrays that were allocated before; nothing is formatted or
written, the garbage collector is off. A stamp is taken after `llama_synchronize` (random) or after sampling, which
synchronises (text): it says that the output token was available. Why it is so: docs/adr/0020-measured-loop.md.
"""

from __future__ import annotations

import ctypes
import gc
import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mobench_lang.engines.llama_cpp.binding import LOG, Context, api
from mobench_lang.engines.llama_cpp.faults import WorkerError, from_log
from mobench_lang.engines.llama_cpp.memory import Marks

Finish = Literal["length", "eos", "context", "none"]


@dataclass(frozen=True)
class Timing:
    """What one request left behind; stamps and window edges in ns of CLOCK_MONOTONIC."""

    prefill_start: int
    prefill_end: int
    stamps: tuple[int, ...]
    tokens: tuple[int, ...]
    finish: Finish


class Loop:
    """The loop of one context, with its buffers for up to `capacity` output tokens."""

    def __init__(self, context: Context, capacity: int, marks: Marks) -> None:
        lib = api()
        self.context = context
        self.marks = marks
        self.edge, self.tail = marks.buffer(), marks.buffer()
        self._decode, self._sync, self._sample = lib.llama_decode, lib.llama_synchronize, lib.llama_sampler_sample
        self._now = time.monotonic_ns
        self._cell = (ctypes.c_int32 * 1)()
        self._one = lib.llama_batch_get_one(self._cell, 1)  # positions are counted by the library
        self._stamps = array("q", bytes(8 * max(capacity, 1)))
        self._tokens = array("i", bytes(4 * max(capacity, 1)))

    def batches(self, ids: Sequence[int]) -> list[Any]:
        """The prompt in pieces of the logical batch; each asks for the logits of its last token, as `llama-bench`
        does."""
        lib, size = api(), self.context.n_batch
        self._prompt = (ctypes.c_int32 * max(len(ids), 1))(*ids)  # the pieces point into it
        start = ctypes.addressof(self._prompt)
        pieces = []
        for offset in range(0, len(ids), size):
            at = ctypes.cast(start + 4 * offset, ctypes.POINTER(ctypes.c_int32))
            pieces.append(lib.llama_batch_get_one(at, min(size, len(ids) - offset)))
        return pieces

    def fill(self, ids: Sequence[int]) -> tuple[int, int]:
        """Evaluate tokens without measuring tokens (context depth); start and end."""
        pieces = self.batches(ids)
        start = self._now()
        self._evaluate(pieces)
        return start, self._now()

    def _evaluate(self, pieces: list[Any]) -> None:
        handle, decode = self.context.handle, self._decode
        for piece in pieces:
            status = decode(handle, piece)
            if status:
                raise self.failed(status)
        self._sync(handle)

    def drawn(self, ids: Sequence[int], outputs: Sequence[int], first: int | None) -> Timing:
        """Random tokens: evaluate `ids`, then produce as many tokens as `outputs` holds, feeding those.

        With a prompt, the first output is there when the prefill ends; without one, `first` (the beginning-of-sequence
        token) is fed for it. The last output is not fed.
        """
        count, handle = len(outputs), self.context.handle
        feed = array("i", [first if first is not None else 0, *outputs[:-1]])
        pieces = self.batches(ids)
        cell, one, stamps = self._cell, self._one, self._stamps
        decode, sync, now = self._decode, self._sync, self._now
        gc.disable()
        try:
            prefill_start = prefill_end = now()
            if pieces:
                self._evaluate(pieces)
                prefill_end = stamps[0] = now()
            self.marks.edge(self.edge)
            for index in range(1 if pieces else 0, count):
                cell[0] = feed[index]
                status = decode(handle, one)
                if status:
                    raise self.failed(status)
                sync(handle)
                stamps[index] = now()
            self.marks.edge(self.tail)
        finally:
            gc.enable()
        return Timing(prefill_start, prefill_end, tuple(stamps[:count]), tuple(outputs), "length" if count else "none")

    def sampled(self, ids: Sequence[int], count: int, chain: Any, ends: frozenset[int]) -> Timing:
        """Text: evaluate `ids`, then sample up to `count` tokens; one of `ends` is the last."""
        handle = self.context.handle
        pieces = self.batches(ids)
        cell, one, stamps, tokens = self._cell, self._one, self._stamps, self._tokens
        decode, sample, now = self._decode, self._sample, self._now
        made = 0
        finish: Finish = "none" if count == 0 else "length"
        gc.disable()
        try:
            prefill_start = now()
            self._evaluate(pieces)
            prefill_end = now()
            if count:
                token = tokens[0] = sample(chain, handle, -1)
                stamps[0] = now()
                made = 1
            self.marks.edge(self.edge)
            while made < count:
                if token in ends:
                    finish = "eos"
                    break
                cell[0] = token
                status = decode(handle, one)
                if status:
                    raise self.failed(status)
                token = tokens[made] = sample(chain, handle, -1)
                stamps[made] = now()
                made += 1
            self.marks.edge(self.tail)
        finally:
            gc.enable()
        if made and tokens[made - 1] in ends:
            finish = "eos"
        return Timing(prefill_start, prefill_end, tuple(stamps[:made]), tuple(tokens[:made]), finish)

    def failed(self, status: int) -> WorkerError:
        """What a non-zero status of `llama_decode` means."""
        if status == 1:
            size = self.context.n_ctx
            return WorkerError("context_too_small", f"the context of {size} tokens is full; a larger n_ctx is needed")
        code = (
            "out_of_memory" if status == -2 else "decode_failed"
        )  # -2: an allocation failed, see llama_context::decode
        return from_log(code, f"llama_decode returned {status}", LOG.lines)
