"""No text makes the parser raise, and every diagnostic lies inside its text and can be shown."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from mobench_lang.diagnostics import Diagnostics
from mobench_lang.report.fixes import apply_fixes
from mobench_lang.report.text import render_text
from mobench_lang.source import Source
from mobench_lang.syntax import parse, parse_expression
from mobench_lang.syntax.format import format_source
from tests.syntax.examples import spec

PIECES = [
    *[
        "mobench",
        "use",
        "let",
        "extends",
        "exclude",
        "include",
        "sample",
        "pairwise",
        "seed",
        "measure",
        "expect",
        "warn",
        "where",
        "because",
        "per",
        "if",
        "then",
    ],
    *[
        "else",
        "for",
        "in",
        "and",
        "or",
        "not",
        "true",
        "false",
        "null",
        "as",
        "bench",
        "matrix",
        "run",
        "a",
        "b",
        "c",
        "tiny",
        "model",
        "True",
    ],
    *[
        "=",
        "==",
        "!=",
        "<",
        "<=",
        ">",
        ">=",
        "+",
        "-",
        "*",
        "/",
        "..",
        "...",
        ":",
        ",",
        ".",
        "?",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ";",
        "!",
        "&&",
        "||",
        ":=",
        "=>",
        "~",
        "@",
        "$",
        "°",
        "é",
        "“",
        "'",
        '"',
        "\\",
        "#",
        "//",
        "/*",
        "*/",
    ],
    *[
        "1",
        "5m",
        "30s",
        "2x",
        "1.5",
        "4K",
        "°C",
        '"x"',
        '"${a}"',
        '"${',
        "}",
        "\n",
        "\n",
        "\n  ",
        "\n    ",
        " ",
        "\t",
        "\r",
    ],
    *["mobench 1\n", "bench b {\n", "  a = 1\n", "}\n", "\u200b", "\u202e", "\x00", "\ufeff", "\u00a0", "🎉"],
]
soup = st.lists(st.sampled_from(PIECES), max_size=60).map(" ".join) | st.lists(
    st.sampled_from(PIECES), max_size=60
).map("".join)
RICH = spec("rich").text


def check(source: Source, found: Diagnostics) -> None:
    for d in found:
        for span in (d.span, *(label.span for label in d.labels), *(e.span for f in d.fixes for e in f.edits)):
            assert 0 <= span.start <= span.end <= len(source.text)
    render_text(found)
    apply_fixes(source, found)


@settings(deadline=None, max_examples=300)
@given(soup | st.text(max_size=80))
def test_any_text(text: str) -> None:
    source = Source("t", "mobench 1\n" + text)
    check(source, parse(source)[1])
    styled, found = format_source(source)
    if not found:
        assert not parse(Source("t", styled))[1]
    value, found = parse_expression(text)
    assert value is not None or found


@settings(deadline=None, max_examples=100)
@given(st.integers(0, len(RICH)), st.integers(0, 60), soup)
def test_a_spec_with_a_hole(begin: int, length: int, text: str) -> None:
    source = Source("t", RICH[:begin] + text + RICH[begin + length :])
    check(source, parse(source)[1])
