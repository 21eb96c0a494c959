"""`load`, `sql`, `status` and `export` as a person uses them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner, Result

from mobench_lang.cli import export, load, quick, sql, status
from mobench_lang.cli.main import main
from mobench_lang.ir import Aggregate
from mobench_lang.report.tables import render
from tests.support.folders import RunFolder, above, expectation


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one run of two cells, one of them with a failure, loaded."""
    claim = above(Aggregate(function="median", metric="decode_rate"), 60)
    made = RunFolder(tmp_path / "runs", "run-a", expectations=[expectation(claim, per=("quant",))])
    made.rates("c000", [10, 11])
    made.rates("c001", [20])
    made.launch("c001", 1, status="failed", reason="crashed")
    made.done()
    monkeypatch.chdir(tmp_path)
    assert call(load.command).exit_code == 0
    return tmp_path


def call(command: Any, *args: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(command, list(args), input=stdin)


def test_load_says_what_it_loaded_and_judges(work: Path) -> None:
    found = call(load.command, "run-a")
    assert (found.exit_code, found.output) == (0, "run-a: trials: 3 ok, 1 failed\n")
    assert json.loads(call(load.command, "--json", "runs/run-a").output) == [
        {"run_id": "run-a", "ok": 3, "failed": 1, "invalid": 0, "skipped": 0}
    ]
    answer = call(sql.command, "SELECT groups['quant'] AS q, status FROM verdict ORDER BY ALL", "--format", "jsonl")
    assert answer.output == '{"q": "Q4_0", "status": "fails"}\n{"q": "Q8_0", "status": "holds"}\n'


def test_the_demo_s_question(work: Path) -> None:
    question = "select quant, median(decode_rate) from results group by quant order by 1"
    assert call(sql.command, question, "--format", "csv").output == (
        "quant,median(decode_rate)\nQ4_0,50.0\nQ8_0,95.45454545454545\n"
    )


def test_formats(work: Path) -> None:
    question = "SELECT 'a|b' AS x, 1.5 AS y, NULL AS z"
    assert json.loads(call(sql.command, question, "--json").output) == [{"x": "a|b", "y": 1.5, "z": None}]
    assert call(sql.command, question, "--format", "md").output == "| x | y | z |\n|---|---:|---|\n| a\\|b | 1.5 |  |\n"
    table = call(sql.command, question).output.splitlines()
    assert table[0].split() == ["x", "y", "z"]
    assert table[2].split() == ["a|b", "1.5"]


def test_a_file_is_written_whole(work: Path) -> None:
    question = "SELECT quant FROM results ORDER BY ALL"
    assert call(sql.command, question, "--format", "csv", "-o", "out.csv").exit_code == 0
    assert (work / "out.csv").read_text() == "quant\nQ4_0\nQ8_0\nQ8_0\n"
    assert call(sql.command, question, "--format", "parquet", "-o", "it's.parquet").exit_code == 0
    with duckdb.connect() as connection:
        assert connection.execute("SELECT count(*) FROM read_parquet(?)", ["it's.parquet"]).fetchall() == [(3,)]
    before = (work / "it's.parquet").read_bytes()
    assert call(sql.command, "SELECT nonsense", "--format", "parquet", "-o", "it's.parquet").exit_code == 2
    assert (work / "it's.parquet").read_bytes() == before
    assert [p.name for p in work.iterdir() if p.name.startswith(".")] == []


def test_named_queries(work: Path) -> None:
    listed = json.loads(call(sql.command, "--list", "--format", "json").output)
    assert {"summary", "itl", "failures", "drift", "environment"} <= {q["name"] for q in listed}
    found = call(sql.command, "--named", "failures", "--json")
    assert json.loads(found.output)[0]["reason"] == "crashed"
    wrong = call(sql.command, "--named", "sumary")
    assert (wrong.exit_code, "did you mean summary?" in wrong.output) == (2, True)


def test_a_query_from_a_pipe(work: Path) -> None:
    assert call(sql.command, "--format", "csv", stdin="SELECT 1 AS a; SELECT 2 AS b").output == "a\n1\n\nb\n2\n"


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("SELECT * FROM nothing", "does not exist"),
        ("DROP TABLE run", "only reads"),
        ("SELECT * FROM read_csv('/etc/passwd')", "sees the database only"),
        ("", "no statement"),
    ],
)
def test_a_wrong_query_is_a_usage_error(work: Path, query: str, says: str) -> None:
    found = call(sql.command, query)
    assert found.exit_code == 2
    assert says in found.output
    assert "Traceback" not in found.output


def test_usage(work: Path) -> None:
    assert call(sql.command, "SELECT 1", "--named", "summary").exit_code == 2
    assert call(sql.command, "SELECT 1", "--format", "parquet").exit_code == 2
    assert call(sql.command, "SELECT 1", "--db", "none.duckdb").exit_code == 2
    assert call(load.command, "nope").exit_code == 2
    assert call(load.command, "--runs", "nowhere").exit_code == 2
    assert call(status.command, "nope").exit_code == 2
    assert call(export.command, "nope").exit_code == 2


def test_a_store_that_fails_ends_with_four(work: Path) -> None:
    (work / "text.duckdb").write_text("hello " * 3000)
    for command, args in ((sql.command, ["SELECT 1"]), (load.command, []), (export.command, [])):
        found = call(command, *args, "--db", "text.duckdb")
        assert (found.exit_code, "not a DuckDB database" in found.output) == (4, True)
    simulated = RunFolder(work / "other", "sim", simulated=True)
    found = call(load.command, str(simulated.path))
    assert (found.exit_code, "need a file of their own" in found.output) == (4, True)


def test_a_broken_run_folder_is_a_usage_error(work: Path) -> None:
    RunFolder(work / "runs", "run-b").launch()
    (work / "runs/run-a/plan/plan.json").write_text("{}")
    found = call(load.command)
    assert (found.exit_code, "not a plan of this version" in found.output) == (2, True)
    assert "run-b: trials: 1 ok" in found.output, "the others are loaded all the same"


def test_export_and_load_again(work: Path) -> None:
    assert call(export.command, "-o", "out").exit_code == 0
    assert json.loads(call(export.command, "-o", "out", "--json").output)["run"] == 1
    assert call(load.command, "out", "--db", "again.duckdb").output == "run-a: trials: 3 ok, 1 failed\n"
    question = ["SELECT * FROM results ORDER BY trial_id", "--format", "csv"]
    assert call(sql.command, *question, "--db", "again.duckdb").output == call(sql.command, *question).output


def test_status(work: Path) -> None:
    (found,) = json.loads(call(status.command, "--json").output)
    assert found | {"ok": 3, "failed": 1, "left": 2, "state": "complete", "reasons": {"crashed": 1}} == found
    assert call(status.command).output == call(status.command, "run-a").output
    assert "1× crashed" in call(status.command).output
    assert "no run" in call(status.command, "--runs", "nowhere").output
    assert call(status.command, "--runs", "nowhere", "--json").output == "[]\n"


def test_the_prompt(work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    said = iter(["SELECT quant", "FROM results ORDER BY ALL LIMIT 1;", "nonsense;", ".named", ".named runs", ".tables",
                 ".x", "", "SELECT * FROM range(300);", ".quit"])  # fmt: skip
    monkeypatch.setattr("builtins.input", lambda _: next(said))
    monkeypatch.setattr(sql, "_history", lambda: None)
    sql._prompt(Path("mobench.duckdb"), "csv")
    out, err = capsys.readouterr()
    assert "quant\nQ4_0\n" in out
    assert "100 more rows" in out
    assert "slowest_tokens" in out
    assert "run-a,demo" in out
    assert err.startswith("error: Parser Error")
    assert list(said) == []


def test_the_prompt_ends_with_the_input(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([KeyboardInterrupt, EOFError])

    def read(_: str) -> str:
        raise next(answers)

    monkeypatch.setattr("builtins.input", read)
    monkeypatch.setattr(sql, "_history", lambda: None)
    sql._prompt(Path("mobench.duckdb"), "table")


HOSTILE = [
    "a|b",
    "new\nline",
    "\x1b[31mred",
    "[bold]x[/bold]",
    'quo"te,',
    "\\",
    "",
    "ünï",
    None,
    {"k": "v|"},
    [1, None],
    b"\xff",
]


def test_cells_never_change_the_shape() -> None:
    columns, rows = ("x|y", "n"), [(v, float(i)) for i, v in enumerate(HOSTILE)]
    found = list(csv.reader(io.StringIO(render(columns, rows, "csv"))))
    assert [r[0] for r in found[1:8]] == HOSTILE[:7]
    assert len(found) == len(rows) + 1
    assert len(render(columns, rows, "md").splitlines()) == len(rows) + 2
    assert len(render(columns, rows, "table").splitlines()) == len(rows) + 2
    for form in ("md", "table"):
        assert "\x1b" not in render(columns, rows, form)  # type: ignore[arg-type]
    assert "[bold]x[/bold]" in render(columns, rows, "table")
    assert [json.loads(x)["n"] for x in render(columns, rows, "jsonl").splitlines()] == [r[1] for r in rows]
    assert json.loads(render(("a", "a"), [(1, 2)], "json")) == [{"a": 1, "a_2": 2}]
    assert json.loads(render(("a",), [(float("nan"),)], "json")) == [{"a": None}]


def test_rows_that_a_terminal_is_too_narrow_for_stand_one_below_the_other() -> None:
    columns, rows = ("name", "", "long", "empty"), [("a", 1, "x" * 30, None), ("b", None, "y", None)]
    assert render(columns, rows, "table", 60).splitlines()[0].split() == ["name", "long", "empty"]
    assert render(columns, rows, "table", 30) == (
        f"── 1 of 2\n name   a\n        1\n long   {'x' * 30}\n── 2 of 2\n name   b\n long   y\n"
    )
    assert render(columns, [], "table", 20) == "no rows\n"


def test_an_answer_is_not_written_where_no_folder_is(work: Path) -> None:
    found = call(sql.command, "SELECT 1", "-o", "nowhere/x.csv")
    assert found.exit_code == 2
    assert "cannot write nowhere/x.csv" in found.output


def test_an_interrupt_is_not_the_status_of_a_failed_expectation(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sql, "_once", interrupted)
    assert call(main, "sql", "SELECT 1").exit_code == 130


def test_quick_refuses_what_is_no_gguf_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.gguf").write_text("<html>")
    found = call(quick.command, "x.gguf")
    assert (found.exit_code, "x.gguf is not a GGUF file" in found.output) == (2, True)
    assert not Path("runs").exists()


def test_a_build_that_is_older_than_its_spec_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(main, "new", "day").exit_code == 0
    assert call(main, "compile").exit_code == 0
    assert call(main, "exec", "--dry-run").output == "a new run: 15 launches to go\n"
    spec = Path("day.bench")
    spec.write_text(spec.read_text().replace("repeat = 5", "repeat = 6"))
    assert call(main, "exec", "--dry-run").output == (
        "note: day.bench has changed since build was compiled; `mobench compile` takes it over\n"
        "a new run: 15 launches to go\n"
    )
