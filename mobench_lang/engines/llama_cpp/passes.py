"""One pass over a workload: the requests in order, their windows, and what is written about them afterwards.

In: model, context, workload, where events go. Out: `phase`, `memory`, `request` and `pass` events. Events of a
request are written when the request is over; between a request's `accepted` and its last stamp nothing is written.

A warm-up pass runs every request of the workload in full, but without pauses and without repeating them for
`duration_ns`.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from mobench_lang.engines.llama_cpp import chat
from mobench_lang.engines.llama_cpp.binding import Context, Model, free_sampler
from mobench_lang.engines.llama_cpp.events import Writer
from mobench_lang.engines.llama_cpp.faults import WorkerError
from mobench_lang.engines.llama_cpp.loop import Loop, Timing
from mobench_lang.engines.llama_cpp.memory import Marks
from mobench_lang.engines.llama_cpp.workload import Draw
from mobench_lang.protocol import Conversation, JobWorkload, Memory, Pass, Phase, Request

_REWRITTEN_MARGIN = (
    2  # a reply that a template changes is tokenised again, and may take more tokens than it was made of
)


@dataclass
class Talk:
    """A conversation with the text that each turn adds; None where the template rewrites the history."""

    conversation: Conversation
    added: tuple[str, ...] | None


@dataclass
class Script:
    """The text side of a workload, rendered once: conversations, the template and its special tokens."""

    talks: tuple[Talk, ...]
    template: Any
    bos: str
    eos: str

    def whole(self, talk: Talk, turn: int, replies: list[str]) -> str:
        """The full text of a chat up to a turn."""
        return chat.render(self.template, talk.conversation.turns[: turn + 1], replies, self.bos, self.eos)


def script(model: Model, workload: JobWorkload, template: str | None) -> Script:
    """Render the conversations; raises WorkerError no_chat_template or chat_template_failed."""
    conversations = tuple(c for c in workload.conversations or () if c.turns)
    if workload.raw:
        return Script(tuple(Talk(c, c.turns) for c in conversations), None, "", "")
    if all(c.rendered is not None for c in conversations):
        return Script(tuple(Talk(c, c.rendered) for c in conversations), None, "", "")
    source = template or model.chat_template()
    if source is None:
        raise WorkerError(
            "no_chat_template", "the model file has no chat template; send the text as it is with raw = true"
        )
    bos, eos = (model.piece(t).decode("utf-8", "replace") if t >= 0 else "" for t in (model.bos, model.eos))
    compiled = chat.compile_template(source)
    talks = tuple(Talk(c, chat.additions(compiled, c.turns, bos, eos)) for c in conversations)
    return Script(talks, compiled, bos, eos)


def needs(model: Model, workload: JobWorkload, text: Script | None) -> Iterator[int]:
    """How many tokens of context each conversation, or the random-token request, takes."""
    if text is None:
        yield workload.depth + (workload.prompt_tokens or 1) + workload.output_tokens
        return
    for talk in text.talks:
        turns = len(talk.conversation.turns)
        if talk.added is not None:
            prompt = sum(len(model.tokenize(t, first=not i, special=True)) for i, t in enumerate(talk.added))
            yield workload.depth + prompt + turns * workload.output_tokens
        else:
            prompt = len(model.tokenize(text.whole(talk, turns - 1, [""] * (turns - 1)), first=True, special=True))
            yield workload.depth + prompt + ((turns - 1) * _REWRITTEN_MARGIN + 1) * workload.output_tokens


@dataclass
class Runner:
    """Runs passes; holds what stays the same from one to the next."""

    model: Model
    context: Context
    workload: JobWorkload
    text: Script | None
    draw: Draw
    seed: int
    keep_text: bool
    out: Writer
    marks: Marks
    loop: Loop = field(init=False)
    ends: frozenset[int] = field(init=False)
    cached: list[int] = field(default_factory=list)  # the token ids in the KV cache
    request: int = 0

    def __post_init__(self) -> None:
        self.loop = Loop(self.context, self.workload.output_tokens, self.marks)
        self.ends = frozenset(self.model.end_tokens()) if self.text else frozenset()

    def run(self, number: int, *, warmup: bool) -> None:
        """One pass."""
        self.request = 0
        start, cpu = time.monotonic_ns(), time.process_time_ns()
        until = start + (self.workload.duration_ns or 0) if not warmup else start
        while True:
            if self.text is None:
                self._random(number)
            else:
                self._talks(number, self.text, until, pauses=not warmup)
            if time.monotonic_ns() >= until:
                break
            self._pause(number, "between", self.workload.between_ns)
        end, used = time.monotonic_ns(), time.process_time_ns() - cpu
        self.out.emit(Pass(pass_=number, warmup=warmup, start=start, end=end, cpu_ns=used))
        pss = self.marks.pss()
        if pss is not None:
            self.out.emit(Memory(t=end, pass_=number, phase="pass", method="Pss", bytes=pss))

    # ------------------------------------------------------------ random tokens

    def _random(self, number: int) -> None:
        work = self.workload
        self._begin(number)
        ids = self.draw.opening(work.prompt_tokens or 0, self.model)
        first = None if ids else self.draw.opening(1, self.model)[0]
        outputs = self.draw.tokens(work.output_tokens)
        self._fits(len(ids) or 1, work.output_tokens)
        gc.collect()
        self.marks.reset()
        timing = self.loop.drawn(ids, outputs, first)
        self._report(number, timing, accepted=timing.prefill_start, prompt=len(ids), cached=len(self.cached))

    # ------------------------------------------------------------ text

    def _talks(self, number: int, text: Script, until: int, *, pauses: bool) -> None:
        for index, talk in enumerate(text.talks):
            if index and pauses:
                self._pause(number, "between", self.workload.between_ns)
            self._begin(number)
            self._talk(number, text, talk, pauses=pauses)
            if self.workload.duration_ns and pauses and time.monotonic_ns() >= until:
                return

    def _talk(self, number: int, text: Script, talk: Talk, *, pauses: bool) -> None:
        sampling = self.workload.sampling
        banned = tuple(self.ends) if self.workload.ignore_eos else ()
        chain = self.context.sampler(
            temperature=sampling.temperature, top_k=sampling.top_k, top_p=sampling.top_p, seed=self.seed, banned=banned
        )
        try:
            self._turns(number, text, talk, chain, pauses=pauses)
        finally:
            free_sampler(chain)

    def _turns(self, number: int, text: Script, talk: Talk, chain: Any, *, pauses: bool) -> None:
        replies: list[str] = []
        pending: list[int] = []  # the last token of the reply: seen by the user, not yet by the model
        for turn in range(len(talk.conversation.turns)):
            if turn and pauses:
                self._pause(number, "think", self.workload.think_ns)
            whole = text.whole(talk, turn, replies) if talk.added is None else ""
            gc.collect()
            self.marks.reset()
            accepted = time.monotonic_ns()
            if talk.added is not None:
                ids = pending + self.model.tokenize(talk.added[turn], first=not turn, special=True)
            else:
                ids = self._beyond(self.model.tokenize(whole, first=True, special=True))
            if not ids:
                raise WorkerError("bad_job", f"turn {turn} of the conversation {talk.conversation.id!r} has no tokens")
            self._fits(len(ids), self.workload.output_tokens)
            before = len(self.cached)
            timing = self.loop.sampled(ids, self.workload.output_tokens, chain, self.ends)
            if talk.added is not None:
                chars = len(talk.added[turn])
            else:
                chars = len(self.model.text(ids)) if before > self.workload.depth else len(whole)
            self.cached += [*ids, *timing.tokens[:-1]]
            over = timing.finish == "eos"
            pending = [] if over or not timing.tokens else [timing.tokens[-1]]
            reply = self.model.text(timing.tokens)
            replies.append(reply)
            self._report(
                number, timing, accepted=accepted, prompt=len(ids), cached=before, turn=turn, chars=chars, reply=reply,
                conversation=talk.conversation.id,
            )  # fmt: skip

    def _beyond(self, ids: list[int]) -> list[int]:
        """What of a whole prompt is not in the KV cache yet; drops from the cache what differs."""
        start = self.workload.depth
        same = 0
        for old, new in zip(self.cached[start:], ids[:-1], strict=False):  # at least one token is evaluated
            if old != new:
                break
            same += 1
        if len(self.cached) > start + same and not self.context.keep(start + same):
            self.context.clear()  # a recurrent state or a sliding window cannot be cut: evaluate everything again
            same = 0
            if start:
                self.loop.fill(self.cached[:start])
        del self.cached[start + same :]
        return ids[same:]

    # ------------------------------------------------------------ both

    def _begin(self, number: int) -> None:
        """Empty the context and fill it to the wanted depth, outside every window."""
        self.context.clear()
        self.cached = self.draw.opening(self.workload.depth, self.model)
        if self.cached:
            start, end = self.loop.fill(self.cached)
            self.out.emit(Phase(pass_=number, request=self.request, name="depth", start=start, end=end))

    def _fits(self, prompt: int, output: int) -> None:
        used, size = len(self.cached), self.context.n_ctx
        if used + prompt + output > size:
            raise WorkerError(
                "context_too_small",
                f"request {self.request} needs {used} + {prompt} + {output} tokens of context (kept, prompt, output), "
                f"n_ctx is {size}",
            )

    def _pause(self, number: int, name: str, length: int) -> None:
        if length <= 0:
            return
        start = time.monotonic_ns()
        while (left := start + length - time.monotonic_ns()) > 0:
            time.sleep(left / 1e9)
        self.out.emit(Phase(pass_=number, request=self.request, name=name, start=start, end=time.monotonic_ns()))

    def _report(
        self, number: int, timing: Timing, *, accepted: int, prompt: int, cached: int = 0, turn: int = 0,
        chars: int | None = None, reply: str | None = None, conversation: str | None = None,
    ) -> None:  # fmt: skip
        last = timing.stamps[-1] if timing.stamps else timing.prefill_end
        windows = [("prefill", timing.prefill_start, timing.prefill_end, self.loop.edge)] if prompt else []
        if timing.stamps:
            windows.append(("decode", timing.prefill_end, last, self.loop.tail))
        for name, start, end, buffer in windows:
            self.out.emit(Phase(pass_=number, request=self.request, name=name, start=start, end=end))
            for method, size in self.marks.parse(buffer).items():
                self.out.emit(Memory(t=end, pass_=number, phase=name, method=method, bytes=size))
        self.out.emit(
            Request(
                pass_=number, request=self.request, conversation=conversation, turn=turn, accepted=accepted,
                prefill_start=timing.prefill_start, prefill_end=timing.prefill_end, prompt_tokens=prompt,
                cached_tokens=cached, output_tokens=len(timing.stamps), prompt_chars=chars,
                output_chars=None if reply is None else len(reply), stamps=timing.stamps, tokens=timing.tokens,
                text=reply if self.keep_text else None, finish=timing.finish,
            )
        )  # fmt: skip
        self.request += 1
