"""A first day with mobench, through the command line: the embedded model, the real engine, this machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

ROOT = Path(__file__).resolve().parents[2]
SMALL = """mobench 1

use "std/models" { tiny }

bench small {
  model = tiny
  matrix {
    quant    in [F16, Q8_0]
    engine   in [llama_cpp { threads = 1 }]
    device   in [local]
    workload in [generate(prompt = 16, output = 8)]
  }
  run { warmup = 1, repeat = 2 }
  measure load_time, ttft, prefill_rate, decode_rate, itl, peak_memory
  expect median(decode_rate) > 0.001tok/s  per quant
  warn   median(ttft) < 1ns                per quant
}
"""


def mobench(*args: str, cwd: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mobench_lang.cli.main", *args]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, input=stdin, check=False, timeout=300)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a small spec was compiled and executed."""
    folder = tmp_path_factory.mktemp("day")
    (folder / "small.bench").write_text(SMALL)
    compiled = mobench("compile", cwd=folder)
    assert (compiled.returncode, compiled.stderr) == (0, "")
    assert compiled.stdout.startswith("build: small, 2 cells, sha256:")
    done = mobench("exec", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("holds") == 2
    assert done.stdout.count("fails (warn)") == 2
    return folder


def test_the_database_opens_in_plain_duckdb(measured: Path) -> None:
    with duckdb.connect(str(measured / "mobench.duckdb"), read_only=True) as connection:
        rows = connection.execute(
            "select quant, median(decode_rate) from results group by quant order by quant"
        ).fetchall()
        assert [r[0] for r in rows] == ["F16", "Q8_0"]
        assert all(r[1] > 0 for r in rows)
        again = connection.execute("""
            SELECT r.trial_id, r.decode_rate, (count(*) - 1) * 1e9 / (max(t.t_ns) - min(t.t_ns))
            FROM results r JOIN token t USING (run_id, trial_id) GROUP BY ALL
        """).fetchall()
    assert len(again) == 4
    assert all(stored == pytest.approx(computed, rel=1e-9) for _, stored, computed in again)


def test_a_finished_run_is_not_run_again(measured: Path) -> None:
    done = mobench("exec", "--json", cwd=measured)
    found = json.loads(done.stdout)
    assert done.returncode == 0
    assert "is complete; --fresh to repeat" in done.stderr
    assert (found["counts"], found["pending"]) == ({"ok": 4}, 0)
    assert len(list((measured / "runs").glob("small-*"))) == 1


def test_more_repetitions_keep_what_is_done(measured: Path, tmp_path: Path) -> None:
    (measured / "more.bench").write_text(SMALL.replace("repeat = 2", "repeat = 3"))
    planned = mobench("exec", "more.bench", "--dry-run", "--json", cwd=measured)
    assert json.loads(planned.stdout)["pending"] == 2
    only = mobench("exec", "more.bench", "--dry-run", "--json", "--only", "quant == Q8_0", cwd=measured)
    assert json.loads(only.stdout)["pending"] == 1
    wrong = mobench("exec", "more.bench", "--only", "quant == Q9_9", cwd=measured)
    assert wrong.returncode == 2
    assert "error[E0305]" in wrong.stderr
    (measured / "more.bench").unlink()


def test_the_database_is_made_anew_from_the_run(measured: Path, tmp_path: Path) -> None:
    loaded = mobench("load", "--db", str(tmp_path / "again.duckdb"), cwd=measured)
    assert loaded.returncode == 0, loaded.stderr
    query = "select quant, rep, decode_rate from results order by all"
    asked = [
        mobench("sql", query, "--format", "csv", "--db", db, cwd=measured).stdout
        for db in ("mobench.duckdb", str(tmp_path / "again.duckdb"))
    ]
    assert asked[0] == asked[1] != ""


def test_status_and_export(measured: Path, tmp_path: Path) -> None:
    (standing,) = json.loads(mobench("status", "--json", cwd=measured).stdout)
    assert (standing["ok"], standing["left"]) == (4, 0)
    exported = mobench("export", "-o", str(tmp_path / "out"), cwd=measured)
    assert exported.returncode == 0, exported.stderr
    assert (tmp_path / "out" / "token.parquet").is_file()


def test_a_broken_expectation_is_status_1(measured: Path) -> None:
    (measured / "strict.bench").write_text(SMALL.replace("> 0.001tok/s", "< 0.001tok/s"))
    assert mobench("exec", "strict.bench", cwd=measured).returncode == 1
    assert mobench("exec", "strict.bench", "--gate", "off", cwd=measured).returncode == 0
    (measured / "strict.bench").unlink()


def test_quick(tmp_path: Path) -> None:
    model = ROOT / "specs" / "std" / "tiny" / "tiny-f16.gguf"
    done = mobench("quick", str(model), "-p", "16", "-n", "8", "-r", "2", "-t", "1", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    prefill, decode = json.loads(done.stdout)
    assert prefill["prefill tok/s"] > 0
    assert decode["decode tok/s"] > 0
    missing = mobench("quick", "nothing.gguf", cwd=tmp_path)
    assert (missing.returncode, missing.stdout) == (2, "")


def test_new_writes_a_spec_without_faults(tmp_path: Path) -> None:
    assert mobench("new", "mine", cwd=tmp_path).returncode == 0
    assert mobench("check", "mine.bench", cwd=tmp_path).stdout == "no faults\n"
    assert mobench("fmt", "--check", "mine.bench", cwd=tmp_path).returncode == 0
    again = mobench("new", "mine", cwd=tmp_path)
    assert (again.returncode, "--force" in again.stderr) == (2, True)
    assert mobench("new", "not a name", cwd=tmp_path).returncode == 2


def test_plan_diff_and_explain(tmp_path: Path) -> None:
    (tmp_path / "a.bench").write_text(SMALL)
    (tmp_path / "b.bench").write_text(SMALL.replace("[F16, Q8_0]", "[Q8_0, Q4_0]").replace("repeat = 2", "repeat = 4"))
    planned = json.loads(mobench("plan", "a.bench", "--json", cwd=tmp_path).stdout)
    assert (planned["cells"], planned["skipped"], planned["launches"]) == (2, [], 4)
    assert planned["digest"].startswith("sha256:")
    found = json.loads(mobench("diff", "a.bench", "b.bench", "--json", cwd=tmp_path).stdout)
    assert (len(found["cells_removed"]), len(found["cells_added"]), found["cells_kept"]) == (1, 1, 1)
    assert found["changed"]["run.repeat"] == [2, 4]
    assert mobench("diff", "a.bench", "a.bench", cwd=tmp_path).stdout == "no difference\n"
    assert "a.bench:13:21" in mobench("explain", "run.repeat", "a.bench", cwd=tmp_path).stdout
    assert mobench("explain", "E0312", cwd=tmp_path).stdout.startswith("# E0312")
    assert mobench("explain", "run.repaet", "a.bench", cwd=tmp_path).returncode == 2


def test_check_fixes_what_is_safe(tmp_path: Path) -> None:
    (tmp_path / "a.bench").write_text(SMALL.replace("model = tiny\n", "model == tiny\n"))
    assert mobench("check", "a.bench", cwd=tmp_path).returncode == 2
    assert mobench("check", "--fix", "a.bench", cwd=tmp_path).returncode == 0
    assert (tmp_path / "a.bench").read_text() == SMALL
    piped = mobench("check", "-", "--json", cwd=tmp_path, stdin=SMALL.replace("repeat = 2", "repeat = 0"))
    assert [d["code"] for d in json.loads(piped.stdout)] == ["E0315"]


def test_a_folder_that_is_no_build_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a.bench").write_text(SMALL)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep me")
    refused = mobench("compile", "a.bench", "-o", "mine", cwd=tmp_path)
    assert (refused.returncode, "holds other files" in refused.stderr) == (2, True)
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_devices_and_doctor(tmp_path: Path) -> None:
    (here,) = [d for d in json.loads(mobench("devices", "--json", cwd=tmp_path).stdout) if d["name"] == "local"]
    assert here["target"] == "local"
    found = json.loads(mobench("doctor", "local", "--json", cwd=tmp_path).stdout)
    assert {f["about"] for f in found["local"]} >= {"machine", "load", "disk"}
    assert mobench("doctor", "nothing", cwd=tmp_path).returncode == 2


def test_usage(tmp_path: Path) -> None:
    for args in (("chek",), ("compile",), ("exec", "nowhere"), ("sql", "select 1", "--db", "none.duckdb")):
        done = mobench(*args, cwd=tmp_path)
        assert done.returncode == 2, (args, done.stderr)
        assert "Traceback" not in done.stderr
    assert "Did you mean check" in mobench("chek", cwd=tmp_path).stderr
