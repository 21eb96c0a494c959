"""The documents tell the truth: every spec in them passes, every table is that of the checker.

A fence ```` ```bench ```` is a whole file but for its first line; with `wrong CODE …` it yields exactly these codes,
with `file=NAME` it is a file that later examples use.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mobench_lang.check import check_source
from mobench_lang.check.reference import updated
from mobench_lang.source import Source
from mobench_lang.syntax.format import format_source
from tests.support.specs import shown

DOCS = Path(__file__).resolve().parents[2] / "docs"
FENCE = re.compile(r"^```bench([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", ["language.md", "tutorial.md", "coming-from-yaml.md"])
def test_every_spec_in_a_document_passes(name: str, tmp_path: Path) -> None:
    fences = [(m[1].split(), m[2]) for m in FENCE.finditer((DOCS / name).read_text("utf-8"))]
    assert fences
    for words, text in fences:
        whole = text if text.startswith("mobench ") else f"mobench 1\n\n{text}"
        assert format_source(Source("spec.bench", whole)) == (whole, ()), "not in the one style"
        file = next((w.removeprefix("file=") for w in words if w.startswith("file=")), "spec.bench")
        (tmp_path / file).write_text(whole, "utf-8")
        found = check_source(Source(file, whole, tmp_path / file)).diagnostics
        assert sorted(d.code for d in found) == sorted(words[1:] if "wrong" in words else []), text + shown(found)


def test_the_tables_of_the_reference_are_those_of_the_checker() -> None:
    text = (DOCS / "language.md").read_text("utf-8")
    assert updated(text) == text, "run `python -m mobench_lang.check.reference docs/language.md`"


def test_the_reference_names_everything() -> None:
    """Each block, attribute, metric and function stands in the reference."""
    from mobench_lang.check.functions import SIGNATURES
    from mobench_lang.check.schema import schema
    from mobench_lang.syntax.scan import KEYWORDS

    text = (DOCS / "language.md").read_text("utf-8")
    known = schema()
    names = {*known.blocks, *known.metrics, *known.bits, *KEYWORDS}
    names |= {k for block in known.blocks.values() if not block.reserved for k in block.attributes}
    assert not sorted(n for n in names if not re.search(rf"\b{re.escape(n)}\b", text))
    assert all(f"`{name}(" in text for name in SIGNATURES)
