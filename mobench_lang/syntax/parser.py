"""From the grammar's text to tables: the only module that imports Lark, and it does so only where the cache is cold.

In: `bench.lark`. Out: `parse_range`, which reads a range of a source as a file, an item, a statement, a block's head
or an expression. Guarantee: the tables are kept in the user's cache folder; a cache that cannot be read or written
costs time and nothing else, and nothing in it is ever executed.
"""

from __future__ import annotations

import marshal
import os
import re
import sys
from contextlib import suppress
from functools import cache
from importlib.util import source_hash
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from mobench_lang import __version__
from mobench_lang.source import Source
from mobench_lang.syntax.build import Builder
from mobench_lang.syntax.lalr import NEWLINE, Part, Rule, Step, Tables, run, steps_of

if TYPE_CHECKING:
    from lark import Lark

Start: TypeAlias = Literal["file", "top", "statement", "header", "expression"]
STARTS: tuple[Start, ...] = get_args(Start)
_KEYWORD = re.compile(r"([a-z]+)\(\?!")


def parse_range(source: Source, builder: Builder, start: Start, begin: int, end: int) -> Any:  # Any: one type a start
    """What `builder` makes of `source.text[begin:end]`, read as a `start`; raises `lalr.Stuck`."""
    return run(tables(), _steps(), builder, Part(source.text, begin, end), start)


@cache
def _steps() -> list[Step]:
    names = {rule.callback for rule in tables().rules if rule.callback and not (rule.single and rule.size == 1)}
    return steps_of(tables(), {name: getattr(Builder, name) for name in names if name})


# ------------------------------------------------------------------- from Lark


def grammar() -> str:
    """The text of the grammar."""
    return Path(__file__).with_name("bench.lark").read_text("utf-8")


def build(strict: bool = False) -> Lark:
    """Lark's parser for the grammar, which takes some tenths of a second; `strict` refuses every conflict."""
    from lark import Lark

    class Newlines:
        """Says that newlines may come anywhere; the pass that drops them is ours."""

        always_accept = (NEWLINE,)

        def process(self, stream: Any) -> Any:
            """All of them."""
            return stream

    return Lark(
        grammar(),
        parser="lalr",
        lexer="contextual",
        start=list(STARTS),
        postlex=Newlines(),
        maybe_placeholders=False,
        strict=strict,
    )


def compile_tables() -> Tables:
    """The tables of the grammar, by Lark."""
    lark: Any = build()  # Any: the parse table is not part of Lark's typed surface
    table = lark.parser.parser.parser.parse_table
    numbers = {state: i for i, state in enumerate(table.states)}
    rules: list[Rule] = []
    index: dict[Any, int] = {}
    actions: list[dict[str, int]] = []
    gotos: list[dict[str, int]] = []
    terminals = {t.name for t in lark.terminals} | {"$END"}
    for state in table.states:
        actions.append({})
        gotos.append({})
        for symbol, (action, target) in table.states[state].items():
            if symbol not in terminals:
                gotos[-1][symbol] = numbers[target]
            elif str(action) == "Shift":
                actions[-1][symbol] = numbers[target]
            else:
                if target not in index:
                    index[target] = len(rules)
                    rules.append(_rule(target))
                actions[-1][symbol] = ~index[target]
    order = sorted(lark.terminals, key=lambda t: (-t.priority, -t.pattern.max_width, -len(t.pattern.value), t.name))
    keywords, patterns, ignored = {}, [], []
    for terminal in order:
        pattern = terminal.pattern.to_regexp()
        word = _KEYWORD.match(pattern)
        if terminal.name in lark.ignore_tokens:
            ignored.append(pattern)
        elif word:
            keywords[word[1]] = terminal.name
        else:
            patterns.append((terminal.name, pattern))
    return Tables(
        actions=actions,
        gotos=gotos,
        rules=rules,
        starts={name: numbers[state] for name, state in table.start_states.items()},
        ends={name: numbers[state] for name, state in table.end_states.items()},
        keywords=keywords,
        patterns=patterns,
        ignored="|".join(ignored),
    )


def _rule(rule: Any) -> Rule:  # Any: lark.grammar.Rule, which is untyped inside
    keep = tuple(
        (i, not symbol.is_term and symbol.name.startswith("_"))
        for i, symbol in enumerate(rule.expansion)
        if not (symbol.is_term and symbol.filter_out)
    )
    name = rule.alias or rule.origin.name
    return Rule(
        origin=str(rule.origin.name),
        size=len(rule.expansion),
        keep=keep,
        callback=None if name.startswith("_") else str(name),
        single=bool(rule.options.expand1 and not rule.alias),
    )


# ------------------------------------------------------------------- the cache


@cache
def tables() -> Tables:
    """The tables of this process, from the cache if there is one."""
    path = cache_path()
    if path is not None:
        with suppress(Exception):  # one that is torn or of another kind is made anew
            return _unpack(marshal.loads(path.read_bytes()))  # noqa: S302 - plain data, checked by its use
    made = compile_tables()
    if path is not None:
        with suppress(OSError):  # no space, no right: the next process builds again
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, marshal.dumps(_pack(made)))
    return made


def _pack(made: Tables) -> tuple[Any, ...]:
    rules = [tuple(rule) for rule in made.rules]
    return (
        made.actions,
        made.gotos,
        rules,
        dict(made.starts),
        dict(made.ends),
        dict(made.keywords),
        made.patterns,
        made.ignored,
    )


def _unpack(data: tuple[Any, ...]) -> Tables:
    actions, gotos, rules, starts, ends, keywords, patterns, ignored = data
    return Tables(actions, gotos, [Rule(*rule) for rule in rules], starts, ends, keywords, patterns, ignored)


def _write(path: Path, content: bytes) -> None:
    """Put a file in place in one step, so that nobody reads half of it."""
    import tempfile

    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    written = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        written.replace(path)
    except BaseException:
        written.unlink(missing_ok=True)
        raise


def cache_path() -> Path | None:
    """Where the tables are kept; None where `MOBENCH_GRAMMAR_CACHE=off` or there is no home folder.

    The name holds all that the content depends on: mobench, Python and the grammar. Not Lark's version: the tables of
    a grammar without conflicts are the same from any, and asking for it costs 40 ms.
    """
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
    made_of = (__version__, str(sys.implementation.cache_tag), grammar())
    key = source_hash("\0".join(made_of).encode()).hex()  # Python's own key of a source text, at hand without hashlib
    return base / "mobench" / f"grammar-{__version__}-{key}.bin"
