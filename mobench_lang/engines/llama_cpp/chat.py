"""Chat: from the user's turns to the text that is added to the context for each of them.

In: a chat template (Jinja, from the model file) and the user turns. Out: for each turn the text that follows what is
already in the context. The replies are not known yet, so each is stood in for by a marker: if the rendered text up to
the last marker is exactly the text of the turn before, what follows the marker is the new part and the kept tokens
are never touched. Templates that rewrite the history (trim it, drop thoughts) are rendered anew with the real replies
instead.

Templates come from model files: they run in Jinja's immutable sandbox.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from typing import Any, NoReturn

from mobench_lang.engines.llama_cpp.faults import WorkerError


def compile_template(text: str) -> Any:
    """A template as the model hub's own library compiles it (trim_blocks, lstrip_blocks, loop controls)."""
    from jinja2 import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"], autoescape=False
    )
    environment.filters["tojson"] = lambda x, indent=None: json.dumps(x, ensure_ascii=False, indent=indent)
    environment.globals["raise_exception"] = _raise
    # A fixed day: a prompt must not change from one day to the next.
    environment.globals["strftime_now"] = lambda form: datetime.date(2026, 1, 1).strftime(form)
    try:
        return environment.from_string(text)
    except TemplateError as error:
        raise WorkerError("chat_template_failed", f"the model's chat template is not valid: {error}") from error


def _raise(message: str) -> NoReturn:
    from jinja2 import TemplateError

    raise TemplateError(message)


def render(template: Any, turns: Sequence[str], replies: Sequence[str], bos: str, eos: str) -> str:
    """The chat up to and including the opening of the next reply; `turns` is one longer than `replies`."""
    from jinja2 import TemplateError

    messages = []
    for index, turn in enumerate(turns):
        messages.append({"role": "user", "content": turn})
        if index < len(replies):
            messages.append({"role": "assistant", "content": replies[index]})
    try:
        return str(template.render(messages=messages, add_generation_prompt=True, bos_token=bos, eos_token=eos))
    except (TemplateError, TypeError, ValueError, AttributeError, KeyError) as error:
        raise WorkerError(
            "chat_template_failed", f"the model's chat template fails on this conversation: {error}"
        ) from error


def additions(template: Any, turns: Sequence[str], bos: str, eos: str) -> tuple[str, ...] | None:
    """The new text of every turn, or None if the template rewrites what came before."""
    markers = [f"@@mobench-reply-{index}@@" for index in range(len(turns))]
    before = render(template, turns[:1], (), bos, eos)
    found = [before]
    for index in range(1, len(turns)):
        text = render(template, turns[: index + 1], markers[:index], bos, eos)
        head, marker, tail = text.rpartition(markers[index - 1])
        if not marker or head != before:
            return None
        found.append(tail)
        before = text
    return tuple(found)


def pieces(template: Any, turns: Sequence[str], bos: str, eos: str) -> tuple[tuple[tuple[str, ...], ...], bool] | None:
    """For each turn the text before, between and after the replies so far, and whether their outer blanks are dropped;
    None if the template does anything else to them."""
    for strip in (False, True):
        found = []
        for turn in range(len(turns)):
            whole = _split(template, turns[: turn + 1], bos, eos, strip=strip)
            if whole is None:
                break
            found.append(whole)
        else:
            return tuple(found), strip
    return None


def _split(template: Any, turns: Sequence[str], bos: str, eos: str, *, strip: bool) -> tuple[str, ...] | None:
    """The pieces of one text, found with markers for the replies and proved with replies that tempt a template."""
    marks = [f"@@mobench-reply-{index}@@" for index in range(len(turns) - 1)]
    rest, found = render(template, turns, marks, bos, eos), []
    for mark in marks:
        piece, seen, rest = rest.partition(mark)
        if not seen:
            return None
        found.append(piece)
    found.append(rest)
    for probe in (" \n a reply \n ", "<think>\nhm\n</think>\n\na reply", "{{ x }} <|im_end|> A"):
        told = [f"{probe}{index}{probe}" for index in range(len(marks))]
        kept = [text.strip() if strip else text for text in told]
        together = "".join(piece + reply for piece, reply in zip(found, [*kept, ""], strict=True))
        if render(template, turns, told, bos, eos) != together:
            return None
    return tuple(found)
