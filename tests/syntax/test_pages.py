"""Every page of the syntax is true: its wrong example gets the code, its right one is fine.

A fenced block ```` ```bench wrong ```` or ```` ```bench right ```` is one file; `mobench 1` is put in front where the
page is about something else. `<U+200B>` stands for the character itself, so that no page holds an invisible one.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mobench_lang.diagnostics import codes
from mobench_lang.source import Source
from mobench_lang.syntax import parse

PAGES = sorted((Path(__file__).parent.parent.parent / "docs" / "errors").glob("E01*.md"))
FENCE = re.compile(r"^```bench (wrong|right)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ABOUT_FILES = {"E0101", "E0102", "E0105", "E0107"}  # no text inside a page can show them; see test_text.py
ABOUT_EDITIONS = {"E0110", "E0111", "E0112"}


def examples(page: Path, which: str) -> list[str]:
    found = [m[2] for m in FENCE.finditer(page.read_text("utf-8")) if m[1] == which]
    texts = [re.sub(r"<U\+([0-9A-F]{4,6})>", lambda m: chr(int(m[1], 16)), text) for text in found]
    whole = page.stem in ABOUT_EDITIONS
    return [text if whole or text.startswith("mobench ") else f"mobench 1\n\n{text}" for text in texts]


def test_every_code_of_the_syntax_has_a_page() -> None:
    assert {c for c in codes() if c.startswith("E01")} == {page.stem for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_is_true(page: Path) -> None:
    code = page.stem
    assert page.read_text("utf-8").startswith(f"# {code}: {codes()[code]}\n")
    wrong, right = examples(page, "wrong"), examples(page, "right")
    assert (wrong and right) or code in ABOUT_FILES
    for text in wrong:
        assert {d.code for d in parse(Source("wrong.bench", text))[1]} == {code}, text
    for text in right:
        assert not parse(Source("right.bench", text))[1], text
