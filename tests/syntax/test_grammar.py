"""The grammar itself: free of conflicts, read alike by Lark's parser and by ours, kept in a cache that cannot hurt."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from mobench_lang.source import Source
from mobench_lang.syntax import ast, parse, parser
from mobench_lang.syntax.build import Builder
from mobench_lang.syntax.lalr import OPEN_ENDED, Stuck, Tok
from mobench_lang.syntax.scan import KEYWORDS, UNITS, Kind, scan
from mobench_lang.syntax.unparse import file_text
from tests.syntax.examples import SPECS, spec
from tests.syntax.mutate import mutants
from tests.syntax.trees import files, shape

relaxed = settings(deadline=None, max_examples=60)


def test_the_grammar_has_no_conflicts() -> None:
    pytest.importorskip("interegular")
    parser.build(strict=True)


def expression(builder: Builder, begin: int, end: int) -> Any:
    return parser.parse_range(builder.source, builder, "expression", begin, end)


class Opinion:
    """Lark's own parser with our builder's methods and our newline pass: the automaton must agree with it."""

    always_accept = ("_NL",)
    builder: Builder

    def __getattr__(self, rule: str) -> Any:
        method = getattr(Builder, rule)
        return lambda children: method(self.builder, [self.token(c) for c in children])

    @staticmethod
    def token(child: Any) -> Any:
        return Tok(child.type, str(child), child.start_pos, child.end_pos) if hasattr(child, "start_pos") else child

    @staticmethod
    def process(stream: Any) -> Any:
        brackets, before = [], ""
        for token in stream:
            if token.type == "_NL" and (before in OPEN_ENDED or (brackets and brackets[-1] != "LBRACE")):
                continue
            if token.type in ("LPAR", "LSQB", "LBRACE"):
                brackets.append(token.type)
            elif token.type in ("RPAR", "RSQB", "RBRACE"):
                brackets.pop()
            before = token.type
            yield token

    @cached_property
    def lark(self) -> Any:
        from lark import Lark

        return Lark(
            parser.grammar(), parser="lalr", start=["file"], postlex=self, transformer=self, maybe_placeholders=False
        )

    def read(self, source: Source) -> Any:
        self.builder = Builder(source, expression)
        return self.lark.parse(source.text)


OPINION = Opinion()


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: s.name)
def test_our_automaton_reads_what_lark_reads(spec: Source) -> None:
    file, found = parse(spec)
    assert not found
    assert shape(OPINION.read(spec)) == shape((file.edition, file.items))


@relaxed
@given(files)
def test_our_automaton_reads_any_file_as_lark_does(made: ast.File) -> None:
    source = Source("made", file_text(made))
    file, _ = parse(source)
    assert shape(OPINION.read(source)) == shape((file.edition, file.items))


def test_what_lark_refuses_we_refuse() -> None:
    """Lark's contextual lexer splits a few more words than ours, never fewer; so ours must refuse what Lark does."""
    from lark.exceptions import LarkError

    for mutant in islice(mutants(spec("rich"), seed=5), 0, None, 3):
        source = Source("mutant", mutant.text)
        try:
            OPINION.read(source)
        except (LarkError, Stuck, IndexError):
            assert parse(source)[1], mutant.deed


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: s.name)
def test_the_scanner_and_the_grammar_agree_on_tokens(spec: Source) -> None:
    tables = parser.tables()
    ours = [t for t in scan(spec.text) if t.kind not in (Kind.NEWLINE, Kind.COMMENT)]
    for token in ours:
        found = tables.token.match(spec.text, token.start)
        assert found is not None
        assert found.end() == token.end, token


def test_the_scanner_knows_the_words_and_units_of_the_grammar() -> None:
    assert set(parser.tables().keywords) == KEYWORDS | {"as"}
    quantity = dict(parser.tables().patterns)["QUANTITY"]
    for unit in UNITS:
        assert parser.tables().token.fullmatch(f"7{unit}"), unit
        assert unit.replace("/", r"\/") in quantity or unit in quantity


def test_a_token_is_refused_at_its_place_with_what_was_wanted() -> None:
    source = Source("t", "mobench 1\nlet a 3\n")
    with pytest.raises(Stuck) as stuck:
        parser.parse_range(source, Builder(source, expression), "file", 0, len(source.text))
    assert (stuck.value.start, stuck.value.end, stuck.value.wanted) == (16, 17, {"EQUAL"})


PROGRAM = """
import sys
from mobench_lang.source import Source
from mobench_lang.syntax import parse
assert not parse(Source("t", "mobench 1\\nlet a = 1\\n"))[1]
print("lark" in sys.modules)
"""


def run(cache: str, **more: str) -> str:
    environment = {**os.environ, "XDG_CACHE_HOME": cache, "MOBENCH_GRAMMAR_CACHE": "on", **more}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.strip()


@pytest.mark.skipif(sys.platform != "linux", reason="the cache folder is chosen by a Linux variable")
def test_the_second_process_needs_no_lark(tmp_path: Path) -> None:
    assert run(str(tmp_path)) == "True"
    (cached,) = (tmp_path / "mobench").iterdir()
    assert run(str(tmp_path)) == "False"
    cached.write_bytes(cached.read_bytes()[:1000])
    assert run(str(tmp_path)) == "True", "a torn cache is made anew"
    assert run(str(tmp_path)) == "False"


@pytest.mark.skipif(sys.platform != "linux", reason="the cache folder is chosen by a Linux variable")
def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert run(str(tmp_path / "file")) == "True"
    assert run(str(tmp_path), MOBENCH_GRAMMAR_CACHE="off") == "True"
    assert not (tmp_path / "mobench").exists()
