"""Workloads as token counts: the random tokens of a launch, and how much context the requests need.

In: a job's workload. Out: the stream of random tokens and the context that is needed. Tokens come from SplitMix64, one
stream per launch from the job's seed, in order of use, each `next() mod vocabulary`: an instrument in another language
draws the same ones in five lines.
"""

from __future__ import annotations

from collections.abc import Iterable

from mobench_lang.engines.llama_cpp.binding import Model
from mobench_lang.engines.llama_cpp.faults import WorkerError
from mobench_lang.protocol import JobWorkload

_MASK = (1 << 64) - 1


class Draw:
    """SplitMix64 as a source of token ids."""

    def __init__(self, seed: int, vocabulary: int) -> None:
        self._state = seed & _MASK
        self._vocabulary = vocabulary

    def token(self) -> int:
        """The next token id."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        z = self._state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        return (z ^ (z >> 31)) % self._vocabulary

    def tokens(self, count: int) -> list[int]:
        """The next `count` token ids."""
        return [self.token() for _ in range(count)]

    def opening(self, count: int, model: Model) -> list[int]:
        """Tokens that begin a context: the model's beginning-of-sequence token if it wants one, then drawn ones."""
        return [model.bos, *self.tokens(count - 1)] if count and model.add_bos else self.tokens(count)


def check(workload: JobWorkload) -> None:
    """Refuse what the schema allows but makes no sense; raises WorkerError bad_job."""
    if (workload.prompt_tokens is None) == (workload.conversations is None):
        raise WorkerError("bad_job", "a workload has either prompt_tokens or conversations")
    if workload.conversations is not None and not any(c.turns for c in workload.conversations):
        raise WorkerError("bad_job", "the workload's conversations have no turns")
    for talk in workload.conversations or ():
        if talk.rendered is not None and len(talk.rendered) != len(talk.turns):
            raise WorkerError("bad_job", f"the conversation {talk.id!r} must have a rendered text for each turn")
    if not workload.prompt_tokens and workload.conversations is None and not workload.output_tokens:
        raise WorkerError("bad_job", "the workload has neither a prompt nor an output")


def context_size(model: Model, wanted: int | None, needs: Iterable[int]) -> int:
    """The context to allocate: what was asked for, else the largest need.

    Raises WorkerError context_too_small if the job cannot fit: into the context asked for, or, where none was, into the
    one that the model was trained for.
    """
    need = max(needs, default=1)
    if wanted:
        if need > wanted:
            raise WorkerError("context_too_small", f"the job needs {need} tokens of context, n_ctx is {wanted}")
        return wanted
    if need > model.n_ctx_train:
        raise WorkerError(
            "context_too_small",
            f"the job needs {need} tokens of context, the model was trained for {model.n_ctx_train}; "
            "shorten the job, or set n_ctx to go beyond",
        )
    return need
