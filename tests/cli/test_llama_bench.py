"""`tool = llama_bench` from the spec to the table: a stand-in for the program, and the real one where it is built."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

FAKE = Path(__file__).resolve().parents[1] / "support" / "fake_llama_bench.py"
SPEC = """mobench 1

use "std/models" {{ tiny }}

engine stock extends llama_cpp {{
  tool = llama_bench
{settings}
}}

bench stocked {{
  matrix {{
    model    in [tiny]
    quant    in [F16]
    engine   in [stock]
    device   in [local]
    workload in [{workloads}]
  }}
  run {{ {run} }}
  measure? prefill_rate, decode_rate, ttft, peak_memory, cpu_util
}}
"""
BOTH = "generate(prompt = 64, output = 0), generate(prompt = 0, output = 8, depth = 32)"


CACHE = {name: value for name, value in os.environ.items() if name == "MOBENCH_CACHE"}
"""Where programs were built, as it was before tests of the engine took a cache of their own."""


def mobench(*args: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mobench_lang.cli.main", *args]
    env = {k: v for k, v in os.environ.items() if k != "MOBENCH_CACHE"} | CACHE | more
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=300, env=env)


def settings(program: Path | str | None = FAKE, **values: str) -> str:
    lines = [] if program is None else [f'  program = "{program}"']
    return "\n".join([*lines, *(f"  {key} = {value}" for key, value in values.items())])


def measured(
    folder: Path, how: str, *, workloads: str = BOTH, run: str = "warmup = 1, repeat = 2"
) -> subprocess.CompletedProcess[str]:
    """Compile and execute a spec; what `exec` said."""
    (folder / "stocked.bench").write_text(SPEC.format(settings=how, workloads=workloads, run=run))
    compiled = mobench("compile", cwd=folder)
    assert (compiled.returncode, compiled.stderr) == (0, "")
    return mobench("exec", cwd=folder)


def rows(folder: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(folder / "mobench.duckdb"), read_only=True) as connection:
        return connection.execute(query).fetchall()


@pytest.fixture(scope="module")
def stocked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stocked")
    how = settings(threads="2", batch="256", flash_attention="off", type_k="q8_0", gpu_layers="0")
    done = measured(folder, how)
    assert done.returncode == 0, done.stderr
    return folder


def test_its_rates_become_metrics(stocked: Path) -> None:
    # Repetition 0 is the warm-up at 1000 tok/s, repetition 1 the measured one at 2000.
    found = rows(stocked, "SELECT DISTINCT prefill_rate, decode_rate FROM results ORDER BY ALL")
    assert found == [(2000.0, None), (None, 2000.0)]
    warm = rows(stocked, "SELECT m.value FROM metric m JOIN trial t USING (run_id, trial_id) "
                         "WHERE t.warmup AND m.value IS NOT NULL")  # fmt: skip
    assert warm == [(1000.0,)] * 4


def test_what_it_does_not_tell_is_absent_with_a_reason(stocked: Path) -> None:
    found = rows(stocked, "SELECT DISTINCT name, value, reason FROM metric WHERE value IS NULL ORDER BY name, reason")
    assert found == [
        ("cpu_util", None, "window_unknown"), ("decode_rate", None, "not_applicable"),
        ("peak_memory", None, "not_delivered"), ("prefill_rate", None, "not_applicable"),
        ("ttft", None, "not_delivered"),
    ]  # fmt: skip
    for table in ("phase", "token", "memory"):
        assert rows(stocked, f"SELECT count(*) FROM {table}") == [(0,)]
    assert rows(stocked, "SELECT DISTINCT start_ns, end_ns, cpu_ns FROM trial") == [(None, None, None)]


def test_the_samples_of_its_launch_are_kept(stocked: Path) -> None:
    assert rows(stocked, "SELECT count(*) > 0 FROM sample WHERE channel = 'rss'") == [(True,)]


def test_its_columns_are_kept(stocked: Path) -> None:
    query = """SELECT used->'columns'->>'build_commit', (used->'columns'->>'n_threads')::INT,
               used->'columns'->>'warmed_up', used->'columns'->>'load_mode', used->>'build', used->>'backend'
               FROM trial WHERE NOT warmup"""
    told = ("0c0ffee1", 2, "true", None, "llama-bench of llama.cpp 0c0ffee1 (b9123)", "cpu")
    assert rows(stocked, query) == [told] * 4


def test_the_view_of_that_tool(stocked: Path) -> None:
    query = """SELECT build_commit, build_number, cpu_info, gpu_info, backends, n_batch, type_k, flash_attn, use_mmap,
               n_prompt, n_gen, n_depth, avg_ts, len(samples_ns), tool FROM llama_bench ORDER BY n_prompt"""
    same = ("0c0ffee1", 9123, "Fake CPU", "", "CPU", 256, "q8_0", "off", True)
    assert rows(stocked, query) == [
        (*same, 0, 8, 32, 2000.0, 2, "llama-bench"), (*same, 64, 0, 0, 2000.0, 2, "llama-bench"),
    ]  # fmt: skip


def test_the_raw_output_lies_beside_the_events(stocked: Path) -> None:
    (folder, *_) = sorted((stocked / "runs").glob("*/trials/local/*/r0a0"))
    (row,) = json.loads((folder / "output.txt").read_text())
    assert row["cpu_info"] == "Fake CPU"
    assert (folder / "stderr.log").read_text() == "fake: done\n"
    kinds = [json.loads(line)["e"] for line in (folder / "events.jsonl").read_text().splitlines()]
    assert kinds == ["told", "timed", "timed", "end"]


def test_the_database_can_be_made_again(stocked: Path) -> None:
    before = rows(stocked, "FROM results ORDER BY trial_id")
    assert mobench("load", cwd=stocked).returncode == 0
    assert rows(stocked, "FROM results ORDER BY trial_id") == before


def test_a_run_pins_the_program(stocked: Path) -> None:
    (header,) = (stocked / "runs").glob("*/run.json")
    (name,) = (engines := json.loads(header.read_text())["engines"])
    assert name == "llama_cpp (llama_bench)@host"
    assert engines[name].startswith(f"{FAKE}, sha256:")


def test_one_process_per_cell(tmp_path: Path) -> None:
    run = "warmup = 0, repeat = 3, isolation = cell, order = sequential"
    done = measured(tmp_path, settings(), workloads="generate(prompt = 64, output = 0)", run=run)
    assert done.returncode == 0, done.stderr
    assert rows(tmp_path, "SELECT rep, prefill_rate FROM results ORDER BY rep") == [
        (0, 1000.0), (1, pytest.approx(2000)), (2, pytest.approx(3000, rel=1e-6)),
    ]  # fmt: skip
    assert rows(tmp_path, "SELECT DISTINCT used->'columns'->>'warmed_up' FROM trial") == [("false",)]


ENDED = "tool_failed: llama-bench ended with exit status 1: "
# Engines of one bench, each with what becomes of its trial: status, reason, and how its detail begins.
FATES = {
    "exits": ('["--fake", "exit"]', "failed", "engine_error", f"{ENDED}main: error: failed to load"),
    "lacks": ('["-lm", "none"]', "failed", "engine_error", f"{ENDED}error: invalid parameter for"),
    "crashes": ('["--fake", "crash"]', "failed", "crashed", "SIGSEGV"),
    "cut": ('["--fake", "cut"]', "failed", "engine_error", "output_truncated: row 1 is cut off after"),
    "mute": ('["--fake", "mute"]', "failed", "engine_error", "output_missing: the output has no row"),
    "other": ('["--fake", "other"]', "failed", "engine_error", "wrong_test: asked for pp64, the output has pp65"),
    "fewer": ('["--fake", "fewer"]', "failed", "engine_error", "wrong_test: asked for 2 repetitions, the row has 1"),
    "noise": ('["--fake", "noise"]', "ok", None, ""),
    "gpu": ('["--fake", "gpu"]', "ok", None, ""),
}  # fmt: skip
ENGINES = {
    # A build without a GPU says how many layers it was asked to offload, not that it offloaded none.
    "layers": (settings(gpu_layers="8"), "invalid", "wrong_backend", "asked for gpu_layers 8, used 0"),
    "nowhere": (
        settings("/nowhere/llama-bench"),
        "skipped",
        "no_engine",
        "/nowhere/llama-bench is no program that can be",
    ),
    "relative": (
        settings("bin/llama-bench"),
        "skipped",
        "no_engine",
        "the program 'bin/llama-bench' is no place: write an",
    ),
    "unknown": (
        settings("llama-bench-nowhere"),
        "skipped",
        "no_engine",
        "llama-bench-nowhere is not on the PATH; leave",
    ),
    **{name: (settings(arguments=told), *fate) for name, (told, *fate) in FATES.items()},
}


@pytest.fixture(scope="module")
def fates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of all these engines."""
    folder = tmp_path_factory.mktemp("fates")
    declared = "\n".join(
        f"engine {name} extends llama_cpp {{\n  tool = llama_bench\n{how}\n}}\n" for name, (how, *_) in ENGINES.items()
    )
    run = "warmup = 1, repeat = 1, retries = 0"
    spec = SPEC.format(settings="", workloads="generate(prompt = 64, output = 0)", run=run)
    spec = spec.replace("engine stock extends llama_cpp {\n  tool = llama_bench\n\n}", declared)
    (folder / "stocked.bench").write_text(spec.replace("[stock]", f"[{', '.join(ENGINES)}]"))
    compiled = mobench("compile", cwd=folder)
    assert (compiled.returncode, compiled.stderr) == (0, "")
    done = mobench("exec", cwd=folder)
    assert done.returncode == 3, done.stderr
    return folder


@pytest.mark.parametrize("engine", ENGINES)
def test_a_fault_is_a_row_with_a_reason(fates: Path, engine: str) -> None:
    _, status, reason, detail = ENGINES[engine]
    query = f"""SELECT t.status, t.reason, t.detail, t.trial_id, t.folder
                FROM trial t JOIN cell c USING (run_id, cell_id)
                WHERE NOT t.warmup AND c.axes['engine'] = '{engine}'"""
    ((*found, said, trial, folder),) = rows(fates, query)
    assert found == [status, reason]
    assert (said or "").startswith(detail)
    rates = rows(fates, f"SELECT value IS NULL FROM metric WHERE trial_id = '{trial}' AND name = 'prefill_rate'")
    assert rates == [(status != "ok",)]
    codes = rows(fates, f"SELECT data->>'code' FROM event WHERE kind = 'error' AND source = '{folder}'")
    assert codes == ([(detail.partition(":")[0],)] if reason == "engine_error" else [])


def test_where_a_build_with_a_gpu_computed(fates: Path) -> None:
    query = "SELECT used->>'backend' FROM trial t JOIN cell c USING (run_id, cell_id) WHERE c.axes['engine'] = 'gpu'"
    assert rows(fates, query) == [("cuda",)] * 2


def test_beside_the_worker(tmp_path: Path) -> None:
    """The worker and llama-bench on one axis."""
    spec = SPEC.format(settings=settings(threads="1"), workloads="generate(prompt = 16, output = 0)", run="repeat = 1")
    spec = spec.replace("[stock]", "[stock, llama_cpp { threads = 1 }]")
    (tmp_path / "stocked.bench").write_text(spec)
    assert mobench("compile", cwd=tmp_path).returncode == 0
    done = mobench("exec", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = rows(tmp_path, "SELECT tool, n_prompt, avg_ts > 0 FROM llama_bench ORDER BY tool")
    assert found == [("llama-bench", 16, True), (None, 16, True)]
    (header,) = (tmp_path / "runs").glob("*/run.json")
    assert sorted(json.loads(header.read_text())["engines"]) == ["llama_cpp (llama_bench)@host", "llama_cpp@host"]


def test_what_is_built_is_listed(tmp_path: Path) -> None:
    empty = {"MOBENCH_CACHE": str(tmp_path / "cache")}
    listed = mobench("runner", "list", "--tool", "llama_bench", "--json", cwd=tmp_path, **empty)
    assert {m["state"] for m in json.loads(listed.stdout)} == {"not built"}
    missing = mobench("runner", "path", "host", "--tool", "llama_bench", cwd=tmp_path, **empty)
    assert missing.returncode == 2
    assert "the llama_bench for host is not built: mobench runner build host --tool llama_bench" in missing.stderr
    unknown = mobench("runner", "build", "host", "--tool", "llama_server", cwd=tmp_path, **empty)
    assert unknown.returncode == 2
    assert "no program to build for the tool 'llama_server'; there is: runner, llama_bench" in unknown.stderr


def test_the_real_one(tmp_path: Path) -> None:
    if mobench("runner", "path", "host", "--tool", "llama_bench", cwd=tmp_path).returncode != 0:
        pytest.skip("not built: mobench runner build host --tool llama_bench")
    how = settings(None, threads="1", flash_attention="on", type_k="q8_0", type_v="q8_0", batch="128", ubatch="64")
    done = measured(tmp_path, how, run="warmup = 1, repeat = 3")
    assert done.returncode == 0, done.stderr
    query = """SELECT n_prompt, n_gen, n_depth, n_threads, n_batch, n_ubatch, type_k, flash_attn, backends,
               model_n_params, avg_ts > 0, len(samples_ns), tool FROM llama_bench ORDER BY n_prompt"""
    found = rows(tmp_path, query)
    parameters = found[0][9]
    assert parameters > 100_000
    same = (1, 128, 64, "q8_0", "on", "CPU", parameters, True, 3, "llama-bench")
    assert found == [(0, 8, 32, *same), (64, 0, 0, *same)]
    assert rows(tmp_path, "SELECT DISTINCT status FROM trial") == [("ok",)]
