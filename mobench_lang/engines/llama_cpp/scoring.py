"""Log-likelihood of a continuation after a prompt, as accuracy tasks need it.

In: `Score`s of a job. Out: `score` events: the natural-log probabilities of the continuation's tokens, summed, in
float64. Prompt and continuation are tokenised together, and the continuation's tokens are those that follow the
prompt's own (blanks at the prompt's end belong to the continuation), so a text has the tokens it would have in
running text.
"""

from __future__ import annotations

import ctypes
import math
import time
from dataclasses import dataclass

from mobench_lang.engines.llama_cpp.binding import LOG, Context, Model, api
from mobench_lang.engines.llama_cpp.faults import WorkerError, from_log
from mobench_lang.protocol import Score, Scored


@dataclass(frozen=True)
class Split:
    """Token ids of prompt and continuation together, and how many of them are the prompt's."""

    ids: list[int]
    prompt: int


def split(model: Model, score: Score) -> Split:
    """Tokenise; raises WorkerError bad_job if there is nothing to score."""
    prompt = score.prompt.rstrip()
    continuation = score.prompt[len(prompt) :] + score.continuation
    head = model.tokenize(prompt, first=True, special=True)
    ids = model.tokenize(prompt + continuation, first=True, special=True)
    if not head:  # an empty prompt, and no opening token: something must come before the first scored token
        head, ids = [model.bos], [model.bos, *ids]
    if len(ids) <= len(head):
        raise WorkerError("bad_job", f"the score {score.id!r} has an empty continuation")
    return Split(ids, len(head))


class Scorer:
    """Scores continuations, keeping the part of the KV cache that one has in common with the next."""

    def __init__(self, model: Model, context: Context) -> None:
        self.model, self.context = model, context
        self._batch = api().llama_batch_init(context.n_batch, 0, 1)
        self._cached: list[int] = []
        context.clear()

    def score(self, name: str, text: Split) -> tuple[Scored, int, int]:
        """The event, and start and end of its evaluation."""
        ids, first = text.ids, text.prompt - 1  # logits at `first` tell about the first token of the continuation
        same = next((i for i, (a, b) in enumerate(zip(self._cached, ids, strict=False)) if a != b), len(self._cached))
        same = min(same, first, len(ids))
        start = time.monotonic_ns()
        if len(self._cached) > same and not self.context.keep(same):
            self.context.clear()
            same = 0
        total, greedy = 0.0, True
        for offset in range(same, len(ids) - 1, self.context.n_batch):
            piece = ids[offset : min(offset + self.context.n_batch, len(ids) - 1)]
            self._evaluate(piece, offset, first)
            for index in range(max(first - offset, 0), len(piece)):
                likelihood, best = self._likelihood(index, ids[offset + index + 1])
                total += likelihood
                greedy = greedy and best
        self._cached = ids[:-1]
        if not math.isfinite(total):
            raise WorkerError("decode_failed", f"the score {name!r} is no finite number")
        scored = Scored(id=name, logprob=total, tokens=len(ids) - text.prompt, greedy=greedy)
        return scored, start, time.monotonic_ns()

    def _evaluate(self, piece: list[int], offset: int, first: int) -> None:
        batch = self._batch
        batch.n_tokens = len(piece)
        for index, token in enumerate(piece):
            batch.token[index], batch.pos[index] = token, offset + index
            batch.n_seq_id[index], batch.seq_id[index][0] = 1, 0
            batch.logits[index] = offset + index >= first
        status = api().llama_decode(self.context.handle, batch)
        if status:
            raise from_log("decode_failed", f"llama_decode returned {status} while scoring", LOG.lines)

    def _likelihood(self, index: int, token: int) -> tuple[float, bool]:
        import numpy as np  # 20 MB that a launch without scores does not have in its memory marks

        pointer = api().llama_get_logits_ith(self.context.handle, index)
        at = ctypes.cast(pointer, ctypes.POINTER(ctypes.c_float))
        logits = np.ctypeslib.as_array(at, shape=(self.model.n_vocab,)).astype(np.float64)
        highest = logits.max()
        return float(logits[token] - highest - np.log(np.exp(logits - highest).sum())), bool(logits[token] == highest)
