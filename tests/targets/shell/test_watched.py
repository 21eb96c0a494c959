"""Launches that the runner watches: its guard and sampler are the real ones, the instrument is the fake one."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from mobench_targets.shell.platform import Channel, Sensor

from mobench_lang.collect.meter import pulses
from mobench_lang.plugins import Launch, Limits, Weights
from tests.support.ready import Ready, gone
from tests.support.shell_link import SHELLS
from tests.targets.shell.conftest import INSTRUMENT, LIMITS, Box, MakeJob
from tests.targets.shell.test_scripts import Hand
from tests.targets.shell.test_session import events, measured, run, state_of

ROOT = Path(__file__).parents[3]
SOURCES = ROOT / "targets" / "runner"

pytestmark = pytest.mark.skipif(
    not (SOURCES / "guard.c").is_file(), reason="the runner of this version has no guard; nothing is watched by it"
)


@pytest.fixture(scope="session")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runner of the side tools alone."""
    program = tmp_path_factory.mktemp("runner") / "mobench-runner"
    names = {"PYTHON": sys.executable, "SCRIPT": str(INSTRUMENT)}
    subprocess.run(
        [
            "cc", "-O1", "-w", f"-I{SOURCES}", *(f'-D{name}="{text}"' for name, text in names.items()),
            str(ROOT / "tests/support/side_runner.c"), str(SOURCES / "guard.c"), str(SOURCES / "sample.c"),
            "-o", str(program),
        ],
        check=True,
    )  # fmt: skip
    return program


@pytest.fixture
def launch(runner: Path) -> Launch:
    data = runner.read_bytes()
    file = Weights(runner, hashlib.sha256(data).hexdigest(), len(data), "built")
    return Launch(("{runner}", "{job}", "{events}"), {"FAKE": "1"}, {"runner": file})


@pytest.fixture
def ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, box: Box) -> Ready:
    found = Ready(tmp_path, monkeypatch)
    box.env["FAKE_READY"] = os.environ["FAKE_READY"]
    return found


def test_the_runner_stamps_and_samples(box: Box, launch: Launch, make_job: MakeJob) -> None:
    sensor = box.home / "temp of 'it'"
    sensor.write_text("412\n")
    box.kind.channels = (Channel("soc_temp", "m°C", str(sensor), "test", scale=100),)
    outcome, folder = measured(box, launch, make_job, "slow")
    assert outcome.status == "ok", outcome
    assert outcome.spawned is not None
    assert outcome.exited is not None
    started = json.loads((folder / "events.jsonl").read_text().splitlines()[0])
    assert outcome.spawned <= started["t"] <= outcome.exited
    assert outcome.slept_ns == 0
    assert outcome.cpu_ns is not None and outcome.cpu_ns > 0
    rows = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    assert (rows[0]["e"], rows[-1]["e"]) == ("channels", "cost")
    column = rows[0]["channels"].index("soc_temp")
    assert 41_200 in [row["v"][column] for row in rows if row["e"] == "s"]


@pytest.mark.parametrize("what", ["hang", "hang+tree", "hang+child"])
def test_a_launch_whose_time_is_over(box: Box, launch: Launch, make_job: MakeJob, what: str, ready: Ready) -> None:
    outcome, _ = measured(box, launch, make_job, what, Limits(500_000_000))
    assert (outcome.status, outcome.reason) == ("failed", "timeout")
    assert box.carriers() == []


def test_a_device_that_gets_too_hot(box: Box, launch: Launch, make_job: MakeJob, ready: Ready) -> None:
    heat = box.home / "heat"
    heat.write_text("30000\n")
    box.kind.sensor = Sensor(str(heat))

    async def story() -> None:
        session = box.session()
        await session.start(make_job("hang"), launch, box.trial("a"), Limits(60_000_000_000, abort_above=80_000))
        await ready.wait_async()
        heat.write_text("80100\n")
        outcome = await session.wait()
        assert (outcome.reason, outcome.detail[:8]) == ("too_hot", "80.1 °C,")

    run(story)
    assert box.carriers() == []


def test_a_launch_that_stood_still(box: Box, launch: Launch, make_job: MakeJob, ready: Ready) -> None:
    async def story() -> None:
        session = box.session()
        await session.start(make_job("hang"), launch, box.trial("a"), LIMITS)
        _, pid = await ready.wait_async()
        guard = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(guard, signal.SIGSTOP)
        await asyncio.sleep(2.3)  # how long it stands still is what this is about
        os.kill(guard, signal.SIGCONT)
        os.kill(pid, signal.SIGTERM)
        outcome = await session.wait()
        assert outcome.slept_ns is not None and 1_000_000_000 < outcome.slept_ns < 60_000_000_000

    run(story)


def test_how_it_failed(box: Box, launch: Launch, make_job: MakeJob) -> None:
    crash, _ = measured(box, launch, make_job, "crash")
    assert (crash.reason, crash.detail) == ("crashed", "SIGSEGV: about to crash")
    mute, _ = measured(box, launch, make_job, "mute")
    assert (mute.reason, mute.detail) == ("crashed", "exit status 7: usage: nobody knows")


def test_cancel_and_a_killed_script(box: Box, launch: Launch, make_job: MakeJob, ready: Ready) -> None:
    async def story() -> None:
        session, folder = box.session(), box.trial("a")
        await session.start(make_job("hang+child"), launch, folder, LIMITS)
        pids = [(await ready.wait_async())[1] for _ in range(2)]
        await session.cancel()
        assert all(gone(pid) for pid in pids)
        assert events(folder)[0] == "start"

        await session.start(make_job("hang+child", 1), launch, box.trial("b"), LIMITS)
        pids = [(await ready.wait_async())[1] for _ in range(2)]
        os.kill(int(state_of(box)["pid"]), signal.SIGKILL)
        outcome = await asyncio.wait_for(session.wait(), 60)
        assert outcome.status == "failed"
        assert all(gone(pid) for pid in pids)

    run(story)
    assert box.carriers() == []


@pytest.mark.parametrize("shell", SHELLS)
def test_the_plan_by_hand_is_watched(tmp_path: Path, runner: Path, shell: str) -> None:
    hand = Hand(tmp_path, shell, ["ok", "mute"])
    (hand.folder / "mobench-runner").symlink_to(runner)
    done = hand.type("all")
    assert done.returncode == 0, done.stderr
    assert (hand.state("cell1-r0")["status"], hand.state("cell2-r1")["status"]) == ("0", "7")
    told = json.loads((hand.folder / "launches/cell1-r0/guard.out").read_text())
    assert (told["reason"], told["status"]) == ("", 0)


@pytest.mark.parametrize("shell", SHELLS)
def test_by_hand_a_launch_makes_pulses_where_it_is_told_to(tmp_path: Path, runner: Path, shell: str) -> None:
    hand = Hand(tmp_path, shell, ["ok"])
    (hand.folder / "mobench-runner").symlink_to(runner)
    hand.env["MB_PULSE"] = "1"
    done = hand.type("all")
    assert done.returncode == 0, done.stderr
    launch = hand.folder / "launches/cell1-r0"
    lines = [json.loads(line) for line in (launch / "pulses.jsonl").read_text().splitlines()]
    bursts = [burst for at in ("before", "after") for burst in pulses(lines, at)]
    assert len(bursts) == 8
    assert [time for burst in bursts for time in burst] == sorted(time for burst in bursts for time in burst)
    told = json.loads((launch / "guard.out").read_text())
    assert bursts[3][1] <= told["spawned"] <= told["exited"] <= bursts[4][0]
