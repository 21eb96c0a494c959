"""`tool = llama_bench` on a virtual phone: the real program for ARM, under qemu, watched and sampled by the runner."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from tests.targets.android.test_end_to_end import PLATFORM, mobench

SPEC = """mobench 1

use "std/models" { tiny }

device phone { target = android }

bench stocked {
  matrix {
    model    in [tiny]
    quant    in [F16]
    engine   in [llama_cpp { tool = llama_bench, threads = 2 }]
    device   in [phone]
    workload in [generate(prompt = 16, output = 0), generate(prompt = 0, output = 4, depth = 16)]
  }
  run { warmup = 1, repeat = 1 }
  measure prefill_rate, decode_rate
  measure? soc_temp, energy
}
"""


def test_a_stock_tool_of_mobench_s_own_build(tmp_path: Path) -> None:
    if mobench(tmp_path, "runner", "path", PLATFORM, "--tool", "llama_bench").returncode != 0:
        pytest.skip(f"not built: mobench runner build {PLATFORM} --tool llama_bench")
    if mobench(tmp_path, "runner", "path", PLATFORM).returncode != 0:
        pytest.fail(f"the runner for {PLATFORM} is not built; `make runners` builds what the tests need")
    (tmp_path / "stocked.bench").write_text(SPEC)
    assert mobench(tmp_path, "compile").returncode == 0
    done = mobench(tmp_path, "exec", "--simulate", "phone=pixel")
    assert done.returncode == 0, done.stderr
    with duckdb.connect(str(tmp_path / "mobench.duckdb"), read_only=True) as database:
        found = database.execute(
            "SELECT tool, n_prompt, n_gen, n_depth, n_threads, backends, avg_ts > 0 FROM llama_bench ORDER BY n_prompt"
        ).fetchall()
        temperatures = database.execute("SELECT count(*) FROM sample WHERE channel = 'soc_temp'").fetchone()
        why = database.execute("SELECT DISTINCT reason FROM metric WHERE name IN ('soc_temp', 'energy')").fetchall()
    assert found == [("llama-bench", 0, 4, 16, 2, "CPU", True), ("llama-bench", 16, 0, 0, 2, "CPU", True)]
    # Samples are there; none of them can be said to lie in a pass.
    assert temperatures is not None and temperatures[0] > 0
    assert why == [("window_unknown",)]
