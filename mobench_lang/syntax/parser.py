"""The only module that knows Lark: texts to syntax trees, or the place where the parser gave up.

In: a `Source` and a range of it. Out: what `build.Builder` makes of it, or `Stuck` with the offset of the first token
that fits nowhere. Guarantee: Lark is imported at the first parse, the compiled grammar is kept in the user's cache
folder (a cache that cannot be read or written costs time and nothing else), and calls from several threads are safe.
"""

from __future__ import annotations

import hashlib
import marshal
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from mobench_lang import __version__
from mobench_lang.source import Source
from mobench_lang.syntax.build import Builder

if TYPE_CHECKING:
    from lark import Lark, Token

Start: TypeAlias = Literal["file", "top", "statement", "header", "expression"]
STARTS: tuple[Start, ...] = ("file", "top", "statement", "header", "expression")

# A newline behind one of these does not end the statement. `=` and `in` are not among them: a forgotten value must
# not swallow the block on the next line.
_OPEN_ENDED = frozenset(
    "PLUS MINUS STAR SLASH DOTDOT COLON EQ NE LT LE GT GE AND OR NOT IF THEN ELSE FOR WHERE PER BECAUSE EXTENDS "
    "COMMA".split()
)
_LOCK = RLock()


@dataclass(frozen=True, slots=True)
class Stuck(Exception):  # noqa: N818 - a place, not an error of ours
    """The parser found a token that fits nowhere: its offsets and what would have fitted (terminal names).

    At the end of the text `start == end`.
    """

    start: int
    end: int
    wanted: frozenset[str]


class Newlines:
    """The newline pass: drops line ends inside ( ) and [ ], and behind what must be followed by something."""

    always_accept = ("_NL",)

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        """The tokens without the newlines that end nothing."""
        brackets: list[str] = []
        before = ""
        for token in stream:
            kind = token.type
            if kind == "_NL":
                if before in _OPEN_ENDED or (brackets and brackets[-1] != "LBRACE"):
                    continue
            elif kind in ("LPAR", "LSQB", "LBRACE"):
                brackets.append(kind)
            elif kind in ("RPAR", "RSQB", "RBRACE") and brackets:
                brackets.pop()
            before = kind
            yield token


def parse_range(source: Source, builder: Builder, start: Start, begin: int, end: int) -> Any:  # Any: one type per start
    """What `builder` makes of `source.text[begin:end]`, read as a `start`; raises `Stuck`."""
    from lark import TextSlice
    from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

    with _LOCK:
        reader = _parser()
        router = reader.options.transformer
        outer, router.builder = router.builder, builder
        try:
            return reader.parse(TextSlice(source.text, begin, end), start=start)
        except UnexpectedToken as e:
            at = e.token.start_pos if e.token.type != "$END" and e.token.start_pos is not None else end
            raise Stuck(at, end if e.token.type == "$END" else e.token.end_pos or at, frozenset(e.expected)) from None
        except UnexpectedCharacters as e:
            raise Stuck(e.pos_in_stream, e.pos_in_stream + 1, frozenset(e.allowed or ())) from None
        except UnexpectedInput as e:  # pragma: no cover - Lark has no third kind today
            raise Stuck(e.pos_in_stream or begin, end, frozenset()) from None
        finally:
            router.builder = outer


class _Router:
    """Hands Lark's callbacks to the builder of the parse in progress."""

    builder: Builder

    def __init__(self) -> None:
        self.builder = Builder.__new__(Builder)  # replaced before any parse

    def __getattr__(self, rule: str) -> Any:  # Any: Lark asks for any rule's name
        method = getattr(Builder, rule)
        return lambda children: method(self.builder, children)


def grammar() -> str:
    """The text of the grammar."""
    return resources.files("mobench_lang.syntax").joinpath("bench.lark").read_text("utf-8")


def build(strict: bool = False) -> Lark:
    """A parser from the grammar's text, which takes some tenths of a second; `strict` refuses every conflict."""
    from lark import Lark

    return Lark(
        grammar(), parser="lalr", lexer="contextual", start=list(STARTS), postlex=Newlines(), transformer=_Router(),
        strict=strict, propagate_positions=False,
    )  # fmt: skip


@cache
def _parser() -> Lark:
    """The parser of this process, from the cache if there is one."""
    from lark import Lark
    from lark.grammar import Rule
    from lark.lexer import TerminalDef

    path = cache_path()
    if path is not None:
        with suppress(Exception):  # a cache that is torn or of another kind is made anew
            data, memo = marshal.loads(path.read_bytes())
            return Lark._load_from_dict(data, memo, postlex=Newlines(), transformer=_Router())
    made = build()
    if path is not None:
        with suppress(Exception):  # no home, no space, no right: the next process builds again
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, marshal.dumps(made.memo_serialize([TerminalDef, Rule])))
    return made


def _write(path: Path, content: bytes) -> None:
    """Put a file in place in one step, so that nobody reads half of it."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise


def cache_path() -> Path | None:
    """Where the compiled grammar is kept; None where `MOBENCH_GRAMMAR_CACHE=off` or there is no home folder.

    The name holds what the content depends on: mobench, Lark, Python and the grammar.
    """
    import lark

    if os.environ.get("MOBENCH_GRAMMAR_CACHE") == "off":
        return None
    try:
        home = Path.home()
    except RuntimeError:
        return None
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    python = f"{sys.implementation.cache_tag}"
    key = hashlib.sha256("\0".join((__version__, lark.__version__, python, grammar())).encode()).hexdigest()
    return base / "mobench" / f"grammar-{__version__}-{key[:16]}.bin"
