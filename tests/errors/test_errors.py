"""What newcomers get wrong, and the whole text they read then.

Each `NAME.bench` beside this file has a golden `tests/golden/errors/NAME.txt`: what `mobench check` prints. Every
error says where, what, and what to change.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from mobench_lang.check import check_source
from mobench_lang.diagnostics import Diagnostics
from mobench_lang.report import render
from mobench_lang.syntax import read
from tests.conftest import Golden

HERE = Path(__file__).parent
MISTAKES = sorted(HERE.glob("*.bench"))
SHARED = HERE.parent / "specs" / "errors"


def found_in(path: Path) -> Diagnostics:
    """What is said about a file, by its name alone."""
    source = read(path, name=path.name)
    assert not isinstance(source, tuple)
    return check_source(source, path.parent).diagnostics


@pytest.mark.parametrize("path", MISTAKES, ids=lambda p: p.stem)
def test_mistake(path: Path, golden: Golden) -> None:
    golden(f"errors/{path.stem}.txt", render(found_in(path), "text"))


@pytest.mark.parametrize("path", MISTAKES, ids=lambda p: p.stem)
def test_each_error_says_what_to_change(path: Path) -> None:
    found = found_in(path)
    assert found
    mute = [d.code for d in found if not (d.helps or d.fixes)]
    assert set(mute) <= {"E0124", "E0126"}  # their marks show where the missing brace or value belongs


@pytest.mark.parametrize(
    ("name", "lines"), [("unknown_name", [7]), ("units", [10, 11, 12]), ("four_faults", [5, 8, 13, 16])]
)
def test_exactly_the_faulty_lines_are_named(name: str, lines: list[int]) -> None:
    assert [d.span.line for d in found_in(SHARED / f"{name}.bench")] == lines


def test_there_are_enough_of_them() -> None:
    assert len(MISTAKES) >= 25
