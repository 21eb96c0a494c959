"""A spec on a virtual Orin, from the text to SQL; a connection that is cut; the build folder by hand, over ssh."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from mobench_targets.linux.virtual import VirtualBoard
from mobench_targets.linux.virtual.replay import level

from mobench_lang.plugins import Launch, Limits
from mobench_lang.protocol import Job, JobEngine, JobModel, JobWorkload
from tests.support.boards import code, link, session, story
from tests.support.packs_path import PACKS, installed
from tests.support.ready import Ready

ROOT = Path(__file__).parents[3]
SOURCES = ROOT / "targets" / "runner"
INSTRUMENT = PACKS / "mobench_fake/engine/instrument.py"
SPEC = """mobench 1
model m { source = path("m.gguf") }
device orin { target = jetson, class = edge, ram = 8GiB, host = "orin.lab", user = "bench", port = 2222,
  power_mode = "15W" }
workload long { prompt = 64tok, output = 8tok }
bench study {
  model = m
  engine = fake { behave = "phases" }
  device = orin
  workload = long
  run { warmup = 0, repeat = 1 }
  conditions { jetson_clocks = on, fan = 50% }
  measure? energy, energy_prefill, energy_decode, energy_per_token, power, idle_power
}
"""


@pytest.fixture(autouse=True)
def fake_packs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with installed(monkeypatch):
        yield


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "m.gguf").write_bytes(b"weights")
    (tmp_path / "study.bench").write_text(SPEC)
    assert mobench(tmp_path, "compile", "study.bench").returncode == 0
    return tmp_path


def mobench(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mobench_lang.cli.main", *words],
        cwd=folder, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def joules(start: int, end: int) -> float:
    """What a perfect meter of the virtual Orin's VDD_IN integrates: 5 V, and 1400 mA that swing by 600 in a second."""
    steps = 2000
    width = (end - start) / steps
    return (
        sum(5.0 * level(1400, 600, 1_000_000_000, int(start + (i + 0.5) * width)) for i in range(steps)) * width * 1e-12
    )


needs_sampler = pytest.mark.skipif(
    not (SOURCES / "guard.c").is_file(), reason="the runner of this version has no sampler"
)


@pytest.fixture
def side_runner(tmp_path: Path) -> Path:
    """The runner's real guard and sampler around the fake instrument."""
    runner = tmp_path / "side-runner"
    names = {"PYTHON": sys.executable, "SCRIPT": str(INSTRUMENT)}
    sources = [ROOT / "tests/support/side_runner.c", SOURCES / "guard.c", SOURCES / "sample.c"]
    defined = [f'-D{name}="{text}"' for name, text in names.items()]
    subprocess.run(["cc", "-O1", "-w", f"-I{SOURCES}", *defined, *sources, "-o", runner], check=True)
    return runner


@needs_sampler
def test_energy_of_each_phase_comes_out_in_sql(
    project: Path, side_runner: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_RUNNER", str(side_runner))
    done = mobench(project, "exec", "--simulate", "orin=orin-nano")
    assert done.returncode == 0, done.stdout + done.stderr
    with duckdb.connect(str(project / "mobench.duckdb"), read_only=True) as database:
        rows = database.execute("SELECT metric, value, uncertainty, method, simulated FROM energy").fetchall()
        [idle] = database.execute("SELECT value, method FROM metric WHERE name = 'idle_power'").fetchall()
    found = {row[0]: row for row in rows}
    [events] = project.glob("runs/*/trials/*/*/*/events.jsonl")
    windows = {e["name"]: (e["start"], e["end"]) for e in map(json.loads, events.open()) if e.get("e") == "phase"}
    # The sampler leads by three seconds, in which the trace has a mean of 7 W.
    assert 6.5 < idle[0] < 7.5 and idle[1].endswith("s before the launch")
    for metric, phase in (("energy_prefill", "prefill"), ("energy_decode", "decode")):
        _, value, uncertainty, method, simulated = found[metric]
        assert method.startswith("INA3221 1-0040 VDD_IN: ∫I·V dt") and simulated
        assert "W idle subtracted" in method
        start, end = windows[phase]
        at_rest = idle[0] * (end - start) * 1e-9
        assert abs(value + at_rest - joules(start, end)) <= uncertainty
    assert found["energy"][1] == pytest.approx(found["energy_prefill"][1] + found["energy_decode"][1])
    assert found["energy_per_token"][1] == pytest.approx(found["energy"][1])
    [board] = project.glob("runs/.*/virtual/orin-nano")
    assert (board / "mode").read_text() == "1\n" and (board / "nvfancontrol").exists()
    assert not (board / "mobench" / "changed").exists()


def test_a_mode_that_needs_a_reboot_refuses_the_device_and_leaves_a_row(project: Path) -> None:
    text = (project / "study.bench").read_text().replace("15W", "7W")
    (project / "study.bench").write_text(text)
    assert mobench(project, "compile", "study.bench").returncode == 0
    done = mobench(project, "exec", "--simulate", "orin=orin-nano")
    assert done.returncode != 0 and "needs a reboot" in done.stdout + done.stderr
    [board] = project.glob("runs/.*/virtual/orin-nano")
    assert (board / "mode").read_text() == "1\n" and (board / "nvfancontrol").exists()
    [journal] = project.glob("runs/*/journal.jsonl")
    skipped = [line for line in map(json.loads, journal.open()) if line["kind"] == "skip"]
    assert skipped and "needs a reboot" in json.dumps(skipped)


def test_a_launch_whose_connection_is_cut_goes_on_and_is_taken_up_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = Ready(tmp_path, monkeypatch)
    folder = tmp_path / "trial"
    folder.mkdir()
    job = Job(
        job_id="run/cell/r0a0",
        model=JobModel(path="/nowhere", sha256="1" * 64),
        engine=JobEngine(name="fake", threads=1, extra={"behave": "hang"}),
        workload=JobWorkload(prompt_tokens=1, output_tokens=1),
    )
    pipe = os.environ["FAKE_READY"]
    launch = Launch((sys.executable, "-I", "-S", str(INSTRUMENT), "{job}", "{events}"), {"FAKE_READY": pipe})
    limits = Limits(60_000_000_000)

    async def told(board: VirtualBoard) -> None:
        first = await session(board, tmp_path)
        await first.facts()
        await first.start(job, launch, folder, limits)
        _, pid = await ready.wait_async()
        board.cut()
        assert await code(first.wait()) == "lost"
        os.kill(pid, 0)
        later = await session(board, tmp_path)
        await later.facts()
        assert await later.attach(job, folder, limits)
        os.kill(pid, 15)
        assert (await later.wait()).reason == "crashed"
        assert (folder / "events.jsonl").read_text().splitlines()[-1].find('"used"') < 0
        assert list((board.folder / "mobench/hosted").iterdir()) == []
        await later.close()

    story(tmp_path, "orin-nano", told)


def test_the_build_folder_by_hand_with_ssh_and_scp(project: Path) -> None:
    """Without the runner: the script itself watches, and MB_EXEC puts the fake instrument in its place."""
    folder = project / "build" / "orin"
    emulator = folder / "emulator"
    emulator.write_text(f'#!/bin/sh\nshift\nexec {sys.executable} -I -S {INSTRUMENT} "$@"\n')
    emulator.chmod(0o755)
    launch = by_hand(project, folder, "MB_EXEC=./emulator")
    assert not (launch / "samples.jsonl").exists()


@needs_sampler
def test_by_hand_the_rails_are_sampled_too(project: Path, side_runner: Path) -> None:
    folder = project / "build" / "orin"
    (folder / "mobench-runner").write_bytes(side_runner.read_bytes())
    (folder / "mobench-runner").chmod(0o755)
    launch = by_hand(project, folder, "")
    head = json.loads((launch / "samples.jsonl").read_text().splitlines()[0])
    assert {"current.VDD_IN", "voltage.VDD_IN"} <= set(head["channels"]) and head["hz"] == 100
    begun = json.loads((launch / "events.jsonl").read_text().splitlines()[0])["t"]
    assert begun - json.loads((launch / "samples.jsonl").read_text().splitlines()[1])["t"] > 2_500_000_000


def by_hand(project: Path, folder: Path, before: str) -> Path:
    """Copy a build's folder with scp, run all of it with ssh, look at the board; the copied folder of the launch."""
    found = project / "fetched"

    async def told(board: VirtualBoard) -> None:
        there, config = board.folder / "by hand", str(board.folder / "ssh_config")
        await asyncio.to_thread(typed, "scp", "-q", "-r", "-F", config, str(folder), f"board:{there}")
        await asyncio.to_thread(typed, "ssh", "-F", config, "board", f"{before} sh '{there}/run.sh' all")
        await asyncio.to_thread(typed, "scp", "-q", "-r", "-F", config, f"board:{there}/launches", str(found))
        assert (board.folder / "mode").read_text() == "1\n" and (board.folder / "nvfancontrol").exists()
        ssh = await link(board)
        assert (await ssh.run(f"sh '{there}/board.sh' facts | grep l4t=")).text == "l4t=36.4.3"
        await ssh.close()

    story(project, "orin-nano", told)
    [launch] = found.iterdir()
    state = dict(line.split("=", 1) for line in (launch / "state").read_text().splitlines())
    assert (state["state"], state["reason"], state["status"]) == ("over", "", "0")
    assert json.loads((launch / "events.jsonl").read_text().splitlines()[-1])["status"] == "ok"
    return launch


def typed(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
