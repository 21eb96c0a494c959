"""`image = "…"`: the words that the board's docker is given, what it lacks, and that nothing is left of a container."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mobench_targets.linux.virtual import VirtualBoard

from tests.conftest import Golden
from tests.support.boards import session, story
from tests.support.packs_path import installed
from tests.support.ready import Ready, gone
from tests.targets.jetson.test_faults import Study
from tests.targets.jetson.test_faults import ready as ready  # noqa: PLC0414 - a fixture
from tests.targets.jetson.test_runner import PLATFORM, SPEC, mobench, typed
from tests.targets.jetson.test_workshop import TOOLS

IMAGE = "dustynv/llama_cpp:r36.4.0"


@pytest.fixture(autouse=True)
def fake_packs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with installed(monkeypatch):
        yield


def contained(folder: Path, board: VirtualBoard, behave: str, timeout: str = "60s") -> Study:
    """A study whose device has an image, on a board that has docker."""
    shutil.copy(TOOLS / "docker.sh", board.folder / "bin/docker")
    (board.folder / "bin/docker").chmod(0o755)
    return Study(folder, board, behave, timeout, retries=0, image=f', image = "{IMAGE}"')


def test_a_launch_runs_in_a_container(tmp_path: Path, golden: Golden) -> None:
    async def told(board: VirtualBoard) -> None:
        study = contained(tmp_path, board, "ok")
        assert (await study.exec()).counts == {"ok": 1}
        said = (
            (board.folder / "docker.log")
            .read_text()
            .replace(str(board.folder), "BOARD")
            .replace(sys.executable, "PYTHON")
        )
        [name] = {word for word in said.split() if word.startswith("mobench-")}
        instrument = next(word for word in said.split() if word.endswith("instrument.py"))
        said = said.replace(name, "mobench-NAME").replace(name.removeprefix("mobench-"), "NAME")
        golden("targets/jetson_docker_commands.txt", said.replace(instrument, "INSTRUMENT"))
        [device] = study.records("device")
        assert device["facts"]["image"] == {"name": IMAGE, "id": "sha256:0123456789abcdef"}
        study.clean()

    story(tmp_path, "orin-nano", told)


@pytest.mark.parametrize(
    ("lacks", "reason", "says"),
    [
        ("bin/docker", "no_docker", "docker.io"),
        ("no_docker_group", "docker_denied", "usermod -aG docker"),
        ("no_runtime", "no_runtime", "nvidia-ctk runtime configure"),
        ("no_image", "no_image", f"docker pull {IMAGE}"),
    ],
)
def test_what_the_docker_of_a_board_lacks(tmp_path: Path, lacks: str, reason: str, says: str) -> None:
    if lacks == "bin/docker" and shutil.which("docker", path="/usr/bin:/bin"):
        pytest.skip("this machine has a docker where a board would look")

    async def told(board: VirtualBoard) -> None:
        study = contained(tmp_path, board, "ok")
        if lacks == "bin/docker":
            (board.folder / lacks).unlink()
        else:
            (board.folder / lacks).touch()
        await study.exec()
        [skip] = study.records("skip")
        assert skip["reason"] == reason and says in skip["detail"]
        assert not (board.folder / "docker.log").exists() or " run " not in (board.folder / "docker.log").read_text()

    story(tmp_path, "orin-nano", told)


async def inside(board: VirtualBoard, ready: Ready) -> int:
    """The process in the container, once the engine is at work."""
    await ready.wait_async()
    [container] = (board.folder / "containers").iterdir()
    return int(container.read_text())


def test_a_time_that_is_over_ends_the_container(tmp_path: Path, ready: Ready) -> None:
    async def told(board: VirtualBoard) -> None:
        study = contained(tmp_path, board, "hang", timeout="3s")
        running = asyncio.create_task(study.exec())
        pid = await inside(board, ready)
        await running
        [end] = study.records("end")
        assert end["reason"] == "timeout" and await asyncio.to_thread(gone, pid)
        assert list((board.folder / "containers").iterdir()) == []
        study.clean()

    story(tmp_path, "orin-nano", told)


def test_after_a_host_that_died_the_next_one_ends_the_container(tmp_path: Path, ready: Ready) -> None:
    async def told(board: VirtualBoard) -> None:
        study = contained(tmp_path, board, "hang")
        command = [sys.executable, "-m", "mobench_lang.cli.main", "exec"]
        host = await asyncio.create_subprocess_exec(
            *command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        pid = await inside(board, ready)
        host.kill()
        await host.wait()
        os.kill(pid, 0)
        # The shell of the launch dies, too: nobody is left who knows of the container but what is written down.
        for process in board.processes():
            if b"run.sh\0launch" in Path(f"/proc/{process}/cmdline").read_bytes():
                os.kill(process, signal.SIGKILL)
        later = await session(board, tmp_path)
        await later.restore()
        await later.close()
        assert await asyncio.to_thread(gone, pid)
        study.clean()

    story(tmp_path, "orin-nano", told)


def test_by_hand_it_is_a_container_too(tmp_path: Path) -> None:
    """With the real runner, whose guard watches from outside."""
    (tmp_path / "study.bench").write_text(SPEC.replace("ram = 8GiB", f'ram = 8GiB, image = "{IMAGE}"'))
    assert mobench(tmp_path, "compile", "study.bench").returncode == 0
    staged = mobench(tmp_path, "stage", "--platform", PLATFORM)
    assert staged.returncode == 0, staged.stderr
    script = tmp_path / "staged/orin/run.sh"
    checked = subprocess.run(["shellcheck", "-s", "sh", script], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout

    async def told(board: VirtualBoard) -> None:
        shutil.copy(TOOLS / "docker.sh", board.folder / "bin/docker")
        (board.folder / "bin/docker").chmod(0o755)
        config = board.folder / "ssh_config"
        for line in (
            f"scp -q -r -F {config} staged/orin board:mobench-run",
            f"ssh -F {config} board sh mobench-run/run.sh all",
            f"scp -q -r -F {config} board:mobench-run/launches .",
        ):
            await asyncio.to_thread(typed, line, tmp_path, os.environ["PATH"])
        said = (board.folder / "docker.log").read_text().splitlines()
        assert any(line.startswith("run --rm --name mobench-") and "--runtime nvidia" in line for line in said)
        assert list((board.folder / "containers").iterdir()) == []

    story(tmp_path, "orin-nano", told)
    [launch] = (tmp_path / "launches").iterdir()
    assert '"e":"end"' in (launch / "events.jsonl").read_text()
    assert "reason=\nstatus=0\n" in (launch / "state").read_text()


def test_an_interrupt_ends_the_container(tmp_path: Path, ready: Ready) -> None:
    async def told(board: VirtualBoard) -> None:
        study = contained(tmp_path, board, "hang")
        stop = asyncio.Event()
        running = asyncio.create_task(study.lab.exec_async(study.build, stop))
        pid = await inside(board, ready)
        stop.set()
        assert (await running).interrupted
        assert await asyncio.to_thread(gone, pid)
        assert list((board.folder / "containers").iterdir()) == []
        study.clean()

    story(tmp_path, "orin-nano", told)
