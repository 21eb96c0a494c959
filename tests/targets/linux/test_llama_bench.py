"""`tool = llama_bench` on a virtual board: a program that is there, one that is not, and the board's own clock."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

FAKE = Path(__file__).resolve().parents[2] / "support" / "fake_llama_bench.py"
SPEC = f"""mobench 1

use "std/models" {{ tiny }}

device pi {{ target = linux, host = "pi.lan" }}

engine there extends llama_cpp {{ tool = llama_bench, program = "{FAKE}", threads = 2 }}
engine cut extends llama_cpp {{ tool = llama_bench, program = "{FAKE}", arguments = ["--fake", "cut"] }}
engine gone extends llama_cpp {{ tool = llama_bench, program = "/nowhere/llama-bench" }}

bench stocked {{
  matrix {{
    model    in [tiny]
    quant    in [F16]
    engine   in [there, cut, gone]
    device   in [pi]
    workload in [generate(prompt = 0, output = 8, depth = 32)]
  }}
  run {{ warmup = 1, repeat = 1 }}
  measure? decode_rate, soc_temp
}}
"""


def mobench(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mobench_lang.cli.main", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=180)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder in which the spec was measured, and what `exec` said."""
    folder = tmp_path_factory.mktemp("board")
    (folder / "stocked.bench").write_text(SPEC)
    compiled = mobench(folder, "compile")
    assert (compiled.returncode, compiled.stderr) == (0, "")
    done = mobench(folder, "exec", "--simulate", "pi=pi")
    assert done.returncode == 3, done.stderr
    return folder, done.stderr


@pytest.fixture(scope="module")
def measured(told: tuple[Path, str]) -> Path:
    return told[0]


@pytest.mark.parametrize(
    ("engine", "status", "reason", "detail"),
    [
        ("there", "ok", None, ""),
        ("cut", "failed", "engine_error", "output_truncated: row 1 is cut off"),
        ("gone", "failed", "engine_error", "tool_failed: llama-bench ended with exit status 127: "),
    ],
)
def test_what_becomes_of_a_launch(measured: Path, engine: str, status: str, reason: str | None, detail: str) -> None:
    with duckdb.connect(str(measured / "mobench.duckdb"), read_only=True) as database:
        [found] = database.execute(
            "SELECT t.status, t.reason, t.detail, t.attempt, m.value, m.method FROM trial t "
            "JOIN cell c USING (run_id, cell_id) JOIN metric m USING (run_id, trial_id) "
            "WHERE NOT t.warmup AND c.axes['engine'] = ? AND m.name = 'decode_rate'", [engine]
        ).fetchall()  # fmt: skip
    assert found[:2] == (status, reason)
    assert (found[2] or "").startswith(detail)
    assert found[3:] == (0, *((2000.0, "llama-bench's own clock") if status == "ok" else (None, None)))


def test_the_place_of_the_program_is_pinned(measured: Path) -> None:
    (header,) = (measured / "runs").glob("*/run.json")
    engines = json.loads(header.read_text())["engines"]
    (build,) = engines.values()
    assert next(iter(engines)).startswith("llama_cpp (llama_bench)@linux-")
    assert build.startswith(f"{FAKE} of the device; {FAKE} of the device, with --fake cut; /nowhere/llama-bench of the")


def test_the_shell_stands_in_for_the_runner_and_says_so(told: tuple[Path, str]) -> None:
    folder, said = told
    built = mobench(folder, "runner", "path", "linux-arm64+dotprod").returncode == 0
    (journal,) = (folder / "runs").glob("*/journal.jsonl")
    ends = [entry for entry in map(json.loads, journal.read_text().splitlines()) if entry["kind"] == "end"]
    assert len(ends) == 3
    assert {"by_shell" in end["flags"] for end in ends} == {not built}
    warned = "warning: the shell watches and samples llama-bench, twice a second: the runner for linux-arm64+dotprod "
    assert said.count(warned) == (0 if built else 1)


def test_by_hand_it_is_refused(measured: Path) -> None:
    done = mobench(measured, "stage", "build", "--device", "pi", "-o", "staged", "--platform", "linux-x86_64")
    assert done.returncode == 2
    assert "is measured by llama_bench; by hand only the measuring runner is used:" in done.stderr
    assert not (measured / "staged").exists()
