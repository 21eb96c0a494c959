"""The real runner of aarch64 on virtual boards, under qemu: from a spec to SQL, and by hand as the README says."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from mobench_targets.linux.virtual import VirtualBoard

from tests.support.boards import story
from tests.support.runs import events, journal

PLATFORM = "linux-arm64+dotprod"
SPEC = """mobench 1

use "std/models" { tiny }

device orin { target = jetson, host = "orin.lab", class = edge, ram = 8GiB, power_mode = "15W" }

bench study {
  model = tiny
  quant = Q8_0
  engine = llama_cpp { threads = 2 }
  device = orin
  workload = generate(prompt = 16, output = 8)
  run { warmup = 0, repeat = 1 }
  conditions { governor = "performance" }
  measure load_time, ttft, prefill_rate, decode_rate, itl, peak_memory
  measure? energy, energy_per_token, idle_power, power, soc_temp
}
"""
CACHE = {name: value for name, value in os.environ.items() if name == "MOBENCH_CACHE"}
"""Where `make runners` built, as it was before tests of the engine took a cache of their own."""
ENV = {k: v for k, v in os.environ.items() if k != "MOBENCH_CACHE"} | CACHE


def mobench(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mobench_lang.cli.main", *words],
        cwd=folder, capture_output=True, text=True, check=False, timeout=300, env=ENV,
    )  # fmt: skip


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a compiled spec, where the runner for the board is built."""
    folder = tmp_path_factory.mktemp("project")
    if mobench(folder, "runner", "path", PLATFORM).returncode != 0:
        pytest.fail(f"the runner for {PLATFORM} is not built; `make runners` builds what the tests need")
    (folder / "study.bench").write_text(SPEC)
    compiled = mobench(folder, "compile", "study.bench")
    assert (compiled.returncode, compiled.stderr) == (0, "")
    return folder


def test_tokens_phases_and_energy_come_out_in_sql(build: Path) -> None:
    done = mobench(build, "exec", "--simulate", "orin=orin-nano")
    assert done.returncode == 0, done.stdout + done.stderr
    with duckdb.connect(str(build / "mobench.duckdb"), read_only=True) as database:
        [row] = database.execute(
            "SELECT simulated, ttft > 0, decode_rate > 0, peak_memory > 1e6, load_time > 0 FROM results"
        ).fetchall()
        assert row == (True,) * 5
        assert database.execute("SELECT count(*) FROM token").fetchall() == [(8,)]
        found = dict(
            database.execute("SELECT name, value FROM metric WHERE name IN ('power', 'idle_power')").fetchall()
        )
        channels = {name for (name,) in database.execute("SELECT DISTINCT channel FROM channel").fetchall()}
    # The trace is what it is, whatever runs; a window shorter than two readings has no power.
    assert 4 <= found["idle_power"] <= 10
    assert {"current.VDD_IN", "voltage.VDD_IN", "soc_temp", "cpu_freq.policy0"} <= channels
    [folder] = (build / "runs").glob("study-*")
    [start] = journal(folder, "start")
    told = {event["e"]: event for event in events(folder, start)}
    job = json.loads((folder / start["folder"] / "job.json").read_text())
    assert told["used"]["model_sha256"] == job["model"]["sha256"]
    assert told["used"]["n_threads"] == 2


def test_by_hand_with_nothing_but_ssh_and_scp(build: Path, tmp_path: Path) -> None:
    """Every line of the README, as it stands there."""
    readme = (build / "build/orin/README.md").read_text()
    lines = re.findall(r"(?m)^    (\S.*)$", readme)
    [detached] = [line for line in lines if "setsid" in line]
    lines.remove(detached)
    assert lines[0] == "mobench stage BUILD --device orin -o staged"
    assert all(line.startswith(("ssh ", "scp ")) for line in lines[1:])
    words = shlex.split(lines[0].replace("BUILD", str(build / "build")))[1:]
    staged = mobench(tmp_path, *words, "--platform", PLATFORM)
    assert staged.returncode == 0, staged.stderr

    async def told(board: VirtualBoard) -> None:
        before = board_settings(board)
        # The board as the user's own configuration of ssh knows it, in the place of ~/.ssh/config.
        config = tmp_path / "config"
        config.write_text((board.folder / "ssh_config").read_text().replace("Host board", "Host orin"))
        bin_ = tmp_path / "bin"
        bin_.mkdir()
        for name in ("ssh", "scp"):
            (bin_ / name).write_text(f'#!/bin/sh\nexec /usr/bin/{name} -F {shlex.quote(str(config))} "$@"\n')
            (bin_ / name).chmod(0o755)
        for line in lines[1:]:
            await asyncio.to_thread(typed, line, tmp_path, f"{bin_}:{ENV['PATH']}")
        assert (board.folder / "home/mobench-run/run.sh").is_file()
        assert board_settings(board) == before

    story(tmp_path, "orin-nano", told)
    [launch] = (tmp_path / "launches").iterdir()
    said = [json.loads(line) for line in (launch / "events.jsonl").read_text().splitlines()]
    assert (said[0]["e"], said[-1]["e"], said[-1]["status"]) == ("start", "end", "ok")
    assert "reason=\nstatus=0\n" in (launch / "state").read_text()
    assert "current.VDD_IN" in (launch / "samples.jsonl").read_text()


def test_the_spec_of_the_page_has_no_faults(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs/targets/jetson.md").read_text()
    [spec] = re.findall(r"(?ms)^```\n(mobench 1\n.*?)^```$", page)
    (tmp_path / "first.bench").write_text(spec)
    done = mobench(tmp_path, "compile", "first.bench")
    assert (done.returncode, done.stderr) == (0, "")


def board_settings(board: VirtualBoard) -> dict[str, str]:
    policy = board.sys / "devices/system/cpu/cpufreq/policy0"
    return {str(path): path.read_text() for path in (board.folder / "mode", policy / "scaling_governor")}


def typed(line: str, folder: Path, path: str) -> None:
    done = subprocess.run(
        line, shell=True, cwd=folder, env=ENV | {"PATH": path}, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, (line, done.stdout, done.stderr)
