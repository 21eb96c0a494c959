"""Properties of texts and trees: parse undoes unparse, the formatter keeps the meaning and every comment."""

from __future__ import annotations

import random
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from mobench_lang.source import Source
from mobench_lang.syntax import ast, parse, parse_expression
from mobench_lang.syntax.format import format_source
from mobench_lang.syntax.unparse import expression_text, file_text
from tests.syntax.trees import expressions, files, shape

relaxed = settings(deadline=None, max_examples=150)


def shapes(file: ast.File) -> object:
    return shape((file.edition, *file.items))


@relaxed
@given(expressions)
def test_an_expression_survives_its_text(made: ast.Expr) -> None:
    read, found = parse_expression(expression_text(made))
    assert not found
    assert shape(read) == shape(made)


@relaxed
@given(files)
def test_a_file_survives_its_text_and_its_style(made: ast.File) -> None:
    text = file_text(made)
    read, found = parse(Source("made", text))
    assert not found
    assert shapes(read) == shapes(made)
    styled, _ = format_source(Source("made", text))
    assert shapes(parse(Source("made", styled))[0]) == shapes(made)
    assert format_source(Source("made", styled))[0] == styled


@relaxed
@given(files, st.integers(0, 2**32))
def test_disorder_is_put_right_without_loss(made: ast.File, seed: int) -> None:
    text = disorder(file_text(made), random.Random(seed))
    before, found = parse(Source("made", text))
    assert not found
    styled, _ = format_source(Source("made", text))
    after, found = parse(Source("made", styled))
    assert not found
    assert shapes(after) == shapes(before) == shapes(made)
    assert [c.text.rstrip() for c in after.comments] == [c.text.rstrip() for c in before.comments]
    assert format_source(Source("made", styled))[0] == styled


def disorder(text: str, rng: random.Random) -> str:
    """The same tree with comments, blank lines, odd spaces and line breaks in lists."""
    out = []
    for line in text.split("\n"):
        strings = re.split(r'("(?:[^"\\]|\\.)*")', line)
        for i in range(0, len(strings), 2):
            strings[i] = re.sub(" ", lambda _: " " * rng.randint(1, 3), strings[i])
            strings[i] = re.sub(
                r"([\[(])", lambda m: m[1] + rng.choice(["", "", " ", "\n  ", " # in\n\n "]), strings[i]
            )
        comment = rng.choice(["", "", "", "  # said ", "#x"])
        out.append("".join(strings) + comment)
        if rng.random() < 0.3:
            out.append(rng.choice(["", "", "\n", "   # alone", "# left\n"]))
    return "\n".join(out)
