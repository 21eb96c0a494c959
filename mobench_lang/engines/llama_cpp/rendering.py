"""Conversations rendered on the host, for instruments that have no template engine.

In: a job and the file of its weights. Out: the job with the text that each turn adds to the context or, where the
template rewrites replies, with the pieces around them. Guarantee: the text is the one that the worker of this machine
makes of the same template; what a template does to replies beyond dropping their outer blanks cannot be said in
pieces and is refused.
"""

from __future__ import annotations

from pathlib import Path

from mobench_lang.engines.llama_cpp import chat, gguf_file
from mobench_lang.engines.llama_cpp.faults import WorkerError
from mobench_lang.plugins import RefusedError
from mobench_lang.protocol import Conversation, Job


def rendered(job: Job, weights: Path) -> Job:
    """The job with rendered conversations. Raises RefusedError."""
    work = job.workload
    if work is None or work.conversations is None or work.raw:
        return job
    try:
        talks = _talks(work.conversations, job.model.chat_template, weights)
    except (gguf_file.ModelError, WorkerError) as error:
        raise RefusedError(error.code, str(error)) from error
    return job.model_copy(update={"workload": work.model_copy(update={"conversations": talks})})


def _talks(talks: tuple[Conversation, ...], given: str | None, weights: Path) -> tuple[Conversation, ...]:
    header = gguf_file.read(weights, tokens=True)
    template = given or header.metadata.get("tokenizer.chat_template")
    if not isinstance(template, str):
        raise WorkerError(
            "no_chat_template", "the model file has no chat template; send the text as it is with raw = true"
        )
    compiled = chat.compile_template(template)
    bos, eos = (_token(header, f"tokenizer.ggml.{name}_token_id") for name in ("bos", "eos"))
    return tuple(_talk(talk, compiled, bos, eos) for talk in talks)


def _talk(talk: Conversation, template: object, bos: str, eos: str) -> Conversation:
    if not talk.turns:
        return talk
    added = chat.additions(template, talk.turns, bos, eos)
    if added is not None:
        return talk.model_copy(update={"rendered": added})
    found = chat.pieces(template, talk.turns, bos, eos)
    if found is None:
        raise WorkerError(
            "chat_template_failed",
            f"the chat template rewrites the replies of the conversation {talk.id!r} in a way that only this machine "
            "can follow; give one turn each, or a `chat_template` that keeps replies as they are",
        )
    return talk.model_copy(update={"pieces": found[0], "strip": found[1]})


def _token(header: gguf_file.Header, key: str) -> str:
    number = header.metadata.get(key)
    return header.tokens[number] if isinstance(number, int) and 0 <= number < len(header.tokens) else ""
