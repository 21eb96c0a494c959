"""Templates of a target to text, strictly.

In: a pack's folder of templates and the values of one device. Out: text. Guarantee: an undefined name is an error, and
so is a string that went through no filter; shell text exists in templates only.

Filters: `q` quotes a value for a POSIX shell as one word; `text` makes it harmless in a comment or in Markdown: one
line, printable, without back-ticks.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from importlib import util
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError

from mobench_lang.plan.errors import RenderError


class _Safe(str):
    """Text that went through a filter."""

    __slots__ = ()


def renderer(module: str, others: Sequence[str]) -> Environment:
    """The templates of the package `module`, which may include those of the packages `others`. Imports neither.

    Raises RenderError if one of them has no folder of templates.
    """
    folders = [_folder(name) for name in (module, *others)]
    environment = Environment(
        loader=FileSystemLoader(folders),
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - no HTML: `finalize` refuses whatever is not quoted for the shell
    )
    environment.filters |= {"q": quoted, "text": plain}
    return environment


def render(environment: Environment, name: str, values: Mapping[str, Any]) -> str:
    """One template with the values of one device. Raises RenderError."""
    try:
        return environment.get_template(name).render(values)
    except TemplateError as error:
        raise RenderError(f"the template {name} cannot be rendered: {error}") from error


def quoted(value: str | int) -> str:
    """A value as one word of a POSIX shell. Raises RenderError for what no word can hold."""
    text = str(value)
    if "\0" in text:
        raise RenderError(f"{text!r} cannot stand in a script: it has a NUL character")
    return _Safe(shlex.quote(text))


def plain(value: str | int) -> str:
    """A value on one line of a comment."""
    text = "".join(c if c.isprintable() and c != "`" else " " for c in str(value))
    return _Safe(" ".join(text.split()))


def _finalize(value: Any) -> Any:
    if isinstance(value, _Safe) or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise RenderError(f"a template writes {value!r} without a filter; `q` makes it one word, `text` a comment")


def _folder(module: str) -> Path:
    try:
        spec = util.find_spec(module)
    except ModuleNotFoundError:
        spec = None
    if spec is None or spec.origin is None or not (folder := Path(spec.origin).parent / "templates").is_dir():
        raise RenderError(f"the package {module} has no folder of templates; reinstall it")
    return folder
