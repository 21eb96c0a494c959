"""Every page of what the checker says is true: its wrong example yields its code, its right one does not.

A fence ```` ```bench wrong ```` or ```` ```bench right ```` is one file, `wrong.bench` or `right.bench`; `mobench 1` is
put in front where it is not written. A fence with `file=NAME` is a file beside them. `locked` stands for `--locked`,
`compile` for a verb that needs a bench; `skip` marks an example that needs a pack which is not installed here.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mobench_lang.check import check_source
from mobench_lang.cli.specs import STRICT, _locked
from mobench_lang.diagnostics import Diagnostics, codes
from mobench_lang.source import Source

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(p for p in (ROOT / "docs" / "errors").glob("*.md") if not p.stem.startswith("E01"))
FENCE = re.compile(r"^```\w+ ([^\n]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# No text alone shows these; where they are tested instead.
ELSEWHERE = {
    "E0205": "test_imports.py",
    "E0206": "test_imports.py",
    "E0506": "test_feasible.py",
    "E0601": "test_feasible.py",
    "E0602": "test_feasible.py",
    "E0614": "../lock/test_damaged.py",
    "E0804": "test_feasible.py",
}


def said(text: str, name: str, folder: Path, words: list[str]) -> Diagnostics:
    """What is said about one example."""
    whole = text if text.startswith("mobench ") else f"mobench 1\n\n{text}"
    path = folder / f"{name}.bench"
    path.write_text(whole, "utf-8")
    found = check_source(Source(path.name, whole, path), folder, need_bench="compile" in words).diagnostics
    return _locked(found) if "locked" in words else found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_is_true(page: Path, tmp_path: Path) -> None:
    code = page.stem
    text = page.read_text("utf-8")
    assert text.startswith(f"# {code}: {codes()[code]}\n\n")
    fences = [(m[1].split(), m[2]) for m in FENCE.finditer(text)]
    for words, content in fences:
        if words[0].startswith("file="):
            (tmp_path / words[0].removeprefix("file=")).write_text(content, "utf-8")
    shown = set()
    for words, content in fences:
        if words[0].startswith("file=") or "skip" in words:
            continue
        found = said(content, words[0], tmp_path, words[1:])
        shown.add(words[0])
        if words[0] == "wrong":
            assert {d.code for d in found} == {code}, content
            assert all(d.helps or d.fixes for d in found), "it does not say what to change"
        else:
            assert not found, content
    assert shown == {"wrong", "right"} or code in ELSEWHERE


def used() -> set[str]:
    """The codes that the modules of wording use, and those that `--locked` makes."""
    found = set(STRICT.values())
    folder = ROOT / "mobench_lang"
    for module in (*folder.glob("**/messages.py"), *folder.glob("**/messages/*.py")):
        found |= set(re.findall(r'"([EW]\d{4})"', module.read_text("utf-8")))
    return found


def test_codes_titles_and_pages_are_the_same_set() -> None:
    pages = {p.stem for p in (ROOT / "docs" / "errors").glob("*.md")}
    assert used() == set(codes()) == pages


def test_every_page_is_named_in_order() -> None:
    assert list(codes()) == sorted(codes(), key=lambda code: code[1:])
