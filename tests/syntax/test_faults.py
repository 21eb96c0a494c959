"""Every wrong shape has its own story: code, place and whole rendering."""

from __future__ import annotations

from pathlib import Path

import pytest

from mobench_lang.diagnostics import Diagnostics
from mobench_lang.report.fixes import apply_fixes
from mobench_lang.report.text import render_text
from mobench_lang.source import Source
from mobench_lang.syntax import ast, parse
from tests.conftest import Golden

BENCH = "mobench 1\n\nbench b {{\n  model = tiny\n  {}\n  run {{ repeat = 3 }}\n}}\n"
TOP = "mobench 1\n\nlet one = 1\n{}\nlet two = 2\n"

# What is written, the code, and where: line.column of the text that BENCH or TOP makes of it.
IN_A_BENCH = [
    ("a == 3", "E0122", "5.5"),
    ("a := 3", "E0122", "5.5"),
    ("a => 3", "E0122", "5.5"),
    ("a 3", "E0121", "5.5"),
    ("a", "E0121", "5.4"),
    ("a [1]", "E0121", "5.5"),
    ("a: 3", "E0123", "5.4"),
    ("a:\n    - b", "E0123", "5.4"),
    ("a =", "E0126", "5.5"),
    ("a =\n    3", "E0126", "5.5"),
    ("a = then", "E0126", "5.7"),
    ("a = [1, , 2]", "E0126", "5.11"),
    ("a = 3;", "E0127", "5.8"),
    ("a = 'x'", "E0128", "5.7"),
    ("a = `x`", "E0128", "5.7"),
    ("a = “x”", "E0128", "5.7"),
    ('a = "x', "E0129", "5.7"),
    ("a = x && y", "E0130", "5.9"),
    ("a = x || y", "E0130", "5.9"),
    ("a = !x", "E0130", "5.7"),
    ("a = True", "E0131", "5.7"),
    ("a = None", "E0131", "5.7"),
    ("a = 1\n  + 2", "E0132", "6.3"),
    ("a = x\n  and y", "E0132", "6.3"),
    ("expect cv(x) < 5%\n    per device", "E0132", "6.5"),
    ("go { a = 1 b = 2 }", "E0133", "5.14"),
    ("a = [1 2]", "E0133", "5.10"),
    ("a = f(1 2)", "E0133", "5.11"),
    ("measure ttft itl", "E0133", "5.16"),
    ("expect p95(ttft) < 1s per device model", "E0133", "5.36"),
    ("a = 1 b = 2", "E0133", "5.9"),
    ("t in 1-8", "E0134", "5.8"),
    ("t in 1...8", "E0134", "5.9"),
    ("t in [x for x in xs if x > 1]", "E0135", "5.23"),
    ('"a" = 3', "E0136", "5.3"),
    ("t in = [3]", "E0137", "5.5"),
    ("t = in [3]", "E0137", "5.4"),
    ("a = 5m", "E0138", "5.7"),
    ("a = 30 s", "E0138", "5.7"),
    ("a = 40 °C", "E0138", "5.7"),
    ("a = 10 %", "E0138", "5.7"),
    ("a = 12 tok/s", "E0138", "5.7"),
    ("a = 4k", "E0138", "5.7"),
    ("a = 3 @ 4", "E0140", "5.9"),
    ("a\u00a0= 3", "E0140", "5.4"),
    ("- model", "E0141", "5.3"),
    ("expect 1ms < ttft < 5ms", "E0142", "5.21"),
    ("run fast { repeat = 5 }", "E0145", "5.7"),
    ("run extends other { repeat = 5 }", "E0145", "5.15"),
    (r'a = "\d"', "E0146", "5.8"),
    ('a = "${}"', "E0147", "5.8"),
    ('a = "${x"', "E0147", "5.8"),
    ('a = "${x +}"', "E0126", "5.12"),
    ("a = f(b = 1, 2)", "E0149", "5.16"),
    ("a = 1,", "E0150", "5.8"),
    ("a = 1, b = 2", "E0150", "5.8"),
    ("q in F16, Q8_0", "E0150", "5.8"),
    ("quants = F16, Q8_0, Q4_0", "E0150", "5.12"),
    ("matrix\n  {\n    t in [1]\n  }", "E0151", "6.3"),
    ("matrix # of threads\n\n  {\n    t in [1]\n  }", "E0151", "7.3"),
    ("matrix\n    t in [1]\n  }", "E0151", "5.3"),
    ("exclude a == b", "E0153", "5.11"),
    ("expect", "E0153", "5.9"),
    ("sample", "E0153", "5.9"),
    ("a = modèle", "E0154", "5.7"),
    ("a = 1 // one", "E0155", "5.9"),
    ("/* one */", "E0155", "5.3"),
    ("a = (1", "E0124", "5.7"),
    ("a = [1, (2]", "E0124", "5.11"),
    ("a = [1, 2)", "E0124", "5.12"),
    ("a = llama_cpp { threads = 4", "E0124", "5.17"),
    ("a = f(1))", "E0125", "5.11"),
    ("a = 3 }", "E0125", "5.9"),
    ("a = llama_cpp { threads 4 }", "E0121", "5.27"),
    ("a = llama_cpp { threads == 4 }", "E0122", "5.27"),
    ("a = f(b: 1)", "E0123", "5.10"),
    ("expect cv(x) = 5%", "E0122", "5.16"),
    ("a = x y", "E0120", "5.9"),
]
AT_THE_TOP = [
    ("a = 3", "E0143", "4.1"),
    ("measure ttft", "E0143", "4.1"),
    ("mobench 1", "E0112", "4.1"),
    ("model { a = 1 }", "E0144", "4.1"),
    ("let if = 3", "E0152", "4.5"),
    ("use std/models", "E0153", "4.5"),
    ('use "std/models"', "E0153", "4.17"),
    ("let a 3", "E0121", "4.7"),
    ("let 3 = a", "E0153", "4.5"),
    ("let a = 3 *", "E0126", "4.11"),
    ("}", "E0125", "4.1"),
    ("model m extends n\n{\n  params = 1\n}", "E0151", "5.1"),
    ("model m {", "E0124", "4.9"),
]


def places(found: Diagnostics) -> list[tuple[str, str]]:
    return [(d.code, f"{d.span.line}.{d.span.column}") for d in found]


@pytest.mark.parametrize(("written", "code", "at"), IN_A_BENCH)
def test_a_wrong_shape_in_a_bench(written: str, code: str, at: str) -> None:
    assert places(parse(Source("t", BENCH.format(written)))[1]) == [(code, at)]


@pytest.mark.parametrize(("written", "code", "at"), AT_THE_TOP)
def test_a_wrong_shape_at_the_top(written: str, code: str, at: str) -> None:
    assert places(parse(Source("t", TOP.format(written)))[1]) == [(code, at)]


def test_every_message_as_a_whole(golden: Golden) -> None:
    texts = [BENCH.format(w) for w, _, _ in IN_A_BENCH] + [TOP.format(w) for w, _, _ in AT_THE_TOP]
    golden("syntax/faults.txt", "\n".join(render_text(parse(Source("edge.bench", t))[1]) for t in texts))


@pytest.mark.parametrize(
    ("text", "code", "at"),
    [
        ("let a = 1\n", "E0110", "1.1"),
        ("# only a comment\n", "E0110", "1.1"),
        ("", "E0110", "1.1"),
        ("mobench\nlet a = 1\n", "E0110", "1.1"),
        ("mobench one\nlet a = 1\n", "E0110", "1.1"),
        ("1\nlet a = 1\n", "E0110", "1.1"),
        ("mobench 2\nlet a = 1\n", "E0111", "1.1"),
        ("mobench 2\nlet new <- syntax\n", "E0111", "1.1"),
        ("1 mobench\nlet a = 1\n", "E0110", "1.1"),
        ("mobench 0\nlet a = 1\n", "E0111", "1.1"),
    ],
)
def test_a_wrong_first_line(text: str, code: str, at: str) -> None:
    assert places(parse(Source("t", text))[1]) == [(code, at)]


def test_a_missing_edition_is_put_in_by_a_safe_fix() -> None:
    source = Source("t", "# mine\nlet a = 1\n")
    text, count = apply_fixes(source, parse(source)[1])
    assert (text, count) == ("mobench 1\n\n# mine\nlet a = 1\n", 1)
    assert not parse(Source("t", text))[1]


@pytest.mark.parametrize(("written", "code", "at"), IN_A_BENCH)
def test_every_safe_fix_is_a_cure(written: str, code: str, at: str) -> None:
    source = Source("t", BENCH.format(written))
    found = parse(source)[1]
    text, count = apply_fixes(source, found)
    if count:
        assert code not in {d.code for d in parse(Source("t", text))[1]}


FOUR_FAULTS = """\
mobench 1

use "std/models" { tiny }

let a =

model m {
  source == path("x.gguf")
}

bench b {
  model    = tiny
  engine   = llama_cpp { threads = 4
  device   = local
  workload = generate(prompt = 512, output = 128)
  run      { repeat = 3, repeat = 5 }
}
"""


def test_all_independent_faults_in_one_run_and_no_others() -> None:
    file, found = parse(Source("four_faults.bench", FOUR_FAULTS))
    assert places(found) == [("E0126", "5.7"), ("E0122", "8.10"), ("E0124", "13.24")]
    use, let, model, bench = file.items
    assert isinstance(use, ast.Use)
    assert isinstance(let, ast.Broken)
    assert let.name is not None
    assert let.name.text == "a"
    assert isinstance(model, ast.Block)
    assert [broken(s) for s in model.body] == ["source"]
    assert isinstance(bench, ast.Block)
    assert [broken(s) for s in bench.body] == [None, "engine", None, None, None]
    run = bench.body[-1]
    assert isinstance(run, ast.Block), "its duplicate `repeat` is for the checker"
    assert len(run.body) == 2


def broken(statement: ast.Stmt) -> str | None:
    return statement.name.text if isinstance(statement, ast.Broken) and statement.name else None


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('use "std/models" { a b }', ["a", "b"]),
        ('use "std/models" as', []),
        ("let x = *", ["x"]),
        ("model m { a = }", ["m"]),
        ("model m = { a = 1 }", ["m"]),
        ("x = 3", ["x"]),
    ],
)
def test_what_a_dropped_statement_would_have_named(text: str, names: list[str]) -> None:
    file, found = parse(Source("t", f"mobench 1\n{text}\n"))
    assert found
    named = [i.name.text for i in file.items if isinstance(i, ast.Broken | ast.Block) and i.name]
    assert named == names


def test_a_text_full_of_faults_is_not_answered_for_ever() -> None:
    found = parse(Source("t", "mobench 1\n" + "a b c\n" * 5000))[1]
    assert 0 < len(found) <= 101


def test_the_examples_of_the_language_have_no_faults(tmp_path: Path) -> None:
    from tests.syntax.examples import SPECS

    assert len(SPECS) >= 6
    assert [parse(spec)[1] for spec in SPECS] == [()] * len(SPECS)
